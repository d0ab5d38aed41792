// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sealed epoch of a disk, from the seal to its commit or fold.
 *
 * What is sealed is two bitmaps: sealed_bits, everything that must reach the
 * replica, and the bitmap of the epoch that the newest seal ended, in which
 * RELEASE clears what has been read: the owed granules. The second one is not
 * copied for that: it is final at the swap, and not needed for anything else
 * until the next seal takes it for the epoch to come.
 *
 * Counts say when a bitmap is empty, exactly: a bitmap whose count is 0 is
 * neither scanned nor cleared.
 */
#include "disk.h"

#include <linux/blkdev.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/sched/signal.h>

#include "bitmap.h"
#include "event.h"
#include "gate.h"
#include "granule.h"
#include "keep.h"

/*
 * Taken before the locks of the disks of a seal, in ascending order of their
 * numbers: no other path holds two.
 */
static DEFINE_MUTEX(seal_lock);

/* Nothing is owed any more. */
static void owed_drop(struct tidemark_disk *disk)
{
	struct tidemark_epoch *owed = disk->owed;

	tidemark_preserve_end(disk);
	/*
	 * Writers may test for a tear meanwhile. What they find is told of an
	 * epoch that has just ended, and reset when this one is sealed again.
	 */
	if (atomic_long_xchg(&owed->marked, 0))
		tidemark_bitmap_zero(owed->bits, disk->granules);
}

static void sealed_drop(struct tidemark_disk *disk)
{
	if (disk->sealed)
		tidemark_bitmap_zero(disk->sealed_bits, disk->granules);
	disk->sealed = 0;
	WRITE_ONCE(disk->sealed_epoch, 0);
}

static void mark_from(struct tidemark_disk *disk, const unsigned long *bits)
{
	u64 added = tidemark_bitmap_or(disk->marking->bits, bits,
				       disk->granules);

	if (added)
		tidemark_mark_added(disk, disk->marking, added);
}

/**
 * tidemark_seal_fold_locked() - give the sealed granules back to the current
 * @disk: locked
 *
 * Also of an epoch that has not drained: the next seal waits for that drain
 * before it ends the epoch that the granules are in now, so they are read late
 * enough all the same.
 *
 * Context: Process context, may sleep.
 */
void tidemark_seal_fold_locked(struct tidemark_disk *disk)
{
	u64 epoch = disk->sealed_epoch;
	u64 sealed = disk->sealed;

	lockdep_assert_held(&disk->lock);
	if (!epoch)
		return;
	if (sealed)
		mark_from(disk, disk->sealed_bits);
	owed_drop(disk);
	sealed_drop(disk);
	tidemark_disk_say(disk, "epoch %llu folded", epoch);
	tidemark_event_send(disk, TIDEMARK_EVENT_FOLDED, epoch, sealed);
	wake_up_all(&disk->wait);
}

/* Everything that takes time, or memory traffic, before writers are kept out. */
static void seal_prepare(struct tidemark_disk *disk, u32 flags)
{
	tidemark_witness_check(disk);
	if (!(flags & TIDEMARK_SEAL_EXTEND))
		tidemark_seal_fold_locked(disk);
	/*
	 * What an extended epoch owes still must be read, now at the moment of
	 * the new seal: without this, a write to it would no longer tear.
	 */
	if (atomic_long_read(&disk->owed->marked))
		mark_from(disk, disk->owed->bits);
	owed_drop(disk);
	tidemark_epoch_begin(disk->owed, disk->marking->number + 1);
	tidemark_epoch_ending(disk->marking);
}

/* The end of an epoch: the gate is closed. */
static void seal_swap(struct tidemark_disk *disk)
{
	struct tidemark_epoch *ended = disk->marking;

	disk->marking = disk->owed;
	disk->owed = ended;
	atomic_long_set(&ended->torn, 0);
	clear_bit(EPOCH_TORN_TOLD, &ended->flags);
	clear_bit(EPOCH_TORN_DUE, &ended->flags);
	tidemark_preserve_begin(disk, ended);
}

/* Writers are in the new epoch; what they left in the old one is final. */
static void seal_finish(struct tidemark_seal_item *item)
{
	struct tidemark_disk *disk = item->disk;
	struct tidemark_epoch *owed = disk->owed;

	tidemark_epoch_end(owed);
	item->epoch = owed->number;
	item->owed = atomic_long_read(&owed->marked);
	if (item->owed)
		disk->sealed += tidemark_bitmap_or(disk->sealed_bits,
						   owed->bits, disk->granules);
	WRITE_ONCE(disk->sealed_epoch, owed->number);
	/* In time, so that no seal has to wait. */
	if (owed->number + KEEP_EPOCHS / 2 >= disk->epoch_limit)
		tidemark_keep_super(disk);
	tidemark_disk_say(disk, "epoch %llu sealed", owed->number);
	tidemark_event_send(disk, TIDEMARK_EVENT_SEALED, item->epoch,
			    item->owed);
	wake_up_all(&disk->wait);
}

