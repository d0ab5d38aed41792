// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The order of a run, and why it is right.
 *
 * What the replica gets must be every disk of the collection as it was at one
 * instant: at the last seal of the run.
 *
 *   seal      ends the epoch of all disks at one instant
 *   wait      every write from before it has landed; the owed granules on the
 *             data devices now hold the bytes of that instant, until somebody
 *             writes to them
 *   read      each owed granule, and release it when its read has *ended*
 *   torn?     asked when the last granule has been released
 *
 * A write W to an owed granule G, after the seal. The tracker looks at G's owed
 * bit before it passes W down. Bit set: the epoch becomes torn, and we see that
 * at the end. Bit clear: G was released before, so its read had ended before W
 * was passed down, and what was read is the old bytes. Not torn, then, means
 * that every byte that was sent is of the instant of the seal; and asking once,
 * after the last release, is enough, because no write can tear after it.
 *
 * Torn means only that. The bytes of some granules are of a later moment; those
 * granules were written after the seal, so they are marked in the current
 * epoch, and a further seal (which keeps what is sealed) makes them owed
 * again: the pass after sends them over what was sent. An untorn pass closes
 * the point, at *its* seal.
 *
 * Commit comes after "durable", and only then. Everything else leaves the granules
 * sealed, or folds: they are changed ones again, as if the run had never been. What
 * is sealed is there for the next run, which goes on where this one ended (resume.h)
 * or folds. A fold can only send something twice. When the connection breaks between COMMIT and
 * DURABLE the point may be there or not: folding is right either way, and
 * mode_choose() says why a replica that is ahead of the tracker's committed
 * epoch is still brought up to date by its bits.
 *
 * A disk that fails is dropped with its VM, see members.h: what is left was sealed
 * at one instant all the same, and a group is closed under dependency whichever
 * disks are looked at. In a final run, see run.h, one more condition closes the
 * last pass: nothing was written since its seal.
 *
 * An agent that died left a sealed epoch behind. Nothing is to be done about
 * it at start: the first seal of the next run does not extend, so it folds
 * what is there.
 */
#include "send/run.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "ring/ring.h"
#include "send/hold.h"
#include "send/members.h"
#include "send/mode.h"
#include "send/resume.h"
#include "send/trouble.h"
#include "send/verify.h"

#define RUN_RING_DEPTH 64
#define RUN_WAIT_SLICE_MS 500
/* So long the next connection is tried for while the receiver has not let go of the last. */
#define RUN_RENEW_MS 30000
#define RUN_RENEW_SLICE_MS 200

