// SPDX-License-Identifier: GPL-2.0-or-later
#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIRECTORY "/tmp"

/* Run a command of the shell; returns its exit status. */
int sh(const char *format, ...)
{
	char command[1024];
	va_list args;
	int status;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int loop_create(struct disk *disk, uint32_t logical)
{
	char command[256];
	FILE *output;

	snprintf(command, sizeof(command), "truncate -s %llu %s && losetup -b %u -f --show %s",
		 (unsigned long long)disk->bytes, disk->file, logical ? logical : 512, disk->file);
	output = popen(command, "r");
	if (!output)
		return -errno;
	if (fscanf(output, "%63s", disk->loop) != 1)
		disk->loop[0] = '\0';
	return pclose(output) || !disk->loop[0] ? -EIO : 0;
}

static int delay_create(struct disk *disk, uint32_t delay_ms)
{
	if (!delay_ms) {
		snprintf(disk->data, sizeof(disk->data), "%s", disk->loop);
		return 0;
	}
	snprintf(disk->delay, sizeof(disk->delay), "%.20s-delay", disk->name);
	snprintf(disk->data, sizeof(disk->data), "/dev/mapper/%s", disk->delay);
	return sh("modprobe -q dm-delay; dmsetup create %s --table '0 %llu delay %s 0 0 %s 0 %u'",
		  disk->delay, (unsigned long long)disk->bytes / 512, disk->loop, disk->loop,
		  delay_ms) ? -EIO : 0;
}

/* A tracked disk of zeroes. What a run before has left is removed first. */
int disk_create(struct disk *disk, const char *name, struct disk_options options)
{
	memset(disk, 0, sizeof(*disk));
	snprintf(disk->name, sizeof(disk->name), "%s", name);
	snprintf(disk->path, sizeof(disk->path), "/dev/mapper/%s", name);
	snprintf(disk->file, sizeof(disk->file), DIRECTORY "/tidemark-%s", name);
	disk->bytes = options.bytes;
	disk->granule = options.granule ? options.granule : 128;
	sh("[ ! -e /dev/mapper/%s ] || dmsetup remove -f %s", name, name);
	sh("[ ! -e /dev/mapper/%s-delay ] || dmsetup remove -f %s-delay", name, name);
	unlink(disk->file);
	if (loop_create(disk, options.logical) || delay_create(disk, options.delay_ms))
		return -EIO;
	return disk_attach(disk);
}

/* The device as such, over the data device that is there. */
int disk_attach(struct disk *disk)
{
	if (sh("dmsetup create %s --table '0 %llu tidemark %s %s %u %s'", disk->name,
	       (unsigned long long)disk->bytes / 512, disk->data,
	       disk->meta[0] ? disk->meta : "-", disk->granule, disk->features))
		return -EIO;
	disk->id = disk_find(disk->name);
	return disk->id ? 0 : -ENODEV;
}

void disk_remove(struct disk *disk)
{
	if (!disk->name[0])
		return;
	sh("[ ! -e %s ] || dmsetup remove --retry %s", disk->path, disk->name);
	if (disk->delay[0])
		sh("dmsetup remove --retry %s", disk->delay);
	if (disk->loop[0])
		sh("losetup -d %s", disk->loop);
	unlink(disk->file);
	memset(disk, 0, sizeof(*disk));
}

/* Another table, in use or not. */
int disk_reload(struct disk *disk, const char *table)
{
	return sh("dmsetup load %s --table '%s' && dmsetup resume %s", disk->name, table,
		  disk->name) ? -EIO : 0;
}

static int control = -1;

int request(unsigned long number, void *argument)
{
	if (control < 0)
		control = open(TIDEMARK_CONTROL_PATH, O_RDWR | O_CLOEXEC);
	return ioctl(control, number, argument) ? -errno : 0;
}

/* Let go of the control device, and by that of the module; request() opens it again. */
void request_close(void)
{
	if (control >= 0)
		close(control);
	control = -1;
}

/* The number of the disk of that name, or 0. */
uint64_t disk_find(const char *name)
{
	uint64_t disks[256];
	struct tidemark_list list = {
		.size = sizeof(list), .capacity = 256, .disks = (uintptr_t)disks,
	};

	if (request(TIDEMARK_IOC_LIST, &list))
		return 0;
	for (uint32_t i = 0; i < list.count; i++) {
		struct tidemark_info info = { .size = sizeof(info), .disk = disks[i] };

		if (!request(TIDEMARK_IOC_INFO, &info) && !strcmp((char *)info.name, name))
			return disks[i];
	}
	return 0;
}

struct tidemark_info disk_info(const struct disk *disk)
{
	struct tidemark_info info = { .size = sizeof(info), .disk = disk->id };

	if (request(TIDEMARK_IOC_INFO, &info))
		memset(&info, 0, sizeof(info));
	return info;
}

int seal(const struct disk *disk, uint32_t flags, uint64_t *ret_epoch)
{
	struct tidemark_seal_disk one = { .disk = disk->id };
	struct tidemark_seal seal = {
		.size = sizeof(seal), .flags = flags, .count = 1, .timeout_ms = 10000,
		.disks = (uintptr_t)&one,
	};
	int err = request(TIDEMARK_IOC_SEAL, &seal);

	if (!err && ret_epoch)
		*ret_epoch = one.epoch;
	return err;
}

int seal_wait(const struct disk *disk, uint64_t epoch, uint32_t timeout_ms)
{
	struct tidemark_wait wait = {
		.size = sizeof(wait), .disk = disk->id, .epoch = epoch, .timeout_ms = timeout_ms,
	};

	return request(TIDEMARK_IOC_WAIT, &wait);
}

int seal_drained(const struct disk *disk, uint32_t flags, uint64_t *ret_epoch)
{
	int err = seal(disk, flags, ret_epoch);

	return err ? err : seal_wait(disk, *ret_epoch, 20000);
}

/* RELEASE, SETTLE or MARK of one run. */
int change(unsigned long number, const struct disk *disk, uint64_t epoch, uint64_t first,
	   uint64_t count)
{
	struct tidemark_run run = { .first = first, .count = count };
	struct tidemark_ranges ranges = {
		.size = sizeof(ranges), .disk = disk->id, .epoch = epoch, .count = 1,
		.runs = (uintptr_t)&run,
	};

	return request(number, &ranges);
}

/* COMMIT or FOLD. */
int end(unsigned long number, const struct disk *disk, uint64_t epoch)
{
	struct tidemark_end end = { .size = sizeof(end), .disk = disk->id, .epoch = epoch };

	return request(number, &end);
}

/* One byte for each granule of a bitmap, to be freed; NULL: there is none. */
uint8_t *granules_read(const struct disk *disk, uint32_t which, uint64_t *ret_count)
{
	uint64_t granules = disk_info(disk).granules;
	uint8_t *set = calloc(1, granules + 1);
	struct tidemark_run run[64];
	struct tidemark_runs runs = {
		.size = sizeof(runs), .disk = disk->id, .which = which, .capacity = 64,
		.count = granules, .runs = (uintptr_t)run,
	};

	while (runs.count) {
		if (request(TIDEMARK_IOC_RUNS, &runs)) {
			free(set);
			return NULL;
		}
		for (uint32_t i = 0; i < runs.filled; i++)
			memset(set + run[i].first, 1, run[i].count);
		runs.first = runs.next;
		runs.count = granules - runs.next;
	}
	if (ret_count)
		*ret_count = granules;
	return set;
}

/* A bitmap as a person would write it: "0 3-5 9", "" or "none". */
const char *granules_text(const struct disk *disk, uint32_t which)
{
	static char text[4096];
	uint64_t count = 0, i = 0;
	uint8_t *set = granules_read(disk, which, &count);
	size_t length = 0;

	if (!set)
		return "none";
	text[0] = '\0';
	while (i < count && length < sizeof(text) - 64) {
		uint64_t first = i;

		if (!set[i++])
			continue;
		while (i < count && set[i])
			i++;
		length += sprintf(text + length, i - first > 1 ? "%s%llu-%llu" : "%s%llu",
				  length ? " " : "", (unsigned long long)first,
				  (unsigned long long)i - 1);
	}
	free(set);
	return text;
}

static void *file_map(const struct disk *disk)
{
	int fd = open(disk->file, O_RDONLY | O_CLOEXEC);
	void *map = mmap(NULL, disk->bytes, PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

/* What the data device holds now; to be freed. */
void *file_copy(const struct disk *disk)
{
	void *map = file_map(disk), *copy = malloc(disk->bytes);

	if (!map || !copy)
		abort();
	memcpy(copy, map, disk->bytes);
	munmap(map, disk->bytes);
	return copy;
}

/* How many granules differ from @before; with @marked those not marked only. */
static uint64_t granules_differ(const struct disk *disk, const void *before, const uint8_t *marked)
{
	uint64_t size = disk->granule * 512ULL, found = 0;
	const uint8_t *old = before, *map = file_map(disk);

	if (!map)
		abort();
	for (uint64_t at = 0; at < disk->bytes; at += size) {
		uint64_t length = disk->bytes - at < size ? disk->bytes - at : size;

		if (memcmp(map + at, old + at, length) && (!marked || !marked[at / size]))
			found++;
	}
	munmap((void *)map, disk->bytes);
	return found;
}

uint64_t granules_changed(const struct disk *disk, const void *before)
{
	return granules_differ(disk, before, NULL);
}

/* Granules that changed since @before and are not marked: must be 0. */
uint64_t granules_missed(const struct disk *disk, const void *before)
{
	uint8_t *marked = granules_read(disk, TIDEMARK_CURRENT, NULL);
	uint64_t missed = granules_differ(disk, before, marked);

	free(marked);
	return missed;
}

/* Write @length times @byte; @flags for open(), O_DIRECT say. */
int write_at(const char *path, int flags, uint64_t offset, size_t length, int byte)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags);
	void *buffer;
	int err = 0;

	if (fd < 0)
		return -errno;
	if (posix_memalign(&buffer, 4096, length))
		abort();
	memset(buffer, byte, length);
	if (pwrite(fd, buffer, length, offset) != (ssize_t)length ||
	    (!(flags & O_DIRECT) && fsync(fd)))
		err = errno ? -errno : -EIO;
	free(buffer);
	close(fd);
	return err;
}

bool file_equal(const char *one, const char *two, uint64_t bytes)
{
	return !sh("cmp -n %llu %s %s", (unsigned long long)bytes, one, two);
}
