// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Views and writers in orders of events that only slow disks show: reads or
 * writes of the data device take seconds.
 */
#include <fcntl.h>
#include <unistd.h>

#include "disk.h"
#include "kselftest_harness.h"
#include "views.h"

#define GRANULE (64 * KIB)
#define SIZE (16 * MIB)
#define TIMEOUT 1200

FIXTURE(slow) {
	struct disk disk;
	uint64_t epoch;
};

/* Writes to the data device, or reads of it, take a second. */
static int slow_set(const struct disk *disk, int read_ms, int write_ms)
{
	return sh("dmsetup load %s --table '0 %llu delay %s 0 %d %s 0 %d' && "
		  "dmsetup suspend --noflush %s && dmsetup resume %s", disk->delay,
		  sectors(disk), disk->loop, read_ms, disk->loop, write_ms, disk->delay,
		  disk->delay);
}

FIXTURE_SETUP(slow)
{
	struct disk_options options = { .bytes = SIZE, .delay_ms = 1 };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-slow", options));
	ASSERT_EQ(0, view_create(&self->disk));
	ASSERT_EQ(0, write_granules(&self->disk, 3, 4, OLD));
}

FIXTURE_TEARDOWN(slow)
{
	view_remove(&self->disk);
	EXPECT_TRUE(pool_empty(&self->disk));
	disk_remove(&self->disk);
}

/* A write from before the seal has not landed: it belongs into the copy. */
TEST_F_TIMEOUT(slow, a_copy_waits_for_the_drain, TIMEOUT)
{
	struct writer before = { .disk = &self->disk, .granule = 3, .byte = 0x11 };
	struct writer after = { .disk = &self->disk, .granule = 3, .byte = 0x22 };
	struct writer other = { .disk = &self->disk, .granule = 8, .byte = 0x33 };
	uint64_t writes = disk_info(&self->disk).writes;
	double start = now();

	ASSERT_EQ(0, slow_set(&self->disk, 0, 2000));
	writer_start(&before);
	while (disk_info(&self->disk).writes == writes)
		usleep(1000);
	ASSERT_EQ(0, seal(&self->disk, 0, &self->epoch));
	/* not readable yet */
	EXPECT_EQ(-EIO, view_byte(&self->disk, 3));
	writer_start(&after);
	writer_start(&other);
	writer_join(&before);
	writer_join(&other);
	writer_join(&after);
	TH_LOG("%.2f s; held %.2f s, not held %.2f s", now() - start, after.seconds,
	       other.seconds);
	EXPECT_EQ(0, after.err);
	/* first the write from before the seal, then this one */
	EXPECT_LT(1.9, after.ended - before.ended);
	/* what meets nothing that is owed waits for nothing but itself */
	EXPECT_LT(other.ended, after.ended);
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	EXPECT_EQ(0x11, view_byte(&self->disk, 3));
	EXPECT_EQ(0x22, data_byte(&self->disk, 3));
	EXPECT_EQ(OLD, view_byte(&self->disk, 4));
}

/* The view reads the device while the granule is copied; then it is written. */
TEST_F_TIMEOUT(slow, a_write_overtakes_a_read, TIMEOUT)
{
	struct writer writer = { .disk = &self->disk, .granule = 3, .byte = NEW };

	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, slow_set(&self->disk, 2000, 0));
	writer_start(&writer);
	usleep(500000);
	EXPECT_FALSE(writer.done);
	EXPECT_EQ(0, disk_info(&self->disk).preserved);
	EXPECT_EQ(OLD, byte_at("/dev/mapper/tm-slow-view", 3 * GRANULE, GRANULE, GRANULE));
	writer_join(&writer);
	EXPECT_EQ(0, slow_set(&self->disk, 0, 0));
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
	EXPECT_EQ(NEW, data_byte(&self->disk, 3));
}

/**
 * struct reader - a read of the view by another thread
 * @thread: that does it
 * @disk: whose view
 * @byte: out: what it was, or -errno
 * @done: out: it has ended
 */
struct reader {
	pthread_t thread;
	struct disk *disk;
	int byte;
	volatile bool done;
};

static void *reader_run(void *argument)
{
	struct reader *reader = argument;
	char path[128];

	snprintf(path, sizeof(path), "%s-view", reader->disk->path);
	reader->byte = byte_at(path, 3 * GRANULE, GRANULE, GRANULE);
	reader->done = true;
	return NULL;
}

/* A read of the view is under way when its granule is released. */
TEST_F_TIMEOUT(slow, a_release_overtakes_a_read, TIMEOUT)
{
	struct reader reader = { .disk = &self->disk };

	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, slow_set(&self->disk, 2000, 0));
	ASSERT_EQ(0, pthread_create(&reader.thread, NULL, reader_run, &reader));
	usleep(500000);
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, self->epoch, 3, 1));
	EXPECT_FALSE(reader.done);
	pthread_join(reader.thread, NULL);
	EXPECT_EQ(-EIO, reader.byte);
}

TEST_F_TIMEOUT(slow, two_writes_share_a_copy, TIMEOUT)
{
	struct writer writers[3] = {
		{ .disk = &self->disk, .granule = 3, .count = 2, .byte = NEW },
		{ .disk = &self->disk, .granule = 4, .count = 2, .byte = NEW },
		{ .disk = &self->disk, .granule = 2, .count = 6, .byte = NEW },
	};

	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, slow_set(&self->disk, 2000, 0));
	for (int i = 0; i < 3; i++) {
		writer_start(&writers[i]);
		usleep(100000);
	}
	for (int i = 0; i < 3; i++) {
		writer_join(&writers[i]);
		EXPECT_EQ(0, writers[i].err);
		/* one copy after the other would take four */
		EXPECT_GT(3.9, writers[i].seconds);
	}
	EXPECT_EQ(0, slow_set(&self->disk, 0, 0));
	EXPECT_EQ(4, disk_info(&self->disk).preserved);
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	for (int i = 3; i < 7; i++) {
		EXPECT_EQ(OLD, view_byte(&self->disk, i));
		EXPECT_EQ(NEW, data_byte(&self->disk, i));
	}
}