static bool run_cancelled(const struct run *r)
{
	struct pollfd fd = { .fd = r->control->cancel_fd, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

/* -- the handshake ---------------------------------------------------------- */

/* The old primary's own disk is there: what is known of how this one came from it? */
static int run_load_origin(struct run *r, struct session_disk *d)
{
	const struct run_origins *o = r->config->origins;
	int err;

	if (d->opened.present != FRAME_OPENED_ORIGIN || !o)
		return 0;
	err = o->load(o->arg, r->config->collection, d->config->vm, d->config->name,
		      d->config->device, &d->origin);
	if (!err || err == -ENOENT)
		return 0;
	return members_drop(r, d, err, 0, DISK_FORMAT ": cannot read where it was failed over "
			    "from: %s", DISK_NAMES(d), strerrordesc_np(-err));
}

/* How is it brought up to date? 0, or it is dropped, or the errno that ends the run. */
static int run_choose(struct run *r, struct session_disk *d)
{
	const char *why;
	int err = run_load_origin(r, d);

	if (err || d->dropped)
		return err;
	d->mode = mode_choose(&d->before, &d->config->past, d->origin, &d->opened, &why);
	if ((d->mode == FRAME_MODE_INCREMENTAL || d->mode == FRAME_MODE_REVERSE) &&
	    r->config->compare) {
		d->mode = FRAME_MODE_COMPARE;
		why = "a comparison was asked for";
	}
	if (r->config->kind == RUN_VERIFY)
		d->mode = FRAME_MODE_VERIFY;
	if (d->opened.present == FRAME_OPENED_POINT && d->opened.point > r->point)
		r->point = d->opened.point;
	if (d->mode == FRAME_MODE_VERIFY && !d->opened.present)
		return members_drop(r, d, -ENOENT, REASON_INVALID_STATE,
				    DISK_FORMAT ": there is no replica of it yet", DISK_NAMES(d));
	if (r->config->seeded && !d->opened.present)
		return members_drop(r, d, -ENOENT, REASON_NOT_FOUND,
				    DISK_FORMAT ": the replica host has no copy of it: import it "
				    "there first, or begin over the network", DISK_NAMES(d));
	if (d->mode == FRAME_MODE_COMPARE && r->config->no_compare && !r->config->compare)
		return members_drop(r, d, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
				    DISK_FORMAT " would have to be compared with its replica (%s), "
				    "and comparing is disabled", DISK_NAMES(d), why);
	if (frame_mode_hashes(d->mode))
		atomic_store(&r->report->hash, hash_name(hash_kind(r->features)));
	atomic_store(&d->report->why, why);
	atomic_store(&d->report->mode, d->mode);
	return 0;
}

/* The receiver's answer to OPEN or BEGIN of a disk. */
static int run_answered(struct run *r, struct session_disk *d, int answer)
{
	if (answer != SESSION_REFUSED)
		return answer;
	return members_drop(r, d, -EREMOTEIO, REASON_FAILED, DISK_FORMAT ": refused",
			    DISK_NAMES(d));
}

static int run_open_all(struct run *r)
{
	uint32_t handle = 0;
	int err = 0;

	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d)) {
		d->pump.handle = handle++;
		err = run_answered(r, d, session_open(r->conn, r->config, d, r->reason));
	}
	return err;
}

/* Several streams, or as many as can be had: a run never fails for want of them. */
static int run_streams(struct run *r, const struct frame_welcome *welcome)
{
	struct reason why = { 0 };
	unsigned int count = 0;
	int err;

	atomic_store(&r->report->streams, 1);
	if (!(r->features & FRAME_FEATURE_STREAMS))
		return 0;
	err = conn_lanes(r->conn, welcome->token, r->config->streams, &count, &why);
	if (err)
		return err;
	if (count) {
		atomic_store(&r->report->streams, count);
		pump_frame_max(r->pump, FRAME_LANE_PAYLOAD);
	}
	if (count < r->config->streams)
		snprintf(r->report->streams_why, sizeof(r->report->streams_why), "%s", why.text);
	return 0;
}

/* What was agreed on for all disks. */
static int run_agree(struct run *r)
{
	struct frame_welcome welcome;
	int err = session_hello(r->conn, r->config, &welcome, r->reason);

	if (err)
		return err;
	r->features = welcome.features;
	atomic_store(&r->report->secret, conn_secret(r->conn));
	/* With "auto" it is no news that the kernel does not: see tls_kernel_verdict(). */
	if (r->config->kernel_tls == TLS_KERNEL_YES)
		r->report->kernel_why = r->kernel_why ?: conn_kernel_why(r->conn);
	err = run_streams(r, &welcome);
	if (err)
		return err;
	err = pump_hash(r->pump, hash_kind(r->features));
	if (err == -EOPNOTSUPP)
		return reason_set(r->reason, err, REASON_NOT_SUPPORTED,
				  "OpenSSL has no SHA-256 here (paranoid)");
	if (!err && r->config->compress &&
	    r->features & (FRAME_FEATURE_PACK | FRAME_FEATURE_LZ4))
		err = pump_pack(r->pump, r->features);
	return err ? reason_set(r->reason, err, 0, "out of memory") : 0;
}

