// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Another table for a tracked device: the same, another size, granule or data
 * device, none that is used, none that tracks.
 */
#include <fcntl.h>
#include <string.h>

#include "disk.h"
#include "kselftest_harness.h"

#define GRANULE (64 * KIB)
#define TIMEOUT 1200

FIXTURE(reshape) {
	struct disk disk;
	struct tidemark_info before;
	char table[128];
};

/* 16 MiB of the 32 MiB of a loop device, granules 3 and 255 marked. */
FIXTURE_SETUP(reshape)
{
	struct disk_options options = { .bytes = 16 * MIB };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-shape", options));
	ASSERT_EQ(0, sh("truncate -s 32M %s && losetup -c %s", self->disk.file, self->disk.loop));
	ASSERT_EQ(0, write_at(self->disk.path, O_DIRECT, 3 * GRANULE, 4096, 1));
	ASSERT_EQ(0, write_at(self->disk.path, O_DIRECT, 255 * GRANULE, 4096, 1));
	self->before = disk_info(&self->disk);
}

FIXTURE_TEARDOWN(reshape)
{
	disk_remove(&self->disk);
}

/* Resume with so many sectors and such a granule. */
static int reshape(struct disk *disk, unsigned int sectors, unsigned int granule)
{
	char table[128];

	snprintf(table, sizeof(table), "0 %u tidemark %s - %u", sectors, disk->data, granule);
	return disk_reload(disk, table);
}

#define EXPECT_SAME_DISK() do {							\
	struct tidemark_info now = disk_info(&self->disk);			\
	EXPECT_EQ(self->before.disk, now.disk);					\
	EXPECT_EQ(0, memcmp(self->before.uuid, now.uuid, sizeof(now.uuid)));	\
	EXPECT_LE(self->before.epoch, now.epoch);				\
	EXPECT_EQ(0, now.state & TIDEMARK_STATE_SUSPENDED);			\
} while (0)

TEST_F_TIMEOUT(reshape, same_table, TIMEOUT)
{
	uint64_t epoch = 0;

	EXPECT_EQ(0, reshape(&self->disk, 32768, 128));
	EXPECT_SAME_DISK();
	EXPECT_STREQ("3 255", granules_text(&self->disk, TIDEMARK_CURRENT));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, write_at(self->disk.path, O_DIRECT, 0, 4096, 1));
	/* a sealed epoch survives it too */
	EXPECT_EQ(0, reshape(&self->disk, 32768, 128));
	EXPECT_SAME_DISK();
	EXPECT_STREQ("0", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_STREQ("3 255", granules_text(&self->disk, TIDEMARK_OWED));
	EXPECT_EQ(0, disk_info(&self->disk).reason);
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
}

TEST_F_TIMEOUT(reshape, suspend_and_resume, TIMEOUT)
{
	EXPECT_EQ(0, sh("dmsetup suspend %s", self->disk.name));
	EXPECT_EQ(TIDEMARK_STATE_SUSPENDED, disk_info(&self->disk).state);
	/* requests go on */
	EXPECT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 9, 1));
	EXPECT_EQ(0, sh("dmsetup resume %s", self->disk.name));
	EXPECT_SAME_DISK();
	EXPECT_STREQ("3 9 255", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 0, 4096, 1));
	EXPECT_STREQ("0 3 9 255", granules_text(&self->disk, TIDEMARK_CURRENT));
}

TEST_F_TIMEOUT(reshape, grow, TIMEOUT)
{
	struct events *events = events_open();
	struct event event;
	uint64_t epoch = 0;

	/* from granule 255 that ends inside: 16 MiB - 4 KiB to 20 MiB */
	ASSERT_EQ(0, reshape(&self->disk, 32760, 128));
	EXPECT_SAME_DISK();
	EXPECT_STREQ("3 255", granules_text(&self->disk, TIDEMARK_CURRENT));
	ASSERT_EQ(0, events_next(events, 1000, &event));
	EXPECT_EQ(TIDEMARK_EVENT_RESIZED, event.type);
	EXPECT_EQ(256, event.granules);
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	ASSERT_EQ(0, write_at(self->disk.path, O_DIRECT, 7 * GRANULE, 4096, 1));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, reshape(&self->disk, 40960, 128));
	EXPECT_SAME_DISK();
	/* what was sealed is folded, what was added is marked */
	EXPECT_STREQ("7 255-319", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_EQ(66, disk_info(&self->disk).marked);
	EXPECT_EQ(320, disk_info(&self->disk).granules);
	EXPECT_EQ(TIDEMARK_REASON_RESIZED, disk_info(&self->disk).reason);
	EXPECT_EQ(-ENODATA, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 20 * MIB - 512, 512, 1));
	events_close(events);
}

