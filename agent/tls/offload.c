// SPDX-License-Identifier: GPL-2.0-or-later
#include "tls/offload.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/util.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

#define RECORD_ALERT 21
#define RECORD_COUNTED 4096u

/* -- the key ------------------------------------------------------------------ */

/* "LABEL CLIENT-RANDOM SECRET", the last two in hexadecimal */
size_t offload_secret(const char *line, uint8_t *ret)
{
	static const char label[] = "CLIENT_TRAFFIC_SECRET_0 ";
	size_t size = 0;

	if (strncmp(line, label, sizeof(label) - 1) != 0)
		return 0;
	line = strchr(line + sizeof(label) - 1, ' ');
	if (!line)
		return 0;
	for (line++; *line; line += 2) {
		int high = OPENSSL_hexchar2int(line[0]), low = OPENSSL_hexchar2int(line[1]);

		if (high < 0 || low < 0 || size == OFFLOAD_SECRET_MAX)
			return 0;
		ret[size++] = high << 4 | low;
	}
	return size;
}

/* HKDF-Expand-Label, RFC 8446, 7.1, without a context and for no more than one hash */
static bool expand_label(const EVP_MD *md, const uint8_t *secret, size_t secret_size,
			 const char *label, uint8_t *ret, size_t size)
{
	uint8_t info[32] = { 0, size, 6 + strlen(label) }, block[EVP_MAX_MD_SIZE];
	size_t used = 3 + 6 + strlen(label);
	bool ok;

	memcpy(info + 3, "tls13 ", 6);
	memcpy(info + 9, label, strlen(label));
	info[used++] = 0; /* of the context */
	info[used++] = 1; /* the first block */
	ok = HMAC(md, secret, secret_size, info, used, block, NULL) != NULL;
	if (ok)
		memcpy(ret, block, size);
	OPENSSL_cleanse(block, sizeof(block));
	return ok;
}

int offload_derive(struct offload_key *ret, const uint8_t *secret, size_t size)
{
	const EVP_MD *md = size == 48 ? EVP_sha384() : EVP_sha256();

	if (size != 48 && size != 32)
		return -EINVAL;
	ret->size = size == 48 ? 32 : 16;
	if (expand_label(md, secret, size, "key", ret->key, ret->size) &&
	    expand_label(md, secret, size, "iv", ret->iv, sizeof(ret->iv)))
		return 0;
	offload_wipe(ret);
	return -EINVAL;
}

void offload_wipe(struct offload_key *key)
{
	OPENSSL_cleanse(key, sizeof(*key));
}

/* -- the socket --------------------------------------------------------------- */

/* Its first four bytes are the salt, for the kernel. The sequence number is 0. */
static int attach_256(int fd, const struct offload_key *key)
{
	struct tls12_crypto_info_aes_gcm_256 info = {
		.info = { TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_256 },
	};
	int err;

	memcpy(info.salt, key->iv, sizeof(info.salt));
	memcpy(info.iv, key->iv + sizeof(info.salt), sizeof(info.iv));
	memcpy(info.key, key->key, sizeof(info.key));
	err = setsockopt(fd, SOL_TLS, TLS_TX, &info, sizeof(info)) ? -errno : 0;
	OPENSSL_cleanse(&info, sizeof(info));
	return err;
}

static int attach_128(int fd, const struct offload_key *key)
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info = { TLS_1_3_VERSION, TLS_CIPHER_AES_GCM_128 },
	};
	int err;

	memcpy(info.salt, key->iv, sizeof(info.salt));
	memcpy(info.iv, key->iv + sizeof(info.salt), sizeof(info.iv));
	memcpy(info.key, key->key, sizeof(info.key));
	err = setsockopt(fd, SOL_TLS, TLS_TX, &info, sizeof(info)) ? -errno : 0;
	OPENSSL_cleanse(&info, sizeof(info));
	return err;
}

/* Refused after TCP_ULP, the socket goes on as one of plain TCP. */
int offload_attach(int fd, const struct offload_key *key, const char **ret_why)
{
	int err;

	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"))) {
		err = -errno;
		*ret_why = err == -ENOENT || err == -ENOPROTOOPT ?
			   "not in this kernel, or module tls is not loaded" :
			   "the kernel refuses it for this socket";
		return err;
	}
	err = key->size == 32 ? attach_256(fd, key) : attach_128(fd, key);
	if (err)
		*ret_why = err == -ENOENT ? "the kernel has no AES-GCM (module gcm)" :
					    "the kernel refuses the key";
	return err;
}

int offload_end(int fd)
{
	static const uint8_t close_notify[] = { 1, 0 };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(uint8_t))];
	} control = { 0 };
	struct iovec iov = { (void *)close_notify, sizeof(close_notify) };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.room),
	};

	control.header.cmsg_level = SOL_TLS;
	control.header.cmsg_type = TLS_SET_RECORD_TYPE;
	control.header.cmsg_len = CMSG_LEN(sizeof(uint8_t));
	*CMSG_DATA(&control.header) = RECORD_ALERT;
	if (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != sizeof(close_notify))
		return errno ? -errno : -EPIPE;
	return 0;
}

/* -- how much one key may do ---------------------------------------------------- */

uint64_t offload_records(uint64_t bytes)
{
	return bytes / RECORD_COUNTED + 1;
}

uint64_t offload_bytes(uint64_t records)
{
	return records * RECORD_COUNTED;
}

uint64_t offload_records_max(void)
{
	const char *fewer = getenv(OFFLOAD_RECORDS_VARIABLE);
	uint64_t records = fewer ? strtoull(fewer, NULL, 10) : 0;

	return records && records < OFFLOAD_RECORDS ? records : OFFLOAD_RECORDS;
}

uint64_t offload_records_last(void)
{
	return offload_records_max() + OFFLOAD_RECORDS / 4;
}
