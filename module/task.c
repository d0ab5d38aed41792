// SPDX-License-Identifier: GPL-2.0-only
/*
 * The one task that writes a disk's metadata: one step at a time, each with its
 * writes ended before the next begins. Everything anew, the device that fails
 * and works again, and the end.
 */
#include "keep.h"

#include <linux/bitmap.h>
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/sched.h>

#include "disk.h"
#include "event.h"

/**
 * tidemark_keep_break() - the metadata device cannot be relied on
 * @keep: of the disk
 * @why: it "..."
 *
 * Nobody is held any longer. What the device holds is of an old state, and must
 * not be taken for true with this UUID: so the tracker has another one from now
 * on, whether or not the device can be told so.
 *
 * Context: Process context, no lock held.
 */
void tidemark_keep_break(struct tidemark_keep *keep, const char *why)
{
	struct tidemark_disk *disk = keep->disk;
	bool before;
	LIST_HEAD(writes);

	spin_lock_irq(&keep->lock);
	before = keep->mode == KEEP_BROKEN;
	WRITE_ONCE(keep->mode, KEEP_BROKEN);
	list_splice_init(&keep->going, &writes);
	list_splice_tail_init(&keep->held, &writes);
	bitmap_zero(keep->wanted_blocks, keep->layout.intent_blocks);
	spin_unlock_irq(&keep->lock);
	mutex_lock(&disk->lock);
	if (!before && !disk->dead) {
		uuid_gen(&disk->uuid);
		disk->reason |= TIDEMARK_REASON_META_ERROR;
		WRITE_ONCE(disk->epoch_limit, U64_MAX);
		tidemark_disk_say(disk, "metadata device %s: tracking in memory only",
				  why);
		tidemark_event_send(disk, TIDEMARK_EVENT_UNRELIABLE,
				    disk->marking->number, 0);
	}
	WRITE_ONCE(disk->saved, disk->to_save);
	wake_up_all(&disk->wait);
	mutex_unlock(&disk->lock);
	/* Only now: a writer that goes on finds the reason told. */
	tidemark_intent_release(keep, &writes);
	tidemark_keep_sooner(&keep->tick, KEEP_INTERVAL_MIN);
}

/* -- everything anew -------------------------------------------------------- */

static void anew_clear(struct tidemark_keep *keep)
{
	u64 extents = keep->layout.extents;

	spin_lock_irq(&keep->lock);
	bitmap_zero(keep->armed, extents);
	bitmap_zero(keep->recent, extents);
	bitmap_zero(keep->durable, extents);
	bitmap_zero(keep->landing, extents);
	bitmap_zero(keep->leaving, extents);
	bitmap_zero(keep->wanted, extents);
	bitmap_zero(keep->wanted_blocks, keep->layout.intent_blocks);
	keep->intents = 0;
	spin_unlock_irq(&keep->lock);
	memset(keep->sums, 0, keep->layout.bitmap_blocks * sizeof(*keep->sums));
}

static int anew_intent(struct tidemark_keep *keep)
{
	u64 block;
	int err = 0;

	for (block = 0; block < keep->layout.intent_blocks && !err; block++) {
		tidemark_meta_pack(tidemark_metaio_next(keep->io, block +
							keep->layout.intent_block),
				   block, TIDEMARK_META_INTENT_MAGIC,
				   keep->format, keep->durable, NULL,
				   keep->layout.extents);
		if (tidemark_metaio_full(keep->io))
			err = tidemark_metaio_write(keep->io, METAIO_PLAIN);
	}
	return err ?: tidemark_metaio_write(keep->io, METAIO_PLAIN) ?:
	       tidemark_metaio_flush(keep->io);
}

/*
 * What was committed while there was no metadata device was not flushed: it may
 * be in the data device's cache, and is not set in the bitmap any more that is
 * about to be believed.
 */
static int anew_flush(struct tidemark_keep *keep, const char **ret_why)
{
	struct tidemark_disk *disk = keep->disk;
	struct block_device *bdev;
	int err;

	down_read(&disk->flushing);
	mutex_lock(&disk->lock);
	bdev = disk->where.data_bdev;
	mutex_unlock(&disk->lock);
	err = blkdev_issue_flush(bdev);
	up_read(&disk->flushing);
	if (err)
		*ret_why = "waits for the data device, which cannot be flushed";
	return err;
}

