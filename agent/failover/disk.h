/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The disk of a VM at a point, to be written to: a qcow2 overlay over the
 * point's layer. It is thrown away, or merged into the raw replica.
 */
#ifndef TIDEMARK_FAILOVER_DISK_H
#define TIDEMARK_FAILOVER_DISK_H

#include "point/catalog-origin.h"
#include "point/merge.h"
#include "point/store.h"

struct ring;

/** disk_path() - of such a file; @name: STORE_FAILOVER or STORE_TEST */
int disk_path(struct store *s, const struct catalog_disk *d, const char *name,
	      char ret[STORE_PATH_MAX]);

/**
 * disk_make() - an empty overlay over a disk at a point, durably
 *
 * One that is there stays as it is. Return: 1: the disk has nothing for that
 * point, and no file was made; 0; or a negative errno.
 */
int disk_make(struct store *s, const struct catalog_disk *d, uint64_t point, const char *name,
	      struct reason *reason);

/** disk_judge_file() - the same for any image, or device, of a VM */
int disk_judge_file(const char *path, const char *vm, struct reason *reason);
/** disk_judge_idle() - does any QEMU have it open? Return: 0, or -EBUSY with @reason */
int disk_judge_idle(struct store *s, const struct catalog_disk *d, const char *name,
		    struct reason *reason);

/** disk_drop() - throw it away, durably; that it is not there is fine */
int disk_drop(struct store *s, const struct catalog_disk *d, const char *name,
	      struct reason *reason);

/**
 * disk_origin() - what a disk is, and what is cut off with the points after one
 * @ret: for catalog_cut(), to be cleared; .disk stays 0: nothing can be said of it, or
 *	it has been said
 */
int disk_origin(struct store *s, const struct catalog_disk *d, uint64_t point,
		struct catalog_origin *ret);

/**
 * disk_take() - merge it into the raw replica, which is the point already
 *
 * That it is not there is fine: it was merged before.
 */
int disk_take(struct store *s, const struct catalog_disk *d, const char *name, struct ring *ring,
	      const struct merge_tick *tick, struct reason *reason);

#endif
