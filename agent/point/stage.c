// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crash.h"
#include "point/file.h"
#include "point/retain.h"
#include "point/stage-disk.h"

int stage_create(struct store *store, const char *collection, struct stage **ret)
{
	struct stage *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->store = store;
	snprintf(s->collection, sizeof(s->collection), "%s", collection);
	err = tables_create(STAGE_TABLES_MAX, &s->tables);
	if (!err)
		err = catalog_next_point(store_catalog(store), collection, &s->point);
	if (err) {
		tables_destroy(s->tables);
		free(s);
		return err;
	}
	*ret = s;
	return 0;
}

static bool stage_unlink(struct stage *s, const char *path)
{
	int err = file_unlink(path);

	if (err)
		store_leave(s->store, s->collection, path, err);
	return !err;
}

/*
 * Nothing of it stays. A file that cannot be removed now is tried again before anything else
 * is begun, and one that was to be a raw replica is found by its row. A device keeps the
 * row, which says that what it carries is ours.
 */
static void stage_disk_remove(struct stage *s, struct stage_disk *d)
{
	bool gone = true;

	if (d->made) {
		gone = stage_unlink(s, d->partial);
		gone &= stage_unlink(s, d->final);
	}
	d->made = false;
	if (d->seeding && !d->row.device && gone && !file_sync_parent(d->final)) {
		store_remove_folders(s->store, s->collection, d->spec.vm, d->spec.disk);
		catalog_unseed(store_catalog(s->store), d->row.id);
	}
	d->seeding = false;
}

static void stage_disk_clear(struct stage *s, struct stage_disk *d, bool drop)
{
	raw_close(&d->raw);
	raw_close(&d->file);
	d->chain = chain_close(d->chain);
	d->overlay = overlay_destroy(d->overlay);
	d->cover = cover_destroy(d->cover);
	settle_clear(d);
	if (!drop)
		return;
	/* A staging without its file is none. */
	if (d->recorded)
		catalog_staging_forget(store_catalog(s->store), d->row.id);
	d->recorded = 0;
	d->staging = (struct catalog_staging){ 0 };
	stage_disk_remove(s, d);
}

void stage_drop(struct stage *s, uint32_t index)
{
	stage_disk_clear(s, s->disks[index], true);
	s->disks[index]->phase = DISK_DROPPED;
	crash_at("disk-dropped");
}

struct stage *stage_destroy(struct stage *s)
{
	bool drop;

	if (!s)
		return NULL;
	/* The database may say that these files are the point: only a restart knows. */
	drop = !s->committed && !catalog_poisoned(store_catalog(s->store));
	for (uint32_t i = 0; i < s->count; i++) {
		struct stage_disk *d = s->disks[i];

		stage_disk_clear(s, d, drop && !(s->kept && d->recorded));
		free(d);
	}
	tables_destroy(s->tables);
	free(s->disks);
	free(s);
	return NULL;
}

/* -- open -------------------------------------------------------------------------- */

/* The place of a disk's raw replica: as configured, or in the store. */
static int stage_default_path(struct stage *s, const struct stage_disk_spec *spec,
			      char ret[STORE_PATH_MAX])
{
	char folder[STORE_PATH_MAX];
	int err = store_folder(s->store, s->collection, spec->vm, spec->disk, folder);

	return err ? err : file_path(ret, STORE_PATH_MAX, folder, "replica.raw");
}

static int stage_gone(struct stage_disk *d, bool in_store, struct reason *reason)
{
	if (!in_store)
		return reason_set(reason, -ENODEV, REASON_INVALID_STATE,
				  "the replica %s is not there", d->row.path);
	/* In the store there is nothing to wait for: begin anew. */
	d->lost = true;
	d->known = false;
	return 0;
}

/*
 * Is what the row describes still what is there? A device is known by its
 * identity; with @force one that is not is as good as a new one.
 */
