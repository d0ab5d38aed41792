// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copy-before-write, see preserve.h: what is preserved when, and which writes
 * wait for it.
 *
 * WHAT A VIEW SHOWS IS THE MOMENT OF THE SEAL
 *
 *   A granule's bytes on the data device are those of the seal from the drain
 *   of its epoch until the first write that comes after the seal, and such a
 *   write is passed on only after its granule is SLOT_PRESERVED, or not owed
 *   any more, or the epoch torn: all of that is decided under the lock. A view
 *   reads the data device when it finds the granule not preserved, and looks
 *   again under the lock when that read has ended. If it is still not preserved
 *   no write has been passed on before that moment, hence not before the read
 *   ended. If it is, what was read may be anything, and the slot has the bytes.
 *   If it is no longer owed, or the epoch another or torn, the read fails. So
 *   neither waits for the other. There is no way back that the second look
 *   could miss: within one epoch a granule is never owed again, and a slot of
 *   an owed granule stays until the epoch is torn.
 */
#include "preserve.h"

#include <linux/bitmap.h>
#include <linux/lockdep.h>
#include <linux/minmax.h>
#include <linux/sched.h>

#include "disk.h"
#include "granule.h"
#include "io.h"

/* Slots that are dropped, granules that a write has looked at, in one go. */
#define DROP_STEP	64
#define HOLD_STEP	256

static struct workqueue_struct *preserve_queue;

/**
 * tidemark_preserve_setup() - at module load
 *
 * Return: 0 or -ENOMEM.
 */
int __init tidemark_preserve_setup(void)
{
	/* Held writes may be those that free memory, and somebody waits for them. */
	preserve_queue = alloc_workqueue("tidemark", WQ_MEM_RECLAIM |
					 WQ_UNBOUND | WQ_HIGHPRI, 0);
	return preserve_queue ? 0 : -ENOMEM;
}

/** tidemark_preserve_teardown() - at module unload */
void tidemark_preserve_teardown(void)
{
	destroy_workqueue(preserve_queue);
}

/**
 * tidemark_preserve_kick() - there may be something to do for the work item
 * @p: of a disk
 *
 * Context: Any.
 */
void tidemark_preserve_kick(struct tidemark_preserve *p)
{
	queue_work(preserve_queue, &p->work);
}

static bool preserve_torn(const struct tidemark_preserve *p)
{
	return p->sealed && atomic_long_read(&p->sealed->torn);
}

/* The first slot at or after a granule. */
static struct tidemark_slot *slot_from(struct tidemark_preserve *p, u64 granule)
{
	struct tidemark_slot *found = NULL;
	struct rb_node *node = p->slots.rb_node;

	while (node) {
		struct tidemark_slot *slot =
			rb_entry(node, struct tidemark_slot, node);

		if (slot->granule >= granule)
			found = slot;
		if (slot->granule == granule)
			break;
		node = slot->granule > granule ? node->rb_left : node->rb_right;
	}
	return found;
}

static struct tidemark_slot *slot_find(struct tidemark_preserve *p, u64 granule)
{
	struct tidemark_slot *slot = slot_from(p, granule);

	return slot && slot->granule == granule ? slot : NULL;
}

static void slot_insert(struct tidemark_preserve *p, struct tidemark_slot *slot)
{
	struct rb_node **link = &p->slots.rb_node, *parent = NULL;

	while (*link) {
		struct tidemark_slot *other =
			rb_entry(*link, struct tidemark_slot, node);

		parent = *link;
		link = slot->granule < other->granule ? &parent->rb_left :
							&parent->rb_right;
	}
	rb_link_node(&slot->node, parent, link);
	rb_insert_color(&slot->node, &p->slots);
}

static void slot_put(struct tidemark_preserve *p, struct tidemark_slot *slot)
{
	if (!--slot->refs)
		tidemark_pool_give(&p->pool, slot);
}

/* A slot is not read any more on behalf of its starter. */
static void slot_unstart(struct tidemark_preserve *p,
			 struct tidemark_slot *slot)
{
	struct tidemark_write *starter = slot->starter;

	slot->starter = NULL;
	if (!--starter->reads)
		list_add_tail(&starter->list, &p->ready);
}

