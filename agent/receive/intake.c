// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/intake.h"

#include <string.h>

#include "base/crash.h"

int intake_open(struct intake *t, struct ring *ring, struct stage *stage)
{
	*t = (struct intake){ .ring = ring, .stage = stage, .file = -1 };
	t->area = ring_memory(ring, INTAKE_SIZE);
	return t->area ? 0 : -ENOMEM;
}

/* The ring holds the file that is written to, until nothing is: see intake_drain(). */
static void intake_file(struct intake *t, int fd)
{
	if (t->file == fd)
		return;
	if (t->file >= 0)
		ring_file_drop(t->ring, t->file);
	t->file = fd;
	if (fd >= 0)
		ring_file(t->ring, fd);
}

/* Begin the write that is held back for what may join it. */
static void intake_begin(struct intake *t)
{
	struct intake_chunk *c = t->held;

	if (!c)
		return;
	t->held = NULL;
	intake_file(t, t->place.fd);
	ring_write(t->ring, &c->op, t->place.fd, t->data, t->place.length, t->place.offset);
}

static int intake_wait(struct intake *t)
{
	int err;

	/* What is waited for may be just that. */
	intake_begin(t);
	err = ring_run(t->ring);
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
	intake_file(t, -1);
	return t->error;
}

static bool intake_busy(const struct intake *t)
{
	for (uint32_t i = 0; i < INTAKE_DEPTH; i++)
		if (t->chunks[i].busy)
			return true;
	return false;
}

/* The area, and the file, are the kernel's for as long, whatever the ring says meanwhile. */
void intake_close(struct intake *t)
{
	if (!t->area)
		return;
	while (intake_busy(t) && intake_wait(t) != -EBADF)
		;
	intake_file(t, -1);
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

/* The chunks of a write: those that joined it came next after its first one. */
static void chunk_free(struct intake_chunk *c)
{
	struct intake *t = c->intake;

	for (uint32_t at = c - t->chunks, n = c->joined + 1; n; n--) {
		t->chunks[at].busy = false;
		at = (at + 1) % INTAKE_DEPTH;
	}
}

static void chunk_fail(struct intake_chunk *c, int err)
{
	if (!c->intake->error)
		c->intake->error = err;
	chunk_free(c);
}

/*
 * Does a whole chunk go on where the write that is held back ends, in memory and in the
 * file? Chunks are taken one after another, so nothing can lie between the two.
 */
static bool intake_joins(const struct intake *t, const struct intake_chunk *c,
			 const struct raw_place *place)
{
	return t->held && !c->moved && place->length >= c->span && place->fd == t->place.fd &&
	       place->offset == t->place.offset + t->place.length &&
	       c->buf == t->data + t->place.length &&
	       t->place.length + place->length <= INTAKE_WRITE;
}

/*
 * As much of the chunk as lies together. A whole one is held back: the next ones mostly
 * lie behind it, and one large request costs less than many small ones.
 */
static void chunk_step(struct intake_chunk *c)
{
	struct intake *t = c->intake;
	bool whole = !c->moved;
	struct raw_place place;
	int err = stage_place(t->stage, c->disk, c->offset + c->moved, c->span - c->moved, &place);

	if (err) {
		chunk_fail(c, err);
		return;
	}
	if (intake_joins(t, c, &place)) {
		t->place.length += place.length;
		t->held->joined++;
	} else {
		intake_begin(t);
		t->held = c;
		t->place = place;
		t->data = c->buf + c->moved;
	}
	c->moved += place.length;
	whole = whole && c->moved >= c->span;
	if (!whole || t->place.length >= INTAKE_WRITE)
		intake_begin(t);
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
		chunk_free(c);
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
