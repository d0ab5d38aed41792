// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Relationships: made, changed and forgotten, by the API and by files.
 */
#include "tests/unit/service/world.h"

static const char one[] = "[collection c]\nreplica=127.0.0.1:1\n"
			  "[disk c/a/d0]\ndevice=/a0\n[disk c/a/d1]\ndevice=/a1\n";

/* -- relationships and reloads ---------------------------------------------- */

static const struct service_value replica[] = { { "RecoveryConnectionPoint", "127.0.0.1:9" } };
static const struct service_new_disk disks[] = {
	{ "n", "d0", "/n0", true, 0 }, { "n", "d1", "/n1", false, 4096 },
};

static void relation__created_changed_removed(void **state)
{
	const struct service_value wrong[] = { { "RateLimit", "1M" }, { "RecoveryHistory", "25" } };
	const struct service_value right[] = { { "RateLimit", "1M" }, { "RecoveryHistory", "24" } };
	const struct service_value own[] = { { "RecoveryConnectionPoint", "127.0.0.1:8" } };
	const struct collection *c;

	world_open(one);
	memset(&last_reason, 0, sizeof(last_reason));
	assert_int_equal(service_create(world.service, "new", replica, 1, disks, 2, &last_reason), 0);
	refused(service_create(world.service, "new", replica, 1, NULL, 0, &last_reason),
		REASON_INVALID_STATE);
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_create(world.service, "../x", replica, 1, NULL, 0, &last_reason),
		REASON_INVALID_PARAMETER);
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_create(world.service, "y", NULL, 0, NULL, 0, &last_reason),
		REASON_INVALID_PARAMETER);
	/* All or nothing. */
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_modify(world.service, "new", NULL, wrong, 2, &last_reason),
		REASON_INVALID_PARAMETER);
	assert_int_equal(service_find(world.service, "new")->settings.rate_limit, 0);
	assert_int_equal(service_modify(world.service, "new", NULL, right, 2, &last_reason), 0);
	assert_int_equal(service_modify(world.service, "new", "n", own, 1, &last_reason), 0);
	/* Those of a file are the file's. */
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_modify(world.service, "c", NULL, right, 2, &last_reason),
		REASON_NOT_SUPPORTED);

	world_kill();
	world_open(one);
	c = service_find(world.service, "new");
	assert_non_null(c);
	assert_int_equal(c->settings.rate_limit, MIB(1));
	assert_int_equal(c->settings.history, 24);
	assert_string_equal(c->vms[0].port, "8");
	assert_int_equal(c->vms[0].disk_count, 2);
	assert_int_equal(c->vms[0].disks[1].granule, 4096);
	assert_false(c->vms[0].disks[1].tracked);
	assert_int_equal(service_remove(world.service, "new", &last_reason), 0);
	world_kill();
	world_open(one);
	assert_null(service_find(world.service, "new"));
}

static void relation__only_chosen_disks_are_replicated(void **state)
{
	static const struct service_value some[] = { { "IncludedDisks", " n/d0 other/x " } };
	static const struct service_value wrong[] = { { "IncludedDisks", "n/d0 d1" } };
	static const struct service_value all[] = { { "IncludedDisks", "" } };
	const struct service_vm *n;

	world_open(one);
	assert_int_equal(service_create(world.service, "new", replica, 1, disks, 2, &last_reason), 0);
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_modify(world.service, "new", NULL, wrong, 1, &last_reason),
		REASON_INVALID_PARAMETER);
	assert_int_equal(service_modify(world.service, "new", NULL, some, 1, &last_reason), 0);
	ask(EVENT_START, "new", NULL);
	assert_false(world.runs[0]->config->disks[0].left_out);
	assert_true(world.runs[0]->config->disks[1].left_out);
	run_done(0, 5);
	n = service_vm(service_find(world.service, "new"), "n");
	assert_int_equal(n->state, VM_REPLICATING);
	assert_int_equal(n->disks[0].point, 5);
	assert_int_equal(n->disks[1].point, 0);
	/* It lasts, and a disk that is not replicated makes nobody unwell. */
	world_kill();
	world.look_error = -ENOENT;
	world_open(one);
	service_look(world.service, "new");
	n = service_vm(service_find(world.service, "new"), "n");
	assert_true(n->disks[1].excluded);
	assert_int_equal(n->state, VM_REPLICATING);
	/* One that comes in later needs a run of its own. */
	assert_int_equal(service_modify(world.service, "new", NULL, all, 1, &last_reason), 0);
	n = service_vm(service_find(world.service, "new"), "n");
	assert_int_equal(n->state, VM_WAITING_RESYNC);
	ask(EVENT_RESYNC, "new", NULL);
	run_done(1, 6);
	n = service_vm(service_find(world.service, "new"), "n");
	assert_int_equal(n->disks[1].point, 6);
}

