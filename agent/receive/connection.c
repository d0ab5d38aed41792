// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/connection.h"

#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "base/crash.h"
#include "base/log.h"
#include "point/catalog.h"
#include "receive/channel.h"
#include "receive/hasher.h"
#include "receive/intake.h"
#include "wire/session.h"

#define CONNECTION_RING_DEPTH 64
/* The peer is shown that we live this often, while it waits for us. */
#define CONNECTION_ALIVE_MS 5000
/* How long, and how much, we listen after an ERROR so that the peer can read it. */
#define CONNECTION_LINGER_MS 1000
#define CONNECTION_LINGER_BYTES MIB(64)

/* A positive return of a step: the connection is over, and all is well. */
#define CONNECTION_OVER 1

/*
 * @held: what OPENED said of each disk, in the order of their handles
 * @merged: points that were left over from before have been merged
 * @reason: why it ends; its code is 0 while all is well
 * @silent: the peer asked for the end itself, or is gone: no ERROR to it
 */
struct connection {
	const struct connection_config *config;
	int fd;
	const char *peer;
	struct ring *ring;
	struct channel channel;
	struct session session;
	struct stage *stage;
	struct stage_held *held;
	struct intake intake;
	struct hasher hasher;
	bool claimed;
	bool merged;
	bool silent;
	struct reason reason;
	struct frame_wire wire;
	uint8_t payload[FRAME_CONTROL_MAX];
};

static const char *connection_collection(const struct connection *c)
{
	return c->session.hello.collection;
}

/* -- answers -------------------------------------------------------------------------- */

static int connection_send(struct connection *c, uint8_t type, uint32_t disk, const void *payload,
			   uint32_t length)
{
	struct frame f = { .type = type, .disk = disk, .length = length };
	int err = channel_send(&c->channel, &f, payload);

	return err ? reason_set(&c->reason, err, 0, "sending to the peer failed: %s",
				strerror(-err)) : 0;
}

/*
 * Called now and then by what takes long before DURABLE. The peer has nothing
 * to do but to wait then: it is shown that somebody is at work.
 */
static int connection_alive(void *arg)
{
	struct connection *c = arg;
	int err;

	if (*c->config->stop)
		return -ECANCELED;
	if (channel_quiet_ms(&c->channel) < CONNECTION_ALIVE_MS)
		return 0;
	err = connection_send(c, FRAME_PING, 0, NULL, 0);
	return err ? err : channel_flush(&c->channel);
}

/* The same for a merge after DURABLE: nobody waits. */
static int connection_stopping(void *arg)
{
	struct connection *c = arg;

	return *c->config->stop ? -ECANCELED : 0;
}

/* -- steps ---------------------------------------------------------------------------- */

static int step_hello(struct connection *c)
{
	struct frame_welcome welcome = { .version = c->session.version };
	uint8_t buf[FRAME_CONTROL_MAX];
	int err;

	err = store_claim(c->config->store, connection_collection(c), c->config->limits->busy_ms,
			  &c->reason);
	if (err)
		return err;
	c->claimed = true;
	store_activity(c->config->store, connection_collection(c), STORE_RECEIVING);
	err = stage_create(c->config->store, connection_collection(c), &c->stage);
	if (err)
		return reason_set(&c->reason, err, REASON_FAILED, "the store is out of order: %s",
				  strerror(-err));
	log_info("%s (%s) sends the collection %s", c->session.hello.node, c->peer,
		 connection_collection(c));
	return connection_send(c, FRAME_WELCOME, 0, buf, frame_welcome_encode(&welcome, buf));
}

static int step_open(struct connection *c, uint32_t index)
{
	const struct frame_open *open = &c->session.disks[index].open;
	struct stage_disk_spec spec = { .size = open->size, .granule = open->granule };
	struct frame_opened opened = { 0 };
	uint8_t buf[FRAME_CONTROL_MAX];
	struct stage_held *held;
	int err;

	held = realloc(c->held, (index + 1) * sizeof(*held));
	if (!held)
		return reason_set(&c->reason, -ENOMEM, 0, "no memory for a disk");
	c->held = held;
	memcpy(spec.vm, open->vm, sizeof(spec.vm));
	memcpy(spec.disk, open->name, sizeof(spec.disk));
	memcpy(spec.tracker, open->uuid, sizeof(spec.tracker));
	err = stage_open(c->stage, index, &spec, &held[index], &c->reason);
	if (err)
		return err;
	if (held[index].lost)
		log_warning("the replica of %s/%s/%s is gone from the store: it begins anew",
			    connection_collection(c), open->vm, open->name);
	if (held[index].present) {
		opened.present = 1;
		opened.epoch = held[index].epoch;
		opened.size = held[index].size;
		opened.point = held[index].point;
		memcpy(opened.uuid, held[index].tracker, sizeof(opened.uuid));
	}
	return connection_send(c, FRAME_OPENED, index, buf, frame_opened_encode(&opened, buf));
}