static int run_handshake(struct run *r)
{
	int err = run_agree(r);

	if (!err)
		err = run_open_all(r);
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d)) {
		err = run_choose(r, d);
		resume_judge(d);
		if (!err && !d->dropped)
			err = run_answered(r, d,
					   session_begin(r->conn, r->config, d, r->reason));
	}
	r->report->point = r->point;
	return err;
}

/* -- passes ----------------------------------------------------------------- */

static int run_drain(struct run *r, struct session_disk *d)
{
	uint64_t deadline = conn_now() + r->config->drain_ms;
	int gone, err;

	do {
		if (run_cancelled(r))
			return reason_set(r->reason, -ECANCELED, REASON_FAILED, "stopped");
		err = d->source->ops->wait(d->source, RUN_WAIT_SLICE_MS);
		/* The receiver is to hear that we live, and we, that it does. */
		if (err == -ETIMEDOUT && (gone = conn_run(r->conn)))
			return gone;
	} while ((err == -ETIMEDOUT || err == -EINTR) && conn_now() < deadline);
	if (!err)
		return 0;
	if (err == -ETIMEDOUT)
		return members_drop(r, d, -ETIME, REASON_TIMEOUT,
				    DISK_FORMAT ": writes from before the seal have not ended "
				    "after %u s", DISK_NAMES(d), r->config->drain_ms / 1000);
	return members_drop(r, d, err, 0, DISK_FORMAT ": cannot wait for its writes: %s",
			    DISK_NAMES(d), strerrordesc_np(-err));
}

/*
 * Does a disk need another pass: was its epoch torn, or, in a final run, was it
 * written to? And is it still the disk that it was: a resize or another tracker
 * in its place makes what was read worthless.
 */
static int run_check_disk(struct run *r, struct session_disk *d)
{
	struct source_info now;
	int err = d->source->ops->info(d->source, &now);

	if (err)
		return members_drop(r, d, err, REASON_INVALID_STATE,
				    DISK_FORMAT ": its tracker has gone: %s", DISK_NAMES(d),
				    strerrordesc_np(-err));
	if (now.size != d->before.size || now.granule != d->before.granule ||
	    memcmp(now.uuid, d->before.uuid, sizeof(now.uuid)) != 0)
		return members_drop(r, d, -ESTALE, REASON_INVALID_STATE,
				    DISK_FORMAT " was resized or attached anew during the run",
				    DISK_NAMES(d));
	if (d->source->epoch && now.sealed_epoch != d->source->epoch)
		return members_drop(r, d, -ESTALE, REASON_INVALID_STATE,
				    DISK_FORMAT ": somebody else has sealed its epoch",
				    DISK_NAMES(d));
	d->torn = now.torn || (r->config->final && now.tracked && now.marked);
	if (now.torn) {
		atomic_fetch_add(&r->progress->torn, 1);
		atomic_fetch_add(&d->report->progress.torn, 1);
	}
	return 0;
}

static int run_move(struct run *r, struct session_disk *d, bool first)
{
	int answer;

	/*
	 * Further passes must not be compared. The replica's hashes are
	 * of its newest point, not of what this run has sent: a granule
	 * that was sent in an earlier pass and has gone back to its old
	 * bytes since would seem equal, and the sent bytes would stay.
	 */
	d->pump.task = PUMP_SEND;
	if (first && frame_mode_hashes(d->mode))
		d->pump.task = PUMP_COMPARE;
	answer = pump_disk_run(r->pump, r->conn, &d->pump);
	if (answer != PUMP_DISK_FAILED)
		return answer;
	if (atomic_load(&d->report->leave) && !r->config->final)
		return members_leave(r);
	return members_drop(r, d, d->pump.error, 0, DISK_FORMAT ": %s", DISK_NAMES(d),
			    strerrordesc_np(-d->pump.error));
}