/* Nobody shall find a slot any more; it may be read still. */
static void slot_drop(struct tidemark_preserve *p, struct tidemark_slot *slot)
{
	rb_erase(&slot->node, &p->slots);
	RB_CLEAR_NODE(&slot->node);
	if (slot->state == SLOT_PRESERVED)
		p->preserved--;
	if (slot->state == SLOT_QUEUED) {
		list_del_init(&slot->list);
		slot_unstart(p, slot);
	}
	list_splice_tail_init(&slot->waiters, &p->ready);
	slot_put(p, slot);
}

/* Drop some slots of a range; returns false when there is none left. */
static bool slots_drop(struct tidemark_preserve *p, u64 first, u64 end)
{
	unsigned int i;

	for (i = 0; i < DROP_STEP; i++) {
		struct tidemark_slot *slot = slot_from(p, first);

		if (!slot || slot->granule >= end)
			return false;
		slot_drop(p, slot);
	}
	return true;
}

/* Drop all slots of a range. Nobody adds any meanwhile. */
static void slots_drop_all(struct tidemark_preserve *p, u64 first, u64 end)
{
	bool more;

	do {
		spin_lock_irq(&p->lock);
		more = slots_drop(p, first, end);
		spin_unlock_irq(&p->lock);
		cond_resched();
	} while (more);
	tidemark_preserve_kick(p);
}

/**
 * tidemark_preserve_tear() - the sealed epoch cannot be preserved any more
 * @disk: the disk
 * @why: for a person, or NULL: there is no view
 *
 * The work item drops the slots: nobody looks at them any more.
 *
 * Context: Any. The preserve lock is held.
 */
void tidemark_preserve_tear(struct tidemark_disk *disk, const char *why)
{
	struct tidemark_preserve *p = &disk->preserve;

	lockdep_assert_held(&p->lock);
	if (!p->sealed)
		return;
	if (!preserve_torn(p))
		p->why = why;
	tidemark_mark_torn(disk, p->sealed);
	tidemark_preserve_kick(p);
}

/* Begin to preserve a granule; false: there is no slot. */
static bool preserve_start(struct tidemark_disk *disk,
			   struct tidemark_write *write, u64 granule)
{
	struct tidemark_preserve *p = &disk->preserve;
	struct tidemark_slot *slot = tidemark_pool_take(&p->pool, disk->shift);

	if (!slot)
		return false;
	slot->disk = disk;
	slot->granule = granule;
	slot->sectors = min_t(u64, 1U << disk->shift,
			      disk->sectors - (granule << disk->shift));
	slot->read = 0;
	slot->failed = false;
	slot->refs = 1;
	slot->state = SLOT_QUEUED;
	slot->starter = write;
	write->reads++;
	slot_insert(p, slot);
	list_add_tail(&slot->list, &p->queued);
	return true;
}

/* A write is to be looked at by the work item. */
static void write_again(struct tidemark_preserve *p,
			struct tidemark_write *write)
{
	list_add_tail(&write->list, &p->ready);
	tidemark_preserve_kick(p);
}

/*
 * Must a write be held? Starts what it needs and puts it where it will be
 * woken, unless @nowait is set.
 *
 * The seal that it must not overtake may be over: it was in no hurry between
 * the gate and here, or was held meanwhile. It belongs then to what a newer
 * seal has ended, or is after a commit or fold, and nothing depends on it.
 */
static bool write_hold(struct tidemark_disk *disk, struct tidemark_write *write,
		       bool nowait)
{
	struct tidemark_preserve *p = &disk->preserve;
	struct tidemark_slot *wait = NULL;
	unsigned int steps = 0;
	u64 granule;

	lockdep_assert_held(&p->lock);
	if (!p->sealed || p->sealed->number != write->owed || preserve_torn(p))
		return false;
	if (!p->views) {
		tidemark_preserve_tear(disk, NULL);
		return false;
	}
	for (granule = write->next; steps < HOLD_STEP; granule++, steps++) {
		struct tidemark_slot *slot;

		granule = find_next_bit(p->sealed->bits, write->end, granule);
		if (!write->reads && !wait)
			write->next = granule;
		if (granule >= write->end)
			break;
		slot = slot_find(p, granule);
		if (slot && slot->state == SLOT_PRESERVED)
			continue;
		if (slot) {
			wait = slot;
		} else if (nowait) {
			return true;
		} else if (!preserve_start(disk, write, granule)) {
			tidemark_preserve_tear(disk, "the pool is full");
			return write->reads;
		}
	}
	if (nowait)
		return wait || steps == HOLD_STEP;
	if (write->reads)
		return true;
	if (wait)
		list_add_tail(&write->list, &wait->waiters);
	else if (steps == HOLD_STEP)
		write_again(p, write);
	else
		return false;
	return true;
}

