// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The fuzzer's requests to the control device. A table says of each request
 * what its members are and how it may end; members get values that are mostly
 * right, so that a request comes far, and one or the other that is not.
 */
#include "fuzz.h"

#include <errno.h>
#include <linux/tidemark.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

enum kind {
	ZERO,		/* must be 0 */
	FLAGS,		/* those that are known in @limit */
	DISK,
	EPOCH,
	WHICH,
	FIRST,		/* of a range of granules */
	COUNT,
	ENTRIES,	/* of an array, @limit at most */
	TIMEOUT,
	BYTES,
	DISKS,		/* address of an array that is read */
	RUNS,
	OUT,		/* address of an array that is written */
};

/**
 * struct member - of a request
 * @offset: in its struct
 * @length: 4 or 8
 * @kind: what it is
 * @limit: see there
 */
struct member {
	uint16_t offset;
	uint8_t length;
	uint8_t kind;
	uint32_t limit;
};

#define M(type, name, kind, limit) \
	{ offsetof(struct tidemark_##type, name), sizeof(((struct tidemark_##type *)0)->name), \
	  kind, limit }
#define ERRNO(number) (1ULL << (number))
/* Whatever is asked, these are answers. */
#define ANY (ERRNO(EFAULT) | ERRNO(EINVAL) | ERRNO(E2BIG) | ERRNO(EBADF) | ERRNO(ENOMEM))
#define EPOCHS (ANY | ERRNO(ENODEV) | ERRNO(ENODATA) | ERRNO_STALE | ERRNO(EAGAIN))
#define ERRNO_STALE (1ULL << 63)
#define ERRNO_TIMEDOUT (1ULL << 62)

/**
 * struct kind_of_request - a request
 * @number: of the ioctl
 * @size: of its struct
 * @errnos: with which it may end
 * @members: besides size
 */
struct kind_of_request {
	unsigned int number;
	uint32_t size;
	uint64_t errnos;
	struct member members[10];
};

static const struct kind_of_request requests[] = {
	{ TIDEMARK_IOC_VERSION, sizeof(struct tidemark_version), ANY, {
		M(version, flags, FLAGS, 0) } },
	{ TIDEMARK_IOC_LIST, sizeof(struct tidemark_list), ANY | ERRNO(ENOSPC), {
		M(list, flags, FLAGS, 0), M(list, capacity, ENTRIES, 8),
		M(list, disks, OUT, 0) } },
	{ TIDEMARK_IOC_INFO, sizeof(struct tidemark_info), ANY | ERRNO(ENODEV), {
		M(info, flags, FLAGS, 0), M(info, disk, DISK, 0), M(info, reserved, ZERO, 0),
		M(info, reserved2, ZERO, 0) } },
	{ TIDEMARK_IOC_SEAL, sizeof(struct tidemark_seal),
	  ANY | ERRNO(ENODEV) | ERRNO_TIMEDOUT | ERRNO(EINTR), {
		M(seal, flags, FLAGS, TIDEMARK_SEAL_EXTEND),
		M(seal, count, ENTRIES, TIDEMARK_SEAL_MAX), M(seal, timeout_ms, TIMEOUT, 0),
		M(seal, disks, DISKS, 0) } },
	{ TIDEMARK_IOC_WAIT, sizeof(struct tidemark_wait),
	  EPOCHS | ERRNO_TIMEDOUT | ERRNO(EINTR), {
		M(wait, flags, FLAGS, 0), M(wait, disk, DISK, 0), M(wait, epoch, EPOCH, 0),
		M(wait, timeout_ms, TIMEOUT, 0), M(wait, reserved, ZERO, 0) } },
	{ TIDEMARK_IOC_READ, sizeof(struct tidemark_read),
	  ANY | ERRNO(ENODEV) | ERRNO(ENODATA) | ERRNO_STALE, {
		M(read, flags, FLAGS, 0), M(read, disk, DISK, 0), M(read, which, WHICH, 0),
		M(read, reserved, ZERO, 0), M(read, first, FIRST, 8), M(read, count, COUNT, 0),
		M(read, bitmap, OUT, 0) } },
	{ TIDEMARK_IOC_RUNS, sizeof(struct tidemark_runs),
	  ANY | ERRNO(ENODEV) | ERRNO(ENODATA) | ERRNO_STALE, {
		M(runs, flags, FLAGS, 0), M(runs, disk, DISK, 0), M(runs, which, WHICH, 0),
		M(runs, capacity, ENTRIES, TIDEMARK_RUNS_MAX), M(runs, first, FIRST, 1),
		M(runs, count, COUNT, 0), M(runs, runs, OUT, 0), M(runs, reserved, ZERO, 0) } },
	{ TIDEMARK_IOC_COUNT, sizeof(struct tidemark_count),
	  ANY | ERRNO(ENODEV) | ERRNO(ENODATA) | ERRNO_STALE, {
		M(count, flags, FLAGS, 0), M(count, disk, DISK, 0), M(count, which, WHICH, 0),
		M(count, reserved, ZERO, 0), M(count, first, FIRST, 1), M(count, count, COUNT, 0) } },
#define RANGES { M(ranges, flags, FLAGS, 0), M(ranges, disk, DISK, 0), M(ranges, epoch, EPOCH, 0), \
		 M(ranges, count, ENTRIES, TIDEMARK_RUNS_MAX), M(ranges, reserved, ZERO, 0), \
		 M(ranges, runs, RUNS, 0) }
	{ TIDEMARK_IOC_RELEASE, sizeof(struct tidemark_ranges), EPOCHS, RANGES },
	{ TIDEMARK_IOC_SETTLE, sizeof(struct tidemark_ranges), EPOCHS, RANGES },
	{ TIDEMARK_IOC_MARK, sizeof(struct tidemark_ranges), ANY | ERRNO(ENODEV), RANGES },
#define END { M(end, flags, FLAGS, 0), M(end, disk, DISK, 0), M(end, epoch, EPOCH, 0) }
	{ TIDEMARK_IOC_COMMIT, sizeof(struct tidemark_end), EPOCHS, END },
	{ TIDEMARK_IOC_FOLD, sizeof(struct tidemark_end), EPOCHS, END },
	{ TIDEMARK_IOC_THRESHOLD, sizeof(struct tidemark_threshold), ANY | ERRNO(ENODEV), {
		M(threshold, flags, FLAGS, 0), M(threshold, disk, DISK, 0),
		M(threshold, granules, COUNT, 0) } },
	{ TIDEMARK_IOC_POOL, sizeof(struct tidemark_pool_size), ANY | ERRNO(ENODEV), {
		M(pool_size, flags, FLAGS, 0), M(pool_size, disk, DISK, 0),
		M(pool_size, bytes, BYTES, 0) } },
};

