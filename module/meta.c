// SPDX-License-Identifier: GPL-2.0-only
/*
 * The format of a metadata device, see meta.h.
 */
#include "meta.h"

#include <linux/bitmap.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/crc32.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "bitmap.h"
#include "granule.h"

static u64 blocks_of(u64 bits)
{
	return (bits + TIDEMARK_META_BLOCK_BITS - 1) / TIDEMARK_META_BLOCK_BITS;
}

/**
 * tidemark_meta_layout() - where things are
 * @layout: is filled
 * @sectors: of the tracked disk, not 0
 * @granule_sectors: a valid granule
 */
void tidemark_meta_layout(struct tidemark_meta_layout *layout, u64 sectors,
			  u32 granule_sectors)
{
	layout->sectors = sectors;
	layout->granule_sectors = granule_sectors;
	layout->granules = granules_in(sectors, granule_shift(granule_sectors));
	layout->extents = granules_in(sectors,
				      granule_shift(TIDEMARK_META_EXTENT));
	layout->intent_block = TIDEMARK_META_INTENT_BLOCK;
	layout->intent_blocks = blocks_of(layout->extents);
	layout->bitmap_block = layout->intent_block + layout->intent_blocks;
	layout->bitmap_blocks = blocks_of(layout->granules);
}

/**
 * tidemark_meta_blocks() - the size that a metadata device must have
 * @layout: of the disk
 *
 * Return: blocks of TIDEMARK_META_BLOCK bytes.
 */
u64 tidemark_meta_blocks(const struct tidemark_meta_layout *layout)
{
	return layout->bitmap_block + layout->bitmap_blocks;
}

static u32 super_crc(const struct tidemark_meta_super *super)
{
	const u8 *bytes = (const u8 *)super;
	size_t at = offsetof(struct tidemark_meta_super, crc);
	size_t after = at + sizeof(super->crc);
	static const u8 zero[sizeof(super->crc)];
	u32 crc;

	crc = __crc32c_le(~0, bytes, at);
	crc = __crc32c_le(crc, zero, sizeof(zero));
	return __crc32c_le(crc, bytes + after, sizeof(*super) - after);
}

static bool super_right(const struct tidemark_meta_super *super)
{
	u32 granule = le32_to_cpu(super->granule_sectors);
	u32 state = le32_to_cpu(super->state);
	u64 sectors = le64_to_cpu(super->sectors);
	u64 seq = le64_to_cpu(super->seq);
	u64 next = le64_to_cpu(super->next_epoch);
	struct tidemark_meta_layout layout;

	if (!granule_size_valid(granule) || !sectors ||
	    !seq || seq > TIDEMARK_META_NUMBER_MAX ||
	    !next || next > TIDEMARK_META_NUMBER_MAX ||
	    le64_to_cpu(super->committed_epoch) >= next ||
	    le64_to_cpu(super->unreliable_epoch) >= next ||
	    state < TIDEMARK_META_NEW || state > TIDEMARK_META_ALL ||
	    super->extent_sectors != cpu_to_le32(TIDEMARK_META_EXTENT))
		return false;
	tidemark_meta_layout(&layout, sectors, granule);
	return layout.granules <= TIDEMARK_GRANULES_MAX &&
	       le64_to_cpu(super->intent_block) == layout.intent_block &&
	       le64_to_cpu(super->bitmap_block) == layout.bitmap_block;
}

/**
 * tidemark_meta_super_check() - does a superblock verify?
 * @super: as it was read
 *
 * Return: 0 or enum tidemark_meta_fault.
 */
int tidemark_meta_super_check(const struct tidemark_meta_super *super)
{
	BUILD_BUG_ON(sizeof(*super) != TIDEMARK_META_UNIT_SIZE);
	if (memcmp(super->magic, TIDEMARK_META_MAGIC, sizeof(super->magic)))
		return TIDEMARK_META_FOREIGN;
	if (le32_to_cpu(super->crc) != super_crc(super))
		return TIDEMARK_META_TORN;
	if (le32_to_cpu(super->version) != TIDEMARK_META_VERSION ||
	    super->incompat)
		return TIDEMARK_META_UNKNOWN;
	return super_right(super) ? 0 : TIDEMARK_META_WRONG;
}

/**
 * tidemark_meta_super_seal() - what is the same in every superblock, and its crc
 * @super: all else is filled in
 * @layout: of the disk
 */