/* The next slot that is to be read and may be: its epoch has drained. */
static struct tidemark_slot *read_due(struct tidemark_preserve *p)
{
	if (!p->sealed || preserve_torn(p) || !tidemark_epoch_drained(p->sealed))
		return NULL;
	return list_first_entry_or_null(&p->queued, struct tidemark_slot, list);
}

/* One more read of a slot; unlocks meanwhile. */
static void slot_read(struct tidemark_preserve *p, struct tidemark_slot *slot)
	__must_hold(&p->lock)
{
	struct block_device *data = slot->starter->data;

	spin_unlock_irq(&p->lock);
	tidemark_io_read(slot, data);
	spin_lock_irq(&p->lock);
}

static void read_start(struct tidemark_preserve *p, struct tidemark_slot *slot)
	__must_hold(&p->lock)
{
	list_del_init(&slot->list);
	slot->state = SLOT_READING;
	slot->refs++;
	slot_read(p, slot);
}

/*
 * Who has begun to preserve reads at once what may be read, also that of others;
 * the rest is the work item's, when the epoch has drained. The write that it was
 * done for may have gone on meanwhile.
 */
static void reads_start(struct tidemark_preserve *p)
{
	struct tidemark_slot *slot;

	spin_lock_irq(&p->lock);
	while ((slot = read_due(p)))
		read_start(p, slot);
	spin_unlock_irq(&p->lock);
}

/**
 * tidemark_preserve_write() - may a write to owed granules be passed on?
 * @disk: the disk
 * @write: as tidemark_write_begin() has left it, with data and go filled in
 * @nowait: it cannot be held
 *
 * Context: Process context, submits reads; with @nowait any.
 * Return: 0: now; 1: tidemark_write.go will be called for it, from a process
 * that may sleep; -EAGAIN: @nowait is set and it would be held.
 */
int tidemark_preserve_write(struct tidemark_disk *disk,
			    struct tidemark_write *write, bool nowait)
{
	struct tidemark_preserve *p = &disk->preserve;
	unsigned long irq;
	bool hold;

	write->reads = 0;
	spin_lock_irqsave(&p->lock, irq);
	hold = write_hold(disk, write, nowait);
	spin_unlock_irqrestore(&p->lock, irq);
	if (!hold)
		return 0;
	if (nowait)
		return -EAGAIN;
	reads_start(p);
	return 1;
}

/**
 * tidemark_preserve_done() - a read of a slot has ended
 * @slot: of tidemark_io_read()
 *
 * Context: Any.
 */
void tidemark_preserve_done(struct tidemark_slot *slot)
{
	struct tidemark_preserve *p = &slot->disk->preserve;
	unsigned long irq;

	spin_lock_irqsave(&p->lock, irq);
	list_add_tail(&slot->list, &p->done);
	tidemark_preserve_kick(p);
	spin_unlock_irqrestore(&p->lock, irq);
}

static void slot_done(struct tidemark_disk *disk, struct tidemark_slot *slot)
	__must_hold(&disk->preserve.lock)
{
	struct tidemark_preserve *p = &disk->preserve;
	bool wanted = !RB_EMPTY_NODE(&slot->node);

	list_del_init(&slot->list);
	if (wanted && !slot->failed && slot->read < slot->sectors) {
		slot_read(p, slot);
		return;
	}
	if (wanted && slot->failed) {
		tidemark_preserve_tear(disk, "old bytes cannot be read");
	} else if (wanted) {
		slot->state = SLOT_PRESERVED;
		p->preserved++;
		list_splice_tail_init(&slot->waiters, &p->ready);
	}
	slot_unstart(p, slot);
	slot_put(p, slot);
}

static void write_ready(struct tidemark_disk *disk,
			struct tidemark_write *write)
	__must_hold(&disk->preserve.lock)
{
	struct tidemark_preserve *p = &disk->preserve;

	list_del_init(&write->list);
	if (write_hold(disk, write, false))
		return;
	spin_unlock_irq(&p->lock);
	write->go(write);
	spin_lock_irq(&p->lock);
}

