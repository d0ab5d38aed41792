// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A tracker with a metadata device: what is on the device and when, what comes
 * back from it after a detach, a crash, damage.
 */
#include <endian.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "metadata.h"
#include "kselftest_harness.h"

#define GRANULE (64 * KIB)
#define EXTENT (4 * MIB)
#define BYTES (256 * MIB)
#define GRANULES (BYTES / GRANULE)
#define TIMEOUT 180
#define SHORT_MS 60000

#define BOOT_1 "2 boot 11111111-1111-4111-8111-111111111111"
#define BOOT_2 "2 boot 22222222-2222-4222-8222-222222222222"

FIXTURE(meta) {
	struct metadata meta;
	struct disk disk;
	char under[32];
};

/* The data device is a linear one over a loop, so that it can be made anew. */
static int data_anew(struct disk *disk)
{
	sh("[ ! -e /dev/mapper/tm-under ] || dmsetup remove --retry tm-under");
	snprintf(disk->data, sizeof(disk->data), "/dev/mapper/tm-under");
	return sh("dmsetup create tm-under --table '0 %llu linear %s 0'",
		  (unsigned long long)disk->bytes / 512, disk->loop);
}

static int detach(struct disk *disk)
{
	return sh("dmsetup remove --retry %s", disk->name);
}

/* Checkpoints come by themselves, or only when they are asked for. */
static int checkpoint_seconds(unsigned int seconds)
{
	return sh("echo %u > /sys/module/dm_tidemark/parameters/checkpoint_seconds", seconds);
}

/* A tracked disk with metadata that was just formatted. */
FIXTURE_SETUP(meta)
{
	struct disk_options options = { .bytes = BYTES };

	ASSERT_EQ(0, checkpoint_seconds(3600));
	ASSERT_EQ(0, metadata_create(&self->meta, "tm-metadata", MIB));
	ASSERT_EQ(0, metadata_format(&self->meta, BYTES, 128));
	ASSERT_EQ(0, disk_create(&self->disk, "tm-meta", options));
	ASSERT_EQ(0, detach(&self->disk));
	ASSERT_EQ(0, data_anew(&self->disk));
	snprintf(self->disk.meta, sizeof(self->disk.meta), "%s", self->meta.path);
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_1);
	ASSERT_EQ(0, disk_attach(&self->disk));
}

FIXTURE_TEARDOWN(meta)
{
	checkpoint_seconds(0);
	sh("[ ! -e %s ] || dmsetup remove --retry %s", self->disk.path, self->disk.name);
	sh("[ ! -e /dev/mapper/tm-under ] || dmsetup remove --retry tm-under");
	disk_remove(&self->disk);
	metadata_remove(&self->meta);
}

#define WAIT_FOR(condition) ({						\
	int wait_for_left = SHORT_MS / 20;				\
	while (!(condition) && --wait_for_left)				\
		usleep(20000);						\
	wait_for_left > 0;						\
})

static int write_granule(struct disk *disk, uint64_t granule)
{
	return write_at(disk->path, O_DIRECT, granule * GRANULE, 4096, 0x5a);
}

static int checkpoint(struct disk *disk)
{
	return sh("dmsetup message %s 0 checkpoint", disk->name);
}

/* Two: the first one only learns what is not in use any more. */
static int checkpoint_all(struct disk *disk)
{
	return checkpoint(disk) | checkpoint(disk);
}

static uint32_t super_state(struct metadata *meta)
{
	struct tidemark_meta_super super;

	return metadata_super(meta, &super) ? 0 : le32toh(super.state);
}

/* "3 5-7" of what the device says has changed, as granules_text() does. */
static const char *meta_text(struct metadata *meta, bool intent)
{
	static char text[512];
	uint64_t count = 0, first;
	uint32_t bad = 0;
	uint8_t *set = metadata_bits(meta, intent, &count, &bad);
	size_t used = 0;

	text[0] = '\0';
	for (uint64_t i = 0; set && i < count; i++) {
		if (!set[i])
			continue;
		for (first = i; i + 1 < count && set[i + 1]; i++)
			;
		used += snprintf(text + used, sizeof(text) - used, "%s%llu", used ? " " : "",
				 (unsigned long long)first);
		if (i > first)
			used += snprintf(text + used, sizeof(text) - used, "-%llu",
					 (unsigned long long)i);
	}
	free(set);
	return bad ? "bad units" : text;
}

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

