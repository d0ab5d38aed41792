// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/catalog-point.h"

#include <string.h>

#include "point/catalog-db.h"

/* An array that grows by doubling. Return: the place of the next one, or NULL. */
static void *list_next(void **list, size_t *room, size_t count, size_t size)
{
	if (count == *room) {
		size_t grown = *room ? *room * 2 : 16;
		void *p = realloc(*list, grown * size);

		if (!p)
			return NULL;
		*list = p;
		*room = grown;
	}
	return (char *)*list + count * size;
}

/*
 * All rows of a query, each put down by @row. Takes over @q and the lock, and
 * ends both.
 */
static int catalog_collect_rows(struct catalog *c, struct state_query *q, size_t size,
				void (*row)(struct state_query *q, void *to), void **ret,
				size_t *ret_count)
{
	_cleanup_free_ void *list = NULL;
	size_t count = 0, room = 0;
	int more;

	while ((more = state_step(q)) > 0) {
		void *to = list_next(&list, &room, count, size);

		if (!to) {
			more = -ENOMEM;
			break;
		}
		memset(to, 0, size);
		row(q, to);
		count++;
	}
	state_query_free(q);
	catalog_unlock(c);
	if (more < 0)
		return more;
	*ret = TAKE_PTR(list);
	*ret_count = count;
	return 0;
}

/* Locks. Return: 0, or an errno, and nothing is locked. */
static int catalog_query(struct catalog *c, const char *sql, struct state_query **ret)
{
	int err = catalog_lock(c);

	if (err)
		return err;
	err = state_prepare(c->state, sql, ret);
	if (err)
		catalog_unlock(c);
	return err;
}

static void point_row(struct state_query *q, void *to)
{
	struct catalog_point *p = to;

	p->number = state_int(q, 0);
	p->created = state_int(q, 1);
	p->consistency = state_int(q, 2);
	p->final = state_int(q, 3);
}

int catalog_points(struct catalog *c, const char *collection, struct catalog_point **ret,
		   size_t *ret_count)
{
	struct state_query *q;
	int err = catalog_query(c,
				"SELECT p.number, p.created, p.consistency, p.final FROM point p"
				" JOIN collection c ON c.id = p.collection"
				" WHERE c.name = ? AND NOT p.retired ORDER BY p.number", &q);

	if (err)
		return err;
	state_bind_text(q, 1, collection);
	return catalog_collect_rows(c, q, sizeof(**ret), point_row, (void **)ret, ret_count);
}

static void layer_row(struct state_query *q, void *to)
{
	struct catalog_layer *l = to;

	l->point = state_int(q, 0);
	catalog_text(q, 1, l->file, sizeof(l->file));
	l->size = state_int(q, 2);
	state_blob(q, 3, l->tracker, sizeof(l->tracker));
	l->epoch = state_int(q, 4);
	l->broken = state_int(q, 6);
	l->digested = state_blob(q, 5, l->digest, sizeof(l->digest)) == sizeof(l->digest);
}

int catalog_layers(struct catalog *c, int64_t disk, uint64_t point, struct catalog_layer **ret,
		   size_t *ret_count)
{
	struct state_query *q;
	int err = catalog_query(c,
				"SELECT p.number, e.file, e.size, e.tracker, e.epoch, e.digest,"
				" e.broken"
				" FROM point_disk e JOIN point p ON p.id = e.point"
				" WHERE e.disk = ? AND p.number <= ? ORDER BY p.number", &q);

	if (err)
		return err;
	state_bind_int(q, 1, disk);
	state_bind_int(q, 2, point > INT64_MAX ? INT64_MAX : (int64_t)point);
	return catalog_collect_rows(c, q, sizeof(**ret), layer_row, (void **)ret, ret_count);
}

static void file_row(struct state_query *q, void *to)
{
	struct catalog_file *f = to;

	catalog_text(q, 0, f->collection, sizeof(f->collection));
	catalog_text(q, 1, f->vm, sizeof(f->vm));
	catalog_text(q, 2, f->disk, sizeof(f->disk));
	catalog_text(q, 3, f->file, sizeof(f->file));
}

#define FILE_SELECT                                                                                \
	"SELECT c.name, d.vm, d.name, e.file, d.id, p.number, e.header FROM point_disk e"          \
	" JOIN disk d ON d.id = e.disk JOIN collection c ON c.id = d.collection"                   \
	" JOIN point p ON p.id = e.point "

