/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads and writes blocks of a metadata device, a batch at a time, each batch
 * to its end. Everything is allocated when it is created. One user at a time.
 */
#ifndef _TIDEMARK_METAIO_H
#define _TIDEMARK_METAIO_H

#include <linux/types.h>

struct block_device;
struct tidemark_metaio;

/* Blocks in a batch. */
#define TIDEMARK_METAIO_BATCH	16

/**
 * enum tidemark_metaio_how - how a batch is to be written
 * @METAIO_PLAIN: may stay in the device's cache
 * @METAIO_FUA: durable when it has ended
 * @METAIO_ORDERED: the same, and all that was written before is durable too,
 *	before anything of this is
 */
enum tidemark_metaio_how {
	METAIO_PLAIN,
	METAIO_FUA,
	METAIO_ORDERED,
};

struct tidemark_metaio *tidemark_metaio_create(struct block_device *bdev);
void tidemark_metaio_free(struct tidemark_metaio *io);

void *tidemark_metaio_next(struct tidemark_metaio *io, u64 block);
void tidemark_metaio_drop(struct tidemark_metaio *io);
bool tidemark_metaio_full(const struct tidemark_metaio *io);
int tidemark_metaio_write(struct tidemark_metaio *io,
			  enum tidemark_metaio_how how);
int tidemark_metaio_read(struct tidemark_metaio *io, u64 first, u32 count);
void *tidemark_metaio_block(struct tidemark_metaio *io, u32 index);
int tidemark_metaio_flush(struct tidemark_metaio *io);

void tidemark_metaio_counts(const struct tidemark_metaio *io, u64 *ret_writes,
			    u64 *ret_flushes, u64 *ret_errors);

#endif /* _TIDEMARK_METAIO_H */
