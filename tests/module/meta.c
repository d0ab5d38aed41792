// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A tracker with a metadata device: what is on the device and when, what comes
 * back from it after a detach and a crash, and a device that fails. Whether what
 * is there is believed is in trust.c, the flush of the data in flush.c.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <time.h>

#include "meta-fixture.h"

/* Does the tracker, or its metadata, say of all these that they have changed? */
static bool covers(const uint8_t *wide, const uint8_t *narrow, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (narrow[i] && !wide[i])
			return false;
	return true;
}

TEST_F_TIMEOUT(meta, detach_is_exact, TIMEOUT)
{
	struct tidemark_info before, after;
	struct tidemark_meta_super super;
	uint64_t epoch = 0;

	EXPECT_EQ(0, disk_info(&self->disk).reason);
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	EXPECT_EQ(TIDEMARK_STATE_META, disk_info(&self->disk).state);
	EXPECT_EQ(0, write_granule(&self->disk, 7));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(0, write_granule(&self->disk, 4095));
	before = disk_info(&self->disk);
	ASSERT_EQ(0, detach(&self->disk));

	ASSERT_EQ(0, metadata_super(&self->meta, &super));
	EXPECT_EQ(TIDEMARK_META_CLEAN, le32toh(super.state));
	EXPECT_EQ(0, memcmp(super.uuid, before.uuid, 16));
	EXPECT_EQ(before.epoch + 1, le64toh(super.next_epoch));
	/* what was sealed and not committed is folded */
	EXPECT_STREQ("3 4095", meta_text(&self->meta, false));
	EXPECT_STREQ("", meta_text(&self->meta, true));

	ASSERT_EQ(0, disk_attach(&self->disk));
	after = disk_info(&self->disk);
	EXPECT_EQ(0, memcmp(after.uuid, before.uuid, 16));
	EXPECT_LT(before.epoch, after.epoch);
	EXPECT_EQ(before.committed_epoch, after.committed_epoch);
	EXPECT_EQ(0, after.reason);
	EXPECT_EQ(0, after.sealed_epoch);
	EXPECT_STREQ("3 4095", granules_text(&self->disk, TIDEMARK_CURRENT));
	EXPECT_EQ(2, after.marked);
}

static void *write_third(void *argument)
{
	return (void *)(intptr_t)write_granule(argument, 3);
}

/* Does the disk's file hold the third granule, or zeroes as in the beginning? */
static bool third_is_there(const struct disk *disk)
{
	static uint8_t bytes[GRANULE];
	int fd = open(disk->file, O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, bytes, GRANULE, 3 * GRANULE);

	close(fd);
	for (ssize_t i = 0; i < n; i++)
		if (bytes[i])
			return true;
	return false;
}

/* The rule of all this: no byte reaches the disk before its intent is durable. */
TEST_F_TIMEOUT(meta, intent_comes_first, TIMEOUT)
{
	struct disk *disk = &self->disk;
	void *ret = NULL;
	pthread_t writer;

	EXPECT_STREQ("", meta_text(&self->meta, true));
	ASSERT_EQ(0, sh("modprobe -q dm-delay"));
	ASSERT_EQ(0, metadata_table(&self->meta, "delay %1$s 0 0 %1$s 0 3000"));
	EXPECT_FALSE(third_is_there(disk));
	ASSERT_EQ(0, pthread_create(&writer, NULL, write_third, disk));
	EXPECT_TRUE(WAIT_FOR(disk_info(disk).meta_held == 1));
	/* It is marked, it waits; once something of it is on the disk, so is its intent. */
	while (!third_is_there(disk))
		usleep(20000);
	EXPECT_STREQ("0", meta_text(&self->meta, true));
	ASSERT_EQ(0, pthread_join(writer, &ret));
	EXPECT_EQ(NULL, ret);
	EXPECT_TRUE(third_is_there(disk));
	EXPECT_EQ(1, disk_info(disk).meta_held);
	EXPECT_EQ(1, disk_info(disk).meta_intents);
	EXPECT_EQ(0, metadata_table(&self->meta, "linear %s 0"));
}

