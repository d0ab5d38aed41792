/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_ATOMIC_H
#define SHIM_ATOMIC_H
typedef unsigned long atomic_long_t;
#define atomic_long_fetch_or(mask, word) __atomic_fetch_or(word, mask, __ATOMIC_SEQ_CST)
#define atomic_long_fetch_andnot(mask, word) __atomic_fetch_and(word, ~(mask), __ATOMIC_SEQ_CST)
#endif