static int stage_judge_place(struct stage *s, struct stage_disk *d, const char *path, bool force,
			     bool in_store, struct reason *reason)
{
	char identity[GUARD_IDENTITY_MAX];
	int err;

	if (strcmp(path, d->row.path)) {
		if (!force && d->row.point)
			return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
					  "the replica of %s/%s is %s, and is configured to be %s",
					  d->spec.vm, d->spec.disk, d->row.path, path);
		d->known = false;
		return 0;
	}
	err = guard_identity(path, identity);
	if (err == -ENOENT && d->row.state == CATALOG_SEEDING)
		return 0;
	if (err == -ENOENT)
		return stage_gone(d, in_store, reason);
	if (err)
		return reason_set(reason, err, 0, "cannot examine %s: %s", path, strerror(-err));
	if (!strcmp(identity, d->row.identity))
		return 0;
	if (!force && d->row.point)
		return reason_set(reason, -ENODEV, REASON_INVALID_STATE,
				  "%s is not the device that it was: %s then, %s now", path,
				  d->row.identity, identity);
	d->known = false;
	return 0;
}

static int stage_find(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	const struct store_target *t =
		store_target(s->store, s->collection, d->spec.vm, d->spec.disk);
	char path[STORE_PATH_MAX];
	int found, err = 0;

	found = catalog_find(store_catalog(s->store), s->collection, d->spec.vm, d->spec.disk,
			     &d->row);
	if (found < 0)
		return reason_set(reason, found, REASON_FAILED, "cannot read the state file");
	if (t)
		snprintf(path, sizeof(path), "%s", t->path);
	else
		err = stage_default_path(s, &d->spec, path);
	if (err)
		return reason_set(reason, err, 0, "the path of the replica is too long");
	if (found && d->row.adopted)
		memcpy(path, d->row.path, sizeof(path));
	d->known = found;
	if (found)
		err = stage_judge_place(s, d, path, t && t->force, !t && !d->row.adopted, reason);
	if (!d->known) {
		d->row = (struct catalog_disk){ .state = CATALOG_SEEDING };
		memcpy(d->row.path, path, sizeof(path));
	}
	return err;
}

/*
 * Can the layers be read that a new one will lie over? If not they are lost,
 * and the disk is shown as one that must be compared.
 */
static int stage_try(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	struct reason why = { 0 };
	struct chain *chain = NULL;
	int err;

	if (!d->known || d->row.state != CATALOG_READY || !d->row.file[0])
		return 0;
	err = chain_open(s->store, &d->row, UINT64_MAX, &chain, &why);
	chain_close(chain);
	if (err && retain_mend(s->store, &d->row) > 0)
		err = catalog_find(store_catalog(s->store), s->collection, d->spec.vm,
				   d->spec.disk, &d->row) == 1 ? 0 : -EIO;
	return err ? reason_set(reason, err, why.code, "%s", why.text) : 0;
}

static int stage_add(struct stage *s, struct stage_disk **ret)
{
	struct stage_disk **grown = realloc(s->disks, (s->count + 1) * sizeof(*grown));
	struct stage_disk *d = calloc(1, sizeof(*d));

	if (grown)
		s->disks = grown;
	if (!grown || !d) {
		free(d);
		return -ENOMEM;
	}
	d->raw = RAW_NONE;
	d->file = RAW_NONE;
	s->disks[s->count++] = d;
	*ret = d;
	return 0;
}

static bool stage_has(const struct stage *s, const struct stage_disk_spec *spec)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (!strcmp(s->disks[i]->spec.vm, spec->vm) &&
		    !strcmp(s->disks[i]->spec.disk, spec->disk))
			return true;
	return false;
}

int stage_open(struct stage *s, uint32_t index, const struct stage_disk_spec *spec,
	       struct stage_held *ret, struct reason *reason)
{
	struct stage_disk *d;
	int err;

	if (index != s->count || stage_has(s, spec))
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "the disk %s/%s was opened twice", spec->vm, spec->disk);
	err = stage_add(s, &d);
	if (err)
		return reason_set(reason, err, 0, "no memory for a disk");
	d->spec = *spec;
	err = stage_find(s, d, reason);
	if (!err)
		err = stage_try(s, d, reason);
	if (err)
		return err;
	err = settle_find(s, d);
	if (err)
		return reason_set(reason, err, err == -ENOMEM ? 0 : REASON_FAILED,
				  "cannot read what is staged of %s/%s: %s", spec->vm, spec->disk,
				  strerror(-err));
	*ret = (struct stage_held){ .lost = d->lost };
	if (d->row.state == CATALOG_SEEDING || !d->row.point)
		return 0;
	ret->present = true;
	ret->epoch = d->row.epoch;
	ret->size = d->row.size;
	ret->point = d->row.point;
	ret->origin = d->row.adopted && !d->row.doubted && d->row.state == CATALOG_DAMAGED;
	ret->path = d->row.path;
	/* A damaged one has none: the sender sees a tracker that is not its own and compares. */
	memcpy(ret->tracker, d->row.tracker, sizeof(ret->tracker));
	return 0;
}

