// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/steps.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "point/catalog-failover.h"
#include "point/retain.h"
#include "receive/need.h"

/* The peer is shown that we live this often, while it waits for us. */
#define STEPS_ALIVE_MS 5000

const char *steps_collection(const struct connection *c)
{
	return c->session.hello.collection;
}

/* -- answers -------------------------------------------------------------------------- */

int steps_unsent(struct connection *c, int err)
{
	/* What came until now came whole. */
	c->keep = true;
	return reason_set(&c->reason, err, 0, "sending to the peer failed: %s", strerror(-err));
}

static int steps_send(struct connection *c, uint8_t type, uint32_t disk, const void *payload,
			   uint32_t length)
{
	struct frame f = { .type = type, .disk = disk, .length = length };
	int err = channel_send(&c->channel, &f, payload);

	return err ? steps_unsent(c, err) : 0;
}

/*
 * Called now and then by what takes long before DURABLE. The peer has nothing
 * to do but to wait then: it is shown that somebody is at work.
 */
static int steps_alive(void *arg)
{
	struct connection *c = arg;
	int err;

	if (*c->config->stop)
		return -ECANCELED;
	if (channel_quiet_ms(&c->channel) < STEPS_ALIVE_MS)
		return 0;
	err = steps_send(c, FRAME_PING, 0, NULL, 0);
	return err ? err : channel_flush(&c->channel);
}

/*
 * The same for a merge after DURABLE: nobody waits, unless for the collection: then it
 * is put off. It will be done, at the latest when retain_crowded() says so.
 */
static int steps_stopping(void *arg)
{
	struct connection *c = arg;

	return *c->config->stop || store_wanted(c->config->store, steps_collection(c)) ?
		-ECANCELED : 0;
}

/* -- steps ---------------------------------------------------------------------------- */

/* The VM runs here: what its old primary sends comes too late. */
static int steps_judge_failover(struct connection *c)
{
	struct catalog_failover f;
	int found = catalog_failover_find(store_catalog(c->config->store), steps_collection(c),
					  FAILOVER_REAL, &f);

	if (found < 0)
		return reason_set(&c->reason, found, REASON_FAILED, "cannot read the state file");
	if (!found)
		return 0;
	return reason_set(&c->reason, -EINVAL, REASON_INVALID_STATE,
			  "the collection %s was failed over to point %" PRIu64 " on the replica "
			  "host%s: its disks are in use there", steps_collection(c), f.point,
			  f.state == FAILOVER_MADE ? "" : ", for good");
}

/* One name, however many addresses it comes from, has so many connections. */
static int steps_enter(struct connection *c, const char *name)
{
	unsigned int limit = c->config->limits->per_peer;
	int err = peers_enter(c->config->peers, name, limit);

	if (err == -EBUSY)
		return reason_set(&c->reason, err, REASON_IN_USE,
				  "%u connections of %s are served already", limit, name);
	if (err)
		return reason_set(&c->reason, err, 0, "no memory for a connection");
	snprintf(c->guest, sizeof(c->guest), "%s", name);
	return 0;
}

/*
 * A certificate of our CA says who the peer is; what that one may do is said here.
 * In the clear there is nobody to be told apart.
 */