/* What an agent would remember of a disk, and find out an attach later. */
static bool older_than(const struct tidemark_info *now, const struct tidemark_info *remembered)
{
	if (now->attach == remembered->attach)
		return now->meta_sequence < remembered->meta_sequence;
	return now->meta_found < remembered->meta_sequence;
}

/* An older copy of the metadata device is put back, once a boot has passed. */
TEST_F_TIMEOUT(meta, older_copy_is_seen, TIMEOUT)
{
	struct tidemark_info first, now, remembered;
	uint64_t epoch = 0;

	first = disk_info(&self->disk);
	EXPECT_NE(0, first.attach);
	EXPECT_EQ(1, first.meta_found);
	ASSERT_EQ(0, detach(&self->disk));
	ASSERT_EQ(0, sh("cp %1$s %1$s.detached", self->meta.file));

	ASSERT_EQ(0, disk_attach(&self->disk));
	now = disk_info(&self->disk);
	EXPECT_NE(first.attach, now.attach);
	EXPECT_FALSE(older_than(&now, &first));
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	ASSERT_EQ(0, sh("cp %1$s %1$s.attached", self->meta.file));
	/* A new extent alone is enough, by the next checkpoint. */
	remembered = disk_info(&self->disk);
	EXPECT_EQ(0, write_granule(&self->disk, 700));
	EXPECT_EQ(0, checkpoint(&self->disk));
	now = disk_info(&self->disk);
	EXPECT_EQ(remembered.attach, now.attach);
	EXPECT_LT(remembered.meta_sequence, now.meta_sequence);
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	remembered = now;
	ASSERT_EQ(0, detach(&self->disk));

	/* all is well as long as nobody does that */
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_2);
	ASSERT_EQ(0, disk_attach(&self->disk));
	now = disk_info(&self->disk);
	EXPECT_FALSE(older_than(&now, &remembered));
	ASSERT_EQ(0, detach(&self->disk));
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, sh("cp %s.%s %s && sync", self->meta.file,
				i ? "attached" : "detached", self->meta.path));
		ASSERT_EQ(0, disk_attach(&self->disk));
		now = disk_info(&self->disk);
		EXPECT_EQ(0, memcmp(now.uuid, remembered.uuid, 16));
		EXPECT_NE(now.attach, remembered.attach);
		EXPECT_TRUE(older_than(&now, &remembered));
		ASSERT_EQ(0, detach(&self->disk));
	}
	EXPECT_EQ(0, sh("rm %1$s.detached %1$s.attached", self->meta.file));
	ASSERT_EQ(0, disk_attach(&self->disk));
}

static void *write_third(void *argument)
{
	return (void *)(intptr_t)write_granule(argument, 3);
}

