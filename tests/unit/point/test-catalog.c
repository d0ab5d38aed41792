// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/catalog-point.h"

#include "point/catalog-failover.h"
#include "point/catalog-staging.h"
#include "tests/unit/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char folder[] = "/tmp/tidemark-catalog.XXXXXX";
static char path[64];

static struct catalog *fresh(void)
{
	struct catalog *c;

	snprintf(path, sizeof(path), "%s/state.db", folder);
	unlink(path);
	assert_int_equal(catalog_open(path, &c, NULL), 0);
	return c;
}

static struct catalog *again(struct catalog *c)
{
	catalog_close(c);
	assert_int_equal(catalog_open(path, &c, NULL), 0);
	return c;
}

static int64_t seed(struct catalog *c, const char *collection, const char *name)
{
	struct catalog_disk d = { .size = MIB(1), .granule = 65536, .vm = "vm" };
	int64_t id;

	snprintf(d.collection, NAME_SIZE, "%s", collection);
	snprintf(d.name, NAME_SIZE, "%s", name);
	snprintf(d.path, sizeof(d.path), "/store/%s/%s", collection, name);
	snprintf(d.identity, sizeof(d.identity), "file");
	assert_int_equal(catalog_seed(c, &d, &id), 0);
	return id;
}

static struct catalog_disk row(struct catalog *c, const char *name)
{
	struct catalog_disk d;

	assert_int_equal(catalog_find(c, "web", "vm", name, &d), 1);
	return d;
}

static const struct catalog_label label = { .consistency = 2, .history = -1 };

static void commit(struct catalog *c, uint64_t number, int64_t disk, const char *file,
		   uint64_t epoch)
{
	struct catalog_entry e = { .disk = disk, .file = file, .size = MIB(2), .granule = 4096,
				   .tracker = "0123456789abcde", .epoch = epoch };

	assert_int_equal(catalog_commit(c, "web", number, &label, &e, 1), 0);
}

static void catalog__a_seed_has_no_point(void **state)
{
	struct catalog *c = fresh();
	struct catalog_disk d;
	uint64_t next;

	assert_int_equal(catalog_find(c, "web", "vm", "vda", &d), 0);
	assert_int_equal(catalog_next_point(c, "web", &next), 0);
	assert_int_equal(next, 1);
	seed(c, "web", "vda");
	c = again(c);
	d = row(c, "vda");
	assert_int_equal(d.state, CATALOG_SEEDING);
	assert_int_equal(d.point, 0);
	assert_string_equal(d.path, "/store/web/vda");
	catalog_close(c);
}

static void catalog__commit_and_merge(void **state)
{
	struct catalog *c = fresh();
	int64_t id = seed(c, "web", "vda");
	struct catalog_disk d;
	uint64_t next;

	commit(c, 1, id, NULL, 5);
	commit(c, 2, id, "point-2.qcow2", 6);
	c = again(c);
	d = row(c, "vda");
	assert_int_equal(d.state, CATALOG_READY);
	assert_int_equal(d.point, 2);
	assert_int_equal(d.epoch, 6);
	assert_int_equal(d.size, MIB(2));
	assert_int_equal(d.granule, 4096);
	assert_memory_equal(d.tracker, "0123456789abcde", 16);
	assert_string_equal(d.file, "point-2.qcow2");
	assert_true(d.created > 1600000000);
	assert_int_equal(catalog_next_point(c, "web", &next), 0);
	assert_int_equal(next, 3);
	assert_int_equal(catalog_absorbed(c, id, 2, 0, NULL, 0), 0);
	d = row(c, "vda");
	assert_string_equal(d.file, "");
	assert_int_equal(d.point, 2);
	catalog_close(c);
}

static void catalog__all_disks_or_none(void **state)
{
	struct catalog *c = fresh();
	int64_t id = seed(c, "web", "vda");
	struct catalog_entry e[] = {
		{ .disk = id, .size = 512, .granule = 4096, .epoch = 9 },
		{ .disk = id + 100, .size = 512, .granule = 4096, .epoch = 9 },
	};
	uint64_t next;

	assert_true(catalog_commit(c, "web", 1, &label, e, 2) < 0);
	assert_false(catalog_poisoned(c));
	assert_int_equal(row(c, "vda").state, CATALOG_SEEDING);
	assert_int_equal(catalog_next_point(c, "web", &next), 0);
	assert_int_equal(next, 1);
	catalog_close(c);
}

