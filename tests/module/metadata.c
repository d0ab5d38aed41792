// SPDX-License-Identifier: GPL-2.0-or-later
#include "metadata.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define UNITS(bits) (((bits) + TIDEMARK_META_UNIT_BITS - 1) / TIDEMARK_META_UNIT_BITS)
#define BLOCKS(bits) ((UNITS(bits) + TIDEMARK_META_UNITS_PER_BLOCK - 1) / \
		      TIDEMARK_META_UNITS_PER_BLOCK)

static uint32_t crc(uint32_t sum, const void *data, size_t length)
{
	for (const uint8_t *byte = data; length; length--, byte++) {
		sum ^= *byte;
		for (int i = 0; i < 8; i++)
			sum = sum >> 1 ^ (sum & 1 ? 0x82f63b78 : 0);
	}
	return sum;
}

int metadata_create(struct metadata *meta, const char *name, uint64_t bytes)
{
	char command[256];
	FILE *output;

	memset(meta, 0, sizeof(*meta));
	snprintf(meta->name, sizeof(meta->name), "%s", name);
	snprintf(meta->path, sizeof(meta->path), "/dev/mapper/%s", name);
	snprintf(meta->file, sizeof(meta->file), "/tmp/tidemark-%s", name);
	meta->sectors = bytes / 512;
	sh("[ ! -e %s ] || dmsetup remove -f %s", meta->path, name);
	unlink(meta->file);
	snprintf(command, sizeof(command), "truncate -s %llu %s && losetup -f --show %s",
		 (unsigned long long)bytes, meta->file, meta->file);
	output = popen(command, "r");
	if (!output || fscanf(output, "%63s", meta->loop) != 1)
		meta->loop[0] = '\0';
	if (!output || pclose(output) || !meta->loop[0])
		return -EIO;
	return sh("dmsetup create %s --table '0 %llu linear %s 0'", name,
		  (unsigned long long)meta->sectors, meta->loop) ? -EIO : 0;
}

void metadata_remove(struct metadata *meta)
{
	if (!meta->name[0])
		return;
	sh("[ ! -e %s ] || dmsetup remove --retry %s", meta->path, meta->name);
	if (meta->loop[0])
		sh("losetup -d %s", meta->loop);
	unlink(meta->file);
	memset(meta, 0, sizeof(*meta));
}

/* Another table below; %s of the format stands for the loop device. */
int metadata_table(const struct metadata *meta, const char *format)
{
	char table[160], line[192];

	snprintf(table, sizeof(table), format, meta->loop);
	snprintf(line, sizeof(line), "0 %llu %s", (unsigned long long)meta->sectors, table);
	return sh("dmsetup load %s --table '%s' && dmsetup suspend --noflush --nolockfs %s && "
		  "dmsetup resume %s", meta->name, line, meta->name, meta->name) ? -EIO : 0;
}

static uint32_t super_crc(struct tidemark_meta_super super)
{
	super.crc = 0;
	return crc(~0, &super, sizeof(super));
}

