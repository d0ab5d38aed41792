/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The catalog's stagings: what is durable of a run that has not been committed.
 * A disk has one at most. It goes when its disk gets a point, in the same
 * transaction, or is forgotten. See Documentation/replica.rst, "Resuming".
 */
#ifndef TIDEMARK_POINT_CATALOG_STAGING_H
#define TIDEMARK_POINT_CATALOG_STAGING_H

#include "point/catalog.h"

/* Where an extent's bytes are, besides places: they are zeroes; they are good no more. */
#define CATALOG_EXTENT_ZERO UINT64_MAX
#define CATALOG_EXTENT_STALE (UINT64_MAX - 1)

/** struct catalog_extent - a region of a disk; @place: in the staging's file */
struct catalog_extent {
	uint64_t offset;
	uint64_t span;
	uint64_t place;
};

/**
 * struct catalog_staging - a staging
 * @disk: id of its row
 * @mode: of the run, the wire's number
 * @tracker: that it came from
 * @epoch: the sealed epoch at whose moment its extents are the disk's bytes
 * @size: bytes of the disk
 * @granule: bytes
 * @base: number of the disk's newest point when it was begun, 0: none
 * @file: that the bytes are in; "": a device
 */
struct catalog_staging {
	int64_t disk;
	uint32_t mode;
	uint8_t tracker[STORE_UUID_SIZE];
	uint64_t epoch;
	uint64_t size;
	uint32_t granule;
	uint64_t base;
	char file[STORE_PATH_MAX + 16];
};

/** catalog_staging_find() - of a disk. Return: 1, 0: there is none, or errno */
int catalog_staging_find(struct catalog *c, int64_t disk, struct catalog_staging *ret);

/**
 * catalog_staging_settle() - extents are durable, all of them count for @s->epoch
 *
 * One transaction: the staging is as @s says now, with these extents after those it
 * had.
 */
int catalog_staging_settle(struct catalog *c, const struct catalog_staging *s,
			   const struct catalog_extent *extents, size_t count);

/**
 * catalog_staging_each() - all extents, in the order in which they were settled
 * @cb: called with so many at a time, with the catalog locked; other than 0 ends it
 */
int catalog_staging_each(struct catalog *c, int64_t disk,
			 int (*cb)(void *arg, const struct catalog_extent *extents, size_t count),
			 void *arg);

/** catalog_stagings() - all of them; @ret: to be freed */
int catalog_stagings(struct catalog *c, struct catalog_staging **ret, size_t *ret_count);

/** catalog_staging_forget() - there is none of this disk any more, durably */
int catalog_staging_forget(struct catalog *c, int64_t disk);

#endif
