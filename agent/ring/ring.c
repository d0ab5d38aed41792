// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What both engines share: which one is taken, how operations begin, and that
 * transfers are whole.
 */
#include "ring/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"
#include "ring/engine.h"

/*
 * An area is pinned when so many times its size has gone through it: below that, making
 * all of it resident costs more than it saves.
 */
#define AREA_WORTH 4
/* On x86-64, and on others with pages of 4 KiB. Elsewhere it is just an alignment. */
#define HUGE_PAGE MIB(2)

/**
 * enum area_state - what the engine has made of an area
 * @AREA_PLAIN: it was not asked to pin it yet
 * @AREA_PINNED: it has
 * @AREA_UNPINNED: it would not
 * @AREA_REFUSED: it has, and the kernel would not do with it what it does with other
 *	memory
 */
enum area_state {
	AREA_PLAIN,
	AREA_PINNED,
	AREA_UNPINNED,
	AREA_REFUSED,
};

/**
 * struct area - memory of ring_memory()
 * @memory: NULL: the place is free
 * @size: of it, in bytes
 * @moved: bytes that went through it
 * @state: enum area_state
 */
struct area {
	uint8_t *memory;
	size_t size;
	uint64_t moved;
	enum area_state state;
};

struct ring {
	const struct engine_ops *ops;
	struct engine *engine;
	const char *name;
	enum ring_zero zero;
	unsigned int busy;
	struct area areas[RING_AREAS];
	int files[RING_FILES]; /* -1: a free place */
};

static int ring_use(struct ring *r, const struct engine_ops *ops, unsigned int depth)
{
	r->ops = ops;
	return ops->create(&r->engine, r, depth, &r->zero, &r->name);
}

/* Why io_uring is not used, when that is a reason to do without it. */
static const char *ring_refusal(int err)
{
	switch (err) {
	case -ENOSYS:
		return "pread/pwrite (this kernel has no io_uring)";
	case -EPERM:
	case -EACCES:
		return "pread/pwrite (io_uring is not permitted)";
	default:
		return NULL;
	}
}

/* What the environment says. Return: its place in @words, or -EINVAL: in none */
static int ring_asked(const char *variable, const char *const *words, int count)
{
	const char *asked = getenv(variable);

	for (int i = 0; i < count; i++)
		if (strcmp(asked ? asked : "auto", words[i]) == 0)
			return i;
	return -EINVAL;
}

enum ring_way {
	RING_WAY_AUTO,
	RING_WAY_URING,
	RING_WAY_PLAIN,
};

static const char *const ring_way_words[] = {
	[RING_WAY_AUTO] = "auto",
	[RING_WAY_URING] = "io_uring",
	[RING_WAY_PLAIN] = "plain",
};

static const char *const ring_zero_words[] = {
	[RING_ZERO_NEVER] = "never",
	[RING_ZERO_AUTO] = "auto",
	[RING_ZERO_ALWAYS] = "always",
};

static int ring_choose(struct ring *r, enum ring_way way, unsigned int depth)
{
	const char *refusal;
	int err;

	if (way == RING_WAY_PLAIN)
		return ring_use(r, &engine_plain, depth);
	err = ring_use(r, &engine_uring, depth);
	refusal = way == RING_WAY_AUTO ? ring_refusal(err) : NULL;
	if (refusal) {
		err = ring_use(r, &engine_plain, depth);
		r->name = refusal;
	}
	return err;
}

int ring_create(struct ring **ret, unsigned int depth)
{
	int way = ring_asked(RING_ENGINE_VARIABLE, ring_way_words, ARRAY_SIZE(ring_way_words));
	int zero = ring_asked(RING_ZERO_VARIABLE, ring_zero_words, ARRAY_SIZE(ring_zero_words));
	struct ring *r;
	int err;

	if (way < 0 || zero < 0)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->zero = zero;
	for (unsigned int i = 0; i < RING_FILES; i++)
		r->files[i] = -1;
	err = ring_choose(r, way, depth);
	if (err < 0) {
		free(r);
		return err;
	}
	*ret = r;
	return 0;
}

struct ring *ring_destroy(struct ring *r)
{
	if (r) {
		r->ops->destroy(r->engine);
		free(r);
	}
	return NULL;
}

const char *ring_engine(const struct ring *r)
{
	return r->name;
}

enum ring_zero ring_zero(const struct ring *r)
{
	return r->zero;
}

bool ring_is_plain(const struct ring *r)
{
	return r->ops == &engine_plain;
}

unsigned int ring_busy(const struct ring *r)
{
	return r->busy;
}

/* -- memory ------------------------------------------------------------------------- */

/*
 * A request of small pages that lie all over memory has a segment for each: block devices
 * take no more than so many at once (virtio 254, mostly), and each of them costs.
 */
static void *memory_of_huge_pages(size_t size)
{
	void *memory = aligned_alloc(HUGE_PAGE, u64_align(size, HUGE_PAGE));

	if (memory)
		madvise(memory, u64_align(size, HUGE_PAGE), MADV_HUGEPAGE);
	return memory;
}

