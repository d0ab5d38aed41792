/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the agent's documents: a member that is missing, null or of another
 * sort reads as nothing.
 */
#ifndef TIDEMARK_JSON_H
#define TIDEMARK_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** json_member() - NULL: there is none, or it is null */
static inline struct json_object *json_member(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	return o && json_object_object_get_ex(o, name, &v) ? v : NULL;
}

/** json_text() - NULL: there is none */
static inline const char *json_text(struct json_object *o, const char *name)
{
	struct json_object *v = json_member(o, name);

	return v ? json_object_get_string(v) : NULL;
}

/** json_number() - 0: there is none */
static inline uint64_t json_number(struct json_object *o, const char *name)
{
	struct json_object *v = json_member(o, name);

	return v ? json_object_get_uint64(v) : 0;
}

/** json_has() - is it there, and not null? */
static inline bool json_has(struct json_object *o, const char *name)
{
	return json_member(o, name) != NULL;
}

/** json_length() - of an array; 0: there is none */
static inline size_t json_length(struct json_object *o, const char *name)
{
	struct json_object *v = json_member(o, name);

	return v && json_object_is_type(v, json_type_array) ? json_object_array_length(v) : 0;
}

/** json_item() - of an array that is there */
static inline struct json_object *json_item(struct json_object *o, const char *name, size_t i)
{
	return json_object_array_get_idx(json_member(o, name), i);
}

/** json_each() - for each member of an object; json_key() and json_value() of @i */
#define json_each(o, i) \
	for (struct json_object_iterator i = json_object_iter_begin(o), \
	     i##_end = json_object_iter_end(o); \
	     !json_object_iter_equal(&(i), &i##_end); json_object_iter_next(&(i)))

static inline const char *json_key(const struct json_object_iterator *i)
{
	return json_object_iter_peek_name(i);
}

static inline struct json_object *json_value(const struct json_object_iterator *i)
{
	return json_object_iter_peek_value(i);
}

#endif