/* Who watches the block layer sees a held write go down as he sees any other. */
TEST_F_TIMEOUT(meta, held_writes_are_traced, TIMEOUT)
{
	const char *tracing = "/sys/kernel/tracing";

	sh("mountpoint -q %s || mount -t tracefs none %s", tracing, tracing);
	if (sh("[ -e %s/events/block/block_bio_remap/enable ]", tracing))
		SKIP(return, "the kernel has no such tracepoint");
	ASSERT_EQ(0, sh("echo > %s/trace && echo 1 > %s/events/block/block_bio_remap/enable",
			tracing, tracing));
	EXPECT_EQ(0, write_granule(&self->disk, 3));
	EXPECT_EQ(1, disk_info(&self->disk).meta_held);
	EXPECT_EQ(0, sh("grep -q 'block_bio_remap.* W.* + 8 <- (%u,%u) %u$' %s/trace",
			disk_info(&self->disk).major, disk_info(&self->disk).minor,
			3 * 128, tracing));
	sh("echo 0 > %s/events/block/block_bio_remap/enable", tracing);
}

TEST_F_TIMEOUT(meta, steady_state_writes_no_metadata, TIMEOUT)
{
	struct tidemark_info before, after;

	for (int i = 0; i < 16; i++)
		EXPECT_EQ(0, write_granule(&self->disk, i * 64));
	EXPECT_EQ(0, checkpoint(&self->disk));
	before = disk_info(&self->disk);
	EXPECT_EQ(16, before.meta_intents);
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 16; i++)
			EXPECT_EQ(0, write_granule(&self->disk, i * 64 + round));
		EXPECT_EQ(0, checkpoint(&self->disk));
	}
	after = disk_info(&self->disk);
	EXPECT_EQ(before.meta_writes, after.meta_writes);
	EXPECT_EQ(before.meta_flushes, after.meta_flushes);
	EXPECT_EQ(before.meta_held, after.meta_held);
	EXPECT_EQ(16, after.meta_intents);
}

TEST_F_TIMEOUT(meta, checkpoint_moves_intent_into_the_bitmap, TIMEOUT)
{
	uint64_t epoch = 0;

	EXPECT_EQ(0, write_granule(&self->disk, 3));
	EXPECT_EQ(0, write_granule(&self->disk, 70));
	EXPECT_STREQ("0-1", meta_text(&self->meta, true));
	EXPECT_EQ(0, checkpoint_all(&self->disk));
	EXPECT_STREQ("", meta_text(&self->meta, true));
	EXPECT_STREQ("3 70", meta_text(&self->meta, false));
	EXPECT_EQ(0, disk_info(&self->disk).meta_intents);
	EXPECT_LT(0, disk_info(&self->disk).meta_checkpoints);
	/* by itself, too, some time */
	EXPECT_EQ(0, write_granule(&self->disk, 300));
	EXPECT_STREQ("4", meta_text(&self->meta, true));
	ASSERT_EQ(0, checkpoint_seconds(0));
	ASSERT_EQ(0, detach(&self->disk));
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(0, write_granule(&self->disk, 300));
	EXPECT_TRUE(WAIT_FOR(!strcmp("", meta_text(&self->meta, true))));
	EXPECT_STREQ("3 70 300", meta_text(&self->meta, false));
	/* a commit forgets, what was written since its seal stays */
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(0, write_granule(&self->disk, 70));
	EXPECT_EQ(0, checkpoint_all(&self->disk));
	EXPECT_STREQ("3 70 300", meta_text(&self->meta, false));
	ASSERT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	EXPECT_EQ(0, checkpoint_all(&self->disk));
	EXPECT_STREQ("70", meta_text(&self->meta, false));
}

TEST_F_TIMEOUT(meta, marks_and_settled_ones, TIMEOUT)
{
	uint64_t epoch = 0;

	/* durable when the request returns */
	ASSERT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 100, 200));
	EXPECT_STREQ("100-299", meta_text(&self->meta, false));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, change(TIDEMARK_IOC_SETTLE, &self->disk, epoch, 100, 50));
	EXPECT_EQ(0, checkpoint_all(&self->disk));
	EXPECT_STREQ("150-299", meta_text(&self->meta, false));
	ASSERT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, epoch));
	EXPECT_EQ(0, checkpoint_all(&self->disk));
	EXPECT_STREQ("150-299", meta_text(&self->meta, false));
}

/*
 * Of any 33 granules there are some whose marks leave a CRC of 32 bits of their block as it
 * was: elimination finds them. The module must not take such a block for the one before.
 */
