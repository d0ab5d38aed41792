/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bitmaps of granules: one bit a granule, in words of unsigned long.
 *
 * Pure: no allocation, no lock, no idea of disks; compiles in user space for
 * the unit tests. Bits change by atomic operations on whole words, so that any
 * number of writers may mark while somebody reads, and each change of a bit is
 * counted by exactly one of those who asked for it. This is what makes the
 * counts in struct tidemark_disk exact without a scan.
 */
#ifndef _TIDEMARK_BITMAP_H
#define _TIDEMARK_BITMAP_H

#include <linux/types.h>

u64 tidemark_bitmap_mark(unsigned long *map, u64 first, u64 count);
u64 tidemark_bitmap_clear(unsigned long *map, u64 first, u64 count);
bool tidemark_bitmap_any(const unsigned long *map, u64 first, u64 count);
u64 tidemark_bitmap_count(const unsigned long *map, u64 first, u64 count);
u64 tidemark_bitmap_or(unsigned long *into, const unsigned long *from,
		       u64 bits);
void tidemark_bitmap_zero(unsigned long *map, u64 bits);
bool tidemark_bitmap_next(const unsigned long *map, u64 from, u64 end,
			  u64 *ret_first, u64 *ret_count);
void tidemark_bitmap_bytes(const unsigned long *map, u64 first, u64 count,
			   u8 *bytes);

#endif /* _TIDEMARK_BITMAP_H */
