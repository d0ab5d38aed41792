// SPDX-License-Identifier: GPL-2.0-or-later
#include "service/health.h"

#include <stdio.h>

#include "base/util.h"

static enum model_health say(enum model_health health, char *text, size_t size, const char *format,
			     const char *detail)
{
	snprintf(text, size, "%s%s", format, detail);
	return health;
}

/* What the state alone says; HEALTH_OK: nothing. */
static enum model_health judge_state(const struct health_facts *f, char *text, size_t size)
{
	switch (f->state) {
	case VM_DISABLED:
		return HEALTH_NONE;
	case VM_CRITICAL:
	case VM_DISK_UPDATE_CRITICAL:
		return say(HEALTH_CRITICAL, text, size, "replication has stopped: ",
			   f->run_error ? f->run_error : "its cause must be mended");
	case VM_WAITING_RESYNC:
		return say(HEALTH_CRITICAL, text, size, "a resynchronization is required",
			   "");
	case VM_RESYNC_SUSPENDED:
		return say(HEALTH_CRITICAL, text, size,
			   "a resynchronization is required and suspended", "");
	case VM_UNKNOWN:
		return say(HEALTH_CRITICAL, text, size, "its state is not known", "");
	case VM_READY:
	case VM_INITIAL:
		return say(HEALTH_WARNING, text, size,
			   "the initial replication has not been done", "");
	case VM_SUSPENDED:
		return say(HEALTH_WARNING, text, size, "replication is suspended", "");
	default:
		return HEALTH_OK;
	}
}

static enum model_health judge_cycles(const struct health_facts *f, char *text, size_t size)
{
	uint64_t age = u64_max(HEALTH_POINT_AGE_S, UINT64_C(3) * f->interval_s);

	if (f->role != MODEL_PRIMARY || !f->interval_s || f->state != VM_REPLICATING)
		return HEALTH_OK;
	if (f->cycles >= HEALTH_MISSED_CYCLES &&
	    f->missed * 100 > f->cycles * HEALTH_MISSED_PERCENT) {
		snprintf(text, size, "%llu of %llu recurring runs were missed or failed",
			 (unsigned long long)f->missed, (unsigned long long)f->cycles);
		return HEALTH_WARNING;
	}
	if (f->since_point_s >= 0 && (uint64_t)f->since_point_s > age) {
		snprintf(text, size, "the newest point is %lld minutes old",
			 (long long)f->since_point_s / 60);
		return HEALTH_WARNING;
	}
	return HEALTH_OK;
}

enum model_health health_judge(const struct health_facts *f, char *ret_text, size_t size)
{
	enum model_health health;

	ret_text[0] = '\0';
	/* What forbids sending comes before what only delays it. */
	if (f->state != VM_DISABLED && f->disk_error)
		return say(HEALTH_CRITICAL, ret_text, size, "", f->disk_error);
	health = judge_state(f, ret_text, size);
	if (health == HEALTH_CRITICAL || health == HEALTH_NONE)
		return health;
	if (f->run_error && f->state != VM_SUSPENDED)
		return say(HEALTH_CRITICAL, ret_text, size, "the last run failed: ", f->run_error);
	if (health != HEALTH_OK)
		return health;
	return judge_cycles(f, ret_text, size);
}
