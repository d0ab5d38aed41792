// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Views and copy-before-write: what a view shows, what a write does to it, how
 * an epoch is torn, and that nothing stays in the pool.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>

#include "disk.h"
#include "kselftest_harness.h"

#define GRANULE (64 * KIB)
#define SIZE (16 * MIB)
#define TIMEOUT 120
#define OLD 0x0a
#define NEW 0x0b

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static unsigned long long sectors(const struct disk *disk)
{
	return disk->bytes / 512;
}

static int view_create(const struct disk *disk)
{
	return sh("dmsetup create %s-view --readonly --table '0 %llu tidemark-view %s'",
		  disk->name, sectors(disk), disk->path);
}

static int view_remove(const struct disk *disk)
{
	return sh("dmsetup remove --retry %s-view", disk->name);
}

static int pool_set(const struct disk *disk, uint64_t bytes)
{
	struct tidemark_pool_size pool = { .size = sizeof(pool), .disk = disk->id,
					   .bytes = bytes };

	return request(TIDEMARK_IOC_POOL, &pool);
}

/* The byte that a range holds throughout, or -errno; -EILSEQ: more than one. */
static int byte_at(const char *path, uint64_t offset, uint64_t length, uint64_t step)
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

static int view_byte(const struct disk *disk, uint64_t granule)
{
	uint64_t size = disk->granule * 512ULL;
	char path[128];

	/* in steps that the pages and bios of a copy do not have */
	snprintf(path, sizeof(path), "%s-view", disk->path);
	return byte_at(path, granule * size, size, size > 64 * KIB ? 260 * KIB : 7 * 512);
}

static int data_byte(const struct disk *disk, uint64_t granule)
{
	return byte_at(disk->data, granule * disk->granule * 512, disk->granule * 512, 65536);
}

static int write_granules(const struct disk *disk, uint64_t first, uint64_t count, int byte)
{
	uint64_t size = disk->granule * 512ULL;

	return write_at(disk->path, O_DIRECT, first * size, count * size, byte);
}

/**
 * struct writer - a write by another thread
 * @thread: that does it
 * @disk: to which disk
 * @granule: one of @count
 * @count: how many, 0: 1
 * @seconds: out: how long it took
 * @err: out: how it ended
 * @done: out: it has ended
 */
struct writer {
	pthread_t thread;
	struct disk *disk;
	uint64_t granule;
	uint64_t count;
	int byte;
	double seconds;
	int err;
	volatile bool done;
};

static void *writer_run(void *argument)
{
	struct writer *writer = argument;
	double start = now();

	writer->err = write_granules(writer->disk, writer->granule,
				     writer->count ? writer->count : 1, writer->byte);
	writer->seconds = now() - start;
	writer->done = true;
	return NULL;
}

static void writer_start(struct writer *writer)
{
	writer->done = false;
	if (pthread_create(&writer->thread, NULL, writer_run, writer))
		abort();
}

static void writer_join(struct writer *writer)
{
	pthread_join(writer->thread, NULL);
}

FIXTURE(view) {
	struct disk disk;
	uint64_t epoch;
};

FIXTURE_VARIANT(view) {
	uint32_t granule;
	uint64_t bytes;
};

FIXTURE_VARIANT_ADD(view, granule_64k) { .granule = 128, .bytes = SIZE };
/* The last granule is short, and one is one page. */
FIXTURE_VARIANT_ADD(view, granule_4k) { .granule = 8, .bytes = MIB };
FIXTURE_VARIANT_ADD(view, granule_256k_short) { .granule = 512, .bytes = SIZE - 36 * KIB };
/* More than one bio to read a granule with. */
FIXTURE_VARIANT_ADD(view, granule_4m) { .granule = 8192, .bytes = 56 * MIB };

/* Granules 3 to 6 hold OLD and are owed. */
FIXTURE_SETUP(view)
{
	struct disk_options options = { .bytes = variant->bytes, .granule = variant->granule };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-view", options));
	ASSERT_EQ(0, pool_set(&self->disk, 32 * MIB));
	ASSERT_EQ(0, view_create(&self->disk));
	ASSERT_EQ(0, write_granules(&self->disk, 3, 4, OLD));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
}

FIXTURE_TEARDOWN(view)
{
	if (self->disk.name[0]) {
		view_remove(&self->disk);
		EXPECT_EQ(0, disk_info(&self->disk).pool_used);
		EXPECT_EQ(0, disk_info(&self->disk).views);
	}
	disk_remove(&self->disk);
}