/* Has the epoch before drained, and may the current one end? */
static bool seal_ready(struct tidemark_disk *disk)
{
	return tidemark_epoch_drained(READ_ONCE(disk->owed)) &&
	       tidemark_keep_epoch_ready(disk);
}

static void seal_unlock(struct tidemark_seal_item *items, u32 count)
{
	while (count--)
		mutex_unlock(&items[count].disk->lock);
	mutex_unlock(&seal_lock);
}

/*
 * Locks of one class under a lock of their own: to lockdep they are one entry
 * with a count of 12 bits, so there may be more of them than it holds entries
 * (48), and TIDEMARK_SEAL_MAX must stay below that count's end.
 */
static void seal_lock_all(struct tidemark_seal_item *items, u32 count)
{
	u32 i;

	BUILD_BUG_ON(TIDEMARK_SEAL_MAX >= 1 << 12);
	mutex_lock(&seal_lock);
	for (i = 0; i < count; i++)
		mutex_lock_nest_lock(&items[i].disk->lock, &seal_lock);
}

/*
 * Lock all disks, each with no write in flight from before the seal before, and
 * with a number for the epoch to come that was never given out.
 * Returns -EAGAIN and the disk to wait for, with its sealed epoch, when there
 * is one; nothing is locked then.
 */
static int seal_trylock(struct tidemark_seal_item *items, u32 count,
			struct tidemark_disk **ret_busy, u64 *ret_epoch)
{
	u32 i;

	seal_lock_all(items, count);
	for (i = 0; i < count; i++) {
		struct tidemark_disk *disk = items[i].disk;
		bool dead = disk->dead;

		if (!dead && seal_ready(disk))
			continue;
		if (!tidemark_keep_epoch_ready(disk))
			tidemark_keep_super(disk);
		*ret_busy = disk;
		*ret_epoch = disk->sealed_epoch;
		seal_unlock(items, count);
		return dead ? -ENODEV : -EAGAIN;
	}
	return 0;
}

/*
 * Does waiting for the drain of an epoch, or until the next can be sealed, make
 * no sense any more?
 */
static bool drain_over(struct tidemark_disk *disk, u64 epoch, bool seal)
{
	if (READ_ONCE(disk->dead) || READ_ONCE(disk->sealed_epoch) != epoch)
		return true;
	return seal ? seal_ready(disk) :
		      tidemark_epoch_drained(READ_ONCE(disk->owed));
}

/*
 * Wait for a drain, until @end in jiffies at most, while @epoch is the sealed
 * one (0: none). The caller looks again what has become of the disk.
 */
static int drain_wait(struct tidemark_disk *disk, u64 epoch, bool seal,
		      unsigned long end)
{
	unsigned long now = jiffies;
	long left = time_before(now, end) ? (long)(end - now) : 0;

	left = wait_event_interruptible_timeout(disk->wait,
						drain_over(disk, epoch, seal),
						left);
	if (left < 0)
		return -EINTR;
	return left ? 0 : -ETIMEDOUT;
}

/**
 * tidemark_seal() - end the epoch of a set of disks, at one instant
 * @items: the disks, in ascending order of their numbers, none twice
 * @count: how many
 * @flags: enum tidemark_seal_flag
 * @timeout_ms: how long to wait for what older seals have left in flight
 * @ret_excluded_ns: for how long writers were kept out
 *
 * All that can fail comes before the gate is closed, for all disks: then either
 * all are sealed or none, and none has changed. While it is closed only
 * pointers change.
 *
 * The set is closed under dependency. A write that its issuer submits because
 * another one has completed, or simply later, on whatever disk of the set, has
 * entered the gate after the other one did. If the later one is in an ended
 * epoch then it has passed before the gate was closed, hence the earlier one
 * too.
 *
 * Context: Process context. Holds no lock while it waits for a drain.
 * Return: 0, -ENODEV, -ETIMEDOUT, -EINTR.
 */
