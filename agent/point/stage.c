// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/stage.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crash.h"
#include "point/catalog.h"
#include "point/cover.h"
#include "point/file.h"
#include "point/overlay.h"

/* An overlay's file grows in steps of this, so that writes seldom extend it. */
#define STAGE_GROW MIB(32)

enum disk_phase {
	DISK_OPENED,
	DISK_BEGUN,
	DISK_ENDED,
};

/*
 * @row: what the catalog has; valid if @known
 * @lost: it has a replica that is not there
 * @raw: SEED: what is written; else what is read
 * @cover: SEED of a device: what was written, for the rest carries old bytes
 * @overlay, @file: OVERLAY: its tables and its file
 * @reserved: bytes that the file has been grown to
 * @partial, @final: names before and after the commit; "": a device
 * @made: @partial, and later @final, may be there
 */
struct stage_disk {
	struct stage_disk_spec spec;
	enum stage_mode mode;
	enum disk_phase phase;
	bool known;
	bool lost;
	bool made;
	struct catalog_disk row;
	struct raw raw;
	struct cover *cover;
	struct overlay *overlay;
	struct raw file;
	uint64_t reserved;
	uint64_t epoch;
	char partial[STORE_PATH_MAX + 16];
	char final[STORE_PATH_MAX];
};

struct stage {
	struct store *store;
	char collection[NAME_SIZE];
	uint64_t point;
	uint64_t budget;
	struct stage_disk **disks;
	uint32_t count;
	bool committed;
};

int stage_create(struct store *store, const char *collection, struct stage **ret)
{
	struct stage *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->store = store;
	s->budget = STAGE_TABLES_MAX;
	snprintf(s->collection, sizeof(s->collection), "%s", collection);
	err = catalog_next_point(store_catalog(store), collection, &s->point);
	if (err) {
		free(s);
		return err;
	}
	*ret = s;
	return 0;
}

static void stage_disk_free(struct stage_disk *d, bool drop)
{
	raw_close(&d->raw);
	raw_close(&d->file);
	overlay_destroy(d->overlay);
	cover_destroy(d->cover);
	if (drop && d->made) {
		/* What cannot be removed now is removed at the next start. */
		file_unlink(d->partial);
		file_unlink(d->final);
	}
	free(d);
}

struct stage *stage_destroy(struct stage *s)
{
	bool drop;

	if (!s)
		return NULL;
	/* The database may say that these files are the point: only a restart knows. */
	drop = !s->committed && !catalog_poisoned(store_catalog(s->store));
	for (uint32_t i = 0; i < s->count; i++)
		stage_disk_free(s->disks[i], drop);
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
	d->known = found;
	if (found)
		err = stage_judge_place(s, d, path, t && t->force, !t, reason);
	if (!d->known) {
		d->row = (struct catalog_disk){ .state = CATALOG_SEEDING };
		memcpy(d->row.path, path, sizeof(path));
	}
	return err;
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
	if (err)
		return err;
	*ret = (struct stage_held){ .lost = d->lost };
	if (d->row.state == CATALOG_SEEDING || !d->row.point)
		return 0;
	ret->present = true;
	ret->epoch = d->row.epoch;
	ret->size = d->row.size;
	ret->point = d->row.point;
	/* A damaged one has none: the sender sees a tracker that is not its own and compares. */
	memcpy(ret->tracker, d->row.tracker, sizeof(ret->tracker));
	return 0;
}

/* -- begin: the first point ---------------------------------------------------------- */

static int stage_admit(struct stage *s, struct stage_disk *d, bool force, struct reason *reason)
{
	char identity[GUARD_IDENTITY_MAX];
	struct catalog_disk other;
	bool ours = d->known && d->row.device;
	int err;

	/* A device whose seeding was cut short carries half of the VM's signatures: ours. */
	err = guard_admit(d->row.path, d->spec.size, force || ours, identity, reason);
	if (err)
		return err;
	memcpy(d->row.identity, identity, sizeof(identity));
	err = catalog_find_path(store_catalog(s->store), d->row.path, identity, &other);
	if (err < 0)
		return reason_set(reason, err, REASON_FAILED, "cannot read the state file");
	if (err && (strcmp(other.collection, s->collection) || strcmp(other.vm, d->spec.vm) ||
		    strcmp(other.name, d->spec.disk)))
		return reason_set(reason, -EBUSY, REASON_IN_USE,
				  "%s is the replica of the disk %s/%s of %s", d->row.path,
				  other.vm, other.name, other.collection);
	return 0;
}

