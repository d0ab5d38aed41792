// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk that the kernel tracks. The only file of the agent's sender that knows
 * libtidemark.
 *
 * A run that seals reads through a view: owed granules show the moment of the
 * seal, and writes to them are preserved for instead of tearing the epoch. The
 * view is opened before the first seal and goes with the source, or with the
 * agent. Where there is none (an older module, no memory for its pool) and for
 * verification, which reads what is not owed, bytes are read from the data
 * device below the tracked one, with O_DIRECT.
 *
 * Reading through the tracked device would be wrong twice. Its page cache may
 * hold pages that a file system or an application has dirtied and not written:
 * a buffered read would show them, though they belong to no epoch yet; an
 * O_DIRECT read writes them back first, through the tracker, into the very
 * granule that is owed: the agent would tear the epochs that it reads. Below the
 * tracker there is exactly what has been submitted, and once the sealed epoch
 * has drained all of that is there. Nobody else dirties the data device's own
 * page cache, because it belongs to the tracker.
 */
#include "send/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "libtidemark/tidemark.h"

#define KERNEL_RUNS 256

struct kernel {
	struct source source; /* its fd is @data_fd, or the view's */
	struct tidemark *control;
	struct tidemark_view *view;
	uint64_t disk;
	int data_fd;
	bool over;
	struct {
		uint64_t found; /* bytes, before it was made larger; 0: it was not */
		uint64_t left;	/* as it was when that had been done last */
	} pool;
};

static struct kernel *kernel_of(struct source *s)
{
	return container_of(s, struct kernel, source);
}

/* DEVNAME= of /sys/dev/block/MAJ:MIN/uevent: known to the kernel, also without udev. */
static int device_name(uint32_t major_nr, uint32_t minor_nr, char *path, size_t size)
{
	char line[512];
	FILE *f;
	int err = -ENODEV;

	snprintf(line, sizeof(line), "/sys/dev/block/%u:%u/uevent", major_nr, minor_nr);
	f = fopen(line, "re");
	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "DEVNAME=", 8) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		err = snprintf(path, size, "/dev/%s", line + 8) < (int)size ? 0 : -ENAMETOOLONG;
	}
	fclose(f);
	return err;
}

/* /dev/mapper/NAME, which stays; else the kernel's name of it. */
static void kernel_path(uint32_t major_nr, uint32_t minor_nr, char *path, size_t size)
{
	char name[128];
	FILE *f;

	snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/dm/name", major_nr, minor_nr);
	f = fopen(name, "re");
	if (f && fgets(name, sizeof(name), f)) {
		name[strcspn(name, "\n")] = '\0';
		snprintf(path, size, "/dev/mapper/%s", name);
	} else if (device_name(major_nr, minor_nr, path, size)) {
		path[0] = '\0';
	}
	if (f)
		fclose(f);
}

static int kernel_info(struct source *s, struct source_info *ret)
{
	struct kernel *k = kernel_of(s);
	struct tidemark_info info;
	int err = tidemark_info(k->control, k->disk, &info);

	if (err)
		return err;
	*ret = (struct source_info){
		.disk = k->disk,
		.tracked = true,
		.size = info.sectors * SECTOR_SIZE,
		.granule = info.granule_sectors * SECTOR_SIZE,
		.epoch = info.epoch,
		.committed_epoch = info.committed_epoch,
		.sealed_epoch = info.sealed_epoch,
		.marked = info.marked,
		.sealed = info.sealed,
		.owed = info.owed,
		.torn = info.state & TIDEMARK_STATE_TORN,
		.reason = info.reason,
		.unreliable = tidemark_unreliable_text(info.reason),
		.attach = info.attach,
		.meta_found = info.meta_found,
		.meta_sequence = info.meta_sequence,
		.draining = info.state & TIDEMARK_STATE_DRAINING,
		.writes = info.writes,
		.written = info.write_sectors * SECTOR_SIZE,
		.discarded = info.discard_sectors * SECTOR_SIZE,
	};
	snprintf(ret->message, sizeof(ret->message), "%.*s", (int)sizeof(info.message),
		 (const char *)info.message);
	memcpy(ret->uuid, info.uuid, sizeof(ret->uuid));
	if (k->over)
		kernel_path(info.major, info.minor, ret->device, sizeof(ret->device));
	return 0;
}

/* A view that cannot be had is done without: then writes may tear the epoch. */
static void kernel_view(struct kernel *k)
{
	if (k->view || tidemark_view_open(k->control, k->disk, &k->view))
		return;
	k->source.fd = tidemark_view_fd(k->view);
}

