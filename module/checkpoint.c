// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checkpoints: the bitmap's blocks are written, flushed, and then the intent of
 * extents goes that nobody has written to for a while. Between the batches of a
 * long one it is made durable what writers wait for. The order of the writes is
 * that of <linux/tidemark-meta.h>.
 */
#include "keep.h"

#include <linux/bitmap.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include "bitmap.h"
#include "disk.h"

static unsigned int checkpoint_seconds;
module_param(checkpoint_seconds, uint, 0644);
MODULE_PARM_DESC(checkpoint_seconds,
		 "Shortest time between checkpoints of a metadata device, as far as it is not 2 to 60 s by itself");

/* Words of extents that are looked at with interrupts off: 256 GiB. */
#define LEAVE_STEP	1024

/* -- blocks of bitmap ------------------------------------------------------- */

/* The extents that a block of the bitmap is about. */
static bool block_leaving(const struct tidemark_keep *keep, u64 block)
{
	const struct tidemark_meta_layout *layout = &keep->layout;
	u64 first = block * TIDEMARK_META_BLOCK_BITS *
		    layout->granule_sectors / TIDEMARK_META_EXTENT;
	u64 end = min_t(u64, (block + 1) * TIDEMARK_META_BLOCK_BITS,
			layout->granules);

	end = min(layout->extents,
		  (end * layout->granule_sectors - 1) / TIDEMARK_META_EXTENT + 1);
	return tidemark_bitmap_any(keep->leaving, first, end - first);
}

/*
 * No block forgets what a commit has ended before a superblock tells of that commit.
 * Others are kept out until this block is read (tidemark_seal_commit()), or a disk
 * that is committed as fast as a superblock is written would keep the task here, and
 * with it whoever waits for the task. Returns with the disk locked, or an errno.
 */
static int block_lock(struct tidemark_keep *keep)
{
	struct tidemark_disk *disk = keep->disk;
	int err;

	mutex_lock(&disk->lock);
	if (keep->committed == disk->committed_epoch)
		return 0;
	WRITE_ONCE(disk->commit_held, true);
	mutex_unlock(&disk->lock);
	err = tidemark_super_write(keep);
	mutex_lock(&disk->lock);
	WRITE_ONCE(disk->commit_held, false);
	wake_up_all(&disk->wait);
	if (err)
		mutex_unlock(&disk->lock);
	return err;
}

/**
 * tidemark_checkpoint_sum() - what a block is known by, when it is on the device
 * @keep: of the disk
 * @block: of bitmap, as it was packed
 *
 * A block that has the sum of the one on the device is not written, and intent goes
 * that only it could stand for. So this must not be a CRC: it is linear, and any
 * 33 granules of a block hold some whose marks it does not see.
 *
 * Return: never 0.
 */
u64 tidemark_checkpoint_sum(const struct tidemark_keep *keep, const void *block)
{
	return siphash(block, TIDEMARK_META_BLOCK, &keep->sums_key) ?: 1;
}

/* Put a block into the batch, if the device does not hold it already. */
static int block_pack(struct tidemark_keep *keep, u64 block)
{
	struct tidemark_disk *disk = keep->disk;
	int err = block_lock(keep);
	void *memory;
	u64 sum;

	if (err)
		return err;
	memory = tidemark_metaio_next(keep->io,
				      keep->layout.bitmap_block + block);
	tidemark_meta_pack(memory, block, TIDEMARK_META_BITMAP_MAGIC,
			   keep->format, disk->marking->bits,
			   disk->sealed ? disk->sealed_bits : NULL,
			   keep->layout.granules);
	clear_bit(block, keep->stale);
	mutex_unlock(&disk->lock);
	sum = tidemark_checkpoint_sum(keep, memory);
	if (sum == keep->sums[block])
		tidemark_metaio_drop(keep->io);
	keep->sums[block] = sum;
	return 0;
}

/**
 * tidemark_checkpoint_blocks() - write blocks of bitmap that the device lacks
 * @keep: called by the task, or when it has ended
 * @all: all of them, or those that are stale and those that extents leave
 *
 * Context: Process context, waits for I/O, makes intent durable meanwhile.
 * Return: 0 or an errno of the device.
 */
int tidemark_checkpoint_blocks(struct tidemark_keep *keep, bool all)
{
	u64 block;
	int err;

	for (block = 0; block < keep->layout.bitmap_blocks; block++) {
		if (!all && !test_bit(block, keep->stale) &&
		    !block_leaving(keep, block))
			continue;
		err = block_pack(keep, block);
		if (err)
			return err;
		if (!tidemark_metaio_full(keep->io))
			continue;
		err = tidemark_metaio_write(keep->io, METAIO_PLAIN);
		if (err)
			return err;
		while (tidemark_intent_step(keep))
			;
		cond_resched();
	}
	return tidemark_metaio_write(keep->io, METAIO_PLAIN);
}

