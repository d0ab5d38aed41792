// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "point/catalog-failover.h"
#include "point/file.h"
#include "point/overlay.h"
#include "point/stage.h"

#define IMPORT_PIECE MIB(1)
#define IMPORT_GRANULE KIB(64)
#define IMPORT_WAIT_MS 2000
#define IMPORT_FILE "replica.raw"

/* What a crash leaves a point as: a copy says nothing better of itself. */
#define IMPORT_CONSISTENCY 2

/* @done: bytes of the disks, holes too, that are taken over; of @total */
struct import {
	struct store *store;
	const char *collection;
	const char *folder;
	const struct merge_tick *tick;
	struct stage *stage;
	uint8_t *buf;
	uint64_t done;
	uint64_t total;
	struct import_result result;
	struct reason *reason;
};

/* Does somebody still wait for it? */
static int import_wanted(struct import *i)
{
	int err = i->tick && i->tick->call ? i->tick->call(i->tick->arg) : 0;

	return err ? reason_set(i->reason, err, REASON_FAILED, "stopped") : 0;
}

/* -- one disk --------------------------------------------------------------- */

static int import_write(struct import *i, uint64_t offset, uint64_t span)
{
	uint64_t done = 0;

	while (done < span) {
		struct raw_place place;
		int err = stage_place(i->stage, i->result.disks, offset + done, span - done,
				      &place);

		if (!err)
			err = file_write(place.fd, i->buf + done, place.length, place.offset);
		if (err)
			return reason_set(i->reason, err, 0, "writing the replica failed: %s",
					  strerrordesc_np(-err));
		done += place.length;
	}
	return 0;
}

static int import_read(struct import *i, int fd, uint64_t offset, uint64_t span, const char *path)
{
	for (uint64_t at = 0; at < span;) {
		ssize_t n = pread(fd, i->buf + at, span - at, offset + at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return reason_set(i->reason, n ? -errno : -ESTALE, REASON_FAILED,
					  "reading %s failed: %s", path,
					  n ? strerrordesc_np(errno) : "it has been cut");
		at += n;
	}
	return 0;
}

/* Where the next data begins, rounded down to a piece; the end if there is none. */
static uint64_t import_data(int fd, uint64_t at, uint64_t size)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? size : at;
	return (uint64_t)data < size ? (uint64_t)data / IMPORT_PIECE * IMPORT_PIECE : size;
}

/* What is not written of a first point reads as zeroes. */
static int import_copy(struct import *i, int fd, uint64_t size, const char *path)
{
	uint64_t at = 0;

	while ((at = import_data(fd, at, size)) < size) {
		uint64_t span = u64_min(IMPORT_PIECE, size - at);
		int err = import_wanted(i);

		if (err)
			return err;
		memset(i->buf, 0, IMPORT_PIECE);
		err = import_read(i, fd, at, span, path);
		if (!err && !bytes_are_zero(i->buf, span)) {
			err = import_write(i, at, span);
			i->result.bytes += span;
		}
		if (err)
			return err;
		at += span;
		store_progress(i->store, i->collection, i->done + at, i->total);
	}
	i->done += size;
	store_progress(i->store, i->collection, i->done, i->total);
	return 0;
}

static int import_size(const char *path, int fd, uint64_t *ret, struct reason *reason)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return reason_set(reason, -errno, 0, "cannot look at %s: %s", path,
				  strerrordesc_np(errno));
	if (!S_ISREG(st.st_mode) || !st.st_size || st.st_size % 512)
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "%s is no image of a disk: a file of whole sectors of 512 bytes is "
				  "expected", path);
	*ret = st.st_size;
	return 0;
}

/* Open the copy of a disk. @path: where it is */
static int import_open(struct import *i, const char *vm, const char *disk,
		       char path[STORE_PATH_MAX], uint64_t *ret_size)
{
	_cleanup_close_ int fd = -1;
	int err;

	if (snprintf(path, STORE_PATH_MAX, "%s/%s/%s/%s/%s", i->folder, i->collection, vm, disk,
		     IMPORT_FILE) >= STORE_PATH_MAX)
		return reason_set(i->reason, -ENAMETOOLONG, REASON_INVALID_PARAMETER,
				  "the name of the folder is too long");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return reason_set(i->reason, -errno, 0, "cannot open %s: %s", path,
				  strerrordesc_np(errno));
	err = import_size(path, fd, ret_size, i->reason);
	return err ? err : TAKE_FD(fd);
}

/* Before anything is begun: is each a disk, and how much are they? */
static int import_measure(struct import *i, const char *vm, const char *disk)
{
	_cleanup_close_ int fd = -1;
	char path[STORE_PATH_MAX];
	uint64_t size;

	fd = import_open(i, vm, disk, path, &size);
	if (fd < 0)
		return fd;
	i->total += size;
	return 0;
}

