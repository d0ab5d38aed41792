// SPDX-License-Identifier: GPL-2.0-only
/*
 * The superblocks of a metadata device: what they say, and when a new one must
 * be written before something else may happen.
 */
#include "keep.h"

#include <linux/lockdep.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include "disk.h"

/* Reasons that mean nothing to who reads the metadata later. */
#define REASON_VOLATILE	(TIDEMARK_REASON_META_ERROR | TIDEMARK_REASON_DROPPED)

static void super_disk(struct tidemark_keep *keep,
		       struct tidemark_meta_super *super)
{
	struct tidemark_disk *disk = keep->disk;
	u64 next = disk->marking->number + 1;

	lockdep_assert_held(&disk->lock);
	if (keep->state != TIDEMARK_META_CLEAN)
		next += KEEP_EPOCHS;
	export_uuid(super->uuid, &disk->uuid);
	super->next_epoch = cpu_to_le64(next);
	super->sealed_epoch = cpu_to_le64(disk->sealed_epoch);
	super->committed_epoch = cpu_to_le64(disk->committed_epoch);
	super->unreliable_epoch = cpu_to_le64(disk->unreliable_epoch);
	super->reason = cpu_to_le32(disk->reason & ~REASON_VOLATILE);
}

static void super_clean(struct tidemark_keep *keep,
			struct tidemark_meta_super *super)
{
	const struct tidemark_witness *witness = &keep->disk->witness;

	super->data.diskseq = cpu_to_le64(witness->data.diskseq);
	super->data.sectors = cpu_to_le64(witness->data.sectors);
	super->tracked.diskseq = cpu_to_le64(witness->tracked.diskseq);
	super->tracked.sectors = cpu_to_le64(witness->tracked.sectors);
	/*
	 * Process 1 takes devices apart when there is nobody else any more, at
	 * the end of a shutdown. Nothing is written by anybody after that.
	 */
	if (system_state > SYSTEM_RUNNING || is_global_init(current))
		memset(super->boot, 0, sizeof(super->boot));
}

/*
 * The newest superblock warns of something, and the one before it does not. The
 * sector of the newest may rot: nobody shall then believe the other one.
 */
static bool super_warns(struct tidemark_keep *keep, u32 state, u32 reason)
{
	bool warns = (reason & ~keep->said.reason &
		      TIDEMARK_REASON_UNRELIABLE) ||
		     (state == TIDEMARK_META_ALL &&
		      keep->said.state != TIDEMARK_META_ALL);

	keep->said.state = state;
	keep->said.reason = reason;
	return warns;
}

/* Write the next superblock, into the slot whose turn it is. */
static int super_write_slot(struct tidemark_keep *keep, bool *ret_warns)
{
	u64 seq = keep->seq + 1, writes, other, flushes, errors;
	struct tidemark_disk *disk = keep->disk;
	struct tidemark_meta_super *super;
	u64 limit, committed;
	int err;

	keep->super_due = false;
	super = tidemark_metaio_next(keep->super_io, seq % 2);
	memset(super, 0, TIDEMARK_META_BLOCK);
	tidemark_metaio_counts(keep->io, &writes, &flushes, &errors);
	tidemark_metaio_counts(keep->super_io, &other, &flushes, &errors);
	super->seq = cpu_to_le64(seq);
	super->time = cpu_to_le64(ktime_get_real_seconds());
	super->writes = cpu_to_le64(le64_to_cpu(keep->found.writes) + writes +
				    other + 1);
	memcpy(super->format, keep->format, sizeof(super->format));
	memcpy(super->boot, keep->boot, sizeof(super->boot));
	memcpy(super->identity, keep->identity, sizeof(super->identity));
	mutex_lock(&disk->lock);
	/* Broken meanwhile, by tidemark_intent_patience(): before the new UUID. */
	if (READ_ONCE(keep->mode) == KEEP_BROKEN)
		keep->state = TIDEMARK_META_ALL;
	super->state = cpu_to_le32(keep->state);
	super_disk(keep, super);
	if (keep->state == TIDEMARK_META_CLEAN)
		super_clean(keep, super);
	limit = le64_to_cpu(super->next_epoch);
	committed = disk->committed_epoch;
	mutex_unlock(&disk->lock);
	tidemark_meta_super_seal(super, &keep->layout);

	err = tidemark_metaio_write(keep->super_io, METAIO_ORDERED);
	if (err)
		return err;
	keep->seq = seq;
	keep->grown = false;
	mutex_lock(&disk->lock);
	keep->committed = committed;
	disk->meta_sequence = seq;
	if (READ_ONCE(keep->mode) != KEEP_BROKEN)
		WRITE_ONCE(disk->epoch_limit, limit);
	wake_up_all(&disk->wait);
	mutex_unlock(&disk->lock);
	*ret_warns = super_warns(keep, le32_to_cpu(super->state),
				 le32_to_cpu(super->reason));
	return 0;
}

/**
 * tidemark_super_write() - write the next superblock; one that warns twice
 * @keep: called by the task, or when it has ended
 *
 * Context: Process context, waits for I/O, holds no lock meanwhile.
 * Return: 0 or an errno of the device.
 */
int tidemark_super_write(struct tidemark_keep *keep)
{
	bool warns = false;
	int err = super_write_slot(keep, &warns);

	return err || !warns ? err : super_write_slot(keep, &warns);
}

/**
 * tidemark_keep_super() - what a superblock says has changed
 * @disk: locked
 */
void tidemark_keep_super(struct tidemark_disk *disk)
{
	lockdep_assert_held(&disk->lock);
	if (!disk->keep)
		return;
	WRITE_ONCE(disk->keep->super_due, true);
	tidemark_keep_kick(disk->keep);
}

/**
 * tidemark_keep_epoch_ready() - may the current epoch end?
 * @disk: the caller holds a reference, and perhaps the lock
 *
 * Its successor's number must be below what a superblock says, or it could be
 * given out twice. Otherwise a superblock is on its way, and the disk's wait
 * queue is woken.
 */
bool tidemark_keep_epoch_ready(struct tidemark_disk *disk)
{
	return disk->marking->number + 1 < READ_ONCE(disk->epoch_limit);
}
