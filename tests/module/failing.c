// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Allocations that fail, each in turn: every path into the module is run with
 * its first allocation failing, then with its second, until it comes through
 * with none failing. Each time what was marked must still be marked or sealed,
 * counts must agree with bitmaps, and the path must work when nothing fails.
 * What a failed attempt has leaked is told by kmemleak and the guest rig.
 *
 * For a kernel with fault injection (6.1-debug). Copies to and from user space
 * fail in turn as well. Prints TAP.
 *
 * failing [PATH]...: all of them, or those named
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/tidemark.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk.h"
#include "dm.h"
#include "metadata.h"
#include "views.h"

#define BYTES (4 * MIB)
#define GRANULE 128
#define POOL (128 * KIB) /* two granules: each of its pages is an allocation */
#define KO "/tidemark/module/dm-tidemark.ko"
#define LIMIT 20000

/* Of a path: what must be there before it runs; BARE: no metadata device. */
enum need { NOTHING, SEALED, VIEW, BARE, UNLOADED };

struct path {
	const char *name;
	enum need need;
	int (*run)(void);
	bool commits;	/* then what was sealed may be gone */
};

static struct disk disk, other;
static struct metadata meta, spare;	/* of the disk, and of one that comes */
static uint64_t epoch;
static int nth = -1, direct = -1;
static uint8_t *buffer;
static unsigned int results, failed;

static void result(bool good, const char *what)
{
	printf("%s %u - failing: %s\n", good ? "ok" : "not ok", ++results, what);
	failed += !good;
}

/* -- the paths -- */

static int attach_with(const char *metadata)
{
	static char params[160];
	struct dm_line line = { .sectors = BYTES / 512, .target = "tidemark", .params = params };
	int err;

	snprintf(params, sizeof(params), "%s %s %u 2 pool %llu", other.loop, metadata, GRANULE, POOL);
	err = dm_create("failing-new");
	if (!err)
		err = dm_load("failing-new", &line);
	return err ? err : dm_resume("failing-new");
}

static int attach(void) { return attach_with("-"); }
static int attach_meta(void) { return attach_with(spare.path); }

static int reload(uint64_t bytes, unsigned int granule, const char *metadata)
{
	static char params[160];
	struct dm_line line = { .sectors = bytes / 512, .target = "tidemark", .params = params };
	int err;

	snprintf(params, sizeof(params), "%s %s %u", disk.data, metadata, granule);
	err = dm_load(disk.name, &line);
	return err ? err : dm_resume(disk.name);
}

static int reload_granule(void) { return reload(BYTES, 8, meta.path); }
static int reload_size(void) { return reload(BYTES / 2, GRANULE, meta.path); }
static int reload_same(void) { return reload(BYTES, GRANULE, meta.path); }
static int reload_bare(void) { return reload(BYTES, GRANULE, "-"); }

static int halt(void)
{
	int err = dm_suspend(disk.name, 0);

	return err ? err : dm_resume(disk.name);
}

static int view(void)
{
	static char params[32];
	struct dm_line line = { .sectors = BYTES / 512, .target = "tidemark-view",
				.params = params, .readonly = 1 };
	int err;

	snprintf(params, sizeof(params), "%llu", (unsigned long long)disk.id);
	err = dm_create("failing-view");
	if (!err)
		err = dm_load("failing-view", &line);
	return err ? err : dm_resume("failing-view");
}

static int seal_group(uint32_t flags)
{
	static struct tidemark_seal_disk group[2];
	static struct tidemark_seal seal;

	group[0].disk = disk.id;
	group[1].disk = other.id;
	seal = (struct tidemark_seal){ .size = sizeof(seal), .flags = flags, .count = 2,
				       .timeout_ms = 10000, .disks = (uintptr_t)group };
	return request(TIDEMARK_IOC_SEAL, &seal);
}

static int seal_new(void) { return seal_group(0); }
static int seal_extend(void) { return seal_group(TIDEMARK_SEAL_EXTEND); }
static int drain(void) { return seal_wait(&disk, epoch, 10000); }
static int release(void) { return change(TIDEMARK_IOC_RELEASE, &disk, epoch, 0, 2); }
static int settle(void) { return change(TIDEMARK_IOC_SETTLE, &disk, epoch, 0, 2); }
static int mark(void) { return change(TIDEMARK_IOC_MARK, &disk, 0, 7, 2); }
static int commit(void) { return end(TIDEMARK_IOC_COMMIT, &disk, epoch); }
static int fold(void) { return end(TIDEMARK_IOC_FOLD, &disk, epoch); }
static int pool(void) { return pool_set(&disk, 2 * POOL); }

static int threshold(void)
{
	struct tidemark_threshold ask = { .size = sizeof(ask), .disk = disk.id, .granules = 1 };

	return request(TIDEMARK_IOC_THRESHOLD, &ask);
}

