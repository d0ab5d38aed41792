// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Methods but Resynchronize: initial replication, suspend, resume, cancel, verify.
 */
#include "tests/unit/service/world.h"

static const char one[] = "[collection c]\nreplica=127.0.0.1:1\n"
			  "[disk c/a/d0]\ndevice=/a0\n[disk c/a/d1]\ndevice=/a1\n";

static const char three[] = "[collection c]\nreplica=127.0.0.1:1\n"
			    "[disk c/a/d0]\ndevice=/a0\n[disk c/a/d1]\ndevice=/a1\n"
			    "[disk c/b/d0]\ndevice=/b0\n[disk c/b/d1]\ndevice=/b1\n"
			    "[vm c/m]\nreplica=127.0.0.1:2\n"
			    "[disk c/m/d0]\ndevice=/m0\n";

static void methods__start_and_cancel_initial(void **state)
{
	world_open(one);
	refused(ask(EVENT_CANCEL_INITIAL, "c", NULL), REASON_INVALID_STATE);
	assert_int_equal(ask(EVENT_START, "c", NULL), SERVICE_STARTED);
	assert_int_equal(state_of("c"), COLLECTION_INITIAL);
	assert_int_equal(ask(EVENT_CANCEL_INITIAL, "c", NULL), SERVICE_COMPLETED);
	assert_true(world.runs[0]->cancelled);
	service_tick(world.service);
	assert_int_equal(job_state(last_job), JOB_TERMINATED);
	assert_int_equal(state_of("c"), COLLECTION_READY);
	assert_int_equal(ask(EVENT_START, "c", NULL), SERVICE_STARTED);
	run_done(1, 1);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
	refused(ask(EVENT_START, "c", NULL), REASON_INVALID_STATE);
}

static int call(const struct service_request *rq)
{
	memset(&last_reason, 0, sizeof(last_reason));
	return service_call(world.service, rq, &last_job, &last_reason);
}

