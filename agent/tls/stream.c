// SPDX-License-Identifier: GPL-2.0-or-later
#include "tls/stream.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "tls/internal.h"
#include "tls/measure.h"
#include "tls/offload.h"

#define RECORD_MAX 16384u
/* A record's header, tag and content type, with room to spare. */
#define RECORD_MORE 256u
#define IN_SIZE (64u << 10)
#define OUT_SIZE (STREAM_BATCH + STREAM_BATCH / RECORD_MAX * RECORD_MORE + RECORD_MAX)
/* OpenSSL numbers what the other side's alert says from here on. */
#define ALERT_FIRST 1000

/**
 * struct piece - what the caller has asked for, in one direction
 * @op: its operation, NULL: nothing is asked for
 * @total: bytes in all
 * @moved: of them that OpenSSL has taken, or given
 */
struct piece {
	struct ring_op *op;
	struct iovec iov[RING_IOV_MAX];
	unsigned int count;
	unsigned int first;
	uint64_t total;
	uint64_t moved;
};

struct stream {
	struct ring *ring;
	struct ring *holder; /* of the socket's file: the first ring it worked on */
	int fd;
	SSL *ssl; /* NULL: in the clear, and the rest means nothing */
	bool client;
	bool ready; /* the handshake is over */
	bool pumping;
	int error;
	char why[256];
	const char *secret;

	/* kernel TLS, see offload.h */
	bool offload; /* wanted, and not decided: nothing is encrypted before it is */
	bool kernel; /* the kernel encrypts; OpenSSL has nothing to send any more */
	uint8_t *traffic; /* the secret, in locked memory, until it is decided */
	size_t traffic_size;
	const char *kernel_why;
	uint64_t records;

	struct piece out;
	struct piece in;
	uint64_t since_rekey;

	/* between OpenSSL and the socket */
	struct ring_op send_op;
	struct ring_op recv_op;
	bool sending;
	bool receiving;
	bool end; /* nothing more comes */
	int broken; /* errno of the socket */
	size_t in_first, in_used;
	size_t out_used;
	uint8_t in_buf[IN_SIZE];
	uint8_t out_buf[OUT_SIZE];
};

static void stream_pump(struct stream *s);

/* -- kernel TLS ------------------------------------------------------------------ */

static void offload_forget(struct stream *s)
{
	OPENSSL_secure_clear_free(s->traffic, OFFLOAD_SECRET_MAX);
	s->traffic = NULL;
	s->offload = false;
}

void stream_keylog(const SSL *ssl, const char *line)
{
	struct stream *s = SSL_get_app_data(ssl);

	if (s && s->offload && s->traffic && !s->traffic_size)
		s->traffic_size = offload_secret(line, s->traffic);
}

static bool offload_cipher(const struct stream *s)
{
	int cipher = SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(s->ssl));

	return cipher == NID_aes_256_gcm || cipher == NID_aes_128_gcm;
}

/* Return: NULL, or why not */
static const char *offload_begin(struct stream *s)
{
	const char *why = "its secret is not to be had";
	struct offload_key key;

	if (!offload_cipher(s))
		return "the cipher is not AES-GCM";
	if (!s->traffic_size || offload_derive(&key, s->traffic, s->traffic_size))
		return why;
	s->kernel = !offload_attach(s->fd, &key, &why);
	offload_wipe(&key);
	return s->kernel ? NULL : why;
}

static const char *secret_text(const struct stream *s)
{
	static const char *const texts[][2] = {
		{ "TLSv1.3 TLS_AES_256_GCM_SHA384", "TLSv1.3 TLS_AES_256_GCM_SHA384, kernel TLS" },
		{ "TLSv1.3 TLS_AES_128_GCM_SHA256", "TLSv1.3 TLS_AES_128_GCM_SHA256, kernel TLS" },
		{ "TLSv1.3 TLS_CHACHA20_POLY1305_SHA256", NULL },
	};
	const char *cipher = SSL_get_cipher_name(s->ssl);

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(texts[i][0] + strlen("TLSv1.3 "), cipher) == 0)
			return texts[i][s->kernel];
	return "TLSv1.3";
}