int catalog_files(struct catalog *c, struct catalog_file **ret, size_t *ret_count)
{
	struct state_query *q;
	int err = catalog_query(c, FILE_SELECT "WHERE e.file IS NOT NULL", &q);

	if (err)
		return err;
	return catalog_collect_rows(c, q, sizeof(**ret), file_row, (void **)ret, ret_count);
}

static void header_row(struct state_query *q, void *to)
{
	struct catalog_header *h = to;

	file_row(q, &h->at);
	h->disk = state_int(q, 4);
	h->point = state_int(q, 5);
	h->size = u64_min(state_blob(q, 6, h->header, sizeof(h->header)), sizeof(h->header));
}

int catalog_headers(struct catalog *c, struct catalog_header **ret, size_t *ret_count)
{
	struct state_query *q;
	int err = catalog_query(c, FILE_SELECT "WHERE e.header IS NOT NULL", &q);

	if (err)
		return err;
	return catalog_collect_rows(c, q, sizeof(**ret), header_row, (void **)ret, ret_count);
}

int catalog_history(struct catalog *c, const char *collection)
{
	struct state_query *q;
	int history = -1;

	if (catalog_query(c, "SELECT history FROM collection WHERE name = ? AND history IS NOT NULL",
			  &q))
		return -1;
	state_bind_text(q, 1, collection);
	if (state_step(q) > 0)
		history = state_int(q, 0);
	state_query_free(q);
	catalog_unlock(c);
	return history;
}

int catalog_retire(struct catalog *c, const char *collection, uint64_t number)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = catalog_start(c);

	if (err)
		return err;
	err = state_prepare(c->state,
			    "UPDATE point SET retired = 1 WHERE number = ? AND NOT retired AND"
			    " collection = (SELECT id FROM collection WHERE name = ?)", &q);
	if (!err) {
		state_bind_int(q, 1, number);
		state_bind_text(q, 2, collection);
		err = state_run(q);
	}
	if (!err && state_changes(c->state) != 1)
		err = -ENOENT;
	return catalog_end(c, err);
}

/* The id of the row of a point that a disk has a layer for. */
#define LAYER_POINT                                                                                \
	"(SELECT p.id FROM point p JOIN disk d ON d.collection = p.collection"                     \
	" WHERE d.id = ?1 AND p.number = ?2)"

int catalog_absorbed(struct catalog *c, int64_t disk, uint64_t point, uint64_t above,
		     const void *header, size_t header_size)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_run(c,
			  "DELETE FROM point_disk WHERE disk = ?1 AND point IN"
			  " (SELECT id FROM point WHERE number < ?2)", disk, point);
	if (!err)
		err = catalog_run(c,
				  "UPDATE point_disk SET file = NULL WHERE disk = ?1 AND point = "
				  LAYER_POINT, disk, point);
	if (!err && above)
		err = state_prepare(c->state,
				    "UPDATE point_disk SET header = ?3 WHERE disk = ?1 AND point = "
				    LAYER_POINT, &q);
	if (!err && above) {
		state_bind_int(q, 1, disk);
		state_bind_int(q, 2, above);
		state_bind_blob(q, 3, header, header_size);
		err = state_run(q);
	}
	if (!err)
		err = catalog_prune(c);
	return catalog_end(c, err);
}

int catalog_rebased(struct catalog *c, int64_t disk, uint64_t point)
{
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_run(c, "UPDATE point_disk SET header = NULL WHERE disk = ?1 AND point = "
			  LAYER_POINT, disk, point);
	return catalog_end(c, err);
}

int catalog_joined(struct catalog *c, int64_t disk, uint64_t point)
{
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_run(c, "DELETE FROM point_disk WHERE disk = ?1 AND point = " LAYER_POINT,
			  disk, point);
	if (!err)
		err = catalog_prune(c);
	return catalog_end(c, err);
}

int catalog_digest(struct catalog *c, int64_t disk, uint64_t point, const uint8_t *digest)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = catalog_start(c);

	if (err)
		return err;
	err = state_prepare(c->state,
			    "UPDATE point_disk SET digest = ?3 WHERE disk = ?1 AND point = "
			    LAYER_POINT, &q);
	if (!err) {
		state_bind_int(q, 1, disk);
		state_bind_int(q, 2, point);
		state_bind_blob(q, 3, digest, CATALOG_DIGEST_SIZE);
		err = state_run(q);
	}
	return catalog_end(c, err);
}
