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
 */
struct tls_context {
	atomic_uint owners;
	SSL_CTX *ssl;
	enum tls_role role;
	uint64_t stamp;
	bool crl;
	char dir[512];
};

/** tls_error_text() - what OpenSSL says went wrong last in this thread; forgets it */
void tls_error_text(char *text, size_t size);

#endif
