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
 * Commit comes after "durable", and only then. Everything else folds: the
 * sealed granules are changed ones again, as if the run had never been. A fold
 * can only send something twice. When the connection breaks between COMMIT and
 * DURABLE the point may be there or not: folding is right either way, and
 * mode_choose() says why a replica that is ahead of the tracker's committed
 * epoch is still brought up to date by its bits.
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
#include "send/mode.h"
#include "send/session.h"

#define RUN_RING_DEPTH 64
#define RUN_WAIT_SLICE_MS 500

struct run {
	const struct run_config *config;
	struct run_control *control;
	struct progress *progress;
	struct run_report *report;
	struct reason *reason;
	struct ring *ring;
	struct conn *conn;
	struct pump *pump;
	struct session_disk *disks;
	struct source **sources; /* those of @disks, for the group's seal */
	size_t count;
	uint64_t point; /* that the replica has already */
};

static bool run_cancelled(const struct run *r)
{
	struct pollfd fd = { .fd = r->control->cancel_fd, .events = POLLIN };

	return poll(&fd, 1, 0) > 0;
}

/* "web01/vda", for sentences. */
#define DISK_FORMAT "disk %s/%s"
#define DISK_NAMES(d) (d)->config->vm, (d)->config->name

/* -- the disks -------------------------------------------------------------- */

static int run_open_failed(struct run *r, const struct session_disk *d, int err)
{
	const char *device = d->config->device;

	switch (err) {
	case -ENOPKG:
		return reason_set(r->reason, err, REASON_NOT_AVAILABLE,
				  "the kernel module dm-tidemark is not loaded");
	case -ENODEV:
		return reason_set(r->reason, err, REASON_NOT_SUPPORTED,
				  DISK_FORMAT ": %s is not tracked; attach it, or say tracking=none "
				  "if nobody writes to it", DISK_NAMES(d), device);
	case -ENOENT:
		return reason_set(r->reason, err, REASON_NOT_FOUND, DISK_FORMAT ": there is no %s",
				  DISK_NAMES(d), device);
	case -EINVAL:
		return reason_set(r->reason, err, REASON_NOT_SUPPORTED,
				  DISK_FORMAT ": the size of %s is no multiple of 512 bytes",
				  DISK_NAMES(d), device);
	}
	return reason_set(r->reason, err, 0, DISK_FORMAT ": cannot open %s: %s", DISK_NAMES(d),
			  device, strerrordesc_np(-err));
}

static int run_open_disk(struct run *r, struct session_disk *d)
{
	int err;

	if (d->config->tracked)
		err = source_kernel_open(&d->source, d->config->device);
	else
		err = source_plain_open(&d->source, d->config->device, d->config->granule);
	if (!err)
		err = d->source->ops->info(d->source, &d->before);
	if (err)
		return run_open_failed(r, d, err);
	d->report->tracked = d->before.tracked;
	d->report->size = d->source->size;
	memcpy(d->report->uuid, d->before.uuid, sizeof(d->report->uuid));
	d->pump.source = d->source;
	progress_add(&r->progress->disk, d->source->size);
	/* A granule may be in both bitmaps, so this may count it twice; not more than all. */
	progress_add(&r->progress->marked,
		     u64_min((d->before.marked + d->before.sealed) * d->source->granule,
			     d->source->size));
	return 0;
}

static int run_open_disks(struct run *r, uint32_t *ret_granule)
{
	*ret_granule = 0;
	r->disks = calloc(r->config->disk_count, sizeof(*r->disks));
	r->sources = calloc(r->config->disk_count, sizeof(*r->sources));
	if (!r->disks || !r->sources)
		return reason_set(r->reason, -ENOMEM, 0, "out of memory");
	for (size_t i = 0; i < r->config->disk_count; i++) {
		struct session_disk *d = &r->disks[i];
		int err;

		d->config = &r->config->disks[i];
		d->report = &r->report->disks[i];
		d->pump.handle = i;
		r->count++;
		err = run_open_disk(r, d);
		if (err)
			return err;
		r->sources[i] = d->source;
		if (d->source->granule > *ret_granule)
			*ret_granule = d->source->granule;
	}
	return 0;
}