/* Neither a full pool nor the end of the epoch leaves a write behind. */
TEST_F_TIMEOUT(slow, held_writes_go_on_when_torn, TIMEOUT)
{
	struct writer one = { .disk = &self->disk, .granule = 3, .byte = NEW };
	struct writer two = { .disk = &self->disk, .granule = 3, .byte = NEW };
	struct writer three = { .disk = &self->disk, .granule = 5, .byte = NEW };

	EXPECT_EQ(0, pool_set(&self->disk, GRANULE));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, slow_set(&self->disk, 4000, 0));
	writer_start(&one);
	usleep(300000);
	writer_start(&two);
	usleep(300000);
	writer_start(&three);
	writer_join(&three);
	writer_join(&two);
	EXPECT_LT(0, disk_info(&self->disk).torn);
	/* at once: no place for it; and then there was nothing to wait for */
	EXPECT_GT(1.5, three.seconds);
	EXPECT_GT(2.5, two.seconds);
	/* its own read of the data device is still under way */
	EXPECT_FALSE(one.done);
	writer_join(&one);
	EXPECT_EQ(0, one.err | two.err | three.err);
	EXPECT_TRUE(pool_empty(&self->disk));
}

TEST_F_TIMEOUT(slow, held_writes_go_on_when_folded, TIMEOUT)
{
	struct writer before = { .disk = &self->disk, .granule = 4, .byte = 0x11 };
	struct writer held = { .disk = &self->disk, .granule = 3, .byte = NEW };
	uint64_t writes = disk_info(&self->disk).writes, epoch;

	ASSERT_EQ(0, slow_set(&self->disk, 0, 3000));
	writer_start(&before);
	while (disk_info(&self->disk).writes == writes)
		usleep(1000);
	ASSERT_EQ(0, seal(&self->disk, 0, &self->epoch));
	writer_start(&held);
	usleep(300000);
	EXPECT_EQ(GRANULE, disk_info(&self->disk).pool_used);
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, self->epoch));
	EXPECT_TRUE(pool_empty(&self->disk));
	/* it did not wait for the drain, and then for its own three seconds */
	writer_join(&held);
	writer_join(&before);
	EXPECT_GT(2.5, held.ended - before.ended);
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(NEW, view_byte(&self->disk, 3));
	EXPECT_EQ(0x11, view_byte(&self->disk, 4));
}

TEST_F_TIMEOUT(slow, suspend_and_reload_wait_for_held_writes, TIMEOUT)
{
	struct writer held = { .disk = &self->disk, .granule = 3, .count = 4, .byte = NEW };
	double start;
	char table[128];

	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, slow_set(&self->disk, 1500, 0));
	writer_start(&held);
	usleep(300000);
	start = now();
	EXPECT_EQ(0, sh("dmsetup suspend --nolockfs %s", self->disk.name));
	TH_LOG("suspended after %.2f s", now() - start);
	/* it has ended, or would end with the resume only */
	writer_join(&held);
	EXPECT_EQ(0, held.err);
	EXPECT_EQ(4, disk_info(&self->disk).preserved);
	snprintf(table, sizeof(table), "0 %llu tidemark %s - 128 0", sectors(&self->disk),
		 self->disk.data);
	EXPECT_EQ(0, disk_reload(&self->disk, table));
	EXPECT_EQ(0, slow_set(&self->disk, 0, 0));
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
}

TEST_F_TIMEOUT(slow, the_view_goes_while_writes_are_held, TIMEOUT)
{
	struct writer held = { .disk = &self->disk, .granule = 3, .count = 4, .byte = NEW };
	double start;

	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, slow_set(&self->disk, 4000, 0));
	writer_start(&held);
	usleep(300000);
	start = now();
	EXPECT_EQ(0, view_remove(&self->disk));
	EXPECT_GT(3.0, now() - start);
	EXPECT_FALSE(held.done);
	EXPECT_LT(0, disk_info(&self->disk).torn);
	writer_join(&held);
	EXPECT_EQ(0, held.err);
	EXPECT_TRUE(pool_empty(&self->disk));
	EXPECT_EQ(NEW, data_byte(&self->disk, 3));
	EXPECT_EQ(0, view_create(&self->disk));
}

/* Reads of the data device fail, writes do not. */
TEST_F_TIMEOUT(slow, bytes_that_cannot_be_read_tear, TIMEOUT)
{
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, sh("dmsetup create tm-bad --table '0 %llu error' && "
			"dmsetup load %s --table '0 %llu delay /dev/mapper/tm-bad 0 0 %s 0 0' && "
			"dmsetup suspend --noflush %s && dmsetup resume %s",
			sectors(&self->disk), self->disk.delay, sectors(&self->disk),
			self->disk.loop, self->disk.delay, self->disk.delay));
	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_LT(0, disk_info(&self->disk).torn);
	EXPECT_TRUE(message_is(&self->disk, "epoch 1 is torn: old bytes cannot be read"));
	EXPECT_TRUE(pool_empty(&self->disk));
	EXPECT_EQ(0, slow_set(&self->disk, 0, 0));
	EXPECT_EQ(0, sh("dmsetup remove --retry tm-bad"));
	EXPECT_EQ(NEW, data_byte(&self->disk, 3));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 4));
}

TEST_HARNESS_MAIN
