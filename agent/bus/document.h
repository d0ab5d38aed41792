/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Documents: what the agent tells as JSON. Integers are integers, sizes are bytes,
 * times are ISO 8601 in UTC; members are only added.
 */
#ifndef TIDEMARK_BUS_DOCUMENT_H
#define TIDEMARK_BUS_DOCUMENT_H

#include <json-c/json.h>
#include <stdint.h>

#define DOCUMENT_SCHEMA "tidemark/1"
#define DOCUMENT_UUID_SIZE 16

/** document_put() - add a member; @value is taken over, NULL is null */
void document_put(struct json_object *o, const char *key, struct json_object *value);
void document_put_u64(struct json_object *o, const char *key, uint64_t value);
/** document_put_text() - what is no UTF-8 becomes '?'; NULL is null */
void document_put_text(struct json_object *o, const char *key, const char *value);
/** document_put_time() - @value: seconds since 1970; 0 is null */
void document_put_time(struct json_object *o, const char *key, int64_t value);
/** document_put_uuid() - with dashes; one of zeroes is null */
void document_put_uuid(struct json_object *o, const char *key,
		       const uint8_t uuid[DOCUMENT_UUID_SIZE]);
/** document_end() - to text, allocated; @o is put. Return: 0 or -ENOMEM */
int document_end(struct json_object *o, char **ret);

#endif