static uint64_t crc_blind(void)
{
	uint32_t none = metadata_block_crc(~0ULL), sum, sums[32] = { 0 };
	uint64_t some, of[32] = { 0 };

	for (unsigned int i = 0; i <= 32; i++) {
		sum = metadata_block_crc(i) ^ none;
		some = 1ULL << i;
		for (int bit = 31; bit >= 0 && sum; bit--) {
			if (!(sum >> bit & 1))
				continue;
			if (!sums[bit]) {
				sums[bit] = sum;
				of[bit] = some;
				break;
			}
			sum ^= sums[bit];
			some ^= of[bit];
		}
		if (!sum)
			return some;
	}
	return 0;
}

TEST_F_TIMEOUT(meta, marks_that_a_crc_does_not_see, TIMEOUT)
{
	uint64_t granules = crc_blind();
	struct tidemark_run runs[33];
	struct tidemark_ranges mark = {
		.size = sizeof(mark), .disk = self->disk.id, .runs = (uintptr_t)runs,
	};

	ASSERT_NE(0, granules);
	for (unsigned int i = 0; i < 33; i++)
		if (granules >> i & 1)
			runs[mark.count++] = (struct tidemark_run){ .first = i, .count = 1 };
	ASSERT_EQ(0, request(TIDEMARK_IOC_MARK, &mark));
	EXPECT_EQ(mark.count, disk_info(&self->disk).marked);
	EXPECT_STREQ(granules_text(&self->disk, TIDEMARK_CURRENT), meta_text(&self->meta, false));
}

/* Writes at random places until told to stop; which granules is recorded after. */
struct writer {
	struct disk *disk;
	pthread_t thread;
	bool stop;
	unsigned int seed;
	uint8_t submitted[GRANULES];
	uint8_t ended[GRANULES];
};

static void *write_random(void *argument)
{
	struct writer *w = argument;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		uint64_t granule = rand_r(&w->seed) % GRANULES;

		/* most of the time in a place that moves */
		if (rand_r(&w->seed) % 8)
			granule = (time(NULL) * 64 + granule % 64) % GRANULES;
		w->submitted[granule] = 1;
		if (write_granule(w->disk, granule))
			break;
		__atomic_store_n(&w->ended[granule], 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* A crash: the device keeps what it has, nobody saves, and a boot later... */
TEST_F_TIMEOUT(meta, crash_loses_nothing, TIMEOUT)
{
	struct tidemark_info before, after;
	static struct writer writer;
	uint64_t count = 0, epoch = 0;
	uint8_t *changed, *marked;

	for (int round = 0; round < 4; round++) {
		memset(&writer, 0, sizeof(writer));
		writer.disk = &self->disk;
		writer.seed = round;
		before = disk_info(&self->disk);
		ASSERT_EQ(0, pthread_create(&writer.thread, NULL, write_random, &writer));
		for (int i = 0; i < 3; i++) {
			usleep(300000);
			EXPECT_EQ(0, checkpoint(&self->disk));
			ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
			/* The last one is never committed. */
		}
		writer.stop = true;
		pthread_join(writer.thread, NULL);
		changed = metadata_changed(&self->meta, &count);
		ASSERT_NE(NULL, changed);
		EXPECT_TRUE(covers(changed, writer.ended, GRANULES));
		free(changed);
		/* Nothing more gets through. */
		ASSERT_EQ(0, metadata_table(&self->meta, "error"));
		ASSERT_EQ(0, detach(&self->disk));
		ASSERT_EQ(0, metadata_table(&self->meta, "linear %s 0"));
		ASSERT_EQ(0, data_anew(&self->disk));
		snprintf(self->disk.features, sizeof(self->disk.features), "%s",
			 round % 2 ? BOOT_1 : BOOT_2);
		ASSERT_EQ(0, disk_attach(&self->disk));
		after = disk_info(&self->disk);
		EXPECT_EQ(0, memcmp(before.uuid, after.uuid, 16));
		EXPECT_EQ(TIDEMARK_REASON_UNCLEAN, after.reason);
		EXPECT_LT(epoch + 1, after.epoch);
		marked = granules_read(&self->disk, TIDEMARK_CURRENT, &count);
		EXPECT_TRUE(covers(marked, writer.ended, GRANULES));
		free(marked);
		/* and then the rest of the world goes on */
		ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
		ASSERT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	}
}

TEST_F_TIMEOUT(meta, error_is_said_and_survived, TIMEOUT)
{
	struct events *events = events_open();
	struct tidemark_info before, now;
	struct event event = { 0 };

	EXPECT_EQ(0, write_granule(&self->disk, 1));
	before = disk_info(&self->disk);
	ASSERT_EQ(0, metadata_table(&self->meta, "error"));
	/* no error and no wait for who writes */
	EXPECT_EQ(0, write_granule(&self->disk, 1000));
	EXPECT_EQ(0, write_granule(&self->disk, 2000));
	now = disk_info(&self->disk);
	EXPECT_EQ(TIDEMARK_REASON_META_ERROR, now.reason);
	EXPECT_EQ(0, now.state & TIDEMARK_STATE_META);
	EXPECT_LT(0, now.meta_errors);
	EXPECT_NE(0, memcmp(before.uuid, now.uuid, 16));
	EXPECT_STREQ("1 1000 2000", granules_text(&self->disk, TIDEMARK_CURRENT));
	while (!events_next(events, 1000, &event) && event.type != TIDEMARK_EVENT_UNRELIABLE)
		;
	EXPECT_EQ(TIDEMARK_EVENT_UNRELIABLE, event.type);
	EXPECT_EQ(TIDEMARK_REASON_META_ERROR, event.reason);
	/* requests go on */
	EXPECT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 9, 1));
	/* it heals */
	ASSERT_EQ(0, metadata_table(&self->meta, "linear %s 0"));
	EXPECT_TRUE(WAIT_FOR(!disk_info(&self->disk).reason));
	EXPECT_EQ(TIDEMARK_STATE_META, disk_info(&self->disk).state);
	EXPECT_EQ(TIDEMARK_META_ACTIVE, super_state(&self->meta));
	EXPECT_STREQ("1 9 1000 2000", meta_text(&self->meta, false));
	while (!events_next(events, 1000, &event) && event.type != TIDEMARK_EVENT_RELIABLE)
		;
	EXPECT_EQ(TIDEMARK_EVENT_RELIABLE, event.type);
	EXPECT_EQ(0, event.reason);
	events_close(events);
}