#define REQUESTS (sizeof(requests) / sizeof(requests[0]))

/**
 * struct aim - the disk that a request is about, as INFO sees it
 * @info: all 0 when there is none
 */
struct aim {
	struct tidemark_info info;
};

/* Disks that are there now; half of the time one of them is taken. */
static uint64_t disk_take(struct fuzz_thread *thread)
{
	uint64_t disks[2 * FUZZ_DISKS];
	struct tidemark_list list = {
		.size = sizeof(list), .capacity = 2 * FUZZ_DISKS, .disks = (uintptr_t)disks,
	};

	if (!fuzz_one_in(&thread->input, 16) && !ioctl(thread->control, TIDEMARK_IOC_LIST, &list) &&
	    list.count)
		return disks[fuzz_below(&thread->input, list.count)];
	return fuzz_number(&thread->input);
}

static uint64_t epoch_take(struct fuzz_input *input, const struct aim *aim)
{
	switch (fuzz_below(input, 12)) {
	case 0: return 0;
	case 1: return aim->info.epoch;
	case 2: return aim->info.committed_epoch;
	case 3: return aim->info.sealed_epoch + 1;
	case 4: return fuzz_number(input);
	default: return aim->info.sealed_epoch;
	}
}

static uint64_t first_take(struct fuzz_input *input, const struct aim *aim, uint32_t step)
{
	uint64_t granules = aim->info.granules ?: 1;

	switch (fuzz_below(input, 8)) {
	case 0: return granules;
	case 1: return granules - 1;
	case 2: return fuzz_number(input);
	case 3: return 0;
	default: return fuzz_below(input, granules) / step * step;
	}
}

static uint64_t count_take(struct fuzz_input *input, const struct aim *aim, uint64_t first)
{
	uint64_t left = aim->info.granules - first;

	switch (fuzz_below(input, 8)) {
	case 0: return fuzz_number(input);
	case 1: return left + 1;
	case 2: return 0;
	case 3: return left;
	default: return left && left < 1U << 30 ? 1 + fuzz_below(input, left) : 1;
	}
}

static uint32_t entries_take(struct fuzz_input *input, uint32_t limit)
{
	switch (fuzz_below(input, 16)) {
	case 0: return limit + 1;
	case 1: return limit;
	case 2: return 0;
	case 3: return fuzz_number(input);
	default: return 1 + fuzz_below(input, limit < 6 ? limit : 6);
	}
}

/* An address: the arena, or one of those that must end in EFAULT, or near one. */
static uint64_t address_take(struct fuzz_thread *thread)
{
	struct fuzz_input *input = &thread->input;
	uint8_t *end = thread->arena + FUZZ_ARENA;

	switch (fuzz_below(input, 24)) {
	case 0: return 0;
	case 1: return (uintptr_t)end - fuzz_below(input, 64);
	case 2: return (uintptr_t)thread->readonly;
	case 3: return 0xffff888000000000ULL + fuzz_take(input, 2);
	case 4: return fuzz_number(input);
	case 5: return (uintptr_t)thread->arena + 1;
	default: return (uintptr_t)thread->arena;
	}
}

