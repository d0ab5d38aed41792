// SPDX-License-Identifier: GPL-2.0-or-later
#include "tls/measure.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/util.h"
#include "tls/offload.h"

#define MEASURE_ROUNDS 3
#define MEASURE_BYTES (4u << 20)
#define MEASURE_STEP (256u << 10) /* as a stream's batches */
#define MEASURE_STUCK_MS 1000
#define RECORD_MAX 16384u
#define RECORD_MORE 22u

/**
 * struct pair - a TCP connection with itself
 * @ns: CPU time that sending on it has taken
 */
struct pair {
	int out;
	int in;
	uint64_t ns;
	uint8_t sink[64u << 10];
};

/**
 * struct measure - one under way
 * @clear: what is sent; it is read only
 * @record: one of OpenSSL's
 * @batch: as many as a step has
 */
struct measure {
	EVP_CIPHER_CTX *cipher;
	uint64_t sequence;
	struct pair user;
	struct pair kernel;
	uint8_t clear[MEASURE_STEP];
	uint8_t record[RECORD_MAX + RECORD_MORE];
	uint8_t batch[MEASURE_STEP / RECORD_MAX * (RECORD_MAX + RECORD_MORE)];
};

static uint64_t measure_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* -- a connection -------------------------------------------------------------- */

static void pair_close(struct pair *p)
{
	closep(&p->out);
	closep(&p->in);
}

static int pair_open(struct pair *p)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	_cleanup_close_ int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *)&a, size) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&a, &size))
		return -errno;
	p->out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->out < 0 || connect(p->out, (struct sockaddr *)&a, sizeof(a)))
		return -errno;
	p->in = accept4(listener, (struct sockaddr *)&a, &size, SOCK_CLOEXEC);
	return p->in < 0 ? -errno : 0;
}

/* What has come is thrown away, uncopied. */
static bool pair_drain(struct pair *p)
{
	bool any = false;

	while (recv(p->in, p->sink, sizeof(p->sink), MSG_DONTWAIT | MSG_TRUNC) > 0)
		any = true;
	return any;
}

