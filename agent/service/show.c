// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What others read of a job.
 */
#include "service/job.h"

#include <stdio.h>

#include "base/util.h"
#include "service/private.h"

uint32_t service_job_type(const struct service_job *job)
{
	if (job->initial == INITIAL_EXPORT)
		return MODEL_JOB_EXPORT;
	if (job->initial == INITIAL_SEEDED)
		return MODEL_JOB_SEEDED;
	return model_job_type(job->event);
}

const char *service_job_name(const struct service_job *job)
{
	switch (job->event) {
	case EVENT_RESYNC:
	case EVENT_RESYNC_ALL:
		return "Resynchronize";
	case EVENT_CYCLE:
		return "Replicate";
	default:
		return model_event_name(job->event);
	}
}

void service_job_description(const struct service_job *job, char *text, size_t size)
{
	const char *what = model_event_name(job->event);

	if (job->event == EVENT_RESYNC || job->event == EVENT_RESYNC_ALL ||
	    job->event == EVENT_RESUME)
		what = "resynchronization";
	else if (job->event == EVENT_VERIFY)
		what = "verification";
	else if (job->event == EVENT_START)
		what = "initial replication";
	else if (job->event == EVENT_CYCLE)
		what = "recurring replication";
	snprintf(text, size, "%s of collection %s", what, job->collection);
}

uint64_t service_job_elapsed(const struct service_job *job)
{
	const struct service_job_private *p = job->private;
	int64_t end = service_job_ended(job) ? p->ended : steady(p->service);

	return p->started && end > p->started ? end - p->started : 0;
}

/* -- progress --------------------------------------------------------------- */

void service_job_disk_progress(const struct service_job *job, size_t member, size_t disk,
			       struct progress_view *ret)
{
	const struct job_slot *slot = run_slot(job, member, disk);
	const struct job_run *run = NULL;

	if (slot && slot->run < job->private->run_count)
		run = &job->private->runs[slot->run];
	*ret = (struct progress_view){ .eta = UINT64_MAX };
	if (run && run->handle)
		run->ops->disk_progress(run->handle, slot->disk, ret);
}

void service_job_member_progress(const struct service_job *job, size_t member,
				 struct progress_view *ret)
{
	const struct service_job_member *m = &job->members[member];
	struct progress_view disk;

	*ret = PROGRESS_SUM_INIT;
	for (size_t i = 0; i < m->disk_count; i++) {
		service_job_disk_progress(job, member, i, &disk);
		progress_sum(ret, &disk);
	}
}

void service_job_progress(const struct service_job *job, struct progress_view *ret)
{
	struct service_job_private *p = job->private;
	struct progress_view run;

	*ret = p->run_count ? PROGRESS_SUM_INIT : (struct progress_view){ .eta = UINT64_MAX };
	for (size_t i = 0; i < p->run_count; i++) {
		run = (struct progress_view){ .eta = UINT64_MAX };
		if (p->runs[i].handle)
			p->runs[i].ops->progress(p->runs[i].handle, &run);
		progress_sum(ret, &run);
	}
	/*
	 * A run that begins later, or owes more after a further pass, makes the share
	 * of the whole smaller; what has been shown stands until the truth has caught
	 * up. 1000 is kept for success.
	 */
	if (job->state == JOB_COMPLETED || job->state == JOB_WARNINGS)
		p->best = 1000;
	else
		p->best = u64_max(p->best, u64_min(ret->permille, 999));
	ret->permille = p->best;
	if (service_job_ended(job)) {
		ret->rate = 0;
		ret->eta = 0;
		ret->read_limit = 0;
		ret->latency = 0;
	}
}

void service_job_rate(const struct service_job *job, struct service_rate *ret)
{
	const struct collection *c = service_find(job->private->service, job->collection);
	uint64_t own = job->rate_limit;

	*ret = c && !service_job_ended(job) ? c->rate : (struct service_rate){ 0 };
	if (!own || service_job_ended(job) || (ret->limit && ret->limit < own))
		return;
	ret->limit = own;
	snprintf(ret->why, sizeof(ret->why), "the job's own");
}

/* -- lists ------------------------------------------------------------------ */

/* The member and disk that a run's disk is of. */
static bool find_slot(const struct service_job *job, size_t run, size_t disk, const char **ret_vm,
		      const char **ret_disk)
{
	const struct run_config *config = &job->private->runs[run].config;

	if (disk >= config->disk_count)
		return false;
	*ret_vm = config->disks[disk].vm;
	*ret_disk = config->disks[disk].name;
	return true;
}

bool service_job_difference(const struct service_job *job, size_t i,
			    struct service_job_difference *ret)
{
	const struct service_job_private *p = job->private;

	for (size_t j = 0; j < p->run_count; j++) {
		const struct job_run *run = &p->runs[j];
		const struct run_report *report;

		if (!run->handle || !run->ended)
			continue;
		report = run->ops->report(run->handle);
		if (i >= report->range_count) {
			i -= report->range_count;
			continue;
		}
		ret->offset = report->ranges[i].offset;
		ret->length = report->ranges[i].length;
		return find_slot(job, j, report->ranges[i].disk, &ret->vm, &ret->disk);
	}
	return false;
}

bool service_job_error(const struct service_job *job, size_t i, struct service_job_error *ret)
{
	if (job->error && i-- == 0) {
		*ret = (struct service_job_error){ NULL, NULL, job->error, job->text };
		return true;
	}
	for (size_t j = 0; j < job->member_count; j++) {
		const struct service_job_member *m = &job->members[j];

		if (m->error && i-- == 0) {
			*ret = (struct service_job_error){ m->vm, NULL, m->error, m->text };
			return true;
		}
		for (size_t k = 0; k < m->disk_count; k++) {
			const struct service_job_disk *d = &m->disks[k];

			if (!d->error || i-- != 0)
				continue;
			*ret = (struct service_job_error){ m->vm, d->name, d->error, d->text };
			return true;
		}
	}
	return false;
}
