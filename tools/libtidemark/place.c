// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * place - where a tracker's metadata is, and whose it is
 */
#include "libtidemark/place.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define BOOT_PATH "/proc/sys/kernel/random/boot_id"
#define PIECE 65536

/* The first word of a file. Return: is there one? */
static bool word_read(const char *path, char *ret, size_t size)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;
	int c;

	if (!f)
		return false;
	while (n + 1 < size && (c = fgetc(f)) != EOF && (c != '\n'))
		ret[n++] = (char)(isalnum(c) || strchr("-.:/+_", c) ? c : '_');
	fclose(f);
	ret[n] = '\0';
	return n > 0;
}

/*
 * What the kernel calls the disk, where that outlives a boot. A partition is
 * its disk's name and its number. Nothing is better than something that changes.
 */
static void identity_read(uint32_t major_nr, uint32_t minor_nr, char ret[])
{
	static const char *const files[] = {
		"dm/uuid", "loop/backing_file", "wwid", "device/wwid", "serial", "device/serial",
	};
	char path[128], name[256] = "", part[16] = "", base[64];
	const char *whole = "";
	bool found = false;

	snprintf(base, sizeof(base), "/sys/dev/block/%u:%u", major_nr, minor_nr);
	snprintf(path, sizeof(path), "%s/partition", base);
	if (word_read(path, part, sizeof(part)))
		whole = "/..";
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && !found; i++) {
		snprintf(path, sizeof(path), "%s%s/%s", base, whole, files[i]);
		found = word_read(path, name, sizeof(name));
	}
	ret[0] = '\0';
	if (!found)
		return;
	/* The end of a long name tells more than its beginning. */
	if (strlen(name) > TIDEMARK_IDENTITY_MAX - 8)
		memmove(name, name + strlen(name) - (TIDEMARK_IDENTITY_MAX - 8),
			TIDEMARK_IDENTITY_MAX - 8 + 1);
	snprintf(ret, TIDEMARK_IDENTITY_MAX + 1, "%s%s%.6s", name, part[0] ? "-p" : "", part);
}

int place_blank(int fd, uint64_t bytes)
{
	static const char zero[PIECE];
	uint64_t at = 0;
	int r = 0;
	char *piece = malloc(PIECE);

	if (!piece)
		return -ENOMEM;
	while (at < bytes && !r) {
		size_t some = bytes - at < PIECE ? (size_t)(bytes - at) : PIECE;
		ssize_t n = pread(fd, piece, some, (off_t)at);

		if (n < 0)
			r = -errno;
		else if (n == 0)
			r = -ENOSPC;
		else if (memcmp(piece, zero, (size_t)n) != 0)
			r = -ENOMSG;
		else
			at += (uint64_t)n;
	}
	free(piece);
	return r;
}

/* Format what is blank, leave everything else alone. */
static int meta_prepare(int fd, uint64_t sectors, const struct table_tracker *tracker)
{
	struct tidemark_meta_layout layout;
	struct tidemark_meta *meta;
	int r = tidemark_meta_load(fd, &meta);

	if (!r) {
		tidemark_meta_free(meta);
		return 0;
	}
	/* The module takes what is damaged, and says so. */
	if (r == -EBADMSG || r == -EPROTONOSUPPORT)
		return 0;
	if (r != -ENOMSG && r != -ENODATA)
		return r;
	r = tidemark_meta_layout(sectors, tracker->granule_sectors, &layout);
	if (!r)
		r = place_blank(fd, layout.bytes);
	if (!r)
		r = tidemark_meta_format(fd, sectors, tracker->granule_sectors,
					 tracker->identity[0] ? tracker->identity : NULL);
	if (!r && fsync(fd) < 0)
		r = -errno;
	return r;
}

int place_meta(const char *path, uint64_t sectors, uint32_t device_major, uint32_t device_minor,
	       struct table_tracker *tracker)
{
	struct stat st;
	int fd, r;

	fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENXIO ? -ENODEV : -errno;
	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode)) {
		close(fd);
		return -ENODEV;
	}
	identity_read(device_major, device_minor, tracker->identity);
	if (!word_read(BOOT_PATH, tracker->boot, sizeof(tracker->boot)))
		tracker->boot[0] = '\0';
	r = meta_prepare(fd, sectors, tracker);
	close(fd);
	if (r)
		return r;
	tracker->meta = true;
	tracker->meta_major = major(st.st_rdev);
	tracker->meta_minor = minor(st.st_rdev);
	return 0;
}
