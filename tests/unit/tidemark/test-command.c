// SPDX-License-Identifier: GPL-2.0-or-later
/* Exit codes. The command is no library: its file is compiled in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tidemark/command.c"

/* The numbers are a promise to scripts: written down once more, as numbers. */
static void exit_code__each_has_its_number(void **state)
{
	static const struct {
		int error;
		int code;
	} cases[] = {
		{ 0, 0 }, { EIO, 1 }, { EINVAL, 2 }, { E2BIG, 2 }, { ENOTBLK, 2 },
		{ EMEDIUMTYPE, 2 }, { ENAMETOOLONG, 2 }, { ENOENT, 3 }, { ENODEV, 3 },
		{ EACCES, 4 }, { EPERM, 4 }, { EOPNOTSUPP, 5 }, { ENOTTY, 5 }, { EPROTO, 5 },
		{ EINTR, 6 }, { ETIMEDOUT, 7 }, { EBUSY, 8 }, { EEXIST, 8 }, { EALREADY, 9 },
		{ ESTALE, 9 }, { ENODATA, 9 }, { EAGAIN, 9 }, { ENOPKG, 10 }, { ENOSYS, 10 },
		{ ECONNREFUSED, 10 }, { ENOMEM, 11 }, { 12345, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(exit_code_of(-cases[i].error), cases[i].code);
	assert_int_equal(EXIT_WARNINGS, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_code__each_has_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
