// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Methods on a replica, and what comes between: a run that they wait for, a database that
 * takes nothing, a file that is gone.
 */
#include "failover/failover.h"

#include <pthread.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "point/catalog-failover.h"
#include "point/file.h"
#include "point/stage.h"
#include "tests/unit/scratch.h"

#define SIZE MIB(1)

static char folder[64];
static struct receiver *receiver;
static struct failover *failover;
static struct store *store;
static unsigned int synced;

/* Folders are synced by nothing else. */
int fsync(int fd)
{
	synced++;
	return syscall(SYS_fsync, fd);
}

static const char *at(const char *disk, const char *file)
{
	static char path[STORE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/c/vm/%s/%s", folder, disk, file);
	return path;
}

/* What a run sends: one disk, all of it zeroes. */
static void put_point(const char *disk, uint64_t number)
{
	struct stage_disk_spec spec = { .vm = "vm", .size = SIZE, .granule = KIB(64),
					.tracker = "0123456789abcde" };
	struct stage_label label = { .consistency = 2, .history = 8 };
	struct stage_held held;
	struct stage *stage;
	uint64_t point;

	snprintf(spec.disk, sizeof(spec.disk), "%s", disk);
	assert_int_equal(stage_create(store, "c", &stage), 0);
	assert_int_equal(stage_open(stage, 0, &spec, &held, NULL), 0);
	assert_int_equal(stage_begin(stage, 0, held.present ? STAGE_OVERLAY : STAGE_SEED, 0, NULL),
			 0);
	assert_int_equal(stage_zero(stage, 0, 0, SIZE), 0);
	assert_int_equal(stage_end(stage, 0, number, NULL, NULL), 0);
	assert_int_equal(stage_commit(stage, &label, &point, NULL), 0);
	assert_int_equal(point, number);
	stage_destroy(stage);
}

static int call(enum model_event event, uint64_t point)
{
	struct service_failover asked = { .event = event, .role = MODEL_REPLICA,
					  .collection = "c", .point = point };
	const struct service_failover_ops *ops = failover_ops(failover);
	struct reason reason = { 0 };
	char peer[64];
	int fd = eventfd(0, EFD_CLOEXEC);
	int err = ops->execute(ops->arg, &asked, fd, NULL, peer, sizeof(peer), &reason);

	close(fd);
	return err;
}

static void *fail_over(void *arg)
{
	*(int *)arg = call(EVENT_FAILOVER, 0);
	return NULL;
}

/* The collection is the run's; its point is the newest when the method has it. */
static void failover__waits_for_a_run(void **state)
{
	pthread_t thread;
	int result = 1;

	put_point("vda", 1);
	assert_int_equal(store_claim(store, "c", 0, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, fail_over, &result), 0);
	while (!store_wanted(store, "c"))
		usleep(1000);
	put_point("vdb", 2);
	store_release(store, "c");
	pthread_join(thread, NULL);
	assert_int_equal(result, 0);
	assert_true(file_exists(at("vda", STORE_FAILOVER)));
	assert_true(file_exists(at("vdb", STORE_FAILOVER)));
}

/* A disk that came later has no part in it, and nothing of it is to be opened. */
static void failover__of_an_older_point(void **state)
{
	char path[STORE_PATH_MAX];

	put_point("vda", 1);
	put_point("vdb", 2);
	assert_int_equal(call(EVENT_FAILOVER, 1), 0);
	assert_int_equal(store_open_path(store, "c", "vm", "vda", path), 0);
	assert_string_equal(path, at("vda", STORE_FAILOVER));
	assert_int_equal(store_open_path(store, "c", "vm", "vdb", path), -ENOENT);
}

/* As an administrator may with sqlite3 */
static void state_say(const char *sql)
{
	char path[STORE_PATH_MAX];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/.state.db", folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void failover__a_test_that_is_not_recorded(void **state)
{
	put_point("vda", 1);
	assert_int_equal(call(EVENT_FAILOVER, 0), 0);
	assert_true(store_pinned(store, "c", 1));
	state_say("CREATE TRIGGER no BEFORE INSERT ON failover BEGIN SELECT RAISE(ABORT, 'no'); END");
	assert_true(call(EVENT_TEST, 0) < 0);
	assert_true(store_pinned(store, "c", 1));
}

/* Its disk lies over the point for as long as the others are not given up. */
static void failover__a_commit_that_is_not_recorded(void **state)
{
	put_point("vda", 1);
	put_point("vda", 2);
	assert_int_equal(call(EVENT_FAILOVER, 1), 0);
	state_say("CREATE TRIGGER no BEFORE UPDATE ON point BEGIN SELECT RAISE(ABORT, 'no'); END");
	assert_true(call(EVENT_COMMIT_FAILOVER, 0) < 0);
	assert_true(store_pinned(store, "c", 1));
	state_say("DROP TRIGGER no");
	assert_int_equal(call(EVENT_COMMIT_FAILOVER, 0), 0);
	assert_false(store_pinned(store, "c", 1));
}

/* A start may have come between the removal and the sync. */
static void failover__reverts_what_is_gone(void **state)
{
	put_point("vda", 1);
	assert_int_equal(call(EVENT_FAILOVER, 0), 0);
	assert_int_equal(unlink(at("vda", STORE_FAILOVER)), 0);
	synced = 0;
	assert_int_equal(call(EVENT_REVERT_FAILOVER, 0), 0);
	assert_true(synced > 0);
	assert_false(store_pinned(store, "c", 1));
}

static int set_up(void **state)
{
	struct receiver_config config = { .plain_allowed = true, .store_dir = folder,
					  .history_max = 24 };

	snprintf(folder, sizeof(folder), "/tmp/tidemark-failover.XXXXXX");
	if (!mkdtemp(folder) || receiver_create(&config, &receiver, NULL))
		return -1;
	store = receiver_store(receiver);
	return failover_create(&failover, receiver, NULL);
}

static int tear_down(void **state)
{
	failover = failover_destroy(failover);
	receiver = receiver_destroy(receiver);
	return scratch_remove(folder);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(failover__waits_for_a_run),
		TEST(failover__of_an_older_point),
		TEST(failover__a_test_that_is_not_recorded),
		TEST(failover__a_commit_that_is_not_recorded),
		TEST(failover__reverts_what_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
