// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire/pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 262144u

static uint8_t plain[SIZE], packed[SIZE], back[SIZE + 1];

static void fill_text(void)
{
	for (size_t i = 0; i < SIZE; i++)
		plain[i] = "the tide leaves a line "[i % 23] + (i % 997 == 0);
}

static void fill_noise(void)
{
	uint64_t x = 88172645463325252ull;

	for (size_t i = 0; i < SIZE; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		plain[i] = x;
	}
}

static void pack__there_and_back(void **state)
{
	struct packer *p;
	uint32_t n;

	fill_text();
	assert_int_equal(packer_create(&p), 0);
	n = packer_run(p, plain, SIZE, packed);
	assert_in_range(n, 1, SIZE / 8);
	assert_int_equal(unpack(packed, n, back, SIZE), FRAME_OK);
	assert_memory_equal(plain, back, SIZE);
	packer_destroy(p);
}

static void pack__rests_when_it_does_not_pay(void **state)
{
	struct packer *p;

	assert_int_equal(packer_create(&p), 0);
	fill_noise();
	assert_int_equal(packer_run(p, plain, SIZE, packed), 0);
	fill_text();
	for (int i = 0; i < 15; i++)
		assert_int_equal(packer_run(p, plain, SIZE, packed), 0);
	assert_int_not_equal(packer_run(p, plain, SIZE, packed), 0);
	packer_destroy(p);
}

/* Neither more nor less than the span, and nothing beyond it, whatever is inside. */
static void unpack__believes_no_length(void **state)
{
	struct packer *p;
	uint32_t n;

	fill_text();
	assert_int_equal(packer_create(&p), 0);
	n = packer_run(p, plain, SIZE, packed);
	memset(back, 0xee, sizeof(back));
	assert_int_equal(unpack(packed, n, back, SIZE - 512), FRAME_FAULT_PAYLOAD);
	assert_int_equal(back[SIZE - 512], 0xee);
	assert_int_equal(unpack(packed, n, back, SIZE), FRAME_OK);
	assert_int_equal(unpack(packed, n - 1, back, SIZE), FRAME_FAULT_PAYLOAD);
	n = packer_run(p, plain, SIZE / 2, packed);
	assert_int_equal(unpack(packed, n, back, SIZE), FRAME_FAULT_PAYLOAD);
	assert_int_equal(unpack(plain, SIZE, back, SIZE), FRAME_FAULT_PAYLOAD);
	packer_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pack__there_and_back),
		cmocka_unit_test(pack__rests_when_it_does_not_pay),
		cmocka_unit_test(unpack__believes_no_length),
	};

	return cmocka_run_group_tests_name("wire/pack", tests, NULL, NULL);
}
