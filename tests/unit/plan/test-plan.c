// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "plan/plan.h"

#define GRANULE 65536u
#define REGION (4 * GRANULE)
#define RUNS(...) (const struct plan_run[]){ __VA_ARGS__ }

static void expect_region(struct plan *p, uint64_t first, uint64_t count)
{
	struct plan_region r;

	assert_int_equal(plan_next(p, &r), PLAN_REGION);
	assert_int_equal(r.first, first);
	assert_int_equal(r.count, count);
	assert_int_equal(r.offset, first * p->granule);
	assert_int_equal(r.length, plan_bytes(p, first, count));
}

static void expect(struct plan *p, int answer)
{
	struct plan_region r;

	assert_int_equal(plan_next(p, &r), answer);
}

static void plan__nothing_owed(void **state)
{
	struct plan p;

	plan_init(&p, GIB(1), GRANULE, REGION);
	expect(&p, PLAN_MORE);
	plan_finish(&p);
	expect(&p, PLAN_END);
	expect(&p, PLAN_END);
}

static void plan__long_run_is_cut(void **state)
{
	struct plan p;

	plan_init(&p, GIB(1), GRANULE, REGION);
	assert_int_equal(plan_feed(&p, RUNS({ 3, 10 }), 1), 0);
	expect_region(&p, 3, 4);
	expect_region(&p, 7, 4);
	/* Two are left, and the next page may go on with the 14th. */
	expect(&p, PLAN_MORE);
	plan_finish(&p);
	expect_region(&p, 11, 2);
	expect(&p, PLAN_END);
}

static void plan__adjacent_runs_are_merged(void **state)
{
	struct plan p;

	plan_init(&p, GIB(1), GRANULE, REGION);
	assert_int_equal(plan_feed(&p, RUNS({ 0, 1 }, { 1, 1 }, { 2, 1 }, { 4, 1 }), 4), 0);
	expect_region(&p, 0, 3);
	expect(&p, PLAN_MORE);
	/* Over the edge of a page, too. */
	assert_int_equal(plan_feed(&p, RUNS({ 5, 1 }, { 100, 1 }), 2), 0);
	expect_region(&p, 4, 2);
	plan_finish(&p);
	expect_region(&p, 100, 1);
	expect(&p, PLAN_END);
}

static void plan__gaps_are_kept(void **state)
{
	struct plan p;

	plan_init(&p, GIB(1), GRANULE, REGION);
	assert_int_equal(plan_feed(&p, RUNS({ 0, 1 }, { 2, 1 }, { 4, 1 }), 3), 0);
	plan_finish(&p);
	expect_region(&p, 0, 1);
	expect_region(&p, 2, 1);
	expect_region(&p, 4, 1);
	expect(&p, PLAN_END);
}

static void plan__last_granule_is_short(void **state)
{
	struct plan_region r;
	struct plan p;

	plan_init(&p, 3 * GRANULE + 512, GRANULE, REGION);
	assert_int_equal(plan_feed(&p, RUNS({ 0, 4 }), 1), 0);
	plan_finish(&p);
	assert_int_equal(plan_next(&p, &r), PLAN_REGION);
	assert_int_equal(r.length, 3 * GRANULE + 512);
	expect(&p, PLAN_END);

	plan_init(&p, 512, GRANULE, REGION);
	assert_int_equal(plan_feed(&p, RUNS({ 0, 1 }), 1), 0);
	plan_finish(&p);
	assert_int_equal(plan_next(&p, &r), PLAN_REGION);
	assert_int_equal(r.length, 512);
}

static void plan__granule_above_the_bound(void **state)
{
	struct plan p;

	plan_init(&p, MIB(9), MIB(4), REGION);
	assert_int_equal(plan_feed(&p, RUNS({ 0, 3 }), 1), 0);
	plan_finish(&p);
	expect_region(&p, 0, 1);
	expect_region(&p, 1, 1);
	expect_region(&p, 2, 1);
	expect(&p, PLAN_END);
}

