// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The beginning of a disk in a stage: is its place free, and what is to be
 * written where. See stage.h.
 */
#include "point/stage.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "point/file.h"
#include "point/stage-disk.h"

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
	err = catalog_find_other(store_catalog(s->store), s->collection, d->spec.vm, d->spec.disk,
				 d->row.path, identity, &other);
	if (err < 0)
		return reason_set(reason, err, REASON_FAILED, "cannot read the state file");
	if (err)
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

/* Go on with a file: it is there, under the name that the staging has. */
static int stage_take_up(struct stage_disk *d, uint64_t size, struct raw *ret,
			 struct reason *reason)
{
	memcpy(d->partial, d->staging.file, sizeof(d->partial));
	d->made = true;
	return raw_open(d->partial, size, RAW_WRITE, ret, reason);
}

static int stage_seed_file(struct stage *s, struct stage_disk *d, bool resume,
			   struct reason *reason)
{
	int err;

	memcpy(d->final, d->row.path, sizeof(d->final));
	if (resume)
		return stage_take_up(d, d->spec.size, &d->raw, reason);
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
	d->hole = 0;
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

static int stage_begin_seed(struct stage *s, struct stage_disk *d, bool force, bool resume,
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
	if (!err && !resume)
		err = stage_record_seed(s, d, reason);
	if (err)
		return err;
	d->seeding = true;
	return d->row.device ? stage_seed_device(s, d, reason)
			     : stage_seed_file(s, d, resume, reason);
}

/* -- begin: over what is there --------------------------------------------------------- */

static int stage_open_source(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	int err;

	if (!d->row.point)
		return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
				  "nothing is held here of %s/%s", d->spec.vm, d->spec.disk);
	err = chain_open(s->store, &d->row, UINT64_MAX, &d->chain, reason);
	if (!err)
		memcpy(d->below, chain_layer(d->chain)->file, sizeof(d->below));
	return err;
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
	err = chain_pread(d->chain, buf, chain_size(d->chain) - edge, edge, NULL);
	if (!err)
		err = overlay_map(d->overlay, edge, span, &offset, &length);
	return err ? err : file_write(d->file.fd, buf, length, offset);
}

/*
 * The disk has grown. What is new reads as zeroes until something is sent for
 * it; a raw replica on a device has somebody's old bytes there instead, and an
 * overlay that says nothing of them would let them show.
 */
static int stage_grow(struct stage_disk *d)
{
	uint32_t cluster = overlay_cluster(d->spec.granule);
	uint64_t old = chain_size(d->chain), at = u64_align(old, cluster);
	int err = 0;

	if (old % cluster && d->spec.size > old)
		err = stage_grow_edge(d, at - cluster, cluster);
	if (!err && d->spec.size > at)
		err = overlay_zero(d->overlay, at, d->spec.size - at);
	return err;
}

static int stage_create_overlay(struct stage *s, struct stage_disk *d, bool resume,
				struct reason *reason)
{
	struct overlay_config config = {
		.size = d->spec.size,
		.cluster = overlay_cluster(d->spec.granule),
		.tables = s->tables,
		.io = stage_table_io(d),
		.taken = resume ? d->staged_end : 0,
	};
	int err = overlay_create(&config, &d->overlay);

	return err ? reason_set(reason, err, 0, "no memory for the tables of a point") : 0;
}

/*
 * A folder in which something committed lies is there and was made durable with that:
 * to sync it and those above it once more would cost every run a wait or three.
 */
static bool stage_folder_stands(const struct stage_disk *d, const char *folder)
{
	size_t length = strlen(folder);

	return d->row.point && (d->row.file[0] || (!strncmp(d->row.path, folder, length) &&
						   d->row.path[length] == '/'));
}

static int stage_create_file(struct stage *s, struct stage_disk *d, bool resume,
			     struct reason *reason)
{
	char folder[STORE_PATH_MAX], name[CATALOG_FILE_MAX];
	int err = store_folder(s->store, s->collection, d->spec.vm, d->spec.disk, folder);