void *ring_memory(struct ring *r, size_t size)
{
	void *memory = size < HUGE_PAGE ? aligned_alloc(IO_ALIGN, size) : memory_of_huge_pages(size);

	for (unsigned int i = 0; memory && i < RING_AREAS; i++)
		if (!r->areas[i].memory) {
			r->areas[i] = (struct area){ .memory = memory, .size = size };
			break;
		}
	return memory;
}

void *ring_memory_free(struct ring *r, void *memory)
{
	for (unsigned int i = 0; memory && i < RING_AREAS; i++) {
		struct area *a = &r->areas[i];

		if (a->memory != memory)
			continue;
		/* So that the kernel lets go of its pages. */
		if (a->state == AREA_PINNED || a->state == AREA_REFUSED)
			r->ops->pin(r->engine, i, NULL, 0);
		*a = (struct area){ 0 };
	}
	free(memory);
	return NULL;
}

/* Which pinned area do these bytes lie in? */
static int8_t ring_area(struct ring *r, const void *buf, size_t size)
{
	uintptr_t at = (uintptr_t)buf;

	for (unsigned int i = 0; i < RING_AREAS; i++) {
		struct area *a = &r->areas[i];
		uintptr_t from = (uintptr_t)a->memory;

		if (!a->memory || at < from || at + size > from + a->size)
			continue;
		a->moved += size;
		if (a->state == AREA_PLAIN && r->ops->pin && a->moved >= AREA_WORTH * a->size)
			a->state = r->ops->pin(r->engine, i, a->memory, a->size) ?
					   AREA_UNPINNED : AREA_PINNED;
		return a->state == AREA_PINNED ? (int8_t)i : -1;
	}
	return -1;
}

/* -- files --------------------------------------------------------------------------- */

int ring_file_place(const struct ring *r, int fd)
{
	for (int i = 0; i < RING_FILES && fd >= 0; i++)
		if (r->files[i] == fd)
			return i;
	return -1;
}

void ring_file(struct ring *r, int fd)
{
	if (!r->ops->hold || ring_file_place(r, fd) >= 0)
		return;
	for (unsigned int i = 0; i < RING_FILES; i++)
		if (r->files[i] < 0) {
			if (!r->ops->hold(r->engine, i, fd))
				r->files[i] = fd;
			return;
		}
}

void ring_file_drop(struct ring *r, int fd)
{
	int place = ring_file_place(r, fd);

	if (place < 0)
		return;
	r->files[place] = -1;
	r->ops->hold(r->engine, place, -1);
}

/* -- operations --------------------------------------------------------------------- */

/* Drop the parts of the vector that have been moved. */
static void ring_op_advance(struct ring_op *op, size_t bytes)
{
	op->moved += bytes;
	while (op->iov_first < op->iov_count && bytes >= op->iov[op->iov_first].iov_len)
		bytes -= op->iov[op->iov_first++].iov_len;
	if (bytes) {
		struct iovec *v = &op->iov[op->iov_first];

		v->iov_base = (char *)v->iov_base + bytes;
		v->iov_len -= bytes;
	}
}

static bool ring_op_lends(const struct ring_op *op)
{
	return op->kind == RING_SEND && op->lent;
}

static void ring_start_in(struct ring *r, struct ring_op *op, enum ring_kind kind, int fd,
			  uint64_t offset, int8_t area)
{
	op->area = area;
	op->kind = kind;
	op->fd = fd;
	op->offset = offset;
	op->moved = 0;
	op->iov_first = 0;
	op->busy = true;
	r->busy++;
	r->ops->queue(r->engine, op);
}

/* What is moved, if anything is, lies in no area that is pinned. */
static void ring_start(struct ring *r, struct ring_op *op, enum ring_kind kind, int fd,
		       uint64_t offset)
{
	ring_start_in(r, op, kind, fd, offset, -1);
}

void ring_read(struct ring *r, struct ring_op *op, int fd, void *buf, size_t size, uint64_t offset)
{
	op->iov[0] = (struct iovec){ buf, size };
	op->iov_count = 1;
	ring_start_in(r, op, RING_READ, fd, offset, ring_area(r, buf, size));
}

void ring_write(struct ring *r, struct ring_op *op, int fd, const void *buf, size_t size,
		uint64_t offset)
{
	op->iov[0] = (struct iovec){ (void *)buf, size };
	op->iov_count = 1;
	ring_start_in(r, op, RING_WRITE, fd, offset, ring_area(r, buf, size));
}

void ring_fsync(struct ring *r, struct ring_op *op, int fd)
{
	op->iov_count = 0;
	ring_start(r, op, RING_FSYNC, fd, 0);
}

static void ring_start_send(struct ring *r, struct ring_op *op, int fd,
			    const struct iovec *iov, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		op->iov[i] = iov[i];
	op->iov_count = count;
	ring_start(r, op, RING_SEND, fd, 0);
}

void ring_send(struct ring *r, struct ring_op *op, int fd, const struct iovec *iov,
	       unsigned int count)
{
	op->lent = op->zero = op->tls = false;
	ring_start_send(r, op, fd, iov, count);
}

