// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The module's bitmaps against the plainest model of them: a byte for each bit.
 * The source itself is compiled here, with a shim for the kernel's headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "module/bitmap.c"

#define BITS 1000
#define WORDS BITS_TO_LONGS(BITS)
#define GUARD 0x5a5a5a5a5a5a5a5aUL

/**
 * struct pair - a bitmap and its model
 * @before: not to be touched
 * @map: the bitmap
 * @after: not to be touched
 * @model: a byte for each bit
 */
struct pair {
	unsigned long before;
	unsigned long map[WORDS];
	unsigned long after;
	u8 model[BITS];
};

static void pair_init(struct pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	pair->before = GUARD;
	pair->after = GUARD;
}

static void pair_check(const struct pair *pair)
{
	for (u64 i = 0; i < BITS; i++)
		assert_int_equal(shim_test(pair->map, i), pair->model[i]);
	for (u64 i = BITS; i < WORDS * BITS_PER_LONG; i++)
		assert_false(shim_test(pair->map, i));
	assert_true(pair->before == GUARD && pair->after == GUARD);
}

/* Set or clear in the model; returns how many bits changed. */
static u64 model_set(u8 *model, u64 first, u64 count, u8 value)
{
	u64 changed = 0;

	for (u64 i = first; i < first + count; i++) {
		changed += model[i] != value;
		model[i] = value;
	}
	return changed;
}

static void range_random(u64 *first, u64 *count)
{
	*first = rand() % BITS;
	/* mostly short ones, some over many words */
	*count = 1 + rand() % (rand() % 4 ? 5 : BITS);
	if (*count > BITS - *first)
		*count = BITS - *first;
}

static void mark_and_clear__every_edge_of_two_words(void **state)
{
	struct pair pair;

	for (u64 first = 60; first < 70; first++) {
		for (u64 count = 1; count < 140; count++) {
			pair_init(&pair);
			model_set(pair.model, first, count, 1);
			assert_int_equal(tidemark_bitmap_mark(pair.map, first, count), count);
			pair_check(&pair);
			assert_int_equal(tidemark_bitmap_mark(pair.map, first, count), 0);
			model_set(pair.model, first + count / 2, 1, 0);
			assert_int_equal(tidemark_bitmap_clear(pair.map, first + count / 2, 1), 1);
			pair_check(&pair);
			assert_int_equal(tidemark_bitmap_mark(pair.map, first, count), 1);
			assert_int_equal(tidemark_bitmap_clear(pair.map, first, count), count);
			assert_int_equal(tidemark_bitmap_clear(pair.map, first, count), 0);
		}
	}
}

static void nothing__of_nothing(void **state)
{
	struct pair pair;
	u64 first = 77, count = 77;

	pair_init(&pair);
	assert_int_equal(tidemark_bitmap_mark(pair.map, 5, 0), 0);
	assert_int_equal(tidemark_bitmap_clear(pair.map, 5, 0), 0);
	assert_int_equal(tidemark_bitmap_count(pair.map, 5, 0), 0);
	assert_false(tidemark_bitmap_any(pair.map, 5, 0));
	assert_int_equal(tidemark_bitmap_or(pair.map, pair.map, 0), 0);
	assert_false(tidemark_bitmap_next(pair.map, 0, BITS, &first, &count));
	assert_false(tidemark_bitmap_next(pair.map, BITS, BITS, &first, &count));
	assert_int_equal(first, 77);
	assert_int_equal(count, 77);
	pair_check(&pair);
}

static void all__as_the_model_says(void **state)
{
	struct pair pair;
	u64 first, count;

	srand(1);
	pair_init(&pair);
	for (int i = 0; i < 3000; i++) {
		u64 set = 0;

		range_random(&first, &count);
		if (rand() % 2)
			assert_int_equal(tidemark_bitmap_mark(pair.map, first, count),
					 model_set(pair.model, first, count, 1));
		else
			assert_int_equal(tidemark_bitmap_clear(pair.map, first, count),
					 model_set(pair.model, first, count, 0));
		pair_check(&pair);
		range_random(&first, &count);
		for (u64 bit = first; bit < first + count; bit++)
			set += pair.model[bit];
		assert_int_equal(tidemark_bitmap_count(pair.map, first, count), set);
		assert_int_equal(tidemark_bitmap_any(pair.map, first, count), set != 0);
	}
}

static void or__counts_what_is_new(void **state)
{
	struct pair into, from;
	u64 first, count, added;

	srand(2);
	for (int i = 0; i < 300; i++) {
		u64 bits = 1 + rand() % BITS;

		pair_init(&into);
		pair_init(&from);
		for (int j = 0; j < 10; j++) {
			range_random(&first, &count);
			tidemark_bitmap_mark(into.map, first, count);
			model_set(into.model, first, count, 1);
			range_random(&first, &count);
			tidemark_bitmap_mark(from.map, first, count);
			model_set(from.model, first, count, 1);
		}
		added = 0;
		for (u64 bit = 0; bit < bits; bit++) {
			added += from.model[bit] && !into.model[bit];
			into.model[bit] |= from.model[bit];
		}
		assert_int_equal(tidemark_bitmap_or(into.map, from.map, bits), added);
		pair_check(&into);
		pair_check(&from);
	}
}

