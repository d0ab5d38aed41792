// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/unit/service/world.h"

static const char one[] = "[collection c]\nreplica=127.0.0.1:1\n"
			  "[disk c/a/d0]\ndevice=/a0\n[disk c/a/d1]\ndevice=/a1\n";

static const char three[] = "[collection c]\nreplica=127.0.0.1:1\n"
			    "[disk c/a/d0]\ndevice=/a0\n[disk c/a/d1]\ndevice=/a1\n"
			    "[disk c/b/d0]\ndevice=/b0\n[disk c/b/d1]\ndevice=/b1\n"
			    "[vm c/m]\nreplica=127.0.0.1:2\n"
			    "[disk c/m/d0]\ndevice=/m0\n";

/* -- Resynchronize ---------------------------------------------------------- */

static void resync__a_job_from_begin_to_end(void **state)
{
	const struct service_job *job;

	world_open(one);
	assert_int_equal(state_of("c"), COLLECTION_READY);
	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_STARTED);
	assert_int_equal(job_state(last_job), JOB_RUNNING);
	assert_int_equal(state_of("c"), COLLECTION_RESYNC);
	assert_int_equal(world.run_count, 1);
	assert_int_equal(world.runs[0]->config->disk_count, 2);
	advance(5 * SECOND_US);
	run_done(0, 7);
	job = service_job(world.service, last_job);
	assert_int_equal(job->state, JOB_COMPLETED);
	assert_int_equal(job->point, 7);
	assert_int_equal(service_job_elapsed(job), 5 * SECOND_US);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
	assert_int_equal(service_find(world.service, "c")->statistics.success_count, 1);
	/* The object goes after five minutes, the record stays. */
	advance(299 * SECOND_US);
	assert_non_null(service_job(world.service, last_job));
	advance(2 * SECOND_US);
	assert_null(service_job(world.service, last_job));
	assert_int_equal(service_find(world.service, "c")->last_job, last_job);
}

static void resync__nothing_to_do(void **state)
{
	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	run_done(0, 1);
	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_COMPLETED);
	world.marked = 1;
	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_STARTED);
}

static void resync__refusals(void **state)
{
	world_open(one);
	refused(ask(EVENT_RESYNC, "x", NULL), REASON_NOT_FOUND);
	refused(ask(EVENT_RESYNC, "c", "tomorrow"), REASON_WRONG_TYPE);
	refused(ask(EVENT_RESYNC, "c", "20261332000000.000000+000"), REASON_INVALID_PARAMETER);
	refused(ask(EVENT_RESYNC, "c", "00000008000000.000000:000"), REASON_INVALID_PARAMETER);
	refused(ask(EVENT_RESYNC, "c", "20260920000000.000000+000"), REASON_INVALID_PARAMETER);
	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_STARTED);
	refused(ask(EVENT_RESYNC, "c", NULL), REASON_IN_USE);
	refused(ask(EVENT_VERIFY, "c", NULL), REASON_IN_USE);
	run_done(0, 1);
	assert_int_equal(ask(EVENT_SUSPEND, "c", NULL), SERVICE_COMPLETED);
	refused(ask(EVENT_RESYNC, "c", NULL), REASON_INVALID_STATE);
	/* A member in initial replication, failover or test makes it impossible for all. */
	refused(ask(EVENT_FAILOVER, "c", NULL), REASON_INVALID_STATE);
}

static void resync__what_cannot_be_done_at_all(void **state)
{
	world_open("[collection c]\nreplica=127.0.0.1:1\nallow_compare=no\n"
		   "[disk c/a/d0]\ndevice=/bad\n");
	world.look_error = -ENOPKG;
	refused(ask(EVENT_RESYNC, "c", NULL), REASON_NOT_AVAILABLE);
	world.look_error = -ENODEV;
	refused(ask(EVENT_RESYNC, "c", NULL), REASON_NOT_SUPPORTED);
	world.look_error = -ENOENT;
	refused(ask(EVENT_RESYNC, "c", NULL), REASON_NOT_FOUND);
	world.look_error = 0;
	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_STARTED);
	run_done(0, 1);
	/* Another tracker: only a comparison helps, and that is forbidden. */
	world.uuid = 2;
	refused(ask(EVENT_RESYNC, "c", NULL), REASON_NOT_SUPPORTED);
}

