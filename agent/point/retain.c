// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/retain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "point/catalog-point.h"
#include "point/chain.h"
#include "point/file.h"
#include "point/join.h"
#include "point/rebase.h"

/* What the work on a disk knows of it. @folder: of its overlays */
struct retain {
	struct store *store;
	const struct catalog_disk *disk;
	struct catalog_layer *layers;
	size_t count;
	struct ring *ring;
	const struct merge_tick *tick;
	struct reason *reason;
	char folder[STORE_PATH_MAX];
};

/* -- which points --------------------------------------------------------------------- */

/* More than the limit: the oldest go, but those that somebody uses. */
static int retain_retire(struct store *s, const char *collection, struct reason *reason)
{
	_cleanup_free_ struct catalog_point *points = NULL;
	size_t count, keep = 1 + store_history(s, collection);
	int err = catalog_points(store_catalog(s), collection, &points, &count);

	for (size_t i = 0; i + keep < count && !err; i++) {
		err = store_retire(s, collection, points[i].number);
		if (err == -EBUSY)
			err = 0;
	}
	return err ? reason_set(reason, err, REASON_FAILED, "cannot retire a point: %s",
				strerror(-err)) : 0;
}

/* -- which layers --------------------------------------------------------------------- */

/* Is a layer what the disk is made of at a point that is kept? */
static bool layer_needed(const struct retain *r, size_t i, const struct catalog_point *points,
			 size_t count)
{
	if (i + 1 == r->count)
		return true;
	/* Somebody has an overlay over the file that would be merged, and then be gone. */
	for (size_t p = 0; p < count && i == 0; p++)
		if (points[p].number >= r->layers[1].point &&
		    (r->count == 2 || points[p].number < r->layers[2].point) &&
		    store_pinned(r->store, r->disk->collection, points[p].number))
			return true;
	if (r->layers[i].broken)
		return false;
	for (size_t p = 0; p < count; p++)
		if (points[p].number >= r->layers[i].point &&
		    points[p].number < r->layers[i + 1].point)
			return true;
	return false;
}

/* The first layer that nobody needs. Return: 1: @ret is it, 0: there is none, errno */
static int retain_next(struct retain *r, size_t *ret)
{
	_cleanup_free_ struct catalog_point *points = NULL;
	struct catalog *c = store_catalog(r->store);
	size_t count;
	int err;

	free(r->layers);
	r->layers = NULL;
	r->count = 0;
	err = catalog_layers(c, r->disk->id, UINT64_MAX, &r->layers, &r->count);
	if (!err)
		err = catalog_points(c, r->disk->collection, &points, &count);
	if (err)
		return err;
	for (size_t i = 0; i + 1 < r->count; i++)
		if (!layer_needed(r, i, points, count)) {
			*ret = i;
			return 1;
		}
	return 0;
}

static int layer_path(const struct retain *r, size_t i, char ret[STORE_PATH_MAX])
{
	return file_path(ret, STORE_PATH_MAX, r->folder, r->layers[i].file);
}

/*
 * A layer cannot be read: it is lost, and all that lies over it. The files are
 * kept aside under names that nobody looks at. A comparison mends the disk; if
 * the raw replica may have half of the layer, it is good for nothing else.
 */
static void retain_set_aside(struct retain *r, size_t from)
{
	char path[STORE_PATH_MAX], aside[STORE_PATH_MAX + 16];

	if (catalog_damaged(store_catalog(r->store), r->disk->id, r->layers[from].point,
			    from == 1))
		return;
	for (size_t i = from; i < r->count; i++) {
		if (layer_path(r, i, path))
			continue;
		snprintf(aside, sizeof(aside), "%s.damaged", path);
		rename(path, aside);
	}
}

/* -- the oldest: into the raw replica --------------------------------------------------- */

/* The name of the raw replica for an overlay's header: see replica.rst. */
void retain_backing(const char *raw, const char *folder, char ret[STORE_PATH_MAX])
{
	size_t n = strlen(folder);

	if (!strncmp(raw, folder, n) && raw[n] == '/' && !strchr(raw + n + 1, '/'))
		snprintf(ret, STORE_PATH_MAX, "%s", raw + n + 1);
	else
		snprintf(ret, STORE_PATH_MAX, "%s", raw);
}

