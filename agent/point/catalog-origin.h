/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The catalog's origins: of a disk that was failed over to for good, what it was
 * as a replica, and in which ranges it is not that any more. With that, and what
 * the old primary's tracker has marked, the way back is short; replica.rst argues
 * it. An origin is forgotten with its disk's row.
 */
#ifndef TIDEMARK_POINT_CATALOG_ORIGIN_H
#define TIDEMARK_POINT_CATALOG_ORIGIN_H

#include "point/catalog.h"
#include "point/witness.h"

/** struct catalog_range - bytes of a disk */
struct catalog_range {
	uint64_t offset;
	uint64_t span;
};

/**
 * struct catalog_origin - of a disk
 * @disk: id of its row
 * @tracker: that the replica came from
 * @epoch: of its newest point, before the failover's point became that
 * @size: bytes, at both of these points
 * @witness: of the raw replica, when the failover had been merged into it; "": it
 *	has not, or that cannot be told
 * @covered: @cover has tracked the disk since nobody had written to it
 * @cover: UUID
 * @cover_epoch: its committed epoch at that time
 * @ranges: where the disk differs from its newest point, any order; owned
 * @count: of them
 */
struct catalog_origin {
	int64_t disk;
	uint8_t tracker[STORE_UUID_SIZE];
	uint64_t epoch;
	uint64_t size;
	char witness[WITNESS_MAX];
	bool covered;
	uint8_t cover[STORE_UUID_SIZE];
	uint64_t cover_epoch;
	struct catalog_range *ranges;
	size_t count;
};

/** catalog_origin_add() - one more range. Return: 0 or -ENOMEM */
int catalog_origin_add(struct catalog_origin *o, uint64_t offset, uint64_t span);
/** catalog_origin_clear() - free what it owns */
void catalog_origin_clear(struct catalog_origin *o);

/** catalog_origin_find() - Return: 1: found, to be cleared; 0; or errno */
int catalog_origin_find(struct catalog *c, const char *collection, const char *vm,
			const char *disk, struct catalog_origin *ret);

/** catalog_origin_cover() - a tracker is there, and nobody has written before it was */
int catalog_origin_cover(struct catalog *c, int64_t disk, const uint8_t *tracker, uint64_t epoch);

/**
 * catalog_origin_insert() - part of a transaction of the caller's
 *
 * One that is there stays: what it says was recorded when the layers were.
 */
int catalog_origin_insert(struct catalog *c, const struct catalog_origin *o);
/** catalog_origin_extend() - the same for more ranges, and the witness after them */
int catalog_origin_extend(struct catalog *c, const struct catalog_origin *o);
/** catalog_origin_forget() - part of a transaction, too: the disk is another one now */
int catalog_origin_forget(struct catalog *c, int64_t disk);

#endif
