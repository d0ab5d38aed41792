// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/lanes.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "send/dial.h"
#include "send/outlet.h"

/*
 * Not more than this lies in a socket and is not on its way: a lane that is slow is then
 * soon seen to be, and the others get what it would have got.
 */
#define LANE_UNSENT (128 << 10)
/* All lanes together: what one connection has lent at most. */
#define LANE_LENT_MAX (CONN_LENT_MAX / FRAME_LANES_MAX)
/* Sends of less say nothing of the network. */
#define LANE_RATE_BYTES 65536

/** enum lane_state - JOINING until JOINED has come, or it will not */
enum lane_state {
	LANE_JOINING,
	LANE_JOINED,
	LANE_LOST,
};

/*
 * @out: what it sends, once it has joined
 * @taking: the TAKE of its newest batch is not sent yet
 * @sent_bytes, @sent_ns: of batches lately, the older the less they count
 */
struct lane {
	struct lanes *all;
	uint32_t index;
	int fd;
	struct stream *stream;
	enum lane_state state;

	struct ring_op join_op;
	struct ring_op recv_op;
	bool joining;
	bool receiving;
	struct frame_wire out_wire;
	uint8_t out_payload[FRAME_CONTROL_MAX];
	struct frame_wire in_wire;
	struct frame in;
	bool in_body;
	uint8_t in_payload[FRAME_CONTROL_MAX];
	struct reason why;

	struct outlet out;
	struct conn_item take;
	bool taking;
	uint8_t take_payload[FRAME_CONTROL_MAX];
	uint64_t begun_ns;
	uint64_t sent_bytes;
	uint64_t sent_ns;
};

struct lanes {
	lanes_sent sent;
	void *owner;
	unsigned int count;
	unsigned int next;
	struct lane *lanes[FRAME_LANES_MAX];
};

/* -- joining ------------------------------------------------------------------ */

static void lane_lost(struct lane *lane, int err, const char *why)
{
	if (lane->state == LANE_JOINING)
		reason_set(&lane->why, err, REASON_NOT_AVAILABLE, "%s", why);
	lane->state = LANE_LOST;
}

/* The answer is here, all of it. */
static void lane_answered(struct lane *lane)
{
	struct frame_error e;

	if (frame_verify(&lane->in_wire, lane->in_payload))
		lane_lost(lane, -EPROTO, "its answer was damaged");
	else if (lane->in.type == FRAME_JOINED)
		lane->state = lane->state == LANE_JOINING ? LANE_JOINED : LANE_LOST;
	else if (!frame_error_decode(lane->in_payload, lane->in.length, &e))
		lane_lost(lane, -EREMOTEIO, e.text);
	else
		lane_lost(lane, -EPROTO, "its answer is malformed");
}

static void lane_receive(struct lane *lane, void *buf, size_t size)
{
	lane->receiving = true;
	stream_recv(lane->stream, &lane->recv_op, buf, size);
}

static void lane_received(struct ring_op *op, int64_t result)
{
	struct lane *lane = container_of(op, struct lane, recv_op);
	size_t wanted = lane->in_body ? lane->in.length : FRAME_HEADER_SIZE;

	lane->receiving = false;
	if (stream_why(lane->stream)) {
		lane_lost(lane, result, stream_why(lane->stream));
	} else if (result < (int64_t)wanted) {
		lane_lost(lane, result < 0 ? result : -ECONNRESET,
			  result < 0 ? strerrordesc_np(-result) : "it was closed");
	} else if (lane->in_body) {
		lane_answered(lane);
	} else if (frame_check(&lane->in_wire, &lane->in) ||
		   (lane->in.type != FRAME_JOINED && lane->in.type != FRAME_ERROR)) {
		lane_lost(lane, -EPROTO, "it was answered by a frame of another kind");
	} else if (lane->in.length) {
		lane->in_body = true;
		lane_receive(lane, lane->in_payload, lane->in.length);
	} else {
		lane_answered(lane);
	}
}

