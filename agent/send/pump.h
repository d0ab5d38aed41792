/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pump: moves what a plan names from disks to the connection.
 *
 *   plan -> [ slot | slot | slot | ... ] -> frames
 *             read    read   sent
 *
 * A slot is a buffer and the read that fills it. Slots form a ring: filled in
 * plan order, read all at once, handed on in plan order, freed when the network
 * has taken their bytes. So reads run at the depth that a disk wants, the
 * replica is written in disk order, neighbouring zeroes become one frame, and
 * the slowest of disk, processor and network holds up the others without
 * anything growing: memory is pump_memory() from start to end.
 */
#ifndef TIDEMARK_SEND_PUMP_H
#define TIDEMARK_SEND_PUMP_H

#include "send/brake.h"
#include "send/conn.h"
#include "send/source.h"
#include "wire/hash.h"

struct pump;

/** Buffers of one run, in bytes; more only if four granules need more. */
#define PUMP_MEMORY MIB(8)
/** Bytes of a region, more only for a single larger granule. */
#define PUMP_REGION KIB(256)
#define PUMP_DEPTH_MIN 4
#define PUMP_DEPTH_MAX 32

/** enum pump_task - what is done with what was read */
enum pump_task {
	PUMP_SEND,    /* owed granules: sent, released */
	PUMP_COMPARE, /* owed granules: sent if they differ there, released */
	PUMP_VERIFY,  /* all granules: told if they differ there, nothing sent */
};

/**
 * struct pump_disk - a disk as the pump needs it
 * @source: its bits and bytes
 * @handle: its number on the wire
 * @task: enum pump_task
 * @sent: frames, bytes and digest so far; the pump adds to it
 * @verify_size: PUMP_VERIFY: the granules up to here, the replica has no more
 * @progress: counters of the disk
 * @reason: filled when the disk fails
 * @error: the errno for it
 * @leave: set by another thread: fail it with -ECANCELED; NULL: nobody does
 */
struct pump_disk {
	struct source *source;
	uint32_t handle;
	enum pump_task task;
	struct frame_end sent;
	uint64_t verify_size;
	struct progress *progress;
	struct reason *reason;
	int error;
	const _Atomic bool *leave;
};

/**
 * typedef pump_differ - PUMP_VERIFY: a granule differs
 * @granule: its number
 * @length: bytes
 *
 * Both hashes were taken before the call. Return: 0 or a negative errno: the disk
 * has failed, and @disk->reason is filled.
 */
typedef int (*pump_differ)(void *owner, struct pump_disk *disk, uint64_t granule,
			   uint64_t length);

/**
 * pump_create() - buffers for disks of granules up to @granule bytes
 * @ring: of this thread, with room for one operation more than PUMP_DEPTH_MAX
 * @progress: of the run
 * @paused: while it is set no read is started
 */
int pump_create(struct pump **ret, struct ring *ring, uint32_t granule,
		struct progress *progress, const _Atomic bool *paused);
/**
 * pump_pack() - pack what is sent where that pays, from here on
 * @features: that were agreed on: what it may be packed with
 *
 * While the network is fast nothing is packed: it would only cost time. Takes PUMP_MEMORY
 * more. Return: 0 or -ENOMEM.
 */
int pump_pack(struct pump *p, uint32_t features);
/** pump_frame_max() - DATA frames are no longer than this, a multiple of 64 KiB */
void pump_frame_max(struct pump *p, uint32_t bytes);
/**
 * pump_hash() - how granules are compared, before the first one is; once
 *
 * Return: 0, or as hash_create().
 */
int pump_hash(struct pump *p, enum hash_kind kind);
/**
 * pump_compare_rate() - how fast disks are read to be compared
 * @limit: bytes a second, may be shared and changed at any time; NULL: none
 *
 * The receiver reads what it is asked for: no faster either. What is read to be sent is
 * limited by how fast it is sent.
 */
void pump_compare_rate(struct pump *p, struct throttle *limit);
/** pump_destroy() - after conn_close(); NULL is ignored. Return: NULL */
struct pump *pump_destroy(struct pump *p);

/** pump_on_differ() - who is told of differences */
void pump_on_differ(struct pump *p, pump_differ differ, void *owner);

/** pump_brake() - what holds its reads back; borrowed */
void pump_brake(struct pump *p, struct brake *brake);

/** enum pump_answer - how pump_disk_run() ended */
enum pump_answer {
	PUMP_DONE = 0,
	PUMP_DISK_FAILED = 1, /* see pump_disk.error and .reason; the connection is whole */
};

/**
 * pump_disk_run() - move everything that a disk owes (PUMP_VERIFY: everything)
 *
 * Returns when all has been read and queued for sending, and the granules are
 * released; what is queued is sent by the calls that follow. When a read fails
 * because the epoch was torn, the rest is left owed: also 0, the caller looks
 * for a tear in any case. What was released before is of the moment of the seal
 * or, without a view, marked again.
 *
 * Return: enum pump_answer, or a negative errno of the connection.
 */
int pump_disk_run(struct pump *p, struct conn *conn, struct pump_disk *disk);

/** pump_memory() - bytes of all buffers, for disks of granules up to @granule bytes */
uint64_t pump_memory(uint32_t granule);

#endif