/* The rule of all this: no byte reaches the disk before its intent is durable. */
TEST_F_TIMEOUT(meta, intent_comes_first, TIMEOUT)
{
	struct disk *disk = &self->disk;
	void *ret = NULL, *before;
	pthread_t writer;

	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	EXPECT_STREQ("", meta_text(&self->meta, true));
	ASSERT_EQ(0, sh("modprobe -q dm-delay"));
	ASSERT_EQ(0, metadata_table(&self->meta, "delay %1$s 0 0 %1$s 0 3000"));
	before = file_copy(disk);
	ASSERT_EQ(0, pthread_create(&writer, NULL, write_third, disk));
	EXPECT_TRUE(WAIT_FOR(disk_info(disk).meta_held == 1));
	/* It is marked, it waits, and nothing of it is on the disk: until this. */
	do {
		if (strcmp("", meta_text(&self->meta, true)))
			break;
		EXPECT_EQ(0, granules_changed(disk, before));
	} while (usleep(20000) || !granules_changed(disk, before));
	EXPECT_STREQ("0", meta_text(&self->meta, true));
	ASSERT_EQ(0, pthread_join(writer, &ret));
	EXPECT_EQ(NULL, ret);
	EXPECT_EQ(1, granules_changed(disk, before));
	EXPECT_EQ(1, disk_info(disk).meta_held);
	EXPECT_EQ(1, disk_info(disk).meta_intents);
	free(before);
	EXPECT_EQ(0, metadata_table(&self->meta, "linear %s 0"));
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

/* How many flushes the device below the data device has ended. */
static uint64_t data_flushes(const struct disk *disk)
{
	unsigned long long flushes = 0;
	char path[96];
	FILE *stat;

	snprintf(path, sizeof(path), "/sys/class/block/%s/stat", disk->loop + strlen("/dev/"));
	stat = fopen(path, "re");
	if (!stat || fscanf(stat, "%*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu",
			    &flushes) != 1)
		flushes = ~0ULL;
	if (stat)
		fclose(stat);
	return flushes;
}

/* Another table for the data device; %s of the format stands for the loop device. */
static int data_table(struct disk *disk, const char *format)
{
	char table[160];

	snprintf(table, sizeof(table), format, disk->loop);
	return sh("dmsetup load tm-under --table '0 %llu %s' && "
		  "dmsetup suspend --noflush --nolockfs tm-under && dmsetup resume tm-under",
		  (unsigned long long)disk->bytes / 512, table) ? -EIO : 0;
}

/* What the replica has is in the data device's cache, until this. */
TEST_F_TIMEOUT(meta, data_is_flushed_before_bits_go, TIMEOUT)
{
	struct disk *disk = &self->disk;
	uint64_t epoch = 0, before;

	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	before = data_flushes(disk);
	EXPECT_EQ(0, write_granule(disk, 3));
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, disk, epoch, 3, 1));
	EXPECT_EQ(before, data_flushes(disk));
	EXPECT_EQ(0, change(TIDEMARK_IOC_SETTLE, disk, epoch, 3, 1));
	EXPECT_EQ(before + 1, data_flushes(disk));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_EQ(before + 2, data_flushes(disk));
	/* refused ones, and a fold, forget nothing */
	EXPECT_EQ(-ENODATA, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	EXPECT_EQ(-ESTALE, end(TIDEMARK_IOC_COMMIT, disk, epoch - 1));
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, disk, epoch));
	EXPECT_EQ(before + 2, data_flushes(disk));
	/* and without metadata nothing outlives a power cut anyway */
	ASSERT_EQ(0, detach(disk));
	disk->meta[0] = '\0';
	ASSERT_EQ(0, disk_attach(disk));
	before = data_flushes(disk);
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_EQ(before, data_flushes(disk));
}

TEST_F_TIMEOUT(meta, a_flush_that_fails_keeps_bits, TIMEOUT)
{
	struct disk *disk = &self->disk;
	uint64_t epoch = 0, committed;

	committed = disk_info(disk).committed_epoch;
	EXPECT_EQ(0, write_granule(disk, 3));
	EXPECT_EQ(0, write_granule(disk, 70));
	ASSERT_EQ(0, seal_drained(disk, 0, &epoch));
	ASSERT_EQ(0, sh("modprobe -q dm-flakey"));
	ASSERT_EQ(0, data_table(disk, "flakey %s 0 0 3600 1 error_writes"));
	EXPECT_EQ(-EIO, change(TIDEMARK_IOC_SETTLE, disk, epoch, 3, 1));
	EXPECT_EQ(-EIO, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_EQ(epoch, disk_info(disk).sealed_epoch);
	EXPECT_EQ(committed, disk_info(disk).committed_epoch);
	EXPECT_STREQ("3 70", granules_text(disk, TIDEMARK_SEALED));
	EXPECT_EQ(0, checkpoint_all(disk));
	EXPECT_STREQ("3 70", meta_text(&self->meta, false));
	ASSERT_EQ(0, data_table(disk, "linear %s 0"));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, disk, epoch));
	EXPECT_EQ(0, checkpoint_all(disk));
	EXPECT_STREQ("", meta_text(&self->meta, false));
}

/* A commit by another thread, of which it can be seen that it waits. */
struct committer {
	struct disk *disk;
	pthread_t thread;
	uint64_t epoch;
	int tid;
};

static void *commit(void *argument)
{
	struct committer *c = argument;

	__atomic_store_n(&c->tid, gettid(), __ATOMIC_RELEASE);
	return (void *)(intptr_t)end(TIDEMARK_IOC_COMMIT, c->disk, c->epoch);
}

static bool commit_waits(struct committer *c)
{
	int tid = __atomic_load_n(&c->tid, __ATOMIC_ACQUIRE);

	return tid && !sh("grep -q 'State:.*D' /proc/%d/status", tid);
}

static void *detach_thread(void *argument)
{
	return (void *)(intptr_t)detach(argument);
}