static void methods__initial_replication_without_the_network(void **state)
{
	struct service_request rq = { .event = EVENT_START, .collection = "c", .initial = 2 };
	char path[128];

	world_open(one);
	refused(call(&rq), REASON_INVALID_PARAMETER);
	rq.path = world.folder; /* it is not empty */
	refused(call(&rq), REASON_INVALID_PARAMETER);
	snprintf(path, sizeof(path), "%s/export", world.folder);
	rq.path = path;
	assert_int_equal(call(&rq), SERVICE_STARTED);
	assert_true(world.runs[0]->config->aside);
	assert_string_equal(world.runs[0]->config->host, "127.0.0.1");
	assert_string_not_equal(world.runs[0]->config->port, "1");
	assert_int_equal(service_job_type(service_job(world.service, last_job)), 118);
	run_done(0, 1);
	assert_int_equal(job_state(last_job), JOB_COMPLETED);
	/* What lies in a folder is no replica. */
	assert_int_equal(vm_state("c", "a"), VM_READY);
	assert_int_equal(service_vm(service_find(world.service, "c"), "a")->point, 0);
	rq.initial = 3;
	refused(call(&rq), REASON_INVALID_PARAMETER);
	rq.path = NULL;
	assert_int_equal(call(&rq), SERVICE_STARTED);
	assert_true(world.runs[1]->config->seeded);
	assert_true(world.runs[1]->config->compare);
	assert_false(world.runs[1]->config->aside);
	assert_string_equal(world.runs[1]->config->port, "1");
	/* It is not repeated as one over the network. */
	run_failed(1, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	assert_int_equal(service_vm(service_find(world.service, "c"), "a")->retries, 0);
	assert_int_equal(call(&rq), SERVICE_STARTED);
	run_done(2, 1);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
}

/* An agent that dies in the middle of an export goes on with it, into the same folder. */
static void methods__an_export_survives_the_agent(void **state)
{
	struct service_request rq = { .event = EVENT_START, .collection = "c", .initial = 2 };
	char path[128];

	snprintf(path, sizeof(path), "%s/export", world.folder);
	rq.path = path;
	world_open(one);
	assert_int_equal(call(&rq), SERVICE_STARTED);
	world_kill();
	world_open(one);
	assert_int_equal(job_state(last_job), JOB_RUNNING);
	assert_true(world.runs[1]->config->aside);
	run_done(1, 1);
	assert_int_equal(vm_state("c", "a"), VM_READY);
}

/* One VM is suspended while it is sent with others: they go on. */
static void methods__suspend_one_of_a_running_job(void **state)
{
	struct service_request rq = { .event = EVENT_SUSPEND, .collection = "c", .vm = "b" };
	uint64_t id;

	world_open(three);
	ask(EVENT_RESYNC, "c", NULL);
	id = last_job;
	assert_int_equal(call(&rq), SERVICE_COMPLETED);
	assert_int_equal(vm_state("c", "b"), VM_RESYNC_SUSPENDED);
	assert_string_equal(world.runs[0]->left, "b");
	assert_false(world.runs[0]->cancelled);
	assert_int_equal(job_state(id), JOB_RUNNING);
	run_done(0, 1);
	run_done(1, 1);
	assert_int_equal(job_state(id), JOB_WARNINGS);
	assert_non_null(strstr(service_job(world.service, id)->text, "VM b: it was suspended"));
	assert_int_equal(service_job(world.service, id)->error, 0);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	assert_int_equal(vm_state("c", "m"), VM_REPLICATING);
	assert_int_equal(vm_state("c", "b"), VM_RESYNC_SUSPENDED);
	assert_int_equal(service_vm(service_find(world.service, "c"), "b")->point, 0);
	/* Resumed, it is a job of its own. */
	rq.event = EVENT_RESUME;
	assert_int_equal(call(&rq), SERVICE_STARTED);
	assert_int_equal(world.runs[2]->config->disk_count, 2);
	run_done(2, 2);
	assert_int_equal(vm_state("c", "b"), VM_REPLICATING);
}

/* A job that was cut short goes on without who was suspended while it ran. */
static void methods__suspend_one_and_the_agent_dies(void **state)
{
	const struct service_request rq = { .event = EVENT_SUSPEND, .collection = "c", .vm = "b" };

	world_open(three);
	ask(EVENT_RESYNC, "c", NULL);
	assert_int_equal(call(&rq), SERVICE_COMPLETED);
	world_kill();
	world_open(three);
	assert_int_equal(world.run_count, 4);
	assert_int_equal(world.runs[2]->config->disk_count, 2);
	assert_string_equal(world.runs[2]->config->disks[0].vm, "a");
	run_done(2, 1);
	run_done(3, 1);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	assert_int_equal(vm_state("c", "b"), VM_RESYNC_SUSPENDED);
}

static void methods__suspend_and_resume_a_resync(void **state)
{
	uint64_t first;

	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	first = last_job;
	assert_int_equal(ask(EVENT_SUSPEND, "c", NULL), SERVICE_COMPLETED);
	service_tick(world.service);
	assert_int_equal(job_state(first), JOB_TERMINATED);
	assert_int_equal(vm_state("c", "a"), VM_RESYNC_SUSPENDED);
	assert_int_equal(state_of("c"), COLLECTION_SUSPENDED);
	assert_int_equal(ask(EVENT_RESUME, "c", NULL), SERVICE_STARTED);
	assert_int_equal(state_of("c"), COLLECTION_RESYNC);
	run_done(1, 1);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
	/* From Suspended there is nothing to run at once. */
	ask(EVENT_SUSPEND, "c", NULL);
	assert_int_equal(ask(EVENT_RESUME, "c", NULL), SERVICE_COMPLETED);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
	refused(ask(EVENT_RESUME, "c", NULL), REASON_INVALID_STATE);
}

static void methods__cancel_resync(void **state)
{
	world_open(one);
	refused(ask(EVENT_CANCEL_RESYNC, "c", NULL), REASON_INVALID_STATE);
	ask(EVENT_RESYNC, "c", NULL);
	run_done(0, 1);
	world.marked = 1;
	ask(EVENT_RESYNC, "c", NULL);
	assert_int_equal(ask(EVENT_CANCEL_RESYNC, "c", NULL), SERVICE_COMPLETED);
	service_tick(world.service);
	assert_int_equal(job_state(last_job), JOB_TERMINATED);
	assert_int_equal(state_of("c"), COLLECTION_WAITING_RESYNC);
	/* A scheduled one. */
	assert_int_equal(ask(EVENT_RESYNC, "c", "00000001000000.000000:000"), SERVICE_STARTED);
	assert_int_equal(job_state(last_job), JOB_NEW);
	assert_int_equal(ask(EVENT_CANCEL_RESYNC, "c", NULL), SERVICE_COMPLETED);
	assert_int_equal(job_state(last_job), JOB_TERMINATED);
}

static void methods__verify_changes_no_state(void **state)
{
	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	run_done(0, 1);
	assert_int_equal(ask(EVENT_VERIFY, "c", NULL), SERVICE_STARTED);
	assert_int_equal(world.runs[1]->config->kind, RUN_VERIFY);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
	run_failed(1, RUN_TROUBLE_NETWORK, REASON_TIMEOUT);
	assert_int_equal(job_state(last_job), JOB_EXCEPTION);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
	assert_int_equal(service_find(world.service, "c")->health, HEALTH_OK);
}

/* Nothing is sent that would have to stop. */
static void methods__suspend_one_of_a_verification(void **state)
{
	struct service_request rq = { .event = EVENT_SUSPEND, .collection = "c", .vm = "b" };
	uint64_t id;

	world_open(three);
	ask(EVENT_RESYNC, "c", NULL);
	run_done(0, 1);
	run_done(1, 1);
	assert_int_equal(ask(EVENT_VERIFY, "c", NULL), SERVICE_STARTED);
	id = last_job;
	assert_int_equal(call(&rq), SERVICE_COMPLETED);
	assert_int_equal(vm_state("c", "b"), VM_SUSPENDED);
	assert_string_equal(world.runs[2]->left, "");
	assert_false(world.runs[2]->cancelled);
	assert_int_equal(job_state(id), JOB_RUNNING);
	run_done(2, 1);
	run_done(3, 1);
	assert_int_equal(job_state(id), JOB_COMPLETED);
	assert_int_equal(vm_state("c", "b"), VM_SUSPENDED);
}

/* As asked, or as configured; a job that waits remembers it over a restart. */
static void methods__paranoid_is_the_jobs_or_the_collections(void **state)
{
	struct service_request rq = { .event = EVENT_VERIFY, .collection = "c", .paranoid = true };

	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	assert_false(world.runs[0]->config->paranoid);
	run_done(0, 1);
	assert_int_equal(call(&rq), SERVICE_STARTED);
	assert_true(world.runs[1]->config->paranoid);
	world.runs[1]->report.hash = "SHA-256";
	run_done(1, 1);
	assert_string_equal(service_job(world.service, last_job)->hash, "SHA-256");

	rq.start_time = "00000000010000.000000:000";
	assert_int_equal(call(&rq), SERVICE_STARTED);
	world_kill();
	world_open(one);
	assert_true(service_job(world.service, last_job)->paranoid);
}

static void methods__paranoid_may_be_a_setting(void **state)
{
	world_open("[collection c]\nreplica=127.0.0.1:1\nparanoid=yes\n"
		   "[disk c/a/d0]\ndevice=/a0\n");
	ask(EVENT_RESYNC, "c", NULL);
	assert_true(world.runs[0]->config->paranoid);
	assert_false(service_job(world.service, last_job)->paranoid);
	run_done(0, 1);
}

static void methods__dry_run_changes_nothing(void **state)
{
	const struct service_request rq = {
		.event = EVENT_RESYNC, .collection = "c", .dry_run = true,
	};

	world_open(three);
	last_reason.text[0] = '\0';
	assert_int_equal(service_call(world.service, &rq, &last_job, &last_reason),
			 SERVICE_STARTED);
	assert_string_equal(last_reason.text, "Resynchronize would take a, b, m");
	assert_null(service_jobs(world.service));
	assert_int_equal(world.run_count, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(methods__start_and_cancel_initial),
		TEST(methods__initial_replication_without_the_network),
		TEST(methods__an_export_survives_the_agent),
		TEST(methods__suspend_one_of_a_running_job),
		TEST(methods__suspend_one_and_the_agent_dies),
		TEST(methods__suspend_and_resume_a_resync),
		TEST(methods__cancel_resync),
		TEST(methods__verify_changes_no_state),
		TEST(methods__suspend_one_of_a_verification),
		TEST(methods__paranoid_is_the_jobs_or_the_collections),
		TEST(methods__paranoid_may_be_a_setting),
		TEST(methods__dry_run_changes_nothing),
	};

	return cmocka_run_group_tests_name("service/method", tests, NULL, NULL);
}
