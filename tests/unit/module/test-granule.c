// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "module/granule.h"

static void granule_size_valid__powers_of_two_in_bounds(void **state)
{
	static const u32 bad[] = { 0, 1, 4, 7, 9, 12, 129, 8191, 16384, 1u << 31, ~0u };

	for (u32 size = 8; size <= 8192; size *= 2)
		assert_true(granule_size_valid(size));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(granule_size_valid(bad[i]));
	assert_int_equal(granule_shift(8), 3);
	assert_int_equal(granule_shift(8192), 13);
}

static void granules_in__rounds_up_without_overflow(void **state)
{
	assert_int_equal(granules_in(0, 7), 0);
	assert_int_equal(granules_in(1, 7), 1);
	assert_int_equal(granules_in(128, 7), 1);
	assert_int_equal(granules_in(129, 7), 2);
	assert_true(granules_in(UINT64_MAX, 3) == UINT64_MAX / 8 + 1);
}

/* The range touches granules [first, first + count). */
static void expect_range(u64 sector, u64 sectors, u64 first, u64 count)
{
	u64 found_first = 77, found_count = 77;

	assert_int_equal(granule_range(sector, sectors, 1000, 7, &found_first, &found_count), 0);
	assert_int_equal(found_first, first);
	assert_int_equal(found_count, count);
}

static void granule_range__what_a_write_touches(void **state)
{
	expect_range(0, 1, 0, 1);
	expect_range(127, 1, 0, 1);
	expect_range(127, 2, 0, 2);
	expect_range(128, 128, 1, 1);
	expect_range(128, 129, 1, 2);
	expect_range(999, 1, 7, 1);
	expect_range(0, 1000, 0, 8);
}

static void granule_range__refuses_and_leaves_the_outputs(void **state)
{
	static const u64 bad[][2] = {
		{ 0, 0 }, { 1000, 1 }, { 999, 2 }, { 0, 1001 }, { 1, UINT64_MAX },
		{ UINT64_MAX, 1 }, { UINT64_MAX, UINT64_MAX }, { 1ULL << 63, 1ULL << 63 },
	};
	u64 first = 77, count = 77;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(granule_range(bad[i][0], bad[i][1], 1000, 7, &first, &count),
				 -EINVAL);
	assert_int_equal(first, 77);
	assert_int_equal(count, 77);
}

static void granule_run_valid__inside_and_not_empty(void **state)
{
	assert_true(granule_run_valid(0, 8, 8));
	assert_true(granule_run_valid(7, 1, 8));
	assert_false(granule_run_valid(0, 0, 8));
	assert_false(granule_run_valid(8, 1, 8));
	assert_false(granule_run_valid(7, 2, 8));
	assert_false(granule_run_valid(1, UINT64_MAX, 8));
	assert_false(granule_run_valid(UINT64_MAX, 2, 8));
	assert_false(granule_run_valid(0, 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(granule_size_valid__powers_of_two_in_bounds),
		cmocka_unit_test(granules_in__rounds_up_without_overflow),
		cmocka_unit_test(granule_range__what_a_write_touches),
		cmocka_unit_test(granule_range__refuses_and_leaves_the_outputs),
		cmocka_unit_test(granule_run_valid__inside_and_not_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
