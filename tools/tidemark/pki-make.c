// SPDX-License-Identifier: GPL-2.0-or-later
#include "tidemark/pki-make.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SERIAL_BYTES 16

int pki_path(char path[PKI_PATH_MAX], const char *dir, enum pki_file file)
{
	static const char *const names[] = {
		[PKI_CA_CERT] = "ca-cert.pem",
		[PKI_CA_KEY] = "ca-key.pem",
		[PKI_CA_CRL] = "ca-crl.pem",
		[PKI_SERVER_CERT] = "server-cert.pem",
		[PKI_SERVER_KEY] = "server-key.pem",
		[PKI_CLIENT_CERT] = "client-cert.pem",
		[PKI_CLIENT_KEY] = "client-key.pem",
	};

	if (snprintf(path, PKI_PATH_MAX, "%s/%s", dir, names[file]) >= PKI_PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

const char *pki_why(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *why = e ? ERR_reason_error_string(e) : NULL;

	return why ? why : "OpenSSL gives no reason";
}

EVP_PKEY *pki_key(void)
{
	return EVP_EC_gen("P-256");
}

/* -- certificates ------------------------------------------------------------- */

/* Random, positive, and of the length that nobody objects to. */
static int make_serial(ASN1_INTEGER *serial)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *number;
	int good;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return 0;
	bytes[0] = (bytes[0] & 0x7f) | 0x40;
	number = BN_bin2bn(bytes, sizeof(bytes), NULL);
	good = number && BN_to_ASN1_INTEGER(number, serial);
	BN_free(number);
	return good;
}

static int make_extension(X509 *cert, X509 *ca, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	int good;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, ca, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	good = extension && X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	return good;
}

/* "DNS:a,IP:1.2.3.4", of names that the caller has checked. */
static int make_names(X509 *cert, X509 *ca, char *const *names, size_t count)
{
	char value[4096] = "";
	unsigned char address[16];

	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(value);
		int is_address = inet_pton(AF_INET, names[i], address) == 1 ||
				 inet_pton(AF_INET6, names[i], address) == 1;

		if (snprintf(value + used, sizeof(value) - used, "%s%s:%s", used ? "," : "",
			     is_address ? "IP" : "DNS", names[i]) >= (int)(sizeof(value) - used))
			return 0;
	}
	return make_extension(cert, ca, NID_subject_alt_name, value);
}

static int make_purpose(enum pki_kind kind, X509 *cert, X509 *ca, char *const *names, size_t count)
{
	if (kind == PKI_CA)
		return make_extension(cert, ca, NID_basic_constraints, "critical,CA:TRUE") &&
		       make_extension(cert, ca, NID_key_usage, "critical,keyCertSign,cRLSign");
	return make_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
	       make_extension(cert, ca, NID_key_usage, "critical,digitalSignature") &&
	       make_extension(cert, ca, NID_ext_key_usage,
			      kind == PKI_SERVER ? "serverAuth" : "clientAuth") &&
	       make_extension(cert, ca, NID_authority_key_identifier, "keyid") &&
	       make_names(cert, ca, names, count);
}

X509 *pki_certificate(enum pki_kind kind, char *const *names, size_t count, int days,
		      EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
	X509 *cert = X509_new();
	X509_NAME *subject = cert ? X509_get_subject_name(cert) : NULL;

	if (!cert)
		return NULL;
	/* A few minutes ago: the clocks of two hosts are not the same. */
	if (X509_set_version(cert, X509_VERSION_3) &&
	    make_serial(X509_get_serialNumber(cert)) &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -300) &&
	    X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) &&
	    X509_set_pubkey(cert, key) &&
	    X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
				       (const unsigned char *)names[0], -1, -1, 0) &&
	    X509_set_issuer_name(cert, ca ? X509_get_subject_name(ca) : subject) &&
	    make_extension(cert, ca ? ca : cert, NID_subject_key_identifier, "hash") &&
	    make_purpose(kind, cert, ca ? ca : cert, names, count) &&
	    X509_sign(cert, ca_key ? ca_key : key, EVP_sha256()))
		return cert;
	X509_free(cert);
	return NULL;
}

/* -- revocation lists --------------------------------------------------------- */

static int crl_add(X509_CRL *crl, const ASN1_INTEGER *serial, const ASN1_TIME *when)
{
	X509_REVOKED *entry = X509_REVOKED_new();

	if (entry && X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)serial) &&
	    X509_REVOKED_set_revocationDate(entry, (ASN1_TIME *)when) &&
	    X509_CRL_add0_revoked(crl, entry))
		return 1;
	X509_REVOKED_free(entry);
	return 0;
}

static int crl_copy(X509_CRL *crl, X509_CRL *old)
{
	STACK_OF(X509_REVOKED) *revoked = old ? X509_CRL_get_REVOKED(old) : NULL;

	for (int i = 0; i < sk_X509_REVOKED_num(revoked); i++) {
		const X509_REVOKED *r = sk_X509_REVOKED_value(revoked, i);

		if (!crl_add(crl, X509_REVOKED_get0_serialNumber(r),
			     X509_REVOKED_get0_revocationDate(r)))
			return 0;
	}
	return 1;
}

X509_CRL *pki_crl(X509_CRL *old, X509 *cert, int days, X509 *ca, EVP_PKEY *ca_key)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, 0);
	ASN1_TIME *next = X509_time_adj_ex(NULL, days, 0, NULL);
	int good = crl && now && next && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
		   X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) &&
		   X509_CRL_set1_lastUpdate(crl, now) && X509_CRL_set1_nextUpdate(crl, next) &&
		   crl_copy(crl, old);

	if (good && cert)
		good = crl_add(crl, X509_get0_serialNumber(cert), now);
	if (good)
		good = X509_CRL_sort(crl) && X509_CRL_sign(crl, ca_key, EVP_sha256());
	ASN1_TIME_free(now);
	ASN1_TIME_free(next);
	if (good)
		return crl;
	X509_CRL_free(crl);
	return NULL;
}

/* -- files -------------------------------------------------------------------- */

X509 *pki_read_certificate(const char *path)
{
	FILE *f = fopen(path, "re");
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return cert;
}

EVP_PKEY *pki_read_key(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return key;
}

X509_CRL *pki_read_crl(const char *path)
{
	FILE *f = fopen(path, "re");
	X509_CRL *crl = f ? PEM_read_X509_CRL(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return crl;
}

static int write_stream(FILE *f, EVP_PKEY *key, X509 *cert, X509_CRL *crl)
{
	int good = 1;

	if (key)
		good = PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	if (cert && good)
		good = PEM_write_X509(f, cert);
	if (crl && good)
		good = PEM_write_X509_CRL(f, crl);
	return good && fflush(f) == 0 && fsync(fileno(f)) == 0 ? 0 : -EIO;
}

int pki_write(const char *path, EVP_PKEY *key, X509 *cert, X509_CRL *crl, bool replace)
{
	char temporary[PKI_PATH_MAX + 8];
	FILE *f;
	int fd, err;

	if (!replace && access(path, F_OK) == 0)
		return -EEXIST;
	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!key && fchmod(fd, 0644) < 0) {
		err = -errno;
		close(fd);
		unlink(temporary);
		return err;
	}
	f = fdopen(fd, "w");
	err = f ? write_stream(f, key, cert, crl) : -ENOMEM;
	if (f)
		fclose(f);
	else
		close(fd);
	/* link() would not replace, rename() may: what came meanwhile stays unless told. */
	if (!err && (replace ? rename(temporary, path) : link(temporary, path)) < 0)
		err = -errno;
	if (err || !replace)
		unlink(temporary);
	return err;
}
