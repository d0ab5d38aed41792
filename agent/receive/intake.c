// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/intake.h"

#include <string.h>

#include "base/crash.h"

int intake_open(struct intake *t, struct ring *ring, struct stage *stage)
{
	*t = (struct intake){ .ring = ring, .stage = stage };
	t->area = ring_memory(ring, INTAKE_SIZE);
	return t->area ? 0 : -ENOMEM;
}

static int intake_wait(struct intake *t)
{
	int err = ring_run(t->ring);

	return err == -EINTR ? 0 : err;
}

int intake_drain(struct intake *t)
{
	for (uint32_t i = 0; i < INTAKE_DEPTH; i++)
		while (t->chunks[i].busy) {
			int err = intake_wait(t);

			if (err)
				return err;
		}
	return t->error;
}

void intake_close(struct intake *t)
{
	if (!t->area)
		return;
	intake_drain(t);
	t->area = ring_memory_free(t->ring, t->area);
}

/* -- the area ------------------------------------------------------------------------ */

static void intake_reap(struct intake *t)
{
	while (t->count && !t->chunks[t->first].busy && t->chunks[t->first].room) {
		t->chunks[t->first].room = 0;
		t->first = (t->first + 1) % INTAKE_DEPTH;
		t->count--;
	}
	if (!t->count)
		t->head = 0;
}

/*
 * Where @room bytes fit, in one piece. The used part runs from the oldest
 * chunk's start to @head, perhaps around the end of the area; @head meets the
 * oldest chunk only when the area is full.
 */
static bool intake_fit(const struct intake *t, uint32_t room, uint32_t *ret)
{
	uint32_t tail = t->chunks[t->first].start;

	if (t->count == INTAKE_DEPTH)
		return false;
	if (!t->count || t->head > tail) {
		if (room <= INTAKE_SIZE - t->head) {
			*ret = t->head;
			return true;
		}
		*ret = 0;
		return t->count && room <= tail;
	}
	*ret = t->head;
	return room <= tail - t->head;
}

int intake_take(struct intake *t, uint32_t span, uint32_t unit, struct intake_chunk **ret)
{
	uint32_t room = u64_align(u64_align(span, unit), IO_ALIGN);
	struct intake_chunk *c;
	uint32_t start;

	for (;;) {
		int err = t->error;

		if (err)
			return err;
		intake_reap(t);
		if (intake_fit(t, room, &start))
			break;
		err = intake_wait(t);
		if (err)
			return err;
	}
	c = &t->chunks[(t->first + t->count) % INTAKE_DEPTH];
	*c = (struct intake_chunk){
		.intake = t,
		.buf = t->area + start,
		.start = start,
		.room = room,
		.span = span,
		.busy = false,
	};
	memset(c->buf + span, 0, room - span);
	t->count++;
	t->head = start + room;
	*ret = c;
	return 0;
}

void intake_drop(struct intake *t, struct intake_chunk *c)
{
	/* It was the last: what comes next takes its place. */
	t->head = c->start;
	c->room = 0;
	t->count--;
}

/* -- writing --------------------------------------------------------------------------- */

static void chunk_done(struct ring_op *op, int64_t result);

static void chunk_fail(struct intake_chunk *c, int err)
{
	if (!c->intake->error)
		c->intake->error = err;
	c->busy = false;
}

/* As much of the chunk as lies together. */
static void chunk_step(struct intake_chunk *c)
{
	struct intake *t = c->intake;
	struct raw_place place;
	int err = stage_place(t->stage, c->disk, c->offset + c->moved, c->span - c->moved, &place);

	if (err) {
		chunk_fail(c, err);
		return;
	}
	ring_write(t->ring, &c->op, place.fd, c->buf + c->moved, place.length, place.offset);
	c->moved += place.length;
}

static void chunk_done(struct ring_op *op, int64_t result)
{
	struct intake_chunk *c = container_of(op, struct intake_chunk, op);

	if (result < 0) {
		chunk_fail(c, result);
		return;
	}
	crash_at("write");
	if (c->moved < c->span)
		chunk_step(c);
	else
		c->busy = false;
}

int intake_settle(struct intake *t, uint32_t disk, uint64_t offset, uint64_t span)
{
	for (uint32_t i = 0; i < INTAKE_DEPTH; i++) {
		struct intake_chunk *c = &t->chunks[i];

		while (c->busy && c->disk == disk && c->offset < offset + span &&
		       offset < c->offset + c->span) {
			int err = intake_wait(t);

			if (err)
				return err;
		}
	}
	return t->error;
}

int intake_write(struct intake *t, struct intake_chunk *c, uint32_t disk, uint64_t offset)
{
	int err = intake_settle(t, disk, offset, c->span);

	if (err)
		return err;
	c->disk = disk;
	c->offset = offset;
	c->op.done = chunk_done;
	c->busy = true;
	chunk_step(c);
	return 0;
}
