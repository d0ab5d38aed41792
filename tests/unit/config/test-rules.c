// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/util.h"
#include "config/rules.h"
#include "config/settings.h"

#define NO_RULE UINT64_MAX

static void zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

static struct rate_rules parsed(const char *text)
{
	struct rate_rules rules = { 0 };

	if (rules_parse(text, &rules))
		fail_msg("\"%s\" is refused", text);
	return rules;
}

/* The rate that holds at a moment of UTC; NO_RULE: no rule does. */
static uint64_t rate_at(const char *text, const char *moment)
{
	struct rate_rules rules = parsed(text);
	const struct rate_rule *rule;
	struct tm tm = { 0 };

	assert_non_null(strptime(moment, "%Y-%m-%d %H:%M:%S", &tm));
	rule = rules_find(&rules, timegm(&tm));
	return rule ? rule->rate : NO_RULE;
}

/* -- text ------------------------------------------------------------------- */

static void prints(const char *text, const char *wanted)
{
	struct rate_rules rules = parsed(text);
	char printed[RULES_MAX * RULE_TEXT_MAX];

	rules_print(&rules, printed, sizeof(printed));
	assert_string_equal(printed, wanted);
	/* What is printed means the same. */
	rules = parsed(printed);
	rules_print(&rules, printed, sizeof(printed));
	assert_string_equal(printed, wanted);
}

static void parse__forms(void **state)
{
	prints("", "");
	prints(" \t", "");
	prints("Mon-Fri 08:00-18:00 20M", "Mon-Fri 08:00-18:00 20M");
	prints("  22:00-06:00\t0 ,Sat Sun 1G", "22:00-06:00 0, Sat Sun 1G");
	prints("Sun Mon 65536", "Mon Sun 64K");
	prints("Sat-Mon 100000", "Mon Sat Sun 100000");
	prints("Mon-Thu Sun 08:30-24:00 1536K", "Mon-Thu Sun 08:30-24:00 1536K");
	prints("Wed-Tue 0", "00:00-24:00 0");
	prints("00:00-00:00 9999999999G", "00:00-00:00 9999999999G");
	prints("Mon Mon Mon 0", "Mon 0");
}

static void parse__as_many_as_there_may_be(void **state)
{
	struct rate_rules rules = { 0 };
	char text[SETTING_TEXT_MAX] = "", printed[SETTING_TEXT_MAX];

	for (int i = 0; i < RULES_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
			 "%sMon Tue Thu Fri Sun 12:34-23:45 9999999999G", i ? ", " : "");
	assert_int_equal(rules_parse(text, &rules), 0);
	assert_int_equal(rules.count, RULES_MAX);
	rules_print(&rules, printed, sizeof(printed));
	assert_string_equal(printed, text);
	strcat(text, ", Mon 0");
	assert_int_equal(rules_parse(text, &rules), -EINVAL);
}

static void parse__refuses(void **state)
{
	static const char *const wrong[] = {
		"20M", "0", "Mon", "08:00-18:00", "Mon 08:00-18:00", "mon 1M", "Monday 1M",
		"Mon- 1M", "-Mon 1M", "Mon--Fri 1M", "Mon-Fri-Sun 1M", "Mon,Tue 1M", "Mon 1M,",
		",Mon 1M", "Mon 1M,,Tue 1M", "8:00-18:00 1M", "08:00-18:60 1M", "24:00-06:00 1M",
		"08:00-24:01 1M", "08:00-25:00 1M", "08:00 - 18:00 1M", "08:00-18:00-20:00 1M",
		"08:00-18:00 1M 2M", "08:00-18:00 Mon 1M", "Mon 63K", "Mon -1", "Mon 1T", "Mon 1 M",
		"Mon 1M; Tue 1M", "Mon 08:00-18:00 09:00-10:00 1M", "Mon 99999999999",
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct rate_rules rules = { .count = 77 };

		if (rules_parse(wrong[i], &rules) != -EINVAL || rules.count != 77)
			fail_msg("\"%s\" is taken", wrong[i]);
	}
}

static void setting__is_one_of_the_table(void **state)
{
	const struct setting *setting = settings_find("RateRules");
	char text[SETTING_TEXT_MAX];
	struct reason reason = { 0 };
	struct settings s;

	settings_defaults(&s);
	assert_ptr_equal(setting, settings_find("rate_rules"));
	assert_int_equal(settings_apply(&s, "RateRules", "Sat Sun 0", &reason), 0);
	setting->get(&s, text, sizeof(text));
	assert_string_equal(text, "Sat Sun 0");
	assert_int_equal(settings_apply(&s, "RateRules", "always 0", &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "RateRules=always 0, expected [DAYS] [HH:MM-HH:MM] RATE"));
	setting->get(&s, text, sizeof(text));
	assert_string_equal(text, "Sat Sun 0");
}

/* -- what holds ------------------------------------------------------------- */

static void find__the_first_that_holds(void **state)
{
	static const char rules[] = "Mon-Fri 08:00-18:00 20M, 22:00-06:00 0, Sun 1M";

	zone("UTC");
	/* 2026-11-27 is a Friday. */
	assert_int_equal(rate_at(rules, "2026-11-27 07:59:59"), NO_RULE);
	assert_int_equal(rate_at(rules, "2026-11-27 08:00:00"), MIB(20));
	assert_int_equal(rate_at(rules, "2026-11-27 17:59:59"), MIB(20));
	assert_int_equal(rate_at(rules, "2026-11-27 18:00:00"), NO_RULE);
	assert_int_equal(rate_at(rules, "2026-11-28 12:00:00"), NO_RULE);
	assert_int_equal(rate_at(rules, "2026-11-29 12:00:00"), MIB(1));
	/* Two hold: the one before. */
	assert_int_equal(rate_at(rules, "2026-11-29 23:00:00"), 0);
	assert_int_equal(rate_at("", "2026-11-27 08:00:00"), NO_RULE);
}