int tidemark_seal(struct tidemark_seal_item *items, u32 count, u32 flags,
		  u32 timeout_ms, u64 *ret_excluded_ns)
{
	unsigned long end = jiffies + msecs_to_jiffies(timeout_ms);
	struct tidemark_disk *busy;
	u64 epoch;
	int err;
	u32 i;

	for (;;) {
		err = seal_trylock(items, count, &busy, &epoch);
		if (err != -EAGAIN)
			break;
		err = drain_wait(busy, epoch, true, end);
		if (err)
			break;
	}
	if (err)
		return err;
	for (i = 0; i < count; i++)
		seal_prepare(items[i].disk, flags);
	/* One grace period for all of them. */
	for (i = 0; i < count; i++)
		tidemark_epoch_counted(items[i].disk->marking);
	tidemark_gate_close();
	for (i = 0; i < count; i++)
		seal_swap(items[i].disk);
	*ret_excluded_ns = tidemark_gate_open();
	for (i = 0; i < count; i++)
		seal_finish(&items[i]);
	seal_unlock(items, count);
	return 0;
}

/*
 * Lock a disk whose sealed epoch is the one named; with @drained one that may
 * be read.
 */
static int seal_lock_epoch(struct tidemark_disk *disk, u64 epoch, bool drained)
{
	int err = tidemark_disk_lock(disk);

	if (err)
		return err;
	if (!disk->sealed_epoch)
		err = -ENODATA;
	else if (disk->sealed_epoch != epoch)
		err = -ESTALE;
	else if (drained && !tidemark_epoch_drained(disk->owed))
		err = -EAGAIN;
	if (err)
		mutex_unlock(&disk->lock);
	return err;
}

/**
 * tidemark_seal_wait() - until the sealed epoch may be read
 * @disk: the caller holds a reference
 * @epoch: the sealed epoch
 * @timeout_ms: how long
 *
 * Context: Process context. Holds no lock while it waits.
 * Return: 0, -ENODEV, -ENODATA, -ESTALE, -ETIMEDOUT, -EINTR.
 */
int tidemark_seal_wait(struct tidemark_disk *disk, u64 epoch, u32 timeout_ms)
{
	unsigned long end = jiffies + msecs_to_jiffies(timeout_ms);
	int err;

	for (;;) {
		err = seal_lock_epoch(disk, epoch, true);
		if (!err)
			mutex_unlock(&disk->lock);
		if (err != -EAGAIN)
			return err;
		err = drain_wait(disk, epoch, false, end);
		if (err)
			return err;
	}
}

/*
 * Flush the data device. Under the disk lock its device is that of the instance
 * that was activated last; that instance does not go while this is held
 * (tidemark_disk_deactivate()).
 */
static int seal_flush(struct tidemark_disk *disk, u64 epoch)
{
	struct block_device *bdev;
	int err;

	down_read(&disk->flushing);
	err = seal_lock_epoch(disk, epoch, true);
	if (!err) {
		bdev = disk->where.data_bdev;
		mutex_unlock(&disk->lock);
		err = blkdev_issue_flush(bdev);
	}
	up_read(&disk->flushing);
	return err;
}

/*
 * Lock a disk whose sealed epoch is the one named, drained, to forget bits of
 * it. With metadata a flush of the data device has been begun after the drain,
 * and has ended: what the replica has got may have been read from that device's
 * cache, and a power cut would take it away from the disk alone, with no bit
 * left to tell.
 *
 * What has become of the disk meanwhile is looked at again. The epoch is still
 * the same one, or this fails; if the data device was exchanged the epoch has
 * been folded.
 */
static int seal_lock_durable(struct tidemark_disk *disk, u64 epoch)
{
	bool flushed = false;
	int err;

	for (;;) {
		err = seal_lock_epoch(disk, epoch, true);
		if (err || flushed || !disk->keep)
			return err;
		mutex_unlock(&disk->lock);
		err = seal_flush(disk, epoch);
		if (err)
			return err;
		flushed = true;
	}
}

/* Clear runs in a bitmap with @left bits set; returns how many were cleared. */
static u64 seal_clear(unsigned long *bits, u64 left,
		      const struct tidemark_run *runs, u32 count)
{
	u64 removed = 0;
	u32 i;

	/* Nothing left to clear: many long runs cost no more than one. */
	for (i = 0; i < count && removed < left; i++)
		removed += tidemark_bitmap_clear(bits, runs[i].first,
						 runs[i].count);
	return removed;
}

/* Unlock a disk again if a run leaves it. */
static int seal_check_runs(struct tidemark_disk *disk,
			   const struct tidemark_run *runs, u32 count)
{
	u32 i;

	lockdep_assert_held(&disk->lock);
	for (i = 0; i < count; i++) {
		if (granule_run_valid(runs[i].first, runs[i].count,
				      disk->granules))
			continue;
		mutex_unlock(&disk->lock);
		return -EINVAL;
	}
	return 0;
}

