/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * History: what the jobs of this host did, in STATE_DIR/agent.db. Numbers of
 * jobs are its row numbers, so they are never given twice.
 */
#ifndef TIDEMARK_JOB_HISTORY_H
#define TIDEMARK_JOB_HISTORY_H

#include <stdbool.h>

#include "base/reason.h"
#include "send/run.h"

struct history;

/** struct history_entry - a job as it is recorded */
struct history_entry {
	uint64_t id;
	uint32_t state;
	uint32_t error;
	char text[REASON_TEXT_MAX];
	uint64_t point;
	int64_t started;
	int64_t ended;
	uint64_t owed, sent, wire, different;
	uint32_t passes;
};

/**
 * struct history_disk - how the last committed run of a disk ended
 * @uuid: of its tracker, zeroes: not tracked
 * @epoch: that its point closed
 * @point: number of the point
 * @ended: when, seconds since 1970
 */
struct history_disk {
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t epoch;
	uint64_t point;
	int64_t ended;
};

/**
 * history_open() - open or create it
 *
 * Jobs that were running when the agent ended are recorded as failed.
 */
int history_open(const char *state_dir, struct history **ret, struct reason *reason);
struct history *history_close(struct history *h);

/** history_begin() - a job begins; *@ret_id is its number */
int history_begin(struct history *h, const char *collection, int kind, int64_t now,
		  uint64_t *ret_id);

/**
 * history_end() - it has ended
 * @e: everything of it
 * @config: what it did
 * @report: NULL, or: its disks have a new committed point
 */
int history_end(struct history *h, const struct history_entry *e,
		const struct run_config *config, const struct run_report *report);

/** history_disk() - Return: 0, or -ENOENT: never committed; or another errno */
int history_disk(struct history *h, const char *collection, const char *vm, const char *disk,
		 struct history_disk *ret);

/** history_last() - the last ended job of a collection. Return: 0, -ENOENT, or an errno */
int history_last(struct history *h, const char *collection, struct history_entry *ret);

#endif