static void *write_thousandth(void *argument)
{
	return (void *)(intptr_t)write_granule(argument, 1000);
}

TEST_F_TIMEOUT(meta, hanging_device_holds_nobody_for_long, TIMEOUT)
{
	void *ret = NULL;
	pthread_t writer;
	bool said;

	EXPECT_EQ(0, write_granule(&self->disk, 1));
	ASSERT_EQ(0, sh("dmsetup suspend --nolockfs --noflush %s", self->meta.name));
	/* a write that needs no intent does not notice */
	EXPECT_EQ(0, write_granule(&self->disk, 2));
	EXPECT_EQ(0, disk_info(&self->disk).reason);
	ASSERT_EQ(0, pthread_create(&writer, NULL, write_thousandth, &self->disk));
	said = WAIT_FOR(disk_info(&self->disk).reason == TIDEMARK_REASON_META_ERROR);
	EXPECT_TRUE(said);
	if (!said)
		sh("dmsetup resume %s", self->meta.name);
	EXPECT_EQ(0, write_granule(&self->disk, 2000));
	ASSERT_EQ(0, pthread_join(writer, &ret));
	EXPECT_EQ(NULL, ret);
	ASSERT_EQ(0, sh("dmsetup resume %s", self->meta.name));
	EXPECT_TRUE(WAIT_FOR(!disk_info(&self->disk).reason));
	EXPECT_STREQ("1-2 1000 2000", meta_text(&self->meta, false));
}

/* A write that may not wait is told so, and finds the intent there later. */
TEST_F_TIMEOUT(meta, nowait, TIMEOUT)
{
	int fd = open(self->disk.path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	struct tidemark_info before, after;
	struct iovec iov = { .iov_len = 4096 };
	ssize_t ret;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, posix_memalign(&iov.iov_base, 4096, 4096));
	memset(iov.iov_base, 1, 4096);
	before = disk_info(&self->disk);
	ret = pwritev2(fd, &iov, 1, 5 * EXTENT, RWF_NOWAIT);
	if (ret < 0 && errno == EOPNOTSUPP)
		SKIP(goto out, "the device below does not know RWF_NOWAIT");
	EXPECT_EQ(-1, ret);
	EXPECT_EQ(EAGAIN, errno);
	after = disk_info(&self->disk);
	EXPECT_EQ(before.writes, after.writes);
	EXPECT_EQ(before.write_sectors, after.write_sectors);
	EXPECT_TRUE(WAIT_FOR(pwritev2(fd, &iov, 1, 5 * EXTENT, RWF_NOWAIT) == 4096));
	EXPECT_EQ(0, disk_info(&self->disk).meta_held);
out:
	free(iov.iov_base);
	close(fd);
}

