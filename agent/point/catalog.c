// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/catalog.h"

#include <string.h>
#include <time.h>

#include "point/catalog-db.h"
#include "point/catalog-origin.h"

/* A released script is never changed; the next version of the tables is the next script. */
static const char *const catalog_migrations[] = {
	"CREATE TABLE collection ("
	" id INTEGER PRIMARY KEY,"
	" name TEXT NOT NULL UNIQUE,"
	" next_point INTEGER NOT NULL DEFAULT 1);"
	"CREATE TABLE point ("
	" id INTEGER PRIMARY KEY,"
	" collection INTEGER NOT NULL REFERENCES collection(id),"
	" number INTEGER NOT NULL,"
	" created INTEGER NOT NULL,"
	" consistency INTEGER NOT NULL," /* 1 application, 2 crash, 3 group crash */
	" UNIQUE (collection, number));"
	"CREATE TABLE disk ("
	" id INTEGER PRIMARY KEY,"
	" collection INTEGER NOT NULL REFERENCES collection(id),"
	" vm TEXT NOT NULL,"
	" name TEXT NOT NULL,"
	" path TEXT NOT NULL UNIQUE,"
	" device INTEGER NOT NULL,"
	" identity TEXT NOT NULL,"
	" size INTEGER NOT NULL,"
	" granule INTEGER NOT NULL,"
	" tracker BLOB,"
	" epoch INTEGER NOT NULL DEFAULT 0,"
	" state INTEGER NOT NULL CHECK (state IN (0, 1, 2)),"
	" point INTEGER REFERENCES point(id)," /* the newest */
	" UNIQUE (collection, vm, name));"
	"CREATE TABLE point_disk ("
	" point INTEGER NOT NULL REFERENCES point(id),"
	" disk INTEGER NOT NULL REFERENCES disk(id),"
	" file TEXT," /* NULL: merged, or written in place */
	" size INTEGER NOT NULL,"
	" tracker BLOB NOT NULL,"
	" epoch INTEGER NOT NULL,"
	" PRIMARY KEY (point, disk)) WITHOUT ROWID;",
	/* Recovery points. */
	"ALTER TABLE collection ADD COLUMN history INTEGER;" /* that the sender wants */
	"ALTER TABLE point ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE point ADD COLUMN final INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE point_disk ADD COLUMN header BLOB;" /* that the file is to have */
	"ALTER TABLE point_disk ADD COLUMN digest BLOB;"
	"ALTER TABLE point_disk ADD COLUMN broken INTEGER NOT NULL DEFAULT 0;",
	/* Failovers. */
	"CREATE TABLE failover ("
	" collection INTEGER NOT NULL REFERENCES collection(id),"
	" kind INTEGER NOT NULL,"  /* 1 test, 2 real */
	" state INTEGER NOT NULL," /* 1 made, 2 committing, 3 committed */
	" point INTEGER NOT NULL," /* its number */
	" path TEXT NOT NULL,"	   /* of the sockets of exports */
	" PRIMARY KEY (collection, kind)) WITHOUT ROWID;",
	/* A disk that was sent from here, and is a replica since: it stays where it is. */
	"ALTER TABLE disk ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0;",
	/* What is durable of a run that was cut short. */
	"CREATE TABLE staging ("
	" disk INTEGER PRIMARY KEY REFERENCES disk(id),"
	" mode INTEGER NOT NULL,"
	" tracker BLOB NOT NULL,"
	" epoch INTEGER NOT NULL,"
	" size INTEGER NOT NULL,"
	" granule INTEGER NOT NULL,"
	" base INTEGER NOT NULL," /* number of the point below it, 0: none */
	" file TEXT NOT NULL);"   /* '': the device itself */
	"CREATE TABLE staged ("
	" id INTEGER PRIMARY KEY,"
	" disk INTEGER NOT NULL REFERENCES disk(id),"
	" extents BLOB NOT NULL);"
	"CREATE INDEX staged_disk ON staged(disk);",
	/* What a disk was before it was failed over to, and where it is not that. */
	"CREATE TABLE origin ("
	" disk INTEGER PRIMARY KEY REFERENCES disk(id),"
	" tracker BLOB NOT NULL,"
	" epoch INTEGER NOT NULL,"
	" size INTEGER NOT NULL,"
	" witness TEXT NOT NULL,"
	" cover BLOB,"
	" cover_epoch INTEGER NOT NULL DEFAULT 0);"
	"CREATE TABLE origin_range ("
	" disk INTEGER NOT NULL REFERENCES origin(disk),"
	" start INTEGER NOT NULL,"
	" span INTEGER NOT NULL);"
	"CREATE INDEX origin_range_disk ON origin_range (disk, start);",
};

