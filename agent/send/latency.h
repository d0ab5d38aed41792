/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Latency: how long the reads and writes of a block device take, from the counters
 * that the kernel keeps of it in /sys/dev/block/MAJOR:MINOR/stat. Pure.
 *
 * The kernel counts in its own ticks (1 to 10 ms): one request tells little, the mean of
 * many is right.
 */
#ifndef TIDEMARK_SEND_LATENCY_H
#define TIDEMARK_SEND_LATENCY_H

#include <stdint.h>

/**
 * struct latency_stat - the counters at a moment
 * @ios: reads and writes that have ended
 * @ticks_ms: how long they took, together
 * @in_flight: requests that have not ended
 */
struct latency_stat {
	uint64_t ios;
	uint64_t ticks_ms;
	uint64_t in_flight;
};

/** latency_parse() - the text of such a file. Return: 0 or -EINVAL */
int latency_parse(const char *text, struct latency_stat *ret);

/**
 * latency_mean() - of what ended between two looks
 * @elapsed_us: from @before to @after
 *
 * If something was on its way at both looks and nothing ended between them, that has
 * taken @elapsed_us at least.
 *
 * Return: µs; 0: nothing ended, and nothing was kept waiting.
 */
uint64_t latency_mean(const struct latency_stat *before, const struct latency_stat *after,
		      uint64_t elapsed_us);

#endif
