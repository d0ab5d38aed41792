// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/connection.h"

#include <string.h>

#include "base/log.h"
#include "receive/refuse.h"
#include "receive/steps.h"
#include "wire/pack.h"

/* The writes of an intake, and what a channel and a comparison have under way. */
#define CONNECTION_RING_DEPTH (INTAKE_DEPTH + 32)

/* -- frames ---------------------------------------------------------------------------- */

static int connection_fault(struct connection *c, const struct frame *f, int fault)
{
	const char *what = c->session.why ? c->session.why : frame_fault_text(fault);
	uint32_t code = REASON_FAILED;

	if (fault < 0)
		return reason_set(&c->reason, fault, 0, "no memory for a connection");
	if (fault == FRAME_FAULT_VERSION)
		code = REASON_NOT_SUPPORTED;
	if (f)
		return reason_set(&c->reason, -EPROTO, code, "%s frame refused: %s",
				  frame_type_name(f->type), what);
	return reason_set(&c->reason, -EPROTO, code, "frame refused: %s", what);
}

static unsigned int connection_limit(const struct connection *c)
{
	bool begun = false;

	for (uint32_t i = 0; i < c->session.disk_count; i++)
		begun |= c->session.disks[i].phase != SESSION_DISK_OPENED;
	return begun ? c->config->limits->idle_ms : c->config->limits->handshake_ms;
}

/* Did the peer leave at a moment at which it may? */
static bool connection_may_end(const struct connection *c)
{
	if (c->session.phase == SESSION_COMMITTED)
		return true;
	for (uint32_t i = 0; i < c->session.disk_count; i++)
		if ((c->session.disks[i].phase == SESSION_DISK_BEGUN ||
		     c->session.disks[i].phase == SESSION_DISK_ENDED) &&
		    c->session.disks[i].mode != FRAME_MODE_VERIFY)
			return false;
	return true;
}

static int connection_lost(struct connection *c, int err)
{
	const char *why = stream_why(c->channel.from);

	/* What came until now came whole. */
	c->keep = true;
	if (why) {
		c->silent = true;
		return reason_set(&c->reason, err,
				  err == -EKEYREJECTED ? REASON_ACCESS_DENIED : REASON_FAILED, "%s",
				  why);
	}
	if (err == -ENODATA && !c->session.take.frames && connection_may_end(c))
		return STEPS_OVER;
	c->silent = err != -ETIMEDOUT && err != -ECANCELED;
	/* Not told to a peer that may find the other connections whole: it is to try again. */
	if (c->session.take.frames && c->silent)
		return reason_set(&c->reason, err, 0, "lane %u is lost: %s", c->session.take.lane,
				  err == -ENODATA ? "the peer closed it" : strerror(-err));
	switch (err) {
	case -ENODATA:
		return reason_set(&c->reason, err, 0, "the peer left before COMMIT");
	case -ECONNRESET:
		return reason_set(&c->reason, err, 0, "the connection broke inside of a frame");
	case -ETIMEDOUT:
		return reason_set(&c->reason, err, 0, "the peer was silent for too long");
	case -ECANCELED:
		return reason_set(&c->reason, err, REASON_NOT_AVAILABLE, "the agent stops");
	default:
		return reason_set(&c->reason, err, 0, "receiving failed: %s", strerror(-err));
	}
}

/* Receive a frame's payload to @buf, and judge both. */
static int connection_payload(struct connection *c, const struct frame *f, void *buf)
{
	int err = 0;

	if (f->length)
		err = channel_recv(&c->channel, buf, f->length, c->config->limits->idle_ms);
	if (err)
		return connection_lost(c, err == -ENODATA ? -ECONNRESET : err);
	err = frame_verify(&c->wire, buf);
	if (!err)
		err = session_take(&c->session, f, buf);
	return err ? connection_fault(c, f, err) : 0;
}

static int connection_unpack(struct connection *c, const struct frame *f, void *buf)
{
	int err;

	if (!c->packed)
		c->packed = malloc(FRAME_PAYLOAD_MAX);
	if (!c->packed)
		return reason_set(&c->reason, -ENOMEM, 0, "no memory for a frame");
	err = connection_payload(c, f, c->packed);
	if (err)
		return err;
	err = unpack(f->type, c->packed, f->length, buf, f->span);
	return err ? connection_fault(c, f, err) : 0;
}

