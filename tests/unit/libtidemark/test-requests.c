// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests in pieces: the kernel is played by a function that takes the place
 * of control_request(), so the files under test are compiled in here.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define control_request fake_request
#define control_range fake_range
#include "libtidemark/bitmap.c"
#include "libtidemark/epoch.c"
#undef control_request
#undef control_range

static struct {
	unsigned int calls;
	unsigned int fail_at;		/* this call returns -EINVAL; 0: none */
	uint64_t runs;			/* carried by RELEASE and its kin */
	uint64_t next_run;		/* the first granule that is expected next */
	uint32_t step;			/* RUNS looks at so many granules at most */
	unsigned long request;
	uint64_t epoch;
} fake;

static int setup(void **state)
{
	memset(&fake, 0, sizeof(fake));
	return 0;
}

/* A disk of 1000 granules: 0-99 set, then every other one from 100 on. */
static int fake_granule(uint64_t g)
{
	return g < 100 || g % 2 == 0;
}

static int fake_runs(struct tidemark_runs *arg)
{
	struct tidemark_run *runs = (void *)(uintptr_t)arg->runs;
	uint64_t g = arg->first, end = arg->first + arg->count;

	assert_true(arg->capacity >= 1 && arg->capacity <= TIDEMARK_RUNS_MAX);
	if (fake.step && end > g + fake.step)
		end = g + fake.step;
	arg->filled = 0;
	while (g < end) {
		if (!fake_granule(g)) {
			g++;
			continue;
		}
		if (arg->filled == arg->capacity)
			break;
		runs[arg->filled] = (struct tidemark_run){ .first = g };
		for (; g < end && fake_granule(g); g++)
			runs[arg->filled].count++;
		arg->filled++;
	}
	arg->next = g;
	return 0;
}

int fake_request(struct tidemark *t, unsigned long request, void *p)
{
	fake.calls++;
	fake.request = request;
	if (fake.calls == fake.fail_at)
		return -EINVAL;
	if (request == TIDEMARK_IOC_RUNS)
		return fake_runs(p);
	if (request == TIDEMARK_IOC_SEAL)
		return 0;
	if (request == TIDEMARK_IOC_RELEASE || request == TIDEMARK_IOC_SETTLE ||
	    request == TIDEMARK_IOC_MARK) {
		struct tidemark_ranges *arg = p;
		const struct tidemark_run *runs = (const void *)(uintptr_t)arg->runs;

		assert_int_equal(arg->size, sizeof(*arg));
		assert_true(arg->count >= 1 && arg->count <= TIDEMARK_RUNS_MAX);
		for (uint32_t i = 0; i < arg->count; i++)
			assert_int_equal(runs[i].first, fake.next_run++);
		fake.runs += arg->count;
		fake.epoch = arg->epoch;
		return 0;
	}
	return -ENOTTY;
}

int fake_range(struct tidemark *t, uint64_t disk, uint64_t first, uint64_t *count)
{
	if (*count == UINT64_MAX)
		*count = 1000 - first;
	return 0;
}

static struct tidemark_run *many_runs(size_t count)
{
	struct tidemark_run *runs = calloc(count, sizeof(*runs));

	assert_non_null(runs);
	for (size_t i = 0; i < count; i++)
		runs[i] = (struct tidemark_run){ .first = i, .count = 1 };
	return runs;
}

static void ranges__any_number_goes_in_pieces_and_in_order(void **state)
{
	const size_t count = 2 * TIDEMARK_RUNS_MAX + 1;
	struct tidemark_run *runs = many_runs(count);

	assert_int_equal(tidemark_release(NULL, 1, 7, runs, count), 0);
	assert_int_equal(fake.calls, 3);
	assert_int_equal(fake.runs, count);
	assert_int_equal(fake.epoch, 7);
	assert_int_equal(fake.request, TIDEMARK_IOC_RELEASE);
	free(runs);
}

static void ranges__exactly_one_request_at_the_bound(void **state)
{
	struct tidemark_run *runs = many_runs(TIDEMARK_RUNS_MAX);

	assert_int_equal(tidemark_settle(NULL, 1, 7, runs, TIDEMARK_RUNS_MAX), 0);
	assert_int_equal(fake.calls, 1);
	assert_int_equal(fake.request, TIDEMARK_IOC_SETTLE);
	free(runs);
}

