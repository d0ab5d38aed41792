// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The life of epochs on disks that are quick: seal of one and of several,
 * fold, extend, release, tear, settle, commit, events.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "disk.h"
#include "kselftest_harness.h"

#define GRANULE (64 * KIB)
#define TIMEOUT 1200

FIXTURE(seal) {
	struct disk disk;
	struct events *events;
};

FIXTURE_SETUP(seal)
{
	struct disk_options options = { .bytes = 16 * MIB };

	self->events = events_open();
	ASSERT_NE(NULL, self->events);
	ASSERT_EQ(0, disk_create(&self->disk, "tm-seal", options));
}

FIXTURE_TEARDOWN(seal)
{
	disk_remove(&self->disk);
	events_close(self->events);
}

static int mark(struct disk *disk, uint64_t granule)
{
	return write_at(disk->path, O_DIRECT, granule * GRANULE, 4096, 1);
}

#define EXPECT_SET(which, text) \
	EXPECT_STREQ(text, granules_text(&self->disk, TIDEMARK_##which))

#define EXPECT_SETS(current, sealed, owed) do {	\
	EXPECT_SET(CURRENT, current);			\
	EXPECT_SET(SEALED, sealed);			\
	EXPECT_SET(OWED, owed);				\
} while (0)

TEST_F_TIMEOUT(seal, one, TIMEOUT)
{
	struct tidemark_info info;
	uint64_t epoch = 0;

	ASSERT_EQ(0, mark(&self->disk, 3));
	EXPECT_SETS("3", "none", "none");
	EXPECT_EQ(0, seal(&self->disk, 0, &epoch));
	EXPECT_EQ(1, epoch);
	EXPECT_EQ(0, seal_wait(&self->disk, 1, 10000));
	EXPECT_SETS("", "3", "3");
	ASSERT_EQ(0, mark(&self->disk, 5));
	EXPECT_SETS("5", "3", "3");
	info = disk_info(&self->disk);
	EXPECT_EQ(2, info.epoch);
	EXPECT_EQ(1, info.sealed_epoch);
	EXPECT_EQ(1, info.marked);
	EXPECT_EQ(1, info.sealed);
	EXPECT_EQ(1, info.owed);
	EXPECT_EQ(TIDEMARK_STATE_SEALED, info.state);
}

/* Nobody has to wait for a drain of no writes, least of all a held write. */
TEST_F_TIMEOUT(seal, nothing_in_flight_is_drained_at_once, TIMEOUT)
{
	for (int i = 0; i < 20; i++) {
		uint64_t epoch = 0;

		ASSERT_EQ(0, mark(&self->disk, i));
		ASSERT_EQ(0, seal(&self->disk, 0, &epoch));
		ASSERT_EQ(TIDEMARK_STATE_SEALED, disk_info(&self->disk).state);
		ASSERT_EQ(0, seal_wait(&self->disk, epoch, 0));
		if (i % 2)
			ASSERT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	}
}

TEST_F_TIMEOUT(seal, of_nothing, TIMEOUT)
{
	uint64_t epoch = 0;

	EXPECT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_SETS("", "", "");
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
}

TEST_F_TIMEOUT(seal, folds_an_older_one, TIMEOUT)
{
	uint64_t epoch = 0;

	ASSERT_EQ(0, mark(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, mark(&self->disk, 5));
	EXPECT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(2, epoch);
	EXPECT_SETS("", "3 5", "3 5");
	EXPECT_EQ(-ESTALE, seal_wait(&self->disk, 1, 0));
}

TEST_F_TIMEOUT(seal, fold, TIMEOUT)
{
	uint64_t epoch = 0;

	ASSERT_EQ(0, mark(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, mark(&self->disk, 5));
	EXPECT_EQ(-ESTALE, end(TIDEMARK_IOC_FOLD, &self->disk, epoch + 1));
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, epoch));
	EXPECT_SETS("3 5", "none", "none");
	EXPECT_EQ(2, disk_info(&self->disk).marked);
	EXPECT_EQ(-ENODATA, end(TIDEMARK_IOC_FOLD, &self->disk, epoch));
}

TEST_F_TIMEOUT(seal, commit, TIMEOUT)
{
	struct tidemark_info info;
	uint64_t epoch = 0;

	ASSERT_EQ(0, mark(&self->disk, 3));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, mark(&self->disk, 5));
	EXPECT_EQ(-ESTALE, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch + 1));
	EXPECT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	EXPECT_SETS("5", "none", "none");
	info = disk_info(&self->disk);
	EXPECT_EQ(1, info.committed_epoch);
	EXPECT_EQ(0, info.sealed_epoch);
	EXPECT_EQ(0, info.sealed);
	EXPECT_EQ(0, info.owed);
	EXPECT_EQ(-ENODATA, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	/* nothing of the committed epoch comes back */
	EXPECT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_SETS("", "5", "5");
}

