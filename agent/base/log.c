// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int log_level = LOG_INFO;

void log_set_level(int priority)
{
	log_level = priority;
}

void log_write(int priority, const char *format, ...)
{
	/* systemd reads "<3>" in front of a line as its priority. */
	bool journal = getenv("JOURNAL_STREAM") != NULL;
	char line[1024];
	va_list args;

	if (priority > log_level)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	/* One call, so that lines of several threads do not mix. */
	if (journal)
		fprintf(stderr, "<%d>%s\n", priority, line);
	else
		fprintf(stderr, "tidemarkd: %s\n", line);
}
