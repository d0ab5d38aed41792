// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Everything that may be done to disks, in random order, by many threads at
 * once, under I/O: attach, detach, reload, resize, suspend, views, seals,
 * releases, commits, folds, pools, metadata devices that come, go and fail, and
 * now and then all disks away and the module out and in again. What goes wrong is told by the kernel's log and the
 * guest rig; here every kind of step must have succeeded, and in the end counts
 * and bitmaps agree and everything goes away.
 *
 * Usage: stress [-t SECONDS] [-j THREADS] [-r SEED]; prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/tidemark.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "dm.h"
#include "metadata.h"

#define DISKS 4
#define BYTES (8 * MIB)
#define THREADS_MAX 32
#define KO "/tidemark/module/dm-tidemark.ko"

/**
 * struct actor - a thread
 * @seed: of its choices
 * @control: its control device, -1 while the module may go
 */
struct actor {
	unsigned int seed;
	int control;
};

/**
 * struct step - what an actor may do
 * @name: of it
 * @run: does it
 * @weight: how often, against the others
 * @done: how often it was begun
 * @good: and succeeded
 */
struct step {
	const char *name;
	int (*run)(struct actor *actor);
	unsigned int weight;
	atomic_ulong done;
	atomic_ulong good;
};

static char data[DISKS][64];
static struct metadata metas[DISKS];
static atomic_bool stop, stop_resume;
static atomic_ulong written;
static pthread_rwlock_t module_lock = PTHREAD_RWLOCK_INITIALIZER;
static unsigned int results, failed;

static void result(bool good, const char *what)
{
	printf("%s %u - stress: %s\n", good ? "ok" : "not ok", ++results, what);
	failed += !good;
}

static unsigned int pick(struct actor *actor, unsigned int limit)
{
	return rand_r(&actor->seed) % limit;
}

static void name_of(unsigned int index, bool view, char ret_name[24])
{
	snprintf(ret_name, 24, view ? "stress%u-view" : "stress%u", index);
}

static int ask(struct actor *actor, unsigned long number, void *argument)
{
	return ioctl(actor->control, number, argument) ? -errno : 0;
}

/* The disks that there are; one of them, or 0. */
static unsigned int disks_list(struct actor *actor, uint64_t disks[2 * DISKS])
{
	struct tidemark_list list = {
		.size = sizeof(list), .capacity = 2 * DISKS, .disks = (uintptr_t)disks,
	};

	return ask(actor, TIDEMARK_IOC_LIST, &list) ? 0 : list.count;
}

static int disk_any(struct actor *actor, struct tidemark_info *ret_info)
{
	uint64_t disks[2 * DISKS];
	unsigned int count = disks_list(actor, disks);

	if (!count)
		return -ENODEV;
	*ret_info = (struct tidemark_info){ .size = sizeof(*ret_info),
					    .disk = disks[pick(actor, count)] };
	return ask(actor, TIDEMARK_IOC_INFO, ret_info);
}

/* -- steps -- */

static int table_load(struct actor *actor, unsigned int index, uint64_t sectors)
{
	char name[24], params[192];
	struct dm_line line = { .sectors = sectors, .target = "tidemark", .params = params };
	int err;

	name_of(index, false, name);
	snprintf(params, sizeof(params), "%s %s %u 2 pool %u", data[index],
		 pick(actor, 3) ? metas[index].path : "-", 8U << pick(actor, 6),
		 pick(actor, 8) << 17);
	err = dm_load(name, &line);
	return err ? err : dm_resume(name);
}

static int attach(struct actor *actor)
{
	unsigned int index = pick(actor, DISKS);
	char name[24];
	int err;

	name_of(index, false, name);
	err = dm_create(name);
	return err ? err : table_load(actor, index, BYTES / 512);
}

static int detach(struct actor *actor)
{
	char name[24];

	name_of(pick(actor, DISKS), false, name);
	return dm_remove(name);
}

static int reload(struct actor *actor)
{
	return table_load(actor, pick(actor, DISKS), BYTES / 512);
}

static int resize(struct actor *actor)
{
	return table_load(actor, pick(actor, DISKS), BYTES / 512 - pick(actor, 4096));
}

/* A metadata device fails for a moment. */
static int meta_fail(struct actor *actor)
{
	const struct metadata *meta = &metas[pick(actor, DISKS)];
	char params[80];
	struct dm_line bad = { .sectors = meta->sectors, .target = "error", .params = "" };
	struct dm_line good = { .sectors = meta->sectors, .target = "linear", .params = params };
	int err = dm_load(meta->name, &bad);

	snprintf(params, sizeof(params), "%s 0", meta->loop);
	if (!err)
		err = dm_resume(meta->name);
	usleep(pick(actor, 20000));
	/* whatever others have done to it meanwhile */
	return dm_load(meta->name, &good) ?: dm_resume(meta->name) ?: err;
}