TEST_F_TIMEOUT(seal, release_then_write_does_not_tear, TIMEOUT)
{
	uint64_t epoch = 0;

	for (int i = 3; i < 8; i++)
		ASSERT_EQ(0, mark(&self->disk, i));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(-ESTALE, change(TIDEMARK_IOC_RELEASE, &self->disk, epoch + 1, 3, 1));
	EXPECT_EQ(-EINVAL, change(TIDEMARK_IOC_RELEASE, &self->disk, epoch, 255, 2));
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, epoch, 4, 2));
	EXPECT_SETS("", "3-7", "3 6-7");
	EXPECT_EQ(3, disk_info(&self->disk).owed);
	ASSERT_EQ(0, mark(&self->disk, 5));
	ASSERT_EQ(0, mark(&self->disk, 9));
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	ASSERT_EQ(0, mark(&self->disk, 6));
	EXPECT_EQ(1, disk_info(&self->disk).torn);
	EXPECT_EQ(TIDEMARK_STATE_SEALED | TIDEMARK_STATE_TORN, disk_info(&self->disk).state);
	/* all of it, and more than was owed, in one run */
	EXPECT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, epoch, 0, 256));
	EXPECT_SETS("5-6 9", "3-7", "");
	EXPECT_EQ(0, disk_info(&self->disk).owed);
}

TEST_F_TIMEOUT(seal, extend_keeps_and_owes_the_rest, TIMEOUT)
{
	uint64_t epoch = 0;

	ASSERT_EQ(0, mark(&self->disk, 3));
	ASSERT_EQ(0, mark(&self->disk, 4));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, epoch, 3, 1));
	ASSERT_EQ(0, mark(&self->disk, 4));
	ASSERT_EQ(0, mark(&self->disk, 9));
	EXPECT_EQ(1, disk_info(&self->disk).torn);
	EXPECT_EQ(0, seal_drained(&self->disk, TIDEMARK_SEAL_EXTEND, &epoch));
	EXPECT_SETS("", "3-4 9", "4 9");
	EXPECT_EQ(0, disk_info(&self->disk).torn);
	/* what was not released is owed still: a write to it tears the new one */
	ASSERT_EQ(0, change(TIDEMARK_IOC_RELEASE, &self->disk, epoch, 9, 1));
	ASSERT_EQ(0, seal_drained(&self->disk, TIDEMARK_SEAL_EXTEND, &epoch));
	EXPECT_SETS("", "3-4 9", "4");
	ASSERT_EQ(0, mark(&self->disk, 4));
	EXPECT_EQ(1, disk_info(&self->disk).torn);
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, epoch));
	EXPECT_SETS("3-4 9", "none", "none");
}

TEST_F_TIMEOUT(seal, extend_without_an_older_one, TIMEOUT)
{
	uint64_t epoch = 0;

	ASSERT_EQ(0, mark(&self->disk, 3));
	EXPECT_EQ(0, seal_drained(&self->disk, TIDEMARK_SEAL_EXTEND, &epoch));
	EXPECT_SETS("", "3", "3");
}

TEST_F_TIMEOUT(seal, settle, TIMEOUT)
{
	uint64_t epoch = 0;

	for (int i = 3; i < 8; i++)
		ASSERT_EQ(0, mark(&self->disk, i));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	EXPECT_EQ(0, change(TIDEMARK_IOC_SETTLE, &self->disk, epoch, 4, 2));
	EXPECT_SETS("", "3 6-7", "3-7");
	EXPECT_EQ(3, disk_info(&self->disk).sealed);
	ASSERT_EQ(0, mark(&self->disk, 5));
	EXPECT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, epoch));
	EXPECT_SETS("3 5-7", "none", "none");
}