TEST_F_TIMEOUT(meta, reload, TIMEOUT)
{
	struct tidemark_info before, after;
	struct tidemark_meta_super super;

	EXPECT_EQ(0, write_granule(&self->disk, 3));
	before = disk_info(&self->disk);
	/* the same: nothing is written anew */
	ASSERT_EQ(0, reload(&self->disk, &self->meta, 128));
	after = disk_info(&self->disk);
	EXPECT_EQ(before.disk, after.disk);
	EXPECT_EQ(before.meta_intents, after.meta_intents);
	EXPECT_EQ(0, write_granule(&self->disk, 100));
	/* another granule, another size */
	ASSERT_EQ(0, reload(&self->disk, &self->meta, 256));
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	EXPECT_STREQ("1 50", meta_text(&self->meta, false));
	self->disk.bytes = BYTES - 128 * KIB;
	ASSERT_EQ(0, reload(&self->disk, &self->meta, 256));
	EXPECT_EQ(0, write_granule(&self->disk, 4000));
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	EXPECT_EQ(0, checkpoint_all(&self->disk));
	EXPECT_STREQ("1 50 2000", meta_text(&self->meta, false));
	/* without: what is there must not be believed any more */
	ASSERT_EQ(0, reload(&self->disk, NULL, 256));
	EXPECT_EQ(TIDEMARK_META_ALL, super_state(&self->meta));
	EXPECT_EQ(0, disk_info(&self->disk).meta_major);
	EXPECT_EQ(0, write_granule(&self->disk, 3000));
	/* and with it again */
	ASSERT_EQ(0, reload(&self->disk, &self->meta, 256));
	after = disk_info(&self->disk);
	EXPECT_EQ(before.disk, after.disk);
	EXPECT_EQ(0, memcmp(before.uuid, after.uuid, 16));
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	EXPECT_STREQ("1 50 1500 2000", meta_text(&self->meta, false));
	ASSERT_EQ(0, metadata_super(&self->meta, &super));
	EXPECT_EQ(0, memcmp(super.uuid, after.uuid, 16));
	ASSERT_EQ(0, detach(&self->disk));
	self->disk.granule = 256;
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_STREQ("1 50 1500 2000", granules_text(&self->disk, TIDEMARK_CURRENT));
}

struct commits {
	struct disk *disk;
	atomic_bool stop;
	unsigned int good;
};

static void *commit_run(void *argument)
{
	struct commits *commits = argument;
	uint64_t epoch;

	while (!atomic_load(&commits->stop))
		if (!seal_drained(commits->disk, 0, &epoch) &&
		    !end(TIDEMARK_IOC_COMMIT, commits->disk, epoch))
			commits->good++;
	return NULL;
}

/*
 * A disk goes on without its metadata while it is sealed and committed. Each commit
 * makes its keeper look at the device 2 s later; one that comes while the old keeper
 * says good-bye to a slow device must not make it look when it is no more. The kernel
 * complains then, the more so when freed memory is poisoned (slub_debug=P).
 */
TEST_F_TIMEOUT(meta, reload_meets_commits, TIMEOUT)
{
	struct commits commits = { .disk = &self->disk };
	pthread_t thread;

	ASSERT_EQ(0, sh("modprobe -q dm-delay"));
	ASSERT_EQ(0, metadata_table(&self->meta, "delay %s 0 100"));
	ASSERT_EQ(0, pthread_create(&thread, NULL, commit_run, &commits));
	for (int i = 0; i < 6; i++) {
		EXPECT_EQ(0, reload(&self->disk, i % 2 ? &self->meta : NULL, 128));
		EXPECT_EQ(0, write_granule(&self->disk, 100 * i));
	}
	atomic_store(&commits.stop, true);
	pthread_join(thread, NULL);
	EXPECT_LT(0, commits.good);
	ASSERT_EQ(0, metadata_table(&self->meta, "linear %s 0"));
	sleep(3);
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	EXPECT_EQ(0, disk_info(&self->disk).reason);
}

