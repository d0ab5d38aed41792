// SPDX-License-Identifier: GPL-2.0-only
/*
 * The submission gate: every write to any tracked disk is marked inside of it,
 * and a seal swaps the bitmaps while it is closed.
 *
 * One gate for the whole module and not one for each disk. A seal of many
 * disks must exclude the writers of all of them at the same moment, and
 * closing a percpu_rw_semaphore first waits for an RCU grace period to send
 * the readers to their slow path: with one gate that is one grace period for a
 * seal of any number of disks, and no lock order among gates to keep. The
 * price is that writers of disks that are not being sealed stop too, for the
 * few stores that the swap takes. Inside the gate a writer does not sleep, does
 * not allocate and takes no lock; so closing is bounded by what running
 * processors do, never by I/O.
 *
 * Writers are not excluded during the grace period, only between the moment
 * that the semaphore blocks and the moment that it is released. That moment
 * cannot be seen from the closing side (percpu_down_write() does both), but
 * the writers see it: the first one that is turned away notes the time.
 */
#include "gate.h"

#include <linux/atomic.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/percpu-rwsem.h>

static struct percpu_rw_semaphore gate;

/* When the first writer was turned away since the gate began to close, or 0. */
static atomic64_t gate_refused;
/* When the gate was closed; belongs to who holds it closed. */
static u64 gate_closed;

/**
 * tidemark_gate_init() - at module load
 *
 * Return: 0 or -ENOMEM.
 */
int tidemark_gate_init(void)
{
	return percpu_init_rwsem(&gate);
}

/** tidemark_gate_exit() - at module unload: nobody may be inside */
void tidemark_gate_exit(void)
{
	percpu_free_rwsem(&gate);
}

/**
 * tidemark_gate_enter() - a writer comes in
 * @nowait: do not sleep
 *
 * Context: Any that may sleep; with @nowait also atomic.
 * Return: false when @nowait is set and the gate is closed.
 */
bool tidemark_gate_enter(bool nowait)
{
	if (likely(percpu_down_read_trylock(&gate)))
		return true;
	/* Both 0 and a time are good answers: another one came first. */
	atomic64_cmpxchg(&gate_refused, 0, ktime_get_ns());
	if (nowait)
		return false;
	percpu_down_read(&gate);
	return true;
}

/** tidemark_gate_leave() - a writer has marked what it will write */
void tidemark_gate_leave(void)
{
	percpu_up_read(&gate);
}

/**
 * tidemark_gate_close() - keep writers out
 *
 * Returns when no writer is inside. Whatever a writer has done inside before is
 * seen by the caller, whatever the caller does until tidemark_gate_open() is
 * seen by every writer after.
 *
 * Context: Process context, sleeps for a grace period.
 */
void tidemark_gate_close(void)
{
	/* A writer turned away by the one before may have noted it too late. */
	atomic64_set(&gate_refused, 0);
	percpu_down_write(&gate);
	gate_closed = ktime_get_ns();
}

/**
 * tidemark_gate_open() - let writers in again
 *
 * Return: for how many nanoseconds they were kept out.
 */
u64 tidemark_gate_open(void)
{
	u64 refused = atomic64_read(&gate_refused);
	u64 since = refused ? min(refused, gate_closed) : gate_closed;
	u64 now = ktime_get_ns();

	percpu_up_write(&gate);
	return now - since;
}
