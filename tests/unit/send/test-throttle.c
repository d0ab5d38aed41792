// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/util.h"
#include "send/throttle.h"
#include "send/trouble.h"

#define SECOND 1000000000ull
#define RATE MIB(1)

static void throttle__nothing_is_no_limit(void **state)
{
	struct throttle t = { 0 };
	struct throttle *limits[3] = { NULL, &t, NULL };

	throttles_take(limits, 3, 5 * SECOND, GIB(100));
	assert_int_equal(throttles_wait(limits, 3, 5 * SECOND), 0);
	assert_int_equal(throttles_piece(limits, 3, MIB(1)), MIB(1));
}

/* Over many pieces, as fast as they are let: what was taken is the rate and one piece. */
static void throttle__keeps_the_rate(void **state)
{
	struct throttle t = { 0 };
	struct throttle *limits[1] = { &t };
	uint64_t start = 100 * SECOND, now = start, taken = 0;

	throttle_set(&t, RATE);
	while (now < start + 60 * SECOND) {
		uint64_t wait = throttles_wait(limits, 1, now);

		assert_true(wait <= SECOND);
		now += wait;
		if (wait)
			continue;
		throttles_take(limits, 1, now, 100000);
		taken += 100000;
	}
	assert_true(taken >= 60 * RATE - 100000);
	assert_true(taken <= 60 * RATE + 100000 + RATE / 1000 * (THROTTLE_BURST_NS / 1000000));
}

/* An idle hour is no credit of an hour. */
static void throttle__forgets_an_idle_past(void **state)
{
	struct throttle t = { 0 };
	struct throttle *limits[1] = { &t };

	throttle_set(&t, RATE);
	throttles_take(limits, 1, SECOND, RATE);
	throttles_take(limits, 1, 3600 * SECOND, RATE);
	assert_true(throttles_wait(limits, 1, 3600 * SECOND) > SECOND * 9 / 10);
}

static void throttle__may_be_changed_at_any_time(void **state)
{
	struct throttle t = { 0 };
	struct throttle *limits[1] = { &t };

	throttle_set(&t, 1);
	assert_int_equal(t.rate, THROTTLE_RATE_MIN);
	throttles_take(limits, 1, 10 * SECOND, MIB(1));
	/* 16 s, but asked for again after one. */
	assert_int_equal(throttles_wait(limits, 1, 10 * SECOND), SECOND);
	assert_int_equal(throttles_wait(limits, 1, 20 * SECOND), SECOND);
	throttle_set(&t, RATE);
	assert_int_equal(throttles_wait(limits, 1, 10 * SECOND), 0);
	throttles_take(limits, 1, 10 * SECOND, MIB(1));
	throttle_set(&t, 0);
	assert_int_equal(throttles_wait(limits, 1, 10 * SECOND), 0);
}

/* Someone who takes and takes while another sets; time stands still. */
struct taker {
	struct throttle t;
	atomic_uint count;
	atomic_bool over;
};

static void *take(void *arg)
{
	struct taker *k = arg;
	struct throttle *limits[1] = { &k->t };

	while (!atomic_load(&k->over)) {
		throttles_take(limits, 1, 1000 * SECOND, GIB(1) / 1000);
		atomic_fetch_add(&k->count, 1);
	}
	return NULL;
}

/* Until something was taken @pieces times more. */
static void wait_for(struct taker *k, unsigned int pieces)
{
	unsigned int from = atomic_load(&k->count);

	while (atomic_load(&k->count) - from < pieces)
		sched_yield();
}

/*
 * However it meets one who takes: nothing is left to be paid by the old limit. A piece
 * is 16 s at that, and a millisecond at the new one. It is tried for two seconds at most.
 */