/* -- the bytes ------------------------------------------------------------------------- */

int stage_place(struct stage *s, uint32_t index, uint64_t offset, uint64_t span,
		struct raw_place *ret)
{
	struct stage_disk *d = s->disks[index];
	struct raw_place place;
	int err;

	if (d->mode == STAGE_SEED) {
		reserve_seed(d, offset, span);
		place = raw_place(&d->raw, offset, span);
		if (d->cover)
			cover_mark(d->cover, place.offset, place.length);
		*ret = place;
		return settle_note(d, offset, u64_min(span, place.length), offset);
	}
	place.fd = d->file.fd;
	err = overlay_map(d->overlay, offset, span, &place.offset, &place.length);
	if (!err)
		err = reserve_overlay(d);
	if (!err)
		err = settle_note(d, offset, u64_min(span, place.length), place.offset);
	if (!err)
		*ret = place;
	return err;
}

/* A hole is not made twice: to punch one waits for all writes to the file that are under way. */
static int stage_zero_seed(struct stage_disk *d, uint64_t offset, uint64_t span)
{
	if (offset >= d->hole)
		return 0;
	return raw_zero(&d->raw, offset, u64_min(span, d->hole - offset));
}

int stage_zero(struct stage *s, uint32_t index, uint64_t offset, uint64_t span)
{
	struct stage_disk *d = s->disks[index];
	int err;

	err = d->mode == STAGE_SEED ? stage_zero_seed(d, offset, span)
				    : overlay_zero(d->overlay, offset, span);
	if (!err && d->cover)
		cover_mark(d->cover, offset, span);
	return err ? err : settle_note(d, offset, span, CATALOG_EXTENT_ZERO);
}

int stage_source(struct stage *s, uint32_t index, uint64_t offset, uint64_t span,
		 struct chain_run *ret)
{
	struct stage_disk *d = s->disks[index];
	int err = d->chain ? 0 : chain_open(s->store, &d->row, UINT64_MAX, &d->chain, NULL);

	return err ? err : chain_next(d->chain, offset, span, ret, NULL);
}

/* -- end ------------------------------------------------------------------------------- */

/* What was not sent of a first point is zero; a device has to be told so. */
static int stage_zero_gaps(struct stage_disk *d, const struct merge_tick *tick)
{
	uint64_t offset = 0, span;

	while (cover_next_gap(d->cover, offset, &offset, &span)) {
		int err;

		/* In pieces: some devices write every one of these zeroes. */
		span = u64_min(span, MIB(64));
		err = raw_zero(&d->raw, offset, span);
		if (!err && tick && tick->call)
			err = tick->call(tick->arg);
		if (err)
			return err;
		offset += span;
	}
	return 0;
}

static int stage_end_seed(struct stage_disk *d, const struct merge_tick *tick)
{
	int err = d->cover ? stage_zero_gaps(d, tick) : 0;

	return err ? err : raw_sync(&d->raw);
}

static int stage_write_tables(void *arg, const void *buf, size_t size, uint64_t offset)
{
	struct stage_disk *d = arg;

	if (offset == 0)
		crash_at("tables-written");
	return file_write(d->file.fd, buf, size, offset);
}

static int stage_read_table(void *arg, void *buf, size_t size, uint64_t offset)
{
	struct stage_disk *d = arg;

	return file_read(d->file.fd, buf, size, offset);
}

struct table_io stage_table_io(struct stage_disk *d)
{
	return (struct table_io){ stage_write_tables, stage_read_table, d };
}

