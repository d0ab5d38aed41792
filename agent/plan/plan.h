/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan: from runs of granules to regions to read, in disk order.
 *
 * Pure: it does no I/O and allocates nothing, so the plan of a 16 TiB disk
 * costs as much memory as that of a floppy. Runs are fed a page at a time, as
 * tidemark_runs() gives them; runs that touch are merged, also over the edge
 * of a page; regions of a bounded size are drawn out.
 *
 * A region is whole granules, because a granule is released as a whole.
 *
 * Why gaps are not merged: reading the granules between two owed ones would
 * make one larger read of two, but those bytes may not be sent. Nobody owes
 * them, so a write there after the seal tears nothing and goes unnoticed: they
 * would be of a later moment than the rest. Read and dropped they cost the
 * disk more than the second request at a depth of 32 does.
 */
#ifndef TIDEMARK_PLAN_PLAN_H
#define TIDEMARK_PLAN_PLAN_H

#include <stddef.h>
#include <stdint.h>

/** struct plan_run - granules in a row: @count of them, from @first */
struct plan_run {
	uint64_t first;
	uint64_t count;
};

/**
 * struct plan_region - what is read by one request
 * @first: its first granule
 * @count: how many granules
 * @offset: bytes from the start of the disk
 * @length: bytes; the last granule of a disk may be short
 */
struct plan_region {
	uint64_t first;
	uint64_t count;
	uint64_t offset;
	uint64_t length;
};

/** enum plan_answer - what plan_next() says, besides 0 and up: see there */
enum plan_answer {
	PLAN_END = 0,
	PLAN_REGION = 1,
	PLAN_MORE = 2,
};

/** struct plan - private */
struct plan {
	uint64_t size;
	uint32_t granule;
	uint64_t region_granules;
	const struct plan_run *runs;
	size_t count;
	uint64_t first; /* what is cut into regions now: [first, end) */
	uint64_t end;
	int finished;
};

/**
 * plan_init() - begin with an empty plan
 * @size: of the disk, in bytes
 * @granule: in bytes
 * @region_max: bytes that a region may have; at least one granule is taken
 */
void plan_init(struct plan *p, uint64_t size, uint32_t granule, uint64_t region_max);

/**
 * plan_feed() - the next page of runs
 * @runs: ascending and not overlapping, after everything that was fed before;
 *	must stay until plan_next() asks for more
 * @count: how many, may be 0
 *
 * Return: 0, or -EINVAL when a run is empty, out of order, or ends outside of
 * the disk. Only to be called at the start and when plan_next() has asked.
 */
int plan_feed(struct plan *p, const struct plan_run *runs, size_t count);

/** plan_finish() - there are no more pages */
void plan_finish(struct plan *p);

/**
 * plan_next() - the next region
 *
 * Return: PLAN_REGION and @ret is filled; PLAN_MORE: the next page is needed,
 * or plan_finish(); PLAN_END.
 */
int plan_next(struct plan *p, struct plan_region *ret);

/** plan_bytes() - how many bytes @count granules from @first on are */
uint64_t plan_bytes(const struct plan *p, uint64_t first, uint64_t count);

#endif
