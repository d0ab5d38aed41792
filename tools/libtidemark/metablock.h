/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Superblocks and units of a metadata device, in memory. Pure; no part of the
 * public interface. The format is that of <linux/tidemark-meta.h>.
 */
#ifndef LIBTIDEMARK_METABLOCK_H
#define LIBTIDEMARK_METABLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/tidemark-meta.h>

#include "libtidemark/tidemark.h"

/** crc32c_update() - as the kernel's crc32c(): begin with ~0, no inversion */
uint32_t crc32c_update(uint32_t crc, const void *bytes, size_t count);

/** metablock_seal() - fill in the checksum of a superblock */
void metablock_seal(struct tidemark_meta_super *super);

/**
 * metablock_check() - may this superblock be believed
 * @super: as read
 * @slot: 0 or 1, where it was read
 * @ret_layout: what it describes
 *
 * Return: enum tidemark_meta_slot; @ret_layout is written with META_SLOT_VALID.
 */
int metablock_check(const struct tidemark_meta_super *super, unsigned int slot,
		    struct tidemark_meta_layout *ret_layout);

/**
 * metablock_unit_seal() - fill in head and checksum of a unit
 * @unit: its bits are there
 * @format: of the superblock
 * @magic: of its area
 * @index: in its area
 */
void metablock_unit_seal(struct tidemark_meta_unit *unit, const uint8_t format[16],
			 uint32_t magic, uint32_t index);
/** metablock_unit_valid() - does it verify, as that unit of that area */
bool metablock_unit_valid(const struct tidemark_meta_unit *unit, const uint8_t format[16],
			  uint32_t magic, uint32_t index);

/** metablock_unit_bits() - how many of an area's bits lie in a unit */
uint32_t metablock_unit_bits(uint64_t area_bits, uint64_t index);

#endif
