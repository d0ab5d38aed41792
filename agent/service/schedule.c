// SPDX-License-Identifier: GPL-2.0-or-later
#include "service/schedule.h"

#include <errno.h>
#include <time.h>

#include "base/datetime.h"
#include "base/util.h"

int schedule_start(const char *text, int64_t now, int64_t *ret, struct reason *reason)
{
	struct cim_datetime d;
	int64_t when;
	int err;

	if (!text || !*text) {
		*ret = now;
		return 0;
	}
	err = cim_datetime_parse(text, &d);
	if (!err)
		err = cim_datetime_resolve(&d, now, &when);
	if (err)
		return cim_datetime_refuse(err, text, reason);
	if (when - now > SCHEDULE_AHEAD_US)
		return reason_set(reason, -ERANGE, REASON_INVALID_PARAMETER,
				  "start time %s is more than 7 days ahead", text);
	if (now - when > SCHEDULE_SKEW_US)
		return reason_set(reason, -ERANGE, REASON_INVALID_PARAMETER,
				  "start time %s is past by more than %lld s", text,
				  (long long)(SCHEDULE_SKEW_US / SECOND_US));
	*ret = when;
	return 0;
}

int64_t schedule_retry(uint32_t failures)
{
	static const uint8_t minutes[] = { 1, 2, 4, 8, 10 };

	if (!failures)
		return 0;
	return (failures <= ARRAY_SIZE(minutes) ? minutes[failures - 1] : 30) * MINUTE_US;
}

/* Local midnight of the day of @now, so many days on, and so many seconds of the clock. */
static int64_t local_moment(int64_t now, int days, uint32_t seconds)
{
	time_t t = now / SECOND_US;
	struct tm tm;

	localtime_r(&t, &tm);
	tm.tm_mday += days;
	tm.tm_hour = seconds / 3600;
	tm.tm_min = seconds / 60 % 60;
	tm.tm_sec = seconds % 60;
	tm.tm_isdst = -1;
	return mktime(&tm) * SECOND_US;
}

bool schedule_window(int64_t now, uint32_t start_s, uint32_t end_s, int64_t *ret_next)
{
	*ret_next = now;
	if (start_s == end_s)
		return true;
	/* The window that began yesterday may still be open, if it wraps. */
	for (int day = -1; day <= 1; day++) {
		int64_t start = local_moment(now, day, start_s);
		int64_t end = local_moment(now, day + (end_s < start_s), end_s);

		if (now >= start && now < end)
			return true;
		if (now < start) {
			*ret_next = start;
			return false;
		}
	}
	*ret_next = local_moment(now, 2, start_s);
	return false;
}

bool schedule_missed(int64_t scheduled, int64_t now, uint32_t grace_s)
{
	return now - scheduled <= grace_s * SECOND_US;
}

int64_t schedule_cycle(int64_t due, int64_t began, int64_t interval_us, uint64_t *ret_missed)
{
	int64_t late = began > due ? began - due : 0;

	*ret_missed = late / interval_us;
	return due + (late / interval_us + 1) * interval_us;
}

int64_t schedule_resume(int64_t grid, int64_t last, int64_t now, int64_t interval_us)
{
	int64_t newest;

	if (now < grid)
		return grid;
	newest = grid + (now - grid) / interval_us * interval_us;
	return last >= newest ? newest : newest - interval_us;
}

static bool before(const struct schedule_waiting *a, const struct schedule_waiting *b)
{
	if (a->last != b->last)
		return a->last < b->last;
	if (a->submitted != b->submitted)
		return a->submitted < b->submitted;
	return a->id < b->id;
}

size_t schedule_pick(const struct schedule_waiting *waiting, size_t count, size_t free, size_t all)
{
	size_t best = count;

	for (size_t i = 0; i < count; i++) {
		if (best == count || before(&waiting[i], &waiting[best]))
			best = i;
	}
	if (best == count || !free)
		return count;
	if (waiting[best].runs > free && free < all)
		return count;
	return best;
}
