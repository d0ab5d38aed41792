// SPDX-License-Identifier: GPL-2.0-only
/*
 * The keeper of a disk, see keep.h: its memory, its begin and its end.
 */
#include "keep.h"

#include <linux/bitmap.h>
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "bitmap.h"
#include "disk.h"
#include "granule.h"

static struct workqueue_struct *keep_queue;
/*
 * A queue is promised one worker, its rescuer, and no more. That of keep_queue may
 * be with a task whose device does not answer, which is what patience must notice:
 * it waits for no device, and has a queue of its own.
 */
static struct workqueue_struct *patience_queue;

/**
 * tidemark_keep_setup() - at module load
 *
 * Return: 0 or -ENOMEM.
 */
int tidemark_keep_setup(void)
{
	unsigned int flags = WQ_MEM_RECLAIM | WQ_UNBOUND | WQ_HIGHPRI;

	keep_queue = alloc_workqueue("tidemark_keep", flags, 0);
	if (!keep_queue)
		return -ENOMEM;
	patience_queue = alloc_workqueue("tidemark_patience", flags, 0);
	if (!patience_queue) {
		destroy_workqueue(keep_queue);
		return -ENOMEM;
	}
	return 0;
}

/** tidemark_keep_teardown() - at module unload */
void tidemark_keep_teardown(void)
{
	destroy_workqueue(patience_queue);
	destroy_workqueue(keep_queue);
}

/**
 * tidemark_keep_kick() - there is something to do
 * @keep: begun
 *
 * Context: Any.
 */
void tidemark_keep_kick(struct tidemark_keep *keep)
{
	queue_work(keep_queue, &keep->work);
}

/**
 * tidemark_keep_later() - there will be something to do
 * @work: what, if it is not on its way already
 * @jiffies: when
 *
 * Context: Any.
 */
void tidemark_keep_later(struct delayed_work *work, unsigned long jiffies)
{
	queue_delayed_work(keep_queue, work, jiffies);
}

/**
 * tidemark_keep_sooner() - as tidemark_keep_later(), also if it is on its way
 * @work: what
 * @jiffies: when
 *
 * Context: Any.
 */
void tidemark_keep_sooner(struct delayed_work *work, unsigned long jiffies)
{
	mod_delayed_work(keep_queue, work, jiffies);
}

/**
 * tidemark_keep_watch() - look in a while how long writes have been held
 * @keep: of a disk
 * @jiffies: when, if it is not to be looked already
 *
 * Context: Any.
 */
void tidemark_keep_watch(struct tidemark_keep *keep, unsigned long jiffies)
{
	queue_delayed_work(patience_queue, &keep->patience, jiffies);
}

/* -- memory ----------------------------------------------------------------- */

static unsigned long *keep_bits(u64 bits)
{
	return kvcalloc(BITS_TO_LONGS(bits), sizeof(long), GFP_KERNEL);
}

static int keep_alloc(struct tidemark_keep *keep, struct block_device *bdev)
{
	u64 extents = keep->layout.extents;
	u64 blocks = keep->layout.bitmap_blocks;

	keep->armed = keep_bits(extents);
	keep->recent = keep_bits(extents);
	keep->durable = keep_bits(extents);
	keep->landing = keep_bits(extents);
	keep->leaving = keep_bits(extents);
	keep->wanted = keep_bits(extents);
	/* One to be filled, one for the task. */
	keep->wanted_blocks = kvcalloc(2 * BITS_TO_LONGS(keep->layout.intent_blocks),
				       sizeof(long), GFP_KERNEL);
	keep->stale = keep_bits(blocks);
	keep->sums = kvcalloc(blocks, sizeof(*keep->sums), GFP_KERNEL);
	keep->io = tidemark_metaio_create(bdev);
	keep->super_io = tidemark_metaio_create(bdev);
	if (!keep->armed || !keep->recent || !keep->durable || !keep->landing ||
	    !keep->leaving || !keep->wanted || !keep->wanted_blocks ||
	    !keep->stale || !keep->sums || !keep->io || !keep->super_io)
		return -ENOMEM;
	return 0;
}

/*
 * Nothing of it is queued or runs after, unless somebody asks anew: held writes
 * are past, so patience asks for a tick at most, a tick for the task, and the
 * task, when @keep has ended, for nothing.
 */
static void keep_cancel(struct tidemark_keep *keep)
{
	cancel_delayed_work_sync(&keep->patience);
	cancel_work_sync(&keep->work);
	cancel_delayed_work_sync(&keep->tick);
	cancel_work_sync(&keep->work);
}

/**
 * tidemark_keep_free() - it was never begun, or has ended
 * @keep: or NULL; no disk has it, so nobody can kick it any more
 *
 * Context: Process context, may sleep.
 */
