// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes that the tracker did not see: past it while it is there, and between
 * two attaches. Each is noticed, said, marked, and cured by a commit.
 */
#include <fcntl.h>
#include <string.h>

#include "metadata.h"
#include "kselftest_harness.h"

#define GRANULE (64 * KIB)
#define BYTES (16 * MIB)
#define GRANULES (BYTES / GRANULE)
#define TIMEOUT 1200

#define BOOT_1 " boot 11111111-1111-4111-8111-111111111111"
#define BOOT_2 " boot 22222222-2222-4222-8222-222222222222"

FIXTURE(witness) {
	struct metadata meta;
	struct disk disk;
	struct events *events;
};

FIXTURE_SETUP(witness)
{
	struct disk_options options = { .bytes = BYTES };

	ASSERT_EQ(0, metadata_create(&self->meta, "tm-witmeta", MIB));
	ASSERT_EQ(0, metadata_format(&self->meta, BYTES, 128));
	ASSERT_EQ(0, disk_create(&self->disk, "tm-witness", options));
	ASSERT_EQ(0, sh("dmsetup remove --retry %s", self->disk.name));
	snprintf(self->disk.meta, sizeof(self->disk.meta), "%s", self->meta.path);
	snprintf(self->disk.features, sizeof(self->disk.features), "2" BOOT_1);
	ASSERT_EQ(0, disk_attach(&self->disk));
	self->events = events_open();
	ASSERT_NE(NULL, self->events);
}

FIXTURE_TEARDOWN(witness)
{
	events_close(self->events);
	disk_remove(&self->disk);
	metadata_remove(&self->meta);
}

static int detach(struct disk *disk)
{
	return sh("dmsetup remove --retry %s", disk->name);
}

static int write_granule(const char *path, uint64_t granule)
{
	return write_at(path, O_DIRECT, granule * GRANULE, 4096, 0x5a);
}

/* The next event of a kind, or one of type 0. */
static struct event event_of(struct events *events, int type)
{
	struct event event = { 0 };

	while (!events_next(events, 2000, &event))
		if (event.type == type)
			return event;
	return (struct event){ 0 };
}

/* Seal, read, commit: what an agent does that has compared. */
static int commit_all(struct disk *disk)
{
	uint64_t epoch = 0;
	int err = seal_drained(disk, 0, &epoch);

	return err ? err : end(TIDEMARK_IOC_COMMIT, disk, epoch);
}

#define EXPECT_UNRELIABLE(why) do {						\
	struct tidemark_info now = disk_info(&self->disk);			\
	EXPECT_EQ(why, now.reason);						\
	EXPECT_EQ(GRANULES, now.marked);					\
	EXPECT_EQ(now.epoch, now.unreliable_epoch);				\
} while (0)

#define EXPECT_RELIABLE() do {							\
	struct tidemark_info now = disk_info(&self->disk);			\
	EXPECT_EQ(0, now.reason);						\
	EXPECT_EQ(0, now.unreliable_epoch);					\
} while (0)

TEST_F_TIMEOUT(witness, all_kinds_of_writes_are_accounted_for, TIMEOUT)
{
	struct disk *disk = &self->disk;

	EXPECT_EQ(0, write_granule(disk->path, 1));
	EXPECT_EQ(0, write_at(disk->path, 0, 3 * GRANULE + 512, 100 * KIB, 1));
	EXPECT_EQ(0, sh("blkdiscard -o 1048576 -l 1048576 %s", disk->path));
	EXPECT_EQ(0, sh("blkdiscard -z -o 3145728 -l 1048576 %s", disk->path));
	EXPECT_EQ(0, sh("mkfs.ext4 -q -F %s && fsck.ext4 -fn %s >/dev/null 2>&1", disk->path,
			disk->path));
	EXPECT_EQ(0, disk_info(disk).bypassed_sectors);
	EXPECT_RELIABLE();
	EXPECT_EQ(0, disk_info(disk).state & TIDEMARK_STATE_BLIND);
}