/* One seal; the VMs hold still around it if they can be made to. */
static int run_seal(struct run *r, uint32_t pass)
{
	struct hold hold = { 0 };
	bool extend = pass > 0;
	int err = 0;

	if (!pass)
		err = resume_prepare(r, &extend);
	if (!err && pass < RUN_FREEZES)
		err = hold_begin(r, &hold);
	if (!err)
		err = members_seal(r, extend);
	hold_end(r, &hold);
	/* The newest seal is the moment of the point: only its freeze counts. */
	r->frozen = hold.all;
	return err;
}

/*
 * Torn disks get more room to preserve in, for the passes to come: where the VM is as fast
 * as the network their number alone does not help. Without memory for that the pool is as
 * it was, and the pass may do all the same.
 */
static void run_grow(struct run *r)
{
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d))
		if (d->torn && d->source->ops->grow)
			(void)d->source->ops->grow(d->source, r->config->pool_limit);
}

/* One seal and all that it made owed. */
static int run_pass(struct run *r, uint32_t pass)
{
	int err = run_seal(r, pass);

	if (!err && !pass)
		err = resume_check(r);
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d))
		err = run_drain(r, d);
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d))
		err = resume_sealed(r, d, pass);
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d))
		err = run_move(r, d, pass == 0);
	if (!err)
		err = members_leave(r);
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d))
		err = run_check_disk(r, d);
	return err;
}

static bool run_torn(struct run *r)
{
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d))
		if (d->torn)
			return true;
	return false;
}

static int run_too_fast(struct run *r, struct session_disk *d)
{
	uint64_t owed = d->source->owed * d->source->granule;
	char stays[64] = "there is no replica yet";

	if (r->config->final)
		return members_drop(r, d, -EAGAIN, REASON_INVALID_STATE,
				    DISK_FORMAT " is still written to: it has been after each of %u "
				    "passes", DISK_NAMES(d), r->config->max_passes);
	if (r->point)
		snprintf(stays, sizeof(stays), "the replica stays at point %" PRIu64, r->point);
	return members_drop(r, d, -EAGAIN, REASON_FAILED,
			    DISK_FORMAT " is written faster than it can be copied at one moment: "
			    "after %u passes the last one still owed %" PRIu64 " KiB and was "
			    "written to meanwhile; %s", DISK_NAMES(d), r->config->max_passes,
			    owed / 1024, stays);
}

/* Those that were not torn are at the moment of the last seal: they can go on. */
static int run_leave_torn(struct run *r)
{
	int err = 0;

	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d))
		if (d->torn)
			err = run_too_fast(r, d);
	return err;
}

static int run_mark_disk(struct session_disk *d)
{
	struct plan_run all = { .first = 0, .count = source_granules(d->source) };

	if (d->mode == FRAME_MODE_INCREMENTAL || d->resume.granules)
		return 0;
	/* What the receiver needs was marked when it said so. */
	if (d->mode == FRAME_MODE_REVERSE)
		return session_mark(d, d->origin->ranges, d->origin->count);
	return d->source->ops->mark(d->source, &all, 1);
}

/*
 * Full and compared disks are marked whole first: then everything is owed, and
 * seal, release, torn and the passes that follow are the same for all modes. One
 * that goes on was marked when it began, and that is sealed.
 */
static int run_mark(struct run *r)
{
	int gone = 0;

	for (struct session_disk *d = members_first(r); d && !gone; d = members_next(r, d)) {
		int err = run_mark_disk(d);

		if (err)
			gone = members_drop(r, d, err, 0, DISK_FORMAT ": cannot mark it: %s",
					    DISK_NAMES(d), strerrordesc_np(-err));
	}
	return gone;
}

static int run_send(struct run *r)
{
	int err = run_pass(r, 0);

	for (uint32_t pass = 1; run_torn(r) && !err; pass++) {
		if (pass == r->config->max_passes)
			return run_leave_torn(r);
		run_grow(r);
		r->pass = pass;
		err = session_pass(r->conn);
		if (!err)
			err = run_pass(r, pass);
	}
	return err;
}

