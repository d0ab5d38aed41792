// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Settling: what was written of a run is made durable in steps, with a record of
 * what it is, so that a run that was cut short can go on. Documentation/replica.rst,
 * "Resuming", argues why what is found then is right.
 *
 * The order is that of a point: first the bytes, and the name of their file, then
 * the transaction that says so. What was written after that transaction and before a
 * crash is in the file, and nobody says so: it is written again.
 */
#include <inttypes.h>
#include <string.h>

#include "base/crash.h"
#include "point/file.h"
#include "point/stage-disk.h"

/* -- what there is --------------------------------------------------------------------- */

static const uint8_t no_tracker[STORE_UUID_SIZE];

/* Does the staging belong to what the disk is now, here and at its sender? */
static bool settle_fits(const struct stage_disk *d)
{
	const struct catalog_staging *g = &d->staging;

	if (!g->epoch || g->size != d->spec.size || g->granule != d->spec.granule ||
	    g->base != d->row.point || memcmp(g->tracker, d->spec.tracker, sizeof(g->tracker)) ||
	    !memcmp(g->tracker, no_tracker, sizeof(no_tracker)))
		return false;
	if (g->file[0] ? !file_exists(g->file) : !d->row.device)
		return false;
	/* One that grew has zeroes in its overlay that nobody has sent. */
	return d->row.state == (g->base ? CATALOG_READY : CATALOG_SEEDING) &&
	       (!g->base || d->row.size == d->spec.size);
}

static int settle_cover(void *arg, const struct catalog_extent *extents, size_t count)
{
	struct stage_disk *d = arg;

	for (size_t i = 0; i < count; i++) {
		const struct catalog_extent *e = &extents[i];

		if (e->offset > d->spec.size || e->span > d->spec.size - e->offset)
			return -EUCLEAN;
		if (e->place == CATALOG_EXTENT_STALE)
			cover_clear(d->staged, e->offset, e->span);
		else
			cover_mark(d->staged, e->offset, e->span);
		if (e->place < CATALOG_EXTENT_STALE)
			d->staged_end = u64_max(d->staged_end, e->place + e->span);
	}
	return 0;
}

int settle_find(struct stage *s, struct stage_disk *d)
{
	int err = d->known ? catalog_staging_find(store_catalog(s->store), d->row.id, &d->staging)
			   : 0;

	if (err <= 0 || !settle_fits(d))
		return err < 0 ? err : 0;
	err = cover_create(d->spec.size, overlay_cluster(d->spec.granule), &d->staged);
	if (!err)
		err = catalog_staging_each(store_catalog(s->store), d->row.id, settle_cover, d);
	/* Whatever is the matter with it: it can be sent again. */
	if (err)
		d->staged = cover_destroy(d->staged);
	return err == -EUCLEAN ? 0 : err;
}

bool stage_staged(struct stage *s, uint32_t index, struct stage_staged *ret)
{
	const struct stage_disk *d = s->disks[index];

	if (!d->staged)
		return false;
	*ret = (struct stage_staged){ d->staging.mode, d->staging.epoch };
	return true;
}

bool stage_staged_next(struct stage *s, uint32_t index, uint64_t from, uint64_t *ret_offset,
		       uint64_t *ret_span)
{
	return cover_next(s->disks[index]->staged, from, ret_offset, ret_span);
}

int settle_discard(struct stage *s, struct stage_disk *d)
{
	int err = 0;

	d->staged = cover_destroy(d->staged);
	if (d->staging.disk)
		err = catalog_staging_forget(store_catalog(s->store), d->staging.disk);
	if (!err && d->staging.file[0])
		err = file_unlink(d->staging.file);
	d->staging = (struct catalog_staging){ 0 };
	return err;
}

void settle_clear(struct stage_disk *d)
{
	d->staged = cover_destroy(d->staged);
	free(d->extents);
	d->extents = NULL;
	d->extent_count = d->extent_room = 0;
}

/* -- taking it up ------------------------------------------------------------------------ */

static int settle_load_overlay(struct stage_disk *d, const struct catalog_extent *e)
{
	switch (e->place) {
	case CATALOG_EXTENT_ZERO:
		return overlay_zero(d->overlay, e->offset, e->span);
	case CATALOG_EXTENT_STALE:
		return overlay_forget(d->overlay, e->offset, e->span);
	default:
		return overlay_restore(d->overlay, e->offset, e->span, e->place);
	}
}

