// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/channel.h"

#include <string.h>
#include <sys/socket.h>
#include <time.h>

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static bool passed(bool waiting, uint64_t deadline)
{
	return waiting && now_ms() >= deadline;
}

/*
 * The heartbeat of every wait. Shutting the socket down ends what is under way
 * on it, so that no operation needs cancelling. A peer that was silent for too
 * long can still be told so: only our reading ends.
 */
static void channel_tick(struct ring_op *op, int64_t result)
{
	struct channel *c = container_of(op, struct channel, tick_op);

	c->ticking = false;
	if (c->closing)
		return;
	c->expired |= passed(c->receiving, c->recv_deadline);
	if (c->expired || *c->stop) {
		shutdown(c->fd, SHUT_RD);
		shutdown(c->from_fd, SHUT_RD);
	}
	if (passed(c->sending, c->send_deadline)) {
		c->expired = true;
		shutdown(c->fd, SHUT_RDWR);
	} else if (*c->stop && c->sending) {
		shutdown(c->fd, SHUT_RDWR);
	}
	c->ticking = true;
	ring_timeout(c->ring, &c->tick_op, CHANNEL_TICK_MS);
}

static void channel_received(struct ring_op *op, int64_t result)
{
	struct channel *c = container_of(op, struct channel, recv_op);

	c->recv_result = result;
	c->receiving = false;
}

static void channel_sent(struct ring_op *op, int64_t result)
{
	struct channel *c = container_of(op, struct channel, send_op);

	if (result < 0)
		c->send_error = result;
	c->sending = false;
}

void channel_open(struct channel *c, struct ring *ring, struct stream *stream, int fd,
		  unsigned int send_ms, const atomic_bool *stop)
{
	*c = (struct channel){
		.ring = ring,
		.stop = stop,
		.stream = stream,
		.fd = fd,
		.from = stream,
		.from_fd = fd,
		.send_ms = send_ms,
		.sent_at = now_ms(),
		.recv_op.done = channel_received,
		.send_op.done = channel_sent,
		.tick_op.done = channel_tick,
		.ticking = true,
	};
	ring_timeout(ring, &c->tick_op, CHANNEL_TICK_MS);
}

void channel_close(struct channel *c)
{
	c->closing = true;
	if (c->receiving)
		shutdown(c->from_fd, SHUT_RDWR);
	if (c->receiving || c->sending)
		shutdown(c->fd, SHUT_RDWR);
	else if (stream_busy(c->stream))
		shutdown(c->fd, SHUT_RD); /* the handshake listens by itself */
	ring_cancel(c->ring, &c->tick_op);
	/* What is under way ends in memory that goes next: not to be left for another error. */
	while (c->ticking || c->receiving || c->sending || stream_busy(c->stream))
		if (channel_wait(c) == -EBADF)
			break;
}

int channel_wait(struct channel *c)
{
	int err = ring_run(c->ring);

	return err == -EINTR ? 0 : err;
}

/* Why did an operation on the socket end early? */
static int channel_cause(const struct channel *c, int err)
{
	if (c->expired)
		return -ETIMEDOUT;
	return *c->stop ? -ECANCELED : err;
}

void channel_from(struct channel *c, struct stream *stream, int fd)
{
	c->from = stream ? stream : c->stream;
	c->from_fd = stream ? fd : c->fd;
}

int channel_recv(struct channel *c, void *buf, size_t size, unsigned int limit_ms)
{
	int err;

	if (*c->stop)
		return -ECANCELED;
	c->recv_deadline = now_ms() + limit_ms;
	c->receiving = true;
	stream_recv(c->from, &c->recv_op, buf, size);
	while (c->receiving) {
		err = channel_wait(c);
		if (err)
			return err;
	}
	if (c->recv_result < 0)
		return channel_cause(c, c->recv_result);
	c->received += c->recv_result;
	if ((uint64_t)c->recv_result == size)
		return 0;
	return channel_cause(c, c->recv_result ? -ECONNRESET : -ENODATA);
}

int channel_flush(struct channel *c)
{
	while (c->sending) {
		int err = channel_wait(c);

		if (err)
			return err;
	}
	return c->send_error ? channel_cause(c, c->send_error) : 0;
}

int channel_send(struct channel *c, const struct frame *f, const void *payload)
{
	struct iovec iov[2] = { { &c->send_header, sizeof(c->send_header) } };
	int err = channel_flush(c);

	if (err)
		return err;
	if (f->length && f->length <= sizeof(c->send_buf)) {
		memcpy(c->send_buf, payload, f->length);
		payload = c->send_buf;
	}
	frame_encode(f, payload, &c->send_header);
	iov[1] = (struct iovec){ (void *)payload, f->length };
	c->sent_at = now_ms();
	c->send_deadline = c->sent_at + c->send_ms;
	c->sending = true;
	stream_send(c->stream, &c->send_op, iov, f->length ? 2 : 1);
	return 0;
}

uint64_t channel_quiet_ms(const struct channel *c)
{
	return now_ms() - c->sent_at;
}
