// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The in-flight rule, on a disk whose writes take a second: what may be done
 * before a sealed epoch has drained, and what must wait.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "disk.h"
#include "kselftest_harness.h"

#define GRANULE (64 * KIB)
#define DELAY 2000
#define TIMEOUT 1200

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static void *write_one(void *argument)
{
	struct disk *disk = argument;

	return (void *)(intptr_t)write_at(disk->path, O_DIRECT, 3 * GRANULE, 4096, 0x5a);
}

FIXTURE(drain) {
	struct disk disk;
	pthread_t writer;
	uint64_t epoch;
	bool joined;
};

/* A write is in flight, and its epoch is sealed. */
FIXTURE_SETUP(drain)
{
	struct disk_options options = { .bytes = 16 * MIB, .delay_ms = DELAY };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-drain", options));
	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_one, &self->disk));
	while (!disk_info(&self->disk).marked)
		usleep(10000);
	ASSERT_EQ(0, seal(&self->disk, 0, &self->epoch));
}

FIXTURE_TEARDOWN(drain)
{
	if (!self->joined)
		pthread_join(self->writer, NULL);
	disk_remove(&self->disk);
}

static int data_at(struct disk *disk, uint64_t offset)
{
	unsigned char *buffer = aligned_alloc(4096, 4096);
	int fd = open(disk->data, O_RDONLY | O_DIRECT | O_CLOEXEC);
	int byte = pread(fd, buffer, 4096, offset) == 4096 ? buffer[0] : -1;

	close(fd);
	free(buffer);
	return byte;
}

TEST_F_TIMEOUT(drain, wait_times_out_then_succeeds, TIMEOUT)
{
	EXPECT_EQ(TIDEMARK_STATE_SEALED | TIDEMARK_STATE_DRAINING,
		  disk_info(&self->disk).state);
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_OWED));
	EXPECT_EQ(-ETIMEDOUT, seal_wait(&self->disk, self->epoch, 0));
	EXPECT_EQ(-ETIMEDOUT, seal_wait(&self->disk, self->epoch, 200));
	/* this is why: the bytes are not there yet */
	EXPECT_EQ(0, data_at(&self->disk, 3 * GRANULE));
	EXPECT_EQ(0, seal_wait(&self->disk, self->epoch, 20000));
	EXPECT_EQ(0x5a, data_at(&self->disk, 3 * GRANULE));
	EXPECT_EQ(TIDEMARK_STATE_SEALED, disk_info(&self->disk).state);
	EXPECT_EQ(0, seal_wait(&self->disk, self->epoch, 0));
}

TEST_F_TIMEOUT(drain, reading_requests_do_not_wait, TIMEOUT)
{
	EXPECT_EQ(-EAGAIN, end(TIDEMARK_IOC_COMMIT, &self->disk, self->epoch));
	EXPECT_EQ(-EAGAIN, change(TIDEMARK_IOC_RELEASE, &self->disk, self->epoch, 3, 1));
	EXPECT_EQ(-EAGAIN, change(TIDEMARK_IOC_SETTLE, &self->disk, self->epoch, 3, 1));
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_OWED));
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_SEALED));
	EXPECT_EQ(0, seal_wait(&self->disk, self->epoch, 20000));
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, self->epoch, 3, 1));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, self->epoch));
}

TEST_F_TIMEOUT(drain, seal_waits_with_a_limit, TIMEOUT)
{
	struct tidemark_seal_disk one = { .disk = self->disk.id };
	struct tidemark_seal seal = {
		.size = sizeof(seal), .count = 1, .timeout_ms = 100, .disks = (uintptr_t)&one,
	};

	EXPECT_EQ(-ETIMEDOUT, request(TIDEMARK_IOC_SEAL, &seal));
	EXPECT_EQ(self->epoch, disk_info(&self->disk).sealed_epoch);
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_OWED));
	seal.timeout_ms = 20000;
	EXPECT_EQ(0, request(TIDEMARK_IOC_SEAL, &seal));
	EXPECT_EQ(self->epoch + 1, one.epoch);
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_OWED));
}

TEST_F_TIMEOUT(drain, writers_do_not_wait, TIMEOUT)
{
	double start = now();

	/* A later write takes its own time and no more. */
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 5 * GRANULE, 4096, 1));
	TH_LOG("a write took %.2f s", now() - start);
	EXPECT_GT(DELAY * 1.9 / 1000, now() - start);
	EXPECT_EQ(0, disk_info(&self->disk).torn);
}

TEST_F_TIMEOUT(drain, fold_is_safe_at_once, TIMEOUT)
{
	uint64_t epoch = 0;

	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, self->epoch));
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_CURRENT));
	/* the next seal waits for what the folded epoch has in flight */
	EXPECT_EQ(0, seal(&self->disk, 0, &epoch));
	EXPECT_EQ(0, seal_wait(&self->disk, epoch, 20000));
	EXPECT_EQ(0x5a, data_at(&self->disk, 3 * GRANULE));
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_OWED));
}

static void nothing(int signal)
{
}

TEST_F_TIMEOUT(drain, a_signal_ends_the_wait, TIMEOUT)
{
	struct sigaction action = { .sa_handler = nothing };
	/* again and again: one may come before the wait */
	struct itimerval often = { { .tv_usec = 300000 }, { .tv_usec = 300000 } };
	struct itimerval never = { 0 };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	EXPECT_EQ(-EINTR, seal_wait(&self->disk, self->epoch, 20000));
	setitimer(ITIMER_REAL, &never, NULL);
}

static void *wait_long(void *argument)
{
	struct disk *disk = argument;

	return (void *)(intptr_t)seal_wait(disk, disk_info(disk).sealed_epoch, 60000);
}

TEST_F_TIMEOUT(drain, fold_ends_the_wait, TIMEOUT)
{
	pthread_t waiter;
	void *result;

	ASSERT_EQ(0, pthread_create(&waiter, NULL, wait_long, &self->disk));
	usleep(300000);
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, self->epoch));
	pthread_join(waiter, &result);
	EXPECT_EQ(-ENODATA, (int)(intptr_t)result);
}

TEST_F_TIMEOUT(drain, two_readers_and_removal, TIMEOUT)
{
	uint64_t id = self->disk.id;
	struct tidemark_info info = { .size = sizeof(info), .disk = id };

	/* Removal waits for the I/O, as always, and the disk is gone after. */
	pthread_join(self->writer, NULL);
	self->joined = true;
	EXPECT_EQ(0, sh("dmsetup remove --retry %s", self->disk.name));
	EXPECT_EQ(-ENODEV, request(TIDEMARK_IOC_INFO, &info));
	EXPECT_EQ(-ENODEV, seal_wait(&self->disk, self->epoch, 0));
}

TEST_HARNESS_MAIN