/* -- the handshake ---------------------------------------------------------- */

static void run_choose(struct run *r, struct session_disk *d)
{
	struct mode_here here = {
		.tracked = d->before.tracked,
		.epoch = d->before.epoch,
		.committed_epoch = d->before.committed_epoch,
		.size = d->before.size,
		.unreliable = d->before.unreliable,
	};
	const char *why;

	memcpy(here.uuid, d->before.uuid, sizeof(here.uuid));
	d->mode = mode_choose(&here, &d->opened, &why);
	if (d->mode == FRAME_MODE_INCREMENTAL && r->config->compare) {
		d->mode = FRAME_MODE_COMPARE;
		why = "a comparison was asked for";
	}
	if (r->config->kind == RUN_VERIFY)
		d->mode = FRAME_MODE_VERIFY;
	if (d->opened.point > r->point)
		r->point = d->opened.point;
	atomic_store(&d->report->why, why);
	atomic_store(&d->report->mode, d->mode);
}

static int run_handshake(struct run *r)
{
	int err = session_hello(r->conn, r->config, r->reason);

	for (size_t i = 0; i < r->count && !err; i++)
		err = session_open(r->conn, r->config, &r->disks[i], r->reason);
	for (size_t i = 0; i < r->count && !err; i++) {
		struct session_disk *d = &r->disks[i];

		if (r->config->kind == RUN_VERIFY && !d->opened.present)
			return reason_set(r->reason, -ENOENT, REASON_INVALID_STATE,
					  DISK_FORMAT ": there is no replica of it yet",
					  DISK_NAMES(d));
		run_choose(r, d);
		err = session_begin(r->conn, r->config, d);
	}
	r->report->point = r->point;
	return err;
}

/* -- verification ----------------------------------------------------------- */

/*
 * A difference is no fault if the granule has been written since the replica's
 * point: it is marked then. The mark is asked for after both sides were read.
 * A write that the read here has seen was marked before it was passed down,
 * and only a commit forgets marks, which is this collection's one job's to do.
 */
static int run_differ(void *owner, struct pump_disk *disk, uint64_t granule, uint64_t length)
{
	struct run *r = owner;
	struct session_disk *d = container_of(disk, struct session_disk, pump);
	uint64_t offset = granule * d->source->granule;
	struct run_range *last = NULL;
	bool changed;
	int err;

	err = d->source->ops->changed(d->source, granule, 1, &changed);
	if (err)
		return reason_set(r->reason, err, 0, DISK_FORMAT ": cannot ask the tracker: %s",
				  DISK_NAMES(d), strerrordesc_np(-err));
	if (changed)
		return 0;
	progress_add(&r->progress->different, length);
	if (r->report->range_count)
		last = &r->report->ranges[r->report->range_count - 1];
	if (last && last->disk == disk->handle && last->offset + last->length == offset)
		last->length += length;
	else if (r->report->range_count < RUN_RANGES_MAX)
		r->report->ranges[r->report->range_count++] = (struct run_range){
			.disk = disk->handle,
			.offset = offset,
			.length = length,
		};
	return 0;
}

static int run_verify(struct run *r)
{
	int err = 0;

	pump_on_differ(r->pump, run_differ, r);
	for (size_t i = 0; i < r->count; i++)
		progress_add(&r->progress->owed, r->disks[i].source->size);
	for (size_t i = 0; i < r->count && !err; i++) {
		struct session_disk *d = &r->disks[i];

		d->pump.task = PUMP_VERIFY;
		d->pump.verify_size = u64_min(d->source->size, d->opened.size);
		err = pump_disk_run(r->pump, r->conn, &d->pump);
		if (err)
			return reason_set(r->reason, err, 0, DISK_FORMAT ": %s", DISK_NAMES(d),
					  strerrordesc_np(-err));
	}
	if (!err)
		conn_abort(r->conn);
	return err;
}

/* -- passes ----------------------------------------------------------------- */

