/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Recovery: what lies in the store's folders and is not in the database is
 * left over from a crash, and goes.
 */
#ifndef TIDEMARK_POINT_RECOVER_H
#define TIDEMARK_POINT_RECOVER_H

#include "point/catalog-point.h"
#include "point/catalog-staging.h"

/** recover_is_partial() - is a file of this name under way? It survives a start if it is a staging's */
bool recover_is_partial(const char *name);
/** recover_is_point() - is it "point-N.qcow2"? Such a file survives if it is in the database */
bool recover_is_point(const char *name);

/** recover_is_damaged() - was it a point that cannot be read? It goes when its disk has none */
bool recover_is_damaged(const char *name);

/**
 * struct recover_known - what the database says of files
 * @disks: all rows
 * @files: all overlays
 * @kept: stagings, whose files stay
 * @running: this is no start: others may be at work on what needs no claim
 */
struct recover_known {
	const struct catalog_disk *disks;
	size_t disk_count;
	const struct catalog_file *files;
	size_t file_count;
	const struct catalog_staging *kept;
	size_t kept_count;
	bool running;
};

/**
 * recover_each() - the collections of a store: of which there are rows, or a folder
 * @dir: of the store
 * @each: called for each, once; what it returns other than 0 ends it
 */
int recover_each(const char *dir, const struct recover_known *known,
		 int (*each)(void *arg, const char *collection), void *arg);

/**
 * recover_collection() - remove the overlays of a collection that the database does not know
 * @dir: of the store
 *
 * Only files with names that we give are removed, and only three folders deep
 * in the store.
 */
int recover_collection(const char *dir, const char *collection, const struct recover_known *known,
		       struct reason *reason);

/**
 * recover_cleared() - the same, and the raw replicas of it that are begun and have no point
 *
 * Those lie where their rows say.
 */
int recover_cleared(const char *dir, const char *collection, const struct recover_known *known,
		    struct reason *reason);

#endif
