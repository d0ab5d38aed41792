// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The lost-write attack.
 *
 *	writers, one for each CPU -> tidemark -> dm-delay (200 ms) -> memory
 *	                                             |
 *	copier: seal, wait, read what is owed -------+--> replica (a file)
 *
 * Writes land long after they were submitted, and epochs are sealed as fast as
 * it goes. A tracker that lets an epoch be read before its writes have landed
 * copies the old bytes, and never learns of the new ones. After the writers
 * have stopped and a last round has been copied, replica and disk must be the
 * same.
 *
 * Usage: lost-write [SECONDS]; prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"

#define BYTES (16 * MIB)
#define GRANULE_SECTORS 8
#define GRANULE (GRANULE_SECTORS * 512)
#define DELAY_MS 200
/* Writers keep to few granules, so that each is written again and again. */
#define HOT 96

static struct disk disk;
static atomic_bool stop;
static atomic_ullong writes;
static int replica;

static void fail(const char *what, int err)
{
	printf("not ok 1 lost-write: %s: %s\n", what, strerror(err < 0 ? -err : errno));
	disk_remove(&disk);
	exit(1);
}

/* Overwrites hot granules with bytes that no other write has. */
static void *writer_run(void *argument)
{
	unsigned int seed = (unsigned int)(uintptr_t)argument;
	int fd = open(disk.path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	uint64_t *buffer;

	if (fd < 0 || posix_memalign((void **)&buffer, 4096, GRANULE))
		fail("writer", 0);
	while (!atomic_load(&stop)) {
		uint64_t granule = rand_r(&seed) % HOT * (BYTES / GRANULE / HOT);
		uint64_t stamp = atomic_fetch_add(&writes, 1) + 1;

		for (size_t i = 0; i < GRANULE / sizeof(*buffer); i++)
			buffer[i] = stamp;
		if (pwrite(fd, buffer, GRANULE, granule * GRANULE) != GRANULE)
			fail("write", 0);
	}
	free(buffer);
	close(fd);
	return NULL;
}

static void copy_run(int from, void *buffer, uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++) {
		if (pread(from, buffer, GRANULE, i * GRANULE) != GRANULE)
			fail("read", 0);
		if (pwrite(replica, buffer, GRANULE, i * GRANULE) != GRANULE)
			fail("copy", 0);
	}
}

/* Copy all that the sealed epoch owes; returns how many granules. */
static uint64_t copy_owed(int from, void *buffer, uint64_t epoch)
{
	struct tidemark_run run[64];
	struct tidemark_runs runs = {
		.size = sizeof(runs), .disk = disk.id, .which = TIDEMARK_OWED, .capacity = 64,
		.count = BYTES / GRANULE, .runs = (uintptr_t)run,
	};
	uint64_t copied = 0;
	int err;

	while (runs.count) {
		err = request(TIDEMARK_IOC_RUNS, &runs);
		if (err)
			fail("RUNS", err);
		for (uint32_t i = 0; i < runs.filled; i++) {
			copy_run(from, buffer, run[i].first, run[i].count);
			err = change(TIDEMARK_IOC_RELEASE, &disk, epoch, run[i].first,
				     run[i].count);
			if (err)
				fail("RELEASE", err);
			copied += run[i].count;
		}
		runs.first = runs.next;
		runs.count = BYTES / GRANULE - runs.next;
	}
	return copied;
}

static uint64_t copy_round(int from, void *buffer)
{
	uint64_t epoch = 0, copied;
	int err;

	err = seal(&disk, 0, &epoch);
	if (err)
		fail("SEAL", err);
	err = seal_wait(&disk, epoch, 10000);
	if (err)
		fail("WAIT", err);
	copied = copy_owed(from, buffer, epoch);
	err = end(TIDEMARK_IOC_COMMIT, &disk, epoch);
	if (err)
		fail("COMMIT", err);
	return copied;
}

static uint64_t differences(void)
{
	int fd = open(disk.file, O_RDONLY | O_CLOEXEC);
	char one[GRANULE], two[GRANULE];
	uint64_t found = 0;

	for (uint64_t at = 0; at < BYTES; at += GRANULE) {
		if (pread(fd, one, GRANULE, at) != GRANULE ||
		    pread(replica, two, GRANULE, at) != GRANULE)
			fail("compare", 0);
		found += memcmp(one, two, GRANULE) != 0;
	}
	close(fd);
	return found;
}

int main(int argc, char **argv)
{
	struct disk_options options = {
		.bytes = BYTES, .granule = GRANULE_SECTORS, .delay_ms = DELAY_MS,
	};
	double seconds = argc > 1 ? atof(argv[1]) : 15;
	/* Many more writers than CPUs: most of the time they wait for a write. */
	long count = 8 * sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t rounds = 0, copied = 0, different;
	time_t end = time(NULL) + seconds;
	pthread_t threads[count];
	void *buffer;
	int from;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..1\n");
	if (disk_create(&disk, "tm-lost", options))
		fail("disk", -EIO);
	replica = open("/tmp/tm-lost-replica", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	from = open(disk.data, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (replica < 0 || ftruncate(replica, BYTES) || from < 0 ||
	    posix_memalign(&buffer, 4096, GRANULE))
		fail("files", 0);
	for (long i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, writer_run, (void *)(i + 1)))
			fail("thread", 0);
	while (time(NULL) < end) {
		copied += copy_round(from, buffer);
		rounds++;
		usleep(3000);
	}
	atomic_store(&stop, true);
	for (long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	copied += copy_round(from, buffer);
	different = differences();
	close(from);
	printf("# %llu writes, %llu seals, %llu granules copied, %llu differ\n",
	       (unsigned long long)writes, (unsigned long long)rounds + 1,
	       (unsigned long long)copied, (unsigned long long)different);
	printf("%s 1 lost-write\n", different ? "not ok" : "ok");
	disk_remove(&disk);
	return different ? 1 : 0;
}
