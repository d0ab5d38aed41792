// SPDX-License-Identifier: GPL-2.0-or-later
/* Sizes as people write and read them. The command is no library: its file is compiled in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tidemark/size.c"

static void parse__numbers_and_units(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0 }, { "512", 512 }, { "512B", 512 }, { "4K", 4096 }, { "64k", 65536 },
		{ "64KiB", 65536 }, { "64 KiB", 65536 }, { "4M", 4194304 }, { "1G", 1ULL << 30 },
		{ "16TiB", 1ULL << 44 }, { "2P", 1ULL << 51 }, { "15E", 15ULL << 60 },
		{ "18446744073709551615", UINT64_MAX },
	};
	uint64_t bytes;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(size_parse(cases[i].text, &bytes), 0);
		assert_int_equal(bytes, cases[i].bytes);
	}
}

static void parse__what_is_no_size(void **state)
{
	static const char *const texts[] = {
		"", " ", "K", "-1", "+1", "1.5G", "64KB", "64Ki", "64 ", "64  K", "64Kx", "0x10",
		"64K ", "one", "64b0",
	};
	uint64_t bytes = 7;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(size_parse(texts[i], &bytes), -EINVAL);
	assert_int_equal(bytes, 7);
}

static void parse__more_than_64_bits(void **state)
{
	static const char *const texts[] = {
		"18446744073709551616", "16E", "99999999999999999999999", "18014398509481984K",
	};
	uint64_t bytes = 7;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(size_parse(texts[i], &bytes), -ERANGE);
	assert_int_equal(bytes, 7);
}

static void format__rounds_to_the_nearest(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0" }, { 1, "1 B" }, { 1023, "1023 B" }, { 1024, "1 KiB" },
		{ 1536, "1.5 KiB" }, { 65536, "64 KiB" }, { 10 * 1024 + 512, "11 KiB" },
		{ 10 * 1024 + 500, "10 KiB" }, { 1024 * 1024 - 1, "1 MiB" },
		{ 1288490189, "1.2 GiB" }, { 40ULL << 30, "40 GiB" }, { 1ULL << 44, "16 TiB" },
		{ UINT64_MAX, "16 EiB" }, { 9 * 1024 + 1023, "10 KiB" },
	};
	char text[SIZE_TEXT];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(size_format(cases[i].bytes, text), cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__numbers_and_units),
		cmocka_unit_test(parse__what_is_no_size),
		cmocka_unit_test(parse__more_than_64_bits),
		cmocka_unit_test(format__rounds_to_the_nearest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
