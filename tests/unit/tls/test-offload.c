// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Kernel TLS: the key that the kernel is given, and, where the kernel has it (in a guest:
 * tests/system/ktls.sh), the records that come of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"
#include "tls/measure.h"
#include "tls/offload.h"

static size_t hex(const char *text, uint8_t *ret)
{
	size_t size = 0;
	unsigned int byte;

	for (; sscanf(text, " %2x", &byte) == 1; text += strspn(text, " ") + 2)
		ret[size++] = byte;
	return size;
}

/* -- the key ------------------------------------------------------------------ */

/* RFC 8448, 3: "derive write traffic keys for application data" */
static const struct {
	const char *secret, *key, *iv;
} published[] = {
	{ "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
	  "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9" },
	{ "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
	  "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984" },
};

static void derive__as_published(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(published); i++) {
		uint8_t secret[64], key[64], iv[64];
		struct offload_key k;

		assert_int_equal(hex(published[i].secret, secret), 32);
		assert_int_equal(hex(published[i].key, key), 16);
		assert_int_equal(hex(published[i].iv, iv), OFFLOAD_IV_SIZE);
		assert_int_equal(offload_derive(&k, secret, 32), 0);
		assert_int_equal(k.size, 16);
		assert_memory_equal(k.key, key, 16);
		assert_memory_equal(k.iv, iv, OFFLOAD_IV_SIZE);
	}
}

/* There is no published trace with SHA-384: OpenSSL's own derivation has to do. */
static void openssl_expand(const uint8_t *secret, const char *label, uint8_t *ret, size_t size)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
	EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	OSSL_PARAM p[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, "SHA384", 0),
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, 48),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (void *)label,
						  strlen(label)),
		OSSL_PARAM_construct_end(),
	};

	assert_int_equal(EVP_KDF_derive(c, ret, size, p), 1);
	EVP_KDF_CTX_free(c);
	EVP_KDF_free(kdf);
}

static void derive__sha384(void **state)
{
	uint8_t secret[48], key[32], iv[OFFLOAD_IV_SIZE];
	struct offload_key k;

	for (size_t i = 0; i < sizeof(secret); i++)
		secret[i] = i * 7 + 1;
	openssl_expand(secret, "key", key, sizeof(key));
	openssl_expand(secret, "iv", iv, sizeof(iv));
	assert_int_equal(offload_derive(&k, secret, 48), 0);
	assert_int_equal(k.size, 32);
	assert_memory_equal(k.key, key, sizeof(key));
	assert_memory_equal(k.iv, iv, sizeof(iv));
	offload_wipe(&k);
	assert_true(bytes_are_zero(&k, sizeof(k)));
	assert_int_equal(offload_derive(&k, secret, 20), -EINVAL);
}

static void secret__one_line_of_many(void **state)
{
	uint8_t ret[OFFLOAD_SECRET_MAX], wanted[64];
	char line[256], much[256];

	hex(published[0].secret, wanted);
	snprintf(line, sizeof(line), "CLIENT_TRAFFIC_SECRET_0 %064d %s", 0, published[0].secret);
	assert_int_equal(offload_secret(line, ret), 32);
	assert_memory_equal(ret, wanted, 32);
	snprintf(line, sizeof(line), "SERVER_TRAFFIC_SECRET_0 %064d %s", 0, published[0].secret);
	assert_int_equal(offload_secret(line, ret), 0);
	snprintf(line, sizeof(line), "CLIENT_HANDSHAKE_TRAFFIC_SECRET %064d %s", 0,
		 published[0].secret);
	assert_int_equal(offload_secret(line, ret), 0);
	memset(much, 'a', sizeof(much));
	snprintf(line, sizeof(line), "CLIENT_TRAFFIC_SECRET_0 00 %.98s", much);
	assert_int_equal(offload_secret(line, ret), 0);
	assert_int_equal(offload_secret("CLIENT_TRAFFIC_SECRET_0 00 abc", ret), 0);
	assert_int_equal(offload_secret("CLIENT_TRAFFIC_SECRET_0 00", ret), 0);
	assert_int_equal(offload_secret("", ret), 0);
}

/* -- how much one key may do ---------------------------------------------------- */

static void records__stay_below_what_gcm_allows(void **state)
{
	/* 2^24.5, with what comes on top */
	assert_true(offload_records_last() < 23726566);
	assert_true(offload_records_max() <= offload_records_last());
	/* The kernel may cut a send anywhere: never fewer than there can be. */
	assert_true(offload_records(1) >= 1);
	assert_true(offload_records(MIB(1)) >= MIB(1) / 16384 + 1);
	assert_int_equal(offload_bytes(offload_records_max()), GIB(64));
}

static void records__fewer_for_tests_but_not_more(void **state)
{
	setenv(OFFLOAD_RECORDS_VARIABLE, "1024", 1);
	assert_int_equal(offload_records_max(), 1024);
	setenv(OFFLOAD_RECORDS_VARIABLE, "99999999999", 1);
	assert_int_equal(offload_records_max(), OFFLOAD_RECORDS);
	unsetenv(OFFLOAD_RECORDS_VARIABLE);
}

