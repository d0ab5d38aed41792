// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/batch.h"

#include <string.h>

int batch_create(struct batch *b)
{
	*b = (struct batch){ .buf = aligned_alloc(IO_ALIGN, BATCH_SIZE) };
	return b->buf ? 0 : -ENOMEM;
}

void batch_destroy(struct batch *b)
{
	free(b->buf);
	b->buf = NULL;
}

void batch_begin(struct batch *b, batch_write write, void *arg)
{
	b->write = write;
	b->arg = arg;
	b->fill = 0;
}

int batch_flush(struct batch *b)
{
	int err = b->fill ? b->write(b->arg, b->buf, b->fill, b->at) : 0;

	b->fill = 0;
	return err;
}

int batch_room(struct batch *b, size_t size, uint64_t at, uint8_t **ret)
{
	if (b->fill + size > BATCH_SIZE || b->at + b->fill != at) {
		int err = batch_flush(b);

		if (err)
			return err;
		b->at = at;
	}
	*ret = b->buf + b->fill;
	memset(*ret, 0, size);
	b->fill += size;
	return 0;
}
