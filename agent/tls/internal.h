/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of this folder share; nobody else includes this. */
#ifndef TIDEMARK_TLS_INTERNAL_H
#define TIDEMARK_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "tls/context.h"

/**
 * struct tls_context - certificates, as they were read
 * @stamp: of the files at that time
 * @crl: there is a revocation list
 * @kernel: the kernel is to encrypt what is sent
 * @kernel_why: if not: why, a string that stays; NULL: it was not asked for
 */
struct tls_context {
	atomic_uint owners;
	SSL_CTX *ssl;
	enum tls_role role;
	uint64_t stamp;
	bool crl;
	bool kernel;
	const char *kernel_why;
	char dir[512];
};

/** tls_error_text() - what OpenSSL says went wrong last in this thread; forgets it */
void tls_error_text(char *text, size_t size);

/** stream_keylog() - OpenSSL tells a secret of a stream: SSL_CTX_set_keylog_callback() */
void stream_keylog(const SSL *ssl, const char *line);

#endif
