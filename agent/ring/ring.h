/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring: all data I/O of the agent, by io_uring; where that is disabled
 * (kernel.io_uring_disabled, a seccomp profile, an old kernel), by pread, pwrite
 * and poll in a few threads. Nobody above sees a difference but the speed.
 *
 * One ring belongs to one thread. An operation is a struct ring_op inside the
 * caller's own object; it is submitted, and its @done is called from
 * ring_run() exactly once. Transfers are whole: a short read or write is
 * continued inside, @done sees all bytes, fewer only at end of file (reads,
 * receives), or a negative errno.
 */
#ifndef TIDEMARK_RING_RING_H
#define TIDEMARK_RING_RING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct ring;
struct ring_op;

/**
 * typedef ring_done - an operation has ended
 * @op: it may be submitted again, from here too
 * @result: bytes transferred, 0 (fsync, timeout), or a negative errno;
 *	-ECANCELED after ring_cancel()
 */
typedef void (*ring_done)(struct ring_op *op, int64_t result);
/**
 * typedef ring_released - the kernel has let go of the memory of a ring_send_zero()
 * @op: it may be submitted again, from here too
 * @copied: the kernel has made a copy of the bytes, or would not do without one
 */
typedef void (*ring_released)(struct ring_op *op, bool copied);

#define RING_IOV_MAX 32
/* Pieces of memory of its own that a ring has at most; more is memory as any other. */
#define RING_AREAS 4
/* Descriptors whose files a ring holds at most; more are as any other. */
#define RING_FILES 12

/**
 * struct ring_op - an operation; the caller sets @done, the rest is the ring's
 * @done: called when it has ended
 * @released: of ring_send_zero() alone: called after @done
 */
struct ring_op {
	ring_done done;
	ring_released released;
	/* private */
	uint8_t kind;
	int8_t area; /* that the buffer lies in, for the kernel; or -1 */
	bool busy;
	bool some; /* ends with the first bytes that come */
	bool tls; /* sends through kernel TLS */
	bool lent; /* its memory is the kernel's until @released */
	bool zero; /* what is left of it is sent without a copy */
	bool copied; /* some of it was not */
	bool ended; /* @done was called, @released was not */
	int8_t notes; /* parts that were sent and are not let go of */
	int fd;
	uint64_t offset;
	uint64_t moved;
	uint32_t iov_count;
	uint32_t iov_first;
	struct iovec iov[RING_IOV_MAX];
	/* of the engine without io_uring */
	struct ring_op *next;
	uint8_t place;
	int64_t result;
	union {
		struct {
			int64_t sec;
			int64_t nsec;
		} time;
		uint64_t msg[7];
	} u;
};

/*
 * In the environment: "io_uring" or "plain" takes that engine or none; "auto", or
 * nothing, takes io_uring and does without it where it is refused.
 */
#define RING_ENGINE_VARIABLE "TIDEMARK_ENGINE"

/*
 * In the environment: "never" sends nothing without a copy, "always" everything that
 * ring_send_zero() is given, even where that costs more; "auto", or nothing, where the
 * kernel can tell whether it pays.
 */
#define RING_ZERO_VARIABLE "TIDEMARK_ZERO_COPY"

/**
 * enum ring_zero - is there a use in ring_send_zero()?
 * @RING_ZERO_NEVER: no: it is a ring_send()
 * @RING_ZERO_AUTO: @released says whether bytes were copied all the same
 * @RING_ZERO_ALWAYS: for each and every send, whatever @released says
 */
enum ring_zero {
	RING_ZERO_NEVER,
	RING_ZERO_AUTO,
	RING_ZERO_ALWAYS,
};

/**
 * ring_create() - a ring for at most @depth operations at a time
 *
 * Return: 0; -EINVAL: a variable says something else; -EPERM, -ENOSYS: io_uring
 * was asked for and is not to be had; or another errno.
 */
int ring_create(struct ring **ret, unsigned int depth);
/** ring_destroy() - end it; operations must have ended. NULL is ignored. Return: NULL */
struct ring *ring_destroy(struct ring *r);

/**
 * ring_engine() - what is in use, for status lines: "io_uring", "io_uring
 * (deferred)", "io_uring (deferred, fixed buffers and files, zero-copy send)", or
 * "pread/pwrite" and why. It outlives the ring.
 */
