/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session: which frame a receiver may get when, and what it may say. Pure:
 * no I/O, no clock; memory for its disks only.
 *
 * Everything that a peer can do wrong with well-formed frames is refused here:
 * frames out of order, disks that were not opened, regions outside of a disk
 * or not in whole clusters, totals at END that are not those of the frames
 * that came.
 *
 * A frame passes twice: session_check() sees its header, before a byte of
 * payload is received; session_take() sees all of it, once its checksum has
 * been verified, and takes the step.
 */
#ifndef TIDEMARK_WIRE_SESSION_H
#define TIDEMARK_WIRE_SESSION_H

#include "wire/frame.h"

/** enum session_phase - of a connection, from the receiver's side */
enum session_phase {
	SESSION_NEW,	   /* HELLO must come */
	SESSION_OPEN,	   /* the job is under way */
	SESSION_COMMITTED, /* COMMIT has come: nothing more about disks */
	SESSION_LANE,	   /* JOIN has come: it is read where another session says so */
};

/** enum session_disk_phase - of one disk */
enum session_disk_phase {
	SESSION_DISK_OPENED,
	SESSION_DISK_BEGUN,
	SESSION_DISK_ENDED,
	SESSION_DISK_DROPPED, /* by either side: nothing more about it */
};

/**
 * struct session_disk - a disk of the job
 * @open: what OPEN said
 * @phase: enum session_disk_phase
 * @mode: enum frame_mode, from BEGIN
 * @force: from BEGIN
 * @resume: from BEGIN
 * @sealed_epoch: from the newest SEALED, 0: there was none, or more of it must come
 * @sealing: of a SEALED that more must follow, else 0
 * @begin_epoch: from BEGIN
 * @epoch: that END closed
 * @unit: regions of DATA and ZERO are multiples of this, except at the disk's end
 * @sum: of the DATA and ZERO frames that came
 */
struct session_disk {
	struct frame_open open;
	enum session_disk_phase phase;
	uint32_t mode;
	bool force;
	bool resume;
	uint64_t begin_epoch;
	uint64_t sealed_epoch;
	uint64_t sealing;
	uint64_t epoch;
	uint32_t unit;
	struct frame_end sum;
};

/**
 * struct session - the receiver's view of a connection
 * @phase: enum session_phase
 * @version: agreed on
 * @features: agreed on, enum frame_feature
 * @commit: what COMMIT said; without FRAME_FEATURE_POINT: what may be assumed
 * @hello: what HELLO said
 * @join: what JOIN said
 * @take: what the newest TAKE said; as long as its .frames is not 0 the next frame is one
 *	of that lane, and DATA, packed or not
 * @disks: by their handles
 * @disk_count: of them
 * @disk_max: no more are allowed
 * @why: after a fault: the sentence, more exact than frame_fault_text(); or NULL
 */
struct session {
	enum session_phase phase;
	uint16_t version;
	uint32_t features;
	struct frame_commit commit;
	struct frame_hello hello;
	struct frame_join join;
	struct frame_take take;
	struct session_disk *disks;
	uint32_t disk_count;
	uint32_t disk_room;
	uint32_t disk_max;
	const char *why;
};

/* Granules above this are written in several clusters; see point/overlay.h. */
#define SESSION_UNIT_MAX 65536u

/** session_init() - a session that waits for HELLO; @disk_max: at most FRAME_DISKS_MAX */
void session_init(struct session *s, uint32_t disk_max);
/** session_done() - free what it holds */
void session_done(struct session *s);

/**
 * session_check() - may this frame come now?
 * @f: passed frame_check()
 *
 * Return: FRAME_OK or a positive enum frame_fault, then @s->why is set.
 */
int session_check(struct session *s, const struct frame *f);

/**
 * session_take() - take the step
 * @f: passed session_check(), and frame_verify() with @payload
 *
 * Return: FRAME_OK; a positive enum frame_fault, then @s->why is set; -ENOMEM.
 */
int session_take(struct session *s, const struct frame *f, const void *payload);

/** session_drop() - the receiver gives up a disk, with FRAME_FEATURE_DROP */
void session_drop(struct session *s, uint32_t disk);

/** session_hashes() - granules that a HASH frame asks for */
uint32_t session_hashes(const struct session *s, const struct frame *f);

#endif
