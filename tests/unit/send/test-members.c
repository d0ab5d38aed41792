// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A member of a run fails, and the others go on; and the opposite, a final run, in
 * which nobody may fail. As test-run.c, with three disks of two VMs.
 */
#include <limits.h>
#include <sys/stat.h>

#include "tests/unit/send/world.h"

/* -- members fail alone ------------------------------------------------------ */

/* A run of three disks of two VMs in which the second VM goes on alone. */
static void only_w_goes_on(struct world *w)
{
	run_ok(w);
	assert_int_equal(w->report.failed, 2);
	assert_int_equal(w->report_disks[2].outcome, RUN_DISK_DONE);
	assert_int_equal(w->report.consistency, RUN_CONSISTENCY_CRASH);
	replica_is_at_seal(w, 2);
	assert_int_equal(fakes[2].commits, 1);
	assert_int_equal(fakes[0].commits + fakes[1].commits, 0);
}

/* Then all is well again: nothing was lost, and what had been sent is there twice. */
static void all_go_on(struct world *w)
{
	run_ok(w);
	assert_int_equal(w->report.failed, 0);
	assert_int_equal(w->report.trouble, RUN_TROUBLE_NONE);
	assert_int_equal(w->report.consistency, RUN_CONSISTENCY_GROUP);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(w->report_disks[i].outcome, RUN_DISK_DONE);
	replicas_are_at_seal(w);
}

static void run__disk_that_cannot_be_opened_takes_its_vm(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	fakes[1].open_error = -ENODEV;
	only_w_goes_on(w);
	assert_int_equal(w->report_disks[1].outcome, RUN_DISK_FAILED);
	assert_int_equal(w->report_disks[1].reason.code, REASON_NOT_SUPPORTED);
	assert_non_null(strstr(w->report_disks[1].reason.text, "v/d1: 1 is not tracked"));
	assert_int_equal(w->report_disks[1].trouble, RUN_TROUBLE_FINAL);
	assert_int_equal(w->report_disks[0].outcome, RUN_DISK_DROPPED);
	assert_non_null(strstr(w->report_disks[0].reason.text, "v/d0 is left behind with its VM"));
	assert_int_equal(w->progress.handled, SIZE);
	fakes[1].open_error = 0;
	all_go_on(w);
}

static void run__read_error_drops_what_was_sent_already(void **state)
{
	struct world *w = *state;
	int fd = fakes[1].source.fd;

	w->config.disk_count = 3;
	/* The first disk has been sent whole, and the second has had its BEGIN. */
	fakes[1].source.fd = -1;
	only_w_goes_on(w);
	fakes[1].source.fd = fd;
	assert_int_equal(w->report_disks[1].outcome, RUN_DISK_FAILED);
	assert_non_null(strstr(w->report_disks[1].reason.text, "reading"));
	assert_int_equal(w->report_disks[0].outcome, RUN_DISK_DROPPED);
	assert_int_equal(w->report_disks[0].bytes, SIZE);
	/* Their bits are folded, and what was owed of them is nobody's any more. */
	assert_int_equal(count_bits(fakes[0].current), GRANULES);
	assert_int_equal(w->progress.owed, w->progress.handled);
	/* The replica of v does not exist: the next run is full. */
	all_go_on(w);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_FULL);
	assert_int_equal(w->report_disks[2].mode, FRAME_MODE_INCREMENTAL);
}

static void run__older_point_stays_when_a_disk_is_dropped(void **state)
{
	static uint8_t before[SIZE], after[SIZE];
	struct world *w = *state;
	int fd = fakes[1].source.fd;

	w->config.disk_count = 3;
	all_go_on(w);
	replica_read(w, 0, before);
	for (size_t i = 0; i < 3; i++)
		fake_write(&fakes[i], 3, 0x33);
	fakes[1].source.fd = -1;
	run_ok(w);
	fakes[1].source.fd = fd;
	assert_int_equal(w->report.failed, 2);
	replica_is_at_seal(w, 2);
	replica_read(w, 0, after);
	assert_memory_equal(before, after, SIZE);
	assert_true(fakes[0].current[3] && fakes[1].current[3] && !fakes[2].current[3]);
	all_go_on(w);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_INCREMENTAL);
	assert_int_equal(w->progress.sent, 2 * GRANULE);
}

