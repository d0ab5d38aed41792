// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * tail - the tail of a disk as its metadata device
 */
#include "libtidemark/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libtidemark/meta.h"
#include "libtidemark/place.h"
#include "libtidemark/tidemark.h"

#define UUID_PART "TIDEMARK-under-"
#define MIB_SECTORS 2048

static const char *const parts[] = { "data", "meta" };

static int part_name(const char *name, const char *part, char ret[DMDEV_NAME_SIZE])
{
	int n = snprintf(ret, DMDEV_NAME_SIZE, "%s-%s-tidemark", name, part);

	return n < DMDEV_NAME_SIZE ? 0 : -ENAMETOOLONG;
}

static int part_uuid(const char *name, const char *part, char ret[DMDEV_UUID_SIZE])
{
	int n = snprintf(ret, DMDEV_UUID_SIZE, UUID_PART "%s-%s", name, part);

	return n < DMDEV_UUID_SIZE ? 0 : -ENAMETOOLONG;
}

static int part_create(const char *name, const char *part, uint32_t major, uint32_t minor,
		       uint64_t first, uint64_t sectors, struct dmdev *ret)
{
	char device[DMDEV_NAME_SIZE], uuid[DMDEV_UUID_SIZE], params[64];
	struct table table = { 0 };
	int r = part_name(name, part, device);

	if (!r)
		r = part_uuid(name, part, uuid);
	if (r)
		return r;
	snprintf(params, sizeof(params), "%u:%u %llu", major, minor, (unsigned long long)first);
	r = table_add(&table, 0, sectors, "linear", params);
	if (!r)
		r = dmdev_create(device, uuid, &table, false, true, ret);
	table_free(&table);
	return r;
}

/* Written to or discarded from since it came; also true when nobody can tell. */
static bool disk_written(uint32_t major, uint32_t minor)
{
	unsigned long long written = 1, discarded = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major, minor);
	f = fopen(path, "re");
	if (!f)
		return true;
	if (fscanf(f, "%*u %*u %*u %*u %*u %*u %llu %*u %*u %*u %*u %*u %*u %llu", &written,
		   &discarded) < 1)
		written = 1;
	fclose(f);
	return written || discarded;
}

static int disk_blank(const char *disk)
{
	int fd = open(disk, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = place_blank(fd, TAIL_BLANK);
	close(fd);
	return r == -ENOMSG ? -ENOTEMPTY : r;
}

/*
 * Are there metadata in the tail, or is the disk blank, so that there may be? The
 * module counts what is written to the new device over the data, which begins at 0,
 * so it is for us to see that the disk was left alone until now.
 */
static int tail_check(const char *disk, const char *meta, bool written)
{
	struct tidemark_meta *found = NULL;
	int fd = open(meta, O_RDWR | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = tidemark_meta_load(fd, &found);
	tidemark_meta_free(found);
	if (!r && written)
		r = meta_distrust(fd, TIDEMARK_REASON_GAP);
	close(fd);
	if (r == -ENOMSG)
		return disk_blank(disk);
	/* The module takes what is damaged, and says so. */
	return r == -EBADMSG || r == -EPROTONOSUPPORT ? 0 : r;
}

/* Whole MiB: nothing of the disk before it is less well aligned than it was. */
static int tail_sectors(uint64_t sectors, uint32_t granule_sectors, uint64_t *ret)
{
	struct tidemark_meta_layout layout;
	int r = tidemark_meta_layout(sectors, granule_sectors, &layout);

	if (r)
		return r;
	*ret = (layout.bytes / 512 + MIB_SECTORS - 1) / MIB_SECTORS * MIB_SECTORS;
	return sectors > *ret + MIB_SECTORS ? 0 : -ENOSPC;
}

int tail_create(const char *name, const char *path, uint32_t major, uint32_t minor,
		uint64_t sectors, uint32_t granule_sectors, struct tail *ret)
{
	bool written = disk_written(major, minor);
	uint64_t tail;
	int r = tail_sectors(sectors, granule_sectors, &tail);

	if (r)
		return r;
	ret->path = NULL;
	ret->sectors = sectors - tail;
	r = part_create(name, "data", major, minor, 0, ret->sectors, &ret->data);
	if (r)
		return r;
	r = part_create(name, "meta", major, minor, ret->sectors, tail, &ret->meta);
	if (!r)
		r = dmdev_path(&ret->meta, &ret->path);
	if (!r)
		r = tail_check(path, ret->path, written);
	if (r) {
		free(ret->path);
		tail_remove(name);
	}
	return r;
}

int tail_remove(const char *name)
{
	char device[DMDEV_NAME_SIZE], uuid[DMDEV_UUID_SIZE];
	struct dmdev dev;
	int first = -ENODEV;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		int r;

		if (part_name(name, parts[i], device) || part_uuid(name, parts[i], uuid) ||
		    dmdev_by_name(device, &dev) || strcmp(dev.uuid, uuid) != 0)
			continue;
		r = dmdev_remove(&dev, true);
		if (!first || first == -ENODEV)
			first = r;
	}
	return first;
}