static int import_disk(struct import *i, const char *vm, const char *disk)
{
	struct stage_disk_spec spec = { .granule = IMPORT_GRANULE };
	_cleanup_close_ int fd = -1;
	char path[STORE_PATH_MAX];
	struct stage_held held;
	int err;

	snprintf(spec.vm, sizeof(spec.vm), "%s", vm);
	snprintf(spec.disk, sizeof(spec.disk), "%s", disk);
	fd = import_open(i, vm, disk, path, &spec.size);
	if (fd < 0)
		return fd;
	err = stage_open(i->stage, i->result.disks, &spec, &held, i->reason);
	if (err)
		return err;
	if (held.present)
		return reason_set(i->reason, -EEXIST, REASON_INVALID_STATE,
				  "there is a replica of disk %s of VM %s already, at point %llu",
				  disk, vm, (unsigned long long)held.point);
	err = stage_begin(i->stage, i->result.disks, STAGE_SEED, false, i->reason);
	if (!err)
		err = import_copy(i, fd, spec.size, path);
	if (!err)
		err = stage_end(i->stage, i->result.disks, 0, i->tick, i->reason);
	i->result.disks += !err;
	return err;
}

/* -- all of them ------------------------------------------------------------ */

static int is_name(const struct dirent *d)
{
	return name_valid(d->d_name);
}

/* Call @each for what lies in a folder and has a name that we would give. */
static int import_each(struct import *i, const char *vm,
		       int (*each)(struct import *i, const char *vm, const char *name))
{
	char path[STORE_PATH_MAX];
	struct dirent **list;
	int count, err = 0;

	if (snprintf(path, sizeof(path), "%s/%s/%s", i->folder, i->collection, vm) >=
	    (int)sizeof(path))
		return reason_set(i->reason, -ENAMETOOLONG, REASON_INVALID_PARAMETER,
				  "the name of the folder is too long");
	count = scandir(path, &list, is_name, alphasort);
	if (count < 0)
		return errno == ENOTDIR ? 0 :
		       reason_set(i->reason, -errno, 0, "cannot read %s: %s", path,
				  strerrordesc_np(errno));
	for (int n = 0; n < count; n++) {
		if (!err)
			err = each(i, vm, list[n]->d_name);
		free(list[n]);
	}
	free(list);
	return err;
}

static int import_measure_vm(struct import *i, const char *unused, const char *vm)
{
	return import_each(i, vm, import_measure);
}

static int import_vm(struct import *i, const char *unused, const char *vm)
{
	return import_each(i, vm, import_disk);
}

static int import_all(struct import *i)
{
	struct stage_label label = { .consistency = IMPORT_CONSISTENCY, .history = -1 };
	int err = import_each(i, "", import_measure_vm);

	if (err)
		return err;
	err = stage_create(i->store, i->collection, &i->stage);
	if (err)
		return reason_set(i->reason, err, 0, "the store is out of order: %s",
				  strerrordesc_np(-err));
	err = import_each(i, "", import_vm);
	if (!err && !i->result.disks)
		err = reason_set(i->reason, -ENOENT, REASON_NOT_FOUND,
				 "there is no %s/%s/VM/DISK/%s", i->folder, i->collection,
				 IMPORT_FILE);
	/* The sync of a large copy takes long. */
	if (!err)
		err = import_wanted(i);
	if (!err)
		err = stage_commit(i->stage, &label, &i->result.point, i->reason);
	stage_destroy(i->stage);
	return err;
}

/* As with what a sender sends: the VMs run here. */
static int import_judge_failover(struct import *i)
{
	struct catalog_failover f;
	int found = catalog_failover_find(store_catalog(i->store), i->collection, FAILOVER_REAL, &f);

	if (found < 0)
		return reason_set(i->reason, found, REASON_FAILED, "cannot read the state file");
	return found ? reason_set(i->reason, -EINVAL, REASON_INVALID_STATE,
				  "the collection %s was failed over to point %llu: its disks are in "
				  "use here", i->collection, (unsigned long long)f.point) : 0;
}

int import_run(struct store *s, const char *collection, const char *folder,
	       const struct merge_tick *tick, struct import_result *ret, struct reason *reason)
{
	/* A place may reach over the end of the disk, by less than a cluster. */
	_cleanup_free_ uint8_t *buf = aligned_alloc(IO_ALIGN, IMPORT_PIECE + OVERLAY_CLUSTER_MAX);
	struct import i = {
		.store = s, .collection = collection, .folder = folder, .tick = tick, .buf = buf,
		.reason = reason,
	};
	int err;

	if (!buf)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	memset(buf, 0, IMPORT_PIECE + OVERLAY_CLUSTER_MAX);
	err = store_claim(s, collection, IMPORT_WAIT_MS, reason);
	if (err)
		return err;
	store_activity(s, collection, STORE_RECEIVING);
	err = import_judge_failover(&i);
	if (!err)
		err = store_mend(s, collection, reason);
	if (!err)
		err = import_all(&i);
	store_release(s, collection);
	if (!err)
		*ret = i.result;
	return err;
}