static int kernel_seal(struct source **group, size_t count, bool extend, uint32_t timeout_ms,
		       uint64_t *ret_excluded_ns)
{
	_cleanup_free_ struct tidemark_seal_disk *disks = calloc(count, sizeof(*disks));
	int err;

	if (!disks)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		disks[i].disk = kernel_of(group[i])->disk;
		if (!group[i]->epoch || !extend)
			kernel_view(kernel_of(group[i]));
	}
	/* All trackers are in one module, so any control descriptor will do. */
	err = tidemark_seal(kernel_of(group[0])->control, disks, count,
			    extend ? TIDEMARK_SEAL_EXTEND : 0, timeout_ms, ret_excluded_ns);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		group[i]->epoch = disks[i].epoch;
		group[i]->owed = disks[i].owed;
	}
	return 0;
}

static int kernel_wait(struct source *s, uint32_t timeout_ms)
{
	struct kernel *k = kernel_of(s);

	return tidemark_wait(k->control, k->disk, s->epoch, timeout_ms);
}

static int kernel_bitmap(struct source *s, uint32_t which, uint64_t first, struct plan_run *runs,
			 size_t capacity, size_t *ret_filled, uint64_t *ret_next)
{
	struct kernel *k = kernel_of(s);
	struct tidemark_run page[KERNEL_RUNS];
	size_t filled;
	int err;

	if (capacity > KERNEL_RUNS)
		capacity = KERNEL_RUNS;
	err = tidemark_runs(k->control, k->disk, which, first, UINT64_MAX, page, capacity,
			    &filled, ret_next);
	if (err)
		return err;
	for (size_t i = 0; i < filled; i++)
		runs[i] = (struct plan_run){ page[i].first, page[i].count };
	*ret_filled = filled;
	return 0;
}

static int kernel_runs(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
		       size_t *ret_filled, uint64_t *ret_next)
{
	return kernel_bitmap(s, TIDEMARK_OWED, first, runs, capacity, ret_filled, ret_next);
}

static int kernel_sealed(struct source *s, uint64_t first, struct plan_run *runs,
			 size_t capacity, size_t *ret_filled, uint64_t *ret_next)
{
	int err = kernel_bitmap(s, TIDEMARK_SEALED, first, runs, capacity, ret_filled, ret_next);

	if (err != -ENODATA)
		return err;
	*ret_filled = 0;
	*ret_next = source_granules(s);
	return 0;
}

static int kernel_current(struct source *s, uint64_t first, struct plan_run *runs,
			  size_t capacity, size_t *ret_filled, uint64_t *ret_next)
{
	return kernel_bitmap(s, TIDEMARK_CURRENT, first, runs, capacity, ret_filled, ret_next);
}

/* A request over runs, in pages. */
static int kernel_pages(struct kernel *k, const struct plan_run *runs, size_t count,
			int (*request)(struct kernel *k, const struct tidemark_run *page, size_t n))
{
	struct tidemark_run page[KERNEL_RUNS];
	int err = 0;

	while (count && !err) {
		size_t n = u64_min(count, KERNEL_RUNS);

		for (size_t i = 0; i < n; i++)
			page[i] = (struct tidemark_run){ runs[i].first, runs[i].count };
		err = request(k, page, n);
		runs += n;
		count -= n;
	}
	return err;
}

static int kernel_mark_page(struct kernel *k, const struct tidemark_run *page, size_t n)
{
	return tidemark_mark(k->control, k->disk, page, n);
}

static int kernel_mark(struct source *s, const struct plan_run *runs, size_t count)
{
	return kernel_pages(kernel_of(s), runs, count, kernel_mark_page);
}

static int kernel_release_page(struct kernel *k, const struct tidemark_run *page, size_t n)
{
	return tidemark_release(k->control, k->disk, k->source.epoch, page, n);
}

static int kernel_release(struct source *s, const struct plan_run *runs, size_t count)
{
	return kernel_pages(kernel_of(s), runs, count, kernel_release_page);
}

static int kernel_commit(struct source *s)
{
	struct kernel *k = kernel_of(s);
	int err = tidemark_commit(k->control, k->disk, s->epoch);

	if (!err)
		s->epoch = 0;
	return err;
}

static int kernel_fold(struct source *s)
{
	struct kernel *k = kernel_of(s);
	int err;

	if (!s->epoch)
		return 0;
	err = tidemark_fold(k->control, k->disk, s->epoch);
	s->epoch = 0;
	/*
	 * Gone with its disk, committed, or sealed over by somebody else: in each
	 * case the bits are not ours any more.
	 */
	if (err == -ENODATA || err == -ESTALE || err == -ENODEV)
		return 0;
	return err;
}

/* What has not drained cannot be released, and is owed to the next seal. */
static int kernel_leave(struct source *s)
{
	struct plan_run all = { .first = 0, .count = source_granules(s) };

	if (s->epoch)
		(void)kernel_release(s, &all, 1);
	s->epoch = 0;
	return 0;
}

