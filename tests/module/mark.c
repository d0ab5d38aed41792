// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which granules an operation marks: those that it touches, and no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <scsi/sg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "disk.h"
#include "kselftest_harness.h"

#define GRANULE (64 * KIB)
#define TIMEOUT 1200

FIXTURE(mark) {
	struct disk disk;
	void *before;
	int fd;
};

FIXTURE_SETUP(mark)
{
	/* No multiple of the granule: the last one, 1024, is 4 KiB long. */
	struct disk_options options = { .bytes = 64 * MIB + 4 * KIB };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-mark", options));
	self->before = file_copy(&self->disk);
	self->fd = open(self->disk.path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(mark)
{
	close(self->fd);
	free(self->before);
	disk_remove(&self->disk);
}

/* The granules marked are exactly these, and none has changed unseen. */
#define EXPECT_MARKED(text) do {						\
	EXPECT_STREQ(text, granules_text(&self->disk, TIDEMARK_CURRENT));	\
	EXPECT_EQ(0, granules_missed(&self->disk, self->before));		\
} while (0)

TEST_F_TIMEOUT(mark, nothing_at_first, TIMEOUT)
{
	struct tidemark_info info = disk_info(&self->disk);

	EXPECT_MARKED("");
	EXPECT_EQ(1025, info.granules);
	EXPECT_EQ(131080, info.sectors);
	EXPECT_EQ(128, info.granule_sectors);
	EXPECT_EQ(1, info.epoch);
	EXPECT_EQ(0, info.sealed_epoch);
	EXPECT_EQ(0, info.state);
	EXPECT_STREQ("tm-mark", (char *)info.name);
}

TEST_F_TIMEOUT(mark, reading_and_flushing_do_not, TIMEOUT)
{
	char buffer[4096];

	EXPECT_EQ(4096, pread(self->fd, buffer, sizeof(buffer), 0));
	EXPECT_EQ(0, fsync(self->fd));
	EXPECT_EQ(0, ioctl(self->fd, BLKFLSBUF));
	EXPECT_MARKED("");
	EXPECT_EQ(0, disk_info(&self->disk).writes);
}

TEST_F_TIMEOUT(mark, direct_write, TIMEOUT)
{
	struct tidemark_info info;

	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 3 * GRANULE, 4096, 1));
	EXPECT_MARKED("3");
	info = disk_info(&self->disk);
	EXPECT_EQ(1, info.writes);
	EXPECT_EQ(8, info.write_sectors);
	EXPECT_EQ(0, info.discard_sectors);
	EXPECT_EQ(1, info.marked);
	/* the last sector of one granule and the first of the next */
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 7 * GRANULE - 512, 1024, 1));
	EXPECT_MARKED("3 6-7");
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 9 * GRANULE, 4 * GRANULE, 1));
	EXPECT_MARKED("3 6-7 9-12");
	/* again: nothing new */
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 9 * GRANULE, GRANULE, 2));
	EXPECT_MARKED("3 6-7 9-12");
	EXPECT_EQ(7, disk_info(&self->disk).marked);
}

TEST_F_TIMEOUT(mark, first_and_last_granule, TIMEOUT)
{
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 0, 512, 1));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, self->disk.bytes - 512, 512, 1));
	EXPECT_MARKED("0 1024");
}

TEST_F_TIMEOUT(mark, buffered_write, TIMEOUT)
{
	EXPECT_EQ(0, write_at(self->disk.path, 0, 20 * GRANULE + 100, 5000, 1));
	EXPECT_EQ(0, write_at(self->disk.path, O_SYNC, 30 * GRANULE - 1, 2, 1));
	EXPECT_MARKED("20 29-30");
}

TEST_F_TIMEOUT(mark, mapped_write, TIMEOUT)
{
	char *map = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);

	ASSERT_NE(MAP_FAILED, map);
	map[40 * GRANULE + 7] = 1;
	map[50 * GRANULE] = 1;
	EXPECT_EQ(0, msync(map, 64 * MIB, MS_SYNC));
	EXPECT_MARKED("40 50");
	munmap(map, 64 * MIB);
}

TEST_F_TIMEOUT(mark, discard, TIMEOUT)
{
	uint64_t range[2] = { 60 * GRANULE + 4096, 2 * GRANULE };

	EXPECT_EQ(0, ioctl(self->fd, BLKDISCARD, range));
	EXPECT_MARKED("60-62");
	EXPECT_EQ(256, disk_info(&self->disk).discard_sectors);
	EXPECT_EQ(0, disk_info(&self->disk).write_sectors);
}