const char *ring_engine(const struct ring *r);
/** ring_zero() - is there a use in ring_send_zero()? Return: enum ring_zero */
enum ring_zero ring_zero(const struct ring *r);
/** ring_is_plain() - is io_uring not in use? */
bool ring_is_plain(const struct ring *r);

/**
 * ring_memory() - memory for what this ring reads and writes, aligned to IO_ALIGN
 * @size: bytes, of a multiple of IO_ALIGN
 *
 * Where the kernel can, its pages are pinned once, and not anew for each operation:
 * as soon as so much has gone through it that this pays, for pinning makes all of it
 * resident. Where it cannot, or may not (RLIMIT_MEMLOCK), nothing else is different.
 * From 2 MiB on it is of huge pages where the kernel has them to give.
 *
 * Return: to be given to ring_memory_free() before the ring goes; NULL: no memory
 */
void *ring_memory(struct ring *r, size_t size);
/** ring_memory_free() - no operation uses it any more. NULL is ignored. Return: NULL */
void *ring_memory_free(struct ring *r, void *memory);

/**
 * ring_file() - the ring holds a descriptor's file, if the kernel can: it need not be looked
 * for with each operation then
 *
 * ring_file_drop() must come before close(): afterwards the number means another file, or
 * none, and the ring would still move the bytes of this one; and a socket is not closed while
 * a ring holds it.
 */
void ring_file(struct ring *r, int fd);
/**
 * ring_file_drop() - what begins from now on looks for the file. What is under way goes on.
 * One that is not held is ignored.
 */
void ring_file_drop(struct ring *r, int fd);

/** ring_busy() - operations that have not ended */
unsigned int ring_busy(const struct ring *r);

/* Queue an operation. @op->done is set, @op is not busy. Never fails: errors reach done. */
void ring_read(struct ring *r, struct ring_op *op, int fd, void *buf, size_t size,
	       uint64_t offset);
void ring_write(struct ring *r, struct ring_op *op, int fd, const void *buf, size_t size,
		uint64_t offset);
void ring_fsync(struct ring *r, struct ring_op *op, int fd);
/* @iov is copied; at most RING_IOV_MAX parts */
void ring_send(struct ring *r, struct ring_op *op, int fd, const struct iovec *iov,
	       unsigned int count);
/* The same on a socket with kernel TLS: that is asked for parts, for it refuses MSG_WAITALL. */
void ring_send_tls(struct ring *r, struct ring_op *op, int fd, const struct iovec *iov,
		   unsigned int count);
/**
 * ring_send_zero() - as ring_send(), from the caller's memory itself, if that is possible
 *
 * It has two ends. @op->done says that all bytes are with the kernel: the next send may
 * begin. @op->released says that the kernel is done with the memory: what lies there may be
 * changed, and @op submitted again, no sooner. With TCP that is when the peer has
 * acknowledged it: a packet that is lost is sent again from the same memory. A connection
 * that ends lets go, too: by a reset, not by shutdown(). @released is called after @done,
 * once, also after an error. Until then @op counts as busy, but ring_cancel() can no more
 * do anything about it once @done was called.
 *
 * Where the kernel cannot do it @released follows @done at once.
 */
void ring_send_zero(struct ring *r, struct ring_op *op, int fd, const struct iovec *iov,
		    unsigned int count);
/* Receives exactly @size bytes, or fewer at the end of the stream. */
void ring_recv(struct ring *r, struct ring_op *op, int fd, void *buf, size_t size);
/* Receives what there is, at least one byte and at most @size; 0 at the end of the stream. */
void ring_recv_some(struct ring *r, struct ring_op *op, int fd, void *buf, size_t size);
/* Ends with 0 after @ms milliseconds. */
void ring_timeout(struct ring *r, struct ring_op *op, uint64_t ms);
/* Ends with the poll events when @fd is readable. */
void ring_poll(struct ring *r, struct ring_op *op, int fd);

/** ring_cancel() - ask a busy operation to end soon; its @done is called all the same */
void ring_cancel(struct ring *r, struct ring_op *op);

/**
 * ring_run() - submit what is queued, wait for at least one end, call their @done
 *
 * Does not wait when nothing is busy.
 *
 * Return: 0, -EINTR, or a negative errno of the ring itself.
 */
int ring_run(struct ring *r);

#endif