static void resync__with_and_without_the_suspended(void **state)
{
	const struct service_request suspend = {
		.event = EVENT_SUSPEND, .collection = "c", .vm = "b",
	};
	const struct service_job *job;
	struct service_job_error error;

	world_open(three);
	ask(EVENT_RESYNC, "c", NULL);
	assert_int_equal(world.run_count, 2);
	run_done(0, 1);
	run_done(1, 1);
	assert_int_equal(service_call(world.service, &suspend, &last_job, &last_reason),
			 SERVICE_COMPLETED);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
	world.marked = 5;

	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_STARTED);
	assert_int_equal(world.run_count, 4);
	assert_int_equal(world.runs[2]->config->disk_count, 2);
	assert_string_equal(world.runs[3]->config->port, "2");
	run_done(2, 2);
	assert_int_equal(job_state(last_job), JOB_RUNNING);
	run_failed(3, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	job = service_job(world.service, last_job);
	assert_int_equal(job->state, JOB_WARNINGS);
	assert_int_equal(job->error, REASON_NOT_AVAILABLE);
	assert_true(service_job_error(job, 1, &error));
	assert_string_equal(error.vm, "m");
	assert_int_equal(error.code, REASON_NOT_AVAILABLE);
	assert_false(service_job_error(job, 2, &error));
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	assert_int_equal(vm_state("c", "b"), VM_SUSPENDED);
	assert_int_equal(vm_state("c", "m"), VM_WAITING_RESYNC);

	assert_int_equal(ask(EVENT_RESYNC_ALL, "c", NULL), SERVICE_STARTED);
	assert_int_equal(world.runs[4]->config->disk_count, 4);
	run_done(4, 3);
	run_failed(5, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	assert_int_equal(job_state(last_job), JOB_WARNINGS);
	assert_int_equal(vm_state("c", "b"), VM_REPLICATING);
	assert_int_equal(service_vm(service_find(world.service, "c"), "b")->point, 3);
}

static void resync__all_fail(void **state)
{
	world_open(three);
	ask(EVENT_RESYNC, "c", NULL);
	run_failed(0, RUN_TROUBLE_FINAL, REASON_FAILED);
	run_failed(1, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	assert_int_equal(job_state(last_job), JOB_EXCEPTION);
	assert_int_equal(state_of("c"), COLLECTION_READY);
	assert_int_equal(service_find(world.service, "c")->health, HEALTH_CRITICAL);
}

static void resync__one_disk_fails_alone(void **state)
{
	struct run_report_disk *disks;

	world_open(three);
	ask(EVENT_RESYNC, "c", NULL);
	disks = world.runs[0]->report.disks;
	run_done(1, 1);
	world.runs[0]->report.point = 9;
	disks[0].outcome = RUN_DISK_FAILED;
	disks[0].reason.code = REASON_NOT_FOUND;
	snprintf(disks[0].reason.text, REASON_TEXT_MAX, "no such disk");
	disks[0].trouble = RUN_TROUBLE_FINAL;
	disks[1].outcome = RUN_DISK_DROPPED;
	disks[2].outcome = disks[3].outcome = RUN_DISK_DONE;
	world.runs[0]->ended = true;
	service_tick(world.service);
	assert_int_equal(job_state(last_job), JOB_WARNINGS);
	assert_int_equal(vm_state("c", "a"), VM_READY);
	assert_int_equal(vm_state("c", "b"), VM_REPLICATING);
	assert_int_equal(service_vm(service_find(world.service, "c"), "a")->point, 0);
}

static void resync__a_run_cannot_be_started(void **state)
{
	world_open(one);
	world.start_error = -ENOMEM;
	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_STARTED);
	assert_int_equal(job_state(last_job), JOB_EXCEPTION);
	assert_int_equal(service_job(world.service, last_job)->error, REASON_NO_MEMORY);
}

/* -- jobs ------------------------------------------------------------------- */

static int job_ask(uint32_t requested)
{
	memset(&last_reason, 0, sizeof(last_reason));
	return service_job_request(world.service, last_job, requested, &last_reason);
}

static void job__requests(void **state)
{
	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	refused(job_ask(9), REASON_INVALID_PARAMETER);
	refused(job_ask(JOB_REQUEST_START), REASON_INVALID_STATE);
	assert_int_equal(job_ask(JOB_REQUEST_SUSPEND), 0);
	assert_int_equal(job_state(last_job), JOB_SUSPENDED);
	assert_true(world.runs[0]->paused);
	assert_int_equal(job_ask(JOB_REQUEST_START), 0);
	assert_false(world.runs[0]->paused);
	assert_int_equal(job_ask(JOB_REQUEST_KILL), 0);
	assert_int_equal(job_state(last_job), JOB_SHUTTING_DOWN);
	service_tick(world.service);
	assert_int_equal(job_state(last_job), JOB_KILLED);
	refused(job_ask(JOB_REQUEST_TERMINATE), REASON_INVALID_STATE);
	last_job = 999;
	refused(job_ask(JOB_REQUEST_TERMINATE), REASON_NOT_FOUND);
}

static void job__until_and_deletion(void **state)
{
	struct service_request rq = {
		.event = EVENT_RESYNC, .collection = "c", .delete_on_completion = true,
	};

	world_open(one);
	rq.until = world.wall + 10 * SECOND_US;
	assert_int_equal(service_call(world.service, &rq, &last_job, &last_reason),
			 SERVICE_STARTED);
	advance(9 * SECOND_US);
	assert_false(world.runs[0]->cancelled);
	advance(2 * SECOND_US);
	assert_true(world.runs[0]->cancelled);
	service_tick(world.service);
	/* It ended in that tick, and went with its end. */
	assert_null(service_job(world.service, last_job));
	rq.until = world.wall - 1;
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_call(world.service, &rq, &last_job, &last_reason),
		REASON_INVALID_PARAMETER);
}