/* Numbers are given out once, in whatever state the host ends. */
TEST_F_TIMEOUT(meta, epochs_go_on_after_a_crash, TIMEOUT)
{
	uint64_t epoch = 0, last = 0;

	for (int i = 0; i < 150; i++) {
		ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
		EXPECT_EQ(last ? last + 1 : epoch, epoch);
		last = epoch;
	}
	ASSERT_EQ(0, metadata_table(&self->meta, "error"));
	ASSERT_EQ(0, detach(&self->disk));
	ASSERT_EQ(0, metadata_table(&self->meta, "linear %s 0"));
	ASSERT_EQ(0, data_anew(&self->disk));
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_2);
	ASSERT_EQ(0, disk_attach(&self->disk));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_LT(last, epoch);
}

/* A disk whose intent takes more blocks than are written at a time. */
#define BLOCK_BYTES (EXTENT * TIDEMARK_META_UNIT_BITS * TIDEMARK_META_UNITS_PER_BLOCK)
#define LARGE_BLOCKS 41

struct large_writer {
	const struct disk *disk;
	pthread_t thread;
	uint64_t block;
	int ret;
};

static void *write_block(void *argument)
{
	struct large_writer *w = argument;

	w->ret = write_at(w->disk->path, O_DIRECT, w->block * BLOCK_BYTES, 4096, 1);
	return NULL;
}

FIXTURE(large) {
	struct metadata meta;
	struct disk disk;
};

FIXTURE_SETUP(large)
{
	struct disk_options options = { .bytes = LARGE_BLOCKS * BLOCK_BYTES, .granule = 8192 };

	ASSERT_EQ(0, metadata_create(&self->meta, "tm-metadata", MIB));
	ASSERT_EQ(0, metadata_format(&self->meta, options.bytes, options.granule));
	ASSERT_EQ(0, disk_create(&self->disk, "tm-large", options));
	ASSERT_EQ(0, detach(&self->disk));
	snprintf(self->disk.meta, sizeof(self->disk.meta), "%s", self->meta.path);
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_1);
	ASSERT_EQ(0, disk_attach(&self->disk));
	ASSERT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
}

FIXTURE_TEARDOWN(large)
{
	disk_remove(&self->disk);
	metadata_remove(&self->meta);
}

/*
 * The first of many batches of one step fails: nobody goes on filling the others. The
 * write of the first block keeps the task busy until all others wait for one step.
 */
TEST_F_TIMEOUT(large, a_batch_of_intent_that_fails_is_the_last, TIMEOUT)
{
	uint64_t first = (TIDEMARK_META_INTENT_BLOCK + 1) * TIDEMARK_META_BLOCK / 512;
	uint64_t after = first + (LARGE_BLOCKS - 1) * TIDEMARK_META_BLOCK / 512;
	struct large_writer writers[LARGE_BLOCKS];

	ASSERT_EQ(0, sh("dmsetup suspend --nolockfs --noflush %s", self->meta.name));
	for (int i = 0; i < LARGE_BLOCKS; i++) {
		writers[i] = (struct large_writer){ .disk = &self->disk, .block = i, .ret = -1 };
		ASSERT_EQ(0, pthread_create(&writers[i].thread, NULL, write_block, &writers[i]));
		if (!i) {
			EXPECT_TRUE(WAIT_FOR(disk_info(&self->disk).meta_held == 1));
		}
	}
	EXPECT_TRUE(WAIT_FOR(disk_info(&self->disk).meta_held == LARGE_BLOCKS));
	EXPECT_EQ(0, disk_info(&self->disk).reason);
	ASSERT_EQ(0, sh("printf '0 %llu linear %s 0\n%llu %llu error\n%llu %llu linear %s %llu\n' | "
			"dmsetup load %s && dmsetup resume %s", (unsigned long long)first,
			self->meta.loop, (unsigned long long)first,
			(unsigned long long)(after - first), (unsigned long long)after,
			(unsigned long long)(self->meta.sectors - after), self->meta.loop,
			(unsigned long long)after, self->meta.name, self->meta.name));
	for (int i = 0; i < LARGE_BLOCKS; i++) {
		EXPECT_EQ(0, pthread_join(writers[i].thread, NULL));
		EXPECT_EQ(0, writers[i].ret);
	}
	EXPECT_EQ(TIDEMARK_REASON_META_ERROR, disk_info(&self->disk).reason);
	ASSERT_EQ(0, metadata_table(&self->meta, "linear %s 0"));
	EXPECT_TRUE(WAIT_FOR(!disk_info(&self->disk).reason));
	EXPECT_EQ(LARGE_BLOCKS, disk_info(&self->disk).marked);
}

TEST_HARNESS_MAIN
