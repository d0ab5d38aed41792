// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/tidemark-control: the requests of <linux/tidemark.h>, and the only file
 * that touches a user's memory. Everything is copied in once, checked, and
 * only then given to the core; nothing is copied while a disk is locked: a page
 * fault may take as long as its owner likes.
 */
#include "control.h"

#include <linux/bits.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "disk.h"

/* READ goes in pieces of so many bytes. */
#define READ_STEP	65536

union request {
	struct {
		u32 size;
		u32 flags;
	};
	struct tidemark_version version;
	struct tidemark_list list;
	struct tidemark_info info;
	struct tidemark_seal seal;
	struct tidemark_wait wait;
	struct tidemark_read read;
	struct tidemark_runs runs;
	struct tidemark_count count;
	struct tidemark_ranges ranges;
	struct tidemark_end end;
	struct tidemark_threshold threshold;
	struct tidemark_pool_size pool;
};

/* An array of the caller's, copied in. Freed with kvfree(). */
static void *array_from_user(u64 address, u32 count, size_t size)
{
	void *array = kvmalloc_array(count, size, GFP_KERNEL_ACCOUNT);

	if (!array)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(array, u64_to_user_ptr(address), count * size)) {
		kvfree(array);
		return ERR_PTR(-EFAULT);
	}
	return array;
}

static int do_version(union request *request)
{
	struct tidemark_version *version = &request->version;

	version->abi_major = TIDEMARK_ABI_MAJOR;
	version->abi_minor = TIDEMARK_ABI_MINOR;
	version->features = TIDEMARK_FEATURE_SEAL_EXTEND |
			    TIDEMARK_FEATURE_SETTLE |
			    TIDEMARK_FEATURE_THRESHOLD |
			    TIDEMARK_FEATURE_VIEW |
			    TIDEMARK_FEATURE_META |
			    TIDEMARK_FEATURE_WITNESS;
	memset(version->release, 0, sizeof(version->release));
	strscpy(version->release, THIS_MODULE->version,
		sizeof(version->release));
	return 0;
}

static int do_list(union request *request)
{
	struct tidemark_list *list = &request->list;
	u32 room = min(list->capacity, tidemark_disk_list(NULL, 0));
	u64 *ids = kvmalloc_array(room, sizeof(*ids), GFP_KERNEL_ACCOUNT);
	int err = 0;

	if (!ids)
		return -ENOMEM;
	/* Disks may come meanwhile: then the caller's array counts as short. */
	list->count = tidemark_disk_list(ids, room);
	if (list->count > room)
		err = -ENOSPC;
	else if (copy_to_user(u64_to_user_ptr(list->disks), ids,
			      list->count * sizeof(*ids)))
		err = -EFAULT;
	kvfree(ids);
	return err;
}

static int do_info(union request *request)
{
	struct tidemark_info *info = &request->info;
	u64 id = info->disk;
	struct tidemark_disk *disk;
	int err;

	if (info->reserved || info->reserved2)
		return -EINVAL;
	disk = tidemark_disk_find(id);
	if (!disk)
		return -ENODEV;
	memset(info, 0, sizeof(*info));
	err = tidemark_query_info(disk, info);
	tidemark_disk_put(disk);
	return err;
}

static int item_compare(const void *a, const void *b)
{
	const struct tidemark_seal_item *one = a, *two = b;

	if (one->disk->id == two->disk->id)
		return 0;
	return one->disk->id < two->disk->id ? -1 : 1;
}

/* Find and sort the disks; all @count items have a disk or NULL after. */
static int seal_items(const struct tidemark_seal_disk *disks,
		      struct tidemark_seal_item *items, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		items[i].slot = i;
		items[i].disk = tidemark_disk_find(disks[i].disk);
		if (!items[i].disk)
			return -ENODEV;
	}
	sort(items, count, sizeof(*items), item_compare, NULL);
	for (i = 1; i < count; i++)
		if (items[i].disk == items[i - 1].disk)
			return -EINVAL;
	return 0;
}

static int seal_disks(struct tidemark_seal *seal,
		      struct tidemark_seal_disk *disks)
{
	struct tidemark_seal_item *items;
	int err;
	u32 i;