/**
 * tidemark_seal_release() - granules have been read
 * @disk: the caller holds a reference
 * @epoch: the sealed epoch, drained
 * @runs: granules, not checked yet
 * @count: of @runs
 *
 * The caller's reads have ended before; clearing is fully ordered after them.
 * So a write that finds its granule cleared comes after the read, and one that
 * does not find it cleared says that it tears.
 *
 * Return: 0, -ENODEV, -ENODATA, -ESTALE, -EAGAIN, -EINVAL.
 */
int tidemark_seal_release(struct tidemark_disk *disk, u64 epoch,
			  const struct tidemark_run *runs, u32 count)
{
	int err = seal_lock_epoch(disk, epoch, true) ?:
		  seal_check_runs(disk, runs, count);
	struct tidemark_epoch *owed;

	if (err)
		return err;
	owed = disk->owed;
	atomic_long_sub(seal_clear(owed->bits, atomic_long_read(&owed->marked),
				   runs, count), &owed->marked);
	tidemark_preserve_release(disk, runs, count);
	mutex_unlock(&disk->lock);
	return 0;
}

/**
 * tidemark_seal_settle() - granules are stored durably, the epoch is not
 * @disk: the caller holds a reference
 * @epoch: the sealed epoch, drained
 * @runs: granules, not checked yet
 * @count: of @runs
 *
 * Context: Process context. The disk is not locked while it flushes.
 * Return: 0, -ENODEV, -ENODATA, -ESTALE, -EAGAIN, -EINVAL, or an errno of the
 * data device: nothing is settled.
 */
int tidemark_seal_settle(struct tidemark_disk *disk, u64 epoch,
			 const struct tidemark_run *runs, u32 count)
{
	int err = seal_lock_durable(disk, epoch) ?:
		  seal_check_runs(disk, runs, count);

	if (err)
		return err;
	disk->sealed -= seal_clear(disk->sealed_bits, disk->sealed, runs,
				   count);
	tidemark_keep_forget(disk);
	mutex_unlock(&disk->lock);
	return 0;
}

/* The replica has everything that was marked when the reason arose. */
static void commit_reliable(struct tidemark_disk *disk, u64 epoch)
{
	if (!disk->unreliable_epoch || epoch < disk->unreliable_epoch)
		return;
	disk->unreliable_epoch = 0;
	disk->reason &= ~TIDEMARK_REASON_UNRELIABLE;
	tidemark_disk_say(disk, "reliable again since epoch %llu", epoch);
	if (!(disk->reason & TIDEMARK_REASON_META_ERROR))
		tidemark_event_send(disk, TIDEMARK_EVENT_RELIABLE, epoch, 0);
}

/**
 * tidemark_seal_commit() - the replica has the sealed epoch durably
 * @disk: the caller holds a reference
 * @epoch: the sealed epoch, drained
 *
 * Context: Process context. The disk is not locked while it flushes, nor while a
 * superblock is written that must come first.
 * Return: 0, -ENODEV, -ENODATA, -ESTALE, -EAGAIN, -EINTR: a fatal signal, or an
 * errno of the data device: the epoch is still sealed.
 */
int tidemark_seal_commit(struct tidemark_disk *disk, u64 epoch)
{
	u64 sealed;
	int err;

	for (;;) {
		err = seal_lock_durable(disk, epoch);
		if (err)
			return err;
		if (!disk->commit_held)
			break;
		mutex_unlock(&disk->lock);
		if (wait_event_killable(disk->wait,
					!READ_ONCE(disk->commit_held)))
			return -EINTR;
	}
	tidemark_witness_check(disk);
	sealed = disk->sealed;
	owed_drop(disk);
	sealed_drop(disk);
	disk->committed_epoch = epoch;
	tidemark_disk_say(disk, "epoch %llu committed", epoch);
	tidemark_event_send(disk, TIDEMARK_EVENT_COMMITTED, epoch, sealed);
	commit_reliable(disk, epoch);
	tidemark_keep_super(disk);
	tidemark_keep_forget(disk);
	wake_up_all(&disk->wait);
	mutex_unlock(&disk->lock);
	return 0;
}

/**
 * tidemark_seal_fold() - the sealed granules are changed ones again
 * @disk: the caller holds a reference
 * @epoch: the sealed epoch
 *
 * Return: 0, -ENODEV, -ENODATA, -ESTALE.
 */
int tidemark_seal_fold(struct tidemark_disk *disk, u64 epoch)
{
	int err = seal_lock_epoch(disk, epoch, false);

	if (err)
		return err;
	tidemark_seal_fold_locked(disk);
	mutex_unlock(&disk->lock);
	return 0;
}