static void find__over_midnight(void **state)
{
	zone("UTC");
	assert_int_equal(rate_at("Fri 22:00-06:00 1M", "2026-11-27 21:59:59"), NO_RULE);
	assert_int_equal(rate_at("Fri 22:00-06:00 1M", "2026-11-27 22:00:00"), MIB(1));
	assert_int_equal(rate_at("Fri 22:00-06:00 1M", "2026-11-28 05:59:59"), MIB(1));
	assert_int_equal(rate_at("Fri 22:00-06:00 1M", "2026-11-28 06:00:00"), NO_RULE);
	assert_int_equal(rate_at("Fri 22:00-06:00 1M", "2026-11-28 22:00:00"), NO_RULE);
	/* Friday's own early morning is Thursday's night. */
	assert_int_equal(rate_at("Fri 22:00-06:00 1M", "2026-11-27 05:00:00"), NO_RULE);
	/* Over the end of the week, and of the year. */
	assert_int_equal(rate_at("Sat 23:00-01:00 1M", "2026-11-29 00:30:00"), MIB(1));
	assert_int_equal(rate_at("Thu 23:00-01:00 1M", "2027-01-01 00:59:59"), MIB(1));
	assert_int_equal(rate_at("Sun 23:00-01:00 1M", "2026-11-30 00:30:00"), MIB(1));
	/* To the end of the day, and around the clock. */
	assert_int_equal(rate_at("Fri 22:00-24:00 1M", "2026-11-27 23:59:59"), MIB(1));
	assert_int_equal(rate_at("Fri 22:00-24:00 1M", "2026-11-28 00:00:00"), NO_RULE);
	assert_int_equal(rate_at("Fri 22:00-00:00 1M", "2026-11-28 00:00:00"), NO_RULE);
	assert_int_equal(rate_at("Fri 08:00-08:00 1M", "2026-11-28 07:59:59"), MIB(1));
	assert_int_equal(rate_at("Fri 08:00-08:00 1M", "2026-11-28 08:00:00"), NO_RULE);
	assert_int_equal(rate_at("Fri 08:00-08:00 1M", "2026-11-27 07:59:59"), NO_RULE);
}

static void find__days_are_local(void **state)
{
	zone("Pacific/Auckland"); /* 13 hours ahead */
	assert_int_equal(rate_at("Sat 1M", "2026-11-27 10:59:59"), NO_RULE);
	assert_int_equal(rate_at("Sat 1M", "2026-11-27 11:00:00"), MIB(1));
	zone("America/New_York"); /* 5 behind */
	assert_int_equal(rate_at("Sat 1M", "2026-11-28 04:59:59"), NO_RULE);
	assert_int_equal(rate_at("Sat 1M", "2026-11-28 05:00:00"), MIB(1));
	zone("Asia/Kathmandu"); /* 5:45 ahead */
	assert_int_equal(rate_at("08:00-09:00 1M", "2026-11-27 02:14:59"), NO_RULE);
	assert_int_equal(rate_at("08:00-09:00 1M", "2026-11-27 02:15:00"), MIB(1));
}

/* Berlin: 2026-03-29 01:00 UTC it is 03:00 instead of 02:00, 2026-10-25 01:00 UTC again 02:00. */
static void find__when_the_clock_is_put(void **state)
{
	zone("Europe/Berlin");
	assert_int_equal(rate_at("01:00-02:30 1M", "2026-03-29 00:59:59"), MIB(1));
	assert_int_equal(rate_at("01:00-02:30 1M", "2026-03-29 01:00:00"), NO_RULE);
	/* What lies in the hour that is skipped does not hold. */
	assert_int_equal(rate_at("02:00-03:00 1M", "2026-03-29 00:59:59"), NO_RULE);
	assert_int_equal(rate_at("02:00-03:00 1M", "2026-03-29 01:00:00"), NO_RULE);
	assert_int_equal(rate_at("02:30-04:00 1M", "2026-03-29 01:00:00"), MIB(1));
	assert_int_equal(rate_at("Sun 22:00-06:00 1M", "2026-03-29 19:59:59"), NO_RULE);
	assert_int_equal(rate_at("Sun 22:00-06:00 1M", "2026-03-29 20:00:00"), MIB(1));
	/* What lies in the hour that comes twice holds in both. */
	assert_int_equal(rate_at("02:00-02:30 1M", "2026-10-25 00:00:00"), MIB(1));
	assert_int_equal(rate_at("02:00-02:30 1M", "2026-10-25 00:30:00"), NO_RULE);
	assert_int_equal(rate_at("02:00-02:30 1M", "2026-10-25 01:00:00"), MIB(1));
	assert_int_equal(rate_at("02:00-02:30 1M", "2026-10-25 01:30:00"), NO_RULE);
	assert_int_equal(rate_at("Sat 22:00-06:00 1M", "2026-10-25 04:59:59"), MIB(1));
	assert_int_equal(rate_at("Sat 22:00-06:00 1M", "2026-10-25 05:00:00"), NO_RULE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__forms),
		cmocka_unit_test(parse__as_many_as_there_may_be),
		cmocka_unit_test(parse__refuses),
		cmocka_unit_test(setting__is_one_of_the_table),
		cmocka_unit_test(find__the_first_that_holds),
		cmocka_unit_test(find__over_midnight),
		cmocka_unit_test(find__days_are_local),
		cmocka_unit_test(find__when_the_clock_is_put),
	};

	return cmocka_run_group_tests_name("config/rules", tests, NULL, NULL);
}
