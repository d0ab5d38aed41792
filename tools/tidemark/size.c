// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * size - sizes as people write and read them
 */
#include "tidemark/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char size_units[] = "KMGTPE";

/* The shift of a unit, or -EINVAL. */
static int size_unit(const char *text)
{
	const char *unit;

	if (!*text || !strcasecmp(text, "B"))
		return 0;
	unit = strchr(size_units, toupper((unsigned char)*text));
	if (!unit)
		return -EINVAL;
	if (text[1] && strcasecmp(text + 1, "iB"))
		return -EINVAL;
	return 10 * (int)(unit - size_units + 1);
}

int size_parse(const char *text, uint64_t *ret)
{
	uint64_t value = 0;
	int shift;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++) {
		unsigned int digit = (unsigned int)(*text - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	if (*text == ' ' && text[1])
		text++;

	shift = size_unit(text);
	if (shift < 0)
		return shift;
	if (shift && value > UINT64_MAX >> shift)
		return -ERANGE;
	*ret = value << shift;
	return 0;
}

char *size_format(uint64_t bytes, char ret[SIZE_TEXT])
{
	uint64_t whole = bytes, rest = 0, tenths;
	int unit = -1;

	if (!bytes) {
		snprintf(ret, SIZE_TEXT, "0");
		return ret;
	}
	while (whole >= 1024) {
		/* what was below is less than a 1024th of what is now */
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	if (unit < 0) {
		snprintf(ret, SIZE_TEXT, "%" PRIu64 " B", whole);
		return ret;
	}

	tenths = (rest * 10 + 512) / 1024;
	if (tenths == 10 || (whole >= 10 && rest >= 512)) {
		whole++;
		tenths = 0;
	}
	if (whole == 1024 && size_units[unit + 1]) {
		whole = 1;
		unit++;
	}
	if (whole < 10 && tenths)
		snprintf(ret, SIZE_TEXT, "%" PRIu64 ".%" PRIu64 " %ciB", whole, tenths,
			 size_units[unit]);
	else
		snprintf(ret, SIZE_TEXT, "%" PRIu64 " %ciB", whole, size_units[unit]);
	return ret;
}
