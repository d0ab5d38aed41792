// SPDX-License-Identifier: GPL-2.0-or-later
#include "ring/ring.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/util.h"

enum ring_kind {
	RING_READ,
	RING_WRITE,
	RING_FSYNC,
	RING_SEND,
	RING_RECV,
	RING_TIMEOUT,
	RING_POLL,
};

struct ring {
	struct io_uring uring;
	unsigned int busy;
	bool deferred;
};

_Static_assert(sizeof(struct msghdr) <= sizeof(((struct ring_op *)0)->u), "msghdr fits");
_Static_assert(sizeof(struct __kernel_timespec) <= sizeof(((struct ring_op *)0)->u), "time fits");

int ring_create(struct ring **ret, unsigned int depth)
{
	/* The newest way first; a kernel that does not know it says EINVAL. */
	static const unsigned int ways[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	struct ring *r = calloc(1, sizeof(*r));
	int err = -EINVAL;

	if (!r)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(ways) && err == -EINVAL; i++) {
		err = io_uring_queue_init(depth, &r->uring, ways[i]);
		r->deferred = i == 0;
	}
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
		io_uring_queue_exit(&r->uring);
		free(r);
	}
	return NULL;
}

const char *ring_engine(const struct ring *r)
{
	return r->deferred ? "io_uring (deferred)" : "io_uring";
}

unsigned int ring_busy(const struct ring *r)
{
	return r->busy;
}

/*
 * A place in the submission queue. The queue may be full of what was queued
 * since the last ring_run(): it is handed to the kernel then. That makes room,
 * unless the kernel refuses for lack of memory, which is tried again: nothing
 * else could be done with an operation that was promised to end.
 */
static struct io_uring_sqe *ring_sqe(struct ring *r)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&r->uring)))
		io_uring_submit(&r->uring);
	return sqe;
}

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

static void ring_queue(struct ring *r, struct ring_op *op)
{
	struct io_uring_sqe *sqe = ring_sqe(r);
	struct iovec *v = &op->iov[op->iov_first];
	struct msghdr *msg = (struct msghdr *)&op->u;

	switch (op->kind) {
	case RING_READ:
		io_uring_prep_read(sqe, op->fd, v->iov_base, v->iov_len, op->offset + op->moved);
		break;
	case RING_WRITE:
		io_uring_prep_write(sqe, op->fd, v->iov_base, v->iov_len, op->offset + op->moved);
		break;
	case RING_FSYNC:
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
		break;
	case RING_SEND:
		*msg = (struct msghdr){ .msg_iov = v, .msg_iovlen = op->iov_count - op->iov_first };
		io_uring_prep_sendmsg(sqe, op->fd, msg, MSG_NOSIGNAL | MSG_WAITALL);
		break;
	case RING_RECV:
		io_uring_prep_recv(sqe, op->fd, v->iov_base, v->iov_len, MSG_WAITALL);
		break;
	case RING_TIMEOUT:
		io_uring_prep_timeout(sqe, (struct __kernel_timespec *)&op->u, 0, 0);
		break;
	case RING_POLL:
		io_uring_prep_poll_add(sqe, op->fd, POLLIN);
		break;
	}
	io_uring_sqe_set_data(sqe, op);
}

static void ring_start(struct ring *r, struct ring_op *op, enum ring_kind kind, int fd,
		       uint64_t offset)
{
	op->kind = kind;
	op->fd = fd;
	op->offset = offset;
	op->moved = 0;
	op->iov_first = 0;
	op->busy = true;
	r->busy++;
	ring_queue(r, op);
}

void ring_read(struct ring *r, struct ring_op *op, int fd, void *buf, size_t size, uint64_t offset)
{
	op->iov[0] = (struct iovec){ buf, size };
	op->iov_count = 1;
	ring_start(r, op, RING_READ, fd, offset);
}

void ring_write(struct ring *r, struct ring_op *op, int fd, const void *buf, size_t size,
		uint64_t offset)
{
	op->iov[0] = (struct iovec){ (void *)buf, size };
	op->iov_count = 1;
	ring_start(r, op, RING_WRITE, fd, offset);
}

void ring_fsync(struct ring *r, struct ring_op *op, int fd)
{
	op->iov_count = 0;
	ring_start(r, op, RING_FSYNC, fd, 0);
}

void ring_send(struct ring *r, struct ring_op *op, int fd, const struct iovec *iov,
	       unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		op->iov[i] = iov[i];
	op->iov_count = count;
	ring_start(r, op, RING_SEND, fd, 0);
}

void ring_recv(struct ring *r, struct ring_op *op, int fd, void *buf, size_t size)
{
	op->iov[0] = (struct iovec){ buf, size };
	op->iov_count = 1;
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
	struct io_uring_sqe *sqe;

	if (!op->busy)
		return;
	sqe = ring_sqe(r);
	io_uring_prep_cancel(sqe, op, 0);
	/* Its own completion, if it comes, has no operation behind it. */
	io_uring_sqe_set_data(sqe, NULL);
}

static bool ring_op_moves(const struct ring_op *op)
{
	return op->kind == RING_READ || op->kind == RING_WRITE || op->kind == RING_SEND ||
	       op->kind == RING_RECV;
}

static void ring_complete(struct ring *r, struct ring_op *op, int res)
{
	int64_t result = res;

	if (ring_op_moves(op)) {
		/* Nothing was moved: the same once more. */
		if (res == -EAGAIN || res == -EINTR) {
			ring_queue(r, op);
			return;
		}
		if (res > 0) {
			ring_op_advance(op, res);
			if (op->iov_first < op->iov_count) {
				ring_queue(r, op);
				return;
			}
		}
		/* A write that moves nothing would be asked for ever. */
		if (res == 0 && op->kind == RING_WRITE && op->iov_first < op->iov_count)
			result = -ENOSPC;
		else if (res >= 0)
			result = op->moved;
	} else if (op->kind == RING_TIMEOUT && res == -ETIME) {
		result = 0;
	}
	op->busy = false;
	r->busy--;
	op->done(op, result);
}

int ring_run(struct ring *r)
{
	struct io_uring_cqe *cqe;
	int err;

	if (!r->busy)
		return 0;
	err = io_uring_submit_and_wait(&r->uring, 1);
	if (err < 0 && err != -EAGAIN && err != -EBUSY)
		return err;
	/* done() may queue more: take one completion at a time. */
	while (io_uring_peek_cqe(&r->uring, &cqe) == 0) {
		struct ring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&r->uring, cqe);
		if (op)
			ring_complete(r, op, res);
	}
	return 0;
}
