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
	bool files;
	unsigned int zero_flags;
};

/* Linux 6.2; liburing 2.3 is older. */
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1u << 3)
#endif
#ifndef IORING_NOTIF_USAGE_ZC_COPIED
#define IORING_NOTIF_USAGE_ZC_COPIED (1u << 31)
#endif

_Static_assert(sizeof(struct msghdr) <= sizeof(((struct ring_op *)0)->u), "msghdr fits");
_Static_assert(sizeof(struct __kernel_timespec) <= sizeof(((struct ring_op *)0)->u), "time fits");

/* The newest way first; a kernel that does not know it says EINVAL. */
static const unsigned int uring_ways[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	IORING_SETUP_COOP_TASKRUN,
	0,
};

/* What there is is one of so many strings: they outlive the ring. */
#define NAMES(way, sep, end)                                                          \
	{                                                                             \
		{ "io_uring" way end, "io_uring" way sep "zero-copy send)" },         \
		{ "io_uring" way sep "fixed buffers)",                                \
		  "io_uring" way sep "fixed buffers, zero-copy send)" },              \
		{ "io_uring" way sep "fixed files)",                                  \
		  "io_uring" way sep "fixed files, zero-copy send)" },                \
		{ "io_uring" way sep "fixed buffers and files)",                      \
		  "io_uring" way sep "fixed buffers and files, zero-copy send)" },    \
	}

static const char *uring_name(const struct engine *e, bool deferred, bool zero)
{
	static const char *const names[2][4][2] = {
		NAMES("", " (", ""),
		NAMES(" (deferred", ", ", ")"),
	};

	return names[deferred][e->fixed + 2 * e->files][zero];
}

/* What liburing has no word for. Whoever writes to a queue has such a name: see tsan.supp. */
static void uring_sqe_zero(struct io_uring_sqe *sqe, unsigned int flags)
{
	sqe->ioprio = flags;
}

static bool uring_knows(struct io_uring *uring, int opcode)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(uring);
	bool knows = probe && io_uring_opcode_supported(probe, opcode);

	io_uring_free_probe(probe);
	return knows;
}

/*
 * Does the kernel tell whether it has copied? One that does (6.2) looks at the descriptor
 * next; one that does not refuses the flag before that.
 */
static bool uring_reports(struct io_uring *uring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(uring);
	struct msghdr msg = { 0 };
	struct io_uring_cqe *cqe;
	int res = -EINVAL;
	bool more = true;

	io_uring_prep_sendmsg_zc(sqe, -1, &msg, 0);
	uring_sqe_zero(sqe, IORING_SEND_ZC_REPORT_USAGE);
	if (io_uring_submit(uring) != 1)
		return false;
	while (more && io_uring_wait_cqe(uring, &cqe) == 0) {
		if (!(cqe->flags & IORING_CQE_F_NOTIF))
			res = cqe->res;
		more = cqe->flags & IORING_CQE_F_MORE;
		io_uring_cqe_seen(uring, cqe);
	}
	return res == -EBADF;
}

/*
 * Copying is what costs least where the kernel copies in any case, as it does on loopback.
 * A kernel that cannot say so (6.1) is not asked to do without, but by name.
 */
static void uring_choose_zero(struct engine *e, enum ring_zero *zero)
{
	if (*zero == RING_ZERO_NEVER)
		return;
	if (!uring_knows(&e->uring, IORING_OP_SENDMSG_ZC)) {
		*zero = RING_ZERO_NEVER;
		return;
	}
	if (uring_reports(&e->uring))
		e->zero_flags = IORING_SEND_ZC_REPORT_USAGE;
	else if (*zero == RING_ZERO_AUTO)
		*zero = RING_ZERO_NEVER;
}

static int uring_create(struct engine **ret, struct ring *ring, unsigned int depth,
			enum ring_zero *zero, const char **ret_name)
{
	struct engine *e = calloc(1, sizeof(*e));
	size_t way = 0;
	int err;

	if (!e)
		return -ENOMEM;
	e->ring = ring;
	do
		err = io_uring_queue_init(depth, &e->uring, uring_ways[way]);
	while (err == -EINVAL && ++way < ARRAY_SIZE(uring_ways));
	if (err < 0) {
		free(e);
		return err;
	}
	/* Places for areas, which are filled and emptied while the ring is in use. */
	e->fixed = io_uring_register_buffers_sparse(&e->uring, RING_AREAS) == 0;
	/* And for files (5.19). */
	e->files = io_uring_register_files_sparse(&e->uring, RING_FILES) == 0;
	uring_choose_zero(e, zero);
	*ret = e;
	*ret_name = uring_name(e, way == 0, *zero != RING_ZERO_NEVER);
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

/* The place that holds the operation's file, if one does, instead of the descriptor. */
static void uring_sqe_place(struct engine *e, struct io_uring_sqe *sqe, const struct ring_op *op)
{
	int place = ring_file_place(e->ring, op->fd);

	if (place < 0)
		return;
	sqe->fd = place;
	sqe->flags |= IOSQE_FIXED_FILE;
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
		if (op->zero)
			io_uring_prep_sendmsg_zc(sqe, op->fd, msg, MSG_NOSIGNAL | MSG_WAITALL);
		else
			io_uring_prep_sendmsg(sqe, op->fd, msg,
					      MSG_NOSIGNAL | (op->tls ? 0 : MSG_WAITALL));
		if (op->zero)
			uring_sqe_zero(sqe, e->zero_flags);
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
	uring_sqe_place(e, sqe, op);
	io_uring_sqe_set_data(sqe, op);
}

static void uring_cancel(struct engine *e, struct ring_op *op)
{
	struct io_uring_sqe *sqe = uring_sqe(e);

	io_uring_prep_cancel(sqe, op, 0);
	/* Its own completion, if it comes, has no operation behind it. */
	io_uring_sqe_set_data(sqe, NULL);
}

static void uring_ended(struct engine *e, struct ring_op *op, int res, unsigned int flags)
{
	if (flags & IORING_CQE_F_NOTIF) {
		ring_let_go(e->ring, op, res & IORING_NOTIF_USAGE_ZC_COPIED);
		return;
	}
	/* Not every error has a notification behind it. */
	if (flags & IORING_CQE_F_MORE)
		ring_lend(op);
	ring_complete(e->ring, op, res == -ETIME ? 0 : res);
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
		unsigned int flags = cqe->flags;
		int res = cqe->res;

		io_uring_cqe_seen(&e->uring, cqe);
		if (op)
			uring_ended(e, op, res, flags);
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

/*
 * What is queued and not yet the kernel's names a place, and finds its file there when it is
 * handed over: so that comes first, or it would find the next one.
 */
static int uring_hold(struct engine *e, unsigned int index, int fd)
{
	int n;

	while (io_uring_sq_ready(&e->uring)) {
		n = io_uring_submit(&e->uring);
		if (n < 0 && n != -EAGAIN && n != -EBUSY && n != -EINTR)
			return n;
	}
	n = e->files ? io_uring_register_files_update(&e->uring, index, &fd, 1) : -EOPNOTSUPP;
	return n == 1 ? 0 : n < 0 ? n : -EINVAL;
}

const struct engine_ops engine_uring = {
	.create = uring_create,
	.destroy = uring_destroy,
	.queue = uring_queue,
	.cancel = uring_cancel,
	.run = uring_run,
	.pin = uring_pin,
	.hold = uring_hold,
};