static int list(void)
{
	static uint64_t ids[16];
	struct tidemark_list ask = { .size = sizeof(ask), .capacity = 16, .disks = (uintptr_t)ids };
	struct tidemark_info info = { .size = sizeof(info), .disk = disk.id };
	int err = request(TIDEMARK_IOC_LIST, &ask);

	return err ? err : request(TIDEMARK_IOC_INFO, &info);
}

static int query(void)
{
	static uint8_t bytes[64];
	static struct tidemark_run run[16];
	uint64_t granules = BYTES / 512 / GRANULE;
	struct tidemark_read read = { .size = sizeof(read), .disk = disk.id, .count = granules,
				      .bitmap = (uintptr_t)bytes };
	struct tidemark_runs runs = { .size = sizeof(runs), .disk = disk.id, .count = granules,
				      .capacity = 16, .runs = (uintptr_t)run };
	struct tidemark_count count = { .size = sizeof(count), .disk = disk.id, .count = granules };
	int err = request(TIDEMARK_IOC_READ, &read);

	if (!err)
		err = request(TIDEMARK_IOC_RUNS, &runs);
	return err ? err : request(TIDEMARK_IOC_COUNT, &count);
}

static int message(void)
{
	static char answer[128];
	int err = dm_message(disk.name, "seal", answer, sizeof(answer));

	if (!err)
		err = dm_status(disk.name, 0, answer, sizeof(answer));
	return err ? err : dm_status(disk.name, DM_STATUS_TABLE_FLAG, answer, sizeof(answer));
}

static int checkpoint(void)
{
	static char answer[128];

	return dm_message(disk.name, "checkpoint", answer, sizeof(answer));
}

static int write_owed(void)
{
	return pwrite(direct, buffer, 65536, 65536) == 65536 ? 0 : -errno;
}

static int module_insert(void)
{
	int fd = open(KO, O_RDONLY | O_CLOEXEC), err;

	err = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return err;
}

static const struct path paths[] = {
	{ "attach", NOTHING, attach },
	{ "attach with metadata", NOTHING, attach_meta },
	{ "reload the same", SEALED, reload_same },
	{ "reload another granule", SEALED, reload_granule },
	{ "reload another size", SEALED, reload_size },
	{ "reload without metadata", SEALED, reload_bare },
	{ "reload with metadata", BARE, reload_same },
	{ "suspend and resume", SEALED, halt },
	{ "a view", NOTHING, view },
	{ "pool", VIEW, pool },
	{ "seal", NOTHING, seal_new },
	{ "seal, folding", SEALED, seal_new },
	{ "seal, extending", SEALED, seal_extend },
	{ "wait", SEALED, drain },
	{ "list and info", NOTHING, list },
	{ "read, runs, count", NOTHING, query },
	{ "release", SEALED, release },
	{ "settle", SEALED, settle, true },
	{ "mark", NOTHING, mark },
	{ "threshold", NOTHING, threshold },
	{ "message and status", NOTHING, message },
	{ "checkpoint", NOTHING, checkpoint },
	{ "write to what is owed", VIEW, write_owed },
	{ "commit", SEALED, commit, true },
	{ "fold", SEALED, fold },
	{ "load the module", UNLOADED, module_insert },
};

/* -- before and after -- */

static bool debugfs_write(const char *name, const char *value)
{
	char path[128];
	int fd, ret;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ret = fd < 0 ? -1 : write(fd, value, strlen(value));
	close(fd);
	return ret > 0;
}

static bool injection_set_up(void)
{
	static const char * const kinds[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	char name[64];

	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "%s/verbose", kinds[i]);
		if (!debugfs_write(name, "0"))
			return false;
	}
	nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	return nth >= 0 && debugfs_write("failslab/ignore-gfp-wait", "N") &&
	       debugfs_write("fail_page_alloc/ignore-gfp-wait", "N") &&
	       debugfs_write("fail_page_alloc/ignore-gfp-highmem", "N") &&
	       debugfs_write("fail_page_alloc/min-order", "0");
}

/* What was left over may hit this itself, once: copies from user space fail too. */
static void nth_set(unsigned int number)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", number);

	if (pwrite(nth, text, length, 0) < 0 && pwrite(nth, text, length, 0) < 0)
		abort();
}

/*
 * Returns whether something has failed in between, and ends it. If reading this
 * fails, then what was left over has hit it.
 */
