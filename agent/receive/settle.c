// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/settle.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "receive/steps.h"

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* -- what is there ------------------------------------------------------------------- */

/* Frames as long as regions are left. */
static int settle_tell_ranges(struct connection *c, uint32_t index,
			      const struct stage_staged *kept, struct frame_range *ranges,
			      uint8_t *buf)
{
	const struct frame_open *open = &c->session.disks[index].open;
	struct frame_staged staged = { .mode = kept->mode };
	uint64_t at = 0;
	uint32_t n;
	int err = 0;

	memcpy(staged.uuid, open->uuid, sizeof(staged.uuid));
	do {
		struct frame f = { .type = FRAME_STAGED, .disk = index, .epoch = kept->epoch };

		for (n = 0; n < FRAME_STAGED_MAX && at < open->size &&
			    stage_staged_next(c->stage, index, at, &ranges[n].offset,
					      &ranges[n].span); n++)
			at = ranges[n].offset + ranges[n].span;
		if (!n)
			break;
		f.length = frame_staged_encode(&staged, ranges, n, buf);
		err = channel_send(&c->channel, &f, buf);
		if (!err)
			err = channel_flush(&c->channel);
	} while (n == FRAME_STAGED_MAX && !err);
	return err;
}

int settle_tell(struct connection *c, uint32_t index)
{
	_cleanup_free_ struct frame_range *ranges = NULL;
	_cleanup_free_ uint8_t *buf = NULL;
	struct stage_staged kept;
	int err;

	if (!(c->session.features & FRAME_FEATURE_RESUME) ||
	    !stage_staged(c->stage, index, &kept))
		return 0;
	ranges = calloc(FRAME_STAGED_MAX, sizeof(*ranges));
	buf = malloc(FRAME_STAGED_SIZE);
	if (!ranges || !buf)
		return reason_set(&c->reason, -ENOMEM, 0, "no memory for what is staged");
	err = settle_tell_ranges(c, index, &kept, ranges, buf);
	return err ? steps_unsent(c, err) : 0;
}

/* -- in steps -------------------------------------------------------------------------- */

static int settle_now(struct connection *c)
{
	uint64_t begun = now_ms();
	int err = intake_drain(&c->intake);

	if (err)
		return steps_write_failed(c, err);
	err = stage_settle(c->stage, &c->reason);
	c->pace.last_ms = now_ms();
	c->pace.cost_ms = c->pace.last_ms - begun;
	return err;
}

int settle_step(struct connection *c)
{
	uint64_t rest = u64_max(SETTLE_EVERY_MS, c->pace.cost_ms * SETTLE_SHARE);
	size_t unsettled = stage_unsettled(c->stage);

	if (!c->pace.last_ms)
		c->pace.last_ms = now_ms();
	if (!unsettled || (unsettled < SETTLE_EXTENTS && now_ms() - c->pace.last_ms < rest))
		return 0;
	return settle_now(c);
}

int settle_sealed(struct connection *c, const struct frame *f)
{
	const struct session_disk *d = &c->session.disks[f->disk];
	struct frame_range ranges[FRAME_SEALED_MAX];
	struct frame_sealed sealed;
	uint32_t count;
	int err = intake_drain(&c->intake);

	if (err)
		return steps_write_failed(c, err);
	if (frame_sealed_decode(c->payload, f->length, &sealed, ranges, &count))
		return -EPROTO; /* the session has looked at it before */
	for (uint32_t i = 0; i < count && !err; i++)
		err = stage_stale(c->stage, f->disk, ranges[i].offset, ranges[i].span);
	if (err)
		return steps_write_failed(c, err);
	/* Of the older seal they are good no more, either: so they need not be kept in memory. */
	if (!sealed.complete)
		return stage_unsettled(c->stage) >= SETTLE_EXTENTS ? settle_now(c) : 0;
	stage_sealed(c->stage, f->disk, d->mode, f->epoch);
	/* What was staged before counts for this seal from here on: that is to be found. */
	return stage_unsettled(c->stage) || d->resume ? settle_now(c) : 0;
}

void settle_keep(struct connection *c)
{
	struct reason reason = { 0 };

	if (!c->keep || !c->stage || !c->intake.area || intake_drain(&c->intake))
		return;
	if (stage_keep(c->stage, &reason))
		log_error("%s: what was received is not kept: %s", steps_collection(c),
			  reason.text);
}
