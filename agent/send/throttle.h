/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A throttle: so many bytes a second, over all threads that obey it. It may be
 * shared and changed at any time, and is never locked: two atomic numbers.
 *
 * A token bucket in the form of GCRA: instead of tokens it keeps the moment up to
 * which what was taken is paid for. Who takes something moves that moment on by
 * what it costs; who finds it in the future waits until then. What is taken is
 * never refused, so the rate may be exceeded by one piece of each run, for as long
 * as that piece costs.
 */
#ifndef TIDEMARK_SEND_THROTTLE_H
#define TIDEMARK_SEND_THROTTLE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/** The lowest rate that makes sense: a frame of 1 MiB keeps the receiver waiting 16 s. */
#define THROTTLE_RATE_MIN 65536u

/**
 * struct throttle - zeroed: no limit
 * @rate: bytes a second; 0: no limit
 * @paid_ns: private
 */
struct throttle {
	_Atomic uint64_t rate;
	_Atomic uint64_t paid_ns;
};

/**
 * throttle_set() - change the limit, at any time
 * @rate: bytes a second, at least THROTTLE_RATE_MIN; 0: no limit
 *
 * What was taken under the old limit is forgiven.
 */
void throttle_set(struct throttle *t, uint64_t rate);

/**
 * throttle_adjust() - the same, but what was taken stays to be paid for
 *
 * For a limit that changes all the time: to forgive each time would be no limit.
 */
void throttle_adjust(struct throttle *t, uint64_t rate);

/*
 * What obeys several limits at once goes through these: @limits has @count of them,
 * each may be NULL.
 */

/**
 * throttles_wait() - nanoseconds until something may be taken; 0: now
 * @now_ns: of the monotonic clock
 *
 * A second at most, to be asked again then: limits may be others by then.
 */
uint64_t throttles_wait(struct throttle *const *limits, size_t count, uint64_t now_ns);

/**
 * throttles_take() - count @bytes that are taken now
 *
 * What was not used up in the last THROTTLE_BURST_NS may be used now; nothing older.
 */
void throttles_take(struct throttle *const *limits, size_t count, uint64_t now_ns, uint64_t bytes);

/** throttles_piece() - how much to take at a time, at most @max: an eighth of a second's */
uint64_t throttles_piece(struct throttle *const *limits, size_t count, uint64_t max);

/** How much of an idle past may be caught up on. */
#define THROTTLE_BURST_NS 50000000u

#endif