/* May this mode follow on what is held? The sender decides, but it may be wrong. */
static int connection_judge_mode(struct connection *c, uint32_t index)
{
	const struct session_disk *d = &c->session.disks[index];
	const struct stage_held *held = &c->held[index];
	static const uint8_t none[FRAME_UUID_SIZE];

	if (d->mode != FRAME_MODE_INCREMENTAL)
		return 0;
	if (!held->present)
		return reason_set(&c->reason, -EINVAL, REASON_INVALID_STATE,
				  "nothing is held here of %s/%s: it must be sent in full",
				  d->open.vm, d->open.name);
	/* A damaged replica has no tracker: nothing can follow on it. */
	if (!memcmp(held->tracker, none, sizeof(none)) ||
	    memcmp(held->tracker, d->open.uuid, sizeof(held->tracker)))
		return reason_set(&c->reason, -EINVAL, REASON_INVALID_STATE,
				  "the replica of %s/%s does not come from this tracker: it must "
				  "be compared", d->open.vm, d->open.name);
	return 0;
}

/* What an earlier run committed and could not merge is merged before anything is begun. */
static int connection_merge_old(struct connection *c)
{
	struct merge_tick tick = { connection_alive, c };
	int err;

	if (c->merged)
		return 0;
	err = store_merge_pending(c->config->store, connection_collection(c), c->ring, &tick,
				  &c->reason);
	c->merged = !err;
	return err;
}

static int step_begin(struct connection *c, uint32_t index)
{
	static const enum stage_mode modes[] = {
		[FRAME_MODE_FULL] = STAGE_SEED,
		[FRAME_MODE_INCREMENTAL] = STAGE_OVERLAY,
		[FRAME_MODE_COMPARE] = STAGE_OVERLAY,
		[FRAME_MODE_VERIFY] = STAGE_READ,
	};
	const struct session_disk *d = &c->session.disks[index];
	int err = connection_judge_mode(c, index);

	if (!err)
		err = connection_merge_old(c);
	if (!err)
		err = stage_begin(c->stage, index, modes[d->mode], d->force, &c->reason);
	if (!err && d->mode != FRAME_MODE_VERIFY && !c->intake.area &&
	    intake_open(&c->intake, c->ring, c->stage))
		err = reason_set(&c->reason, -ENOMEM, 0, "no memory for a connection");
	return err ? err : connection_send(c, FRAME_BEGUN, index, NULL, 0);
}

static int connection_write_failed(struct connection *c, int err)
{
	return reason_set(&c->reason, err, err == -ENOMEM ? 0 : REASON_FAILED,
			  "writing the new point failed: %s", strerror(-err));
}

static int step_zero(struct connection *c, const struct frame *f)
{
	int err = intake_settle(&c->intake, f->disk, f->offset, f->span);

	if (!err)
		err = stage_zero(c->stage, f->disk, f->offset, f->span);
	return err ? connection_write_failed(c, err) : 0;
}

static int step_hash(struct connection *c, const struct frame *f)
{
	struct frame answer = {
		.type = FRAME_HASHES,
		.disk = f->disk,
		.offset = f->offset,
		.span = f->span,
		.length = session_hashes(&c->session, f) * FRAME_HASH_SIZE,
	};
	const uint8_t *hashes;
	int err;

	/* The answer before this one may still be on its way, out of the same buffer. */
	err = channel_flush(&c->channel);
	if (err)
		return reason_set(&c->reason, err, 0, "sending to the peer failed: %s",
				  strerror(-err));
	err = hasher_open(&c->hasher, c->ring, c->stage);
	if (!err)
		err = hasher_run(&c->hasher, f->disk, c->session.disks[f->disk].open.granule,
				 f->offset, f->span, &hashes);
	if (err)
		return reason_set(&c->reason, err, err == -ENOMEM ? 0 : REASON_FAILED,
				  "reading the replica failed: %s", strerror(-err));
	err = channel_send(&c->channel, &answer, hashes);
	return err ? reason_set(&c->reason, err, 0, "sending to the peer failed: %s",
				strerror(-err)) : 0;
}