	if (!err && !stage_folder_stands(d, folder))
		err = store_make_folder(s->store, s->collection, d->spec.vm, d->spec.disk, reason);
	snprintf(name, sizeof(name), "point-%" PRIu64 ".qcow2", s->point);
	if (!err)
		err = file_path(d->final, sizeof(d->final), folder, name);
	if (err)
		return reason_set(reason, err, 0, "the path of the point is too long");
	if (resume)
		return stage_take_up(d, 0, &d->file, reason);
	snprintf(d->partial, sizeof(d->partial), "%s.partial", d->final);
	d->made = true;
	file_unlink(d->partial);
	return raw_open(d->partial, 0, RAW_WRITE | RAW_CREATE, &d->file, reason);
}

/* A point that could never be merged into the raw replica is not begun. */
static int stage_judge_device(struct stage_disk *d, struct reason *reason)
{
	_cleanup_raw_ struct raw raw = RAW_NONE;
	int err = d->row.device ? raw_open(d->row.path, 0, 0, &raw, reason) : 0;

	if (err || !d->row.device || d->spec.size <= raw.capacity)
		return err;
	return reason_set(reason, -ENOSPC, REASON_FAILED,
			  "%s is too small for the disk's new size: it has %" PRIu64
			  " bytes, the disk has %" PRIu64, d->row.path, raw.capacity,
			  d->spec.size);
}

static int stage_begin_overlay(struct stage *s, struct stage_disk *d, bool resume,
			       struct reason *reason)
{
	int err = stage_open_source(s, d, reason);

	if (err)
		return err;
	err = stage_judge_device(d, reason);
	if (!err)
		err = stage_create_overlay(s, d, resume, reason);
	if (!err)
		err = stage_create_file(s, d, resume, reason);
	if (err)
		return err;
	crash_at("begin-created");
	err = resume ? 0 : stage_grow(d);
	/* Most runs read nothing more of it: many disks, many layers, many descriptors. */
	d->chain = chain_close(d->chain);
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

/* What was staged before is taken up, or it goes. */
static int stage_begin_staged(struct stage *s, struct stage_disk *d, bool resume,
			      struct reason *reason)
{
	int err;

	if (resume && (!d->staged || (d->mode == STAGE_SEED) != !d->staging.base))
		return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
				  "nothing is staged here of %s/%s that could be gone on with",
				  d->spec.vm, d->spec.disk);
	if (resume || d->mode == STAGE_READ)
		return 0;
	err = settle_discard(s, d);
	return err ? reason_set(reason, err, REASON_FAILED,
				"cannot give up what is staged of %s/%s: %s", d->spec.vm,
				d->spec.disk, strerror(-err)) : 0;
}

static int stage_begin_load(struct stage *s, struct stage_disk *d, struct reason *reason)
{
	int err = settle_load(s, d);

	return err ? reason_set(reason, err, err == -ENOMEM ? 0 : REASON_FAILED,
				"cannot go on with what is staged of %s/%s: %s", d->spec.vm,
				d->spec.disk, strerror(-err)) : 0;
}

int stage_begin(struct stage *s, uint32_t index, enum stage_mode mode, unsigned int flags,
		struct reason *reason)
{
	struct stage_disk *d = s->disks[index];
	bool resume = flags & STAGE_RESUME;
	int err;

	d->mode = mode;
	d->hole = UINT64_MAX;
	err = mode == STAGE_READ ? 0 : stage_judge_size(d, reason);
	if (!err)
		err = stage_begin_staged(s, d, resume, reason);
	if (err)
		return err;
	switch (mode) {
	case STAGE_SEED:
		err = stage_begin_seed(s, d, flags & STAGE_FORCE, resume, reason);
		break;
	case STAGE_OVERLAY:
		err = stage_begin_overlay(s, d, resume, reason);
		break;
	default:
		err = stage_open_source(s, d, reason);
		break;
	}
	if (!err && resume)
		err = stage_begin_load(s, d, reason);
	if (!err)
		d->phase = DISK_BEGUN;
	return err;
}