static void job__progress_never_falls_nor_lies(void **state)
{
	struct progress_view p;
	const struct service_job *job;

	world_open(three);
	ask(EVENT_RESYNC, "c", NULL);
	job = service_job(world.service, last_job);
	world.runs[0]->progress = (struct progress_view){
		.owed = 1000, .handled = 900, .remaining = 100, .permille = 899,
	};
	service_job_progress(job, &p);
	assert_int_equal(p.permille, 899);
	/* The other run finds as much again: the share stands until it is true. */
	world.runs[1]->progress = (struct progress_view){
		.owed = 1000, .handled = 0, .remaining = 1000, .permille = 0,
	};
	service_job_progress(job, &p);
	assert_int_equal(p.permille, 899);
	assert_int_equal(p.owed, 2000);
	assert_int_equal(p.remaining, 1100);
	/* Both have nothing left, the job has not ended: not 1000. */
	world.runs[0]->progress.permille = world.runs[1]->progress.permille = 1000;
	service_job_progress(job, &p);
	assert_int_equal(p.permille, 999);
	run_done(0, 1);
	run_done(1, 1);
	service_job_progress(job, &p);
	assert_int_equal(p.permille, 1000);
}

/* -- schedules, queue, cycles, retries -------------------------------------- */

static void schedule__a_start_time(void **state)
{
	int64_t wall, steady;

	world_open(one);
	assert_int_equal(ask(EVENT_RESYNC, "c", "00000000000130.000000:000"), SERVICE_STARTED);
	assert_int_equal(job_state(last_job), JOB_NEW);
	assert_string_equal(service_job(world.service, last_job)->status, "scheduled");
	service_next(world.service, &wall, &steady);
	assert_int_equal(wall, world.wall + 90 * SECOND_US);
	refused(ask(EVENT_RESYNC, "c", NULL), REASON_IN_USE);
	advance(89 * SECOND_US);
	assert_int_equal(world.run_count, 0);
	advance(SECOND_US);
	assert_int_equal(world.run_count, 1);
	assert_int_equal(job_state(last_job), JOB_RUNNING);
}

static void schedule__the_clock_is_set(void **state)
{
	world_open(one);
	ask(EVENT_RESYNC, "c", "00000000010000.000000:000");
	/* Back by an hour: the moment is two hours away now. */
	world.wall -= 3600 * SECOND_US;
	service_tick(world.service);
	advance(3600 * SECOND_US);
	assert_int_equal(world.run_count, 0);
	/* Forward by an hour: it has come. */
	world.wall += 3600 * SECOND_US;
	service_tick(world.service);
	assert_int_equal(world.run_count, 1);
}

