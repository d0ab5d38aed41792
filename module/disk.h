/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tracked disk, and what can be done with it. Nothing here knows what kind
 * of device it is: that is the tap's business (target.c is the only one yet).
 *
 * LIFE
 *
 *   A tap creates a disk for each of its instances (for device mapper: for
 *   each table that is loaded), with all memory that it will ever need, and
 *   activates it when writes are about to come. Activation finds out whether
 *   the same owner has an active disk already, as when a table is reloaded:
 *   that disk then goes on under its number and UUID, takes over the memory of
 *   the newcomer where the geometry has changed, and the newcomer is dropped.
 *   Nothing can fail at that point, and an instance that is never activated
 *   has changed nothing. Deactivation by the instance that was activated last
 *   makes the disk dead: nobody tracks its writes any more.
 *
 *   A dead disk is out of the registry; requests that hold a reference get
 *   ENODEV, those that wait are woken. Its memory goes with the last reference.
 */
#ifndef _TIDEMARK_DISK_H
#define _TIDEMARK_DISK_H

#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/tidemark.h>
#include <linux/types.h>
#include <linux/uuid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "epoch.h"
#include "preserve.h"
#include "witness.h"

struct tidemark_keep;

/**
 * struct tidemark_where - what an instance of a tap knows of its devices
 * @device: the tracked one
 * @data: the one below
 * @tracked_bdev: the tracked one, there while the instance is
 * @data_bdev: the one below, the same
 * @name: of the tracked one
 */
struct tidemark_where {
	dev_t device;
	dev_t data;
	struct block_device *tracked_bdev;
	struct block_device *data_bdev;
	char name[TIDEMARK_NAME_SIZE];
};

/**
 * struct tidemark_stats - of one processor
 * @writes: writes passed down, of any kind
 * @write_sectors: sectors written
 * @discard_sectors: sectors discarded
 */
struct tidemark_stats {
	u64 writes;
	u64 write_sectors;
	u64 discard_sectors;
};

/**
 * struct tidemark_disk - a tracked disk
 * @refs: the registry, each instance of a tap, each request under way
 * @id: its number, never used again
 * @uuid: of the tracker
 * @owner: what the tap knows the device by, compared only
 * @lock: covers all that has no other rule; never held while waiting for I/O
 * @flushing: held for reading while the data device is flushed: an instance of
 *	the tap that goes waits for it before it lets go of its devices
 * @sectors: size; changes only while no write is in flight
 * @granules: size; the same
 * @shift: log2 of the sectors in a granule; the same
 * @epochs: the two that take turns
 * @marking: the current one; changes with @lock and the gate closed, may be
 *	read with either
 * @owed: the other one; the same
 * @sealed_bits: sealed and not committed
 * @sealed: how many bits are set in it
 * @sealed_epoch: the newest sealed epoch, 0: none
 * @committed_epoch: the newest committed epoch, 0: none
 * @threshold: of the current bitmap, 0: none; read without @lock
 * @epoch_limit: epochs up to this number, not included, may be given out: a
 *	superblock says so; read without @lock
 * @commit_held: commits wait while a superblock tells of the one before; written
 *	with @lock, read without
 * @unreliable_epoch: see TIDEMARK_REASON_UNRELIABLE
 * @attach: see struct tidemark_info
 * @meta_found: the same
 * @meta_sequence: of the newest superblock, of whatever keeper
 * @keep: its metadata device, or NULL; changes with @lock and the gate closed
 * @to_save: counts requests that must be durable before they return
 * @saved: how many of them are; both are read without @lock
 * @witness: what the block layer has counted
 * @preserve: copy-before-write for the views
 * @stats: per CPU, read at any time
 * @wait: for @owed to drain, and for all that ends such a wait
 * @events: sends the events that writers ask for
 * @instance: of the tap, that was activated last
 * @where: the devices
 * @reason: enum tidemark_reason
 * @suspended: by the tap
 * @dead: nobody tracks it any more; read without @lock by those who wait
 * @message: the newest thing a person should know
 */
struct tidemark_disk {
	refcount_t refs;
	u64 id;
	uuid_t uuid;
	const void *owner;
	struct mutex lock;	/* see Documentation/locking.rst */
	struct rw_semaphore flushing;

	u64 sectors;
	u64 granules;
	unsigned int shift;

	struct tidemark_epoch epochs[2];
	struct tidemark_epoch *marking;
	struct tidemark_epoch *owed;
	unsigned long *sealed_bits;
	u64 sealed;
	u64 sealed_epoch;
	u64 committed_epoch;
	u64 threshold;

	u64 epoch_limit;
	bool commit_held;
	u64 unreliable_epoch;
	u64 attach;
	u64 meta_found;
	u64 meta_sequence;
	struct tidemark_keep *keep;
	u64 to_save;
	u64 saved;
	struct tidemark_witness witness;

