/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Berths: where lanes lie, further connections of a sender that carry frames of a first
 * one. Each has a thread of its own, as every connection; but once it has joined, that
 * thread sleeps, and the first connection's thread reads from its stream, where a TAKE
 * says so. It goes on, and ends, when the first connection lets go.
 *
 * One lock covers all of a receiver's lanes, their owners and who waits for whom. It is
 * taken alone, and nobody waits with it but for its own condition.
 */
#ifndef TIDEMARK_RECEIVE_BERTH_H
#define TIDEMARK_RECEIVE_BERTH_H

#include "base/reason.h"
#include "tls/stream.h"
#include "wire/frame.h"

struct berths;
struct berths_owner;

/**
 * struct berth - a lane, of the thread that has accepted it
 * @fd: stays that thread's, as does @stream
 * @stream: of whoever reads: the owner from berth_serve() until it lets go
 * @collection: filled by berths_join(): what is sent, for the log
 */
struct berth {
	int fd;
	struct stream *stream;
	char collection[NAME_SIZE];
	/* private */
	struct berths_owner *owner;
	uint32_t index;
	bool ready;
};

/** berths_create() - those of a receiver: none. Return: 0 or -ENOMEM */
int berths_create(struct berths **ret);
/** berths_destroy() - no thread uses it any more. NULL is ignored. Return: NULL */
struct berths *berths_destroy(struct berths *l);

/* -- the first connection's thread ------------------------------------------- */

/**
 * berths_open() - lanes may join this connection
 * @guest: the name of the certificate that they must have as well; "": any
 * @collection: that it sends
 * @ret_token: what they must know, random
 *
 * Return: 0, then berths_close() follows; -ENOMEM; or the errno of getrandom().
 */
int berths_open(struct berths *l, const char *guest, const char *collection,
	       struct berths_owner **ret, uint8_t ret_token[FRAME_TOKEN_SIZE]);
/**
 * berths_close() - none may any more, and those that have are let go of
 *
 * Nothing may be under way on their streams. NULL is ignored. Return: NULL
 */
struct berths_owner *berths_close(struct berths_owner *o);

/**
 * berths_use() - a lane that has joined: its stream is this thread's
 * @limit_ms: for its thread to get out of the way
 *
 * Return: NULL: it has not joined, or is lost.
 */
struct berth *berths_use(struct berths_owner *o, uint32_t index, unsigned int limit_ms);
/** berths_rest() - nothing is read from it until its next berths_use() */
void berths_rest(struct berth *lane);

/* -- a lane's own thread ------------------------------------------------------ */

/**
 * berths_join() - a place for it, if it may have one
 * @names: of its certificate, @count of them
 * @lane: with @fd and @stream, which are still this thread's
 *
 * Return: 0, then berth_serve() or berth_leave() follows; or @reason is filled.
 */
int berths_join(struct berths *l, const struct frame_join *join,
	       char names[STREAM_NAMES_MAX][NAME_SIZE], size_t count, struct berth *lane,
	       struct reason *reason);
/** berth_serve() - hand it over, and sleep until it is let go of */
void berth_serve(struct berths *l, struct berth *lane);
/** berth_leave() - it could not be handed over */
void berth_leave(struct berths *l, struct berth *lane);

#endif
