// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is believed of a metadata device that somebody, or time, has changed:
 * damage, older copies, numbers that cannot be, another disk's, none at all.
 */
#include "meta-fixture.h"

/* What an agent would remember of a disk, and find out an attach later. */
static bool older_than(const struct tidemark_info *now, const struct tidemark_info *remembered)
{
	if (now->attach == remembered->attach)
		return now->meta_sequence < remembered->meta_sequence;
	return now->meta_found < remembered->meta_sequence;
}

/* An older copy of the metadata device is put back, once a boot has passed. */
TEST_F_TIMEOUT(meta, older_copy_is_seen, TIMEOUT)
{
	struct tidemark_info first, now, remembered;
	uint64_t epoch = 0;

	first = disk_info(&self->disk);
	EXPECT_NE(0, first.attach);
	EXPECT_EQ(1, first.meta_found);
	ASSERT_EQ(0, detach(&self->disk));
	ASSERT_EQ(0, sh("cp %1$s %1$s.detached", self->meta.file));

	ASSERT_EQ(0, disk_attach(&self->disk));
	now = disk_info(&self->disk);
	EXPECT_NE(first.attach, now.attach);
	EXPECT_FALSE(older_than(&now, &first));
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	ASSERT_EQ(0, sh("cp %1$s %1$s.attached", self->meta.file));
	/* A new extent alone is enough, by the next checkpoint. */
	remembered = disk_info(&self->disk);
	EXPECT_EQ(0, write_granule(&self->disk, 700));
	EXPECT_EQ(0, checkpoint(&self->disk));
	now = disk_info(&self->disk);
	EXPECT_EQ(remembered.attach, now.attach);
	EXPECT_LT(remembered.meta_sequence, now.meta_sequence);
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	remembered = now;
	ASSERT_EQ(0, detach(&self->disk));

	/* all is well as long as nobody does that */
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_2);
	ASSERT_EQ(0, disk_attach(&self->disk));
	now = disk_info(&self->disk);
	EXPECT_FALSE(older_than(&now, &remembered));
	ASSERT_EQ(0, detach(&self->disk));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, sh("cp %s.%s %s && sync", self->meta.file,
				i ? "attached" : "detached", self->meta.path));
		ASSERT_EQ(0, disk_attach(&self->disk));
		now = disk_info(&self->disk);
		EXPECT_EQ(0, memcmp(now.uuid, remembered.uuid, 16));
		EXPECT_NE(now.attach, remembered.attach);
		EXPECT_TRUE(older_than(&now, &remembered));
		ASSERT_EQ(0, detach(&self->disk));
	}
	EXPECT_EQ(0, sh("rm %1$s.detached %1$s.attached", self->meta.file));
	ASSERT_EQ(0, disk_attach(&self->disk));
}

TEST_F_TIMEOUT(meta, damaged_units_count_as_marked, TIMEOUT)
{
	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, detach(&self->disk));
	/* granules 0 to 3967 are in the first unit; there are 4096 */
	ASSERT_EQ(0, metadata_damage(&self->meta, metadata_unit(&self->meta, false, 0) + 100));
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(TIDEMARK_REASON_META_PART, disk_info(&self->disk).reason);
	EXPECT_STREQ("0-3967", granules_text(&self->disk, TIDEMARK_CURRENT));
	ASSERT_EQ(0, detach(&self->disk));
	EXPECT_STREQ("0-3967", meta_text(&self->meta, false));
	ASSERT_EQ(0, metadata_damage(&self->meta, metadata_unit(&self->meta, true, 0) + 20));
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(GRANULES, disk_info(&self->disk).marked);
	EXPECT_EQ(TIDEMARK_REASON_META_PART, disk_info(&self->disk).reason);
}

TEST_F_TIMEOUT(meta, damaged_superblocks, TIMEOUT)
{
	struct tidemark_info before = disk_info(&self->disk), after;
	struct tidemark_meta_super super;

	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, detach(&self->disk));
	ASSERT_EQ(0, metadata_super(&self->meta, &super));
	/* without the newest one the one before counts: it was ACTIVE */
	ASSERT_EQ(0, metadata_damage(&self->meta, le64toh(super.seq) % 2 * 4096 + 200));
	ASSERT_EQ(0, disk_attach(&self->disk));
	after = disk_info(&self->disk);
	EXPECT_EQ(0, memcmp(before.uuid, after.uuid, 16));
	/* in the boot that is still going on: who knows what was since */
	EXPECT_EQ(TIDEMARK_REASON_GAP | TIDEMARK_REASON_UNCLEAN, after.reason);
	EXPECT_EQ(GRANULES, after.marked);
	ASSERT_EQ(0, detach(&self->disk));
	/* without both nothing is known */
	ASSERT_EQ(0, metadata_damage(&self->meta, 40));
	ASSERT_EQ(0, metadata_damage(&self->meta, 4096 + 40));
	ASSERT_EQ(0, disk_attach(&self->disk));
	after = disk_info(&self->disk);
	EXPECT_NE(0, memcmp(before.uuid, after.uuid, 16));
	EXPECT_EQ(TIDEMARK_REASON_META_LOST, after.reason);
	EXPECT_EQ(GRANULES, after.marked);
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	/* made anew they are as good as any */
	ASSERT_EQ(0, detach(&self->disk));
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(0, memcmp(after.uuid, disk_info(&self->disk).uuid, 16));
	EXPECT_EQ(0, disk_info(&self->disk).reason);
	EXPECT_EQ(GRANULES, disk_info(&self->disk).marked);
}