TEST_F_TIMEOUT(mark, discard_of_everything, TIMEOUT)
{
	uint64_t range[2] = { 0, self->disk.bytes };

	EXPECT_EQ(0, ioctl(self->fd, BLKDISCARD, range));
	EXPECT_MARKED("0-1024");
	EXPECT_EQ(1025, disk_info(&self->disk).marked);
}

TEST_F_TIMEOUT(mark, write_zeroes, TIMEOUT)
{
	uint64_t range[2] = { 70 * GRANULE - 512, GRANULE };

	EXPECT_EQ(0, ioctl(self->fd, BLKZEROOUT, range));
	EXPECT_MARKED("69-70");
	/* twice where the file below has no such operation and zeroes are written */
	EXPECT_LE(128, disk_info(&self->disk).write_sectors);
	EXPECT_EQ(0, sh("fallocate -z -o %llu -l %llu %s", 80 * GRANULE, GRANULE,
			self->disk.path));
	EXPECT_MARKED("69-70 80");
	/*
	 * The file below may refuse it: at once, and nothing is marked, or when
	 * it was passed on, and it is. Too much is marked then, never too little.
	 */
	if (sh("fallocate -p -o %llu -l %llu %s", 90 * GRANULE, GRANULE, self->disk.path) &&
	    disk_info(&self->disk).marked == 3)
		EXPECT_MARKED("69-70 80");
	else
		EXPECT_MARKED("69-70 80 90");
}

TEST_F_TIMEOUT(mark, secure_erase_where_there_is_none, TIMEOUT)
{
	uint64_t range[2] = { 60 * GRANULE, GRANULE };

	/* The device below cannot: nor can this one, and nothing is marked. */
	EXPECT_EQ(-1, ioctl(self->fd, BLKSECDISCARD, range));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_MARKED("");
}

/* A passthrough command would change the disk without being seen. */
TEST_F_TIMEOUT(mark, no_passthrough, TIMEOUT)
{
	struct sg_io_hdr header = { .interface_id = 'S', .dxfer_direction = SG_DXFER_NONE };

	EXPECT_EQ(-1, ioctl(self->fd, SG_IO, &header));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_F_TIMEOUT(mark, device_mapper_on_top, TIMEOUT)
{
	ASSERT_EQ(0, sh("dmsetup create tm-top --table '0 8192 linear %s 1280'", self->disk.path));
	EXPECT_EQ(0, write_at("/dev/mapper/tm-top", O_DIRECT, 0, 4096, 1));
	EXPECT_EQ(0, write_at("/dev/mapper/tm-top", O_DIRECT, 3 * GRANULE, 4096, 1));
	EXPECT_EQ(0, sh("dmsetup remove --retry tm-top"));
	EXPECT_MARKED("10 13");
}

TEST_F_TIMEOUT(mark, partition_on_top, TIMEOUT)
{
	/* a partition of 4096 sectors from sector 2048 on, as a PC has it */
	static const uint8_t entry[16] = { 0, 0, 0, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0 };
	static const uint8_t magic[2] = { 0x55, 0xaa };

	ASSERT_EQ(sizeof(entry), pwrite(self->fd, entry, sizeof(entry), 446));
	ASSERT_EQ(sizeof(magic), pwrite(self->fd, magic, sizeof(magic), 510));
	ASSERT_EQ(0, fsync(self->fd));
	ASSERT_EQ(0, sh("losetup -P /dev/loop77 %s; [ -e /dev/loop77p1 ] || { sleep 1; "
			"partx -u /dev/loop77; }; [ -e /dev/loop77p1 ]", self->disk.path));
	EXPECT_EQ(0, write_at("/dev/loop77p1", 0, 5 * GRANULE, 4096, 1));
	EXPECT_EQ(0, sh("losetup -d /dev/loop77"));
	EXPECT_EQ(0, fsync(self->fd));
	/* the table in granule 0; the partition begins at 1 MiB */
	EXPECT_MARKED("0 21");
}

TEST_F_TIMEOUT(mark, swap, TIMEOUT)
{
	size_t size = 16 * MIB;
	uint64_t changed;
	char *memory;

	ASSERT_EQ(0, sh("mkswap %s > /dev/null && swapon %s", self->disk.path, self->disk.path));
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, memory);
	for (size_t i = 0; i < size; i++)
		memory[i] = (char)(i * 7 + 1);
	EXPECT_EQ(0, madvise(memory, size, 21 /* MADV_PAGEOUT */));
	sleep(2);
	changed = granules_changed(&self->disk, self->before);
	TH_LOG("swapping out changed %llu granules", (unsigned long long)changed);
	EXPECT_LE(16, changed);
	EXPECT_EQ(0, granules_missed(&self->disk, self->before));
	munmap(memory, size);
	EXPECT_EQ(0, sh("swapoff %s", self->disk.path));
}