/* What arrays are read from: a few entries that make sense, then a pattern. */
static void arena_runs(struct fuzz_thread *thread, const struct aim *aim)
{
	struct tidemark_run *runs = (struct tidemark_run *)thread->arena;

	for (int i = 0; i < 8; i++) {
		runs[i].first = first_take(&thread->input, aim, 1);
		runs[i].count = count_take(&thread->input, aim, runs[i].first);
	}
	for (int i = 8; i < 64; i++)
		runs[i] = (struct tidemark_run){ .first = i % (aim->info.granules ?: 1), .count = 1 };
}

static void arena_disks(struct fuzz_thread *thread)
{
	struct tidemark_seal_disk *disks = (struct tidemark_seal_disk *)thread->arena;

	for (int i = 0; i < 8; i++)
		disks[i].disk = disk_take(thread);
}

static uint64_t member_take(struct fuzz_thread *thread, const struct member *member,
			    const struct aim *aim, uint64_t first)
{
	struct fuzz_input *input = &thread->input;

	switch ((enum kind)member->kind) {
	case ZERO:	return fuzz_one_in(input, 32) ? fuzz_number(input) : 0;
	case FLAGS:	return fuzz_one_in(input, 32) ? fuzz_number(input) :
						fuzz_take(input, 1) & member->limit;
	case DISK:	return aim->info.disk;
	case EPOCH:	return epoch_take(input, aim);
	case WHICH:	return fuzz_one_in(input, 16) ? fuzz_number(input) : fuzz_below(input, 3);
	case FIRST:	return first_take(input, aim, member->limit);
	case COUNT:	return count_take(input, aim, first);
	case ENTRIES:	return entries_take(input, member->limit);
	case TIMEOUT:	return fuzz_one_in(input, 32) ? TIDEMARK_TIMEOUT_MAX + 1 + fuzz_take(input, 4) :
						fuzz_below(input, 30);
	/* more than that would be a test of the memory, not of the module */
	case BYTES:	return fuzz_one_in(input, 16) ? TIDEMARK_POOL_MAX + 1 + fuzz_number(input) :
						fuzz_below(input, 4 << 20);
	case DISKS:
		arena_disks(thread);
		return address_take(thread);
	case RUNS:
		arena_runs(thread, aim);
		return address_take(thread);
	case OUT:	return address_take(thread);
	}
	return 0;
}

static uint32_t size_take(struct fuzz_input *input, uint32_t size)
{
	switch (fuzz_below(input, 32)) {
	case 0: return size - 8;
	case 1: return size + 8;
	case 2: return 0;
	case 3: return fuzz_number(input);
	case 4: return 4096 + fuzz_below(input, 2);
	default: return size;
	}
}

static bool errno_allowed(uint64_t allowed, int err)
{
	if (err == ESTALE)
		return allowed & ERRNO_STALE;
	if (err == ETIMEDOUT)
		return allowed & ERRNO_TIMEDOUT;
	return err < 62 && allowed & ERRNO(err);
}

/* One request; what it must not end with is said and counted. */
void fuzz_request(struct fuzz_thread *thread)
{
	struct fuzz_input *input = &thread->input;
	const struct kind_of_request *kind = &requests[fuzz_below(input, REQUESTS)];
	unsigned int number = kind->number;
	uint64_t first = 0;
	uint8_t space[4096 + 64] = {};
	struct aim aim = { .info = { .size = sizeof(aim.info), .disk = disk_take(thread) } };
	uint64_t disk = aim.info.disk;
	uint32_t size = size_take(input, kind->size);
	int err;

	if (ioctl(thread->control, TIDEMARK_IOC_INFO, &aim.info))
		aim.info = (struct tidemark_info){ .disk = disk };
	for (const struct member *member = kind->members; member->length; member++) {
		uint64_t value = member_take(thread, member, &aim, first);

		memcpy(space + member->offset, &value, member->length);
		if (member->kind == FIRST)
			first = value;
	}
	memcpy(space, &size, sizeof(size));
	if (fuzz_one_in(input, 32))	/* behind what the kernel knows */
		space[kind->size + fuzz_below(input, 64)] = 1;
	if (fuzz_one_in(input, 64)) {
		number = fuzz_one_in(input, 2) ? _IO(TIDEMARK_IOC_TYPE, fuzz_take(input, 1)) :
						 fuzz_number(input);
	}
	err = ioctl(fuzz_one_in(input, 32) ? thread->control_ro : thread->control, number,
		    fuzz_one_in(input, 64) ? (void *)(uintptr_t)address_take(thread) : space) ?
	      errno : 0;
	fuzz_count(thread, err);
	if (err && number == kind->number && !errno_allowed(kind->errnos, err)) {
		printf("# request %#x, which must not, ended with: %s\n", number, strerror(err));
		thread->strange++;
	}
}
