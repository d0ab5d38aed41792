// SPDX-License-Identifier: GPL-2.0-or-later
#include "job/history.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "state/state.h"

static const char *const migrations[] = {
	"CREATE TABLE job ("
	" id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" collection TEXT NOT NULL,"
	" kind INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"
	" error INTEGER NOT NULL DEFAULT 0,"
	" text TEXT NOT NULL DEFAULT '',"
	" point INTEGER NOT NULL DEFAULT 0,"
	" started INTEGER NOT NULL,"
	" ended INTEGER NOT NULL DEFAULT 0,"
	" owed INTEGER NOT NULL DEFAULT 0,"
	" sent INTEGER NOT NULL DEFAULT 0,"
	" wire INTEGER NOT NULL DEFAULT 0,"
	" different INTEGER NOT NULL DEFAULT 0,"
	" passes INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX job_collection ON job (collection, id);"
	"CREATE TABLE disk ("
	" collection TEXT NOT NULL,"
	" vm TEXT NOT NULL,"
	" disk TEXT NOT NULL,"
	" uuid BLOB NOT NULL,"
	" epoch INTEGER NOT NULL,"
	" point INTEGER NOT NULL,"
	" ended INTEGER NOT NULL,"
	" PRIMARY KEY (collection, vm, disk)) WITHOUT ROWID;",

	/* 2: the service. Times of these columns are µs, "started" and "ended" seconds. */
	"ALTER TABLE job ADD COLUMN method TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE job ADD COLUMN role INTEGER NOT NULL DEFAULT 1;"
	"ALTER TABLE job ADD COLUMN status TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE job ADD COLUMN owner TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE job ADD COLUMN notify TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE job ADD COLUMN submitted INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN scheduled INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN until INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN removal INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN fleeting INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN automatic INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN compare INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN forced INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN asked_point INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN asked_vm TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE job ADD COLUMN asked_path TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE job ADD COLUMN consistency INTEGER NOT NULL DEFAULT 0;"
	"UPDATE job SET submitted = started * 1000000,"
	" method = CASE kind WHEN 2 THEN 'Verify' ELSE 'Resynchronize' END;"
	"CREATE INDEX job_open ON job (ended) WHERE ended = 0;"
	"CREATE TABLE job_member ("
	" job INTEGER NOT NULL,"
	" vm TEXT NOT NULL,"
	" was INTEGER NOT NULL,"
	" state INTEGER NOT NULL,"
	" error INTEGER NOT NULL DEFAULT 0,"
	" text TEXT NOT NULL DEFAULT '',"
	" PRIMARY KEY (job, vm)) WITHOUT ROWID;"
	"CREATE TABLE relation ("
	" collection TEXT NOT NULL,"
	" role INTEGER NOT NULL,"
	" origin INTEGER NOT NULL,"
	" PRIMARY KEY (collection, role)) WITHOUT ROWID;"
	"CREATE TABLE setting ("
	" collection TEXT NOT NULL,"
	" role INTEGER NOT NULL,"
	" vm TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" value TEXT NOT NULL,"
	" PRIMARY KEY (collection, role, vm, name)) WITHOUT ROWID;"
	"CREATE TABLE member ("
	" collection TEXT NOT NULL,"
	" role INTEGER NOT NULL,"
	" vm TEXT NOT NULL,"
	" state INTEGER NOT NULL,"
	" error INTEGER NOT NULL DEFAULT 0,"
	" text TEXT NOT NULL DEFAULT '',"
	" PRIMARY KEY (collection, role, vm)) WITHOUT ROWID;"
	"CREATE TABLE member_disk ("
	" collection TEXT NOT NULL,"
	" role INTEGER NOT NULL,"
	" vm TEXT NOT NULL,"
	" disk TEXT NOT NULL,"
	" device TEXT NOT NULL,"
	" tracked INTEGER NOT NULL,"
	" granule INTEGER NOT NULL,"
	" PRIMARY KEY (collection, role, vm, disk)) WITHOUT ROWID;"
	"CREATE TABLE statistics ("
	" collection TEXT NOT NULL,"
	" role INTEGER NOT NULL,"
	" name TEXT NOT NULL,"
	" value INTEGER NOT NULL,"
	" PRIMARY KEY (collection, role, name)) WITHOUT ROWID;",

	/* 3: what is remembered of trackers. */
	"ALTER TABLE disk ADD COLUMN committed INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE disk ADD COLUMN doubt TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE disk ADD COLUMN attach INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE disk ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;",

	/* 4: retries go on after a restart (µs, wall); what an initial replication is */
	"ALTER TABLE member ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE member ADD COLUMN retry_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE member ADD COLUMN stuck INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN initial INTEGER NOT NULL DEFAULT 0;",

	/* 5: comparisons by SHA-256; hash: by which one a job has compared */
	"ALTER TABLE job ADD COLUMN paranoid INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN hash TEXT NOT NULL DEFAULT '';",

	/* 6: a job's own rate limit */
	"ALTER TABLE job ADD COLUMN rate_limit INTEGER NOT NULL DEFAULT 0;",
};

