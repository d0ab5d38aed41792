/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Retention: which points are kept, and the work that makes layers fewer when
 * one is not kept any more. The oldest layer of a disk is the raw replica: the
 * one above it is merged into it (merge.h). In the middle two become one
 * (join.h). Each step can be cut short anywhere, and is begun anew.
 */
#ifndef TIDEMARK_POINT_RETAIN_H
#define TIDEMARK_POINT_RETAIN_H

#include "point/merge.h"
#include "point/store.h"

struct ring;

/** So many further points can be kept at most: RecoveryHistory. */
#define RETAIN_HISTORY_MAX 24

/**
 * retain_run() - retire what is beyond the limit, and do the work
 * @collection: claimed by the caller
 * @ring: of this thread; what else is on it goes on
 * @tick: asked between pieces; NULL is allowed
 *
 * Return: 0 (also when there is nothing to do) or a negative errno; every point
 * that is kept stands as it was then, openable as before.
 */
int retain_run(struct store *s, const char *collection, struct ring *ring,
	       const struct merge_tick *tick, struct reason *reason);

/**
 * retain_crowded() - has a disk so many layers that a run must not add one?
 *
 * That is so only if retain_run() has failed for many runs.
 */
bool retain_crowded(struct store *s, const char *collection);

/**
 * retain_pending() - a collection for which retain_run() has something to do
 * @after: the last one that was returned, "" at first
 * @ret: its name
 *
 * Return: 1: there is one, 0: no more, or a negative errno.
 */
int retain_pending(struct store *s, const char *after, char ret[NAME_SIZE]);

/**
 * retain_mend() - set aside the layers of a disk that cannot be read
 * @d: the collection is claimed by the caller
 *
 * The lowest of them and all that lie over it. The disk is *damaged* then: what
 * is left of it can be compared.
 *
 * Return: 1: there were some; 0; or a negative errno.
 */
int retain_mend(struct store *s, const struct catalog_disk *d);

/**
 * retain_backing() - by which name an overlay names the raw replica
 * @raw: its path; @folder: that the overlay lies in
 *
 * By its bare name in the same folder, which can be moved then; else by its path.
 */
void retain_backing(const char *raw, const char *folder, char ret[STORE_PATH_MAX]);

/**
 * retain_recover() - write the headers of a collection that were left to be written
 *
 * Before anything is removed: until then a file may be needed under its old name.
 */
int retain_recover(struct store *s, const char *collection, struct reason *reason);

#endif
