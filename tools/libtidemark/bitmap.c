// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * bitmap - runs, read, count
 */
#include "libtidemark/control.h"

#include <errno.h>

/* The run that ended where a request's range was cut goes on in the next one. */
static size_t bitmap_join(struct tidemark_run *runs, size_t filled, size_t added)
{
	struct tidemark_run *last;

	if (!filled || !added)
		return filled + added;

	last = &runs[filled - 1];
	if (last->first + last->count != runs[filled].first)
		return filled + added;

	last->count += runs[filled].count;
	for (size_t i = filled; i + 1 < filled + added; i++)
		runs[i] = runs[i + 1];
	return filled + added - 1;
}

int tidemark_runs(struct tidemark *t, uint64_t disk, uint32_t which, uint64_t first,
		  uint64_t count, struct tidemark_run *runs, size_t capacity,
		  size_t *ret_filled, uint64_t *ret_next)
{
	uint64_t next = first, end;
	size_t filled = 0;
	int r;

	if (!capacity)
		return -EINVAL;
	r = control_range(t, disk, first, &count);
	if (r)
		return r;
	if (count > UINT64_MAX - first)
		return -EINVAL;
	end = first + count;

	while (filled < capacity && next < end) {
		size_t room = capacity - filled;
		struct tidemark_runs arg = {
			.size = sizeof(arg),
			.disk = disk,
			.which = which,
			.capacity = room < TIDEMARK_RUNS_MAX ? room : TIDEMARK_RUNS_MAX,
			.first = next,
			.count = end - next,
			.runs = (uintptr_t)(runs + filled),
		};

		r = control_request(t, TIDEMARK_IOC_RUNS, &arg);
		if (r)
			return r;
		/* neither past what was asked for, nor standing still for ever */
		if (arg.filled > arg.capacity || arg.next <= next || arg.next > end)
			return -EPROTO;
		filled = bitmap_join(runs, filled, arg.filled);
		next = arg.next;
	}

	*ret_filled = filled;
	*ret_next = next;
	return 0;
}

int tidemark_read(struct tidemark *t, uint64_t disk, uint32_t which, uint64_t first,
		  uint64_t count, void *bitmap)
{
	struct tidemark_read arg = {
		.size = sizeof(arg),
		.disk = disk,
		.which = which,
		.first = first,
		.count = count,
		.bitmap = (uintptr_t)bitmap,
	};

	return control_request(t, TIDEMARK_IOC_READ, &arg);
}

int tidemark_count(struct tidemark *t, uint64_t disk, uint32_t which, uint64_t first,
		   uint64_t count, uint64_t *ret_set)
{
	struct tidemark_count arg = {
		.size = sizeof(arg),
		.disk = disk,
		.which = which,
		.first = first,
	};
	int r = control_range(t, disk, first, &count);

	if (r)
		return r;
	arg.count = count;
	r = control_request(t, TIDEMARK_IOC_COUNT, &arg);
	if (r)
		return r;
	*ret_set = arg.set;
	return 0;
}
