// SPDX-License-Identifier: GPL-2.0-only
/*
 * Target "tidemark-view": the owed granules of a tracked disk as they were at
 * the moment of the seal, as a read-only device.
 *
 *	tidemark-view <tracked device | number of the disk>
 *
 * The disk is preserved for (see preserve.h) while a table with this target is
 * loaded. A view holds the data device open but not the tracked one, which may
 * be suspended, reloaded or removed at any time: the view then has nothing to
 * show. It does no I/O through the tracked device, so neither waits for the
 * other.
 */
#include "view.h"

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/highmem.h>
#include <linux/kdev_t.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "compat.h"
#include "disk.h"

#define DM_MSG_PREFIX "tidemark-view"

/**
 * struct view - an instance
 * @disk: that it shows
 * @device: the tracked one, as it was when the table was loaded
 * @data: the device below that
 * @work: serves @again
 * @lock: covers @again
 * @again: reads that were overtaken by a write
 */
struct view {
	struct tidemark_disk *disk;
	dev_t device;
	struct dm_dev *data;
	struct work_struct work;
	spinlock_t lock;	/* see above */
	struct bio_list again;
};

/**
 * struct view_io - of each bio
 * @iter: what it reads; the device below consumes the bio's own
 * @sector: of the disk, where it begins
 * @sectors: how many
 * @epoch: that it reads
 * @below: it was passed to the data device
 */
struct view_io {
	struct bvec_iter iter;
	u64 sector;
	u32 sectors;
	u64 epoch;
	bool below;
};

/* Copy what a bio reads from a slot. Takes as long as memory takes. */
static void view_copy(const struct tidemark_slot *slot, u64 sector,
		      struct bio *bio, struct bvec_iter iter)
{
	u64 at = (sector - (slot->granule << slot->shift)) << SECTOR_SHIFT;
	struct bvec_iter now;
	struct bio_vec bv;

	__bio_for_each_segment(bv, bio, now, iter) {
		unsigned int done = 0;

		while (done < bv.bv_len) {
			unsigned int from = at & ~PAGE_MASK;
			unsigned int some = min_t(unsigned int,
						  bv.bv_len - done,
						  PAGE_SIZE - from);

			memcpy_page(bv.bv_page, bv.bv_offset + done,
				    slot->pages[at >> PAGE_SHIFT], from, some);
			done += some;
			at += some;
		}
		flush_dcache_page(bv.bv_page);
	}
}

/* Serve a bio from a slot, to the end. */
static void view_serve(struct view *view, struct bio *bio,
		       struct tidemark_slot *slot)
{
	struct view_io *io = dm_per_bio_data(bio, sizeof(*io));

	view_copy(slot, io->sector, bio, io->iter);
	tidemark_preserve_read_end(view->disk, slot);
	io->below = false;
	bio_endio(bio);
}

static int view_where(struct view *view, struct bio *bio,
		      struct tidemark_slot **ret_slot)
{
	struct view_io *io = dm_per_bio_data(bio, sizeof(*io));

	return tidemark_preserve_read(view->disk, view->data->bdev->bd_dev,
				      io->sector, io->sectors, &io->epoch,
				      ret_slot);
}

static int view_map(struct dm_target *ti, struct bio *bio)
{
	struct view_io *io = dm_per_bio_data(bio, sizeof(*io));
	struct view *view = ti->private;
	struct tidemark_slot *slot;
	int ret;

	io->below = false;
	if (bio_op(bio) != REQ_OP_READ)
		return DM_MAPIO_KILL;
	io->iter = bio->bi_iter;
	io->sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	io->sectors = bio_sectors(bio);
	io->epoch = 0;
	ret = view_where(view, bio, &slot);
	if (ret < 0)
		return DM_MAPIO_KILL;
	if (ret) {
		view_serve(view, bio, slot);
		return DM_MAPIO_SUBMITTED;
	}
	io->below = true;
	bio_set_dev(bio, view->data->bdev);
	bio->bi_iter.bi_sector = io->sector;
	return DM_MAPIO_REMAPPED;
}

/* A write may have overtaken the read: see preserve.c. */
static int view_end_io(struct dm_target *ti, struct bio *bio,
		       blk_status_t *error)
{
	struct view_io *io = dm_per_bio_data(bio, sizeof(*io));
	struct view *view = ti->private;
	struct tidemark_slot *slot;
	unsigned long irq;
	int ret;

	if (!io->below || *error)
		return DM_ENDIO_DONE;
	ret = view_where(view, bio, &slot);
	if (ret < 0)
		*error = BLK_STS_IOERR;
	if (ret <= 0)
		return DM_ENDIO_DONE;
	/* Too much to copy for an interrupt; the slot may go meanwhile. */
	tidemark_preserve_read_end(view->disk, slot);
	spin_lock_irqsave(&view->lock, irq);
	bio_list_add(&view->again, bio);
	spin_unlock_irqrestore(&view->lock, irq);
	schedule_work(&view->work);
	return DM_ENDIO_INCOMPLETE;
}

