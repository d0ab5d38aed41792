// SPDX-License-Identifier: GPL-2.0-or-later
/* CIM datetimes: every form, every field, and local time where clocks are set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/datetime.h"

#define US INT64_C(1000000)
/* 2026-11-26T12:34:56.789012Z, a Thursday */
#define NOW (INT64_C(1795696496) * US + 789012)

/* Zones by rule, so that no database of zones is needed. */
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"
#define SYDNEY "AEST-10AEDT,M10.1.0,M4.1.0/3"
#define NEW_YORK "EST5EDT,M3.2.0,M11.1.0"
#define KATHMANDU "NPT-5:45"

static void zone(const char *tz)
{
	setenv("TZ", tz, 1);
	tzset();
}

/* "2026-11-26T12:34:56" in UTC to microseconds since 1970 */
static int64_t utc(const char *text)
{
	struct tm tm = { 0 };

	assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%S", &tm));
	return timegm(&tm) * US;
}

struct resolved {
	const char *text;
	const char *now;
	const char *then;
};

static void resolves(const struct resolved *r)
{
	struct cim_datetime d;
	int64_t us = -1;

	if (cim_datetime_parse(r->text, &d))
		fail_msg("%s is not parsed", r->text);
	if (cim_datetime_resolve(&d, utc(r->now), &us))
		fail_msg("%s at %s is not resolved", r->text, r->now);
	if (us != utc(r->then))
		fail_msg("%s at %s is %lld s off %s", r->text, r->now,
			 (long long)(us - utc(r->then)) / 1000000, r->then);
}

#define RESOLVES(cases) \
	do { \
		for (size_t i = 0; i < sizeof(cases) / sizeof((cases)[0]); i++) \
			resolves(&(cases)[i]); \
	} while (0)

/* -- parse ------------------------------------------------------------------ */

static void parse__a_moment(void **state)
{
	struct cim_datetime d;

	assert_int_equal(cim_datetime_parse("20261126123456.789012-090", &d), 0);
	assert_false(d.interval);
	assert_false(d.local);
	assert_int_equal(d.field[CIM_YEAR], 2026);
	assert_int_equal(d.field[CIM_MONTH], 11);
	assert_int_equal(d.field[CIM_DAY], 26);
	assert_int_equal(d.field[CIM_HOUR], 12);
	assert_int_equal(d.field[CIM_MINUTE], 34);
	assert_int_equal(d.field[CIM_SECOND], 56);
	assert_int_equal(d.field[CIM_MICROSECOND], 789012);
	assert_int_equal(d.offset, -90);
}

static void parse__asterisks(void **state)
{
	struct cim_datetime d;

	assert_int_equal(cim_datetime_parse("********0230**.******+***", &d), 0);
	assert_true(d.local);
	assert_int_equal(d.field[CIM_YEAR], CIM_ANY);
	assert_int_equal(d.field[CIM_MONTH], CIM_ANY);
	assert_int_equal(d.field[CIM_DAY], CIM_ANY);
	assert_int_equal(d.field[CIM_HOUR], 2);
	assert_int_equal(d.field[CIM_MINUTE], 30);
	assert_int_equal(d.field[CIM_SECOND], CIM_ANY);
	assert_int_equal(d.field[CIM_MICROSECOND], CIM_ANY);
	/* the last digits of the microseconds alone may be asterisks */
	assert_int_equal(cim_datetime_parse("20261126123456.78****+000", &d), 0);
	assert_int_equal(d.field[CIM_MICROSECOND], 780000);
}

static void parse__an_interval(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {
		{ "00000000000000.000000:000", 0 },
		{ "00000001020304.000005:000", (86400 + 2 * 3600 + 3 * 60 + 4) * US + 5 },
		{ "00000007000000.000000:000", 7 * 86400 * US },
		{ "0000000013****.******:000", 13 * 3600 * US },
		{ "00000002******.******:000", 2 * 86400 * US },
		{ "00000000000001.5*****:000", 1500000 },
		{ "99999999235959.999999:000", INT64_C(100000000) * 86400 * US - 1 },
	};
	struct cim_datetime d;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(cim_datetime_parse(cases[i].text, &d), 0);
		assert_true(d.interval);
		assert_int_equal(d.length_us, cases[i].us);
	}
}

