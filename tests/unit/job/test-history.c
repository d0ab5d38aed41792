// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "job/history.h"
#include "job/job.h"

static char folder[] = "/tmp/tidemark-history-XXXXXX";

static const struct run_disk disks[] = { { .vm = "v", .name = "d0" }, { .vm = "v", .name = "d1" } };
static const struct run_config config = {
	.collection = "c", .disks = disks, .disk_count = ARRAY_SIZE(disks),
};

static int setup(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static struct history *open_history(void)
{
	struct reason reason = { 0 };
	struct history *h = NULL;

	if (history_open(folder, &h, &reason))
		fail_msg("%s", reason.text);
	return h;
}

static void history__a_job_from_begin_to_end(void **state)
{
	struct run_report_disk report_disks[2] = {
		{ .uuid = { 1 }, .epoch = 5, .outcome = RUN_DISK_DROPPED },
		{ .uuid = { 2 }, .epoch = 6, .outcome = RUN_DISK_DONE },
	};
	struct run_report report = { .disks = report_disks, .point = 3 };
	struct history *h = open_history();
	struct history_entry e = { .state = JOB_COMPLETED, .point = 3, .ended = 200, .sent = 9 };
	struct history_disk d;

	assert_int_equal(history_last(h, "c", &e), -ENOENT);
	assert_int_equal(history_disk(h, "c", "v", "d0", &d), -ENOENT);
	assert_int_equal(history_begin(h, "c", RUN_RESYNC, 100, &e.id), 0);
	assert_true(e.id > 0);
	/* A running job is no last one. */
	assert_int_equal(history_last(h, "c", &(struct history_entry){ 0 }), -ENOENT);
	assert_int_equal(history_end(h, &e, &config, &report), 0);
	h = history_close(h);

	h = open_history();
	memset(&e, 0, sizeof(e));
	assert_int_equal(history_last(h, "c", &e), 0);
	assert_int_equal(e.state, JOB_COMPLETED);
	assert_int_equal(e.started, 100);
	assert_int_equal(e.ended, 200);
	assert_int_equal(e.sent, 9);
	assert_int_equal(history_disk(h, "c", "v", "d1", &d), 0);
	assert_int_equal(d.uuid[0], 2);
	assert_int_equal(d.epoch, 6);
	assert_int_equal(d.point, 3);
	/* Not in the point: it has none. */
	assert_int_equal(history_disk(h, "c", "v", "d0", &d), -ENOENT);
	history_close(h);
}

static void history__a_failed_job_leaves_the_disks(void **state)
{
	struct history *h = open_history();
	struct history_entry e = { .state = JOB_EXCEPTION, .error = 32772, .ended = 300 };
	struct history_disk d;

	assert_int_equal(history_begin(h, "c", RUN_RESYNC, 250, &e.id), 0);
	snprintf(e.text, sizeof(e.text), "it's gone");
	assert_int_equal(history_end(h, &e, &config, NULL), 0);
	assert_int_equal(history_disk(h, "c", "v", "d1", &d), 0);
	assert_int_equal(d.epoch, 6);
	assert_int_equal(history_last(h, "c", &e), 0);
	assert_int_equal(e.error, 32772);
	assert_string_equal(e.text, "it's gone");
	history_close(h);
}

static void history__an_orphan_is_a_failure(void **state)
{
	struct history *h = open_history();
	struct history_entry e;
	uint64_t id, next;

	assert_int_equal(history_begin(h, "c", RUN_VERIFY, 400, &id), 0);
	h = history_close(h);
	h = open_history();
	assert_int_equal(history_last(h, "c", &e), 0);
	assert_int_equal(e.id, id);
	assert_int_equal(e.state, JOB_EXCEPTION);
	assert_non_null(strstr(e.text, "the agent ended"));
	/* Its number is not given again. */
	assert_int_equal(history_begin(h, "c", RUN_VERIFY, 401, &next), 0);
	assert_true(next > id);
	history_close(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(history__a_job_from_begin_to_end),
		cmocka_unit_test(history__a_failed_job_leaves_the_disks),
		cmocka_unit_test(history__an_orphan_is_a_failure),
	};

	return cmocka_run_group_tests_name("job/history", tests, setup, teardown);
}