static struct world *leaving;

/* Somebody takes VM v out while its first disk is being sent. */
static void leave(struct fake *f, enum moment m)
{
	if (m == AT_RELEASE)
		leaving->report_disks[0].leave = leaving->report_disks[1].leave = true;
}

static void run__a_vm_is_taken_out(void **state)
{
	static uint8_t before[SIZE], after[SIZE];
	struct world *w = *state;

	w->config.disk_count = 3;
	all_go_on(w);
	replica_read(w, 0, before);
	for (size_t i = 0; i < 3; i++)
		fake_write(&fakes[i], 3, 0x33);
	leaving = w;
	fakes[0].hook = leave;
	run_ok(w);
	fakes[0].hook = NULL;
	assert_int_equal(w->report_disks[0].outcome, RUN_DISK_LEFT);
	assert_int_equal(w->report_disks[1].outcome, RUN_DISK_LEFT);
	assert_int_equal(w->report_disks[2].outcome, RUN_DISK_DONE);
	assert_int_equal(w->report.trouble, RUN_TROUBLE_NONE);
	/* Nothing of it is in the point, and nothing is forgotten. */
	replica_is_at_seal(w, 2);
	replica_read(w, 0, after);
	assert_memory_equal(before, after, SIZE);
	assert_true(fakes[0].current[3] && fakes[1].current[3] && !fakes[2].current[3]);
	all_go_on(w);
	assert_int_equal(w->progress.sent, 2 * GRANULE);
}

static void leave_all(struct fake *f, enum moment m)
{
	for (size_t i = 0; m == AT_RELEASE && i < 3; i++)
		leaving->report_disks[i].leave = true;
}

static void run__nobody_is_left(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	leaving = w;
	fakes[0].hook = leave_all;
	assert_int_equal(run(w), -ECANCELED);
	fakes[0].hook = NULL;
	assert_int_equal(count_bits(fakes[0].current), GRANULES);
	all_go_on(w);
}

static void vanish(struct fake *f, enum moment m)
{
	if (m == AT_RELEASE)
		f->info_error = -ENODEV;
}

static void run__tracker_that_goes_during_the_run(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	fakes[0].hook = vanish;
	only_w_goes_on(w);
	assert_non_null(strstr(w->report_disks[0].reason.text, "its tracker has gone"));
	fakes[0].hook = NULL;
	fakes[0].info_error = 0;
	all_go_on(w);
}

static void vanish_before_the_second_seal(struct fake *f, enum moment m)
{
	if (m == AT_WAIT && f->seals == 1)
		fake_write(f, 7, 0xee);
}

/* A further pass is needed, and one disk will not be sealed for it. */
static void vanish_at_check(struct fake *f, enum moment m)
{
	if (m == AT_WAIT && f->seals == 2)
		fakes[0].info_error = -ENODEV;
	vanish_before_the_second_seal(f, m);
}

static void run__dropped_between_passes(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	fakes[2].hook = vanish_at_check;
	only_w_goes_on(w);
	assert_int_equal(w->report_disks[2].progress.passes, 2);
	fakes[2].hook = NULL;
	fakes[0].info_error = 0;
	all_go_on(w);
}

static void run__drain_of_one_disk_times_out(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	w->config.drain_ms = 700;
	fakes[0].slow_waits = UINT_MAX;
	only_w_goes_on(w);
	assert_int_equal(w->report_disks[0].reason.code, REASON_TIMEOUT);
	assert_int_equal(w->report_disks[0].trouble, RUN_TROUBLE_RATE);
	fakes[0].slow_waits = 0;
	all_go_on(w);
}

static void run__disk_that_is_written_too_fast_is_left(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	fakes[0].hook = tear_always;
	only_w_goes_on(w);
	assert_int_equal(w->progress.passes, 4);
	assert_non_null(strstr(w->report_disks[0].reason.text, "faster than"));
	assert_int_equal(w->report_disks[0].trouble, RUN_TROUBLE_RATE);
	fakes[0].hook = NULL;
	all_go_on(w);
}

