// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device-mapper tap: target "tidemark", the only file that knows dm and
 * bios. It passes everything through to one data device and has each write
 * marked by the core before.
 *
 *	tidemark <data device> <metadata device | -> <granule sectors>
 *		[<count of feature words> [pool <bytes>] [identity <word>]
 *		[boot <uuid>]]
 *
 * The metadata device is one of its own: to keep metadata at the end of a data
 * device, stack two linear targets on that. identity is what the disk is called,
 * to notice another one with its metadata; boot is the UUID of
 * /proc/sys/kernel/random/boot_id: without it a boot ends when the module is
 * unloaded.
 *
 * A table has this target alone. An instance of it is created with each table
 * that is loaded and becomes the tap of its disk when that table is resumed;
 * until then another table may be in use, or the load may be taken back.
 *
 * ioctls are not passed on to the data device (there is no prepare_ioctl): a
 * passthrough command would change it without being seen. DAX neither.
 */
#include "target.h"

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "compat.h"
#include "disk.h"
#include "keep.h"
#include "table.h"

#define DM_MSG_PREFIX "tidemark"

/* How long a seal by message waits for an older one to drain. */
#define MESSAGE_TIMEOUT_MS	1000

/**
 * struct target - an instance
 * @data: the device below
 * @meta: the metadata device, or NULL
 * @claim: to both
 * @disk: its disk; before the first resume one of its own, which may be gone
 *	after it
 * @table: its table line; the words in it are gone
 * @resumed: it has become the tap of its disk, and @disk is final
 * @leaving: it was said that the device will go on without it
 */
struct target {
	struct dm_dev *data;
	struct dm_dev *meta;
	struct tidemark_claim claim;
	struct tidemark_disk *disk;
	struct tidemark_table table;
	bool resumed;
	bool leaving;
};

/* Which boot this is, for tables that do not say. */
static uuid_t target_boot __ro_after_init;

/**
 * struct target_io - of each bio
 * @write: its epoch is NULL for a bio that is not marked
 */
struct target_io {
	struct tidemark_write write;
};

static int target_create_disk(struct dm_target *ti, struct target *target)
{
	int err = tidemark_disk_create(dm_table_get_md(ti->table), ti->len,
				       target->table.granule_sectors,
				       &target->disk);

	if (err == -EINVAL)
		ti->error = "Granule is no power of two of 8 to 8192 sectors";
	else if (err == -EFBIG)
		ti->error = "More than 2^30 granules: make them larger";
	else if (err)
		ti->error = "No memory for the bitmaps";
	return err;
}

/* The metadata device, and what is on it. */
static int target_open_meta(struct dm_target *ti, struct target *target)
{
	const struct tidemark_table *table = &target->table;
	const uuid_t *boot = table->boot_given ? &table->boot : &target_boot;
	const char *why = NULL;
	int err;

	if (!(dm_table_get_mode(ti->table) & BLK_OPEN_WRITE)) {
		ti->error = "A read-only device has no metadata: give - in its place";
		return -EROFS;
	}
	err = dm_get_device(ti, table->meta, dm_table_get_mode(ti->table),
			    &target->meta);
	if (err) {
		ti->error = "No such metadata device, or it is in use";
		return err;
	}
	err = tidemark_claim(&target->claim, target->disk->owner,
			     target->data->bdev->bd_dev,
			     target->meta->bdev->bd_dev);
	if (err) {
		ti->error = "The metadata device is the data device, or another disk uses it";
		goto err_meta;
	}
	err = tidemark_keep_create(target->disk, target->meta->bdev, boot->b,
				   table->identity, &why);
	if (err)
		goto err_claim;
	if (tidemark_disk_keep_foreign(target->disk)) {
		why = "The metadata is another disk's: format it first";
		err = -EBUSY;
		goto err_claim;
	}
	return 0;

err_claim:
	ti->error = (char *)why;
	tidemark_unclaim(&target->claim);
err_meta:
	dm_put_device(ti, target->meta);
	return err;
}

