/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the ring folder: what an engine does for a ring. An engine takes
 * operations and moves what it can; ring.c puts short transfers together.
 */
#ifndef TIDEMARK_RING_ENGINE_H
#define TIDEMARK_RING_ENGINE_H

#include "ring/ring.h"

struct engine;

enum ring_kind {
	RING_READ,
	RING_WRITE,
	RING_FSYNC,
	RING_SEND,
	RING_RECV,
	RING_TIMEOUT,
	RING_POLL,
};

/**
 * struct engine_ops - a way to do I/O
 * @create: an engine for @ring; @ret_name is static; @zero is what was asked for, and
 *	then what there is
 * @destroy: it has no operations
 * @queue: begin an operation, or what is left of it; never fails
 * @cancel: end a busy operation soon, with -ECANCELED unless it is too late
 * @run: wait for at least one end; ring_complete() for each
 * @pin: area @index is this memory from here on, NULL: none; 0 or a negative errno.
 *	NULL: this engine has no use for it
 * @hold: place @index is this descriptor's file from here on, for what is queued after; -1:
 *	no file. What was queued before keeps its own. As @pin
 */
struct engine_ops {
	int (*create)(struct engine **ret, struct ring *ring, unsigned int depth,
		      enum ring_zero *zero, const char **ret_name);
	void (*destroy)(struct engine *e);
	void (*queue)(struct engine *e, struct ring_op *op);
	void (*cancel)(struct engine *e, struct ring_op *op);
	int (*run)(struct engine *e);
	int (*pin)(struct engine *e, unsigned int index, void *memory, size_t size);
	int (*hold)(struct engine *e, unsigned int index, int fd);
};

extern const struct engine_ops engine_uring;
extern const struct engine_ops engine_plain;

/**
 * ring_complete() - an engine has done a part of an operation, or all
 * @res: bytes moved, poll events, 0, or a negative errno. -EAGAIN and -EINTR of
 *	a transfer: once more
 */
void ring_complete(struct ring *r, struct ring_op *op, int64_t res);

/** ring_file_place() - where the file of a descriptor is held; or -1 */
int ring_file_place(const struct ring *r, int fd);

/**
 * ring_lend() - a part of a ring_send_zero() was sent, ring_complete() is about to be called
 * with that, and the kernel has the memory until ring_let_go()
 */
void ring_lend(struct ring_op *op);
/** ring_let_go() - of one part; @copied: it made a copy of it */
void ring_let_go(struct ring *r, struct ring_op *op, bool copied);

#endif
