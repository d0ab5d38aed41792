// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writers on all CPUs while seals go on: nothing is lost between two epochs,
 * counts stay exact, a group's seal is one instant, and the module cannot be
 * unloaded under it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "disk.h"
#include "kselftest_harness.h"

#define GRANULE 4096
#define GRANULES 4096
#define TIMEOUT 1200
#define SECONDS 10

static atomic_bool stop;
static struct disk disks[2];

static int disk_open(const struct disk *disk)
{
	return open(disk->path, O_WRONLY | O_DIRECT | O_CLOEXEC);
}

static void *buffer_get(void)
{
	void *buffer = aligned_alloc(4096, GRANULE);

	memset(buffer, 1, GRANULE);
	return buffer;
}

/*
 * Writes granule n of disk 0, then, when that has ended, granule n of disk 1:
 * each once, from its own part. Returns how many.
 */
static void *pair_run(void *argument)
{
	uintptr_t part = (uintptr_t)argument, done = 0;
	int one = disk_open(&disks[0]), two = disk_open(&disks[1]);
	void *buffer = buffer_get();

	for (uintptr_t n = part; n < GRANULES && !atomic_load(&stop); n += 4, done++) {
		if (pwrite(one, buffer, GRANULE, n * GRANULE) != GRANULE ||
		    pwrite(two, buffer, GRANULE, n * GRANULE) != GRANULE)
			break;
		usleep(rand() % 2000);
	}
	free(buffer);
	close(one);
	close(two);
	return (void *)done;
}

/* Writes anywhere, again and again. */
static void *any_run(void *argument)
{
	unsigned int seed = (uintptr_t)argument;
	int fd = disk_open(&disks[0]);
	void *buffer = buffer_get();
	uintptr_t failed = 0;

	while (!atomic_load(&stop))
		failed += pwrite(fd, buffer, GRANULE, rand_r(&seed) % GRANULES * GRANULE) != GRANULE;
	free(buffer);
	close(fd);
	return (void *)failed;
}

FIXTURE(hammer) {
	int unused;
};

FIXTURE_SETUP(hammer)
{
	struct disk_options options = { .bytes = GRANULES * GRANULE, .granule = 8 };

	ASSERT_EQ(0, disk_create(&disks[0], "tm-hammer0", options));
	ASSERT_EQ(0, disk_create(&disks[1], "tm-hammer1", options));
	stop = false;
}

FIXTURE_TEARDOWN(hammer)
{
	disk_remove(&disks[0]);
	disk_remove(&disks[1]);
}

/* Add the owed granules of an epoch to what was seen. Returns how many. */
static uint64_t collect(struct disk *disk, uint8_t *seen)
{
	uint64_t count = 0, added = 0;
	uint8_t *owed = granules_read(disk, TIDEMARK_OWED, &count);

	for (uint64_t i = 0; owed && i < count; i++) {
		added += owed[i];
		seen[i] |= owed[i];
	}
	free(owed);
	return added;
}

