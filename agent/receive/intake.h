/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The intake: chunks on their way from the socket to the disk. A chunk is
 * received straight into its place in a fixed area, and written from there,
 * several at a time. Chunks that follow each other in the file, as those of an
 * overlay mostly do, are written by one request. When the area is full, taking one
 * more waits: the socket is not read meanwhile, and TCP holds the sender back.
 */
#ifndef TIDEMARK_RECEIVE_INTAKE_H
#define TIDEMARK_RECEIVE_INTAKE_H

#include "point/stage.h"
#include "ring/ring.h"

#define INTAKE_SIZE MIB(6)
#define INTAKE_DEPTH 96
/* A write of many chunks has at most so many bytes; a single chunk may have more. */
#define INTAKE_WRITE KIB(512)

struct intake;

/**
 * struct intake_chunk - a region of a disk and its bytes
 * @buf: the bytes; aligned to IO_ALIGN, room up to a whole unit
 * The rest is private.
 */
struct intake_chunk {
	uint8_t *buf;
	struct ring_op op;
	struct intake *intake;
	uint32_t start;
	uint32_t room;
	uint32_t disk;
	uint64_t offset;
	uint32_t span;
	uint32_t moved;
	uint32_t joined;
	bool busy;
};

/*
 * Private: the area is a ring of chunks, freed in the order in which they came. The
 * write that begins with @held waits for what may join it: @data goes to @place. @file is
 * what the ring holds, -1: nothing.
 */
struct intake {
	struct ring *ring;
	struct stage *stage;
	uint8_t *area;
	uint32_t head;
	uint32_t first;
	uint32_t count;
	int error;
	struct intake_chunk *held;
	struct raw_place place;
	int file;
	uint8_t *data;
	struct intake_chunk chunks[INTAKE_DEPTH];
};

/** intake_open() - get the area. Return: 0 or -ENOMEM */
int intake_open(struct intake *t, struct ring *ring, struct stage *stage);
/** intake_close() - wait for what is under way and free the area; may be called twice */
void intake_close(struct intake *t);

/**
 * intake_take() - a place for a chunk
 * @span: bytes that will be received
 * @unit: the chunk's room is rounded up to this; the rest is filled with zeroes
 *
 * Waits for room. Return: 0 or a negative errno: of the write that failed.
 */
int intake_take(struct intake *t, uint32_t span, uint32_t unit, struct intake_chunk **ret);

/** intake_drop() - give back the chunk that was taken last, unwritten */
void intake_drop(struct intake *t, struct intake_chunk *c);

/**
 * intake_write() - write a chunk that has been received
 *
 * If something that overlaps is being written, that ends first, so that the
 * chunk that came last is what stays. Errors come from the calls that follow.
 */
int intake_write(struct intake *t, struct intake_chunk *c, uint32_t disk, uint64_t offset);

/** intake_settle() - no write to this region is under way. Return: 0 or errno as above */
int intake_settle(struct intake *t, uint32_t disk, uint64_t offset, uint64_t span);

/**
 * intake_drain() - no write is under way at all, and no file is held: before one is closed
 *
 * Return: 0 or errno as above.
 */
int intake_drain(struct intake *t);

#endif
