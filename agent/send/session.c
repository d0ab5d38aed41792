// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The name of this host, for the receiver's log; a name that a frame can carry. */
static void session_node(char ret[NAME_SIZE])
{
	if (gethostname(ret, NAME_SIZE) < 0 || !memchr(ret, '\0', NAME_SIZE) || !name_valid(ret))
		snprintf(ret, NAME_SIZE, "unnamed");
}

static int session_malformed(struct conn *c, struct reason *reason, const char *what)
{
	return conn_fail(c, reason_set(reason, -EPROTO, REASON_FAILED,
				       "the replica host %s sent a malformed %s", conn_peer(c),
				       what));
}

int session_hello(struct conn *c, const struct run_config *config, struct reason *reason)
{
	struct frame_hello hello = { .min_version = FRAME_VERSION, .max_version = FRAME_VERSION };
	struct frame f = { .type = FRAME_HELLO };
	struct frame_welcome welcome;
	uint8_t payload[FRAME_CONTROL_MAX];
	int err;

	session_node(hello.node);
	snprintf(hello.collection, sizeof(hello.collection), "%s", config->collection);
	f.length = frame_hello_encode(&hello, payload);
	err = conn_ask(c, &f, payload, FRAME_WELCOME, config->timeout_ms, "answer",
		       &f);
	if (err)
		return err;
	if (frame_welcome_decode(conn_payload(c), f.length, &welcome) != FRAME_OK)
		return session_malformed(c, reason, "WELCOME");
	if (welcome.version != FRAME_VERSION || welcome.features)
		return conn_fail(c, reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
					       "the replica host %s wants version %u of the wire",
					       conn_peer(c), welcome.version));
	return 0;
}

int session_open(struct conn *c, const struct run_config *config, struct session_disk *d,
		 struct reason *reason)
{
	struct frame_open open = { .size = d->source->size, .granule = d->source->granule };
	struct frame f = { .type = FRAME_OPEN, .disk = d->pump.handle };
	uint8_t payload[FRAME_CONTROL_MAX];
	int err;

	snprintf(open.vm, sizeof(open.vm), "%s", d->config->vm);
	snprintf(open.name, sizeof(open.name), "%s", d->config->name);
	memcpy(open.uuid, d->before.uuid, sizeof(open.uuid));
	f.length = frame_open_encode(&open, payload);
	err = conn_ask(c, &f, payload, FRAME_OPENED, config->timeout_ms, "say what it holds",
		       &f);
	if (err)
		return err;
	if (f.disk != d->pump.handle ||
	    frame_opened_decode(conn_payload(c), f.length, &d->opened) != FRAME_OK)
		return session_malformed(c, reason, "OPENED");
	return 0;
}

int session_begin(struct conn *c, const struct run_config *config, struct session_disk *d)
{
	struct frame_begin begin = { .mode = d->mode };
	struct frame f = { .type = FRAME_BEGIN, .disk = d->pump.handle };
	uint8_t payload[FRAME_CONTROL_MAX];
	int err;

	f.length = frame_begin_encode(&begin, payload);
	err = conn_ask(c, &f, payload, FRAME_BEGUN, config->timeout_ms, "get ready",
		       &f);
	return err;
}

int session_pass(struct conn *c)
{
	struct frame f = { .type = FRAME_PASS };

	return conn_send(c, &f, NULL);
}

int session_end(struct conn *c, struct session_disk *d)
{
	struct frame f = {
		.type = FRAME_END,
		.disk = d->pump.handle,
		.epoch = d->source->epoch,
	};
	uint8_t payload[FRAME_CONTROL_MAX];

	f.length = frame_end_encode(&d->pump.sent, payload);
	return conn_send(c, &f, payload);
}

int session_commit(struct conn *c, const struct run_config *config, uint64_t *ret_point,
		   struct reason *reason)
{
	struct frame f = { .type = FRAME_COMMIT };
	struct frame_durable durable;
	int err;

	err = conn_ask(c, &f, NULL, FRAME_DURABLE, config->commit_ms, "make the point durable",
		       &f);
	if (err)
		return err;
	if (frame_durable_decode(conn_payload(c), f.length, &durable) != FRAME_OK)
		return session_malformed(c, reason, "DURABLE");
	*ret_point = durable.point;
	return 0;
}