/* Checksums that are right do not make right what they are of. */
TEST_F_TIMEOUT(meta, numbers_that_cannot_be, TIMEOUT)
{
	struct tidemark_info before = disk_info(&self->disk), after;
	struct tidemark_meta_super super;

	for (int i = 0; i < 4; i++) {
		EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
		ASSERT_EQ(0, detach(&self->disk));
		ASSERT_EQ(0, metadata_super(&self->meta, &super));
		if (i == 0)
			super.next_epoch = htole64(~0ULL);
		else if (i == 1)
			super.committed_epoch = super.next_epoch;
		else if (i == 2)
			super.unreliable_epoch = super.next_epoch;
		else
			super.seq = htole64(le64toh(super.seq) | 1ULL << 63);
		ASSERT_EQ(0, metadata_super_put(&self->meta, super));
		ASSERT_EQ(0, disk_attach(&self->disk));
		after = disk_info(&self->disk);
		/* the one before counts: it was ACTIVE, in this boot */
		EXPECT_EQ(TIDEMARK_REASON_GAP | TIDEMARK_REASON_UNCLEAN, after.reason);
		EXPECT_EQ(0, memcmp(before.uuid, after.uuid, 16));
		EXPECT_EQ(0, after.committed_epoch);
		EXPECT_GT(100000, after.epoch);
	}
}

/* The newest superblock rots: a warning that it had is in the other one, too. */
TEST_F_TIMEOUT(meta, warnings_are_in_both_superblocks, TIMEOUT)
{
	struct tidemark_meta_super super;

	ASSERT_EQ(0, detach(&self->disk));
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_2);
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(TIDEMARK_REASON_GAP, disk_info(&self->disk).reason);
	EXPECT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 9, 1));
	EXPECT_TRUE(WAIT_FOR(disk_info(&self->disk).meta_sequence >
			     disk_info(&self->disk).meta_found + 1));
	ASSERT_EQ(0, crash(&self->meta, &self->disk));
	ASSERT_EQ(0, metadata_super(&self->meta, &super));
	EXPECT_EQ(TIDEMARK_REASON_GAP, le32toh(super.reason));
	ASSERT_EQ(0, metadata_damage(&self->meta, le64toh(super.seq) % 2 * 4096 + 200));
	ASSERT_EQ(0, metadata_super(&self->meta, &super));
	EXPECT_EQ(TIDEMARK_META_ACTIVE, le32toh(super.state));
	EXPECT_EQ(TIDEMARK_REASON_GAP, le32toh(super.reason));
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_1);
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(TIDEMARK_REASON_GAP | TIDEMARK_REASON_UNCLEAN, disk_info(&self->disk).reason);
	EXPECT_EQ(GRANULES, disk_info(&self->disk).marked);
}

/* What is no metadata, or another's, is never written to. */
TEST_F_TIMEOUT(meta, refusals, TIMEOUT)
{
	struct disk *disk = &self->disk;

	/* the data device, or one that another disk uses */
	EXPECT_NE(0, sh("dmsetup create tm-other --table '0 2048 tidemark %s %s 128' 2>/dev/null",
			disk->loop, disk->loop));
	EXPECT_NE(0, sh("dmsetup create tm-other --table '0 2048 tidemark %s %s 128' 2>/dev/null",
			disk->loop, self->meta.path));
	EXPECT_NE(0, sh("dmsetup create tm-other --table '0 2048 tidemark %s - 128' 2>/dev/null",
			self->meta.path));
	ASSERT_EQ(0, detach(disk));
	/* a read-only one */
	EXPECT_NE(0, sh("dmsetup create -r %s --table '0 524288 tidemark %s %s 128' 2>/dev/null",
			disk->name, disk->data, self->meta.path));
	/* too small: six blocks are needed, for 65536 granules in three of them */
	EXPECT_EQ(0, sh("dmsetup create tm-small --table '0 40 linear %s 0'", self->meta.loop));
	EXPECT_NE(0, sh("dmsetup create %s --table '0 524288 tidemark %s /dev/mapper/tm-small 8'"
			" 2>/dev/null", disk->name, disk->data));
	EXPECT_EQ(0, sh("dmsetup remove --retry tm-small"));
	/* never formatted */
	EXPECT_EQ(0, sh("dd if=/dev/zero of=%s bs=4096 count=2 conv=notrunc 2>/dev/null",
			self->meta.file));
	EXPECT_NE(0, disk_attach(disk));
	EXPECT_EQ(0, sh("cmp -n 8192 %s /dev/zero", self->meta.file));
	/* of a version to come */
	ASSERT_EQ(0, metadata_format(&self->meta, BYTES, 128));
	EXPECT_EQ(0, disk_attach(disk));
}

TEST_F_TIMEOUT(meta, another_size_while_detached, TIMEOUT)
{
	struct tidemark_info before = disk_info(&self->disk), after;

	ASSERT_EQ(0, detach(&self->disk));
	self->disk.bytes = BYTES / 2;
	ASSERT_EQ(0, disk_attach(&self->disk));
	after = disk_info(&self->disk);
	EXPECT_EQ(0, memcmp(before.uuid, after.uuid, 16));
	EXPECT_EQ(TIDEMARK_REASON_RESIZED, after.reason);
	EXPECT_EQ(GRANULES / 2, after.marked);
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	EXPECT_STREQ("0-2047", meta_text(&self->meta, false));
}

TEST_HARNESS_MAIN