TEST_F_TIMEOUT(witness, write_past_the_tracker, TIMEOUT)
{
	struct disk *disk = &self->disk;
	uint64_t older = 0, epoch = 0;
	struct event event;

	EXPECT_EQ(0, write_granule(disk->path, 1));
	ASSERT_EQ(0, seal_drained(disk, 0, &older));
	EXPECT_RELIABLE();
	ASSERT_EQ(0, write_granule(disk->loop, 9));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_BYPASSED);
	EXPECT_EQ(8, disk_info(disk).bypassed_sectors);
	event = event_of(self->events, TIDEMARK_EVENT_UNRELIABLE);
	EXPECT_EQ(TIDEMARK_REASON_BYPASSED, event.reason);
	EXPECT_EQ(GRANULES, event.granules);
	/* a commit of what was sealed before does not end it */
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, disk, older));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_BYPASSED);
	/* nor does a fold */
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, disk, epoch));
	EXPECT_EQ(TIDEMARK_REASON_BYPASSED, disk_info(disk).reason);
	/* nor a commit when there was another one meanwhile */
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	ASSERT_EQ(0, write_granule(disk->loop, 9));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_BYPASSED);
	EXPECT_EQ(16, disk_info(disk).bypassed_sectors);
	ASSERT_EQ(0, commit_all(disk));
	EXPECT_RELIABLE();
	event = event_of(self->events, TIDEMARK_EVENT_RELIABLE);
	EXPECT_EQ(0, event.reason);
	EXPECT_STREQ("", granules_text(disk, TIDEMARK_CURRENT));
	EXPECT_EQ(0, write_granule(disk->path, 2));
	EXPECT_RELIABLE();
}

/* Nobody asks: the seal does, before it ends the epoch. */
TEST_F_TIMEOUT(witness, a_seal_asks, TIMEOUT)
{
	struct disk *disk = &self->disk;
	uint64_t epoch = 0;

	ASSERT_EQ(0, write_granule(disk->loop, 9));
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	EXPECT_EQ(TIDEMARK_REASON_BYPASSED, disk_info(disk).reason);
	EXPECT_EQ(epoch, disk_info(disk).unreliable_epoch);
	EXPECT_EQ(GRANULES, disk_info(disk).owed);
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_RELIABLE();
}

TEST_F_TIMEOUT(witness, suspended_and_written_to, TIMEOUT)
{
	struct disk *disk = &self->disk;

	ASSERT_EQ(0, sh("dmsetup suspend %s", disk->name));
	ASSERT_EQ(0, write_granule(disk->loop, 9));
	EXPECT_EQ(0, disk_info(disk).reason);
	ASSERT_EQ(0, sh("dmsetup resume %s", disk->name));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_BYPASSED);
	ASSERT_EQ(0, commit_all(disk));
	EXPECT_RELIABLE();
}

TEST_F_TIMEOUT(witness, blind, TIMEOUT)
{
	struct disk *disk = &self->disk;

	ASSERT_EQ(0, sh("echo 0 > /sys/block/$(basename %s)/queue/iostats", disk->loop));
	EXPECT_NE(0, disk_info(disk).state & TIDEMARK_STATE_BLIND);
	ASSERT_EQ(0, sh("echo 1 > /sys/block/$(basename %s)/queue/iostats", disk->loop));
	EXPECT_EQ(0, disk_info(disk).state & TIDEMARK_STATE_BLIND);
}

TEST_F_TIMEOUT(witness, detach_write_attach, TIMEOUT)
{
	struct disk *disk = &self->disk;
	struct tidemark_info before;
	struct event event;

	EXPECT_EQ(0, write_granule(disk->path, 1));
	before = disk_info(disk);
	ASSERT_EQ(0, detach(disk));
	ASSERT_EQ(0, write_granule(disk->loop, 9));
	ASSERT_EQ(0, disk_attach(disk));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_GAP);
	EXPECT_EQ(0, memcmp(before.uuid, disk_info(disk).uuid, 16));
	event = event_of(self->events, TIDEMARK_EVENT_UNRELIABLE);
	EXPECT_EQ(TIDEMARK_REASON_GAP, event.reason);
	EXPECT_EQ(disk->id, event.disk);
	/* it is not forgotten by going away */
	ASSERT_EQ(0, detach(disk));
	ASSERT_EQ(0, disk_attach(disk));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_GAP);
	ASSERT_EQ(0, commit_all(disk));
	EXPECT_RELIABLE();
	ASSERT_EQ(0, detach(disk));
	ASSERT_EQ(0, disk_attach(disk));
	EXPECT_RELIABLE();
	EXPECT_STREQ("", granules_text(disk, TIDEMARK_CURRENT));
}

TEST_F_TIMEOUT(witness, another_boot_after_a_detach, TIMEOUT)
{
	struct disk *disk = &self->disk;

	ASSERT_EQ(0, detach(disk));
	snprintf(disk->features, sizeof(disk->features), "2" BOOT_2);
	ASSERT_EQ(0, disk_attach(disk));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_GAP);
}

