/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * XXH3 as fast as this processor has it: on x86 the library looks once which vectors
 * there are. Inlined it would be compiled for the least of all, at a third of the speed.
 */
#ifndef TIDEMARK_BASE_XXH3_H
#define TIDEMARK_BASE_XXH3_H

/* XXH3_state_t on the stack */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>
#if defined(__x86_64__) && __has_include(<xxh_x86dispatch.h>)
#include <xxh_x86dispatch.h>
#endif

#endif
