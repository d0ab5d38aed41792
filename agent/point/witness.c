// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/witness.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

/* Fields of /sys/dev/block/M:N/stat, the kernel's Documentation/block/stat.rst */
#define STAT_WRITE_SECTORS 7
#define STAT_DISCARD_SECTORS 14

static bool read_line(const char *path, char *buf, int size)
{
	FILE *f = fopen(path, "re");
	bool read = f && fgets(buf, size, f);

	if (f)
		fclose(f);
	if (read)
		buf[strcspn(buf, "\n")] = '\0';
	return read && buf[0];
}

/* A file of a device; a partition has most of them in its disk's folder. */
static bool read_device(dev_t device, const char *name, char *buf, int size)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(device), minor(device), name);
	if (read_line(path, buf, size))
		return true;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../%s", major(device), minor(device),
		 name);
	return read_line(path, buf, size);
}

static void witness_device(dev_t device, char ret[WITNESS_MAX])
{
	char boot[64], sequence[32], counting[8], stat[256];
	uint64_t written = 0, discarded = 0;
	char *save = NULL;
	int field = 0;

	if (!read_line("/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) ||
	    !read_device(device, "diskseq", sequence, sizeof(sequence)) ||
	    !read_device(device, "queue/iostats", counting, sizeof(counting)) ||
	    strcmp(counting, "1") != 0 || !read_device(device, "stat", stat, sizeof(stat)))
		return;
	for (char *word = strtok_r(stat, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		field++;
		if (field == STAT_WRITE_SECTORS)
			sscanf(word, "%" SCNu64, &written);
		if (field == STAT_DISCARD_SECTORS)
			sscanf(word, "%" SCNu64, &discarded);
	}
	if (field >= STAT_DISCARD_SECTORS)
		snprintf(ret, WITNESS_MAX, "device %.40s %.20s %" PRIu64 " %" PRIu64, boot, sequence,
			 written, discarded);
}

static bool later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec > b->tv_sec : a->tv_nsec > b->tv_nsec;
}

/*
 * Times of files are of a clock that goes in steps of some milliseconds. When it has
 * gone on, whatever is written from here on shows.
 */
static bool witness_settled(const struct stat *st)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	struct timespec now;

	for (int i = 0; i < 100; i++) {
		if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0)
			return false;
		if (later(&now, &st->st_mtim) && later(&now, &st->st_ctim))
			return true;
		nanosleep(&pause, NULL);
	}
	return false; /* times of the future: of another host's clock, or this one was set */
}

void witness_take(const char *path, char ret[WITNESS_MAX])
{
	struct stat st;

	ret[0] = '\0';
	if (stat(path, &st) < 0)
		return;
	if (S_ISBLK(st.st_mode))
		witness_device(st.st_rdev, ret);
	if (S_ISREG(st.st_mode) && witness_settled(&st))
		snprintf(ret, WITNESS_MAX, "file %ju %ju %jd %jd.%09ld %jd.%09ld",
			 (uintmax_t)st.st_dev, (uintmax_t)st.st_ino, (intmax_t)st.st_size,
			 (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec,
			 (intmax_t)st.st_ctim.tv_sec, st.st_ctim.tv_nsec);
}