/*
 * 1 when every VM was frozen; else more than one disk, sealed at one instant, are a
 * group, 3, and one is as after a power cut, 2.
 */
static enum run_consistency run_consistency(struct run *r)
{
	if (r->frozen)
		return RUN_CONSISTENCY_APPLICATION;
	return members_count(r) > 1 ? RUN_CONSISTENCY_GROUP : RUN_CONSISTENCY_CRASH;
}

static int run_resync(struct run *r)
{
	enum run_consistency consistency;
	int err = members_leave(r);

	if (!err)
		err = run_mark(r);
	if (!err)
		err = run_send(r);
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d))
		err = session_end(r->conn, d);
	if (err)
		return err;
	consistency = run_consistency(r);
	err = session_commit(r->conn, r->config, r->features, consistency, &r->report->point,
			     r->reason);
	if (!err)
		r->report->consistency = consistency;
	return err;
}

/*
 * The point is durable. Should the kernel refuse to forget (the disk was
 * detached this very moment), nothing is lost: the next run sends more than it
 * must, or compares.
 */
static void run_commit(struct run *r)
{
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d)) {
		int err;

		d->report->epoch = d->source->epoch;
		err = d->source->ops->commit(d->source);
		/* A tracker that cannot be asked has gone, and another one is told by its UUID. */
		(void)d->source->ops->info(d->source, &d->report->after);
		if (err)
			members_warn(r, DISK_FORMAT ": the point is durable, but its tracker "
				     "would not commit the epoch: %s", DISK_NAMES(d),
				     strerrordesc_np(-err));
	}
}

/* A final run: was the last difference really the last? */
static int run_check_final(struct run *r)
{
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d)) {
		struct source_info now;
		int err = d->source->ops->info(d->source, &now);

		if (err)
			return reason_set(r->reason, err, REASON_UNKNOWN,
					  DISK_FORMAT ": the point is durable, but its tracker has "
					  "gone: %s", DISK_NAMES(d), strerrordesc_np(-err));
		if (now.tracked && (now.marked || now.sealed))
			return reason_set(r->reason, -EBUSY, REASON_INVALID_STATE,
					  DISK_FORMAT ": point %" PRIu64 " is durable, but the disk "
					  "has been written to since", DISK_NAMES(d),
					  r->report->point);
	}
	return 0;
}

static void run_done(struct run *r)
{
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d)) {
		atomic_store(&d->report->progress.done, true);
		atomic_store(&d->report->outcome, RUN_DISK_DONE);
	}
	atomic_store(&r->progress->done, true);
}

/* -- life ------------------------------------------------------------------- */

static int run_talk(struct run *r)
{
	int err = run_handshake(r);

	if (!err)
		err = r->config->kind == RUN_VERIFY ? verify_run(r) : run_resync(r);
	if (!err && r->config->kind == RUN_RESYNC && !r->config->aside)
		run_commit(r);
	if (!err && r->config->final)
		err = run_check_final(r);
	if (!err)
		run_done(r);
	return err;
}

/* Would another connection go on where a key ends, or is there no need of one? */
static bool run_renewable(struct run *r)
{
	bool tracked = true;
	uint64_t bytes = 0;

	for (struct session_disk *d = members_first(r); d; d = members_next(r, d)) {
		tracked &= d->before.tracked;
		bytes += d->source->size;
	}
	return tracked || bytes < stream_kernel_bytes() / 2;
}

/* Read for each run: what was renewed, or revoked, counts with the next one. */
static int run_certificates(struct run *r)
{
	int err;

	if (!r->config->tls_dir)
		return 0;
	err = tls_context_create(&r->tls, r->config->tls_dir, TLS_CLIENT, r->reason);
	if (err)
		return err;
	if (r->kernel && !run_renewable(r)) {
		r->kernel = TLS_KERNEL_NO;
		r->kernel_why = "its disks are not tracked, and its keys last for less than they "
				"have";
	}
	tls_context_kernel(r->tls, r->kernel);
	return 0;
}

