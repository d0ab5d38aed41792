// SPDX-License-Identifier: GPL-2.0-only
/*
 * Marking: what a write does before it is passed down, and those who mark for
 * it. tidemark_write_begin() is the hot path of the module: a gate, a reference,
 * one look at a word of each of two bitmaps. It never sleeps for longer than a
 * seal swaps pointers, and never allocates.
 */
#include "disk.h"

#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/percpu.h>
#include <linux/sched.h>

#include "bitmap.h"
#include "event.h"
#include "gate.h"
#include "granule.h"
#include "keep.h"

/* Those who mark large ranges give way to others after so many granules. */
#define MARK_STEP	((u64)1 << 20)

/* Ask for an event, once an epoch; the work item sends it. */
static void mark_tell(struct tidemark_disk *disk, struct tidemark_epoch *epoch,
		      int due, int told)
{
	if (test_bit(told, &epoch->flags) ||
	    test_and_set_bit(told, &epoch->flags))
		return;
	set_bit(due, &epoch->flags);
	schedule_work(&disk->events);
}

/**
 * tidemark_mark_torn() - a write meets a granule that is owed, and goes on
 * @disk: the disk
 * @owed: the epoch, which cannot end meanwhile
 *
 * What a reader gets from there is no longer the moment of the seal. The
 * increment is fully ordered, and comes
 * before the write is passed down: whoever may have read the new bytes, and
 * asks after it, is told.
 *
 * Context: Any. The caller is inside the gate, or holds the preserve lock.
 */
void tidemark_mark_torn(struct tidemark_disk *disk, struct tidemark_epoch *owed)
{
	atomic_long_inc_return(&owed->torn);
	mark_tell(disk, owed, EPOCH_TORN_DUE, EPOCH_TORN_TOLD);
}

/* A write meets an owed granule: does it tear, or may it be held for a view? */
static int mark_owed(struct tidemark_disk *disk, struct tidemark_epoch *owed,
		     u64 first, u64 count, struct tidemark_write *write)
{
	if (!READ_ONCE(disk->preserve.views) || atomic_long_read(&owed->torn)) {
		tidemark_mark_torn(disk, owed);
		return 0;
	}
	write->owed = owed->number;
	write->next = first;
	write->end = first + count;
	return TIDEMARK_WRITE_OWED;
}

static void mark_stats(struct tidemark_disk *disk, u64 sectors, bool discard)
{
	this_cpu_inc(disk->stats->writes);
	if (discard)
		this_cpu_add(disk->stats->discard_sectors, sectors);
	else
		this_cpu_add(disk->stats->write_sectors, sectors);
}

/**
 * tidemark_write_begin() - a write is about to be passed down
 * @disk: the disk
 * @sector: first sector that it may change
 * @sectors: how many
 * @discard: it discards them
 * @nowait: do not sleep
 * @write: its epoch is to be given to tidemark_epoch_put() when it has ended
 *
 * Marking, taking the reference and testing for a tear happen in one gate
 * section, see struct tidemark_epoch. A tear is tested for against the epoch
 * that the newest seal ended, drained or not: its reader has not been there.
 *
 * Context: Process context; with @nowait any.
 * Return: 0; TIDEMARK_WRITE_OWED, TIDEMARK_WRITE_INTENT or both:
 * tidemark_write_hold() is to be asked first; -EAGAIN: @nowait is set and a seal
 * is going on; -EINVAL: the range leaves the disk. The write must then not be
 * passed down.
 */
int tidemark_write_begin(struct tidemark_disk *disk, u64 sector, u64 sectors,
			 bool discard, bool nowait,
			 struct tidemark_write *write)
{
	struct tidemark_epoch *epoch, *owed;
	u64 first, count, added;
	int ret;

	if (!tidemark_gate_enter(nowait))
		return -EAGAIN;
	ret = granule_range(sector, sectors, disk->sectors, disk->shift, &first,
			    &count);
	if (ret) {
		tidemark_gate_leave();
		return ret;
	}
	write->sector = sector;
	write->sectors = sectors;
	write->owed = 0;
	epoch = disk->marking;
	owed = disk->owed;
	tidemark_epoch_get(epoch);
	added = tidemark_bitmap_mark(epoch->bits, first, count);
	if (added)
		tidemark_mark_added(disk, epoch, added);
	if (unlikely(atomic_long_read(&owed->marked)) &&
	    tidemark_bitmap_any(owed->bits, first, count))
		ret = mark_owed(disk, owed, first, count, write);
	if (disk->keep && !tidemark_intent_armed(disk->keep, sector, sectors))
		ret |= TIDEMARK_WRITE_INTENT;
	tidemark_gate_leave();
	mark_stats(disk, sectors, discard);
	write->epoch = epoch;
	return ret;
}

/* It was counted, and will not be passed on. */
static void mark_stats_undo(struct tidemark_disk *disk, u64 sectors,
			    bool discard)
{
	this_cpu_dec(disk->stats->writes);
	if (discard)
		this_cpu_sub(disk->stats->discard_sectors, sectors);
	else
		this_cpu_sub(disk->stats->write_sectors, sectors);
}

/**
 * tidemark_write_hold() - may a write be passed on that meets something?
 * @disk: the disk
 * @why: TIDEMARK_WRITE_OWED, TIDEMARK_WRITE_INTENT or both
 * @nowait: it cannot be held
 * @discard: it discards
 * @write: as tidemark_write_begin() has left it, with data and go filled in
 *
 * Intent comes first: a write that is held for old bytes of its granules goes on
 * by itself.
 *
 * Context: Any.
 * Return: 0: now; 1: tidemark_write.go will be called for it, from a process
 * that may sleep, and perhaps has been; -EAGAIN: @nowait is set and it would be
 * held. It must then not be passed on.
 */