void tidemark_keep_free(struct tidemark_keep *keep)
{
	if (!keep)
		return;
	keep_cancel(keep);
	tidemark_metaio_free(keep->super_io);
	tidemark_metaio_free(keep->io);
	kvfree(keep->sums);
	kvfree(keep->stale);
	kvfree(keep->wanted_blocks);
	kvfree(keep->wanted);
	kvfree(keep->leaving);
	kvfree(keep->landing);
	kvfree(keep->durable);
	kvfree(keep->recent);
	kvfree(keep->armed);
	kfree(keep);
}

/**
 * tidemark_keep_create() - a keeper for a disk that was just created
 * @disk: nobody sees it yet; gets the keeper, and the marks of its metadata
 * @bdev: the metadata device, open for as long as the keeper may be in use
 * @boot: which boot this is, 16 bytes
 * @identity: what the table calls the disk, or ""
 * @ret_why: on failure, for a person
 *
 * Nothing is written to the device before the disk is activated.
 *
 * Context: Process context, reads all of the metadata.
 * Return: 0, -ENOSPC, -EMEDIUMTYPE, -EPROTONOSUPPORT, -EINVAL, -ENOMEM, or an
 * errno of the device.
 */
int tidemark_keep_create(struct tidemark_disk *disk, struct block_device *bdev,
			 const u8 *boot, const char *identity,
			 const char **ret_why)
{
	struct tidemark_keep *keep = kzalloc(sizeof(*keep), GFP_KERNEL);
	int err;

	*ret_why = "No memory for the metadata";
	if (!keep)
		return -ENOMEM;
	keep->disk = disk;
	keep->device = bdev->bd_dev;
	memcpy(keep->boot, boot, sizeof(keep->boot));
	strscpy(keep->identity, identity, sizeof(keep->identity));
	get_random_bytes(&keep->sums_key, sizeof(keep->sums_key));
	spin_lock_init(&keep->lock);
	INIT_LIST_HEAD(&keep->held);
	INIT_LIST_HEAD(&keep->going);
	INIT_WORK(&keep->work, tidemark_keep_work);
	INIT_DELAYED_WORK(&keep->tick, tidemark_keep_tick);
	INIT_DELAYED_WORK(&keep->patience, tidemark_intent_patience);
	keep->interval = 5 * HZ;
	tidemark_meta_layout(&keep->layout, disk->sectors, 1U << disk->shift);
	if (bdev_logical_block_size(bdev) > TIDEMARK_META_BLOCK) {
		*ret_why = "The metadata device has blocks of more than 4096 bytes";
		err = -EINVAL;
	} else if (bdev_nr_bytes(bdev) / TIDEMARK_META_BLOCK <
		   tidemark_meta_blocks(&keep->layout)) {
		*ret_why = "The metadata device is too small";
		err = -ENOSPC;
	} else {
		err = keep_alloc(keep, bdev);
	}
	if (!err)
		err = tidemark_keep_load(keep, disk, ret_why);
	if (err) {
		tidemark_keep_free(keep);
		return err;
	}
	disk->keep = keep;
	return 0;
}

/* -- begin and end ---------------------------------------------------------- */

static void keep_begin_on(struct tidemark_disk *disk)
{
	struct tidemark_keep *keep = disk->keep;

	keep->committed = disk->committed_epoch;
	WRITE_ONCE(keep->mode, keep->state == TIDEMARK_META_ACTIVE ?
			       KEEP_ON : KEEP_ALL);
	/* Numbers below are not given out before a superblock says so. */
	WRITE_ONCE(disk->epoch_limit, disk->marking->number + 1);
	WRITE_ONCE(keep->super_due, true);
	tidemark_keep_kick(keep);
}

/**
 * tidemark_keep_begin() - the disk is about to be active, as its metadata says
 * @disk: locked, with a keeper; no write has come; its witness has begun
 *
 * The number of the current epoch is set, but the epoch has not begun.
 */
void tidemark_keep_begin(struct tidemark_disk *disk)
{
	struct tidemark_keep *keep = disk->keep;
	const struct tidemark_meta_super *found = &keep->found;
	u32 state = le32_to_cpu(found->state);

	lockdep_assert_held(&disk->lock);
	disk->reason = keep->found_reason;
	disk->meta_found = keep->seq;
	disk->meta_sequence = keep->seq;
	disk->marking->number = 1;
	if (state) {
		disk->marking->number = le64_to_cpu(found->next_epoch);
		disk->reason |= le32_to_cpu(found->reason) &
				TIDEMARK_REASON_UNRELIABLE;
	}
	/* It was lost, and has not been made anew yet. */
	if (state == TIDEMARK_META_ALL)
		disk->reason |= le32_to_cpu(found->reason) &
				TIDEMARK_REASON_META_LOST;
	if (state && state != TIDEMARK_META_NEW) {
		import_uuid(&disk->uuid, found->uuid);
		disk->committed_epoch = le64_to_cpu(found->committed_epoch);
		if (disk->reason & TIDEMARK_REASON_UNRELIABLE)
			tidemark_disk_unreliable(disk, 0,
						 "as it was when it was detached");
		if (state != TIDEMARK_META_ALL)
			tidemark_witness_gap(disk);
	}
	keep_begin_on(disk);
}

