/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection to a receiver, from the sender's end: frames out, in the order
 * in which they are queued; frames in; a clock. No knowledge of what a run is.
 *
 * It belongs to one thread and works on that thread's ring. There is always a
 * receive under way, so that the word of a receiver that gives up is heard at
 * once, whatever is being sent. The first thing that goes wrong is kept in the
 * reason given at the start, and every later call returns its errno.
 */
#ifndef TIDEMARK_SEND_CONN_H
#define TIDEMARK_SEND_CONN_H

#include "base/reason.h"
#include "ring/ring.h"
#include "send/progress.h"
#include "send/queue.h"
#include "send/throttle.h"
#include "tls/stream.h"
#include "wire/frame.h"

struct conn;

/**
 * typedef conn_handler - a frame has come of the type that was asked for
 * @owner: as given to conn_on()
 * @f: its header; @payload is f->length bytes, gone after the call
 *
 * Return: 0, or a negative errno: nobody has asked for this.
 */
typedef int (*conn_handler)(void *owner, const struct frame *f, const void *payload);

/**
 * struct conn_config - how to connect
 * @host: name or address
 * @port: number or service
 * @timeout_ms: for connecting, and for how long the other end may be silent
 *	when something is awaited from it
 * @cancel_fd: an eventfd; when it becomes readable, all ends with -ECANCELED
 * @tls: certificates; NULL: in the clear
 * @throttles: CONN_THROTTLES limits of what is sent, each may be NULL
 */
struct conn_config {
	const char *host;
	const char *port;
	uint32_t timeout_ms;
	int cancel_fd;
	const struct tls_context *tls;
	struct throttle *const *throttles;
};

/** The largest payload that is taken from a receiver. */
#define CONN_PAYLOAD_MAX 65536u

/**
 * conn_open() - connect
 * @config: what it points to stays until conn_close()
 * @ring: of this thread, with room for five operations more than the caller's, and two
 *	more for each lane
 * @progress: counts bytes on the wire
 * @reason: where the first failure is kept
 */
int conn_open(struct conn **ret, const struct conn_config *config, struct ring *ring,
	      struct progress *progress, struct reason *reason);

/**
 * conn_close() - hang up and wait for all operations of the ring, also the
 * caller's, to end. NULL is ignored. Return: NULL
 */
struct conn *conn_close(struct conn *c);

/**
 * conn_lanes() - carry DATA, packed or not, over further connections, from here on
 * @token: that WELCOME had
 * @count: so many, FRAME_LANES_MAX at most; nothing is queued
 * @ret: how many there are: what cannot be had is done without
 * @why: filled if there are fewer: why
 *
 * The caller keeps DATA frames short then, see FRAME_LANE_PAYLOAD. Return: 0 or as conn_run().
 */
int conn_lanes(struct conn *c, const uint8_t token[FRAME_TOKEN_SIZE], unsigned int count,
	       unsigned int *ret, struct reason *why);

/** conn_secret() - stream_secret(), for status lines, once something was received */
const char *conn_secret(const struct conn *c);
/** conn_kernel_why() - stream_kernel_why() */
const char *conn_kernel_why(const struct conn *c);

/**
 * conn_spent() - stream_spent() of one of its streams
 *
 * Then no more of a disk is to be read for it; what was read may still be sent.
 */
bool conn_spent(const struct conn *c);
/** conn_expire() - and that was: end it. Return: -EKEYEXPIRED, or of an earlier failure */
int conn_expire(struct conn *c);

/**
 * conn_pace() - bytes a second that can be sent to the receiver; 0: not known yet
 *
 * The lower of the limits that are set, and of how fast it took what was sent last.
 */
uint64_t conn_pace(const struct conn *c);

/**
 * conn_uncopied() - bytes that were sent without a copy so far
 * @ret_copies: it was given up, for the kernel copied all the same
 */
uint64_t conn_uncopied(const struct conn *c, bool *ret_copies);

/** conn_peer() - "HOST:PORT", for sentences */
const char *conn_peer(const struct conn *c);

/** conn_queue() - send a frame after all that were queued before; cannot fail here */
void conn_queue(struct conn *c, struct conn_item *item);

/**
 * conn_on() - who wants frames of types that nobody awaits
 * @types: CONN_TYPE() of each; 0: none, they are an error. With FRAME_HASHES the other
 *	end may not be silent for longer than the time limit
 */
void conn_on(struct conn *c, uint64_t types, conn_handler handler, void *owner);
#define CONN_TYPE(frame_type) (1ull << (frame_type))

/**
 * conn_run() - let the ring go on until something has happened
 *
 * Return: 0, or the negative errno of the first failure.
 */
int conn_run(struct conn *c);

/** conn_fail() - end the connection with an errno; the reason has been set */
int conn_fail(struct conn *c, int error);

/**
 * conn_send() - send one frame and wait until it is on its way
 * @frame: header; @payload: frame->length bytes, at most FRAME_CONTROL_MAX
 *
 * Everything that was queued before has been sent then, too, or is with a lane and
 * comes before it. @frame->checksum is filled in.
 */
int conn_send(struct conn *c, struct frame *frame, const void *payload);

/**
 * conn_ask() - send a frame, wait for the frame that answers it
 * @frame: as for conn_send()
 * @type: of the answer; a DROP of the disk that was asked about is one, too
 * @timeout_ms: for the answer, from when the question is on its way
 * @what: for the sentence: "the replica did not ... within N s"
 * @ret: the answer's header; its payload is at conn_payload() until the next call
 */
int conn_ask(struct conn *c, struct frame *frame, const void *payload, uint8_t type,
	     uint32_t timeout_ms, const char *what, struct frame *ret);
const void *conn_payload(const struct conn *c);

/**
 * conn_abort() - tell the receiver that the run is given up, if it can be told
 *
 * What is queued is dropped without its @sent being called. Only conn_close()
 * may follow.
 */
void conn_abort(struct conn *c);

/** Bytes that were sent and are not free again: half of what a run reads into. */
#define CONN_LENT_MAX MIB(4)

/** How many limits a connection obeys at once. */
#define CONN_THROTTLES 3

/** conn_now() - milliseconds of the monotonic clock */
uint64_t conn_now(void);
/** conn_now_ns() - its nanoseconds */
uint64_t conn_now_ns(void);

#endif
