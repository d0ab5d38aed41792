/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A channel: the socket of one connection, on its thread's ring. Receiving
 * looks blocking and runs the ring meanwhile, so that writes to disk go on;
 * sending does not wait, as long as what was sent before is gone. Every wait
 * has a limit.
 */
#ifndef TIDEMARK_RECEIVE_CHANNEL_H
#define TIDEMARK_RECEIVE_CHANNEL_H

#include <stdatomic.h>

#include "ring/ring.h"
#include "tls/stream.h"
#include "wire/frame.h"

/* How often limits and the stop flag are looked at. */
#define CHANNEL_TICK_MS 250

/**
 * struct channel - fields are private to channel.c, but for these
 * @ring: of the thread
 * @stop: set by another thread: waits end with -ECANCELED
 * @received: bytes, over all
 */
struct channel {
	struct ring *ring;
	const atomic_bool *stop;
	uint64_t received;
	/* private */
	struct stream *stream;
	int fd;
	struct stream *from;
	int from_fd;
	unsigned int send_ms;
	struct ring_op recv_op;
	int64_t recv_result;
	bool receiving;
	uint64_t recv_deadline;
	struct ring_op send_op;
	int send_error;
	bool sending;
	uint64_t send_deadline;
	uint64_t sent_at;
	struct frame_wire send_header;
	uint8_t send_buf[FRAME_CONTROL_MAX];
	struct ring_op tick_op;
	bool ticking;
	bool closing;
	bool expired;
};

/**
 * channel_open() - take over a connected socket
 * @stream: over @fd
 * @fd: stays the caller's; shut down when a limit is reached
 * @send_ms: the peer must take what is sent within this
 */
void channel_open(struct channel *c, struct ring *ring, struct stream *stream, int fd,
		  unsigned int send_ms, const atomic_bool *stop);
/** channel_close() - end what is under way; the ring has nothing of the channel then */
void channel_close(struct channel *c);

/**
 * channel_from() - what is received from here on comes from another socket
 * @stream: over @fd, on the channel's ring; NULL: from the channel's own again
 */
void channel_from(struct channel *c, struct stream *stream, int fd);

/**
 * channel_recv() - exactly @size bytes
 *
 * Return: 0; -ENODATA: the peer closed before the first; -ECONNRESET: it closed
 * later; -ETIMEDOUT; -ECANCELED; another errno.
 */
int channel_recv(struct channel *c, void *buf, size_t size, unsigned int limit_ms);

/**
 * channel_send() - a frame
 * @payload: copied if it is at most FRAME_CONTROL_MAX bytes; else it must stay
 *	until channel_flush() or the next channel_send() has returned
 *
 * Waits for the frame before it. Return: 0 or an errno of sending that or this.
 */
int channel_send(struct channel *c, const struct frame *f, const void *payload);
/** channel_flush() - what was sent is in the socket */
int channel_flush(struct channel *c);

/** channel_quiet_ms() - how long nothing has been sent */
uint64_t channel_quiet_ms(const struct channel *c);

/** channel_wait() - run the ring once. Return: 0 or an errno of the ring */
int channel_wait(struct channel *c);

#endif