	items = kvcalloc(seal->count, sizeof(*items), GFP_KERNEL_ACCOUNT);
	if (!items)
		return -ENOMEM;
	err = seal_items(disks, items, seal->count);
	if (!err)
		err = tidemark_seal(items, seal->count, seal->flags,
				    seal->timeout_ms, &seal->excluded_ns);
	for (i = 0; i < seal->count; i++) {
		if (!err) {
			disks[items[i].slot].epoch = items[i].epoch;
			disks[items[i].slot].owed = items[i].owed;
		}
		tidemark_disk_put(items[i].disk);
	}
	kvfree(items);
	return err;
}

static int do_seal(union request *request)
{
	struct tidemark_seal *seal = &request->seal;
	struct tidemark_seal_disk *disks;
	int err;

	if (!seal->count || seal->timeout_ms > TIDEMARK_TIMEOUT_MAX)
		return -EINVAL;
	if (seal->count > TIDEMARK_SEAL_MAX)
		return -E2BIG;
	disks = array_from_user(seal->disks, seal->count, sizeof(*disks));
	if (IS_ERR(disks))
		return PTR_ERR(disks);
	err = seal_disks(seal, disks);
	if (!err && copy_to_user(u64_to_user_ptr(seal->disks), disks,
				 seal->count * sizeof(*disks)))
		err = -EFAULT;
	kvfree(disks);
	return err;
}

static int do_wait(union request *request)
{
	struct tidemark_wait *wait = &request->wait;
	struct tidemark_disk *disk;
	int err;

	if (wait->reserved || wait->timeout_ms > TIDEMARK_TIMEOUT_MAX)
		return -EINVAL;
	disk = tidemark_disk_find(wait->disk);
	if (!disk)
		return -ENODEV;
	err = tidemark_seal_wait(disk, wait->epoch, wait->timeout_ms);
	tidemark_disk_put(disk);
	return err;
}

static int read_bitmap(struct tidemark_disk *disk,
		       const struct tidemark_read *read, u8 *bytes)
{
	u8 __user *to = u64_to_user_ptr(read->bitmap);
	u64 first = read->first, count = read->count, epoch = 0;
	int err;

	/* The range is checked as a whole before the first byte is written. */
	err = tidemark_query_check(disk, first, count);
	while (count && !err) {
		u64 some = min_t(u64, count, READ_STEP * 8);
		size_t length = DIV_ROUND_UP(some, 8);

		err = tidemark_query_bytes(disk, read->which, first, some,
					   &epoch, bytes);
		if (!err && copy_to_user(to, bytes, length))
			err = -EFAULT;
		to += length;
		first += some;
		count -= some;
		cond_resched();
	}
	return err;
}

static int do_read(union request *request)
{
	const struct tidemark_read *read = &request->read;
	struct tidemark_disk *disk;
	u8 *bytes;
	int err;

	if (read->reserved || read->first % 8 || read->which > TIDEMARK_OWED)
		return -EINVAL;
	disk = tidemark_disk_find(read->disk);
	if (!disk)
		return -ENODEV;
	bytes = kvmalloc(READ_STEP, GFP_KERNEL_ACCOUNT);
	err = bytes ? read_bitmap(disk, read, bytes) : -ENOMEM;
	kvfree(bytes);
	tidemark_disk_put(disk);
	return err;
}

static int do_runs(union request *request)
{
	struct tidemark_runs *runs = &request->runs;
	struct tidemark_disk *disk;
	struct tidemark_run *array;
	int err;

	if (runs->reserved || !runs->capacity)
		return -EINVAL;
	if (runs->capacity > TIDEMARK_RUNS_MAX)
		return -E2BIG;
	disk = tidemark_disk_find(runs->disk);
	if (!disk)
		return -ENODEV;
	array = kvmalloc_array(runs->capacity, sizeof(*array),
			       GFP_KERNEL_ACCOUNT);
	err = array ? tidemark_query_runs(disk, runs, array) : -ENOMEM;
	tidemark_disk_put(disk);
	if (!err && copy_to_user(u64_to_user_ptr(runs->runs), array,
				 runs->filled * sizeof(*array)))
		err = -EFAULT;
	kvfree(array);
	return err;
}

