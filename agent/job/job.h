/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs: what is asked of this agent and takes time. One for each collection at
 * a time; an ended one can be asked about for five minutes, its record in the
 * history for ever.
 *
 * Everything here belongs to the main thread. The threads of runs are known
 * through sender.h only.
 */
#ifndef TIDEMARK_JOB_JOB_H
#define TIDEMARK_JOB_JOB_H

#include "config/config.h"
#include "job/history.h"
#include "model/state.h"
#include "send/sender.h"

#define JOB_REMOVAL_S 300

/**
 * struct job - a job; read-only for others than job.c
 * @next: in the table
 * @id: its number
 * @collection: what it is about, of the configuration
 * @run: what it does
 * @state: enum job_state
 * @started: seconds since 1970
 * @ended: the same, 0: not yet
 * @started_ms: of the monotonic clock
 * @ended_ms: the same
 * @changed: when @state changed last, seconds since 1970
 * @error: enum reason_code, 0: none
 * @text: the sentence for it, or a warning
 * @sender: its run; report and reason stand once @ended
 */
struct job {
	struct job *next;
	uint64_t id;
	const struct config_collection *collection;
	struct run_config run;
	enum job_state state;
	int64_t started;
	int64_t ended;
	uint64_t started_ms;
	uint64_t ended_ms;
	int64_t changed;
	uint32_t error;
	char text[REASON_TEXT_MAX];
	struct sender *sender;
};

struct jobs;

/**
 * struct job_listener - who is told of changes
 * @added: a job was created
 * @changed: its state is another
 * @removed: it will be freed after the call
 * @owner: for all of them
 */
struct job_listener {
	void (*added)(void *owner, struct job *job);
	void (*changed)(void *owner, struct job *job);
	void (*removed)(void *owner, struct job *job);
	void *owner;
};

/** jobs_create() - an empty table. @config and @history are borrowed */
int jobs_create(struct jobs **ret, const struct config *config, struct history *history);
/** jobs_stop() - cancel all and wait for their ends. NULL is ignored */
void jobs_stop(struct jobs *j);
/** jobs_destroy() - after jobs_stop(). NULL is ignored. Return: NULL */
struct jobs *jobs_destroy(struct jobs *j);

void jobs_listen(struct jobs *j, const struct job_listener *listener);

/** jobs_fd() - readable when jobs_reap() has something to do */
int jobs_fd(const struct jobs *j);
/** jobs_reap() - take note of runs that have ended, forget old jobs */
void jobs_reap(struct jobs *j);

/** jobs_first() - all jobs, by .next */
struct job *jobs_first(struct jobs *j);
/** jobs_find() - by number; NULL: none */
struct job *jobs_find(struct jobs *j, uint64_t id);
/** jobs_running() - how many have not ended */
size_t jobs_running(struct jobs *j);
/** jobs_of() - the running job of a collection, or NULL */
struct job *jobs_of(struct jobs *j, const char *collection);

/** enum jobs_answer - what jobs_start() says */
enum jobs_answer {
	JOBS_STARTED = 1,
	JOBS_NOTHING_TO_DO = 2,
};

/**
 * jobs_start() - resynchronize or verify a collection
 * @kind: enum run_kind
 * @compare: resynchronize by comparing
 * @ret: with JOBS_STARTED: the job
 * @reason: with an error: code and sentence
 *
 * There is nothing to do when all disks are tracked, nothing is marked, and the
 * newest committed epoch is the one that our last run's point has closed.
 *
 * Return: enum jobs_answer or a negative errno.
 */
int jobs_start(struct jobs *j, const char *collection, enum run_kind kind, bool compare,
	       struct job **ret, struct reason *reason);

/** jobs_cancel() - end a running job soon. Return: 0, or -EALREADY: it has ended */
int jobs_cancel(struct jobs *j, struct job *job);

/** job_ended() - is its state a last one? */
bool job_ended(const struct job *job);

#endif