static void schedule__who_is_suspended_meanwhile_is_left_out(void **state)
{
	const struct service_request suspend = {
		.event = EVENT_SUSPEND, .collection = "c", .vm = "a",
	};

	world_open(three);
	ask(EVENT_RESYNC, "c", NULL);
	run_done(0, 1);
	run_done(1, 1);
	ask(EVENT_RESYNC, "c", "00000000000100.000000:000");
	assert_int_equal(service_call(world.service, &suspend, &last_job, &last_reason), 0);
	advance(60 * SECOND_US);
	assert_int_equal(world.run_count, 4);
	assert_int_equal(world.runs[2]->config->disk_count, 2);
	assert_string_equal(world.runs[2]->config->disks[0].vm, "b");
}

static void queue__is_fair(void **state)
{
	world_open("max_jobs=1\n"
		   "[collection x]\nreplica=127.0.0.1:1\n[disk x/x/d]\ndevice=/x\n"
		   "[collection y]\nreplica=127.0.0.1:1\n[disk y/y/d]\ndevice=/y\n"
		   "[collection z]\nreplica=127.0.0.1:1\n[disk z/z/d]\ndevice=/z\n");
	ask(EVENT_RESYNC, "x", NULL);
	advance(SECOND_US);
	ask(EVENT_RESYNC, "y", NULL);
	advance(SECOND_US);
	ask(EVENT_RESYNC, "z", NULL);
	assert_int_equal(world.run_count, 1);
	assert_string_equal(service_job(world.service, last_job)->status, "waiting for a place");
	run_done(0, 1);
	assert_string_equal(world.runs[1]->config->collection, "y");
	/* x asks again before y has ended: z, which never ran, goes first. */
	world.marked = 1;
	ask(EVENT_RESYNC, "x", NULL);
	run_done(1, 1);
	assert_string_equal(world.runs[2]->config->collection, "z");
	run_done(2, 1);
	assert_string_equal(world.runs[3]->config->collection, "x");
}

static void cycle__recurs_on_its_grid(void **state)
{
	world_open("[collection c]\nreplica=127.0.0.1:1\ninterval=30\n[disk c/a/d]\ndevice=/a\n");
	advance(60 * SECOND_US);
	assert_int_equal(world.run_count, 0); /* nobody began the initial replication */
	ask(EVENT_START, "c", NULL);
	run_done(0, 1);
	advance(30 * SECOND_US);
	assert_int_equal(world.run_count, 2);
	assert_int_equal(service_jobs(world.service)->event, EVENT_CYCLE);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
	/* It takes 70 s: one was missed, and the next is on the grid again. */
	advance(70 * SECOND_US);
	run_done(1, 2);
	assert_int_equal(world.run_count, 3);
	assert_int_equal(service_find(world.service, "c")->statistics.miss_count, 1);
	run_done(2, 3);
	advance(19 * SECOND_US);
	assert_int_equal(world.run_count, 3);
	advance(SECOND_US);
	assert_int_equal(world.run_count, 4);
}