static void parse__what_is_no_datetime(void **state)
{
	static const char *const texts[] = {
		"", "now", "tomorrow 02:00", "2026-11-26T12:34:56Z",
		"20261126123456.789012+00", "20261126123456.789012+0000",
		"20261126123456,789012+000", "20261126123456.789012 000",
		"2026112612345a.789012+000", "20261126123456.78901a+000",
		"20261126123456.789012+0a0", "20261126123456.789012-***",
		"20261126123456.789012+*00", "20261126123456.789012+0**",
		"2026112612345*.789012+000", "202*1126123456.789012+000",
		"20261126123456.*89012+000", "20261126123456.7*9012+000",
		" 0261126123456.789012+000", "+0261126123456.789012+000",
		"00000001000000.000000:001", "00000001000000.000000:***",
		"00000001000000.000000:060", "0000000*000000.000000:000",
		"00000001000000.*00000:000", "20261126123456.789012+000 ",
	};
	struct cim_datetime d = { .offset = 77 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (cim_datetime_parse(texts[i], &d) != -EBADMSG)
			fail_msg("'%s' should be no datetime", texts[i]);
	}
	assert_int_equal(d.offset, 77);
}

static void parse__bad_values(void **state)
{
	static const char *const texts[] = {
		"20260026123456.789012+000", "20261326123456.789012+000",
		"20261100123456.789012+000", "20261131123456.789012+000",
		"20261232123456.789012+000", "20260229123456.789012+000",
		"19000229123456.789012+000", "****0230000000.000000+000",
		"****0431000000.000000+000", "******32000000.000000+000",
		"20261126243456.789012+000", "20261126126056.789012+000",
		"20261126123460.789012+000", "20261126123456.789012+841",
		"20261126123456.789012-721", "20261126123456.789012+999",
		"00000000240000.000000:000", "00000000006000.000000:000",
		"00000000000060.000000:000", "********000000.000000:000",
		"00000000**0000.000000:000", "000000000000**.000000:000",
		"**************.******:000",
	};
	struct cim_datetime d = { .offset = 77 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (cim_datetime_parse(texts[i], &d) != -EINVAL)
			fail_msg("'%s' should have a bad value", texts[i]);
	}
	assert_int_equal(d.offset, 77);
}

/* Every byte at every place: never anything but the three answers, no crash. */
static void parse__any_byte_anywhere(void **state)
{
	static const char *const texts[] = {
		"20261126123456.789012+120", "00000001020304.000005:000",
		"********0230**.******+***",
	};
	struct cim_datetime d;
	char text[CIM_DATETIME_SIZE];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		for (int at = 0; at < CIM_DATETIME_LENGTH; at++) {
			for (int byte = 0; byte < 256; byte++) {
				int64_t us = 0;
				int err;

				memcpy(text, texts[i], sizeof(text));
				text[at] = (char)byte;
				err = cim_datetime_parse(text, &d);
				assert_true(err == 0 || err == -EBADMSG || err == -EINVAL);
				if (!strchr("0123456789*+-.:", byte) || !byte)
					assert_int_equal(err, -EBADMSG);
				if (!err)
					cim_datetime_resolve(&d, NOW, &us);
			}
		}
	}
}

static void refuse__code_and_sentence(void **state)
{
	struct reason reason = { 0 };

	assert_int_equal(cim_datetime_refuse(-EBADMSG, "soon", &reason), -EBADMSG);
	assert_int_equal(reason.code, REASON_WRONG_TYPE);
	assert_non_null(strstr(reason.text, "'soon'"));
	reason.code = 0;
	assert_int_equal(cim_datetime_refuse(-EINVAL, "20261399", &reason), -EINVAL);
	assert_int_equal(reason.code, REASON_INVALID_PARAMETER);
	assert_non_null(strstr(reason.text, "'20261399'"));
}

/* -- resolve ---------------------------------------------------------------- */

static void resolve__an_interval_is_from_now(void **state)
{
	struct cim_datetime d;
	int64_t us;

	assert_int_equal(cim_datetime_parse("00000001000001.000002:000", &d), 0);
	assert_int_equal(cim_datetime_resolve(&d, NOW, &us), 0);
	assert_int_equal(us, NOW + 86401 * US + 2);
	us = 5;
	assert_int_equal(cim_datetime_resolve(&d, INT64_MAX, &us), -EINVAL);
	assert_int_equal(us, 5);
}