static void throttle__an_old_limit_is_not_waited_out(void **state)
{
	struct taker k = { 0 };
	time_t end = time(NULL) + 2;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, take, &k), 0);
	for (unsigned int i = 0; i < 20000 && time(NULL) < end; i++) {
		unsigned int before, pieces;
		uint64_t paid;

		throttle_set(&k.t, THROTTLE_RATE_MIN);
		wait_for(&k, 1);
		before = atomic_load(&k.count);
		throttle_set(&k.t, GIB(1));
		/* What was being taken is charged for by then. */
		wait_for(&k, 2);
		paid = atomic_load(&k.t.paid_ns);
		/* One that was begun before, one that is not yet counted. */
		pieces = atomic_load(&k.count) - before + 2;
		if (paid > 1000 * SECOND)
			assert_true(paid - 1000 * SECOND <= pieces * (SECOND / 1000 + 1));
	}
	atomic_store(&k.over, true);
	pthread_join(thread, NULL);
}

static void throttle__the_tightest_of_several_counts(void **state)
{
	struct throttle wide = { 0 }, narrow = { 0 };
	struct throttle *limits[3] = { &wide, NULL, &narrow };

	throttle_set(&wide, MIB(100));
	throttle_set(&narrow, RATE);
	assert_int_equal(throttles_piece(limits, 3, MIB(1)), RATE / 8);
	throttles_take(limits, 3, 10 * SECOND, RATE / 2);
	assert_true(throttles_wait(limits, 3, 10 * SECOND) > SECOND * 4 / 10);
}

static void trouble__sorts(void **state)
{
	static const struct {
		int err;
		uint32_t code;
		enum run_trouble trouble;
	} cases[] = {
		{ 0, 0, RUN_TROUBLE_NONE },
		{ -ENOMEM, 0, RUN_TROUBLE_MEMORY },
		{ -ENOSPC, 0, RUN_TROUBLE_SPACE },
		{ -ECONNREFUSED, REASON_NOT_AVAILABLE, RUN_TROUBLE_NETWORK },
		{ -EHOSTUNREACH, REASON_NOT_AVAILABLE, RUN_TROUBLE_NETWORK },
		{ -ETIMEDOUT, REASON_TIMEOUT, RUN_TROUBLE_NETWORK },
		/* "not available" as well, and nothing that time cures */
		{ -ENOPKG, REASON_NOT_AVAILABLE, RUN_TROUBLE_FINAL },
		{ -ENODEV, REASON_NOT_SUPPORTED, RUN_TROUBLE_FINAL },
		{ -EIO, REASON_FAILED, RUN_TROUBLE_FINAL },
		{ -EAGAIN, REASON_FAILED, RUN_TROUBLE_RATE },
		{ -ETIME, REASON_TIMEOUT, RUN_TROUBLE_RATE },
		{ -EREMOTEIO, REASON_IN_USE, RUN_TROUBLE_BUSY },
		{ -EREMOTEIO, REASON_NO_MEMORY, RUN_TROUBLE_MEMORY },
		{ -EREMOTEIO, REASON_NOT_AVAILABLE, RUN_TROUBLE_NETWORK },
		{ -EREMOTEIO, REASON_INVALID_STATE, RUN_TROUBLE_FINAL },
		{ -ECANCELED, REASON_FAILED, RUN_TROUBLE_FINAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(trouble_of(cases[i].err, cases[i].code), cases[i].trouble);
		assert_int_equal(run_recoverable(cases[i].trouble),
				 cases[i].trouble > RUN_TROUBLE_FINAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(throttle__nothing_is_no_limit),
		cmocka_unit_test(throttle__keeps_the_rate),
		cmocka_unit_test(throttle__forgets_an_idle_past),
		cmocka_unit_test(throttle__may_be_changed_at_any_time),
		cmocka_unit_test(throttle__an_old_limit_is_not_waited_out),
		cmocka_unit_test(throttle__the_tightest_of_several_counts),
		cmocka_unit_test(trouble__sorts),
	};

	return cmocka_run_group_tests_name("send/throttle", tests, NULL, NULL);
}
