// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can be asked about a disk. Changes nothing, but for what the witness finds
 * when it is asked; fills kernel memory only.
 */
#include "disk.h"

#include <linux/kdev_t.h>
#include <linux/lockdep.h>
#include <linux/percpu.h>
#include <linux/string.h>

#include "bitmap.h"
#include "granule.h"
#include "keep.h"

/*
 * A bitmap by its name, valid while the disk stays locked. -ENODATA: there is
 * no sealed epoch.
 */
static int query_map(struct tidemark_disk *disk, u32 which,
		     const unsigned long **ret_map)
{
	lockdep_assert_held(&disk->lock);
	if (which > TIDEMARK_OWED)
		return -EINVAL;
	if (which != TIDEMARK_CURRENT && !disk->sealed_epoch)
		return -ENODATA;
	if (which == TIDEMARK_CURRENT)
		*ret_map = disk->marking->bits;
	else if (which == TIDEMARK_SEALED)
		*ret_map = disk->sealed_bits;
	else
		*ret_map = disk->owed->bits;
	return 0;
}

static u32 query_state(const struct tidemark_disk *disk)
{
	u32 state = disk->suspended ? TIDEMARK_STATE_SUSPENDED : 0;

	if (disk->witness.blind)
		state |= TIDEMARK_STATE_BLIND;
	if (!disk->sealed_epoch)
		return state;
	state |= TIDEMARK_STATE_SEALED;
	if (!tidemark_epoch_drained(disk->owed))
		state |= TIDEMARK_STATE_DRAINING;
	if (atomic_long_read(&disk->owed->torn))
		state |= TIDEMARK_STATE_TORN;
	return state;
}

static void query_stats(const struct tidemark_disk *disk,
			struct tidemark_info *info)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct tidemark_stats *stats =
			per_cpu_ptr(disk->stats, cpu);

		info->writes += READ_ONCE(stats->writes);
		info->write_sectors += READ_ONCE(stats->write_sectors);
		info->discard_sectors += READ_ONCE(stats->discard_sectors);
	}
}

/**
 * tidemark_query_passed() - sectors passed to the data device, since attach
 * @disk: a lower bound while writers come
 */
u64 tidemark_query_passed(const struct tidemark_disk *disk)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct tidemark_stats *stats =
			per_cpu_ptr(disk->stats, cpu);

		sum += READ_ONCE(stats->write_sectors) +
		       READ_ONCE(stats->discard_sectors);
	}
	return sum;
}

/**
 * tidemark_query_info() - everything about a disk
 * @disk: the caller holds a reference
 * @info: its output members are 0, and are filled
 *
 * Return: 0 or -ENODEV.
 */
int tidemark_query_info(struct tidemark_disk *disk, struct tidemark_info *info)
{
	int err = tidemark_disk_lock(disk);

	if (err)
		return err;
	tidemark_witness_check(disk);
	info->disk = disk->id;
	export_uuid(info->uuid, &disk->uuid);
	info->major = MAJOR(disk->where.device);
	info->minor = MINOR(disk->where.device);
	info->data_major = MAJOR(disk->where.data);
	info->data_minor = MINOR(disk->where.data);
	info->sectors = disk->sectors;
	info->granules = disk->granules;
	info->granule_sectors = 1U << disk->shift;
	info->state = query_state(disk);
	info->reason = disk->reason;
	info->epoch = disk->marking->number;
	info->sealed_epoch = disk->sealed_epoch;
	info->committed_epoch = disk->committed_epoch;
	info->marked = atomic_long_read(&disk->marking->marked);
	info->sealed = disk->sealed;
	if (disk->sealed_epoch) {
		info->owed = atomic_long_read(&disk->owed->marked);
		info->torn = atomic_long_read(&disk->owed->torn);
	}
	info->threshold = disk->threshold;
	query_stats(disk, info);
	tidemark_preserve_info(disk, info);
	info->unreliable_epoch = disk->unreliable_epoch;
	info->bypassed_sectors = disk->witness.bypassed;
	info->attach = disk->attach;
	info->meta_found = disk->meta_found;
	info->meta_sequence = disk->meta_sequence;
	tidemark_keep_info(disk, info);
	strscpy(info->name, disk->where.name, sizeof(info->name));
	strscpy(info->message, disk->message, sizeof(info->message));
	mutex_unlock(&disk->lock);
	return 0;
}