static int run_seal(struct run *r, bool extend)
{
	int err = source_seal(r->sources, r->count, extend, r->config->drain_ms);

	if (err)
		return reason_set(r->reason, err, err == -ETIMEDOUT ? REASON_TIMEOUT : 0,
				  "cannot seal the epoch: %s", strerrordesc_np(-err));
	for (size_t i = 0; i < r->count; i++) {
		struct source *s = r->sources[i];

		progress_add(&r->progress->owed, u64_min(s->owed * s->granule, s->size));
	}
	atomic_fetch_add(&r->progress->passes, 1);
	return 0;
}

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
	if (err)
		return reason_set(r->reason, err, err == -ETIMEDOUT ? REASON_TIMEOUT : 0,
				  DISK_FORMAT ": writes from before the seal have not ended "
				  "after %u s: %s", DISK_NAMES(d), r->config->drain_ms / 1000,
				  strerrordesc_np(-err));
	return 0;
}

/*
 * Has the epoch of a disk been torn? And is it still the disk that it was: a
 * resize or another tracker in its place makes what was read worthless.
 */
static int run_check_disk(struct run *r, struct session_disk *d, bool *torn)
{
	struct source_info now;
	int err = d->source->ops->info(d->source, &now);

	if (err)
		return reason_set(r->reason, err, REASON_INVALID_STATE,
				  DISK_FORMAT ": its tracker has gone: %s", DISK_NAMES(d),
				  strerrordesc_np(-err));
	if (now.size != d->before.size || now.granule != d->before.granule ||
	    memcmp(now.uuid, d->before.uuid, sizeof(now.uuid)) != 0)
		return reason_set(r->reason, -ESTALE, REASON_INVALID_STATE,
				  DISK_FORMAT " was resized or attached anew during the run",
				  DISK_NAMES(d));
	if (d->source->epoch && now.sealed_epoch != d->source->epoch)
		return reason_set(r->reason, -ESTALE, REASON_INVALID_STATE,
				  DISK_FORMAT ": somebody else has sealed its epoch",
				  DISK_NAMES(d));
	if (now.torn) {
		*torn = true;
		atomic_fetch_add(&r->progress->torn, 1);
	}
	return 0;
}

/* One seal and all that it made owed. */
static int run_pass(struct run *r, bool first, bool *torn)
{
	int err = run_seal(r, !first);

	for (size_t i = 0; i < r->count && !err; i++)
		err = run_drain(r, &r->disks[i]);
	for (size_t i = 0; i < r->count && !err; i++) {
		struct session_disk *d = &r->disks[i];

		/*
		 * Further passes must not be compared. The replica's hashes are
		 * of its newest point, not of what this run has sent: a granule
		 * that was sent in an earlier pass and has gone back to its old
		 * bytes since would seem equal, and the sent bytes would stay.
		 */
		d->pump.task = first && d->mode == FRAME_MODE_COMPARE ? PUMP_COMPARE : PUMP_SEND;
		err = pump_disk_run(r->pump, r->conn, &d->pump);
		if (err)
			reason_set(r->reason, err, 0, DISK_FORMAT ": %s", DISK_NAMES(d),
				   strerrordesc_np(-err));
	}
	*torn = false;
	for (size_t i = 0; i < r->count && !err; i++)
		err = run_check_disk(r, &r->disks[i], torn);
	return err;
}

static int run_too_fast(struct run *r)
{
	char stays[64] = "there is no replica yet";
	uint64_t owed = 0;

	for (size_t i = 0; i < r->count; i++)
		owed += r->sources[i]->owed * r->sources[i]->granule;
	if (r->point)
		snprintf(stays, sizeof(stays), "the replica stays at point %" PRIu64, r->point);
	return reason_set(r->reason, -EAGAIN, REASON_FAILED,
			  "the disks are written faster than they can be copied at one moment: "
			  "after %u passes the last one still owed %" PRIu64 " KiB and was "
			  "written to meanwhile; %s", r->config->max_passes, owed / 1024, stays);
}

