// SPDX-License-Identifier: GPL-2.0-or-later
/* The table of trackers. The command is no library: its files are compiled in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/scratch.h"
#include "tidemark/size.c"
#include "tidemark/trackers.c"

static char folder[] = "/tmp/tidemark-trackers-XXXXXX";
static char path[64];

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/trackers.conf", folder);
	return 0;
}

static int teardown(void **state)
{
	return scratch_remove(folder);
}

static void file_write(const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void file_is(const char *wanted)
{
	char text[4096];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	assert_string_equal(text, wanted);
}

static void refused(const char *text, const char *wanted)
{
	struct trackers t = { 0 };
	char why[TRACKERS_WHY] = "";

	file_write(text);
	assert_int_equal(trackers_load(path, &t, why), -EINVAL);
	assert_null(t.list);
	if (!strstr(why, wanted) || !strstr(why, path))
		fail_msg("\"%s\" does not say \"%s\"", why, wanted);
}

static void trackers__everything(void **state)
{
	struct trackers t = { 0 };
	char why[TRACKERS_WHY];

	file_write("# a comment\n\n"
		   "web01 /dev/disk/by-id/x granule=16K,read-only\n"
		   "\t-\t/dev/vg0/web02\t-   \n"
		   "db /dev/y meta=tail\n"
		   "  # another\n"
		   "- /dev/mapper/z granule=4M,meta=/dev/m");
	assert_int_equal(trackers_load(path, &t, why), 0);
	assert_int_equal(t.count, 4);
	assert_string_equal(t.list[0].name, "web01");
	assert_string_equal(t.list[0].device, "/dev/disk/by-id/x");
	assert_int_equal(t.list[0].granule_sectors, 32);
	assert_true(t.list[0].read_only);
	assert_null(t.list[1].name);
	assert_string_equal(t.list[1].device, "/dev/vg0/web02");
	assert_int_equal(t.list[1].granule_sectors, 0);
	assert_string_equal(t.list[2].name, "db");
	assert_string_equal(t.list[2].meta, TIDEMARK_META_TAIL);
	assert_int_equal(t.list[3].granule_sectors, 8192);
	assert_string_equal(t.list[3].meta, "/dev/m");
	trackers_free(&t);
	assert_null(t.list);
}

static void trackers__no_file_is_an_empty_table(void **state)
{
	struct trackers t = { 0 };
	char why[TRACKERS_WHY];

	assert_int_equal(trackers_load("/nonexistent/t", &t, why), 0);
	assert_int_equal(t.count, 0);
	assert_int_equal(trackers_load("/dev/null/t", &t, why), -ENOTDIR);
	assert_non_null(strstr(why, "/dev/null/t"));
}

static void trackers__errors_say_where_and_what(void **state)
{
	refused("web01\n", ":1: 'web01', expected NAME DEVICE [OPTIONS]");
	refused("# x\nweb01 /dev/x - more\n", ":2: 'more', expected NAME DEVICE");
	refused("web01 dev/x\n", ":1: 'dev/x', expected the path of a device");
	refused("/dev/x web01\n", ":1: '/dev/x', expected a name, or -");
	refused("a /dev/x granule=5K\n", "'granule=5K', expected granule=4K to");
	refused("a /dev/x granule=\n", "expected granule=4K to");
	refused("a /dev/x read-only,fast\n", "'fast', expected granule=SIZE, meta=/DEVICE, meta=tail or read-only");
	refused("- /dev/x read-only\n", "expected read-only with a name only");
	refused("- /dev/x meta=tail\n", "expected meta=tail with a name only");
	refused("a /dev/x meta=tails\n", "'meta=tails', expected");
	refused("a /dev/x\na /dev/y\n", ":2: 'a', expected one line for each tracker");
	refused("- /dev/x\n- /dev/x\n", ":2: '/dev/x', expected one line for each");
}

static void trackers__save_and_forget(void **state)
{
	static const struct tidemark_attach web = { .device = "/dev/a", .name = "web" };
	static const struct tidemark_attach web2 = { .device = "/dev/b", .name = "web",
						     .granule_sectors = 32, .read_only = true };
	static const struct tidemark_attach slid = { .device = "/dev/mapper/vg-x" };

	unlink(path);
	assert_int_equal(trackers_forget(path, "web"), -ENOENT);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(trackers_save(path, &web), 0);
	file_write("# mine\n  web /dev/old -\nother /dev/o\nnot understood at all here\nlast /dev/l");
	assert_int_equal(trackers_save(path, &web2), 0);
	file_is("# mine\nother /dev/o\nnot understood at all here\nlast /dev/l\n"
		"web\t/dev/b\tgranule=16K,read-only\n");
	assert_int_equal(trackers_save(path, &slid), 0);
	assert_int_equal(trackers_save(path, &slid), 0);
	assert_int_equal(trackers_forget(path, "nothing"), -ENOENT);
	/* the name of the device is as good as its path, in both ways */
	assert_int_equal(trackers_forget(path, "vg-x"), 0);
	assert_int_equal(trackers_forget(path, "/dev/mapper/web"), 0);
	file_is("# mine\nother /dev/o\nnot understood at all here\nlast /dev/l\n");
}

static void trackers__a_file_that_cannot_be_replaced_stays(void **state)
{
	static const struct tidemark_attach web = { .device = "/dev/a", .name = "web" };
	char new[80];

	file_write("x /dev/x\n");
	snprintf(new, sizeof(new), "%s.new", path);
	assert_int_equal(mkdir(new, 0700), 0);
	assert_int_equal(trackers_save(path, &web), -EISDIR);
	file_is("x /dev/x\n");
	assert_int_equal(rmdir(new), 0);
}

static void trackers__names_that_stay(void **state)
{
	char link_path[80], *stable = NULL;

	assert_int_equal(trackers_stable("/nonexistent/disk", &stable), -ENOENT);
	assert_int_equal(trackers_stable(folder, &stable), -ENOENT);
	assert_null(stable);
	snprintf(link_path, sizeof(link_path), "%s/link", folder);
	assert_int_equal(symlink("/dev/null", link_path), 0);
	assert_int_equal(trackers_stable(link_path, &stable), 0);
	assert_string_equal(stable, link_path);
	free(stable);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trackers__everything),
		cmocka_unit_test(trackers__no_file_is_an_empty_table),
		cmocka_unit_test(trackers__errors_say_where_and_what),
		cmocka_unit_test(trackers__save_and_forget),
		cmocka_unit_test(trackers__a_file_that_cannot_be_replaced_stays),
		cmocka_unit_test(trackers__names_that_stay),
	};

	return cmocka_run_group_tests_name("tidemark/trackers", tests, setup, teardown);
}