static bool nth_end(void)
{
	char text[16] = {};
	bool injected = pread(nth, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	nth_set(0);
	return injected;
}

/* A path has been run, in whole or in part: as it was before all. */
static bool restore(enum need need)
{
	struct disk gone = { .name = "failing-new" };
	struct tidemark_info now;

	if (need == UNLOADED)
		return true;
	dm_remove("failing-view");
	dm_remove(gone.name);
	dm_clear(disk.name);
	dm_resume(disk.name);
	now = disk_info(&disk);
	if (now.granule_sectors != GRANULE || now.sectors != BYTES / 512 ||
	    !(now.meta_major | now.meta_minor))
		reload_same();
	for (int i = 0; i < 2; i++) {
		const struct disk *each = i ? &other : &disk;
		struct tidemark_info info = disk_info(each);

		if (info.sealed_epoch && end(TIDEMARK_IOC_FOLD, each, info.sealed_epoch))
			return false;
	}
	now = disk_info(&disk);
	return now.granule_sectors == GRANULE && (now.meta_major | now.meta_minor);
}

static bool prepare(enum need need)
{
	if (need == UNLOADED)
		return syscall(SYS_delete_module, "dm_tidemark", O_NONBLOCK) == 0 || errno == ENOENT;
	if (need == BARE && reload_bare())
		return false;
	if (change(TIDEMARK_IOC_MARK, &disk, 0, 0, 4) || pool_set(&disk, POOL))
		return false;
	if (need == VIEW && view())
		return false;
	if (need == NOTHING)
		return true;
	/* the newest seal of both may be draining */
	return !seal_drained(&disk, 0, &epoch) && !seal_drained(&other, 0, &(uint64_t){ 0 });
}

static uint64_t bits(const uint8_t *set, uint64_t count)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; set && i < count; i++)
		sum += set[i];
	return sum;
}

/* What was marked is marked or sealed, and counts say what bitmaps say. */
static bool is_whole(bool commits)
{
	struct tidemark_info info = disk_info(&disk);
	uint64_t first = 4 * GRANULE / (info.granule_sectors ?: 1), count = 0;
	uint8_t *current = granules_read(&disk, TIDEMARK_CURRENT, &count);
	uint8_t *sealed = granules_read(&disk, TIDEMARK_SEALED, &count);
	bool good = current && bits(current, count) == info.marked &&
		    bits(sealed, count) == info.sealed;

	for (uint64_t i = 0; good && !commits && i < first; i++)
		good = current[i] || (sealed && sealed[i]);
	free(current);
	free(sealed);
	return good;
}

static void path_try(const struct path *path)
{
	unsigned int number, errors = 0, odd = 0, torn = 0;
	char text[128];
	bool injected;
	int err = 0;

	for (number = 1; number < LIMIT; number++) {
		if (!prepare(path->need)) {
			printf("# %s: cannot be prepared after number %u\n", path->name, number - 1);
			torn++;
			break;
		}
		nth_set(number);
		err = path->run();
		injected = nth_end();
		errors += err != 0;
		/*
		 * ENXIO is what device mapper says when there is no memory for a
		 * device. Two other answers are the kernel's too and only counted:
		 * ENODEV when there was none to look up a path, EINVAL when there
		 * was none for the name of the device that it adds.
		 */
		if (err && err != -ENOMEM && err != -EFAULT && err != -ENXIO) {
			printf("# %s: number %u: %s\n", path->name, number, strerror(-err));
			odd++;
		}
		if (path->need != UNLOADED && !is_whole(path->commits)) {
			printf("# %s: number %u: something was lost\n", path->name, number);
			torn++;
		}
		if (!restore(path->need)) {
			printf("# %s: number %u: not restored\n", path->name, number);
			torn++;
		}
		if (!injected)
			break;
	}
	printf("# %s: %u failures in turn, %u errors, %u of them others than ENOMEM, EFAULT, ENXIO\n",
	       path->name, number - 1, errors, odd);
	snprintf(text, sizeof(text), "%s", path->name);
	result(!err && !torn && number > 1 && number < LIMIT, text);
}

/* Two disks, one with metadata and one without, and metadata for a third. */
static bool disks_set_up(void)
{
	struct disk_options options = { .bytes = BYTES, .granule = GRANULE };

	return !disk_create(&disk, "failing-disk", options) &&
	       !disk_create(&other, "failing-other", options) &&
	       !metadata_create(&meta, "failing-meta", MIB) &&
	       !metadata_format(&meta, BYTES, GRANULE) &&
	       !metadata_create(&spare, "failing-spare", MIB) &&
	       !metadata_format(&spare, BYTES, GRANULE) && !reload_same();
}

static void disks_tear_down(void)
{
	disk_remove(&disk);
	disk_remove(&other);
	metadata_remove(&meta);
	metadata_remove(&spare);
}

static bool is_one_of(const char *name, char **names)
{
	while (*names && strcmp(*names, name))
		names++;
	return *names;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!injection_set_up()) {
		printf("1..0 # SKIP this kernel has no fault injection\n");
		return 0;
	}
	if (!disks_set_up() || posix_memalign((void **)&buffer, 4096, 65536))
		return 1;
	dm_resume(disk.name);	/* opens what is open from then on */
	direct = open(disk.path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (argc > 1 && !is_one_of(paths[i].name, argv + 1))
			continue;
		if (paths[i].need == UNLOADED) {
			close(direct);
			disks_tear_down();
			request_close();
		}
		path_try(&paths[i]);
	}
	disks_tear_down();
	printf("1..%u\n", results);
	return failed ? 1 : 0;
}
