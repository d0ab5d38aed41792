// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "send/dial.h"
#include "send/lanes.h"
#include "send/outlet.h"

#define CONN_TICK_MS 500
#define CONN_LAST_WORDS_MS 2000
/* A receiver takes silence for 60 s, whatever our own time limit is. */
#define CONN_PING_MS 15000u
/*
 * A send is given this much, or one frame: enough for the network, and little
 * enough that even a slow one ends sends often, which is how life is noticed.
 */
#define CONN_BATCH_BYTES (1u << 20)
/* Sends of less say nothing of the network. */
#define CONN_RATE_BYTES 65536
/* How long answers to JOIN are waited for. */
#define CONN_JOIN_MS 5000u

struct conn {
	struct conn_config config;
	struct ring *ring;
	struct progress *progress;
	struct reason *reason;
	struct progress_meter meter;
	struct stream *stream;
	int fd;
	int error;
	uint32_t timeout_ms;
	char peer[128];

	/* out */
	struct lanes *lanes;	  /* NULL: none */
	struct queue waiting;	  /* with lanes: what is not handed out yet */
	struct queue queue;	  /* what this connection is to send */
	struct outlet out;
	uint64_t send_since;
	uint64_t send_begun_ns;
	uint64_t moved; /* when a send has ended last, a lane's too */
	uint64_t rate; /* bytes a second that were taken lately, 0: not known */
	uint64_t heard; /* when something was received last */
	int broken; /* errno of a send that failed */
	uint64_t broken_at;
	struct conn_item pong;
	bool pong_busy;
	struct conn_item ping;
	bool ping_busy;
	bool greeted; /* HELLO has been sent: others may follow */
	bool closing;
	bool deaf; /* nothing is received any more */
	bool told; /* ABORT has been sent */

	/* in */
	struct ring_op recv_op;
	struct frame_wire in_wire;
	struct frame in;
	bool in_body;
	uint8_t *payload;
	uint8_t awaited; /* enum frame_type, 0: nothing */
	bool arrived;
	struct frame arrived_frame;
	uint8_t arrived_payload[FRAME_CONTROL_MAX];
	uint32_t asked_disk; /* that an awaited answer is about */
	uint64_t on_types;
	conn_handler on_frame;
	void *on_owner;

	struct throttle *throttles[CONN_THROTTLES];
	struct ring_op throttle_op;
	bool throttling; /* a send waits for a limit */

	struct ring_op tick_op;
	struct ring_op cancel_op;

	struct reason unheard; /* after conn_abort(): the caller knows why already */
};

uint64_t conn_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t conn_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

const char *conn_secret(const struct conn *c)
{
	return stream_secret(c->stream);
}

const char *conn_kernel_why(const struct conn *c)
{
	return stream_kernel_why(c->stream);
}

const char *conn_peer(const struct conn *c)
{
	return c->peer;
}

const void *conn_payload(const struct conn *c)
{
	return c->arrived_payload;
}

void conn_on(struct conn *c, uint64_t types, conn_handler handler, void *owner)
{
	c->on_types = types;
	c->on_frame = handler;
	c->on_owner = owner;
}

int conn_fail(struct conn *c, int error)
{
	if (!c->error)
		c->error = error;
	return c->error;
}

bool conn_spent(const struct conn *c)
{
	return stream_spent(c->stream) || lanes_spent(c->lanes);
}

int conn_expire(struct conn *c)
{
	return conn_fail(c, reason_set(c->reason, -EKEYEXPIRED, REASON_NOT_AVAILABLE,
				       "the key of the connection to %s has encrypted enough",
				       c->peer));
}

uint64_t conn_pace(const struct conn *c)
{
	uint64_t rate = c->lanes ? lanes_rate(c->lanes) : c->rate;

	for (size_t i = 0; i < CONN_THROTTLES; i++) {
		uint64_t limit = c->throttles[i] ? atomic_load(&c->throttles[i]->rate) : 0;

		if (limit && (!rate || limit < rate))
			rate = limit;
	}
	return rate;
}

uint64_t conn_uncopied(const struct conn *c, bool *ret_copies)
{
	*ret_copies = outlet_copies(&c->out) || lanes_copies(c->lanes);
	return c->out.uncopied + lanes_uncopied(c->lanes);
}

/* -- out -------------------------------------------------------------------- */

static void conn_pump(struct conn *c);