/* The device has just been told that everything has changed. */
static int anew(struct tidemark_keep *keep, const char **ret_why)
{
	struct tidemark_disk *disk = keep->disk;
	u64 ticket;
	int err;

	anew_clear(keep);
	err = anew_flush(keep, ret_why) ?: anew_intent(keep);
	if (err)
		return err;
	spin_lock_irq(&keep->lock);
	if (keep->mode == KEEP_ALL)
		WRITE_ONCE(keep->mode, KEEP_ON);
	spin_unlock_irq(&keep->lock);
	smp_mb();	/* as in leave_begin(): no writer asks before this */
	ticket = READ_ONCE(disk->to_save);
	err = tidemark_checkpoint_blocks(keep, true);
	if (err)
		return err;
	keep->state = TIDEMARK_META_ACTIVE;
	err = tidemark_super_write(keep);
	if (err)
		return err;
	mutex_lock(&disk->lock);
	WRITE_ONCE(disk->saved, ticket);
	if (READ_ONCE(keep->mode) == KEEP_ON &&
	    disk->reason & TIDEMARK_REASON_META_ERROR) {
		disk->reason &= ~TIDEMARK_REASON_META_ERROR;
		tidemark_disk_say(disk, "metadata device works again");
		if (!disk->unreliable_epoch)
			tidemark_event_send(disk, TIDEMARK_EVENT_RELIABLE,
					    disk->marking->number, 0);
	}
	wake_up_all(&disk->wait);
	mutex_unlock(&disk->lock);
	return 0;
}

/* Does the device work again? */
static void retry(struct tidemark_keep *keep)
{
	keep->retry_due = false;
	keep->state = TIDEMARK_META_ALL;
	if (tidemark_super_write(keep)) {
		keep->interval = min_t(unsigned long, keep->interval * 2,
				       KEEP_INTERVAL_MAX);
		tidemark_keep_later(&keep->tick, keep->interval);
		return;
	}
	keep->interval = KEEP_INTERVAL_MIN;
	spin_lock_irq(&keep->lock);
	WRITE_ONCE(keep->mode, KEEP_ALL);
	spin_unlock_irq(&keep->lock);
}

/* -- the task --------------------------------------------------------------- */

/* One thing that is to be done; returns false when there is nothing. */
static bool keep_step(struct tidemark_keep *keep)
{
	enum tidemark_keep_mode mode = READ_ONCE(keep->mode);
	struct tidemark_disk *disk = keep->disk;
	const char *why = "cannot be written";
	int err;

	if (mode == KEEP_IDLE || READ_ONCE(keep->ended))
		return false;
	if (mode == KEEP_BROKEN) {
		if (!READ_ONCE(keep->retry_due))
			return false;
		retry(keep);
		return true;
	}
	if (tidemark_intent_step(keep))
		return true;
	if (mode == KEEP_ALL)
		err = tidemark_super_write(keep) ?: anew(keep, &why);
	else if (READ_ONCE(keep->super_due))
		err = tidemark_super_write(keep);
	else if (READ_ONCE(keep->tick_due) ||
		 READ_ONCE(disk->saved) != READ_ONCE(disk->to_save))
		err = tidemark_checkpoint(keep);
	else
		return false;
	if (err)
		tidemark_keep_break(keep, why);
	return true;
}

/**
 * tidemark_keep_work() - the task
 * @work: tidemark_keep.work
 */
void tidemark_keep_work(struct work_struct *work)
{
	struct tidemark_keep *keep =
		container_of(work, struct tidemark_keep, work);

	while (keep_step(keep))
		cond_resched();
	/* What was armed just now shall be looked at, some time. */
	if (READ_ONCE(keep->mode) == KEEP_ON && READ_ONCE(keep->intents) &&
	    !READ_ONCE(keep->ended))
		tidemark_checkpoint_later(keep);
}

/**
 * tidemark_keep_tick() - it is time
 * @work: tidemark_keep.tick
 */
void tidemark_keep_tick(struct work_struct *work)
{
	struct tidemark_keep *keep = container_of(to_delayed_work(work),
						  struct tidemark_keep, tick);

	WRITE_ONCE(keep->tick_due, true);
	WRITE_ONCE(keep->retry_due, true);
	tidemark_keep_kick(keep);
}

/* -- the end ---------------------------------------------------------------- */

/**
 * tidemark_keep_save() - the disk is detached: exactly what was written
 * @keep: the task has ended, and nobody writes
 *
 * Return: 0 or an errno of the device.
 */
int tidemark_keep_save(struct tidemark_keep *keep)
{
	const char *why;
	int err = 0;

	if (keep->mode == KEEP_BROKEN)
		return tidemark_keep_disown(keep);
	if (keep->mode == KEEP_ALL)
		err = tidemark_super_write(keep) ?: anew(keep, &why);
	if (err)
		return err;
	err = tidemark_checkpoint_last(keep);
	if (err)
		return err;
	keep->state = TIDEMARK_META_CLEAN;
	return tidemark_super_write(keep);
}

/**
 * tidemark_keep_disown() - the device shall not be believed any more
 * @keep: the task has ended
 *
 * Return: 0 or an errno of the device.
 */
int tidemark_keep_disown(struct tidemark_keep *keep)
{
	keep->state = TIDEMARK_META_ALL;
	return tidemark_super_write(keep);
}