static int target_open_data(struct dm_target *ti, struct target *target)
{
	int err = dm_get_device(ti, target->table.data,
				dm_table_get_mode(ti->table), &target->data);

	if (err) {
		ti->error = "No such data device";
		return err;
	}
	if (bdev_is_zoned(target->data->bdev)) {
		ti->error = "A zoned data device cannot be tracked";
		dm_put_device(ti, target->data);
		return -EINVAL;
	}
	return 0;
}

/* Without metadata: another disk's metadata device may still be in the way. */
static int target_claim(struct dm_target *ti, struct target *target)
{
	int err = tidemark_claim(&target->claim, target->disk->owner,
				 target->data->bdev->bd_dev, 0);

	if (err)
		ti->error = "The data device is another disk's metadata device";
	return err;
}

static int target_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct target *target;
	int err;

	target = kzalloc(sizeof(*target), GFP_KERNEL);
	if (!target) {
		ti->error = "No memory";
		return -ENOMEM;
	}
	err = tidemark_table_parse(&target->table, argc, argv, &ti->error);
	if (err)
		goto err_target;
	err = target_open_data(ti, target);
	if (err)
		goto err_target;
	err = target_create_disk(ti, target);
	if (err)
		goto err_data;
	err = target->table.meta ? target_open_meta(ti, target) :
				   target_claim(ti, target);
	if (err)
		goto err_disk;
	ti->private = target;
	ti->per_io_data_size = sizeof(struct target_io);
	ti->accounts_remapped_io = true;	/* see target_go() */
	ti->num_flush_bios = 1;
	ti->num_discard_bios = 1;
	ti->num_secure_erase_bios = 1;
	ti->num_write_zeroes_bios = 1;
	return 0;

err_disk:
	tidemark_disk_put(target->disk);
err_data:
	dm_put_device(ti, target->data);
err_target:
	kfree(target);
	return err;
}

/*
 * A device that is removed has lost its name before its table is destroyed. If
 * it has one, then another table was put in the place of this one.
 */
static bool target_dropped(struct dm_target *ti, const struct target *target)
{
	char name[DM_NAME_LEN];

	return !target->leaving &&
	       !dm_copy_name_and_uuid(dm_table_get_md(ti->table), name, NULL);
}

static void target_dtr(struct dm_target *ti)
{
	struct target *target = ti->private;

	tidemark_disk_deactivate(target->disk, target,
				 target_dropped(ti, target));
	tidemark_disk_put(target->disk);
	tidemark_unclaim(&target->claim);
	if (target->meta)
		dm_put_device(ti, target->meta);
	dm_put_device(ti, target->data);
	kfree(target);
}

/*
 * Take over. All I/O of the table before has ended, and what has come since
 * is held back: this is where another size, granule or data device begins.
 */
static int target_preresume(struct dm_target *ti)
{
	struct mapped_device *md = dm_table_get_md(ti->table);
	struct target *target = ti->private;
	struct tidemark_where where = {
		.device = disk_devt(dm_disk(md)),
		.data = target->data->bdev->bd_dev,
		.tracked_bdev = dm_disk(md)->part0,
		.data_bdev = target->data->bdev,
	};

	BUILD_BUG_ON(sizeof(where.name) < DM_NAME_LEN);
	if (dm_copy_name_and_uuid(md, where.name, NULL))
		strscpy(where.name, dm_device_name(md), sizeof(where.name));
	target->disk = tidemark_disk_activate(target->disk, target, &where);
	/* What POOL has said since stands when the device was only paused. */
	if (target->table.pool_given && !target->resumed)
		tidemark_preserve_limit(target->disk,
					target->table.pool_bytes);
	smp_store_release(&target->resumed, true);	/* see target_disk() */
	target->leaving = false;
	return 0;
}

static void target_resume(struct dm_target *ti)
{
	struct target *target = ti->private;

	tidemark_disk_suspend(target->disk, target, false);
}

static void target_postsuspend(struct dm_target *ti)
{
	struct target *target = ti->private;

	tidemark_disk_suspend(target->disk, target, true);
}

