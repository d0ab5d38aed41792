// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes that nobody has marked: past the tracker while it is there, and any
 * between two attaches. See witness.h.
 *
 * The tracker counts a write before it passes it on, the device not before it
 * gets it. So at any time, if nobody else writes, what the device has counted
 * is at most what was passed: no drain is needed to be sure that more is too
 * much, only to be sure of less. What is in flight can hide a strange write
 * until it has landed; what has failed and was not counted, until the device is
 * suspended the next time, when both counts begin anew.
 */
#include "witness.h"

#include <linux/blkdev.h>
#include <linux/lockdep.h>
#include <linux/part_stat.h>

#include "disk.h"
#include "keep.h"

static void counters_read(struct block_device *bdev,
			  struct tidemark_counters *counters)
{
	counters->diskseq = bdev->bd_disk->diskseq;
	counters->sectors = (u64)part_stat_read(bdev, sectors[STAT_WRITE]) +
			    part_stat_read(bdev, sectors[STAT_DISCARD]);
}

static void witness_read(struct tidemark_disk *disk)
{
	struct tidemark_witness *witness = &disk->witness;

	counters_read(disk->where.data_bdev, &witness->data);
	counters_read(disk->where.tracked_bdev, &witness->tracked);
}

/*
 * Devices without requests of their own count whatever the flag says, or not at
 * all, as the kernel and their driver go: see whether they do, when all that
 * was passed has landed. Some count a write only then.
 */
static bool witness_blind(const struct tidemark_disk *disk, u64 counted,
			  u64 passed, bool quiet)
{
	struct request_queue *q = bdev_get_queue(disk->where.data_bdev);

	if (blk_queue_io_stat(q))
		return false;
	if (queue_is_mq(q))
		return true;
	return quiet ? passed && !counted : disk->witness.blind;
}

/**
 * tidemark_witness_begin() - a data device that was not watched before
 * @disk: locked; no write is in flight
 */
void tidemark_witness_begin(struct tidemark_disk *disk)
{
	struct tidemark_witness *witness = &disk->witness;

	lockdep_assert_held(&disk->lock);
	witness_read(disk);
	witness->counted = witness->data.sectors;
	witness->passed = tidemark_query_passed(disk);
}

/* @quiet: no write is in flight. */
static void witness_look(struct tidemark_disk *disk, bool quiet)
{
	struct tidemark_witness *witness = &disk->witness;
	u64 counted, passed;

	lockdep_assert_held(&disk->lock);
	if (disk->suspended)
		return;
	witness_read(disk);
	smp_rmb();	/* what has been counted has been passed before */
	counted = witness->data.sectors - witness->counted;
	passed = tidemark_query_passed(disk) - witness->passed;
	witness->blind = witness_blind(disk, counted, passed, quiet);
	if (counted <= passed)
		return;
	witness->bypassed += counted - passed;
	witness->counted += counted - passed;
	tidemark_disk_unreliable(disk, TIDEMARK_REASON_BYPASSED,
				 "written to past the tracker");
}

/**
 * tidemark_witness_check() - has anybody else written to the data device?
 * @disk: locked, active
 *
 * If so, everything is marked, and the disk says so.
 */
void tidemark_witness_check(struct tidemark_disk *disk)
{
	witness_look(disk, false);
}

/**
 * tidemark_witness_quiet() - the device is suspended: no write is in flight
 * @disk: locked, active, not yet marked as suspended
 *
 * What it counts from here on, until it is resumed or attached again, is none
 * of ours.
 */
void tidemark_witness_quiet(struct tidemark_disk *disk)
{
	witness_look(disk, true);
	tidemark_witness_begin(disk);
}

static bool counters_same(const struct tidemark_counters *now,
			  const struct tidemark_meta_counters *then)
{
	return now->diskseq && now->diskseq == le64_to_cpu(then->diskseq);
}

static bool counters_moved(const struct tidemark_counters *now,
			   const struct tidemark_meta_counters *then)
{
	return now->sectors != le64_to_cpu(then->sectors);
}

/*
 * In the same boot: each of the two devices that is still the same one must
 * have been left alone, and one of them must be the same one, or there is no
 * connection with what was known before. A slid-in tracker has a new data
 * device each time, a stacked one is a new device itself.
 */
static bool gap_since_detach(const struct tidemark_witness *now,
			     const struct tidemark_meta_super *then)
{
	bool data = counters_same(&now->data, &then->data);
	bool tracked = counters_same(&now->tracked, &then->tracked);

	if (!data && !tracked)
		return true;
	return (data && counters_moved(&now->data, &then->data)) ||
	       (tracked && counters_moved(&now->tracked, &then->tracked));
}

static bool gap_of(const struct tidemark_disk *disk)
{
	const struct tidemark_meta_super *then = &disk->keep->found;
	const struct tidemark_witness *now = &disk->witness;
	bool clean = le32_to_cpu(then->state) == TIDEMARK_META_CLEAN;
	static const u8 ended[sizeof(then->boot)];

	if (!memcmp(then->boot, disk->keep->boot, sizeof(then->boot)))
		return !clean || gap_since_detach(now, then);
	if (clean && memcmp(then->boot, ended, sizeof(then->boot)))
		return true;
	/* Counters begin with the boot: nobody may have come first. */
	return now->data.sectors || now->tracked.sectors;
}

static bool gap_other_disk(const struct tidemark_disk *disk)
{
	const u8 *then = disk->keep->found.identity;
	const char *now = disk->keep->identity;

	return then[0] && now[0] &&
	       strncmp(now, then, TIDEMARK_META_ID_SIZE);
}

/**
 * tidemark_witness_gap() - was the disk written to since its metadata was?
 * @disk: locked, about to be active, with metadata that verifies; what the
 *	metadata says is in place, and tidemark_witness_begin() has been called
 */
void tidemark_witness_gap(struct tidemark_disk *disk)
{
	lockdep_assert_held(&disk->lock);
	if (gap_other_disk(disk))
		tidemark_disk_unreliable(disk, TIDEMARK_REASON_SWAPPED,
					 "metadata of another disk");
	else if (gap_of(disk))
		tidemark_disk_unreliable(disk, TIDEMARK_REASON_GAP,
					 "perhaps written to while not tracked");
}
