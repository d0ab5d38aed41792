/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_BITMAP_H
#define SHIM_BITMAP_H
#include <linux/types.h>
static inline bool shim_test(const unsigned long *map, unsigned long bit)
{
	return map[bit / BITS_PER_LONG] >> (bit % BITS_PER_LONG) & 1;
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long size,
					  unsigned long bit)
{
	while (bit < size && !shim_test(map, bit))
		bit++;
	return bit;
}

static inline unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size,
					       unsigned long bit)
{
	while (bit < size && shim_test(map, bit))
		bit++;
	return bit;
}
#endif
