/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values of the configuration, from text. Pure. Each returns 0 or -EINVAL and
 * leaves its output untouched then.
 */
#ifndef TIDEMARK_CONFIG_VALUE_H
#define TIDEMARK_CONFIG_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/name.h"

/** value_bool() - yes, no */
int value_bool(const char *text, bool *ret);
/** value_uint() - a decimal number from @min to @max, nothing after it */
int value_uint(const char *text, uint32_t min, uint32_t max, uint32_t *ret);
/** value_log_level() - error, warning, notice, info, debug */
int value_log_level(const char *text, int *ret);
/** value_size() - bytes: a number with K, M or nothing after it; a power of two in bounds */
int value_size(const char *text, uint32_t min, uint32_t max, uint32_t *ret);
#define RATE_EXPECTED "bytes a second, 64K or more, or 0 (none)"
/** value_bytes() - bytes a second: 0, or 65536 and more; K, M or G may follow the number */
int value_bytes(const char *text, uint64_t *ret);
/** value_time_of_day() - HH:MM as seconds after midnight */
int value_time_of_day(const char *text, uint32_t *ret);
/**
 * value_endpoint() - HOST:PORT or [IPv6]:PORT
 * @ret_host: allocated
 * @ret_port: 1 to 65535
 */
int value_endpoint(const char *text, char **ret_host, uint16_t *ret_port);
/**
 * value_names() - NAME/NAME/NAME, each of them name_valid()
 * @count: how many are expected, at most 3
 * @ret: @count buffers
 */
int value_names(const char *text, int count, char ret[][NAME_SIZE]);

#endif