static int suspend(struct actor *actor)
{
	char name[24];

	name_of(pick(actor, DISKS), pick(actor, 3) == 0, name);
	return dm_suspend(name, pick(actor, 2) ? DM_NOFLUSH_FLAG : 0);
}

static int view_make(struct actor *actor)
{
	char name[24], tracked[24], params[32];
	struct dm_line line = { .sectors = BYTES / 512, .target = "tidemark-view",
				.params = params, .readonly = 1 };
	unsigned int index = pick(actor, DISKS);
	int err;

	name_of(index, false, tracked);
	name_of(index, true, name);
	err = dm_path(tracked, params);
	if (!err)
		err = dm_create(name);
	if (!err)
		err = dm_load(name, &line);
	return err ? err : dm_resume(name);
}

static int view_drop(struct actor *actor)
{
	char name[24];

	name_of(pick(actor, DISKS), true, name);
	return dm_remove(name);
}

static int seal_all(struct actor *actor)
{
	struct tidemark_seal_disk group[2 * DISKS];
	struct tidemark_seal seal = {
		.size = sizeof(seal), .flags = pick(actor, 2) ? TIDEMARK_SEAL_EXTEND : 0,
		.timeout_ms = 200, .disks = (uintptr_t)group,
	};
	uint64_t disks[2 * DISKS];

	seal.count = disks_list(actor, disks);
	for (unsigned int i = 0; i < seal.count; i++)
		group[i].disk = disks[i];
	return ask(actor, TIDEMARK_IOC_SEAL, &seal);
}

static int wait_for(struct actor *actor)
{
	struct tidemark_info info;
	struct tidemark_wait wait = { .size = sizeof(wait), .timeout_ms = 100 };
	int err = disk_any(actor, &info);

	wait.disk = info.disk;
	wait.epoch = info.sealed_epoch;
	return err ? err : ask(actor, TIDEMARK_IOC_WAIT, &wait);
}

/* As an agent does it: list what is owed, read it through the view, release it. */
static int copy(struct actor *actor)
{
	struct tidemark_info info;
	struct tidemark_run run[16];
	struct tidemark_runs runs = { .size = sizeof(runs), .which = TIDEMARK_OWED,
				      .capacity = 16, .runs = (uintptr_t)run };
	struct tidemark_ranges ranges = { .size = sizeof(ranges), .runs = (uintptr_t)run };
	char name[24], path[32];
	void *buffer;
	int err = disk_any(actor, &info), fd;

	if (err)
		return err;
	runs.disk = ranges.disk = info.disk;
	runs.count = info.granules;
	ranges.epoch = info.sealed_epoch;
	err = ask(actor, TIDEMARK_IOC_RUNS, &runs);
	if (err)
		return err;
	snprintf(name, sizeof(name), "%.16s-view", (char *)info.name);
	if (!dm_path(name, path) && !posix_memalign(&buffer, 4096, 65536)) {
		fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
		for (unsigned int i = 0; fd >= 0 && i < runs.filled; i++)
			if (pread(fd, buffer, 65536, run[i].first * info.granule_sectors * 512) < 0)
				break;	/* torn, say */
		if (fd >= 0)
			close(fd);
		free(buffer);
	}
	ranges.count = runs.filled;
	return ask(actor, TIDEMARK_IOC_RELEASE, &ranges);
}

static int end_by(struct actor *actor, unsigned long number)
{
	struct tidemark_end end = { .size = sizeof(end) };
	struct tidemark_info info;
	int err = disk_any(actor, &info);

	end.disk = info.disk;
	end.epoch = info.sealed_epoch;
	return err ? err : ask(actor, number, &end);
}

static int commit(struct actor *actor) { return end_by(actor, TIDEMARK_IOC_COMMIT); }
static int fold(struct actor *actor) { return end_by(actor, TIDEMARK_IOC_FOLD); }

static int pool(struct actor *actor)
{
	struct tidemark_pool_size size = { .size = sizeof(size), .bytes = pick(actor, 16) << 17 };
	struct tidemark_info info;
	int err = disk_any(actor, &info);

	size.disk = info.disk;
	return err ? err : ask(actor, TIDEMARK_IOC_POOL, &size);
}