/* Make durable what was written since the last flush, if anything. */
static int blocks_flush(struct tidemark_keep *keep)
{
	u64 writes, flushes, errors;
	int err;

	tidemark_metaio_counts(keep->io, &writes, &flushes, &errors);
	if (writes == keep->flushed)
		return 0;
	err = tidemark_metaio_flush(keep->io);
	if (!err)
		keep->flushed = writes;
	return err;
}

/**
 * tidemark_keep_stale() - granules were marked by request
 * @disk: locked
 * @first: first granule
 * @count: how many, not 0
 */
void tidemark_keep_stale(struct tidemark_disk *disk, u64 first, u64 count)
{
	u64 block = first / TIDEMARK_META_BLOCK_BITS;
	u64 last = (first + count - 1) / TIDEMARK_META_BLOCK_BITS;

	lockdep_assert_held(&disk->lock);
	if (!disk->keep || READ_ONCE(disk->keep->mode) == KEEP_BROKEN)
		return;
	for (; block <= last; block++)
		set_bit(block, disk->keep->stale);
	WRITE_ONCE(disk->to_save, disk->to_save + 1);
}

/**
 * tidemark_keep_forget() - granules are no longer marked anywhere
 * @disk: locked
 *
 * Not urgent: what the device still says is more than what is true.
 */
void tidemark_keep_forget(struct tidemark_disk *disk)
{
	lockdep_assert_held(&disk->lock);
	if (!disk->keep)
		return;
	bitmap_fill(disk->keep->stale, disk->keep->layout.bitmap_blocks);
	tidemark_keep_later(&disk->keep->tick, KEEP_INTERVAL_MIN);
}

/**
 * tidemark_keep_checkpoint() - make one now
 * @disk: the caller holds a reference
 *
 * Return: as tidemark_keep_sync(), or -ENODEV.
 */
int tidemark_keep_checkpoint(struct tidemark_disk *disk)
{
	int err = tidemark_disk_lock(disk);

	if (err)
		return err;
	if (disk->keep && READ_ONCE(disk->keep->mode) != KEEP_BROKEN)
		WRITE_ONCE(disk->to_save, disk->to_save + 1);
	mutex_unlock(&disk->lock);
	return tidemark_keep_sync(disk);
}

/**
 * tidemark_keep_sync() - until what was marked by request is durable
 * @disk: not locked
 *
 * Context: Process context, waits for I/O; holds no lock.
 * Return: 0, also when there is nothing to wait for; -EINTR: a fatal signal.
 */
int tidemark_keep_sync(struct tidemark_disk *disk)
{
	u64 ticket = 0;

	mutex_lock(&disk->lock);
	if (disk->keep && !disk->dead) {
		ticket = disk->to_save;
		tidemark_keep_kick(disk->keep);
	}
	mutex_unlock(&disk->lock);
	if (wait_event_killable(disk->wait,
				READ_ONCE(disk->saved) >= ticket ||
				READ_ONCE(disk->dead)))
		return -EINTR;
	return 0;
}

/**
 * tidemark_keep_leave() - begin a checkpoint that clears all intent
 * @disk: the caller holds a reference
 */
void tidemark_keep_leave(struct tidemark_disk *disk)
{
	struct tidemark_keep *keep;

	mutex_lock(&disk->lock);
	keep = disk->keep;
	if (keep && !disk->dead && READ_ONCE(keep->mode) != KEEP_BROKEN) {
		keep->leave_all = true;
		WRITE_ONCE(disk->to_save, disk->to_save + 1);
		tidemark_keep_kick(keep);
	}
	mutex_unlock(&disk->lock);
}

/**
 * tidemark_keep_left() - wait for it, but not for ever
 * @disk: the caller holds a reference
 * @until: jiffies
 */
void tidemark_keep_left(struct tidemark_disk *disk, unsigned long until)
{
	long left = until - jiffies;

	wait_event_timeout(disk->wait,
			   READ_ONCE(disk->saved) >= READ_ONCE(disk->to_save) ||
			   READ_ONCE(disk->dead), max(left, 1L));
}

/* -- intent that goes ------------------------------------------------------- */

/* The extents of a word; returns how many were taken. */
static unsigned int leave_word(struct tidemark_keep *keep, unsigned long word,
			       bool all)
{
	unsigned long armed = keep->armed[word];
	unsigned long recent = xchg(&keep->recent[word], 0);
	unsigned long bits = all ? armed : armed & ~recent;

	lockdep_assert_held(&keep->lock);
	keep->leaving[word] = bits;
	WRITE_ONCE(keep->armed[word], armed & ~bits);
	return hweight_long(bits);
}

/*
 * Take extents out of the armed ones: those not written to since the last
 * checkpoint. A writer that has seen its extent armed has marked before, and
 * tidemark_checkpoint_blocks() reads after, see tidemark_intent_armed().
 */
