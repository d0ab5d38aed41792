/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SHIM_COMPILER_H
#define SHIM_COMPILER_H
#define READ_ONCE(value) (*(const volatile __typeof__(value) *)&(value))
#endif
