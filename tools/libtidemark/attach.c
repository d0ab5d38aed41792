// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * attach - put a tracker over a device, or slide it under one, and take it out
 *
 *   stacked:   NAME (tidemark) -> the device
 *
 *   slid in:   NAME (linear)                   NAME (tidemark)
 *                |                     =>        |
 *                v                             NAME-tidemark (linear), hidden
 *              disks                             |
 *                                                v
 *                                              disks
 *
 * A stacked one may have its metadata in the tail of the device, see tail.h.
 *
 * Sliding in keeps the device's number, so whoever has it open notices nothing.
 * The tables are exchanged by one request inside the kernel (dmdev_resume()):
 * what was submitted before it has landed in the disks, what comes after goes
 * through the tracker. Nothing is ever between the two, so nothing is missed.
 *
 * For a moment the hidden device and the old table exist side by side. Nobody
 * writes through the hidden one then, and only targets without a state of their
 * own are moved (table_is_movable()).
 *
 * A failure is undone step by step in reverse, and the device is resumed by the
 * old table whatever has happened to it. If this process dies in the middle,
 * the device runs on; the hidden device and a table that was loaded but never
 * became live are left over, and the next attach or detach clears them away:
 * they are known by the device-mapper UUID, whose prefix nobody else uses.
 */
#include "libtidemark/tidemark.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/fs.h>

#include "libtidemark/dm.h"
#include "libtidemark/place.h"
#include "libtidemark/tail.h"

#define HIDDEN_SUFFIX	"-tidemark"
#define UUID_PREFIX	"TIDEMARK-"
#define UUID_HIDDEN	UUID_PREFIX "under-"
#define UUID_STACKED	UUID_PREFIX "over-"

static bool starts_with(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && !strcmp(s + n - m, suffix);
}

static bool is_hidden(const struct dmdev *dev)
{
	return starts_with(dev->uuid, UUID_HIDDEN);
}

static void free_table(struct table *t)
{
	table_free(t);
}

#define _cleanup_table_ __attribute__((cleanup(free_table)))

static bool granule_is_valid(uint32_t sectors)
{
	return sectors >= TIDEMARK_GRANULE_MIN && sectors <= TIDEMARK_GRANULE_MAX &&
	       !(sectors & (sectors - 1));
}

/* Names that need no escapes anywhere: in /dev/mapper, in tables, in scripts. */
static bool name_is_valid(const char *name)
{
	size_t n = strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				"#+-.:=@_");

	return n && !name[n] && strcmp(name, ".") && strcmp(name, "..") &&
	       strcmp(name, "control");
}

/* The number of a block device. Return: 0, -ENOENT, -ENOTBLK, ... */
static int device_number(const char *path, uint32_t *ret_major, uint32_t *ret_minor)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno == ENOTDIR ? -ENOENT : -errno;
	if (!S_ISBLK(st.st_mode))
		return -ENOTBLK;
	*ret_major = major(st.st_rdev);
	*ret_minor = minor(st.st_rdev);
	return 0;
}

/* The tracker of a device. Return: 0, -ENOMSG: none, -EOPNOTSUPP: none of ours */
static int device_tracker(const struct dmdev *dev, struct table_tracker *ret)
{
	_cleanup_table_ struct table table = { 0 };
	int r;

	r = dmdev_table(dev, false, &table);
	if (r)
		return r;
	return table_get_tracker(&table, ret);
}

/* -- stacked ---------------------------------------------------------------- */

/*
 * What a new device may be put upon: nothing that is mounted, swapped to, or
 * held by another device. Device mapper itself would not refuse a device that
 * another of its own devices holds.
 */
