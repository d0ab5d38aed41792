// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bus-json - what comes over D-Bus, as JSON
 */
#include "tidemark/bus-json.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void bus_json_key(const char *name, char *ret, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; name[i] && at + 2 < size; i++) {
		bool upper = isupper((unsigned char)name[i]);
		bool before = i && !isupper((unsigned char)name[i - 1]);
		/* the last capital of several begins a word: "VMState" is "vm_state" */
		bool after = i && name[i + 1] && islower((unsigned char)name[i + 1]) &&
			     name[i + 1] != 's';

		if (upper && (before || (i && after)))
			ret[at++] = '_';
		ret[at++] = (char)tolower((unsigned char)name[i]);
	}
	ret[at] = '\0';
}

static int value_read(sd_bus_message *m, struct json_object **ret, bool outermost);

static int json_basic(sd_bus_message *m, char type, struct json_object **ret)
{
	union {
		const char *s;
		int b;
		uint8_t y;
		uint16_t q;
		uint32_t u;
		uint64_t t;
		int16_t n;
		int32_t i;
		int64_t x;
		double d;
	} v;
	int err = sd_bus_message_read_basic(m, type, &v);

	if (err <= 0)
		return err < 0 ? err : -EBADMSG;
	switch (type) {
	case 's': case 'o': case 'g': *ret = json_object_new_string(v.s); break;
	case 'b': *ret = json_object_new_boolean(v.b); break;
	case 'y': *ret = json_object_new_uint64(v.y); break;
	case 'q': *ret = json_object_new_uint64(v.q); break;
	case 'u': *ret = json_object_new_uint64(v.u); break;
	case 't': *ret = json_object_new_uint64(v.t); break;
	case 'n': *ret = json_object_new_int64(v.n); break;
	case 'i': *ret = json_object_new_int64(v.i); break;
	case 'x': *ret = json_object_new_int64(v.x); break;
	case 'd': *ret = json_object_new_double(v.d); break;
	default: return -EBADMSG;
	}
	return *ret ? 0 : -ENOMEM;
}

/* The entries of an array of dictionary entries whose keys are strings. */
static int json_entries(sd_bus_message *m, const char *contents, struct json_object *object,
			bool outermost)
{
	char type[256];
	int err;

	/* contents is "{sX}" */
	if (strlen(contents) >= sizeof(type) || contents[1] != 's')
		return -EBADMSG;
	memcpy(type, contents + 1, strlen(contents) - 2);
	type[strlen(contents) - 2] = '\0';
	while ((err = sd_bus_message_enter_container(m, 'e', type)) > 0) {
		struct json_object *value = NULL;
		const char *name;
		char key[64];

		err = sd_bus_message_read(m, "s", &name);
		if (err >= 0)
			err = value_read(m, &value, false);
		if (err < 0)
			return err;
		/* the names of properties are ours to write; keys further in are data */
		if (outermost)
			bus_json_key(name, key, sizeof(key));
		else
			snprintf(key, sizeof(key), "%s", name);
		json_object_object_add(object, key, value);
		err = sd_bus_message_exit_container(m);
		if (err < 0)
			return err;
	}
	return err;
}

static int json_items(sd_bus_message *m, struct json_object *array)
{
	int err;

	while ((err = sd_bus_message_at_end(m, 0)) == 0) {
		struct json_object *value = NULL;

		err = value_read(m, &value, false);
		if (err < 0)
			return err;
		json_object_array_add(array, value);
	}
	return err < 0 ? err : 0;
}

static int value_read(sd_bus_message *m, struct json_object **ret, bool outermost)
{
	struct json_object *value;
	const char *contents;
	char type;
	int err = sd_bus_message_peek_type(m, &type, &contents);

	if (err <= 0)
		return err < 0 ? err : -EBADMSG;
	if (!strchr("avr", type))
		return json_basic(m, type, ret);
	err = sd_bus_message_enter_container(m, type, contents);
	if (err < 0)
		return err;
	if (type == 'v') {
		value = NULL;
		err = value_read(m, &value, outermost);
	} else if (type == 'a' && contents[0] == '{') {
		value = json_object_new_object();
		err = json_entries(m, contents, value, outermost);
	} else {
		value = json_object_new_array();
		err = json_items(m, value);
	}
	if (err >= 0)
		err = sd_bus_message_exit_container(m);
	if (err < 0)
		json_object_put(value);
	else
		*ret = value;
	return err < 0 ? err : 0;
}

int bus_json_value(sd_bus_message *m, struct json_object **ret)
{
	return value_read(m, ret, true);
}

int bus_json_structs(sd_bus_message *m, const char *const *keys, struct json_object **ret)
{
	struct json_object *rows = NULL, *array;
	int err = bus_json_value(m, &rows);

	if (err < 0)
		return err;
	array = json_object_new_array();
	for (size_t i = 0; i < json_object_array_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		struct json_object *object = json_object_new_object();

		for (size_t k = 0; k < json_object_array_length(row) && keys[k]; k++)
			json_object_object_add(object, keys[k],
					       json_object_get(json_object_array_get_idx(row, k)));
		json_object_array_add(array, object);
	}
	json_object_put(rows);
	*ret = array;
	return 0;
}

int bus_json_array(sd_bus_message *m, const char *const *keys, struct json_object **ret)
{
	const char *contents;
	char type;
	int err = sd_bus_message_peek_type(m, &type, &contents);

	if (err >= 0)
		err = sd_bus_message_enter_container(m, 'v', contents);
	if (err >= 0) {
		json_object_put(*ret);
		*ret = NULL;
		err = bus_json_structs(m, keys, ret);
	}
	return err < 0 ? err : sd_bus_message_exit_container(m);
}
