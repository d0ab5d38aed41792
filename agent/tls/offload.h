/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Offload: the kernel encrypts what a sender sends ("kernel TLS"). Nobody but this folder
 * and its tests includes this.
 *
 * After the handshake the kernel is given the key of our sending direction; from then on
 * what is sent on the socket in the clear leaves it as TLS records. The key is that of the
 * first application record, so nothing may have been sent with it before. There is no way
 * to another key (Linux has one since 6.14 only): who sends counts records, and makes a new
 * connection before there are too many, see offload_records_max().
 */
#ifndef TIDEMARK_TLS_OFFLOAD_H
#define TIDEMARK_TLS_OFFLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OFFLOAD_SECRET_MAX 48
#define OFFLOAD_IV_SIZE 12

/**
 * struct offload_key - of AES-GCM
 * @size: of the key: 16 (with SHA-256) or 32 bytes (with SHA-384)
 *
 * Whoever has one wipes it: offload_wipe().
 */
struct offload_key {
	size_t size;
	uint8_t key[32];
	uint8_t iv[OFFLOAD_IV_SIZE];
};

/**
 * offload_secret() - the client's first traffic secret out of a line of OpenSSL's key log
 * @ret: room for OFFLOAD_SECRET_MAX bytes
 *
 * Return: its bytes; 0: the line has another one.
 */
size_t offload_secret(const char *line, uint8_t *ret);

/**
 * offload_derive() - key and IV of a traffic secret, RFC 8446, 7.3
 * @size: of the secret: 32 or 48, the hash's
 *
 * Return: 0 or -EINVAL.
 */
int offload_derive(struct offload_key *ret, const uint8_t *secret, size_t size);
/** offload_wipe() - forget it */
void offload_wipe(struct offload_key *key);

/**
 * offload_attach() - what is sent on a TCP socket from here on the kernel encrypts
 * @ret_why: filled on failure, a constant; the socket is as it was then
 *
 * Return: 0 or a negative errno.
 */
int offload_attach(int fd, const struct offload_key *key, const char **ret_why);

/** offload_end() - close_notify: nothing more is sent. Return: 0 or a negative errno */
int offload_end(int fd);

/*
 * In the environment: fewer records than OFFLOAD_RECORDS before another connection is
 * made; for tests. More is not to be had.
 */
#define OFFLOAD_RECORDS_VARIABLE "TIDEMARK_TLS_RECORDS"
/*
 * AES-GCM may encrypt 2^24.5 full records with one key. They are counted as if each had a
 * quarter of what fits in: how the kernel cuts is its own affair. So this is 64 GiB.
 */
#define OFFLOAD_RECORDS (1ull << 24)

/** offload_records() - how many a send of so many bytes counts for */
uint64_t offload_records(uint64_t bytes);
/** offload_bytes() - so many make so many records */
uint64_t offload_bytes(uint64_t records);
/** offload_records_max() - with so many a new connection is due */
uint64_t offload_records_max(void);
/** offload_records_last() - so many are never exceeded: room for what ends a connection */
uint64_t offload_records_last(void);

#endif