static void resolve__offsets_are_minutes(void **state)
{
	static const struct resolved cases[] = {
		{ "20261126120000.000000+000", "2026-11-26T00:00:00", "2026-11-26T12:00:00" },
		{ "20261126120000.000000-000", "2026-11-26T00:00:00", "2026-11-26T12:00:00" },
		{ "20261126120000.000000+120", "2026-11-26T00:00:00", "2026-11-26T10:00:00" },
		{ "20261126120000.000000-480", "2026-11-26T00:00:00", "2026-11-26T20:00:00" },
		{ "20261126120000.000000+345", "2026-11-26T00:00:00", "2026-11-26T06:15:00" },
		{ "20270101003000.000000+060", "2026-11-26T00:00:00", "2026-12-31T23:30:00" },
		{ "20261231233000.000000-060", "2026-11-26T00:00:00", "2027-01-01T00:30:00" },
		{ "20280229000000.000000+840", "2026-11-26T00:00:00", "2028-02-28T10:00:00" },
		{ "20200101000000.000000+000", "2026-11-26T00:00:00", "2020-01-01T00:00:00" },
		{ "19691231235959.000000+000", "2026-11-26T00:00:00", "1969-12-31T23:59:59" },
	};

	zone(SYDNEY); /* must not matter */
	RESOLVES(cases);
}

static void resolve__local_time(void **state)
{
	static const struct resolved berlin[] = {
		{ "20261126120000.000000+***", "2026-11-26T00:00:00", "2026-11-26T11:00:00" },
		{ "20260726120000.000000+***", "2026-11-26T00:00:00", "2026-07-26T10:00:00" },
	};
	static const struct resolved sydney[] = {
		{ "20261126120000.000000+***", "2026-11-26T00:00:00", "2026-11-26T01:00:00" },
		{ "20260726120000.000000+***", "2026-11-26T00:00:00", "2026-07-26T02:00:00" },
	};
	static const struct resolved kathmandu[] = {
		{ "20261126120000.000000+***", "2026-11-26T00:00:00", "2026-11-26T06:15:00" },
	};

	zone(BERLIN);
	RESOLVES(berlin);
	zone(SYDNEY);
	RESOLVES(sydney);
	zone(KATHMANDU);
	RESOLVES(kathmandu);
}

/* Clocks in Berlin: 2026-03-29 01:00Z, 02:00 becomes 03:00; 2026-10-25 01:00Z, 03:00 becomes 02:00 */
static void resolve__where_clocks_are_set(void **state)
{
	static const struct resolved berlin[] = {
		{ "20260329015959.000000+***", "2026-03-01T00:00:00", "2026-03-29T00:59:59" },
		{ "20260329020000.000000+***", "2026-03-01T00:00:00", "2026-03-29T01:00:00" },
		{ "20260329023000.000000+***", "2026-03-01T00:00:00", "2026-03-29T01:30:00" },
		{ "20260329030000.000000+***", "2026-03-01T00:00:00", "2026-03-29T01:00:00" },
		{ "20261025015959.000000+***", "2026-10-01T00:00:00", "2026-10-24T23:59:59" },
		{ "20261025020000.000000+***", "2026-10-01T00:00:00", "2026-10-25T00:00:00" },
		{ "20261025023000.000000+***", "2026-10-01T00:00:00", "2026-10-25T00:30:00" },
		{ "20261025030000.000000+***", "2026-10-01T00:00:00", "2026-10-25T02:00:00" },
	};
	/* 2026-03-08 07:00Z, 02:00 becomes 03:00; 2026-11-01 06:00Z, 02:00 becomes 01:00 */
	static const struct resolved new_york[] = {
		{ "20260308023000.000000+***", "2026-03-01T00:00:00", "2026-03-08T07:30:00" },
		{ "20261101013000.000000+***", "2026-03-01T00:00:00", "2026-11-01T05:30:00" },
		{ "20261101020000.000000+***", "2026-03-01T00:00:00", "2026-11-01T07:00:00" },
	};

	zone(BERLIN);
	RESOLVES(berlin);
	zone(NEW_YORK);
	RESOLVES(new_york);
}