TEST_F_TIMEOUT(view, shows_what_is_owed_and_nothing_else, TIMEOUT)
{
	EXPECT_EQ(-EIO, view_byte(&self->disk, 2));
	for (int i = 3; i < 7; i++)
		EXPECT_EQ(OLD, view_byte(&self->disk, i));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 7));
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, self->epoch, 4, 1));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 4));
	EXPECT_EQ(OLD, view_byte(&self->disk, 5));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, self->epoch));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 5));
}

TEST_F_TIMEOUT(view, keeps_what_is_overwritten, TIMEOUT)
{
	uint64_t size = self->disk.granule * 512ULL;

	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 3 * size, 4096, NEW));
	EXPECT_EQ(1, disk_info(&self->disk).preserved);
	/* from the end of one granule into the next one */
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 4 * size - 512, 1024, NEW));
	EXPECT_EQ(2, disk_info(&self->disk).preserved);
	EXPECT_EQ(2 * size, disk_info(&self->disk).pool_used);
	/* all, and some that are not owed */
	EXPECT_EQ(0, write_granules(&self->disk, 2, 6, NEW));
	EXPECT_EQ(4, disk_info(&self->disk).preserved);
	for (int i = 3; i < 7; i++) {
		EXPECT_EQ(OLD, view_byte(&self->disk, i));
		EXPECT_EQ(NEW, data_byte(&self->disk, i));
	}
	EXPECT_EQ(-EIO, view_byte(&self->disk, 2));
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	EXPECT_STREQ("2-7", granules_text(&self->disk, TIDEMARK_CURRENT));

	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, self->epoch, 4, 2));
	EXPECT_EQ(2, disk_info(&self->disk).preserved);
	EXPECT_EQ(2 * size, disk_info(&self->disk).pool_used);
	EXPECT_EQ(4 * size, disk_info(&self->disk).pool_peak);
	EXPECT_EQ(-EIO, view_byte(&self->disk, 4));
	EXPECT_EQ(OLD, view_byte(&self->disk, 6));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, self->epoch));
	EXPECT_EQ(0, disk_info(&self->disk).preserved);
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
}

TEST_F_TIMEOUT(view, keeps_the_last_granule, TIMEOUT)
{
	uint64_t last = disk_info(&self->disk).granules - 1;
	uint64_t at = last * self->disk.granule * 512;
	uint64_t length = self->disk.bytes - at, epoch;
	char path[128];

	snprintf(path, sizeof(path), "%s-view", self->disk.path);
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, at, length, OLD));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, self->disk.bytes - 4096, 4096, NEW));
	EXPECT_EQ(1, disk_info(&self->disk).preserved);
	EXPECT_EQ(OLD, byte_at(path, at, length, 4096));
	EXPECT_EQ(NEW, byte_at(self->disk.data, self->disk.bytes - 4096, 4096, 4096));
}

static int discard(const struct disk *disk, unsigned long how, uint64_t first, uint64_t count)
{
	uint64_t size = disk->granule * 512ULL, range[2] = { first * size, count * size };
	int fd = open(disk->path, O_WRONLY | O_CLOEXEC);
	int err = ioctl(fd, how, range) ? -errno : 0;

	close(fd);
	return err;
}

TEST_F_TIMEOUT(view, keeps_what_is_discarded_or_zeroed, TIMEOUT)
{
	uint64_t granules = disk_info(&self->disk).granules;

	EXPECT_EQ(0, discard(&self->disk, BLKDISCARD, 4, 1));
	EXPECT_EQ(1, disk_info(&self->disk).preserved);
	EXPECT_EQ(OLD, view_byte(&self->disk, 4));
	EXPECT_EQ(0, data_byte(&self->disk, 4));
	EXPECT_EQ(0, discard(&self->disk, BLKZEROOUT, 5, 1));
	EXPECT_EQ(2, disk_info(&self->disk).preserved);
	EXPECT_EQ(OLD, view_byte(&self->disk, 5));
	EXPECT_EQ(0, data_byte(&self->disk, 5));
	EXPECT_EQ(0, discard(&self->disk, BLKDISCARD, 0, granules - 1));
	EXPECT_EQ(4, disk_info(&self->disk).preserved);
	for (int i = 3; i < 7; i++) {
		EXPECT_EQ(OLD, view_byte(&self->disk, i));
		EXPECT_EQ(0, data_byte(&self->disk, i));
	}
	EXPECT_EQ(0, disk_info(&self->disk).torn);
}

