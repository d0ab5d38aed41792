// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/util.h"
#include "service/health.h"
#include "service/schedule.h"

/* Monday, 21 September 2026, 14:13:20 UTC. */
#define NOW (INT64_C(1790000000) * SECOND_US)
#define HOUR (3600 * SECOND_US)

static void zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

static uint32_t start_code(const char *text, int64_t *ret)
{
	struct reason reason = { 0 };
	int err = schedule_start(text, NOW, ret, &reason);

	assert_int_equal(!err, !reason.code);
	return reason.code;
}

static void start__forms_and_limits(void **state)
{
	int64_t when = 0;

	zone("UTC");
	assert_int_equal(start_code(NULL, &when), 0);
	assert_int_equal(when, NOW);
	assert_int_equal(start_code("", &when), 0);
	assert_int_equal(start_code("20260921161320.000000+120", &when), 0);
	assert_int_equal(when, NOW);
	assert_int_equal(start_code("00000000000130.000000:000", &when), 0);
	assert_int_equal(when, NOW + 90 * SECOND_US);
	/* Exactly 7 days, and a second more. */
	assert_int_equal(start_code("00000007000000.000000:000", &when), 0);
	assert_int_equal(start_code("00000007000001.000000:000", &when), REASON_INVALID_PARAMETER);
	/* A minute past, and a second more. */
	assert_int_equal(start_code("20260921141220.000000+000", &when), 0);
	assert_int_equal(start_code("20260921141219.000000+000", &when), REASON_INVALID_PARAMETER);
	assert_int_equal(start_code("soon", &when), REASON_WRONG_TYPE);
}

static void retry__delays(void **state)
{
	static const int minutes[] = { 0, 1, 2, 4, 8, 10, 30, 30, 30 };

	for (size_t i = 0; i < ARRAY_SIZE(minutes); i++)
		assert_int_equal(schedule_retry(i), minutes[i] * MINUTE_US);
	assert_int_equal(schedule_retry(UINT32_MAX), 30 * MINUTE_US);
}

/* @at: hours and minutes of the local day of NOW. Return: of the next start, or -1: open. */
static int window(int hour, int minute, uint32_t start, uint32_t end)
{
	time_t t = NOW / SECOND_US;
	struct tm tm;
	int64_t next;

	localtime_r(&t, &tm);
	tm.tm_hour = hour;
	tm.tm_min = minute;
	tm.tm_sec = 0;
	tm.tm_isdst = -1;
	t = mktime(&tm);
	if (schedule_window(t * SECOND_US, start * 60, end * 60, &next))
		return -1;
	return (next / SECOND_US - t) / 60;
}

static void window__within_a_day_and_around_midnight(void **state)
{
	zone("Europe/Berlin");
	/* 18:30 to 06:00 */
	assert_int_equal(window(12, 0, 1110, 360), 390);
	assert_int_equal(window(18, 30, 1110, 360), -1);
	assert_int_equal(window(23, 59, 1110, 360), -1);
	assert_int_equal(window(0, 0, 1110, 360), -1);
	assert_int_equal(window(5, 59, 1110, 360), -1);
	assert_int_equal(window(6, 0, 1110, 360), 750);
	/* 08:00 to 10:00 */
	assert_int_equal(window(7, 0, 480, 600), 60);
	assert_int_equal(window(9, 0, 480, 600), -1);
	assert_int_equal(window(10, 0, 480, 600), 22 * 60);
	/* The same: all day. */
	assert_int_equal(window(3, 0, 480, 480), -1);
	zone("UTC");
}

static void window__when_clocks_are_put_forward(void **state)
{
	int64_t next;

	/* In Berlin, 28 March 2027, 02:00 becomes 03:00, at 01:00 UTC, a second later. From 02:30. */
	zone("Europe/Berlin");
	assert_false(schedule_window(INT64_C(1806195599) * SECOND_US, 9000, 18000, &next));
	assert_true(next > INT64_C(1806195599) * SECOND_US);
	assert_true(next <= INT64_C(1806195599) * SECOND_US + HOUR);
	assert_true(schedule_window(next, 9000, 18000, &next));
	zone("UTC");
}

static void missed__the_grace(void **state)
{
	assert_true(schedule_missed(NOW - 3600 * SECOND_US, NOW, 3600));
	assert_false(schedule_missed(NOW - 3601 * SECOND_US, NOW, 3600));
	assert_false(schedule_missed(NOW - 1, NOW, 0));
}

static void cycle__stays_on_the_grid(void **state)
{
	uint64_t missed = 9;

	assert_int_equal(schedule_cycle(100, 100, 30, &missed), 130);
	assert_int_equal(missed, 0);
	assert_int_equal(schedule_cycle(100, 129, 30, &missed), 130);
	assert_int_equal(schedule_cycle(100, 130, 30, &missed), 160);
	assert_int_equal(missed, 1);
	assert_int_equal(schedule_cycle(100, 200, 30, &missed), 220);
	assert_int_equal(missed, 3);
	assert_int_equal(schedule_cycle(100, 50, 30, &missed), 130);
}

