// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/hasher.h"

#include <string.h>

int hasher_open(struct hasher *h, struct ring *ring, struct stage *stage, enum hash_kind kind)
{
	int err;

	if (h->area)
		return 0;
	*h = (struct hasher){ .ring = ring, .stage = stage, .size = hash_size(kind) };
	h->area = ring_memory(ring, HASHER_SIZE);
	h->hashes = malloc(FRAME_PAYLOAD_MAX);
	err = h->area && h->hashes ? hash_create(&h->hash, kind) : -ENOMEM;
	if (err)
		hasher_close(h);
	return err;
}

static int hasher_wait(struct hasher *h)
{
	int err = ring_run(h->ring);

	return err == -EINTR ? 0 : err;
}

void hasher_close(struct hasher *h)
{
	/* A ring that has failed once has not ended what was begun. */
	for (uint32_t i = 0; i < ARRAY_SIZE(h->pieces); i++)
		while (h->pieces[i].busy && hasher_wait(h) != -EBADF)
			;
	if (h->area)
		ring_memory_free(h->ring, h->area);
	free(h->hashes);
	hash_destroy(h->hash);
	*h = (struct hasher){ 0 };
}

static void piece_hash(struct hasher_piece *p)
{
	struct hasher *h = p->hasher;
	uint64_t first = (p->begin - h->offset) / h->granule;

	for (uint32_t at = 0; at < p->span; at += h->granule, first++) {
		int err = hash_run(h->hash, p->buf + at, u64_min(h->granule, p->span - at),
				   h->hashes + first * h->size);

		if (err)
			h->error = err;
	}
	p->busy = false;
}

static void piece_done(struct ring_op *op, int64_t result);

/* What the replica does not have, because the disk was shorter, is zeroes. */
static void piece_step(struct hasher_piece *p)
{
	struct hasher *h = p->hasher;
	struct chain_run run = { 0 };

	while (p->moved < p->span) {
		int err = stage_source(h->stage, h->disk, p->begin + p->moved,
				       p->span - p->moved, &run);

		if (err) {
			h->error = err;
			p->busy = false;
			return;
		}
		if (run.kind == CHAIN_DATA)
			break;
		memset(p->buf + p->moved, 0, run.length);
		p->moved += run.length;
	}
	if (p->moved == p->span) {
		piece_hash(p);
		return;
	}
	p->want = run.length;
	p->moved += run.length;
	ring_read(h->ring, &p->op, run.place.fd, p->buf + p->moved - run.length, run.length,
		  run.place.offset);
}

static void piece_done(struct ring_op *op, int64_t result)
{
	struct hasher_piece *p = container_of(op, struct hasher_piece, op);

	if (result >= 0 && (uint64_t)result < p->want)
		result = -EIO; /* stage_source() never goes beyond the end */
	if (result < 0) {
		p->hasher->error = result;
		p->busy = false;
		return;
	}
	if (p->moved < p->span)
		piece_step(p);
	else
		piece_hash(p);
}

static void piece_start(struct hasher *h, uint32_t index, uint64_t begin, uint32_t span)
{
	struct hasher_piece *p = &h->pieces[index];

	*p = (struct hasher_piece){
		.op.done = piece_done,
		.hasher = h,
		.buf = h->area + index * u64_max(HASHER_PIECE, h->granule),
		.begin = begin,
		.span = span,
		.busy = true,
	};
	piece_step(p);
}

int hasher_run(struct hasher *h, uint32_t disk, uint32_t granule, uint64_t offset, uint64_t span,
	       const uint8_t **ret)
{
	uint32_t room = u64_max(HASHER_PIECE, granule);
	uint32_t depth = HASHER_SIZE / room;
	uint64_t done = 0;
	int err = 0;

	h->disk = disk;
	h->granule = granule;
	h->offset = offset;
	h->error = 0;
	/* In turn: the piece that is wanted next is the one that was begun first. */
	for (uint32_t i = 0; done < span && !h->error && !err; i = (i + 1) % depth) {
		uint32_t length = u64_min(room, span - done);

		while (h->pieces[i].busy && !err)
			err = hasher_wait(h);
		if (err || h->error)
			break;
		piece_start(h, i, offset + done, length);
		done += length;
	}
	for (uint32_t i = 0; i < depth; i++)
		while (h->pieces[i].busy && !err)
			err = hasher_wait(h);
	if (err || h->error)
		return err ? err : h->error;
	*ret = h->hashes;
	return 0;
}
