// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * uuid - the text form of a tracker's UUID
 */
#include "libtidemark/uuid.h"

#include <errno.h>
#include <string.h>

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int uuid_parse_text(const char *text, uint8_t ret[TIDEMARK_UUID_SIZE])
{
	uint8_t uuid[TIDEMARK_UUID_SIZE];
	const char *p = text;

	if (strlen(text) != 36)
		return -EINVAL;

	for (size_t i = 0; i < sizeof(uuid); i++) {
		int high, low;

		if (i == 4 || i == 6 || i == 8 || i == 10) {
			if (*p++ != '-')
				return -EINVAL;
		}
		high = hex_digit(p[0]);
		if (high < 0)
			return -EINVAL;
		low = hex_digit(p[1]);
		if (low < 0)
			return -EINVAL;
		uuid[i] = (uint8_t)(high << 4 | low);
		p += 2;
	}
	memcpy(ret, uuid, sizeof(uuid));
	return 0;
}