struct history {
	struct state *state;
};

int history_open(const char *state_dir, struct history **ret, struct reason *reason)
{
	_cleanup_free_ struct history *h = calloc(1, sizeof(*h));
	char path[4096];
	int err;

	if (!h)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	if (mkdir(state_dir, 0700) < 0 && errno != EEXIST)
		return reason_set(reason, -errno, 0, "cannot create %s: %s", state_dir,
				  strerrordesc_np(errno));
	if (snprintf(path, sizeof(path), "%s/agent.db", state_dir) >= (int)sizeof(path))
		return reason_set(reason, -ENAMETOOLONG, 0, "state_dir is too long");
	err = state_open(path, migrations, ARRAY_SIZE(migrations), &h->state);
	if (err)
		return reason_set(reason, err, err == -EUCLEAN ? REASON_UNKNOWN : 0,
				  "cannot open %s: %s", path, strerrordesc_np(-err));
	*ret = TAKE_PTR(h);
	return 0;
}

struct history *history_close(struct history *h)
{
	if (h) {
		state_close(h->state);
		free(h);
	}
	return NULL;
}

struct state *history_state(struct history *h)
{
	return h->state;
}

int history_disk(struct history *h, const char *collection, const char *vm, const char *disk,
		 struct history_disk *ret)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(h->state,
				"SELECT uuid, epoch, point, ended FROM disk "
				"WHERE collection = ? AND vm = ? AND disk = ?", &q);

	if (err)
		return err;
	state_bind_text(q, 1, collection);
	state_bind_text(q, 2, vm);
	state_bind_text(q, 3, disk);
	err = state_step(q);
	if (err <= 0)
		return err ? err : -ENOENT;
	state_blob(q, 0, ret->uuid, sizeof(ret->uuid));
	ret->epoch = state_int(q, 1);
	ret->point = state_int(q, 2);
	ret->ended = state_int(q, 3);
	return 0;
}

#define ENTRY "SELECT id, state, error, text, point, started, ended, owed, sent, wire, " \
	      "different, passes, collection, method, owner, submitted, consistency, " \
	      "hash FROM job "

static void history_entry(struct state_query *q, struct history_entry *ret)
{
	*ret = (struct history_entry){
		.id = state_int(q, 0),
		.state = state_int(q, 1),
		.error = state_int(q, 2),
		.point = state_int(q, 4),
		.started = state_int(q, 5),
		.ended = state_int(q, 6),
		.owed = state_int(q, 7),
		.sent = state_int(q, 8),
		.wire = state_int(q, 9),
		.different = state_int(q, 10),
		.passes = state_int(q, 11),
		.submitted = state_int(q, 15),
		.consistency = state_int(q, 16),
	};
	snprintf(ret->text, sizeof(ret->text), "%s", state_text(q, 3));
	snprintf(ret->collection, sizeof(ret->collection), "%s", state_text(q, 12));
	snprintf(ret->method, sizeof(ret->method), "%s", state_text(q, 13));
	snprintf(ret->owner, sizeof(ret->owner), "%s", state_text(q, 14));
	snprintf(ret->hash, sizeof(ret->hash), "%s", state_text(q, 17));
}

int history_last(struct history *h, const char *collection, struct history_entry *ret)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(h->state,
				ENTRY "WHERE collection = ? AND ended != 0 ORDER BY id DESC LIMIT 1",
				&q);

	if (err)
		return err;
	state_bind_text(q, 1, collection);
	err = state_step(q);
	if (err <= 0)
		return err ? err : -ENOENT;
	history_entry(q, ret);
	return 0;
}

int history_page(struct history *h, const char *collection, uint64_t before, uint32_t count,
		 int (*cb)(const struct history_entry *e, void *arg), void *arg)
{
	_cleanup_query_ struct state_query *q = NULL;
	struct history_entry e;
	int err = state_prepare(h->state,
				ENTRY "WHERE ended != 0 AND (?1 IS NULL OR collection = ?1) "
				"AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3", &q);

	if (err)
		return err;
	state_bind_text(q, 1, collection);
	state_bind_int(q, 2, before);
	state_bind_int(q, 3, count);
	while ((err = state_step(q)) > 0) {
		history_entry(q, &e);
		err = cb(&e, arg);
		if (err)
			return err;
	}
	return err;
}

int history_members(struct history *h, uint64_t job,
		    int (*cb)(const struct history_member *m, void *arg), void *arg)
{
	_cleanup_query_ struct state_query *q = NULL;
	struct history_member m;
	int err = state_prepare(h->state,
				"SELECT vm, state, error, text FROM job_member WHERE job = ?", &q);

	if (err)
		return err;
	state_bind_int(q, 1, job);
	while ((err = state_step(q)) > 0) {
		m.state = state_int(q, 1);
		m.error = state_int(q, 2);
		snprintf(m.vm, sizeof(m.vm), "%s", state_text(q, 0));
		snprintf(m.text, sizeof(m.text), "%s", state_text(q, 3));
		err = cb(&m, arg);
		if (err)
			return err;
	}
	return err;
}
