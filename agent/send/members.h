/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The members of a run: its disks, by VMs, and what the parts of a run share.
 * Nobody but the files of a run (run.c, members.c, verify.c) includes this.
 *
 * A member fails alone. What is out of order with a disk drops it, and the other
 * disks of its VM: half of a VM is worth nothing. The rest goes on to a point.
 * What is out of order with the connection, the receiver as a whole or this
 * process ends the run.
 */
#ifndef TIDEMARK_SEND_MEMBERS_H
#define TIDEMARK_SEND_MEMBERS_H

#include "send/run.h"
#include "send/session.h"

/**
 * struct run - a run under way
 * @reason: why the run as a whole fails
 * @disks: those that take part, in the order of the configuration
 * @count: of them, dropped ones too
 * @point: that the replica has already
 * @first: the first disk that failed; its reason is the run's when none is left
 * @frozen: every VM that is left was frozen at the newest seal
 * @features: agreed on with the receiver, enum frame_feature
 * @kernel: enum tls_kernel, of the connection
 * @kernel_why: why it is not what was asked for; NULL: it is
 * @pass: that is under way, the first is 0
 * @renewed: so many connections went before this one, each as far as its key lasted
 */
struct run {
	const struct run_config *config;
	struct run_control *control;
	struct progress *progress;
	struct run_report *report;
	struct reason *reason;
	struct ring *ring;
	struct tls_context *tls;
	struct conn *conn;
	struct pump *pump;
	struct brake brake;
	struct session_disk *disks;
	size_t count;
	uint64_t point;
	const struct session_disk *first;
	bool frozen;
	uint32_t features;
	uint32_t kernel;
	const char *kernel_why;
	uint32_t pass;
	uint32_t renewed;
};

/* "disk web01/vda", for sentences. */
#define DISK_FORMAT "disk %s/%s"
#define DISK_NAMES(d) (d)->config->vm, (d)->config->name

/** members_first(), members_next() - the disks that were not dropped; NULL: no more */
struct session_disk *members_first(struct run *r);
struct session_disk *members_next(struct run *r, struct session_disk *d);

/** members_count() - how many were not dropped */
size_t members_count(struct run *r);

/**
 * members_open() - open every disk that is not left out
 *
 * Return: 0, or the negative errno that ends the run.
 */
int members_open(struct run *r);

/**
 * members_renew() - before members_close(): another connection goes on with what is left
 *
 * What is owed of them counts with the seal that comes. Return: all of them can be gone on
 * with, as the receiver has them, and not for ever: so many connections go before.
 */
bool members_renew(struct run *r, uint64_t bytes_each);

/**
 * members_close() - close, complete the report
 * @failed: so did the run. What was not committed is folded, unless the receiver
 *	may have kept some of it
 */
void members_close(struct run *r, bool failed);

/**
 * members_drop() - a disk cannot go on
 * @err: negative errno
 * @code: enum reason_code; 0: chosen by @err
 * @format: the sentence; what @d->report->reason says already stands
 *
 * Drops its VM (in a verification: the disk alone); the receiver is told of disks
 * that it knows. A cancelled run is not the disk's fault, a final run drops nothing:
 * both end.
 *
 * Return: 0: go on without it; or the negative errno that ends the run.
 */
int members_drop(struct run *r, struct session_disk *d, int err, uint32_t code,
		 const char *format, ...) __attribute__((format(printf, 5, 6)));

/**
 * members_leave() - let go who was taken out meanwhile, as members_drop() does
 *
 * Return: 0: go on without them; -ECANCELED: nobody is left; or the negative errno that
 * ends the run.
 */
int members_leave(struct run *r);

/** members_warn() - add to the warnings of the report; what has no room is cut */
void members_warn(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * members_seal() - end the epoch of all disks that are left at one instant
 * @extend: what was sealed before stays sealed
 *
 * Disks that cannot be sealed are dropped, and the others sealed without them.
 */
int members_seal(struct run *r, bool extend);

#endif
