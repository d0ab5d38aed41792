// SPDX-License-Identifier: GPL-2.0-or-later
#include "failover/disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "failover/tracker.h"
#include "point/catalog-failover.h"
#include "point/catalog-point.h"
#include "point/chain.h"
#include "point/file.h"
#include "point/overlay.h"
#include "point/reader.h"
#include "point/retain.h"

/* QEMU's locks on an image: bytes 100 to 163 and 200 to 263. */
#define QEMU_LOCK_START 100
#define QEMU_LOCK_LENGTH 164

int disk_path(struct store *s, const struct catalog_disk *d, const char *name,
	      char ret[STORE_PATH_MAX])
{
	char folder[STORE_PATH_MAX];
	int err = store_folder(s, d->collection, d->vm, d->name, folder);

	return err ? err : file_path(ret, STORE_PATH_MAX, folder, name);
}

/* -- made -------------------------------------------------------------------------------- */

static int disk_write(void *arg, const void *buf, size_t size, uint64_t offset)
{
	return file_write(*(int *)arg, buf, size, offset);
}

static int disk_fill(struct store *s, const struct catalog_disk *d, const struct chain *chain,
		     int fd)
{
	const struct catalog_layer *layer = chain_layer(chain);
	uint64_t size;
	/* There is nothing in it: no table is ever read. */
	struct overlay_config config = {
		.size = chain_size(chain),
		.cluster = OVERLAY_CLUSTER_MAX,
		.io = { .write = disk_write, .arg = &fd },
	};
	struct overlay_label label = {
		.backing = layer->file,
		.format = "qcow2",
		.epoch = layer->epoch,
		.point = layer->point,
	};
	char folder[STORE_PATH_MAX], raw[STORE_PATH_MAX];
	struct overlay *o = NULL;
	int err = store_folder(s, d->collection, d->vm, d->name, folder);

	if (err)
		return err;
	if (!layer->file[0]) {
		retain_backing(d->path, folder, raw);
		label.backing = raw;
		label.format = "raw";
	}
	memcpy(label.tracker, layer->tracker, sizeof(label.tracker));
	err = tables_create(0, &config.tables);
	if (!err)
		err = overlay_create(&config, &o);
	if (!err)
		err = overlay_finish(o, &label, &size);
	overlay_destroy(o);
	tables_destroy(config.tables);
	if (!err && fsync(fd))
		err = -errno;
	return err;
}

static int disk_create(struct store *s, const struct catalog_disk *d, const struct chain *chain,
		       const char *path)
{
	char partial[STORE_PATH_MAX + 16];
	_cleanup_close_ int fd = -1;
	int err;

	snprintf(partial, sizeof(partial), "%s.partial", path);
	fd = open(partial, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	err = fd < 0 ? -errno : disk_fill(s, d, chain, fd);
	if (!err && rename(partial, path))
		err = -errno;
	if (!err)
		err = file_sync_parent(path);
	if (err)
		file_unlink(partial);
	else
		crash_at("failover-created");
	return err;
}

int disk_make(struct store *s, const struct catalog_disk *d, uint64_t point, const char *name,
	      struct reason *reason)
{
	char path[STORE_PATH_MAX];
	struct reason why = { 0 };
	struct chain *chain = NULL;
	int err = disk_path(s, d, name, path);

	if (!err && file_exists(path))
		return 0;
	if (!err)
		err = chain_open(s, d, point, &chain, &why);
	if (err == -ENOENT && why.code == REASON_NOT_FOUND)
		return 1;
	if (!err && chain_layer(chain)->broken)
		err = reason_set(&why, -EUCLEAN, REASON_UNKNOWN, "its point is damaged");
	if (!err)
		err = disk_create(s, d, chain, path);
	chain_close(chain);
	return err ? reason_set(reason, err, why.code, "cannot make the disk %s/%s: %s", d->vm,
				d->name, why.text[0] ? why.text : strerror(-err)) : 0;
}

/* -- given up ---------------------------------------------------------------------------- */

int disk_judge_file(const char *path, const char *vm, struct reason *reason)
{
	struct flock lock = {
		.l_type = F_WRLCK,
		.l_whence = SEEK_SET,
		.l_start = QEMU_LOCK_START,
		.l_len = QEMU_LOCK_LENGTH,
	};
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : reason_set(reason, -errno, 0, "cannot open %s: %s",
							path, strerror(errno));
	if (!fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK)
		return reason_set(reason, -EBUSY, REASON_IN_USE,
				  "%s is open in QEMU: stop the VM %s first", path, vm);
	return 0;
}

int disk_judge_idle(struct store *s, const struct catalog_disk *d, const char *name,
		    struct reason *reason)
{
	char path[STORE_PATH_MAX];
	int err = disk_path(s, d, name, path);

	return err ? reason_set(reason, err, 0, "the path of a disk is too long") :
		     disk_judge_file(path, d->vm, reason);
}

int disk_drop(struct store *s, const struct catalog_disk *d, const char *name,
	      struct reason *reason)
{
	char path[STORE_PATH_MAX];
	int err = disk_path(s, d, name, path);
	bool there = !err && file_exists(path);

	if (!err)
		err = file_unlink(path);
	/* Also if it is gone: perhaps since a moment ago, and it must not come back. */
	if (!err)
		err = file_sync_parent(path);
	if (!there && err == -ENOENT)
		return 0; /* it has no folder */
	if (!err && there)
		crash_at("failover-removed");
	return err ? reason_set(reason, err, 0, "cannot remove %s: %s", path, strerror(-err)) : 0;
}

/* -- what it was ------------------------------------------------------------------------- */

/* All that an overlay says something of. */
static int origin_read(const char *path, struct catalog_origin *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct reader *r = NULL;
	struct reader_run run;
	int err = fd < 0 ? -errno : reader_open(fd, &r, NULL);

	for (uint64_t at = 0; !err && at < reader_info(r)->size; at += run.length) {
		err = reader_next(r, at, &run, NULL);
		if (!err && run.kind != READER_BELOW)
			err = catalog_origin_add(ret, at, run.length);
	}
	reader_close(r);
	return err;
}

static int origin_layers(struct store *s, const struct catalog_disk *d, uint64_t point,
			 const struct catalog_layer *layers, size_t count,
			 struct catalog_origin *ret)
{
	const struct catalog_layer *base = NULL;
	char path[STORE_PATH_MAX];
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		const struct catalog_layer *l = &layers[i];

		if (l->point <= point) {
			base = l;
			continue;
		}
		err = l->file[0] && !l->broken ? disk_path(s, d, l->file, path) : -EUCLEAN;
		if (!err)
			err = origin_read(path, ret);
	}
	/* Of another size it is compared. */
	return err ? err : base && base->size == d->size ? 0 : -ENOENT;
}