/* Only sending is measured: what arrives costs the same, whoever has encrypted it. */
static int pair_push(struct pair *p, const uint8_t *data, size_t size)
{
	while (size) {
		struct pollfd ready = { .fd = p->out, .events = POLLOUT };
		uint64_t begun = measure_clock();
		ssize_t n = send(p->out, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		int err = n < 0 ? errno : 0;

		p->ns += measure_clock() - begun;
		if (err && err != EAGAIN && err != EINTR)
			return -err;
		if (n > 0) {
			data += n;
			size -= n;
		}
		if (!pair_drain(p) && n < 0 && poll(&ready, 1, MEASURE_STUCK_MS) <= 0)
			return -ETIMEDOUT;
	}
	return 0;
}

/* -- the two ways ---------------------------------------------------------------- */

/* As OpenSSL does for a stream: the clear is encrypted into a record, that is copied out. */
static bool user_record(struct measure *m, const uint8_t *clear, uint8_t *ret)
{
	static const uint8_t header[5] = { 23, 3, 3, 64, 17 };
	uint8_t iv[OFFLOAD_IV_SIZE] = { 0 };
	int n;

	memcpy(iv, &m->sequence, sizeof(m->sequence));
	m->sequence++;
	if (EVP_EncryptInit_ex(m->cipher, NULL, NULL, NULL, iv) != 1 ||
	    EVP_EncryptUpdate(m->cipher, NULL, &n, header, sizeof(header)) != 1 ||
	    EVP_EncryptUpdate(m->cipher, m->record, &n, clear, RECORD_MAX) != 1 ||
	    EVP_EncryptFinal_ex(m->cipher, m->record + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(m->cipher, EVP_CTRL_GCM_GET_TAG, 16, m->record + RECORD_MAX) != 1)
		return false;
	memcpy(ret, m->record, RECORD_MAX + RECORD_MORE);
	return true;
}

static int user_step(struct measure *m)
{
	uint64_t begun = measure_clock();
	uint8_t *to = m->batch;

	for (size_t at = 0; at < MEASURE_STEP; at += RECORD_MAX) {
		if (!user_record(m, m->clear + at, to))
			return -EOPNOTSUPP;
		to += RECORD_MAX + RECORD_MORE;
	}
	m->user.ns += measure_clock() - begun;
	return pair_push(&m->user, m->batch, to - m->batch);
}

/* One round of each; what it took. */
static int measure_round(struct measure *m, uint64_t *ret_user, uint64_t *ret_kernel)
{
	int err = 0;

	m->user.ns = m->kernel.ns = 0;
	for (size_t done = 0; done < MEASURE_BYTES && !err; done += MEASURE_STEP)
		err = user_step(m);
	for (size_t done = 0; done < MEASURE_BYTES && !err; done += MEASURE_STEP)
		err = pair_push(&m->kernel, m->clear, sizeof(m->clear));
	*ret_user = m->user.ns;
	*ret_kernel = m->kernel.ns;
	return err;
}

static uint64_t median(const uint64_t n[MEASURE_ROUNDS])
{
	uint64_t low = u64_min(n[0], n[1]), high = u64_max(n[0], n[1]);

	return u64_max(low, u64_min(high, n[2]));
}

/* Return: 0 or a negative errno, with *@ret_why. The key is worth nothing. */
static int measure_both(struct measure *m, uint64_t *ret_user, uint64_t *ret_kernel,
			const char **ret_why)
{
	uint64_t user[MEASURE_ROUNDS], kernel[MEASURE_ROUNDS];
	struct offload_key key = { .size = 32 };
	int err = pair_open(&m->user);

	*ret_why = "it cannot be measured";
	if (!err)
		err = pair_open(&m->kernel);
	if (!err)
		err = offload_attach(m->kernel.out, &key, ret_why);
	m->cipher = EVP_CIPHER_CTX_new();
	if (!err && (!m->cipher || EVP_EncryptInit_ex(m->cipher, EVP_aes_256_gcm(), NULL, key.key,
						      NULL) != 1))
		err = -ENOMEM;
	for (size_t i = 0; i < MEASURE_ROUNDS && !err; i++)
		err = measure_round(m, &user[i], &kernel[i]);
	if (err)
		return err;
	*ret_user = median(user);
	*ret_kernel = median(kernel);
	return 0;
}

static int measure_take(uint64_t *ret_user, uint64_t *ret_kernel, const char **ret_why)
{
	struct measure *m = calloc(1, sizeof(*m));
	int err;

	*ret_why = "out of memory";
	if (!m)
		return -ENOMEM;
	m->user.out = m->user.in = m->kernel.out = m->kernel.in = -1;
	err = measure_both(m, ret_user, ret_kernel, ret_why);
	EVP_CIPHER_CTX_free(m->cipher);
	pair_close(&m->user);
	pair_close(&m->kernel);
	free(m);
	return err;
}

/* -- what came of it --------------------------------------------------------------- */

static char verdict_text[96];
static _Atomic(const char *) verdict = "not looked at yet";

bool measure_wins(const char **ret_why)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool measured, wins;
	uint64_t user = 0, kernel = 0;

	pthread_mutex_lock(&lock);
	if (!measured && !measure_take(&user, &kernel, ret_why)) {
		wins = kernel * 10 <= user * 9;
		snprintf(verdict_text, sizeof(verdict_text), "%.2f x the cost of user space, %s",
			 (double)kernel / u64_max(user, 1), wins ? "used" : "not used");
		measured = true;
	}
	if (measured)
		*ret_why = verdict_text;
	atomic_store(&verdict, *ret_why);
	pthread_mutex_unlock(&lock);
	return measured && wins;
}

const char *measure_verdict(void)
{
	return atomic_load(&verdict);
}

void measure_note(const char *found)
{
	const char *known = atomic_load(&verdict);

	if (known != verdict_text)
		atomic_compare_exchange_strong(&verdict, &known, found);
}