static int kernel_changed(struct source *s, uint64_t first, uint64_t count, bool *ret)
{
	static const uint32_t which[] = { TIDEMARK_SEALED, TIDEMARK_CURRENT };
	struct kernel *k = kernel_of(s);

	/*
	 * A fold between the two questions moves bits from sealed to current: asked
	 * in this order they are seen. A seal moves them the other way, but seals
	 * are made by jobs, of which a collection has one at a time.
	 */
	for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
		uint64_t set;
		int err = tidemark_count(k->control, k->disk, which[i], first, count, &set);

		if (err == -ENODATA)
			continue;
		if (err)
			return err;
		if (set) {
			*ret = true;
			return 0;
		}
	}
	*ret = false;
	return 0;
}

/*
 * Where nothing is to be preserved, that stays so. A size that somebody else has set
 * meanwhile is what is to be there in the end.
 */
static int kernel_grow(struct source *s, uint64_t limit)
{
	struct kernel *k = kernel_of(s);
	struct tidemark_info info;
	uint64_t larger;
	int err = tidemark_info(k->control, k->disk, &info);

	if (err || !info.pool_bytes || info.pool_bytes >= limit)
		return err;
	if (info.pool_bytes != k->pool.left)
		k->pool.found = info.pool_bytes;
	larger = u64_min(2 * info.pool_bytes, limit);
	err = tidemark_pool(k->control, k->disk, larger);
	/* Where it cannot be asked what that came to: as much as was said. */
	if (!err && tidemark_info(k->control, k->disk, &info))
		info.pool_bytes = larger;
	k->pool.left = info.pool_bytes;
	return err;
}

static void kernel_shrink(struct kernel *k)
{
	struct tidemark_info info;

	if (k->pool.found && !tidemark_info(k->control, k->disk, &info) &&
	    info.pool_bytes == k->pool.left)
		(void)tidemark_pool(k->control, k->disk, k->pool.found);
}

static void kernel_close(struct source *s)
{
	struct kernel *k = kernel_of(s);

	kernel_shrink(k);
	tidemark_view_close(k->view);
	close(k->data_fd);
	tidemark_close(k->control);
	free(k);
}

static const struct source_ops kernel_ops = {
	.name = "kernel",
	.info = kernel_info,
	.mark = kernel_mark,
	.seal = kernel_seal,
	.wait = kernel_wait,
	.runs = kernel_runs,
	.sealed = kernel_sealed,
	.release = kernel_release,
	.commit = kernel_commit,
	.fold = kernel_fold,
	.leave = kernel_leave,
	.changed = kernel_changed,
	.current = kernel_current,
	.grow = kernel_grow,
	.close = kernel_close,
};

static int device_open(uint32_t major_nr, uint32_t minor_nr)
{
	_cleanup_close_ int fd = -1;
	char path[512];
	struct stat st;
	int err = device_name(major_nr, minor_nr, path, sizeof(path));

	if (err)
		return err;
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* The node may be older than the device. */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode) || st.st_rdev != makedev(major_nr, minor_nr))
		return -ENXIO;
	return TAKE_FD(fd);
}

/* The tracker over a device: its data device is that. */
static int kernel_find_over(struct tidemark *control, const char *path, struct tidemark_info *ret)
{
	_cleanup_free_ uint64_t *disks = NULL;
	size_t count = 0;
	struct stat st;
	int err = strchr(path, '/') && !stat(path, &st) && S_ISBLK(st.st_mode) ? 0 : -ENODEV;

	if (!err)
		err = tidemark_list(control, &disks, &count);
	if (err)
		return err;
	for (size_t i = 0; i < count; i++) {
		struct tidemark_info info;

		err = tidemark_info(control, disks[i], &info);
		if (err && err != -ENODEV)
			return err;
		if (err || makedev(info.data_major, info.data_minor) != st.st_rdev)
			continue;
		*ret = info;
		return 0;
	}
	return -ENODEV;
}

int source_kernel_open(struct source **ret, const char *device)
{
	struct tidemark_info info;
	struct tidemark *control;
	struct kernel *k;
	bool over;
	int fd, err;

	err = tidemark_open(&control, O_RDWR);
	if (err)
		return err == -ENOENT ? -ENOPKG : err;
	err = tidemark_find(control, device, &info);
	over = err == -ENODEV;
	if (over)
		err = kernel_find_over(control, device, &info);
	if (!err) {
		fd = device_open(info.data_major, info.data_minor);
		err = fd < 0 ? fd : 0;
	}
	if (err) {
		tidemark_close(control);
		return err;
	}
	k = calloc(1, sizeof(*k));
	if (!k) {
		close(fd);
		tidemark_close(control);
		return -ENOMEM;
	}
	k->source = (struct source){
		.ops = &kernel_ops,
		.fd = fd,
		.size = info.sectors * SECTOR_SIZE,
		.granule = info.granule_sectors * SECTOR_SIZE,
	};
	snprintf(k->source.stat, sizeof(k->source.stat), "/sys/dev/block/%u:%u/stat", info.major,
		 info.minor);
	k->data_fd = fd;
	k->control = control;
	k->disk = info.disk;
	k->over = over;
	*ret = &k->source;
	return 0;
}