/* -- the kernel ------------------------------------------------------------------- */

static void pair_of(int ret[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t size = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &size), 0);
	ret[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(ret[0], (struct sockaddr *)&a, sizeof(a)), 0);
	ret[1] = accept(listener, NULL, NULL);
	assert_true(ret[1] >= 0);
	close(listener);
}

/* The next record, decrypted. Return: bytes of it; its type is in *@ret_type */
static size_t record_read(int fd, const struct offload_key *k, uint64_t sequence, uint8_t *ret,
			  uint8_t *ret_type)
{
	const EVP_CIPHER *cipher = k->size == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t header[5], in[17000], iv[OFFLOAD_IV_SIZE];
	size_t size;
	int n;

	assert_int_equal(recv(fd, header, sizeof(header), MSG_WAITALL), sizeof(header));
	assert_int_equal(header[0], 23);
	size = header[3] << 8 | header[4];
	assert_true(size > 17 && size <= 16384 + 17);
	assert_int_equal(recv(fd, in, size, MSG_WAITALL), size);
	memcpy(iv, k->iv, sizeof(iv));
	for (size_t i = 0; i < 8; i++)
		iv[4 + i] ^= sequence >> (56 - 8 * i);
	assert_int_equal(EVP_DecryptInit_ex(c, cipher, NULL, k->key, iv), 1);
	assert_int_equal(EVP_DecryptUpdate(c, NULL, &n, header, sizeof(header)), 1);
	assert_int_equal(EVP_DecryptUpdate(c, ret, &n, in, size - 16), 1);
	assert_int_equal(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, in + size - 16), 1);
	assert_int_equal(EVP_DecryptFinal_ex(c, ret + n, &n), 1);
	EVP_CIPHER_CTX_free(c);
	*ret_type = ret[size - 17];
	return size - 17;
}

static void attach_with(size_t secret_size)
{
	static uint8_t sent[100000], got[sizeof(sent) + 17000];
	const char *why = NULL;
	struct offload_key k;
	uint8_t secret[48], type;
	uint64_t sequence = 0;
	size_t done = 0;
	int fd[2];

	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = i ^ i >> 8;
	memset(secret, 0x5a, sizeof(secret));
	assert_int_equal(offload_derive(&k, secret, secret_size), 0);
	pair_of(fd);
	if (offload_attach(fd[0], &k, &why)) {
		print_message("# no kernel TLS here: %s\n", why);
		assert_non_null(strstr(why, "not in this kernel"));
		/* The socket is what it was. */
		assert_int_equal(send(fd[0], sent, 100, 0), 100);
		assert_int_equal(recv(fd[1], got, 100, MSG_WAITALL), 100);
		assert_memory_equal(got, sent, 100);
		assert_null(getenv("TIDEMARK_KERNEL_TLS"));
		close(fd[0]);
		close(fd[1]);
		return;
	}
	assert_int_equal(send(fd[0], sent, sizeof(sent), 0), sizeof(sent));
	assert_int_equal(offload_end(fd[0]), 0);
	while (done < sizeof(sent)) {
		done += record_read(fd[1], &k, sequence++, got + done, &type);
		assert_int_equal(type, 23);
	}
	assert_memory_equal(got, sent, sizeof(sent));
	assert_true(sequence <= offload_records(sizeof(sent)));
	assert_int_equal(record_read(fd[1], &k, sequence, got, &type), 2);
	assert_int_equal(type, 21);
	assert_memory_equal(got, "\1\0", 2);
	close(fd[0]);
	close(fd[1]);
}

static void attach__aes_256(void **state)
{
	attach_with(48);
}

static void attach__aes_128(void **state)
{
	attach_with(32);
}

/* Whatever it finds, it says so, and finds the same again. */
static void measure__says_what_it_found(void **state)
{
	const char *why = NULL, *again = NULL;
	bool wins;

	assert_string_equal(measure_verdict(), "not looked at yet");
	wins = measure_wins(&why);
	print_message("# kernel TLS: %s\n", why);
	assert_string_equal(measure_verdict(), why);
	assert_int_equal(measure_wins(&again), wins);
	assert_string_equal(again, why);
	if (strstr(why, "not in this kernel"))
		assert_false(wins);
	else
		assert_non_null(strstr(why, wins ? "user space, used" : "user space, not used"));
	measure_note("something else");
	assert_int_equal(strcmp(measure_verdict(), "something else") == 0,
			 strstr(why, "x the cost") == NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derive__as_published),
		cmocka_unit_test(derive__sha384),
		cmocka_unit_test(secret__one_line_of_many),
		cmocka_unit_test(records__stay_below_what_gcm_allows),
		cmocka_unit_test(records__fewer_for_tests_but_not_more),
		cmocka_unit_test(attach__aes_256),
		cmocka_unit_test(attach__aes_128),
		cmocka_unit_test(measure__says_what_it_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