static int stage_end_overlay(struct stage *s, struct stage_disk *d, uint64_t epoch)
{
	struct overlay_label label = { .epoch = epoch, .point = s->point };
	char folder[STORE_PATH_MAX], raw[STORE_PATH_MAX];
	uint64_t size;
	int err = store_folder(s->store, s->collection, d->spec.vm, d->spec.disk, folder);

	if (err)
		return err;
	/* Over the newest layer, whatever becomes of the older ones meanwhile. */
	label.backing = d->below;
	label.format = "qcow2";
	if (!label.backing[0]) {
		retain_backing(d->row.path, folder, raw);
		label.backing = raw;
		label.format = "raw";
	}
	memcpy(label.tracker, d->spec.tracker, sizeof(label.tracker));
	err = overlay_finish(d->overlay, &label, &size);
	if (!err && ftruncate(d->file.fd, size))
		err = -errno;
	return err ? err : raw_sync(&d->file);
}

int stage_end(struct stage *s, uint32_t index, uint64_t epoch, const struct merge_tick *tick,
	      struct reason *reason)
{
	struct stage_disk *d = s->disks[index];
	int err;

	if (d->mode == STAGE_SEED)
		err = stage_end_seed(d, tick);
	else
		err = stage_end_overlay(s, d, epoch);
	if (err)
		return reason_set(reason, err, REASON_FAILED,
				  "the point of %s/%s could not be made durable: %s", d->spec.vm,
				  d->spec.disk, strerror(-err));
	d->chain = chain_close(d->chain);
	d->epoch = epoch;
	d->phase = DISK_ENDED;
	crash_at("disk-durable");
	return 0;
}

/* -- commit ---------------------------------------------------------------------------- */

static int stage_rename(struct stage_disk *d, struct reason *reason)
{
	if (!d->made)
		return 0;
	if (rename(d->partial, d->final))
		return reason_set(reason, -errno, REASON_FAILED, "cannot rename %s: %s",
				  d->partial, strerror(errno));
	crash_at("disk-renamed");
	return 0;
}

static int stage_sync_name(struct stage_disk *d, struct reason *reason)
{
	int err = d->made ? file_sync_parent(d->final) : 0;

	return err ? reason_set(reason, err, REASON_FAILED, "cannot sync the folder of %s: %s",
				d->final, strerror(-err)) : 0;
}

static void stage_entry(const struct stage_disk *d, struct catalog_entry *ret)
{
	*ret = (struct catalog_entry){
		.disk = d->row.id,
		.size = d->spec.size,
		.granule = d->spec.granule,
		.epoch = d->epoch,
	};
	if (d->mode == STAGE_OVERLAY)
		ret->file = strrchr(d->final, '/') + 1;
	memcpy(ret->tracker, d->spec.tracker, sizeof(ret->tracker));
}

static int stage_record(struct stage *s, const struct stage_label *label, struct reason *reason)
{
	_cleanup_free_ struct catalog_entry *entries = calloc(s->count, sizeof(*entries));
	size_t count = 0;
	int err;

	if (!entries)
		return reason_set(reason, -ENOMEM, 0, "no memory for a commit");
	for (uint32_t i = 0; i < s->count; i++)
		if (s->disks[i]->phase == DISK_ENDED)
			stage_entry(s->disks[i], &entries[count++]);
	err = catalog_commit(store_catalog(s->store), s->collection, s->point,
			     &(struct catalog_label){ label->consistency, label->history,
						      label->final },
			     entries, count);
	return err ? reason_set(reason, err, REASON_FAILED,
				"the state file did not take the commit: %s", strerror(-err)) : 0;
}

/*
 * All bytes are durable under partial names. Order, and what a crash after
 * each step leaves:
 *
 * 1. the files get their final names: no row of the database names them yet,
 *    so recovery removes them: the old point;
 * 2. the folders are synced, so that a row can never name a file that a power
 *    loss takes away;
 * 3. one transaction says for all disks that this is the newest point. SQLite
 *    makes it happen or not: the old point or the new one, for all disks.
 */
int stage_commit(struct stage *s, const struct stage_label *label, uint64_t *ret,
		 struct reason *reason)
{
	int err = 0;

	for (uint32_t i = 0; i < s->count && !err; i++)
		if (s->disks[i]->phase == DISK_ENDED)
			err = stage_rename(s->disks[i], reason);
	for (uint32_t i = 0; i < s->count && !err; i++)
		if (s->disks[i]->phase == DISK_ENDED)
			err = stage_sync_name(s->disks[i], reason);
	if (err)
		return err;
	crash_at("folders-synced");
	err = stage_record(s, label, reason);
	if (err)
		return err;
	s->committed = true;
	crash_at("committed");
	*ret = s->point;
	return 0;
}