/* disk.adopted: 1, or this */
#define ADOPTED_DOUBTED 2

#define CATALOG_SELECT                                                                             \
	"SELECT d.id, c.name, d.vm, d.name, d.path, d.device, d.identity, d.size, d.granule,"      \
	" d.tracker, d.epoch, d.state, p.number, p.created, e.file, d.adopted"                     \
	" FROM disk d JOIN collection c ON c.id = d.collection"                                    \
	" LEFT JOIN point p ON p.id = d.point"                                                     \
	" LEFT JOIN point_disk e ON e.disk = d.id AND e.point = d.point "

int catalog_open(const char *path, struct catalog **ret, struct reason *reason)
{
	struct catalog *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	err = state_open(path, catalog_migrations, ARRAY_SIZE(catalog_migrations), &c->state);
	if (err) {
		free(c);
		if (err == -EOPNOTSUPP)
			return reason_set(reason, err, 0,
					  "%s was written by a newer version of Tidemark", path);
		return reason_set(reason, err, REASON_FAILED, "cannot open the state file %s: %s",
				  path, err == -EUCLEAN ? "it is damaged" : strerror(-err));
	}
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return 0;
}

struct catalog *catalog_close(struct catalog *c)
{
	if (c) {
		state_close(c->state);
		pthread_mutex_destroy(&c->lock);
		free(c);
	}
	return NULL;
}

int catalog_lock(struct catalog *c)
{
	pthread_mutex_lock(&c->lock);
	if (!c->poisoned)
		return 0;
	pthread_mutex_unlock(&c->lock);
	return -EIO;
}

void catalog_unlock(struct catalog *c)
{
	pthread_mutex_unlock(&c->lock);
}

int catalog_end(struct catalog *c, int err)
{
	if (!err) {
		err = state_commit(c->state);
		/* No room for the last frame of the log: then it is not in the log. */
		c->poisoned = err && err != -ENOSPC;
	}
	if (err)
		state_rollback(c->state);
	pthread_mutex_unlock(&c->lock);
	return err;
}

int catalog_start(struct catalog *c)
{
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_begin(c->state);
	if (err)
		pthread_mutex_unlock(&c->lock);
	return err;
}

bool catalog_poisoned(struct catalog *c)
{
	bool poisoned;

	pthread_mutex_lock(&c->lock);
	poisoned = c->poisoned;
	pthread_mutex_unlock(&c->lock);
	return poisoned;
}