void tidemark_meta_super_seal(struct tidemark_meta_super *super,
			      const struct tidemark_meta_layout *layout)
{
	memcpy(super->magic, TIDEMARK_META_MAGIC, sizeof(super->magic));
	super->version = cpu_to_le32(TIDEMARK_META_VERSION);
	super->sectors = cpu_to_le64(layout->sectors);
	super->granule_sectors = cpu_to_le32(layout->granule_sectors);
	super->extent_sectors = cpu_to_le32(TIDEMARK_META_EXTENT);
	super->intent_block = cpu_to_le64(layout->intent_block);
	super->bitmap_block = cpu_to_le64(layout->bitmap_block);
	super->crc = cpu_to_le32(super_crc(super));
}

static u32 unit_crc(const struct tidemark_meta_unit *unit, const u8 *format)
{
	const u8 *bytes = (const u8 *)unit;
	size_t skip = sizeof(unit->crc);
	u32 crc = __crc32c_le(~0, format, 16);

	return __crc32c_le(crc, bytes + skip, sizeof(*unit) - skip);
}

/* The words of a unit, as the device has them. */
static void unit_fill(struct tidemark_meta_unit *unit, u64 first, u64 count,
		      const unsigned long *a, const unsigned long *b)
{
	u8 other[TIDEMARK_META_UNIT_BYTES];
	size_t i, bytes = (count + 7) / 8;

	tidemark_bitmap_bytes(a, first, count, unit->bits);
	if (!b)
		return;
	tidemark_bitmap_bytes(b, first, count, other);
	for (i = 0; i < bytes; i++)
		unit->bits[i] |= other[i];
}

/**
 * tidemark_meta_pack() - make a block of units
 * @block: TIDEMARK_META_BLOCK bytes
 * @number: of the block in its area
 * @magic: of its units
 * @format: of the superblock
 * @a: the bits of the whole area
 * @b: more of them, or NULL
 * @bits: size of both
 */
void tidemark_meta_pack(void *block, u64 number, u32 magic, const u8 *format,
			const unsigned long *a, const unsigned long *b,
			u64 bits)
{
	struct tidemark_meta_unit *unit = block;
	u32 index = number * TIDEMARK_META_UNITS_PER_BLOCK;
	u64 first = number * TIDEMARK_META_BLOCK_BITS;
	unsigned int i;

	BUILD_BUG_ON(sizeof(*unit) != TIDEMARK_META_UNIT_SIZE);
	memset(block, 0, TIDEMARK_META_BLOCK);
	for (i = 0; i < TIDEMARK_META_UNITS_PER_BLOCK && first < bits; i++) {
		u64 count = min_t(u64, bits - first, TIDEMARK_META_UNIT_BITS);

		unit_fill(unit, first, count, a, b);
		unit->magic = cpu_to_le32(magic);
		unit->index = cpu_to_le32(index + i);
		unit->crc = cpu_to_le32(unit_crc(unit, format));
		first += count;
		unit++;
	}
}

static bool unit_verifies(const struct tidemark_meta_unit *unit, u32 index,
			  u32 magic, const u8 *format)
{
	return le32_to_cpu(unit->magic) == magic &&
	       le32_to_cpu(unit->index) == index && !unit->reserved &&
	       le32_to_cpu(unit->crc) == unit_crc(unit, format);
}

static void unit_take(const struct tidemark_meta_unit *unit, u64 first,
		      u64 count, unsigned long *into)
{
	u64 i;

	for (i = 0; i < count; i++) {
		u8 byte = unit->bits[i / 8];

		if (!byte)
			i |= 7;
		else if (byte & (1U << (i % 8)))
			tidemark_bitmap_mark(into, first + i, 1);
	}
}

/**
 * tidemark_meta_unpack() - read a block of units
 * @block: TIDEMARK_META_BLOCK bytes
 * @number: of the block in its area
 * @magic: its units must have
 * @format: of the superblock
 * @into: the bits of the whole area; what is set in the block is set
 * @bits: size of @into
 *
 * Return: how many units did not verify: all of their bits are set.
 */
unsigned int tidemark_meta_unpack(const void *block, u64 number, u32 magic,
				  const u8 *format, unsigned long *into,
				  u64 bits)
{
	const struct tidemark_meta_unit *unit = block;
	u32 index = number * TIDEMARK_META_UNITS_PER_BLOCK;
	u64 first = number * TIDEMARK_META_BLOCK_BITS;
	unsigned int i, bad = 0;

	for (i = 0; i < TIDEMARK_META_UNITS_PER_BLOCK && first < bits; i++) {
		u64 count = min_t(u64, bits - first, TIDEMARK_META_UNIT_BITS);

		if (unit_verifies(unit, index + i, magic, format)) {
			unit_take(unit, first, count, into);
		} else {
			tidemark_bitmap_mark(into, first, count);
			bad++;
		}
		first += count;
		unit++;
	}
	return bad;
}
