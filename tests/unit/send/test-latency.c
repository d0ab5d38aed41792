// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/util.h"
#include "send/latency.h"

static void parse__fields(void **state)
{
	/* As Linux 6.1 has it, with discards and flushes; and as before 4.18. */
	static const char *const texts[] = {
		"     101        2      303      404      505        6      707      808        3"
		"      901     1212        1        0        8        5        9       10\n",
		"101 2 303 404 505 6 707 808 3 901 1212",
	};
	struct latency_stat stat;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		assert_int_equal(latency_parse(texts[i], &stat), 0);
		assert_int_equal(stat.ios, 606);
		assert_int_equal(stat.ticks_ms, 1212);
		assert_int_equal(stat.in_flight, 3);
	}
}

static void parse__refuses(void **state)
{
	struct latency_stat stat = { 7, 7, 7 };

	assert_int_equal(latency_parse("", &stat), -EINVAL);
	assert_int_equal(latency_parse("1 2 3 4 5 6 7 8", &stat), -EINVAL);
	assert_int_equal(latency_parse("a b c d e f g h i", &stat), -EINVAL);
	assert_int_equal(stat.ios, 7);
}

static void mean__of_what_ended(void **state)
{
	const struct latency_stat before = { 100, 1000, 1 };

	/* 40 requests took 100 ms together. */
	assert_int_equal(latency_mean(&before, &(struct latency_stat){ 140, 1100, 0 }, 1000000), 2500);
	assert_int_equal(latency_mean(&before, &(struct latency_stat){ 140, 1000, 0 }, 1000000), 0);
	/* Nothing ended: nothing to do, or one that has been on its way all the time. */
	assert_int_equal(latency_mean(&before, &(struct latency_stat){ 100, 1000, 0 }, 1000000), 0);
	assert_int_equal(latency_mean(&before, &(struct latency_stat){ 100, 1000, 2 }, 1000000),
			 1000000);
	assert_int_equal(latency_mean(&(struct latency_stat){ 100, 1000, 0 },
				      &(struct latency_stat){ 100, 1000, 2 }, 1000000), 0);
	/* Another device has taken the place of this one. */
	assert_int_equal(latency_mean(&before, &(struct latency_stat){ 3, 1, 1 }, 1000000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse__fields),
		cmocka_unit_test(parse__refuses),
		cmocka_unit_test(mean__of_what_ended),
	};

	return cmocka_run_group_tests_name("send/latency", tests, NULL, NULL);
}