static void view_again(struct work_struct *work)
{
	struct view *view = container_of(work, struct view, work);
	struct tidemark_slot *slot;
	struct bio_list bios;
	struct bio *bio;

	spin_lock_irq(&view->lock);
	bios = view->again;
	bio_list_init(&view->again);
	spin_unlock_irq(&view->lock);
	while ((bio = bio_list_pop(&bios))) {
		struct view_io *io = dm_per_bio_data(bio, sizeof(*io));

		/* It ends twice; the device below has accounted for the first. */
		bio_clear_flag(bio, BIO_QOS_THROTTLED);
		bio_clear_flag(bio, BIO_QOS_MERGED);
		if (view_where(view, bio, &slot) > 0) {
			view_serve(view, bio, slot);
		} else {
			io->below = false;
			bio_io_error(bio);
		}
		cond_resched();
	}
}

/* The tracked disk that a table line names, with a reference, or NULL. */
static struct tidemark_disk *view_find(const char *name)
{
	unsigned int major, minor;
	dev_t device;
	u64 id;
	char end;

	if (!kstrtou64(name, 10, &id))
		return tidemark_disk_find(id);
	if (sscanf(name, "%u:%u%c", &major, &minor, &end) == 2)
		device = MKDEV(major, minor);
	else if (lookup_bdev(name, &device))
		return NULL;
	return tidemark_disk_find_device(device);
}

/* Open the data device, and check that it is what the view can show. */
static int view_open(struct dm_target *ti, struct view *view)
{
	struct tidemark_info info = {};
	char name[24];
	int err = tidemark_query_info(view->disk, &info);

	if (err) {
		ti->error = "The disk is not tracked any more";
		return err;
	}
	if (ti->begin || ti->len > info.sectors) {
		ti->error = "A view begins at 0 and ends with the disk";
		return -EINVAL;
	}
	err = dm_set_target_max_io_len(ti, info.granule_sectors);
	if (err)
		return err;
	view->device = MKDEV(info.major, info.minor);
	snprintf(name, sizeof(name), "%u:%u", info.data_major, info.data_minor);
	err = dm_get_device(ti, name, dm_table_get_mode(ti->table),
			    &view->data);
	if (err)
		ti->error = "The data device cannot be opened";
	return err;
}

static int view_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct view *view;
	int err;

	if (argc != 1) {
		ti->error = "Need <tracked device | number of the disk>";
		return -EINVAL;
	}
	if (dm_table_get_mode(ti->table) & BLK_OPEN_WRITE) {
		ti->error = "A view is read-only: create it so";
		return -EROFS;
	}
	view = kzalloc(sizeof(*view), GFP_KERNEL);
	if (!view) {
		ti->error = "No memory";
		return -ENOMEM;
	}
	spin_lock_init(&view->lock);
	bio_list_init(&view->again);
	INIT_WORK(&view->work, view_again);
	err = -ENODEV;
	view->disk = view_find(argv[0]);
	if (!view->disk) {
		ti->error = "No such tracked disk";
		goto err_view;
	}
	err = view_open(ti, view);
	if (err)
		goto err_disk;
	err = tidemark_preserve_arm(view->disk);
	if (err) {
		ti->error = "No memory for the preserve pool";
		goto err_data;
	}
	ti->private = view;
	ti->per_io_data_size = sizeof(struct view_io);
	return 0;

err_data:
	dm_put_device(ti, view->data);
err_disk:
	tidemark_disk_put(view->disk);
err_view:
	kfree(view);
	return err;
}

static void view_dtr(struct dm_target *ti)
{
	struct view *view = ti->private;

	/* All bios have ended, hence also those that it was queued for. */
	flush_work(&view->work);
	tidemark_preserve_disarm(view->disk);
	dm_put_device(ti, view->data);
	tidemark_disk_put(view->disk);
	kfree(view);
}

static unsigned int view_info(struct view *view, char *result,
			      unsigned int maxlen)
{
	struct tidemark_info info = {};
	unsigned int sz = 0;

	if (tidemark_query_info(view->disk, &info)) {
		DMEMIT("-");
		return sz;
	}
	DMEMIT("%llu %llu %llu %llu %llu/%llu %llu %s%s%s", info.disk,
	       info.sealed_epoch, info.owed, info.preserved, info.pool_used,
	       info.pool_bytes, info.pool_peak,
	       info.state & TIDEMARK_STATE_SEALED ? "sealed" : "open",
	       info.state & TIDEMARK_STATE_DRAINING ? ",draining" : "",
	       info.state & TIDEMARK_STATE_TORN ? ",torn" : "");
	return sz;
}

static void view_status(struct dm_target *ti, status_type_t type,
			unsigned int status_flags, char *result,
			unsigned int maxlen)
{
	struct view *view = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		view_info(view, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%u:%u", MAJOR(view->device), MINOR(view->device));
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",tracked_device=%u:%u;", MAJOR(view->device),
		       MINOR(view->device));
		break;
	}
}

static int view_iterate_devices(struct dm_target *ti,
				iterate_devices_callout_fn fn, void *data)
{
	struct view *view = ti->private;

	return fn(ti, view->data, 0, ti->len, data);
}

static struct target_type view_type = {
	.name = "tidemark-view",
	.version = { 1, 0, 0 },
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT,
	.module = THIS_MODULE,
	.ctr = view_ctr,
	.dtr = view_dtr,
	.map = view_map,
	.end_io = view_end_io,
	.status = view_status,
	.iterate_devices = view_iterate_devices,
};

/**
 * tidemark_view_init() - at module load
 *
 * Return: 0 or what dm_register_target() says.
 */
int __init tidemark_view_init(void)
{
	return dm_register_target(&view_type);
}

/** tidemark_view_exit() - at module unload */
void tidemark_view_exit(void)
{
	dm_unregister_target(&view_type);
}