TEST_F_TIMEOUT(view, a_full_pool_tears, TIMEOUT)
{
	uint64_t size = self->disk.granule * 512ULL, epoch;
	struct events *events = events_open();
	struct event event;

	EXPECT_EQ(0, pool_set(&self->disk, 2 * size + 511));
	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_EQ(0, write_granules(&self->disk, 6, 1, NEW));
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	EXPECT_EQ(2 * size, disk_info(&self->disk).pool_used);
	EXPECT_EQ(0, write_granules(&self->disk, 4, 1, NEW));
	EXPECT_LT(0, disk_info(&self->disk).torn);
	ASSERT_EQ(0, events_next(events, 5000, &event));
	EXPECT_EQ(TIDEMARK_EVENT_TORN, event.type);
	EXPECT_EQ(self->epoch, event.epoch);
	EXPECT_STREQ("epoch 1 is torn: the pool is full",
		     (char *)disk_info(&self->disk).message);
	for (int i = 3; i < 7; i++)
		EXPECT_EQ(-EIO, view_byte(&self->disk, i));
	usleep(100000);
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
	EXPECT_EQ(0, disk_info(&self->disk).preserved);

	/* Seal again: everything that is owed can be read. */
	ASSERT_EQ(0, seal_drained(&self->disk, TIDEMARK_SEAL_EXTEND, &epoch));
	EXPECT_STREQ("3-6", granules_text(&self->disk, TIDEMARK_OWED));
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	EXPECT_EQ(0, write_granules(&self->disk, 4, 2, 0x0c));
	EXPECT_EQ(NEW, view_byte(&self->disk, 3));
	EXPECT_EQ(NEW, view_byte(&self->disk, 4));
	EXPECT_EQ(OLD, view_byte(&self->disk, 5));
	events_close(events);
}

TEST_F_TIMEOUT(view, more_than_the_pool_at_once_tears, TIMEOUT)
{
	uint64_t size = self->disk.granule * 512ULL;

	EXPECT_EQ(0, pool_set(&self->disk, 3 * size));
	EXPECT_EQ(0, discard(&self->disk, BLKDISCARD, 2, 6));
	EXPECT_LT(0, disk_info(&self->disk).torn);
	EXPECT_EQ(-EIO, view_byte(&self->disk, 3));
	EXPECT_EQ(0, data_byte(&self->disk, 3));
	usleep(100000);
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
}

TEST_F_TIMEOUT(view, without_a_pool_a_write_tears, TIMEOUT)
{
	EXPECT_EQ(0, pool_set(&self->disk, 0));
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
	EXPECT_EQ(0, write_granules(&self->disk, 7, 1, NEW));
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_LT(0, disk_info(&self->disk).torn);
	EXPECT_EQ(-EIO, view_byte(&self->disk, 4));
}

TEST_F_TIMEOUT(view, a_smaller_pool_keeps_what_it_has, TIMEOUT)
{
	uint64_t size = self->disk.granule * 512ULL;

	EXPECT_EQ(0, write_granules(&self->disk, 3, 3, NEW));
	EXPECT_EQ(0, pool_set(&self->disk, size));
	EXPECT_EQ(3 * size, disk_info(&self->disk).pool_used);
	EXPECT_EQ(size, disk_info(&self->disk).pool_bytes);
	for (int i = 3; i < 7; i++)
		EXPECT_EQ(OLD, view_byte(&self->disk, i));
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, self->epoch, 3, 3));
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
	EXPECT_EQ(0, write_granules(&self->disk, 6, 1, NEW));
	EXPECT_EQ(OLD, view_byte(&self->disk, 6));
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	EXPECT_EQ(-EINVAL, pool_set(&self->disk, TIDEMARK_POOL_MAX + 1));
}

TEST_F_TIMEOUT(view, fold_and_extend_drop_the_copies, TIMEOUT)
{
	uint64_t epoch;

	EXPECT_EQ(0, write_granules(&self->disk, 3, 2, NEW));
	ASSERT_EQ(0, seal_drained(&self->disk, TIDEMARK_SEAL_EXTEND, &epoch));
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
	EXPECT_EQ(NEW, view_byte(&self->disk, 3));
	EXPECT_EQ(OLD, view_byte(&self->disk, 5));
	EXPECT_EQ(0, write_granules(&self->disk, 5, 1, NEW));
	EXPECT_EQ(OLD, view_byte(&self->disk, 5));
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, epoch));
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
	EXPECT_EQ(-EIO, view_byte(&self->disk, 5));
	EXPECT_STREQ("3-6", granules_text(&self->disk, TIDEMARK_CURRENT));
}