/* No lock of the disk is held meanwhile; after it, the epoch is looked at again. */
TEST_F_TIMEOUT(meta, disk_goes_on_during_a_flush, TIMEOUT)
{
	struct committer c = { .disk = &self->disk };
	uint64_t epoch = 0;
	void *ret = NULL;

	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &c.epoch));
	ASSERT_EQ(0, sh("dmsetup suspend --nolockfs --noflush tm-under"));
	ASSERT_EQ(0, pthread_create(&c.thread, NULL, commit, &c));
	EXPECT_TRUE(WAIT_FOR(commit_waits(&c)));
	EXPECT_EQ(c.epoch, disk_info(&self->disk).sealed_epoch);
	EXPECT_EQ(0, seal(&self->disk, TIDEMARK_SEAL_EXTEND, &epoch));
	ASSERT_EQ(0, sh("dmsetup resume tm-under"));
	ASSERT_EQ(0, pthread_join(c.thread, &ret));
	EXPECT_EQ(-ESTALE, (int)(intptr_t)ret);
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_SEALED));
	EXPECT_EQ(epoch, disk_info(&self->disk).sealed_epoch);
}

/* The data device is let go of when the flush has ended, and no sooner. */
TEST_F_TIMEOUT(meta, detach_waits_for_a_flush, TIMEOUT)
{
	struct committer c = { .disk = &self->disk };
	void *ret = NULL, *detached = NULL;
	uint64_t id = self->disk.id;
	pthread_t remover;

	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &c.epoch));
	ASSERT_EQ(0, sh("dmsetup suspend --nolockfs --noflush tm-under"));
	ASSERT_EQ(0, pthread_create(&c.thread, NULL, commit, &c));
	EXPECT_TRUE(WAIT_FOR(commit_waits(&c)));
	ASSERT_EQ(0, pthread_create(&remover, NULL, detach_thread, &self->disk));
	EXPECT_TRUE(WAIT_FOR(end(TIDEMARK_IOC_FOLD, &self->disk, ~0ULL) == -ENODEV));
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_CLEAN));
	/* everything else is done, but the device is still in use */
	EXPECT_NE(0, sh("dmsetup remove tm-under 2>/dev/null"));
	ASSERT_EQ(0, sh("dmsetup resume tm-under"));
	ASSERT_EQ(0, pthread_join(c.thread, &ret));
	ASSERT_EQ(0, pthread_join(remover, &detached));
	EXPECT_EQ(-ENODEV, (int)(intptr_t)ret);
	EXPECT_EQ(NULL, detached);
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_NE(id, self->disk.id);
	EXPECT_STREQ("3", granules_text(&self->disk, TIDEMARK_CURRENT));
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

TEST_F_TIMEOUT(meta, hanging_device_holds_nobody_for_long, TIMEOUT)
{
	EXPECT_EQ(0, write_granule(&self->disk, 1));
	ASSERT_EQ(0, sh("dmsetup suspend --nolockfs --noflush %s", self->meta.name));
	/* a write that needs no intent does not notice */
	EXPECT_EQ(0, write_granule(&self->disk, 2));
	EXPECT_EQ(0, disk_info(&self->disk).reason);
	EXPECT_EQ(0, write_granule(&self->disk, 1000));
	EXPECT_EQ(TIDEMARK_REASON_META_ERROR, disk_info(&self->disk).reason);
	EXPECT_EQ(0, write_granule(&self->disk, 2000));
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

TEST_F_TIMEOUT(meta, damaged_units_count_as_marked, TIMEOUT)
{
	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, detach(&self->disk));
	/* granules 0 to 3967 are in the first unit; there are 4096 */
	ASSERT_EQ(0, metadata_damage(&self->meta, metadata_unit(&self->meta, false, 0) + 100));
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(TIDEMARK_REASON_META_PART, disk_info(&self->disk).reason);
	EXPECT_STREQ("0-3967", granules_text(&self->disk, TIDEMARK_CURRENT));
	ASSERT_EQ(0, detach(&self->disk));
	EXPECT_STREQ("0-3967", meta_text(&self->meta, false));
	ASSERT_EQ(0, metadata_damage(&self->meta, metadata_unit(&self->meta, true, 0) + 20));
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(GRANULES, disk_info(&self->disk).marked);
	EXPECT_EQ(TIDEMARK_REASON_META_PART, disk_info(&self->disk).reason);
}