static int status(struct actor *actor)
{
	char name[24], text[512];

	name_of(pick(actor, DISKS), pick(actor, 2), name);
	return dm_status(name, pick(actor, 2) ? DM_STATUS_TABLE_FLAG : DM_NOFLUSH_FLAG, text,
			 sizeof(text));
}

static int message(struct actor *actor)
{
	static const char * const texts[] = { "seal", "mark 1 1", "threshold 3", "pool 65536",
					     "checkpoint" };
	char name[24];

	name_of(pick(actor, DISKS), false, name);
	return dm_message(name, texts[pick(actor, 5)], NULL, 0);
}

static int write_some(struct actor *actor)
{
	uint64_t at = pick(actor, BYTES / 4096) * 4096ULL, range[2] = { at, 65536 };
	size_t length = 4096 << pick(actor, 5);
	char name[24], path[32];
	void *buffer;
	int fd, err = 0;

	name_of(pick(actor, DISKS), false, name);
	err = dm_path(name, path);
	fd = err ? -1 : open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -ENODEV;
	if (posix_memalign(&buffer, 4096, length))
		abort();
	memset(buffer, at >> 12, length);
	for (int i = 0; i < 8 && !err; i++) {
		if (pwrite(fd, buffer, length, (at + i * 65536) % BYTES) < 0)
			err = -errno;
		atomic_fetch_add(&written, 1);
	}
	if (pick(actor, 16) == 0)
		ioctl(fd, BLKDISCARD, range);
	close(fd);
	free(buffer);
	return err;
}

static bool all_away(void)
{
	bool gone = true;
	char name[24];

	for (int i = 2 * DISKS; i--; ) {
		int err = 0;

		name_of(i % DISKS, i >= DISKS, name);
		dm_resume(name);
		/* whoever has just closed it may not be quite out */
		for (int tries = 0; tries < 500; tries++, usleep(10000)) {
			err = dm_remove(name);
			if (err != -EBUSY)
				break;
		}
		gone = gone && (!err || err == -ENXIO);
	}
	return gone;
}

static int module_out(void)
{
	return syscall(SYS_delete_module, "dm_tidemark", O_NONBLOCK) ? -errno : 0;
}

static int module_in(void)
{
	int fd = open(KO, O_RDONLY | O_CLOEXEC), err;

	err = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return err;
}

/* While others are at it: refused, or out for a moment when nothing uses it. */
static int unload(struct actor *actor)
{
	int err = module_out();

	if (!err && module_in() == -EEXIST)
		err = -EEXIST;
	return err == -EAGAIN || err == -EBUSY || err == -ENOENT ? 0 : err;
}

/* All disks away and the module out and in: nobody else does anything meanwhile. */
static int begin_again(struct actor *actor)
{
	int err;

	pthread_rwlock_unlock(&module_lock);
	pthread_rwlock_wrlock(&module_lock);
	err = all_away() ? module_out() : -EBUSY;
	if (!err)
		err = module_in();
	return err;
}

static struct step steps[] = {
	{ "attach", attach, 6 },
	{ "detach", detach, 2 },
	{ "reload", reload, 2 },
	{ "resize", resize, 2 },
	{ "metadata fail", meta_fail, 1 },
	{ "suspend", suspend, 2 },
	{ "make a view", view_make, 5 },
	{ "remove a view", view_drop, 1 },
	{ "seal", seal_all, 6 },
	{ "wait", wait_for, 3 },
	{ "copy", copy, 8 },
	{ "commit", commit, 2 },
	{ "fold", fold, 2 },
	{ "pool", pool, 2 },
	{ "status", status, 3 },
	{ "message", message, 2 },
	{ "write", write_some, 16 },
	{ "unload", unload, 1 },
	{ "begin again", begin_again, 1 },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

static struct step *step_pick(struct actor *actor)
{
	unsigned int sum = 0, at;

