/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sizes as people write and read them. Pure.
 */
#ifndef TIDEMARK_SIZE_H
#define TIDEMARK_SIZE_H

#include <stdint.h>

enum { SIZE_TEXT = 16 };

/**
 * size_parse() - read "65536", "64K", "64KiB", "4M", "1 GiB"
 * @text: a whole number and a unit: none or B bytes; K, M, G, T, P, E with or
 *	without "iB" are powers of 1024; either case
 * @ret: bytes
 *
 * "KB" and its like are refused: half of the people mean 1000 by it.
 *
 * Return: 0; -EINVAL: not a size; -ERANGE: more than 64 bits.
 */
int size_parse(const char *text, uint64_t *ret);

/**
 * size_format() - write "0", "512 B", "64 KiB", "1.2 GiB"
 * @bytes: the size
 * @ret: the text; one decimal below 10 of a unit unless it is a whole number,
 *	rounded to the nearest
 *
 * Return: @ret.
 */
char *size_format(uint64_t bytes, char ret[SIZE_TEXT]);

#endif
