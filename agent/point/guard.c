// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/guard.h"

#include <blkid/blkid.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "point/raw.h"

/* -- signatures ----------------------------------------------------------------- */

static void probe_freep(blkid_probe *p)
{
	if (*p)
		blkid_free_probe(*p);
}

static const char *probe_value(blkid_probe p, const char *name)
{
	const char *value;

	return blkid_probe_lookup_value(p, name, &value, NULL) ? NULL : value;
}

/* Labels are somebody's bytes: only printable ones go into a sentence. */
static void copy_printable(char *to, size_t size, const char *from)
{
	size_t n = 0;

	for (; from[n] && n + 1 < size; n++)
		to[n] = from[n] >= ' ' && from[n] <= '~' ? from[n] : '?';
	to[n] = '\0';
}

static const char *probe_noun(const char *usage)
{
	static const struct {
		const char *usage;
		const char *noun;
	} nouns[] = {
		{ "filesystem", "file system" },
		{ "raid", "RAID or LVM member" },
		{ "crypto", "encrypted volume" },
	};

	for (size_t i = 0; usage && i < ARRAY_SIZE(nouns); i++)
		if (!strcmp(usage, nouns[i].usage))
			return nouns[i].noun;
	return "signature";
}

static void probe_describe(blkid_probe p, char ret[GUARD_TEXT_MAX])
{
	const char *type = probe_value(p, "TYPE");
	const char *table = probe_value(p, "PTTYPE");
	const char *label = probe_value(p, "LABEL");
	char name[64] = "", shown[96] = "";

	if (type) {
		copy_printable(name, sizeof(name), type);
		if (label && *label) {
			copy_printable(shown, sizeof(shown), label);
			snprintf(ret, GUARD_TEXT_MAX, "%s %s labelled \"%s\"", name,
				 probe_noun(probe_value(p, "USAGE")), shown);
		} else {
			snprintf(ret, GUARD_TEXT_MAX, "%s %s", name,
				 probe_noun(probe_value(p, "USAGE")));
		}
	} else if (table) {
		copy_printable(name, sizeof(name), table);
		snprintf(ret, GUARD_TEXT_MAX, "%s partition table", name);
	} else {
		snprintf(ret, GUARD_TEXT_MAX, "an unknown signature");
	}
}

static int probe_run(int fd, char ret[GUARD_TEXT_MAX])
{
	_cleanup_(probe_freep) blkid_probe p = blkid_new_probe();

	if (!p)
		return -ENOMEM;
	if (blkid_probe_set_device(p, fd, 0, 0))
		return errno ? -errno : -EIO;
	blkid_probe_enable_superblocks(p, 1);
	blkid_probe_set_superblocks_flags(p, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL |
						     BLKID_SUBLKS_USAGE | BLKID_SUBLKS_MAGIC);
	blkid_probe_enable_partitions(p, 1);
	errno = 0;
	switch (blkid_do_safeprobe(p)) {
	case 0:
		probe_describe(p, ret);
		return 1;
	case 1:
		return 0;
	case -2:
		snprintf(ret, GUARD_TEXT_MAX, "several signatures that contradict each other");
		return 1;
	default:
		return errno ? -errno : -EIO;
	}
}

int guard_probe(const char *path, char ret[GUARD_TEXT_MAX])
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	/* libblkid takes an empty file for an error. */
	if (S_ISREG(st.st_mode) && st.st_size == 0)
		return 0;
	return probe_run(fd, ret);
}

/* -- identity ------------------------------------------------------------------- */

static bool sysfs_read(const char *dir, const char *name, char *ret, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	ssize_t n;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, ret, size - 1);
	while (n > 0 && (ret[n - 1] == '\n' || ret[n - 1] == ' '))
		n--;
	if (n <= 0)
		return false;
	ret[n] = '\0';
	return true;
}

static void identity_of_disk(const char *dir, char *ret, size_t size)
{
	static const struct {
		const char *file;
		const char *name;
	} sources[] = {
		{ "dm/uuid", "dm" },
		{ "wwid", "wwid" },
		{ "device/wwid", "wwid" },
		{ "serial", "serial" },
		{ "device/serial", "serial" },
		{ "loop/backing_file", "loop" },
	};
	char value[256];

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		if (sysfs_read(dir, sources[i].file, value, sizeof(value))) {
			snprintf(ret, size, "%s:%s", sources[i].name, value);
			return;
		}
	snprintf(ret, size, "path");
}

int guard_identity(const char *path, char ret[GUARD_IDENTITY_MAX])
{
	char dir[64], parent[80], number[16], disk[GUARD_IDENTITY_MAX - 24];
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (!S_ISBLK(st.st_mode)) {
		snprintf(ret, GUARD_IDENTITY_MAX, "file");
		return 0;
	}
	snprintf(dir, sizeof(dir), "/sys/dev/block/%u:%u", major(st.st_rdev), minor(st.st_rdev));
	if (!sysfs_read(dir, "partition", number, sizeof(number))) {
		identity_of_disk(dir, ret, GUARD_IDENTITY_MAX);
		return 0;
	}
	snprintf(parent, sizeof(parent), "%s/..", dir);
	identity_of_disk(parent, disk, sizeof(disk));
	if (!strcmp(disk, "path"))
		snprintf(ret, GUARD_IDENTITY_MAX, "path");
	else
		snprintf(ret, GUARD_IDENTITY_MAX, "%s part %s", disk, number);
	return 0;
}

/* -- admission ------------------------------------------------------------------ */

static int guard_writable(const struct raw *raw, const char *path, uint64_t size,
			  struct reason *reason)
{
	int read_only = 0;

	if (!raw->device)
		return 0;
	if (!ioctl(raw->fd, BLKROGET, &read_only) && read_only)
		return reason_set(reason, -EROFS, REASON_FAILED, "%s is read-only", path);
	if (raw->capacity < size)
		return reason_set(reason, -ENOSPC, REASON_FAILED,
				  "%s is too small: it has %" PRIu64
				  " bytes, the disk has %" PRIu64, path, raw->capacity, size);
	return 0;
}

int guard_admit(const char *path, uint64_t size, bool force, char ret[GUARD_IDENTITY_MAX],
		struct reason *reason)
{
	_cleanup_raw_ struct raw raw = RAW_NONE;
	char found[GUARD_TEXT_MAX];
	struct stat st;
	int err;

	if (stat(path, &st) && errno == ENOENT) {
		/* A device that is missing today: a file made in its place would fill memory. */
		if (!strncmp(path, "/dev/", 5))
			return reason_set(reason, -ENODEV, REASON_NOT_FOUND, "there is no device %s",
					  path);
		snprintf(ret, GUARD_IDENTITY_MAX, "file");
		return 0;
	}
	err = raw_open(path, size, RAW_WRITE | RAW_EXCLUSIVE, &raw, reason);
	if (!err)
		err = guard_writable(&raw, path, size, reason);
	if (err)
		return err;
	err = force ? 0 : guard_probe(path, found);
	if (err > 0)
		return reason_set(reason, -EEXIST, REASON_FAILED,
				  "%s is not a replica of ours and carries %s: it would be lost",
				  path, found);
	if (err < 0)
		return reason_set(reason, err, REASON_FAILED, "cannot examine %s: %s", path,
				  strerror(-err));
	err = guard_identity(path, ret);
	return err ? reason_set(reason, err, 0, "cannot examine %s", path) : 0;
}
