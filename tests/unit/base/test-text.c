// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/reason.h"
#include "base/text.h"

static void cleaned(const char *text, const char *wanted)
{
	char buf[64];

	snprintf(buf, sizeof(buf), "%s", text);
	text_clean(buf);
	assert_string_equal(buf, wanted);
}

static void text__stays_as_it_is(void **state)
{
	cleaned("", "");
	cleaned("a plain sentence: 100 %", "a plain sentence: 100 %");
	cleaned("\u00e9\u20ac\U0001f9ff\U0010ffff", "\u00e9\u20ac\U0001f9ff\U0010ffff");
	cleaned("\u00a0x", "\u00a0x");
}

static void text__forges_nothing(void **state)
{
	cleaned("a\nb\tc\x7f\x1b[31m", "a?b?c??[31m");
	cleaned("\xc2\x85\xc2\x9b", "????");
}

static void text__is_utf8(void **state)
{
	cleaned("caf\xe9 x", "caf? x");
	cleaned("\x80\xbf", "??");
	cleaned("\xc0\x80x", "??x");		/* overlong NUL */
	cleaned("\xe0\x80\x80x", "???x");	/* overlong */
	cleaned("\xed\xa0\x80x", "???x");	/* surrogate */
	cleaned("\xf4\x90\x80\x80x", "????x");	/* beyond the last */
	cleaned("\xff\xfe", "??");
}

static void text__cut_off(void **state)
{
	cleaned("x\xc3", "x");
	cleaned("x\xe2\x82", "x");
	cleaned("x\xf0\x9f\xa7", "x");
}

/* A reason is cut at its size, in the middle of a character if need be. */
static void text__reasons_are_clean(void **state)
{
	char text[2 * REASON_TEXT_MAX];

	for (size_t shift = 0; shift < 2; shift++) {
		struct reason r = { 0 };

		memset(text, 'x', shift);
		for (size_t i = shift; i + 2 < sizeof(text); i += 2)
			memcpy(text + i, "\u00e9", 2);
		text[sizeof(text) - 2] = '\0';
		assert_int_equal(reason_set(&r, -5, REASON_FAILED, "%s", text), -5);
		assert_true(strlen(r.text) >= REASON_TEXT_MAX - 2);
		assert_int_equal((strlen(r.text) - shift) % 2, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text__stays_as_it_is),
		cmocka_unit_test(text__forges_nothing),
		cmocka_unit_test(text__is_utf8),
		cmocka_unit_test(text__cut_off),
		cmocka_unit_test(text__reasons_are_clean),
	};

	return cmocka_run_group_tests_name("base/text", tests, NULL, NULL);
}