static int connection_data(struct connection *c, const struct frame *f)
{
	struct intake_chunk *chunk;
	int err = intake_take(&c->intake, f->span, c->session.disks[f->disk].unit, &chunk);

	if (err)
		return steps_write_failed(c, err);
	err = frame_packing(f->type) ? connection_unpack(c, f, chunk->buf)
				     : connection_payload(c, f, chunk->buf);
	if (err) {
		intake_drop(&c->intake, chunk);
		return err;
	}
	err = intake_write(&c->intake, chunk, f->disk, f->offset);
	return err ? steps_write_failed(c, err) : settle_step(c);
}

/* A frame of a type that is not known here, and may be skipped: any size up to the bound. */
static int connection_skip(struct connection *c, const struct frame *f)
{
	_cleanup_free_ void *buf = malloc(f->length);

	if (!buf)
		return reason_set(&c->reason, -ENOMEM, 0, "no memory for a frame");
	return connection_payload(c, f, buf);
}

static int connection_frame(struct connection *c)
{
	struct frame f;
	int err;

	if (c->taken && !c->session.take.frames) {
		channel_from(&c->channel, NULL, -1);
		berths_rest(c->taken);
		c->taken = NULL;
	}
	err = channel_recv(&c->channel, &c->wire, sizeof(c->wire), connection_limit(c));
	if (err)
		return connection_lost(c, err);
	c->session.why = NULL;
	err = frame_check(&c->wire, &f);
	if (err)
		return connection_fault(c, NULL, err);
	err = session_check(&c->session, &f);
	if (err)
		return connection_fault(c, &f, err);
	if (frame_is_data(f.type))
		return connection_data(c, &f);
	if (f.length > sizeof(c->payload))
		return connection_skip(c, &f);
	err = connection_payload(c, &f, c->payload);
	return err ? err : steps_take(c, &f);
}

/* -- the end --------------------------------------------------------------------------- */

static void connection_end(struct connection *c)
{
	bool told = !c->silent && c->reason.code;
	const struct log_fields fields = {
		.event = told ? LOG_EVENT_SENDER_REFUSED : LOG_EVENT_NONE,
		.collection = steps_collection(c)[0] ? steps_collection(c) : NULL,
		.code = c->reason.code,
	};

	settle_keep(c);
	steps_shrink(c);
	channel_close(&c->channel);
	c->lanes = berths_close(c->lanes);
	if (c->reason.code)
		log_about(LOG_WARNING, &fields, "%s%s%s: %s", steps_collection(c),
			  steps_collection(c)[0] ? ": " : "", c->peer, c->reason.text);
	stage_destroy(c->stage);
	steps_release(c);
	if (told)
		refuse_send(c->fd, c->stream, &c->reason,
			    c->space && c->session.features & FRAME_FEATURE_SPACE);
	else
		stream_end(c->stream);
	/* TLS has its own way to say why, which must be heard as well. */
	if (told || stream_why(c->stream))
		refuse_linger(c->fd);
	if (c->guest[0])
		peers_leave(c->config->peers, c->guest);
	session_done(&c->session);
	free(c->packed);
	free(c->held);
	free(c->trackers);
}

void connection_run(const struct connection_config *config,
		    const struct connection_socket *socket)
{
	struct connection *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return;
	c->config = config;
	c->fd = socket->fd;
	c->peer = socket->peer;
	c->admitted = socket->admitted;
	c->is_lane = socket->lane;
	err = ring_create(&c->ring, CONNECTION_RING_DEPTH);
	if (!err)
		err = stream_create(&c->stream, c->ring, c->fd, socket->tls, NULL);
	if (err) {
		log_error("%s: no ring for a connection: %s", c->peer, strerror(-err));
		ring_destroy(c->ring);
		free(c);
		return;
	}
	channel_open(&c->channel, c->ring, c->stream, c->fd, config->limits->idle_ms, config->stop);
	session_init(&c->session, config->limits->disks);
	while ((err = connection_frame(c)) == 0)
		;
	c->space = err == -ENOSPC || err == -EDQUOT;
	if (err < 0 && !c->reason.code)
		reason_set(&c->reason, err, 0, "%s", strerror(-err));
	connection_end(c);
	stream_destroy(c->stream);
	ring_destroy(c->ring);
	free(c);
}
