// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libtidemark/metablock.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define GRANULE_MIN	8	/* sectors */
#define GRANULE_MAX	8192

uint32_t crc32c_update(uint32_t crc, const void *bytes, size_t count)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < count; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return crc;
}

static uint64_t divide_up(uint64_t n, uint64_t by)
{
	return n / by + (n % by != 0);
}

static uint64_t units_of(uint64_t bits)
{
	return divide_up(bits, TIDEMARK_META_UNIT_BITS);
}

static uint64_t blocks_of(uint64_t bits)
{
	return divide_up(units_of(bits), TIDEMARK_META_UNITS_PER_BLOCK);
}

int tidemark_meta_layout(uint64_t sectors, uint32_t granule_sectors,
			 struct tidemark_meta_layout *ret)
{
	struct tidemark_meta_layout l = { .sectors = sectors, .granule_sectors = granule_sectors };

	if (!sectors || granule_sectors < GRANULE_MIN || granule_sectors > GRANULE_MAX ||
	    (granule_sectors & (granule_sectors - 1)))
		return -EINVAL;
	l.granules = divide_up(sectors, granule_sectors);
	if (l.granules > TIDEMARK_GRANULES_MAX)
		return -EFBIG;
	l.extents = divide_up(sectors, TIDEMARK_META_EXTENT);
	l.intent_units = units_of(l.extents);
	l.bitmap_units = units_of(l.granules);
	l.intent_block = TIDEMARK_META_INTENT_BLOCK;
	l.bitmap_block = l.intent_block + blocks_of(l.extents);
	l.bytes = (l.bitmap_block + blocks_of(l.granules)) * TIDEMARK_META_BLOCK;
	*ret = l;
	return 0;
}

static uint32_t super_crc(const struct tidemark_meta_super *super)
{
	struct tidemark_meta_super copy = *super;

	_Static_assert(sizeof(copy) == TIDEMARK_META_UNIT_SIZE, "a superblock is a sector");
	copy.crc = 0;
	return crc32c_update(~0u, &copy, sizeof(copy));
}

void metablock_seal(struct tidemark_meta_super *super)
{
	super->crc = htole32(super_crc(super));
}

/* Is all there that a superblock with a right checksum must say? */
static bool super_sound(const struct tidemark_meta_super *s, unsigned int slot,
			const struct tidemark_meta_layout *l)
{
	uint32_t state = le32toh(s->state);

	return le64toh(s->seq) >= 1 && le64toh(s->seq) <= TIDEMARK_META_NUMBER_MAX &&
	       le64toh(s->seq) % 2 == slot &&
	       le32toh(s->extent_sectors) == TIDEMARK_META_EXTENT &&
	       le64toh(s->intent_block) == l->intent_block &&
	       le64toh(s->bitmap_block) == l->bitmap_block &&
	       le64toh(s->next_epoch) >= 1 &&
	       le64toh(s->next_epoch) <= TIDEMARK_META_NUMBER_MAX &&
	       le64toh(s->committed_epoch) < le64toh(s->next_epoch) &&
	       le64toh(s->unreliable_epoch) < le64toh(s->next_epoch) &&
	       state >= TIDEMARK_META_NEW && state <= TIDEMARK_META_ALL;
}

int metablock_check(const struct tidemark_meta_super *super, unsigned int slot,
		    struct tidemark_meta_layout *ret_layout)
{
	static const struct tidemark_meta_super empty;
	struct tidemark_meta_layout layout;

	if (!memcmp(super, &empty, sizeof(empty)))
		return TIDEMARK_META_SLOT_EMPTY;
	if (memcmp(super->magic, TIDEMARK_META_MAGIC, sizeof(super->magic)) != 0)
		return TIDEMARK_META_SLOT_FOREIGN;
	if (le32toh(super->crc) != super_crc(super))
		return TIDEMARK_META_SLOT_DAMAGED;
	if (le32toh(super->version) != TIDEMARK_META_VERSION || super->incompat)
		return TIDEMARK_META_SLOT_UNKNOWN;
	if (tidemark_meta_layout(le64toh(super->sectors), le32toh(super->granule_sectors),
				 &layout) ||
	    !super_sound(super, slot, &layout))
		return TIDEMARK_META_SLOT_DAMAGED;
	*ret_layout = layout;
	return TIDEMARK_META_SLOT_VALID;
}

static uint32_t unit_crc(const struct tidemark_meta_unit *unit, const uint8_t format[16])
{
	uint32_t crc = crc32c_update(~0u, format, 16);

	_Static_assert(sizeof(*unit) == TIDEMARK_META_UNIT_SIZE, "a unit is a sector");
	return crc32c_update(crc, (const uint8_t *)unit + sizeof(unit->crc),
			     sizeof(*unit) - sizeof(unit->crc));
}

void metablock_unit_seal(struct tidemark_meta_unit *unit, const uint8_t format[16],
			 uint32_t magic, uint32_t index)
{
	unit->magic = htole32(magic);
	unit->index = htole32(index);
	unit->reserved = 0;
	unit->crc = htole32(unit_crc(unit, format));
}

bool metablock_unit_valid(const struct tidemark_meta_unit *unit, const uint8_t format[16],
			  uint32_t magic, uint32_t index)
{
	return le32toh(unit->magic) == magic && le32toh(unit->index) == index &&
	       le32toh(unit->crc) == unit_crc(unit, format);
}

uint32_t metablock_unit_bits(uint64_t area_bits, uint64_t index)
{
	uint64_t left = area_bits - index * TIDEMARK_META_UNIT_BITS;

	return left < TIDEMARK_META_UNIT_BITS ? left : TIDEMARK_META_UNIT_BITS;
}