static int absorb_merge(struct retain *r, const char *overlay)
{
	const struct catalog_disk *d = r->disk;
	const struct catalog_layer *l = &r->layers[1];
	const struct merge_want want = { l->size, l->point, l->epoch };
	_cleanup_raw_ struct raw raw = RAW_NONE;
	char identity[GUARD_IDENTITY_MAX];
	int err = guard_identity(d->path, identity);

	if (err)
		return reason_set(r->reason, err, 0, "cannot find the raw replica %s: %s", d->path,
				  strerror(-err));
	if (strcmp(identity, d->identity))
		return reason_set(r->reason, -ENODEV, REASON_INVALID_STATE,
				  "%s is not the device that it was: %s then, %s now",
				  d->path, d->identity, identity);
	err = raw_open(d->path, l->size, RAW_WRITE | RAW_EXCLUSIVE, &raw, r->reason);
	return err ? err : merge_run(overlay, &want, &raw, r->ring, r->tick, r->reason);
}

static int absorb_record(struct retain *r, const char *above)
{
	uint8_t header[REBASE_HEADER_SIZE];
	char backing[STORE_PATH_MAX];
	uint64_t number = r->count > 2 ? r->layers[2].point : 0;
	int err = 0;

	retain_backing(r->disk->path, r->folder, backing);
	if (number)
		err = rebase_header(above, backing, "raw", header, r->reason);
	if (err)
		return err;
	err = store_absorbed(r->store, r->disk, r->layers[1].point, number, header, sizeof(header));
	if (err > 0)
		return reason_set(r->reason, -ECANCELED, REASON_IN_USE,
				  "point %" PRIu64 " has come into use meanwhile",
				  r->layers[1].point);
	if (err)
		return reason_set(r->reason, err, REASON_FAILED,
				  "cannot record that a point is merged: %s", strerror(-err));
	crash_at("merge-recorded");
	if (!number)
		return 0;
	err = rebase_write(above, header, sizeof(header), r->reason);
	if (err)
		return err;
	crash_at("merge-rebased");
	err = catalog_rebased(store_catalog(r->store), r->disk->id, number);
	return err ? reason_set(r->reason, err, REASON_FAILED, "cannot record that %s is rebased",
				above) : 0;
}

static int retain_absorb(struct retain *r)
{
	char overlay[STORE_PATH_MAX], above[STORE_PATH_MAX] = "";
	int err = layer_path(r, 1, overlay);

	if (!err && r->count > 2)
		err = layer_path(r, 2, above);
	if (err)
		return reason_set(r->reason, err, 0, "the path of a point is too long");
	err = absorb_merge(r, overlay);
	if (err == -EUCLEAN)
		retain_set_aside(r, 1);
	if (!err)
		err = absorb_record(r, above);
	if (err)
		return err;
	file_unlink(overlay);
	crash_at("merge-unlinked");
	return 0;
}

/* -- in the middle: two become one -------------------------------------------------------- */

static int retain_join(struct retain *r, size_t i)
{
	char lower[STORE_PATH_MAX], upper[STORE_PATH_MAX];
	int err = layer_path(r, i, lower);

	if (!err)
		err = layer_path(r, i + 1, upper);
	if (err)
		return reason_set(r->reason, err, 0, "the path of a point is too long");
	err = join_run(lower, upper, r->tick, r->reason);
	if (err)
		return err;
	err = catalog_joined(store_catalog(r->store), r->disk->id, r->layers[i].point);
	if (err)
		return reason_set(r->reason, err, REASON_FAILED,
				  "cannot record that %s is joined: %s", lower, strerror(-err));
	crash_at("join-recorded");
	file_unlink(lower);
	crash_at("join-unlinked");
	return 0;
}

int retain_mend(struct store *s, const struct catalog_disk *d)
{
	struct retain r = { .store = s, .disk = d };
	char path[STORE_PATH_MAX];
	int err = store_folder(s, d->collection, d->vm, d->name, r.folder);

	if (!err)
		err = catalog_layers(store_catalog(s), d->id, UINT64_MAX, &r.layers, &r.count);
	for (size_t i = 1; i < r.count && !err; i++) {
		const char *one = path;
		struct chain *chain = NULL;
		struct reason reason = { 0 };
		int bad = layer_path(&r, i, path);

		if (!bad)
			bad = chain_open_files(&one, 1, &chain, &reason);
		chain_close(chain);
		if (bad != -EUCLEAN && bad != -ENOENT)
			continue;
		log_error("%s: %s/%s: point %" PRIu64 " is lost, and what lies over it: %s",
			  d->collection, d->vm, d->name, r.layers[i].point, reason.text);
		retain_set_aside(&r, i);
		err = 1;
	}
	free(r.layers);
	return err;
}

