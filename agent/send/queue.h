/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A queue of frames on their way out, and the batches that it is emptied by: one is what
 * a single send is given. Everything is of one thread.
 */
#ifndef TIDEMARK_SEND_QUEUE_H
#define TIDEMARK_SEND_QUEUE_H

#include <sys/uio.h>

#include "ring/ring.h"
#include "wire/frame.h"

/**
 * struct conn_item - a frame on its way out
 * @frame: what to say; .checksum is filled in by queue_append()
 * @payload: @frame.length bytes that stay until @sent
 * @sent: the item and its payload are free again; may be NULL. A payload that the kernel
 *	has no copy of is, when it has arrived
 *
 * The rest is the queue's.
 */
struct conn_item {
	struct frame frame;
	const void *payload;
	void (*sent)(struct conn_item *item);
	struct conn_item *next;
	struct frame_wire wire;
};

/** struct queue - items in the order in which they are to leave */
struct queue {
	struct conn_item *first;
	struct conn_item **last;
};

/**
 * struct queue_batch - what one send is given
 * @items: a list
 * @iov: their headers and payloads, @parts of them
 * @frames: how many items
 * @bytes: of all of it
 */
struct queue_batch {
	struct conn_item *items;
	struct iovec iov[RING_IOV_MAX];
	unsigned int parts;
	uint32_t frames;
	size_t bytes;
};

/** queue_clear() - begin, or forget what is in it: no item's @sent is called */
void queue_clear(struct queue *q);
/** queue_append() - encode the frame of an item, with its checksum, and add it */
void queue_append(struct queue *q, struct conn_item *item);
/** queue_move() - the first item of @from, which has one, becomes the last of @to */
void queue_move(struct queue *from, struct queue *to);
/** queue_bulk() - is the first item, and there is one, a frame that a lane may carry? */
bool queue_bulk(const struct queue *q);

/**
 * queue_collect() - take items from a queue's beginning, of which there is one
 * @max: bytes; one item is taken in any case
 * @bulk: as long as a lane may carry them
 * @ret: overwritten
 */
void queue_collect(struct queue *q, size_t max, bool bulk, struct queue_batch *ret);

#endif