static void surplus_free(struct tidemark_preserve *p)
	__must_hold(&p->lock)
{
	LIST_HEAD(slots);
	unsigned int i;

	for (i = 0; i < DROP_STEP && !list_empty(&p->pool.surplus); i++)
		list_move(p->pool.surplus.next, &slots);
	spin_unlock_irq(&p->lock);
	tidemark_pool_free(&slots);
	spin_lock_irq(&p->lock);
}

/* One thing that is to be done; returns false when there is nothing. */
static bool preserve_step(struct tidemark_disk *disk)
	__must_hold(&disk->preserve.lock)
{
	struct tidemark_preserve *p = &disk->preserve;
	struct tidemark_slot *due = read_due(p);

	if (!list_empty(&p->done)) {
		slot_done(disk, list_first_entry(&p->done, struct tidemark_slot,
						 list));
	} else if (!list_empty(&p->ready)) {
		write_ready(disk, list_first_entry(&p->ready,
						   struct tidemark_write,
						   list));
	} else if (preserve_torn(p) && !RB_EMPTY_ROOT(&p->slots)) {
		slots_drop(p, 0, U64_MAX);
	} else if (due) {
		read_start(p, due);
	} else if (!list_empty(&p->pool.surplus)) {
		surplus_free(p);
	} else {
		return false;
	}
	return true;
}

static void preserve_work(struct work_struct *work)
{
	struct tidemark_preserve *p =
		container_of(work, struct tidemark_preserve, work);
	struct tidemark_disk *disk =
		container_of(p, struct tidemark_disk, preserve);

	spin_lock_irq(&p->lock);
	while (preserve_step(disk)) {
		spin_unlock_irq(&p->lock);
		cond_resched();
		spin_lock_irq(&p->lock);
	}
	spin_unlock_irq(&p->lock);
}

/* An epoch may have drained; called for other news of the disk as well. */
static int preserve_drained(struct wait_queue_entry *entry, unsigned int mode,
			    int flags, void *key)
{
	struct tidemark_preserve *p =
		container_of(entry, struct tidemark_preserve, drained);

	if (READ_ONCE(p->views))
		tidemark_preserve_kick(p);
	return 0;
}

/**
 * tidemark_preserve_init() - of a new disk
 * @disk: with its wait queue initialised
 */
void tidemark_preserve_init(struct tidemark_disk *disk)
{
	struct tidemark_preserve *p = &disk->preserve;

	spin_lock_init(&p->lock);
	mutex_init(&p->sizing);
	p->slots = RB_ROOT;
	INIT_LIST_HEAD(&p->queued);
	INIT_LIST_HEAD(&p->done);
	INIT_LIST_HEAD(&p->ready);
	tidemark_pool_init(&p->pool);
	p->bytes = TIDEMARK_POOL_DEFAULT;
	INIT_WORK(&p->work, preserve_work);
	init_waitqueue_func_entry(&p->drained, preserve_drained);
	add_wait_queue(&disk->wait, &p->drained);
}

/**
 * tidemark_preserve_exit() - the disk goes: no view, no write, no epoch is left
 * @disk: the disk
 *
 * Context: Process context.
 */
void tidemark_preserve_exit(struct tidemark_disk *disk)
{
	struct tidemark_preserve *p = &disk->preserve;

	remove_wait_queue(&disk->wait, &p->drained);
	cancel_work_sync(&p->work);
	tidemark_pool_free(&p->pool.free);
	tidemark_pool_free(&p->pool.surplus);
	mutex_destroy(&p->sizing);
}

/**
 * tidemark_preserve_info() - fill in what INFO says of it
 * @disk: the disk
 * @info: the pool's members are filled
 */
void tidemark_preserve_info(struct tidemark_disk *disk,
			    struct tidemark_info *info)
{
	struct tidemark_preserve *p = &disk->preserve;

	spin_lock_irq(&p->lock);
	info->views = p->views;
	info->pool_bytes = p->bytes;
	info->pool_used = tidemark_pool_used(&p->pool);
	info->pool_peak = p->pool.peak;
	info->preserved = p->preserved;
	spin_unlock_irq(&p->lock);
}

/**
 * tidemark_preserve_begin() - an epoch is owed from now on
 * @disk: locked, the gate is closed, nothing is preserved
 * @sealed: the epoch
 *
 * A writer that sees the epoch's granules owed has come through the gate after
 * this. One that is about to ask for an older epoch finds another number.
 * Nobody holds the lock for long: there is nothing to be done yet.
 */