/* -- all of it ------------------------------------------------------------------------------ */

static int retain_disk(struct store *s, const struct catalog_disk *d, struct ring *ring,
		       const struct merge_tick *tick, struct reason *reason)
{
	struct retain r = { .store = s, .disk = d, .ring = ring, .tick = tick, .reason = reason };
	int err = store_folder(s, d->collection, d->vm, d->name, r.folder);
	size_t i;

	while (!err) {
		err = retain_next(&r, &i);
		if (err <= 0)
			break;
		err = i ? retain_join(&r, i) : retain_absorb(&r);
	}
	free(r.layers);
	return err ? reason_set(reason, err, 0, "cannot merge the points of %s/%s: %s", d->vm,
				d->name, strerror(-err)) : 0;
}

/* Return: 0; or -EAGAIN: nothing to be done */
static int retain_look(struct store *s, const struct catalog_disk *d)
{
	struct retain r = { .store = s, .disk = d };
	size_t i;
	int found = retain_next(&r, &i);

	free(r.layers);
	return found > 0 ? 0 : found < 0 ? found : -EAGAIN;
}

int retain_run(struct store *s, const char *collection, struct ring *ring,
	       const struct merge_tick *tick, struct reason *reason)
{
	_cleanup_free_ struct catalog_disk *disks = NULL;
	enum store_state before = store_activity_of(s, collection);
	size_t count = 0;
	int err = retain_recover(s, collection, reason);

	if (!err)
		err = retain_retire(s, collection, reason);
	if (!err)
		err = catalog_list(store_catalog(s), collection, &disks, &count);
	if (err)
		return reason_set(reason, err, REASON_FAILED, "cannot read the state file");
	store_activity(s, collection, STORE_MERGING);
	for (size_t i = 0; i < count && !err; i++)
		err = retain_disk(s, &disks[i], ring, tick, reason);
	store_activity(s, collection, before);
	return err;
}

bool retain_crowded(struct store *s, const char *collection)
{
	_cleanup_free_ struct catalog_disk *disks = NULL;
	size_t count = 0, layer_count;
	bool crowded = false;

	if (catalog_list(store_catalog(s), collection, &disks, &count))
		return false;
	for (size_t i = 0; i < count; i++) {
		struct catalog_layer *layers = NULL;

		if (!catalog_layers(store_catalog(s), disks[i].id, UINT64_MAX, &layers,
				    &layer_count))
			crowded |= layer_count >= CHAIN_MAX;
		free(layers);
	}
	return crowded;
}

int retain_pending(struct store *s, const char *after, char ret[NAME_SIZE])
{
	_cleanup_free_ struct catalog_disk *disks = NULL;
	struct reason reason = { 0 };
	size_t count = 0;
	int err = catalog_list(store_catalog(s), NULL, &disks, &count);

	for (size_t i = 0; i < count && !err; i++) {
		if (strcmp(disks[i].collection, after) <= 0)
			continue;
		err = retain_retire(s, disks[i].collection, &reason);
		if (err || retain_look(s, &disks[i]))
			continue;
		memcpy(ret, disks[i].collection, NAME_SIZE);
		return 1;
	}
	return err;
}

int retain_recover(struct store *s, const char *collection, struct reason *reason)
{
	_cleanup_free_ struct catalog_header *headers = NULL;
	size_t count = 0;
	int err = catalog_headers(store_catalog(s), &headers, &count);

	if (err)
		return reason_set(reason, err, REASON_FAILED, "cannot read the state file");
	for (size_t i = 0; i < count && !err; i++) {
		const struct catalog_header *h = &headers[i];
		char folder[STORE_PATH_MAX], path[STORE_PATH_MAX];

		if (strcmp(collection, h->at.collection))
			continue;
		err = store_folder(s, h->at.collection, h->at.vm, h->at.disk, folder);
		if (!err)
			err = file_path(path, sizeof(path), folder, h->at.file);
		if (!err && file_exists(path))
			err = rebase_write(path, h->header, h->size, reason);
		if (!err)
			err = catalog_rebased(store_catalog(s), h->disk, h->point);
	}
	return err ? reason_set(reason, err, REASON_FAILED, "cannot rebase a point: %s",
				strerror(-err)) : 0;
}