/* Copy-before-write lets a held write go on. */
static void target_go(struct tidemark_write *write)
{
	struct target_io *io = container_of(write, struct target_io, write);

	dm_submit_bio_remap(dm_bio_from_per_bio_data(io, sizeof(*io)), NULL);
}

/*
 * A bio that changes data: mark it, hold it, or do not let it through. A held
 * one has not ended: a flush that comes meanwhile owes it nothing.
 */
static int target_write(struct target *target, struct bio *bio,
			struct target_io *io)
{
	bool discard = bio_op(bio) == REQ_OP_DISCARD ||
		       bio_op(bio) == REQ_OP_SECURE_ERASE;
	bool nowait = bio->bi_opf & REQ_NOWAIT;
	int ret = tidemark_write_begin(target->disk, bio->bi_iter.bi_sector,
				       bio_sectors(bio), discard, nowait,
				       &io->write);

	if (unlikely(ret > 0)) {
		io->write.data = target->data->bdev;
		io->write.go = target_go;
		ret = tidemark_write_hold(target->disk, ret, nowait, discard,
					  &io->write);
	}
	if (likely(!ret))
		return DM_MAPIO_REMAPPED;
	if (ret > 0)
		return DM_MAPIO_SUBMITTED;
	if (ret != -EAGAIN)
		return DM_MAPIO_KILL;
	bio_wouldblock_error(bio);
	return DM_MAPIO_SUBMITTED;
}

static int target_map(struct dm_target *ti, struct bio *bio)
{
	struct target_io *io = dm_per_bio_data(bio, sizeof(*io));
	struct target *target = ti->private;

	io->write.epoch = NULL;
	bio_set_dev(bio, target->data->bdev);
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return DM_MAPIO_REMAPPED;
	case REQ_OP_WRITE:
	case REQ_OP_WRITE_ZEROES:
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
		/* A flush alone changes nothing. */
		if (!bio_sectors(bio))
			return DM_MAPIO_REMAPPED;
		return target_write(target, bio, io);
	default:
		/*
		 * Zones, and what later kernels may invent: an operation that
		 * cannot be tracked does not pass.
		 */
		return DM_MAPIO_KILL;
	}
}

static int target_end_io(struct dm_target *ti, struct bio *bio,
			 blk_status_t *error)
{
	struct target_io *io = dm_per_bio_data(bio, sizeof(*io));

	if (io->write.epoch)
		tidemark_epoch_put(io->write.epoch);
	return DM_ENDIO_DONE;
}

/*
 * The disk, or NULL before the first resume. Messages and status come to a table
 * as soon as it is the live one, which is before target_preresume() has exchanged
 * the disk.
 */
static struct tidemark_disk *target_disk(struct target *target)
{
	/* Pairs with target_preresume(). */
	return smp_load_acquire(&target->resumed) ? target->disk : NULL;
}

static unsigned int target_info(struct target *target, char *result,
				unsigned int maxlen)
{
	struct tidemark_disk *disk = target_disk(target);
	struct tidemark_info info = {};
	unsigned int sz = 0;

	if (!disk || tidemark_query_info(disk, &info)) {
		DMEMIT("-");
		return sz;
	}
	DMEMIT("%llu %pU %u %llu %llu %llu %llu %llu %llu %llu %llu %s%s%s",
	       info.disk, info.uuid, info.granule_sectors, info.granules,
	       info.epoch, info.sealed_epoch, info.committed_epoch, info.marked,
	       info.sealed, info.owed, info.torn,
	       info.state & TIDEMARK_STATE_SEALED ? "sealed" : "open",
	       info.state & TIDEMARK_STATE_DRAINING ? ",draining" : "",
	       info.state & TIDEMARK_STATE_TORN ? ",torn" : "");
	return sz;
}

