// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "send/resume.h"

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

/* Two are said only if they are wanted. */
static uint32_t session_features(const struct run_config *config)
{
	uint32_t features = FRAME_FEATURES;

	if (!config->paranoid)
		features &= ~FRAME_FEATURE_SHA256;
	/* A verification sends no bytes of a disk. */
	if (config->streams < 2 || config->kind == RUN_VERIFY)
		features &= ~FRAME_FEATURE_STREAMS;
	return features;
}

int session_hello(struct conn *c, const struct run_config *config, struct frame_welcome *ret,
		  struct reason *reason)
{
	struct frame_hello hello = {
		.min_version = FRAME_VERSION,
		.max_version = FRAME_VERSION,
		.features = session_features(config),
	};
	struct frame f = { .type = FRAME_HELLO };
	struct frame_welcome welcome;
	uint8_t payload[FRAME_CONTROL_MAX];
	int err;

	session_node(hello.node);
	snprintf(hello.collection, sizeof(hello.collection), "%s", config->collection);
	f.length = frame_hello_encode(&hello, payload);
	err = conn_ask(c, &f, payload, FRAME_WELCOME, config->timeout_ms, "answer", &f);
	if (err)
		return err;
	if (frame_welcome_decode(conn_payload(c), f.length, &welcome) != FRAME_OK)
		return session_malformed(c, reason, "WELCOME");
	if (welcome.version != FRAME_VERSION || welcome.features & ~hello.features)
		return conn_fail(c, reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
					       "the replica host %s wants version %u of the wire",
					       conn_peer(c), welcome.version));
	if (config->paranoid && !(welcome.features & FRAME_FEATURE_SHA256))
		return conn_fail(c, reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
					       "the replica host %s cannot compare by SHA-256 "
					       "(paranoid): its Tidemark is too old", conn_peer(c)));
	*ret = welcome;
	return 0;
}

/* The answer to OPEN or BEGIN is about @d, and is it a DROP? */
static int session_answer(struct conn *c, struct session_disk *d, const struct frame *f,
			  struct reason *reason)
{
	struct frame_error e;

	if (f->disk != d->pump.handle)
		return session_malformed(c, reason, frame_type_name(f->type));
	if (f->type != FRAME_DROP)
		return 0;
	if (frame_error_decode(conn_payload(c), f->length, &e) != FRAME_OK)
		return session_malformed(c, reason, "DROP");
	/* Both sides have given it up now. */
	d->opened_there = false;
	reason_set(&d->report->reason, -EREMOTEIO, e.code, "the replica host %s says: %s",
		   conn_peer(c), e.text);
	return SESSION_REFUSED;
}

int session_mark(struct session_disk *d, const struct frame_range *ranges, size_t count)
{
	uint32_t granule = d->source->granule;
	int err = 0;

	for (size_t i = 0; i < count && !err; i++) {
		uint64_t end = u64_min(ranges[i].offset + ranges[i].span, d->source->size);
		struct plan_run run = { .first = ranges[i].offset / granule };

		/* The replica may be larger than the disk: nothing is needed there. */
		if (ranges[i].offset >= d->source->size)
			continue;
		run.count = u64_div_up(end, granule) - run.first;
		err = d->source->ops->mark(d->source, &run, 1);
	}
	return err;
}

/* Ranges that the receiver needs. */
static int session_need(struct session_disk *d, const struct frame *f, const void *payload)
{
	_cleanup_free_ struct frame_range *ranges = calloc(FRAME_NEED_MAX, sizeof(*ranges));
	uint32_t count;

	if (!ranges)
		return -ENOMEM;
	if (f->disk != d->pump.handle ||
	    frame_need_decode(payload, f->length, ranges, &count) != FRAME_OK)
		return -EPROTO;
	return session_mark(d, ranges, count);
}

/* What the receiver says of a disk before OPENED. */
static int session_said(void *owner, const struct frame *f, const void *payload)
{
	return f->type == FRAME_STAGED ? resume_take(owner, f, payload)
				       : session_need(owner, f, payload);
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
	d->opened_there = true;
	conn_on(c, CONN_TYPE(FRAME_NEED) | CONN_TYPE(FRAME_STAGED), session_said, d);
	err = conn_ask(c, &f, payload, FRAME_OPENED, config->timeout_ms, "say what it holds", &f);
	conn_on(c, 0, NULL, NULL);
	if (!err)
		err = session_answer(c, d, &f, reason);
	if (err)
		return err;
	if (frame_opened_decode(conn_payload(c), f.length, &d->opened) != FRAME_OK)
		return session_malformed(c, reason, "OPENED");
	return 0;
}

int session_begin(struct conn *c, const struct run_config *config, struct session_disk *d,
		  struct reason *reason)
{
	struct frame_begin begin = { .mode = d->mode, .resume = d->resume.granules };
	struct frame f = { .type = FRAME_BEGIN, .disk = d->pump.handle };
	uint8_t payload[FRAME_CONTROL_MAX];
	int err;

	f.length = frame_begin_encode(&begin, payload);
	err = conn_ask(c, &f, payload, FRAME_BEGUN, config->timeout_ms, "get ready", &f);
	return err ? err : session_answer(c, d, &f, reason);
}

int session_give_up(struct conn *c, uint32_t features, struct session_disk *d,
		 struct reason *reason)
{
	struct frame_error e = { .code = d->report->reason.code };
	struct frame f = { .type = FRAME_DROP, .disk = d->pump.handle };
	uint8_t payload[FRAME_CONTROL_MAX];

	if (!(features & FRAME_FEATURE_DROP))
		return conn_fail(c, reason_set(reason, -EOPNOTSUPP, e.code, "%s",
					       d->report->reason.text));
	snprintf(e.text, sizeof(e.text), "%s", d->report->reason.text);
	f.length = frame_error_encode(&e, payload);
	return conn_send(c, &f, payload);
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

int session_commit(struct conn *c, const struct run_config *config, uint32_t features,
		   enum run_consistency consistency, uint64_t *ret_point,
		   struct reason *reason)
{
	struct frame_commit commit = {
		.consistency = consistency,
		.history = config->history_given ? config->history : FRAME_HISTORY_UNSAID,
		.final = config->final,
	};
	struct frame f = { .type = FRAME_COMMIT };
	uint8_t payload[FRAME_CONTROL_MAX];
	struct frame_durable durable;
	int err;

	if (features & FRAME_FEATURE_POINT)
		f.length = frame_commit_encode(&commit, payload);
	err = conn_ask(c, &f, payload, FRAME_DURABLE, config->commit_ms, "make the point durable",
		       &f);
	if (err)
		return err;
	if (f.type != FRAME_DURABLE ||
	    frame_durable_decode(conn_payload(c), f.length, &durable) != FRAME_OK)
		return session_malformed(c, reason, "DURABLE");
	*ret_point = durable.point;
	return 0;
}
