// SPDX-License-Identifier: GPL-2.0-or-later
#include "job/history.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "job/job.h"
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
};

struct history {
	struct state *state;
};

static int history_orphans(struct history *h)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(h->state,
				"UPDATE job SET state = ?, error = ?, ended = started, "
				"text = 'the agent ended while this job was running' "
				"WHERE ended = 0", &q);

	if (err)
		return err;
	state_bind_int(q, 1, JOB_EXCEPTION);
	state_bind_int(q, 2, REASON_FAILED);
	return state_run(q);
}

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
	err = history_orphans(h);
	if (err) {
		state_close(h->state);
		return reason_set(reason, err, 0, "cannot write %s: %s", path,
				  strerrordesc_np(-err));
	}
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

int history_begin(struct history *h, const char *collection, int kind, int64_t now,
		  uint64_t *ret_id)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(h->state,
				"INSERT INTO job (collection, kind, state, started) "
				"VALUES (?, ?, ?, ?)", &q);

	if (err)
		return err;
	state_bind_text(q, 1, collection);
	state_bind_int(q, 2, kind);
	state_bind_int(q, 3, JOB_RUNNING);
	state_bind_int(q, 4, now);
	err = state_run(q);
	if (!err)
		*ret_id = state_last_id(h->state);
	return err;
}

static int history_write_job(struct history *h, const struct history_entry *e)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(h->state,
				"UPDATE job SET state = ?, error = ?, text = ?, point = ?, "
				"ended = ?, owed = ?, sent = ?, wire = ?, different = ?, "
				"passes = ? WHERE id = ?", &q);

	if (err)
		return err;
	state_bind_int(q, 1, e->state);
	state_bind_int(q, 2, e->error);
	state_bind_text(q, 3, e->text);
	state_bind_int(q, 4, e->point);
	state_bind_int(q, 5, e->ended);
	state_bind_int(q, 6, e->owed);
	state_bind_int(q, 7, e->sent);
	state_bind_int(q, 8, e->wire);
	state_bind_int(q, 9, e->different);
	state_bind_int(q, 10, e->passes);
	state_bind_int(q, 11, e->id);
	return state_run(q);
}

static int history_write_disk(struct history *h, const struct history_entry *e,
			      const char *collection, const struct run_disk *d,
			      const struct run_report_disk *r)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(h->state,
				"INSERT OR REPLACE INTO disk (collection, vm, disk, uuid, epoch, "
				"point, ended) VALUES (?, ?, ?, ?, ?, ?, ?)", &q);

	if (err)
		return err;
	state_bind_text(q, 1, collection);
	state_bind_text(q, 2, d->vm);
	state_bind_text(q, 3, d->name);
	state_bind_blob(q, 4, r->uuid, sizeof(r->uuid));
	state_bind_int(q, 5, r->epoch);
	state_bind_int(q, 6, e->point);
	state_bind_int(q, 7, e->ended);
	return state_run(q);
}

int history_end(struct history *h, const struct history_entry *e,
		const struct run_config *config, const struct run_report *report)
{
	int err = state_begin(h->state);

	if (err)
		return err;
	err = history_write_job(h, e);
	for (size_t i = 0; report && i < config->disk_count && !err; i++)
		if (report->disks[i].outcome == RUN_DISK_DONE)
			err = history_write_disk(h, e, config->collection, &config->disks[i],
						 &report->disks[i]);
	if (!err)
		err = state_commit(h->state);
	if (err)
		state_rollback(h->state);
	return err;
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

int history_last(struct history *h, const char *collection, struct history_entry *ret)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(h->state,
				"SELECT id, state, error, text, point, started, ended, owed, sent, "
				"wire, different, passes FROM job "
				"WHERE collection = ? AND ended != 0 ORDER BY id DESC LIMIT 1", &q);

	if (err)
		return err;
	state_bind_text(q, 1, collection);
	err = state_step(q);
	if (err <= 0)
		return err ? err : -ENOENT;
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
	};
	snprintf(ret->text, sizeof(ret->text), "%s", state_text(q, 3));
	return 0;
}
