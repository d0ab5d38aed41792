// SPDX-License-Identifier: GPL-2.0-or-later
#include "views.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

unsigned long long sectors(const struct disk *disk)
{
	return disk->bytes / 512;
}

int view_create(const struct disk *disk)
{
	return sh("dmsetup create %s-view --readonly --table '0 %llu tidemark-view %s'",
		  disk->name, sectors(disk), disk->path);
}

int view_remove(const struct disk *disk)
{
	return sh("dmsetup remove --retry %s-view", disk->name);
}

int pool_set(const struct disk *disk, uint64_t bytes)
{
	struct tidemark_pool_size pool = { .size = sizeof(pool), .disk = disk->id,
					   .bytes = bytes };

	return request(TIDEMARK_IOC_POOL, &pool);
}

/* Does the pool become empty soon? What frees it may be late. */
bool pool_empty(const struct disk *disk)
{
	for (int i = 0; i < 500 && disk_info(disk).pool_used; i++)
		usleep(10000);
	return !disk_info(disk).pool_used;
}

/* Does INFO say this soon? */
bool message_is(const struct disk *disk, const char *text)
{
	for (int i = 0; i < 500 && strcmp((char *)disk_info(disk).message, text); i++)
		usleep(10000);
	return !strcmp((char *)disk_info(disk).message, text);
}

/* The byte that a range holds throughout, or -errno; -EILSEQ: more than one. */
int byte_at(const char *path, uint64_t offset, uint64_t length, uint64_t step)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC), byte = -1;
	unsigned char *buffer = aligned_alloc(4096, (step + 4095) / 4096 * 4096);

	if (fd < 0)
		return -errno;
	while (length && byte >= -1) {
		uint64_t some = length < step ? length : step;

		if (pread(fd, buffer, some, offset) != (ssize_t)some) {
			byte = -errno;
			break;
		}
		for (uint64_t i = 0; i < some; i++) {
			if (byte >= 0 && buffer[i] != byte)
				byte = -EILSEQ;
			else if (byte == -1)
				byte = buffer[i];
		}
		offset += some;
		length -= some;
	}
	free(buffer);
	close(fd);
	return byte;
}

int view_byte(const struct disk *disk, uint64_t granule)
{
	uint64_t size = disk->granule * 512ULL;
	char path[128];

	/* in steps that the pages and bios of a copy do not have */
	snprintf(path, sizeof(path), "%s-view", disk->path);
	return byte_at(path, granule * size, size, size > 64 * KIB ? 260 * KIB : 7 * 512);
}

int data_byte(const struct disk *disk, uint64_t granule)
{
	return byte_at(disk->data, granule * disk->granule * 512, disk->granule * 512, 65536);
}

int write_granules(const struct disk *disk, uint64_t first, uint64_t count, int byte)
{
	uint64_t size = disk->granule * 512ULL;

	return write_at(disk->path, O_DIRECT, first * size, count * size, byte);
}

static void *writer_run(void *argument)
{
	struct writer *writer = argument;
	double start = now();

	writer->err = write_granules(writer->disk, writer->granule,
				     writer->count ? writer->count : 1, writer->byte);
	writer->ended = now();
	writer->seconds = writer->ended - start;
	writer->done = true;
	return NULL;
}

void writer_start(struct writer *writer)
{
	writer->done = false;
	if (pthread_create(&writer->thread, NULL, writer_run, writer))
		abort();
}

void writer_join(struct writer *writer)
{
	pthread_join(writer->thread, NULL);
}