static void relation__a_vm_is_in_one_collection(void **state)
{
	const struct service_new_disk taken[] = { { "a", "d9", "/x", true, 0 } };

	world_open(one);
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_create(world.service, "new", replica, 1, taken, 1, &last_reason),
		REASON_INVALID_PARAMETER);
	assert_null(service_find(world.service, "new"));
}

static void relation__members_come_and_go(void **state)
{
	const struct service_new_disk more[] = { { "o", "d0", "/o0", true, 0 } };

	world_open("");
	service_create(world.service, "new", replica, 1, disks, 2, &last_reason);
	assert_int_equal(service_add_disks(world.service, "new", more, 1, &last_reason), 0);
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_add_disks(world.service, "new", more, 1, &last_reason),
		REASON_INVALID_PARAMETER);
	ask(EVENT_RESYNC, "new", NULL);
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_remove_vm(world.service, "new", "o", &last_reason), REASON_IN_USE);
	run_done(0, 1);
	assert_int_equal(service_remove_vm(world.service, "new", "o", &last_reason), 0);
	assert_null(service_vm(service_find(world.service, "new"), "o"));
	world_kill();
	world_open("");
	assert_null(service_vm(service_find(world.service, "new"), "o"));
	assert_int_equal(vm_state("new", "n"), VM_REPLICATING);
}

static void reload__takes_what_is_right(void **state)
{
	struct config *c;

	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	c = world_config("[collection c]\nreplica=127.0.0.1:1\nrate_limit=1M\n"
			 "[disk c/a/d0]\ndevice=/a0\n"
			 "[collection e]\nreplica=127.0.0.1:1\n[disk e/e/d0]\ndevice=/e0\n");
	assert_int_equal(service_reload(world.service, c, &last_reason), 0);
	assert_int_equal(service_find(world.service, "c")->settings.rate_limit, MIB(1));
	assert_int_equal(service_vm(service_find(world.service, "c"), "a")->disk_count, 1);
	/* The run goes on with what it began with, and its end is taken note of. */
	assert_int_equal(state_of("c"), COLLECTION_RESYNC);
	run_done(0, 5);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
	/* A collection that is gone ends its job. */
	ask(EVENT_RESYNC, "e", NULL);
	c = world_config(one);
	assert_int_equal(service_reload(world.service, c, &last_reason), 0);
	assert_null(service_find(world.service, "e"));
	service_tick(world.service);
	assert_int_equal(job_state(last_job), JOB_TERMINATED);
}

static void reload__a_contradiction_changes_nothing(void **state)
{
	struct config *c;

	world_open(one);
	service_create(world.service, "new", replica, 1, disks, 2, &last_reason);
	c = world_config("[collection new]\nreplica=127.0.0.1:1\n[disk new/x/d0]\ndevice=/x\n");
	memset(&last_reason, 0, sizeof(last_reason));
	refused(service_reload(world.service, c, &last_reason), REASON_INVALID_PARAMETER);
	config_free(c);
	assert_non_null(service_find(world.service, "c"));
	assert_int_equal(service_find(world.service, "new")->origin, ORIGIN_API);
}

static void statistics__are_counted_and_reset(void **state)
{
	const struct service_statistics *t;

	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	world.runs[0]->progress.sent = 4096;
	advance(8 * SECOND_US);
	run_done(0, 1);
	t = &service_find(world.service, "c")->statistics;
	assert_int_equal(t->size, 4096);
	assert_int_equal(t->latency, 8);
	assert_int_equal(t->resync_count, 1);
	world_kill();
	world_open(one);
	t = &service_find(world.service, "c")->statistics;
	assert_int_equal(t->max_size, 4096);
	assert_int_equal(service_reset_statistics(world.service, "c", &last_reason), 0);
	assert_int_equal(t->success_count, 0);
	assert_int_equal(t->start_time, world.wall / SECOND_US);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(relation__created_changed_removed),
		TEST(relation__only_chosen_disks_are_replicated),
		TEST(relation__a_vm_is_in_one_collection),
		TEST(relation__members_come_and_go),
		TEST(reload__takes_what_is_right),
		TEST(reload__a_contradiction_changes_nothing),
		TEST(statistics__are_counted_and_reset),
	};

	return cmocka_run_group_tests_name("service/relation", tests, NULL, NULL);
}
