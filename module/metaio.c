// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bios that metadata is read and written with, see metaio.h.
 */
#include "metaio.h"

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/tidemark-meta.h>

/**
 * struct metaio_block - a block of a batch
 * @bio: that it is moved with
 * @vec: of @bio
 * @page: a page that holds the block
 */
struct metaio_block {
	struct bio bio;
	struct bio_vec vec;
	struct page *page;
};

/**
 * struct tidemark_metaio - of a metadata device
 * @bdev: the device
 * @used: blocks of the batch
 * @pending: how many of its bios have not ended, and one for who submits
 * @error: of one of them, 0: none
 * @done: all have ended
 * @writes: blocks written since it was created; read at any time
 * @flushes: the same
 * @errors: bios that failed, the same
 * @blocks: of the batch
 */
struct tidemark_metaio {
	struct block_device *bdev;
	u32 used;
	atomic_t pending;
	int error;
	struct completion done;
	u64 writes;
	u64 flushes;
	u64 errors;
	struct metaio_block *blocks[TIDEMARK_METAIO_BATCH];
};

/**
 * tidemark_metaio_create() - all that is needed to write metadata
 * @bdev: the device; must outlive it
 *
 * Return: to be freed with tidemark_metaio_free(), or NULL.
 */
struct tidemark_metaio *tidemark_metaio_create(struct block_device *bdev)
{
	struct tidemark_metaio *io = kzalloc(sizeof(*io), GFP_KERNEL);
	unsigned int i;

	BUILD_BUG_ON(TIDEMARK_META_BLOCK > PAGE_SIZE);
	if (!io)
		return NULL;
	io->bdev = bdev;
	for (i = 0; i < TIDEMARK_METAIO_BATCH; i++) {
		struct metaio_block *b = kzalloc(sizeof(*b), GFP_KERNEL);

		io->blocks[i] = b;
		if (b)
			b->page = alloc_page(GFP_KERNEL);
		if (!b || !b->page) {
			tidemark_metaio_free(io);
			return NULL;
		}
	}
	return io;
}

/**
 * tidemark_metaio_free() - nothing of it is in flight
 * @io: or NULL
 */
void tidemark_metaio_free(struct tidemark_metaio *io)
{
	unsigned int i;

	if (!io)
		return;
	for (i = 0; i < TIDEMARK_METAIO_BATCH && io->blocks[i]; i++) {
		if (io->blocks[i]->page)
			__free_page(io->blocks[i]->page);
		kfree(io->blocks[i]);
	}
	kfree(io);
}

static void metaio_end(struct bio *bio)
{
	struct tidemark_metaio *io = bio->bi_private;

	if (bio->bi_status)
		WRITE_ONCE(io->error, blk_status_to_errno(bio->bi_status));
	bio_uninit(bio);
	if (atomic_dec_and_test(&io->pending))
		complete(&io->done);
}

static void metaio_begin(struct tidemark_metaio *io)
{
	atomic_set(&io->pending, 1);
	io->error = 0;
	init_completion(&io->done);
}

static int metaio_end_wait(struct tidemark_metaio *io)
{
	if (!atomic_dec_and_test(&io->pending))
		wait_for_completion_io(&io->done);
	if (io->error)
		WRITE_ONCE(io->errors, io->errors + 1);
	return io->error;
}

static void metaio_submit(struct tidemark_metaio *io, struct metaio_block *b,
			  u64 block, blk_opf_t opf)
{
	struct bio *bio = &b->bio;

	bio_init(bio, io->bdev, &b->vec, 1, opf);
	bio->bi_iter.bi_sector = block * (TIDEMARK_META_BLOCK >> SECTOR_SHIFT);
	bio->bi_end_io = metaio_end;
	bio->bi_private = io;
	if (b->page)
		__bio_add_page(bio, b->page, TIDEMARK_META_BLOCK, 0);
	atomic_inc(&io->pending);
	submit_bio(bio);
}

/**
 * tidemark_metaio_next() - one more block of a batch that will be written
 * @io: not full
 * @block: where it goes
 *
 * Return: its memory, TIDEMARK_META_BLOCK bytes.
 */
