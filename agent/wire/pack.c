// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire/pack.h"

#include <lz4.h>
#include <zstd.h>

/* Level 1: higher ones cost more than the network that they spare. */
#define PACK_LEVEL 1
/* LZ4 as it comes: more speed would cost what it saves. */
#define PACK_ACCELERATION 1
#define PACK_REST 15

struct packer {
	uint32_t features;
	ZSTD_CCtx *zstd;
	void *lz4;
	unsigned int rest; /* so many are not tried */
};

int packer_create(struct packer **ret, uint32_t features)
{
	struct packer *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->features = features;
	p->zstd = ZSTD_createCCtx();
	p->lz4 = malloc(LZ4_sizeofState());
	if (!p->zstd || !p->lz4) {
		packer_destroy(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

struct packer *packer_destroy(struct packer *p)
{
	if (p) {
		ZSTD_freeCCtx(p->zstd);
		free(p->lz4);
		free(p);
	}
	return NULL;
}

enum frame_type packer_choose(const struct packer *p, uint64_t rate)
{
	enum frame_type type = rate < PACK_ZSTD_RATE ? FRAME_PACKED : FRAME_PACKED_LZ4;

	if (!rate || rate >= PACK_LZ4_RATE || !(p->features & frame_packing(type)))
		return FRAME_DATA;
	return type;
}

static uint32_t pack_zstd(struct packer *p, const void *from, uint32_t size, void *to,
			  uint32_t room)
{
	size_t n = ZSTD_compressCCtx(p->zstd, to, room, from, size, PACK_LEVEL);

	return ZSTD_isError(n) ? 0 : n;
}

static uint32_t pack_lz4(struct packer *p, const void *from, uint32_t size, void *to,
			 uint32_t room)
{
	return LZ4_compress_fast_extState(p->lz4, from, to, size, room, PACK_ACCELERATION);
}

uint32_t packer_run(struct packer *p, enum frame_type type, const void *from, uint32_t size,
		    void *to)
{
	uint32_t room = size - size / 8;
	uint32_t n;

	if (!frame_packing(type))
		return 0;
	if (p->rest) {
		p->rest--;
		return 0;
	}
	n = type == FRAME_PACKED ? pack_zstd(p, from, size, to, room)
				 : pack_lz4(p, from, size, to, room);
	if (!n)
		p->rest = PACK_REST;
	return n;
}

static int unpack_zstd(const void *from, uint32_t length, void *to, uint32_t span)
{
	size_t n = ZSTD_decompress(to, span, from, length);

	return !ZSTD_isError(n) && n == span ? FRAME_OK : FRAME_FAULT_PAYLOAD;
}

static int unpack_lz4(const void *from, uint32_t length, void *to, uint32_t span)
{
	/* Negative if it is malformed, or would be longer. */
	int n = LZ4_decompress_safe(from, to, length, span);

	return n >= 0 && (uint32_t)n == span ? FRAME_OK : FRAME_FAULT_PAYLOAD;
}

int unpack(enum frame_type type, const void *from, uint32_t length, void *to, uint32_t span)
{
	return type == FRAME_PACKED ? unpack_zstd(from, length, to, span)
				    : unpack_lz4(from, length, to, span);
}