	struct tidemark_preserve preserve;
	struct tidemark_stats __percpu *stats;
	wait_queue_head_t wait;
	struct work_struct events;

	const void *instance;
	struct tidemark_where where;
	u32 reason;
	bool suspended;
	bool dead;
	char message[TIDEMARK_MESSAGE_SIZE];
};

/* disk.c: the object and the registry */
int tidemark_disk_create(const void *owner, u64 sectors, u32 granule_sectors,
			 struct tidemark_disk **ret_disk);
struct tidemark_disk *tidemark_disk_activate(struct tidemark_disk *disk,
					     const void *instance,
					     const struct tidemark_where *where);
void tidemark_disk_deactivate(struct tidemark_disk *disk, const void *instance,
			      bool dropped);
bool tidemark_disk_keep_foreign(const struct tidemark_disk *fresh);
void tidemark_disk_suspend(struct tidemark_disk *disk, const void *instance,
			   bool suspended);
void tidemark_disk_put(struct tidemark_disk *disk);
struct tidemark_disk *tidemark_disk_find(u64 id);
struct tidemark_disk *tidemark_disk_find_device(dev_t device);
int tidemark_disk_lock(struct tidemark_disk *disk);
__printf(2, 3) void tidemark_disk_say(struct tidemark_disk *disk,
				      const char *format, ...);
void tidemark_disk_unreliable(struct tidemark_disk *disk, u32 reason,
			      const char *why);
struct tidemark_disk *tidemark_disk_next(u64 *id);
u32 tidemark_disk_list(u64 *ids, u32 capacity);

/* query.c: what can be asked */
u64 tidemark_query_passed(const struct tidemark_disk *disk);
int tidemark_query_info(struct tidemark_disk *disk, struct tidemark_info *info);
int tidemark_query_check(struct tidemark_disk *disk, u64 first, u64 count);
int tidemark_query_bytes(struct tidemark_disk *disk, u32 which, u64 first,
			 u64 count, u64 *epoch, u8 *bytes);
int tidemark_query_runs(struct tidemark_disk *disk,
			struct tidemark_runs *request,
			struct tidemark_run *runs);
int tidemark_query_count(struct tidemark_disk *disk,
			 struct tidemark_count *request);

/* resize.c: another geometry for a disk that goes on */
void tidemark_disk_reshape(struct tidemark_disk *disk,
			   struct tidemark_disk *fresh,
			   const struct tidemark_where *where);

/* mark.c: what writers do, and those who mark for them */
#define TIDEMARK_WRITE_OWED	1	/* it meets owed granules */
#define TIDEMARK_WRITE_INTENT	2	/* it meets extents without intent */

int tidemark_write_begin(struct tidemark_disk *disk, u64 sector, u64 sectors,
			 bool discard, bool nowait,
			 struct tidemark_write *write);
int tidemark_write_hold(struct tidemark_disk *disk, int why, bool nowait,
			bool discard, struct tidemark_write *write);
void tidemark_mark_torn(struct tidemark_disk *disk,
			struct tidemark_epoch *owed);
void tidemark_mark_added(struct tidemark_disk *disk,
			 struct tidemark_epoch *epoch, u64 added);
u64 tidemark_mark_range(struct tidemark_disk *disk, u64 first, u64 count);
int tidemark_mark_runs(struct tidemark_disk *disk,
		       const struct tidemark_run *runs, u32 count);
int tidemark_mark_threshold(struct tidemark_disk *disk, u64 granules);
void tidemark_mark_events(struct work_struct *work);

/* seal.c: the sealed epoch */

/**
 * struct tidemark_seal_item - a disk of a seal
 * @disk: the caller holds a reference
 * @slot: the caller's own
 * @epoch: out: that was sealed
 * @owed: out: granules in it
 */
struct tidemark_seal_item {
	struct tidemark_disk *disk;
	u32 slot;
	u64 epoch;
	u64 owed;
};

int tidemark_seal(struct tidemark_seal_item *items, u32 count, u32 flags,
		  u32 timeout_ms, u64 *ret_excluded_ns);
int tidemark_seal_wait(struct tidemark_disk *disk, u64 epoch, u32 timeout_ms);
int tidemark_seal_release(struct tidemark_disk *disk, u64 epoch,
			  const struct tidemark_run *runs, u32 count);
int tidemark_seal_settle(struct tidemark_disk *disk, u64 epoch,
			 const struct tidemark_run *runs, u32 count);
int tidemark_seal_commit(struct tidemark_disk *disk, u64 epoch);
int tidemark_seal_fold(struct tidemark_disk *disk, u64 epoch);
void tidemark_seal_fold_locked(struct tidemark_disk *disk);

#endif /* _TIDEMARK_DISK_H */
