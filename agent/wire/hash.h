/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hashes of granules, by which two disks are compared without their bytes.
 *
 * XXH3-128 is as fast as memory and finds what differs by accident. SHA-256 is asked
 * for (paranoid) by who wants to be sure that nobody has made two granules that only
 * look the same. A connection has one of them, for all of its disks: that is what
 * FRAME_FEATURE_SHA256 agrees on.
 */
#ifndef TIDEMARK_WIRE_HASH_H
#define TIDEMARK_WIRE_HASH_H

#include "wire/frame.h"

/** enum hash_kind - how granules are hashed */
enum hash_kind {
	HASH_XXH3,   /* XXH3-128, seed 0, in its canonical (big-endian) form */
	HASH_SHA256, /* FIPS 180-4 */
};

/** hash_kind() - what was agreed on; @features: of the connection */
static inline enum hash_kind hash_kind(uint32_t features)
{
	return features & FRAME_FEATURE_SHA256 ? HASH_SHA256 : HASH_XXH3;
}

/** hash_size() - bytes of one, FRAME_HASH_MAX at most */
static inline uint32_t hash_size(enum hash_kind kind)
{
	return kind == HASH_SHA256 ? FRAME_HASH_MAX : FRAME_HASH_SIZE;
}

/** hash_name() - "XXH3-128", "SHA-256", for people */
const char *hash_name(enum hash_kind kind);

struct hash;

/**
 * hash_create() - what a worker hashes with; not to be shared between threads
 *
 * What it needs is looked for and made here, once. (OpenSSL 3.0 itself renews its state
 * of 112 bytes with each granule.)
 *
 * Return: 0; -ENOMEM; -EOPNOTSUPP: OpenSSL, as it is configured, has no SHA-256.
 */
int hash_create(struct hash **ret, enum hash_kind kind);
/** hash_destroy() - NULL is ignored. Return: NULL */
struct hash *hash_destroy(struct hash *h);

/**
 * hash_run() - hash a granule
 * @ret: hash_size() bytes
 *
 * Return: 0, or -EIO: OpenSSL failed.
 */
int hash_run(struct hash *h, const void *data, size_t size, uint8_t *ret);

#endif
