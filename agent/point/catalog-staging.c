// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/catalog-staging.h"

#include <string.h>

#include "point/catalog-db.h"

/* As they stand in the database: little-endian, in pieces that one read takes. */
struct extent_row {
	le64 offset;
	le64 span;
	le64 place;
};

#define EXTENTS_MAX 4096

#define STAGING_SELECT "SELECT disk, mode, tracker, epoch, size, granule, base, file FROM staging "

static void staging_row(struct state_query *q, struct catalog_staging *ret)
{
	*ret = (struct catalog_staging){
		.disk = state_int(q, 0),
		.mode = state_int(q, 1),
		.epoch = state_int(q, 3),
		.size = state_int(q, 4),
		.granule = state_int(q, 5),
		.base = state_int(q, 6),
	};
	state_blob(q, 2, ret->tracker, sizeof(ret->tracker));
	catalog_text(q, 7, ret->file, sizeof(ret->file));
}

int catalog_staging_find(struct catalog *c, int64_t disk, struct catalog_staging *ret)
{
	struct state_query *q = NULL;
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_prepare(c->state, STAGING_SELECT "WHERE disk = ?", &q);
	if (!err) {
		state_bind_int(q, 1, disk);
		err = state_step(q);
	}
	if (err > 0)
		staging_row(q, ret);
	state_query_free(q);
	catalog_unlock(c);
	return err;
}

/* A row into an array that grows by one. */
static int staging_add(struct state_query *q, struct catalog_staging **list, size_t *count)
{
	struct catalog_staging *grown = realloc(*list, (*count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*list = grown;
	staging_row(q, &grown[(*count)++]);
	return 0;
}

int catalog_stagings(struct catalog *c, struct catalog_staging **ret, size_t *ret_count)
{
	struct catalog_staging *list = NULL;
	struct state_query *q = NULL;
	size_t count = 0;
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_prepare(c->state, STAGING_SELECT, &q);
	while (!err && (err = state_step(q)) > 0)
		err = staging_add(q, &list, &count);
	state_query_free(q);
	catalog_unlock(c);
	if (err) {
		free(list);
		return err;
	}
	*ret = list;
	*ret_count = count;
	return 0;
}

static int staging_put(struct catalog *c, const struct catalog_staging *s)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state,
				"INSERT OR REPLACE INTO staging (disk, mode, tracker, epoch, size,"
				" granule, base, file) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", &q);

	if (err)
		return err;
	state_bind_int(q, 1, s->disk);
	state_bind_int(q, 2, s->mode);
	state_bind_blob(q, 3, s->tracker, sizeof(s->tracker));
	state_bind_int(q, 4, s->epoch);
	state_bind_int(q, 5, s->size);
	state_bind_int(q, 6, s->granule);
	state_bind_int(q, 7, s->base);
	state_bind_text(q, 8, s->file);
	return state_run(q);
}

static int staging_append(struct catalog *c, int64_t disk, const struct catalog_extent *extents,
			  size_t count)
{
	struct extent_row rows[EXTENTS_MAX];
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state, "INSERT INTO staged (disk, extents) VALUES (?, ?)", &q);

	for (size_t done = 0; done < count && !err;) {
		size_t n = u64_min(count - done, EXTENTS_MAX);

		for (size_t i = 0; i < n; i++)
			rows[i] = (struct extent_row){ le64_of(extents[done + i].offset),
						       le64_of(extents[done + i].span),
						       le64_of(extents[done + i].place) };
		state_bind_int(q, 1, disk);
		state_bind_blob(q, 2, rows, n * sizeof(*rows));
		err = state_run(q);
		done += n;
	}
	return err;
}

int catalog_staging_settle(struct catalog *c, const struct catalog_staging *s,
			   const struct catalog_extent *extents, size_t count)
{
	int err = catalog_start(c);

	if (err)
		return err;
	err = staging_put(c, s);
	if (!err)
		err = staging_append(c, s->disk, extents, count);
	return catalog_end(c, err);
}

static int staging_rows(struct state_query *q,
			int (*cb)(void *arg, const struct catalog_extent *extents, size_t count),
			void *arg)
{
	struct extent_row rows[EXTENTS_MAX];
	struct catalog_extent extents[EXTENTS_MAX];
	size_t size = state_blob(q, 0, rows, sizeof(rows));
	size_t n = size / sizeof(*rows);

	if (size > sizeof(rows) || size % sizeof(*rows))
		return -EUCLEAN;
	for (size_t i = 0; i < n; i++)
		extents[i] = (struct catalog_extent){ le64_get(rows[i].offset),
						      le64_get(rows[i].span),
						      le64_get(rows[i].place) };
	return cb(arg, extents, n);
}

int catalog_staging_each(struct catalog *c, int64_t disk,
			 int (*cb)(void *arg, const struct catalog_extent *extents, size_t count),
			 void *arg)
{
	struct state_query *q = NULL;
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_prepare(c->state, "SELECT extents FROM staged WHERE disk = ? ORDER BY id", &q);
	if (!err)
		state_bind_int(q, 1, disk);
	while (!err && (err = state_step(q)) > 0)
		err = staging_rows(q, cb, arg);
	state_query_free(q);
	catalog_unlock(c);
	return err;
}

int catalog_staging_forget(struct catalog *c, int64_t disk)
{
	int err = catalog_start(c);

	if (err)
		return err;
	return catalog_end(c, catalog_forget_staging(c, disk));
}

int catalog_forget_staging(struct catalog *c, int64_t disk)
{
	int err = catalog_run(c, "DELETE FROM staged WHERE disk = ?1", disk, 0);

	return err ? err : catalog_run(c, "DELETE FROM staging WHERE disk = ?1", disk, 0);
}
