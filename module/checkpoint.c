// SPDX-License-Identifier: GPL-2.0-only
/*
 * The task that writes a disk's metadata: superblocks, checkpoints, everything
 * anew. One step at a time, each with its writes ended before the next begins;
 * between the batches of a long one it makes durable what writers wait for. The
 * order of the writes is that of <linux/tidemark-meta.h>.
 */
#include "keep.h"

#include <linux/bitmap.h>
#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/moduleparam.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include "bitmap.h"
#include "disk.h"
#include "event.h"

/* Between two checkpoints; between two tries when the device is broken. */
#define INTERVAL_MIN	(2 * HZ)
#define INTERVAL_MAX	(60 * HZ)

static unsigned int checkpoint_seconds;
module_param(checkpoint_seconds, uint, 0644);
MODULE_PARM_DESC(checkpoint_seconds,
		 "Shortest time between checkpoints of a metadata device, as far as it is not 2 to 60 s by itself");

/* Reasons that mean nothing to who reads the metadata later. */
#define REASON_VOLATILE	(TIDEMARK_REASON_META_ERROR | TIDEMARK_REASON_DROPPED)

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
	tidemark_keep_sooner(&keep->tick, INTERVAL_MIN);
}

/* -- superblocks ------------------------------------------------------------ */

static void super_disk(struct tidemark_keep *keep,
		       struct tidemark_meta_super *super)
{
	struct tidemark_disk *disk = keep->disk;
	u64 next = disk->marking->number + 1;

	lockdep_assert_held(&disk->lock);
	if (keep->state != TIDEMARK_META_CLEAN)
		next += KEEP_EPOCHS;
	export_uuid(super->uuid, &disk->uuid);
	super->next_epoch = cpu_to_le64(next);
	super->sealed_epoch = cpu_to_le64(disk->sealed_epoch);
	super->committed_epoch = cpu_to_le64(disk->committed_epoch);
	super->unreliable_epoch = cpu_to_le64(disk->unreliable_epoch);
	super->reason = cpu_to_le32(disk->reason & ~REASON_VOLATILE);
}

static void super_clean(struct tidemark_keep *keep,
			struct tidemark_meta_super *super)
{
	const struct tidemark_witness *witness = &keep->disk->witness;

	super->data.diskseq = cpu_to_le64(witness->data.diskseq);
	super->data.sectors = cpu_to_le64(witness->data.sectors);
	super->tracked.diskseq = cpu_to_le64(witness->tracked.diskseq);
	super->tracked.sectors = cpu_to_le64(witness->tracked.sectors);
	/*
	 * Process 1 takes devices apart when there is nobody else any more, at
	 * the end of a shutdown. Nothing is written by anybody after that.
	 */
	if (system_state > SYSTEM_RUNNING || is_global_init(current))
		memset(super->boot, 0, sizeof(super->boot));
}

/*
 * The newest superblock warns of something, and the one before it does not. The
 * sector of the newest may rot: nobody shall then believe the other one.
 */
static bool super_warns(struct tidemark_keep *keep, u32 state, u32 reason)
{
	bool warns = (reason & ~keep->said.reason &
		      TIDEMARK_REASON_UNRELIABLE) ||
		     (state == TIDEMARK_META_ALL &&
		      keep->said.state != TIDEMARK_META_ALL);

	keep->said.state = state;
	keep->said.reason = reason;
	return warns;
}

/* Write the next superblock, into the slot whose turn it is. */
static int super_write_slot(struct tidemark_keep *keep, bool *ret_warns)
{
	u64 seq = keep->seq + 1, writes, other, flushes, errors;
	struct tidemark_disk *disk = keep->disk;
	struct tidemark_meta_super *super;
	u64 limit, committed;
	int err;

	keep->super_due = false;
	super = tidemark_metaio_next(keep->super_io, seq % 2);
	memset(super, 0, TIDEMARK_META_BLOCK);
	tidemark_metaio_counts(keep->io, &writes, &flushes, &errors);
	tidemark_metaio_counts(keep->super_io, &other, &flushes, &errors);
	super->seq = cpu_to_le64(seq);
	super->time = cpu_to_le64(ktime_get_real_seconds());
	super->writes = cpu_to_le64(le64_to_cpu(keep->found.writes) + writes +
				    other + 1);
	memcpy(super->format, keep->format, sizeof(super->format));
	memcpy(super->boot, keep->boot, sizeof(super->boot));
	memcpy(super->identity, keep->identity, sizeof(super->identity));
	mutex_lock(&disk->lock);
	/* Broken meanwhile, by tidemark_intent_patience(): before the new UUID. */
	if (READ_ONCE(keep->mode) == KEEP_BROKEN)
		keep->state = TIDEMARK_META_ALL;
	super->state = cpu_to_le32(keep->state);
	super_disk(keep, super);
	if (keep->state == TIDEMARK_META_CLEAN)
		super_clean(keep, super);
	limit = le64_to_cpu(super->next_epoch);
	committed = disk->committed_epoch;
	mutex_unlock(&disk->lock);
	tidemark_meta_super_seal(super, &keep->layout);

	err = tidemark_metaio_write(keep->super_io, METAIO_ORDERED);
	if (err)
		return err;
	keep->seq = seq;
	keep->grown = false;
	mutex_lock(&disk->lock);
	keep->committed = committed;
	disk->meta_sequence = seq;
	if (READ_ONCE(keep->mode) != KEEP_BROKEN)
		WRITE_ONCE(disk->epoch_limit, limit);
	wake_up_all(&disk->wait);
	mutex_unlock(&disk->lock);
	*ret_warns = super_warns(keep, le32_to_cpu(super->state),
				 le32_to_cpu(super->reason));
	return 0;
}

