// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the service remembers of trackers, and why it does not believe one.
 */
#include "tests/unit/service/world.h"

static const char one[] = "[collection c]\nreplica=127.0.0.1:1\n"
			  "[disk c/a/d0]\ndevice=/a0\n[disk c/a/d1]\ndevice=/a1\n";

/* What a run is told of its disk's past. */
static const struct mode_past *told(size_t run)
{
	return &world.runs[run]->config->disks[0].past;
}

static void resync(void)
{
	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_STARTED);
}

/* The tracker forgets it, the agent does not, whatever happens to either. */
static void doubt__stands_until_compared(void **state)
{
	world_open(one);
	resync();
	assert_false(told(0)->known);
	run_done(0, 1);
	world.unreliable = "a write went round the tracker";
	service_look(world.service, NULL);
	world_kill();
	world.unreliable = NULL;
	world_open(one);
	assert_int_equal(vm_state("c", "a"), VM_WAITING_RESYNC);
	assert_int_equal(service_find(world.service, "c")->health, HEALTH_CRITICAL);
	assert_non_null(strstr(service_find(world.service, "c")->health_text, "went round"));
	resync();
	assert_true(told(1)->known);
	assert_string_equal(told(1)->doubt, "a write went round the tracker");
	/* One that fails cures nothing. */
	run_failed(1, RUN_TROUBLE_FINAL, REASON_FAILED);
	resync();
	assert_string_equal(told(2)->doubt, "a write went round the tracker");
	world.mode = FRAME_MODE_COMPARE;
	run_done(2, 2);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	assert_int_equal(service_find(world.service, "c")->health, HEALTH_OK);
	world_kill();
	world_open(one);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
}

/* It arises while a run is under way that had nothing to compare. */
static void doubt__of_a_moment_in_a_run(void **state)
{
	world_open(one);
	resync();
	run_done(0, 1);
	world.marked = 1;
	resync();
	world.unreliable = "a write went round the tracker";
	service_look(world.service, NULL);
	world.unreliable = NULL;
	run_done(1, 2);
	resync();
	assert_string_equal(told(2)->doubt, "a write went round the tracker");
	/* And again, at the very end of the comparison. */
	world.mode = FRAME_MODE_COMPARE;
	world.unreliable = "once more";
	run_done(2, 3);
	world.unreliable = NULL;
	resync();
	assert_string_equal(told(3)->doubt, "once more");
	run_done(3, 4);
	resync();
	assert_null(told(4)->doubt);
}

/* Another tracker for a moment: metadata that failed, and read again after a crash. */
static void doubt__another_tracker_and_back(void **state)
{
	world_open(one);
	resync();
	run_done(0, 1);
	world.uuid = 2;
	service_look(world.service, NULL);
	world_kill();
	world.uuid = 1;
	world_open(one);
	resync();
	assert_non_null(strstr(told(1)->doubt, "another tracker"));
}

static void doubt__metadata_put_back(void **state)
{
	world_open(one);
	resync();
	world.committed_epoch = 7;
	run_done(0, 1);
	world_kill();
	world.committed_epoch = 6;
	world_open(one);
	assert_int_equal(vm_state("c", "a"), VM_WAITING_RESYNC);
	assert_non_null(strstr(service_find(world.service, "c")->health_text, "older copy"));
	resync();
	assert_int_equal(told(1)->committed_epoch, 7);
	/* From then on its own numbers count. */
	world.mode = FRAME_MODE_COMPARE;
	run_done(1, 2);
	world_kill();
	world_open(one);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	resync();
	assert_null(told(2)->doubt);
	assert_int_equal(told(2)->committed_epoch, 6);
}

static void boot(uint64_t attach, uint64_t found)
{
	world_kill();
	world.attach = attach;
	world.meta_found = found;
	world.meta_sequence = found + 1;
	world_open(one);
}

/* As above, with nothing committed since the copy; seen between two runs. */
static void doubt__metadata_of_a_lower_sequence(void **state)
{
	world.attach = ~UINT64_C(0); /* the whole range can be kept */
	world.meta_sequence = 8;
	world_open(one);
	resync();
	run_done(0, 1);
	world.meta_sequence = 12;
	service_look(world.service, "c");
	boot(2, 12);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	boot(3, 12);
	assert_int_equal(vm_state("c", "a"), VM_WAITING_RESYNC);
	assert_non_null(strstr(service_find(world.service, "c")->health_text, "older copy"));
	resync();
	world.mode = FRAME_MODE_COMPARE;
	run_done(1, 2);
	boot(4, 13);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(doubt__stands_until_compared),
		TEST(doubt__of_a_moment_in_a_run),
		TEST(doubt__another_tracker_and_back),
		TEST(doubt__metadata_put_back),
		TEST(doubt__metadata_of_a_lower_sequence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
