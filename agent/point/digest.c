// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/digest.h"

#include <string.h>

#include "base/xxh3.h"

#define DIGEST_PIECE MIB(1)
#define DIGEST_BLOCK KIB(64)

struct digest {
	uint64_t low;
	uint64_t high;
};

static void digest_add(struct digest *d, const uint8_t *data, size_t size, uint64_t offset)
{
	XXH128_hash_t hash;

	if (bytes_are_zero(data, size))
		return;
	hash = XXH3_128bits_withSeed(data, size, offset);
	d->low += hash.low64;
	d->high += hash.high64;
}

static int digest_piece(struct chain *c, struct digest *d, uint8_t *buf, uint64_t at,
			uint64_t span, struct reason *reason)
{
	int err = chain_pread(c, buf, span, at, reason);

	for (uint64_t i = 0; i < span && !err; i += DIGEST_BLOCK)
		digest_add(d, buf + i, u64_min(DIGEST_BLOCK, span - i), at + i);
	return err;
}

int digest_chain(struct chain *c, const struct merge_tick *tick, uint8_t *ret,
		 struct reason *reason)
{
	_cleanup_free_ uint8_t *buf = aligned_alloc(IO_ALIGN, DIGEST_PIECE);
	uint64_t size = chain_size(c), span;
	le64 words[2], of_size = le64_of(size);
	struct digest d = { 0 };
	int err = 0;

	if (!buf)
		return reason_set(reason, -ENOMEM, 0, "no memory for a verification");
	for (uint64_t at = 0; at < size && !err; at += span) {
		struct chain_run run;

		err = chain_next(c, at, size - at, &run, reason);
		if (!err && tick && tick->call)
			err = tick->call(tick->arg);
		if (err)
			break;
		/* Long stretches of zeroes are not read; pieces stay whole blocks. */
		span = run.kind == CHAIN_ZERO ? run.length & ~(uint64_t)(DIGEST_BLOCK - 1) : 0;
		if (span && at % DIGEST_BLOCK == 0)
			continue;
		span = u64_min(DIGEST_PIECE, size - at);
		err = digest_piece(c, &d, buf, at, span, reason);
	}
	if (err)
		return err;
	digest_add(&d, (const uint8_t *)&of_size, sizeof(of_size), UINT64_MAX);
	words[0] = le64_of(d.low);
	words[1] = le64_of(d.high);
	memcpy(ret, words, sizeof(words));
	return 0;
}
