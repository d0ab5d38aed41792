// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The data device is flushed before anything is forgotten that the replica may
 * have got from its cache, and before metadata are believed that come later.
 */
#include <pthread.h>

#include "meta-fixture.h"

/* How many flushes the device below the data device has ended. */
static uint64_t data_flushes(const struct disk *disk)
{
	unsigned long long flushes = 0;
	char path[96];
	FILE *stat;

	snprintf(path, sizeof(path), "/sys/class/block/%s/stat", disk->loop + strlen("/dev/"));
	stat = fopen(path, "re");
	if (!stat || fscanf(stat, "%*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu",
			    &flushes) != 1)
		flushes = ~0ULL;
	if (stat)
		fclose(stat);
	return flushes;
}

/* Another table for the data device; %s of the format stands for the loop device. */
static int data_table(struct disk *disk, const char *format)
{
	char table[160];

	snprintf(table, sizeof(table), format, disk->loop);
	return sh("dmsetup load tm-under --table '0 %llu %s' && "
		  "dmsetup suspend --noflush --nolockfs tm-under && dmsetup resume tm-under",
		  (unsigned long long)disk->bytes / 512, table) ? -EIO : 0;
}

/* What the replica has is in the data device's cache, until this. */
TEST_F_TIMEOUT(meta, data_is_flushed_before_bits_go, TIMEOUT)
{
	struct disk *disk = &self->disk;
	uint64_t epoch = 0, before;

	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	before = data_flushes(disk);
	EXPECT_EQ(0, write_granule(disk, 3));
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, disk, epoch, 3, 1));
	EXPECT_EQ(before, data_flushes(disk));
	EXPECT_EQ(0, change(TIDEMARK_IOC_SETTLE, disk, epoch, 3, 1));
	EXPECT_EQ(before + 1, data_flushes(disk));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_EQ(before + 2, data_flushes(disk));
	/* refused ones, and a fold, forget nothing */
	EXPECT_EQ(-ENODATA, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	EXPECT_EQ(-ESTALE, end(TIDEMARK_IOC_COMMIT, disk, epoch - 1));
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, disk, epoch));
	EXPECT_EQ(before + 2, data_flushes(disk));
	/* and without metadata nothing outlives a power cut anyway */
	ASSERT_EQ(0, detach(disk));
	disk->meta[0] = '\0';
	ASSERT_EQ(0, disk_attach(disk));
	before = data_flushes(disk);
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_EQ(before, data_flushes(disk));
}

TEST_F_TIMEOUT(meta, a_flush_that_fails_keeps_bits, TIMEOUT)
{
	struct disk *disk = &self->disk;
	uint64_t epoch = 0, committed;

	committed = disk_info(disk).committed_epoch;
	EXPECT_EQ(0, write_granule(disk, 3));
	EXPECT_EQ(0, write_granule(disk, 70));
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	ASSERT_EQ(0, sh("modprobe -q dm-flakey"));
	ASSERT_EQ(0, data_table(disk, "flakey %s 0 0 3600 1 error_writes"));
	EXPECT_EQ(-EIO, change(TIDEMARK_IOC_SETTLE, disk, epoch, 3, 1));
	EXPECT_EQ(-EIO, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_EQ(epoch, disk_info(disk).sealed_epoch);
	EXPECT_EQ(committed, disk_info(disk).committed_epoch);
	EXPECT_STREQ("3 70", granules_text(disk, TIDEMARK_SEALED));
	EXPECT_EQ(0, checkpoint_all(disk));
	EXPECT_STREQ("3 70", meta_text(&self->meta, false));
	ASSERT_EQ(0, data_table(disk, "linear %s 0"));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_EQ(0, checkpoint_all(disk));
	EXPECT_STREQ("", meta_text(&self->meta, false));
}

/* A commit by another thread, of which it can be seen that it waits. */
struct committer {
	struct disk *disk;
	pthread_t thread;
	uint64_t epoch;
	int tid;
};

static void *commit(void *argument)
{
	struct committer *c = argument;

	__atomic_store_n(&c->tid, gettid(), __ATOMIC_RELEASE);
	return (void *)(intptr_t)end(TIDEMARK_IOC_COMMIT, c->disk, c->epoch);
}

static bool commit_waits(struct committer *c)
{
	int tid = __atomic_load_n(&c->tid, __ATOMIC_ACQUIRE);

	return tid && !sh("grep -q 'State:.*D' /proc/%d/status", tid);
}

static void *detach_thread(void *argument)
{
	return (void *)(intptr_t)detach(argument);
}

/* No lock of the disk is held meanwhile; after it, the epoch is looked at again. */
TEST_F_TIMEOUT(meta, disk_goes_on_during_a_flush, TIMEOUT)
{
	struct committer c = { .disk = &self->disk };
	uint64_t epoch = 0;
	void *ret = NULL;

	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &c.epoch));
	ASSERT_EQ(0, sh("dmsetup suspend --nolockfs --noflush tm-under"));
	ASSERT_EQ(0, pthread_create(&c.thread, NULL, commit, &c));
	EXPECT_TRUE(WAIT_FOR(commit_waits(&c)));
	EXPECT_EQ(c.epoch, disk_info(&self->disk).sealed_epoch);
	EXPECT_EQ(0, seal(&self->disk, TIDEMARK_SEAL_EXTEND, &epoch));
	ASSERT_EQ(0, sh("dmsetup resume tm-under"));
	ASSERT_EQ(0, pthread_join(c.thread, &ret));
	EXPECT_EQ(-ESTALE, (int)(intptr_t)ret);
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_SEALED));
	EXPECT_EQ(epoch, disk_info(&self->disk).sealed_epoch);
}

