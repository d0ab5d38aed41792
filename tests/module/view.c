// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Views and copy-before-write: what a view shows, what a write does to it, how
 * an epoch is torn, and that nothing stays in the pool.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "disk.h"
#include "kselftest_harness.h"
#include "views.h"

#define SIZE (16 * MIB)
#define TIMEOUT 1200

FIXTURE(view) {
	struct disk disk;
	uint64_t epoch;
};

/* Granules 3 to 6 hold OLD and are owed. */
FIXTURE_SETUP(view)
{
	struct disk_options options = { .bytes = SIZE };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-view", options));
	ASSERT_EQ(0, view_create(&self->disk));
	ASSERT_EQ(0, write_granules(&self->disk, 3, 4, OLD));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
}

FIXTURE_TEARDOWN(view)
{
	if (self->disk.name[0]) {
		view_remove(&self->disk);
		EXPECT_TRUE(pool_empty(&self->disk));
		EXPECT_EQ(0, disk_info(&self->disk).views);
	}
	disk_remove(&self->disk);
}

/* What depends on the granule is tried with several. */
FIXTURE(granule) {
	struct disk disk;
	uint64_t epoch;
};

FIXTURE_VARIANT(granule) {
	uint32_t granule;
	uint64_t bytes;
};

FIXTURE_VARIANT_ADD(granule, of_64k) { .granule = 128, .bytes = SIZE };
FIXTURE_VARIANT_ADD(granule, of_a_page) { .granule = 8, .bytes = MIB };
FIXTURE_VARIANT_ADD(granule, of_256k_the_last_is_short) {
	.granule = 512, .bytes = SIZE - 36 * KIB,
};
/* More than one bio to read a granule with. */
FIXTURE_VARIANT_ADD(granule, of_4m) { .granule = 8192, .bytes = 56 * MIB };

FIXTURE_SETUP(granule)
{
	struct disk_options options = { .bytes = variant->bytes, .granule = variant->granule };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-view", options));
	ASSERT_EQ(0, pool_set(&self->disk, 32 * MIB));
	ASSERT_EQ(0, view_create(&self->disk));
	ASSERT_EQ(0, write_granules(&self->disk, 3, 4, OLD));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &self->epoch));
}

FIXTURE_TEARDOWN(granule)
{
	view_remove(&self->disk);
	EXPECT_TRUE(pool_empty(&self->disk));
	disk_remove(&self->disk);
}

TEST_F_TIMEOUT(granule, shows_what_is_owed_and_nothing_else, TIMEOUT)
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

TEST_F_TIMEOUT(granule, keeps_what_is_overwritten, TIMEOUT)
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
	EXPECT_TRUE(pool_empty(&self->disk));
}

TEST_F_TIMEOUT(granule, keeps_the_last_granule, TIMEOUT)
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

TEST_F_TIMEOUT(granule, keeps_what_is_discarded_or_zeroed, TIMEOUT)
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
	EXPECT_TRUE(message_is(&self->disk, "epoch 1 is torn: the pool is full"));
	for (int i = 3; i < 7; i++)
		EXPECT_EQ(-EIO, view_byte(&self->disk, i));
	EXPECT_TRUE(pool_empty(&self->disk));
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
	EXPECT_TRUE(pool_empty(&self->disk));
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
	EXPECT_TRUE(pool_empty(&self->disk));
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
	EXPECT_TRUE(pool_empty(&self->disk));
	EXPECT_EQ(NEW, view_byte(&self->disk, 3));
	EXPECT_EQ(OLD, view_byte(&self->disk, 5));
	EXPECT_EQ(0, write_granules(&self->disk, 5, 1, NEW));
	EXPECT_EQ(OLD, view_byte(&self->disk, 5));
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, epoch));
	EXPECT_TRUE(pool_empty(&self->disk));
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
	EXPECT_TRUE(pool_empty(&self->disk));
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

FIXTURE(small) {
	struct disk disk;
};

FIXTURE_SETUP(small)
{
	struct disk_options options = { .bytes = 6 * MIB, .granule = 8 };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-many", options));
	ASSERT_EQ(0, view_create(&self->disk));
}

FIXTURE_TEARDOWN(small)
{
	view_remove(&self->disk);
	disk_remove(&self->disk);
}

/* More granules than the module looks at, or begins to read, in one go. */
TEST_F_TIMEOUT(small, many_granules, TIMEOUT)
{
	struct disk *disk = &self->disk;
	uint64_t epoch;
	char path[128];

	snprintf(path, sizeof(path), "%s-view", disk->path);
	EXPECT_EQ(0, write_at(disk->path, O_DIRECT, 0, 6 * MIB, OLD));
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	EXPECT_EQ(0, discard(disk, BLKDISCARD, 1, 1534));
	EXPECT_EQ(1534, disk_info(disk).preserved);
	EXPECT_EQ(0, discard(disk, BLKDISCARD, 0, 1536));
	EXPECT_EQ(1536, disk_info(disk).preserved);
	EXPECT_EQ(0, disk_info(disk).torn);
	EXPECT_EQ(OLD, byte_at(path, 0, 6 * MIB, 60 * KIB));
	EXPECT_EQ(0, byte_at(disk->data, 0, 6 * MIB, MIB));
	/* freed in many steps too */
	EXPECT_EQ(0, pool_set(disk, MIB));
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, disk, epoch, 0, 1000));
	EXPECT_EQ(536, disk_info(disk).preserved);
	EXPECT_EQ(0, view_remove(disk));
	EXPECT_TRUE(pool_empty(disk));
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

TEST_F_TIMEOUT(table, what_is_refused, TIMEOUT)
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
TEST_F_TIMEOUT(table, without_a_view_a_write_tears, TIMEOUT)
{
	uint64_t epoch;

	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, OLD));
	EXPECT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(0, write_granules(&self->disk, 3, 1, NEW));
	EXPECT_EQ(1, disk_info(&self->disk).torn);
	EXPECT_EQ(TIDEMARK_POOL_DEFAULT, disk_info(&self->disk).pool_bytes);
	EXPECT_EQ(0, disk_info(&self->disk).pool_peak);
	EXPECT_TRUE(message_is(&self->disk, "epoch 1 is torn: there is no view"));
}

TEST_HARNESS_MAIN