TEST_F_TIMEOUT(hammer, a_group_is_sealed_at_one_instant, TIMEOUT)
{
	struct tidemark_seal_disk group[2] = {
		{ .disk = disks[1].id }, { .disk = disks[0].id },
	};
	struct tidemark_seal seal = {
		.size = sizeof(seal), .count = 2, .timeout_ms = 10000,
		.disks = (uintptr_t)group,
	};
	uint8_t *seen[2] = { calloc(1, GRANULES), calloc(1, GRANULES) };
	uint64_t written = 0, rounds = 0, excluded = 0, early = 0, sum = 0;
	time_t last = time(NULL) + SECONDS;
	pthread_t threads[4];
	void *done;

	for (uintptr_t i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, pair_run, (void *)i));
	for (;;) {
		bool over = time(NULL) >= last;

		if (over) {
			atomic_store(&stop, true);
			for (int i = 0; i < 4; i++) {
				pthread_join(threads[i], &done);
				written += (uintptr_t)done;
			}
		}
		ASSERT_EQ(0, request(TIDEMARK_IOC_SEAL, &seal));
		excluded = seal.excluded_ns > excluded ? seal.excluded_ns : excluded;
		for (int i = 0; i < 2; i++) {
			EXPECT_EQ(0, seal_wait(&disks[i], group[1 - i].epoch, 10000));
			sum += group[i].owed;
		}
		EXPECT_EQ(group[1].owed, collect(&disks[0], seen[0]));
		EXPECT_EQ(group[0].owed, collect(&disks[1], seen[1]));
		for (int i = 0; i < 2; i++)
			EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, &disks[i], group[1 - i].epoch));
		/* what came second is never there without what came first */
		for (int i = 0; i < GRANULES; i++)
			early += seen[1][i] && !seen[0][i];
		rounds++;
		if (over)
			break;
	}
	TH_LOG("%llu pairs in %llu seals, writers kept out for %llu ns at most",
	       (unsigned long long)written, (unsigned long long)rounds,
	       (unsigned long long)excluded);
	EXPECT_EQ(0, early);
	EXPECT_EQ(2 * written, sum);	/* each in one epoch, and in one only */
	EXPECT_LT(100, written);
	EXPECT_LT(5, rounds);
}

TEST_F_TIMEOUT(hammer, counts_stay_exact, TIMEOUT)
{
	time_t last = time(NULL) + SECONDS;
	uint64_t epoch = 0, rounds = 0;
	pthread_t threads[4];
	void *failed;

	for (uintptr_t i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, any_run, (void *)(i + 1)));
	while (time(NULL) < last) {
		uint8_t *sealed, *owed;
		struct tidemark_info info;
		uint64_t count = 0, set[2] = {};

		ASSERT_EQ(0, seal_drained(&disks[0], rounds % 3 ? TIDEMARK_SEAL_EXTEND : 0, &epoch));
		ASSERT_EQ(0, change(TIDEMARK_IOC_RELEASE, &disks[0], epoch, rounds % GRANULES,
				    GRANULES / 2 - rounds % 1000));
		info = disk_info(&disks[0]);
		sealed = granules_read(&disks[0], TIDEMARK_SEALED, &count);
		owed = granules_read(&disks[0], TIDEMARK_OWED, &count);
		for (uint64_t i = 0; i < count; i++) {
			set[0] += sealed[i];
			set[1] += owed[i];
			if (owed[i] && !sealed[i])
				set[0] += 1000000;
		}
		EXPECT_EQ(set[0], info.sealed);
		EXPECT_EQ(set[1], info.owed);
		free(sealed);
		free(owed);
		rounds++;
		if (rounds % 4 == 0)
			ASSERT_EQ(0, end(rounds % 8 ? TIDEMARK_IOC_COMMIT : TIDEMARK_IOC_FOLD,
					 &disks[0], epoch));
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		EXPECT_EQ(NULL, failed);
	}
	TH_LOG("%llu rounds", (unsigned long long)rounds);
	if (disk_info(&disks[0]).sealed_epoch)
		ASSERT_EQ(0, end(TIDEMARK_IOC_FOLD, &disks[0], epoch));
	{
		uint64_t count = 0, set = 0;
		uint8_t *marked = granules_read(&disks[0], TIDEMARK_CURRENT, &count);

		for (uint64_t i = 0; i < count; i++)
			set += marked[i];
		EXPECT_EQ(set, disk_info(&disks[0]).marked);
		free(marked);
	}
}

/**
 * struct hasty - a writer that never waits
 * @part: writes granules @part, @part + 4, ... of disk 0
 * @stamps: of each granule, the newest that was written
 * @done: writes that succeeded
 * @refused: writes that would have had to wait
 * @err: what else happened
 */
