/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIDEMARK_BASE_NAME_H
#define TIDEMARK_BASE_NAME_H

#include <stdbool.h>

#define NAME_SIZE 64 /* with the NUL */

/**
 * name_valid() - may this be the name of a collection, VM or disk?
 * @name: NUL-terminated
 *
 * 1 to 63 of A-Z a-z 0-9 . _ - and no dot or dash in front: a name becomes a
 * folder on the replica host, so it can neither climb nor look like an option.
 */
bool name_valid(const char *name);

#endif
