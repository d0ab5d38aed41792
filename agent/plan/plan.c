// SPDX-License-Identifier: GPL-2.0-or-later
#include "plan/plan.h"

#include <errno.h>

#include "base/util.h"

static uint64_t plan_granules(const struct plan *p)
{
	/* Not u64_div_up(): the size of a disk may be near 2^64. */
	return p->size / p->granule + (p->size % p->granule != 0);
}

void plan_init(struct plan *p, uint64_t size, uint32_t granule, uint64_t region_max)
{
	*p = (struct plan){
		.size = size,
		.granule = granule,
		.region_granules = u64_max(region_max / granule, 1),
	};
}

int plan_feed(struct plan *p, const struct plan_run *runs, size_t count)
{
	uint64_t granules = plan_granules(p);
	uint64_t past = p->end;

	if (p->count || p->finished)
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		if (runs[i].count == 0 || runs[i].first < past || runs[i].first >= granules ||
		    runs[i].count > granules - runs[i].first)
			return -EINVAL;
		past = runs[i].first + runs[i].count;
	}
	p->runs = runs;
	p->count = count;
	return 0;
}

void plan_finish(struct plan *p)
{
	p->finished = 1;
}

uint64_t plan_bytes(const struct plan *p, uint64_t first, uint64_t count)
{
	uint64_t offset = first * p->granule;

	return u64_min(count * p->granule, p->size - offset);
}

/* Take in the runs that touch what is being cut. */
static void plan_merge(struct plan *p)
{
	while (p->count && (p->first == p->end || p->runs->first == p->end)) {
		if (p->first == p->end)
			p->first = p->runs->first;
		p->end = p->runs->first + p->runs->count;
		p->runs++;
		p->count--;
	}
}

int plan_next(struct plan *p, struct plan_region *ret)
{
	uint64_t count;

	plan_merge(p);
	/* What is left may go on in the next page, unless it is enough already. */
	if (p->end - p->first < p->region_granules && !p->count && !p->finished)
		return PLAN_MORE;
	if (p->first == p->end)
		return PLAN_END;
	count = u64_min(p->end - p->first, p->region_granules);
	*ret = (struct plan_region){
		.first = p->first,
		.count = count,
		.offset = p->first * p->granule,
		.length = plan_bytes(p, p->first, count),
	};
	p->first += count;
	return PLAN_REGION;
}
