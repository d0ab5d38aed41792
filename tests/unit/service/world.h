/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service with a clock that is set by hand, disks that are made up, and runs that
 * end when the test says so.
 */
#ifndef TIDEMARK_TESTS_UNIT_SERVICE_WORLD_H
#define TIDEMARK_TESTS_UNIT_SERVICE_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "service/schedule.h"
#include "service/service.h"
#include "tests/unit/scratch.h"

#define RUNS_MAX 64

/* A run of the fake runner; lives until the service destroys it. */
struct fake_run {
	const struct run_config *config;
	int ended_fd;
	bool cancelled, paused, ended, gone;
	char left[NAME_SIZE];
	int result;
	struct reason reason;
	struct run_report report;
	struct progress_view progress;
};

static struct {
	int64_t wall, steady;
	struct fake_run *runs[RUNS_MAX];
	size_t run_count;
	int start_error;
	int look_error; /* of devices that begin with /bad */
	uint64_t marked;
	uint8_t uuid;
	const char *unreliable;
	uint64_t committed_epoch;
	uint64_t attach, meta_found, meta_sequence;
	enum frame_mode mode; /* of runs that end; 0: incremental */
	const struct store_replica *replica; /* NULL at the start: this host receives nothing */
	const struct store_replica *other_replica; /* NULL: that is the only one */
	int replicas_error; /* of asking for them */
	const struct service_failover_ops *failover;
	struct service *service;
	char folder[64];
} world;

/* -- the world -------------------------------------------------------------- */

static int64_t fake_wall(void *arg)
{
	return world.wall;
}

static int64_t fake_steady(void *arg)
{
	return world.steady;
}

static int fake_look(void *arg, const char *device, bool tracked, uint32_t granule,
		     struct source_info *ret)
{
	if (world.look_error && strncmp(device, "/bad", 4) == 0)
		return world.look_error;
	*ret = (struct source_info){
		.tracked = tracked, .size = MIB(10), .granule = KIB(64), .marked = world.marked,
		.uuid = { tracked ? world.uuid : 0 }, .committed_epoch = world.committed_epoch,
		.attach = world.attach, .meta_found = world.meta_found,
		.meta_sequence = world.meta_sequence,
		.unreliable = world.unreliable,
	};
	return 0;
}

static int fake_replicas(void *arg, int (*each)(const struct store_replica *r, void *arg),
			 void *each_arg)
{
	int err = world.replicas_error;

	if (!err && world.replica)
		err = each(world.replica, each_arg);
	if (!err && world.other_replica)
		err = each(world.other_replica, each_arg);
	return err;
}

static int fake_start(void *arg, const struct run_config *config, int ended_fd, void **ret)
{
	struct fake_run *run;

	if (world.start_error)
		return world.start_error;
	run = calloc(1, sizeof(*run));
	run->config = config;
	run->ended_fd = ended_fd;
	run->report.disks = calloc(config->disk_count, sizeof(*run->report.disks));
	assert_true(world.run_count < RUNS_MAX);
	world.runs[world.run_count++] = run;
	*ret = run;
	return 0;
}

static void fake_cancel(void *arg)
{
	struct fake_run *run = arg;

	run->cancelled = true;
}

static void fake_pause(void *arg, bool paused)
{
	((struct fake_run *)arg)->paused = paused;
}

static void fake_leave(void *arg, const char *vm)
{
	struct fake_run *run = arg;

	snprintf(run->left, sizeof(run->left), "%s", vm);
	for (size_t i = 0; i < run->config->disk_count; i++) {
		if (strcmp(run->config->disks[i].vm, vm) == 0)
			run->report.disks[i].leave = true;
	}
}

static bool fake_ended(void *arg)
{
	struct fake_run *run = arg;

	/* One that was cancelled ends soon. */
	if (run->cancelled && !run->ended) {
		run->ended = true;
		run->result = -ECANCELED;
	}
	return run->ended;
}

static int fake_result(void *arg)
{
	return ((struct fake_run *)arg)->result;
}

static const struct reason *fake_reason(void *arg)
{
	return &((struct fake_run *)arg)->reason;
}

static const struct run_report *fake_report(void *arg)
{
	return &((struct fake_run *)arg)->report;
}

static void fake_progress(void *arg, struct progress_view *ret)
{
	*ret = ((struct fake_run *)arg)->progress;
}

static void fake_disk_progress(void *arg, size_t disk, struct progress_view *ret)
{
	*ret = ((struct fake_run *)arg)->progress;
}

static void fake_destroy(void *arg)
{
	struct fake_run *run = arg;

	free(run->report.disks);
	run->report.disks = NULL;
	run->gone = true;
}

