// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/latency.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

int latency_parse(const char *text, struct latency_stat *ret)
{
	uint64_t reads, read_ms, writes, write_ms, in_flight;

	/* ios, merged, sectors, ms: of reads, then of writes. Documentation/block/stat.rst */
	if (sscanf(text,
		   "%" SCNu64 " %*u %*u %" SCNu64 " %" SCNu64 " %*u %*u %" SCNu64 " %" SCNu64,
		   &reads, &read_ms, &writes, &write_ms, &in_flight) != 5)
		return -EINVAL;
	*ret = (struct latency_stat){ reads + writes, read_ms + write_ms, in_flight };
	return 0;
}

uint64_t latency_mean(const struct latency_stat *before, const struct latency_stat *after,
		      uint64_t elapsed_us)
{
	uint64_t ios = after->ios - before->ios;

	/* Another device in its place begins at 0. */
	if (after->ios < before->ios || after->ticks_ms < before->ticks_ms)
		return 0;
	if (!ios)
		return before->in_flight && after->in_flight ? elapsed_us : 0;
	return (after->ticks_ms - before->ticks_ms) * 1000 / ios;
}