void catalog_text(struct state_query *q, int column, char *to, size_t size)
{
	const char *from = state_text(q, column);
	size_t n = strnlen(from, size - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

static void catalog_row(struct state_query *q, struct catalog_disk *ret)
{
	struct catalog_disk d = {
		.id = state_int(q, 0),
		.device = state_int(q, 5),
		.size = state_int(q, 7),
		.granule = state_int(q, 8),
		.epoch = state_int(q, 10),
		.state = state_int(q, 11),
		.point = state_int(q, 12),
		.created = state_int(q, 13),
	};

	catalog_text(q, 1, d.collection, sizeof(d.collection));
	catalog_text(q, 2, d.vm, sizeof(d.vm));
	catalog_text(q, 3, d.name, sizeof(d.name));
	catalog_text(q, 4, d.path, sizeof(d.path));
	catalog_text(q, 6, d.identity, sizeof(d.identity));
	state_blob(q, 9, d.tracker, sizeof(d.tracker));
	catalog_text(q, 14, d.file, sizeof(d.file));
	d.adopted = state_int(q, 15);
	d.doubted = state_int(q, 15) == ADOPTED_DOUBTED;
	*ret = d;
}

/* The first row, if there is one. Unlocks. */
static int catalog_one(struct catalog *c, struct state_query *q, struct catalog_disk *ret)
{
	int found = state_step(q);

	if (found > 0)
		catalog_row(q, ret);
	state_query_free(q);
	pthread_mutex_unlock(&c->lock);
	return found;
}

int catalog_find(struct catalog *c, const char *collection, const char *vm, const char *name,
		 struct catalog_disk *ret)
{
	struct state_query *q;
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_prepare(c->state,
			    CATALOG_SELECT "WHERE c.name = ? AND d.vm = ? AND d.name = ?", &q);
	if (err) {
		pthread_mutex_unlock(&c->lock);
		return err;
	}
	state_bind_text(q, 1, collection);
	state_bind_text(q, 2, vm);
	state_bind_text(q, 3, name);
	return catalog_one(c, q, ret);
}

int catalog_find_other(struct catalog *c, const char *collection, const char *vm,
		       const char *name, const char *path, const char *identity,
		       struct catalog_disk *ret)
{
	struct state_query *q;
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_prepare(c->state,
			    CATALOG_SELECT "WHERE (d.path = ?1 OR (d.identity = ?2 AND"
					   " ?2 NOT IN ('file', 'path'))) AND NOT"
					   " (c.name = ?3 AND d.vm = ?4 AND d.name = ?5)", &q);
	if (err) {
		pthread_mutex_unlock(&c->lock);
		return err;
	}
	state_bind_text(q, 1, path);
	state_bind_text(q, 2, identity);
	state_bind_text(q, 3, collection);
	state_bind_text(q, 4, vm);
	state_bind_text(q, 5, name);
	return catalog_one(c, q, ret);
}

int catalog_run(struct catalog *c, const char *sql, int64_t a, int64_t b)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state, sql, &q);

	if (err)
		return err;
	state_bind_int(q, 1, a);
	if (strstr(sql, "?2"))
		state_bind_int(q, 2, b);
	return state_run(q);
}

int catalog_collection(struct catalog *c, const char *name, int64_t *ret)
{
	_cleanup_query_ struct state_query *insert = NULL, *find = NULL;
	int err;

	err = state_prepare(c->state, "INSERT OR IGNORE INTO collection (name) VALUES (?)",
			    &insert);
	if (err)
		return err;
	state_bind_text(insert, 1, name);
	err = state_run(insert);
	if (!err)
		err = state_prepare(c->state, "SELECT id FROM collection WHERE name = ?", &find);
	if (err)
		return err;
	state_bind_text(find, 1, name);
	err = state_step(find);
	if (err <= 0)
		return err ? err : -EIO;
	*ret = state_int(find, 0);
	return 0;
}

int catalog_prune(struct catalog *c)
{
	return state_exec(c->state,
			  "DELETE FROM point WHERE id NOT IN (SELECT point FROM point_disk)");
}

static int catalog_forget(struct catalog *c, int64_t collection, const struct catalog_disk *d)
{
	_cleanup_query_ struct state_query *q = NULL;
	int64_t id;
	int err;

	err = state_prepare(c->state,
			    "SELECT id FROM disk WHERE collection = ? AND vm = ? AND name = ?", &q);
	if (err)
		return err;
	state_bind_int(q, 1, collection);
	state_bind_text(q, 2, d->vm);
	state_bind_text(q, 3, d->name);
	err = state_step(q);
	if (err <= 0)
		return err;
	id = state_int(q, 0);
	err = catalog_run(c, "DELETE FROM point_disk WHERE disk = ?1", id, 0);
	if (!err)
		err = catalog_forget_staging(c, id);
	if (!err)
		err = catalog_origin_forget(c, id);
	if (!err)
		err = catalog_run(c, "DELETE FROM disk WHERE id = ?1", id, 0);
	return err ? err : catalog_prune(c);
}

static int catalog_insert(struct catalog *c, int64_t collection, const struct catalog_disk *d)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state,
				"INSERT INTO disk (collection, vm, name, path, device, identity,"
				" size, granule, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", &q);

	if (err)
		return err;
	state_bind_int(q, 1, collection);
	state_bind_text(q, 2, d->vm);
	state_bind_text(q, 3, d->name);
	state_bind_text(q, 4, d->path);
	state_bind_int(q, 5, d->device);
	state_bind_text(q, 6, d->identity);
	state_bind_int(q, 7, d->size);
	state_bind_int(q, 8, d->granule);
	return state_run(q);
}