/* The data device is let go of when the flush has ended, and no sooner. */
TEST_F_TIMEOUT(meta, detach_waits_for_a_flush, TIMEOUT)
{
	struct committer c = { .disk = &self->disk };
	void *ret = NULL, *detached = NULL;
	uint64_t id = self->disk.id;
	pthread_t remover;

	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &c.epoch));
	ASSERT_EQ(0, sh("dmsetup suspend --nolockfs --noflush tm-under"));
	ASSERT_EQ(0, pthread_create(&c.thread, NULL, commit, &c));
	EXPECT_TRUE(WAIT_FOR(commit_waits(&c)));
	ASSERT_EQ(0, pthread_create(&remover, NULL, detach_thread, &self->disk));
	EXPECT_TRUE(WAIT_FOR(end(TIDEMARK_IOC_FOLD, &self->disk, ~0ULL) == -ENODEV));
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_CLEAN));
	/* everything else is done, but the device is still in use */
	EXPECT_NE(0, sh("dmsetup remove tm-under 2>/dev/null"));
	ASSERT_EQ(0, sh("dmsetup resume tm-under"));
	ASSERT_EQ(0, pthread_join(c.thread, &ret));
	ASSERT_EQ(0, pthread_join(remover, &detached));
	EXPECT_EQ(-ENODEV, (int)(intptr_t)ret);
	EXPECT_EQ(NULL, detached);
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_NE(id, self->disk.id);
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_CURRENT));
}

/*
 * What was committed without metadata may be in the data device's cache alone:
 * metadata that come later are not believed before that was flushed.
 */
TEST_F_TIMEOUT(meta, first_metadata_wait_for_a_flush, TIMEOUT)
{
	uint64_t epoch = 0;

	ASSERT_EQ(0, reload(&self->disk, NULL, 128));
	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	ASSERT_EQ(0, sh("modprobe -q dm-flakey"));
	ASSERT_EQ(0, data_table(&self->disk, "flakey %s 0 0 3600 1 error_writes"));
	ASSERT_EQ(0, reload(&self->disk, &self->meta, 128));
	EXPECT_TRUE(WAIT_FOR(disk_info(&self->disk).reason & TIDEMARK_REASON_META_ERROR));
	EXPECT_EQ(TIDEMARK_META_ALL, super_state(&self->meta));
	EXPECT_NE(NULL, strstr((char *)disk_info(&self->disk).message, "cannot be flushed"));
	ASSERT_EQ(0, data_table(&self->disk, "linear %s 0"));
	EXPECT_TRUE(WAIT_FOR(!disk_info(&self->disk).reason));
	EXPECT_EQ(TIDEMARK_META_ACTIVE, super_state(&self->meta));
	EXPECT_STREQ("", meta_text(&self->meta, false));
}

TEST_HARNESS_MAIN
