// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Copies that are taken over, and everything that can come between: what is asked between
 * two pieces does it. Afterwards the store is as if nobody had ever begun.
 */
#include "point/import.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "point/catalog-failover.h"
#include "point/file.h"
#include "point/points.h"
#include "tests/unit/scratch.h"

#define PIECES 4u

static char folder[64];
static struct store *store;

static const char *at(const char *name)
{
	static char path[STORE_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void put_folder(const char *name)
{
	assert_int_equal(file_make_folder(at(name)), 0);
}

/* So many pieces of 1 MiB, none of them zeroes */
static void put_copy(const char *name, unsigned int pieces)
{
	static uint8_t bytes[MIB(1)];
	int fd = open(at(name), O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	for (unsigned int i = 0; i < pieces; i++) {
		memset(bytes, 1 + i, sizeof(bytes));
		assert_int_equal(file_write(fd, bytes, sizeof(bytes), i * sizeof(bytes)), 0);
	}
	close(fd);
}

struct watch {
	unsigned int calls;
	unsigned int fatal; /* the call that @what is done at; 0: none */
	int (*what)(void);
};

static int take_status(const struct store_replica *r, void *arg)
{
	*(struct store_replica *)arg = *r;
	return 0;
}

/* Called before each piece, and once before the commit: both disks are of the same size. */
static int watch_call(void *arg)
{
	struct watch *w = arg;
	struct store_replica r = { 0 };

	assert_int_equal(store_status(store, take_status, &r), 0);
	assert_int_equal(r.state, STORE_SEEDING);
	assert_string_equal(r.path, "");
	/* With the first piece of a disk its row is there, and nothing said of that yet. */
	if (w->calls) {
		assert_int_equal(r.done, MIB(1) * w->calls);
		assert_int_equal(r.total, MIB(2 * PIECES));
	}
	return ++w->calls == w->fatal ? w->what() : 0;
}

static int import(struct watch *w, struct import_result *ret, struct reason *reason)
{
	struct merge_tick tick = { watch_call, w };

	return import_run(store, "c", at("in"), &tick, ret, reason);
}

static int count_one(const struct store_replica *r, void *arg)
{
	(*(unsigned int *)arg)++;
	return 0;
}

static unsigned int shown(void)
{
	unsigned int count = 0;

	assert_int_equal(store_status(store, count_one, &count), 0);
	return count;
}

/* Now, and after a start. */
static void assert_nothing(void)
{
	for (int start = 0; start < 2; start++) {
		struct points_point *points;
		size_t count;

		assert_int_equal(shown(), 0);
		assert_int_equal(points_list(store, "c", &points, &count, NULL), -ENOENT);
		assert_false(file_exists(at("store/c")));
		assert_false(store_fault(store, "c", NULL));
		store = store_close(store);
		assert_int_equal(store_open(at("store"), NULL, NULL, 0, &store, NULL), 0);
		assert_int_equal(store_recover(store, NULL), 0);
	}
}

static void import__takes_all(void **state)
{
	struct import_result result;
	struct watch w = { 0 };
	struct store_replica r;

	assert_int_equal(import(&w, &result, NULL), 0);
	assert_int_equal(result.disks, 2);
	assert_int_equal(result.bytes, MIB(2 * PIECES));
	assert_true(w.calls > 2 * PIECES);
	assert_int_equal(shown(), 2);
	store_status(store, take_status, &r);
	assert_int_equal(r.point, 1);
	assert_int_equal(r.total, 0);
	assert_int_equal(store_claim(store, "c", 0, NULL), 0);
	store_release(store, "c");
}

static int stop(void)
{
	return -ECANCELED;
}

static void import__is_stopped(void **state)
{
	struct import_result result;

	for (unsigned int i = 1; i <= 2 * PIECES + 1; i++) {
		struct watch w = { .fatal = i, .what = stop };

		assert_int_equal(import(&w, &result, NULL), -ECANCELED);
		assert_nothing();
	}
}

static int cut(void)
{
	return truncate(at("in/c/vm/d1/replica.raw"), MIB(1));
}

static void import__of_what_is_cut(void **state)
{
	struct watch w = { .fatal = PIECES + 2, .what = cut };
	struct import_result result;
	struct reason reason = { 0 };

	assert_int_equal(import(&w, &result, &reason), -ESTALE);
	assert_non_null(strstr(reason.text, "d1/replica.raw failed: it has been cut"));
	assert_nothing();
}

static int vanish(void)
{
	return unlink(at("in/c/vm/d1/replica.raw"));
}

static void import__of_what_vanishes(void **state)
{
	struct watch w = { .fatal = PIECES, .what = vanish };
	struct import_result result;
	struct reason reason = { 0 };

	assert_int_equal(import(&w, &result, &reason), -ENOENT);
	assert_nothing();
}

/* It is told before the first disk has been copied. */
static void import__of_what_is_no_disk(void **state)
{
	struct watch w = { 0 };
	struct import_result result;
	struct reason reason = { 0 };

	assert_int_equal(truncate(at("in/c/vm/d1/replica.raw"), 100), 0);
	assert_int_equal(import(&w, &result, &reason), -EINVAL);
	assert_int_equal(w.calls, 0);
	assert_nothing();
}

static int block(void)
{
	assert_int_equal(unlink(at("store/c/vm/d0/replica.raw.partial")), 0);
	put_folder("store/c/vm/d0/replica.raw.partial");
	return -ECANCELED;
}

/* Something that it made cannot be removed: that is said, and nothing comes on top of it. */
static void import__leaves_what_cannot_be_removed(void **state)
{
	struct watch w = { .fatal = PIECES + 1, .what = block }, again = { 0 };
	struct import_result result;
	struct reason reason = { 0 };
	struct store_replica r;

	assert_int_equal(import(&w, &result, NULL), -ECANCELED);
	assert_int_equal(shown(), 1);
	store_status(store, take_status, &r);
	assert_non_null(strstr(r.error, at("store/c/vm/d0/replica.raw.partial")));
	assert_true(import(&again, &result, &reason) < 0);
	assert_int_equal(reason.code, REASON_NOT_AVAILABLE);
	assert_int_equal(again.calls, 0);
	assert_int_equal(rmdir(at("store/c/vm/d0/replica.raw.partial")), 0);
	assert_int_equal(import(&again, &result, NULL), 0);
	assert_int_equal(shown(), 2);
}

/* Another disk of a collection whose VMs run here */
static void import__into_a_failover(void **state)
{
	struct catalog_failover row = { .collection = "c", .kind = FAILOVER_REAL,
					.state = FAILOVER_MADE, .point = 1 };
	struct import_result result;
	struct watch w = { 0 };
	struct reason reason = { 0 };

	assert_int_equal(import(&w, &result, NULL), 0);
	assert_int_equal(catalog_failover_set(store_catalog(store), &row), 0);
	assert_int_equal(unlink(at("in/c/vm/d0/replica.raw")), 0);
	assert_int_equal(rmdir(at("in/c/vm/d0")), 0);
	put_folder("in/c/vm/d2");
	put_copy("in/c/vm/d2/replica.raw", PIECES);
	assert_int_equal(unlink(at("in/c/vm/d1/replica.raw")), 0);
	assert_int_equal(rmdir(at("in/c/vm/d1")), 0);
	assert_int_equal(import_run(store, "c", at("in"), NULL, &result, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "failed over to point 1"));
	assert_int_equal(shown(), 2);
	assert_int_equal(catalog_failover_clear(store_catalog(store), "c", FAILOVER_REAL), 0);
	assert_int_equal(import_run(store, "c", at("in"), NULL, &result, NULL), 0);
	assert_int_equal(shown(), 3);
}

static int set_up(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/tidemark-import.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	put_folder("in");
	put_folder("in/c");
	put_folder("in/c/vm");
	put_folder("in/c/vm/d0");
	put_folder("in/c/vm/d1");
	put_copy("in/c/vm/d0/replica.raw", PIECES);
	put_copy("in/c/vm/d1/replica.raw", PIECES);
	return store_open(at("store"), NULL, NULL, 0, &store, NULL);
}

static int tear_down(void **state)
{
	store = store_close(store);
	return scratch_remove(folder);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(import__takes_all),
		TEST(import__is_stopped),
		TEST(import__of_what_is_cut),
		TEST(import__of_what_vanishes),
		TEST(import__of_what_is_no_disk),
		TEST(import__leaves_what_cannot_be_removed),
		TEST(import__into_a_failover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
