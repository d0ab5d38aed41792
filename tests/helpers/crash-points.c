// SPDX-License-Identifier: GPL-2.0-or-later
/* Prints the names of all crash points, for tests that go through them. */
#include <stdio.h>

#include "base/crash.h"

int main(void)
{
	for (const char *const *name = crash_names(); *name; name++)
		puts(*name);
	return 0;
}