TEST_F_TIMEOUT(meta, damaged_superblocks, TIMEOUT)
{
	struct tidemark_info before = disk_info(&self->disk), after;
	struct tidemark_meta_super super;

	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, detach(&self->disk));
	ASSERT_EQ(0, metadata_super(&self->meta, &super));
	/* without the newest one the one before counts: it was ACTIVE */
	ASSERT_EQ(0, metadata_damage(&self->meta, le64toh(super.seq) % 2 * 4096 + 200));
	ASSERT_EQ(0, disk_attach(&self->disk));
	after = disk_info(&self->disk);
	EXPECT_EQ(0, memcmp(before.uuid, after.uuid, 16));
	/* in the boot that is still going on: who knows what was since */
	EXPECT_EQ(TIDEMARK_REASON_GAP | TIDEMARK_REASON_UNCLEAN, after.reason);
	EXPECT_EQ(GRANULES, after.marked);
	ASSERT_EQ(0, detach(&self->disk));
	/* without both nothing is known */
	ASSERT_EQ(0, metadata_damage(&self->meta, 40));
	ASSERT_EQ(0, metadata_damage(&self->meta, 4096 + 40));
	ASSERT_EQ(0, disk_attach(&self->disk));
	after = disk_info(&self->disk);
	EXPECT_NE(0, memcmp(before.uuid, after.uuid, 16));
	EXPECT_EQ(TIDEMARK_REASON_META_LOST, after.reason);
	EXPECT_EQ(GRANULES, after.marked);
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
}

/* Checksums that are right do not make right what they are of. */
TEST_F_TIMEOUT(meta, numbers_that_cannot_be, TIMEOUT)
{
	struct tidemark_info before = disk_info(&self->disk), after;
	struct tidemark_meta_super super;

	for (int i = 0; i < 4; i++) {
		EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
		ASSERT_EQ(0, detach(&self->disk));
		ASSERT_EQ(0, metadata_super(&self->meta, &super));
		if (i == 0)
			super.next_epoch = htole64(~0ULL);
		else if (i == 1)
			super.committed_epoch = super.next_epoch;
		else if (i == 2)
			super.unreliable_epoch = super.next_epoch;
		else
			super.seq = htole64(le64toh(super.seq) | 1ULL << 63);
		ASSERT_EQ(0, metadata_super_put(&self->meta, super));
		ASSERT_EQ(0, disk_attach(&self->disk));
		after = disk_info(&self->disk);
		/* the one before counts: it was ACTIVE, in this boot */
		EXPECT_EQ(TIDEMARK_REASON_GAP | TIDEMARK_REASON_UNCLEAN, after.reason);
		EXPECT_EQ(0, memcmp(before.uuid, after.uuid, 16));
		EXPECT_EQ(0, after.committed_epoch);
		EXPECT_GT(100000, after.epoch);
	}
}

/* A crash: nothing more gets to the metadata device, and a boot later it works. */
static int crash(struct metadata *meta, struct disk *disk)
{
	return metadata_table(meta, "error") | detach(disk) | metadata_table(meta, "linear %s 0") |
	       data_anew(disk);
}

/* The newest superblock rots: a warning that it had is in the other one, too. */
TEST_F_TIMEOUT(meta, warnings_are_in_both_superblocks, TIMEOUT)
{
	struct tidemark_meta_super super;

	ASSERT_EQ(0, detach(&self->disk));
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_2);
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(TIDEMARK_REASON_GAP, disk_info(&self->disk).reason);
	EXPECT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 9, 1));
	EXPECT_TRUE(WAIT_FOR(disk_info(&self->disk).meta_sequence >
			     disk_info(&self->disk).meta_found + 1));
	ASSERT_EQ(0, crash(&self->meta, &self->disk));
	ASSERT_EQ(0, metadata_super(&self->meta, &super));
	EXPECT_EQ(TIDEMARK_REASON_GAP, le32toh(super.reason));
	ASSERT_EQ(0, metadata_damage(&self->meta, le64toh(super.seq) % 2 * 4096 + 200));
	ASSERT_EQ(0, metadata_super(&self->meta, &super));
	EXPECT_EQ(TIDEMARK_META_ACTIVE, le32toh(super.state));
	EXPECT_EQ(TIDEMARK_REASON_GAP, le32toh(super.reason));
	snprintf(self->disk.features, sizeof(self->disk.features), BOOT_1);
	ASSERT_EQ(0, disk_attach(&self->disk));
	EXPECT_EQ(TIDEMARK_REASON_GAP | TIDEMARK_REASON_UNCLEAN, disk_info(&self->disk).reason);
	EXPECT_EQ(GRANULES, disk_info(&self->disk).marked);
}