TEST_F_TIMEOUT(seal, events, TIMEOUT)
{
	static const int expected[] = {
		TIDEMARK_EVENT_ATTACHED, TIDEMARK_EVENT_THRESHOLD, TIDEMARK_EVENT_SEALED,
		TIDEMARK_EVENT_TORN, TIDEMARK_EVENT_FOLDED, TIDEMARK_EVENT_SEALED,
		TIDEMARK_EVENT_COMMITTED, TIDEMARK_EVENT_DETACHED,
	};
	struct tidemark_threshold threshold = {
		.size = sizeof(threshold), .disk = self->disk.id, .granules = 2,
	};
	uint64_t id = self->disk.id, epoch = 0, seq = 0;
	struct event event;

	ASSERT_EQ(0, request(TIDEMARK_IOC_THRESHOLD, &threshold));
	ASSERT_EQ(0, mark(&self->disk, 3));
	ASSERT_EQ(0, mark(&self->disk, 3));
	usleep(300000);
	ASSERT_EQ(0, mark(&self->disk, 4));
	ASSERT_EQ(0, mark(&self->disk, 5));
	usleep(300000);
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	threshold.granules = 0;
	ASSERT_EQ(0, request(TIDEMARK_IOC_THRESHOLD, &threshold));
	ASSERT_EQ(0, mark(&self->disk, 3));
	ASSERT_EQ(0, mark(&self->disk, 4));
	usleep(300000);
	ASSERT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, epoch));
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, end(TIDEMARK_IOC_COMMIT, &self->disk, epoch));
	disk_remove(&self->disk);
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		ASSERT_EQ(0, events_next(self->events, 2000, &event));
		TH_LOG("event %d seq %llu epoch %llu granules %llu", event.type,
		       (unsigned long long)event.seq, (unsigned long long)event.epoch,
		       (unsigned long long)event.granules);
		EXPECT_EQ(expected[i], event.type);
		EXPECT_EQ(id, event.disk);
		EXPECT_STREQ("tm-seal", event.name);
		if (i)
			EXPECT_EQ(seq + 1, event.seq);
		seq = event.seq;
		if (event.type == TIDEMARK_EVENT_THRESHOLD)
			EXPECT_EQ(2, event.granules);
		if (event.type == TIDEMARK_EVENT_SEALED)
			EXPECT_EQ(3, event.granules);
	}
	EXPECT_EQ(-ETIMEDOUT, events_next(self->events, 300, &event));
}

/*
 * A listener that does not read: it is told that it has missed something, the
 * numbers say how much, and the kernel has waited for nothing.
 */
TEST_F_TIMEOUT(seal, events_overrun, TIMEOUT)
{
	uint64_t epoch = 0, first, last;
	struct event event;
	int err;

	ASSERT_EQ(0, events_next(self->events, 2000, &event));
	EXPECT_EQ(TIDEMARK_EVENT_ATTACHED, event.type);
	first = event.seq;
	last = first;
	ASSERT_EQ(0, events_limit(self->events, 4096));
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, seal(&self->disk, 0, &epoch));
		ASSERT_EQ(0, end(TIDEMARK_IOC_FOLD, &self->disk, epoch));
	}
	EXPECT_EQ(-ENOBUFS, events_next(self->events, 2000, &event));
	while (!(err = events_next(self->events, 300, &event))) {
		EXPECT_EQ(last + 1, event.seq);
		EXPECT_EQ((event.seq - first) % 2 ? TIDEMARK_EVENT_SEALED :
						    TIDEMARK_EVENT_FOLDED, event.type);
		last = event.seq;
	}
	EXPECT_EQ(-ETIMEDOUT, err);
	TH_LOG("%llu of 100 events arrived", (unsigned long long)(last - first));
	EXPECT_LT(first, last);
	EXPECT_GT(first + 100, last);
	/* whoever looks knows everything, and listening goes on after the hole */
	EXPECT_EQ(51, disk_info(&self->disk).epoch);
	ASSERT_EQ(0, seal(&self->disk, 0, &epoch));
	ASSERT_EQ(0, events_next(self->events, 2000, &event));
	EXPECT_EQ(first + 101, event.seq);
	EXPECT_EQ(51, event.epoch);
}

