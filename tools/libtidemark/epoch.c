// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * epoch - seal, wait, release, settle, mark, commit, fold
 *
 * The kernel bounds how many runs one request may carry; here any number is
 * sent, in pieces. Clearing owed or sealed bits piece by piece and setting
 * current ones is safe at any point in between: each piece says something true
 * about its own granules only.
 */
#include "libtidemark/control.h"

#include <errno.h>

int tidemark_seal(struct tidemark *t, struct tidemark_seal_disk *disks, size_t count,
		  uint32_t flags, uint32_t timeout_ms, uint64_t *ret_excluded_ns)
{
	struct tidemark_seal arg = {
		.size = sizeof(arg),
		.flags = flags,
		.timeout_ms = timeout_ms,
		.disks = (uintptr_t)disks,
	};
	int r;

	/* one instant for all of them: this array cannot be cut into pieces */
	if (count > TIDEMARK_SEAL_MAX)
		return -E2BIG;
	arg.count = (uint32_t)count;

	r = control_request(t, TIDEMARK_IOC_SEAL, &arg);
	if (r)
		return r;
	if (ret_excluded_ns)
		*ret_excluded_ns = arg.excluded_ns;
	return 0;
}

int tidemark_wait(struct tidemark *t, uint64_t disk, uint64_t epoch, uint32_t timeout_ms)
{
	struct tidemark_wait arg = {
		.size = sizeof(arg),
		.disk = disk,
		.epoch = epoch,
		.timeout_ms = timeout_ms,
	};

	return control_request(t, TIDEMARK_IOC_WAIT, &arg);
}

static int epoch_ranges(struct tidemark *t, unsigned long request, uint64_t disk, uint64_t epoch,
			const struct tidemark_run *runs, size_t count)
{
	while (count) {
		size_t piece = count < TIDEMARK_RUNS_MAX ? count : TIDEMARK_RUNS_MAX;
		struct tidemark_ranges arg = {
			.size = sizeof(arg),
			.disk = disk,
			.epoch = epoch,
			.count = (uint32_t)piece,
			.runs = (uintptr_t)runs,
		};
		int r;

		r = control_request(t, request, &arg);
		if (r)
			return r;
		runs += piece;
		count -= piece;
	}
	return 0;
}

int tidemark_release(struct tidemark *t, uint64_t disk, uint64_t epoch,
		     const struct tidemark_run *runs, size_t count)
{
	return epoch_ranges(t, TIDEMARK_IOC_RELEASE, disk, epoch, runs, count);
}

int tidemark_settle(struct tidemark *t, uint64_t disk, uint64_t epoch,
		    const struct tidemark_run *runs, size_t count)
{
	return epoch_ranges(t, TIDEMARK_IOC_SETTLE, disk, epoch, runs, count);
}

int tidemark_mark(struct tidemark *t, uint64_t disk, const struct tidemark_run *runs,
		  size_t count)
{
	return epoch_ranges(t, TIDEMARK_IOC_MARK, disk, 0, runs, count);
}

static int epoch_end(struct tidemark *t, unsigned long request, uint64_t disk, uint64_t epoch)
{
	struct tidemark_end arg = { .size = sizeof(arg), .disk = disk, .epoch = epoch };

	return control_request(t, request, &arg);
}

int tidemark_commit(struct tidemark *t, uint64_t disk, uint64_t epoch)
{
	return epoch_end(t, TIDEMARK_IOC_COMMIT, disk, epoch);
}

int tidemark_fold(struct tidemark *t, uint64_t disk, uint64_t epoch)
{
	return epoch_end(t, TIDEMARK_IOC_FOLD, disk, epoch);
}

int tidemark_threshold(struct tidemark *t, uint64_t disk, uint64_t granules)
{
	struct tidemark_threshold arg = {
		.size = sizeof(arg),
		.disk = disk,
		.granules = granules,
	};

	return control_request(t, TIDEMARK_IOC_THRESHOLD, &arg);
}
