/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making keys, certificates and revocation lists; pki.c is the command around it.
 * Only the pki files of the command know OpenSSL.
 */
#ifndef TIDEMARK_PKI_MAKE_H
#define TIDEMARK_PKI_MAKE_H

#include <openssl/x509.h>
#include <stdbool.h>

/** enum pki_kind - what a certificate is for */
enum pki_kind {
	PKI_CA,
	PKI_SERVER,
	PKI_CLIENT,
};

/** enum pki_file - the names that QEMU and libvirt give files */
enum pki_file {
	PKI_CA_CERT,
	PKI_CA_KEY,
	PKI_CA_CRL,
	PKI_SERVER_CERT,
	PKI_SERVER_KEY,
	PKI_CLIENT_CERT,
	PKI_CLIENT_KEY,
};

#define PKI_PATH_MAX 4096

/** pki_path() - of a file in a folder. Return: 0 or -ENAMETOOLONG */
int pki_path(char path[PKI_PATH_MAX], const char *dir, enum pki_file file);

/** pki_why() - what OpenSSL says went wrong last */
const char *pki_why(void);

/** pki_key() - a new key, on the curve P-256; NULL: see pki_why() */
EVP_PKEY *pki_key(void);

/**
 * pki_certificate() - sign a certificate
 * @kind: what it is for
 * @names: of the subject: the first is the common name, all are DNS names or addresses
 * @count: of them
 * @days: from now on
 * @key: of the subject
 * @ca: who signs; NULL: @key itself
 * @ca_key: its key
 *
 * Return: NULL: see pki_why().
 */
X509 *pki_certificate(enum pki_kind kind, char *const *names, size_t count, int days,
		      EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key);

/**
 * pki_crl() - a revocation list
 * @old: what is revoked already, or NULL
 * @cert: to be revoked besides, or NULL
 * @days: until the next one
 */
X509_CRL *pki_crl(X509_CRL *old, X509 *cert, int days, X509 *ca, EVP_PKEY *ca_key);

/* Read and write files of a folder. Return: NULL or negative errno when that fails. */
X509 *pki_read_certificate(const char *path);
EVP_PKEY *pki_read_key(const char *path);
X509_CRL *pki_read_crl(const char *path);

/**
 * pki_write() - one of a key, a certificate, a list; whole or not at all
 * @replace: what is there may be replaced
 *
 * A key can be read by its owner alone.
 */
int pki_write(const char *path, EVP_PKEY *key, X509 *cert, X509_CRL *crl, bool replace);

#endif