int disk_origin(struct store *s, const struct catalog_disk *d, uint64_t point,
		struct catalog_origin *ret)
{
	_cleanup_free_ struct catalog_layer *layers = NULL;
	static const uint8_t none[STORE_UUID_SIZE];
	struct catalog_origin o = { .disk = d->id, .epoch = d->epoch, .size = d->size };
	size_t count = 0;
	int err;

	if (d->state != CATALOG_READY || !memcmp(d->tracker, none, sizeof(none)))
		return 0;
	err = catalog_layers(store_catalog(s), d->id, UINT64_MAX, &layers, &count);
	if (err)
		return err;
	err = origin_layers(s, d, point, layers, count, &o);
	if (err) {
		catalog_origin_clear(&o);
		/* Then the way back is a comparison. */
		return err == -ENOMEM ? err : 0;
	}
	memcpy(o.tracker, d->tracker, sizeof(o.tracker));
	*ret = o;
	return 0;
}

/* -- taken ------------------------------------------------------------------------------- */

/* What QEMU has made of our file may have another size; the label is still ours. */
static int take_want(const char *path, struct merge_want *ret, struct reason *reason)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct reader *r = NULL;
	int err = fd < 0 ? -errno : reader_open(fd, &r, reason);

	if (!err)
		*ret = (struct merge_want){ reader_info(r)->size, reader_info(r)->point,
					    reader_info(r)->epoch };
	reader_close(r);
	return err ? reason_set(reason, err, 0, "cannot read %s: %s", path, strerror(-err)) : 0;
}

int disk_take(struct store *s, const struct catalog_disk *d, const char *name, struct ring *ring,
	      const struct merge_tick *tick, struct reason *reason)
{
	_cleanup_raw_ struct raw raw = RAW_NONE;
	struct catalog_origin changed = { .disk = d->id };
	struct merge_want want = { 0 };
	char path[STORE_PATH_MAX];
	int err = disk_path(s, d, name, path);

	if (err)
		return reason_set(reason, err, 0, "the path of a disk is too long");
	if (!file_exists(path))
		return 0;
	err = take_want(path, &want, reason);
	if (!err)
		err = origin_read(path, &changed);
	if (!err)
		err = raw_open(d->path, want.size, RAW_WRITE | RAW_EXCLUSIVE, &raw, reason);
	if (!err)
		err = merge_run(path, &want, &raw, ring, tick, reason);
	if (!err)
		failover_witness(d->path, changed.witness);
	if (!err)
		err = catalog_taken(store_catalog(s), &changed);
	catalog_origin_clear(&changed);
	if (err)
		return reason_set(reason, err, 0, "cannot merge %s: %s", path, strerror(-err));
	crash_at("failover-merged");
	file_unlink(path);
	err = file_sync_parent(path);
	if (!err)
		crash_at("failover-taken");
	return err ? reason_set(reason, err, 0, "cannot remove %s: %s", path, strerror(-err)) : 0;
}