static void catalog__a_number_is_given_once(void **state)
{
	struct catalog *c = fresh();
	int64_t id = seed(c, "web", "vda");
	struct catalog_entry e = { .disk = id, .size = 512, .granule = 4096, .epoch = 9 };

	commit(c, 1, id, NULL, 1);
	assert_true(catalog_commit(c, "web", 1, &label, &e, 1) < 0);
	assert_int_equal(row(c, "vda").epoch, 1);
	catalog_close(c);
}

static void catalog__seeding_anew_forgets(void **state)
{
	struct catalog *c = fresh();
	int64_t id = seed(c, "web", "vda");

	commit(c, 1, id, NULL, 1);
	commit(c, 2, id, "point-2.qcow2", 2);
	seed(c, "web", "vda");
	assert_int_equal(row(c, "vda").point, 0);
	assert_string_equal(row(c, "vda").file, "");
	catalog_close(c);
}

static void catalog__what_was_begun_is_forgotten(void **state)
{
	struct catalog_staging s = { .mode = 1, .epoch = 3, .size = MIB(1), .granule = 4096 };
	struct catalog *c = fresh();
	struct catalog_disk d;

	s.disk = seed(c, "web", "vda");
	assert_int_equal(catalog_staging_settle(c, &s, NULL, 0), 0);
	assert_int_equal(catalog_unseed(c, s.disk), 0);
	c = again(c);
	assert_int_equal(catalog_find(c, "web", "vm", "vda", &d), 0);
	assert_int_equal(catalog_staging_find(c, s.disk, &s), 0);
	catalog_close(c);
}

static void catalog__what_has_a_point_is_not(void **state)
{
	struct catalog *c = fresh();
	int64_t id = seed(c, "web", "vda");

	commit(c, 1, id, NULL, 5);
	assert_int_equal(catalog_unseed(c, id), 0);
	assert_int_equal(row(c, "vda").point, 1);
	catalog_close(c);
}

