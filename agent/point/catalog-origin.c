// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/catalog-origin.h"

#include <stdlib.h>
#include <string.h>

#include "point/catalog-db.h"

int catalog_origin_add(struct catalog_origin *o, uint64_t offset, uint64_t span)
{
	struct catalog_range *last = o->count ? &o->ranges[o->count - 1] : NULL;
	struct catalog_range *grown;

	if (last && last->offset + last->span == offset) {
		last->span += span;
		return 0;
	}
	/* Room grows by doubling: it is full when the count is a power of two. */
	if (!(o->count & (o->count - 1))) {
		grown = realloc(o->ranges, (o->count ? o->count * 2 : 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		o->ranges = grown;
	}
	o->ranges[o->count++] = (struct catalog_range){ offset, span };
	return 0;
}

void catalog_origin_clear(struct catalog_origin *o)
{
	free(o->ranges);
	o->ranges = NULL;
	o->count = 0;
}

static int insert_ranges(struct catalog *c, const struct catalog_origin *o)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state,
				"INSERT INTO origin_range (disk, start, span) VALUES (?, ?, ?)", &q);

	for (size_t i = 0; i < o->count && !err; i++) {
		state_bind_int(q, 1, o->disk);
		state_bind_int(q, 2, o->ranges[i].offset);
		state_bind_int(q, 3, o->ranges[i].span);
		err = state_run(q);
	}
	return err;
}

int catalog_origin_insert(struct catalog *c, const struct catalog_origin *o)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state,
				"INSERT OR IGNORE INTO origin (disk, tracker, epoch, size, witness)"
				" VALUES (?, ?, ?, ?, '')", &q);

	if (err)
		return err;
	state_bind_int(q, 1, o->disk);
	state_bind_blob(q, 2, o->tracker, sizeof(o->tracker));
	state_bind_int(q, 3, o->epoch);
	state_bind_int(q, 4, o->size);
	err = state_run(q);
	return err || state_changes(c->state) != 1 ? err : insert_ranges(c, o);
}

int catalog_origin_extend(struct catalog *c, const struct catalog_origin *o)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state, "UPDATE origin SET witness = ? WHERE disk = ?", &q);

	if (err)
		return err;
	state_bind_text(q, 1, o->witness);
	state_bind_int(q, 2, o->disk);
	err = state_run(q);
	/* No origin, no ranges: they would say nothing. */
	return err || state_changes(c->state) != 1 ? err : insert_ranges(c, o);
}

int catalog_origin_cover(struct catalog *c, int64_t disk, const uint8_t *tracker, uint64_t epoch)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = catalog_start(c);

	if (err)
		return err;
	err = state_prepare(c->state,
			    "UPDATE origin SET cover = ?, cover_epoch = ? WHERE disk = ?", &q);
	if (!err) {
		state_bind_blob(q, 1, tracker, STORE_UUID_SIZE);
		state_bind_int(q, 2, epoch);
		state_bind_int(q, 3, disk);
		err = state_run(q);
	}
	return catalog_end(c, err);
}

int catalog_origin_forget(struct catalog *c, int64_t disk)
{
	int err = catalog_run(c, "DELETE FROM origin_range WHERE disk = ?1", disk, 0);

	return err ? err : catalog_run(c, "DELETE FROM origin WHERE disk = ?1", disk, 0);
}

static int load_ranges(struct catalog *c, struct catalog_origin *o)
{
	_cleanup_query_ struct state_query *q = NULL;
	int more = state_prepare(c->state,
				 "SELECT start, span FROM origin_range WHERE disk = ? ORDER BY start",
				 &q);

	if (more)
		return more;
	state_bind_int(q, 1, o->disk);
	while ((more = state_step(q)) > 0) {
		int err = catalog_origin_add(o, state_int(q, 0), state_int(q, 1));

		if (err)
			return err;
	}
	return more;
}

static int load_origin(struct catalog *c, struct state_query *q, struct catalog_origin *ret)
{
	struct catalog_origin o = { 0 };
	int found = state_step(q), err;

	if (found <= 0)
		return found;
	o.disk = state_int(q, 0);
	state_blob(q, 1, o.tracker, sizeof(o.tracker));
	o.epoch = state_int(q, 2);
	o.size = state_int(q, 3);
	catalog_text(q, 4, o.witness, sizeof(o.witness));
	o.covered = state_blob(q, 5, o.cover, sizeof(o.cover)) == sizeof(o.cover);
	o.cover_epoch = state_int(q, 6);
	err = load_ranges(c, &o);
	if (err) {
		catalog_origin_clear(&o);
		return err;
	}
	*ret = o;
	return 1;
}

int catalog_origin_find(struct catalog *c, const char *collection, const char *vm,
			const char *disk, struct catalog_origin *ret)
{
	struct state_query *q;
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_prepare(c->state,
			    "SELECT o.disk, o.tracker, o.epoch, o.size, o.witness, o.cover,"
			    " o.cover_epoch FROM origin o JOIN disk d ON d.id = o.disk"
			    " JOIN collection c ON c.id = d.collection"
			    " WHERE c.name = ? AND d.vm = ? AND d.name = ?", &q);
	if (!err) {
		state_bind_text(q, 1, collection);
		state_bind_text(q, 2, vm);
		state_bind_text(q, 3, disk);
		err = load_origin(c, q, ret);
		state_query_free(q);
	}
	catalog_unlock(c);
	return err;
}