TEST_F_TIMEOUT(view, removal_tears_only_if_something_is_lost, TIMEOUT)
{
	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, self->epoch, 3, 1));
	EXPECT_EQ(0, view_remove(&self->disk));
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	EXPECT_EQ(0, view_create(&self->disk));
	EXPECT_EQ(OLD, view_byte(&self->disk, 4));
	EXPECT_EQ(0, write_granules(&self->disk, 4, 1, NEW));
	EXPECT_EQ(0, view_remove(&self->disk));
	EXPECT_LT(0, disk_info(&self->disk).torn);
	EXPECT_EQ(0, disk_info(&self->disk).preserved);
	EXPECT_EQ(0, view_create(&self->disk));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 4));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 5));
}

TEST_F_TIMEOUT(view, two_views_show_the_same, TIMEOUT)
{
	char other[128];

	EXPECT_EQ(0, sh("dmsetup create %s-view2 --readonly --table '0 %llu tidemark-view %llu'",
			self->disk.name, sectors(&self->disk),
			(unsigned long long)self->disk.id));
	snprintf(other, sizeof(other), "%s-view2", self->disk.path);
	EXPECT_EQ(2, disk_info(&self->disk).views);
	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_EQ(OLD, byte_at(other, 3 * self->disk.granule * 512, 4096, 4096));
	EXPECT_EQ(0, view_remove(&self->disk));
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	EXPECT_EQ(OLD, byte_at(other, 3 * self->disk.granule * 512, 4096, 4096));
	EXPECT_EQ(0, sh("dmsetup remove --retry %s-view2", self->disk.name));
	EXPECT_LT(0, disk_info(&self->disk).torn);
	EXPECT_EQ(0, view_create(&self->disk));
}

TEST_F_TIMEOUT(view, outlives_its_disk, TIMEOUT)
{
	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_EQ(0, sh("dmsetup remove --retry %s", self->disk.name));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 3));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 4));
	/* of the same name, not the same disk */
	EXPECT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 3));
	EXPECT_EQ(0, disk_info(&self->disk).views);
}

TEST_F_TIMEOUT(view, lives_through_a_suspend_and_a_resize, TIMEOUT)
{
	char table[128];

	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_EQ(0, sh("dmsetup suspend %s", self->disk.name));
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
	EXPECT_EQ(OLD, view_byte(&self->disk, 4));
	EXPECT_EQ(0, sh("dmsetup resume %s", self->disk.name));
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
	/* the same again: nothing changes */
	snprintf(table, sizeof(table), "0 %llu tidemark %s - %u 2 pool 4194304",
		 sectors(&self->disk), self->disk.data, self->disk.granule);
	EXPECT_EQ(0, disk_reload(&self->disk, table));
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
	EXPECT_EQ(4194304, disk_info(&self->disk).pool_bytes);
	/* another granule: folded, and the view has nothing to show */
	snprintf(table, sizeof(table), "0 %llu tidemark %s - %u 0", sectors(&self->disk),
		 self->disk.data, self->disk.granule == 128 ? 64 : 128);
	EXPECT_EQ(0, disk_reload(&self->disk, table));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 3));
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
	EXPECT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	/* the pool's slots do not fit: torn, not wrong */
	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_LT(0, disk_info(&self->disk).torn);
	EXPECT_EQ(-EIO, view_byte(&self->disk, 3));
}