static int step_drain(struct connection *c)
{
	int err = c->intake.area ? intake_drain(&c->intake) : 0;

	return err ? connection_write_failed(c, err) : 0;
}

static int step_end(struct connection *c, uint32_t index)
{
	const struct session_disk *d = &c->session.disks[index];
	const struct stage_held *held = &c->held[index];
	struct merge_tick tick = { connection_alive, c };
	int err = step_drain(c);

	if (err)
		return err;
	/* Epochs of one tracker never go back: an old state must not pass for a newer one. */
	if (held->present && !memcmp(held->tracker, d->open.uuid, sizeof(held->tracker)) &&
	    d->epoch < held->epoch + (d->mode == FRAME_MODE_INCREMENTAL))
		return reason_set(&c->reason, -EINVAL, REASON_INVALID_STATE,
				  "epoch %" PRIu64 " of %s/%s cannot follow epoch %" PRIu64,
				  d->epoch, d->open.vm, d->open.name, held->epoch);
	return stage_end(c->stage, index, d->epoch, &tick, &c->reason);
}

static void connection_log_point(const struct connection *c, uint64_t point)
{
	uint64_t bytes = 0;
	uint32_t disks = 0;

	for (uint32_t i = 0; i < c->session.disk_count; i++) {
		bytes += c->session.disks[i].sum.bytes;
		disks += c->session.disks[i].phase == SESSION_DISK_ENDED;
	}
	log_notice("%s: point %" PRIu64 " is committed: %" PRIu32 " disk(s), %" PRIu64
		   " bytes in chunks, %" PRIu64 " from the wire", connection_collection(c), point,
		   disks, bytes, c->channel.received);
}

/* The memory of chunks and hashes goes, before a merge takes its own. */
static void connection_shrink(struct connection *c)
{
	intake_close(&c->intake);
	hasher_close(&c->hasher);
}

/*
 * The point stands, whatever happens to the merge: a failure is logged and
 * tried again by the next run, or at the next start.
 */
static void connection_merge_new(struct connection *c)
{
	struct merge_tick tick = { connection_stopping, c };
	struct reason reason = { 0 };

	if (store_merge_pending(c->config->store, connection_collection(c), c->ring, &tick,
				&reason))
		log_error("%s: the point is committed and stays an overlay for now: %s",
			  connection_collection(c), reason.text);
}

static void connection_release(struct connection *c)
{
	if (c->claimed)
		store_release(c->config->store, connection_collection(c));
	c->claimed = false;
}

static int step_commit(struct connection *c)
{
	struct frame_durable durable;
	uint8_t buf[FRAME_CONTROL_MAX];
	int err = step_drain(c);

	if (!err)
		err = stage_commit(c->stage, &durable.point, &c->reason);
	if (err)
		return err;
	connection_log_point(c, durable.point);
	/* From here on it is committed: that the peer is gone changes nothing. */
	err = connection_send(c, FRAME_DURABLE, 0, buf, frame_durable_encode(&durable, buf));
	if (!err)
		err = channel_flush(&c->channel);
	crash_at("told");
	connection_shrink(c);
	c->stage = stage_destroy(c->stage);
	connection_merge_new(c);
	connection_release(c);
	return err;
}

static int step_peer_error(struct connection *c, const struct frame *f)
{
	struct frame_error e;

	c->silent = true;
	if (frame_error_decode(c->payload, f->length, &e))
		return reason_set(&c->reason, -EPROTO, 0, "the peer sent a malformed ERROR");
	return reason_set(&c->reason, -EPROTO, 0, "the peer gave up: %s (%" PRIu32 ")", e.text,
			  e.code);
}

static int connection_step(struct connection *c, const struct frame *f)
{
	switch (f->type) {
	case FRAME_HELLO:
		return step_hello(c);
	case FRAME_OPEN:
		return step_open(c, f->disk);
	case FRAME_BEGIN:
		return step_begin(c, f->disk);
	case FRAME_ZERO:
		return step_zero(c, f);
	case FRAME_HASH:
		return step_hash(c, f);
	case FRAME_PASS:
		return step_drain(c);
	case FRAME_END:
		return step_end(c, f->disk);
	case FRAME_COMMIT:
		return step_commit(c);
	case FRAME_ABORT:
		log_info("%s: %s aborted the run", connection_collection(c), c->peer);
		return CONNECTION_OVER;
	case FRAME_ERROR:
		return step_peer_error(c, f);
	case FRAME_PING:
		return connection_send(c, FRAME_PONG, 0, NULL, 0);
	default:
		return 0; /* PONG, and what may be skipped */
	}
}

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
		if (c->session.disks[i].phase != SESSION_DISK_OPENED &&
		    c->session.disks[i].mode != FRAME_MODE_VERIFY)
			return false;
	return true;
}