int catalog_seed(struct catalog *c, const struct catalog_disk *disk, int64_t *ret)
{
	int64_t collection, id = 0;
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_collection(c, disk->collection, &collection);
	if (!err)
		err = catalog_forget(c, collection, disk);
	if (!err)
		err = catalog_insert(c, collection, disk);
	if (!err)
		id = state_last_id(c->state);
	err = catalog_end(c, err);
	if (!err)
		*ret = id;
	return err;
}

int catalog_unseed(struct catalog *c, int64_t disk)
{
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_forget_staging(c, disk);
	if (!err)
		err = catalog_run(c, "DELETE FROM disk WHERE id = ?1 AND state = 0", disk, 0);
	return catalog_end(c, err);
}

/* The newest point of an adopted disk is what it holds: nobody may rely on it. */
static int catalog_adopt_point(struct catalog *c, int64_t collection, int64_t disk,
			       const struct catalog_disk *row)
{
	static const uint8_t none[STORE_UUID_SIZE];
	_cleanup_query_ struct state_query *q = NULL;
	int64_t point = 0;
	int err = catalog_run(c,
			      "INSERT INTO point (collection, number, created, consistency, retired)"
			      " SELECT id, next_point, unixepoch(), 2, 1 FROM collection"
			      " WHERE id = ?1", collection, 0);

	if (err)
		return err;
	point = state_last_id(c->state);
	err = state_prepare(c->state,
			    "INSERT INTO point_disk (point, disk, size, tracker, epoch, broken)"
			    " VALUES (?, ?, ?, ?, 0, 1)", &q);
	if (err)
		return err;
	state_bind_int(q, 1, point);
	state_bind_int(q, 2, disk);
	state_bind_int(q, 3, row->size);
	state_bind_blob(q, 4, none, sizeof(none));
	err = state_run(q);
	if (!err)
		err = catalog_run(c, "UPDATE disk SET state = 2, adopted = 1, point = ?2"
				     " WHERE id = ?1", disk, point);
	if (!err && row->doubted)
		err = catalog_run(c, "UPDATE disk SET adopted = ?2 WHERE id = ?1", disk,
				  ADOPTED_DOUBTED);
	if (!err)
		err = catalog_run(c, "UPDATE collection SET next_point = next_point + 1"
				     " WHERE id = ?1", collection, 0);
	return err;
}

int catalog_adopt(struct catalog *c, const struct catalog_disk *disk)
{
	int64_t collection;
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_collection(c, disk->collection, &collection);
	if (!err)
		err = catalog_forget(c, collection, disk);
	if (!err)
		err = catalog_insert(c, collection, disk);
	if (!err)
		err = catalog_adopt_point(c, collection, state_last_id(c->state), disk);
	return catalog_end(c, err);
}

int catalog_next_point(struct catalog *c, const char *collection, uint64_t *ret)
{
	struct state_query *q;
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_prepare(c->state, "SELECT next_point FROM collection WHERE name = ?", &q);
	if (!err) {
		state_bind_text(q, 1, collection);
		err = state_step(q);
		if (err >= 0)
			*ret = err ? state_int(q, 0) : 1;
		state_query_free(q);
	}
	pthread_mutex_unlock(&c->lock);
	return err < 0 ? err : 0;
}

static int catalog_insert_point(struct catalog *c, int64_t collection, uint64_t number,
				const struct catalog_label *label)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state,
				"INSERT INTO point (collection, number, created, consistency,"
				" final) VALUES (?, ?, ?, ?, ?)", &q);

	if (err)
		return err;
	state_bind_int(q, 1, collection);
	state_bind_int(q, 2, number);
	state_bind_int(q, 3, time(NULL));
	state_bind_int(q, 4, label->consistency);
	state_bind_int(q, 5, label->final);
	return state_run(q);
}

