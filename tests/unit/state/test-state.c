// SPDX-License-Identifier: GPL-2.0-or-later
#include "state/state.h"
#include "tests/unit/scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/tidemark-state.XXXXXX";
static char path[64];

static const char *const migrations[] = {
	"CREATE TABLE one (a INTEGER PRIMARY KEY, b TEXT, c BLOB) STRICT;",
	"CREATE TABLE two (a INTEGER REFERENCES one(a)); INSERT INTO one (b) VALUES ('x');",
	"NONSENSE",
};

static int open_state(size_t count, struct state **ret)
{
	return state_open(path, migrations, count, ret);
}

static struct state *fresh(size_t count)
{
	struct state *s;
	char wal[80];

	snprintf(path, sizeof(path), "%s/state.db", folder);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	unlink(path);
	unlink(wal);
	assert_int_equal(open_state(count, &s), 0);
	return s;
}

static int64_t rows(struct state *s, const char *sql)
{
	_cleanup_query_ struct state_query *q = NULL;

	assert_int_equal(state_prepare(s, sql, &q), 0);
	assert_int_equal(state_step(q), 1);
	return state_int(q, 0);
}

static void state__the_file_is_private(void **unused)
{
	struct state *s = fresh(1);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	state_close(s);
}

static void state__migrates_once(void **unused)
{
	struct state *s = fresh(1);

	state_close(s);
	assert_int_equal(open_state(2, &s), 0);
	assert_int_equal(rows(s, "SELECT count(*) FROM one"), 1);
	state_close(s);
	assert_int_equal(open_state(2, &s), 0);
	assert_int_equal(rows(s, "SELECT count(*) FROM one"), 1);
	state_close(s);
	/* What an older version does with it: nothing. */
	assert_int_equal(open_state(1, &s), -EOPNOTSUPP);
}

static void state__a_failed_migration_leaves_the_older_one(void **unused)
{
	struct state *s = fresh(2);

	state_close(s);
	assert_true(open_state(3, &s) < 0);
	assert_int_equal(open_state(2, &s), 0);
	assert_int_equal(rows(s, "PRAGMA user_version"), 2);
	state_close(s);
}

static void state__is_durable(void **unused)
{
	struct state *s = fresh(1);
	_cleanup_query_ struct state_query *q = NULL;

	assert_int_equal(rows(s, "PRAGMA synchronous"), 2);
	assert_int_equal(rows(s, "PRAGMA foreign_keys"), 1);
	assert_int_equal(state_prepare(s, "PRAGMA journal_mode", &q), 0);
	assert_int_equal(state_step(q), 1);
	assert_string_equal(state_text(q, 0), "wal");
	q = state_query_free(q);
	state_close(s);
}

static void copy_file(const char *from, const char *to)
{
	char command[200];

	snprintf(command, sizeof(command), "cp %s %s", from, to);
	assert_int_equal(system(command), 0);
}

/*
 * The sync of a commit has failed, and the agent was killed: what the kernel shows of the
 * log may never have been written, and no sync would write it any more. So it is written
 * again.
 */
static void state__a_log_that_was_left_is_written_again(void **unused)
{
	static const struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char left[80], wal[80], left_wal[90];
	struct state *s = fresh(1), *again;
	struct stat st;

	snprintf(wal, sizeof(wal), "%s-wal", path);
	snprintf(left, sizeof(left), "%s/left.db", folder);
	snprintf(left_wal, sizeof(left_wal), "%s-wal", left);
	assert_int_equal(state_exec(s, "INSERT INTO one (b) VALUES ('y')"), 0);
	/* As it is found after a kill: nobody has closed it. */
	copy_file(path, left);
	copy_file(wal, left_wal);
	assert_int_equal(utimensat(AT_FDCWD, left_wal, long_ago, 0), 0);
	assert_int_equal(state_open(left, migrations, 1, &again), 0);
	assert_int_equal(stat(left_wal, &st), 0);
	assert_true(st.st_mtim.tv_sec > 1000);
	assert_int_equal(rows(again, "SELECT count(*) FROM one"), 1);
	state_close(again);
	state_close(s);
}

