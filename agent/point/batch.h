/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A batch: writes that follow each other in a file, gathered into large ones.
 */
#ifndef TIDEMARK_POINT_BATCH_H
#define TIDEMARK_POINT_BATCH_H

#include "base/util.h"

#define BATCH_SIZE MIB(1)

/**
 * typedef batch_write - write whole clusters of an overlay's file
 * @buf: aligned to IO_ALIGN
 * @size: at most BATCH_SIZE
 *
 * Return: 0 or a negative errno.
 */
typedef int (*batch_write)(void *arg, const void *buf, size_t size, uint64_t offset);

/**
 * struct batch - private but for @buf, which may be used while nothing is gathered
 * @fill: bytes in @buf
 * @at: where they go
 */
struct batch {
	batch_write write;
	void *arg;
	uint8_t *buf;
	size_t fill;
	uint64_t at;
};

/** batch_create() - get the buffer. Return: 0 or -ENOMEM */
int batch_create(struct batch *b);
/** batch_destroy() - free it; what was not flushed is not written */
void batch_destroy(struct batch *b);

/** batch_begin() - forget what was gathered; from here on by this function */
void batch_begin(struct batch *b, batch_write write, void *arg);

/**
 * batch_room() - room for bytes of the file, to be filled by the caller
 * @size: a divisor of BATCH_SIZE
 * @ret: zeroes; until the next call
 *
 * Return: 0, or the errno of writing what was there before.
 */
int batch_room(struct batch *b, size_t size, uint64_t at, uint8_t **ret);

/** batch_flush() - write what was gathered. Return: 0 or the errno of that */
int batch_flush(struct batch *b);

#endif