/* Must a send wait for a limit? Then it is tried again when the wait is over. */
static bool conn_throttled(struct conn *c)
{
	uint64_t wait;

	if (c->throttling)
		return true;
	wait = throttles_wait(c->throttles, CONN_THROTTLES, conn_now_ns());
	if (!wait)
		return false;
	c->throttling = true;
	ring_timeout(c->ring, &c->throttle_op, u64_div_up(wait, 1000000));
	return true;
}

static void conn_throttle_over(struct ring_op *op, int64_t result)
{
	struct conn *c = container_of(op, struct conn, throttle_op);

	c->throttling = false;
	conn_pump(c);
}

/* -- sending ------------------------------------------------------------------ */

static size_t conn_piece(struct conn *c, size_t max)
{
	return throttles_piece(c->throttles, CONN_THROTTLES, max);
}

/*
 * What waits goes to lanes and to the connection, in the order in which it was queued: a
 * batch is a TAKE there. Limits are obeyed here, and what the connection has to send then
 * is short.
 */
static void conn_hand_out(struct conn *c)
{
	while (c->waiting.first) {
		struct queue_batch batch;
		struct lane *lane;

		if (!queue_bulk(&c->waiting)) {
			queue_move(&c->waiting, &c->queue);
			continue;
		}
		if (conn_throttled(c))
			return;
		lane = lanes_idle(c->lanes);
		if (!lane)
			return;
		queue_collect(&c->waiting, conn_piece(c, LANE_BATCH_BYTES), true, &batch);
		throttles_take(c->throttles, CONN_THROTTLES, conn_now_ns(), batch.bytes);
		queue_append(&c->queue, lane_send(lane, &batch));
	}
}

static void conn_send_queue(struct conn *c)
{
	struct queue_batch batch;

	if (outlet_sending(&c->out) || !c->queue.first || (!c->lanes && conn_throttled(c)))
		return;
	queue_collect(&c->queue, conn_piece(c, CONN_BATCH_BYTES), false, &batch);
	throttles_take(c->throttles, CONN_THROTTLES, conn_now_ns(), batch.bytes);
	c->send_since = conn_now();
	c->send_begun_ns = conn_now_ns();
	c->greeted = true;
	outlet_send(&c->out, &batch);
}

static void conn_pump(struct conn *c)
{
	if (c->error || c->broken || c->closing)
		return;
	conn_hand_out(c);
	conn_send_queue(c);
}

static void conn_rate(struct conn *c, uint64_t bytes)
{
	uint64_t ns = u64_max(conn_now_ns() - c->send_begun_ns, 1);
	uint64_t now = (long double)bytes * 1000000000 / ns;

	if (bytes >= CONN_RATE_BYTES)
		c->rate = c->rate ? (c->rate * 7 + now) / 8 : now;
}

/* A send has ended, or its items are free, or both: the connection's or a lane's. */
static void conn_over(void *owner, struct conn_item *item, int64_t result)
{
	struct conn *c = owner;

	c->moved = conn_now();
	/*
	 * A receiver that gives up says why and closes: the send fails, but the
	 * reason lies in what was received. It has a moment to be heard.
	 */
	if (result < 0 && !c->broken) {
		c->broken = result;
		c->broken_at = c->moved;
	}
	if (result > 0)
		progress_add(&c->progress->wire, result);
	while (item) {
		struct conn_item *next = item->next;

		if (item->sent)
			item->sent(item);
		item = next;
	}
	conn_pump(c);
}

static void conn_sent(void *owner, struct conn_item *items, int64_t result)
{
	struct conn *c = owner;

	if (result > 0)
		conn_rate(c, result);
	conn_over(c, items, result);
}

void conn_queue(struct conn *c, struct conn_item *item)
{
	queue_append(c->lanes ? &c->waiting : &c->queue, item);
	conn_pump(c);
}

static void conn_pong_sent(struct conn_item *item)
{
	container_of(item, struct conn, pong)->pong_busy = false;
}

static void conn_ping_sent(struct conn_item *item)
{
	container_of(item, struct conn, ping)->ping_busy = false;
}

/* A disk of zeroes gives the network nothing to do for a while: say that we live. */
static void conn_ping(struct conn *c)
{
	if (c->ping_busy)
		return;
	c->ping_busy = true;
	c->ping = (struct conn_item){
		.frame = { .type = FRAME_PING },
		.sent = conn_ping_sent,
	};
	conn_queue(c, &c->ping);
}

/* -- in --------------------------------------------------------------------- */

static void conn_receive_header(struct conn *c)
{
	c->in_body = false;
	stream_recv(c->stream, &c->recv_op, &c->in_wire, FRAME_HEADER_SIZE);
}