/*
 * The handshake is over, and its last word is in the socket, behind which the kernel's
 * records come. The next record would be the first that our key encrypts.
 */
static void stream_offload(struct stream *s)
{
	if (!s->offload || !s->ready || s->sending || s->out_used || s->error || s->broken)
		return;
	s->kernel_why = offload_begin(s);
	measure_note(s->kernel_why ?: "to be had");
	offload_forget(s);
	s->secret = secret_text(s);
}

/* The key that OpenSSL has used is not the kernel's to begin with. */
static void offload_too_late(struct stream *s)
{
	s->kernel_why = "OpenSSL has sent something already";
	offload_forget(s);
}

/* -- OpenSSL's side of the buffers -------------------------------------------- */

static int bio_write(BIO *bio, const char *data, int size)
{
	struct stream *s = BIO_get_data(bio);
	size_t room = s->sending ? 0 : sizeof(s->out_buf) - s->out_used;

	BIO_clear_retry_flags(bio);
	/* An alert at most: nobody could decrypt it. */
	if (s->kernel)
		return -1;
	if (s->offload && s->ready)
		offload_too_late(s);
	if (!room) {
		BIO_set_retry_write(bio);
		return -1;
	}
	size = u64_min(size, room);
	memcpy(s->out_buf + s->out_used, data, size);
	s->out_used += size;
	return size;
}

static int bio_read(BIO *bio, char *data, int size)
{
	struct stream *s = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (!s->in_used) {
		if (s->end)
			return 0;
		BIO_set_retry_read(bio);
		return -1;
	}
	size = u64_min(size, s->in_used);
	memcpy(data, s->in_buf + s->in_first, size);
	s->in_first += size;
	s->in_used -= size;
	return size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *p)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;

static void __attribute__((constructor)) bio_method_make(void)
{
	bio_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "stream");
	if (!bio_method)
		return;
	BIO_meth_set_write(bio_method, bio_write);
	BIO_meth_set_read(bio_method, bio_read);
	BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/* -- failing ------------------------------------------------------------------ */

static void stream_say_why(struct stream *s)
{
	unsigned long e = ERR_peek_last_error();
	long verdict = SSL_get_verify_result(s->ssl);
	const char *peer = s->client ? "the replica host" : "the sender";
	char text[160];

	s->error = -EPROTO;
	if (verdict != X509_V_OK) {
		s->error = -EKEYREJECTED;
		snprintf(s->why, sizeof(s->why), "the certificate of %s is refused: %s", peer,
			 X509_verify_cert_error_string(verdict));
		ERR_clear_error();
		return;
	}
	if (e && ERR_GET_REASON(e) >= ALERT_FIRST) {
		tls_error_text(text, sizeof(text));
		s->error = -EKEYREJECTED;
		snprintf(s->why, sizeof(s->why), "%s refuses TLS with us: %s", peer, text);
		return;
	}
	tls_error_text(text, sizeof(text));
	snprintf(s->why, sizeof(s->why), "no TLS with %s: %s", peer, text);
}

/* The alert that says why must be gone before the caller closes the socket. */
static void stream_fail(struct stream *s)
{
	if (s->error)
		return;
	stream_say_why(s);
	if (s->out_used && !s->sending)
		(void)!send(s->fd, s->out_buf, s->out_used, MSG_DONTWAIT | MSG_NOSIGNAL);
	s->out_used = 0;
}

/* What SSL_x() has returned. Return: it may be asked again when the buffers have changed */
static bool stream_again(struct stream *s, int ret)
{
	switch (SSL_get_error(s->ssl, ret)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return true;
	case SSL_ERROR_ZERO_RETURN:
		s->end = true;
		return true;
	}
	/* An end without a word is like that of a plain connection. */
	if (s->end && s->ready) {
		ERR_clear_error();
		return true;
	}
	if (s->end && !s->ready && !ERR_peek_last_error())
		s->broken = s->broken ? s->broken : -ECONNRESET;
	else
		stream_fail(s);
	return false;
}

/* -- moving ------------------------------------------------------------------- */