TEST_F_TIMEOUT(view, nowait_does_not_wait, TIMEOUT)
{
	int fd = open(self->disk.path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	uint64_t size = self->disk.granule * 512ULL;
	struct iovec iov = { .iov_len = 4096 };
	uint64_t epoch;

	ASSERT_EQ(0, posix_memalign(&iov.iov_base, 4096, 4096));
	memset(iov.iov_base, NEW, 4096);
	if (pwritev2(fd, &iov, 1, 8 * size, RWF_NOWAIT) < 0)
		SKIP(goto out, "no RWF_NOWAIT here: %s", strerror(errno));
	EXPECT_EQ(-1, pwritev2(fd, &iov, 1, 3 * size, RWF_NOWAIT));
	EXPECT_EQ(EAGAIN, errno);
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
	EXPECT_EQ(4096, pwritev2(fd, &iov, 1, 3 * size, 0));
	EXPECT_EQ(4096, pwritev2(fd, &iov, 1, 3 * size, RWF_NOWAIT));
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
	/* it was marked all the same, and nothing is left in flight */
	EXPECT_EQ(0, seal_drained(&self->disk, 0, &epoch));
out:
	free(iov.iov_base);
	close(fd);
}

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
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
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

	ASSERT_EQ(0, slow_set(&self->disk, 0, 1000));
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
	/* what meets nothing that is owed waits for nothing but itself */
	EXPECT_GT(1.6, other.seconds);
	EXPECT_LT(1.6, after.seconds);
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
	ASSERT_EQ(0, slow_set(&self->disk, 1000, 0));
	writer_start(&writer);
	usleep(500000);
	EXPECT_FALSE(writer.done);
	EXPECT_EQ(0, disk_info(&self->disk).preserved);
	EXPECT_EQ(OLD, byte_at("/dev/mapper/tm-slow-view", 3 * GRANULE, GRANULE, GRANULE));
	EXPECT_TRUE(writer.done);
	writer_join(&writer);
	EXPECT_EQ(0, slow_set(&self->disk, 0, 0));
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
	EXPECT_EQ(NEW, data_byte(&self->disk, 3));
}

/* A read of the view is under way when its granule is released and written. */
TEST_F_TIMEOUT(slow, a_release_overtakes_a_read, TIMEOUT)
{
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, slow_set(&self->disk, 1000, 0));
	sh("(sleep 0.5; dmsetup message %s 0 fold %llu) &", self->disk.name,
	   (unsigned long long)self->epoch);
	EXPECT_EQ(-EIO, byte_at("/dev/mapper/tm-slow-view", 3 * GRANULE, GRANULE, GRANULE));
}

TEST_F_TIMEOUT(slow, two_writes_share_a_copy, TIMEOUT)
{
	struct writer writers[3] = {
		{ .disk = &self->disk, .granule = 3, .count = 2, .byte = NEW },
		{ .disk = &self->disk, .granule = 4, .count = 2, .byte = NEW },
		{ .disk = &self->disk, .granule = 2, .count = 6, .byte = NEW },
	};

	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, slow_set(&self->disk, 1000, 0));
	for (int i = 0; i < 3; i++) {
		writer_start(&writers[i]);
		usleep(100000);
	}
	for (int i = 0; i < 3; i++) {
		writer_join(&writers[i]);
		EXPECT_EQ(0, writers[i].err);
		EXPECT_GT(1.8, writers[i].seconds);
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
	ASSERT_EQ(0, slow_set(&self->disk, 2000, 0));
	writer_start(&one);
	usleep(300000);
	writer_start(&two);
	usleep(300000);
	writer_start(&three);
	writer_join(&three);
	writer_join(&two);
	EXPECT_LT(0, disk_info(&self->disk).torn);
	/* at once: no place for it; and then there was nothing to wait for */
	EXPECT_GT(0.5, three.seconds);
	EXPECT_GT(1.0, two.seconds);
	/* its own read of the data device is still under way */
	EXPECT_FALSE(one.done);
	writer_join(&one);
	EXPECT_EQ(0, one.err | two.err | three.err);
	usleep(100000);
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
}

TEST_F_TIMEOUT(slow, held_writes_go_on_when_folded, TIMEOUT)
{
	struct writer before = { .disk = &self->disk, .granule = 4, .byte = 0x11 };
	struct writer held = { .disk = &self->disk, .granule = 3, .byte = NEW };
	uint64_t writes = disk_info(&self->disk).writes, epoch;

	ASSERT_EQ(0, slow_set(&self->disk, 0, 2000));
	writer_start(&before);
	while (disk_info(&self->disk).writes == writes)
		usleep(1000);
	ASSERT_EQ(0, seal(&self->disk, 0, &self->epoch));
	writer_start(&held);
	usleep(300000);
	EXPECT_EQ(GRANULE, disk_info(&self->disk).pool_used);
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, self->epoch));
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
	/* it did not wait for the drain: its own two seconds only */
	writer_join(&held);
	EXPECT_GT(2.9, held.seconds);
	writer_join(&before);
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
	EXPECT_TRUE(held.done);
	EXPECT_EQ(0, held.err);
	EXPECT_EQ(4, disk_info(&self->disk).preserved);
	snprintf(table, sizeof(table), "0 %llu tidemark %s - 128 0", sectors(&self->disk),
		 self->disk.data);
	EXPECT_EQ(0, disk_reload(&self->disk, table));
	EXPECT_EQ(0, slow_set(&self->disk, 0, 0));
	EXPECT_EQ(OLD, view_byte(&self->disk, 3));
	writer_join(&held);
}