static int stage_record_seed(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	int err;

	d->row.device = strcmp(d->row.identity, "file") != 0;
	d->row.size = d->spec.size;
	d->row.granule = d->spec.granule;
	snprintf(d->row.collection, NAME_SIZE, "%s", s->collection);
	memcpy(d->row.vm, d->spec.vm, NAME_SIZE);
	memcpy(d->row.name, d->spec.disk, NAME_SIZE);
	err = catalog_seed(store_catalog(s->store), &d->row, &d->row.id);
	if (err)
		return reason_set(reason, err, REASON_FAILED, "cannot write the state file: %s",
				  strerror(-err));
	d->known = true;
	crash_at("begin-recorded");
	return 0;
}

static int stage_seed_file(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	int err;

	memcpy(d->final, d->row.path, sizeof(d->final));
	snprintf(d->partial, sizeof(d->partial), "%s.partial", d->row.path);
	/* What was admitted here was given up with the row: it must not look committed. */
	err = file_unlink(d->final);
	if (!err)
		err = file_unlink(d->partial);
	if (err)
		return reason_set(reason, err, 0, "cannot remove %s: %s", d->final,
				  strerror(-err));
	d->made = true;
	err = raw_open(d->partial, d->spec.size, RAW_WRITE | RAW_CREATE, &d->raw, reason);
	if (err)
		return err;
	err = raw_resize(&d->raw, d->spec.size);
	if (err)
		return reason_set(reason, err, 0, "cannot make %s: %s", d->partial,
				  strerror(-err));
	crash_at("begin-created");
	return 0;
}

static int stage_seed_device(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	int err = raw_open(d->row.path, d->spec.size, RAW_WRITE | RAW_EXCLUSIVE, &d->raw, reason);

	if (err)
		return err;
	err = cover_create(d->spec.size, overlay_cluster(d->spec.granule), &d->cover);
	return err ? reason_set(reason, err, 0, "no memory for the seeding of %s", d->row.path)
		   : 0;
}

static int stage_begin_seed(struct stage *s, struct stage_disk *d, bool force,
			    struct reason *reason)
{
	const struct store_target *t =
		store_target(s->store, s->collection, d->spec.vm, d->spec.disk);
	int err;

	if (d->row.point)
		return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
				  "%s/%s has point %" PRIu64 " here: it can be compared, "
				  "not begun anew", d->spec.vm, d->spec.disk, d->row.point);
	err = stage_admit(s, d, force || (t && t->force), reason);
	if (!err)
		err = store_make_folder(s->store, s->collection, d->spec.vm, d->spec.disk, reason);
	if (!err)
		err = stage_record_seed(s, d, reason);
	if (err)
		return err;
	return d->row.device ? stage_seed_device(s, d, reason) : stage_seed_file(s, d, reason);
}

/* -- begin: over what is there --------------------------------------------------------- */

static int stage_open_source(struct stage_disk *d, struct reason *reason)
{
	int err;

	if (!d->row.point)
		return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
				  "nothing is held here of %s/%s", d->spec.vm, d->spec.disk);
	err = raw_open(d->row.path, d->row.size, 0, &d->raw, reason);
	if (err)
		return err;
	if (d->raw.capacity < d->raw.size && d->row.state == CATALOG_READY)
		return reason_set(reason, -ENODEV, REASON_INVALID_STATE,
				  "%s is shorter than it was: %" PRIu64 " bytes of %" PRIu64,
				  d->row.path, d->raw.capacity, d->raw.size);
	d->raw.size = u64_min(d->raw.size, d->raw.capacity);
	return 0;
}

static int write_all(int fd, const void *buf, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(fd, (const char *)buf + done, size - done, offset + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		done += n;
	}
	return 0;
}