/* The receiver will not have a disk: somebody has put a folder where it goes. */
static void run__disk_that_the_receiver_refuses(void **state)
{
	struct world *w = *state;
	char path[256];

	w->config.disk_count = 3;
	snprintf(path, sizeof(path), "%s/%s", folder, w->collection);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/v", folder, w->collection);
	assert_int_equal(symlink("/nonexistent/nowhere", path), 0);
	only_w_goes_on(w);
	assert_int_equal(w->report_disks[0].outcome, RUN_DISK_FAILED);
	assert_non_null(strstr(w->report_disks[0].reason.text, "the replica host 127.0.0.1:"));
	assert_int_equal(w->report_disks[1].outcome, RUN_DISK_DROPPED);
	assert_int_equal(unlink(path), 0);
	all_go_on(w);
}

static void run__all_fail_for_the_first_ones_reason(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	fakes[1].open_error = -ENOENT;
	fakes[2].open_error = -ENOMEM;
	assert_int_equal(run(w), -ENOENT);
	assert_int_equal(w->reason.code, REASON_NOT_FOUND);
	assert_non_null(strstr(w->reason.text, "v/d1"));
	assert_int_equal(w->report.failed, 3);
	assert_int_equal(w->report.trouble, RUN_TROUBLE_FINAL);
	assert_int_equal(w->report_disks[2].trouble, RUN_TROUBLE_MEMORY);
}

static void run__left_out_disk_is_not_touched(void **state)
{
	static struct run_disk some[3];
	struct world *w = *state;

	memcpy(some, disks, sizeof(some));
	some[0].left_out = some[1].left_out = true;
	w->config.disks = some;
	w->config.disk_count = 3;
	fakes[0].open_error = fakes[1].open_error = -ENODEV;
	run_ok(w);
	assert_int_equal(w->report.failed, 0);
	assert_int_equal(w->report_disks[0].outcome, RUN_DISK_NONE);
	assert_int_equal(w->report_disks[2].outcome, RUN_DISK_DONE);
	replica_is_at_seal(w, 2);
	some[2].left_out = true;
	assert_int_equal(run(w), -EINVAL);
	assert_int_equal(w->reason.code, REASON_INVALID_STATE);
}

static void run__verification_goes_on_without_a_disk(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	all_go_on(w);
	w->config.kind = RUN_VERIFY;
	fakes[1].open_error = -ENODEV;
	memset(fakes[2].disk + 12 * GRANULE, 0x21, GRANULE); /* not marked */
	run_ok(w);
	/* Here its VM need not go with it. */
	assert_int_equal(w->report.failed, 1);
	assert_int_equal(w->report_disks[0].outcome, RUN_DISK_DONE);
	assert_int_equal(w->report.range_count, 1);
	assert_int_equal(w->report.ranges[0].disk, 2);
}

static void run__comparing_may_be_disabled(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	all_go_on(w);
	fakes[0].uuid[5] ^= 1;
	fake_write(&fakes[2], 1, 0x11);
	w->config.no_compare = true;
	run_ok(w);
	assert_int_equal(w->report.failed, 2);
	assert_int_equal(w->report_disks[0].reason.code, REASON_NOT_SUPPORTED);
	assert_non_null(strstr(w->report_disks[0].reason.text, "under another tracker"));
	replica_is_at_seal(w, 2);
	w->config.no_compare = false;
	all_go_on(w);
}

static void run__progress_of_each_disk(void **state)
{
	struct progress_view one, sum = PROGRESS_SUM_INIT, whole;
	struct world *w = *state;

	w->config.disk_count = 3;
	all_go_on(w);
	fake_write(&fakes[0], 1, 0x11);
	fake_write(&fakes[2], 1, 0x00);
	run_ok(w);
	for (size_t i = 0; i < 3; i++) {
		progress_read(&w->report_disks[i].progress, &one);
		progress_sum(&sum, &one);
		assert_int_equal(one.permille, 1000);
		assert_int_equal(one.owed, i == 1 ? 0 : GRANULE);
	}
	progress_read(&w->report_disks[0].progress, &one);
	assert_int_equal(one.sent, GRANULE);
	assert_int_equal(one.wire, GRANULE + FRAME_HEADER_SIZE);
	progress_read(&w->report_disks[2].progress, &one);
	assert_int_equal(one.zero, GRANULE);
	assert_int_equal(one.wire, FRAME_HEADER_SIZE);
	progress_read(&w->progress, &whole);
	assert_int_equal(sum.owed, whole.owed);
	assert_int_equal(sum.sent, whole.sent);
	assert_int_equal(sum.zero, whole.zero);
	assert_int_equal(sum.reads, whole.reads);
	assert_int_equal(sum.permille, 1000);
}

