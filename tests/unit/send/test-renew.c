// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When a run may take yet another key of kernel TLS, and what is owed then. That it goes
 * on with one is test-spent.c's, and with real keys tests/system/ktls.sh's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/util.h"
#include "send/members.h"

#define DISKS 2

static struct session_disk disks[DISKS];
static struct source sources[DISKS];
static struct run_report_disk reports[DISKS];
static struct run_report report;
static struct progress progress;
static struct run r;

static int setup(void **state)
{
	memset(reports, 0, sizeof(reports));
	progress = (struct progress){ .owed = MIB(30), .handled = MIB(12) };
	for (size_t i = 0; i < DISKS; i++) {
		sources[i] = (struct source){ .size = MIB(50) };
		disks[i] = (struct session_disk){
			.source = &sources[i],
			.report = &reports[i],
			.mode = FRAME_MODE_INCREMENTAL,
			.told = true,
		};
		atomic_store(&reports[i].progress.owed, MIB(15));
		atomic_store(&reports[i].progress.handled, MIB(6));
	}
	r = (struct run){
		.progress = &progress,
		.report = &report,
		.disks = disks,
		.count = DISKS,
	};
	return 0;
}

static void renew__what_is_left_is_owed_by_the_next_seal(void **state)
{
	assert_true(members_renew(&r, MIB(10)));
	assert_int_equal(progress.owed, MIB(12));
	assert_int_equal(progress.handled, MIB(12));
	assert_int_equal(reports[0].progress.owed, MIB(6));
	assert_int_equal(reports[1].progress.owed, MIB(6));
}

static void renew__not_what_the_receiver_keeps_nothing_of(void **state)
{
	disks[1].told = false;
	assert_false(members_renew(&r, MIB(10)));
	setup(state);
	disks[0].mode = FRAME_MODE_REVERSE;
	assert_false(members_renew(&r, MIB(10)));
	/* One that is out of the run does not count, nor is it touched. */
	setup(state);
	disks[1].told = false;
	disks[1].dropped = true;
	assert_true(members_renew(&r, MIB(10)));
	assert_int_equal(reports[1].progress.owed, MIB(15));
}

/* A VM that writes as fast as is sent would have it go on for ever. */
static void renew__not_in_a_further_pass(void **state)
{
	r.pass = 1;
	assert_false(members_renew(&r, MIB(10)));
}

static void renew__not_more_often_than_the_disks_take(void **state)
{
	r.renewed = 11;
	assert_true(members_renew(&r, MIB(10)));
	r.renewed = 12;
	assert_false(members_renew(&r, MIB(10)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(renew__what_is_left_is_owed_by_the_next_seal, setup),
		cmocka_unit_test_setup(renew__not_what_the_receiver_keeps_nothing_of, setup),
		cmocka_unit_test_setup(renew__not_in_a_further_pass, setup),
		cmocka_unit_test_setup(renew__not_more_often_than_the_disks_take, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
