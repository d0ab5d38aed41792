/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hasher: answers HASH. It reads what the newest committed point says of a
 * region, several pieces at a time, and hashes each granule.
 */
#ifndef TIDEMARK_RECEIVE_HASHER_H
#define TIDEMARK_RECEIVE_HASHER_H

#include "point/stage.h"
#include "ring/ring.h"
#include "wire/hash.h"

/* Pieces in flight, all together; a piece is 1 MiB, or a granule if that is more. */
#define HASHER_SIZE MIB(8)
#define HASHER_PIECE MIB(1)
#define HASHER_DEPTH (HASHER_SIZE / HASHER_PIECE)

struct hasher;

/* Private: a piece being read. */
struct hasher_piece {
	struct ring_op op;
	struct hasher *hasher;
	uint8_t *buf;
	uint64_t begin;
	uint32_t span;
	uint32_t moved;
	uint32_t want;
	bool busy;
};

/* Private. @hashes: room for the answer to the largest request; @size: of one of them */
struct hasher {
	struct ring *ring;
	struct stage *stage;
	uint32_t disk;
	uint32_t granule;
	uint64_t offset;
	uint8_t *area;
	uint8_t *hashes;
	struct hash *hash;
	uint32_t size;
	int error;
	struct hasher_piece pieces[HASHER_DEPTH];
};

/**
 * hasher_open() - get what it needs, unless it is there
 *
 * Return: 0, -ENOMEM, or as hash_create().
 */
int hasher_open(struct hasher *h, struct ring *ring, struct stage *stage, enum hash_kind kind);
/** hasher_close() - free it; may be called twice, and on zeroes */
void hasher_close(struct hasher *h);

/**
 * hasher_run() - hash the granules of a region
 * @offset: a multiple of the granule
 * @span: bytes; whole granules unless it ends with the disk, at most
 *	as many as have room for their hashes in FRAME_PAYLOAD_MAX
 * @ret: hash_size() bytes for each, until the next call
 *
 * Return: 0 or the errno of a read, or of hash_run().
 */
int hasher_run(struct hasher *h, uint32_t disk, uint32_t granule, uint64_t offset, uint64_t span,
	       const uint8_t **ret);

#endif