static void plan__bad_runs_are_refused(void **state)
{
	const struct plan_run bad[][2] = {
		{ { 0, 0 }, { 0, 0 } },	       /* empty */
		{ { 4, 2 }, { 2, 1 } },	       /* out of order */
		{ { 4, 2 }, { 5, 1 } },	       /* overlapping */
		{ { 15, 1 }, { 16, 1 } },      /* outside */
		{ { 0, 1 }, { 1, UINT64_MAX } }, /* overflow */
	};
	struct plan_region r;
	struct plan p;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		plan_init(&p, 16 * GRANULE, GRANULE, REGION);
		assert_int_equal(plan_feed(&p, bad[i], 2), -EINVAL);
	}
	/* A page that begins before the end of the last one. */
	plan_init(&p, 16 * GRANULE, GRANULE, REGION);
	assert_int_equal(plan_feed(&p, RUNS({ 4, 4 }), 1), 0);
	assert_int_equal(plan_next(&p, &r), PLAN_REGION);
	assert_int_equal(plan_next(&p, &r), PLAN_MORE);
	assert_int_equal(plan_feed(&p, RUNS({ 7, 1 }), 1), -EINVAL);
}

/* 16 TiB, all owed, 4 KiB granules: nothing overflows and nothing is missed. */
static void plan__huge_disk(void **state)
{
	uint64_t size = UINT64_C(16) << 40;
	uint64_t bytes = 0, next = 0;
	struct plan_region r;
	struct plan p;

	plan_init(&p, size, 4096, MIB(256));
	for (uint64_t first = 0; first < size / 4096; first += 1 << 20) {
		assert_int_equal(plan_feed(&p, RUNS({ first, 1 << 20 }), 1), 0);
		if (first + (1 << 20) == size / 4096)
			plan_finish(&p);
		while (plan_next(&p, &r) == PLAN_REGION) {
			assert_int_equal(r.first, next);
			next += r.count;
			bytes += r.length;
		}
	}
	assert_int_equal(bytes, size);
}

/* Whatever the runs and pages: the same granules come out, each once, in order. */
static void plan__random(void **state)
{
	static uint8_t owed[1000], seen[1000];
	struct plan_run runs[1000];

	srand(1);
	for (int round = 0; round < 500; round++) {
		size_t count = 0, fed = 0;
		struct plan_region r;
		struct plan p;
		uint64_t past = 0;
		int answer;

		memset(seen, 0, sizeof(seen));
		for (size_t i = 0; i < sizeof(owed); i++) {
			owed[i] = rand() % 4 < 1 + round % 3;
			/* Some runs touch, as those of two pages do. */
			if (owed[i] && i && owed[i - 1] && rand() % 8)
				runs[count - 1].count++;
			else if (owed[i])
				runs[count++] = (struct plan_run){ i, 1 };
		}
		plan_init(&p, sizeof(owed) * 4096 - 512, 4096, (1 + round % 7) * 4096);
		while ((answer = plan_next(&p, &r)) != PLAN_END) {
			if (answer == PLAN_MORE) {
				size_t n = u64_min(count - fed, rand() % 20);

				assert_int_equal(plan_feed(&p, runs + fed, n), 0);
				fed += n;
				if (fed == count)
					plan_finish(&p);
				continue;
			}
			assert_true(r.first >= past);
			assert_true(r.count <= (uint64_t)(1 + round % 7));
			memset(seen + r.first, 1, r.count);
			past = r.first + r.count;
		}
		assert_memory_equal(seen, owed, sizeof(owed));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan__nothing_owed),
		cmocka_unit_test(plan__long_run_is_cut),
		cmocka_unit_test(plan__adjacent_runs_are_merged),
		cmocka_unit_test(plan__gaps_are_kept),
		cmocka_unit_test(plan__last_granule_is_short),
		cmocka_unit_test(plan__granule_above_the_bound),
		cmocka_unit_test(plan__bad_runs_are_refused),
		cmocka_unit_test(plan__huge_disk),
		cmocka_unit_test(plan__random),
	};

	return cmocka_run_group_tests_name("plan/plan", tests, NULL, NULL);
}
