/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The catalog's part in giving up a collection. See clear.h.
 */
#ifndef TIDEMARK_POINT_CATALOG_CLEAR_H
#define TIDEMARK_POINT_CATALOG_CLEAR_H

#include "point/catalog.h"

/**
 * struct catalog_spared - a disk whose raw replica keeps its bytes
 * @disk: id of its row
 * @path: of a file in the store that is nobody else's: the row says that from here on
 */
struct catalog_spared {
	int64_t disk;
	char path[STORE_PATH_MAX];
};

/**
 * catalog_clear() - all points of a collection are given up, in one step
 * @spared: @count of them: what they were is forgotten, and no file is removed for them
 *
 * Its disks are in files that were begun from here on, without anything in them that
 * anybody may rely on: recovery removes the files, and the rows. The collection's own row
 * stays, for the number of a point is used once.
 */
int catalog_clear(struct catalog *c, const char *collection, const struct catalog_spared *spared,
		  size_t count);

/** catalog_cleared() - the files are gone: forget, durably, the disks of a cleared collection */
int catalog_cleared(struct catalog *c, const char *collection);

#endif