static int connection_lost(struct connection *c, int err)
{
	if (err == -ENODATA && connection_may_end(c))
		return CONNECTION_OVER;
	c->silent = err != -ETIMEDOUT && err != -ECANCELED;
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

static int connection_data(struct connection *c, const struct frame *f)
{
	struct intake_chunk *chunk;
	int err = intake_take(&c->intake, f->span, c->session.disks[f->disk].unit, &chunk);

	if (err)
		return connection_write_failed(c, err);
	err = connection_payload(c, f, chunk->buf);
	if (err) {
		intake_drop(&c->intake, chunk);
		return err;
	}
	err = intake_write(&c->intake, chunk, f->disk, f->offset);
	return err ? connection_write_failed(c, err) : 0;
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
	if (f.type == FRAME_DATA)
		return connection_data(c, &f);
	if (f.length > sizeof(c->payload))
		return connection_skip(c, &f);
	err = connection_payload(c, &f, c->payload);
	return err ? err : connection_step(c, &f);
}

/* -- the end --------------------------------------------------------------------------- */

static uint32_t connection_error_frame(const struct reason *reason, uint8_t *buf)
{
	struct frame_error e = { .code = reason->code };
	size_t n = strnlen(reason->text, sizeof(e.text) - 1);

	for (size_t i = 0; i < n; i++)
		e.text[i] = reason->text[i] >= ' ' && reason->text[i] <= '~' ? reason->text[i] : '?';
	return frame_error_encode(&e, buf);
}

void connection_refuse(int fd, const struct reason *reason)
{
	struct {
		struct frame_wire header;
		uint8_t payload[FRAME_CONTROL_MAX];
	} __attribute__((packed)) message;
	struct frame f = { .type = FRAME_ERROR };

	f.length = connection_error_frame(reason, message.payload);
	frame_encode(&f, message.payload, &message.header);
	/* Best effort: a peer that does not read is not waited for. */
	(void)!send(fd, &message, FRAME_HEADER_SIZE + f.length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * A socket that is closed with bytes unread is reset, and the peer may lose
 * the ERROR that it had not read yet. So listen on for a moment.
 */
static void connection_linger(int fd)
{
	uint64_t bytes = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	shutdown(fd, SHUT_WR);
	while (bytes < CONNECTION_LINGER_BYTES && poll(&p, 1, CONNECTION_LINGER_MS) > 0) {
		/* TCP drops the bytes then: there is nowhere to put them. */
		/* cppcheck-suppress nullPointer */
		ssize_t n = recv(fd, NULL, MIB(1), MSG_TRUNC | MSG_DONTWAIT);

		if (n <= 0)
			break;
		bytes += n;
	}
}

static void connection_end(struct connection *c)
{
	bool told = !c->silent && c->reason.code;

	connection_shrink(c);
	channel_close(&c->channel);
	if (c->reason.code)
		log_warning("%s%s%s: %s", connection_collection(c),
			    connection_collection(c)[0] ? ": " : "", c->peer, c->reason.text);
	stage_destroy(c->stage);
	connection_release(c);
	if (told) {
		connection_refuse(c->fd, &c->reason);
		connection_linger(c->fd);
	}
	session_done(&c->session);
	free(c->held);
}

void connection_run(const struct connection_config *config, int fd, const char *peer)
{
	struct connection *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return;
	c->config = config;
	c->fd = fd;
	c->peer = peer;
	err = ring_create(&c->ring, CONNECTION_RING_DEPTH);
	if (err) {
		log_error("%s: no io_uring for a connection: %s", peer, strerror(-err));
		free(c);
		return;
	}
	channel_open(&c->channel, c->ring, fd, config->limits->idle_ms, config->stop);
	session_init(&c->session, config->limits->disks);
	while ((err = connection_frame(c)) == 0)
		;
	if (err < 0 && !c->reason.code)
		reason_set(&c->reason, err, 0, "%s", strerror(-err));
	connection_end(c);
	ring_destroy(c->ring);
	free(c);
}