/* One that is in use would be given back what it has gone past. */
static void state__a_log_in_use_is_not(void **unused)
{
	static const struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct state *s = fresh(1), *other;
	struct stat st;
	char wal[80];

	snprintf(wal, sizeof(wal), "%s-wal", path);
	assert_int_equal(state_exec(s, "INSERT INTO one (b) VALUES ('y')"), 0);
	assert_int_equal(utimensat(AT_FDCWD, wal, long_ago, 0), 0);
	assert_int_equal(open_state(1, &other), 0);
	assert_int_equal(stat(wal, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(rows(other, "SELECT count(*) FROM one"), 1);
	state_close(other);
	state_close(s);
}

static void state__binds_and_reads(void **unused)
{
	struct state *s = fresh(1);
	struct state_query *q;
	uint8_t blob[8];

	assert_int_equal(state_prepare(s, "INSERT INTO one (a, b, c) VALUES (?, ?, ?)", &q), 0);
	state_bind_int(q, 1, INT64_MIN);
	state_bind_text(q, 2, "text");
	state_bind_blob(q, 3, "1234", 4);
	assert_int_equal(state_run(q), 0);
	state_bind_int(q, 1, 7);
	assert_int_equal(state_run(q), 0);
	assert_int_equal(state_last_id(s), 7);
	/* The same key again; then a parameter that is not there. */
	state_bind_int(q, 1, 7);
	assert_int_equal(state_run(q), -EEXIST);
	state_bind_int(q, 9, 7);
	assert_int_equal(state_run(q), -EINVAL);
	q = state_query_free(q);
	assert_int_equal(state_prepare(s, "SELECT a, b, c FROM one ORDER BY a", &q), 0);
	assert_int_equal(state_step(q), 1);
	assert_int_equal(state_int(q, 0), INT64_MIN);
	assert_string_equal(state_text(q, 1), "text");
	assert_int_equal(state_blob(q, 2, blob, sizeof(blob)), 4);
	assert_memory_equal(blob, "1234\0\0\0\0", 8);
	assert_int_equal(state_step(q), 1);
	assert_string_equal(state_text(q, 1), "");
	assert_int_equal(state_blob(q, 2, blob, sizeof(blob)), 0);
	assert_int_equal(state_step(q), 0);
	state_query_free(q);
	assert_true(state_prepare(s, "SELECT nothing", &q) < 0);
	state_close(s);
}

static void state__transactions(void **unused)
{
	struct state *s = fresh(2);

	assert_int_equal(state_begin(s), 0);
	assert_int_equal(state_exec(s, "INSERT INTO one (b) VALUES ('y')"), 0);
	state_rollback(s);
	assert_int_equal(rows(s, "SELECT count(*) FROM one"), 1);
	state_rollback(s);
	assert_int_equal(state_begin(s), 0);
	assert_int_equal(state_exec(s, "INSERT INTO one (b) VALUES ('y')"), 0);
	assert_int_equal(state_commit(s), 0);
	assert_int_equal(state_exec(s, "INSERT INTO two VALUES (1000)"), -EEXIST);
	state_close(s);
	assert_int_equal(open_state(2, &s), 0);
	assert_int_equal(rows(s, "SELECT count(*) FROM one"), 2);
	state_close(s);
}

static void state__refuses_what_is_no_database(void **unused)
{
	struct state *s = fresh(1);
	FILE *f;

	state_close(s);
	f = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is no database ", f);
	fclose(f);
	assert_int_equal(open_state(1, &s), -EUCLEAN);
}

static int make_folder(void **unused)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **unused)
{
	return scratch_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state__the_file_is_private),
		cmocka_unit_test(state__migrates_once),
		cmocka_unit_test(state__a_failed_migration_leaves_the_older_one),
		cmocka_unit_test(state__is_durable),
		cmocka_unit_test(state__a_log_that_was_left_is_written_again),
		cmocka_unit_test(state__a_log_in_use_is_not),
		cmocka_unit_test(state__binds_and_reads),
		cmocka_unit_test(state__transactions),
		cmocka_unit_test(state__refuses_what_is_no_database),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