static int conn_fault(struct conn *c, int fault)
{
	return reason_set(c->reason, -EPROTO, REASON_FAILED,
			  "the replica host %s sent a bad frame: %s", c->peer,
			  frame_fault_text(fault));
}

/* A complete frame that is not what is awaited: 0, or a negative errno. */
static int conn_dispatch(struct conn *c)
{
	struct frame_error e;

	if (c->in.type <= FRAME_TYPE_MAX && c->on_types & CONN_TYPE(c->in.type) &&
	    c->on_frame(c->on_owner, &c->in, c->payload) == 0)
		return 0;
	switch (c->in.type) {
	case FRAME_PONG:
		return 0;
	case FRAME_PING:
		/* One answer under way is an answer. */
		if (c->pong_busy)
			return 0;
		c->pong_busy = true;
		c->pong = (struct conn_item){
			.frame = { .type = FRAME_PONG },
			.sent = conn_pong_sent,
		};
		conn_queue(c, &c->pong);
		return 0;
	case FRAME_ERROR:
		if (frame_error_decode(c->payload, c->in.length, &e) != FRAME_OK)
			return conn_fault(c, FRAME_FAULT_PAYLOAD);
		return reason_set(c->reason, e.space ? -ENOSPC : -EREMOTEIO, e.code,
				  "the replica host %s says: %s", c->peer, e.text);
	}
	if (c->in.flags & FRAME_SKIPPABLE)
		return 0;
	return reason_set(c->reason, -EPROTO, REASON_FAILED,
			  "the replica host %s sent %s out of turn", c->peer,
			  frame_type_name(c->in.type));
}

static bool conn_awaits(const struct conn *c)
{
	if (!c->awaited)
		return false;
	return c->in.type == c->awaited ||
	       (c->in.type == FRAME_DROP && c->in.disk == c->asked_disk);
}

static int conn_take_frame(struct conn *c)
{
	int fault = frame_verify(&c->in_wire, c->payload);

	if (fault)
		return conn_fault(c, fault);
	if (conn_awaits(c)) {
		if (c->in.length > sizeof(c->arrived_payload))
			return conn_fault(c, FRAME_FAULT_LENGTH);
		memcpy(c->arrived_payload, c->payload, c->in.length);
		c->arrived_frame = c->in;
		c->arrived = true;
		c->awaited = 0;
		return 0;
	}
	return conn_dispatch(c);
}

static int conn_take_header(struct conn *c)
{
	int fault = frame_check(&c->in_wire, &c->in);

	if (!fault && c->in.length > CONN_PAYLOAD_MAX)
		fault = FRAME_FAULT_LENGTH;
	return fault ? conn_fault(c, fault) : 0;
}

static int conn_received_bytes(struct conn *c, int64_t result)
{
	size_t wanted = c->in_body ? c->in.length : FRAME_HEADER_SIZE;
	int err;

	if (stream_why(c->stream))
		return reason_set(c->reason, result,
				  result == -EKEYREJECTED ? REASON_ACCESS_DENIED : REASON_FAILED,
				  "%s: %s", c->peer, stream_why(c->stream));
	if (result < 0)
		return reason_set(c->reason, result, REASON_NOT_AVAILABLE,
				  "lost the connection to the replica host %s: %s", c->peer,
				  strerrordesc_np(-result));
	if ((size_t)result < wanted)
		return reason_set(c->reason, -ECONNRESET, REASON_NOT_AVAILABLE,
				  "the replica host %s closed the connection", c->peer);
	progress_add(&c->progress->received, result);
	c->heard = conn_now();
	if (!c->in_body) {
		err = conn_take_header(c);
		if (err)
			return err;
		if (c->in.length) {
			c->in_body = true;
			stream_recv(c->stream, &c->recv_op, c->payload, c->in.length);
			return 0;
		}
	}
	err = conn_take_frame(c);
	if (!err)
		conn_receive_header(c);
	return err;
}

static void conn_received(struct ring_op *op, int64_t result)
{
	struct conn *c = container_of(op, struct conn, recv_op);
	int err;

	if (c->closing)
		return;
	err = conn_received_bytes(c, result);
	if (err) {
		c->deaf = true;
		conn_fail(c, err);
	}
}

/* -- the clock -------------------------------------------------------------- */

/* When the oldest batch began that is sent or lent, 0: there is none */
static uint64_t conn_since(const struct conn *c)
{
	uint64_t own = outlet_since(&c->out), lanes = lanes_since(c->lanes);

	return own && lanes ? u64_min(own, lanes) : own + lanes;
}

/*
 * Is something under way, and nothing has moved for too long? A lane may wait long for its
 * turn: that others move is a sign of life.
 */