static void pick__order_and_places(void **state)
{
	struct schedule_waiting w[] = {
		{ .last = 50, .submitted = 1, .id = 1, .runs = 1 },
		{ .last = 0, .submitted = 3, .id = 3, .runs = 1 },
		{ .last = 0, .submitted = 2, .id = 4, .runs = 1 },
		{ .last = 0, .submitted = 2, .id = 2, .runs = 1 },
	};

	assert_int_equal(schedule_pick(w, 0, 4, 4), 0);
	assert_int_equal(schedule_pick(w, 4, 0, 4), 4);
	assert_int_equal(schedule_pick(w, 4, 4, 4), 3); /* never, first submitted, lower */
	assert_int_equal(schedule_pick(w, 3, 4, 4), 2);
	assert_int_equal(schedule_pick(w, 2, 4, 4), 1);
	assert_int_equal(schedule_pick(w, 1, 4, 4), 0);
	/* One that needs more than is free is not overtaken; alone it may have all. */
	w[3].runs = 3;
	assert_int_equal(schedule_pick(w, 4, 2, 4), 4);
	assert_int_equal(schedule_pick(w, 4, 3, 4), 3);
	w[3].runs = 9;
	assert_int_equal(schedule_pick(w, 4, 3, 4), 4);
	assert_int_equal(schedule_pick(w, 4, 4, 4), 3);
}

static enum model_health judge(struct health_facts f)
{
	char text[256];
	enum model_health health = health_judge(&f, text, sizeof(text));

	/* A sentence exactly when something is wrong. */
	assert_int_equal(!*text, health <= HEALTH_OK);
	return health;
}

static void health__rules(void **state)
{
	struct health_facts ok = {
		.role = MODEL_PRIMARY, .state = VM_REPLICATING, .interval_s = 300,
		.since_point_s = 60, .cycles = 100, .missed = 20,
	};
	struct health_facts f = ok;

	assert_int_equal(judge(ok), HEALTH_OK);
	f.missed = 21;
	assert_int_equal(judge(f), HEALTH_WARNING);
	f.interval_s = 0;
	assert_int_equal(judge(f), HEALTH_OK);
	f = ok;
	f.since_point_s = 3601;
	assert_int_equal(judge(f), HEALTH_WARNING);
	f.since_point_s = 3600;
	assert_int_equal(judge(f), HEALTH_OK);
	f.run_error = "no answer";
	assert_int_equal(judge(f), HEALTH_CRITICAL);
	f = ok;
	f.disk_error = "gone";
	assert_int_equal(judge(f), HEALTH_CRITICAL);
	f = ok;
	f.cycles = 4;
	f.missed = 3;
	assert_int_equal(judge(f), HEALTH_OK);
}

static void health__by_state(void **state)
{
	static const enum model_health wanted[VM_STATES] = {
		[VM_READY] = HEALTH_WARNING, [VM_INITIAL] = HEALTH_WARNING,
		[VM_REPLICATING] = HEALTH_OK, [VM_SYNCED] = HEALTH_OK,
		[VM_RECOVERED] = HEALTH_OK, [VM_COMMITTED] = HEALTH_OK,
		[VM_SUSPENDED] = HEALTH_WARNING, [VM_CRITICAL] = HEALTH_CRITICAL,
		[VM_WAITING_RESYNC] = HEALTH_CRITICAL, [VM_RESYNC] = HEALTH_OK,
		[VM_RESYNC_SUSPENDED] = HEALTH_CRITICAL, [VM_FAILOVER] = HEALTH_OK,
		[VM_FAILBACK] = HEALTH_OK, [VM_FAILBACK_COMPLETE] = HEALTH_OK,
		[VM_DISK_UPDATE] = HEALTH_OK, [VM_DISK_UPDATE_CRITICAL] = HEALTH_CRITICAL,
		[VM_UNKNOWN] = HEALTH_CRITICAL, [VM_REPURPOSE] = HEALTH_OK,
		[VM_PREPARED_SYNC] = HEALTH_OK, [VM_PREPARED_REVERSE] = HEALTH_OK,
		[VM_TEST] = HEALTH_OK,
	};

	for (unsigned int i = 0; i < VM_STATES; i++)
		assert_int_equal(judge((struct health_facts){ .role = MODEL_PRIMARY, .state = i }),
				 wanted[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start__forms_and_limits),
		cmocka_unit_test(retry__delays),
		cmocka_unit_test(window__within_a_day_and_around_midnight),
		cmocka_unit_test(window__when_clocks_are_put_forward),
		cmocka_unit_test(missed__the_grace),
		cmocka_unit_test(cycle__stays_on_the_grid),
		cmocka_unit_test(pick__order_and_places),
		cmocka_unit_test(health__rules),
		cmocka_unit_test(health__by_state),
	};

	return cmocka_run_group_tests_name("service/schedule", tests, NULL, NULL);
}
