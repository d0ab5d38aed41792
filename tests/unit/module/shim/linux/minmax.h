/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_MINMAX_H
#define SHIM_MINMAX_H
#define min(a, b) ((a) < (b) ? (a) : (b))
#define min_t(type, a, b) ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#endif
