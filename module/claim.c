// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who uses which devices: no metadata device is in another disk's way.
 */
#include "keep.h"

#include <linux/mutex.h>

/* All tables that use a metadata device, or could be in its way. */
static LIST_HEAD(claims);
static DEFINE_MUTEX(claims_lock);

/**
 * tidemark_claim() - a table is about to use devices
 * @claim: of the table
 * @owner: of the disk
 * @data: the data device
 * @meta: the metadata device, 0: none
 *
 * Return: 0, or -EBUSY: one table's metadata device is another owner's data or
 * metadata device.
 */
int tidemark_claim(struct tidemark_claim *claim, const void *owner, dev_t data,
		   dev_t meta)
{
	struct tidemark_claim *other;
	int err = meta && meta == data ? -EBUSY : 0;

	claim->owner = owner;
	claim->data = data;
	claim->meta = meta;
	mutex_lock(&claims_lock);
	list_for_each_entry(other, &claims, list)
		if (other->owner != owner &&
		    ((meta && (meta == other->meta || meta == other->data)) ||
		     (other->meta && other->meta == data)))
			err = -EBUSY;
	if (!err)
		list_add(&claim->list, &claims);
	mutex_unlock(&claims_lock);
	return err;
}

/**
 * tidemark_unclaim() - the table uses them no longer
 * @claim: of tidemark_claim()
 */
void tidemark_unclaim(struct tidemark_claim *claim)
{
	mutex_lock(&claims_lock);
	list_del(&claim->list);
	mutex_unlock(&claims_lock);
}