/* The cluster in which the disk ended: its old bytes, then zeroes. */
static int stage_grow_edge(struct stage_disk *d, uint64_t edge, uint32_t cluster)
{
	_cleanup_free_ uint8_t *buf = aligned_alloc(IO_ALIGN, cluster);
	uint64_t span = u64_min(cluster, d->spec.size - edge);
	uint64_t offset, length;
	int err = -ENOMEM;

	if (!buf)
		return err;
	memset(buf, 0, cluster);
	err = raw_pread(&d->raw, buf, d->raw.size - edge, edge);
	if (!err)
		err = overlay_map(d->overlay, edge, span, &offset, &length);
	return err ? err : write_all(d->file.fd, buf, length, offset);
}

/*
 * The disk has grown. What is new reads as zeroes until something is sent for
 * it; a raw replica on a device has somebody's old bytes there instead, and an
 * overlay that says nothing of them would let them show.
 */
static int stage_grow(struct stage_disk *d)
{
	uint32_t cluster = overlay_cluster(d->spec.granule);
	uint64_t at = u64_align(d->raw.size, cluster);
	int err = 0;

	if (d->raw.size % cluster && d->spec.size > d->raw.size)
		err = stage_grow_edge(d, at - cluster, cluster);
	if (!err && d->spec.size > at)
		err = overlay_zero(d->overlay, at, d->spec.size - at);
	return err;
}

static int stage_create_overlay(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	struct overlay_config config = {
		.size = d->spec.size,
		.cluster = overlay_cluster(d->spec.granule),
		.budget = &s->budget,
	};
	int err = overlay_create(&config, &d->overlay);

	return err ? reason_set(reason, err, 0, "no memory for the tables of a point") : 0;
}

static int stage_create_file(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	char folder[STORE_PATH_MAX], name[CATALOG_FILE_MAX];
	int err = store_make_folder(s->store, s->collection, d->spec.vm, d->spec.disk, reason);

	if (!err)
		err = store_folder(s->store, s->collection, d->spec.vm, d->spec.disk, folder);
	snprintf(name, sizeof(name), "point-%" PRIu64 ".qcow2", s->point);
	if (!err)
		err = file_path(d->final, sizeof(d->final), folder, name);
	if (err)
		return reason_set(reason, err, 0, "the path of the point is too long");
	snprintf(d->partial, sizeof(d->partial), "%s.partial", d->final);
	d->made = true;
	file_unlink(d->partial);
	return raw_open(d->partial, 0, RAW_WRITE | RAW_CREATE, &d->file, reason);
}

static int stage_begin_overlay(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	int err = stage_open_source(d, reason);

	if (err)
		return err;
	if (d->raw.device && d->spec.size > d->raw.capacity)
		return reason_set(reason, -ENOSPC, REASON_FAILED,
				  "%s is too small for the disk's new size: it has %" PRIu64
				  " bytes, the disk has %" PRIu64, d->row.path, d->raw.capacity,
				  d->spec.size);
	err = stage_create_overlay(s, d, reason);
	if (!err)
		err = stage_create_file(s, d, reason);
	if (err)
		return err;
	crash_at("begin-created");
	err = stage_grow(d);
	return err ? reason_set(reason, err, 0, "cannot begin the point %s: %s", d->partial,
				strerror(-err)) : 0;
}

/* Of the first point too: the ones that follow will be overlays. */
static int stage_judge_size(const struct stage_disk *d, struct reason *reason)
{
	int err = overlay_judge(d->spec.size, overlay_cluster(d->spec.granule));

	if (err == -EFBIG)
		return reason_set(reason, err, REASON_NOT_SUPPORTED,
				  "a disk of %" PRIu64 " bytes is too large for granules of %u: "
				  "its points could not be opened by QEMU", d->spec.size,
				  d->spec.granule);
	return err ? reason_set(reason, err, REASON_INVALID_PARAMETER,
				"a disk of %" PRIu64 " bytes with granules of %u cannot be",
				d->spec.size, d->spec.granule) : 0;
}

int stage_begin(struct stage *s, uint32_t index, enum stage_mode mode, bool force,
		struct reason *reason)
{
	struct stage_disk *d = s->disks[index];
	int err;

