/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UUIDs as text: 8-4-4-4-12 hexadecimal digits. No part of the public interface.
 */
#ifndef LIBTIDEMARK_UUID_H
#define LIBTIDEMARK_UUID_H

#include <stdint.h>

#include <linux/tidemark.h>

/**
 * uuid_parse_text() - read a UUID
 * @text: exactly 36 characters, digits of either case
 * @ret: its bytes, in the order of the text
 *
 * Return: 0, or -EINVAL when @text is none.
 */
int uuid_parse_text(const char *text, uint8_t ret[TIDEMARK_UUID_SIZE]);

#endif
