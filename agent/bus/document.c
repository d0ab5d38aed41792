// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus/document.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bus/objects.h"

void document_put(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

void document_put_u64(struct json_object *o, const char *key, uint64_t value)
{
	document_put(o, key, json_object_new_uint64(value));
}

void document_put_text(struct json_object *o, const char *key, const char *value)
{
	char text[BUS_TEXT_SIZE];

	document_put(o, key,
		     value ? json_object_new_string(bus_text(value, text, sizeof(text))) : NULL);
}

void document_put_time(struct json_object *o, const char *key, int64_t value)
{
	char text[32];
	time_t t = value;
	struct tm tm;

	if (!value || !gmtime_r(&t, &tm)) {
		document_put(o, key, NULL);
		return;
	}
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	document_put_text(o, key, text);
}

void document_put_uuid(struct json_object *o, const char *key,
		       const uint8_t uuid[DOCUMENT_UUID_SIZE])
{
	static const uint8_t none[DOCUMENT_UUID_SIZE];
	char text[40];
	char *p = text;

	if (memcmp(uuid, none, sizeof(none)) == 0) {
		document_put(o, key, NULL);
		return;
	}
	for (size_t i = 0; i < DOCUMENT_UUID_SIZE; i++)
		p += snprintf(p, text + sizeof(text) - p, "%s%02x",
			      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
	document_put_text(o, key, text);
}

int document_end(struct json_object *o, char **ret)
{
	*ret = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						     JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return *ret ? 0 : -ENOMEM;
}