void *tidemark_metaio_next(struct tidemark_metaio *io, u64 block)
{
	struct metaio_block *b = io->blocks[io->used++];

	b->bio.bi_iter.bi_sector = block;	/* kept until it is submitted */
	return page_address(b->page);
}

/**
 * tidemark_metaio_drop() - take the newest block out of the batch again
 * @io: the batch
 */
void tidemark_metaio_drop(struct tidemark_metaio *io)
{
	io->used--;
}

/**
 * tidemark_metaio_full() - is there no room for one more?
 * @io: the batch
 */
bool tidemark_metaio_full(const struct tidemark_metaio *io)
{
	return io->used == TIDEMARK_METAIO_BATCH;
}

/**
 * tidemark_metaio_write() - write the batch, and wait
 * @io: the batch; empty after
 * @how: how
 *
 * Context: Process context, waits for I/O, asks for no memory that needs I/O.
 * Return: 0 or an errno of the device.
 */
int tidemark_metaio_write(struct tidemark_metaio *io,
			  enum tidemark_metaio_how how)
{
	blk_opf_t opf = REQ_OP_WRITE | REQ_SYNC | REQ_META | REQ_PRIO;
	unsigned int noio, i;
	struct blk_plug plug;
	int err;

	if (!io->used)
		return 0;
	if (how == METAIO_ORDERED)
		opf |= REQ_PREFLUSH;
	if (how != METAIO_PLAIN)
		opf |= REQ_FUA;
	metaio_begin(io);
	noio = memalloc_noio_save();
	blk_start_plug(&plug);
	for (i = 0; i < io->used; i++)
		metaio_submit(io, io->blocks[i],
			      io->blocks[i]->bio.bi_iter.bi_sector, opf);
	blk_finish_plug(&plug);
	err = metaio_end_wait(io);
	memalloc_noio_restore(noio);
	WRITE_ONCE(io->writes, io->writes + io->used);
	if (how == METAIO_ORDERED)
		WRITE_ONCE(io->flushes, io->flushes + 1);
	io->used = 0;
	return err;
}

/**
 * tidemark_metaio_read() - read a batch, and wait
 * @io: an empty batch; what was read is there until the next one
 * @first: the first block
 * @count: how many, at most TIDEMARK_METAIO_BATCH
 *
 * Return: 0 or an errno of the device.
 */
int tidemark_metaio_read(struct tidemark_metaio *io, u64 first, u32 count)
{
	u32 i;

	metaio_begin(io);
	for (i = 0; i < count; i++)
		metaio_submit(io, io->blocks[i], first + i,
			      REQ_OP_READ | REQ_META);
	return metaio_end_wait(io);
}

/**
 * tidemark_metaio_block() - what was read
 * @io: the batch
 * @index: of the block in it
 */
void *tidemark_metaio_block(struct tidemark_metaio *io, u32 index)
{
	return page_address(io->blocks[index]->page);
}

/**
 * tidemark_metaio_flush() - all that was written is durable
 * @io: an empty batch
 *
 * Context: As tidemark_metaio_write().
 * Return: 0 or an errno of the device.
 */
int tidemark_metaio_flush(struct tidemark_metaio *io)
{
	unsigned int noio = memalloc_noio_save();
	struct metaio_block flush = {};
	int err;

	metaio_begin(io);
	metaio_submit(io, &flush, 0, REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC);
	err = metaio_end_wait(io);
	memalloc_noio_restore(noio);
	WRITE_ONCE(io->flushes, io->flushes + 1);
	return err;
}

/**
 * tidemark_metaio_counts() - what was done since it was created
 * @io: the batch
 * @ret_writes: blocks written
 * @ret_flushes: flushes, those that are part of a write too
 * @ret_errors: batches that failed
 *
 * Context: Any, also while others use it.
 */
void tidemark_metaio_counts(const struct tidemark_metaio *io, u64 *ret_writes,
			    u64 *ret_flushes, u64 *ret_errors)
{
	*ret_writes = READ_ONCE(io->writes);
	*ret_flushes = READ_ONCE(io->flushes);
	*ret_errors = READ_ONCE(io->errors);
}
