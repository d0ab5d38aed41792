// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Odd sizes: small and large granules, 4 KiB sectors, a disk of 16 TiB.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "disk.h"
#include "kselftest_harness.h"

#define TIMEOUT 1200

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

FIXTURE(scale) {
	struct disk disk;
};

FIXTURE_SETUP(scale)
{
	memset(&self->disk, 0, sizeof(self->disk));
}

FIXTURE_TEARDOWN(scale)
{
	disk_remove(&self->disk);
}

#define CREATE(...) \
	ASSERT_EQ(0, disk_create(&self->disk, "tm-scale", (struct disk_options){ __VA_ARGS__ }))

#define EXPECT_MARKED(text) \
	EXPECT_STREQ(text, granules_text(&self->disk, TIDEMARK_CURRENT))

TEST_F_TIMEOUT(scale, granule_of_4_kib, TIMEOUT)
{
	CREATE(.bytes = 10 * MIB + 3 * 512, .granule = 8);
	EXPECT_EQ(2561, disk_info(&self->disk).granules);
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 4096, 512, 1));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 10 * 4096 - 512, 4096, 1));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 5 * MIB, 5 * MIB, 1));
	EXPECT_MARKED("1 9-10 1280-2559");
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 10 * MIB + 2 * 512, 512, 1));
	EXPECT_MARKED("1 9-10 1280-2560");
	EXPECT_EQ(1284, disk_info(&self->disk).marked);
}

TEST_F_TIMEOUT(scale, granule_of_4_mib, TIMEOUT)
{
	CREATE(.bytes = 33 * MIB, .granule = 8192);
	EXPECT_EQ(9, disk_info(&self->disk).granules);
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 33 * MIB - 512, 512, 1));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 8 * MIB - 512, 1024, 1));
	EXPECT_MARKED("1-2 8");
}

TEST_F_TIMEOUT(scale, smaller_than_a_granule, TIMEOUT)
{
	CREATE(.bytes = 512, .granule = 8192);
	EXPECT_EQ(1, disk_info(&self->disk).granules);
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 0, 512, 1));
	EXPECT_MARKED("0");
}

TEST_F_TIMEOUT(scale, sectors_of_4_kib, TIMEOUT)
{
	int fd, size = 0;

	CREATE(.bytes = 16 * MIB + 4096, .granule = 128, .logical = 4096);
	fd = open(self->disk.path, O_RDONLY | O_CLOEXEC);
	EXPECT_EQ(0, ioctl(fd, BLKSSZGET, &size));
	close(fd);
	EXPECT_EQ(4096, size);
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 2 * 65536 - 4096, 8192, 1));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 16 * MIB, 4096, 1));
	EXPECT_EQ(-EINVAL, write_at(self->disk.path, O_DIRECT, 512, 512, 1));
	EXPECT_MARKED("1-2 256");
}

TEST_F_TIMEOUT(scale, sixteen_tib, TIMEOUT)
{
	uint64_t granules = 16 * TIB / (64 * KIB), epoch = 0, count = 0;
	struct tidemark_run run[16];
	struct tidemark_runs runs = {
		.size = sizeof(runs), .which = TIDEMARK_OWED, .capacity = 16, .count = granules,
		.runs = (uintptr_t)run,
	};
	double start = now();

	CREATE(.bytes = 16 * TIB, .granule = 128);
	TH_LOG("made in %.3f s", now() - start);
	EXPECT_EQ(granules, disk_info(&self->disk).granules);
	for (uint64_t i = 0; i < 8; i++)
		EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, i * 2 * TIB + i * 65536, 4096, 1));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 16 * TIB - 4096, 4096, 1));
	start = now();
	EXPECT_EQ(0, seal(&self->disk, 0, &epoch));
	TH_LOG("sealed in %.3f s", now() - start);
	EXPECT_EQ(0, seal_wait(&self->disk, epoch, 20000));
	runs.disk = self->disk.id;
	start = now();
	EXPECT_EQ(0, request(TIDEMARK_IOC_RUNS, &runs));
	TH_LOG("runs listed in %.3f s", now() - start);
	EXPECT_EQ(9, runs.filled);
	EXPECT_EQ(granules, runs.next);
	for (uint64_t i = 0; i < 8; i++) {
		EXPECT_EQ(i * (granules / 8) + i, run[i].first);
		EXPECT_EQ(1, run[i].count);
	}
	EXPECT_EQ(granules - 1, run[8].first);
	start = now();
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, epoch, 0, granules));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	TH_LOG("released and committed in %.3f s", now() - start);
	start = now();
	EXPECT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 0, granules));
	EXPECT_EQ(granules, disk_info(&self->disk).marked);
	free(granules_read(&self->disk, TIDEMARK_CURRENT, &count));
	EXPECT_EQ(granules, count);
	TH_LOG("all marked and listed in %.3f s", now() - start);
}

TEST_F_TIMEOUT(scale, too_many_granules, TIMEOUT)
{
	/* 16 TiB in 4 KiB would be 2^32 of them */
	EXPECT_EQ(-EIO, disk_create(&self->disk, "tm-scale", (struct disk_options){
				    .bytes = 16 * TIB, .granule = 8 }));
}

TEST_HARNESS_MAIN
