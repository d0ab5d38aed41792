// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/members.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "send/trouble.h"

static struct session_disk *members_from(struct run *r, size_t i)
{
	while (i < r->count && r->disks[i].dropped)
		i++;
	return i < r->count ? &r->disks[i] : NULL;
}

struct session_disk *members_first(struct run *r)
{
	return members_from(r, 0);
}

struct session_disk *members_next(struct run *r, struct session_disk *d)
{
	return members_from(r, d - r->disks + 1);
}

size_t members_count(struct run *r)
{
	size_t count = 0;

	for (struct session_disk *d = members_first(r); d; d = members_next(r, d))
		count++;
	return count;
}

/* -- dropping --------------------------------------------------------------- */

/* What the disk still owes is no longer the run's to send. */
static void members_disown(struct run *r, struct session_disk *d)
{
	struct progress_view p;

	progress_read(&d->report->progress, &p);
	atomic_fetch_sub(&r->progress->owed, p.remaining);
	atomic_fetch_sub(&r->progress->disk, p.disk);
	atomic_fetch_sub(&r->progress->marked, p.marked);
}

void members_warn(struct run *r, const char *format, ...)
{
	char *warning = r->report->warning;
	size_t used = strlen(warning);
	va_list args;

	if (used && used + 2 < sizeof(r->report->warning)) {
		memcpy(warning + used, "; ", 3);
		used += 2;
	}
	va_start(args, format);
	vsnprintf(warning + used, sizeof(r->report->warning) - used, format, args);
	va_end(args);
}

static void members_fold(struct run *r, struct session_disk *d)
{
	int err = d->source ? d->source->ops->fold(d->source) : 0;

	if (err)
		members_warn(r, DISK_FORMAT ": its sealed epoch could not be folded, the next "
			     "run does that: %s", DISK_NAMES(d), strerrordesc_np(-err));
	d->source = source_close(d->source);
}

/*
 * The receiver has been told of the seal, and may have kept some of it: that can be
 * gone on with as long as the epoch stays sealed. See resume.h.
 */
static void members_give_back(struct run *r, struct session_disk *d, bool failed)
{
	if (!failed || !d->told || !d->source->epoch) {
		members_fold(r, d);
		return;
	}
	(void)d->source->ops->leave(d->source);
	d->source = source_close(d->source);
}

static int members_out(struct run *r, struct session_disk *d, enum run_outcome outcome)
{
	d->dropped = true;
	r->report->failed++;
	if (!r->report->trouble)
		r->report->trouble = d->report->trouble;
	members_disown(r, d);
	d->report->frames += d->pump.sent.frames;
	d->report->bytes += d->pump.sent.bytes;
	members_fold(r, d);
	/* The reason is read by who sees this. */
	atomic_store(&d->report->outcome, outcome);
	return d->opened_there ? session_give_up(r->conn, r->features, d, r->reason) : 0;
}

/* The other disks of its VM. */
static int members_out_rest(struct run *r, const struct session_disk *failed)
{
	int err = 0;

	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d)) {
		if (strcmp(d->config->vm, failed->config->vm) != 0)
			continue;
		d->report->trouble = failed->report->trouble;
		d->report->reason.code = failed->report->reason.code;
		snprintf(d->report->reason.text, sizeof(d->report->reason.text),
			 DISK_FORMAT " is left behind with its VM: %.300s", DISK_NAMES(d),
			 failed->report->reason.text);
		err = members_out(r, d, RUN_DISK_DROPPED);
	}
	return err;
}