static int steps_authorize(struct connection *c)
{
	char names[STREAM_NAMES_MAX][NAME_SIZE];
	size_t count = stream_names(c->stream, names);

	if (strcmp(stream_secret(c->stream), "plain") == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (peers_may(c->config->peers, names[i], steps_collection(c)))
			return steps_enter(c, names[i]);
	return reason_set(&c->reason, -EACCES, REASON_ACCESS_DENIED,
			  "the certificate of %s gives no right to send the collection %s here",
			  count ? names[0] : "nobody", steps_collection(c));
}

/* Lanes are a matter of speed: where there can be none, they are not agreed on. */
static void steps_offer_lanes(struct connection *c, uint8_t *token)
{
	if (c->session.features & FRAME_FEATURE_STREAMS &&
	    berths_open(c->config->lanes, c->guest, steps_collection(c), &c->lanes, token))
		c->session.features &= ~FRAME_FEATURE_STREAMS;
}

static int step_hello(struct connection *c)
{
	struct frame_welcome welcome = { .version = c->session.version };
	uint8_t buf[FRAME_CONTROL_MAX];
	int err;

	err = steps_authorize(c);
	if (err)
		return err;
	*c->admitted = true;
	err = store_claim(c->config->store, steps_collection(c), c->config->limits->busy_ms,
			  &c->reason);
	if (err)
		return err;
	c->claimed = true;
	err = steps_judge_failover(c);
	if (!err)
		err = store_mend(c->config->store, steps_collection(c), &c->reason);
	if (err)
		return err;
	store_activity(c->config->store, steps_collection(c), STORE_RECEIVING);
	err = stage_create(c->config->store, steps_collection(c), &c->stage);
	if (err)
		return reason_set(&c->reason, err, REASON_FAILED, "the store is out of order: %s",
				  strerror(-err));
	log_info("%s (%s, %s) sends the collection %s", c->session.hello.node, c->peer,
		 stream_secret(c->stream), steps_collection(c));
	steps_offer_lanes(c, welcome.token);
	welcome.features = c->session.features;
	return steps_send(c, FRAME_WELCOME, 0, buf, frame_welcome_encode(&welcome, buf));
}

/*
 * This connection is a lane of another one. When JOINED is in the socket nothing is under
 * way here: the stream can go to the other thread.
 */
static int step_join(struct connection *c)
{
	char names[STREAM_NAMES_MAX][NAME_SIZE];
	size_t count = stream_names(c->stream, names);
	int err;

	c->lane.fd = c->fd;
	c->lane.stream = c->stream;
	err = berths_join(c->config->lanes, &c->session.join, names, count, &c->lane, &c->reason);
	if (err)
		return err;
	*c->admitted = true;
	*c->is_lane = true;
	log_info("%s (%s) is lane %u of the collection %s", c->peer, stream_secret(c->stream),
		 c->session.join.lane, c->lane.collection);
	err = steps_send(c, FRAME_JOINED, 0, NULL, 0);
	if (!err) {
		err = channel_flush(&c->channel);
		err = err ? steps_unsent(c, err) : 0;
	}
	if (err) {
		berth_leave(c->config->lanes, &c->lane);
		return err;
	}
	channel_close(&c->channel);
	berth_serve(c->config->lanes, &c->lane);
	return STEPS_OVER;
}

/* What comes now is read from a lane, as many frames as the session counts. */
static int step_take(struct connection *c)
{
	uint32_t index = c->session.take.lane;
	struct berth *lane = berths_use(c->lanes, index, c->config->limits->handshake_ms);

	if (!lane)
		return reason_set(&c->reason, -EPROTO, 0, "TAKE names lane %u, which has not joined",
				  index);
	stream_move(lane->stream, c->ring);
	channel_from(&c->channel, lane->stream, lane->fd);
	c->taken = lane;
	return 0;
}

/*
 * A disk cannot be taken. With a peer that knows DROP the others go on without
 * it; else, and where it is not the disk that is out of order, the run ends.
 */
static int steps_drop(struct connection *c, uint32_t index, int err)
{
	const struct frame_open *open = &c->session.disks[index].open;
	struct frame_error why = { .code = c->reason.code };
	uint8_t buf[FRAME_CONTROL_MAX];

	if (!(c->session.features & FRAME_FEATURE_DROP) || err == -ENOMEM || !c->reason.code ||
	    catalog_poisoned(store_catalog(c->config->store)))
		return err;
	log_warning("%s: %s/%s is dropped from the run: %s", steps_collection(c), open->vm,
		    open->name, c->reason.text);
	snprintf(why.text, sizeof(why.text), "%s", c->reason.text);
	c->reason = (struct reason){ 0 };
	stage_drop(c->stage, index);
	session_drop(&c->session, index);
	return steps_send(c, FRAME_DROP, index, buf, frame_error_encode(&why, buf));
}

/* The sender gives up a disk. What it had here goes, at once. */
static int step_drop(struct connection *c, const struct frame *f)
{
	const struct frame_open *open = &c->session.disks[f->disk].open;
	struct frame_error why;
	int err = c->intake.area ? intake_drain(&c->intake) : 0;

	if (err)
		return steps_write_failed(c, err);
	if (frame_error_decode(c->payload, f->length, &why))
		return -EPROTO; /* the session has looked at it before */
	log_warning("%s: the sender drops %s/%s from the run: %s", steps_collection(c), open->vm,
		    open->name, why.text);
	stage_drop(c->stage, f->disk);
	return 0;
}

static int step_open(struct connection *c, uint32_t index)
{
	const struct frame_open *open = &c->session.disks[index].open;
	struct stage_disk_spec spec = { .size = open->size, .granule = open->granule };
	struct frame_opened opened = { 0 };
	uint8_t buf[FRAME_CONTROL_MAX];
	struct receiver_tracker *trackers;
	struct stage_held *held;
	int err;

	held = realloc(c->held, (index + 1) * sizeof(*held));
	c->held = held ?: c->held;
	trackers = realloc(c->trackers, (index + 1) * sizeof(*trackers));
	c->trackers = trackers ?: c->trackers;
	if (!held || !trackers)
		return reason_set(&c->reason, -ENOMEM, 0, "no memory for a disk");
	trackers[index] = (struct receiver_tracker){ 0 };
	memcpy(spec.vm, open->vm, sizeof(spec.vm));
	memcpy(spec.disk, open->name, sizeof(spec.disk));
	memcpy(spec.tracker, open->uuid, sizeof(spec.tracker));
	held[index] = (struct stage_held){ 0 };
	err = stage_open(c->stage, index, &spec, &held[index], &c->reason);
	if (err)
		return steps_drop(c, index, err);
	if (held[index].lost)
		log_warning("the replica of %s/%s/%s is gone from the store: it begins anew",
			    steps_collection(c), open->vm, open->name);
	if (held[index].present) {
		opened.present = 1;
		opened.epoch = held[index].epoch;
		opened.size = held[index].size;
		opened.point = held[index].point;
		memcpy(opened.uuid, held[index].tracker, sizeof(opened.uuid));
		err = need_offer(c, index, &opened);
	}
	if (!err)
		err = settle_tell(c, index);
	return err ? err
		   : steps_send(c, FRAME_OPENED, index, buf, frame_opened_encode(&opened, buf));
}

/* May this mode follow on what is held? The sender decides, but it may be wrong. */
static int steps_judge_mode(struct connection *c, uint32_t index)
{
	const struct session_disk *d = &c->session.disks[index];
	const struct stage_held *held = &c->held[index];
	static const uint8_t none[FRAME_UUID_SIZE];

	if (d->mode == FRAME_MODE_REVERSE)
		return need_judge(c, index);
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

/*
 * A run stacks its overlay over the newest point, merged or not. Only when so
 * many could not be merged that nobody should open more, that comes first.
 */
static int steps_merge_old(struct connection *c)
{
	struct merge_tick tick = { steps_alive, c };
	int err = 0;

	if (c->merged)
		return 0;
	if (retain_crowded(c->config->store, steps_collection(c)))
		err = retain_run(c->config->store, steps_collection(c), c->ring, &tick,
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
		[FRAME_MODE_REVERSE] = STAGE_OVERLAY,
	};
	const struct session_disk *d = &c->session.disks[index];
	int err = steps_merge_old(c);

	if (err)
		return err;
	err = steps_judge_mode(c, index);
	if (!err)
		err = stage_begin(c->stage, index, modes[d->mode],
				  (d->force ? STAGE_FORCE : 0) | (d->resume ? STAGE_RESUME : 0),
				  &c->reason);
	if (err)
		return steps_drop(c, index, err);
	if (d->mode != FRAME_MODE_VERIFY && !c->intake.area &&
	    intake_open(&c->intake, c->ring, c->stage))
		err = reason_set(&c->reason, -ENOMEM, 0, "no memory for a connection");
	return err ? err : steps_send(c, FRAME_BEGUN, index, NULL, 0);
}

int steps_write_failed(struct connection *c, int err)
{
	return reason_set(&c->reason, err, err == -ENOMEM ? 0 : REASON_FAILED,
			  "writing the new point failed: %s", strerror(-err));
}

static int step_zero(struct connection *c, const struct frame *f)
{
	int err = intake_settle(&c->intake, f->disk, f->offset, f->span);

	if (!err)
		err = stage_zero(c->stage, f->disk, f->offset, f->span);
	return err ? steps_write_failed(c, err) : settle_step(c);
}

/*
 * A peer that takes no answers is gone. What it has sent before lies in the socket, and
 * is worth the reading: it may have been cut off, and go on another time.
 */
static int steps_deaf(struct connection *c)
{
	c->deaf = true;
	return 0;
}

static int step_hash(struct connection *c, const struct frame *f)
{
	enum hash_kind kind = hash_kind(c->session.features);
	struct frame answer = {
		.type = FRAME_HASHES,
		.disk = f->disk,
		.offset = f->offset,
		.span = f->span,
		.length = session_hashes(&c->session, f) * hash_size(kind),
	};
	const uint8_t *hashes;
	int err;

	/* The answer before this one may still be on its way, out of the same buffer. */
	if (c->deaf || channel_flush(&c->channel))
		return steps_deaf(c);
	err = hasher_open(&c->hasher, c->ring, c->stage, kind);
	if (err == -EOPNOTSUPP)
		return reason_set(&c->reason, err, REASON_NOT_SUPPORTED,
				  "OpenSSL has no %s here", hash_name(kind));
	if (!err)
		err = hasher_run(&c->hasher, f->disk, c->session.disks[f->disk].open.granule,
				 f->offset, f->span, &hashes);
	if (err)
		return reason_set(&c->reason, err, err == -ENOMEM ? 0 : REASON_FAILED,
				  "reading the replica failed: %s", strerror(-err));
	return channel_send(&c->channel, &answer, hashes) ? steps_deaf(c) : 0;
}

static int step_drain(struct connection *c)
{
	int err = c->intake.area ? intake_drain(&c->intake) : 0;

	return err ? steps_write_failed(c, err) : 0;
}

static int step_end(struct connection *c, uint32_t index)
{
	const struct session_disk *d = &c->session.disks[index];
	const struct stage_held *held = &c->held[index];
	struct merge_tick tick = { steps_alive, c };
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

static void steps_log_point(const struct connection *c, uint64_t point)
{
	const struct log_fields fields = { .event = LOG_EVENT_POINT,
					   .collection = steps_collection(c) };
	uint64_t bytes = 0;
	uint32_t disks = 0;

	for (uint32_t i = 0; i < c->session.disk_count; i++) {
		bytes += c->session.disks[i].sum.bytes;
		disks += c->session.disks[i].phase == SESSION_DISK_ENDED;
	}
	log_about(LOG_NOTICE, &fields, "%s: point %" PRIu64 " is committed: %" PRIu32 " disk(s), %" PRIu64
		   " bytes in chunks, %" PRIu64 " from the wire", steps_collection(c), point,
		   disks, bytes, c->channel.received);
}

/* The memory of chunks and hashes goes, before a merge takes its own. */
void steps_shrink(struct connection *c)
{
	intake_close(&c->intake);
	hasher_close(&c->hasher);
}

/*
 * The point stands, whatever happens to the merge: a failure is logged and
 * tried again by the next run, or at the next start.
 */
static void steps_merge_new(struct connection *c)
{
	struct merge_tick tick = { steps_stopping, c };
	struct reason reason = { 0 };

	int err = retain_run(c->config->store, steps_collection(c), c->ring, &tick, &reason);

	if (err == -ECANCELED)
		log_info("%s: the merge of the point is put off", steps_collection(c));
	else if (err)
		log_error("%s: the point is committed and stays an overlay for now: %s",
			  steps_collection(c), reason.text);
}

void steps_release(struct connection *c)
{
	if (c->claimed)
		store_release(c->config->store, steps_collection(c));
	c->claimed = false;
}

static int step_commit(struct connection *c)
{
	const struct frame_commit *said = &c->session.commit;
	struct stage_label label = {
		.consistency = said->consistency,
		.history = said->history == FRAME_HISTORY_UNSAID ? -1 : (int32_t)said->history,
		.final = said->final,
	};
	struct frame_durable durable;
	uint8_t buf[FRAME_CONTROL_MAX];
	int err = step_drain(c);

	if (!err)
		err = stage_commit(c->stage, &label, &durable.point, &c->reason);
	if (err)
		return err;
	steps_log_point(c, durable.point);
	/* From here on it is committed: that the peer is gone changes nothing. */
	err = steps_send(c, FRAME_DURABLE, 0, buf, frame_durable_encode(&durable, buf));
	if (!err)
		err = channel_flush(&c->channel);
	crash_at("told");
	c->lanes = berths_close(c->lanes);
	steps_shrink(c);
	c->stage = stage_destroy(c->stage);
	c->keep = false;
	steps_merge_new(c);
	steps_release(c);
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

/* A verification has nothing to commit: ABORT is its regular end. */
static int step_abort(struct connection *c)
{
	bool verified = c->session.disk_count > 0;

	for (uint32_t i = 0; i < c->session.disk_count; i++)
		verified &= c->session.disks[i].phase == SESSION_DISK_DROPPED ||
			    (c->session.disks[i].phase != SESSION_DISK_OPENED &&
			     c->session.disks[i].mode == FRAME_MODE_VERIFY);
	c->keep = !verified;
	if (verified)
		log_info("%s: the verification by %s has ended", steps_collection(c), c->peer);
	else
		log_info("%s: %s aborted the run", steps_collection(c), c->peer);
	return STEPS_OVER;
}

int steps_take(struct connection *c, const struct frame *f)
{
	switch (f->type) {
	case FRAME_HELLO:
		return step_hello(c);
	case FRAME_JOIN:
		return step_join(c);
	case FRAME_TAKE:
		return step_take(c);
	case FRAME_OPEN:
		return step_open(c, f->disk);
	case FRAME_BEGIN:
		return step_begin(c, f->disk);
	case FRAME_ZERO:
		return step_zero(c, f);
	case FRAME_HASH:
		return step_hash(c, f);
	case FRAME_DROP:
		return step_drop(c, f);
	case FRAME_SEALED:
		return settle_sealed(c, f);
	case FRAME_PASS:
		return step_drain(c);
	case FRAME_END:
		return step_end(c, f->disk);
	case FRAME_COMMIT:
		return step_commit(c);
	case FRAME_ABORT:
		return step_abort(c);
	case FRAME_ERROR:
		return step_peer_error(c, f);
	case FRAME_PING:
		return steps_send(c, FRAME_PONG, 0, NULL, 0);
	default:
		return 0; /* PONG, and what may be skipped */
	}
}
