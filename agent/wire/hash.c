// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire/hash.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/xxh3.h"

/* @sha256 and @context: NULL with XXH3 */
struct hash {
	EVP_MD *sha256;
	EVP_MD_CTX *context;
};

const char *hash_name(enum hash_kind kind)
{
	return kind == HASH_SHA256 ? "SHA-256" : "XXH3-128";
}

/* Initialised with the algorithm once: from then on each start is told none. */
static int hash_open(struct hash *h)
{
	h->sha256 = EVP_MD_fetch(NULL, "SHA2-256", NULL);
	if (!h->sha256 || EVP_MD_get_size(h->sha256) != FRAME_HASH_MAX)
		return -EOPNOTSUPP;
	h->context = EVP_MD_CTX_new();
	if (!h->context)
		return -ENOMEM;
	return EVP_DigestInit_ex2(h->context, h->sha256, NULL) == 1 ? 0 : -EOPNOTSUPP;
}

int hash_create(struct hash **ret, enum hash_kind kind)
{
	struct hash *h = calloc(1, sizeof(*h));
	int err = 0;

	if (!h)
		return -ENOMEM;
	if (kind == HASH_SHA256)
		err = hash_open(h);
	if (err)
		hash_destroy(h);
	else
		*ret = h;
	return err;
}

struct hash *hash_destroy(struct hash *h)
{
	if (!h)
		return NULL;
	EVP_MD_CTX_free(h->context);
	EVP_MD_free(h->sha256);
	free(h);
	return NULL;
}

static void hash_xxh3(const void *data, size_t size, uint8_t *ret)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, size));
	memcpy(ret, canonical.digest, FRAME_HASH_SIZE);
}

int hash_run(struct hash *h, const void *data, size_t size, uint8_t *ret)
{
	if (!h->context) {
		hash_xxh3(data, size, ret);
		return 0;
	}
	if (EVP_DigestInit_ex2(h->context, NULL, NULL) == 1 &&
	    EVP_DigestUpdate(h->context, data, size) == 1 &&
	    EVP_DigestFinal_ex(h->context, ret, NULL) == 1)
		return 0;
	return -EIO;
}
