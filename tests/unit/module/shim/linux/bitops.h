/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_BITOPS_H
#define SHIM_BITOPS_H
#define hweight_long(word) ((unsigned int)__builtin_popcountl(word))
#endif
