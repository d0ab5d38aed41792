/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The brake: holds the reads of a run back while the VMs' own reads and writes take
 * longer than a bound.
 *
 * Once a second it looks at the counters of the tracked devices. The VM's requests are
 * in there, and ours are not: a run reads from the view, or from the data device below,
 * never through the tracked device. The worst mean of all disks counts, because disks
 * of a run often share what is below them.
 *
 * Over the bound, what may be read is halved, from what was read in fact; under three
 * quarters of it it grows by a quarter each second, and the brake comes off when that
 * is twice what was read before. It never goes below BRAKE_RATE_MIN, so a run is slowed and never
 * stopped. A disk that nobody tracks has no VM that writes to it, and no brake.
 *
 * Time is the caller's.
 */
#ifndef TIDEMARK_SEND_BRAKE_H
#define TIDEMARK_SEND_BRAKE_H

#include <stdbool.h>
#include <stddef.h>

#include "send/latency.h"
#include "send/progress.h"
#include "send/throttle.h"

#define BRAKE_LOOK_MS 1000
#define BRAKE_RATE_MIN THROTTLE_RATE_MIN

/**
 * struct brake_control - how far it is on
 * @rate: bytes a second that may be read; 0: any number
 * @before: what was read in a second when it came on
 */
struct brake_control {
	uint64_t rate;
	uint64_t before;
};

/**
 * brake_step() - the control: what follows from one look. Pure
 * @read: bytes read in a second, as measured
 * @latency_us: the VM's
 * @bound_us: 0: none
 */
void brake_step(struct brake_control *c, uint64_t read, uint64_t latency_us, uint64_t bound_us);

/**
 * struct brake_disk - a tracked device
 * @fd: its counters
 * @last: as they were at the last look
 * @seen: there was one
 */
struct brake_disk {
	int fd;
	struct latency_stat last;
	bool seen;
};

/**
 * struct brake - zeroed: never holds anything; belongs to the run's thread
 * @bound_ms: milliseconds, 0: none; may be changed at any time by others. NULL: none
 * @progress: shown there: .read_limit and .latency; NULL: nowhere
 * @control: how far it is on
 * @throttle: that reads obey
 * @looked_ms: when it looked last, 0: never
 * @taken: bytes read since
 * @read: bytes a second, a mean over a few
 * @disks: @count of them
 * @count: see @disks
 */
struct brake {
	const _Atomic uint32_t *bound_ms;
	struct progress *progress;
	struct brake_control control;
	struct throttle throttle;
	uint64_t looked_ms;
	uint64_t taken;
	uint64_t read;
	struct brake_disk *disks;
	size_t count;
};

/**
 * brake_add() - watch a device
 * @stat: path of its counters. One that cannot be opened is not watched
 *
 * Return: 0 or -ENOMEM.
 */
int brake_add(struct brake *b, const char *stat);
/** brake_clear() - close and free what it has; @b itself is the caller's */
void brake_clear(struct brake *b);

/** brake_tick() - look, if it is time; to be called at least each BRAKE_LOOK_MS */
void brake_tick(struct brake *b, uint64_t now_ms);
/** brake_wait() - nanoseconds until something may be read, a second at most; 0: now */
uint64_t brake_wait(struct brake *b, uint64_t now_ns);
/** brake_take() - count @bytes that are read now */
void brake_take(struct brake *b, uint64_t now_ns, uint64_t bytes);

#endif
