/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sectors and granules: pure arithmetic, no state, no kernel service. Nothing
 * here can overflow for any argument: whatever a caller was handed by a user
 * or a bio may be passed in unchecked.
 */
#ifndef _TIDEMARK_GRANULE_H
#define _TIDEMARK_GRANULE_H

#include <linux/errno.h>
#include <linux/types.h>
#include <linux/tidemark.h>

/**
 * granule_size_valid() - is this a granule that Tidemark can have?
 * @sectors: sectors of 512 bytes in a granule
 */
static inline bool granule_size_valid(u32 sectors)
{
	return sectors >= TIDEMARK_GRANULE_MIN &&
	       sectors <= TIDEMARK_GRANULE_MAX && !(sectors & (sectors - 1));
}

/**
 * granule_shift() - log2 of a valid granule size
 * @sectors: sectors in a granule, a power of two
 */
static inline unsigned int granule_shift(u32 sectors)
{
	return (unsigned int)__builtin_ctz(sectors);
}

/**
 * granule_bytes() - how much memory a granule takes
 * @shift: log2 of the sectors in a granule
 */
static inline u64 granule_bytes(unsigned int shift)
{
	return 512ULL << shift;
}

/**
 * granules_in() - how many granules a disk has, the last one may be short
 * @sectors: size of the disk in sectors
 * @shift: log2 of the sectors in a granule
 */
static inline u64 granules_in(u64 sectors, unsigned int shift)
{
	return sectors ? ((sectors - 1) >> shift) + 1 : 0;
}

/**
 * granule_range() - the granules that a range of sectors touches
 * @sector: first sector
 * @count: sectors in the range
 * @sectors: size of the disk in sectors
 * @shift: log2 of the sectors in a granule
 * @ret_first: the first granule
 * @ret_count: how many granules
 *
 * Return: 0, or -EINVAL when the range is empty or leaves the disk.
 */
static inline int granule_range(u64 sector, u64 count, u64 sectors,
				unsigned int shift, u64 *ret_first,
				u64 *ret_count)
{
	u64 first;

	if (!count || sector >= sectors || count > sectors - sector)
		return -EINVAL;
	first = sector >> shift;
	*ret_first = first;
	*ret_count = ((sector + count - 1) >> shift) - first + 1;
	return 0;
}

/**
 * granule_run_valid() - does a run lie inside of the disk?
 * @first: first granule
 * @count: granules in the run
 * @granules: granules of the disk
 */
static inline bool granule_run_valid(u64 first, u64 count, u64 granules)
{
	return count && first < granules && count <= granules - first;
}

#endif /* _TIDEMARK_GRANULE_H */
