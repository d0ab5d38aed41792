// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/catalog-failover.h"

#include <string.h>
#include <time.h>

#include "point/catalog-db.h"

#define OF_COLLECTION " collection = (SELECT id FROM collection WHERE name = ?) "

int catalog_failover_set(struct catalog *c, const struct catalog_failover *f)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = catalog_start(c);

	if (err)
		return err;
	err = state_prepare(c->state,
			    "INSERT OR REPLACE INTO failover (collection, kind, state, point, path)"
			    " SELECT id, ?, ?, ?, ? FROM collection WHERE name = ?", &q);
	if (!err) {
		state_bind_int(q, 1, f->kind);
		state_bind_int(q, 2, f->state);
		state_bind_int(q, 3, f->point);
		state_bind_text(q, 4, f->path);
		state_bind_text(q, 5, f->collection);
		err = state_run(q);
	}
	if (!err && state_changes(c->state) < 1)
		err = -ENOENT;
	return catalog_end(c, err);
}

static void failover_row(struct state_query *q, struct catalog_failover *f)
{
	*f = (struct catalog_failover){
		.kind = state_int(q, 1),
		.state = state_int(q, 2),
		.point = state_int(q, 3),
	};
	catalog_text(q, 0, f->collection, sizeof(f->collection));
	catalog_text(q, 4, f->path, sizeof(f->path));
}

int catalog_failovers(struct catalog *c, struct catalog_failover **ret, size_t *ret_count)
{
	_cleanup_free_ struct catalog_failover *list = NULL;
	struct state_query *q;
	size_t count = 0;
	int more = catalog_lock(c);

	if (more)
		return more;
	more = state_prepare(c->state,
			     "SELECT c.name, f.kind, f.state, f.point, f.path FROM failover f"
			     " JOIN collection c ON c.id = f.collection ORDER BY c.name, f.kind", &q);
	while (!more && (more = state_step(q)) > 0) {
		void *p = realloc(list, (count + 1) * sizeof(*list));

		more = p ? 0 : -ENOMEM;
		if (!p)
			break;
		list = p;
		failover_row(q, &list[count++]);
	}
	state_query_free(q);
	catalog_unlock(c);
	if (more < 0)
		return more;
	*ret = TAKE_PTR(list);
	*ret_count = count;
	return 0;
}

int catalog_failover_find(struct catalog *c, const char *collection, enum failover_kind kind,
			  struct catalog_failover *ret)
{
	_cleanup_free_ struct catalog_failover *list = NULL;
	size_t count = 0;
	int err = catalog_failovers(c, &list, &count);

	for (size_t i = 0; i < count; i++)
		if (list[i].kind == kind && !strcmp(list[i].collection, collection)) {
			if (ret)
				*ret = list[i];
			return 1;
		}
	return err;
}

/* A statement with a number and a collection's name. */
static int run_named(struct catalog *c, const char *sql, int64_t number, const char *collection)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state, sql, &q);

	if (err)
		return err;
	state_bind_int(q, 1, number);
	state_bind_text(q, 2, collection);
	return state_run(q);
}

int catalog_failover_clear(struct catalog *c, const char *collection, enum failover_kind kind)
{
	int err = catalog_start(c);

	if (err)
		return err;
	err = run_named(c, "DELETE FROM failover WHERE kind = ? AND" OF_COLLECTION, kind, collection);
	return catalog_end(c, err);
}

int catalog_cut(struct catalog *c, const char *collection, uint64_t point,
		const struct catalog_origin *origins, size_t count)
{
	int err = catalog_start(c);

	if (err)
		return err;
	for (size_t i = 0; i < count && !err; i++)
		err = catalog_origin_insert(c, &origins[i]);
	if (!err)
		err = run_named(c,
			"DELETE FROM point_disk WHERE point IN"
			" (SELECT id FROM point WHERE number > ? AND" OF_COLLECTION ")", point,
			collection);
	if (!err)
		err = run_named(c, "UPDATE point SET retired = 1 WHERE number <> ? AND"
				OF_COLLECTION, point, collection);
	if (!err)
		err = run_named(c,
				"UPDATE disk SET point = (SELECT p.id FROM point_disk e JOIN point p"
				" ON p.id = e.point WHERE e.disk = disk.id AND p.number <= ?"
				" ORDER BY p.number DESC LIMIT 1) WHERE" OF_COLLECTION, point,
				collection);
	return catalog_end(c, err);
}

int catalog_taken(struct catalog *c, const struct catalog_origin *disk)
{
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_run(c, "UPDATE point_disk SET broken = 1, digest = NULL WHERE disk = ?1",
			  disk->disk, 0);
	if (!err)
		err = catalog_run(c, "UPDATE disk SET tracker = NULL WHERE id = ?1", disk->disk, 0);
	if (!err)
		err = catalog_origin_extend(c, disk);
	return catalog_end(c, err);
}
