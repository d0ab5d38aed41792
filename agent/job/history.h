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

/**
 * struct history_entry - a job as it is recorded
 * @id: its number
 * @collection: what it was about
 * @method: "Resynchronize", "Verify", ..., "cycle": a recurring run
 * @owner: who asked; "": the agent itself
 * @state: enum job_state
 * @error: enum reason_code, 0: none
 * @text: the sentence for it, or a warning
 * @point: number of its point, 0: none
 * @consistency: of that
 * @hash: by which it compared, "": it did not
 * @submitted: µs since 1970
 * @started: seconds since 1970
 * @ended: the same
 * @owed: bytes, as the rest; send/progress.h
 */
struct history_entry {
	uint64_t id;
	char collection[NAME_SIZE];
	char method[48];
	char owner[64];
	uint32_t consistency;
	char hash[16];
	int64_t submitted;
	uint32_t state;
	uint32_t error;
	char text[REASON_TEXT_MAX];
	uint64_t point;
	int64_t started;
	int64_t ended;
	uint64_t owed, sent, wire, different;
	uint32_t passes;
};

/** struct history_member - a VM of a job as it is recorded */
struct history_member {
	char vm[NAME_SIZE];
	uint32_t state;
	uint32_t error;
	char text[REASON_TEXT_MAX];
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

/** history_open() - open or create it, and bring its tables up to date */
int history_open(const char *state_dir, struct history **ret, struct reason *reason);
struct history *history_close(struct history *h);

/** history_state() - the same database, for the tables of the service */
struct state *history_state(struct history *h);

/** history_disk() - Return: 0, or -ENOENT: never committed; or another errno */
int history_disk(struct history *h, const char *collection, const char *vm, const char *disk,
		 struct history_disk *ret);

/** history_last() - the last ended job of a collection. Return: 0, -ENOENT, or an errno */
int history_last(struct history *h, const char *collection, struct history_entry *ret);

/**
 * history_page() - ended jobs, newest first
 * @collection: NULL: all
 * @before: only numbers below; 0: from the newest on
 * @count: so many at most
 * @cb: called for each; what it returns other than 0 ends it
 *
 * Return: 0, what @cb returned, or a negative errno.
 */
int history_page(struct history *h, const char *collection, uint64_t before, uint32_t count,
		 int (*cb)(const struct history_entry *e, void *arg), void *arg);

/** history_members() - the VMs of a job, in the same way */
int history_members(struct history *h, uint64_t job,
		    int (*cb)(const struct history_member *m, void *arg), void *arg);

#endif
