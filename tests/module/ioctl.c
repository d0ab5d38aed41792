// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the control device refuses, and with which errno: the table "ERRORS" of
 * <linux/tidemark.h>, request by request.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"
#include "kselftest_harness.h"

#define TIMEOUT 1200

/**
 * struct known - a request
 * @name: of it
 * @number: of it
 * @size: of its struct
 * @change: needs rights
 * @disk: offset of the disk's number, or 0
 */
static const struct known {
	const char *name;
	unsigned long number;
	uint32_t size;
	bool change;
	size_t disk;
} requests[] = {
#define REQUEST(name, type, change, disk) \
	{ #name, TIDEMARK_IOC_##name, sizeof(struct tidemark_##type), change, disk }
	REQUEST(VERSION, version, false, 0),
	REQUEST(LIST, list, false, 0),
	REQUEST(INFO, info, false, offsetof(struct tidemark_info, disk)),
	REQUEST(SEAL, seal, true, 0),
	REQUEST(WAIT, wait, true, offsetof(struct tidemark_wait, disk)),
	REQUEST(READ, read, false, offsetof(struct tidemark_read, disk)),
	REQUEST(RUNS, runs, false, offsetof(struct tidemark_runs, disk)),
	REQUEST(COUNT, count, false, offsetof(struct tidemark_count, disk)),
	REQUEST(RELEASE, ranges, true, offsetof(struct tidemark_ranges, disk)),
	REQUEST(SETTLE, ranges, true, offsetof(struct tidemark_ranges, disk)),
	REQUEST(MARK, ranges, true, offsetof(struct tidemark_ranges, disk)),
	REQUEST(COMMIT, end, true, offsetof(struct tidemark_end, disk)),
	REQUEST(FOLD, end, true, offsetof(struct tidemark_end, disk)),
	REQUEST(THRESHOLD, threshold, true, offsetof(struct tidemark_threshold, disk)),
	REQUEST(POOL, pool_size, true, offsetof(struct tidemark_pool_size, disk)),
};

#define REQUESTS (sizeof(requests) / sizeof(*requests))

/* Room for any struct, and a page that is longer than all of them. */
union any {
	uint32_t size;
	struct {
		uint32_t size_;
		uint32_t flags;
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
	uint8_t bytes[8192];
};

FIXTURE(ioctl) {
	struct disk disk;
	uint8_t room[65536];
	union any any;
};

FIXTURE_SETUP(ioctl)
{
	struct disk_options options = { .bytes = 16 * MIB };

	ASSERT_EQ(0, disk_create(&self->disk, "tm-ioctl", options));
}

FIXTURE_TEARDOWN(ioctl)
{
	disk_remove(&self->disk);
}

/* A request that succeeds, or says ENODATA where it needs a sealed epoch. */
static void prepare(struct disk *disk, const struct known *known, union any *any, void *room)
{
	memset(any, 0, sizeof(*any));
	memset(room, 0, 4096);
	any->size = known->size;
	if (known->disk)
		memcpy(any->bytes + known->disk, &disk->id, sizeof(disk->id));
	switch (known->number) {
	case TIDEMARK_IOC_LIST:
		any->list.capacity = 16;
		any->list.disks = (uintptr_t)room;
		break;
	case TIDEMARK_IOC_SEAL:
		((struct tidemark_seal_disk *)room)->disk = disk->id;
		any->seal.count = 1;
		any->seal.timeout_ms = 10000;
		any->seal.disks = (uintptr_t)room;
		break;
	case TIDEMARK_IOC_READ:
		any->read.count = 256;
		any->read.bitmap = (uintptr_t)room;
		break;
	case TIDEMARK_IOC_RUNS:
		any->runs.capacity = 16;
		any->runs.count = 256;
		any->runs.runs = (uintptr_t)room;
		break;
	case TIDEMARK_IOC_COUNT:
		any->count.count = 256;
		break;
	case TIDEMARK_IOC_RELEASE:
	case TIDEMARK_IOC_SETTLE:
	case TIDEMARK_IOC_MARK:
		((struct tidemark_run *)room)->count = 1;
		any->ranges.count = 1;
		any->ranges.runs = (uintptr_t)room;
		break;
	}
}

#define FOR_ALL_REQUESTS(known)								\
	for (const struct known *known = requests; known < requests + REQUESTS; known++)

#define PREPARE(known) prepare(&self->disk, known, &self->any, self->room)

#define EXPECT_ERROR(error, known) \
	EXPECT_EQ(error, request((known)->number, &self->any)) TH_LOG("with %s", (known)->name)

/* What the struct measured when it was first released. */
static uint32_t size_first(const struct known *known)
{
	return known->number == TIDEMARK_IOC_INFO ? offsetof(struct tidemark_info, views) :
						    known->size;
}

static int control_as(struct __test_metadata *_metadata, int flags)
{
	int fd = open(TIDEMARK_CONTROL_PATH, flags | O_CLOEXEC);

	ASSERT_LE(0, fd);
	return fd;
}

TEST_F_TIMEOUT(ioctl, all_succeed, TIMEOUT)
{
	FOR_ALL_REQUESTS(known) {
		bool sealed = known->number == TIDEMARK_IOC_WAIT ||
			      known->number == TIDEMARK_IOC_RELEASE ||
			      known->number == TIDEMARK_IOC_SETTLE ||
			      known->number == TIDEMARK_IOC_COMMIT ||
			      known->number == TIDEMARK_IOC_FOLD;
		uint64_t epoch = 0;

		PREPARE(known);
		if (sealed) {
			EXPECT_EQ(0, seal_drained(&self->disk, 0, &epoch));
			PREPARE(known);
			self->any.end.epoch = epoch;	/* at one place in all of them */
		}
		EXPECT_ERROR(0, known);
		EXPECT_EQ(known->size, self->any.size);
		if (sealed)
			end(TIDEMARK_IOC_FOLD, &self->disk, epoch);
	}
}

TEST_F_TIMEOUT(ioctl, version, TIMEOUT)
{
	struct tidemark_version version = { .size = sizeof(version) };

	EXPECT_EQ(0, request(TIDEMARK_IOC_VERSION, &version));
	EXPECT_EQ(TIDEMARK_ABI_MAJOR, version.abi_major);
	EXPECT_EQ(TIDEMARK_ABI_MINOR, version.abi_minor);
	EXPECT_EQ(TIDEMARK_FEATURE_SEAL_EXTEND | TIDEMARK_FEATURE_SETTLE |
		  TIDEMARK_FEATURE_THRESHOLD | TIDEMARK_FEATURE_VIEW | TIDEMARK_FEATURE_META |
		  TIDEMARK_FEATURE_WITNESS, version.features);
	EXPECT_LT(0, strlen((char *)version.release));
}

TEST_F_TIMEOUT(ioctl, no_such_request, TIMEOUT)
{
	EXPECT_EQ(-ENOTTY, request(_IO(TIDEMARK_IOC_TYPE, 15), &self->any));
	EXPECT_EQ(-ENOTTY, request(_IO(TIDEMARK_IOC_TYPE, 255), &self->any));
	EXPECT_EQ(-ENOTTY, request(_IO(0xB6, 0), &self->any));
	EXPECT_EQ(-ENOTTY, request(_IOWR(TIDEMARK_IOC_TYPE, 0, struct tidemark_version),
				   &self->any));
	EXPECT_EQ(-ENOTTY, request(0, NULL));
}

TEST_F_TIMEOUT(ioctl, size, TIMEOUT)
{
	FOR_ALL_REQUESTS(known) {
		PREPARE(known);
		self->any.size = size_first(known) - 1;
		EXPECT_ERROR(-EINVAL, known);
		if (!known->change) {
			self->any.size = size_first(known);
			EXPECT_ERROR(0, known);
			EXPECT_EQ(size_first(known), self->any.size);
		}
		self->any.size = 0;
		EXPECT_ERROR(-EINVAL, known);
		self->any.size = 4;
		EXPECT_ERROR(-EINVAL, known);
		self->any.size = 0xffffffff;
		EXPECT_ERROR(-E2BIG, known);
		/* longer with something that is not known */
		self->any.size = known->size + 8;
		self->any.bytes[known->size + 7] = 1;
		EXPECT_ERROR(-E2BIG, known);
		self->any.bytes[known->size + 7] = 0;
		if (!known->change) {
			EXPECT_ERROR(0, known);
			EXPECT_EQ(known->size + 8, self->any.size);
		}
	}
}

TEST_F_TIMEOUT(ioctl, flags, TIMEOUT)
{
	FOR_ALL_REQUESTS(known) {
		for (int bit = 0; bit < 32; bit++) {
			if (known->number == TIDEMARK_IOC_SEAL &&
			    1U << bit == TIDEMARK_SEAL_EXTEND)
				continue;
			PREPARE(known);
			self->any.flags = 1U << bit;
			EXPECT_ERROR(-EINVAL, known);
		}
	}
}

TEST_F_TIMEOUT(ioctl, reserved, TIMEOUT)
{
#define RESERVED(number, member) do {						\
	PREPARE(&requests[_IOC_NR(TIDEMARK_IOC_##number)]);			\
	self->any.member = 1;							\
	EXPECT_ERROR(-EINVAL, &requests[_IOC_NR(TIDEMARK_IOC_##number)]);	\
} while (0)
	RESERVED(INFO, info.reserved);
	RESERVED(INFO, info.reserved2);
	RESERVED(WAIT, wait.reserved);
	RESERVED(READ, read.reserved);
	RESERVED(RUNS, runs.reserved);
	RESERVED(COUNT, count.reserved);
	RESERVED(RELEASE, ranges.reserved);
	RESERVED(SETTLE, ranges.reserved);
	RESERVED(MARK, ranges.reserved);
	RESERVED(MARK, ranges.epoch);
}

TEST_F_TIMEOUT(ioctl, unknown_disk, TIMEOUT)
{
	static const uint64_t numbers[] = { 0, 1000000, ~0ULL };

	FOR_ALL_REQUESTS(known) {
		for (int i = 0; i < 3; i++) {
			PREPARE(known);
			if (known->number == TIDEMARK_IOC_SEAL)
				memcpy(self->room, &numbers[i], sizeof(*numbers));
			else if (known->disk)
				memcpy(self->any.bytes + known->disk, &numbers[i],
				       sizeof(*numbers));
			else
				continue;
			EXPECT_ERROR(-ENODEV, known);
		}
	}
}

TEST_F_TIMEOUT(ioctl, bad_pointers, TIMEOUT)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t epoch = 0;

	ASSERT_NE(MAP_FAILED, page);
	munmap(page + 4096, 4096);
	ASSERT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 0, 256));
	FOR_ALL_REQUESTS(known) {
		char *at = page + 4096 - known->size + 8;

		EXPECT_EQ(-EFAULT, request(known->number, NULL));
		EXPECT_EQ(-EFAULT, request(known->number, page + 4096));
		/* the struct reaches over the end of the memory */
		memcpy(at, &known->size, sizeof(known->size));
		EXPECT_EQ(-EFAULT, request(known->number, at)) TH_LOG("with %s", known->name);
	}
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	ASSERT_EQ(0, change(TIDEMARK_IOC_MARK, &self->disk, 0, 0, 256));
	for (int i = 0; i < REQUESTS; i++) {
		const struct known *known = &requests[i];

		PREPARE(known);
		switch (known->number) {
		case TIDEMARK_IOC_LIST:
			self->any.list.disks = 8;
			break;
		case TIDEMARK_IOC_SEAL:
			self->any.seal.disks = 8;
			break;
		case TIDEMARK_IOC_READ:
			self->any.read.bitmap = 8;
			break;
		case TIDEMARK_IOC_RUNS:
			self->any.runs.runs = 8;
			break;
		case TIDEMARK_IOC_RELEASE:
		case TIDEMARK_IOC_SETTLE:
			self->any.ranges.epoch = epoch;
			self->any.ranges.runs = 8;
			break;
		case TIDEMARK_IOC_MARK:
			self->any.ranges.runs = 8;
			break;
		default:
			continue;
		}
		EXPECT_ERROR(-EFAULT, known);
	}
}

TEST_F_TIMEOUT(ioctl, ranges, TIMEOUT)
{
	static const struct tidemark_run bad[] = {
		{ 0, 0 }, { 256, 1 }, { 255, 2 }, { 0, 257 }, { 1, ~0ULL }, { ~0ULL, 1 },
		{ ~0ULL, ~0ULL }, { 1ULL << 63, 1ULL << 63 },
	};
	uint64_t epoch = 0;

	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		for (size_t nr = 0; nr < REQUESTS; nr++) {
			const struct known *known = &requests[nr];

			PREPARE(known);
			switch (known->number) {
			case TIDEMARK_IOC_READ:
				self->any.read.first = bad[i].first & ~7ULL;
				self->any.read.count = bad[i].count;
				if (bad[i].count && bad[i].count < 8 && bad[i].first == 255)
					self->any.read.count = 9;
				break;
			case TIDEMARK_IOC_RUNS:
				self->any.runs.first = bad[i].first;
				self->any.runs.count = bad[i].count;
				break;
			case TIDEMARK_IOC_COUNT:
				self->any.count.first = bad[i].first;
				self->any.count.count = bad[i].count;
				break;
			case TIDEMARK_IOC_RELEASE:
			case TIDEMARK_IOC_SETTLE:
				self->any.ranges.epoch = epoch;
				/* fall through */
			case TIDEMARK_IOC_MARK:
				memcpy(self->room, &bad[i], sizeof(bad[i]));
				break;
			default:
				continue;
			}
			EXPECT_ERROR(-EINVAL, known);
		}
	}
	PREPARE(&requests[_IOC_NR(TIDEMARK_IOC_READ)]);
	self->any.read.first = 4;
	self->any.read.count = 8;
	EXPECT_ERROR(-EINVAL, &requests[_IOC_NR(TIDEMARK_IOC_READ)]);
}

TEST_F_TIMEOUT(ioctl, which, TIMEOUT)
{
	static const int numbers[] = {
		_IOC_NR(TIDEMARK_IOC_READ), _IOC_NR(TIDEMARK_IOC_RUNS),
		_IOC_NR(TIDEMARK_IOC_COUNT),
	};

	for (int i = 0; i < 3; i++) {
		const struct known *known = &requests[numbers[i]];

		PREPARE(known);
		self->any.read.which = 3;	/* at one place in all of them */
		EXPECT_ERROR(-EINVAL, known);
		self->any.read.which = TIDEMARK_SEALED;
		EXPECT_ERROR(-ENODATA, known);
		self->any.read.which = TIDEMARK_OWED;
		EXPECT_ERROR(-ENODATA, known);
	}
}

TEST_F_TIMEOUT(ioctl, sealed_epoch, TIMEOUT)
{
	static const unsigned long numbers[] = {
		TIDEMARK_IOC_WAIT, TIDEMARK_IOC_RELEASE, TIDEMARK_IOC_SETTLE,
		TIDEMARK_IOC_COMMIT, TIDEMARK_IOC_FOLD,
	};
	uint64_t epoch = 0;

	for (int i = 0; i < 5; i++) {
		PREPARE(&requests[_IOC_NR(numbers[i])]);
		EXPECT_ERROR(-ENODATA, &requests[_IOC_NR(numbers[i])]);
	}
	ASSERT_EQ(0, seal_drained(&self->disk, 0, &epoch));
	for (int i = 0; i < 5; i++) {
		PREPARE(&requests[_IOC_NR(numbers[i])]);
		EXPECT_ERROR(-ESTALE, &requests[_IOC_NR(numbers[i])]);
		self->any.end.epoch = epoch + 1;
		EXPECT_ERROR(-ESTALE, &requests[_IOC_NR(numbers[i])]);
	}
}

TEST_F_TIMEOUT(ioctl, limits, TIMEOUT)
{
	const struct known *seal = &requests[_IOC_NR(TIDEMARK_IOC_SEAL)];
	const struct known *wait = &requests[_IOC_NR(TIDEMARK_IOC_WAIT)];
	const struct known *runs = &requests[_IOC_NR(TIDEMARK_IOC_RUNS)];
	const struct known *mark = &requests[_IOC_NR(TIDEMARK_IOC_MARK)];

	PREPARE(seal);
	self->any.seal.count = 0;
	EXPECT_ERROR(-EINVAL, seal);
	self->any.seal.count = TIDEMARK_SEAL_MAX + 1;
	EXPECT_ERROR(-E2BIG, seal);
	self->any.seal.count = 0xffffffff;
	EXPECT_ERROR(-E2BIG, seal);
	PREPARE(seal);
	self->any.seal.timeout_ms = TIDEMARK_TIMEOUT_MAX + 1;
	EXPECT_ERROR(-EINVAL, seal);
	PREPARE(seal);
	self->any.seal.count = 2;
	memcpy(self->room + sizeof(struct tidemark_seal_disk), self->room,
	       sizeof(struct tidemark_seal_disk));
	EXPECT_ERROR(-EINVAL, seal);
	EXPECT_EQ(1, disk_info(&self->disk).epoch);
	PREPARE(wait);
	self->any.wait.timeout_ms = TIDEMARK_TIMEOUT_MAX + 1;
	EXPECT_ERROR(-EINVAL, wait);
	PREPARE(runs);
	self->any.runs.capacity = 0;
	EXPECT_ERROR(-EINVAL, runs);
	self->any.runs.capacity = TIDEMARK_RUNS_MAX + 1;
	EXPECT_ERROR(-E2BIG, runs);
	PREPARE(mark);
	self->any.ranges.count = TIDEMARK_RUNS_MAX + 1;
	EXPECT_ERROR(-E2BIG, mark);
	self->any.ranges.count = 0;
	EXPECT_ERROR(0, mark);
}

TEST_F_TIMEOUT(ioctl, a_list_that_is_too_short, TIMEOUT)
{
	uint64_t number = 0;
	struct tidemark_list list = { .size = sizeof(list), .disks = (uintptr_t)&number };

	EXPECT_EQ(-ENOSPC, request(TIDEMARK_IOC_LIST, &list));
	EXPECT_EQ(1, list.count);
	EXPECT_EQ(0, number);
	list.capacity = 1;
	EXPECT_EQ(0, request(TIDEMARK_IOC_LIST, &list));
	EXPECT_EQ(self->disk.id, number);
	list.capacity = 0xffffffff;
	EXPECT_EQ(0, request(TIDEMARK_IOC_LIST, &list));
}

TEST_F_TIMEOUT(ioctl, a_descriptor_for_reading, TIMEOUT)
{
	int fd = control_as(_metadata, O_RDONLY);

	FOR_ALL_REQUESTS(known) {
		int status;

		PREPARE(known);
		errno = 0;
		status = ioctl(fd, known->number, &self->any);
		EXPECT_EQ(known->change ? EBADF : 0, status ? errno : 0)
			TH_LOG("with %s", known->name);
	}
	close(fd);
}

TEST_F_TIMEOUT(ioctl, unprivileged, TIMEOUT)
{
	int fd = control_as(_metadata, O_RDWR), status = 0;
	pid_t child;

	EXPECT_EQ(0, sh("[ \"$(stat -c %%a %s)\" = 640 ]", TIDEMARK_CONTROL_PATH));
	child = fork();
	if (!child) {
		int failed = 0;

		if (setgid(65534) || setuid(65534))
			_exit(100);
		/* it cannot be opened; one that was inherited can only ask */
		failed += open(TIDEMARK_CONTROL_PATH, O_RDONLY) >= 0 || errno != EACCES;
		FOR_ALL_REQUESTS(known) {
			PREPARE(known);
			errno = 0;
			if (ioctl(fd, known->number, &self->any))
				failed += !known->change || errno != EPERM;
			else
				failed += known->change;
		}
		_exit(failed);
	}
	waitpid(child, &status, 0);
	EXPECT_EQ(0, status);
	close(fd);
}

TEST_HARNESS_MAIN
