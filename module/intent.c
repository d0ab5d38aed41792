// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intent: a write to an extent is passed on only when the metadata device says
 * durably that there may be one. See keep.h.
 *
 * Who may change what: @armed is changed with the lock held; extents come in
 * when their bit is durable, by the task or by a writer that finds it so, and go
 * out by a checkpoint. @durable, @landing and @leaving are changed by the task,
 * with the lock held, so it may read them without, and writers with it.
 */
#include "keep.h"

#include <linux/bitmap.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>

#include "bitmap.h"
#include "disk.h"
#include "granule.h"

/* How long the device may take for a step that writes wait for. */
#define KEEP_PATIENCE	(10 * HZ)

/* The extents that a range touches; the range was checked. */
static void extents_of(const struct tidemark_keep *keep, u64 sector,
		       u64 sectors, u64 *ret_first, u64 *ret_count)
{
	if (granule_range(sector, sectors, keep->layout.sectors,
			  granule_shift(TIDEMARK_META_EXTENT), ret_first,
			  ret_count)) {
		*ret_first = 0;
		*ret_count = 0;
	}
}

/**
 * tidemark_intent_armed() - may a write be passed on at once?
 * @keep: of the disk
 * @sector: first sector that it may change
 * @sectors: how many
 *
 * The caller has marked the range in the current bitmap. The barrier pairs with
 * that of a checkpoint, between taking extents from @armed and reading the
 * bitmap: either the writer sees that its extent was taken, or the checkpoint
 * sees what the writer has marked (Documentation/locking.rst).
 *
 * Context: Inside of the gate, does not sleep.
 */
bool tidemark_intent_armed(struct tidemark_keep *keep, u64 sector, u64 sectors)
{
	u64 first, count;

	smp_mb();	/* see above */
	if (READ_ONCE(keep->mode) != KEEP_ON)
		return true;
	extents_of(keep, sector, sectors, &first, &count);
	for (; count; count--, first++) {
		if (!test_bit(first, keep->armed))
			return false;
		if (!test_bit(first, keep->recent))
			set_bit(first, keep->recent);
	}
	return true;
}

/* One extent of a write that is not armed; returns true when it must wait. */
static bool intent_want(struct tidemark_keep *keep, u64 extent)
{
	set_bit(extent, keep->recent);
	if (test_bit(extent, keep->armed))
		return false;
	if (test_bit(extent, keep->durable)) {
		/* A checkpoint that has taken it has not cleared its bit yet. */
		set_bit(extent, keep->armed);
		return false;
	}
	if (test_bit(extent, keep->landing))
		return true;
	if (test_bit(extent, keep->leaving))
		keep->regrets++;
	set_bit(extent, keep->wanted);
	set_bit(extent / TIDEMARK_META_BLOCK_BITS, keep->wanted_blocks);
	return true;
}

/**
 * tidemark_intent_hold() - a write to extents that are not armed
 * @disk: the disk
 * @write: with its sectors, and all that the preserve side wants, filled in
 * @nowait: it cannot be held
 *
 * Context: Any.
 * Return: 0: they are armed by now; 1: tidemark_write.go will be called for it,
 * when whatever else it must wait for is over too; -EAGAIN: @nowait is set and
 * it would be held.
 */
int tidemark_intent_hold(struct tidemark_disk *disk,
			 struct tidemark_write *write, bool nowait)
{
	struct tidemark_keep *keep = disk->keep;
	bool wait = false;
	unsigned long irq;
	u64 first, count;

	spin_lock_irqsave(&keep->lock, irq);
	if (keep->mode == KEEP_ON) {
		extents_of(keep, write->sector, write->sectors, &first, &count);
		for (; count; count--, first++)
			wait |= intent_want(keep, first);
	}
	if (wait && !nowait) {
		if (list_empty(&keep->held) && list_empty(&keep->going)) {
			keep->held_since = jiffies;
			tidemark_keep_watch(keep, KEEP_PATIENCE);
		}
		list_add_tail(&write->list, &keep->held);
		keep->holds++;
	}
	/* With the lock: after it, a held write may have gone, and the disk. */
	if (wait)
		tidemark_keep_kick(keep);
	spin_unlock_irqrestore(&keep->lock, irq);
	if (!wait)
		return 0;
	return nowait ? -EAGAIN : 1;
}

/**
 * tidemark_intent_release() - held writes go on
 * @keep: of the disk
 * @writes: in no other list; empty after
 *
 * Context: Process context, may sleep.
 */
void tidemark_intent_release(struct tidemark_keep *keep,
			     struct list_head *writes)
{
	while (!list_empty(writes)) {
		struct tidemark_write *write =
			list_first_entry(writes, struct tidemark_write, list);

		list_del_init(&write->list);
		if (write->owed &&
		    tidemark_preserve_write(keep->disk, write, false))
			continue;
		write->go(write);
	}
}

