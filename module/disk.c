// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tracked disk and the registry of all of them, see disk.h.
 */
#include "disk.h"

#include <linux/limits.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "bitmap.h"
#include "event.h"
#include "gate.h"
#include "granule.h"
#include "keep.h"

/*
 * All active disks by their number. A number is reserved when its disk is
 * created, so that activation cannot fail for want of memory.
 */
static DEFINE_XARRAY(disks);
/*
 * Registry changes, and references taken out of it. Nothing is allocated with
 * it held: it is needed to resume a device that memory may be waiting for.
 */
static DEFINE_MUTEX(disks_lock);
static atomic_long_t disks_last;

static unsigned long *bits_alloc(u64 granules)
{
	return kvcalloc(BITS_TO_LONGS(granules), sizeof(long),
			GFP_KERNEL_ACCOUNT);
}

static void disk_free(struct tidemark_disk *disk)
{
	unsigned int i;

	tidemark_keep_free(disk->keep);
	tidemark_preserve_exit(disk);
	for (i = 0; i < ARRAY_SIZE(disk->epochs); i++) {
		tidemark_epoch_exit(&disk->epochs[i]);
		kvfree(disk->epochs[i].bits);
	}
	kvfree(disk->sealed_bits);
	free_percpu(disk->stats);
	mutex_destroy(&disk->lock);
	kfree(disk);
}

/* All memory that a disk of this geometry will ever need. */
static int disk_alloc(struct tidemark_disk *disk)
{
	unsigned int i;
	int err;

	disk->stats = alloc_percpu(struct tidemark_stats);
	disk->sealed_bits = bits_alloc(disk->granules);
	if (!disk->stats || !disk->sealed_bits)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(disk->epochs); i++) {
		disk->epochs[i].bits = bits_alloc(disk->granules);
		if (!disk->epochs[i].bits)
			return -ENOMEM;
		err = tidemark_epoch_init(&disk->epochs[i], &disk->wait);
		if (err)
			return err;
	}
	return 0;
}

static int disk_number(struct tidemark_disk *disk)
{
	disk->id = atomic_long_inc_return(&disks_last);
	return xa_reserve(&disks, disk->id, GFP_KERNEL);
}

/**
 * tidemark_disk_create() - a disk that nobody sees yet
 * @owner: what the tap knows the device by
 * @sectors: its size
 * @granule_sectors: sectors in a granule
 * @ret_disk: with one reference, for the instance of the tap
 *
 * Context: Process context, allocates three bits a granule.
 * Return: 0; -EINVAL: not such a granule, or an empty disk; -EFBIG: more than
 * TIDEMARK_GRANULES_MAX; -ENOMEM.
 */
int tidemark_disk_create(const void *owner, u64 sectors, u32 granule_sectors,
			 struct tidemark_disk **ret_disk)
{
	struct tidemark_disk *disk;
	int err;

	if (!granule_size_valid(granule_sectors) || !sectors)
		return -EINVAL;
	if (granules_in(sectors, granule_shift(granule_sectors)) >
	    TIDEMARK_GRANULES_MAX)
		return -EFBIG;
	disk = kzalloc(sizeof(*disk), GFP_KERNEL_ACCOUNT);
	if (!disk)
		return -ENOMEM;
	refcount_set(&disk->refs, 1);
	mutex_init(&disk->lock);
	init_rwsem(&disk->flushing);
	init_waitqueue_head(&disk->wait);
	INIT_WORK(&disk->events, tidemark_mark_events);
	uuid_gen(&disk->uuid);
	disk->attach = get_random_u64() ?: 1;
	disk->owner = owner;
	disk->sectors = sectors;
	disk->shift = granule_shift(granule_sectors);
	disk->granules = granules_in(sectors, disk->shift);
	disk->epoch_limit = U64_MAX;
	disk->marking = &disk->epochs[0];
	disk->owed = &disk->epochs[1];
	tidemark_preserve_init(disk);
	err = disk_alloc(disk);
	if (!err)
		err = disk_number(disk);
	if (err) {
		disk_free(disk);
		return err;
	}
	*ret_disk = disk;
	return 0;
}

/**
 * tidemark_disk_put() - drop a reference
 * @disk: or NULL
 *
 * Context: Process context; the last one sleeps for a grace period.
 */
void tidemark_disk_put(struct tidemark_disk *disk)
{
	if (!disk || !refcount_dec_and_test(&disk->refs))
		return;
	mutex_lock(&disks_lock);
	xa_release(&disks, disk->id);	/* if it was never activated */
	mutex_unlock(&disks_lock);
	disk_free(disk);
}

/**
 * tidemark_disk_find() - an active disk by its number
 * @id: the number
 *
 * Return: the disk with a reference, or NULL.
 */
struct tidemark_disk *tidemark_disk_find(u64 id)
{
	struct tidemark_disk *disk = NULL;

