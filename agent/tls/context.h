/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS: certificates and what is demanded of those of others. Only this folder knows
 * OpenSSL.
 *
 * TLS 1.3 and nothing older, both sides with a certificate of the same CA. Files are
 * named as QEMU and libvirt name them, in one folder:
 *
 *   ca-cert.pem                       whom to trust
 *   ca-crl.pem                        whom no longer; may be missing
 *   server-cert.pem, server-key.pem   of a receiver
 *   client-cert.pem, client-key.pem   of a sender
 *
 * A sender demands that the receiver's certificate is for a server and for the name
 * or address that it dials. A receiver demands that the sender's is for a client; what
 * a name may do is the receiver's configuration to say. There is no resumption, no
 * early data: nothing of a session can be replayed. Keys are read into memory that is
 * locked and in no core dump, and go nowhere else.
 */
#ifndef TIDEMARK_TLS_CONTEXT_H
#define TIDEMARK_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

struct tls_context;

/** enum tls_role - which of the two certificates */
enum tls_role {
	TLS_CLIENT = 1,
	TLS_SERVER = 2,
};

/**
 * enum tls_kernel - is what a sender sends encrypted by the kernel?
 * @TLS_KERNEL_NO: by OpenSSL
 * @TLS_KERNEL_AUTO: where the kernel can, and was measured to be cheaper
 * @TLS_KERNEL_YES: where the kernel can
 */
enum tls_kernel {
	TLS_KERNEL_NO = 0,
	TLS_KERNEL_AUTO,
	TLS_KERNEL_YES,
};

/** Where certificates are, when nobody says otherwise. */
#define TLS_DIR "/etc/tidemark/tls"

/** tls_dir() - $CREDENTIALS_DIRECTORY if there is a ca-cert.pem in it, else TLS_DIR */
const char *tls_dir(void);

/**
 * tls_context_create() - read the certificates
 * @dir: folder
 * @reason: names the file and what is wrong with it
 *
 * From the first one on the process writes no core dump.
 */
int tls_context_create(struct tls_context **ret, const char *dir, enum tls_role role,
		       struct reason *reason);
/** tls_context_ref() - one more owner; by any thread. Return: @c, which may be NULL */
struct tls_context *tls_context_ref(struct tls_context *c);
/** tls_context_unref() - one owner less. NULL is ignored. Return: NULL */
struct tls_context *tls_context_unref(struct tls_context *c);

/**
 * tls_context_kernel() - who encrypts what the streams of a TLS_CLIENT send
 *
 * Before the first stream; if it is never called, OpenSSL does. TLS_KERNEL_AUTO measures
 * once in a process, for some 10 ms. Where the kernel cannot, OpenSSL does as well.
 */
void tls_context_kernel(struct tls_context *c, enum tls_kernel who);

/** tls_kernel_verdict() - what is known of kernel TLS here, for status; it stays */
const char *tls_kernel_verdict(void);

/** tls_context_stale() - have the files changed since? */
bool tls_context_stale(const struct tls_context *c);

/** So long before the end of a certificate or revocation list it is warned of. */
#define TLS_WARN_DAYS 30

/**
 * tls_context_warnings() - what will, or has, come to its end: own certificate, CA,
 * revocation list
 * @each: called with a sentence for each
 */
void tls_context_warnings(const struct tls_context *c, void (*each)(void *owner, const char *text),
			  void *owner);

#endif
