// SPDX-License-Identifier: GPL-2.0-or-later
/* The text form of a tracker's UUID. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "libtidemark/uuid.h"

static void parse__bytes_in_the_order_of_the_text(void **state)
{
	static const uint8_t wanted[16] = {
		0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
		0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
	};
	uint8_t uuid[16];

	assert_int_equal(uuid_parse_text("00112233-4455-6677-8899-aabbccddeeff", uuid), 0);
	assert_memory_equal(uuid, wanted, 16);
	memset(uuid, 0, 16);
	assert_int_equal(uuid_parse_text("00112233-4455-6677-8899-AABBCCDDEEFF", uuid), 0);
	assert_memory_equal(uuid, wanted, 16);
}

static void parse__anything_else_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "web01", "00112233-4455-6677-8899-aabbccddeef",
		"00112233-4455-6677-8899-aabbccddeeff0", "0011223344556677-8899-aabb-ccddeeff00",
		"g0112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef ",
		"-0112233-4455-6677-8899-aabbccddeeff", "001122334-455-6677-8899-aabbccddeeff",
	};
	uint8_t uuid[16] = { 7 };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(uuid_parse_text(texts[i], uuid), -EINVAL);
	assert_int_equal(uuid[0], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__bytes_in_the_order_of_the_text),
		cmocka_unit_test(parse__anything_else_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
