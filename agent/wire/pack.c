// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire/pack.h"

#include <zstd.h>

/* Level 1: higher ones cost more than the network that they spare. */
#define PACK_LEVEL 1
#define PACK_REST 15

struct packer {
	ZSTD_CCtx *context;
	unsigned int rest; /* so many are not tried */
};

int packer_create(struct packer **ret)
{
	struct packer *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->context = ZSTD_createCCtx();
	if (!p->context) {
		free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

struct packer *packer_destroy(struct packer *p)
{
	if (p) {
		ZSTD_freeCCtx(p->context);
		free(p);
	}
	return NULL;
}

uint32_t packer_run(struct packer *p, const void *from, uint32_t size, void *to)
{
	size_t n;

	if (p->rest) {
		p->rest--;
		return 0;
	}
	n = ZSTD_compressCCtx(p->context, to, size - size / 8, from, size, PACK_LEVEL);
	if (!ZSTD_isError(n))
		return n;
	p->rest = PACK_REST;
	return 0;
}

int unpack(const void *from, uint32_t length, void *to, uint32_t span)
{
	size_t n = ZSTD_decompress(to, span, from, length);

	return !ZSTD_isError(n) && n == span ? FRAME_OK : FRAME_FAULT_PAYLOAD;
}