static void target_status(struct dm_target *ti, status_type_t type,
			  unsigned int status_flags, char *result,
			  unsigned int maxlen)
{
	struct target *target = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		target_info(target, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %s %u", target->data->name,
		       target->meta ? target->meta->name : "-",
		       target->table.granule_sectors);
		sz += tidemark_table_features(&target->table, result + sz,
					      maxlen - sz);
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",data_device=%s,metadata_device=%s,granule_sectors=%u;",
		       target->data->name,
		       target->meta ? target->meta->name : "-",
		       target->table.granule_sectors);
		break;
	}
}

static int message_seal(struct tidemark_disk *disk, char *result,
			unsigned int maxlen)
{
	struct tidemark_seal_item item = { .disk = disk };
	unsigned int sz = 0;
	u64 excluded;
	int err;

	err = tidemark_seal(&item, 1, 0, MESSAGE_TIMEOUT_MS, &excluded);
	if (err)
		return err;
	DMEMIT("%llu %llu", item.epoch, item.owed);
	return 1;
}

static int message_mark(struct tidemark_disk *disk, const char *first,
			const char *count)
{
	struct tidemark_run run;

	if (kstrtou64(first, 10, &run.first) || kstrtou64(count, 10, &run.count))
		return -EINVAL;
	return tidemark_mark_runs(disk, &run, 1);
}

/*
 * For support and scripts; whoever needs more uses the control device. Device
 * mapper lets nobody but root in here, and holds the table meanwhile: nothing
 * below waits for longer than a drain may take here, or the devices below.
 */
static int target_message(struct dm_target *ti, unsigned int argc, char **argv,
			  char *result, unsigned int maxlen)
{
	struct target *target = ti->private;
	struct tidemark_disk *disk = target_disk(target);
	u64 value;

	if (!disk)
		return -ENODEV;
	if (argc == 1 && !strcasecmp(argv[0], "seal"))
		return message_seal(disk, result, maxlen);
	if (argc == 1 && !strcasecmp(argv[0], "checkpoint"))
		return tidemark_keep_checkpoint(disk);
	if (argc == 1 && !strcasecmp(argv[0], "leave")) {
		target->leaving = true;
		return 0;
	}
	if (argc == 3 && !strcasecmp(argv[0], "mark"))
		return message_mark(disk, argv[1], argv[2]);
	if (argc != 2 || kstrtou64(argv[1], 10, &value)) {
		DMWARN("%s is no message, or not with these arguments", argv[0]);
		return -EINVAL;
	}
	if (!strcasecmp(argv[0], "fold"))
		return tidemark_seal_fold(disk, value);
	if (!strcasecmp(argv[0], "commit"))
		return tidemark_seal_commit(disk, value);
	if (!strcasecmp(argv[0], "threshold"))
		return tidemark_mark_threshold(disk, value);
	if (!strcasecmp(argv[0], "pool"))
		return value > TIDEMARK_POOL_MAX ?
			-EINVAL : tidemark_preserve_size(disk, value);
	return -EINVAL;
}

static int target_iterate_devices(struct dm_target *ti,
				  iterate_devices_callout_fn fn, void *data)
{
	struct target *target = ti->private;

	return fn(ti, target->data, 0, ti->len, data);
}

static struct target_type target_type = {
	.name = "tidemark",
	.version = { 1, 2, 0 },
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT |
		    DM_TARGET_PASSES_INTEGRITY | DM_TARGET_PASSES_CRYPTO,
	.module = THIS_MODULE,
	.ctr = target_ctr,
	.dtr = target_dtr,
	.map = target_map,
	.end_io = target_end_io,
	.postsuspend = target_postsuspend,
	.preresume = target_preresume,
	.resume = target_resume,
	.status = target_status,
	.message = target_message,
	.iterate_devices = target_iterate_devices,
};

/**
 * tidemark_target_init() - at module load
 *
 * Return: 0 or what dm_register_target() says.
 */
int __init tidemark_target_init(void)
{
	uuid_gen(&target_boot);
	return dm_register_target(&target_type);
}

/** tidemark_target_exit() - at module unload */
void tidemark_target_exit(void)
{
	dm_unregister_target(&target_type);
}
