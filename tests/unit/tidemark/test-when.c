// SPDX-License-Identifier: GPL-2.0-or-later
/* Times as people write them; the reader is systemd's own, by systemd-analyze(1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tidemark/command.c"
#include "tidemark/when.c"

static void cim__is_left_to_the_agent(void **state)
{
	static const char *const texts[] = {
		"20261126020000.000000+***", "********023000.000000-480",
		"00000000013000.000000:000", "99999999999999.999999+999",
	};
	char cim[WHEN_TEXT];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(when_parse(texts[i], cim), EXIT_DONE);
		assert_string_equal(cim, texts[i]);
	}
}

static void format__seconds_and_fractions(void **state)
{
	char cim[WHEN_TEXT];

	assert_int_equal(when_format("1795744800", cim), 0);
	assert_string_equal(cim, "20261127020000.000000+000");
	assert_int_equal(when_format("1795744800.5", cim), 0);
	assert_string_equal(cim, "20261127020000.500000+000");
	assert_int_equal(when_format("1795744800.832162", cim), 0);
	assert_string_equal(cim, "20261127020000.832162+000");
	assert_int_equal(when_format("-5", cim), -EBADMSG);
	assert_int_equal(when_format("soon", cim), -EBADMSG);
	assert_int_equal(when_format("999999999999999", cim), -EBADMSG);
}

static bool can_ask(void)
{
	char cim[WHEN_TEXT];

	return when_moment("2026-11-27 02:00 UTC", cim) != -ENOENT;
}

static void systemd__its_own_forms(void **state)
{
	char cim[WHEN_TEXT], day[WHEN_TEXT], at[WHEN_TEXT];

	if (!can_ask())
		skip();
	setenv("TZ", "UTC", 1);
	assert_int_equal(when_parse("2026-11-27 02:00:01 UTC", cim), EXIT_DONE);
	assert_string_equal(cim, "20261127020001.000000+000");
	assert_int_equal(when_parse("@1795744800", cim), EXIT_DONE);
	assert_string_equal(cim, "20261127020000.000000+000");
	assert_int_equal(when_parse("+90min", cim), EXIT_DONE);
	/* a day with a time is that time of that day */
	assert_int_equal(when_parse("tomorrow", day), EXIT_DONE);
	assert_int_equal(when_parse("tomorrow 02:30", at), EXIT_DONE);
	assert_memory_equal(day, at, 8);
	assert_memory_equal(at + 8, "023000", 6);
	/* a calendar expression */
	assert_int_equal(when_parse("Sat 03:00", cim), EXIT_DONE);
	assert_memory_equal(cim + 8, "030000.000000+000", 17);
}

static void systemd__what_is_no_time(void **state)
{
	static const char *const texts[] = {
		"", "soonish", "tomorrow at two", "25:00", "2026-13-01", "--help", "; rm -rf /",
		"tomorrow 02:00 x", "+90bananas",
	};
	char cim[WHEN_TEXT] = "untouched";

	if (!can_ask())
		skip();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(when_parse(texts[i], cim), EXIT_USAGE);
		assert_string_equal(cim, "untouched");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cim__is_left_to_the_agent),
		cmocka_unit_test(format__seconds_and_fractions),
		cmocka_unit_test(systemd__its_own_forms),
		cmocka_unit_test(systemd__what_is_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