/**
 * tidemark_query_check() - does a range lie inside of the disk?
 * @disk: the caller holds a reference
 * @first: first granule
 * @count: how many
 *
 * Return: 0, -EINVAL, -ENODEV.
 */
int tidemark_query_check(struct tidemark_disk *disk, u64 first, u64 count)
{
	int err = tidemark_disk_lock(disk);

	if (err)
		return err;
	if (!granule_run_valid(first, count, disk->granules))
		err = -EINVAL;
	mutex_unlock(&disk->lock);
	return err;
}

/* Lock the disk and find the bitmap, the range checked. */
static int query_lock(struct tidemark_disk *disk, u32 which, u64 first,
		      u64 count, const unsigned long **ret_map)
{
	int err = tidemark_disk_lock(disk);

	if (err)
		return err;
	err = query_map(disk, which, ret_map);
	if (!err && !granule_run_valid(first, count, disk->granules))
		err = -EINVAL;
	if (err)
		mutex_unlock(&disk->lock);
	return err;
}

/**
 * tidemark_query_bytes() - a piece of a bitmap as bytes
 * @disk: the caller holds a reference
 * @which: enum tidemark_which
 * @first: first granule, a multiple of 8
 * @count: how many
 * @epoch: 0 with the first piece; kept here, so that all are of one epoch
 * @bytes: (@count + 7) / 8 of them
 *
 * Return: 0, -EINVAL, -ENODEV, -ENODATA, -ESTALE.
 */
int tidemark_query_bytes(struct tidemark_disk *disk, u32 which, u64 first,
			 u64 count, u64 *epoch, u8 *bytes)
{
	const unsigned long *map;
	int err = query_lock(disk, which, first, count, &map);

	if (err)
		return err;
	if (which != TIDEMARK_CURRENT && *epoch &&
	    *epoch != disk->sealed_epoch) {
		err = -ESTALE;
	} else {
		*epoch = disk->sealed_epoch;
		tidemark_bitmap_bytes(map, first, count, bytes);
	}
	mutex_unlock(&disk->lock);
	return err;
}

/**
 * tidemark_query_runs() - a bitmap as runs of set bits
 * @disk: the caller holds a reference
 * @request: @filled and @next are set
 * @runs: room for @request's capacity
 *
 * Return: 0, -EINVAL, -ENODEV, -ENODATA.
 */
int tidemark_query_runs(struct tidemark_disk *disk,
			struct tidemark_runs *request,
			struct tidemark_run *runs)
{
	u64 next = request->first, end;
	const unsigned long *map;
	u64 first, count;
	u32 filled = 0;
	int err;

	err = query_lock(disk, request->which, next, request->count, &map);
	if (err)
		return err;
	end = next + request->count;
	while (filled < request->capacity &&
	       tidemark_bitmap_next(map, next, end, &first, &count)) {
		runs[filled].first = first;
		runs[filled++].count = count;
		next = first + count;
	}
	mutex_unlock(&disk->lock);
	/* With room left, the rest of the range has no run. */
	request->next = filled < request->capacity ? end : next;
	request->filled = filled;
	return 0;
}

/**
 * tidemark_query_count() - set bits in a range of a bitmap
 * @disk: the caller holds a reference
 * @request: @set is set
 *
 * Return: 0, -EINVAL, -ENODEV, -ENODATA.
 */
int tidemark_query_count(struct tidemark_disk *disk,
			 struct tidemark_count *request)
{
	const unsigned long *map;
	int err;

	err = query_lock(disk, request->which, request->first, request->count,
			 &map);
	if (err)
		return err;
	request->set = tidemark_bitmap_count(map, request->first,
					     request->count);
	mutex_unlock(&disk->lock);
	return 0;
}