static void resolve__asterisks(void **state)
{
	static const struct resolved cases[] = {
		/* the next half past two */
		{ "********023000.000000+000", "2026-11-26T12:00:00", "2026-11-27T02:30:00" },
		{ "********023000.000000+000", "2026-11-26T02:30:00", "2026-11-26T02:30:00" },
		{ "********023000.000000+000", "2026-11-26T02:30:01", "2026-11-27T02:30:00" },
		{ "********023000.000000+060", "2026-11-26T12:00:00", "2026-11-27T01:30:00" },
		{ "********233000.000000+000", "2026-12-31T23:31:00", "2027-01-01T23:30:00" },
		/* nothing but asterisks is now */
		{ "**************.******+000", "2026-11-26T12:00:00", "2026-11-26T12:00:00" },
		/* what is less significant starts at its least, or now */
		{ "20261201******.******+000", "2026-11-26T12:00:00", "2026-12-01T00:00:00" },
		{ "20261126******.******+000", "2026-11-26T12:00:00", "2026-11-26T12:00:00" },
		{ "202612********.******+000", "2026-11-26T12:00:00", "2026-12-01T00:00:00" },
		{ "2027**********.******+000", "2026-11-26T12:00:00", "2027-01-01T00:00:00" },
		/* between */
		{ "****0101000000.000000+000", "2026-11-26T12:00:00", "2027-01-01T00:00:00" },
		{ "******31000000.000000+000", "2026-11-26T12:00:00", "2026-12-31T00:00:00" },
		{ "******31000000.000000+000", "2027-02-01T00:00:00", "2027-03-31T00:00:00" },
		{ "****0229000000.000000+000", "2026-11-26T12:00:00", "2028-02-29T00:00:00" },
		{ "****0229000000.000000+000", "2096-03-01T00:00:00", "2104-02-29T00:00:00" },
		{ "**********3000.000000+000", "2026-11-26T12:31:00", "2026-11-26T13:30:00" },
		{ "************15.000000+000", "2026-11-26T12:59:16", "2026-11-26T13:00:15" },
		{ "20261126****00.000000+000", "2026-11-26T12:00:01", "2026-11-26T12:01:00" },
	};
	struct cim_datetime d;
	int64_t us;

	RESOLVES(cases);
	/* to the microsecond */
	assert_int_equal(cim_datetime_parse("20261126******.******+000", &d), 0);
	assert_int_equal(cim_datetime_resolve(&d, NOW, &us), 0);
	assert_int_equal(us, NOW);
	assert_int_equal(cim_datetime_parse("20261126123456.******+000", &d), 0);
	assert_int_equal(cim_datetime_resolve(&d, NOW, &us), 0);
	assert_int_equal(us, NOW);
	assert_int_equal(cim_datetime_parse("****1126123456.000000+000", &d), 0);
	assert_int_equal(cim_datetime_resolve(&d, NOW, &us), 0);
	assert_int_equal(us, utc("2027-11-26T12:34:56"));
}

static void resolve__asterisks_that_nothing_fits(void **state)
{
	static const char *const texts[] = {
		"2025**********.******+000", "20261125******.******+000",
		"202611********.******-720", "99990101******.******+***",
		"2027**29000000.0*****+***",
	};
	static const int expected[] = { -EINVAL, -EINVAL, 0, -EINVAL, 0 };
	struct cim_datetime d;

	zone(BERLIN);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int64_t us = 5;

		assert_int_equal(cim_datetime_parse(texts[i], &d), 0);
		assert_int_equal(cim_datetime_resolve(&d, NOW, &us), expected[i]);
		if (expected[i])
			assert_int_equal(us, 5);
	}
}

static void resolve__asterisks_where_clocks_are_set(void **state)
{
	static const struct resolved berlin[] = {
		/* half past two by summer and by winter time */
		{ "********023000.000000+***", "2026-07-01T12:00:00", "2026-07-02T00:30:00" },
		{ "********023000.000000+***", "2026-11-01T12:00:00", "2026-11-02T01:30:00" },
		/* it does not occur on March 29 */
		{ "********023000.000000+***", "2026-03-28T02:00:00", "2026-03-30T00:30:00" },
		{ "********033000.000000+***", "2026-03-28T12:00:00", "2026-03-29T01:30:00" },
		/* it occurs twice on October 25 */
		{ "********023000.000000+***", "2026-10-24T12:00:00", "2026-10-25T00:30:00" },
		{ "********023000.000000+***", "2026-10-25T00:31:00", "2026-10-25T01:30:00" },
		{ "********023000.000000+***", "2026-10-25T01:31:00", "2026-10-26T01:30:00" },
		/* the moment of the change itself */
		{ "********030000.000000+***", "2026-03-28T12:00:00", "2026-03-29T01:00:00" },
		{ "********020000.000000+***", "2026-10-25T00:30:00", "2026-10-25T01:00:00" },
		{ "********030000.000000+***", "2026-10-24T12:00:00", "2026-10-25T02:00:00" },
		/* over several changes */
		{ "****0701000000.000000+***", "2026-07-02T00:00:00", "2027-06-30T22:00:00" },
		{ "20261025******.******+***", "2026-07-02T00:00:00", "2026-10-24T22:00:00" },
	};

	zone(BERLIN);
	RESOLVES(berlin);
}