static int catalog_insert_entry(struct catalog *c, int64_t point, const struct catalog_entry *e)
{
	_cleanup_query_ struct state_query *insert = NULL, *update = NULL;
	int err = state_prepare(c->state,
				"INSERT INTO point_disk (point, disk, file, size, tracker, epoch)"
				" VALUES (?, ?, ?, ?, ?, ?)", &insert);

	if (!err)
		err = state_prepare(c->state,
				    "UPDATE disk SET size = ?, granule = ?, tracker = ?, epoch = ?,"
				    " state = 1, point = ? WHERE id = ?", &update);
	if (err)
		return err;
	state_bind_int(insert, 1, point);
	state_bind_int(insert, 2, e->disk);
	state_bind_text(insert, 3, e->file);
	state_bind_int(insert, 4, e->size);
	state_bind_blob(insert, 5, e->tracker, sizeof(e->tracker));
	state_bind_int(insert, 6, e->epoch);
	err = state_run(insert);
	if (err)
		return err;
	state_bind_int(update, 1, e->size);
	state_bind_int(update, 2, e->granule);
	state_bind_blob(update, 3, e->tracker, sizeof(e->tracker));
	state_bind_int(update, 4, e->epoch);
	state_bind_int(update, 5, point);
	state_bind_int(update, 6, e->disk);
	err = state_run(update);
	if (!err && state_changes(c->state) != 1)
		err = -ENOENT; /* the disk was forgotten meanwhile */
	return err ? err : catalog_forget_staging(c, e->disk);
}

int catalog_commit(struct catalog *c, const char *collection, uint64_t number,
		   const struct catalog_label *label, const struct catalog_entry *entries,
		   size_t count)
{
	int64_t id, point = 0;
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_collection(c, collection, &id);
	if (!err)
		err = catalog_insert_point(c, id, number, label);
	if (!err)
		point = state_last_id(c->state);
	for (size_t i = 0; i < count && !err; i++)
		err = catalog_insert_entry(c, point, &entries[i]);
	if (!err)
		err = catalog_run(c, "UPDATE collection SET next_point = ?2 WHERE id = ?1", id,
				  number + 1);
	if (!err && label->history >= 0)
		err = catalog_run(c, "UPDATE collection SET history = ?2 WHERE id = ?1", id,
				  label->history);
	return catalog_end(c, err);
}

int catalog_damaged(struct catalog *c, int64_t disk, uint64_t from, bool raw)
{
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_run(c,
			  "DELETE FROM point_disk WHERE disk = ?1 AND point IN"
			  " (SELECT id FROM point WHERE number >= ?2)", disk, from);
	if (!err && raw)
		err = catalog_run(c, "UPDATE point_disk SET broken = 1, digest = NULL"
				     " WHERE disk = ?1", disk, 0);
	if (!err)
		err = catalog_run(c,
				  "UPDATE disk SET state = 2, tracker = NULL, point = (SELECT p.id"
				  " FROM point_disk e JOIN point p ON p.id = e.point WHERE"
				  " e.disk = ?1 ORDER BY p.number DESC LIMIT 1) WHERE id = ?1",
				  disk, 0);
	if (!err)
		err = catalog_prune(c);
	return catalog_end(c, err);
}

static int catalog_collect(struct state_query *q, struct catalog_disk **ret, size_t *ret_count)
{
	_cleanup_free_ struct catalog_disk *list = NULL;
	size_t count = 0, room = 0;
	int more;

	while ((more = state_step(q)) > 0) {
		if (count == room) {
			size_t grown = room ? room * 2 : 16;
			void *p = realloc(list, grown * sizeof(*list));

			if (!p)
				return -ENOMEM;
			list = p;
			room = grown;
		}
		catalog_row(q, &list[count++]);
	}
	if (more < 0)
		return more;
	*ret = TAKE_PTR(list);
	*ret_count = count;
	return 0;
}

int catalog_list(struct catalog *c, const char *collection, struct catalog_disk **ret,
		 size_t *ret_count)
{
	struct state_query *q;
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_prepare(c->state,
			    CATALOG_SELECT "WHERE (?1 IS NULL OR c.name = ?1)"
					   " ORDER BY c.name, d.vm, d.name", &q);
	if (!err) {
		state_bind_text(q, 1, collection);
		err = catalog_collect(q, ret, ret_count);
		state_query_free(q);
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}
