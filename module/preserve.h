/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copy-before-write of owed granules, for the views of a disk.
 *
 *   preserve.c    what is preserved when, and which writes wait for it
 *   sizing.c      how large the pool is
 *   pool.c        its slots
 *   io.c          how a slot is read
 *
 * A write that meets an owed granule is held: the granule's bytes are read from
 * the data device into a slot of the pool, after the sealed epoch has drained,
 * and then the write goes on. What a view reads comes from the slot, or from
 * the data device where no write has been. RELEASE gives the slot back. A write
 * whose granule finds no slot tears the epoch and goes on at once; a torn epoch
 * has no slots, and holds no write.
 *
 * LIFETIME
 *
 *   A slot is read for the write that took it, its starter, and that write is
 *   held until all reads on its behalf have ended, whatever becomes of the
 *   epoch meanwhile. A held write is in flight for the tap. So whoever waits
 *   for the tap's writes (suspend, another table, removal) waits for these
 *   reads too, and they never outlive the data device or the disk.
 *
 * NO WRITE IS HELD FOR EVER
 *
 *   It waits for reads of the data device and for the drain of the epoch
 *   before its own, that is for writes of that epoch which the data device has,
 *   or which are held in turn for an epoch older still. That one has drained:
 *   a seal waits for it. Never for a reader, an agent, or memory.
 */
#ifndef _TIDEMARK_PRESERVE_H
#define _TIDEMARK_PRESERVE_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/tidemark.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "pool.h"

struct block_device;
struct tidemark_disk;
struct tidemark_epoch;

/**
 * struct tidemark_write - a write on its way through the core
 * @epoch: holds it in flight
 * @sector: first sector that it may change
 * @sectors: how many
 * @owed: number of the epoch whose granules it meets, 0: none
 * @next: first granule that was not seen to be preserved yet
 * @end: the granule after its last one
 * @list: in tidemark_slot.waiters or tidemark_preserve.ready, or before that in
 *	tidemark_keep.held or tidemark_keep.going
 * @reads: copies that are read on its behalf; it is in no list meanwhile
 * @data: device to read them from
 * @go: passes it down
 *
 * @data and @go are filled in by the tap when tidemark_write_begin() has returned
 * more than 0; @next, @end and @reads mean something only with @owed.
 */
struct tidemark_write {
	struct tidemark_epoch *epoch;
	u64 sector;
	u64 sectors;
	u64 owed;
	u64 next;
	u64 end;
	struct list_head list;
	u32 reads;
	struct block_device *data;
	void (*go)(struct tidemark_write *write);
};

/**
 * struct tidemark_preserve - of a disk
 * @lock: covers what follows; taken with interrupts off
 * @sealed: the epoch whose owed granules are preserved, or NULL: between the
 *	end of one and the next seal. While it is set it is the disk's owed
 *	epoch, and the disk keeps its geometry
 * @views: how many there are; read without @lock
 * @why: the sealed epoch is torn
 * @slots: in use, by their granule
 * @preserved: how many of them are
 * @queued: slots that are to be read when @sealed has drained
 * @done: slots whose read has ended
 * @ready: writes that are to be looked at again
 * @pool: free slots
 * @bytes: size of @pool; changes with @sizing too
 * @sizing: held while @pool is made another size
 * @work: does all that takes a process
 * @drained: in tidemark_disk.wait, queues @work
 */
struct tidemark_preserve {
	spinlock_t lock;	/* see above */
	struct tidemark_epoch *sealed;
	u32 views;
	const char *why;
	struct rb_root slots;
	u64 preserved;
	struct list_head queued;
	struct list_head done;
	struct list_head ready;
	struct tidemark_pool pool;
	u64 bytes;

	struct mutex sizing;	/* taken before the disk's */
	struct work_struct work;
	struct wait_queue_entry drained;
};

/* sizing.c */
int tidemark_preserve_arm(struct tidemark_disk *disk);
void tidemark_preserve_disarm(struct tidemark_disk *disk);
int tidemark_preserve_size(struct tidemark_disk *disk, u64 bytes);
void tidemark_preserve_limit(struct tidemark_disk *disk, u64 bytes);

/* preserve.c */
int tidemark_preserve_setup(void);
void tidemark_preserve_teardown(void);

void tidemark_preserve_init(struct tidemark_disk *disk);
void tidemark_preserve_exit(struct tidemark_disk *disk);

void tidemark_preserve_kick(struct tidemark_preserve *p);
void tidemark_preserve_tear(struct tidemark_disk *disk, const char *why);

void tidemark_preserve_info(struct tidemark_disk *disk,
			    struct tidemark_info *info);

void tidemark_preserve_begin(struct tidemark_disk *disk,
			     struct tidemark_epoch *sealed);
void tidemark_preserve_end(struct tidemark_disk *disk);
void tidemark_preserve_release(struct tidemark_disk *disk,
			       const struct tidemark_run *runs, u32 count);

int tidemark_preserve_write(struct tidemark_disk *disk,
			    struct tidemark_write *write, bool nowait);
int tidemark_preserve_read(struct tidemark_disk *disk, dev_t data, u64 sector,
			   u32 sectors, u64 *epoch,
			   struct tidemark_slot **ret_slot);
void tidemark_preserve_done(struct tidemark_slot *slot);
void tidemark_preserve_read_end(struct tidemark_disk *disk,
				struct tidemark_slot *slot);

#endif /* _TIDEMARK_PRESERVE_H */