/* What is wanted shall land: in words, for each block that has some. */
static void intent_take(struct tidemark_keep *keep)
{
	unsigned long block;

	lockdep_assert_held(&keep->lock);
	for_each_set_bit(block, keep->wanted_blocks,
			 keep->layout.intent_blocks) {
		u64 first = block * TIDEMARK_META_BLOCK_BITS;
		u64 bits = min_t(u64, TIDEMARK_META_BLOCK_BITS,
				 keep->layout.extents - first);

		bitmap_copy(keep->landing + BIT_WORD(first),
			    keep->wanted + BIT_WORD(first), bits);
		bitmap_zero(keep->wanted + BIT_WORD(first), bits);
	}
	list_splice_tail_init(&keep->held, &keep->going);
}

static int intent_write(struct tidemark_keep *keep, const unsigned long *blocks)
{
	const struct tidemark_meta_layout *layout = &keep->layout;
	unsigned long block;
	int err;

	for_each_set_bit(block, blocks, layout->intent_blocks) {
		void *memory = tidemark_metaio_next(keep->io, block +
						    layout->intent_block);

		tidemark_meta_pack(memory, block, TIDEMARK_META_INTENT_MAGIC,
				   keep->format, keep->durable, keep->landing,
				   layout->extents);
		if (!tidemark_metaio_full(keep->io))
			continue;
		err = tidemark_metaio_write(keep->io, METAIO_FUA);
		if (err)
			return err;
	}
	return tidemark_metaio_write(keep->io, METAIO_FUA);
}

/* It has landed: its writers need not wait, as long as nobody takes it. */
static void intent_landed(struct tidemark_keep *keep, unsigned long block)
{
	u64 first = block * TIDEMARK_META_BLOCK_BITS;
	unsigned long word = BIT_WORD(first);
	unsigned long end = BIT_WORD(min_t(u64, first + TIDEMARK_META_BLOCK_BITS,
					   keep->layout.extents) - 1);

	lockdep_assert_held(&keep->lock);
	for (; word <= end; word++) {
		unsigned long bits = keep->landing[word];

		if (!bits)
			continue;
		keep->intents += hweight_long(bits & ~keep->durable[word]);
		keep->durable[word] |= bits;
		WRITE_ONCE(keep->armed[word], keep->armed[word] | bits);
		keep->landing[word] = 0;
	}
}

/**
 * tidemark_intent_step() - make durable what is wanted
 * @keep: mode KEEP_ON; called by the task
 *
 * Context: Process context, waits for I/O, holds no lock meanwhile.
 * Return: true when there was something to do.
 */
bool tidemark_intent_step(struct tidemark_keep *keep)
{
	unsigned long *blocks = keep->wanted_blocks + BITS_TO_LONGS(keep->layout.intent_blocks);
	unsigned long block;
	LIST_HEAD(writes);
	int err;

	spin_lock_irq(&keep->lock);
	if (keep->mode != KEEP_ON ||
	    (list_empty(&keep->held) &&
	     bitmap_empty(keep->wanted_blocks, keep->layout.intent_blocks))) {
		spin_unlock_irq(&keep->lock);
		return false;
	}
	intent_take(keep);
	bitmap_copy(blocks, keep->wanted_blocks, keep->layout.intent_blocks);
	bitmap_zero(keep->wanted_blocks, keep->layout.intent_blocks);
	spin_unlock_irq(&keep->lock);

	err = intent_write(keep, blocks);
	if (err) {
		tidemark_keep_break(keep, "cannot be written");
		return true;
	}
	keep->grown = true;
	spin_lock_irq(&keep->lock);
	if (keep->mode == KEEP_ON) {
		for_each_set_bit(block, blocks, keep->layout.intent_blocks)
			intent_landed(keep, block);
		list_splice_init(&keep->going, &writes);
		keep->held_since = jiffies;
	}
	spin_unlock_irq(&keep->lock);
	tidemark_intent_release(keep, &writes);
	return true;
}

/**
 * tidemark_intent_patience() - have writes been held for too long?
 * @work: tidemark_keep.patience
 */
void tidemark_intent_patience(struct work_struct *work)
{
	struct tidemark_keep *keep = container_of(to_delayed_work(work),
						  struct tidemark_keep,
						  patience);
	unsigned long end;
	bool held, late;

	spin_lock_irq(&keep->lock);
	held = !list_empty(&keep->held) || !list_empty(&keep->going);
	end = keep->held_since + KEEP_PATIENCE;
	late = time_after_eq(jiffies, end);
	if (held && !late)
		tidemark_keep_watch(keep, end - jiffies);
	spin_unlock_irq(&keep->lock);
	if (held && late)
		tidemark_keep_break(keep, "does not answer");
}
