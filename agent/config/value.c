// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/name.h"
#include "base/util.h"

int value_bool(const char *text, bool *ret)
{
	if (strcmp(text, "yes") == 0)
		*ret = true;
	else if (strcmp(text, "no") == 0)
		*ret = false;
	else
		return -EINVAL;
	return 0;
}

/* Digits only: strtoul() would take signs and spaces. */
static int value_number(const char *text, size_t length, uint64_t *ret)
{
	uint64_t v = 0;

	if (length == 0 || length > 10)
		return -EINVAL;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		v = v * 10 + (text[i] - '0');
	}
	*ret = v;
	return 0;
}

int value_uint(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
	uint64_t v;

	if (value_number(text, strlen(text), &v) || v < min || v > max)
		return -EINVAL;
	*ret = v;
	return 0;
}

int value_size(const char *text, uint32_t min, uint32_t max, uint32_t *ret)
{
	size_t length = strlen(text);
	uint64_t unit = 1;
	uint64_t v;

	if (length && text[length - 1] == 'K')
		unit = KIB(1);
	else if (length && text[length - 1] == 'M')
		unit = MIB(1);
	if (value_number(text, length - (unit > 1), &v))
		return -EINVAL;
	v *= unit;
	if (v < min || v > max || !u64_is_power_of_2(v))
		return -EINVAL;
	*ret = v;
	return 0;
}

int value_bytes(const char *text, uint64_t *ret)
{
	static const char units[] = "KMG";
	size_t length = strlen(text);
	const char *unit = length ? strchr(units, text[length - 1]) : NULL;
	uint64_t v;

	if (value_number(text, length - !!unit, &v))
		return -EINVAL;
	if (unit)
		v <<= 10 * (unit - units + 1);
	if (v && v < KIB(64))
		return -EINVAL;
	*ret = v;
	return 0;
}

int value_time_of_day(const char *text, uint32_t *ret)
{
	uint64_t hour, minute;

	if (strlen(text) != 5 || text[2] != ':' || value_number(text, 2, &hour) ||
	    value_number(text + 3, 2, &minute) || hour > 23 || minute > 59)
		return -EINVAL;
	*ret = hour * 3600 + minute * 60;
	return 0;
}

int value_log_level(const char *text, int *ret)
{
	static const char *const levels[] = {
		[LOG_ERR] = "error",   [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
		[LOG_INFO] = "info", [LOG_DEBUG] = "debug",
	};

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (levels[i] && strcmp(text, levels[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

int value_endpoint(const char *text, char **ret_host, uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	size_t length;
	uint32_t port;
	char *copy;

	if (!colon || value_uint(colon + 1, 1, 65535, &port))
		return -EINVAL;
	length = colon - text;
	if (length > 2 && text[0] == '[' && colon[-1] == ']') {
		host++;
		length -= 2;
	}
	/* No colon outside of brackets: where would the port of an IPv6 address begin? */
	if (length == 0 || strcspn(host, host == text ? "[]:" : "[]") != length)
		return -EINVAL;
	copy = strndup(host, length);
	if (!copy)
		return -ENOMEM;
	*ret_host = copy;
	*ret_port = port;
	return 0;
}

int value_names(const char *text, int count, char ret[][NAME_SIZE])
{
	char names[3][NAME_SIZE];

	for (int i = 0; i < count; i++) {
		size_t length = strcspn(text, "/");

		if (length >= NAME_SIZE || (text[length] == '/') != (i < count - 1))
			return -EINVAL;
		memcpy(names[i], text, length);
		names[i][length] = '\0';
		if (!name_valid(names[i]))
			return -EINVAL;
		text += length + 1;
	}
	memcpy(ret, names, count * sizeof(names[0]));
	return 0;
}