static int stack_probe(const struct tidemark_attach *attach, uint64_t *ret_sectors)
{
	int fd, read_only = 0, r = 0;
	uint64_t bytes;

	fd = open(attach->device, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return errno == ENXIO ? -ENOENT : -errno;
	if (ioctl(fd, BLKGETSIZE64, &bytes) < 0 || ioctl(fd, BLKROGET, &read_only) < 0)
		r = -errno;
	close(fd);
	if (r)
		return r;
	if (read_only && !attach->read_only)
		return -EROFS;
	if (bytes < 512)
		return -EINVAL;
	*ret_sectors = bytes / 512;
	return 0;
}

static bool wants_tail(const struct tidemark_attach *attach)
{
	return attach->meta && !strcmp(attach->meta, TIDEMARK_META_TAIL);
}

/* The metadata of a tracker whose data device is the tail's other part. */
static int stack_tail(const struct tidemark_attach *attach, uint64_t *sectors,
		      struct table_tracker *tracker)
{
	uint32_t device_major = tracker->major, device_minor = tracker->minor;
	struct tail tail;
	int r;

	r = tail_create(attach->name, attach->device, device_major, device_minor, *sectors,
			tracker->granule_sectors, &tail);
	if (r)
		return r;
	*sectors = tail.sectors;
	tracker->major = tail.data.major;
	tracker->minor = tail.data.minor;
	r = place_meta(tail.path, *sectors, device_major, device_minor, tracker);
	free(tail.path);
	return r;
}

static int stack_create(const struct tidemark_attach *attach, uint64_t sectors,
			const struct table_tracker *tracker, char **ret_path)
{
	_cleanup_table_ struct table table = { 0 };
	char uuid[DMDEV_UUID_SIZE];
	char *path = NULL;
	struct dmdev dev;
	int r;

	r = table_add_tracker(&table, sectors, tracker);
	if (r)
		return r;
	if (snprintf(uuid, sizeof(uuid), UUID_STACKED "%s", attach->name) >= (int)sizeof(uuid))
		return -ENAMETOOLONG;
	r = dmdev_create(attach->name, uuid, &table, attach->read_only, false, &dev);
	if (r)
		return r;

	if (ret_path) {
		r = dmdev_path(&dev, &path);
		if (r) {
			dmdev_remove(&dev, false);
			return r;
		}
		*ret_path = path;
	}
	return 0;
}

static int attach_stacked(const struct tidemark_attach *attach, struct table_tracker *tracker,
			  char **ret_path)
{
	struct table_tracker other;
	struct dmdev dev;
	uint64_t sectors = 0;
	int r;

	if (!name_is_valid(attach->name))
		return -EINVAL;
	if (ends_with(attach->name, HIDDEN_SUFFIX))
		return -EINVAL;
	if (strlen(attach->name) >= TIDEMARK_NAME_SIZE)
		return -ENAMETOOLONG;
	if (!dmdev_by_number(tracker->major, tracker->minor, &dev) &&
	    (is_hidden(&dev) || device_tracker(&dev, &other) != -ENOMSG))
		return -EALREADY;
	if (!dmdev_by_name(attach->name, &dev))
		return -EEXIST;

	/* what a process left that died half way, or somebody who knew no better */
	if (wants_tail(attach))
		tail_remove(attach->name);
	r = stack_probe(attach, &sectors);
	if (r)
		return r;
	if (wants_tail(attach))
		r = stack_tail(attach, &sectors, tracker);
	else if (attach->meta)
		r = place_meta(attach->meta, sectors, tracker->major, tracker->minor, tracker);
	if (!r)
		r = stack_create(attach, sectors, tracker, ret_path);
	if (r && wants_tail(attach))
		tail_remove(attach->name);
	return r;
}

/* -- slid in ---------------------------------------------------------------- */

enum { HIDDEN_NAME_SIZE = DMDEV_NAME_SIZE + sizeof(HIDDEN_SUFFIX) };

/* May come out longer than a name can be: dmdev_create() refuses that. */
static void hidden_name(const char *name, char ret[HIDDEN_NAME_SIZE])
{
	snprintf(ret, HIDDEN_NAME_SIZE, "%.*s" HIDDEN_SUFFIX, DMDEV_NAME_SIZE - 1, name);
}

/*
 * Leftovers of a process that died half way, or of a tracker that somebody
 * dropped by loading a table of his own (LVM does). Nothing of anybody else.
 */
static int slide_clear_leftovers(struct dmdev *dev, const char *hidden_name)
{
	struct table_tracker tracker;
	struct dmdev hidden;
	int r;

	if (dev->pending) {
		_cleanup_table_ struct table table = { 0 };

		r = dmdev_table(dev, true, &table);
		if (r)
			return r;
		if (table_get_tracker(&table, &tracker))
			return -EBUSY;	/* somebody is changing the device now */
		r = dmdev_clear(dev);
		if (r)
			return r;
		dev->pending = false;
	}

	r = dmdev_by_name(hidden_name, &hidden);
	if (r)
		return r == -ENXIO ? 0 : r;
	if (!is_hidden(&hidden) || hidden.open_count)
		return -EEXIST;
	return dmdev_remove(&hidden, false);
}

/*
 * Give a device its table back, whatever state the exchange left it in. The
 * exchange may have failed before the new table was live (then the old one is
 * there, perhaps suspended) or after it (then it must be loaded again).
 */
static int slide_restore(const struct dmdev *dev, const struct table *old)
{
	_cleanup_table_ struct table live = { 0 };
	struct dmdev now;
	int r;

	r = dmdev_table(dev, false, &live);
	if (r)
		return r;
	if (table_equal(&live, old)) {
		dmdev_clear(dev);
	} else {
		r = dmdev_load(dev, old);
		if (r)
			return r;
		return dmdev_resume(dev);
	}
	r = dmdev_by_name(dev->name, &now);
	if (!r && now.suspended)
		r = dmdev_resume(dev);
	return r;
}

/*
 * Exchange the live table @old of @dev for @new. When it fails, @old is live.
 *
 * Other users of device mapper take no lock that is ours too, so the last thing
 * before the exchange is to look whether @old is still what is there.
 */
static int slide_exchange(const struct dmdev *dev, const struct table *old,
			  const struct table *new)
{
	_cleanup_table_ struct table live = { 0 };
	int r;

	r = dmdev_load(dev, new);
	if (r)
		return r;
	r = dmdev_table(dev, false, &live);
	if (!r && !table_equal(&live, old))
		r = -EBUSY;
	if (r) {
		dmdev_clear(dev);
		return r;
	}

	r = dmdev_resume(dev);
	if (r) {
		/* memory may be short for a moment: I/O waits, so try hard */
		for (int tries = 0; tries < 50 && slide_restore(dev, old); tries++)
			usleep(100000);
	}
	return r;
}

static int slide_check(const struct dmdev *dev, const struct table *table)
{
	struct table_tracker tracker;

	if (is_hidden(dev) || ends_with(dev->name, HIDDEN_SUFFIX) ||
	    table_get_tracker(table, &tracker) != -ENOMSG)
		return -EALREADY;
	if (!dev->live || dev->suspended)
		return -EBUSY;
	if (!table_sectors(table) || !table_is_movable(table))
		return -EOPNOTSUPP;
	return 0;
}

static int attach_slid(const struct tidemark_attach *attach, struct table_tracker *tracker,
		       char **ret_path)
{
	_cleanup_table_ struct table old = { 0 }, new = { 0 };
	char name[HIDDEN_NAME_SIZE];
	char uuid[DMDEV_UUID_SIZE + sizeof(UUID_HIDDEN)];
	struct dmdev dev, hidden;
	char *path = NULL;
	int r;

	r = dmdev_by_number(tracker->major, tracker->minor, &dev);
	if (r)
		return r == -ENXIO ? -EMEDIUMTYPE : r;
	r = dmdev_table(&dev, false, &old);
	if (r)
		return r;
	r = slide_check(&dev, &old);
	if (!r && attach->meta)
		r = place_meta(attach->meta, table_sectors(&old), dev.major, dev.minor, tracker);
	if (r)
		return r;

	hidden_name(dev.name, name);
	snprintf(uuid, sizeof(uuid), UUID_HIDDEN "%s", dev.name);
	r = slide_clear_leftovers(&dev, name);
	if (r)
		return r;
	r = dmdev_path(&dev, &path);
	if (r)
		return r;

	r = dmdev_create(name, uuid, &old, dev.read_only, true, &hidden);
	if (r)
		goto fail;
	tracker->major = hidden.major;
	tracker->minor = hidden.minor;
	r = table_add_tracker(&new, table_sectors(&old), tracker);
	if (!r)
		r = slide_exchange(&dev, &old, &new);
	if (r) {
		dmdev_remove(&hidden, false);
		goto fail;
	}

	if (ret_path)
		*ret_path = path;
	else
		free(path);
	return 0;

fail:
	free(path);
	return r;
}

int tidemark_attach(const struct tidemark_attach *attach, char **ret_path)
{
	struct table_tracker tracker = {
		.granule_sectors = attach->granule_sectors ?: TIDEMARK_GRANULE_DEFAULT,
	};
	int r;

	if (!granule_is_valid(tracker.granule_sectors))
		return -EINVAL;
	if (attach->read_only && (!attach->name || attach->meta))
		return -EINVAL;
	if (wants_tail(attach) && !attach->name)
		return -EINVAL;
	r = device_number(attach->device, &tracker.major, &tracker.minor);
	if (r)
		return r;

	r = dmdev_begin();
	if (!r)
		r = dmdev_has_target(TABLE_TRACKER);
	if (!r && attach->name)
		r = attach_stacked(attach, &tracker, ret_path);
	else if (!r)
		r = attach_slid(attach, &tracker, ret_path);
	dmdev_end();
	return r;
}

/* -- detach ----------------------------------------------------------------- */

static int detach_slid(const struct dmdev *dev, const struct dmdev *hidden)
{
	_cleanup_table_ struct table old = { 0 }, below = { 0 };
	struct dmdev pending = *dev;
	int r;

	if (dev->suspended)
		return -EBUSY;
	if (dev->pending) {
		/* a detach that died before the exchange, or somebody at work */
		_cleanup_table_ struct table loaded = { 0 };

		r = dmdev_table(hidden, false, &below);
		if (!r)
			r = dmdev_table(dev, true, &loaded);
		if (!r && !table_equal(&loaded, &below))
			r = -EBUSY;
		if (!r)
			r = dmdev_clear(&pending);
		table_free(&below);
		if (r)
			return r;
	}

	r = dmdev_table(dev, false, &old);
	if (!r)
		r = dmdev_table(hidden, false, &below);
	if (r)
		return r;
	if (!table_sectors(&below) || !table_is_movable(&below))
		return -EOPNOTSUPP;
	/* So that nobody takes it for a table that LVM has put there. */
	dmdev_message(dev, "leave");
	r = slide_exchange(dev, &old, &below);
	if (r)
		return r;

	/* The device is out of it by now; a reader of the hidden one, if there
	 * is any, takes it away as he closes it.
	 */
	return dmdev_remove(hidden, true);
}

static int detach_device(struct dmdev *dev)
{
	char name[HIDDEN_NAME_SIZE];
	struct table_tracker tracker;
	struct dmdev below;
	int r;

	r = device_tracker(dev, &tracker);
	if (r == -ENOMSG) {
		/* dropped by somebody's reload: only the leftovers are there */
		hidden_name(dev->name, name);
		if (dmdev_by_name(name, &below) || !is_hidden(&below))
			return -ENODEV;
		return slide_clear_leftovers(dev, name);
	}
	if (r)
		return r;

	r = dmdev_by_number(tracker.major, tracker.minor, &below);
	if (!r && is_hidden(&below) && !starts_with(dev->uuid, UUID_STACKED))
		return detach_slid(dev, &below);
	if (r && r != -ENXIO)
		return r;
	if (dev->open_count)
		return -EBUSY;
	r = dmdev_remove(dev, false);
	if (!r)
		r = tail_remove(dev->name);
	return r == -ENODEV ? 0 : r;
}

/*
 * The device itself has gone, as when LVM deactivates a volume: what was below
 * its tracker would hold the disks for ever.
 */
static int detach_orphan(const char *device)
{
	char name[HIDDEN_NAME_SIZE];
	struct dmdev hidden;

	hidden_name(device, name);
	if (dmdev_by_name(name, &hidden) || !is_hidden(&hidden))
		return tail_remove(device);
	if (hidden.open_count)
		return -EBUSY;
	return dmdev_remove(&hidden, false);
}

int tidemark_detach(const char *device)
{
	uint32_t major = 0, minor = 0;
	struct dmdev dev;
	int r;

	/* as in tidemark_find(): a name without a slash is never a path */
	if (strchr(device, '/')) {
		r = device_number(device, &major, &minor);
		if (r)
			return r;
	}

	r = dmdev_begin();
	if (!r) {
		bool path = strchr(device, '/');

		r = path ? dmdev_by_number(major, minor, &dev) : dmdev_by_name(device, &dev);
		if (!r)
			r = detach_device(&dev);
		else if (r == -ENXIO)
			r = path ? -ENODEV : detach_orphan(device);
	}
	dmdev_end();
	return r;
}