static u64 leave_begin(struct tidemark_keep *keep, bool all)
{
	unsigned long word = 0, words = BITS_TO_LONGS(keep->layout.extents);
	u64 taken = 0;

	while (word < words) {
		unsigned long end = min(words, word + LEAVE_STEP);

		spin_lock_irq(&keep->lock);
		for (; word < end; word++)
			taken += leave_word(keep, word, all);
		spin_unlock_irq(&keep->lock);
		cond_resched();
	}
	smp_mb();	/* pairs with that of tidemark_intent_armed() */
	return taken;
}

/* Clear the bits of those that nobody has written to meanwhile. */
static int leave_end(struct tidemark_keep *keep)
{
	u64 block, first, end;
	unsigned long word;
	int err = 0;

	for (block = 0; block < keep->layout.intent_blocks; block++) {
		unsigned long some = 0;

		first = block * TIDEMARK_META_BLOCK_BITS;
		end = min_t(u64, first + TIDEMARK_META_BLOCK_BITS,
			    keep->layout.extents);
		spin_lock_irq(&keep->lock);
		for (word = BIT_WORD(first); word <= BIT_WORD(end - 1); word++) {
			unsigned long bits = keep->leaving[word] &
					     keep->durable[word] &
					     ~keep->armed[word];

			keep->durable[word] &= ~bits;
			keep->intents -= hweight_long(bits);
			some |= bits;
		}
		spin_unlock_irq(&keep->lock);
		if (!some)
			continue;
		tidemark_meta_pack(tidemark_metaio_next(keep->io, block +
							keep->layout.intent_block),
				   block, TIDEMARK_META_INTENT_MAGIC,
				   keep->format, keep->durable, NULL,
				   keep->layout.extents);
		if (tidemark_metaio_full(keep->io))
			err = tidemark_metaio_write(keep->io, METAIO_FUA);
		if (err)
			return err;
	}
	return tidemark_metaio_write(keep->io, METAIO_FUA);
}

/*
 * Seldom, when what a checkpoint has taken is soon wanted back: each such
 * extent costs a writer a wait. Often, when it is not: each extent that stays
 * armed is sent as a whole after a crash.
 */
static void interval_adapt(struct tidemark_keep *keep, u64 taken)
{
	u64 regrets;

	spin_lock_irq(&keep->lock);
	regrets = keep->regrets;
	keep->regrets = 0;
	spin_unlock_irq(&keep->lock);
	if (regrets)
		keep->interval = min_t(unsigned long, keep->interval * 2,
				       KEEP_INTERVAL_MAX);
	else if (taken)
		keep->interval = max_t(unsigned long, keep->interval / 2,
				       KEEP_INTERVAL_MIN);
}

/**
 * tidemark_checkpoint_later() - there will be another one
 * @keep: called by the task
 */
void tidemark_checkpoint_later(struct tidemark_keep *keep)
{
	unsigned long least = min(READ_ONCE(checkpoint_seconds), 86400U) * HZ;

	tidemark_keep_later(&keep->tick, max(keep->interval, least));
}

/**
 * tidemark_checkpoint() - make one
 * @keep: called by the task
 *
 * Context: Process context, waits for I/O, holds no lock meanwhile.
 * Return: 0 or an errno of the device.
 */
int tidemark_checkpoint(struct tidemark_keep *keep)
{
	struct tidemark_disk *disk = keep->disk;
	u64 ticket, taken;
	bool all;
	int err;

	WRITE_ONCE(keep->tick_due, false);
	mutex_lock(&disk->lock);
	ticket = disk->to_save;
	all = keep->leave_all;
	keep->leave_all = false;
	mutex_unlock(&disk->lock);
	taken = leave_begin(keep, all);
	err = tidemark_checkpoint_blocks(keep, false);
	if (!err)
		err = blocks_flush(keep);
	if (!err && taken)
		err = leave_end(keep);
	/* A copy that lacks this intent shall be seen to be an older one. */
	if (!err && keep->grown)
		err = tidemark_super_write(keep);
	if (err)
		return err;
	interval_adapt(keep, taken);
	keep->checkpoints += taken != 0;
	WRITE_ONCE(disk->saved, ticket);
	wake_up_all(&disk->wait);
	if (READ_ONCE(keep->intents))
		tidemark_checkpoint_later(keep);
	return 0;
}

/**
 * tidemark_checkpoint_last() - make one of everything, whoever was recent
 * @keep: the task has ended, and nobody writes
 *
 * Return: 0 or an errno of the device.
 */
int tidemark_checkpoint_last(struct tidemark_keep *keep)
{
	leave_begin(keep, true);
	return tidemark_checkpoint_blocks(keep, true) ?: blocks_flush(keep) ?:
	       leave_end(keep);
}
