// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bitmaps of granules, see bitmap.h. Callers have checked every range.
 */
#include "bitmap.h"

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/compiler.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/string.h>

/* Scans give way to others after so many bits: 512 KiB of bitmap. */
#define SCAN_BITS	((u64)1 << 22)

/*
 * The part of [*first, *first + *count) that lies in one word: returns its
 * mask and moves the range past it.
 */
static unsigned long range_step(u64 *first, u64 *count)
{
	unsigned int shift = *first % BITS_PER_LONG;
	unsigned int bits = min_t(u64, *count, BITS_PER_LONG - shift);

	*first += bits;
	*count -= bits;
	return (~0UL >> (BITS_PER_LONG - bits)) << shift;
}

static u64 word_of(u64 bit)
{
	return bit / BITS_PER_LONG;
}

/**
 * tidemark_bitmap_mark() - set the bits of a range
 * @map: the bitmap
 * @first: first bit
 * @count: how many bits
 *
 * Looks before it writes: a disk's hot granules are marked already, and their
 * cache lines then stay shared between the processors.
 *
 * Context: Any. The largest bio (4 GiB) has 1024 words of granules of 64 KiB, and
 * 16 times as many of 4 KiB: some 10 and some 100 microseconds, if none is marked.
 * Return: how many bits this call has set.
 */
u64 tidemark_bitmap_mark(unsigned long *map, u64 first, u64 count)
{
	u64 added = 0;

	while (count) {
		unsigned long *word = map + word_of(first);
		unsigned long mask = range_step(&first, &count);
		unsigned long old;

		if (!(~READ_ONCE(*word) & mask))
			continue;
		old = atomic_long_fetch_or(mask, (atomic_long_t *)word);
		added += hweight_long(~old & mask);
	}
	return added;
}

/**
 * tidemark_bitmap_clear() - clear the bits of a range
 * @map: the bitmap
 * @first: first bit
 * @count: how many bits
 *
 * Fully ordered: whoever sees a bit cleared comes after all that the caller
 * has done before.
 *
 * Context: Process context, may sleep in a large range.
 * Return: how many bits this call has cleared.
 */
u64 tidemark_bitmap_clear(unsigned long *map, u64 first, u64 count)
{
	u64 removed = 0;

	while (count) {
		unsigned long *word = map + word_of(first);
		unsigned long mask = range_step(&first, &count);
		unsigned long old;

		if (!(first % SCAN_BITS))
			cond_resched();
		if (!(READ_ONCE(*word) & mask))
			continue;
		old = atomic_long_fetch_andnot(mask, (atomic_long_t *)word);
		removed += hweight_long(old & mask);
	}
	return removed;
}

/**
 * tidemark_bitmap_any() - is any bit of a range set?
 * @map: the bitmap
 * @first: first bit
 * @count: how many bits
 *
 * Context: Any.
 */
bool tidemark_bitmap_any(const unsigned long *map, u64 first, u64 count)
{
	while (count) {
		const unsigned long *word = map + word_of(first);

		if (READ_ONCE(*word) & range_step(&first, &count))
			return true;
	}
	return false;
}

/**
 * tidemark_bitmap_count() - how many bits of a range are set?
 * @map: the bitmap
 * @first: first bit
 * @count: how many bits
 *
 * Context: Process context, may sleep.
 */
u64 tidemark_bitmap_count(const unsigned long *map, u64 first, u64 count)
{
	u64 set = 0;

	while (count) {
		const unsigned long *word = map + word_of(first);

		set += hweight_long(READ_ONCE(*word) &
				    range_step(&first, &count));
		if (!(first % SCAN_BITS))
			cond_resched();
	}
	return set;
}

/**
 * tidemark_bitmap_or() - set in one bitmap what is set in another
 * @into: changed, may be marked by others meanwhile
 * @from: not changed by anybody meanwhile
 * @bits: size of both
 *
 * Context: Process context, may sleep.
 * Return: how many bits this call has set.
 */
u64 tidemark_bitmap_or(unsigned long *into, const unsigned long *from, u64 bits)
{
	u64 first = 0;
	u64 added = 0;

	while (bits) {
		u64 word = word_of(first);
		unsigned long mask = range_step(&first, &bits) & from[word];
		unsigned long old;

		if (!(first % SCAN_BITS))
			cond_resched();
		if (!(~READ_ONCE(into[word]) & mask))
			continue;
		old = atomic_long_fetch_or(mask, (atomic_long_t *)&into[word]);
		added += hweight_long(~old & mask);
	}
	return added;
}

/**
 * tidemark_bitmap_zero() - clear a bitmap that nobody marks
 * @map: the bitmap
 * @bits: its size
 *
 * Context: Process context, may sleep.
 */
void tidemark_bitmap_zero(unsigned long *map, u64 bits)
{
	u64 first;

	for (first = 0; first < bits; first += SCAN_BITS) {
		u64 some = min(bits - first, SCAN_BITS);

		memset(map + word_of(first), 0,
		       BITS_TO_LONGS(some) * sizeof(long));
		cond_resched();
	}
}

/* The first bit at or after @from that is @set, or @end. */
static u64 find_bit(const unsigned long *map, u64 from, u64 end, bool set)
{
	while (from < end) {
		u64 stop = min(end, from + SCAN_BITS);
		u64 bit = set ? find_next_bit(map, stop, from) :
				find_next_zero_bit(map, stop, from);

		if (bit < stop)
			return bit;
		from = stop;
		cond_resched();
	}
	return end;
}

/**
 * tidemark_bitmap_next() - the next run of set bits
 * @map: the bitmap
 * @from: the bit to begin with
 * @end: the bit to stop before; a run that reaches over it is cut
 * @ret_first: first bit of the run
 * @ret_count: bits in the run
 *
 * Context: Process context, may sleep.
 * Return: false when there is none; the outputs are then untouched.
 */
bool tidemark_bitmap_next(const unsigned long *map, u64 from, u64 end,
			  u64 *ret_first, u64 *ret_count)
{
	u64 first = find_bit(map, from, end, true);

	if (first >= end)
		return false;
	*ret_first = first;
	*ret_count = find_bit(map, first + 1, end, false) - first;
	return true;
}

/**
 * tidemark_bitmap_bytes() - a range as bytes, in the same order on any machine
 * @map: the bitmap
 * @first: first bit, a multiple of 8
 * @count: how many bits
 * @bytes: (@count + 7) / 8 of them; bits past @count become 0
 *
 * Context: Any.
 */
void tidemark_bitmap_bytes(const unsigned long *map, u64 first, u64 count,
			   u8 *bytes)
{
	for (; count; first += 8) {
		unsigned long word = READ_ONCE(map[word_of(first)]);
		u64 bits = min_t(u64, count, 8);

		*bytes++ = (word >> (first % BITS_PER_LONG)) &
			   (0xff >> (8 - bits));
		count -= bits;
	}
}
