// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libtidemark/tidemark.h"

static void reason__each_has_a_name_of_its_own(void **state)
{
	for (uint32_t a = 1; a <= TIDEMARK_REASON_DROPPED; a <<= 1) {
		assert_string_not_equal(tidemark_reason_name(a), "unknown");
		for (uint32_t b = 1; b < a; b <<= 1)
			assert_string_not_equal(tidemark_reason_name(a), tidemark_reason_name(b));
	}
	assert_string_equal(tidemark_reason_name(TIDEMARK_REASON_BYPASSED), "bypassed");
	assert_string_equal(tidemark_reason_name(0), "unknown");
	assert_string_equal(tidemark_reason_name(3), "unknown");
	assert_string_equal(tidemark_reason_name(1U << 31), "unknown");
}

static void reason__text_exactly_for_the_unreliable_ones(void **state)
{
	for (uint32_t a = 1; a; a <<= 1) {
		const char *text = tidemark_unreliable_text(a);

		assert_int_equal(text != NULL, (a & TIDEMARK_REASON_UNRELIABLE) != 0);
	}
	assert_null(tidemark_unreliable_text(0));
	/* among others that it is not for */
	assert_string_equal(tidemark_unreliable_text(TIDEMARK_REASON_UNCLEAN |
						     TIDEMARK_REASON_GAP),
			    tidemark_unreliable_text(TIDEMARK_REASON_GAP));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reason__each_has_a_name_of_its_own),
		cmocka_unit_test(reason__text_exactly_for_the_unreliable_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
