// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/merge.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/crash.h"
#include "point/reader.h"
#include "ring/ring.h"

struct merge;

/*
 * A piece on its way: read from the overlay, then written to the raw replica.
 * @at, @left: of the disk, what is still to be written
 */
struct piece {
	struct ring_op op;
	struct merge *merge;
	uint8_t *buf;
	uint64_t begin;
	uint64_t at;
	uint64_t left;
	bool busy;
};

struct merge {
	struct ring *ring;
	struct raw *raw;
	int fd; /* of the overlay, for data */
	struct reader *reader;
	const struct merge_tick *tick;
	struct reason *reason;
	struct piece pieces[MERGE_DEPTH];
	bool no_sharing;
	int error; /* the first; nothing new is begun then */
};

static void merge_fail(struct merge *m, int err, const char *what)
{
	if (!m->error)
		m->error = reason_set(m->reason, err, REASON_FAILED, "%s: %s", what,
				      strerror(-err));
}

static void piece_written(struct ring_op *op, int64_t result);

/* The last block of the disk may have a descriptor of its own: then there are two writes. */
static void piece_write(struct piece *p)
{
	struct merge *m = p->merge;
	struct raw_place place = raw_place(m->raw, p->at, p->left);
	const uint8_t *from = p->buf + (p->at - p->begin);

	p->at += place.length;
	p->left -= place.length;
	p->op.done = piece_written;
	ring_write(m->ring, &p->op, place.fd, from, place.length, place.offset);
}

static void piece_written(struct ring_op *op, int64_t result)
{
	struct piece *p = container_of(op, struct piece, op);

	if (result < 0)
		merge_fail(p->merge, result, "writing the raw replica failed");
	else
		crash_at("merge-copied");
	if (result < 0 || !p->left)
		p->busy = false;
	else
		piece_write(p);
}

static void piece_read(struct ring_op *op, int64_t result)
{
	struct piece *p = container_of(op, struct piece, op);

	if (result < 0 || (uint64_t)result < p->left) {
		merge_fail(p->merge, result < 0 ? result : -EUCLEAN, "reading the overlay failed");
		p->busy = false;
		return;
	}
	piece_write(p);
}

static struct piece *merge_idle_piece(struct merge *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(m->pieces); i++)
		if (!m->pieces[i].busy)
			return &m->pieces[i];
	return NULL;
}

static int merge_wait(struct merge *m)
{
	int err = ring_run(m->ring);

	return err == -EINTR ? 0 : err;
}

/* Wait for all that is under way. Its buffers are ours until then, whatever went wrong. */
static void merge_drain(struct merge *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(m->pieces); i++)
		while (m->pieces[i].busy) {
			int err = merge_wait(m);

			if (err)
				merge_fail(m, err, "the ring failed");
		}
}

/*
 * Share the extents of whole blocks, where the file system can: nothing is
 * moved then. Return: bytes that are done; the rest is to be copied.
 */
static uint64_t merge_share(struct merge *m, uint64_t offset, const struct reader_run *run)
{
	struct file_clone_range range = {
		.src_fd = m->fd,
		.src_offset = run->offset,
		.src_length = run->length & ~(uint64_t)(IO_ALIGN - 1),
		.dest_offset = offset,
	};

	if (m->raw->device || m->no_sharing || !range.src_length)
		return 0;
	if (ioctl(m->raw->fd, FICLONERANGE, &range)) {
		/* Whatever the reason is: copying will do, or fail with a better one. */
		m->no_sharing = true;
		return 0;
	}
	crash_at("merge-copied");
	return range.src_length;
}

static void merge_copy(struct merge *m, uint64_t offset, const struct reader_run *run)
{
	for (uint64_t done = merge_share(m, offset, run); done < run->length && !m->error; ) {
		uint64_t length = u64_min(run->length - done, MERGE_PIECE);
		struct piece *p = merge_idle_piece(m);

		if (!p) {
			int err = merge_wait(m);

			if (err)
				merge_fail(m, err, "the ring failed");
			continue;
		}
		*p = (struct piece){
			.op.done = piece_read,
			.merge = m,
			.buf = p->buf,
			.begin = offset + done,
			.at = offset + done,
			.left = length,
			.busy = true,
		};
		/* Whole clusters are there, also where the disk ends inside of one. */
		ring_read(m->ring, &p->op, m->fd, p->buf, u64_align(length, IO_ALIGN),
			  run->offset + done);
		done += length;
	}
}

static void merge_walk(struct merge *m)
{
	uint64_t size = reader_info(m->reader)->size;
	struct reader_run run;

	for (uint64_t at = 0; at < size && !m->error; at += run.length) {
		int err = reader_next(m->reader, at, &run, m->reason);

		if (!err && m->tick && m->tick->call)
			err = m->tick->call(m->tick->arg);
		if (err) {
			merge_fail(m, err, "reading the overlay failed");
			return;
		}
		if (run.kind == READER_DATA) {
			merge_copy(m, at, &run);
		} else if (run.kind == READER_ZERO) {
			err = raw_zero(m->raw, at, run.length);
			if (err)
				merge_fail(m, err, "writing zeroes to the raw replica failed");
		}
	}
}

static int merge_buffers(struct merge *m, uint8_t *area)
{
	if (!area)
		return reason_set(m->reason, -ENOMEM, 0, "no memory for a merge");
	for (size_t i = 0; i < ARRAY_SIZE(m->pieces); i++)
		m->pieces[i].buf = area + i * MERGE_PIECE;
	return 0;
}

static int merge_apply(struct merge *m)
{
	int err = raw_resize(m->raw, reader_info(m->reader)->size);

	if (err)
		return reason_set(m->reason, err, REASON_FAILED,
				  "the raw replica cannot take the disk's new size: %s",
				  strerror(-err));
	crash_at("merge-begun");
	merge_walk(m);
	merge_drain(m);
	if (m->error)
		return m->error;
	err = raw_sync(m->raw);
	if (err)
		return reason_set(m->reason, err, REASON_FAILED,
				  "the raw replica could not be made durable: %s",
				  strerror(-err));
	crash_at("merge-durable");
	return 0;
}

/* A file that was exchanged or overwritten must not decide over the replica's size. */
static int merge_judge(const struct reader_info *info, const struct merge_want *want,
		       struct reason *reason)
{
	if (info->cluster >= IO_ALIGN && info->labelled && info->size == want->size &&
	    info->point == want->point && info->epoch == want->epoch)
		return 0;
	return reason_set(reason, -EUCLEAN, REASON_UNKNOWN,
			  "the overlay is damaged: it is not the point that was committed");
}

int merge_run(const char *overlay, const struct merge_want *want, struct raw *raw,
	      struct ring *ring, const struct merge_tick *tick, struct reason *reason)
{
	_cleanup_raw_ struct raw file = RAW_NONE;
	_cleanup_free_ uint8_t *area = aligned_alloc(IO_ALIGN, MERGE_DEPTH * MERGE_PIECE);
	struct merge m = { .ring = ring, .raw = raw, .tick = tick, .reason = reason };
	int err = merge_buffers(&m, area);

	if (!err)
		err = raw_open(overlay, 0, 0, &file, reason);
	if (!err)
		err = reader_open(file.tail_fd, &m.reader, reason);
	if (!err)
		err = merge_judge(reader_info(m.reader), want, reason);
	if (!err) {
		m.fd = file.fd;
		err = merge_apply(&m);
	}
	reader_close(m.reader);
	return err ? reason_set(reason, err, 0, "the merge of %s failed: %s", overlay,
				strerror(-err)) : 0;
}
