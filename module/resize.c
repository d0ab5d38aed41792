// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk goes on with another size, granule or data device. It takes over the
 * bitmaps of a newcomer that was made for the new geometry, and what it knows
 * is carried over: never less than what has changed.
 */
#include "disk.h"

#include <linux/lockdep.h>
#include <linux/minmax.h>

#include "bitmap.h"
#include "event.h"
#include "gate.h"
#include "granule.h"

/* Mark in @fresh, whose bitmaps nobody else sees. */
static void fresh_mark(struct tidemark_disk *fresh, u64 sector, u64 sectors)
{
	u64 first, count, added;

	if (granule_range(sector, sectors, fresh->sectors, fresh->shift, &first,
			  &count))
		return;
	added = tidemark_bitmap_mark(fresh->marking->bits, first, count);
	atomic_long_add(added, &fresh->marking->marked);
}

/*
 * Carry the marks over by sectors, whatever the granules: each granule of the
 * new geometry that a marked one touches, and all that has been added. The old
 * last granule may have been short, so a run is cut at the old size first.
 */
static void reshape_marks(const struct tidemark_disk *disk,
			  struct tidemark_disk *fresh)
{
	u64 common = min(disk->sectors, fresh->sectors);
	u64 first = 0, count = 0;

	while (tidemark_bitmap_next(disk->marking->bits, first + count,
				    disk->granules, &first, &count)) {
		u64 sector = first << disk->shift;

		if (sector >= common)
			break;
		fresh_mark(fresh, sector,
			   min(count << disk->shift, common - sector));
	}
	if (fresh->sectors > disk->sectors)
		fresh_mark(fresh, disk->sectors,
			   fresh->sectors - disk->sectors);
}

/* The newcomer leaves its bitmaps and takes the old ones with it. */
static void reshape_swap(struct tidemark_disk *disk,
			 struct tidemark_disk *fresh)
{
	/*
	 * The tap guarantees that no write is under way. Those that come see
	 * all of this or nothing, also with a tap that could not guarantee it.
	 */
	tidemark_gate_close();
	swap(disk->marking->bits, fresh->marking->bits);
	swap(disk->owed->bits, fresh->owed->bits);
	swap(disk->sealed_bits, fresh->sealed_bits);
	atomic_long_set(&disk->marking->marked,
			atomic_long_read(&fresh->marking->marked));
	disk->sectors = fresh->sectors;
	disk->granules = fresh->granules;
	disk->shift = fresh->shift;
	tidemark_gate_open();
}

/**
 * tidemark_disk_reshape() - go on with what a newcomer was made for
 * @disk: locked, no write in flight or on its way
 * @fresh: of the same owner, never activated
 * @where: the devices of the newcomer
 *
 * A sealed epoch is folded when anything changes: its granules would mean
 * something else now. With another data device nothing is known of what it
 * holds: everything is marked.
 *
 * Context: Process context, allocates nothing, cannot fail.
 */
void tidemark_disk_reshape(struct tidemark_disk *disk,
			   struct tidemark_disk *fresh,
			   const struct tidemark_where *where)
{
	bool resized = disk->sectors != fresh->sectors ||
		       disk->shift != fresh->shift;
	bool replaced = disk->where.data != where->data;

	lockdep_assert_held(&disk->lock);
	if (!resized && !replaced)
		return;
	tidemark_seal_fold_locked(disk);
	if (resized) {
		/* What its metadata has put there, if it has some. */
		tidemark_bitmap_zero(fresh->marking->bits, fresh->granules);
		atomic_long_set(&fresh->marking->marked, 0);
		reshape_marks(disk, fresh);
		reshape_swap(disk, fresh);
		disk->reason |= TIDEMARK_REASON_RESIZED;
		tidemark_disk_say(disk, "resized to %llu sectors, granule %u",
				  disk->sectors, 1U << disk->shift);
		tidemark_event_send(disk, TIDEMARK_EVENT_RESIZED,
				    disk->marking->number, disk->granules);
	}
	if (replaced)
		tidemark_disk_unreliable(disk, TIDEMARK_REASON_REPLACED,
					 "data device exchanged");
}
