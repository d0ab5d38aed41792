// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/need.h"

#include <inttypes.h>
#include <string.h>

#include "base/log.h"

/* One kind of frame is being filled. @err: of sending, then nothing more is done */
struct need {
	struct connection *c;
	uint32_t index;
	uint64_t size;
	struct frame_range *ranges;
	uint32_t count;
	uint8_t *payload;
	int err;
};

static int need_flush(struct need *n)
{
	struct frame f = { .type = FRAME_NEED, .disk = n->index };

	if (!n->count || n->err)
		return n->err;
	f.length = frame_need_encode(n->ranges, n->count, n->payload);
	n->count = 0;
	n->err = channel_send(&n->c->channel, &f, n->payload);
	/* The buffer is filled again. */
	if (!n->err)
		n->err = channel_flush(&n->c->channel);
	return n->err;
}

static int need_add(void *arg, uint64_t offset, uint64_t span)
{
	struct need *n = arg;
	const struct frame_range *last = n->count ? &n->ranges[n->count - 1] : NULL;
	int err = 0;

	if (offset >= n->size)
		return 0;
	span = u64_min(span, n->size - offset);
	/* A frame's ranges ascend; the two bitmaps of a tracker come one after the other. */
	if (n->count == FRAME_NEED_MAX || (last && offset < last->offset + last->span))
		err = need_flush(n);
	if (!err)
		n->ranges[n->count++] = (struct frame_range){ offset, span };
	return err;
}

static int need_send(struct need *n, const char *path, struct receiver_tracker *ret)
{
	int err = n->c->config->trackers->changed(path, ret, need_add, n);

	if (!err)
		err = need_flush(n);
	return err;
}

static bool need_possible(const struct connection *c, const struct stage_held *held)
{
	return held->present && held->origin && c->config->trackers &&
	       c->session.features & FRAME_FEATURE_NEED;
}

int need_offer(struct connection *c, uint32_t index, struct frame_opened *opened)
{
	const struct stage_held *held = &c->held[index];
	const struct frame_open *open = &c->session.disks[index].open;
	_cleanup_free_ struct frame_range *ranges = NULL;
	_cleanup_free_ uint8_t *payload = NULL;
	struct need n = { .c = c, .index = index, .size = held->size };
	struct receiver_tracker t = { 0 };
	int err;

	if (!need_possible(c, held))
		return 0;
	n.ranges = ranges = calloc(FRAME_NEED_MAX, sizeof(*ranges));
	n.payload = payload = malloc(FRAME_NEED_MAX * sizeof(*ranges));
	if (!ranges || !payload)
		return reason_set(&c->reason, -ENOMEM, 0, "no memory for a disk");
	err = need_send(&n, held->path, &t);
	if (n.err)
		return reason_set(&c->reason, n.err, 0, "sending to the peer failed: %s",
				  strerror(-n.err));
	if (err) {
		/* What was sent of NEED does no harm. */
		log_warning("%s: %s/%s has to be compared: its tracker cannot say what it has "
			    "changed: %s", steps_collection(c), open->vm, open->name,
			    err == -ENODEV ? "there is none that can be trusted" : strerror(-err));
		return 0;
	}
	c->trackers[index] = t;
	opened->present = FRAME_OPENED_ORIGIN;
	memcpy(opened->uuid, t.uuid, sizeof(opened->uuid));
	opened->epoch = t.committed;
	opened->point = t.epoch;
	return 0;
}

int need_judge(struct connection *c, uint32_t index)
{
	const struct frame_open *open = &c->session.disks[index].open;
	const struct receiver_tracker *then = &c->trackers[index];
	struct receiver_tracker now = { 0 };

	if (then->committed && !c->config->trackers->look(c->held[index].path, &now) &&
	    !memcmp(now.uuid, then->uuid, sizeof(now.uuid)) && now.committed == then->committed &&
	    now.epoch == then->epoch)
		return 0;
	return reason_set(&c->reason, -EINVAL, REASON_INVALID_STATE,
			  "the tracker of %s/%s does not say what the disk has changed: it must be "
			  "compared", open->vm, open->name);
}
