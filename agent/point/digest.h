/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The digest of a disk at a point: of its size and all of its bytes, whatever
 * layers they lie in. Blocks of zeroes add nothing, so that a hole, an all-zeroes
 * cluster and written zeroes are the same.
 */
#ifndef TIDEMARK_POINT_DIGEST_H
#define TIDEMARK_POINT_DIGEST_H

#include "point/chain.h"
#include "point/merge.h"

/**
 * digest_chain() - read all of it
 * @tick: asked for each MiB; NULL is allowed
 * @ret: CATALOG_DIGEST_SIZE bytes
 *
 * The sum, in two lanes modulo 2^64, of the XXH3-128 of every block of 64 KiB
 * that is not zero, seeded with its offset; and of the disk's size.
 */
int digest_chain(struct chain *c, const struct merge_tick *tick, uint8_t *ret,
		 struct reason *reason);

#endif
