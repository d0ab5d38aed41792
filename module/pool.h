/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The preserve pool: memory for old bytes, in slots of one granule each, all
 * allocated before the first write needs one. Knows nothing of epochs or I/O;
 * its lock is the one of struct tidemark_preserve.
 */
#ifndef _TIDEMARK_POOL_H
#define _TIDEMARK_POOL_H

#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/types.h>

struct tidemark_disk;
struct tidemark_io;
struct tidemark_write;

/**
 * enum tidemark_slot_state - what a slot in use is at
 * @SLOT_QUEUED: its read waits for the sealed epoch to drain
 * @SLOT_READING: its read is in flight, or has failed
 * @SLOT_PRESERVED: it holds the bytes of the moment of the seal
 */
enum tidemark_slot_state {
	SLOT_QUEUED,
	SLOT_READING,
	SLOT_PRESERVED,
};

/**
 * struct tidemark_slot - the old bytes of a granule
 * @node: in tidemark_preserve.slots, or empty: nobody finds it any more
 * @list: in a list of the pool when free, of the worker when queued or read
 * @waiters: writes of others that go on when it is preserved
 * @starter: the write that it is read for, until that read has ended
 * @disk: that it serves
 * @granule: which one
 * @sectors: of that granule, the last one of a disk may be short
 * @read: sectors that have been asked for
 * @refs: the tree, its read in flight, and each reader; 0: free
 * @state: what it is at
 * @failed: its read has
 * @shift: log2 of the sectors that it has room for
 * @io: what it is read with
 * @pages: the bytes
 */
struct tidemark_slot {
	struct rb_node node;
	struct list_head list;
	struct list_head waiters;
	struct tidemark_write *starter;
	struct tidemark_disk *disk;
	u64 granule;
	u32 sectors;
	u32 read;
	u32 refs;
	enum tidemark_slot_state state;
	bool failed;
	unsigned int shift;
	struct tidemark_io *io;
	struct page *pages[];
};

/**
 * struct tidemark_pool - slots
 * @free: those in reserve
 * @surplus: those to be freed by who may
 * @shift: of the slots that it hands out
 * @wanted: how many there should be
 * @total: how many there are, free or used
 * @used: how many of them are not free
 * @peak: the highest @used in bytes
 */
struct tidemark_pool {
	struct list_head free;
	struct list_head surplus;
	unsigned int shift;
	u32 wanted;
	u32 total;
	u32 used;
	u64 peak;
};

void tidemark_pool_init(struct tidemark_pool *pool);
int tidemark_pool_alloc(struct list_head *slots, unsigned int shift, u32 count);
void tidemark_pool_free(struct list_head *slots);
void tidemark_pool_set(struct tidemark_pool *pool, struct list_head *slots,
		       u32 count, unsigned int shift, u32 wanted);
bool tidemark_pool_trim(struct tidemark_pool *pool, u32 count);
struct tidemark_slot *tidemark_pool_take(struct tidemark_pool *pool,
					 unsigned int shift);
void tidemark_pool_give(struct tidemark_pool *pool, struct tidemark_slot *slot);
u64 tidemark_pool_used(const struct tidemark_pool *pool);

#endif /* _TIDEMARK_POOL_H */
