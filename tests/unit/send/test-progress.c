// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "send/progress.h"

static void progress__nothing_is_nothing(void **state)
{
	struct progress p = { 0 };
	struct progress_view v;

	progress_read(&p, &v);
	assert_int_equal(v.permille, 0);
	assert_int_equal(v.remaining, 0);
	assert_int_equal(v.eta, UINT64_MAX);
}

static void progress__never_falls_and_never_ends_early(void **state)
{
	struct progress p = { 0 };
	struct progress_view v;

	progress_add(&p.owed, 1000);
	progress_add(&p.handled, 900);
	progress_read(&p, &v);
	assert_int_equal(v.permille, 899);
	/* A further pass doubles what is owed. */
	progress_add(&p.owed, 1000);
	progress_read(&p, &v);
	assert_int_equal(v.permille, 899);
	assert_int_equal(v.remaining, 1100);
	progress_add(&p.handled, 1100);
	progress_read(&p, &v);
	/* All is sent, but not durable. */
	assert_int_equal(v.permille, 999);
	atomic_store(&p.done, true);
	progress_read(&p, &v);
	assert_int_equal(v.permille, 1000);
	assert_int_equal(v.eta, 0);
}

static void progress__more_handled_than_owed(void **state)
{
	struct progress p = { 0 };
	struct progress_view v;

	progress_add(&p.owed, 10);
	progress_add(&p.handled, 20);
	progress_read(&p, &v);
	assert_true(v.permille <= 999);
	assert_int_equal(v.remaining, 0);
}

static void progress__huge_counters(void **state)
{
	struct progress p = { 0 };
	struct progress_view v;

	progress_add(&p.owed, UINT64_C(1) << 62);
	progress_add(&p.handled, UINT64_C(1) << 61);
	progress_read(&p, &v);
	assert_in_range(v.permille, 499, 500);
}

static void progress__rate_and_eta(void **state)
{
	struct progress_meter m = { 0 };
	struct progress p = { 0 };
	struct progress_view v;

	progress_add(&p.owed, 10000);
	progress_tick(&p, &m, 1000);
	progress_add(&p.handled, 500);
	progress_tick(&p, &m, 1500);
	progress_read(&p, &v);
	assert_int_equal(v.rate, 1000);
	assert_int_equal(v.eta, 10); /* 9500 left: rounded up */
	/* The clock does not have to move. */
	progress_tick(&p, &m, 1500);
	/* A stall shows: the rate falls to nothing, the end is unknown. */
	for (int i = 1; i < 60; i++)
		progress_tick(&p, &m, 1500 + i * 500);
	progress_read(&p, &v);
	assert_int_equal(v.rate, 0);
	assert_int_equal(v.eta, UINT64_MAX);
}

/* Of several runs: the tightest limit, the worst latency; none when it is done. */
static void progress__what_holds_it_back(void **state)
{
	struct progress p = { .read_limit = 7, .latency = 9 };
	struct progress_view sum = PROGRESS_SUM_INIT, v;

	progress_read(&p, &v);
	assert_int_equal(v.read_limit, 7);
	assert_int_equal(v.latency, 9);
	progress_sum(&sum, &v);
	progress_sum(&sum, &(struct progress_view){ .read_limit = 0, .latency = 10 });
	progress_sum(&sum, &(struct progress_view){ .read_limit = 5, .latency = 8 });
	progress_sum(&sum, &(struct progress_view){ .read_limit = 6 });
	assert_int_equal(sum.read_limit, 5);
	assert_int_equal(sum.latency, 10);
	p.done = true;
	progress_read(&p, &v);
	assert_int_equal(v.read_limit, 0);
	assert_int_equal(v.latency, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(progress__nothing_is_nothing),
		cmocka_unit_test(progress__never_falls_and_never_ends_early),
		cmocka_unit_test(progress__more_handled_than_owed),
		cmocka_unit_test(progress__huge_counters),
		cmocka_unit_test(progress__rate_and_eta),
		cmocka_unit_test(progress__what_holds_it_back),
	};

	return cmocka_run_group_tests_name("send/progress", tests, NULL, NULL);
}
