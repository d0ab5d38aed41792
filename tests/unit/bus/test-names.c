// SPDX-License-Identifier: GPL-2.0-or-later
/* Object paths both ways, texts that D-Bus takes, errors for codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "bus/objects.h"

static void paths__there_and_back(void **state)
{
	static const char *const names[] = {
		"web", "web-1", "a.b_c", "0", "Z9", "x_2dy",
		"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz--._-_.-ABC",
	};
	char path[BUS_PATH_SIZE], collection[NAME_SIZE], vm[NAME_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		bus_collection_path(names[i], path);
		assert_true(sd_bus_object_path_is_valid(path));
		assert_true(bus_collection_of(path, collection));
		assert_string_equal(collection, names[i]);
		assert_false(bus_vm_of(path, collection, vm));
		bus_vm_path(names[i], names[ARRAY_SIZE(names) - 1 - i], path);
		assert_true(sd_bus_object_path_is_valid(path));
		assert_true(bus_vm_of(path, collection, vm));
		assert_string_equal(collection, names[i]);
		assert_string_equal(vm, names[ARRAY_SIZE(names) - 1 - i]);
		assert_false(bus_collection_of(path, collection));
	}
	assert_string_equal(bus_collection_path("web-1", path),
			    "/org/tidemark/Replication1/Collection/web_2d1");
}

static void paths__what_is_none(void **state)
{
	static const char *const paths[] = {
		"/", "/org/tidemark/Replication1", "/org/tidemark/Replication1/Collection",
		"/org/tidemark/Replication1/Collection/web/", "/org/tidemark/Replication1/Job/x",
		/* what is decoded is no name */
		"/org/tidemark/Replication1/Collection/_2e_2e", "/org/tidemark/Replication1/Collection/_",
		"/org/tidemark/Replication1/Collection/a_2fb",
		"/org/tidemark/Replication1/Collection/_2dweb",
		"/org/tidemark/Replication1/Collection/web/VM/_2e",
	};
	char collection[NAME_SIZE], vm[NAME_SIZE];
	uint64_t job;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_false(bus_collection_of(paths[i], collection));
		assert_false(bus_vm_of(paths[i], collection, vm));
		assert_false(bus_job_of(paths[i], &job));
	}
}

static void paths__one_for_each_job(void **state)
{
	static const char *const bad[] = {
		BUS_JOB_PATH "/0", BUS_JOB_PATH "/01", BUS_JOB_PATH "/-1", BUS_JOB_PATH "/+1",
		BUS_JOB_PATH "/ 1", BUS_JOB_PATH "/1/2", BUS_JOB_PATH "/1x", BUS_JOB_PATH "/",
		BUS_JOB_PATH "/18446744073709551616",
	};
	char path[BUS_PATH_SIZE];
	uint64_t job = 0;

	assert_true(bus_job_of(bus_job_path(UINT64_MAX, path), &job));
	assert_true(job == UINT64_MAX);
	assert_string_equal(bus_job_path(7, path), BUS_JOB_PATH "/7");
	assert_string_equal(bus_job_path(0, path), "/");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (bus_job_of(bad[i], &job))
			fail_msg("%s is taken for a job", bad[i]);
	}
}

static void text__utf8_and_the_rest(void **state)
{
	static const struct {
		const char *text;
		const char *clean;
	} cases[] = {
		{ "", "" }, { "web", "web" }, { "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "caf\xe9", "caf?" }, { "\xe2\x82\xac", "\xe2\x82\xac" },
		{ "\xe2\x82", "??" }, { "\xf0\x9f\x90\xb3", "\xf0\x9f\x90\xb3" },
		{ "\xc0\x80", "??" }, { "\xe0\x80\x80", "???" }, { "\xed\xa0\x80", "???" },
		{ "\xf4\x90\x80\x80", "????" }, { "\xf8", "?" }, { "\x80", "?" }, { "\xff\xfe", "??" },
	};
	char text[16];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(bus_text(cases[i].text, text, sizeof(text)), cases[i].clean);
	assert_string_equal(bus_text(NULL, text, sizeof(text)), "");
}

/* A sequence is never cut in two, whatever room there is. */
static void text__cut_between_characters(void **state)
{
	static const char euros[] = "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";
	char text[16];

	for (size_t size = 1; size <= sizeof(euros); size++) {
		const char *clean = bus_text(euros, text, size);

		assert_int_equal(strlen(clean), (size - 1) / 3 * 3);
		assert_memory_equal(clean, euros, strlen(clean));
	}
}

static void refuse__name_and_number(void **state)
{
	static const struct {
		uint32_t code;
		const char *name;
	} cases[] = {
		{ 32768, "org.tidemark.Replication1.Error.Failed" },
		{ 32769, "org.freedesktop.DBus.Error.AccessDenied" },
		{ 32770, "org.freedesktop.DBus.Error.NotSupported" },
		{ 32771, "org.tidemark.Replication1.Error.StatusUnknown" },
		{ 32772, "org.freedesktop.DBus.Error.Timeout" },
		{ 32773, "org.freedesktop.DBus.Error.InvalidArgs" },
		{ 32774, "org.tidemark.Replication1.Error.InUse" },
		{ 32775, "org.tidemark.Replication1.Error.InvalidState" },
		{ 32776, "org.freedesktop.DBus.Error.InvalidArgs" },
		{ 32777, "org.tidemark.Replication1.Error.NotAvailable" },
		{ 32778, "org.freedesktop.DBus.Error.NoMemory" },
		{ 32779, "org.freedesktop.DBus.Error.FileNotFound" },
		{ 32780, "org.tidemark.Replication1.Error.Failed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		sd_bus_error error = SD_BUS_ERROR_NULL;
		struct reason reason = { .code = cases[i].code, .text = "so\xff" };
		char number[16];

		assert_true(bus_refuse(&error, &reason) < 0);
		assert_string_equal(error.name, cases[i].name);
		snprintf(number, sizeof(number), "%u: so?", cases[i].code);
		assert_string_equal(error.message, number);
		sd_bus_error_free(&error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths__there_and_back),
		cmocka_unit_test(paths__what_is_none),
		cmocka_unit_test(paths__one_for_each_job),
		cmocka_unit_test(text__utf8_and_the_rest),
		cmocka_unit_test(text__cut_between_characters),
		cmocka_unit_test(refuse__name_and_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
