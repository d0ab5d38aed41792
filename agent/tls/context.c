// SPDX-License-Identifier: GPL-2.0-or-later
#include "tls/context.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "tls/internal.h"
#include "tls/measure.h"

#define TLS_SECURE_HEAP (256u << 10)

static const char ca_file[] = "ca-cert.pem";
static const char crl_file[] = "ca-crl.pem";

const char *tls_dir(void)
{
	static char dir[512];
	const char *credentials = getenv("CREDENTIALS_DIRECTORY");
	char path[600];

	if (!credentials || strlen(credentials) >= sizeof(dir))
		return TLS_DIR;
	snprintf(path, sizeof(path), "%s/%s", credentials, ca_file);
	if (access(path, R_OK) < 0)
		return TLS_DIR;
	snprintf(dir, sizeof(dir), "%s", credentials);
	return dir;
}

static void context_secrets(void)
{
	/* Locked, without guard pages' neighbours, MADV_DONTDUMP: OpenSSL sees to that. */
	if (!CRYPTO_secure_malloc_initialized())
		CRYPTO_secure_malloc_init(TLS_SECURE_HEAP, 32);
	/* What is copied elsewhere while it is used must not be in a core dump either. */
	prctl(PR_SET_DUMPABLE, 0);
}

/* -- errors ------------------------------------------------------------------- */

void tls_error_text(char *text, size_t size)
{
	unsigned long e = ERR_peek_last_error();
	const char *why = e ? ERR_reason_error_string(e) : NULL;

	snprintf(text, size, "%s", why ? why : "no reason given");
	ERR_clear_error();
}

static int context_fault(struct reason *reason, const char *dir, const char *file,
			 const char *what)
{
	char path[600], why[256];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	if (access(path, R_OK) < 0)
		return reason_set(reason, -errno, REASON_NOT_AVAILABLE, "cannot read %s: %s", path,
				  strerrordesc_np(errno));
	tls_error_text(why, sizeof(why));
	return reason_set(reason, -EINVAL, REASON_NOT_AVAILABLE, "%s %s: %s", path, what, why);
}

/* -- files -------------------------------------------------------------------- */

/* When a file was changed last, mixed with the others: any difference is a change. */
static uint64_t context_stamp(const char *dir)
{
	static const char *const files[] = {
		ca_file, crl_file, "server-cert.pem", "server-key.pem", "client-cert.pem",
		"client-key.pem",
	};
	uint64_t stamp = 1469598103934665603ull;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct stat st = { 0 };
		char path[600];

		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		if (stat(path, &st) < 0)
			memset(&st, 0, sizeof(st));
		stamp = (stamp ^ st.st_ino) * 1099511628211ull;
		stamp = (stamp ^ st.st_size) * 1099511628211ull;
		stamp = (stamp ^ st.st_mtim.tv_sec) * 1099511628211ull;
		stamp = (stamp ^ st.st_mtim.tv_nsec) * 1099511628211ull;
	}
	return stamp;
}

static int context_load_own(struct tls_context *c, struct reason *reason)
{
	const char *who = c->role == TLS_SERVER ? "server" : "client";
	char cert[32], key[32], path[600];
	struct stat st;

	snprintf(cert, sizeof(cert), "%s-cert.pem", who);
	snprintf(key, sizeof(key), "%s-key.pem", who);
	snprintf(path, sizeof(path), "%s/%s", c->dir, cert);
	if (SSL_CTX_use_certificate_chain_file(c->ssl, path) != 1)
		return context_fault(reason, c->dir, cert, "is no certificate");
	snprintf(path, sizeof(path), "%s/%s", c->dir, key);
	if (stat(path, &st) == 0 && st.st_mode & 0007)
		return reason_set(reason, -EPERM, REASON_ACCESS_DENIED,
				  "%s can be read by everybody: chmod o= it", path);
	if (SSL_CTX_use_PrivateKey_file(c->ssl, path, SSL_FILETYPE_PEM) != 1)
		return context_fault(reason, c->dir, key, "is no key");
	if (SSL_CTX_check_private_key(c->ssl) != 1)
		return context_fault(reason, c->dir, key, "does not belong to the certificate");
	return 0;
}

static int context_load_ca(struct tls_context *c, struct reason *reason)
{
	X509_STORE *store = SSL_CTX_get_cert_store(c->ssl);
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", c->dir, ca_file);
	if (SSL_CTX_load_verify_file(c->ssl, path) != 1)
		return context_fault(reason, c->dir, ca_file, "is no certificate");
	snprintf(path, sizeof(path), "%s/%s", c->dir, crl_file);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (X509_load_crl_file(X509_STORE_add_lookup(store, X509_LOOKUP_file()), path,
			       X509_FILETYPE_PEM) <= 0)
		return context_fault(reason, c->dir, crl_file, "is no revocation list");
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	c->crl = true;
	return 0;
}