struct hasty {
	unsigned int part;
	uint64_t stamps[GRANULES];
	uint64_t done;
	uint64_t refused;
	int err;
};

static void *hasty_run(void *argument)
{
	struct hasty *hasty = argument;
	unsigned int seed = hasty->part + 1;
	uint64_t *buffer = buffer_get(), stamp = 0;
	int fd = disk_open(&disks[0]);

	while (!atomic_load(&stop) && !hasty->err) {
		uint64_t n = rand_r(&seed) % (GRANULES / 4) * 4 + hasty->part;
		struct iovec vec = { .iov_base = buffer, .iov_len = GRANULE };

		buffer[0] = ++stamp;
		if (pwritev2(fd, &vec, 1, n * GRANULE, RWF_NOWAIT) == GRANULE) {
			hasty->stamps[n] = stamp;
			hasty->done++;
		} else if (errno == EAGAIN) {
			hasty->refused++;
		} else {
			hasty->err = errno;
		}
	}
	free(buffer);
	close(fd);
	return NULL;
}

/* Granules that do not begin with their stamp. */
static uint64_t hasty_wrong(const struct hasty *hasty)
{
	uint8_t *copy = file_copy(&disks[0]);
	uint64_t wrong = 0;

	for (uint64_t n = 0; n < GRANULES; n++)
		wrong += *(uint64_t *)(copy + n * GRANULE) != hasty[n % 4].stamps[n];
	free(copy);
	return wrong;
}

/*
 * Refused is refused: a write that met a closed gate has left nothing. Seldom
 * does one meet it (the gate is closed for microseconds), and no count of
 * refusals is asked for; that the others are marked as any write is.
 */
TEST_F_TIMEOUT(hammer, writes_that_do_not_wait, TIMEOUT)
{
	struct hasty *hasty = calloc(4, sizeof(*hasty));
	void *before = file_copy(&disks[0]);
	uint64_t epoch = 0, done = 0, refused = 0;
	time_t last = time(NULL) + SECONDS / 2;
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		hasty[i].part = i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, hasty_run, &hasty[i]));
	}
	while (time(NULL) < last)
		ASSERT_EQ(0, seal(&disks[0], TIDEMARK_SEAL_EXTEND, &epoch));
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		EXPECT_EQ(0, hasty[i].err);
		done += hasty[i].done;
		refused += hasty[i].refused;
	}
	TH_LOG("%llu written, %llu refused, %llu seals", (unsigned long long)done,
	       (unsigned long long)refused, (unsigned long long)epoch);
	EXPECT_LT(100, done);
	EXPECT_EQ(0, hasty_wrong(hasty));
	ASSERT_EQ(0, end(TIDEMARK_IOC_FOLD, &disks[0], epoch));
	EXPECT_EQ(0, granules_missed(&disks[0], before));
	/* and nothing is marked that only was refused */
	EXPECT_EQ(granules_changed(&disks[0], before), disk_info(&disks[0]).marked);
	free(before);
	free(hasty);
}

TEST_F_TIMEOUT(hammer, reload_and_unload_under_load, TIMEOUT)
{
	pthread_t threads[4];
	char table[128];
	void *failed;

	snprintf(table, sizeof(table), "0 32768 tidemark %s - 8", disks[0].data);
	for (uintptr_t i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, any_run, (void *)(i + 1)));
	for (int i = 0; i < 5; i++) {
		uint64_t epoch = 0;

		EXPECT_NE(0, sh("rmmod dm_tidemark 2> /dev/null"));
		EXPECT_EQ(0, seal(&disks[0], 0, &epoch));
		EXPECT_EQ(0, disk_reload(&disks[0], table));
		EXPECT_EQ(0, seal_wait(&disks[0], epoch, 10000));
		EXPECT_EQ(disks[0].id, disk_find("tm-hammer0"));
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		EXPECT_EQ(NULL, failed);
	}
}

TEST_HARNESS_MAIN
