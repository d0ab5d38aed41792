/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies of disks that came by another way than the network: they become the first
 * point of a collection. What they are copies of nobody knows, so nothing but a
 * comparison can follow on them.
 */
#ifndef TIDEMARK_POINT_IMPORT_H
#define TIDEMARK_POINT_IMPORT_H

#include "point/merge.h"
#include "point/store.h"

/** struct import_result - what was taken over */
struct import_result {
	uint64_t point;
	uint64_t bytes;
	uint32_t disks;
};

/**
 * import_run() - take over what lies in a folder
 * @folder: holds COLLECTION/VM/DISK/replica.raw, as StartReplication to a folder
 *	leaves it; it is read only
 * @tick: asked between pieces
 *
 * All disks or none. Holes of the files stay holes. Blocks; any thread.
 *
 * Return: 0: it is a point, durably; -ENOENT: there are no copies of that collection;
 * -EEXIST: a replica of one of the disks is held already; -EBUSY; an errno. @reason is
 * filled.
 */
int import_run(struct store *s, const char *collection, const char *folder,
	       const struct merge_tick *tick, struct import_result *ret, struct reason *reason);

#endif