TEST_F_TIMEOUT(slow, the_view_goes_while_writes_are_held, TIMEOUT)
{
	struct writer held = { .disk = &self->disk, .granule = 3, .count = 4, .byte = NEW };
	double start;

	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
	ASSERT_EQ(0, slow_set(&self->disk, 1500, 0));
	writer_start(&held);
	usleep(300000);
	start = now();
	EXPECT_EQ(0, view_remove(&self->disk));
	EXPECT_GT(1.0, now() - start);
	EXPECT_FALSE(held.done);
	EXPECT_LT(0, disk_info(&self->disk).torn);
	writer_join(&held);
	EXPECT_EQ(0, held.err);
	usleep(100000);
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
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
	usleep(100000);
	EXPECT_STREQ("epoch 1 is torn: old bytes cannot be read",
		     (char *)disk_info(&self->disk).message);
	EXPECT_EQ(0, disk_info(&self->disk).pool_used);
	EXPECT_EQ(0, slow_set(&self->disk, 0, 0));
	EXPECT_EQ(0, sh("dmsetup remove --retry tm-bad"));
	EXPECT_EQ(NEW, data_byte(&self->disk, 3));
	EXPECT_EQ(-EIO, view_byte(&self->disk, 4));
}

FIXTURE(table) {
	struct disk disk;
};

FIXTURE_SETUP(table)
{
	struct disk_options options = { .bytes = SIZE };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-table", options));
}

FIXTURE_TEARDOWN(table)
{
	disk_remove(&self->disk);
}

static int table_try(const char *line, const char *option)
{
	int err = sh("echo '%s' | dmsetup create tm-try %s 2> /dev/null", line, option);

	if (!err)
		sh("dmsetup remove --retry tm-try");
	return err;
}

TEST_F(table, what_is_refused)
{
	char line[128];

	EXPECT_EQ(0, table_try("0 32768 tidemark-view /dev/mapper/tm-table", "--readonly"));
	EXPECT_NE(0, table_try("0 32768 tidemark-view /dev/mapper/tm-table", ""));
	EXPECT_NE(0, table_try("0 32769 tidemark-view /dev/mapper/tm-table", "--readonly"));
	EXPECT_NE(0, table_try("0 32768 tidemark-view 999999", "--readonly"));
	EXPECT_NE(0, table_try("0 32768 tidemark-view /dev/loop0", "--readonly"));
	EXPECT_NE(0, table_try("0 32768 tidemark-view", "--readonly"));
	EXPECT_NE(0, table_try("0 32768 tidemark-view /dev/mapper/tm-table 1", "--readonly"));
	EXPECT_EQ(0, disk_info(&self->disk).views);
	snprintf(line, sizeof(line), "0 32768 tidemark %s - 128 2 pool 1073741824",
		 self->disk.data);
	EXPECT_EQ(0, table_try(line, ""));
	snprintf(line, sizeof(line), "0 32768 tidemark %s - 128 2 pool 1073741825",
		 self->disk.data);
	EXPECT_NE(0, table_try(line, ""));
	snprintf(line, sizeof(line), "0 32768 tidemark %s - 128 2 loop 1", self->disk.data);
	EXPECT_NE(0, table_try(line, ""));
	snprintf(line, sizeof(line), "0 32768 tidemark %s - 128 1 pool", self->disk.data);
	EXPECT_NE(0, table_try(line, ""));
	snprintf(line, sizeof(line), "0 32768 tidemark %s - 128 0 pool 1", self->disk.data);
	EXPECT_NE(0, table_try(line, ""));
}

/* Without a view all is as it was. */
TEST_F(table, without_a_view_a_write_tears)
{
	uint64_t epoch;

	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, OLD));
	EXPECT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_EQ(1, disk_info(&self->disk).torn);
	EXPECT_EQ(TIDEMARK_POOL_DEFAULT, disk_info(&self->disk).pool_bytes);
	EXPECT_EQ(0, disk_info(&self->disk).pool_peak);
	usleep(100000);
	EXPECT_STREQ("epoch 1 is torn: there is no view",
		     (char *)disk_info(&self->disk).message);
}

TEST_HARNESS_MAIN
