/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Progress: counters of a run, written by its one thread, read by any.
 *
 * Each counter is atomic on its own; a reader may see them a moment apart,
 * which is why progress_read() is the one place that computes with them.
 */
#ifndef TIDEMARK_SEND_PROGRESS_H
#define TIDEMARK_SEND_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * struct progress - the counters
 * @disk: bytes of all disks
 * @marked: bytes of granules that were marked when the run began
 * @owed: bytes that the seals of all passes so far have made owed
 * @handled: of @owed: read, and sent or found equal
 * @sent: bytes of disk sent as data
 * @zero: bytes of disk sent as zeroes
 * @wire: bytes written to the connection, frames and all
 * @received: bytes read from it
 * @reads: read requests to the disks
 * @different: verify: bytes of granules that differ
 * @passes: seals so far
 * @torn: how often an epoch was torn
 * @rate: bytes handled in a second, over the last few
 * @read_limit: bytes a second that the brake lets be read, 0: any number
 * @latency: of the VMs' own requests, µs, as the brake saw it last, 0: there were none
 * @best: the highest permille that was ever shown
 * @done: the point is durable, or everything was verified
 */
struct progress {
	_Atomic uint64_t disk;
	_Atomic uint64_t marked;
	_Atomic uint64_t owed;
	_Atomic uint64_t handled;
	_Atomic uint64_t sent;
	_Atomic uint64_t zero;
	_Atomic uint64_t wire;
	_Atomic uint64_t received;
	_Atomic uint64_t reads;
	_Atomic uint64_t different;
	_Atomic uint32_t passes;
	_Atomic uint32_t torn;
	_Atomic uint64_t rate;
	_Atomic uint64_t read_limit;
	_Atomic uint64_t latency;
	_Atomic uint32_t best;
	_Atomic bool done;
};

/**
 * struct progress_view - what a reader is shown
 * @remaining: bytes that are owed and not handled
 * @permille: 0 to 1000; never falls, and is 1000 only when all is durable
 * @rate: bytes a second
 * @eta: seconds, UINT64_MAX: not known
 * @read_limit: the lowest, of several parts; 0: none
 * @latency: the highest, of several parts
 *
 * The rest as in struct progress.
 */
struct progress_view {
	uint64_t disk, marked, owed, handled, sent, zero, wire, received, reads, different;
	uint32_t passes, torn;
	uint64_t remaining;
	uint32_t permille;
	uint64_t rate;
	uint64_t eta;
	uint64_t read_limit;
	uint64_t latency;
};

/** progress_read() - counters and what follows from them */
void progress_read(struct progress *p, struct progress_view *ret);

/**
 * progress_sum() - add what one part shows to what the whole shows: the disks of a
 * VM, the runs of a job
 * @sum: PROGRESS_SUM_INIT before the first part
 *
 * The whole's share never falls if that of no part does and parts are not taken
 * away; callers that add parts later keep the highest share themselves.
 */
void progress_sum(struct progress_view *sum, const struct progress_view *part);

/** What progress_sum() begins with. */
#define PROGRESS_SUM_INIT ((struct progress_view){ .permille = 1000, .eta = 0 })

/**
 * struct progress_meter - measures the rate; used by the run's thread alone
 */
struct progress_meter {
	uint64_t ms;
	uint64_t handled;
	bool started;
};

/**
 * progress_tick() - measure the rate; called about once a second
 * @now_ms: of a monotonic clock
 *
 * An exponential mean with a memory of a few seconds: steady enough to read,
 * quick enough to show a stall.
 */
void progress_tick(struct progress *p, struct progress_meter *m, uint64_t now_ms);

static inline void progress_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

#endif
