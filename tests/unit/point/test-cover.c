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

	gap(c, 0, 0, MIB(1) + 512);
	gap(c, MIB(1), MIB(1), 512);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cover__empty_is_one_gap),
		cmocka_unit_test(cover__full_has_none),
		cmocka_unit_test(cover__gaps_between_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