	if (id > ULONG_MAX)
		return NULL;
	mutex_lock(&disks_lock);
	disk = xa_load(&disks, id);
	if (disk)
		refcount_inc(&disk->refs);
	mutex_unlock(&disks_lock);
	return disk;
}

/**
 * tidemark_disk_find_device() - an active disk by its device
 * @device: the tracked one
 *
 * Return: the disk with a reference, or NULL.
 */
struct tidemark_disk *tidemark_disk_find_device(dev_t device)
{
	struct tidemark_disk *disk;
	unsigned long id;

	mutex_lock(&disks_lock);
	xa_for_each(&disks, id, disk) {
		if (disk->where.device == device) {
			refcount_inc(&disk->refs);
			break;
		}
	}
	mutex_unlock(&disks_lock);
	return disk;
}

/**
 * tidemark_disk_next() - one active disk after the other
 * @id: 0, or the number of the one before; is set
 *
 * Return: the disk with a reference, or NULL: there are no more.
 */
struct tidemark_disk *tidemark_disk_next(u64 *id)
{
	struct tidemark_disk *disk;
	unsigned long index = *id;

	mutex_lock(&disks_lock);
	disk = xa_find_after(&disks, &index, ULONG_MAX, XA_PRESENT);
	if (disk)
		refcount_inc(&disk->refs);
	mutex_unlock(&disks_lock);
	*id = index;
	return disk;
}

/**
 * tidemark_disk_list() - the numbers of all active disks
 * @ids: array, filled in ascending order
 * @capacity: of @ids
 *
 * Return: how many disks there are, which may be more than @capacity.
 */
u32 tidemark_disk_list(u64 *ids, u32 capacity)
{
	struct tidemark_disk *disk;
	unsigned long id;
	u32 count = 0;

	mutex_lock(&disks_lock);
	xa_for_each(&disks, id, disk) {
		if (count < capacity)
			ids[count] = id;
		count++;
	}
	mutex_unlock(&disks_lock);
	return count;
}

/**
 * tidemark_disk_lock() - lock a disk that somebody tracks
 * @disk: the caller holds a reference
 *
 * Return: 0, or -ENODEV when it is dead; it is not locked then.
 */
int tidemark_disk_lock(struct tidemark_disk *disk)
{
	mutex_lock(&disk->lock);
	if (!disk->dead)
		return 0;
	mutex_unlock(&disk->lock);
	return -ENODEV;
}

static struct tidemark_disk *disk_find_owner(const void *owner)
{
	struct tidemark_disk *disk;
	unsigned long id;

	mutex_lock(&disks_lock);
	xa_for_each(&disks, id, disk) {
		if (disk->owner == owner) {
			refcount_inc(&disk->refs);
			break;
		}
	}
	mutex_unlock(&disks_lock);
	return disk;
}

/* The disk of a newcomer goes on as it is: it is the first of its owner. */
static void disk_publish(struct tidemark_disk *disk, const void *instance,
			 const struct tidemark_where *where)
{
	u64 epoch;

	mutex_lock(&disk->lock);
	disk->where = *where;
	tidemark_disk_say(disk, "attached");
	tidemark_witness_begin(disk);
	if (disk->keep)
		tidemark_keep_begin(disk);
	epoch = disk->marking->number ?: 1;
	tidemark_epoch_begin(disk->marking, epoch);
	disk->instance = instance;
	refcount_inc(&disk->refs);
	mutex_lock(&disks_lock);
	xa_store(&disks, disk->id, disk, GFP_NOIO);	/* was reserved */
	mutex_unlock(&disks_lock);
	tidemark_event_send(disk, TIDEMARK_EVENT_ATTACHED, epoch,
			    atomic_long_read(&disk->marking->marked));
	if (disk->unreliable_epoch)
		tidemark_event_send(disk, TIDEMARK_EVENT_UNRELIABLE, epoch, 0);
	mutex_unlock(&disk->lock);
}

/* The disk goes on with what a newcomer was made for. */
static void disk_take_over(struct tidemark_disk *disk,
			   struct tidemark_disk *fresh,
			   const struct tidemark_where *where, bool keep)
{
	bool replaced = disk->where.data != where->data;

	if (keep) {
		tidemark_gate_close();
		swap(disk->keep, fresh->keep);
		tidemark_gate_open();
	}
	tidemark_disk_reshape(disk, fresh, where);
	disk->where = *where;
	if (replaced)
		tidemark_witness_begin(disk);
	if (keep)
		tidemark_keep_adopt(disk);
}

/**
 * tidemark_disk_activate() - writes of an instance are about to come
 * @disk: of the instance; the caller's reference to it is taken over
 * @instance: of the tap, compared only
 * @where: the devices
 *
 * Also when an active instance goes on after a pause. The tap guarantees that
 * for this owner no write is in flight or on its way.
 *
 * Context: Process context, allocates nothing that needs I/O, cannot fail. Waits
 * for the metadata device when it is another one, or needs another layout.
 * Return: the disk that the instance is to mark, with a reference.
 */
