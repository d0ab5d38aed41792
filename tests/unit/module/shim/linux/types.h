/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the pure files of module/ want from the kernel, in user space. Only
 * what they use; the tests of module/ in a guest have the real thing.
 */
#ifndef SHIM_TYPES_H
#define SHIM_TYPES_H
#include_next <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;
#define BITS_PER_LONG ((unsigned int)(8 * sizeof(long)))
#define BITS_TO_LONGS(bits) (((bits) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#endif