int members_drop(struct run *r, struct session_disk *d, int err, uint32_t code,
		 const char *format, ...)
{
	struct reason *reason = &d->report->reason;
	char text[REASON_TEXT_MAX];
	va_list args;
	int gone;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	reason_set(reason, err, code, "%s", text);
	d->report->trouble = trouble_of(err, reason->code);
	d->pump.error = err;
	if (err == -ECANCELED || r->config->final)
		return reason_set(r->reason, err, reason->code, "%s", reason->text);
	if (!r->first)
		r->first = d;
	gone = members_out(r, d, RUN_DISK_FAILED);
	if (!gone && r->config->kind == RUN_RESYNC)
		gone = members_out_rest(r, d);
	if (gone)
		return gone;
	if (members_first(r))
		return 0;
	/* Nobody is left. The first to fail speaks for all. */
	reason = &r->first->report->reason;
	return reason_set(r->reason, r->first->pump.error, reason->code, "%s", reason->text);
}

int members_leave(struct run *r)
{
	int err = 0;

	if (r->config->final)
		return 0;
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d)) {
		if (!atomic_load(&d->report->leave))
			continue;
		reason_set(&d->report->reason, -ECANCELED, REASON_FAILED,
			   "VM %s was taken out of the run", d->config->vm);
		err = members_out(r, d, RUN_DISK_LEFT);
	}
	if (err || members_first(r))
		return err;
	return reason_set(r->reason, -ECANCELED, REASON_FAILED, "stopped");
}

/* -- opening and closing ---------------------------------------------------- */

static int members_open_failed(struct run *r, struct session_disk *d, int err)
{
	const char *device = d->config->device;

	switch (err) {
	case -ENOPKG:
		return members_drop(r, d, err, REASON_NOT_AVAILABLE,
				    "the kernel module dm-tidemark is not loaded");
	case -ENODEV:
		return members_drop(r, d, err, REASON_NOT_SUPPORTED,
				    DISK_FORMAT ": %s is not tracked; attach it, or say "
				    "tracking=none if nobody writes to it", DISK_NAMES(d), device);
	case -ENOENT:
		return members_drop(r, d, err, REASON_NOT_FOUND, DISK_FORMAT ": there is no %s",
				    DISK_NAMES(d), device);
	case -EINVAL:
		return members_drop(r, d, err, REASON_NOT_SUPPORTED,
				    DISK_FORMAT ": the size of %s is no multiple of 512 bytes",
				    DISK_NAMES(d), device);
	}
	return members_drop(r, d, err, 0, DISK_FORMAT ": cannot open %s: %s", DISK_NAMES(d),
			    device, strerrordesc_np(-err));
}

static int members_open_disk(struct run *r, struct session_disk *d)
{
	uint64_t marked;
	int err;

	if (d->config->tracked)
		err = source_kernel_open(&d->source, d->config->device);
	else
		err = source_plain_open(&d->source, d->config->device, d->config->granule);
	if (!err)
		err = d->source->ops->info(d->source, &d->before);
	if (err)
		return members_open_failed(r, d, err);
	d->report->tracked = d->before.tracked;
	d->report->size = d->source->size;
	memcpy(d->report->uuid, d->before.uuid, sizeof(d->report->uuid));
	d->pump.source = d->source;
	if (r->renewed)
		return 0; /* it was counted when the run began */
	/* A granule may be in both bitmaps, so this may count it twice; not more than all. */
	marked = u64_min((d->before.marked + d->before.sealed) * d->source->granule,
			 d->source->size);
	progress_add(&r->progress->disk, d->source->size);
	progress_add(&r->progress->marked, marked);
	progress_add(&d->report->progress.disk, d->source->size);
	progress_add(&d->report->progress.marked, marked);
	return 0;
}

int members_open(struct run *r)
{
	const struct run_config *config = r->config;
	int err = 0;

	r->disks = calloc(config->disk_count, sizeof(*r->disks));
	if (!r->disks)
		return reason_set(r->reason, -ENOMEM, 0, "out of memory");
	for (size_t i = 0; i < config->disk_count; i++) {
		struct session_disk *d = &r->disks[r->count];

		if (config->disks[i].left_out || atomic_load(&r->report->disks[i].outcome))
			continue;
		d->config = &config->disks[i];
		d->report = &r->report->disks[i];
		d->index = i;
		d->pump.progress = &d->report->progress;
		d->pump.reason = &d->report->reason;
		d->pump.leave = &d->report->leave;
		r->count++;
	}
	if (!r->count)
		return reason_set(r->reason, -EINVAL, REASON_INVALID_STATE,
				  "no disk of the collection takes part");
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d))
		err = members_open_disk(r, d);
	return err;
}