static void lane_asked(struct ring_op *op, int64_t result)
{
	struct lane *lane = container_of(op, struct lane, join_op);

	/* If it was not sent the answer will not come: that says why. */
	lane->joining = false;
}

static void lane_join(struct lane *lane, const uint8_t *token)
{
	struct frame_join join = { .lane = lane->index };
	struct frame f = { .type = FRAME_JOIN };
	struct iovec iov[2] = {
		{ &lane->out_wire, FRAME_HEADER_SIZE },
		{ lane->out_payload, 0 },
	};

	memcpy(join.token, token, sizeof(join.token));
	f.length = frame_join_encode(&join, lane->out_payload);
	frame_encode(&f, lane->out_payload, &lane->out_wire);
	iov[1].iov_len = f.length;
	lane->joining = true;
	stream_send(lane->stream, &lane->join_op, iov, 2);
	lane_receive(lane, &lane->in_wire, FRAME_HEADER_SIZE);
}

/* The address that the connection has found, among those that the host's name may have. */
static int lane_dial(const struct conn_config *config, int fd, struct reason *why)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	char host[NI_MAXHOST], port[NI_MAXSERV];
	int unsent = LANE_UNSENT, timeout = config->timeout_ms;
	int lane;

	if (getpeername(fd, (struct sockaddr *)&address, &size) ||
	    getnameinfo((struct sockaddr *)&address, size, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		return reason_set(why, -ENOTCONN, 0, "the connection has no address");
	lane = dial(host, port, u64_min(config->timeout_ms, LANES_DIAL_MS), config->cancel_fd,
		    why);
	if (lane < 0)
		return lane;
	/* Neither can fail on a TCP socket. */
	setsockopt(lane, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	setsockopt(lane, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	return lane;
}

static struct lane *lane_destroy(struct lane *lane)
{
	stream_destroy(lane->stream);
	close(lane->fd);
	free(lane);
	return NULL;
}

static void lane_sent(void *owner, struct conn_item *items, int64_t result);

static int lane_create(struct lane **ret, const struct conn_config *config, struct ring *ring,
		       int fd, struct reason *why)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (!lane)
		return reason_set(why, -ENOMEM, 0, "out of memory");
	lane->fd = lane_dial(config, fd, why);
	if (lane->fd < 0) {
		free(lane);
		return -ENOTCONN;
	}
	if (stream_create(&lane->stream, ring, lane->fd, config->tls, config->host)) {
		lane_destroy(lane);
		return reason_set(why, -ENOMEM, 0, "out of memory");
	}
	lane->join_op.done = lane_asked;
	lane->recv_op.done = lane_received;
	outlet_init(&lane->out, lane->stream, lane->fd, LANE_LENT_MAX, lane_sent, lane);
	*ret = lane;
	return 0;
}

struct lanes *lanes_dial(const struct conn_config *config, struct ring *ring, int fd,
			 const uint8_t token[FRAME_TOKEN_SIZE], unsigned int count,
			 lanes_sent sent, void *owner, struct reason *why)
{
	struct lanes *l = calloc(1, sizeof(*l));

	if (!l) {
		reason_set(why, -ENOMEM, 0, "out of memory");
		return NULL;
	}
	l->sent = sent;
	l->owner = owner;
	for (; l->count < u64_min(count, FRAME_LANES_MAX); l->count++) {
		struct lane *lane = NULL;

		if (lane_create(&lane, config, ring, fd, why))
			break;
		lane->all = l;
		lane->index = l->count;
		l->lanes[l->count] = lane;
		lane_join(lane, token);
	}
	return l->count ? l : lanes_destroy(l);
}

bool lanes_joining(const struct lanes *l)
{
	for (unsigned int i = 0; i < l->count; i++)
		if (l->lanes[i]->state == LANE_JOINING || l->lanes[i]->joining ||
		    l->lanes[i]->receiving || stream_busy(l->lanes[i]->stream))
			return true;
	return false;
}

void lanes_hang_up(struct lanes *l, bool all)
{
	for (unsigned int i = 0; l && i < l->count; i++) {
		if (!all && l->lanes[i]->state == LANE_JOINED)
			continue;
		lane_lost(l->lanes[i], -ETIMEDOUT, "there was no answer in time");
		outlet_hang_up(&l->lanes[i]->out);
	}
}

unsigned int lanes_settle(struct lanes *l, struct reason *why)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < l->count; i++) {
		if (l->lanes[i]->state == LANE_JOINED) {
			l->lanes[kept++] = l->lanes[i];
			continue;
		}
		*why = l->lanes[i]->why;
		lane_destroy(l->lanes[i]);
	}
	l->count = kept;
	return kept;
}