/*
 * Full and compared disks are marked whole first: then everything is owed, and
 * seal, release, torn and the passes that follow are the same for all modes.
 */
static int run_mark(struct run *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct session_disk *d = &r->disks[i];
		int err;

		if (d->mode == FRAME_MODE_INCREMENTAL)
			continue;
		err = d->source->ops->mark_all(d->source);
		if (err)
			return reason_set(r->reason, err, 0, DISK_FORMAT ": cannot mark it: %s",
					  DISK_NAMES(d), strerrordesc_np(-err));
	}
	return 0;
}

static int run_resync(struct run *r)
{
	bool torn = true;
	int err = run_mark(r);

	for (uint32_t pass = 0; torn && !err; pass++) {
		if (pass == r->config->max_passes)
			return run_too_fast(r);
		if (pass)
			err = session_pass(r->conn);
		if (!err)
			err = run_pass(r, pass == 0, &torn);
	}
	for (size_t i = 0; i < r->count && !err; i++)
		err = session_end(r->conn, &r->disks[i]);
	if (!err)
		err = session_commit(r->conn, r->config, &r->report->point, r->reason);
	return err;
}

/*
 * The point is durable. Should the kernel refuse to forget (the disk was
 * detached this very moment), nothing is lost: the next run sends more than it
 * must, or compares.
 */
static void run_commit(struct run *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct session_disk *d = &r->disks[i];
		int err;

		d->report->epoch = d->source->epoch;
		err = d->source->ops->commit(d->source);
		if (err)
			snprintf(r->report->warning, sizeof(r->report->warning),
				 DISK_FORMAT ": the point is durable, but its tracker would not "
				 "commit the epoch: %s", DISK_NAMES(d), strerrordesc_np(-err));
	}
}

/* -- life ------------------------------------------------------------------- */

static int run_talk(struct run *r)
{
	int err = run_handshake(r);

	if (!err)
		err = r->config->kind == RUN_VERIFY ? run_verify(r) : run_resync(r);
	if (!err && r->config->kind == RUN_RESYNC)
		run_commit(r);
	if (!err)
		atomic_store(&r->progress->done, true);
	return err;
}

static void run_close_disks(struct run *r)
{
	for (size_t i = 0; i < r->count; i++) {
		struct session_disk *d = &r->disks[i];
		int err = 0;

		d->report->frames = d->pump.sent.frames;
		d->report->bytes = d->pump.sent.bytes;
		if (d->source)
			err = d->source->ops->fold(d->source);
		if (err)
			snprintf(r->report->warning, sizeof(r->report->warning),
				 DISK_FORMAT ": its sealed epoch could not be folded, the next "
				 "run does that: %s", DISK_NAMES(d), strerrordesc_np(-err));
		source_close(d->source);
	}
	free(r->disks);
	free(r->sources);
}

int run_execute(const struct run_config *config, struct run_control *control,
		struct progress *progress, struct run_report *report, struct reason *reason)
{
	struct run r = {
		.config = config,
		.control = control,
		.progress = progress,
		.report = report,
		.reason = reason,
	};
	struct conn_config peer = {
		.host = config->host,
		.port = config->port,
		.timeout_ms = config->timeout_ms,
		.cancel_fd = control->cancel_fd,
	};
	uint32_t granule;
	int err;

	err = run_open_disks(&r, &granule);
	if (!err) {
		err = ring_create(&r.ring, RUN_RING_DEPTH);
		reason_set(err ? reason : NULL, err, 0, "cannot set up io_uring: %s",
			   strerrordesc_np(-err));
	}
	if (!err) {
		err = pump_create(&r.pump, r.ring, granule, progress, reason);
		reason_set(err ? reason : NULL, err, 0, "out of memory");
	}
	if (!err)
		err = conn_open(&r.conn, &peer, r.ring, progress, reason);
	if (!err)
		err = run_talk(&r);
	if (err && r.conn)
		conn_abort(r.conn);
	conn_close(r.conn);
	pump_destroy(r.pump);
	ring_destroy(r.ring);
	run_close_disks(&r);
	return err;
}
