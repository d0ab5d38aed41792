/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settling, as a connection sees it: what is staged of its disks is told to the
 * sender, and what comes is made durable in steps. point/settle.c does the work.
 */
#ifndef TIDEMARK_RECEIVE_SETTLE_H
#define TIDEMARK_RECEIVE_SETTLE_H

#include "wire/frame.h"

struct connection;

/*
 * A step is made at most every two seconds, and takes at most a thirtieth of the
 * time, however slow the disk is to make its bytes durable. So many extents are
 * remembered until then, 24 bytes each.
 */
#define SETTLE_EVERY_MS 2000u
#define SETTLE_SHARE 30u
#define SETTLE_EXTENTS 65536u

/**
 * struct settle_pace - when to settle
 * @last_ms: when it was done last, 0: it has not begun
 * @cost_ms: how long that took
 */
struct settle_pace {
	uint64_t last_ms;
	uint64_t cost_ms;
};

/** settle_tell() - STAGED: what is kept of a run of this disk. Return: 0 or errno */
int settle_tell(struct connection *c, uint32_t index);

/** settle_sealed() - SEALED has come */
int settle_sealed(struct connection *c, const struct frame *f);

/** settle_step() - make durable what has come, if it is time to */
int settle_step(struct connection *c);

/** settle_keep() - the connection ends, and the run may go on another time */
void settle_keep(struct connection *c);

#endif