static void stream_shake(struct stream *s)
{
	int ret;

	if (s->ready || s->error || s->broken)
		return;
	ERR_clear_error();
	ret = SSL_do_handshake(s->ssl);
	if (ret == 1) {
		s->ready = true;
		s->secret = secret_text(s);
	} else {
		stream_again(s, ret);
	}
}

static bool stream_has_room(const struct stream *s)
{
	return !s->sending && s->out_used < STREAM_BATCH;
}

/* The key has been used enough? The other side follows by itself. */
static void stream_rekey(struct stream *s)
{
	if (s->since_rekey < STREAM_REKEY)
		return;
	if (SSL_key_update(s->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
		s->since_rekey = 0;
}

static void stream_encrypt(struct stream *s)
{
	struct piece *p = &s->out;

	while (p->op && p->moved < p->total && s->ready && !s->offload && !s->kernel &&
	       !s->error && stream_has_room(s)) {
		struct iovec *v = &p->iov[p->first];
		size_t done = 0;
		int ret;

		if (!v->iov_len) {
			p->first++;
			continue;
		}
		stream_rekey(s);
		ERR_clear_error();
		ret = SSL_write_ex(s->ssl, v->iov_base, u64_min(v->iov_len, RECORD_MAX), &done);
		if (ret != 1) {
			stream_again(s, ret);
			return;
		}
		v->iov_base = (char *)v->iov_base + done;
		v->iov_len -= done;
		p->moved += done;
		s->since_rekey += done;
	}
}

/* What is to be sent goes to the kernel as it is, and is the ring's and the caller's then. */
static void stream_hand_over(struct stream *s)
{
	struct piece *p = &s->out;
	struct ring_op *op = p->op;

	if (!s->kernel || !op || s->error || s->broken)
		return;
	s->records += offload_records(p->total);
	if (s->records > offload_records_last()) {
		s->error = -EKEYEXPIRED;
		snprintf(s->why, sizeof(s->why), "its key has encrypted as much as it may");
		return;
	}
	p->op = NULL;
	ring_send_tls(s->ring, op, s->fd, p->iov, p->count);
}

/* OpenSSL would say with its next record that it has changed the key, as it was asked to. */
static void stream_check_key(struct stream *s)
{
	if (!s->kernel || s->error || SSL_get_key_update_type(s->ssl) == SSL_KEY_UPDATE_NONE)
		return;
	s->error = -EPROTO;
	snprintf(s->why, sizeof(s->why), "the replica host asks for another key, which kernel TLS "
		 "cannot change to");
}

static void stream_decrypt(struct stream *s)
{
	struct piece *p = &s->in;

	while (p->op && p->moved < p->total && s->ready && !s->error) {
		size_t done = 0;
		int ret;

		ERR_clear_error();
		ret = SSL_read_ex(s->ssl, (char *)p->iov[0].iov_base + p->moved,
				  p->total - p->moved, &done);
		stream_check_key(s);
		if (ret != 1) {
			stream_again(s, ret);
			return;
		}
		p->moved += done;
	}
}

static void stream_raw(struct stream *s)
{
	struct iovec v = { s->out_buf, s->out_used };

	if (s->out_used && !s->sending && !s->broken && !s->error) {
		s->sending = true;
		ring_send(s->ring, &s->send_op, s->fd, &v, 1);
	}
	/* Something is received only while somebody wants it, as without TLS. */
	if (!s->receiving && !s->in_used && !s->end && !s->broken && !s->error &&
	    (!s->ready || (s->in.op && s->in.moved < s->in.total))) {
		s->receiving = true;
		s->in_first = 0;
		ring_recv_some(s->ring, &s->recv_op, s->fd, s->in_buf, sizeof(s->in_buf));
	}
}

/* A piece that has ended. Return: its operation, and in *@ret_result what is said of it */
static struct ring_op *stream_ended(struct stream *s, struct piece *p, bool out,
				    int64_t *ret_result)
{
	struct ring_op *op = p->op;
	bool whole = p->moved == p->total && !(out && (s->out_used || s->sending));

	if (!op)
		return NULL;
	if (!whole && !out && s->end && !s->in_used && !s->error)
		whole = true;
	if (!whole && !s->error && !s->broken)
		return NULL;
	*ret_result = p->moved;
	if (!whole)
		*ret_result = s->error ? s->error : s->broken;
	p->op = NULL;
	return op;
}

/* Whoever is told may ask for more from within: the loop sees it. */
static bool stream_tell(struct stream *s)
{
	struct ring_op *op;
	int64_t result;

	op = stream_ended(s, &s->in, false, &result);
	if (op) {
		op->done(op, result);
		return true;
	}
	op = stream_ended(s, &s->out, true, &result);
	if (op)
		op->done(op, result);
	return op != NULL;
}

static void stream_pump(struct stream *s)
{
	if (s->pumping)
		return;
	s->pumping = true;
	do {
		stream_shake(s);
		stream_offload(s);
		stream_encrypt(s);
		stream_hand_over(s);
		stream_decrypt(s);
		stream_raw(s);
	} while (stream_tell(s));
	s->pumping = false;
}

static void stream_sent(struct ring_op *op, int64_t result)
{
	struct stream *s = container_of(op, struct stream, send_op);

	s->sending = false;
	s->out_used = 0;
	if (result < 0)
		s->broken = result;
	stream_pump(s);
}

static void stream_received(struct ring_op *op, int64_t result)
{
	struct stream *s = container_of(op, struct stream, recv_op);

	s->receiving = false;
	if (result < 0)
		s->broken = result;
	else if (result == 0)
		s->end = true;
	else
		s->in_used = result;
	stream_pump(s);
}

/* -- for the caller ----------------------------------------------------------- */

void stream_send(struct stream *s, struct ring_op *op, const struct iovec *iov,
		 unsigned int count)
{
	struct piece *p = &s->out;

	if (!s->ssl) {
		ring_send(s->ring, op, s->fd, iov, count);
		return;
	}
	*p = (struct piece){ .op = op, .count = count };
	for (unsigned int i = 0; i < count; i++) {
		p->iov[i] = iov[i];
		p->total += iov[i].iov_len;
	}
	stream_pump(s);
}

void stream_send_zero(struct stream *s, struct ring_op *op, const struct iovec *iov,
		      unsigned int count)
{
	ring_send_zero(s->ring, op, s->fd, iov, count);
}

enum ring_zero stream_zero(const struct stream *s)
{
	return s->ssl ? RING_ZERO_NEVER : ring_zero(s->ring);
}

void stream_recv(struct stream *s, struct ring_op *op, void *buf, size_t size)
{
	if (!s->ssl) {
		ring_recv(s->ring, op, s->fd, buf, size);
		return;
	}
	s->in.op = op;
	s->in.iov[0] = (struct iovec){ buf, size };
	s->in.total = size;
	s->in.moved = 0;
	stream_pump(s);
}

bool stream_busy(const struct stream *s)
{
	return s->sending || s->receiving;
}

void stream_move(struct stream *s, struct ring *ring)
{
	s->ring = ring;
}

/* To the socket, if it has room for all of it. Return: 0 or a negative errno */
static int send_now(int fd, const void *data, size_t size)
{
	ssize_t n = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n == (ssize_t)size)
		return 0;
	return n < 0 ? -errno : -EPIPE;
}

/* close_notify, behind what is in the buffer. */
static int stream_close_notify(struct stream *s)
{
	int err;

	if (s->kernel)
		return offload_end(s->fd);
	SSL_shutdown(s->ssl);
	err = send_now(s->fd, s->out_buf, s->out_used);
	s->out_used = 0;
	ERR_clear_error();
	return err;
}

int stream_last(struct stream *s, const void *buf, size_t size)
{
	size_t done = 0;

	if (!s->ssl)
		return send_now(s->fd, buf, size);
	if (!s->ready || s->offload || s->error || s->broken || s->sending || size > RECORD_MAX)
		return -EPIPE;
	if (s->kernel ? send_now(s->fd, buf, size) :
			SSL_write_ex(s->ssl, buf, size, &done) != 1 || done != size)
		return -EPIPE;
	return stream_close_notify(s);
}

/* Behind a piece that is cut short it would be a lie: then there is none. */
void stream_end(struct stream *s)
{
	if (!s->ssl || !s->ready || s->offload || s->error || s->broken || s->out.op ||
	    s->sending || s->out_used)
		return;
	(void)stream_close_notify(s);
}

const char *stream_why(const struct stream *s)
{
	return s->error ? s->why : NULL;
}

const char *stream_secret(const struct stream *s)
{
	return s->secret;
}

const char *stream_kernel_why(const struct stream *s)
{
	return s->kernel_why;
}

uint64_t stream_kernel_bytes(void)
{
	return offload_bytes(offload_records_max());
}

bool stream_spent(const struct stream *s)
{
	return s->kernel && s->records >= offload_records_max();
}

static size_t names_add(char ret[STREAM_NAMES_MAX][NAME_SIZE], size_t count,
			const ASN1_STRING *text)
{
	const char *data = (const char *)ASN1_STRING_get0_data(text);
	int length = ASN1_STRING_length(text);

	/* A NUL inside is a trick: the name before it is not the one that was signed. */
	if (count == STREAM_NAMES_MAX || length <= 0 || length >= NAME_SIZE ||
	    memchr(data, '\0', length))
		return count;
	memcpy(ret[count], data, length);
	ret[count][length] = '\0';
	return count + name_valid(ret[count]);
}

size_t stream_names(const struct stream *s, char ret[STREAM_NAMES_MAX][NAME_SIZE])
{
	X509 *cert = s->ssl && s->ready ? SSL_get0_peer_certificate(s->ssl) : NULL;
	GENERAL_NAMES *others;
	size_t count = 0;
	X509_NAME *name;
	int at;

	if (!cert)
		return 0;
	name = X509_get_subject_name(cert);
	at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	if (at >= 0)
		count = names_add(ret, count,
				  X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	others = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(others); i++) {
		const GENERAL_NAME *other = sk_GENERAL_NAME_value(others, i);

		if (other->type == GEN_DNS)
			count = names_add(ret, count, other->d.dNSName);
	}
	GENERAL_NAMES_free(others);
	return count;
}

/* -- life --------------------------------------------------------------------- */

static int stream_demand_host(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *demand = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(demand, host) == 1)
		return 0;
	X509_VERIFY_PARAM_set_hostflags(demand, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_host(demand, host, 0) != 1 ||
	    SSL_set_tlsext_host_name(ssl, host) != 1)
		return -ENOMEM;
	return 0;
}