static int do_count(union request *request)
{
	struct tidemark_count *count = &request->count;
	struct tidemark_disk *disk;
	int err;

	if (count->reserved)
		return -EINVAL;
	disk = tidemark_disk_find(count->disk);
	if (!disk)
		return -ENODEV;
	err = tidemark_query_count(disk, count);
	tidemark_disk_put(disk);
	return err;
}

static int do_ranges(struct tidemark_ranges *ranges,
		     int (*act)(struct tidemark_disk *disk, u64 epoch,
				const struct tidemark_run *runs, u32 count))
{
	struct tidemark_disk *disk;
	struct tidemark_run *runs;
	int err;

	if (ranges->reserved)
		return -EINVAL;
	if (ranges->count > TIDEMARK_RUNS_MAX)
		return -E2BIG;
	disk = tidemark_disk_find(ranges->disk);
	if (!disk)
		return -ENODEV;
	runs = array_from_user(ranges->runs, ranges->count, sizeof(*runs));
	err = PTR_ERR_OR_ZERO(runs);
	if (!err) {
		err = act(disk, ranges->epoch, runs, ranges->count);
		kvfree(runs);
	}
	tidemark_disk_put(disk);
	return err;
}

static int do_release(union request *request)
{
	return do_ranges(&request->ranges, tidemark_seal_release);
}

static int do_settle(union request *request)
{
	return do_ranges(&request->ranges, tidemark_seal_settle);
}

static int mark_runs(struct tidemark_disk *disk, u64 epoch,
		     const struct tidemark_run *runs, u32 count)
{
	return epoch ? -EINVAL : tidemark_mark_runs(disk, runs, count);
}

static int do_mark(union request *request)
{
	return do_ranges(&request->ranges, mark_runs);
}

static int do_end(const struct tidemark_end *end,
		  int (*act)(struct tidemark_disk *disk, u64 epoch))
{
	struct tidemark_disk *disk = tidemark_disk_find(end->disk);
	int err;

	if (!disk)
		return -ENODEV;
	err = act(disk, end->epoch);
	tidemark_disk_put(disk);
	return err;
}

static int do_commit(union request *request)
{
	return do_end(&request->end, tidemark_seal_commit);
}

static int do_fold(union request *request)
{
	return do_end(&request->end, tidemark_seal_fold);
}

static int do_threshold(union request *request)
{
	const struct tidemark_threshold *threshold = &request->threshold;
	struct tidemark_disk *disk = tidemark_disk_find(threshold->disk);
	int err;

	if (!disk)
		return -ENODEV;
	err = tidemark_mark_threshold(disk, threshold->granules);
	tidemark_disk_put(disk);
	return err;
}

static int do_pool(union request *request)
{
	const struct tidemark_pool_size *pool = &request->pool;
	struct tidemark_disk *disk;
	int err;

	if (pool->bytes > TIDEMARK_POOL_MAX)
		return -EINVAL;
	disk = tidemark_disk_find(pool->disk);
	if (!disk)
		return -ENODEV;
	err = tidemark_preserve_size(disk, pool->bytes);
	tidemark_disk_put(disk);
	return err;
}

/**
 * struct control_request - what a request is
 * @act: does it, with the caller's struct copied in and out
 * @size: of the struct that this kernel knows
 * @size_min: of the struct as it was first released
 * @flags: those that are known
 * @change: needs a descriptor open for writing and CAP_SYS_ADMIN
 */
struct control_request {
	int (*act)(union request *request);
	u32 size;
	u32 size_min;
	u32 flags;
	bool change;
};

/*
 * The size of a struct as it was first released is that up to what was its last
 * member then: this never changes, whatever is added to it.
 */
