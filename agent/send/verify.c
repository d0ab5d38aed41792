// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/verify.h"

#include <string.h>

#include "base/util.h"

/*
 * A difference is no fault if the granule has been written since the replica's
 * point: it is marked then. The mark is asked for after both sides were read.
 * A write that the read here has seen was marked before it was passed down,
 * and only a commit forgets marks, which is this collection's one job's to do.
 */
static int verify_differ(void *owner, struct pump_disk *disk, uint64_t granule, uint64_t length)
{
	struct run *r = owner;
	struct session_disk *d = container_of(disk, struct session_disk, pump);
	uint64_t offset = granule * d->source->granule;
	struct run_range *last = NULL;
	bool changed;
	int err;

	err = d->source->ops->changed(d->source, granule, 1, &changed);
	if (err)
		return reason_set(disk->reason, err, 0, DISK_FORMAT ": cannot ask the tracker: %s",
				  DISK_NAMES(d), strerrordesc_np(-err));
	if (changed)
		return 0;
	progress_add(&r->progress->different, length);
	progress_add(&disk->progress->different, length);
	if (r->report->range_count)
		last = &r->report->ranges[r->report->range_count - 1];
	if (last && last->disk == d->index && last->offset + last->length == offset)
		last->length += length;
	else if (r->report->range_count < RUN_RANGES_MAX)
		r->report->ranges[r->report->range_count++] = (struct run_range){
			.disk = d->index,
			.offset = offset,
			.length = length,
		};
	return 0;
}

static int verify_disk(struct run *r, struct session_disk *d)
{
	int answer;

	d->pump.task = PUMP_VERIFY;
	d->pump.verify_size = u64_min(d->source->size, d->opened.size);
	answer = pump_disk_run(r->pump, r->conn, &d->pump);
	if (answer != PUMP_DISK_FAILED)
		return answer;
	return members_drop(r, d, d->pump.error, 0, DISK_FORMAT ": %s", DISK_NAMES(d),
			    strerrordesc_np(-d->pump.error));
}

int verify_run(struct run *r)
{
	int err = 0;

	pump_on_differ(r->pump, verify_differ, r);
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d)) {
		uint64_t size = u64_min(d->source->size, d->opened.size);

		progress_add(&r->progress->owed, size);
		progress_add(&d->report->progress.owed, size);
	}
	for (struct session_disk *d = members_first(r); d && !err; d = members_next(r, d)) {
		err = verify_disk(r, d);
		if (!err && !d->dropped)
			atomic_store(&d->report->progress.done, true);
	}
	if (!err)
		conn_abort(r->conn);
	return err;
}