static void next__gives_each_run_once_and_cut(void **state)
{
	struct pair pair;
	u64 first, count;

	srand(3);
	for (int i = 0; i < 300; i++) {
		u8 seen[BITS] = {};
		u64 from, length, next;

		pair_init(&pair);
		for (int j = 0; j < 20; j++) {
			range_random(&first, &count);
			tidemark_bitmap_mark(pair.map, first, count % 70 + 1 > BITS - first ?
					     BITS - first : count % 70 + 1);
		}
		range_random(&from, &length);
		for (next = from; tidemark_bitmap_next(pair.map, next, from + length, &first,
						       &count); next = first + count) {
			assert_true(first >= next && count && first + count <= from + length);
			/* not the rest of the run before: runs are as long as can be */
			assert_true(next == from || first > next);
			memset(seen + first, 1, count);
		}
		for (u64 bit = from; bit < from + length; bit++)
			assert_int_equal(seen[bit], shim_test(pair.map, bit));
	}
}

static void bytes__lowest_bit_first_and_cut(void **state)
{
	struct pair pair;
	u64 first, count;

	srand(4);
	pair_init(&pair);
	for (int i = 0; i < 40; i++) {
		range_random(&first, &count);
		count = count > 9 ? 9 : count;
		tidemark_bitmap_mark(pair.map, first, count);
	}
	for (first = 0; first < BITS; first += 8) {
		for (count = 1; count <= BITS - first; count += 13) {
			u8 bytes[BITS / 8 + 2];

			memset(bytes, 0xaa, sizeof(bytes));
			tidemark_bitmap_bytes(pair.map, first, count, bytes);
			for (u64 bit = 0; bit < (count + 7) / 8 * 8; bit++)
				assert_int_equal(bytes[bit / 8] >> bit % 8 & 1,
						 bit < count && shim_test(pair.map, first + bit));
			assert_int_equal(bytes[(count + 7) / 8], 0xaa);
		}
	}
}

static void scans__over_more_than_one_step(void **state)
{
	u64 bits = 2 * SCAN_BITS + 100, first, count;
	unsigned long *map = calloc(BITS_TO_LONGS(bits), sizeof(long));
	unsigned long *other = calloc(BITS_TO_LONGS(bits), sizeof(long));

	assert_non_null(map);
	assert_non_null(other);
	assert_int_equal(tidemark_bitmap_mark(map, SCAN_BITS - 3, 6), 6);
	assert_int_equal(tidemark_bitmap_mark(map, bits - 1, 1), 1);
	assert_true(tidemark_bitmap_next(map, 0, bits, &first, &count));
	assert_int_equal(first, SCAN_BITS - 3);
	assert_int_equal(count, 6);
	assert_true(tidemark_bitmap_next(map, first + count, bits, &first, &count));
	assert_int_equal(first, bits - 1);
	assert_int_equal(count, 1);
	assert_int_equal(tidemark_bitmap_count(map, 0, bits), 7);
	assert_int_equal(tidemark_bitmap_mark(other, 0, bits), bits);
	assert_int_equal(tidemark_bitmap_or(map, other, bits), bits - 7);
	assert_int_equal(tidemark_bitmap_clear(map, 1, bits - 1), bits - 1);
	tidemark_bitmap_zero(map, bits);
	assert_false(tidemark_bitmap_any(map, 0, bits));
	tidemark_bitmap_zero(other, bits);
	assert_int_equal(tidemark_bitmap_count(other, 0, bits), 0);
	free(map);
	free(other);
}

#define RACE_BITS 100000
#define RACE_ROUNDS 200

static unsigned long race_map[BITS_TO_LONGS(RACE_BITS)];
static pthread_barrier_t race_start;

/* All mark the same bits one by one, at the same time. */
static void *race_run(void *argument)
{
	uintptr_t added = 0;

	pthread_barrier_wait(&race_start);
	for (u64 bit = 0; bit < RACE_BITS; bit++)
		added += tidemark_bitmap_mark(race_map, bit, 1);
	return (void *)added;
}

/* Each bit that is set is counted by one of those who asked for it. */
static void mark__from_two_threads(void **state)
{
	for (int round = 0; round < RACE_ROUNDS; round++) {
		uintptr_t sum;
		pthread_t thread;
		void *added;

		tidemark_bitmap_zero(race_map, RACE_BITS);
		pthread_barrier_init(&race_start, NULL, 2);
		assert_int_equal(pthread_create(&thread, NULL, race_run, NULL), 0);
		sum = (uintptr_t)race_run(NULL);
		pthread_join(thread, &added);
		pthread_barrier_destroy(&race_start);
		assert_int_equal(sum + (uintptr_t)added, RACE_BITS);
		assert_int_equal(tidemark_bitmap_count(race_map, 0, RACE_BITS), RACE_BITS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mark_and_clear__every_edge_of_two_words),
		cmocka_unit_test(nothing__of_nothing),
		cmocka_unit_test(all__as_the_model_says),
		cmocka_unit_test(or__counts_what_is_new),
		cmocka_unit_test(next__gives_each_run_once_and_cut),
		cmocka_unit_test(bytes__lowest_bit_first_and_cut),
		cmocka_unit_test(scans__over_more_than_one_step),
		cmocka_unit_test(mark__from_two_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
