// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/catalog-clear.h"

#include "point/catalog-db.h"

#define OF_COLLECTION " IN (SELECT id FROM disk WHERE collection = ?1)"

static int clear_spare(struct catalog *c, const struct catalog_spared *s)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(c->state,
				"UPDATE disk SET device = 0, identity = 'file', path = ?"
				" WHERE id = ?", &q);

	if (err)
		return err;
	state_bind_text(q, 1, s->path);
	state_bind_int(q, 2, s->disk);
	return state_run(q);
}

/* What refers to others goes before them. */
static int clear_rows(struct catalog *c, int64_t collection)
{
	static const char *const statements[] = {
		"DELETE FROM point_disk WHERE disk" OF_COLLECTION,
		"DELETE FROM staged WHERE disk" OF_COLLECTION,
		"DELETE FROM staging WHERE disk" OF_COLLECTION,
		"DELETE FROM origin_range WHERE disk" OF_COLLECTION,
		"DELETE FROM origin WHERE disk" OF_COLLECTION,
		"UPDATE disk SET state = 0, adopted = 0, point = NULL, tracker = NULL, epoch = 0"
		" WHERE collection = ?1",
		"DELETE FROM point WHERE collection = ?1",
		"UPDATE collection SET history = NULL WHERE id = ?1",
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(statements) && !err; i++)
		err = catalog_run(c, statements[i], collection, 0);
	return err;
}

int catalog_clear(struct catalog *c, const char *collection, const struct catalog_spared *spared,
		  size_t count)
{
	int64_t id;
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_collection(c, collection, &id);
	if (!err)
		err = clear_rows(c, id);
	for (size_t i = 0; i < count && !err; i++)
		err = clear_spare(c, &spared[i]);
	return catalog_end(c, err);
}

int catalog_cleared(struct catalog *c, const char *collection)
{
	int64_t id;
	int err = catalog_start(c);

	if (err)
		return err;
	err = catalog_collection(c, collection, &id);
	if (!err)
		err = catalog_run(c, "DELETE FROM disk WHERE collection = ?1 AND state = 0"
				     " AND device = 0", id, 0);
	return catalog_end(c, err);
}
