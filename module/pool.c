// SPDX-License-Identifier: GPL-2.0-only
/*
 * The preserve pool, see pool.h.
 */
#include "pool.h"

#include <linux/gfp.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "granule.h"
#include "io.h"

/* Memory of a slot, each allocation of which may fail without a sound. */
#define SLOT_GFP	(GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY)

static unsigned int slot_pages(unsigned int shift)
{
	return DIV_ROUND_UP(granule_bytes(shift), PAGE_SIZE);
}

static void slot_free(struct tidemark_slot *slot)
{
	unsigned int i;

	for (i = 0; i < slot_pages(slot->shift); i++)
		if (slot->pages[i])
			__free_page(slot->pages[i]);
	kfree(slot->io);
	kfree(slot);
}

static struct tidemark_slot *slot_alloc(unsigned int shift)
{
	unsigned int pages = slot_pages(shift);
	struct tidemark_slot *slot;
	unsigned int i;

	slot = kzalloc(struct_size(slot, pages, pages), SLOT_GFP);
	if (!slot)
		return NULL;
	slot->shift = shift;
	RB_CLEAR_NODE(&slot->node);
	INIT_LIST_HEAD(&slot->waiters);
	slot->io = tidemark_io_alloc(pages, SLOT_GFP);
	if (!slot->io)
		goto err;
	for (i = 0; i < pages; i++) {
		slot->pages[i] = alloc_page(SLOT_GFP);
		if (!slot->pages[i])
			goto err;
	}
	return slot;

err:
	slot_free(slot);
	return NULL;
}

/**
 * tidemark_pool_init() - a pool without a slot
 * @pool: zeroed
 */
void tidemark_pool_init(struct tidemark_pool *pool)
{
	INIT_LIST_HEAD(&pool->free);
	INIT_LIST_HEAD(&pool->surplus);
}

/**
 * tidemark_pool_alloc() - slots that belong to no pool yet
 * @slots: the list that they are added to, also those before a failure
 * @shift: log2 of their sectors
 * @count: how many
 *
 * Context: Process context, allocates.
 * Return: 0 or -ENOMEM.
 */
int tidemark_pool_alloc(struct list_head *slots, unsigned int shift, u32 count)
{
	while (count--) {
		struct tidemark_slot *slot = slot_alloc(shift);

		if (!slot)
			return -ENOMEM;
		list_add_tail(&slot->list, slots);
		cond_resched();
	}
	return 0;
}

/**
 * tidemark_pool_free() - free slots that belong to no pool any more
 * @slots: their list
 *
 * Context: Process context.
 */
void tidemark_pool_free(struct list_head *slots)
{
	struct tidemark_slot *slot, *next;

	list_for_each_entry_safe(slot, next, slots, list) {
		slot_free(slot);
		cond_resched();
	}
	INIT_LIST_HEAD(slots);
}

/* Does the pool have no use for a slot that came back? */
static bool slot_surplus(const struct tidemark_pool *pool,
			 const struct tidemark_slot *slot)
{
	return slot->shift != pool->shift || pool->total > pool->wanted;
}

/**
 * tidemark_pool_set() - change the number and the size of slots
 * @pool: locked
 * @slots: new ones of @shift, emptied
 * @count: how many these are
 * @shift: log2 of the sectors of all slots that are handed out from now on
 * @wanted: how many there shall be
 *
 * Slots in use that are too many, or of another size, become surplus when they
 * come back; those that are free when tidemark_pool_trim() takes them.
 */
void tidemark_pool_set(struct tidemark_pool *pool, struct list_head *slots,
		       u32 count, unsigned int shift, u32 wanted)
{
	if (shift != pool->shift) {
		list_splice_tail_init(&pool->free, &pool->surplus);
		pool->total = pool->used;
	}
	pool->shift = shift;
	pool->wanted = wanted;
	pool->total += count;
	list_splice_tail_init(slots, &pool->free);
}

/**
 * tidemark_pool_trim() - free slots that are too many become surplus
 * @pool: locked
 * @count: how many at most
 *
 * Return: false when there is none left.
 */
bool tidemark_pool_trim(struct tidemark_pool *pool, u32 count)
{
	while (pool->total > pool->wanted && !list_empty(&pool->free)) {
		if (!count--)
			return true;
		list_move(pool->free.next, &pool->surplus);
		pool->total--;
	}
	return false;
}

/**
 * tidemark_pool_take() - a slot to use
 * @pool: locked
 * @shift: log2 of the sectors that it must have room for
 *
 * Return: a slot that is in no list, or NULL: there is none.
 */
struct tidemark_slot *tidemark_pool_take(struct tidemark_pool *pool,
					 unsigned int shift)
{
	struct tidemark_slot *slot;

	slot = list_first_entry_or_null(&pool->free, struct tidemark_slot,
					list);
	if (!slot || slot->shift != shift)
		return NULL;
	list_del_init(&slot->list);
	pool->used++;
	pool->peak = max(pool->peak, tidemark_pool_used(pool));
	return slot;
}

/**
 * tidemark_pool_give() - a slot is no longer used
 * @pool: locked
 * @slot: in no list
 */
void tidemark_pool_give(struct tidemark_pool *pool, struct tidemark_slot *slot)
{
	pool->used--;
	if (slot_surplus(pool, slot)) {
		pool->total--;
		list_add(&slot->list, &pool->surplus);
	} else {
		list_add(&slot->list, &pool->free);
	}
}

/**
 * tidemark_pool_used() - memory in use, in bytes
 * @pool: locked
 */
u64 tidemark_pool_used(const struct tidemark_pool *pool)
{
	return pool->used * granule_bytes(pool->shift);
}
