// SPDX-License-Identifier: GPL-2.0-or-later
/* The engine of choice: io_uring. Only this file knows liburing. */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/util.h"
#include "ring/engine.h"

struct engine {
	struct io_uring uring;
	struct ring *ring;
	bool fixed;
};

_Static_assert(sizeof(struct msghdr) <= sizeof(((struct ring_op *)0)->u), "msghdr fits");
_Static_assert(sizeof(struct __kernel_timespec) <= sizeof(((struct ring_op *)0)->u), "time fits");

static int uring_create(struct engine **ret, struct ring *ring, unsigned int depth,
			const char **ret_name)
{
	/* The newest way first; a kernel that does not know it says EINVAL. */
	static const struct {
		unsigned int flags;
		const char *name, *name_fixed;
	} ways[] = {
		{ IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, "io_uring (deferred)",
		  "io_uring (deferred, fixed buffers)" },
		{ IORING_SETUP_COOP_TASKRUN, "io_uring", "io_uring (fixed buffers)" },
		{ 0, "io_uring", "io_uring (fixed buffers)" },
	};
	struct engine *e = calloc(1, sizeof(*e));
	size_t way = 0;
	int err;

	if (!e)
		return -ENOMEM;
	e->ring = ring;
	do
		err = io_uring_queue_init(depth, &e->uring, ways[way].flags);
	while (err == -EINVAL && ++way < ARRAY_SIZE(ways));
	if (err < 0) {
		free(e);
		return err;
	}
	/* Places for areas, which are filled and emptied while the ring is in use. */
	e->fixed = io_uring_register_buffers_sparse(&e->uring, RING_AREAS) == 0;
	*ret = e;
	*ret_name = e->fixed ? ways[way].name_fixed : ways[way].name;
	return 0;
}

static void uring_destroy(struct engine *e)
{
	io_uring_queue_exit(&e->uring);
	free(e);
}

/*
 * A place in the submission queue. The queue may be full of what was queued
 * since the last ring_run(): it is handed to the kernel then. That makes room,
 * unless the kernel refuses for lack of memory, which is tried again: nothing
 * else could be done with an operation that was promised to end.
 */
static struct io_uring_sqe *uring_sqe(struct engine *e)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&e->uring)))
		io_uring_submit(&e->uring);
	return sqe;
}

static void uring_queue(struct engine *e, struct ring_op *op)
{
	struct io_uring_sqe *sqe = uring_sqe(e);
	struct iovec *v = &op->iov[op->iov_first];
	struct msghdr *msg = (struct msghdr *)&op->u;

	switch (op->kind) {
	case RING_READ:
		if (op->area >= 0)
			io_uring_prep_read_fixed(sqe, op->fd, v->iov_base, v->iov_len,
						 op->offset + op->moved, op->area);
		else
			io_uring_prep_read(sqe, op->fd, v->iov_base, v->iov_len,
					   op->offset + op->moved);
		break;
	case RING_WRITE:
		if (op->area >= 0)
			io_uring_prep_write_fixed(sqe, op->fd, v->iov_base, v->iov_len,
						  op->offset + op->moved, op->area);
		else
			io_uring_prep_write(sqe, op->fd, v->iov_base, v->iov_len,
					    op->offset + op->moved);
		break;
	case RING_FSYNC:
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
		break;
	case RING_SEND:
		*msg = (struct msghdr){ .msg_iov = v, .msg_iovlen = op->iov_count - op->iov_first };
		io_uring_prep_sendmsg(sqe, op->fd, msg,
				      MSG_NOSIGNAL | (op->tls ? 0 : MSG_WAITALL));
		break;
	case RING_RECV:
		io_uring_prep_recv(sqe, op->fd, v->iov_base, v->iov_len,
				   op->some ? 0 : MSG_WAITALL);
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

static void uring_cancel(struct engine *e, struct ring_op *op)
{
	struct io_uring_sqe *sqe = uring_sqe(e);

	io_uring_prep_cancel(sqe, op, 0);
	/* Its own completion, if it comes, has no operation behind it. */
	io_uring_sqe_set_data(sqe, NULL);
}

static int uring_run(struct engine *e)
{
	struct io_uring_cqe *cqe;
	int err = io_uring_submit_and_wait(&e->uring, 1);

	if (err < 0 && err != -EAGAIN && err != -EBUSY)
		return err;
	/* done() may queue more: take one completion at a time. */
	while (io_uring_peek_cqe(&e->uring, &cqe) == 0) {
		struct ring_op *op = io_uring_cqe_get_data(cqe);
		int res = cqe->res;

		io_uring_cqe_seen(&e->uring, cqe);
		if (op)
			ring_complete(e->ring, op, res == -ETIME ? 0 : res);
	}
	return 0;
}

static int uring_pin(struct engine *e, unsigned int index, void *memory, size_t size)
{
	struct iovec area = { memory, size };
	__u64 tag = 0;
	int n = e->fixed ? io_uring_register_buffers_update_tag(&e->uring, index, &area, &tag, 1) :
			   -EOPNOTSUPP;

	return n == 1 ? 0 : n < 0 ? n : -EINVAL;
}

const struct engine_ops engine_uring = {
	.create = uring_create,
	.destroy = uring_destroy,
	.queue = uring_queue,
	.cancel = uring_cancel,
	.run = uring_run,
	.pin = uring_pin,
};
