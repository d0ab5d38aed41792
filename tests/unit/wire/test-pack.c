// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 262144u
#define BOTH (FRAME_FEATURE_PACK | FRAME_FEATURE_LZ4)

static const enum frame_type types[] = { FRAME_PACKED, FRAME_PACKED_LZ4 };

static uint8_t plain[FRAME_PAYLOAD_MAX], packed[FRAME_PAYLOAD_MAX], back[FRAME_PAYLOAD_MAX + 1];

static void fill_text(void)
{
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = "the tide leaves a line "[i % 23] + (i % 997 == 0);
}

static uint64_t noise(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void fill_noise(void)
{
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = noise();
}

/* Of their own, so that a sanitizer sees what is read or written beyond them. */
static int unpack_alone(enum frame_type type, const void *from, uint32_t length, void *to,
			uint32_t span)
{
	void *f = malloc(length), *t = malloc(span);
	int fault;

	memcpy(f, from, length);
	memset(t, 0xee, span);
	fault = unpack(type, f, length, t, span);
	memcpy(to, t, span);
	free(f);
	free(t);
	return fault;
}

/* From a sector to the longest frame there is. */
static void pack__there_and_back(void **state)
{
	static const uint32_t sizes[] = { 512, 4096, 65536, SIZE, FRAME_PAYLOAD_MAX };
	struct packer *p;

	fill_text();
	assert_int_equal(packer_create(&p, BOTH), 0);
	for (size_t t = 0; t < ARRAY_SIZE(types); t++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint32_t n = packer_run(p, types[t], plain, sizes[i], packed);

			assert_in_range(n, 1, sizes[i] / 4);
			memset(back, 0, sizeof(back));
			assert_int_equal(unpack_alone(types[t], packed, n, back, sizes[i]),
					 FRAME_OK);
			assert_memory_equal(plain, back, sizes[i]);
		}
	packer_destroy(p);
}

/* What one has packed is nothing to the other. */
static void pack__each_is_itself(void **state)
{
	static const uint8_t lz4[] = { 0x1a, 'a', 1, 0, 0x50, 'b', 'c', 'd', 'e', 'f' };
	static const uint8_t plain20[] = "aaaaaaaaaaaaaaabcdef";
	struct packer *p;
	uint32_t n;

	fill_text();
	assert_int_equal(packer_create(&p, BOTH), 0);
	n = packer_run(p, FRAME_PACKED, plain, SIZE, packed);
	assert_memory_equal(packed, "\x28\xb5\x2f\xfd", 4); /* RFC 8878 */
	assert_int_equal(unpack_alone(FRAME_PACKED_LZ4, packed, n, back, SIZE),
			 FRAME_FAULT_PAYLOAD);
	n = packer_run(p, FRAME_PACKED_LZ4, plain, SIZE, packed);
	assert_int_equal(unpack_alone(FRAME_PACKED, packed, n, back, SIZE), FRAME_FAULT_PAYLOAD);
	/* The block format: one literal, fourteen bytes from one back, five literals. */
	assert_int_equal(unpack_alone(FRAME_PACKED_LZ4, lz4, sizeof(lz4), back, 20), FRAME_OK);
	assert_memory_equal(back, plain20, 20);
	packer_destroy(p);
}

static void pack__rests_when_it_does_not_pay(void **state)
{
	struct packer *p;

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		assert_int_equal(packer_create(&p, BOTH), 0);
		fill_noise();
		assert_int_equal(packer_run(p, types[t], plain, SIZE, packed), 0);
		fill_text();
		/* What is not to be packed is none of the fifteen. */
		assert_int_equal(packer_run(p, FRAME_DATA, plain, SIZE, packed), 0);
		for (int i = 0; i < 15; i++)
			assert_int_equal(packer_run(p, types[(t + i) % 2], plain, SIZE, packed),
					 0);
		assert_int_not_equal(packer_run(p, types[t], plain, SIZE, packed), 0);
		assert_int_equal(packer_run(p, FRAME_DATA, plain, SIZE, packed), 0);
		packer_destroy(p);
	}
}

/* An eighth is to be saved: noise of which so much is text, and a little less. */
static void pack__pays_from_an_eighth_on(void **state)
{
	struct packer *p;

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		assert_int_equal(packer_create(&p, BOTH), 0);
		fill_noise();
		memset(plain, 'a', SIZE / 8 + SIZE / 64);
		assert_in_range(packer_run(p, types[t], plain, SIZE, packed), SIZE / 2,
				SIZE - SIZE / 8);
		fill_noise();
		memset(plain, 'a', SIZE / 8 - SIZE / 64);
		assert_int_equal(packer_run(p, types[t], plain, SIZE, packed), 0);
		packer_destroy(p);
	}
}