/* -- the last difference ------------------------------------------------------ */

static void run__final_run_takes_everybody_or_fails(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 3;
	w->config.final = true;
	fakes[1].open_error = -ENODEV;
	assert_int_equal(run(w), -ENODEV);
	assert_int_equal(w->reason.code, REASON_NOT_SUPPORTED);
	assert_int_equal(seal_calls, 0);
	fakes[1].open_error = 0;
	all_go_on(w);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(count_bits(fakes[i].current), 0);
}

static void straggle(struct fake *f, enum moment m)
{
	if (m == AT_RELEASE && f->seals == 1 && f == &fakes[0] && !f->owed[7])
		fake_write(f, 7, 0xdd);
}

/* A write that tears nothing, and yet is not in the last difference. */
static void run__final_run_waits_for_the_last_write(void **state)
{
	struct world *w = *state;

	w->config.final = true;
	fakes[0].hook = straggle;
	run_ok(w);
	assert_int_equal(w->progress.passes, 2);
	assert_int_equal(fakes[0].at_seal[7 * GRANULE], 0xdd);
	assert_int_equal(count_bits(fakes[0].current), 0);
	replicas_are_at_seal(w);
}

static void write_on(struct fake *f, enum moment m)
{
	if (m == AT_RELEASE)
		fake_write(f, 7, f->seals);
}

static void run__final_run_of_a_disk_in_use(void **state)
{
	struct world *w = *state;

	run_ok(w);
	w->config.final = true;
	fake_write(&fakes[0], 2, 0x22);
	fakes[0].hook = write_on;
	assert_int_equal(run(w), -EAGAIN);
	assert_int_equal(w->reason.code, REASON_INVALID_STATE);
	assert_non_null(strstr(w->reason.text, "still written to"));
	assert_true(fakes[0].current[2] || fakes[0].sealed[2]);
}

static void write_at_commit(struct fake *f, enum moment m)
{
	if (m == AT_COMMIT)
		fake_write(f, 7, 0x77);
}

static void run__final_run_notices_a_write_after_its_point(void **state)
{
	struct world *w = *state;

	w->config.final = true;
	fakes[0].hook = write_at_commit;
	assert_int_equal(run(w), -EBUSY);
	assert_int_equal(w->reason.code, REASON_INVALID_STATE);
	assert_non_null(strstr(w->reason.text, "written to since"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(run__disk_that_cannot_be_opened_takes_its_vm),
		TEST(run__read_error_drops_what_was_sent_already),
		TEST(run__older_point_stays_when_a_disk_is_dropped),
		TEST(run__a_vm_is_taken_out),
		TEST(run__nobody_is_left),
		TEST(run__tracker_that_goes_during_the_run),
		TEST(run__dropped_between_passes),
		TEST(run__drain_of_one_disk_times_out),
		TEST(run__disk_that_is_written_too_fast_is_left),
		TEST(run__disk_that_the_receiver_refuses),
		TEST(run__all_fail_for_the_first_ones_reason),
		TEST(run__left_out_disk_is_not_touched),
		TEST(run__verification_goes_on_without_a_disk),
		TEST(run__comparing_may_be_disabled),
		TEST(run__progress_of_each_disk),
		TEST(run__final_run_takes_everybody_or_fails),
		TEST(run__final_run_waits_for_the_last_write),
		TEST(run__final_run_of_a_disk_in_use),
		TEST(run__final_run_notices_a_write_after_its_point),
	};

	return cmocka_run_group_tests_name("send/members", tests, group_setup, group_teardown);
}
