/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stage: a new point of a collection while it is under way.
 *
 * Each of its disks is either seeded (its first point: the raw replica itself
 * is written, under a partial name where it is a file) or staged (an overlay
 * over the newest point, under a partial name). stage_commit() makes all of it
 * the collection's newest point in one step; stage_destroy() without it leaves
 * nothing behind.
 *
 * The data is written by the caller, at the places that stage_place() gives.
 * Everything else is done here, and blocks.
 *
 * Threads: one thread at a time, which has claimed the collection.
 */
#ifndef TIDEMARK_POINT_STAGE_H
#define TIDEMARK_POINT_STAGE_H

#include "point/chain.h"
#include "point/raw.h"
#include "point/store.h"

struct stage;

/*
 * Tables of overlays in memory, all disks of a stage together, or the one overlay that
 * join.c writes; the others are in the files.
 */
#define STAGE_TABLES_MAX MIB(4)

/** enum stage_mode - how a disk is brought up to date */
enum stage_mode {
	STAGE_SEED,    /* the first point */
	STAGE_OVERLAY, /* over what is there */
	STAGE_READ,    /* nothing is changed */
};

/**
 * struct stage_disk_spec - a disk as its sender describes it
 * @vm: name
 * @disk: name
 * @tracker: UUID
 * @size: bytes
 * @granule: bytes
 */
struct stage_disk_spec {
	char vm[NAME_SIZE];
	char disk[NAME_SIZE];
	uint8_t tracker[STORE_UUID_SIZE];
	uint64_t size;
	uint32_t granule;
};

/**
 * struct stage_held - what is held of a disk
 * @present: something; else the rest means nothing
 * @lost: the database knows a replica in the store that is not there any more:
 *	it begins anew, and somebody should be told
 * @origin: it is a disk that was sent from here, and nothing has come since
 * @path: of the raw replica; stands as long as the stage
 */
struct stage_held {
	bool present;
	bool lost;
	bool origin;
	const char *path;
	uint8_t tracker[STORE_UUID_SIZE];
	uint64_t epoch;
	uint64_t size;
	uint64_t point;
};

/**
 * struct stage_label - what is said of the point as a whole
 * @consistency: 1 application, 2 crash, 3 group crash
 * @history: further points that the sender wants kept, -1: it says nothing
 * @final: nobody writes to the disks any more
 */
struct stage_label {
	uint32_t consistency;
	int32_t history;
	bool final;
};

/**
 * stage_create() - a stage without disks
 * @collection: claimed by the caller, until after stage_destroy()
 */
int stage_create(struct store *store, const char *collection, struct stage **ret);
/** stage_destroy() - drop what was not committed. NULL is ignored. Return: NULL */
struct stage *stage_destroy(struct stage *s);

/**
 * stage_open() - what is held of a disk, and staged; changes nothing
 * @index: of the disk, from here on: one more than the last
 *
 * Return: 0; -ENODEV: its device is another one now, or gone; an errno.
 */
int stage_open(struct stage *s, uint32_t index, const struct stage_disk_spec *spec,
	       struct stage_held *ret, struct reason *reason);

/**
 * struct stage_staged - what is kept of a run of this disk that was cut short
 * @mode: of that run, as stage_sealed() was told
 * @epoch: at whose moment the regions are the disk's bytes
 */
struct stage_staged {
	uint32_t mode;
	uint64_t epoch;
};

/** stage_staged() - is anything kept that can be gone on with? After stage_open() */
bool stage_staged(struct stage *s, uint32_t index, struct stage_staged *ret);

/** stage_staged_next() - its first region at or after @from. Return: is there one? */
bool stage_staged_next(struct stage *s, uint32_t index, uint64_t from, uint64_t *ret_offset,
		       uint64_t *ret_span);

/** enum stage_begin_flag - how to begin */
enum stage_begin_flag {
	STAGE_FORCE = 1 << 0,  /* take over what the place carries */
	STAGE_RESUME = 1 << 1, /* go on with what is staged; else that is thrown away */
};

/**
 * stage_begin() - get ready to take a disk
 * @flags: enum stage_begin_flag
 *
 * Return: 0; -EEXIST, -EBUSY, -EROFS, -ENOSPC as guard_admit(); -EINVAL: the
 * mode does not fit what is held; an errno.
 */
int stage_begin(struct stage *s, uint32_t index, enum stage_mode mode, unsigned int flags,
		struct reason *reason);

/**
 * stage_place() - where to write the first bytes of a region
 * @offset: a multiple of the cluster size (see overlay_cluster())
 * @span: bytes; whole clusters unless it ends with the disk
 * @ret: @length can be less than @span (call again for the rest), or more by
 *	less than a cluster, where the disk ends inside of one: zeroes are to
 *	be written there
 *
 * Return: 0 or a negative errno, -ENOSPC for one.
 */
int stage_place(struct stage *s, uint32_t index, uint64_t offset, uint64_t span,
		struct raw_place *ret);

/** stage_zero() - a region reads as zeroes; no write to it is under way */
int stage_zero(struct stage *s, uint32_t index, uint64_t offset, uint64_t span);

/** stage_stale() - a region that was written is good no more; no write to it is under way */
int stage_stale(struct stage *s, uint32_t index, uint64_t offset, uint64_t span);

/**
 * stage_sealed() - the disk was sealed
 * @mode: of the run, to be given back by stage_staged()
 * @epoch: all that is written and not stale, before this and after it, is the
 *	disk's bytes at the moment of this seal
 *
 * From the first of these calls on a disk can be settled.
 */
void stage_sealed(struct stage *s, uint32_t index, uint32_t mode, uint64_t epoch);

/** stage_unsettled() - extents that would be lost if it all ended now */
size_t stage_unsettled(const struct stage *s);

/**
 * stage_settle() - make what was written durable, and record it
 *
 * No write is under way. What is settled outlives this process. A failure is final.
 */
int stage_settle(struct stage *s, struct reason *reason);

/**
 * stage_keep() - the run ends here, and may go on later
 *
 * As stage_settle(); stage_destroy() leaves what is settled where it is.
 */
int stage_keep(struct stage *s, struct reason *reason);

/**
 * stage_source() - the newest committed bytes of a region
 * @ret: its length can be less than @span
 *
 * Return: 0, or the errno of reading a table.
 */
int stage_source(struct stage *s, uint32_t index, uint64_t offset, uint64_t span,
		 struct chain_run *ret);

/**
 * stage_end() - all of a disk has been written: make it durable
 * @epoch: that the point closes
 *
 * No write is under way. A failure is final: the stage can only be destroyed.
 */
int stage_end(struct stage *s, uint32_t index, uint64_t epoch, const struct merge_tick *tick,
	      struct reason *reason);

/**
 * stage_drop() - give up one disk: nothing of it stays, the others go on
 *
 * No write to it is under way. Nothing else may be done with it then.
 */
void stage_drop(struct stage *s, uint32_t index);

/**
 * stage_commit() - make the disks that were ended the collection's newest point
 * @ret: its number
 *
 * Return: 0: it is, durably. Otherwise the older point stands, as far as can
 * be known: see catalog_poisoned().
 */
int stage_commit(struct stage *s, const struct stage_label *label, uint64_t *ret,
		 struct reason *reason);

#endif
