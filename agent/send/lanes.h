/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lanes: further connections to the receiver, that carry the frames with a disk's bytes,
 * so that what slows one TCP connection down slows a part of them. The connection itself
 * stays what says in which order all frames are: for each batch that a lane is given, a
 * TAKE is queued there, and the receiver reads the batch where it meets that.
 *
 * Batches are small: while one lane is read, what the others have lies in the buffers of
 * their sockets. They work on the connection's ring; nobody but conn.c includes this.
 */
#ifndef TIDEMARK_SEND_LANES_H
#define TIDEMARK_SEND_LANES_H

#include "send/conn.h"

/* A batch has so many bytes at most, or one frame. */
#define LANE_BATCH_BYTES (FRAME_LANE_PAYLOAD + 2 * FRAME_HEADER_SIZE)

struct lanes;
struct lane;

/**
 * typedef lanes_sent - a batch has ended, or was let go of, see outlet_sent
 * @items: that lane_send() was given, or NULL; their @sent was not called
 * @result: bytes, or the negative errno with which the lane was lost
 */
typedef void (*lanes_sent)(void *owner, struct conn_item *items, int64_t result);

/**
 * lanes_dial() - connect, and begin to join
 * @config: of the connection; @fd: its socket: the same address is dialed
 * @token: that its WELCOME had
 * @count: so many, if they can be had; the first that cannot is the last that is tried
 * @why: filled if it cannot
 *
 * Blocks while it connects, for LANES_DIAL_MS at most. Return: NULL: there is none
 */
struct lanes *lanes_dial(const struct conn_config *config, struct ring *ring, int fd,
			 const uint8_t token[FRAME_TOKEN_SIZE], unsigned int count,
			 lanes_sent sent, void *owner, struct reason *why);
#define LANES_DIAL_MS 5000u

/** lanes_joining() - is an answer awaited? */
bool lanes_joining(const struct lanes *l);
/** lanes_hang_up() - nobody waits for answers, or anything, any more; or of all lanes */
void lanes_hang_up(struct lanes *l, bool all);
/**
 * lanes_settle() - keep those that have joined; none is joining any more
 * @why: why the last one has not, if one has not
 *
 * Return: how many are left.
 */
unsigned int lanes_settle(struct lanes *l, struct reason *why);
/** lanes_destroy() - nothing of them is in the ring. NULL is ignored. Return: NULL */
struct lanes *lanes_destroy(struct lanes *l);

/* The rest takes NULL for no lanes. */

/** lanes_idle() - one that can be given a batch, each in its turn; NULL: none */
struct lane *lanes_idle(struct lanes *l);
/**
 * lane_send() - give a batch, whose items stay until @sent, to an idle lane
 *
 * Return: the TAKE for it, to be queued at once.
 */
struct conn_item *lane_send(struct lane *lane, const struct queue_batch *batch);

/** lanes_sending() - is there a batch that is not yet with the kernel? */
bool lanes_sending(const struct lanes *l);
/** lanes_since() - when the oldest batch that is sent or lent began; 0: there is none */
uint64_t lanes_since(const struct lanes *l);
/** lanes_spent() - stream_spent() of one of them */
bool lanes_spent(const struct lanes *l);
/** lanes_uncopied() - bytes that they sent without a copy */
uint64_t lanes_uncopied(const struct lanes *l);
/** lanes_copies() - has one of them found that there is a copy all the same? */
bool lanes_copies(const struct lanes *l);
/** lanes_rate() - bytes a second that they took lately, together; 0: not known */
uint64_t lanes_rate(const struct lanes *l);

#endif
