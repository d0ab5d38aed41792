/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The folder that a test works in, which is mkdtemp()'s. */
#ifndef TIDEMARK_TESTS_UNIT_SCRATCH_H
#define TIDEMARK_TESTS_UNIT_SCRATCH_H

#include <stdio.h>
#include <stdlib.h>

/** scratch_remove() - with all that is in it. Return: 0, or it is still there */
static inline int scratch_remove(const char *folder)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

#endif