void tidemark_preserve_begin(struct tidemark_disk *disk,
			     struct tidemark_epoch *sealed)
{
	struct tidemark_preserve *p = &disk->preserve;

	lockdep_assert_held(&disk->lock);
	spin_lock_irq(&p->lock);
	p->why = NULL;
	p->sealed = sealed;
	spin_unlock_irq(&p->lock);
}

/**
 * tidemark_preserve_end() - nothing is owed any more
 * @disk: locked; its owed bitmap is what it was
 *
 * When this returns nobody will look at that bitmap for a view, and all that
 * was preserved is given back.
 *
 * Context: Process context. Does not wait for I/O.
 */
void tidemark_preserve_end(struct tidemark_disk *disk)
{
	struct tidemark_preserve *p = &disk->preserve;
	bool any;

	lockdep_assert_held(&disk->lock);
	spin_lock_irq(&p->lock);
	p->sealed = NULL;
	any = !RB_EMPTY_ROOT(&p->slots);
	spin_unlock_irq(&p->lock);
	if (any)
		slots_drop_all(p, 0, U64_MAX);
}

/**
 * tidemark_preserve_release() - granules are not owed any more
 * @disk: locked; the granules have been cleared in its owed bitmap
 * @runs: granules
 * @count: of @runs
 *
 * A write that found one of them owed has found that under the lock, and taken
 * its slot in the same section: it is found here.
 *
 * Context: Process context. Does not wait for I/O.
 */
void tidemark_preserve_release(struct tidemark_disk *disk,
			       const struct tidemark_run *runs, u32 count)
{
	struct tidemark_preserve *p = &disk->preserve;
	bool any;
	u32 i;

	lockdep_assert_held(&disk->lock);
	spin_lock_irq(&p->lock);
	any = !RB_EMPTY_ROOT(&p->slots);
	spin_unlock_irq(&p->lock);
	for (i = 0; any && i < count; i++)
		slots_drop_all(p, runs[i].first, runs[i].first + runs[i].count);
}

/**
 * tidemark_preserve_read() - where are the bytes of the moment of the seal?
 * @disk: the disk
 * @data: device that the caller would read them from
 * @sector: first one
 * @sectors: how many, all in one granule
 * @epoch: 0: of which one is said here; else it must be this one
 * @ret_slot: the slot that has them, with a reference
 *
 * To be asked before a read of @data, and again when that has ended.
 *
 * Context: Any.
 * Return: 0: on @data; 1: in @ret_slot; -EIO: nowhere. They are not owed, or
 * released, the epoch is over, torn or has not drained.
 */
int tidemark_preserve_read(struct tidemark_disk *disk, dev_t data, u64 sector,
			   u32 sectors, u64 *epoch,
			   struct tidemark_slot **ret_slot)
{
	struct tidemark_preserve *p = &disk->preserve;
	struct tidemark_slot *slot;
	u64 first, count;
	unsigned long irq;
	int ret = -EIO;

	spin_lock_irqsave(&p->lock, irq);
	if (!p->sealed || (*epoch && *epoch != p->sealed->number) ||
	    preserve_torn(p) || !tidemark_epoch_drained(p->sealed) ||
	    disk->where.data != data)
		goto out;
	if (granule_range(sector, sectors, disk->sectors, disk->shift, &first,
			  &count) || count != 1 ||
	    !test_bit(first, p->sealed->bits))
		goto out;
	*epoch = p->sealed->number;
	slot = slot_find(p, first);
	ret = slot && slot->state == SLOT_PRESERVED;
	if (ret) {
		slot->refs++;
		*ret_slot = slot;
	}
out:
	spin_unlock_irqrestore(&p->lock, irq);
	return ret;
}

/**
 * tidemark_preserve_read_end() - a slot has been read
 * @disk: the disk
 * @slot: of tidemark_preserve_read()
 *
 * Context: Any.
 */
void tidemark_preserve_read_end(struct tidemark_disk *disk,
				struct tidemark_slot *slot)
{
	struct tidemark_preserve *p = &disk->preserve;
	unsigned long irq;

	spin_lock_irqsave(&p->lock, irq);
	slot_put(p, slot);
	if (!list_empty(&p->pool.surplus))
		tidemark_preserve_kick(p);
	spin_unlock_irqrestore(&p->lock, irq);
}