static void ranges__none_asks_nothing(void **state)
{
	assert_int_equal(tidemark_mark(NULL, 1, NULL, 0), 0);
	assert_int_equal(fake.calls, 0);
}

static void ranges__a_refused_piece_ends_it(void **state)
{
	const size_t count = 3 * TIDEMARK_RUNS_MAX;
	struct tidemark_run *runs = many_runs(count);

	fake.fail_at = 2;
	assert_int_equal(tidemark_mark(NULL, 1, runs, count), -EINVAL);
	assert_int_equal(fake.calls, 2);
	free(runs);
}

static void seal__is_never_cut(void **state)
{
	static struct tidemark_seal_disk disks[TIDEMARK_SEAL_MAX + 1];

	assert_int_equal(tidemark_seal(NULL, disks, TIDEMARK_SEAL_MAX + 1, 0, 0, NULL), -E2BIG);
	assert_int_equal(fake.calls, 0);
	assert_int_equal(tidemark_seal(NULL, disks, TIDEMARK_SEAL_MAX, 0, 0, NULL), 0);
	assert_int_equal(fake.calls, 1);
}

/* What all calls together return is the bitmap, in maximal runs. */
static void check_runs(size_t capacity)
{
	struct tidemark_run *runs = calloc(capacity, sizeof(*runs));
	uint64_t next = 0, expected = 0;
	size_t filled;

	assert_non_null(runs);
	while (next < 1000) {
		assert_int_equal(tidemark_runs(NULL, 1, TIDEMARK_OWED, next, UINT64_MAX, runs,
					       capacity, &filled, &next), 0);
		for (size_t i = 0; i < filled; i++) {
			while (!fake_granule(expected))
				expected++;
			assert_int_equal(runs[i].first, expected);
			expected += runs[i].count;
			for (uint64_t g = runs[i].first; g < expected; g++)
				assert_true(fake_granule(g));
		}
	}
	for (; expected < 1000; expected++)
		assert_false(fake_granule(expected));
	free(runs);
}

static void runs__all_are_found_at_any_capacity(void **state)
{
	check_runs(1);
	check_runs(2);
	check_runs(7);
	check_runs(1000);
}

static void runs__requests_that_stop_short_are_joined(void **state)
{
	struct tidemark_run runs[1000];
	uint64_t next;
	size_t filled;

	fake.step = 30;
	check_runs(1);
	check_runs(1000);
	assert_int_equal(tidemark_runs(NULL, 1, TIDEMARK_OWED, 0, UINT64_MAX, runs, 1000, &filled,
				       &next), 0);
	/* 100 set granules were met in four pieces */
	assert_int_equal(runs[0].first, 0);
	assert_int_equal(runs[0].count, 101);
	assert_int_equal(filled, 450);
	assert_int_equal(next, 1000);
}

static void runs__ranges_that_make_no_sense(void **state)
{
	struct tidemark_run run;
	uint64_t next = 5;
	size_t filled = 6;

	assert_int_equal(tidemark_runs(NULL, 1, TIDEMARK_OWED, 0, 10, &run, 0, &filled, &next),
			 -EINVAL);
	assert_int_equal(tidemark_runs(NULL, 1, TIDEMARK_OWED, 2, UINT64_MAX - 1, &run, 1, &filled,
				       &next), -EINVAL);
	assert_int_equal(fake.calls, 0);
	assert_int_equal(next, 5);
	assert_int_equal(filled, 6);
	/* the end of the disk is a range of nothing */
	assert_int_equal(tidemark_runs(NULL, 1, TIDEMARK_OWED, 1000, UINT64_MAX, &run, 1, &filled,
				       &next), 0);
	assert_int_equal(filled, 0);
	assert_int_equal(next, 1000);
	assert_int_equal(fake.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ranges__any_number_goes_in_pieces_and_in_order, setup),
		cmocka_unit_test_setup(ranges__exactly_one_request_at_the_bound, setup),
		cmocka_unit_test_setup(ranges__none_asks_nothing, setup),
		cmocka_unit_test_setup(ranges__a_refused_piece_ends_it, setup),
		cmocka_unit_test_setup(seal__is_never_cut, setup),
		cmocka_unit_test_setup(runs__all_are_found_at_any_capacity, setup),
		cmocka_unit_test_setup(runs__requests_that_stop_short_are_joined, setup),
		cmocka_unit_test_setup(runs__ranges_that_make_no_sense, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