static int stream_secure(struct stream *s, const struct tls_context *context, const char *host)
{
	BIO *bio = bio_method ? BIO_new(bio_method) : NULL;

	s->ssl = SSL_new(context->ssl);
	if (!s->ssl || !bio) {
		BIO_free(bio);
		return -ENOMEM;
	}
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	s->client = context->role == TLS_CLIENT;
	s->secret = "";
	s->kernel_why = context->kernel_why;
	SSL_set_app_data(s->ssl, s);
	if (s->client && context->kernel) {
		s->traffic = OPENSSL_secure_zalloc(OFFLOAD_SECRET_MAX);
		s->offload = s->traffic != NULL;
		s->kernel_why = s->offload ? NULL : "no locked memory is left for its key";
	}
	if (!s->client) {
		SSL_set_accept_state(s->ssl);
		return 0;
	}
	SSL_set_connect_state(s->ssl);
	return stream_demand_host(s->ssl, host);
}

int stream_create(struct stream **ret, struct ring *ring, int fd,
		  const struct tls_context *context, const char *host)
{
	size_t size = context ? sizeof(struct stream) : offsetof(struct stream, in_buf);
	struct stream *s = calloc(1, size);

	if (!s)
		return -ENOMEM;
	s->ring = ring;
	s->fd = fd;
	s->secret = "plain";
	s->send_op.done = stream_sent;
	s->recv_op.done = stream_received;
	if (context && stream_secure(s, context, host)) {
		stream_destroy(s);
		return -ENOMEM;
	}
	s->holder = ring;
	ring_file(ring, fd);
	*ret = s;
	return 0;
}

struct stream *stream_destroy(struct stream *s)
{
	if (s) {
		if (s->holder)
			ring_file_drop(s->holder, s->fd);
		SSL_free(s->ssl);
		OPENSSL_secure_clear_free(s->traffic, OFFLOAD_SECRET_MAX);
		free(s);
	}
	return NULL;
}
