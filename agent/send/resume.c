// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/resume.h"

#include <errno.h>
#include <string.h>

#define RESUME_RUNS 256

static bool resume_has(const struct resume *k, uint64_t granule)
{
	return k->granules[granule / 64] >> granule % 64 & 1;
}

/* -- what the receiver says --------------------------------------------------------- */

/* Whole granules only: the rest of one is not worth the asking. */
static void resume_note(struct session_disk *d, const struct frame_range *range)
{
	uint64_t granule = d->source->granule, size = d->source->size;
	uint64_t end = range->offset + range->span;
	uint64_t last = end >= size ? source_granules(d->source) : end / granule;

	for (uint64_t g = u64_div_up(range->offset, granule); g < last; g++)
		d->resume.granules[g / 64] |= 1ull << g % 64;
}

int resume_take(struct session_disk *d, const struct frame *f, const void *payload)
{
	_cleanup_free_ struct frame_range *ranges = calloc(FRAME_STAGED_MAX, sizeof(*ranges));
	struct resume *k = &d->resume;
	struct frame_staged staged;
	uint32_t count;

	if (!k->granules)
		k->granules = calloc(u64_div_up(source_granules(d->source), 64),
				     sizeof(*k->granules));
	if (!ranges || !k->granules)
		return -ENOMEM;
	if (f->disk != d->pump.handle ||
	    frame_staged_decode(payload, f->length, &staged, ranges, &count) != FRAME_OK)
		return -EPROTO;
	k->mode = staged.mode;
	k->epoch = f->epoch;
	memcpy(k->uuid, staged.uuid, sizeof(k->uuid));
	for (uint32_t i = 0; i < count; i++)
		resume_note(d, &ranges[i]);
	return 0;
}

void resume_judge(struct session_disk *d)
{
	struct resume *k = &d->resume;

	/* What the receiver needs was marked anew: all of a reverse run would go again. */
	if (d->mode != FRAME_MODE_REVERSE && k->granules && d->before.tracked && k->epoch && (int)k->mode == d->mode &&
	    k->epoch == d->before.sealed_epoch && !d->before.draining &&
	    memcmp(k->uuid, d->before.uuid, sizeof(k->uuid)) == 0)
		return;
	free(k->granules);
	k->granules = NULL;
}

/* -- before the first seal ------------------------------------------------------------ */

/* Mark the part of a run of sealed granules that the receiver has not. */
static int resume_mark(struct session_disk *d, const struct plan_run *run)
{
	uint64_t end = run->first + run->count;
	int err = 0;

	for (uint64_t g = run->first; g < end && !err;) {
		struct plan_run need = { .first = g };

		if (resume_has(&d->resume, g)) {
			g++;
			continue;
		}
		while (g < end && !resume_has(&d->resume, g))
			g++;
		need.count = g - need.first;
		err = d->source->ops->mark(d->source, &need, 1);
	}
	return err;
}

static int resume_mark_rest(struct session_disk *d)
{
	struct plan_run runs[RESUME_RUNS];
	uint64_t next = 0, end = source_granules(d->source);
	size_t filled;
	int err = 0;

	while (next < end && !err) {
		err = d->source->ops->sealed(d->source, next, runs, RESUME_RUNS, &filled, &next);
		for (size_t i = 0; i < filled && !err; i++)
			err = resume_mark(d, &runs[i]);
	}
	return err;
}

static int resume_prepare_disk(struct session_disk *d)
{
	if (d->resume.granules)
		return resume_mark_rest(d);
	if (!d->before.sealed_epoch)
		return 0;
	/* An extending seal would keep it, and owe nothing of it. */
	d->source->epoch = d->before.sealed_epoch;
	return d->source->ops->fold(d->source);
}

int resume_prepare(struct run *r, bool *ret_extend)
{
	int gone = 0;

	*ret_extend = false;
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d))
		*ret_extend |= d->resume.granules != NULL;
	if (!*ret_extend)
		return 0; /* the seal folds what is there */
	for (struct session_disk *d = members_first(r); d && !gone; d = members_next(r, d)) {
		int err = resume_prepare_disk(d);

		if (err)
			gone = members_drop(r, d, err, 0, DISK_FORMAT ": cannot mark it: %s",
					    DISK_NAMES(d), strerrordesc_np(-err));
	}
	return gone;
}

int resume_check(struct run *r)
{
	int gone = 0;

	for (struct session_disk *d = members_first(r); d && !gone; d = members_next(r, d))
		if (d->resume.granules && d->source->epoch != d->before.epoch)
			gone = members_drop(r, d, -ESTALE, REASON_INVALID_STATE,
					    DISK_FORMAT ": somebody else has sealed its epoch",
					    DISK_NAMES(d));
	return gone;
}

/* -- after a seal ----------------------------------------------------------------------- */

/* Regions on their way into SEALED frames. */
struct resume_list {
	struct run *run;
	struct session_disk *disk;
	struct frame_range ranges[FRAME_SEALED_MAX];
	uint32_t count;
};

static int list_send(struct resume_list *l, bool complete)
{
	struct frame_sealed sealed = { .complete = complete };
	struct frame f = {
		.type = FRAME_SEALED,
		.disk = l->disk->pump.handle,
		.epoch = l->disk->source->epoch,
	};
	uint8_t payload[FRAME_CONTROL_MAX];

	f.length = frame_sealed_encode(&sealed, l->ranges, l->count, payload);
	l->count = 0;
	return conn_send(l->run->conn, &f, payload);
}

static int list_add(struct resume_list *l, uint64_t first, uint64_t end)
{
	struct source *s = l->disk->source;
	int err = l->count == FRAME_SEALED_MAX ? list_send(l, false) : 0;
	uint64_t offset = first * s->granule;

	l->ranges[l->count++] = (struct frame_range){
		offset, u64_min(end * s->granule, s->size) - offset
	};
	return err;
}

/* Of owed granules those that the receiver has, or may have: after the first seal all. */
static int list_add_owed(struct resume_list *l, const struct plan_run *run, bool all)
{
	const struct resume *k = &l->disk->resume;
	uint64_t end = run->first + run->count;
	int err = 0;

	for (uint64_t g = run->first; g < end && !err;) {
		uint64_t first = g;

		if (all)
			g = end;
		while (g < end && resume_has(k, g))
			g++;
		if (g == first)
			g++;
		else
			err = list_add(l, first, g);
	}
	return err;
}

int resume_sealed(struct run *r, struct session_disk *d, uint32_t pass)
{
	struct resume_list l = { .run = r, .disk = d };
	uint64_t next = 0, end = source_granules(d->source);
	struct plan_run runs[RESUME_RUNS];
	size_t filled;
	int err = 0;

	if (!(r->features & FRAME_FEATURE_RESUME) || !d->before.tracked)
		return 0;
	if (!pass && !d->resume.granules)
		next = end; /* nothing has been sent that could have changed */
	while (next < end) {
		err = d->source->ops->runs(d->source, next, runs, RESUME_RUNS, &filled, &next);
		if (err)
			return members_drop(r, d, err, 0, DISK_FORMAT ": %s", DISK_NAMES(d),
					    strerrordesc_np(-err));
		for (size_t i = 0; i < filled && !err; i++)
			err = list_add_owed(&l, &runs[i], pass > 0);
		if (err)
			return err;
	}
	d->told = true;
	return list_send(&l, true);
}