static int file_at(const struct metadata *meta, bool write, uint64_t offset, void *data,
		   size_t length)
{
	int fd = open(meta->file, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	ssize_t done;

	if (fd < 0)
		return -errno;
	done = write ? pwrite(fd, data, length, offset) : pread(fd, data, length, offset);
	if (write)
		fsync(fd);
	close(fd);
	return done == (ssize_t)length ? 0 : -EIO;
}

/* As a tool would; the devices are not in use. */
int metadata_format(const struct metadata *meta, uint64_t disk_bytes, uint32_t granule)
{
	uint64_t sectors = disk_bytes / 512;
	uint64_t extents = (sectors + TIDEMARK_META_EXTENT - 1) / TIDEMARK_META_EXTENT;
	struct tidemark_meta_super super = {
		.version = htole32(TIDEMARK_META_VERSION),
		.seq = htole64(1),
		.sectors = htole64(sectors),
		.granule_sectors = htole32(granule),
		.extent_sectors = htole32(TIDEMARK_META_EXTENT),
		.intent_block = htole64(TIDEMARK_META_INTENT_BLOCK),
		.bitmap_block = htole64(TIDEMARK_META_INTENT_BLOCK + BLOCKS(extents)),
		.next_epoch = htole64(1),
		.state = htole32(TIDEMARK_META_NEW),
	};
	uint8_t block[TIDEMARK_META_BLOCK] = { 0 };

	memcpy(super.magic, TIDEMARK_META_MAGIC, sizeof(super.magic));
	if (getrandom(super.format, sizeof(super.format), 0) != sizeof(super.format))
		return -EIO;
	super.crc = htole32(super_crc(super));
	if (file_at(meta, true, 0, block, sizeof(block)))
		return -EIO;
	memcpy(block, &super, sizeof(super));
	return file_at(meta, true, TIDEMARK_META_BLOCK, block, sizeof(block));
}

int metadata_super(const struct metadata *meta, struct tidemark_meta_super *ret)
{
	uint64_t best = 0;

	for (int slot = 0; slot < 2; slot++) {
		struct tidemark_meta_super super;
		int err = file_at(meta, false, slot * TIDEMARK_META_BLOCK, &super, sizeof(super));

		if (err)
			return err;
		if (memcmp(super.magic, TIDEMARK_META_MAGIC, sizeof(super.magic)) ||
		    le32toh(super.crc) != super_crc(super) || le64toh(super.seq) <= best)
			continue;
		best = le64toh(super.seq);
		*ret = super;
	}
	return best ? 0 : -ENOMSG;
}

/* Into the slot that its sequence number is for, with a checksum that is right. */
int metadata_super_put(const struct metadata *meta, struct tidemark_meta_super super)
{
	super.crc = htole32(super_crc(super));
	return file_at(meta, true, le64toh(super.seq) % 2 * TIDEMARK_META_BLOCK, &super,
		       sizeof(super));
}

/* Where a unit is, in bytes. */
uint64_t metadata_unit(const struct metadata *meta, bool intent, uint64_t unit)
{
	struct tidemark_meta_super super;

	if (metadata_super(meta, &super))
		return 0;
	return le64toh(intent ? super.intent_block : super.bitmap_block) * TIDEMARK_META_BLOCK +
	       unit * TIDEMARK_META_UNIT_SIZE;
}

/* One byte for each bit of an area, to be freed. */
uint8_t *metadata_bits(const struct metadata *meta, bool intent, uint64_t *ret_count,
		       uint32_t *ret_bad)
{
	struct tidemark_meta_super super;
	uint64_t bits, sectors, per;
	uint8_t *set;

	if (metadata_super(meta, &super))
		return NULL;
	sectors = le64toh(super.sectors);
	per = intent ? TIDEMARK_META_EXTENT : le32toh(super.granule_sectors);
	bits = (sectors + per - 1) / per;
	set = calloc(1, bits + 1);
	for (uint64_t i = 0; i < UNITS(bits); i++) {
		struct tidemark_meta_unit unit;
		bool good;

		file_at(meta, false, metadata_unit(meta, intent, i), &unit, sizeof(unit));
		good = le32toh(unit.magic) == (intent ? TIDEMARK_META_INTENT_MAGIC :
					       TIDEMARK_META_BITMAP_MAGIC) &&
		       le32toh(unit.index) == i && !unit.reserved &&
		       le32toh(unit.crc) == crc(crc(~0, super.format, 16), (uint8_t *)&unit + 4,
						sizeof(unit) - 4);
		*ret_bad += !good;
		for (uint64_t b = 0; b < TIDEMARK_META_UNIT_BITS; b++) {
			uint64_t bit = i * TIDEMARK_META_UNIT_BITS + b;

			if (bit < bits)
				set[bit] = !good || unit.bits[b / 8] >> b % 8 & 1;
		}
	}
	*ret_count = bits;
	return set;
}

/*
 * CRC-32C of a block of bitmap whose first unit has the bit of that granule, or none. That
 * of several is what those of each differ in from that of none, whatever the format.
 */
uint32_t metadata_block_crc(uint64_t granule)
{
	struct tidemark_meta_unit units[TIDEMARK_META_UNITS_PER_BLOCK] = { 0 };
	struct tidemark_meta_unit *unit = &units[0];
	uint8_t format[16] = { 0 };

	unit->magic = htole32(TIDEMARK_META_BITMAP_MAGIC);
	if (granule < TIDEMARK_META_UNIT_BITS)
		unit->bits[granule / 8] = 1 << granule % 8;
	unit->crc = htole32(crc(crc(~0, format, 16), (uint8_t *)unit + 4, sizeof(*unit) - 4));
	return crc(~0, units, sizeof(units));
}

/* One byte for each granule that counts as changed, to be freed. */
uint8_t *metadata_changed(const struct metadata *meta, uint64_t *ret_count)
{
	struct tidemark_meta_super super;
	uint64_t extents = 0, granule;
	uint8_t *set, *intent;
	uint32_t bad = 0;
	bool all;

	set = metadata_bits(meta, false, ret_count, &bad);
	intent = metadata_bits(meta, true, &extents, &bad);
	if (!set || !intent || metadata_super(meta, &super))
		return NULL;
	granule = le32toh(super.granule_sectors);
	all = le32toh(super.state) == TIDEMARK_META_ALL ||
	      le32toh(super.reason) & TIDEMARK_REASON_UNRELIABLE;
	for (uint64_t i = 0; i < *ret_count; i++)
		set[i] |= all || intent[i * granule / TIDEMARK_META_EXTENT];
	free(intent);
	return set;
}

/* Flip a byte; the devices are not in use. */
int metadata_damage(const struct metadata *meta, uint64_t offset)
{
	uint8_t byte;

	if (file_at(meta, false, offset, &byte, 1))
		return -EIO;
	byte ^= 0x40;
	return file_at(meta, true, offset, &byte, 1);
}
