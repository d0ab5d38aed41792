/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The origin of a disk that was failed over to: what is known here of how it
 * differs from the old primary's. It comes from who keeps replicas.
 */
#ifndef TIDEMARK_SEND_ORIGIN_H
#define TIDEMARK_SEND_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/frame.h"

/**
 * struct run_origin - what the disk was, and what it is not any more
 * @uuid: the tracker that the replica came from
 * @epoch: of its newest point here, whichever point was failed over to
 * @size: bytes, at both points
 * @untouched: nobody has written to the disk since the failover was committed
 * @covered: @cover has been this disk's tracker since before it was written to
 * @cover: UUID
 * @cover_epoch: its newest committed epoch at that time, 0: none
 * @ranges: where the disk, when the failover was committed, differed from the
 *	newest point, any order; @count of them
 * @count: see @ranges
 */
struct run_origin {
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t epoch;
	uint64_t size;
	bool untouched;
	bool covered;
	uint8_t cover[FRAME_UUID_SIZE];
	uint64_t cover_epoch;
	struct frame_range *ranges;
	size_t count;
};

/**
 * struct run_origins - who knows origins
 * @load: the origin of a disk. @device: that is read now. @ret: freed by run_origin_free().
 *	Return: 0; -ENOENT: nothing is known; an errno. Any thread
 * @arg: of @load
 */
struct run_origins {
	int (*load)(void *arg, const char *collection, const char *vm, const char *disk,
		    const char *device, struct run_origin **ret);
	void *arg;
};

/** run_origin_free() - NULL is ignored. Return: NULL */
struct run_origin *run_origin_free(struct run_origin *o);

#endif
