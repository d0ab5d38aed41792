/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keeps what is known of a disk on its metadata device, so that it outlives a
 * detach, a crash and a power cut. What is written, in which order, and why
 * that is enough: <linux/tidemark-meta.h> and Documentation/locking.rst.
 *
 *   keep.c        the object, its begin and its end
 *   claim.c       that no two disks use one device for it
 *   load.c        what it finds on the device
 *   intent.c      what writers meet, and the write that they wait for
 *   super.c       superblocks
 *   checkpoint.c  bitmap written, intent cleared
 *   task.c        the one task that does all of this, a step at a time
 *
 * A writer marks first and asks then whether the extents that it writes to are
 * *armed*: their intent bits are durable, and stay so. If not it is held until
 * one write to the metadata device, shared by all that are held, has ended. A
 * checkpoint takes extents that nobody has written to for a while out of the
 * armed ones, writes what is marked in them, and only then clears their bits.
 *
 * NO WRITE IS HELD FOR EVER
 *
 *   It waits for writes to the metadata device, by a work queue with a rescuer,
 *   into memory that is there. When such a write fails, or takes longer than
 *   KEEP_PATIENCE, which is looked at by a queue with another rescuer, all that
 *   are held go on, and nobody is held until the device works again: the disk
 *   says TIDEMARK_REASON_META_ERROR.
 */
#ifndef _TIDEMARK_KEEP_H
#define _TIDEMARK_KEEP_H

#include <linux/list.h>
#include <linux/siphash.h>
#include <linux/spinlock.h>
#include <linux/tidemark.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "meta.h"
#include "metaio.h"

struct block_device;
struct tidemark_disk;
struct tidemark_write;

/* Epoch numbers that are given out until the next superblock. */
#define KEEP_EPOCHS	64

/* Between two checkpoints; between two tries when the device is broken. */
#define KEEP_INTERVAL_MIN	(2 * HZ)
#define KEEP_INTERVAL_MAX	(60 * HZ)

/**
 * enum tidemark_keep_mode - what writers need not, or must, ask for
 * @KEEP_IDLE: not begun, or ended
 * @KEEP_ALL: the device says, or will, that everything has changed: nobody asks
 * @KEEP_ON: writers ask
 * @KEEP_BROKEN: the device cannot be written: nobody asks
 */
enum tidemark_keep_mode {
	KEEP_IDLE,
	KEEP_ALL,
	KEEP_ON,
	KEEP_BROKEN,
};

/**
 * struct tidemark_keep - of a disk with a metadata device
 * @disk: whose; set when it begins
 * @device: the metadata device
 * @layout: of it
 * @format: of its superblock
 * @boot: which boot this is
 * @identity: what the table calls the disk, or ""
 * @found: the superblock that was there; state 0: none that verifies
 * @found_reason: what of enum tidemark_reason was found out by reading
 * @io: for units
 * @super_io: for superblocks
 *
 * @lock: covers what follows; taken with interrupts off
 * @mode: read without @lock by writers
 * @armed: extents whose writers need not wait; read without @lock
 * @recent: extents written to since the last checkpoint; atomic, no lock
 * @durable: extents whose bit is on the device, and will be: changed by the
 *	task alone
 * @landing: extents that are being made durable; the same
 * @leaving: extents that the newest checkpoint took from @armed; the same
 * @wanted: extents that shall be made durable
 * @wanted_blocks: blocks of intent that have such
 * @held: writes that wait for @wanted
 * @going: writes that wait for @landing
 * @held_since: jiffies, the first of them; meaningless when there is none
 * @holds: how many writes were held
 * @intents: how many bits of @durable are set
 * @regrets: extents that were wanted again soon after a checkpoint
 *
 * @stale: blocks of bitmap that are to be written; disk lock
 * @committed: committed epoch of the newest superblock; disk lock
 * @sums: of the blocks of bitmap that are on the device, 0: not known; the task
 * @sums_key: of @sums, random
 * @seq: of the newest superblock; the task
 * @state: enum tidemark_meta_state of superblocks that are written; the task
 * @said: state and reasons of the newest superblock; the task
 * @grown: extents got their intent since the newest superblock; the task
 * @flushed: blocks of units written at the newest flush; the task
 * @interval: between checkpoints, in jiffies; the task
 * @checkpoints: how many have cleared intent
 * @ended: the task does nothing any more, whoever still asks it to
 * @super_due: a superblock is to be written
 * @leave_all: the next checkpoint shall clear all intent; disk lock
 * @tick_due: a checkpoint is to be made
 * @retry_due: it is to be tried whether the device works again
 * @work: the task
 * @tick: makes the task make a checkpoint, or try again
 * @patience: looks how long writes have been held
 */
struct tidemark_keep {
	struct tidemark_disk *disk;
	dev_t device;
	struct tidemark_meta_layout layout;
	u8 format[16];
	u8 boot[16];
	char identity[TIDEMARK_META_ID_SIZE];
	struct tidemark_meta_super found;
	u32 found_reason;
	struct tidemark_metaio *io;
	struct tidemark_metaio *super_io;

