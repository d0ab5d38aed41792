// SPDX-License-Identifier: GPL-2.0-or-later
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* How long a statement waits for another process, say an administrator's sqlite3. */
#define STATE_BUSY_MS 5000
/* The lock-byte page of an SQLite file, see its file format. */
#define STATE_LOCK_START 0x40000000
#define STATE_LOCK_LENGTH 512

struct state {
	sqlite3 *db;
};

struct state_query {
	sqlite3_stmt *stmt;
	int bind_error; /* the first, an SQLite code */
};

static int state_errno(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_TOOBIG:
	case SQLITE_RANGE:
	case SQLITE_MISUSE:
		return -EINVAL;
	default:
		return -EIO;
	}
}

int state_exec(struct state *s, const char *sql)
{
	return state_errno(sqlite3_exec(s->db, sql, NULL, NULL, NULL));
}

int state_begin(struct state *s)
{
	return state_exec(s, "BEGIN IMMEDIATE");
}

int state_commit(struct state *s)
{
	return state_exec(s, "COMMIT");
}

void state_rollback(struct state *s)
{
	if (!sqlite3_get_autocommit(s->db))
		state_exec(s, "ROLLBACK");
}

const char *state_error(struct state *s)
{
	return sqlite3_errmsg(s->db);
}

int64_t state_last_id(struct state *s)
{
	return sqlite3_last_insert_rowid(s->db);
}

int64_t state_changes(struct state *s)
{
	return sqlite3_changes64(s->db);
}

int state_prepare(struct state *s, const char *sql, struct state_query **ret)
{
	struct state_query *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return -ENOMEM;
	rc = sqlite3_prepare_v2(s->db, sql, -1, &q->stmt, NULL);
	if (rc != SQLITE_OK) {
		free(q);
		return state_errno(rc);
	}
	*ret = q;
	return 0;
}

struct state_query *state_query_free(struct state_query *q)
{
	if (q) {
		sqlite3_finalize(q->stmt);
		free(q);
	}
	return NULL;
}

static void state_bound(struct state_query *q, int rc)
{
	if (rc != SQLITE_OK && !q->bind_error)
		q->bind_error = rc;
}

void state_bind_int(struct state_query *q, int parameter, int64_t value)
{
	state_bound(q, sqlite3_bind_int64(q->stmt, parameter, value));
}

void state_bind_text(struct state_query *q, int parameter, const char *value)
{
	state_bound(q, sqlite3_bind_text(q->stmt, parameter, value, -1, SQLITE_TRANSIENT));
}

void state_bind_blob(struct state_query *q, int parameter, const void *value, size_t size)
{
	state_bound(q, sqlite3_bind_blob64(q->stmt, parameter, value, size, SQLITE_TRANSIENT));
}

int state_step(struct state_query *q)
{
	int rc;

	if (q->bind_error)
		return state_errno(q->bind_error);
	rc = sqlite3_step(q->stmt);
	return rc == SQLITE_ROW ? 1 : state_errno(rc);
}

int state_run(struct state_query *q)
{
	int err;

	do
		err = state_step(q);
	while (err > 0);
	sqlite3_reset(q->stmt);
	sqlite3_clear_bindings(q->stmt);
	q->bind_error = 0;
	return err;
}

int64_t state_int(struct state_query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

const char *state_text(struct state_query *q, int column)
{
	const unsigned char *text = sqlite3_column_text(q->stmt, column);

	return text ? (const char *)text : "";
}

size_t state_blob(struct state_query *q, int column, void *buf, size_t size)
{
	const void *data = sqlite3_column_blob(q->stmt, column);
	size_t have = data ? sqlite3_column_bytes(q->stmt, column) : 0;
	size_t take = u64_min(have, size);

	memset(buf, 0, size);
	if (take)
		memcpy(buf, data, take);
	return have;
}

static int state_version(struct state *s, int64_t *ret)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(s, "PRAGMA user_version", &q);

	if (!err)
		err = state_step(q);
	if (err < 0)
		return err;
	*ret = state_int(q, 0);
	return 0;
}

/* One script and the number that says so, in one transaction. */
static int state_migrate_one(struct state *s, const char *script, size_t number)
{
	char pragma[64];
	int err;

	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %zu", number);
	err = state_begin(s);
	if (err)
		return err;
	err = state_exec(s, script);
	if (!err)
		err = state_exec(s, pragma);
	if (!err)
		err = state_commit(s);
	if (err)
		state_rollback(s);
	return err;
}

static int state_migrate(struct state *s, const char *const *migrations, size_t count)
{
	int64_t version;
	int err = state_version(s, &version);

	if (err)
		return err;
	if (version < 0 || (uint64_t)version > count)
		return -EOPNOTSUPP;
	for (size_t i = version; i < count && !err; i++)
		err = state_migrate_one(s, migrations[i], i + 1);
	return err;
}

static int log_write_again(int fd)
{
	uint8_t buf[KIB(64)];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), at)) > 0) {
		n = pwrite(fd, buf, n, at);
		if (n <= 0)
			break;
		at += n;
	}
	return n < 0 || fdatasync(fd) ? -errno : 0;
}

/*
 * A log that is here was left by a life that ended badly. It may have a commit whose sync
 * had failed: of that the kernel tells once, and shows what was never written for as long
 * as it is in memory. Commits behind it would be synced, and yet be lost with it. So all of
 * it is written once more, and synced, before anybody goes by what it says. Where there is
 * no room for that (a file system that never writes in place) it stays as it is.
 */
static int state_restore_log(const char *path)
{
	_cleanup_free_ char *log = NULL;
	_cleanup_close_ int fd = -1;
	int err;

	if (asprintf(&log, "%s-wal", path) < 0)
		return -ENOMEM;
	fd = open(log, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = log_write_again(fd);
	return err == -ENOSPC || err == -EDQUOT ? 0 : err;
}

/*
 * SQLite creates with the umask's mode; make the file ourselves, tighter. Whoever uses it
 * holds a lock on its lock-byte page: then its log is in use, too, and not to be touched.
 */
static int state_prepare_file(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = STATE_LOCK_START,
		.l_len = STATE_LOCK_LENGTH,
	};

	if (fd < 0)
		return -errno;
	return fcntl(fd, F_OFD_SETLK, &lock) ? 0 : state_restore_log(path);
}

int state_open(const char *path, const char *const *migrations, size_t count, struct state **ret)
{
	static const char setup[] = "PRAGMA journal_mode = WAL;"
				    "PRAGMA synchronous = FULL;"
				    "PRAGMA foreign_keys = ON;"
				    "PRAGMA trusted_schema = OFF;";
	struct state *s;
	int err;

	err = state_prepare_file(path);
	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	err = state_errno(sqlite3_open_v2(path, &s->db,
					  SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL));
	if (!err)
		sqlite3_busy_timeout(s->db, STATE_BUSY_MS);
	if (!err)
		err = state_exec(s, setup);
	if (!err)
		err = state_migrate(s, migrations, count);
	if (err) {
		state_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

struct state *state_close(struct state *s)
{
	if (s) {
		/* Checkpoints the log; a failure costs nothing, the log stays. */
		sqlite3_close(s->db);
		free(s);
	}
	return NULL;
}