struct tidemark_disk *tidemark_disk_activate(struct tidemark_disk *disk,
					     const void *instance,
					     const struct tidemark_where *where)
{
	struct tidemark_disk *active = disk_find_owner(disk->owner);
	bool keep = active && active != disk &&
		    tidemark_keep_differs(active, disk);

	if (keep)
		tidemark_keep_retire(active, disk);
	if (active && !tidemark_disk_lock(active)) {
		if (active != disk)
			disk_take_over(active, disk, where, keep);
		active->where = *where;
		active->instance = instance;
		mutex_unlock(&active->lock);
		tidemark_disk_put(disk);
		return active;
	}
	tidemark_disk_put(active);
	disk_publish(disk, instance, where);
	return disk;
}

/* Nobody tracks the disk any more, if this is who did. */
static void disk_end(struct tidemark_disk *disk, const void *instance,
		     bool dropped)
{
	mutex_lock(&disk->lock);
	if (disk->instance != instance || disk->dead) {
		mutex_unlock(&disk->lock);
		return;
	}
	WRITE_ONCE(disk->dead, true);
	tidemark_preserve_end(disk);
	wake_up_all(&disk->wait);
	mutex_lock(&disks_lock);
	xa_erase(&disks, disk->id);
	mutex_unlock(&disks_lock);
	if (dropped)
		disk->reason |= TIDEMARK_REASON_DROPPED;
	tidemark_event_send(disk, TIDEMARK_EVENT_DETACHED,
			    disk->marking->number, 0);
	mutex_unlock(&disk->lock);
	cancel_work_sync(&disk->events);
	tidemark_keep_end(disk);
	tidemark_disk_put(disk);
}

/**
 * tidemark_disk_deactivate() - an instance goes, its writes have all landed
 * @disk: of the instance, with a reference
 * @instance: of the tap
 * @dropped: the device goes on, and nobody has said that it would
 *
 * The disk goes on when another instance was activated since, or this one never.
 * After this nobody uses the devices of the instance.
 *
 * Context: Process context, waits for what others do with the disk, for a flush
 * of its data device, and for its metadata device.
 */
void tidemark_disk_deactivate(struct tidemark_disk *disk, const void *instance,
			      bool dropped)
{
	disk_end(disk, instance, dropped);
	/*
	 * Who flushes the data device found it in @disk->where, under the disk
	 * lock and with this held. The disk is dead or has another instance's
	 * there, so those that still use this one's are all in there now.
	 */
	down_write(&disk->flushing);
	up_write(&disk->flushing);
}

/**
 * tidemark_disk_suspend() - the device is suspended, or resumed
 * @disk: of the instance
 * @instance: of the tap
 * @suspended: which
 */
void tidemark_disk_suspend(struct tidemark_disk *disk, const void *instance,
			   bool suspended)
{
	mutex_lock(&disk->lock);
	if (disk->instance == instance) {
		if (suspended && !disk->suspended)
			tidemark_witness_quiet(disk);
		disk->suspended = suspended;
	}
	mutex_unlock(&disk->lock);
}

/**
 * tidemark_disk_say() - the newest thing a person should know
 * @disk: locked
 * @format: as for printf()
 */
void tidemark_disk_say(struct tidemark_disk *disk, const char *format, ...)
{
	va_list args;

	lockdep_assert_held(&disk->lock);
	va_start(args, format);
	vscnprintf(disk->message, sizeof(disk->message), format, args);
	va_end(args);
}

/**
 * tidemark_disk_unreliable() - something may have been written unmarked
 * @disk: locked
 * @reason: of TIDEMARK_REASON_UNRELIABLE
 * @why: for a person
 *
 * Everything is marked: from here on the bits are right again, if more than is
 * true. A commit of the current epoch, or of a later one, ends the reason.
 *
 * Context: Process context, may sleep.
 */
void tidemark_disk_unreliable(struct tidemark_disk *disk, u32 reason,
			      const char *why)
{
	lockdep_assert_held(&disk->lock);
	disk->reason |= reason;
	disk->unreliable_epoch = disk->marking->number;
	tidemark_mark_range(disk, 0, disk->granules);
	tidemark_disk_say(disk, "unreliable, all marked: %s", why);
	if (disk->instance)
		tidemark_event_send(disk, TIDEMARK_EVENT_UNRELIABLE,
				    disk->unreliable_epoch, disk->granules);
	tidemark_keep_super(disk);
}

/**
 * tidemark_disk_keep_foreign() - is it the metadata of another disk?
 * @fresh: with a keeper, not yet active
 *
 * A disk that is active takes over metadata of its own only, or what was just
 * formatted.
 */
bool tidemark_disk_keep_foreign(const struct tidemark_disk *fresh)
{
	struct tidemark_disk *active = disk_find_owner(fresh->owner);
	bool foreign = false;

	if (active && !tidemark_disk_lock(active)) {
		foreign = tidemark_keep_foreign(active, fresh->keep);
		mutex_unlock(&active->lock);
	}
	tidemark_disk_put(active);
	return foreign;
}
