// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bios that old bytes are read with, see io.h.
 */
#include "io.h"

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/minmax.h>

#include "preserve.h"

/**
 * struct tidemark_io - of a slot, used again for each piece of its granule
 * @bio: with its vectors
 */
struct tidemark_io {
	struct bio bio;
};

/**
 * tidemark_io_alloc() - what a slot is read with
 * @pages: of the slot
 * @gfp: how to allocate
 *
 * Return: to be freed with kfree(), or NULL.
 */
struct tidemark_io *tidemark_io_alloc(unsigned int pages, gfp_t gfp)
{
	struct bio *bio = bio_kmalloc(min(pages, BIO_MAX_VECS), gfp);

	return bio ? container_of(bio, struct tidemark_io, bio) : NULL;
}

static void io_end(struct bio *bio)
{
	struct tidemark_slot *slot = bio->bi_private;

	slot->failed = bio->bi_status;
	bio_uninit(bio);
	tidemark_preserve_done(slot);
}

/**
 * tidemark_io_read() - read the next piece of a slot's granule
 * @slot: with sectors that have not been read
 * @data: the device to read from
 *
 * Ends in tidemark_preserve_done(), in any context.
 *
 * Context: Process context, allocates nothing.
 */
void tidemark_io_read(struct tidemark_slot *slot, struct block_device *data)
{
	unsigned int i = slot->read >> (PAGE_SHIFT - SECTOR_SHIFT);
	u32 left = (slot->sectors - slot->read) << SECTOR_SHIFT;
	unsigned int vecs = min_t(unsigned int, DIV_ROUND_UP(left, PAGE_SIZE),
				  BIO_MAX_VECS);
	struct bio *bio = &slot->io->bio;

	bio_init(bio, data, bio->bi_inline_vecs, vecs, REQ_OP_READ);
	bio->bi_iter.bi_sector = (slot->granule << slot->shift) + slot->read;
	bio->bi_end_io = io_end;
	bio->bi_private = slot;
	for (; vecs; vecs--) {
		u32 bytes = min_t(u32, left, PAGE_SIZE);

		__bio_add_page(bio, slot->pages[i++], bytes, 0);
		left -= bytes;
	}
	slot->read += bio_sectors(bio);
	submit_bio_noacct(bio);
}
