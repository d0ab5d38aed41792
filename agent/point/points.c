// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/points.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "point/digest.h"
#include "point/file.h"

void points_free(struct points_point *points, size_t count)
{
	for (size_t i = 0; points && i < count; i++)
		free(points[i].disks);
	free(points);
}

static uint64_t file_space(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISREG(st.st_mode) ? st.st_blocks * 512ull : 0;
}

/* A disk's layer at a point. Return: 1: it has one, 0: it came later, or errno */
static int points_disk(struct store *s, const struct catalog_disk *d, uint64_t number,
		       struct points_disk *ret)
{
	_cleanup_free_ struct catalog_layer *layers = NULL;
	const struct catalog_layer *l;
	char folder[STORE_PATH_MAX];
	size_t count = 0;
	int err = catalog_layers(store_catalog(s), d->id, number, &layers, &count);

	if (err || !count)
		return err;
	l = &layers[count - 1];
	*ret = (struct points_disk){
		.layer = l->point,
		.size = l->size,
		.epoch = l->epoch,
		.digested = l->digested,
	};
	memcpy(ret->vm, d->vm, sizeof(ret->vm));
	memcpy(ret->disk, d->name, sizeof(ret->disk));
	memcpy(ret->tracker, l->tracker, sizeof(ret->tracker));
	memcpy(ret->digest, l->digest, sizeof(ret->digest));
	memcpy(ret->path, d->path, sizeof(ret->path));
	if (l->file[0]) {
		err = store_folder(s, d->collection, d->vm, d->name, folder);
		if (!err)
			err = file_path(ret->path, sizeof(ret->path), folder, l->file);
	}
	if (err)
		return err;
	ret->space = file_space(ret->path);
	if (l->broken)
		ret->path[0] = '\0';
	return 1;
}

static int points_fill(struct store *s, const struct catalog_disk *disks, size_t count,
		       struct points_point *p)
{
	p->disks = calloc(count + 1, sizeof(*p->disks));
	if (!p->disks)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct points_disk *d = &p->disks[p->disk_count];
		int found = points_disk(s, &disks[i], p->number, d);

		if (found < 0)
			return found;
		if (found && d->layer == p->number)
			p->space += d->space;
		p->disk_count += found;
	}
	return 0;
}

int points_list(struct store *s, const char *collection, struct points_point **ret,
		size_t *ret_count, struct reason *reason)
{
	_cleanup_free_ struct catalog_point *list = NULL;
	_cleanup_free_ struct catalog_disk *disks = NULL;
	struct points_point *points;
	size_t count = 0, disk_count = 0;
	int err = catalog_list(store_catalog(s), collection, &disks, &disk_count);

	if (!err && !disk_count)
		return reason_set(reason, -ENOENT, REASON_NOT_FOUND,
				  "no replica of a collection %s is held here", collection);
	if (!err)
		err = catalog_points(store_catalog(s), collection, &list, &count);
	if (err)
		return reason_set(reason, err, REASON_FAILED, "cannot read the state file");
	points = calloc(count + 1, sizeof(*points));
	err = points ? 0 : -ENOMEM;
	for (size_t i = 0; i < count && !err; i++) {
		points[i] = (struct points_point){
			.number = list[i].number,
			.created = list[i].created,
			.consistency = list[i].consistency,
			.final = list[i].final,
			.newest = i + 1 == count,
			.in_use = store_pinned(s, collection, list[i].number),
		};
		err = points_fill(s, disks, disk_count, &points[i]);
	}
	if (err) {
		points_free(points, count);
		return reason_set(reason, err, 0, "cannot list the points of %s: %s", collection,
				  strerror(-err));
	}
	*ret = points;
	*ret_count = count;
	return 0;
}

int points_find(struct store *s, const char *collection, uint64_t number, uint64_t *ret,
		struct reason *reason)
{
	_cleanup_free_ struct catalog_point *list = NULL;
	size_t count = 0;
	int err = catalog_points(store_catalog(s), collection, &list, &count);

	if (err)
		return reason_set(reason, err, REASON_FAILED, "cannot read the state file");
	for (size_t i = 0; i < count; i++)
		if (list[i].number == number || (!number && i + 1 == count)) {
			*ret = list[i].number;
			return 0;
		}
	if (!count)
		return reason_set(reason, -ENOENT, REASON_NOT_FOUND,
				  "the collection %s has no point here", collection);
	return reason_set(reason, -ENOENT, REASON_NOT_FOUND,
			  "the collection %s has no point %" PRIu64, collection, number);
}

/* -- verification ------------------------------------------------------------------------ */

static int verify_disk(struct store *s, const struct catalog_disk *d, uint64_t number,
		       const struct merge_tick *tick, size_t *fresh, struct reason *reason)
{
	uint8_t digest[CATALOG_DIGEST_SIZE];
	struct catalog_layer layer = { 0 };
	struct reason why = { 0 };
	struct chain *chain = NULL;
	int err = chain_open(s, d, number, &chain, &why);

	if (err == -ENOENT && why.code == REASON_NOT_FOUND)
		return 0; /* it came later */
	if (!err) {
		layer = *chain_layer(chain);
		err = layer.broken ? -EUCLEAN : digest_chain(chain, tick, digest, &why);
	}
	chain_close(chain);
	if (!err && layer.digested && memcmp(digest, layer.digest, sizeof(digest)))
		err = reason_set(&why, -EUCLEAN, REASON_FAILED, "its bytes are not what they were");
	if (!err && !layer.digested) {
		err = catalog_digest(store_catalog(s), d->id, layer.point, digest);
		(*fresh)++;
	}
	return err ? reason_set(reason, err, why.code, "%s/%s at point %" PRIu64 ": %s", d->vm,
				d->name, number, why.text[0] ? why.text : strerror(-err)) : 0;
}

int points_verify(struct store *s, const char *collection, uint64_t number,
		  const struct merge_tick *tick, size_t *ret_fresh, struct reason *reason)
{
	_cleanup_free_ struct catalog_disk *disks = NULL;
	size_t count = 0, fresh = 0;
	int err = points_find(s, collection, number, &number, reason);

	if (err)
		return err;
	err = store_pin(s, collection, number);
	if (err)
		return reason_set(reason, err, REASON_NOT_FOUND, "the point was just retired");
	err = catalog_list(store_catalog(s), collection, &disks, &count);
	for (size_t i = 0; i < count && !err; i++)
		err = verify_disk(s, &disks[i], number, tick, &fresh, reason);
	store_unpin(s, collection, number);
	if (!err)
		*ret_fresh = fresh;
	return err;
}

/* -- deletion ------------------------------------------------------------------------------ */

int points_delete(struct store *s, const char *collection, uint64_t number,
		  struct reason *reason)
{
	uint64_t newest = 0, found = 0;
	int err = points_find(s, collection, 0, &newest, reason);

	if (!err)
		err = points_find(s, collection, number, &found, reason);
	if (err)
		return err;
	if (found == newest)
		return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
				  "point %" PRIu64 " is the newest: the next run builds on it",
				  newest);
	err = store_retire(s, collection, found);
	if (err == -EBUSY)
		return reason_set(reason, err, REASON_IN_USE, "point %" PRIu64 " is in use", found);
	return err ? reason_set(reason, err, err == -ENOENT ? REASON_NOT_FOUND : REASON_FAILED,
				"point %" PRIu64 " cannot be deleted: %s", found, strerror(-err))
		   : 0;
}