	for (size_t i = 0; i < STEPS; i++)
		sum += steps[i].weight;
	at = pick(actor, sum);
	for (size_t i = 0; i < STEPS; i++) {
		if (at < steps[i].weight)
			return &steps[i];
		at -= steps[i].weight;
	}
	return &steps[0];
}

static void *actor_run(void *argument)
{
	struct actor *actor = argument;

	while (!atomic_load(&stop)) {
		struct step *step = step_pick(actor);
		bool outside = step->run == unload || step->run == begin_again;

		pthread_rwlock_rdlock(&module_lock);
		actor->control = outside ? -1 : open(TIDEMARK_CONTROL_PATH, O_RDWR | O_CLOEXEC);
		atomic_fetch_add(&step->done, 1);
		if (!step->run(actor))
			atomic_fetch_add(&step->good, 1);
		if (actor->control >= 0)
			close(actor->control);
		pthread_rwlock_unlock(&module_lock);
	}
	return NULL;
}

/* Whoever does I/O to a suspended device waits for this. */
static void *resume_run(void *argument)
{
	char name[24];

	while (!atomic_load(&stop_resume)) {
		for (int i = 0; i < 2 * DISKS; i++) {
			name_of(i / 2, i % 2, name);
			dm_resume(name);
		}
		usleep(50000);
	}
	return argument;
}

/* -- disks, and the end -- */

static int data_make(struct disk *bases)
{
	for (int i = 0; i < DISKS; i++) {
		char name[24];
		struct disk_options options = { .bytes = BYTES, .delay_ms = i % 2 ? 10 : 0 };

		snprintf(name, sizeof(name), "stress-base%d", i);
		if (disk_create(&bases[i], name, options) || sh("dmsetup remove %s", name))
			return -EIO;
		snprintf(data[i], sizeof(data[i]), "%s", bases[i].data);
		snprintf(name, sizeof(name), "stress-meta%d", i);
		if (metadata_create(&metas[i], name, MIB) || metadata_format(&metas[i], BYTES, 8))
			return -EIO;
	}
	request_close();
	return 0;
}

static bool disks_agree(void)
{
	struct tidemark_list list = { .size = sizeof(list), .capacity = 2 * DISKS };
	uint64_t ids[2 * DISKS];
	bool agree = true;

	list.disks = (uintptr_t)ids;
	if (request(TIDEMARK_IOC_LIST, &list))
		return false;
	for (uint32_t i = 0; i < list.count; i++) {
		struct disk disk = { .id = ids[i] };
		uint64_t epoch = 0, granules = 0, set[2] = {};
		struct tidemark_info info;

		if (seal_drained(&disk, TIDEMARK_SEAL_EXTEND, &epoch))
			return false;
		info = disk_info(&disk);
		for (uint32_t which = 0; which < 2; which++) {
			uint8_t *bits = granules_read(&disk, which, &granules);

			for (uint64_t g = 0; bits && g < granules; g++)
				set[which] += bits[g];
			free(bits);
		}
		agree = agree && set[0] == info.marked && set[1] == info.sealed;
	}
	request_close();
	return agree;
}

/* Kinds of steps that have never succeeded. */
static unsigned int steps_never(void)
{
	unsigned int never = 0;

	for (size_t i = 0; i < STEPS; i++)
		never += !atomic_load(&steps[i].good);
	return never;
}

static void steps_say(void)
{
	for (size_t i = 0; i < STEPS; i++)
		printf("# %s: %lu, of them %lu good\n", steps[i].name,
		       atomic_load(&steps[i].done), atomic_load(&steps[i].good));
	printf("# %lu writes\n", atomic_load(&written));
	result(!steps_never(), "each kind of step has succeeded");
}

int main(int argc, char **argv)
{
	static struct actor actors[THREADS_MAX];
	unsigned int seconds = 20, count = 8, seed = 1;
	struct disk bases[DISKS] = {};
	pthread_t threads[THREADS_MAX], resume;
	time_t last;
	int option;

	while ((option = getopt(argc, argv, "t:j:r:")) != -1) {
		if (option == 't')
			seconds = atoi(optarg);
		else if (option == 'r')
			seed = atoi(optarg);
		else if (option == 'j' && atoi(optarg) > 0 && atoi(optarg) <= THREADS_MAX)
			count = atoi(optarg);
		else
			return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	result(!data_make(bases), "there are data devices");
	last = time(NULL) + seconds;
	for (unsigned int i = 0; i < count; i++) {
		actors[i].seed = seed * 1000 + i;
		if (pthread_create(&threads[i], NULL, actor_run, &actors[i]))
			abort();
	}
	if (pthread_create(&resume, NULL, resume_run, NULL))
		abort();
	/* on a slow kernel it may take longer until each kind had its turn */
	while (time(NULL) < last || (steps_never() && time(NULL) < last + 10 * seconds))
		usleep(100000);
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&stop_resume, true);
	pthread_join(resume, NULL);
	steps_say();
	module_in();
	result(disks_agree(), "counts and bitmaps agree");
	result(all_away(), "all disks go away");
	result(!module_out() && !module_in(), "the module goes out and in");
	for (int i = 0; i < DISKS; i++) {
		disk_remove(&bases[i]);
		metadata_remove(&metas[i]);
	}
	printf("1..%u\n", results);
	return failed ? 1 : 0;
}
