// SPDX-License-Identifier: GPL-2.0-only
/*
 * How large a disk's preserve pool is: allocated with the first view, made another
 * size by request, freed with the last view. See preserve.h; what the slots are used
 * for is in preserve.c.
 */
#include "preserve.h"

#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/sched.h>

#include "disk.h"
#include "granule.h"

/* Slots that are taken from the pool in one go. */
#define TRIM_STEP	64

/* Give @count @slots to the pool, which is to have @wanted; the work item frees. */
static void sizing_pool(struct tidemark_preserve *p, struct list_head *slots,
			u32 count, unsigned int shift, u32 wanted)
{
	bool more;

	spin_lock_irq(&p->lock);
	tidemark_pool_set(&p->pool, slots, count, shift, wanted);
	do {
		more = tidemark_pool_trim(&p->pool, TRIM_STEP);
		spin_unlock_irq(&p->lock);
		cond_resched();
		spin_lock_irq(&p->lock);
	} while (more);
	spin_unlock_irq(&p->lock);
	tidemark_preserve_kick(p);
}

/* Make the pool another size. */
static int sizing_resize(struct tidemark_disk *disk, u64 bytes)
{
	struct tidemark_preserve *p = &disk->preserve;
	unsigned int shift;
	LIST_HEAD(slots);
	u32 wanted, have, count;
	int err;

	lockdep_assert_held(&p->sizing);
	/*
	 * Memory may be waiting for this disk's resume, which wants the lock:
	 * nothing is allocated with it. If the granule changes meanwhile, the
	 * slots do not fit, and nothing is preserved until the next time.
	 */
	err = tidemark_disk_lock(disk);
	if (err)
		return err;
	shift = disk->shift;
	mutex_unlock(&disk->lock);

	wanted = div64_u64(bytes, granule_bytes(shift));
	spin_lock_irq(&p->lock);
	have = p->pool.shift == shift ? p->pool.total : 0;
	spin_unlock_irq(&p->lock);
	count = wanted > have ? wanted - have : 0;
	err = tidemark_pool_alloc(&slots, shift, count);
	if (!err)
		sizing_pool(p, &slots, count, shift, wanted);
	tidemark_pool_free(&slots);
	return err;
}

/**
 * tidemark_preserve_arm() - a view comes: preserve for it
 * @disk: the caller holds a reference until tidemark_preserve_disarm()
 *
 * Context: Process context, allocates the pool for the first view.
 * Return: 0, -ENOMEM, -ENODEV.
 */
int tidemark_preserve_arm(struct tidemark_disk *disk)
{
	struct tidemark_preserve *p = &disk->preserve;
	int err = 0;

	mutex_lock(&p->sizing);
	if (!p->views)
		err = sizing_resize(disk, p->bytes);
	if (!err) {
		spin_lock_irq(&p->lock);
		WRITE_ONCE(p->views, p->views + 1);
		spin_unlock_irq(&p->lock);
	}
	mutex_unlock(&p->sizing);
	return err;
}

/**
 * tidemark_preserve_disarm() - a view goes
 * @disk: the disk
 *
 * With the last one go all preserved bytes, and if there were any the epoch is
 * torn: a view that came later could not show them.
 *
 * Context: Process context. Does not wait for I/O; what is being read is freed
 * when that has ended.
 */
void tidemark_preserve_disarm(struct tidemark_disk *disk)
{
	struct tidemark_preserve *p = &disk->preserve;
	LIST_HEAD(none);
	bool last;

	mutex_lock(&p->sizing);
	spin_lock_irq(&p->lock);
	WRITE_ONCE(p->views, p->views - 1);
	last = !p->views;
	if (last && !RB_EMPTY_ROOT(&p->slots))
		tidemark_preserve_tear(disk, "the view was removed");
	spin_unlock_irq(&p->lock);
	if (last)
		sizing_pool(p, &none, 0, p->pool.shift, 0);
	mutex_unlock(&p->sizing);
}

/**
 * tidemark_preserve_size() - POOL: make the pool another size
 * @disk: the caller holds a reference
 * @bytes: at most TIDEMARK_POOL_MAX
 *
 * Without a view there is no pool, and this is the size that it will have.
 *
 * Context: Process context, allocates.
 * Return: 0; -ENOMEM: it is what it was; -ENODEV.
 */
int tidemark_preserve_size(struct tidemark_disk *disk, u64 bytes)
{
	struct tidemark_preserve *p = &disk->preserve;
	int err = 0;

	mutex_lock(&p->sizing);
	if (p->views)
		err = sizing_resize(disk, bytes);
	if (!err)
		tidemark_preserve_limit(disk, bytes);
	mutex_unlock(&p->sizing);
	return err;
}

/**
 * tidemark_preserve_limit() - how large the pool of the next view shall be
 * @disk: the disk
 * @bytes: at most TIDEMARK_POOL_MAX
 *
 * Context: Any that may sleep; does not.
 */
void tidemark_preserve_limit(struct tidemark_disk *disk, u64 bytes)
{
	struct tidemark_preserve *p = &disk->preserve;

	spin_lock_irq(&p->lock);
	p->bytes = bytes;
	spin_unlock_irq(&p->lock);
}
