/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An outlet: where batches of frames leave through a stream, one after the other. A large
 * one is not copied on its way into the kernel, if that pays:
 *
 *   send ──► with the kernel: the next may be sent ──► acknowledged: the items are free
 *
 * Between the two the batch is lent. Its bytes are no copy there: TCP sends from them, and
 * sends from them again if a packet is lost. So an item is given back, and its memory read
 * into anew, when the kernel has let go of it and not before: else what is repeated would
 * not be what was said. The next batch never waits for that, or a batch would take a
 * round trip. What is lent is bounded, for it is the memory that disks are read into;
 * what is above the bound is copied.
 *
 * Nobody but conn.c and lanes.c includes this.
 */
#ifndef TIDEMARK_SEND_OUTLET_H
#define TIDEMARK_SEND_OUTLET_H

#include "base/util.h"
#include "send/conn.h"

/* Batches that are lent at a time. */
#define OUTLET_LENT 16
/* Less than this is copied: that costs less than the notification. */
#define OUTLET_LEND_MIN KIB(64)
/* Less than this is copied in any case: a word that somebody waits to see sent. */
#define OUTLET_LEND_WORDS KIB(4)
/* When so many in a row were copied all the same, the others will be, too. */
#define OUTLET_COPIES 4

struct outlet;

/**
 * typedef outlet_sent - a batch has been sent, or let go of, or both
 * @items: of it, free again; their @sent was not called. NULL: it is lent
 * @result: bytes that were sent, or a negative errno; 0: that was told before
 */
typedef void (*outlet_sent)(void *owner, struct conn_item *items, int64_t result);

/**
 * struct outlet_batch - a batch under way
 * @items: NULL: there is none
 * @since: when it began, of conn_now()
 * @bytes: of it
 */
struct outlet_batch {
	struct ring_op op;
	struct outlet *outlet;
	struct conn_item *items;
	uint64_t since;
	size_t bytes;
};

/**
 * struct outlet - all of it is the outlet's own
 * @sending: what is not yet with the kernel, NULL: nothing
 * @copy: a batch that is copied
 * @lent: those that are not
 * @lent_bytes: in them, @lent_max at most
 * @copies: in a row that were made all the same
 * @uncopied: bytes so far of which none was
 */
struct outlet {
	struct stream *stream;
	int fd;
	outlet_sent sent;
	void *owner;
	struct outlet_batch *sending;
	struct outlet_batch copy;
	struct outlet_batch lent[OUTLET_LENT];
	size_t lent_bytes;
	size_t lent_max;
	unsigned int copies;
	uint64_t uncopied;
};

/**
 * outlet_init() - for a stream and its socket
 * @lent_max: so many bytes may be lent
 */
void outlet_init(struct outlet *o, struct stream *stream, int fd, size_t lent_max,
		 outlet_sent sent, void *owner);

/** outlet_send() - nothing is outlet_sending(); only the items of @batch must stay */
void outlet_send(struct outlet *o, const struct queue_batch *batch);

/** outlet_sending() - is there a batch that is not yet with the kernel? */
bool outlet_sending(const struct outlet *o);
/** outlet_since() - when the oldest batch that is sent or lent began, 0: there is none */
uint64_t outlet_since(const struct outlet *o);
/** outlet_copies() - has it been found that the kernel copies what is lent? */
bool outlet_copies(const struct outlet *o);

/**
 * outlet_hang_up() - all that is sent or lent ends soon
 *
 * What was lent and is not acknowledged does not arrive. With nothing outlet_sending() the
 * other end is told that it is an end in order, see stream_end().
 */
void outlet_hang_up(struct outlet *o);

#endif
