// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Names on the bus: object paths both ways, and errors for codes.
 */
#include "bus/objects.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *bus_job_path(uint64_t id, char ret[BUS_PATH_SIZE])
{
	if (id)
		snprintf(ret, BUS_PATH_SIZE, BUS_JOB_PATH "/%" PRIu64, id);
	else
		snprintf(ret, BUS_PATH_SIZE, "/");
	return ret;
}

const char *bus_collection_path(const char *collection, char ret[BUS_PATH_SIZE])
{
	_cleanup_free_ char *path = NULL;

	if (sd_bus_path_encode(BUS_COLLECTION_PATH, collection, &path) < 0)
		snprintf(ret, BUS_PATH_SIZE, "/");
	else
		snprintf(ret, BUS_PATH_SIZE, "%s", path);
	return ret;
}

const char *bus_vm_path(const char *collection, const char *vm, char ret[BUS_PATH_SIZE])
{
	_cleanup_free_ char *path = NULL;

	if (sd_bus_path_encode_many(&path, BUS_COLLECTION_PATH "/%/VM/%", collection, vm) < 0)
		snprintf(ret, BUS_PATH_SIZE, "/");
	else
		snprintf(ret, BUS_PATH_SIZE, "%s", path);
	return ret;
}

bool bus_job_of(const char *path, uint64_t *ret)
{
	char again[BUS_PATH_SIZE];
	uint64_t id;

	if (sscanf(path, BUS_JOB_PATH "/%" SCNu64, &id) != 1)
		return false;
	/* one number has one path: no zeroes in front, no overflow */
	if (!id || strcmp(bus_job_path(id, again), path) != 0)
		return false;
	*ret = id;
	return true;
}

static bool name_copy(const char *name, char ret[NAME_SIZE])
{
	if (!name || !name_valid(name))
		return false;
	snprintf(ret, NAME_SIZE, "%s", name);
	return true;
}

bool bus_collection_of(const char *path, char ret[NAME_SIZE])
{
	_cleanup_free_ char *name = NULL;

	return sd_bus_path_decode_many(path, BUS_COLLECTION_PATH "/%", &name) > 0 &&
	       name_copy(name, ret);
}

bool bus_vm_of(const char *path, char ret_collection[NAME_SIZE], char ret_vm[NAME_SIZE])
{
	_cleanup_free_ char *collection = NULL;
	_cleanup_free_ char *vm = NULL;

	return sd_bus_path_decode_many(path, BUS_COLLECTION_PATH "/%/VM/%", &collection, &vm) > 0 &&
	       name_copy(collection, ret_collection) && name_copy(vm, ret_vm);
}

/* -- texts ------------------------------------------------------------------ */

/* How many bytes the character there has; 0: it is none of UTF-8's (RFC 3629). */
static size_t utf8_length(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t length = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

	if (p[0] > 0x7f && (p[0] < 0xc2 || p[0] > 0xf4))
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return length;
}

const char *bus_text(const char *text, char *ret, size_t size)
{
	size_t at = 0;

	if (!text || !size)
		return "";
	while (*text && at + 1 < size) {
		size_t length = utf8_length(text);

		if (at + length + 1 > size)
			break;
		if (length)
			memcpy(ret + at, text, length);
		else
			ret[at] = '?';
		at += length ? length : 1;
		text += length ? length : 1;
	}
	ret[at] = '\0';
	return ret;
}

static const char *bus_error_name(uint32_t code)
{
#define NAME(code) [(code) - REASON_FAILED]
	static const char *const names[] = {
		NAME(REASON_FAILED) = BUS_NAME ".Error.Failed",
		NAME(REASON_ACCESS_DENIED) = SD_BUS_ERROR_ACCESS_DENIED,
		NAME(REASON_NOT_SUPPORTED) = SD_BUS_ERROR_NOT_SUPPORTED,
		NAME(REASON_UNKNOWN) = BUS_NAME ".Error.StatusUnknown",
		NAME(REASON_TIMEOUT) = SD_BUS_ERROR_TIMEOUT,
		NAME(REASON_INVALID_PARAMETER) = SD_BUS_ERROR_INVALID_ARGS,
		NAME(REASON_IN_USE) = BUS_NAME ".Error.InUse",
		NAME(REASON_INVALID_STATE) = BUS_NAME ".Error.InvalidState",
		NAME(REASON_WRONG_TYPE) = SD_BUS_ERROR_INVALID_ARGS,
		NAME(REASON_NOT_AVAILABLE) = BUS_NAME ".Error.NotAvailable",
		NAME(REASON_NO_MEMORY) = SD_BUS_ERROR_NO_MEMORY,
		NAME(REASON_NOT_FOUND) = SD_BUS_ERROR_FILE_NOT_FOUND,
	};
#undef NAME

	if (code < REASON_FAILED || code - REASON_FAILED >= ARRAY_SIZE(names))
		return names[0];
	return names[code - REASON_FAILED];
}

int bus_refuse(sd_bus_error *error, const struct reason *reason)
{
	uint32_t code = reason->code ? reason->code : REASON_FAILED;
	char text[REASON_TEXT_MAX];

	bus_text(reason->text[0] ? reason->text : "failed", text, sizeof(text));
	return sd_bus_error_setf(error, bus_error_name(code), "%u: %s", code, text);
}