struct lanes *lanes_destroy(struct lanes *l)
{
	for (unsigned int i = 0; l && i < l->count; i++)
		lane_destroy(l->lanes[i]);
	free(l);
	return NULL;
}

/* -- sending -------------------------------------------------------------------- */

struct lane *lanes_idle(struct lanes *l)
{
	for (unsigned int i = 0; l && i < l->count; i++) {
		struct lane *lane = l->lanes[(l->next + i) % l->count];

		if (outlet_sending(&lane->out) || lane->taking)
			continue;
		l->next = (l->next + i + 1) % l->count;
		return lane;
	}
	return NULL;
}

static void lane_taken(struct conn_item *item)
{
	container_of(item, struct lane, take)->taking = false;
}

struct conn_item *lane_send(struct lane *lane, const struct queue_batch *batch)
{
	struct frame_take take = { .lane = lane->index, .frames = batch->frames };

	lane->taking = true;
	lane->take = (struct conn_item){
		.frame = { .type = FRAME_TAKE },
		.payload = lane->take_payload,
		.sent = lane_taken,
	};
	lane->take.frame.length = frame_take_encode(&take, lane->take_payload);
	lane->begun_ns = conn_now_ns();
	outlet_send(&lane->out, batch);
	return &lane->take;
}

/* A mean over bytes, not over sends: one that found the socket empty took no time. */
static void lane_measure(struct lane *lane, uint64_t bytes)
{
	if (bytes < LANE_RATE_BYTES)
		return;
	lane->sent_bytes = lane->sent_bytes / 8 * 7 + bytes;
	lane->sent_ns = lane->sent_ns / 8 * 7 + u64_max(conn_now_ns() - lane->begun_ns, 1);
}

static void lane_sent(void *owner, struct conn_item *items, int64_t result)
{
	struct lane *lane = owner;

	if (result > 0)
		lane_measure(lane, result);
	lane->all->sent(lane->all->owner, items, result);
}

bool lanes_sending(const struct lanes *l)
{
	for (unsigned int i = 0; l && i < l->count; i++)
		if (outlet_sending(&l->lanes[i]->out))
			return true;
	return false;
}

uint64_t lanes_since(const struct lanes *l)
{
	uint64_t since = 0;

	for (unsigned int i = 0; l && i < l->count; i++) {
		uint64_t one = outlet_since(&l->lanes[i]->out);

		if (one && (!since || one < since))
			since = one;
	}
	return since;
}

bool lanes_spent(const struct lanes *l)
{
	for (unsigned int i = 0; l && i < l->count; i++)
		if (stream_spent(l->lanes[i]->stream))
			return true;
	return false;
}

uint64_t lanes_uncopied(const struct lanes *l)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; l && i < l->count; i++)
		bytes += l->lanes[i]->out.uncopied;
	return bytes;
}

bool lanes_copies(const struct lanes *l)
{
	for (unsigned int i = 0; l && i < l->count; i++)
		if (outlet_copies(&l->lanes[i]->out))
			return true;
	return false;
}

uint64_t lanes_rate(const struct lanes *l)
{
	uint64_t rate = 0;

	for (unsigned int i = 0; l && i < l->count; i++)
		if (l->lanes[i]->sent_ns)
			rate += (long double)l->lanes[i]->sent_bytes * 1000000000 /
				l->lanes[i]->sent_ns;
	return rate;
}
