// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Freezing in a run: the seal is made while the VMs are frozen, and the point is
 * called application consistent when that is true of all of them, and only then.
 */
#include <pthread.h>
#include <sys/stat.h>

#include "freeze/freeze.h"
#include "tests/unit/send/world.h"

static char frozen_path[128], hook_path[128], any_hook_path[128], state_dir[64];
static unsigned int frozen_at_seal; /* bit n: at seal n */

static void hook_write(const char *freeze)
{
	FILE *f = fopen(hook_path, "w");
	char link_path[128];

	fprintf(f, "#!/bin/sh\ncase $1 in freeze) touch %s.$2; %s ;; thaw) rm -f %s.$2 ;; esac\n",
		frozen_path, freeze, frozen_path);
	fclose(f);
	chmod(hook_path, 0755);
	snprintf(link_path, sizeof(link_path), "%s/hook-w", folder);
	unlink(link_path);
	assert_int_equal(symlink("hook", link_path), 0);
}

static bool is_frozen(const char *vm)
{
	char path[256];

	snprintf(path, sizeof(path), "%s.%s", frozen_path, vm);
	return access(path, F_OK) == 0;
}

static void note_frozen(struct fake *f, enum moment m)
{
	if (m == AT_SEAL && f == &fakes[0] && is_frozen("v") && is_frozen("w"))
		frozen_at_seal |= 1u << f->seals;
	/* Thawed before the drain, however long that takes. */
	if (m == AT_WAIT)
		assert_false(is_frozen("v") || is_frozen("w"));
}

static const struct run_vm vms[] = {
	{ .name = "v", .hook = hook_path },
	{ .name = "elsewhere", .hook = "/nonexistent" },
	{ .name = "w", .hook = any_hook_path },
};

static int hold_setup(void **state)
{
	struct world *w = *state;
	int err = setup(state);

	snprintf(state_dir, sizeof(state_dir), "%s", folder);
	snprintf(hook_path, sizeof(hook_path), "%s/hook", folder);
	/* %v is the VM's name. */
	snprintf(any_hook_path, sizeof(any_hook_path), "%s/hook-%%v", folder);
	snprintf(frozen_path, sizeof(frozen_path), "%s/is-frozen", folder);
	hook_write(":");
	frozen_at_seal = 0;
	w->config.disk_count = 3;
	w->config.freeze = true;
	w->config.vms = vms;
	w->config.vm_count = 3;
	w->config.state_dir = state_dir;
	fakes[0].hook = fakes[1].hook = fakes[2].hook = note_frozen;
	return err;
}

static void hold__frozen_at_the_seal(void **state)
{
	struct world *w = *state;

	run_ok(w);
	assert_int_equal(frozen_at_seal, 1);
	assert_int_equal(w->report.consistency, RUN_CONSISTENCY_APPLICATION);
	assert_string_equal(w->report.warning, "");
	assert_false(is_frozen("v") || is_frozen("w"));
	replicas_are_at_seal(w);
}

static void hold__not_asked_for(void **state)
{
	struct world *w = *state;

	w->config.freeze = false;
	run_ok(w);
	assert_int_equal(frozen_at_seal, 0);
	assert_int_equal(w->report.consistency, RUN_CONSISTENCY_GROUP);
}

static void hold__one_vm_cannot_be_frozen(void **state)
{
	struct world *w = *state;

	hook_write("test $2 = v");
	run_ok(w);
	assert_int_equal(w->report.consistency, RUN_CONSISTENCY_GROUP);
	assert_non_null(strstr(w->report.warning, "w could not be frozen"));
	replicas_are_at_seal(w);
}

static void hold__one_vm_has_no_way(void **state)
{
	struct world *w = *state;

	w->config.vm_count = 2;
	run_ok(w);
	assert_int_equal(w->report.consistency, RUN_CONSISTENCY_GROUP);
	assert_string_equal(w->report.warning, "");
}

/* The one without a way is not in the run any more: those that are were frozen. */
static void hold__of_those_that_are_left(void **state)
{
	struct world *w = *state;

	w->config.vm_count = 2;
	fakes[2].open_error = -ENODEV;
	run_ok(w);
	assert_int_equal(w->report.failed, 1);
	assert_int_equal(w->report.consistency, RUN_CONSISTENCY_APPLICATION);
}

static void tear_twice(struct fake *f, enum moment m)
{
	note_frozen(f, m);
	if (m == AT_WAIT && f->seals <= 2)
		fake_write(f, 7, f->seals);
}

static void hold__each_seal_has_its_freeze(void **state)
{
	struct world *w = *state;

	fakes[0].hook = tear_twice;
	run_ok(w);
	assert_int_equal(seal_calls, 3);
	assert_int_equal(frozen_at_seal, 7);
	assert_int_equal(w->report.consistency, RUN_CONSISTENCY_APPLICATION);
	replicas_are_at_seal(w);
}

static void tear_thrice(struct fake *f, enum moment m)
{
	note_frozen(f, m);
	if (m == AT_WAIT && f->seals <= 3)
		fake_write(f, 7, f->seals);
}

static void hold__but_not_without_end(void **state)
{
	struct world *w = *state;

	fakes[0].hook = tear_thrice;
	run_ok(w);
	assert_int_equal(frozen_at_seal, 7);
	assert_int_equal(seal_calls, 4);
	assert_int_equal(w->report.consistency, RUN_CONSISTENCY_GROUP);
}

static void fail_seal(struct fake *f, enum moment m)
{
	if (m == AT_SEAL)
		f->info_error = -ENODEV;
}

/* The seal fails for everybody: the VMs are thawed all the same. */
static void hold__thawed_when_the_seal_fails(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < 3; i++)
		fakes[i].hook = fail_seal;
	assert_true(run(w) < 0);
	assert_false(is_frozen("v") || is_frozen("w"));
}

static void *cancel_when_frozen(void *arg)
{
	while (!is_frozen("v"))
		usleep(10000);
	eventfd_write(cancel_fd, 1);
	return NULL;
}

static void hold__cancelled_while_freezing(void **state)
{
	struct world *w = *state;
	pthread_t thread;
	eventfd_t unused;

	hook_write("sleep 2");
	assert_int_equal(pthread_create(&thread, NULL, cancel_when_frozen, NULL), 0);
	assert_int_equal(run(w), -ECANCELED);
	pthread_join(thread, NULL);
	eventfd_read(cancel_fd, &unused);
	assert_int_equal(seal_calls, 0);
	assert_false(is_frozen("v") || is_frozen("w"));
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, hold_setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(hold__frozen_at_the_seal),
		TEST(hold__not_asked_for),
		TEST(hold__one_vm_cannot_be_frozen),
		TEST(hold__one_vm_has_no_way),
		TEST(hold__of_those_that_are_left),
		TEST(hold__each_seal_has_its_freeze),
		TEST(hold__but_not_without_end),
		TEST(hold__thawed_when_the_seal_fails),
		TEST(hold__cancelled_while_freezing),
	};

	if (argc > 1 && strcmp(argv[1], FREEZER_ARGUMENT) == 0)
		return freezer_main(argc, argv);
	return cmocka_run_group_tests_name("send/hold", tests, group_setup, group_teardown);
}