	spinlock_t lock;	/* see above */
	enum tidemark_keep_mode mode;
	unsigned long *armed;
	unsigned long *recent;
	unsigned long *durable;
	unsigned long *landing;
	unsigned long *leaving;
	unsigned long *wanted;
	unsigned long *wanted_blocks;
	struct list_head held;
	struct list_head going;
	unsigned long held_since;
	u64 holds;
	u64 intents;
	u64 regrets;

	unsigned long *stale;
	u64 committed;
	u64 *sums;
	siphash_key_t sums_key;
	u64 seq;
	u32 state;
	struct {
		u32 state;
		u32 reason;
	} said;
	bool grown;
	u64 flushed;
	unsigned long interval;
	u64 checkpoints;
	bool ended;
	bool super_due;
	bool leave_all;
	bool tick_due;
	bool retry_due;
	struct work_struct work;
	struct delayed_work tick;
	struct delayed_work patience;
};

/**
 * struct tidemark_claim - a device-mapper table that uses devices
 * @list: of all claims
 * @owner: of the disk: tables of one owner may use the same devices
 * @data: the data device
 * @meta: the metadata device, 0: none
 */
struct tidemark_claim {
	struct list_head list;
	const void *owner;
	dev_t data;
	dev_t meta;
};

/* claim.c */
int tidemark_claim(struct tidemark_claim *claim, const void *owner, dev_t data,
		   dev_t meta);
void tidemark_unclaim(struct tidemark_claim *claim);

/* keep.c */
int tidemark_keep_setup(void);
void tidemark_keep_teardown(void);
int tidemark_keep_create(struct tidemark_disk *disk, struct block_device *bdev,
			 const u8 *boot, const char *identity,
			 const char **ret_why);
void tidemark_keep_free(struct tidemark_keep *keep);
void tidemark_keep_begin(struct tidemark_disk *disk);
void tidemark_keep_end(struct tidemark_disk *disk);
bool tidemark_keep_differs(const struct tidemark_disk *disk,
			   const struct tidemark_disk *fresh);
void tidemark_keep_retire(struct tidemark_disk *disk,
			  const struct tidemark_disk *fresh);
void tidemark_keep_adopt(struct tidemark_disk *disk);
bool tidemark_keep_foreign(const struct tidemark_disk *disk,
			   const struct tidemark_keep *keep);
void tidemark_keep_info(struct tidemark_disk *disk, struct tidemark_info *info);
void tidemark_keep_kick(struct tidemark_keep *keep);
void tidemark_keep_sooner(struct delayed_work *work, unsigned long jiffies);
void tidemark_keep_later(struct delayed_work *work, unsigned long jiffies);
void tidemark_keep_watch(struct tidemark_keep *keep, unsigned long jiffies);

/* intent.c */
bool tidemark_intent_armed(struct tidemark_keep *keep, u64 sector, u64 sectors);
int tidemark_intent_hold(struct tidemark_disk *disk,
			 struct tidemark_write *write, bool nowait);
bool tidemark_intent_step(struct tidemark_keep *keep);
void tidemark_intent_release(struct tidemark_keep *keep,
			     struct list_head *writes);
void tidemark_intent_patience(struct work_struct *work);

/* load.c */
int tidemark_keep_load(struct tidemark_keep *keep, struct tidemark_disk *disk,
		       const char **ret_why);

/* super.c */
int tidemark_super_write(struct tidemark_keep *keep);
void tidemark_keep_super(struct tidemark_disk *disk);
bool tidemark_keep_epoch_ready(struct tidemark_disk *disk);

/* checkpoint.c */
int tidemark_checkpoint(struct tidemark_keep *keep);
int tidemark_checkpoint_last(struct tidemark_keep *keep);
int tidemark_checkpoint_blocks(struct tidemark_keep *keep, bool all);
u64 tidemark_checkpoint_sum(const struct tidemark_keep *keep, const void *block);
void tidemark_checkpoint_later(struct tidemark_keep *keep);
void tidemark_keep_stale(struct tidemark_disk *disk, u64 first, u64 count);
void tidemark_keep_forget(struct tidemark_disk *disk);
int tidemark_keep_checkpoint(struct tidemark_disk *disk);
int tidemark_keep_sync(struct tidemark_disk *disk);
void tidemark_keep_leave(struct tidemark_disk *disk);
void tidemark_keep_left(struct tidemark_disk *disk, unsigned long until);

/* task.c */
void tidemark_keep_work(struct work_struct *work);
void tidemark_keep_tick(struct work_struct *work);
void tidemark_keep_break(struct tidemark_keep *keep, const char *why);
int tidemark_keep_save(struct tidemark_keep *keep);
int tidemark_keep_disown(struct tidemark_keep *keep);

#endif /* _TIDEMARK_KEEP_H */