void ring_send_tls(struct ring *r, struct ring_op *op, int fd, const struct iovec *iov,
		   unsigned int count)
{
	op->lent = op->zero = false;
	op->tls = true;
	ring_start_send(r, op, fd, iov, count);
}

void ring_send_zero(struct ring *r, struct ring_op *op, int fd, const struct iovec *iov,
		    unsigned int count)
{
	op->lent = true;
	op->tls = false;
	op->zero = r->zero != RING_ZERO_NEVER;
	op->copied = !op->zero;
	op->ended = false;
	op->notes = 0;
	ring_start_send(r, op, fd, iov, count);
}

void ring_recv(struct ring *r, struct ring_op *op, int fd, void *buf, size_t size)
{
	op->iov[0] = (struct iovec){ buf, size };
	op->iov_count = 1;
	op->some = false;
	ring_start(r, op, RING_RECV, fd, 0);
}

void ring_recv_some(struct ring *r, struct ring_op *op, int fd, void *buf, size_t size)
{
	op->iov[0] = (struct iovec){ buf, size };
	op->iov_count = 1;
	op->some = true;
	ring_start(r, op, RING_RECV, fd, 0);
}

void ring_timeout(struct ring *r, struct ring_op *op, uint64_t ms)
{
	op->u.time.sec = ms / 1000;
	op->u.time.nsec = ms % 1000 * 1000000;
	op->iov_count = 0;
	ring_start(r, op, RING_TIMEOUT, -1, 0);
}

void ring_poll(struct ring *r, struct ring_op *op, int fd)
{
	op->iov_count = 0;
	ring_start(r, op, RING_POLL, fd, 0);
}

void ring_cancel(struct ring *r, struct ring_op *op)
{
	/* One whose memory alone is still lent is in no queue any more. */
	if (op->busy && !(ring_op_lends(op) && op->ended))
		r->ops->cancel(r->engine, op);
}

/*
 * Nothing was moved: the same once more, but from memory like any other. One that is pinned
 * is a single bio, which 6.12 refuses to split without waiting, however often it is asked;
 * what is not pinned it leaves to a thread that may wait.
 */
static void ring_again(struct ring *r, struct ring_op *op)
{
	if (op->area >= 0)
		r->areas[op->area].state = AREA_REFUSED;
	op->area = -1;
	r->ops->queue(r->engine, op);
}

static bool ring_op_moves(const struct ring_op *op)
{
	return op->kind == RING_READ || op->kind == RING_WRITE || op->kind == RING_SEND ||
	       op->kind == RING_RECV;
}

/* -- memory that is lent --------------------------------------------------------------- */

/* A part may be let go of while the next one is being sent: both ends are waited for. */
static void ring_release(struct ring *r, struct ring_op *op)
{
	if (!op->ended || op->notes)
		return;
	op->busy = false;
	r->busy--;
	op->released(op, op->copied);
}

void ring_lend(struct ring_op *op)
{
	op->notes++;
}

void ring_let_go(struct ring *r, struct ring_op *op, bool copied)
{
	op->notes--;
	op->copied |= copied;
	ring_release(r, op);
}

/* No zero copy on this socket, or no memory to be had for it, which a limit may say. */
static bool ring_refuses_zero(const struct ring_op *op, int64_t res)
{
	return op->kind == RING_SEND && op->zero &&
	       (res == -EOPNOTSUPP || res == -EINVAL || res == -ENOMEM || res == -ENOBUFS);
}

/* -- ends ------------------------------------------------------------------------------ */

static void ring_end(struct ring *r, struct ring_op *op, int64_t result)
{
	if (ring_op_lends(op)) {
		op->ended = true;
		op->done(op, result);
		ring_release(r, op);
		return;
	}
	op->busy = false;
	r->busy--;
	op->done(op, result);
}

/* Some was moved, or all, or it was the end. Return: what is left of it was begun */
static bool ring_goes_on(struct ring *r, struct ring_op *op, int64_t res)
{
	if (res == -EAGAIN || res == -EINTR) {
		ring_again(r, op);
		return true;
	}
	if (ring_refuses_zero(op, res)) {
		op->zero = false;
		op->copied = true;
		r->ops->queue(r->engine, op);
		return true;
	}
	if (res <= 0)
		return false;
	ring_op_advance(op, res);
	if (op->iov_first == op->iov_count || (op->kind == RING_RECV && op->some))
		return false;
	r->ops->queue(r->engine, op);
	return true;
}

void ring_complete(struct ring *r, struct ring_op *op, int64_t res)
{
	int64_t result = res;

	if (ring_op_moves(op)) {
		if (ring_goes_on(r, op, res))
			return;
		/* A write that moves nothing would be asked for ever. */
		if (res == 0 && op->kind == RING_WRITE && op->iov_first < op->iov_count)
			result = -ENOSPC;
		else if (res >= 0)
			result = op->moved;
	}
	ring_end(r, op, result);
}

int ring_run(struct ring *r)
{
	return r->busy ? r->ops->run(r->engine) : 0;
}