/* Write the next superblock; one that warns into both slots. */
static int super_write(struct tidemark_keep *keep)
{
	bool warns = false;
	int err = super_write_slot(keep, &warns);

	return err || !warns ? err : super_write_slot(keep, &warns);
}

/**
 * tidemark_keep_super() - what a superblock says has changed
 * @disk: locked
 */
void tidemark_keep_super(struct tidemark_disk *disk)
{
	lockdep_assert_held(&disk->lock);
	if (!disk->keep)
		return;
	WRITE_ONCE(disk->keep->super_due, true);
	tidemark_keep_kick(disk->keep);
}

/**
 * tidemark_keep_epoch_ready() - may the current epoch end?
 * @disk: the caller holds a reference, and perhaps the lock
 *
 * Its successor's number must be below what a superblock says, or it could be
 * given out twice. Otherwise a superblock is on its way, and the disk's wait
 * queue is woken.
 */
bool tidemark_keep_epoch_ready(struct tidemark_disk *disk)
{
	return disk->marking->number + 1 < READ_ONCE(disk->epoch_limit);
}

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
 * Put a block into the batch, if the device does not hold it already. No block
 * forgets what a commit has ended before a superblock tells of that commit.
 */
static int block_pack(struct tidemark_keep *keep, u64 block)
{
	struct tidemark_disk *disk = keep->disk;
	void *memory;
	int err;
	u32 sum;

	mutex_lock(&disk->lock);
	while (keep->committed != disk->committed_epoch) {
		mutex_unlock(&disk->lock);
		err = super_write(keep);
		if (err)
			return err;
		mutex_lock(&disk->lock);
	}
	memory = tidemark_metaio_next(keep->io,
				      keep->layout.bitmap_block + block);
	sum = tidemark_meta_pack(memory, block, TIDEMARK_META_BITMAP_MAGIC,
				 keep->format, disk->marking->bits,
				 disk->sealed ? disk->sealed_bits : NULL,
				 keep->layout.granules);
	clear_bit(block, keep->stale);
	mutex_unlock(&disk->lock);
	if (sum == keep->sums[block])
		tidemark_metaio_drop(keep->io);
	keep->sums[block] = sum;
	return 0;
}

/* Write the blocks that are stale or, all or those that extents leave. */
static int blocks_write(struct tidemark_keep *keep, bool all)
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
	tidemark_keep_later(&disk->keep->tick, INTERVAL_MIN);
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

/*
 * Take extents out of the armed ones: those not written to since the last
 * checkpoint. A writer that has seen its extent armed has marked before, and
 * blocks_write() reads after, see tidemark_intent_armed().
 */
static u64 leave_begin(struct tidemark_keep *keep, bool all)
{
	unsigned long word, words = BITS_TO_LONGS(keep->layout.extents);
	u64 taken = 0;

	spin_lock_irq(&keep->lock);
	for (word = 0; word < words; word++) {
		unsigned long armed = keep->armed[word];
		unsigned long recent = xchg(&keep->recent[word], 0);
		unsigned long bits = all ? armed : armed & ~recent;

		keep->leaving[word] = bits;
		WRITE_ONCE(keep->armed[word], armed & ~bits);
		taken += hweight_long(bits);
	}
	spin_unlock_irq(&keep->lock);
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
				       INTERVAL_MAX);
	else if (taken)
		keep->interval = max_t(unsigned long, keep->interval / 2,
				       INTERVAL_MIN);
}

static void tick_later(struct tidemark_keep *keep)
{
	unsigned long least = min(READ_ONCE(checkpoint_seconds), 86400U) * HZ;

	tidemark_keep_later(&keep->tick, max(keep->interval, least));
}

static int checkpoint(struct tidemark_keep *keep)
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
	err = blocks_write(keep, false);
	if (!err)
		err = blocks_flush(keep);
	if (!err && taken)
		err = leave_end(keep);
	/* A copy that lacks this intent shall be seen to be an older one. */
	if (!err && keep->grown)
		err = super_write(keep);
	if (err)
		return err;
	interval_adapt(keep, taken);
	keep->checkpoints += taken != 0;
	WRITE_ONCE(disk->saved, ticket);
	wake_up_all(&disk->wait);
	if (READ_ONCE(keep->intents))
		tick_later(keep);
	return 0;
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
	err = blocks_write(keep, true);
	if (err)
		return err;
	keep->state = TIDEMARK_META_ACTIVE;
	err = super_write(keep);
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
	if (super_write(keep)) {
		keep->interval = min_t(unsigned long, keep->interval * 2,
				       INTERVAL_MAX);
		tidemark_keep_later(&keep->tick, keep->interval);
		return;
	}
	keep->interval = INTERVAL_MIN;
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

	if (mode == KEEP_IDLE)
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
		err = super_write(keep) ?: anew(keep, &why);
	else if (READ_ONCE(keep->super_due))
		err = super_write(keep);
	else if (READ_ONCE(keep->tick_due) ||
		 READ_ONCE(disk->saved) != READ_ONCE(disk->to_save))
		err = checkpoint(keep);
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
	if (READ_ONCE(keep->mode) == KEEP_ON && READ_ONCE(keep->intents))
		tick_later(keep);
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
		err = super_write(keep) ?: anew(keep, &why);
	if (err)
		return err;
	leave_begin(keep, true);
	err = blocks_write(keep, true);
	if (!err)
		err = blocks_flush(keep);
	if (!err)
		err = leave_end(keep);
	if (err)
		return err;
	keep->state = TIDEMARK_META_CLEAN;
	return super_write(keep);
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
	return super_write(keep);
}