int tidemark_write_hold(struct tidemark_disk *disk, int why, bool nowait,
			bool discard, struct tidemark_write *write)
{
	u64 sectors = write->sectors;
	int ret = 0;

	if (why & TIDEMARK_WRITE_INTENT)
		ret = tidemark_intent_hold(disk, write, nowait);
	if (!ret && why & TIDEMARK_WRITE_OWED)
		ret = tidemark_preserve_write(disk, write, nowait);
	if (ret < 0)
		mark_stats_undo(disk, sectors, discard);
	return ret;
}

/**
 * tidemark_mark_added() - bits have been set in the current bitmap
 * @disk: locked, or the caller is inside the gate
 * @epoch: the current one
 * @added: how many
 */
void tidemark_mark_added(struct tidemark_disk *disk,
			 struct tidemark_epoch *epoch, u64 added)
{
	u64 marked = atomic_long_add_return(added, &epoch->marked);
	u64 threshold = READ_ONCE(disk->threshold);

	if (threshold && marked >= threshold)
		mark_tell(disk, epoch, EPOCH_THRESHOLD_DUE,
			  EPOCH_THRESHOLD_TOLD);
}

/**
 * tidemark_mark_range() - mark a range that was checked
 * @disk: locked: no seal can swap the current bitmap meanwhile
 * @first: first granule
 * @count: how many
 *
 * Context: Process context, may sleep.
 * Return: how many were not marked before.
 */
u64 tidemark_mark_range(struct tidemark_disk *disk, u64 first, u64 count)
{
	u64 sum = 0;

	lockdep_assert_held(&disk->lock);
	while (count) {
		u64 step = min(count, MARK_STEP);
		u64 added = tidemark_bitmap_mark(disk->marking->bits, first,
						 step);

		if (added)
			tidemark_mark_added(disk, disk->marking, added);
		sum += added;
		first += step;
		count -= step;
		cond_resched();
	}
	return sum;
}

/**
 * tidemark_mark_runs() - mark for somebody
 * @disk: the caller holds a reference
 * @runs: granules, not checked yet
 * @count: of @runs
 *
 * Returns when the marks are durable too, if the disk has metadata.
 *
 * Return: 0; -EINVAL: a run leaves the disk, nothing is marked; -ENODEV;
 * -EINTR: all is marked, but perhaps not durable.
 */
int tidemark_mark_runs(struct tidemark_disk *disk,
		       const struct tidemark_run *runs, u32 count)
{
	int err = tidemark_disk_lock(disk);
	u64 first = U64_MAX, end = 0;
	u32 i;

	if (err)
		return err;
	for (i = 0; i < count && !err; i++) {
		if (!granule_run_valid(runs[i].first, runs[i].count,
				       disk->granules))
			err = -EINVAL;
		first = min(first, runs[i].first);
		end = max(end, runs[i].first + runs[i].count);
	}
	for (i = 0; i < count && !err; i++) {
		/* Nothing left to mark: many long runs cost no more than one. */
		if (atomic_long_read(&disk->marking->marked) == disk->granules)
			break;
		tidemark_mark_range(disk, runs[i].first, runs[i].count);
	}
	if (count && !err)
		tidemark_keep_stale(disk, first, end - first);
	mutex_unlock(&disk->lock);
	return err ?: tidemark_keep_sync(disk);
}

/**
 * tidemark_mark_threshold() - ask for an event
 * @disk: the caller holds a reference
 * @granules: so many marked ones; 0: never
 *
 * When there are as many already, the event is sent now.
 *
 * Return: 0 or -ENODEV.
 */
int tidemark_mark_threshold(struct tidemark_disk *disk, u64 granules)
{
	int err = tidemark_disk_lock(disk);

	if (err)
		return err;
	WRITE_ONCE(disk->threshold, granules);
	clear_bit(EPOCH_THRESHOLD_TOLD, &disk->marking->flags);
	tidemark_mark_added(disk, disk->marking, 0);
	mutex_unlock(&disk->lock);
	return 0;
}

/**
 * tidemark_mark_events() - send what writers asked for
 * @work: tidemark_disk.events
 */
void tidemark_mark_events(struct work_struct *work)
{
	struct tidemark_disk *disk =
		container_of(work, struct tidemark_disk, events);
	struct tidemark_epoch *owed, *marking;

	if (tidemark_disk_lock(disk))
		return;
	owed = disk->owed;
	marking = disk->marking;
	if (test_and_clear_bit(EPOCH_TORN_DUE, &owed->flags) &&
	    disk->sealed_epoch == owed->number) {
		tidemark_disk_say(disk, "epoch %llu is torn: %s", owed->number,
				  disk->preserve.why ?: "there is no view");
		tidemark_event_send(disk, TIDEMARK_EVENT_TORN, owed->number,
				    atomic_long_read(&owed->torn));
	}
	if (test_and_clear_bit(EPOCH_THRESHOLD_DUE, &marking->flags))
		tidemark_event_send(disk, TIDEMARK_EVENT_THRESHOLD,
				    marking->number,
				    atomic_long_read(&marking->marked));
	mutex_unlock(&disk->lock);
}