TEST_F_TIMEOUT(mark, file_system, TIMEOUT)
{
	ASSERT_EQ(0, sh("mkfs.ext4 -q %s && mkdir -p /tmp/tm-mnt && mount %s /tmp/tm-mnt",
			self->disk.path, self->disk.path));
	EXPECT_EQ(0, sh("cp -r /tidemark/tests /tmp/tm-mnt/ 2>/dev/null || cp -r /etc /tmp/tm-mnt/"));
	EXPECT_EQ(0, sh("rm -rf /tmp/tm-mnt/tests/guest; fstrim /tmp/tm-mnt 2>/dev/null; sync"));
	EXPECT_EQ(0, granules_missed(&self->disk, self->before));
	EXPECT_EQ(0, sh("umount /tmp/tm-mnt"));
	EXPECT_EQ(0, granules_missed(&self->disk, self->before));
	EXPECT_LT(0, granules_changed(&self->disk, self->before));
}

TEST_F_TIMEOUT(mark, by_request, TIMEOUT)
{
	struct tidemark_run runs[2] = { { 5, 1 }, { 1024, 2 } };
	struct tidemark_ranges ranges = {
		.size = sizeof(ranges), .disk = self->disk.id, .count = 2,
		.runs = (uintptr_t)runs,
	};

	/* all are checked before the first bit changes */
	EXPECT_EQ(-EINVAL, request(TIDEMARK_IOC_MARK, &ranges));
	EXPECT_MARKED("");
	runs[1].count = 1;
	EXPECT_EQ(0, request(TIDEMARK_IOC_MARK, &ranges));
	EXPECT_MARKED("5 1024");
	EXPECT_EQ(2, disk_info(&self->disk).marked);
	EXPECT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 0, 1025));
	EXPECT_MARKED("0-1024");
	EXPECT_EQ(1025, disk_info(&self->disk).marked);
}

TEST_F_TIMEOUT(mark, read_as_bytes_and_count, TIMEOUT)
{
	uint8_t bytes[130];
	struct tidemark_read read = {
		.size = sizeof(read), .disk = self->disk.id, .count = 1025,
		.bitmap = (uintptr_t)bytes,
	};
	struct tidemark_count count = {
		.size = sizeof(count), .disk = self->disk.id, .count = 1025,
	};

	ASSERT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 9, 8));
	ASSERT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 1020, 5));
	memset(bytes, 0xaa, sizeof(bytes));
	EXPECT_EQ(0, request(TIDEMARK_IOC_READ, &read));
	EXPECT_EQ(0, bytes[0]);
	EXPECT_EQ(0xfe, bytes[1]);
	EXPECT_EQ(0x01, bytes[2]);
	EXPECT_EQ(0xf0, bytes[127]);
	EXPECT_EQ(0x01, bytes[128]);	/* bits past the end are 0 */
	EXPECT_EQ(0xaa, bytes[129]);
	read.first = 8;
	read.count = 4;
	EXPECT_EQ(0, request(TIDEMARK_IOC_READ, &read));
	EXPECT_EQ(0x0e, bytes[0]);
	EXPECT_EQ(0xfe, bytes[1]);
	EXPECT_EQ(0, request(TIDEMARK_IOC_COUNT, &count));
	EXPECT_EQ(13, count.set);
	count.first = 10;
	count.count = 1011;
	EXPECT_EQ(0, request(TIDEMARK_IOC_COUNT, &count));
	EXPECT_EQ(8, count.set);
}

TEST_F_TIMEOUT(mark, runs_in_pieces, TIMEOUT)
{
	struct tidemark_run run[2];
	struct tidemark_runs runs = {
		.size = sizeof(runs), .disk = self->disk.id, .capacity = 2, .first = 3,
		.count = 1000, .runs = (uintptr_t)run,
	};

	for (uint64_t i = 0; i < 1024; i += 4)
		ASSERT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, i, 2));
	EXPECT_EQ(0, request(TIDEMARK_IOC_RUNS, &runs));
	EXPECT_EQ(2, runs.filled);
	EXPECT_EQ(4, run[0].first);
	EXPECT_EQ(2, run[0].count);
	EXPECT_EQ(10, runs.next);
	/* cut at both ends */
	runs.first = 13;
	runs.count = 4;
	EXPECT_EQ(0, request(TIDEMARK_IOC_RUNS, &runs));
	EXPECT_EQ(2, runs.filled);
	EXPECT_EQ(13, run[0].first);
	EXPECT_EQ(1, run[0].count);
	EXPECT_EQ(16, run[1].first);
	EXPECT_EQ(1, run[1].count);
	EXPECT_EQ(17, runs.next);
}

TEST_HARNESS_MAIN