TEST_F_TIMEOUT(reshape, shrink_and_grow_again, TIMEOUT)
{
	ASSERT_EQ(0, reshape(&self->disk, 16384, 128));
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_EQ(1, disk_info(&self->disk).marked);
	ASSERT_EQ(0, reshape(&self->disk, 32768, 128));
	EXPECT_STREQ("3 128-255", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_SAME_DISK();
}

TEST_F_TIMEOUT(reshape, other_granule, TIMEOUT)
{
	/* larger: what a marked one touches; smaller: all that lies in it */
	ASSERT_EQ(0, reshape(&self->disk, 32768, 1024));
	EXPECT_STREQ("0 31", granules_text(&self->disk, TIDEMARK_CURRENT));
	ASSERT_EQ(0, reshape(&self->disk, 32768, 8));
	EXPECT_STREQ("0-127 3968-4095", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_EQ(256, disk_info(&self->disk).marked);
	EXPECT_SAME_DISK();
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 1 * MIB, 4096, 1));
	EXPECT_STREQ("0-127 256 3968-4095", granules_text(&self->disk, TIDEMARK_CURRENT));
}

TEST_F_TIMEOUT(reshape, other_data_device, TIMEOUT)
{
	char table[128];

	ASSERT_EQ(0, sh("dmsetup create tm-other --table '0 32768 linear %s 0'", self->disk.loop));
	ASSERT_EQ(0, disk_reload(&self->disk, "0 32768 tidemark /dev/mapper/tm-other - 128"));
	EXPECT_SAME_DISK();
	EXPECT_STREQ("0-255", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_EQ(TIDEMARK_REASON_REPLACED, disk_info(&self->disk).reason);
	snprintf(table, sizeof(table), "0 32768 tidemark %s - 128", self->disk.loop);
	EXPECT_EQ(0, disk_reload(&self->disk, table));
	EXPECT_EQ(0, sh("dmsetup remove tm-other"));
}

TEST_F_TIMEOUT(reshape, a_table_never_used_changes_nothing, TIMEOUT)
{
	uint64_t disks[16];
	struct tidemark_list list = {
		.size = sizeof(list), .capacity = 16, .disks = (uintptr_t)disks,
	};

	EXPECT_EQ(0, sh("dmsetup load %s --table '0 40960 tidemark %s - 8'", self->disk.name,
			self->disk.data));
	EXPECT_EQ(0, request(TIDEMARK_IOC_LIST, &list));
	EXPECT_EQ(1, list.count);
	EXPECT_STREQ("3 255", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 0, 4096, 1));
	EXPECT_EQ(0, sh("dmsetup clear %s", self->disk.name));
	EXPECT_SAME_DISK();
	EXPECT_STREQ("0 3 255", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_EQ(256, disk_info(&self->disk).granules);
	EXPECT_EQ(0, disk_info(&self->disk).reason);
}

TEST_F_TIMEOUT(reshape, another_target_ends_it, TIMEOUT)
{
	struct tidemark_info info = { .size = sizeof(info), .disk = self->disk.id };
	char table[128];

	snprintf(table, sizeof(table), "0 32768 linear %s 0", self->disk.data);
	ASSERT_EQ(0, disk_reload(&self->disk, table));
	EXPECT_EQ(0, disk_find(self->disk.name));
	EXPECT_EQ(-ENODEV, request(TIDEMARK_IOC_INFO, &info));
	/* what was written meanwhile is not known: a new disk, a new UUID */
	ASSERT_EQ(0, reshape(&self->disk, 32768, 128));
	self->disk.id = disk_find(self->disk.name);
	EXPECT_LT(self->before.disk, self->disk.id);
	EXPECT_NE(0, memcmp(self->before.uuid, disk_info(&self->disk).uuid, TIDEMARK_UUID_SIZE));
	EXPECT_STREQ("", granules_text(&self->disk, TIDEMARK_CURRENT));
}

TEST_F_TIMEOUT(reshape, loaded_but_another_is_resumed_first, TIMEOUT)
{
	char table[128];

	/* A tidemark table is replaced in the inactive slot by a linear one. */
	ASSERT_EQ(0, sh("dmsetup load %s --table '0 32768 tidemark %s - 128'", self->disk.name,
			self->disk.data));
	snprintf(table, sizeof(table), "0 32768 linear %s 0", self->disk.data);
	ASSERT_EQ(0, disk_reload(&self->disk, table));
	EXPECT_EQ(0, disk_find(self->disk.name));
}

TEST_F_TIMEOUT(reshape, a_new_name, TIMEOUT)
{
	ASSERT_EQ(0, sh("dmsetup rename %s tm-shape2", self->disk.name));
	EXPECT_EQ(0, sh("dmsetup suspend tm-shape2 && dmsetup resume tm-shape2"));
	EXPECT_STREQ("tm-shape2", (char *)disk_info(&self->disk).name);
	EXPECT_EQ(0, sh("dmsetup rename tm-shape2 %s", self->disk.name));
}

FIXTURE(table) {
	struct disk disk;
};

FIXTURE_SETUP(table)
{
	struct disk_options options = { .bytes = 16 * MIB };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-table", options));
}

FIXTURE_TEARDOWN(table)
{
	disk_remove(&self->disk);
}

TEST_F_TIMEOUT(table, what_is_refused, TIMEOUT)
{
	static const char * const lines[] = {
		"0 32768 tidemark",
		"0 32768 tidemark %s",
		"0 32768 tidemark %s -",
		"0 32768 tidemark /dev/nonsense - 128",
		"0 32768 tidemark %s /dev/null 128",
		"0 32768 tidemark %s - 0",
		"0 32768 tidemark %s - 4",
		"0 32768 tidemark %s - 129",
		"0 32768 tidemark %s - 16384",
		"0 32768 tidemark %s - x",
		"0 32768 tidemark %s - 128 1 fast",
		"0 32768 tidemark %s - 128 0 fast",
		"0 32768 tidemark %s - 128 x",
		"0 65536 tidemark %s - 128",	/* longer than the data device */
		/* not alone in its table */
		"0 16384 linear %s 0\n16384 16384 tidemark %1$s - 128",
		"0 16384 tidemark %s - 128\n16384 16384 linear %1$s 16384",
	};
	char line[256], command[512];

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		char *at;

		snprintf(line, sizeof(line), "%s", lines[i]);
		while ((at = strstr(line, "%s")) || (at = strstr(line, "%1$s"))) {
			size_t length = at[1] == 's' ? 2 : 4;
			char rest[256];

			snprintf(rest, sizeof(rest), "%s", at + length);
			snprintf(at, sizeof(line) - (at - line), "%s%s", self->disk.data, rest);
		}
		snprintf(command, sizeof(command), "printf '%s\\n' > /tmp/tm-lines; "
			 "dmsetup load tm-table /tmp/tm-lines 2> /dev/null && "
			 "dmsetup resume tm-table 2> /dev/null", line);
		EXPECT_NE(0, sh("%s", command)) TH_LOG("accepted: %s", line);
		/* device mapper finds some only when they are resumed */
		EXPECT_EQ(0, sh("dmsetup clear tm-table; dmsetup resume tm-table"));
	}
	EXPECT_EQ(0, write_at(self->disk.path, O_DIRECT, 0, 4096, 1));
	EXPECT_STREQ("0", granules_text(&self->disk, TIDEMARK_CURRENT));
}

TEST_HARNESS_MAIN
