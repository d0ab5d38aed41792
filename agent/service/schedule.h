/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When: the pure part of schedules. Times are µs since 1970 (wall) or of the
 * clock that does not jump (steady); the caller says which.
 */
#ifndef TIDEMARK_SERVICE_SCHEDULE_H
#define TIDEMARK_SERVICE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define DAY_US (86400 * SECOND_US)

/** How far ahead a job may be scheduled. */
#define SCHEDULE_AHEAD_US (7 * DAY_US)
/** A start time may be this long past: the caller's clock, the way here. */
#define SCHEDULE_SKEW_US (60 * SECOND_US)

/**
 * schedule_start() - which moment a StartTime means
 * @text: CIM datetime; NULL or "": now
 * @now: wall
 * @ret: wall; @now or earlier: at once
 * @reason: 32776: no datetime; 32773: none such, too far ahead, or past
 *
 * Return: 0, -EBADMSG, -EINVAL, -ERANGE.
 */
int schedule_start(const char *text, int64_t now, int64_t *ret, struct reason *reason);

/**
 * schedule_retry() - how long to wait before trying again
 * @failures: in a row, 1 or more
 *
 * Return: µs: 1, 2, 4, 8, 10 minutes, then 30.
 */
int64_t schedule_retry(uint32_t failures);

/**
 * schedule_window() - is a moment in the window, and when does the next one begin?
 * @now: wall
 * @start_s: seconds after local midnight
 * @end_s: the same; before @start_s: on the next day; equal: all day
 * @ret_next: @now if it is in, else the next start, wall
 *
 * Local time as the host's zone has it: on the day on which the clock is put
 * forward over the start, the window begins when the skipped hour is over.
 */
bool schedule_window(int64_t now, uint32_t start_s, uint32_t end_s, int64_t *ret_next);

/**
 * schedule_missed() - a job's time passed while nobody could start it: run it now?
 * @scheduled: wall
 * @now: wall
 * @grace_s: how late it may be
 */
bool schedule_missed(int64_t scheduled, int64_t now, uint32_t grace_s);

/**
 * schedule_cycle() - the next recurring run after one that began
 * @due: when that one was due, steady
 * @began: when it began, steady
 * @interval_us: between runs
 * @ret_missed: whole intervals that went by unused
 *
 * Runs stay on the grid of @due: being late once does not shift all others.
 *
 * Return: when the next is due, after @began.
 */
int64_t schedule_cycle(int64_t due, int64_t began, int64_t interval_us, uint64_t *ret_missed);

/**
 * schedule_resume() - the grid of recurring runs, after the agent was away
 * @grid: a moment of it, steady
 * @last: when the last run began, steady
 * @now: steady
 * @interval_us: between runs
 *
 * A run that was due while nobody could begin it is due now, once, and counts as no
 * missed one; the next are on the grid as before.
 *
 * Return: the moment of the grid that @last belongs to, for schedule_cycle().
 */
int64_t schedule_resume(int64_t grid, int64_t last, int64_t now, int64_t interval_us);

/**
 * struct schedule_waiting - a job that is due and waits for a place
 * @last: when its collection's last job began, steady; 0: never
 * @submitted: wall
 * @id: its number
 * @runs: places that it needs
 */
struct schedule_waiting {
	int64_t last;
	int64_t submitted;
	uint64_t id;
	size_t runs;
};

/**
 * schedule_pick() - whose turn is it?
 * @free: places
 *
 * First the collection whose last job began longest ago, so that nobody is served
 * twice while another waits; then who was submitted first; then the lower number.
 * A job that needs more places than there are free waits, and those behind it with
 * it, so that it is not overtaken for ever; unless @all places are free: then it
 * begins, because it never will have more.
 *
 * Return: index, or @count: nobody now.
 */
size_t schedule_pick(const struct schedule_waiting *waiting, size_t count, size_t free,
		     size_t all);

#endif
