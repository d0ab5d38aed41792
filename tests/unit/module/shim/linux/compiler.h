/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_COMPILER_H
#define SHIM_COMPILER_H
/* in the kernel volatile is enough, in C it is no atomic access */
#define READ_ONCE(value) __atomic_load_n(&(value), __ATOMIC_RELAXED)
#endif
