/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream: a connected socket on a thread's ring, in the clear or through TLS. It
 * sends and receives whole pieces as ring_send() and ring_recv() do, and calls the
 * caller's operation when one has ended; the handshake happens by itself with the
 * first of them. One piece may be under way in each direction.
 *
 * Through TLS the bytes pass OpenSSL in memory; the ring moves what is encrypted, in
 * batches of at most STREAM_BATCH, so that this costs no system call more. After
 * STREAM_REKEY bytes the sending key is changed: AES-GCM may encrypt 2^24.5 records
 * with one.
 *
 * Where the context says so (tls_context_kernel()) the kernel encrypts what a client
 * sends, straight from the caller's memory: see offload.h. OpenSSL goes on decrypting what
 * comes, and never sends again. That key cannot be changed: the stream is spent after as
 * many bytes, see stream_spent().
 */
#ifndef TIDEMARK_TLS_STREAM_H
#define TIDEMARK_TLS_STREAM_H

#include "base/name.h"
#include "ring/ring.h"
#include "tls/context.h"

#define STREAM_BATCH (256u << 10)
#define STREAM_REKEY (64ull << 30)
/** Names of a certificate that are looked at: its common name, and DNS names. */
#define STREAM_NAMES_MAX 16

struct stream;

/**
 * stream_create() - over a connected socket
 * @fd: stays the caller's
 * @context: NULL: in the clear
 * @host: TLS_CLIENT: the name or address that the certificate must be for
 *
 * Return: 0 or -ENOMEM.
 */
int stream_create(struct stream **ret, struct ring *ring, int fd,
		  const struct tls_context *context, const char *host);
/**
 * stream_destroy() - nothing of it may be busy in the ring: see stream_busy(). NULL is
 * ignored. Return: NULL
 */
struct stream *stream_destroy(struct stream *s);

/** stream_send() - as ring_send(); @iov's bytes stay until @op->done */
void stream_send(struct stream *s, struct ring_op *op, const struct iovec *iov,
		 unsigned int count);
/**
 * stream_send_zero() - as ring_send_zero(), for which there is a use: see stream_zero()
 *
 * The next piece may be sent at @op->done, and stream_move() waits for @op->released.
 */
void stream_send_zero(struct stream *s, struct ring_op *op, const struct iovec *iov,
		      unsigned int count);
/** stream_zero() - as ring_zero(); what is encrypted is a copy, so there is no use for it */
enum ring_zero stream_zero(const struct stream *s);
/** stream_recv() - as ring_recv(): exactly @size bytes, or fewer at the end */
void stream_recv(struct stream *s, struct ring_op *op, void *buf, size_t size);

/**
 * stream_last() - a few last bytes, and the end of what is sent; does not wait
 *
 * Nothing is under way. Return: 0; -EPIPE: the peer cannot be told; another errno.
 */
int stream_last(struct stream *s, const void *buf, size_t size);

/**
 * stream_end() - the end of what is sent, so that nobody else can have made it: close_notify
 *
 * Nothing that was to be sent is under way. Best effort: it does not wait, neither for room
 * in the socket nor for the peer's own. In the clear, and behind a failure, there is none.
 */
void stream_end(struct stream *s);

/**
 * stream_move() - from now on it works on another thread's ring
 *
 * The handshake is over, no piece is under way, and it is not stream_busy(): then it has
 * nothing in the old ring, and begins nothing by itself.
 */
void stream_move(struct stream *s, struct ring *ring);

/** stream_busy() - operations of its own in the ring; shutdown() of the socket ends them */
bool stream_busy(const struct stream *s);

/**
 * stream_why() - why TLS has failed; NULL: it has not. Operations end with -EPROTO,
 * or -EKEYREJECTED when it was one side's certificate
 */
const char *stream_why(const struct stream *s);

/**
 * stream_secret() - "TLSv1.3 TLS_AES_256_GCM_SHA384", that with ", kernel TLS", or "plain";
 * a string that stays; "": there was no handshake yet
 */
const char *stream_secret(const struct stream *s);

/** stream_kernel_why() - why no kernel TLS, a string that stays; NULL: it is, or need not be */
const char *stream_kernel_why(const struct stream *s);

/**
 * stream_spent() - has its key encrypted so much that another stream should take over?
 *
 * Only with kernel TLS. Some GiB more are carried; then sends end with -EKEYEXPIRED.
 */
bool stream_spent(const struct stream *s);
/** stream_kernel_bytes() - about so many it has carried then */
uint64_t stream_kernel_bytes(void);

/**
 * stream_names() - whom the peer's certificate is for, once something was received
 * @ret: room for STREAM_NAMES_MAX
 *
 * Only names that name_valid() takes. Return: how many; 0 in the clear.
 */
size_t stream_names(const struct stream *s, char ret[STREAM_NAMES_MAX][NAME_SIZE]);

#endif