static void catalog__damage_takes_the_tracker(void **state)
{
	static const uint8_t none[16];
	struct catalog_layer *layers;
	size_t count;
	struct catalog *c = fresh();
	int64_t id = seed(c, "web", "vda");

	commit(c, 1, id, NULL, 1);
	commit(c, 2, id, "point-2.qcow2", 2);
	commit(c, 3, id, "point-3.qcow2", 3);
	assert_int_equal(catalog_damaged(c, id, 2, true), 0);
	assert_int_equal(row(c, "vda").state, CATALOG_DAMAGED);
	assert_string_equal(row(c, "vda").file, "");
	assert_memory_equal(row(c, "vda").tracker, none, 16);
	assert_int_equal(catalog_layers(c, id, UINT64_MAX, &layers, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(layers[0].point, 1);
	assert_true(layers[0].broken);
	free(layers);
	commit(c, 4, id, "point-4.qcow2", 4);
	assert_int_equal(row(c, "vda").state, CATALOG_READY);
	catalog_close(c);
}

static void catalog__layers_of_points(void **state)
{
	static const uint8_t header[4096] = { 7 }, digest[16] = { 9 };
	struct catalog *c = fresh();
	int64_t a = seed(c, "web", "vda"), b = seed(c, "web", "vdb");
	struct catalog_point *points;
	struct catalog_layer *layers;
	struct catalog_header *headers;
	size_t count;

	assert_int_equal(catalog_history(c, "web"), -1);
	commit(c, 1, a, NULL, 1);
	commit(c, 2, b, NULL, 1);
	commit(c, 3, a, "point-3.qcow2", 2);
	commit(c, 4, a, "point-4.qcow2", 3);
	assert_int_equal(catalog_retire(c, "web", 3), 0);
	assert_int_equal(catalog_retire(c, "web", 3), -ENOENT);
	assert_int_equal(catalog_retire(c, "web", 9), -ENOENT);
	c = again(c);
	assert_int_equal(catalog_points(c, "web", &points, &count), 0);
	assert_int_equal(count, 3);
	assert_int_equal(points[2].number, 4);
	free(points);
	/* The layer is there until its work is done. */
	assert_int_equal(catalog_layers(c, a, 3, &layers, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(layers[0].file, "");
	assert_string_equal(layers[1].file, "point-3.qcow2");
	free(layers);
	assert_int_equal(catalog_absorbed(c, a, 3, 4, header, sizeof(header)), 0);
	assert_int_equal(catalog_digest(c, a, 4, digest), 0);
	c = again(c);
	assert_int_equal(catalog_headers(c, &headers, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(headers[0].size, sizeof(header));
	assert_int_equal(headers[0].point, 4);
	assert_string_equal(headers[0].at.file, "point-4.qcow2");
	free(headers);
	assert_int_equal(catalog_rebased(c, a, 4), 0);
	assert_int_equal(catalog_headers(c, &headers, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(catalog_layers(c, a, UINT64_MAX, &layers, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(layers[0].point, 3);
	assert_string_equal(layers[0].file, "");
	assert_true(layers[1].digested && layers[1].digest[0] == 9);
	free(layers);
	assert_int_equal(catalog_layers(c, b, 4, &layers, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(layers[0].point, 2);
	free(layers);
	catalog_close(c);
}

static void catalog__lists(void **state)
{
	struct catalog *c = fresh();
	int64_t a = seed(c, "web", "vda"), b = seed(c, "web", "vdb");
	struct catalog_disk *list;
	size_t count;

	seed(c, "db", "vda");
	commit(c, 1, a, NULL, 1);
	commit(c, 2, b, "point-2.qcow2", 1);
	assert_int_equal(catalog_list(c, NULL, &list, &count), 0);
	assert_int_equal(count, 3);
	assert_string_equal(list[0].collection, "db");
	assert_string_equal(list[2].name, "vdb");
	free(list);
	assert_int_equal(catalog_list(c, "web", &list, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(list[1].id, b);
	free(list);
	assert_int_equal(catalog_list(c, "none", &list, &count), 0);
	assert_int_equal(count, 0);
	catalog_close(c);
}

static void catalog__finds_who_has_a_place(void **state)
{
	struct catalog *c = fresh();
	struct catalog_disk d = { .collection = "web", .vm = "vm", .name = "vda", .size = 512,
				  .granule = 4096, .path = "/dev/x", .device = true,
				  .identity = "wwid:1" };
	int64_t id, other;

	assert_int_equal(catalog_seed(c, &d, &id), 0);
	assert_int_equal(catalog_find_other(c, "web", "vm", "new", "/dev/x", "wwid:2", &d), 1);
	assert_int_equal(catalog_find_other(c, "web", "vm", "new", "/dev/y", "wwid:1", &d), 1);
	assert_int_equal(d.id, id);
	assert_int_equal(catalog_find_other(c, "web", "vm", "new", "/dev/y", "wwid:2", &d), 0);
	assert_int_equal(catalog_find_other(c, "web", "vm", "vda", "/dev/x", "wwid:1", &d), 0);
	/* Two devices have exchanged their names: the one's path leads to the other's replica. */
	d = row(c, "vda");
	strcpy(d.name, "vdy");
	strcpy(d.path, "/dev/y");
	strcpy(d.identity, "wwid:2");
	assert_int_equal(catalog_seed(c, &d, &other), 0);
	assert_int_equal(catalog_find_other(c, "web", "vm", "vda", "/dev/x", "wwid:2", &d), 1);
	assert_int_equal(d.id, other);
	assert_int_equal(catalog_find_other(c, "web", "vm", "vdy", "/dev/y", "wwid:1", &d), 1);
	assert_int_equal(d.id, id);
	/* Devices without a name of their own are not all the same one. */
	strcpy(d.identity, "path");
	strcpy(d.name, "vdb");
	strcpy(d.path, "/dev/z");
	assert_int_equal(catalog_seed(c, &d, &id), 0);
	assert_int_equal(catalog_find_other(c, "web", "vm", "new", "/dev/w", "path", &d), 0);
	catalog_close(c);
}

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	return scratch_remove(folder);
}

/* Cut off with point 2 and 3, then merged: what the disk is not any more adds up. */
static void catalog__an_origin_is_of_one_failover(void **state)
{
	struct catalog *c = fresh();
	int64_t disk = seed(c, "web", "vda");
	struct catalog_origin cut = { .disk = disk, .epoch = 3, .size = MIB(2),
				      .tracker = "0123456789abcde" };
	struct catalog_origin more = { .disk = disk, .witness = "untouched" }, found;
	struct catalog_disk d;

	commit(c, 1, disk, NULL, 1);
	commit(c, 2, disk, "point-2.qcow2", 2);
	commit(c, 3, disk, "point-3.qcow2", 3);
	assert_int_equal(catalog_origin_find(c, "web", "vm", "vda", &found), 0);
	assert_int_equal(catalog_origin_add(&cut, 65536, 65536), 0);
	assert_int_equal(catalog_origin_add(&cut, 131072, 65536), 0);
	assert_int_equal(catalog_origin_add(&cut, 0, 4096), 0);
	assert_int_equal(cut.count, 2);
	assert_int_equal(catalog_cut(c, "web", 1, &cut, 1), 0);
	/* Done again after a crash, when the layers are gone: the first word holds. */
	cut.epoch = 9;
	assert_int_equal(catalog_cut(c, "web", 1, &cut, 1), 0);
	assert_int_equal(catalog_origin_add(&more, MIB(1), 4096), 0);
	assert_int_equal(catalog_taken(c, &more), 0);
	c = again(c);
	assert_int_equal(catalog_origin_find(c, "web", "vm", "vda", &found), 1);
	assert_int_equal(found.epoch, 3);
	assert_int_equal(found.size, MIB(2));
	assert_string_equal((const char *)found.tracker, "0123456789abcde");
	assert_string_equal(found.witness, "untouched");
	assert_false(found.covered);
	assert_int_equal(found.count, 3);
	assert_int_equal(found.ranges[0].offset, 0);
	assert_int_equal(found.ranges[1].offset, 65536);
	assert_int_equal(found.ranges[1].span, 131072);
	assert_int_equal(found.ranges[2].offset, MIB(1));
	catalog_origin_clear(&found);
	assert_int_equal(catalog_origin_cover(c, disk, (const uint8_t *)"fedcba987654321", 5), 0);
	assert_int_equal(catalog_origin_find(c, "web", "vm", "vda", &found), 1);
	assert_true(found.covered);
	assert_int_equal(found.cover_epoch, 5);
	catalog_origin_clear(&found);
	/* A disk that is adopted, or begun anew, is another one. */
	d = row(c, "vda");
	d.doubted = true;
	assert_int_equal(catalog_adopt(c, &d), 0);
	assert_int_equal(catalog_origin_find(c, "web", "vm", "vda", &found), 0);
	d = row(c, "vda");
	assert_true(d.adopted && d.doubted);
	assert_int_equal(d.state, CATALOG_DAMAGED);
	catalog_origin_clear(&cut);
	catalog_origin_clear(&more);
	catalog_close(c);
}

static void witness__sees_that_a_file_was_written(void **state)
{
	char before[WITNESS_MAX], after[WITNESS_MAX], name[80];
	FILE *f;

	snprintf(name, sizeof(name), "%s/file", folder);
	f = fopen(name, "w");
	assert_non_null(f);
	fputs("one", f);
	fflush(f);
	witness_take(name, before);
	witness_take(name, after);
	assert_string_not_equal(before, "");
	assert_string_equal(before, after);
	/* The clock of files goes in steps: what is written at once is seen all the same. */
	rewind(f);
	fputs("two", f);
	fflush(f);
	witness_take(name, after);
	assert_string_not_equal(before, after);
	fclose(f);
	unlink(name);
	witness_take(name, after);
	assert_string_equal(after, "");
	witness_take("/dev/null", after);
	assert_string_equal(after, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(catalog__a_seed_has_no_point),
		cmocka_unit_test(catalog__commit_and_merge),
		cmocka_unit_test(catalog__all_disks_or_none),
		cmocka_unit_test(catalog__a_number_is_given_once),
		cmocka_unit_test(catalog__seeding_anew_forgets),
		cmocka_unit_test(catalog__what_was_begun_is_forgotten),
		cmocka_unit_test(catalog__what_has_a_point_is_not),
		cmocka_unit_test(catalog__damage_takes_the_tracker),
		cmocka_unit_test(catalog__layers_of_points),
		cmocka_unit_test(catalog__lists),
		cmocka_unit_test(catalog__finds_who_has_a_place),
		cmocka_unit_test(catalog__an_origin_is_of_one_failover),
		cmocka_unit_test(witness__sees_that_a_file_was_written),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