/*
 * End the task; the step that it is at is done to the end. A disk that goes on may
 * still be sealed or committed, which kicks its keeper until another one is there:
 * the task runs then, and does nothing.
 */
static void keep_quiesce(struct tidemark_keep *keep)
{
	WRITE_ONCE(keep->ended, true);
	keep_cancel(keep);
}

/**
 * tidemark_keep_end() - the disk is dead: save all that is known of it
 * @disk: dead, no write in flight
 *
 * Context: Process context, waits for I/O; no lock is held.
 */
void tidemark_keep_end(struct tidemark_disk *disk)
{
	struct tidemark_keep *keep = disk->keep;

	if (!keep || keep->mode == KEEP_IDLE)
		return;
	keep_quiesce(keep);
	if (tidemark_keep_save(keep))
		tidemark_keep_disown(keep);
	WRITE_ONCE(keep->mode, KEEP_IDLE);
}

/**
 * tidemark_keep_differs() - must a disk go on with a newcomer's keeper?
 * @disk: active
 * @fresh: of the same owner
 */
bool tidemark_keep_differs(const struct tidemark_disk *disk,
			   const struct tidemark_disk *fresh)
{
	if (!disk->keep || !fresh->keep)
		return disk->keep || fresh->keep;
	return disk->keep->device != fresh->keep->device ||
	       disk->sectors != fresh->sectors || disk->shift != fresh->shift;
}

/**
 * tidemark_keep_retire() - the disk goes on without this keeper
 * @disk: active, no write in flight or on its way
 * @fresh: whose keeper is next, if it has one
 *
 * The device must not be believed any more: what comes from now on is not
 * written to it, or in another layout. If it cannot be told so, the tracker
 * needs another UUID.
 *
 * Context: Process context, waits for I/O; no lock is held.
 */
void tidemark_keep_retire(struct tidemark_disk *disk,
			  const struct tidemark_disk *fresh)
{
	struct tidemark_keep *keep = disk->keep;

	if (!keep || keep->mode == KEEP_IDLE)
		return;
	keep_quiesce(keep);
	if (keep->mode != KEEP_BROKEN && tidemark_keep_disown(keep)) {
		mutex_lock(&disk->lock);
		uuid_gen(&disk->uuid);
		mutex_unlock(&disk->lock);
	}
	if (fresh->keep && fresh->keep->device == keep->device)
		memcpy(fresh->keep->format, keep->format, sizeof(keep->format));
	WRITE_ONCE(keep->mode, KEEP_IDLE);
}

/**
 * tidemark_keep_adopt() - the disk goes on with another keeper, or none
 * @disk: locked, active; has its new keeper; no write in flight
 */
void tidemark_keep_adopt(struct tidemark_disk *disk)
{
	struct tidemark_keep *keep = disk->keep;

	lockdep_assert_held(&disk->lock);
	WRITE_ONCE(disk->saved, disk->to_save);
	WRITE_ONCE(disk->epoch_limit, U64_MAX);
	wake_up_all(&disk->wait);
	disk->reason &= ~TIDEMARK_REASON_META_ERROR;
	if (!keep)
		return;
	keep->disk = disk;
	keep->state = TIDEMARK_META_ALL;
	keep->seq = max(keep->seq, disk->meta_sequence);
	keep_begin_on(disk);
}

/**
 * tidemark_keep_foreign() - is it another disk's metadata?
 * @disk: locked, active
 * @keep: of a newcomer
 */
bool tidemark_keep_foreign(const struct tidemark_disk *disk,
			   const struct tidemark_keep *keep)
{
	u32 state = le32_to_cpu(keep->found.state);
	uuid_t uuid;

	if (disk->keep && disk->keep->device == keep->device)
		return false;
	import_uuid(&uuid, keep->found.uuid);
	return state && state != TIDEMARK_META_NEW &&
	       !uuid_equal(&uuid, &disk->uuid);
}

/**
 * tidemark_keep_info() - what INFO says of it
 * @disk: locked
 * @info: is filled
 */
void tidemark_keep_info(struct tidemark_disk *disk, struct tidemark_info *info)
{
	struct tidemark_keep *keep = disk->keep;
	u64 writes, flushes, errors;

	if (!keep)
		return;
	if (READ_ONCE(keep->mode) != KEEP_BROKEN)
		info->state |= TIDEMARK_STATE_META;
	info->meta_major = MAJOR(keep->device);
	info->meta_minor = MINOR(keep->device);
	spin_lock_irq(&keep->lock);
	info->meta_intents = keep->intents;
	info->meta_held = keep->holds;
	spin_unlock_irq(&keep->lock);
	info->meta_checkpoints = READ_ONCE(keep->checkpoints);
	tidemark_metaio_counts(keep->io, &info->meta_writes,
			       &info->meta_flushes, &info->meta_errors);
	tidemark_metaio_counts(keep->super_io, &writes, &flushes, &errors);
	info->meta_writes += writes;
	info->meta_flushes += flushes;
	info->meta_errors += errors;
}