/* Neither more nor less than the span, and nothing beyond it, whatever is inside. */
static void unpack__believes_no_length(void **state)
{
	struct packer *p;
	uint32_t n;

	fill_text();
	assert_int_equal(packer_create(&p, BOTH), 0);
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		enum frame_type type = types[t];

		n = packer_run(p, type, plain, SIZE, packed);
		memset(back, 0xee, sizeof(back));
		assert_int_equal(unpack(type, packed, n, back, SIZE - 512), FRAME_FAULT_PAYLOAD);
		assert_int_equal(back[SIZE - 512], 0xee);
		assert_int_equal(unpack_alone(type, packed, n, back, SIZE), FRAME_OK);
		assert_int_equal(unpack_alone(type, packed, n, back, SIZE + 512),
				 FRAME_FAULT_PAYLOAD);
		packed[n] = 0;
		assert_int_equal(unpack_alone(type, packed, n + 1, back, SIZE),
				 FRAME_FAULT_PAYLOAD);
		n = packer_run(p, type, plain, SIZE / 2, packed);
		assert_int_equal(unpack_alone(type, packed, n, back, SIZE), FRAME_FAULT_PAYLOAD);
		assert_int_equal(unpack_alone(type, plain, SIZE, back, SIZE),
				 FRAME_FAULT_PAYLOAD);
	}
	packer_destroy(p);
}

/* Cut short anywhere, and with any byte of it another one: a fault, or so many bytes. */
static void unpack__survives_what_is_damaged(void **state)
{
	struct packer *p;

	fill_text();
	for (size_t i = 0; i < 4096; i += 7)
		plain[i] = noise();
	assert_int_equal(packer_create(&p, BOTH), 0);
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		uint32_t n = packer_run(p, types[t], plain, 4096, packed);

		assert_int_not_equal(n, 0);
		for (uint32_t cut = 0; cut < n; cut++)
			assert_int_equal(unpack_alone(types[t], packed, cut, back, 4096),
					 FRAME_FAULT_PAYLOAD);
		for (uint32_t i = 0; i < n; i++) {
			uint8_t whole = packed[i];

			packed[i] ^= 1 + noise() % 255;
			unpack_alone(types[t], packed, n, back, 4096);
			packed[i] = whole;
		}
	}
	for (int i = 0; i < 10000; i++) {
		uint32_t n = 1 + noise() % 64;

		for (uint32_t j = 0; j < n; j++)
			packed[j] = noise();
		unpack_alone(types[i % 2], packed, n, back, 512);
	}
	packer_destroy(p);
}

/*
 * A match may not reach before the span, nor be its own: what lay in the memory before is
 * another peer's.
 */
static void unpack__shows_nothing_of_before(void **state)
{
	static const uint8_t before[] = { 0x1a, 'a', 2, 0, 0x50, 'b', 'c', 'd', 'e', 'f' };
	static const uint8_t itself[] = { 0x1a, 'a', 0, 0, 0x50, 'b', 'c', 'd', 'e', 'f' };

	assert_int_equal(unpack_alone(FRAME_PACKED_LZ4, before, sizeof(before), back, 20),
			 FRAME_FAULT_PAYLOAD);
	memset(back, 0, sizeof(back));
	if (unpack_alone(FRAME_PACKED_LZ4, itself, sizeof(itself), back, 20) == FRAME_OK)
		assert_null(memchr(back, 0xee, 20));
}

static void choose__by_rate_and_what_was_agreed(void **state)
{
	static const struct {
		uint32_t features;
		uint64_t rate;
		enum frame_type type;
	} cases[] = {
		{ BOTH, 0, FRAME_DATA }, /* not known */
		{ BOTH, 1, FRAME_PACKED },
		{ BOTH, MIB(150) - 1, FRAME_PACKED },
		{ BOTH, MIB(150), FRAME_PACKED_LZ4 },
		{ BOTH, MIB(400) - 1, FRAME_PACKED_LZ4 },
		{ BOTH, MIB(400), FRAME_DATA },
		{ BOTH, UINT64_MAX, FRAME_DATA },
		{ FRAME_FEATURE_PACK, MIB(150) - 1, FRAME_PACKED },
		{ FRAME_FEATURE_PACK, MIB(150), FRAME_DATA },
		{ FRAME_FEATURE_LZ4, MIB(150) - 1, FRAME_DATA },
		{ FRAME_FEATURE_LZ4, MIB(150), FRAME_PACKED_LZ4 },
		{ FRAME_FEATURE_LZ4, MIB(400), FRAME_DATA },
		{ FRAME_FEATURES & ~BOTH, MIB(150) - 1, FRAME_DATA },
		{ FRAME_FEATURES & ~BOTH, MIB(150), FRAME_DATA },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct packer *p;

		assert_int_equal(packer_create(&p, cases[i].features), 0);
		assert_int_equal(packer_choose(p, cases[i].rate), cases[i].type);
		packer_destroy(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pack__there_and_back),
		cmocka_unit_test(pack__each_is_itself),
		cmocka_unit_test(pack__rests_when_it_does_not_pay),
		cmocka_unit_test(pack__pays_from_an_eighth_on),
		cmocka_unit_test(unpack__believes_no_length),
		cmocka_unit_test(unpack__survives_what_is_damaged),
		cmocka_unit_test(unpack__shows_nothing_of_before),
		cmocka_unit_test(choose__by_rate_and_what_was_agreed),
	};

	return cmocka_run_group_tests_name("wire/pack", tests, NULL, NULL);
}