static int settle_load_some(void *arg, const struct catalog_extent *extents, size_t count)
{
	struct stage_disk *d = arg;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		if (d->overlay)
			err = settle_load_overlay(d, &extents[i]);
		else if (d->cover && extents[i].place == CATALOG_EXTENT_STALE)
			cover_clear(d->cover, extents[i].offset, extents[i].span);
		else if (d->cover)
			cover_mark(d->cover, extents[i].offset, extents[i].span);
	}
	return err;
}

int settle_load(struct stage *s, struct stage_disk *d)
{
	int err = catalog_staging_each(store_catalog(s->store), d->row.id, settle_load_some, d);

	if (!err && d->overlay)
		err = overlay_restored(d->overlay);
	if (!err) {
		d->recorded = d->staging.epoch;
		d->staged = cover_destroy(d->staged);
	}
	return err;
}

/* -- settling ---------------------------------------------------------------------------- */

int settle_note(struct stage_disk *d, uint64_t offset, uint64_t span, uint64_t place)
{
	struct catalog_extent *last = d->extent_count ? &d->extents[d->extent_count - 1] : NULL;
	bool data = place < CATALOG_EXTENT_STALE;

	if (!d->staging.disk)
		return 0;
	if (last && last->offset + last->span == offset &&
	    (data ? last->place < CATALOG_EXTENT_STALE && last->place + last->span == place
		  : last->place == place)) {
		last->span += span;
		return 0;
	}
	if (d->extent_count == d->extent_room) {
		size_t room = d->extent_room ? d->extent_room * 2 : 256;
		struct catalog_extent *grown = realloc(d->extents, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		d->extents = grown;
		d->extent_room = room;
	}
	d->extents[d->extent_count++] = (struct catalog_extent){ offset, span, place };
	return 0;
}

int stage_stale(struct stage *s, uint32_t index, uint64_t offset, uint64_t span)
{
	struct stage_disk *d = s->disks[index];
	int err = d->overlay ? overlay_forget(d->overlay, offset, span) : 0;

	return err ? err : settle_note(d, offset, span, CATALOG_EXTENT_STALE);
}

void stage_sealed(struct stage *s, uint32_t index, uint32_t mode, uint64_t epoch)
{
	struct stage_disk *d = s->disks[index];
	struct catalog_staging *g = &d->staging;

	if (!memcmp(d->spec.tracker, no_tracker, sizeof(no_tracker)))
		return;
	*g = (struct catalog_staging){
		.disk = d->row.id,
		.mode = mode,
		.epoch = epoch,
		.size = d->spec.size,
		.granule = d->spec.granule,
		.base = d->row.point,
	};
	memcpy(g->tracker, d->spec.tracker, sizeof(g->tracker));
	if (d->made)
		memcpy(g->file, d->partial, sizeof(g->file));
}

size_t stage_unsettled(const struct stage *s)
{
	size_t count = 0;

	for (uint32_t i = 0; i < s->count; i++)
		count += s->disks[i]->extent_count;
	return count;
}

static int settle_sync(struct stage_disk *d)
{
	int err = raw_sync(d->mode == STAGE_SEED ? &d->raw : &d->file);

	if (!err && d->made && !d->placed)
		err = file_sync_parent(d->partial);
	d->placed = !err;
	return err;
}

static int settle_disk(struct stage *s, struct stage_disk *d)
{
	int err;

	if (!d->staging.disk || (d->phase != DISK_BEGUN && d->phase != DISK_ENDED))
		return 0;
	if (!d->extent_count && (!d->recorded || d->recorded == d->staging.epoch))
		return 0;
	err = settle_sync(d);
	if (err)
		return err;
	crash_at("settle-durable");
	err = catalog_staging_settle(store_catalog(s->store), &d->staging, d->extents,
				     d->extent_count);
	if (err)
		return err;
	crash_at("settle-recorded");
	d->recorded = d->staging.epoch;
	d->extent_count = 0;
	return 0;
}

int stage_settle(struct stage *s, struct reason *reason)
{
	int err = 0;

	for (uint32_t i = 0; i < s->count && !err; i++) {
		struct stage_disk *d = s->disks[i];

		err = settle_disk(s, d);
		if (err)
			reason_set(reason, err, REASON_FAILED,
				   "what was received of %s/%s could not be made durable: %s",
				   d->spec.vm, d->spec.disk, strerror(-err));
	}
	return err;
}

int stage_keep(struct stage *s, struct reason *reason)
{
	int err = stage_settle(s, reason);

	s->kept = !err;
	return err;
}