TEST_F_TIMEOUT(seal, messages, TIMEOUT)
{
	ASSERT_EQ(0, mark(&self->disk, 3));
	EXPECT_EQ(0, sh("[ \"$(dmsetup message tm-seal 0 seal)\" = '1 1' ]"));
	EXPECT_SETS("", "3", "3");
	EXPECT_EQ(0, seal_wait(&self->disk, 1, 10000));
	EXPECT_EQ(0, sh("dmsetup message tm-seal 0 fold 1"));
	EXPECT_SETS("3", "none", "none");
	EXPECT_EQ(0, sh("dmsetup message tm-seal 0 mark 7 2"));
	EXPECT_SET(CURRENT, "3 7-8");
	EXPECT_EQ(0, sh("dmsetup message tm-seal 0 threshold 5"));
	EXPECT_EQ(5, disk_info(&self->disk).threshold);
	EXPECT_EQ(0, sh("dmsetup message tm-seal 0 seal > /dev/null"));
	EXPECT_EQ(0, seal_wait(&self->disk, 2, 10000));
	EXPECT_EQ(0, sh("dmsetup message tm-seal 0 commit 2"));
	EXPECT_EQ(2, disk_info(&self->disk).committed_epoch);
	EXPECT_NE(0, sh("dmsetup message tm-seal 0 commit 2 2> /dev/null"));
	EXPECT_NE(0, sh("dmsetup message tm-seal 0 nonsense 2> /dev/null"));
	EXPECT_NE(0, sh("dmsetup message tm-seal 0 mark 255 2 2> /dev/null"));
	EXPECT_NE(0, sh("dmsetup message tm-seal 0 mark 1 0 2> /dev/null"));
	EXPECT_EQ(0, sh("dmsetup table tm-seal | grep -q 'tidemark [0-9]*:[0-9]* - 128 0$'"));
	EXPECT_EQ(0, sh("dmsetup status tm-seal | grep -q ' 128 256 3 0 2 0 0 0 0 open$'"));
}

#define DISKS 5

FIXTURE(group) {
	struct disk disk[DISKS];
};

FIXTURE_SETUP(group)
{
	struct disk_options options = { .bytes = 4 * MIB };
	char name[32];

	for (int i = 0; i < DISKS; i++) {
		snprintf(name, sizeof(name), "tm-group%d", i);
		ASSERT_EQ(0, disk_create(&self->disk[i], name, options));
	}
}

FIXTURE_TEARDOWN(group)
{
	for (int i = 0; i < DISKS; i++)
		disk_remove(&self->disk[i]);
}

TEST_F_TIMEOUT(group, in_any_order, TIMEOUT)
{
	static const int order[DISKS] = { 3, 0, 4, 1, 2 };
	struct tidemark_seal_disk disks[DISKS] = {};
	struct tidemark_seal seal = {
		.size = sizeof(seal), .count = DISKS, .timeout_ms = 10000,
		.disks = (uintptr_t)disks,
	};
	uint64_t epoch = 0;

	/* one disk is an epoch ahead of the others */
	ASSERT_EQ(0, seal_drained(&self->disk[4], 0, &epoch));
	for (int i = 0; i < DISKS; i++) {
		disks[i].disk = self->disk[order[i]].id;
		for (int j = 0; j <= i; j++)
			ASSERT_EQ(0, mark(&self->disk[order[i]], j));
	}
	EXPECT_EQ(0, request(TIDEMARK_IOC_SEAL, &seal));
	for (int i = 0; i < DISKS; i++) {
		EXPECT_EQ(order[i] == 4 ? 2 : 1, disks[i].epoch);
		EXPECT_EQ(i + 1, disks[i].owed);
		EXPECT_EQ(self->disk[order[i]].id, disks[i].disk);
	}
	TH_LOG("writers were kept out for %llu ns", (unsigned long long)seal.excluded_ns);
	EXPECT_LT(0, seal.excluded_ns);
	EXPECT_GT(1000000000, seal.excluded_ns);
}

TEST_F_TIMEOUT(group, all_or_none, TIMEOUT)
{
	struct tidemark_seal_disk disks[DISKS] = {};
	struct tidemark_seal seal = {
		.size = sizeof(seal), .count = DISKS, .timeout_ms = 100,
		.disks = (uintptr_t)disks,
	};

	for (int i = 0; i < DISKS; i++)
		disks[i].disk = self->disk[i].id;
	disks[2].disk = 1000000;
	EXPECT_EQ(-ENODEV, request(TIDEMARK_IOC_SEAL, &seal));
	disks[2].disk = disks[4].disk;
	EXPECT_EQ(-EINVAL, request(TIDEMARK_IOC_SEAL, &seal));
	for (int i = 0; i < DISKS; i++)
		EXPECT_EQ(1, disk_info(&self->disk[i]).epoch);
}

TEST_HARNESS_MAIN
