// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * view - a sealed epoch as a block device
 */
#include "libtidemark/tidemark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libtidemark/control.h"
#include "libtidemark/dm.h"
#include "libtidemark/table.h"

/* Views of one disk at the same time, by whoever. */
#define VIEW_NAMES 64

struct tidemark_view {
	int fd;
};

/* The first name that is free; the disk's number never comes again. */
static int view_create(const struct tidemark_info *info, const struct table *table,
		       struct dmdev *ret)
{
	char name[DMDEV_NAME_SIZE], uuid[DMDEV_UUID_SIZE];
	int r = -EEXIST;

	for (unsigned int i = 0; i < VIEW_NAMES && r == -EEXIST; i++) {
		snprintf(name, sizeof(name), "tidemark-view-%" PRIu64 "-%u", (uint64_t)info->disk, i);
		snprintf(uuid, sizeof(uuid), "TIDEMARK-VIEW-%" PRIu64 "-%u", (uint64_t)info->disk, i);
		r = dmdev_create(name, uuid, table, true, true, ret);
	}
	return r;
}

static int view_open_device(const struct dmdev *dev)
{
	char path[64];
	struct stat st;
	int fd, r;

	snprintf(path, sizeof(path), "/dev/dm-%" PRIu32, dev->minor);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISBLK(st.st_mode) || st.st_rdev != makedev(dev->major, dev->minor))
		r = -ENXIO;
	else
		return fd;
	close(fd);
	return r;
}

static int view_make(const struct tidemark_info *info)
{
	struct table table = { 0 };
	char params[32];
	struct dmdev dev;
	int fd, r;

	r = dmdev_has_target("tidemark-view");
	if (r)
		return -EOPNOTSUPP;
	snprintf(params, sizeof(params), "%" PRIu64, (uint64_t)info->disk);
	r = table_add(&table, 0, info->sectors, "tidemark-view", params);
	if (!r)
		r = view_create(info, &table, &dev);
	table_free(&table);
	if (r)
		return r;
	fd = view_open_device(&dev);
	/*
	 * It goes with its last descriptor: also when this process dies, so that
	 * no view is left that would make writes wait for nobody.
	 */
	r = dmdev_remove(&dev, fd >= 0);
	if (fd >= 0 && r) {
		close(fd);
		dmdev_remove(&dev, false);
		return r;
	}
	return fd;
}

int tidemark_view_open(struct tidemark *t, uint64_t disk, struct tidemark_view **ret)
{
	struct tidemark_view *view;
	struct tidemark_info info;
	int fd, r;

	r = tidemark_info(t, disk, &info);
	if (r)
		return r;
	view = malloc(sizeof(*view));
	if (!view)
		return -ENOMEM;
	fd = dmdev_begin();
	if (!fd)
		fd = view_make(&info);
	dmdev_end();
	if (fd < 0) {
		free(view);
		return fd;
	}
	view->fd = fd;
	*ret = view;
	return 0;
}

struct tidemark_view *tidemark_view_close(struct tidemark_view *view)
{
	if (view) {
		close(view->fd);
		free(view);
	}
	return NULL;
}

int tidemark_view_fd(struct tidemark_view *view)
{
	return view->fd;
}

int tidemark_pool(struct tidemark *t, uint64_t disk, uint64_t bytes)
{
	struct tidemark_pool_size request = {
		.size = sizeof(request),
		.disk = disk,
		.bytes = bytes,
	};

	return control_request(t, TIDEMARK_IOC_POOL, &request);
}