static const struct job_runner fake_runner = {
	.start = fake_start,
	.cancel = fake_cancel,
	.pause = fake_pause,
	.leave = fake_leave,
	.ended = fake_ended,
	.result = fake_result,
	.reason = fake_reason,
	.report = fake_report,
	.progress = fake_progress,
	.disk_progress = fake_disk_progress,
	.destroy = fake_destroy,
};

/* -- what a test does ------------------------------------------------------- */

__attribute__((unused)) static void advance(int64_t us)
{
	world.wall += us;
	world.steady += us;
	service_tick(world.service);
}

/* A run ends well, with that point. */
static void run_done(size_t i, uint64_t point)
{
	struct fake_run *run = world.runs[i];

	assert_false(run->ended);
	for (size_t d = 0; d < run->config->disk_count; d++) {
		if (run->config->disks[d].left_out)
			continue;
		run->report.disks[d].outcome = run->report.disks[d].leave ? RUN_DISK_LEFT :
									    RUN_DISK_DONE;
		run->report.disks[d].epoch = 4;
		run->report.disks[d].uuid[0] = world.uuid;
		run->report.disks[d].mode = world.mode ? world.mode : FRAME_MODE_INCREMENTAL;
		fake_look(NULL, run->config->disks[d].device, run->config->disks[d].tracked, 0,
			  &run->report.disks[d].after);
	}
	run->report.point = point;
	run->ended = true;
	service_tick(world.service);
}

__attribute__((unused)) static void run_failed(size_t i, enum run_trouble trouble, uint32_t code)
{
	struct fake_run *run = world.runs[i];

	assert_false(run->ended);
	run->result = -EIO;
	run->reason.code = code;
	snprintf(run->reason.text, sizeof(run->reason.text), "it failed");
	run->report.trouble = trouble;
	run->ended = true;
	service_tick(world.service);
}

static struct config *world_config(const char *text)
{
	struct reason reason = { 0 };
	struct config *c = NULL;
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/t.conf", world.folder);
	f = fopen(path, "w");
	fprintf(f, "[agent]\nstate_dir=%s\n%s", world.folder, text);
	fclose(f);
	if (config_load(path, &c, &reason))
		fail_msg("%s", reason.text);
	return c;
}

static void world_open(const char *text)
{
	static const struct service_clock clock = { fake_wall, fake_steady, NULL };
	const struct service_world disks = {
		.look = fake_look, .replicas = world.replica ? fake_replicas : NULL,
	};
	struct service_options options = {
		.config = world_config(text), .runner = &fake_runner, .clock = &clock,
		.world = &disks, .failover = world.failover,
	};
	struct reason reason = { 0 };

	if (service_open(&world.service, &options, &reason))
		fail_msg("%s", reason.text);
	service_tick(world.service);
}

/* As after kill -9: nothing is written any more, then another agent starts. */
__attribute__((unused)) static void world_kill(void)
{
	world.service = service_close(world.service);
}

static void world_free_runs(void)
{
	for (size_t i = 0; i < world.run_count; i++) {
		if (!world.runs[i]->gone)
			free(world.runs[i]->report.disks);
		free(world.runs[i]);
	}
	world.run_count = 0;
}

static int world_setup(void **state)
{
	memset(&world, 0, sizeof(world));
	world.wall = INT64_C(1790000000) * SECOND_US; /* 2026-09-21 14:13:20 UTC, a Monday */
	world.steady = 1000 * SECOND_US;
	world.uuid = 1;
	world.committed_epoch = 4;
	setenv("TZ", "UTC", 1);
	snprintf(world.folder, sizeof(world.folder), "/tmp/tidemark-service-XXXXXX");
	return mkdtemp(world.folder) ? 0 : -1;
}

static int world_teardown(void **state)
{
	service_close(world.service);
	world_free_runs();
	return scratch_remove(world.folder);
}

/* -- what a test asks ------------------------------------------------------- */

static uint64_t last_job;
static struct reason last_reason;

static int ask(enum model_event event, const char *collection, const char *start_time)
{
	const struct service_request rq = {
		.event = event, .collection = collection, .start_time = start_time,
	};

	memset(&last_reason, 0, sizeof(last_reason));
	return service_call(world.service, &rq, &last_job, &last_reason);
}

/* It is refused with that code and a sentence. */
__attribute__((unused)) static void refused(int result, uint32_t code)
{
	assert_true(result < 0);
	if (last_reason.code != code)
		fail_msg("%u: %s", last_reason.code, last_reason.text);
	assert_true(strlen(last_reason.text) > 5);
}

__attribute__((unused)) static enum model_vm_state vm_state(const char *collection, const char *vm)
{
	return service_vm(service_find(world.service, collection), vm)->state;
}

__attribute__((unused)) static enum model_collection_state state_of(const char *collection)
{
	return service_find(world.service, collection)->state;
}

__attribute__((unused)) static enum job_state job_state(uint64_t id)
{
	return service_job(world.service, id)->state;
}

#endif