static const struct control_request control_requests[] = {
	[_IOC_NR(TIDEMARK_IOC_VERSION)] = {
		do_version, sizeof(struct tidemark_version),
		offsetofend(struct tidemark_version, release), 0, false },
	[_IOC_NR(TIDEMARK_IOC_LIST)] = {
		do_list, sizeof(struct tidemark_list),
		offsetofend(struct tidemark_list, disks), 0, false },
	[_IOC_NR(TIDEMARK_IOC_INFO)] = {
		do_info, sizeof(struct tidemark_info),
		offsetofend(struct tidemark_info, message), 0, false },
	[_IOC_NR(TIDEMARK_IOC_SEAL)] = {
		do_seal, sizeof(struct tidemark_seal),
		offsetofend(struct tidemark_seal, excluded_ns), TIDEMARK_SEAL_EXTEND, true },
	[_IOC_NR(TIDEMARK_IOC_WAIT)] = {
		do_wait, sizeof(struct tidemark_wait),
		offsetofend(struct tidemark_wait, reserved), 0, true },
	[_IOC_NR(TIDEMARK_IOC_READ)] = {
		do_read, sizeof(struct tidemark_read),
		offsetofend(struct tidemark_read, bitmap), 0, false },
	[_IOC_NR(TIDEMARK_IOC_RUNS)] = {
		do_runs, sizeof(struct tidemark_runs),
		offsetofend(struct tidemark_runs, next), 0, false },
	[_IOC_NR(TIDEMARK_IOC_COUNT)] = {
		do_count, sizeof(struct tidemark_count),
		offsetofend(struct tidemark_count, set), 0, false },
	[_IOC_NR(TIDEMARK_IOC_RELEASE)] = {
		do_release, sizeof(struct tidemark_ranges),
		offsetofend(struct tidemark_ranges, runs), 0, true },
	[_IOC_NR(TIDEMARK_IOC_SETTLE)] = {
		do_settle, sizeof(struct tidemark_ranges),
		offsetofend(struct tidemark_ranges, runs), 0, true },
	[_IOC_NR(TIDEMARK_IOC_MARK)] = {
		do_mark, sizeof(struct tidemark_ranges),
		offsetofend(struct tidemark_ranges, runs), 0, true },
	[_IOC_NR(TIDEMARK_IOC_COMMIT)] = {
		do_commit, sizeof(struct tidemark_end),
		offsetofend(struct tidemark_end, epoch), 0, true },
	[_IOC_NR(TIDEMARK_IOC_FOLD)] = {
		do_fold, sizeof(struct tidemark_end),
		offsetofend(struct tidemark_end, epoch), 0, true },
	[_IOC_NR(TIDEMARK_IOC_THRESHOLD)] = {
		do_threshold, sizeof(struct tidemark_threshold),
		offsetofend(struct tidemark_threshold, granules), 0, true },
	[_IOC_NR(TIDEMARK_IOC_POOL)] = {
		do_pool, sizeof(struct tidemark_pool_size),
		offsetofend(struct tidemark_pool_size, bytes), 0, true },
};

static long control_ioctl(struct file *file, unsigned int cmd,
			  unsigned long arg)
{
	void __user *user = (void __user *)arg;
	const struct control_request *known;
	unsigned int number = _IOC_NR(cmd);
	union request request = {};
	u32 size;
	int err;

	if (cmd != _IO(TIDEMARK_IOC_TYPE, number) ||
	    number >= ARRAY_SIZE(control_requests))
		return -ENOTTY;
	number = array_index_nospec(number, ARRAY_SIZE(control_requests));
	known = &control_requests[number];
	if (known->change && !(file->f_mode & FMODE_WRITE))
		return -EBADF;
	if (known->change && !capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < known->size_min)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(&request, known->size, user, size);
	if (err)
		return err;
	request.size = size;	/* whatever it has become meanwhile */
	if (request.flags & ~known->flags)
		return -EINVAL;
	err = known->act(&request);
	/* A list that does not fit says how long it is. */
	if (err && err != -ENOSPC)
		return err;
	request.size = size;
	if (copy_to_user(user, &request, min(size, known->size)))
		return -EFAULT;
	return err;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice control_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = TIDEMARK_CONTROL_NAME,
	.mode = 0640,
	.fops = &control_fops,
};

/**
 * tidemark_control_init() - at module load
 *
 * Return: 0 or what misc_register() says.
 */
int __init tidemark_control_init(void)
{
	return misc_register(&control_device);
}

/** tidemark_control_exit() - at module unload */
void tidemark_control_exit(void)
{
	misc_deregister(&control_device);
}
