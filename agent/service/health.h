/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Health: the rules of the management model, pure.
 */
#ifndef TIDEMARK_SERVICE_HEALTH_H
#define TIDEMARK_SERVICE_HEALTH_H

#include <stddef.h>

#include "model/state.h"

/**
 * struct health_facts - what a VM's health hangs on
 * @role: of this host
 * @state: of the VM
 * @disk_error: what is wrong with one of its disks; NULL: nothing
 * @run_error: why its last run failed; NULL: it did not
 * @interval_s: between recurring runs; 0: none
 * @since_point_s: since its newest point; negative: there is none
 * @cycles: recurring runs that were due since the last reset
 * @missed: of them, not begun in time or failed
 */
struct health_facts {
	enum model_role role;
	enum model_vm_state state;
	const char *disk_error;
	const char *run_error;
	uint32_t interval_s;
	int64_t since_point_s;
	uint64_t cycles;
	uint64_t missed;
};

/** So old may a point be before it is worth a warning; or three intervals, if longer. */
#define HEALTH_POINT_AGE_S 3600
/** So many cycles of a hundred may be missed. */
#define HEALTH_MISSED_PERCENT 20
/** Before that share is looked at: one of two would be half. */
#define HEALTH_MISSED_CYCLES 5

/**
 * health_judge() - the health, and why
 * @ret_text: a sentence; "" with HEALTH_OK and HEALTH_NONE
 */
enum model_health health_judge(const struct health_facts *f, char *ret_text, size_t size);

#endif
