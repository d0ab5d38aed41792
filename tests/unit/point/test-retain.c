// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Layers that become fewer, and what can come between: what is asked between two pieces
 * does it, or a sync that fails.
 */
#include "point/retain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "point/catalog-point.h"
#include "point/file.h"
#include "point/join.h"
#include "point/stage.h"
#include "ring/ring.h"
#include "tests/unit/scratch.h"

#define SIZE MIB(1)

static char folder[64];
static struct store *store;
static struct ring *ring;
static unsigned int synced;
static bool sync_fails;

/* Folders are synced by nothing else. */
int fsync(int fd)
{
	if (sync_fails) {
		sync_fails = false;
		errno = EIO;
		return -1;
	}
	synced++;
	return syscall(SYS_fsync, fd);
}

/* What a run sends: a disk full of @byte. */
static void put_point(uint64_t number)
{
	static uint8_t bytes[SIZE] __attribute__((aligned(IO_ALIGN)));
	struct stage_disk_spec spec = { .vm = "vm", .disk = "vda", .size = SIZE,
					.granule = KIB(64), .tracker = "0123456789abcde" };
	struct stage_label label = { .consistency = 2, .history = 8 };
	struct raw_place place;
	struct stage_held held;
	struct stage *stage;
	uint64_t point;

	memset(bytes, number, sizeof(bytes));
	assert_int_equal(stage_create(store, "c", &stage), 0);
	assert_int_equal(stage_open(stage, 0, &spec, &held, NULL), 0);
	assert_int_equal(stage_begin(stage, 0, held.present ? STAGE_OVERLAY : STAGE_SEED, 0, NULL),
			 0);
	for (uint64_t at = 0; at < SIZE; at += place.length) {
		assert_int_equal(stage_place(stage, 0, at, SIZE - at, &place), 0);
		assert_int_equal(file_write(place.fd, bytes, place.length, place.offset), 0);
	}
	assert_int_equal(stage_end(stage, 0, number, NULL, NULL), 0);
	assert_int_equal(stage_commit(stage, &label, &point, NULL), 0);
	assert_int_equal(point, number);
	stage_destroy(stage);
}

static const char *at(const char *file)
{
	static char path[STORE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/c/vm/vda/%s", folder, file);
	return path;
}

static void assert_opens(const char *file)
{
	char path[STORE_PATH_MAX];

	assert_int_equal(store_open_path(store, "c", "vm", "vda", path), 0);
	assert_string_equal(path, at(file));
	assert_true(file_exists(path));
}

static int run(int (*call)(void *arg))
{
	struct merge_tick tick = { call, NULL };

	return retain_run(store, "c", ring, &tick, NULL);
}

/* -- merges ------------------------------------------------------------------------------- */

static int begin_to_use(void *arg)
{
	if (!store_pinned(store, "c", 2))
		assert_int_equal(store_pin(store, "c", 2), 0);
	return 0;
}

/* A test that begins while its layer is merged lies over the layer's file. */
static void merge__of_a_point_that_comes_into_use(void **state)
{
	put_point(1);
	put_point(2);
	assert_int_equal(store_retire(store, "c", 1), 0);
	assert_int_equal(run(begin_to_use), -ECANCELED);
	assert_opens("point-2.qcow2");
	/* It is put off for as long as that lasts. */
	assert_int_equal(run(NULL), 0);
	assert_opens("point-2.qcow2");
	store_unpin(store, "c", 2);
	assert_int_equal(run(NULL), 0);
	assert_opens("replica.raw");
	assert_false(file_exists(at("point-2.qcow2")));
}

/* A later point has a file of its own. */
static void merge__while_a_later_point_is_in_use(void **state)
{
	put_point(1);
	put_point(2);
	put_point(3);
	assert_int_equal(store_pin(store, "c", 3), 0);
	assert_int_equal(store_retire(store, "c", 1), 0);
	assert_int_equal(run(NULL), 0);
	assert_false(file_exists(at("point-2.qcow2")));
	assert_opens("point-3.qcow2");
	store_unpin(store, "c", 3);
}

/* -- joins -------------------------------------------------------------------------------- */

/* The lower file goes when the database says so: the new name must be durable by then. */
static void join__of_which_the_name_was_not_durable(void **state)
{
	char lower[STORE_PATH_MAX], upper[STORE_PATH_MAX];

	put_point(1);
	put_point(2);
	put_point(3);
	snprintf(lower, sizeof(lower), "%s", at("point-2.qcow2"));
	snprintf(upper, sizeof(upper), "%s", at("point-3.qcow2"));
	sync_fails = true;
	assert_int_equal(join_run(lower, upper, NULL, NULL), -EIO);
	/* It was renamed, and is not written a second time. */
	synced = 0;
	assert_int_equal(join_run(lower, upper, NULL, NULL), 0);
	assert_int_equal(synced, 1);
	sync_fails = true;
	assert_int_equal(join_run(lower, upper, NULL, NULL), -EIO);
}

static int set_up(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/tidemark-retain.XXXXXX");
	if (!mkdtemp(folder) || ring_create(&ring, 32))
		return -1;
	return store_open(folder, NULL, NULL, 0, &store, NULL);
}

static int tear_down(void **state)
{
	ring = ring_destroy(ring);
	store = store_close(store);
	return scratch_remove(folder);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(merge__of_a_point_that_comes_into_use),
		TEST(merge__while_a_later_point_is_in_use),
		TEST(join__of_which_the_name_was_not_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