static int run_brake(struct run *r)
{
	int err = 0;

	r->brake.bound_ms = r->config->latency_ms;
	r->brake.progress = r->progress;
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d))
		if (*d->source->stat)
			err = brake_add(&r->brake, d->source->stat);
	pump_brake(r->pump, &r->brake);
	return err;
}

static int run_connect(struct run *r)
{
	struct conn_config peer = {
		.host = r->config->host,
		.port = r->config->port,
		.timeout_ms = r->config->timeout_ms,
		.cancel_fd = r->control->cancel_fd,
		.tls = r->tls,
		.throttles = r->config->throttles,
	};
	uint32_t granule = 0;
	int err;

	for (struct session_disk *d = members_first(r); d; d = members_next(r, d))
		granule = u64_max(granule, d->source->granule);
	err = ring_create(&r->ring, RUN_RING_DEPTH);
	if (err)
		return reason_set(r->reason, err, 0, "cannot set up io_uring: %s",
				  strerrordesc_np(-err));
	err = pump_create(&r->pump, r->ring, granule, r->progress, &r->control->paused);
	if (!err)
		err = run_brake(r);
	if (err)
		return reason_set(r->reason, err, 0, "out of memory");
	pump_compare_rate(r->pump, r->config->compare_rate);
	return conn_open(&r->conn, &peer, r->ring, r->progress, r->reason);
}

/* One connection, mostly the only one. @r->kernel is that of the next one, if there is one. */
static int run_once(struct run *r)
{
	int err = members_open(r);

	if (!err)
		err = run_certificates(r);
	if (!err)
		err = run_connect(r);
	if (!err)
		err = run_talk(r);
	if (err && r->conn)
		conn_abort(r->conn);
	if (r->conn)
		r->report->uncopied += conn_uncopied(r->conn, &r->report->copies);
	conn_close(r->conn);
	tls_context_unref(r->tls);
	pump_destroy(r->pump);
	brake_clear(&r->brake);
	ring_destroy(r->ring);
	if (err == -EKEYEXPIRED && !members_renew(r, stream_kernel_bytes())) {
		r->kernel = TLS_KERNEL_NO;
		r->kernel_why = "the run would not get on with keys that end";
	}
	members_close(r, err != 0);
	return err;
}

/*
 * The receiver makes durable what it keeps of a connection before it lets go of it. Until
 * then the next one may find the collection, or its own place, taken.
 */
static bool run_not_yet(struct run *r, int err, uint64_t spent)
{
	struct pollfd cancel = { .fd = r->control->cancel_fd, .events = POLLIN };
	enum run_trouble trouble = trouble_of(err, r->reason->code);

	if (!r->renewed || r->features || conn_now() - spent > RUN_RENEW_MS ||
	    (trouble != RUN_TROUBLE_BUSY && trouble != RUN_TROUBLE_NETWORK))
		return false;
	return poll(&cancel, 1, RUN_RENEW_SLICE_MS) == 0;
}

int run_execute(const struct run_config *config, struct run_control *control,
		struct progress *progress, struct run_report *report, struct reason *reason)
{
	struct run r = { .kernel = config->kernel_tls };
	uint64_t spent = 0;
	int err;

	do {
		*reason = (struct reason){ 0 };
		r = (struct run){
			.config = config,
			.control = control,
			.progress = progress,
			.report = report,
			.reason = reason,
			.kernel = r.kernel,
			.kernel_why = r.kernel_why,
			.renewed = report->renewed,
		};
		err = run_once(&r);
		if (err == -EKEYEXPIRED) {
			report->renewed++;
			spent = conn_now();
		}
	} while (err == -EKEYEXPIRED || run_not_yet(&r, err, spent));
	if (err)
		report->trouble = trouble_of(err, reason->code);
	return err;
}