	d->mode = mode;
	err = mode == STAGE_READ ? 0 : stage_judge_size(d, reason);
	if (err)
		return err;
	switch (mode) {
	case STAGE_SEED:
		err = stage_begin_seed(s, d, force, reason);
		break;
	case STAGE_OVERLAY:
		err = stage_begin_overlay(s, d, reason);
		break;
	default:
		err = stage_open_source(d, reason);
		break;
	}
	if (!err)
		d->phase = DISK_BEGUN;
	return err;
}

/* -- the bytes ------------------------------------------------------------------------- */

/* Grow the file ahead of its data: a write that extends a file waits for every other one. */
static int stage_reserve(struct stage_disk *d)
{
	uint64_t end = overlay_end(d->overlay);
	uint64_t want;

	if (end <= d->reserved)
		return 0;
	want = u64_align(end, STAGE_GROW);
	if (fallocate(d->file.fd, 0, d->reserved, want - d->reserved)) {
		if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
			/* Not so much; is there room for what is needed now? */
			want = end;
			if (fallocate(d->file.fd, 0, d->reserved, want - d->reserved))
				return -errno;
		} else if (errno != EOPNOTSUPP && errno != ENOSYS) {
			return -errno;
		}
	}
	d->reserved = want;
	return 0;
}

int stage_place(struct stage *s, uint32_t index, uint64_t offset, uint64_t span,
		struct raw_place *ret)
{
	struct stage_disk *d = s->disks[index];
	struct raw_place place;
	int err;

	if (d->mode == STAGE_SEED) {
		place = raw_place(&d->raw, offset, span);
		if (d->cover)
			cover_mark(d->cover, place.offset, place.length);
		*ret = place;
		return 0;
	}
	place.fd = d->file.fd;
	err = overlay_map(d->overlay, offset, span, &place.offset, &place.length);
	if (!err)
		err = stage_reserve(d);
	if (!err)
		*ret = place;
	return err;
}

int stage_zero(struct stage *s, uint32_t index, uint64_t offset, uint64_t span)
{
	struct stage_disk *d = s->disks[index];
	int err;

	if (d->mode != STAGE_SEED)
		return overlay_zero(d->overlay, offset, span);
	err = raw_zero(&d->raw, offset, span);
	if (!err && d->cover)
		cover_mark(d->cover, offset, span);
	return err;
}

void stage_source(struct stage *s, uint32_t index, uint64_t offset, uint64_t span,
		  struct raw_place *ret)
{
	struct stage_disk *d = s->disks[index];

	*ret = (struct raw_place){ .fd = -1, .offset = offset };
	if (offset < d->raw.size)
		*ret = raw_place(&d->raw, offset, u64_min(span, d->raw.size - offset));
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
	return write_all(d->file.fd, buf, size, offset);
}

static int stage_end_overlay(struct stage *s, struct stage_disk *d, uint64_t epoch)
{
	struct overlay_label label = { .epoch = epoch, .point = s->point };
	const char *slash = strrchr(d->final, '/');
	size_t folder = slash - d->final + 1;
	uint64_t size;
	int err;

	/* In the same folder: by its name alone, so that the folder can be moved. */
	label.backing = d->row.path;
	if (!strncmp(d->row.path, d->final, folder) && !strchr(d->row.path + folder, '/'))
		label.backing += folder;
	memcpy(label.tracker, d->spec.tracker, sizeof(label.tracker));
	err = overlay_finish(d->overlay, &label, stage_write_tables, d, &size);
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

static int stage_record(struct stage *s, struct reason *reason)
{
	_cleanup_free_ struct catalog_entry *entries = calloc(s->count, sizeof(*entries));
	size_t count = 0;
	int err;

	if (!entries)
		return reason_set(reason, -ENOMEM, 0, "no memory for a commit");
	for (uint32_t i = 0; i < s->count; i++)
		if (s->disks[i]->phase == DISK_ENDED)
			stage_entry(s->disks[i], &entries[count++]);
	err = catalog_commit(store_catalog(s->store), s->collection, s->point, entries, count);
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
int stage_commit(struct stage *s, uint64_t *ret, struct reason *reason)
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
	err = stage_record(s, reason);
	if (err)
		return err;
	s->committed = true;
	crash_at("committed");
	*ret = s->point;
	return 0;
}
