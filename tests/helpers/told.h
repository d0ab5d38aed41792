/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that a benchmark starts before its clock, as services run before they have
 * work: it says "ready", begins when it is told by a byte on stdin, and says "done".
 */
#ifndef TIDEMARK_TESTS_TOLD_H
#define TIDEMARK_TESTS_TOLD_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/** told_begin() - wait until told; an end of stdin ends the program */
static inline void told_begin(void)
{
	puts("ready");
	fflush(stdout);
	if (getchar() == EOF)
		exit(1);
}

/** told_end() - all that is measured has been done */
static inline void told_end(void)
{
	puts("done");
	fflush(stdout);
}

#endif