/* -- ciphers ------------------------------------------------------------------ */

/* ChaCha20 ran at a third of AES's speed where the processor has AES, and before it elsewhere. */
static const char *context_ciphers(void)
{
#if defined(__x86_64__) || defined(__i386__)
	if (!__builtin_cpu_supports("aes"))
		return "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384";
#endif
	return "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
}

static int context_rules(struct tls_context *c)
{
	if (SSL_CTX_set_min_proto_version(c->ssl, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(c->ssl, context_ciphers()) != 1 ||
	    SSL_CTX_set_num_tickets(c->ssl, 0) != 1)
		return -EOPNOTSUPP;
	SSL_CTX_set_security_level(c->ssl, 2);
	SSL_CTX_set_options(c->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_verify_depth(c->ssl, 4);
	/* Many hosts, one CA: what it has signed for a server must not pass for a client. */
	SSL_CTX_set_purpose(c->ssl, c->role == TLS_SERVER ? X509_PURPOSE_SSL_CLIENT :
							    X509_PURPOSE_SSL_SERVER);
	return 0;
}

int tls_context_create(struct tls_context **ret, const char *dir, enum tls_role role,
		       struct reason *reason)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct tls_context *c = calloc(1, sizeof(*c));
	int err = 0;

	pthread_once(&once, context_secrets);

	if (!c || strlen(dir) >= sizeof(c->dir)) {
		free(c);
		return reason_set(reason, -ENOMEM, 0, "no memory for TLS");
	}
	memcpy(c->dir, dir, strlen(dir) + 1);
	c->owners = 1;
	c->role = role;
	c->stamp = context_stamp(dir);
	c->ssl = SSL_CTX_new(role == TLS_SERVER ? TLS_server_method() : TLS_client_method());
	if (!c->ssl || context_rules(c))
		err = reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
				 "OpenSSL cannot do TLS 1.3 here");
	if (!err)
		err = context_load_ca(c, reason);
	if (!err)
		err = context_load_own(c, reason);
	if (err) {
		tls_context_unref(c);
		return err;
	}
	*ret = c;
	return 0;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
	if (c)
		atomic_fetch_add(&c->owners, 1);
	return c;
}

struct tls_context *tls_context_unref(struct tls_context *c)
{
	if (c && atomic_fetch_sub(&c->owners, 1) == 1) {
		SSL_CTX_free(c->ssl);
		free(c);
	}
	return NULL;
}

/* -- who encrypts --------------------------------------------------------------- */

/* Secrets are told of to nobody else, and only if the kernel is to have one. */
void tls_context_kernel(struct tls_context *c, enum tls_kernel who)
{
	if (who == TLS_KERNEL_AUTO)
		c->kernel = measure_wins(&c->kernel_why);
	else
		c->kernel = who == TLS_KERNEL_YES;
	if (c->kernel)
		SSL_CTX_set_keylog_callback(c->ssl, stream_keylog);
}

const char *tls_kernel_verdict(void)
{
	return measure_verdict();
}

bool tls_context_stale(const struct tls_context *c)
{
	return context_stamp(c->dir) != c->stamp;
}

/* -- what comes to its end ---------------------------------------------------- */

struct warn {
	const struct tls_context *context;
	void (*each)(void *owner, const char *text);
	void *owner;
};

static void warn_end(const struct warn *w, const char *file, const ASN1_TIME *end)
{
	char text[1024];
	int days, seconds;

	if (!end || ASN1_TIME_diff(&days, &seconds, NULL, end) != 1 || days >= TLS_WARN_DAYS)
		return;
	if (days < 0 || seconds < 0)
		snprintf(text, sizeof(text), "%s/%s has expired", w->context->dir, file);
	else
		snprintf(text, sizeof(text), "%s/%s expires in %d days", w->context->dir, file,
			 days);
	w->each(w->owner, text);
}

void tls_context_warnings(const struct tls_context *c, void (*each)(void *owner, const char *text),
			  void *owner)
{
	STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(c->ssl));
	struct warn w = { .context = c, .each = each, .owner = owner };

	warn_end(&w, c->role == TLS_SERVER ? "server-cert.pem" : "client-cert.pem",
		 X509_get0_notAfter(SSL_CTX_get0_certificate(c->ssl)));
	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		const X509_OBJECT *o = sk_X509_OBJECT_value(objects, i);
		X509_CRL *crl = X509_OBJECT_get0_X509_CRL((X509_OBJECT *)o);
		X509 *cert = X509_OBJECT_get0_X509(o);

		if (cert)
			warn_end(&w, ca_file, X509_get0_notAfter(cert));
		if (crl)
			warn_end(&w, crl_file, X509_CRL_get0_nextUpdate(crl));
	}
}
