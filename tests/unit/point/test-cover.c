// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/cover.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct cover *make(uint64_t size)
{
	struct cover *c;

	assert_int_equal(cover_create(size, 4096, &c), 0);
	return c;
}

static void gap(struct cover *c, uint64_t from, uint64_t offset, uint64_t span)
{
	uint64_t at, length;

	assert_true(cover_next_gap(c, from, &at, &length));
	assert_int_equal(at, offset);
	assert_int_equal(length, span);
}

static void cover__empty_is_one_gap(void **state)
{
	struct cover *c = make(MIB(1) + 512);
	uint64_t at, length;

	gap(c, 0, 0, MIB(1) + 512);
	gap(c, MIB(1), MIB(1), 512);
	/* Who goes on where it ended is at the end, though its last unit is longer. */
	assert_false(cover_next_gap(c, MIB(1) + 512, &at, &length));
	cover_mark(c, 0, MIB(1) + 512);
	assert_true(cover_next(c, 0, &at, &length));
	assert_false(cover_next(c, at + length, &at, &length));
	cover_destroy(c);
}

static void cover__full_has_none(void **state)
{
	struct cover *c = make(MIB(1) + 512);
	uint64_t at, length;

	cover_mark(c, 0, MIB(1) + 512);
	assert_false(cover_next_gap(c, 0, &at, &length));
	assert_false(cover_next_gap(c, MIB(2), &at, &length));
	cover_destroy(c);
}

static void cover__gaps_between_marks(void **state)
{
	struct cover *c = make(4096 * 200);
	uint64_t at, length;

	cover_mark(c, 4096 * 3, 4096);
	cover_mark(c, 4096 * 60, 4096 * 70); /* across two words */
	gap(c, 0, 0, 4096 * 3);
	gap(c, 4096 * 3, 4096 * 4, 4096 * 56);
	gap(c, 4096 * 100, 4096 * 130, 4096 * 70);
	cover_mark(c, 4096 * 130, 4096 * 70);
	assert_false(cover_next_gap(c, 4096 * 61, &at, &length));
	cover_destroy(c);
}

static void cover__what_has_grown_is_not_marked(void **state)
{
	struct cover *c = make(4096 * 60);

	cover_mark(c, 0, 4096 * 60);
	/* In the word that is there, to its end, and by words. */
	assert_int_equal(cover_grow(&c, 4096 * 61), 0);
	gap(c, 0, 4096 * 60, 4096);
	assert_int_equal(cover_grow(&c, 4096 * 64), 0);
	gap(c, 0, 4096 * 60, 4096 * 4);
	assert_int_equal(cover_grow(&c, 4096 * 1000), 0);
	gap(c, 0, 4096 * 60, 4096 * 940);
	cover_mark(c, 4096 * 900, 4096);
	gap(c, 0, 4096 * 60, 4096 * 840);
	cover_destroy(c);
}

/* Marks before the growth stand, and all of what is new can be marked. */
static void cover__marks_outlast_growth(void **state)
{
	struct cover *c = make(4096 * 10);
	uint64_t at, length;

	cover_mark(c, 4096 * 3, 4096 * 2);
	assert_int_equal(cover_grow(&c, 4096 * 4000), 0);
	assert_true(cover_next(c, 0, &at, &length));
	assert_int_equal(at, 4096 * 3);
	assert_int_equal(length, 4096 * 2);
	assert_false(cover_next_mark(c, 4096 * 5, &at));
	cover_mark(c, 0, 4096 * 4000);
	assert_false(cover_next_gap(c, 0, &at, &length));
	cover_destroy(c);
}

/* A disk that ended inside of a unit has more of that unit, whose mark stands. */
static void cover__grows_inside_of_a_unit(void **state)
{
	struct cover *c = make(4096 * 2 + 512);
	uint64_t at, length;

	cover_mark(c, 4096 * 2, 512);
	assert_int_equal(cover_grow(&c, 4096 * 2 + 1024), 0);
	assert_true(cover_next(c, 0, &at, &length));
	assert_int_equal(at, 4096 * 2);
	assert_int_equal(length, 1024);
	cover_destroy(c);
}

static void cover__does_not_shrink(void **state)
{
	struct cover *c = make(4096 * 100), *was = c;

	cover_mark(c, 4096 * 99, 4096);
	assert_int_equal(cover_grow(&c, 4096), 0);
	assert_int_equal(cover_grow(&c, 4096 * 100), 0);
	assert_ptr_equal(c, was);
	assert_true(cover_marked(c, 4096 * 99));
	gap(c, 0, 0, 4096 * 99);
	cover_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cover__empty_is_one_gap),
		cmocka_unit_test(cover__full_has_none),
		cmocka_unit_test(cover__gaps_between_marks),
		cmocka_unit_test(cover__what_has_grown_is_not_marked),
		cmocka_unit_test(cover__marks_outlast_growth),
		cmocka_unit_test(cover__grows_inside_of_a_unit),
		cmocka_unit_test(cover__does_not_shrink),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