/*
 * Each connection gets on by what its key lasts for, unless a VM writes over what was sent
 * as fast as that, or the receiver keeps nothing.
 */
bool members_renew(struct run *r, uint64_t bytes_each)
{
	uint64_t bytes = 0;
	bool kept = !r->pass;

	for (struct session_disk *d = members_first(r); d; d = members_next(r, d)) {
		struct progress_view p;

		progress_read(&d->report->progress, &p);
		atomic_fetch_sub(&r->progress->owed, p.remaining);
		atomic_fetch_sub(&d->report->progress.owed, p.remaining);
		kept &= d->told && d->mode != FRAME_MODE_REVERSE;
		bytes += d->source->size;
	}
	return kept && r->renewed <= 1 + bytes / bytes_each;
}

void members_close(struct run *r, bool failed)
{
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d)) {
		d->report->frames += d->pump.sent.frames;
		d->report->bytes += d->pump.sent.bytes;
		members_give_back(r, d, failed);
	}
	for (size_t i = 0; i < r->count; i++) {
		free(r->disks[i].resume.granules);
		run_origin_free(r->disks[i].origin);
	}
	free(r->disks);
}

/* -- sealing ---------------------------------------------------------------- */

static int members_seal_once(struct run *r, bool extend)
{
	_cleanup_free_ struct source **sources = calloc(r->count, sizeof(*sources));
	uint64_t excluded_ns = 0;
	size_t count = 0;
	int err;

	if (!sources)
		return -ENOMEM;
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d))
		sources[count++] = d->source;
	err = source_seal(sources, count, extend, r->config->drain_ms, &excluded_ns);
	if (!err)
		r->report->excluded_ns = u64_max(r->report->excluded_ns, excluded_ns);
	return err;
}

/* Which disks did not let themselves be sealed? Return: so many; 0: none says so. */
static int members_seal_failed(struct run *r, int err, size_t *ret_dropped)
{
	int gone = 0;

	*ret_dropped = 0;
	for (struct session_disk *d = members_first(r); d && !gone; d = members_next(r, d)) {
		struct source_info now;
		int lost = d->source->ops->info(d->source, &now);

		if (lost)
			gone = members_drop(r, d, lost, REASON_INVALID_STATE,
					    DISK_FORMAT ": its tracker has gone: %s", DISK_NAMES(d),
					    strerrordesc_np(-lost));
		else if (err == -ETIMEDOUT && now.draining)
			gone = members_drop(r, d, -ETIME, REASON_TIMEOUT,
					    DISK_FORMAT ": writes of an older epoch have not ended "
					    "after %u s", DISK_NAMES(d), r->config->drain_ms / 1000);
		else
			continue;
		++*ret_dropped;
	}
	return gone;
}

int members_seal(struct run *r, bool extend)
{
	int err = members_seal_once(r, extend);

	while (err && err != -ENOMEM) {
		size_t dropped;
		int gone = members_seal_failed(r, err, &dropped);

		if (gone)
			return gone;
		if (!dropped)
			break;
		err = members_seal_once(r, extend);
	}
	if (err)
		return reason_set(r->reason, err, err == -ETIMEDOUT ? REASON_TIMEOUT : 0,
				  "cannot seal the epoch: %s", strerrordesc_np(-err));
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d)) {
		uint64_t owed = u64_min(d->source->owed * d->source->granule, d->source->size);

		progress_add(&r->progress->owed, owed);
		progress_add(&d->report->progress.owed, owed);
		atomic_fetch_add(&d->report->progress.passes, 1);
	}
	atomic_fetch_add(&r->progress->passes, 1);
	return 0;
}
