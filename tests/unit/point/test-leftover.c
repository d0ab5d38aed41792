// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an earlier life left half-done, and cannot be removed: a folder in the place of a
 * file, which nobody can unlink, root included. It is the fault of one collection, and the
 * others are cleared up as ever.
 */
#include "point/clear.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "point/catalog-failover.h"
#include "point/catalog-point.h"
#include "point/fault.h"
#include "point/file.h"
#include "tests/unit/scratch.h"

static char folder[64];
static struct store *store;

static void reopen(void)
{
	store_close(store);
	store = NULL;
	assert_int_equal(store_open(folder, NULL, NULL, 0, &store, NULL), 0);
	assert_int_equal(store_recover(store, NULL), 0);
}

/* The path of a file in the folder of a collection's only disk, which is made. */
static const char *at(const char *collection, const char *file)
{
	static char path[STORE_PATH_MAX];

	assert_int_equal(store_make_folder(store, collection, "vm", "vda", NULL), 0);
	snprintf(path, sizeof(path), "%s/%s/vm/vda/%s", folder, collection, file);
	return path;
}

static void put_file(const char *collection, const char *file)
{
	int fd = open(at(collection, file), O_CREAT | O_WRONLY, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void put_folder(const char *collection, const char *file)
{
	assert_int_equal(mkdir(at(collection, file), 0700), 0);
}

static int64_t put_row(const char *collection)
{
	struct catalog_disk d = { .size = 65536, .granule = 65536, .identity = "file" };
	int64_t id;

	snprintf(d.collection, sizeof(d.collection), "%s", collection);
	snprintf(d.vm, sizeof(d.vm), "vm");
	snprintf(d.name, sizeof(d.name), "vda");
	snprintf(d.path, sizeof(d.path), "%s", at(collection, "replica.raw"));
	assert_int_equal(catalog_seed(store_catalog(store), &d, &id), 0);
	return id;
}

/* A collection with one point, which is its raw replica. */
static void put_point(const char *collection)
{
	struct catalog_entry entry = { .disk = put_row(collection), .size = 65536,
				       .granule = 65536, .epoch = 1 };

	put_file(collection, "replica.raw");
	assert_int_equal(catalog_commit(store_catalog(store), collection, 1,
					&(struct catalog_label){ .consistency = 2, .history = -1 },
					&entry, 1), 0);
}

static int find_replica(const struct store_replica *r, void *arg)
{
	struct store_replica *wanted = arg;

	if (strcmp(r->collection, wanted->collection))
		return 0;
	*wanted = *r;
	return 1;
}

/* Is it shown? */
static bool shown(const char *collection, struct store_replica *ret)
{
	*ret = (struct store_replica){ 0 };
	snprintf(ret->collection, sizeof(ret->collection), "%s", collection);
	return store_status(store, find_replica, ret) == 1;
}

static void assert_fault(const char *collection, const char *path)
{
	struct reason reason = { 0 };

	assert_true(store_fault(store, collection, &reason));
	assert_int_equal(reason.code, REASON_NOT_AVAILABLE);
	assert_non_null(strstr(reason.text, path));
	assert_non_null(strstr(reason.text, collection));
	/* Who is about to begin something is told the same. */
	reason = (struct reason){ 0 };
	assert_true(store_mend(store, collection, &reason) < 0);
	assert_int_equal(reason.code, REASON_NOT_AVAILABLE);
	assert_non_null(strstr(reason.text, path));
}

static void leftover__is_the_fault_of_one_collection(void **state)
{
	put_folder("a", "point-1.qcow2.partial");
	put_file("b", "point-1.qcow2.partial");
	put_folder("c", "point-1.qcow2");
	put_file("d", "point-1.qcow2");
	reopen();
	assert_fault("a", at("a", "point-1.qcow2.partial"));
	assert_fault("c", at("c", "point-1.qcow2"));
	assert_false(file_exists(at("b", "point-1.qcow2.partial")));
	assert_false(file_exists(at("d", "point-1.qcow2")));
	assert_false(store_fault(store, "b", NULL));
	assert_int_equal(store_mend(store, "b", NULL), 0);
	assert_int_equal(rmdir(at("a", "point-1.qcow2.partial")), 0);
	assert_int_equal(store_mend(store, "a", NULL), 0);
	assert_false(store_fault(store, "a", NULL));
	assert_true(store_fault(store, "c", NULL));
}

static void leftover__of_a_first_point(void **state)
{
	struct store_replica r;

	put_row("a");
	put_folder("a", "replica.raw.partial");
	put_row("b");
	put_file("b", "replica.raw.partial");
	put_point("c");
	reopen();
	/* Its row stays for as long as there is something that it is needed for. */
	assert_fault("a", at("a", "replica.raw.partial"));
	assert_true(shown("a", &r));
	assert_int_equal(r.state, STORE_SEEDING);
	assert_string_equal(r.path, "");
	assert_non_null(strstr(r.error, at("a", "replica.raw.partial")));
	assert_false(shown("b", &r));
	assert_true(shown("c", &r));
	assert_int_equal(r.state, STORE_READY);
	assert_string_equal(r.error, "");
	assert_string_equal(r.path, at("c", "replica.raw"));
	assert_int_equal(rmdir(at("a", "replica.raw.partial")), 0);
	assert_int_equal(store_mend(store, "a", NULL), 0);
	assert_false(shown("a", &r));
}

static void leftover__over_a_point_that_stands(void **state)
{
	struct store_replica r;

	put_point("a");
	put_folder("a", "point-2.qcow2.partial");
	reopen();
	assert_fault("a", at("a", "point-2.qcow2.partial"));
	assert_true(shown("a", &r));
	assert_int_equal(r.state, STORE_READY);
	assert_int_equal(r.point, 1);
	assert_string_equal(r.path, at("a", "replica.raw"));
	assert_string_not_equal(r.error, "");
}

static void leftover__of_what_was_given_up(void **state)
{
	struct clear_report report;
	struct reason reason = { 0 };
	struct store_replica r;

	put_point("a");
	put_point("b");
	put_folder("a", "point-2.qcow2.partial");
	assert_true(clear_run(store, "a", &report, &reason) < 0);
	assert_non_null(strstr(reason.text, at("a", "point-2.qcow2.partial")));
	/* It cannot be taken back, so nothing may come on top of it: now, and after a start. */
	for (int start = 0; start < 2; start++) {
		assert_fault("a", at("a", "point-2.qcow2.partial"));
		assert_true(shown("a", &r));
		assert_int_equal(r.state, STORE_SEEDING);
		assert_int_equal(r.point, 0);
		assert_string_equal(r.path, "");
		assert_true(shown("b", &r));
		assert_string_equal(r.error, "");
		reopen();
	}
	assert_int_equal(rmdir(at("a", "point-2.qcow2.partial")), 0);
	assert_int_equal(clear_run(store, "a", &report, NULL), 0);
	free(report.disks);
	assert_false(store_fault(store, "a", NULL));
	assert_false(shown("a", &r));
}

/* Until the others are given up it is kept by nothing else: it may be beyond the limit. */
static void leftover__of_a_failover_that_was_committed(void **state)
{
	struct catalog_failover row = { .collection = "a", .kind = FAILOVER_REAL,
					.state = FAILOVER_COMMITTING, .point = 1 };

	put_point("a");
	assert_int_equal(catalog_failover_set(store_catalog(store), &row), 0);
	reopen();
	assert_int_equal(store_retire(store, "a", 1), -EBUSY);
	row.state = FAILOVER_COMMITTED;
	assert_int_equal(catalog_failover_set(store_catalog(store), &row), 0);
	reopen();
	assert_false(store_pinned(store, "a", 1));
}

/* A test of a point can begin while a collection is cleared up that is in use already. */
static void leftover__leaves_what_a_test_makes(void **state)
{
	put_folder("a", "point-2.qcow2");
	put_file("a", "test.qcow2.partial");
	reopen();
	put_file("a", "test.qcow2.partial");
	put_file("a", "point-3.qcow2.partial");
	assert_int_equal(rmdir(at("a", "point-2.qcow2")), 0);
	assert_int_equal(store_mend(store, "a", NULL), 0);
	assert_true(file_exists(at("a", "test.qcow2.partial")));
	assert_false(file_exists(at("a", "point-3.qcow2.partial")));
	reopen();
	assert_false(file_exists(at("a", "test.qcow2.partial")));
}

/* A folder that cannot be looked into may hold anything: here a link that leads nowhere. */
static void leftover__in_a_folder_that_is_closed(void **state)
{
	char path[STORE_PATH_MAX], aside[STORE_PATH_MAX + 8];

	put_point("a");
	snprintf(path, sizeof(path), "%s/a", folder);
	snprintf(aside, sizeof(aside), "%s/.aside", folder);
	put_file("a", "point-2.qcow2.partial");
	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(symlink("a", path), 0);
	reopen();
	assert_true(store_fault(store, "a", NULL));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(aside, path), 0);
	assert_int_equal(store_mend(store, "a", NULL), 0);
	assert_false(file_exists(at("a", "point-2.qcow2.partial")));
}

static void faults__by_name(void **state)
{
	struct reason why = { REASON_FAILED, "one" }, got;
	char name[NAME_SIZE] = "";
	struct faults *f;

	assert_int_equal(faults_create(&f), 0);
	assert_false(faults_next(f, "", name));
	assert_int_equal(faults_set(f, "b", &why), 0);
	assert_int_equal(faults_set(f, "c", &why), 0);
	assert_int_equal(faults_set(f, "a", &why), 0);
	snprintf(why.text, sizeof(why.text), "two");
	assert_int_equal(faults_set(f, "b", &why), 0);
	assert_true(faults_find(f, "b", &got));
	assert_string_equal(got.text, "two");
	assert_true(faults_find(f, "a", &got));
	assert_string_equal(got.text, "one");
	for (const char *wanted = "abc"; *wanted; wanted++) {
		assert_true(faults_next(f, name, name));
		assert_int_equal(name[0], *wanted);
	}
	assert_false(faults_next(f, name, name));
	faults_clear(f, "b");
	faults_clear(f, "none");
	assert_false(faults_find(f, "b", NULL));
	assert_true(faults_next(f, "a", name));
	assert_string_equal(name, "c");
	/* After one that is gone meanwhile */
	assert_true(faults_next(f, "b", name));
	assert_string_equal(name, "c");
	faults_destroy(f);
}

static int set_up(void **state)
{
	snprintf(folder, sizeof(folder), "/tmp/tidemark-leftover.XXXXXX");
	return mkdtemp(folder) ? store_open(folder, NULL, NULL, 0, &store, NULL) : -1;
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
		TEST(leftover__is_the_fault_of_one_collection),
		TEST(leftover__of_a_first_point),
		TEST(leftover__over_a_point_that_stands),
		TEST(leftover__of_what_was_given_up),
		TEST(leftover__of_a_failover_that_was_committed),
		TEST(leftover__leaves_what_a_test_makes),
		TEST(leftover__in_a_folder_that_is_closed),
		cmocka_unit_test(faults__by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
