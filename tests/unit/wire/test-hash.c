// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>

/* What OpenSSL has allocated so far, and what of it is not free. */
static unsigned long allocations;
static long live;

static void *counted_malloc(size_t size, const char *file, int line)
{
	allocations++;
	live++;
	return malloc(size);
}

static void *counted_realloc(void *p, size_t size, const char *file, int line)
{
	allocations++;
	live += !p;
	return realloc(p, size);
}

static void counted_free(void *p, const char *file, int line)
{
	live -= p != NULL;
	free(p);
}

static void hashes_to(enum hash_kind kind, const void *data, size_t size, const char *wanted)
{
	uint8_t hash[FRAME_HASH_MAX];
	char text[2 * FRAME_HASH_MAX + 1];
	struct hash *h;

	assert_int_equal(hash_create(&h, kind), 0);
	/* Twice: nothing is left of the granule before. */
	for (int i = 0; i < 2; i++) {
		memset(hash, 0xee, sizeof(hash));
		assert_int_equal(hash_run(h, data, size, hash), 0);
		for (uint32_t j = 0; j < hash_size(kind); j++)
			sprintf(text + 2 * j, "%02x", hash[j]);
		assert_string_equal(text, wanted);
	}
	for (uint32_t j = hash_size(kind); j < sizeof(hash); j++)
		assert_int_equal(hash[j], 0xee);
	assert_null(hash_destroy(h));
}

/* The vectors of FIPS 180-4, and what xxhsum -H2 says. */
static void hash__is_what_it_is_called(void **state)
{
	static const uint8_t zeroes[65536];

	hashes_to(HASH_SHA256, "abc", 3,
		  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	hashes_to(HASH_SHA256, "", 0,
		  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	hashes_to(HASH_SHA256, zeroes, sizeof(zeroes),
		  "de2f256064a0af797747c2b97505dc0b9f3df0de4f489eac731c23ae9ca9cc31");
	hashes_to(HASH_XXH3, "", 0, "99aa06d3014798d86001c324468d497f");
	hashes_to(HASH_XXH3, "abc", 3, "06b05ab6733a618578af5f94892f3950");
	assert_string_equal(hash_name(HASH_SHA256), "SHA-256");
	assert_string_equal(hash_name(HASH_XXH3), "XXH3-128");
}

static void hash__follows_what_was_agreed_on(void **state)
{
	assert_int_equal(hash_kind(0), HASH_XXH3);
	assert_int_equal(hash_kind(FRAME_FEATURES & ~FRAME_FEATURE_SHA256), HASH_XXH3);
	assert_int_equal(hash_kind(FRAME_FEATURE_SHA256), HASH_SHA256);
	assert_int_equal(hash_size(HASH_XXH3), 16);
	assert_int_equal(hash_size(HASH_SHA256), 32);
}

/* OpenSSL 3.0 makes its state of 112 bytes anew for each; later ones do not. */
static void hash__is_made_ready_once(void **state)
{
	static const uint8_t granule[65536];
	uint8_t hash[FRAME_HASH_MAX];
	unsigned long before;
	struct hash *h;
	long held;

	assert_int_equal(hash_create(&h, HASH_SHA256), 0);
	assert_true(allocations > 0);
	assert_int_equal(hash_run(h, granule, sizeof(granule), hash), 0);
	before = allocations;
	held = live;
	for (int i = 0; i < 64; i++)
		assert_int_equal(hash_run(h, granule, sizeof(granule), hash), 0);
	assert_true(allocations - before <= 64);
	assert_int_equal(live, held);
	hash_destroy(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash__is_what_it_is_called),
		cmocka_unit_test(hash__follows_what_was_agreed_on),
		cmocka_unit_test(hash__is_made_ready_once),
	};

	/* Before OpenSSL is used for the first time. */
	if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
		return 1;
	return cmocka_run_group_tests_name("wire/hash", tests, NULL, NULL);
}
