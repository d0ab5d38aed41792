/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of trackers with a metadata device begin with: a disk and its
 * metadata, just formatted and attached, and what is done to both.
 */
#ifndef TESTS_MODULE_META_FIXTURE_H
#define TESTS_MODULE_META_FIXTURE_H

#include <endian.h>
#include <fcntl.h>
#include <string.h>

#include "metadata.h"
#include "kselftest_harness.h"

#define GRANULE (64 * KIB)
#define EXTENT (4 * MIB)
#define BYTES (256 * MIB)
#define GRANULES (BYTES / GRANULE)
#define TIMEOUT 1200
#define SHORT_MS 60000

#define BOOT_1 "2 boot 11111111-1111-4111-8111-111111111111"
#define BOOT_2 "2 boot 22222222-2222-4222-8222-222222222222"

FIXTURE(meta) {
	struct metadata meta;
	struct disk disk;
	char under[32];
};

/* The data device is a linear one over a loop, so that it can be made anew. */
static inline int data_anew(struct disk *disk)
{
	sh("[ ! -e /dev/mapper/tm-under ] || dmsetup remove --retry tm-under");
	snprintf(disk->data, sizeof(disk->data), "/dev/mapper/tm-under");
	return sh("dmsetup create tm-under --table '0 %llu linear %s 0'",
		  (unsigned long long)disk->bytes / 512, disk->loop);
}

static inline int detach(struct disk *disk)
{
	return sh("dmsetup remove --retry %s", disk->name);
}

/* Checkpoints come by themselves, or only when they are asked for. */
static inline int checkpoint_seconds(unsigned int seconds)
{
	return sh("echo %u > /sys/module/dm_tidemark/parameters/checkpoint_seconds", seconds);
}

#define WAIT_FOR(condition) ({						\
	int wait_for_left = SHORT_MS / 20;				\
	while (!(condition) && --wait_for_left)				\
		usleep(20000);						\
	wait_for_left > 0;						\
})

static inline uint32_t super_state(struct metadata *meta)
{
	struct tidemark_meta_super super;

	return metadata_super(meta, &super) ? 0 : le32toh(super.state);
}

/*
 * A tracked disk with metadata that was just formatted, and is believed from here on:
 * until then all counts as changed, and writes have no intent.
 */
FIXTURE_SETUP(meta)
{
	struct disk_options options = { .bytes = BYTES };

	ASSERT_EQ(0, checkpoint_seconds(3600));
	ASSERT_EQ(0, metadata_create(&self->meta, "tm-metadata", MIB));
	ASSERT_EQ(0, metadata_format(&self->meta, BYTES, 128));
	ASSERT_EQ(0, disk_create(&self->disk, "tm-meta", options));
	ASSERT_EQ(0, detach(&self->disk));
	ASSERT_EQ(0, data_anew(&self->disk));
	snprintf(self->disk.meta, sizeof(self->disk.meta), "%s", self->meta.path);
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_1);
	ASSERT_EQ(0, disk_attach(&self->disk));
	ASSERT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
}

FIXTURE_TEARDOWN(meta)
{
	checkpoint_seconds(0);
	sh("[ ! -e %s ] || dmsetup remove --retry %s", self->disk.path, self->disk.name);
	sh("[ ! -e /dev/mapper/tm-under ] || dmsetup remove --retry tm-under");
	disk_remove(&self->disk);
	metadata_remove(&self->meta);
}

static inline int write_granule(struct disk *disk, uint64_t granule)
{
	return write_at(disk->path, O_DIRECT, granule * GRANULE, 4096, 0x5a);
}

static inline int checkpoint(struct disk *disk)
{
	return sh("dmsetup message %s 0 checkpoint", disk->name);
}

/* Two: the first one only learns what is not in use any more. */
static inline int checkpoint_all(struct disk *disk)
{
	return checkpoint(disk) | checkpoint(disk);
}

/* "3 5-7" of what the device says has changed, as granules_text() does. */
static inline const char *meta_text(struct metadata *meta, bool intent)
{
	static char text[512];
	uint64_t count = 0, first;
	uint32_t bad = 0;
	uint8_t *set = metadata_bits(meta, intent, &count, &bad);
	size_t used = 0;

	text[0] = '\0';
	for (uint64_t i = 0; set && i < count; i++) {
		if (!set[i])
			continue;
		for (first = i; i + 1 < count && set[i + 1]; i++)
			;
		used += snprintf(text + used, sizeof(text) - used, "%s%llu", used ? " " : "",
				 (unsigned long long)first);
		if (i > first)
			used += snprintf(text + used, sizeof(text) - used, "-%llu",
					 (unsigned long long)i);
	}
	free(set);
	return bad ? "bad units" : text;
}

/* A crash: nothing more gets to the metadata device, and a boot later it works. */
static inline int crash(struct metadata *meta, struct disk *disk)
{
	return metadata_table(meta, "error") | detach(disk) | metadata_table(meta, "linear %s 0") |
	       data_anew(disk);
}

static inline int reload(struct disk *disk, const struct metadata *meta, unsigned int granule)
{
	char table[512];

	snprintf(table, sizeof(table), "0 %llu tidemark %s %s %u %s",
		 (unsigned long long)disk->bytes / 512, disk->data, meta ? meta->path : "-", granule,
		 disk->features);
	return disk_reload(disk, table);
}

#endif /* TESTS_MODULE_META_FIXTURE_H */