/* What is no metadata, or another's, is never written to. */
TEST_F_TIMEOUT(meta, refusals, TIMEOUT)
{
	struct disk *disk = &self->disk;

	/* the data device, or one that another disk uses */
	EXPECT_NE(0, sh("dmsetup create tm-other --table '0 2048 tidemark %s %s 128' 2>/dev/null",
			disk->loop, disk->loop));
	EXPECT_NE(0, sh("dmsetup create tm-other --table '0 2048 tidemark %s %s 128' 2>/dev/null",
			disk->loop, self->meta.path));
	EXPECT_NE(0, sh("dmsetup create tm-other --table '0 2048 tidemark %s - 128' 2>/dev/null",
			self->meta.path));
	ASSERT_EQ(0, detach(disk));
	/* a read-only one */
	EXPECT_NE(0, sh("dmsetup create -r %s --table '0 524288 tidemark %s %s 128' 2>/dev/null",
			disk->name, disk->data, self->meta.path));
	/* too small: six blocks are needed, for 65536 granules in three of them */
	EXPECT_EQ(0, sh("dmsetup create tm-small --table '0 40 linear %s 0'", self->meta.loop));
	EXPECT_NE(0, sh("dmsetup create %s --table '0 524288 tidemark %s /dev/mapper/tm-small 8'"
			" 2>/dev/null", disk->name, disk->data));
	EXPECT_EQ(0, sh("dmsetup remove --retry tm-small"));
	/* never formatted */
	EXPECT_EQ(0, sh("dd if=/dev/zero of=%s bs=4096 count=2 conv=notrunc 2>/dev/null",
			self->meta.file));
	EXPECT_NE(0, disk_attach(disk));
	EXPECT_EQ(0, sh("cmp -n 8192 %s /dev/zero", self->meta.file));
	/* of a version to come */
	ASSERT_EQ(0, metadata_format(&self->meta, BYTES, 128));
	EXPECT_EQ(0, disk_attach(disk));
}

TEST_F_TIMEOUT(meta, another_size_while_detached, TIMEOUT)
{
	struct tidemark_info before = disk_info(&self->disk), after;

	ASSERT_EQ(0, detach(&self->disk));
	self->disk.bytes = BYTES / 2;
	ASSERT_EQ(0, disk_attach(&self->disk));
	after = disk_info(&self->disk);
	EXPECT_EQ(0, memcmp(before.uuid, after.uuid, 16));
	EXPECT_EQ(TIDEMARK_REASON_RESIZED, after.reason);
	EXPECT_EQ(GRANULES / 2, after.marked);
	EXPECT_TRUE(WAIT_FOR(super_state(&self->meta) == TIDEMARK_META_ACTIVE));
	EXPECT_STREQ("0-2047", meta_text(&self->meta, false));
}

static int reload(struct disk *disk, const struct metadata *meta, unsigned int granule)
{
	char table[512];

	snprintf(table, sizeof(table), "0 %llu tidemark %s %s %u %s",
		 (unsigned long long)disk->bytes / 512, disk->data, meta ? meta->path : "-", granule,
		 disk->features);
	return disk_reload(disk, table);
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

/*
 * What was committed without metadata may be in the data device's cache alone:
 * metadata that come later are not believed before that was flushed.
 */
TEST_F_TIMEOUT(meta, first_metadata_wait_for_a_flush, TIMEOUT)
{
	uint64_t epoch = 0;

	ASSERT_EQ(0, reload(&self->disk, NULL, 128));
	EXPECT_EQ(0, write_granule(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	ASSERT_EQ(0, data_table(&self->disk, "error"));
	ASSERT_EQ(0, reload(&self->disk, &self->meta, 128));
	EXPECT_TRUE(WAIT_FOR(disk_info(&self->disk).reason & TIDEMARK_REASON_META_ERROR));
	EXPECT_EQ(TIDEMARK_META_ALL, super_state(&self->meta));
	EXPECT_NE(NULL, strstr((char *)disk_info(&self->disk).message, "cannot be flushed"));
	ASSERT_EQ(0, data_table(&self->disk, "linear %s 0"));
	EXPECT_TRUE(WAIT_FOR(!disk_info(&self->disk).reason));
	EXPECT_EQ(TIDEMARK_META_ACTIVE, super_state(&self->meta));
	EXPECT_STREQ("", meta_text(&self->meta, false));
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

TEST_HARNESS_MAIN