/* The file behind a loop device is exchanged: the same node, the same size. */
TEST_F_TIMEOUT(witness, swapped_disk, TIMEOUT)
{
	struct disk *disk = &self->disk;

	ASSERT_EQ(0, detach(disk));
	snprintf(disk->features, sizeof(disk->features), "4 identity one" BOOT_1);
	ASSERT_EQ(0, disk_attach(disk));
	EXPECT_RELIABLE();
	ASSERT_EQ(0, detach(disk));
	ASSERT_EQ(0, sh("losetup -d %s && cp %s %s.other && losetup %s %s.other", disk->loop,
			disk->file, disk->file, disk->loop, disk->file));
	/* by its number */
	ASSERT_EQ(0, disk_attach(disk));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_GAP);
	ASSERT_EQ(0, commit_all(disk));
	EXPECT_RELIABLE();
	/* by its name */
	ASSERT_EQ(0, detach(disk));
	snprintf(disk->features, sizeof(disk->features), "4 identity two" BOOT_1);
	ASSERT_EQ(0, disk_attach(disk));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_SWAPPED);
	ASSERT_EQ(0, commit_all(disk));
	EXPECT_RELIABLE();
	unlink(disk->file);
	snprintf(disk->file, sizeof(disk->file), "/tmp/tidemark-%.20s.other", disk->name);
}

TEST_F_TIMEOUT(witness, exchanged_data_device, TIMEOUT)
{
	struct disk *disk = &self->disk;
	char table[256];

	ASSERT_EQ(0, sh("dmsetup create tm-witother --table '0 32768 linear %s 0'", disk->loop));
	snprintf(table, sizeof(table), "0 32768 tidemark /dev/mapper/tm-witother %s 128",
		 disk->meta);
	ASSERT_EQ(0, disk_reload(disk, table));
	EXPECT_UNRELIABLE(TIDEMARK_REASON_REPLACED);
	ASSERT_EQ(0, commit_all(disk));
	EXPECT_RELIABLE();
	EXPECT_EQ(0, write_granule(disk->path, 3));
	EXPECT_RELIABLE();
	ASSERT_EQ(0, detach(disk));
	EXPECT_EQ(0, sh("dmsetup remove --retry tm-witother"));
}

/* As LVM does it, and as our own tools do. */
TEST_F_TIMEOUT(witness, dropped_by_another_table, TIMEOUT)
{
	struct disk *disk = &self->disk;
	struct event event;
	char table[256];

	snprintf(table, sizeof(table), "0 32768 linear %s 0", disk->loop);
	ASSERT_EQ(0, disk_reload(disk, table));
	event = event_of(self->events, TIDEMARK_EVENT_DETACHED);
	EXPECT_EQ(TIDEMARK_REASON_DROPPED, event.reason);
	EXPECT_EQ(disk->id, event.disk);
	/* what is written now is a gap, though the device is the same one */
	ASSERT_EQ(0, write_granule(disk->path, 5));
	snprintf(table, sizeof(table), "0 32768 tidemark %s %s 128 2" BOOT_1, disk->loop,
		 disk->meta);
	ASSERT_EQ(0, disk_reload(disk, table));
	disk->id = disk_find(disk->name);
	EXPECT_UNRELIABLE(TIDEMARK_REASON_GAP);
	ASSERT_EQ(0, commit_all(disk));
	/* announced */
	ASSERT_EQ(0, sh("dmsetup message %s 0 leave", disk->name));
	snprintf(table, sizeof(table), "0 32768 linear %s 0", disk->loop);
	ASSERT_EQ(0, disk_reload(disk, table));
	event = event_of(self->events, TIDEMARK_EVENT_DETACHED);
	EXPECT_EQ(TIDEMARK_EVENT_DETACHED, event.type);
	EXPECT_EQ(0, event.reason);
	/* and nothing was written: no gap */
	snprintf(table, sizeof(table), "0 32768 tidemark %s %s 128 2" BOOT_1, disk->loop,
		 disk->meta);
	ASSERT_EQ(0, disk_reload(disk, table));
	disk->id = disk_find(disk->name);
	EXPECT_RELIABLE();
	/* removed: nobody has dropped anything */
	ASSERT_EQ(0, detach(disk));
	event = event_of(self->events, TIDEMARK_EVENT_DETACHED);
	EXPECT_EQ(TIDEMARK_EVENT_DETACHED, event.type);
	EXPECT_EQ(0, event.reason);
}

TEST_HARNESS_MAIN
