/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TIDEMARK_EPOCH_H
#define _TIDEMARK_EPOCH_H

#include <linux/atomic.h>
#include <linux/percpu-refcount.h>
#include <linux/types.h>
#include <linux/wait.h>

/**
 * struct tidemark_epoch - what was written between two seals
 * @number: counted per disk from 1, 0: never begun; disk lock
 * @bits: the granules. Set by writers while the epoch is current; cleared by
 *	RELEASE once it is sealed
 * @marked: how many bits are set, exactly
 * @torn: writes that met a bit still owed
 * @flags: enum tidemark_epoch_flag
 * @in_flight: a reference for each write that has marked here and has not
 *	landed yet
 * @drained: no such write is left and none can come; @wait is woken
 * @wait: belongs to the disk
 *
 * A disk has two that take turns: one is marked by writers (in_flight is a
 * per-CPU counter, until a seal is about to come), the other is what the newest
 * seal ended, is owed, and drains (in_flight is one counter and was killed, so
 * that its zero is seen).
 *
 * The in-flight rule: a write takes its reference in the same gate section in
 * which it marks. A seal swaps the epochs while the gate is closed; so each
 * write is wholly in one epoch, the bits of the sealed one are final at the
 * swap, and what may still come is only the data of writes that hold a
 * reference. A granule read before they have landed would be lost for good:
 * read in its old state, and marked in no later epoch.
 */
struct tidemark_epoch {
	u64 number;
	unsigned long *bits;
	atomic_long_t marked;
	atomic_long_t torn;
	unsigned long flags;
	struct percpu_ref in_flight;
	bool drained;
	wait_queue_head_t *wait;
};

/**
 * enum tidemark_epoch_flag - bit numbers in tidemark_epoch.flags
 * @EPOCH_TORN_DUE: a torn event is to be sent
 * @EPOCH_TORN_TOLD: it was asked for in this epoch
 * @EPOCH_THRESHOLD_DUE: a threshold event is to be sent
 * @EPOCH_THRESHOLD_TOLD: it was asked for in this epoch
 */
enum tidemark_epoch_flag {
	EPOCH_TORN_DUE,
	EPOCH_TORN_TOLD,
	EPOCH_THRESHOLD_DUE,
	EPOCH_THRESHOLD_TOLD,
};

int tidemark_epoch_init(struct tidemark_epoch *epoch, wait_queue_head_t *wait);
void tidemark_epoch_exit(struct tidemark_epoch *epoch);
void tidemark_epoch_begin(struct tidemark_epoch *epoch, u64 number);
void tidemark_epoch_ending(struct tidemark_epoch *epoch);
void tidemark_epoch_counted(struct tidemark_epoch *epoch);
void tidemark_epoch_end(struct tidemark_epoch *epoch);

/**
 * tidemark_epoch_drained() - has every write of a sealed epoch landed?
 * @epoch: ended by tidemark_epoch_end()
 *
 * Who sees true, and reads the device below, reads what they have written.
 */
static inline bool tidemark_epoch_drained(const struct tidemark_epoch *epoch)
{
	/* Pairs with epoch_release(). */
	return smp_load_acquire(&epoch->drained);
}

/**
 * tidemark_epoch_get() - a write is in flight
 * @epoch: the current one; the caller is inside the gate
 */
static inline void tidemark_epoch_get(struct tidemark_epoch *epoch)
{
	percpu_ref_get(&epoch->in_flight);
}

/**
 * tidemark_epoch_put() - a write has landed, or failed
 * @epoch: the one that it was marked in
 *
 * Context: Any, also hard interrupts.
 */
static inline void tidemark_epoch_put(struct tidemark_epoch *epoch)
{
	percpu_ref_put(&epoch->in_flight);
}

#endif /* _TIDEMARK_EPOCH_H */
