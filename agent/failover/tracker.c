// SPDX-License-Identifier: GPL-2.0-or-later
#include "failover/tracker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "send/source.h"

#define TRACKER_RUNS 256

static int tracker_info(struct source *s, struct receiver_tracker *ret)
{
	struct source_info info;
	int err = s->ops->info(s, &info);

	if (err)
		return err;
	/* Without a committed epoch there is nothing that its marks would be since. */
	if (info.unreliable || !info.committed_epoch)
		return -ENODEV;
	memcpy(ret->uuid, info.uuid, sizeof(ret->uuid));
	ret->committed = info.committed_epoch;
	ret->epoch = info.epoch;
	return 0;
}

static int tracker_open(const char *device, struct source **ret)
{
	int err = source_kernel_open(ret, device);

	/* No module, no tracker. */
	return err == -ENOPKG ? -ENODEV : err;
}

static int tracker_each(struct source *s, bool sealed,
			int (*each)(void *arg, uint64_t offset, uint64_t span), void *arg)
{
	struct plan_run runs[TRACKER_RUNS];
	uint64_t next = 0;
	int err = 0;

	while (next < source_granules(s) && !err) {
		size_t filled = 0;

		err = (sealed ? s->ops->sealed : s->ops->current)(s, next, runs, TRACKER_RUNS, &filled,
								 &next);
		for (size_t i = 0; i < filled && !err; i++)
			err = each(arg, runs[i].first * s->granule, runs[i].count * s->granule);
	}
	return err;
}

static int tracker_look(const char *device, struct receiver_tracker *ret)
{
	struct source *s;
	int err = tracker_open(device, &s);

	if (err)
		return err;
	err = tracker_info(s, ret);
	source_close(s);
	return err;
}

/*
 * In this order a fold meanwhile, which gives sealed bits back to the current
 * bitmap, hides none. What the tracker is, is asked before: marks that come
 * later are too many at worst.
 */
static int tracker_changed(const char *device, struct receiver_tracker *ret,
			   int (*each)(void *arg, uint64_t offset, uint64_t span), void *arg)
{
	struct receiver_tracker t;
	struct source *s;
	int err = tracker_open(device, &s);

	if (err)
		return err;
	err = tracker_info(s, &t);
	if (!err)
		err = tracker_each(s, true, each, arg);
	if (!err)
		err = tracker_each(s, false, each, arg);
	source_close(s);
	if (!err)
		*ret = t;
	return err;
}

const struct receiver_trackers failover_trackers = { tracker_look, tracker_changed };

void failover_witness(const char *path, char ret[WITNESS_MAX])
{
	struct source_info info;

	witness_take(path, ret);
	if (ret[0] || source_look(path, true, 0, &info))
		return;
	if (!info.tracked || info.unreliable || info.device[0])
		return;
	snprintf(ret, WITNESS_MAX, "tracker %016" PRIx64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
		 info.attach, info.writes, info.written, info.discarded);
}
