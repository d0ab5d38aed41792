/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The merge: a committed overlay's clusters go into the raw replica.
 *
 * It is idempotent. The overlay stands, durable, until the merge is durable
 * too and the database says so; whatever a crash leaves in the raw replica,
 * the next merge writes all of it again, and readers go through the overlay
 * meanwhile, which hides every byte that the merge touches. So a failed fsync
 * needs no cure but to begin anew.
 */
#ifndef TIDEMARK_POINT_MERGE_H
#define TIDEMARK_POINT_MERGE_H

#include "point/raw.h"

/* Memory that a merge takes: MERGE_DEPTH pieces of MERGE_PIECE. */
#define MERGE_DEPTH 8
#define MERGE_PIECE MIB(1)

struct ring;

/**
 * struct merge_tick - asked between pieces
 * @call: a negative return ends the merge with it; NULL: never asked
 */
struct merge_tick {
	int (*call)(void *arg);
	void *arg;
};

/**
 * struct merge_want - what the database says of the overlay
 * @size: of the disk
 * @point: number
 * @epoch: that it closed
 */
struct merge_want {
	uint64_t size;
	uint64_t point;
	uint64_t epoch;
};

/**
 * merge_run() - copy an overlay into the raw replica, durably
 * @overlay: path of the overlay
 * @want: its header must say the same
 * @raw: open for writing; gets the overlay's size
 * @ring: of this thread; what else is on it goes on
 *
 * Return: 0: all of it is durable; -EUCLEAN: the overlay is damaged; another
 * errno. @reason is filled.
 */
int merge_run(const char *overlay, const struct merge_want *want, struct raw *raw,
	      struct ring *ring, const struct merge_tick *tick, struct reason *reason);

#endif
