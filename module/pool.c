// SPDX-License-Identifier: GPL-2.0-only
/*
 * The preserve pool, see pool.h.
 */
#include "pool.h"

#include <linux/bio.h>
#include <linux/gfp.h>
#include <linux/highmem.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/slab.h>

/* Memory of a slot, each allocation of which may fail without a sound. */
#define SLOT_GFP	(GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY)

static unsigned int slot_pages(unsigned int shift)
{
	return DIV_ROUND_UP(1U << (shift + SECTOR_SHIFT), PAGE_SIZE);
}

static void slot_free(struct tidemark_slot *slot)
{
	unsigned int i;

	for (i = 0; i < slot_pages(slot->shift); i++)
		if (slot->pages[i])
			__free_page(slot->pages[i]);
	kfree(slot->bio);
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
	slot->bio = bio_kmalloc(min(pages, BIO_MAX_VECS), SLOT_GFP);
	if (!slot->bio)
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
 * tidemark_pool_add() - change the number and the size of slots
 * @pool: locked
 * @slots: new ones of @shift, emptied
 * @shift: log2 of the sectors of all slots that are handed out from now on
 * @wanted: how many there shall be
 *
 * Free slots that are too many go to tidemark_pool.surplus, those in use
 * follow when they come back.
 */
void tidemark_pool_add(struct tidemark_pool *pool, struct list_head *slots,
		       unsigned int shift, u32 wanted)
{
	struct tidemark_slot *slot, *next;

	pool->shift = shift;
	pool->wanted = wanted;
	list_for_each_entry_safe(slot, next, slots, list)
		pool->total++;
	list_splice_tail_init(slots, &pool->free);
	list_for_each_entry_safe(slot, next, &pool->free, list) {
		if (!slot_surplus(pool, slot))
			continue;
		list_move(&slot->list, &pool->surplus);
		pool->total--;
	}
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
	return (u64)pool->used << (pool->shift + SECTOR_SHIFT);
}

/**
 * tidemark_slot_bio() - the next read of a slot's granule
 * @slot: with sectors that have not been read
 * @data: the device to read from
 *
 * Return: the slot's bio, all but its end_io filled in.
 */
struct bio *tidemark_slot_bio(struct tidemark_slot *slot,
			      struct block_device *data)
{
	unsigned int pages = slot_pages(slot->shift);
	unsigned int vecs = min(pages, BIO_MAX_VECS);
	unsigned int i = slot->read >> (PAGE_SHIFT - SECTOR_SHIFT);
	u32 left = (slot->sectors - slot->read) << SECTOR_SHIFT;
	struct bio *bio = slot->bio;

	bio_init(bio, data, bio->bi_inline_vecs, vecs, REQ_OP_READ);
	bio->bi_iter.bi_sector = (slot->granule << slot->shift) + slot->read;
	bio->bi_private = slot;
	for (; left && vecs; vecs--) {
		u32 bytes = min_t(u32, left, PAGE_SIZE);

		__bio_add_page(bio, slot->pages[i++], bytes, 0);
		left -= bytes;
	}
	slot->read += bio_sectors(bio);
	return bio;
}

/**
 * tidemark_slot_copy() - serve a read from a slot
 * @slot: preserved, the caller holds a reference
 * @sector: of the disk, where the read begins
 * @bio: that reads
 * @iter: what it reads, within the slot's granule
 *
 * Context: Any; takes as long as memory takes.
 */
void tidemark_slot_copy(const struct tidemark_slot *slot, u64 sector,
			struct bio *bio, struct bvec_iter iter)
{
	u64 at = (sector - (slot->granule << slot->shift)) << SECTOR_SHIFT;
	struct bvec_iter now;
	struct bio_vec bv;

	__bio_for_each_segment(bv, bio, now, iter) {
		unsigned int done = 0;

		while (done < bv.bv_len) {
			unsigned int from = at & ~PAGE_MASK;
			unsigned int some = min_t(unsigned int,
						  bv.bv_len - done,
						  PAGE_SIZE - from);

			memcpy_page(bv.bv_page, bv.bv_offset + done,
				    slot->pages[at >> PAGE_SHIFT], from, some);
			done += some;
			at += some;
		}
		flush_dcache_page(bv.bv_page);
	}
}