static void cycle__retries_with_back_off(void **state)
{
	static const int minutes[] = { 1, 2, 4, 8, 10, 30, 30 };

	world_open("[collection c]\nreplica=127.0.0.1:1\ninterval=30\n[disk c/a/d]\ndevice=/a\n");
	ask(EVENT_START, "c", NULL);
	run_done(0, 1);
	advance(30 * SECOND_US);
	for (size_t i = 0; i < ARRAY_SIZE(minutes); i++) {
		assert_int_equal(world.run_count, i + 2);
		run_failed(i + 1, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
		advance(minutes[i] * MINUTE_US - SECOND_US);
		if (world.run_count != i + 2)
			fail_msg("retry %zu came before %d minutes", i, minutes[i]);
		advance(SECOND_US);
	}
	assert_int_equal(service_find(world.service, "c")->statistics.network_failure_count, 7);
	run_done(ARRAY_SIZE(minutes) + 1, 2);
	assert_int_equal(service_vm(service_find(world.service, "c"), "a")->retries, 0);
	assert_int_equal(service_find(world.service, "c")->health, HEALTH_WARNING); /* missed */
}

static void cycle__a_failed_initial_replication_is_tried_again(void **state)
{
	world_open("[collection c]\nreplica=127.0.0.1:1\ninterval=30\n[disk c/a/d]\ndevice=/a\n");
	ask(EVENT_START, "c", NULL);
	run_failed(0, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	assert_int_equal(vm_state("c", "a"), VM_READY);
	advance(59 * SECOND_US);
	assert_int_equal(world.run_count, 1);
	advance(SECOND_US);
	assert_int_equal(world.run_count, 2);
	assert_int_equal(service_jobs(world.service)->event, EVENT_START);
	assert_int_equal(service_job_type(service_jobs(world.service)), 94);
	assert_int_equal(vm_state("c", "a"), VM_INITIAL);
	/* Given up: then it is not. */
	run_failed(1, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	assert_int_equal(ask(EVENT_CANCEL_INITIAL, "c", NULL), SERVICE_COMPLETED);
	refused(ask(EVENT_CANCEL_INITIAL, "c", NULL), REASON_INVALID_STATE);
	advance(3600 * SECOND_US);
	assert_int_equal(world.run_count, 2);
	/* Without recurring and automatic runs nothing is repeated. */
	ask(EVENT_START, "c", NULL);
	run_done(2, 1);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
}

static void initial__asked_for_by_hand_is_not_repeated(void **state)
{
	world_open(one);
	ask(EVENT_START, "c", NULL);
	run_failed(0, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	advance(3600 * SECOND_US);
	assert_int_equal(world.run_count, 1);
}

static void cycle__what_will_fail_again_is_not_tried_again(void **state)
{
	world_open("[collection c]\nreplica=127.0.0.1:1\ninterval=30\n[disk c/a/d]\ndevice=/a\n");
	ask(EVENT_START, "c", NULL);
	run_done(0, 1);
	advance(30 * SECOND_US);
	run_failed(1, RUN_TROUBLE_FINAL, REASON_FAILED);
	assert_int_equal(state_of("c"), COLLECTION_CRITICAL);
	advance(3600 * SECOND_US);
	assert_int_equal(world.run_count, 2);
	assert_int_equal(ask(EVENT_RESUME, "c", NULL), SERVICE_COMPLETED);
	advance(30 * SECOND_US);
	assert_int_equal(world.run_count, 3);
}

static void auto__in_its_window_only(void **state)
{
	/* It is 14:13:20 UTC. */
	world_open("[collection c]\nreplica=127.0.0.1:1\nauto_resync=yes\n[disk c/a/d]\ndevice=/a\n");
	ask(EVENT_START, "c", NULL);
	run_done(0, 1);
	world.uuid = 2;
	service_look(world.service, "c");
	assert_int_equal(state_of("c"), COLLECTION_WAITING_RESYNC);
	assert_int_equal(service_find(world.service, "c")->health, HEALTH_CRITICAL);
	advance((4 * 3600 + 16 * 60 + 39) * SECOND_US);
	assert_int_equal(world.run_count, 1);
	advance(SECOND_US);
	assert_int_equal(world.run_count, 2);
	assert_int_equal(state_of("c"), COLLECTION_RESYNC);
	run_done(1, 2);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
}

static void health__an_unreliable_tracker(void **state)
{
	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	run_done(0, 1);
	world.unreliable = "a write went round the tracker";
	service_look(world.service, NULL);
	assert_int_equal(vm_state("c", "a"), VM_WAITING_RESYNC);
	assert_non_null(strstr(service_find(world.service, "c")->health_text, "went round"));
}

static void replica__that_was_given_up_is_gone(void **state)
{
	static struct store_replica begun = {
		.collection = "r", .vm = "v", .disk = "d", .state = STORE_SEEDING,
		.size = MIB(1),
	};

	world.replica = &begun;
	world_open("");
	assert_int_equal(vm_state("r", "v"), VM_INITIAL);
	advance(11 * SECOND_US);
	assert_non_null(service_find(world.service, "r"));
	world.replica = NULL;
	advance(11 * SECOND_US);
	assert_null(service_find(world.service, "r"));
	/* It can be begun again, as if for the first time. */
	world.replica = &begun;
	advance(11 * SECOND_US);
	assert_int_equal(vm_state("r", "v"), VM_INITIAL);
}

static void replica__whose_points_were_given_up_is_gone(void **state)
{
	static const struct store_replica whole = {
		.collection = "r", .vm = "v", .disk = "d", .path = "/r", .state = STORE_READY,
		.size = MIB(1), .point = 1, .created = 1,
	};

	world.replica = &whole;
	world_open("");
	assert_int_equal(vm_state("r", "v"), VM_REPLICATING);
	/* A store that cannot be read says nothing of what it holds. */
	world.replica = NULL;
	world.replicas_error = -EIO;
	advance(11 * SECOND_US);
	assert_int_equal(vm_state("r", "v"), VM_REPLICATING);
	world.replicas_error = 0;
	advance(11 * SECOND_US);
	assert_null(service_find(world.service, "r"));
}

/* What another disk of the collection has come to is no reason to show it for ever. */
static void replica__of_a_disk_that_was_given_up_is_gone(void **state)
{
	static struct store_replica whole = {
		.collection = "r", .vm = "v", .disk = "d", .path = "/r", .state = STORE_READY,
		.size = MIB(1), .point = 7, .created = 70,
	};
	static struct store_replica begun = {
		.collection = "r", .vm = "v", .disk = "e", .state = STORE_SEEDING, .size = MIB(1),
	};
	const struct collection *c;

	world.replica = &whole;
	world.other_replica = &begun;
	world_open("");
	c = service_find(world.service, "r");
	assert_int_equal(c->vms[0].disk_count, 2);
	assert_int_equal(c->vms[0].point, 7);
	world.other_replica = NULL;
	advance(11 * SECOND_US);
	assert_int_equal(c->vms[0].disk_count, 1);
	assert_int_equal(vm_state("r", "v"), VM_REPLICATING);
	strcpy(begun.vm, "w");
	world.other_replica = &begun;
	advance(11 * SECOND_US);
	assert_int_equal(vm_state("r", "w"), VM_INITIAL);
	world.other_replica = NULL;
	advance(11 * SECOND_US);
	assert_int_equal(c->vm_count, 1);
	assert_null(service_vm(c, "w"));
	/* A failover to an older point has given up the newer ones. */
	whole.point = 5;
	whole.created = 50;
	advance(11 * SECOND_US);
	assert_int_equal(c->vms[0].point, 5);
	assert_int_equal(c->vms[0].point_time, 50);
}

static void replica__that_nothing_is_received_for(void **state)
{
	static struct store_replica whole = {
		.collection = "r", .vm = "v", .disk = "d", .path = "/r", .state = STORE_READY,
		.size = MIB(1), .point = 1, .created = 1, .error = "cannot remove /r.partial",
	};

	world.replica = &whole;
	world_open("");
	advance(11 * SECOND_US);
	assert_int_equal(vm_state("r", "v"), VM_REPLICATING);
	assert_int_equal(service_find(world.service, "r")->health, HEALTH_CRITICAL);
	assert_string_equal(service_find(world.service, "r")->health_text,
			    "v: cannot remove /r.partial");
	whole.error[0] = '\0';
	advance(11 * SECOND_US);
	assert_int_equal(service_find(world.service, "r")->health, HEALTH_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(resync__a_job_from_begin_to_end),
		TEST(resync__nothing_to_do),
		TEST(resync__refusals),
		TEST(resync__what_cannot_be_done_at_all),
		TEST(resync__with_and_without_the_suspended),
		TEST(resync__all_fail),
		TEST(resync__one_disk_fails_alone),
		TEST(resync__a_run_cannot_be_started),
		TEST(job__requests),
		TEST(job__until_and_deletion),
		TEST(job__progress_never_falls_nor_lies),
		TEST(schedule__a_start_time),
		TEST(schedule__the_clock_is_set),
		TEST(schedule__who_is_suspended_meanwhile_is_left_out),
		TEST(queue__is_fair),
		TEST(cycle__recurs_on_its_grid),
		TEST(cycle__retries_with_back_off),
		TEST(cycle__a_failed_initial_replication_is_tried_again),
		TEST(initial__asked_for_by_hand_is_not_repeated),
		TEST(cycle__what_will_fail_again_is_not_tried_again),
		TEST(auto__in_its_window_only),
		TEST(health__an_unreliable_tracker),
		TEST(replica__that_was_given_up_is_gone),
		TEST(replica__whose_points_were_given_up_is_gone),
		TEST(replica__of_a_disk_that_was_given_up_is_gone),
		TEST(replica__that_nothing_is_received_for),
	};

	return cmocka_run_group_tests_name("service/service", tests, NULL, NULL);
}
