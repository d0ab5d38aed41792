// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a keeper finds on its metadata device when a table is loaded: nothing of
 * it is believed that does not verify, and nothing is written.
 */
#include "keep.h"

#include <linux/bitmap.h>
#include <linux/sched.h>

#include "bitmap.h"
#include "disk.h"
#include "granule.h"

/*
 * The newer of the two superblocks that verify. A device on which none ever was
 * is left alone; one on which they no longer verify is taken, without trust.
 */
static int load_super(struct tidemark_keep *keep, const char **ret_why)
{
	int fault[2], i, err = tidemark_metaio_read(keep->super_io, 0, 2);
	const struct tidemark_meta_super *super, *best = NULL;

	if (err) {
		*ret_why = "The metadata device cannot be read";
		return err;
	}
	for (i = 0; i < 2; i++) {
		super = tidemark_metaio_block(keep->super_io, i);
		fault[i] = tidemark_meta_super_check(super);
		if (!fault[i] && le64_to_cpu(super->seq) % 2 != i)
			fault[i] = TIDEMARK_META_WRONG;	/* of the other slot */
		if (fault[i] == TIDEMARK_META_UNKNOWN) {
			*ret_why = "Metadata of a newer version";
			return -EPROTONOSUPPORT;
		}
		if (!fault[i] && (!best || le64_to_cpu(super->seq) >
					   le64_to_cpu(best->seq)))
			best = super;
	}
	if (best) {
		keep->found = *best;
		return 0;
	}
	if (fault[0] == TIDEMARK_META_FOREIGN &&
	    fault[1] == TIDEMARK_META_FOREIGN) {
		*ret_why = "No Tidemark metadata on it: format it first";
		return -EMEDIUMTYPE;
	}
	return 0;
}

/* Read an area into @into; blocks whose units all verify get their sum. */
static int load_area(struct tidemark_keep *keep, u64 first, u64 blocks,
		     u32 magic, unsigned long *into, u64 bits, u64 *sums)
{
	u32 some, i;
	u64 at;
	int err;

	for (at = 0; at < blocks; at += some) {
		some = min_t(u64, blocks - at, TIDEMARK_METAIO_BATCH);
		err = tidemark_metaio_read(keep->io, first + at, some);
		if (err)
			return err;
		for (i = 0; i < some; i++) {
			const void *block = tidemark_metaio_block(keep->io, i);

			if (tidemark_meta_unpack(block, at + i, magic,
						 keep->format, into, bits))
				keep->found_reason |=
					TIDEMARK_REASON_META_PART;
			else if (sums)
				sums[at + i] = tidemark_checkpoint_sum(keep, block);
		}
		cond_resched();
	}
	return 0;
}

/* Intent is durable and armed; its granules are marked like the others. */
static int load_units(struct tidemark_keep *keep, struct tidemark_disk *disk)
{
	const struct tidemark_meta_layout *layout = &keep->layout;
	u64 extent = 0, count = 0, first, granules;
	int err;

	err = load_area(keep, layout->intent_block, layout->intent_blocks,
			TIDEMARK_META_INTENT_MAGIC, keep->durable,
			layout->extents, NULL);
	if (!err)
		err = load_area(keep, layout->bitmap_block,
				layout->bitmap_blocks,
				TIDEMARK_META_BITMAP_MAGIC,
				disk->marking->bits, layout->granules,
				keep->sums);
	if (err)
		return err;
	while (tidemark_bitmap_next(keep->durable, extent + count,
				    layout->extents, &extent, &count)) {
		u64 sector = extent * TIDEMARK_META_EXTENT;

		if (!granule_range(sector,
				   min(count * TIDEMARK_META_EXTENT,
				       layout->sectors - sector),
				   layout->sectors, disk->shift, &first,
				   &granules))
			tidemark_bitmap_mark(disk->marking->bits, first,
					     granules);
		keep->intents += count;
	}
	bitmap_copy(keep->armed, keep->durable, layout->extents);
	return 0;
}

static bool load_same_layout(const struct tidemark_keep *keep)
{
	return le64_to_cpu(keep->found.sectors) == keep->layout.sectors &&
	       le32_to_cpu(keep->found.granule_sectors) ==
		       keep->layout.granule_sectors;
}

/**
 * tidemark_keep_load() - what there is on the device, and what follows from that
 * @keep: of a disk that nobody sees yet
 * @disk: its marks are set
 * @ret_why: on failure, for a person
 *
 * Return: 0, -EMEDIUMTYPE, -EPROTONOSUPPORT, or an errno of the device.
 */
int tidemark_keep_load(struct tidemark_keep *keep, struct tidemark_disk *disk,
		       const char **ret_why)
{
	int err = load_super(keep, ret_why);
	u32 state = le32_to_cpu(keep->found.state);
	bool all = state != TIDEMARK_META_NEW;
	uuid_t format;

	if (err)
		return err;
	keep->seq = le64_to_cpu(keep->found.seq);
	keep->said.state = state;
	keep->said.reason = le32_to_cpu(keep->found.reason);
	if (!state) {
		uuid_gen(&format);
		export_uuid(keep->format, &format);
		keep->found_reason |= TIDEMARK_REASON_META_LOST;
	} else {
		memcpy(keep->format, keep->found.format, sizeof(keep->format));
		if (!load_same_layout(keep) && state != TIDEMARK_META_NEW)
			keep->found_reason |= TIDEMARK_REASON_RESIZED;
	}
	keep->state = TIDEMARK_META_ALL;
	if ((state == TIDEMARK_META_CLEAN || state == TIDEMARK_META_ACTIVE) &&
	    load_same_layout(keep)) {
		err = load_units(keep, disk);
		if (err)
			*ret_why = "The metadata device cannot be read";
		keep->state = TIDEMARK_META_ACTIVE;
		all = false;
	}
	if (state == TIDEMARK_META_ACTIVE)
		keep->found_reason |= TIDEMARK_REASON_UNCLEAN;
	if (all)
		tidemark_bitmap_mark(disk->marking->bits, 0, disk->granules);
	atomic_long_set(&disk->marking->marked,
			tidemark_bitmap_count(disk->marking->bits, 0,
					      disk->granules));
	return err;
}
