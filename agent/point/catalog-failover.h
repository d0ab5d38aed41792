/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The catalog's failovers: which collection is being tested, or has been failed
 * over to, at which point. See catalog.h for the rest.
 */
#ifndef TIDEMARK_POINT_CATALOG_FAILOVER_H
#define TIDEMARK_POINT_CATALOG_FAILOVER_H

#include "point/catalog-origin.h"

/** enum failover_kind - the two can be side by side: a test goes on in a failover */
enum failover_kind {
	FAILOVER_TEST = 1,
	FAILOVER_REAL = 2,
};

/** enum failover_state - of a real one; a test is FAILOVER_MADE */
enum failover_state {
	FAILOVER_MADE = 1,	 /* the disks are throw-away overlays over the point */
	FAILOVER_COMMITTING = 2, /* the raw replicas become the disks */
	FAILOVER_COMMITTED = 3,	 /* they are */
	FAILOVER_REVERSED = 4,	 /* and this host is the primary */
};

/**
 * struct catalog_failover - a row
 * @collection: name
 * @kind: enum failover_kind
 * @state: enum failover_state
 * @point: number
 * @path: folder of the sockets through which the disks are exported, "": they are not
 */
struct catalog_failover {
	char collection[NAME_SIZE];
	enum failover_kind kind;
	enum failover_state state;
	uint64_t point;
	char path[256];
};

/** catalog_failover_set() - record it, durably, in the place of what was there */
int catalog_failover_set(struct catalog *c, const struct catalog_failover *f);
/** catalog_failover_find() - Return: 1: there is one, 0, or errno */
int catalog_failover_find(struct catalog *c, const char *collection, enum failover_kind kind,
			  struct catalog_failover *ret);
/** catalog_failover_clear() - it is over */
int catalog_failover_clear(struct catalog *c, const char *collection, enum failover_kind kind);
/** catalog_failovers() - all of them; @ret: to be freed */
int catalog_failovers(struct catalog *c, struct catalog_failover **ret, size_t *ret_count);

/**
 * catalog_cut() - the points after one are given up, in one step
 * @point: the newest from here on, of all disks of the collection; it alone is kept
 * @origins: @count of them: what the disks were, and which ranges of them the later
 *	points have changed
 *
 * Layers of later points are forgotten: their files are to be removed.
 */
int catalog_cut(struct catalog *c, const char *collection, uint64_t point,
		const struct catalog_origin *origins, size_t count);

/**
 * catalog_taken() - the raw replica of a disk has become a disk that is written to
 *
 * @disk: its row, the ranges that came with it, and the witness as it is now
 *
 * Its points mean nothing any more, and no run can build on it.
 */
int catalog_taken(struct catalog *c, const struct catalog_origin *disk);

#endif