static bool conn_stuck(const struct conn *c, uint64_t now)
{
	uint64_t since = conn_since(c);

	return since && now - u64_max(since, c->moved) > c->timeout_ms;
}

static void conn_tick(struct ring_op *op, int64_t result)
{
	struct conn *c = container_of(op, struct conn, tick_op);
	uint64_t now = conn_now();

	if (c->closing)
		return;
	progress_tick(c->progress, &c->meter, now);
	if (c->broken && now - c->broken_at > CONN_LAST_WORDS_MS)
		conn_fail(c, reason_set(c->reason, c->broken, REASON_NOT_AVAILABLE,
					"lost the connection to the replica host %s: %s", c->peer,
					strerrordesc_np(-c->broken)));
	if (conn_stuck(c, now))
		conn_fail(c, reason_set(c->reason, -ETIMEDOUT, REASON_TIMEOUT,
					"the replica host %s took nothing for %u s", c->peer,
					c->timeout_ms / 1000));
	/* While our own limit holds back what we ask, no answer can be expected. */
	if (c->throttling)
		c->heard = now;
	if (c->on_types & CONN_TYPE(FRAME_HASHES) && now - c->heard > c->timeout_ms)
		conn_fail(c, reason_set(c->reason, -ETIMEDOUT, REASON_TIMEOUT,
					"the replica host %s said nothing for %u s", c->peer,
					c->timeout_ms / 1000));
	if (c->greeted && !outlet_sending(&c->out) &&
	    now - c->send_since > u64_min(c->timeout_ms / 4, CONN_PING_MS))
		conn_ping(c);
	ring_timeout(c->ring, &c->tick_op, CONN_TICK_MS);
}

static void conn_cancelled(struct ring_op *op, int64_t result)
{
	struct conn *c = container_of(op, struct conn, cancel_op);

	if (!c->closing)
		conn_fail(c, reason_set(c->reason, -ECANCELED, REASON_FAILED, "stopped"));
}

/* -- life ------------------------------------------------------------------- */

int conn_open(struct conn **ret, const struct conn_config *config, struct ring *ring,
	      struct progress *progress, struct reason *reason)
{
	_cleanup_free_ struct conn *c = calloc(1, sizeof(*c));
	_cleanup_free_ uint8_t *payload = malloc(CONN_PAYLOAD_MAX);
	int fd;

	if (!c || !payload)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	fd = dial(config->host, config->port, config->timeout_ms, config->cancel_fd, reason);
	if (fd < 0)
		return fd;
	if (stream_create(&c->stream, ring, fd, config->tls, config->host)) {
		close(fd);
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	}
	c->config = *config;
	c->ring = ring;
	c->progress = progress;
	c->reason = reason;
	c->fd = fd;
	c->timeout_ms = config->timeout_ms;
	c->payload = TAKE_PTR(payload);
	queue_clear(&c->waiting);
	queue_clear(&c->queue);
	snprintf(c->peer, sizeof(c->peer), "%s:%s", config->host, config->port);
	outlet_init(&c->out, c->stream, fd, CONN_LENT_MAX, conn_sent, c);
	c->recv_op.done = conn_received;
	c->throttle_op.done = conn_throttle_over;
	for (size_t i = 0; i < CONN_THROTTLES && config->throttles; i++)
		c->throttles[i] = config->throttles[i];
	c->tick_op.done = conn_tick;
	c->cancel_op.done = conn_cancelled;
	c->heard = c->send_since = c->moved = conn_now();
	conn_receive_header(c);
	ring_timeout(ring, &c->tick_op, CONN_TICK_MS);
	ring_poll(ring, &c->cancel_op, config->cancel_fd);
	*ret = TAKE_PTR(c);
	return 0;
}

/* What is lent is lost by hanging up: before ABORT it has a moment. The clock ends each wait. */
static void conn_linger(struct conn *c)
{
	uint64_t deadline = conn_now() + CONN_LAST_WORDS_MS;

	while ((c->told || !c->error) && conn_since(c) && conn_now() < deadline &&
	       ring_run(c->ring) != -EBADF)
		;
}

struct conn *conn_close(struct conn *c)
{
	if (!c)
		return NULL;
	conn_linger(c);
	c->closing = true;
	/* Ends a send and a receive under way, also those of a silent peer. */
	outlet_hang_up(&c->out);
	lanes_hang_up(c->lanes, true);
	ring_cancel(c->ring, &c->tick_op);
	ring_cancel(c->ring, &c->throttle_op);
	ring_cancel(c->ring, &c->cancel_op);
	while (ring_busy(c->ring) && ring_run(c->ring) != -EBADF)
		;
	lanes_destroy(c->lanes);
	stream_destroy(c->stream);
	close(c->fd);
	free(c->payload);
	free(c);
	return NULL;
}

