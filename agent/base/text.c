// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * The bytes of the UTF-8 character at @s, or 0: it is none. Overlong forms,
 * surrogates and what is beyond U+10FFFF are none.
 */
static size_t char_size(const uint8_t *s)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t size = s[0] < 0x80 ? 1 : s[0] < 0xc0 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 :
		      s[0] < 0xf8 ? 4 : 0;
	uint32_t value;

	if (size < 2)
		return size;
	value = s[0] & (0x7f >> size);
	for (size_t i = 1; i < size; i++) {
		/* also the end of the text */
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (s[i] & 0x3f);
	}
	if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return 0;
	return size;
}

/* Is there nothing at @s but the beginning of a character? */
static bool is_cut_off(const uint8_t *s)
{
	size_t left = strlen((const char *)s);

	if (s[0] < 0xc2 || s[0] > 0xf4 || left >= (s[0] < 0xe0 ? 2u : s[0] < 0xf0 ? 3u : 4u))
		return false;
	for (size_t i = 1; i < left; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return false;
	}
	return true;
}

/* U+0080 to U+009F steer terminals, too. */
static bool is_control(const uint8_t *s, size_t size)
{
	return s[0] < 0x20 || s[0] == 0x7f || (size == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

void text_clean(char *text)
{
	uint8_t *s = (uint8_t *)text;

	while (*s) {
		size_t size = char_size(s);

		if (!size && is_cut_off(s)) {
			*s = '\0';
			return;
		}
		if (!size || is_control(s, size)) {
			memset(s, '?', size ? size : 1);
			s += size ? size : 1;
			continue;
		}
		s += size;
	}
}
