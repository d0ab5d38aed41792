// SPDX-License-Identifier: GPL-2.0-only
/*
 * Epochs and their writes in flight, see struct tidemark_epoch.
 */
#include "epoch.h"

#include <linux/rcupdate.h>
#include <linux/sched.h>

static void epoch_release(struct percpu_ref *ref)
{
	struct tidemark_epoch *epoch =
		container_of(ref, struct tidemark_epoch, in_flight);

	/* Pairs with tidemark_epoch_drained(). */
	smp_store_release(&epoch->drained, true);
	wake_up_all(epoch->wait);
}

/**
 * tidemark_epoch_init() - prepare an epoch that nobody may mark yet
 * @epoch: zeroed
 * @wait: woken when it has drained
 *
 * Context: Process context, allocates.
 * Return: 0 or -ENOMEM.
 */
int tidemark_epoch_init(struct tidemark_epoch *epoch, wait_queue_head_t *wait)
{
	epoch->wait = wait;
	epoch->drained = true;
	return percpu_ref_init(&epoch->in_flight, epoch_release,
			       PERCPU_REF_INIT_DEAD, GFP_KERNEL);
}

/**
 * tidemark_epoch_exit() - the epoch goes, and no write can come
 * @epoch: may be zeroed only
 *
 * Context: Process context. Waits for no I/O when the tap has none in flight,
 * only for the grace period in which the reference goes to zero.
 */
void tidemark_epoch_exit(struct tidemark_epoch *epoch)
{
	if (!epoch->wait)
		return;
	if (epoch->number) {
		if (!percpu_ref_is_dying(&epoch->in_flight))
			percpu_ref_kill(&epoch->in_flight);
		wait_event(*epoch->wait, tidemark_epoch_drained(epoch));
		/*
		 * epoch_release() runs under rcu_read_lock(), and may still be
		 * at its wake-up.
		 */
		synchronize_rcu();
	}
	percpu_ref_exit(&epoch->in_flight);
}

/**
 * tidemark_epoch_begin() - writers may come
 * @epoch: drained; writers do not know of it yet
 * @number: its number, from 1
 *
 * Context: Process context.
 */
void tidemark_epoch_begin(struct tidemark_epoch *epoch, u64 number)
{
	epoch->drained = false;
	atomic_long_set(&epoch->torn, 0);
	epoch->flags = 0;
	epoch->number = number;
	percpu_ref_switch_to_percpu(&epoch->in_flight);
	percpu_ref_reinit(&epoch->in_flight);
}

/**
 * tidemark_epoch_ending() - a seal is about to end an epoch: begin to count
 * @epoch: the current one of its disk
 *
 * Only a counter that all processors share can be seen to become zero, and the
 * way there takes a grace period. It is gone before the end, while writers come
 * and go, and not after it: then writes may be held for the drain.
 *
 * Context: Process context, does not wait.
 */
void tidemark_epoch_ending(struct tidemark_epoch *epoch)
{
	percpu_ref_switch_to_atomic(&epoch->in_flight, NULL);
}

/**
 * tidemark_epoch_counted() - wait for what tidemark_epoch_ending() has begun
 * @epoch: the same
 *
 * Context: Process context, sleeps for a grace period.
 */
void tidemark_epoch_counted(struct tidemark_epoch *epoch)
{
	percpu_ref_switch_to_atomic_sync(&epoch->in_flight);
}

/**
 * tidemark_epoch_end() - no writer will come any more: drain
 * @epoch: no longer the current one of its disk; counted
 *
 * If none of its writes is in flight then it has drained on return.
 *
 * Context: Process context, does not wait.
 */
void tidemark_epoch_end(struct tidemark_epoch *epoch)
{
	percpu_ref_kill(&epoch->in_flight);
}