int conn_lanes(struct conn *c, const uint8_t token[FRAME_TOKEN_SIZE], unsigned int count,
	       unsigned int *ret, struct reason *why)
{
	struct lanes *lanes = lanes_dial(&c->config, c->ring, c->fd, token, count, conn_over, c,
					 why);
	uint64_t deadline = conn_now() + CONN_JOIN_MS;
	bool late = false;

	*ret = 0;
	if (!lanes)
		return c->error;
	/* Those that are late are told at once; that their operations end takes no time. */
	while (lanes_joining(lanes)) {
		late |= conn_run(c) || conn_now() > deadline;
		if (late)
			lanes_hang_up(lanes, false);
		if (c->error && ring_run(c->ring) == -EBADF)
			break;
	}
	*ret = lanes_settle(lanes, why);
	c->lanes = *ret ? lanes : lanes_destroy(lanes);
	return c->error;
}

int conn_run(struct conn *c)
{
	int err;

	if (c->error)
		return c->error;
	err = ring_run(c->ring);
	if (err && err != -EINTR)
		conn_fail(c, reason_set(c->reason, err, 0, "the ring failed: %s",
					strerrordesc_np(-err)));
	return c->error;
}

/* -- one frame, and waiting for one ----------------------------------------- */

struct conn_call {
	struct conn_item item;
	bool sent;
};

static void conn_call_sent(struct conn_item *item)
{
	container_of(item, struct conn_call, item)->sent = true;
}

int conn_send(struct conn *c, struct frame *frame, const void *payload)
{
	struct conn_call call = {
		.item = { .frame = *frame, .payload = payload, .sent = conn_call_sent },
	};

	if (c->error)
		return c->error;
	conn_queue(c, &call.item);
	frame->checksum = call.item.frame.checksum;
	while (!call.sent && !conn_run(c))
		;
	if (call.sent)
		return c->error;
	/*
	 * The item is on this stack, so it must not be left behind: neither in a
	 * queue, which nothing is taken from after a failure, nor in a send. It is
	 * none that a lane would carry.
	 */
	queue_clear(&c->waiting);
	queue_clear(&c->queue);
	outlet_hang_up(&c->out);
	while (outlet_since(&c->out) && !call.sent && ring_run(c->ring) != -EBADF)
		;
	return c->error;
}

/* Until the frame that is awaited has arrived. */
static int conn_await(struct conn *c, uint32_t timeout_ms, const char *what, struct frame *ret)
{
	uint64_t deadline = conn_now() + timeout_ms;

	while (!c->arrived) {
		if (conn_run(c))
			return c->error;
		if (!c->arrived && conn_now() > deadline)
			return conn_fail(c, reason_set(c->reason, -ETIMEDOUT, REASON_TIMEOUT,
						       "the replica host %s did not %s within %u s",
						       c->peer, what, timeout_ms / 1000));
	}
	*ret = c->arrived_frame;
	return 0;
}

int conn_ask(struct conn *c, struct frame *frame, const void *payload, uint8_t type,
	     uint32_t timeout_ms, const char *what, struct frame *ret)
{
	int err;

	/* First: the answer may be here as soon as the question is on its way. */
	c->arrived = false;
	c->awaited = type;
	c->asked_disk = frame->disk;
	err = conn_send(c, frame, payload);
	return err ? err : conn_await(c, timeout_ms, what, ret);
}

void conn_abort(struct conn *c)
{
	struct frame frame = { .type = FRAME_ABORT };

	if (c->deaf || c->broken)
		return;
	/*
	 * The failure is the caller's own: frames can still be sent, but these not. Of
	 * what lanes have been given the receiver must be told, or ABORT comes too early.
	 */
	queue_clear(c->lanes ? &c->waiting : &c->queue);
	c->error = 0;
	/* Completions come until the ring is empty, after this function too. */
	c->reason = &c->unheard;
	c->timeout_ms = CONN_LAST_WORDS_MS;
	memset(c->throttles, 0, sizeof(c->throttles));
	c->throttling = false;
	conn_pump(c);
	while ((outlet_sending(&c->out) || lanes_sending(c->lanes)) && !conn_run(c))
		;
	c->told = conn_send(c, &frame, NULL) == 0;
	conn_fail(c, -ECANCELED);
}
