/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The format of a metadata device, see <linux/tidemark-meta.h>: layout,
 * checksums, superblocks and units in memory. Pure: no I/O, no lock, no state.
 */
#ifndef _TIDEMARK_META_H
#define _TIDEMARK_META_H

#include <linux/tidemark-meta.h>
#include <linux/types.h>

/**
 * struct tidemark_meta_layout - where things are, all derived from the first two
 * @sectors: of the tracked disk
 * @granule_sectors: sectors in a granule
 * @granules: bits in the bitmap
 * @extents: bits in the intent
 * @intent_block: the first block of intent units
 * @intent_blocks: how many
 * @bitmap_block: the first block of bitmap units
 * @bitmap_blocks: how many
 */
struct tidemark_meta_layout {
	u64 sectors;
	u32 granule_sectors;
	u64 granules;
	u64 extents;
	u64 intent_block;
	u64 intent_blocks;
	u64 bitmap_block;
	u64 bitmap_blocks;
};

/* Bits that the units of a block hold. */
#define TIDEMARK_META_BLOCK_BITS \
	(TIDEMARK_META_UNIT_BITS * TIDEMARK_META_UNITS_PER_BLOCK)

/**
 * enum tidemark_meta_fault - what is wrong with a superblock, 0: nothing
 * @TIDEMARK_META_FOREIGN: it is none of ours
 * @TIDEMARK_META_TORN: its checksum is wrong
 * @TIDEMARK_META_UNKNOWN: of a version or with features that are not known
 * @TIDEMARK_META_WRONG: its checksum is right, and what it says is not
 */
enum tidemark_meta_fault {
	TIDEMARK_META_FOREIGN = 1,
	TIDEMARK_META_TORN,
	TIDEMARK_META_UNKNOWN,
	TIDEMARK_META_WRONG,
};

void tidemark_meta_layout(struct tidemark_meta_layout *layout, u64 sectors,
			  u32 granule_sectors);
u64 tidemark_meta_blocks(const struct tidemark_meta_layout *layout);

int tidemark_meta_super_check(const struct tidemark_meta_super *super);
void tidemark_meta_super_seal(struct tidemark_meta_super *super,
			      const struct tidemark_meta_layout *layout);

void tidemark_meta_pack(void *block, u64 number, u32 magic, const u8 *format,
			const unsigned long *a, const unsigned long *b,
			u64 bits);
unsigned int tidemark_meta_unpack(const void *block, u64 number, u32 magic,
				  const u8 *format, unsigned long *into,
				  u64 bits);

#endif /* _TIDEMARK_META_H */
