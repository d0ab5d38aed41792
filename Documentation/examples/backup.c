// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * backup: an incremental backup of a disk in use, with libtidemark.
 *
 *	tidemark attach /dev/vdb --name vm	# once; the VM uses /dev/mapper/vm
 *	backup vm /backups			# as often as you like
 *
 * Each run leaves a raw image, /backups/UUID-EPOCH.img: the disk at one moment. It
 * starts from that of the last committed epoch (a reflink where that works) and
 * reads only what changed since; without one, everything. There is no other state
 * that could be wrong: a tracker attached anew has another UUID. Never write to images.
 *
 *	cc backup.c $(pkg-config --cflags --libs libtidemark) -o backup
 */
#define _GNU_SOURCE /* copy_file_range() */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <libtidemark/tidemark.h>

#define CHUNK (1 << 20)
#define TIMEOUT_MS 60000
static char path[4096], partial[4096];
static unsigned long long copied;

static char *image_path(const char *dir, const struct tidemark_info *info, uint64_t epoch)
{
	int at = snprintf(path, sizeof(path), "%s/", dir);

	for (int i = 0; i < TIDEMARK_UUID_SIZE; i++)
		at += snprintf(path + at, sizeof(path) - at, "%02x", info->uuid[i]);
	snprintf(path + at, sizeof(path) - at, "-%llu.img", (unsigned long long)epoch);
	return path;
}

/* The new image begins as the last one; without that all granules are owed. */
static int image_begin(struct tidemark *t, const char *dir, const struct tidemark_info *info)
{
	struct tidemark_run all = { .first = 0, .count = info->granules };
	int base = open(image_path(dir, info, info->committed_epoch), O_RDONLY | O_CLOEXEC);
	int fd, err = 0;
	ssize_t some = 1;

	snprintf(partial, sizeof(partial), "%s/.partial", dir);
	fd = open(partial, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (base < 0)
		err = tidemark_mark(t, info->disk, &all, 1);
	else if (ioctl(fd, FICLONE, base))
		while (some > 0)
			some = copy_file_range(base, NULL, fd, NULL, 1 << 30, 0);
	if (!err && (some < 0 || ftruncate(fd, info->sectors * 512)))
		err = -errno;
	printf("%s\n", base < 0 ? "no image to start from: full" : "incremental");
	close(base);
	return err ? err : fd;
}

static int run_copy(int from, int to, uint64_t at, uint64_t end, void *buffer)
{
	while (at < end) {
		ssize_t got = pread(from, buffer, end - at < CHUNK ? end - at : CHUNK, at);

		if (got <= 0 || pwrite(to, buffer, got, at) != got)
			return errno ? -errno : -EIO;
		at += got;
		copied += got;
	}
	return 0;
}

/* Read what the sealed epoch owes, from the view; release it, and see if it was torn. */
static int owed_copy(struct tidemark *t, const struct tidemark_info *info, uint64_t epoch, int view,
		     int fd, void *buffer)
{
	uint64_t granule = info->granule_sectors * 512ULL, size = info->sectors * 512, next = 0;
	struct tidemark_run runs[64];
	struct tidemark_info now;
	size_t count;
	int err = tidemark_wait(t, info->disk, epoch, TIMEOUT_MS);

	while (!err && next < info->granules) {
		err = tidemark_runs(t, info->disk, TIDEMARK_OWED, next, UINT64_MAX, runs, 64, &count,
				    &next);
		for (size_t i = 0; !err && i < count; i++) {
			uint64_t end = (runs[i].first + runs[i].count) * granule;

			err = run_copy(view, fd, runs[i].first * granule, end < size ? end : size,
				       buffer);
		}
		if (!err)
			err = tidemark_release(t, info->disk, epoch, runs, count);
	}
	/* Torn: more was overwritten than the pool could keep. Seal again. */
	if (!tidemark_info(t, info->disk, &now) && now.state & TIDEMARK_STATE_TORN)
		return -EAGAIN;
	return err;
}

static int backup(struct tidemark *t, const struct tidemark_info *info, int view, const char *dir)
{
	struct tidemark_seal_disk seal = { .disk = info->disk };
	void *buffer = aligned_alloc(4096, CHUNK);
	int fd = image_begin(t, dir, info), err = fd < 0 ? fd : -EAGAIN, tries;

	for (tries = 0; err == -EAGAIN && tries < 100; tries++) {
		err = tidemark_seal(t, &seal, 1, tries ? TIDEMARK_SEAL_EXTEND : 0, TIMEOUT_MS, NULL);
		if (!err)
			err = owed_copy(t, info, seal.epoch, view, fd, buffer);
	}
	if (!err && (fsync(fd) || rename(partial, image_path(dir, info, seal.epoch))))
		err = -errno;
	close(fd);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!err && fsync(fd))
		err = -errno;
	/* The image is durable under its name: only now may the kernel forget. */
	if (!err)
		err = tidemark_commit(t, info->disk, seal.epoch);
	else if (seal.epoch)
		tidemark_fold(t, info->disk, seal.epoch);
	free(buffer);
	close(fd);
	return err ?: printf("%llu bytes read in %d pass(es)\n%s\n", copied, tries, path) < 0;
}

int main(int argc, char **argv)
{
	struct tidemark_view *view = NULL;
	struct tidemark_info info;
	struct tidemark *t = NULL;
	int err = argc == 3 ? tidemark_open(&t, O_RDWR) : -EINVAL;

	err = err ?: tidemark_find(t, argv[1], &info);
	/* before the seal: from here on old bytes are preserved */
	err = err ?: tidemark_view_open(t, info.disk, &view);
	err = err ?: backup(t, &info, tidemark_view_fd(view), argv[2]);
	tidemark_view_close(view);
	tidemark_close(t);
	if (err)
		fprintf(stderr, "backup: %s\n", argc == 3 ? strerror(-err) : "usage: backup DISK DIR");
	return err ? 1 : 0;
}
