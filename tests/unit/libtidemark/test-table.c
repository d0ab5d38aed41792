// SPDX-License-Identifier: GPL-2.0-or-later
/* Device-mapper tables in memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libtidemark/table.h"

static struct table table_of(const char *type, const char *params)
{
	struct table t = { 0 };

	assert_int_equal(table_add(&t, 0, 2048, type, params), 0);
	return t;
}

static void sectors__rows_without_holes_add_up(void **state)
{
	struct table t = { 0 };

	assert_int_equal(table_sectors(&t), 0);
	assert_int_equal(table_add(&t, 0, 2048, "linear", "254:0 0"), 0);
	assert_int_equal(table_add(&t, 2048, 1000, "linear", "254:16 8"), 0);
	assert_int_equal(table_sectors(&t), 3048);
	table_free(&t);
	assert_int_equal(t.count, 0);
}

static void sectors__a_hole_or_an_overlap_is_refused(void **state)
{
	struct table t = table_of("linear", "254:0 0");

	assert_int_equal(table_add(&t, 2049, 1000, "linear", "254:16 8"), 0);
	assert_int_equal(table_sectors(&t), 0);
	table_free(&t);

	t = table_of("linear", "254:0 0");
	assert_int_equal(table_add(&t, 2047, 1000, "linear", "254:16 8"), 0);
	assert_int_equal(table_sectors(&t), 0);
	table_free(&t);
}

static void sectors__no_overflow(void **state)
{
	struct table t = table_of("linear", "254:0 0");

	assert_int_equal(table_add(&t, 2048, UINT64_MAX - 2047, "linear", "254:16 8"), 0);
	assert_int_equal(table_sectors(&t), 0);
	table_free(&t);
}

static void equal__sees_each_difference(void **state)
{
	struct table a = table_of("linear", "254:0 0"), b = table_of("linear", "254:0 0");
	struct table params = table_of("linear", "254:0 8"), type = table_of("zero", "254:0 0");

	assert_true(table_equal(&a, &b));
	assert_false(table_equal(&a, &params));
	assert_false(table_equal(&a, &type));
	b.targets[0].length++;
	assert_false(table_equal(&a, &b));
	b.targets[0].length--;
	assert_int_equal(table_add(&b, 2048, 8, "zero", ""), 0);
	assert_false(table_equal(&a, &b));
	table_free(&a);
	table_free(&b);
	table_free(&params);
	table_free(&type);
}

static void tracker__what_is_written_is_read(void **state)
{
	const struct table_tracker wanted = { .major = 253, .minor = 7, .granule_sectors = 8192 };
	struct table_tracker tracker = { 0 };
	struct table t = { 0 };

	assert_int_equal(table_add_tracker(&t, 4096, &wanted), 0);
	assert_string_equal(t.targets[0].type, "tidemark");
	assert_string_equal(t.targets[0].params, "253:7 - 8192");
	assert_int_equal(table_sectors(&t), 4096);
	assert_int_equal(table_get_tracker(&t, &tracker), 0);
	assert_memory_equal(&tracker, &wanted, sizeof(wanted));
	table_free(&t);
}

static void tracker__metadata_device(void **state)
{
	const struct table_tracker wanted = {
		.major = 253, .minor = 7, .granule_sectors = 128,
		.meta = true, .meta_major = 8, .meta_minor = 17,
		.identity = "LVM-abc", .boot = "11111111-1111-4111-8111-111111111111",
	};
	struct table_tracker tracker = { 0 };
	struct table t = { 0 };

	assert_int_equal(table_add_tracker(&t, 4096, &wanted), 0);
	assert_string_equal(t.targets[0].params,
			    "253:7 8:17 128 4 identity LVM-abc "
			    "boot 11111111-1111-4111-8111-111111111111");
	assert_int_equal(table_get_tracker(&t, &tracker), 0);
	assert_true(tracker.meta);
	assert_int_equal(tracker.meta_major, 8);
	assert_int_equal(tracker.meta_minor, 17);
	assert_int_equal(tracker.granule_sectors, 128);
	table_free(&t);
}

static void tracker__features_behind_are_borne(void **state)
{
	struct table t = table_of("tidemark", "253:7 254:3 128 1 something");
	struct table_tracker tracker;

	assert_int_equal(table_get_tracker(&t, &tracker), 0);
	assert_int_equal(tracker.granule_sectors, 128);
	table_free(&t);
}

static void tracker__none_of_other_types(void **state)
{
	struct table_tracker tracker = { .major = 1 };
	struct table t = table_of("linear", "253:7 - 128");

	assert_int_equal(table_get_tracker(&t, &tracker), -ENOMSG);
	assert_int_equal(tracker.major, 1);
	table_free(&t);
	assert_int_equal(table_get_tracker(&t, &tracker), -ENOMSG);
}

static void tracker__other_forms_are_not_ours(void **state)
{
	static const char *const params[] = {
		"", "253:7", "253:7 -", "253:7 - x", "253:7 - 128x", "/dev/vda - 128",
	};
	struct table_tracker tracker = { .major = 1 };
	struct table t;

	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++) {
		t = table_of("tidemark", params[i]);
		assert_int_equal(table_get_tracker(&t, &tracker), -EOPNOTSUPP);
		table_free(&t);
	}
	t = table_of("tidemark", "253:7 - 128");
	assert_int_equal(table_add(&t, 2048, 8, "zero", ""), 0);
	assert_int_equal(table_get_tracker(&t, &tracker), -EOPNOTSUPP);
	assert_int_equal(tracker.major, 1);
	table_free(&t);
}

static void movable__only_targets_without_a_state(void **state)
{
	static const char *const fixed[] = {
		"snapshot", "snapshot-origin", "thin", "thin-pool", "raid", "mirror", "cache",
		"era", "integrity", "writecache", "tidemark", "lin", "linear2",
	};
	struct table t = table_of("linear", "254:0 0");

	assert_int_equal(table_add(&t, 2048, 8, "crypt", "..."), 0);
	assert_true(table_is_movable(&t));
	table_free(&t);
	assert_false(table_is_movable(&t));

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		t = table_of("linear", "254:0 0");
		assert_int_equal(table_add(&t, 2048, 8, fixed[i], "..."), 0);
		assert_false(table_is_movable(&t));
		table_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sectors__rows_without_holes_add_up),
		cmocka_unit_test(sectors__a_hole_or_an_overlap_is_refused),
		cmocka_unit_test(sectors__no_overflow),
		cmocka_unit_test(equal__sees_each_difference),
		cmocka_unit_test(tracker__what_is_written_is_read),
		cmocka_unit_test(tracker__metadata_device),
		cmocka_unit_test(tracker__features_behind_are_borne),
		cmocka_unit_test(tracker__none_of_other_types),
		cmocka_unit_test(tracker__other_forms_are_not_ours),
		cmocka_unit_test(movable__only_targets_without_a_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
