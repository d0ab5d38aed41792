/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a stage and its disks are made of: for stage.c, which keeps them, and
 * begin.c, which gets a disk ready. Nobody else includes it.
 */
#ifndef TIDEMARK_POINT_STAGE_DISK_H
#define TIDEMARK_POINT_STAGE_DISK_H

#include "point/catalog-staging.h"
#include "point/chain.h"
#include "point/cover.h"
#include "point/overlay.h"
#include "point/stage.h"

enum disk_phase {
	DISK_OPENED,
	DISK_BEGUN,
	DISK_ENDED,
	DISK_DROPPED,
};

/*
 * @row: what the catalog has; valid if @known
 * @lost: it has a replica that is not there
 * @raw: SEED: what is written
 * @chain: else: what is read, opened when it is; @below: its newest layer
 * @cover: SEED of a device: what was written, for the rest carries old bytes
 * @overlay, @file: OVERLAY: its tables and its file
 * @reserved: bytes that the file has been grown to
 * @hole: SEED: from here on the file has nothing but a hole, for it was made by this
 *	stage; UINT64_MAX: nobody knows, or it is a device
 * @run, @run_end: SEED: data that came in a row, and where that ended
 * @partial, @final: names before and after the commit; "": a device
 * @made: @partial, and later @final, may be there
 * @seeding: its row is one of a disk without a point, of this stage
 *
 * Resuming, see settle.c:
 * @staging: what the catalog has, or is to have; its disk is 0: nothing
 * @staged: the extents of a staging that can be resumed, until the disk is begun
 * @extents: written, or stale, since the staging was settled last
 * @recorded: the epoch of the staging that the catalog has of this run, 0: none
 * @placed: the name of the file is durable
 * @staged_end: OVERLAY: bytes of the file that the staging lies in
 */
struct stage_disk {
	struct stage_disk_spec spec;
	enum stage_mode mode;
	enum disk_phase phase;
	bool known;
	bool lost;
	bool made;
	bool seeding;
	struct catalog_disk row;
	struct raw raw;
	struct chain *chain;
	char below[CATALOG_FILE_MAX];
	struct cover *cover;
	struct overlay *overlay;
	struct raw file;
	uint64_t reserved;
	uint64_t hole;
	uint64_t run;
	uint64_t run_end;
	uint64_t epoch;
	struct catalog_staging staging;
	struct cover *staged;
	struct catalog_extent *extents;
	size_t extent_count;
	size_t extent_room;
	uint64_t recorded;
	bool placed;
	uint64_t staged_end;
	char partial[STORE_PATH_MAX + 16];
	char final[STORE_PATH_MAX];
};

struct stage {
	struct store *store;
	char collection[NAME_SIZE];
	uint64_t point;
	struct tables *tables;
	struct stage_disk **disks;
	uint32_t count;
	bool committed;
	bool kept;
};

/* -- stage.c: for begin.c -- */

/** stage_table_io() - where the tables of a disk's overlay are written to: its file */
struct table_io stage_table_io(struct stage_disk *d);

/* -- reserve.c: for stage.c -- */

/** reserve_overlay() - the overlay's file has room for what was mapped last. Return: 0 or errno */
int reserve_overlay(struct stage_disk *d);
/** reserve_seed() - data comes here: no hole any more, and after much in a row room for more */
void reserve_seed(struct stage_disk *d, uint64_t offset, uint64_t span);

/* -- settle.c: for stage.c and begin.c -- */

/** settle_find() - is there a staging of the disk that was opened, and can it be resumed? */
int settle_find(struct stage *s, struct stage_disk *d);
/** settle_discard() - there is none any more, whatever it was */
int settle_discard(struct stage *s, struct stage_disk *d);
/** settle_load() - fill the overlay or the cover of a disk that goes on with its staging */
int settle_load(struct stage *s, struct stage_disk *d);
/** settle_note() - an extent is being written; it counts once it has been settled */
int settle_note(struct stage_disk *d, uint64_t offset, uint64_t span, uint64_t place);
/** settle_clear() - free what belongs to this */
void settle_clear(struct stage_disk *d);

#endif