/* The referee is localtime_r() itself, asked minute by minute. */
static void resolve__a_minute_at_a_time(void **state)
{
	static const char *const zones[] = { BERLIN, SYDNEY, NEW_YORK, KATHMANDU };
	static const char *const starts[] = {
		"2026-03-28T20:00:00", "2026-10-24T20:00:00", "2026-04-04T12:00:00",
		"2026-10-03T12:00:00", "2026-03-08T03:00:00", "2026-11-01T02:00:00",
	};
	struct cim_datetime d;

	assert_int_equal(cim_datetime_parse("********021500.000000+***", &d), 0);
	for (size_t z = 0; z < 4; z++) {
		zone(zones[z]);
		for (size_t s = 0; s < 6; s++) {
			for (int minute = 0; minute < 900; minute += 7) {
				int64_t now = utc(starts[s]) + minute * 60 * US, us;
				time_t t = now / US;
				struct tm tm;

				while (localtime_r(&t, &tm) &&
				       (tm.tm_hour != 2 || tm.tm_min != 15))
					t += 60;
				assert_int_equal(cim_datetime_resolve(&d, now, &us), 0);
				assert_int_equal(us, t * US);
			}
		}
	}
}

/* -- format ----------------------------------------------------------------- */

static void format__and_back(void **state)
{
	static const int64_t moments[] = {
		0, 1, NOW, NOW + 1, -1, -US, INT64_C(951782399) * US, INT64_C(951782400) * US,
	};
	char text[CIM_DATETIME_SIZE];
	struct cim_datetime d;
	int64_t us;

	assert_string_equal(cim_datetime_format(NOW, text), "20261126123456.789012+000");
	assert_string_equal(cim_datetime_format(-1, text), "19691231235959.999999+000");
	for (size_t i = 0; i < sizeof(moments) / sizeof(moments[0]); i++) {
		cim_datetime_format(moments[i], text);
		assert_int_equal(cim_datetime_parse(text, &d), 0);
		assert_int_equal(cim_datetime_resolve(&d, NOW, &us), 0);
		assert_int_equal(us, moments[i]);
	}
}

static void format__is_always_a_datetime(void **state)
{
	char text[CIM_DATETIME_SIZE];
	struct cim_datetime d;

	assert_string_equal(cim_datetime_format(INT64_MAX, text), "99991231235959.999999+000");
	assert_string_equal(cim_datetime_format(INT64_MIN, text), "00000101000000.000000+000");
	assert_int_equal(cim_datetime_parse(text, &d), 0);
	assert_string_equal(cim_datetime_format_interval(INT64_MAX, text),
			    "99999999235959.999999:000");
	assert_string_equal(cim_datetime_format_interval(-5, text), "00000000000000.000000:000");
	assert_string_equal(cim_datetime_format_interval((86400 + 3723) * US + 7, text),
			    "00000001010203.000007:000");
	assert_int_equal(cim_datetime_parse(text, &d), 0);
	assert_int_equal(d.length_us, (86400 + 3723) * US + 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__a_moment),
		cmocka_unit_test(parse__asterisks),
		cmocka_unit_test(parse__an_interval),
		cmocka_unit_test(parse__what_is_no_datetime),
		cmocka_unit_test(parse__bad_values),
		cmocka_unit_test(parse__any_byte_anywhere),
		cmocka_unit_test(refuse__code_and_sentence),
		cmocka_unit_test(resolve__an_interval_is_from_now),
		cmocka_unit_test(resolve__offsets_are_minutes),
		cmocka_unit_test(resolve__local_time),
		cmocka_unit_test(resolve__where_clocks_are_set),
		cmocka_unit_test(resolve__asterisks),
		cmocka_unit_test(resolve__asterisks_that_nothing_fits),
		cmocka_unit_test(resolve__asterisks_where_clocks_are_set),
		cmocka_unit_test(resolve__a_minute_at_a_time),
		cmocka_unit_test(format__and_back),
		cmocka_unit_test(format__is_always_a_datetime),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
