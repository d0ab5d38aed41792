// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the runs of a job came to: read from their reports into the job's members and
 * disks and the collection's own record of VMs and disks, and the job's verdict from
 * them. Nothing is told or written here: that is job.c's.
 */
#include "service/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "send/mode.h"

/* -- disks ------------------------------------------------------------------ */

/*
 * What is remembered of the tracker of a disk that has a new point. A comparison ends
 * its doubt; what has arisen since its commit is seen by looking once more.
 */
static void disk_settle(struct service *s, struct service_disk *d, const struct run_report_disk *r)
{
	int mode = atomic_load(&((struct run_report_disk *)r)->mode);
	struct source_info now = { 0 };

	member_remember(d, &r->after);
	if (mode == FRAME_MODE_COMPARE || mode == FRAME_MODE_FULL)
		*d->doubt = '\0';
	if (!d->tracked || s->world.look(s->world.arg, d->device, true, d->granule, &now))
		return;
	member_learn(d, &now);
	if (!member_doubt(d, &now)) {
		*d->error = '\0';
		d->health = HEALTH_OK;
	}
}

static void disk_take(struct service *s, const struct service_job *job, size_t member, size_t disk,
		      struct service_vm *vm, const struct run_report *report)
{
	const struct run_report_disk *r = &report->disks[run_slot(job, member, disk)->disk];
	struct service_disk *d = &vm->disks[disk];

	/* It was left out, as IncludedDisks said when the job began. */
	if (atomic_load(&((struct run_report_disk *)r)->outcome) != RUN_DISK_DONE)
		return;
	d->point = report->point;
	d->point_epoch = r->epoch;
	d->point_time = vm->point_time = wall(s) / SECOND_US;
	memcpy(d->tracker, r->uuid, sizeof(d->tracker));
	disk_settle(s, d, r);
	d->size = r->size;
	d->owed = 0;
	vm->point = report->point;
}

/* What became of a disk; .mode and .why may be read at any time, the rest at the end. */
static void disk_report(struct service_job_disk *d, const struct run_report_disk *r)
{
	const char *why = atomic_load(&((struct run_report_disk *)r)->why);
	int mode = atomic_load(&((struct run_report_disk *)r)->mode);

	d->mode = mode ? mode_name(mode) : "";
	d->why = why ? why : "";
	d->size = r->size;
	d->frames = r->frames;
	d->bytes = r->bytes;
}

/* A comparison costs a whole disk's reading on both sides: it is said why. */
static void disk_log(const struct service_job *job, const struct service_job_member *m,
		     const struct service_job_disk *d)
{
	struct log_fields fields = {
		.collection = job->collection, .vm = m->vm, .disk = d->name, .job = job->id,
	};

	if (*d->why)
		log_about(LOG_NOTICE, &fields, "job %llu: disk %s/%s was to be compared with its "
			  "replica: %s", (unsigned long long)job->id, m->vm, d->name, d->why);
}

/* The first reason that a disk of its own has makes the member's. */
static void member_report_disks(struct service_job *job, size_t member,
				const struct run_report *report)
{
	struct service_job_member *m = &job->members[member];

	for (size_t i = 0; i < m->disk_count; i++) {
		const struct run_report_disk *r = &report->disks[run_slot(job, member, i)->disk];
		int outcome = atomic_load(&((struct run_report_disk *)r)->outcome);

		disk_report(&m->disks[i], r);
		disk_log(job, m, &m->disks[i]);
		if (outcome == RUN_DISK_LEFT && !job_state_final(m->state)) {
			m->state = JOB_TERMINATED;
			snprintf(m->text, sizeof(m->text), "%s", OUTCOME_LEFT);
		}
		if (outcome != RUN_DISK_FAILED)
			continue;
		m->disks[i].error = r->reason.code ? r->reason.code : REASON_FAILED;
		snprintf(m->disks[i].text, sizeof(m->disks[i].text), "%s", r->reason.text);
		job_member_fail(m, m->disks[i].error, r->reason.text);
	}
}

static enum run_trouble member_trouble(const struct service_job *job, size_t member,
				       const struct run_report *report)
{
	const struct service_job_member *m = &job->members[member];

	for (size_t i = 0; i < m->disk_count; i++) {
		const struct run_report_disk *r = &report->disks[run_slot(job, member, i)->disk];

		if (r->trouble != RUN_TROUBLE_NONE)
			return r->trouble;
	}
	return report->trouble;
}

/* -- members ---------------------------------------------------------------- */

/* How a VM's own record goes on after a run. */
static void vm_outcome(struct service *s, struct collection *c, struct service_vm *vm,
		       const struct service_job *job, const struct service_job_member *m,
		       enum run_trouble trouble)
{
	/* A folder is nobody's replica. */
	if (job->initial == INITIAL_EXPORT)
		return;
	/* Who ends an initial replication does not want it to be tried again. */
	if (job->event == EVENT_START && m->state == JOB_TERMINATED)
		vm->retries = 0;
	if (job->event == EVENT_VERIFY || m->state == JOB_TERMINATED)
		return;
	vm->error = m->error;
	snprintf(vm->error_text, sizeof(vm->error_text), "%s", m->text);
	vm->stuck = false;
	vm->retry_at = 0;
	if (!m->error) {
		vm->retries = 0;
	} else if (job->initial == INITIAL_SEEDED) {
		/* Tried again it would be one over the network: who asked is told. */
		vm->retries = 0;
	} else if (run_recoverable(trouble)) {
		vm->retries++;
		vm->retry_at = steady(s) + schedule_retry(vm->retries);
	} else {
		vm->stuck = true;
		if (job->event == EVENT_CYCLE)
			vm_happen(s, c, vm, EVENT_BROKEN, m->text);
	}
	if (trouble == RUN_TROUBLE_NETWORK && m->error)
		c->statistics.network_failure_count++;
}

static void member_log(const struct service_job *job, const struct service_job_member *m)
{
	struct log_fields fields = {
		.event = LOG_EVENT_MEMBER_FAILED, .collection = job->collection, .vm = m->vm,
		.job = job->id, .code = m->error,
	};

	log_about(LOG_WARNING, &fields, "job %llu: VM %s failed: %s", (unsigned long long)job->id,
		  m->vm, m->text);
}

static void member_end(struct service *s, struct collection *c, struct service_job *job,
		       size_t member, const struct job_run *run)
{
	struct service_job_member *m = &job->members[member];
	const struct run_report *report = run->ops->report(run->handle);
	const struct reason *reason = run->ops->reason(run->handle);
	int result = run->ops->result(run->handle);
	struct service_vm *vm = c ? collection_find_vm(c, m->vm) : NULL;

	if (!job_is_failover(job))
		member_report_disks(job, member, report);
	if (m->state == JOB_RUNNING && result == -ECANCELED)
		m->state = JOB_TERMINATED;
	else if (m->state == JOB_RUNNING && result)
		job_member_fail(m, reason->code ? reason->code : REASON_FAILED,
				reason->code ? reason->text : strerrordesc_np(-result));
	else if (m->state == JOB_RUNNING)
		m->state = JOB_COMPLETED;
	if (m->state == JOB_EXCEPTION)
		member_log(job, m);
	if (!vm)
		return;
	if (!job_is_failover(job))
		vm_outcome(s, c, vm, job, m, member_trouble(job, member, report));
	if (m->state != JOB_COMPLETED || run->config.kind != RUN_RESYNC || run->config.aside ||
	    job_is_failover(job))
		return;
	for (size_t i = 0; i < m->disk_count && i < vm->disk_count; i++)
		disk_take(s, job, member, i, vm, report);
}

/* -- the job ---------------------------------------------------------------- */

static void run_log_secret(const struct service_job *job, const struct run_report *report)
{
	if (report->kernel_why)
		log_notice("%s: the run had no kernel TLS: %s", job->collection,
			   report->kernel_why);
	if (report->renewed)
		log_info("%s: the run took %u connections, for the keys of kernel TLS cannot be "
			 "changed", job->collection, report->renewed + 1);
}

void outcome_take(struct service *s, struct collection *c, struct service_job *job, size_t index)
{
	struct job_run *run = &job->private->runs[index];
	const struct run_report *report = run->ops->report(run->handle);

	run->ended = true;
	job->hash = atomic_load(&((struct run_report *)report)->hash) ?: job->hash;
	job->streams = u64_max(job->streams, atomic_load(&((struct run_report *)report)->streams));
	job->secret = atomic_load(&((struct run_report *)report)->secret) ?: job->secret;
	if (report->streams_why[0])
		log_notice("%s: the run had %u of %u streams: %s", job->collection, job->streams,
			   run->config.streams, report->streams_why);
	run_log_secret(job, report);
	if (report->uncopied)
		log_info("%s: %" PRIu64 " bytes were sent without a copy", job->collection,
			 report->uncopied);
	for (size_t i = 0; i < job->member_count; i++) {
		if (job_is_failover(job) ||
		    (job->members[i].disk_count && run_slot(job, i, 0)->run == index))
			member_end(s, c, job, i, run);
	}
	if (!run->ops->result(run->handle)) {
		job->point = u64_max(job->point, report->point);
		job->consistency = report->consistency;
		if (run->config.freeze && report->consistency == RUN_CONSISTENCY_APPLICATION && c)
			c->private->consistent = steady(s);
	}
	if (report->warning[0]) {
		job->private->warned = true;
		snprintf(job->text, sizeof(job->text), "%s", report->warning);
	}
}

enum job_state outcome_verdict(struct service_job *job)
{
	const struct service_job_member *first = NULL, *left = NULL;
	size_t failed = 0, stopped = 0;

	for (size_t i = 0; i < job->member_count; i++) {
		const struct service_job_member *m = &job->members[i];

		stopped += m->state == JOB_TERMINATED;
		if (m->state == JOB_TERMINATED)
			left = m;
		failed += m->state == JOB_EXCEPTION;
		if (m->state == JOB_EXCEPTION && !first)
			first = m;
	}
	if (stopped == job->member_count || (stopped && job->private->wish != WISH_NONE)) {
		snprintf(job->text, sizeof(job->text), "stopped");
		return job->private->wish == WISH_KILL ? JOB_KILLED : JOB_TERMINATED;
	}
	if (!failed && left) {
		if (snprintf(job->text, sizeof(job->text), "VM %s: %s", left->vm, left->text) < 0)
			job->text[0] = '\0';
		return JOB_WARNINGS;
	}
	if (!failed)
		return job->private->warned ? JOB_WARNINGS : JOB_COMPLETED;
	job->error = first->error;
	if (failed == job->member_count && failed == 1)
		snprintf(job->text, sizeof(job->text), "%s", first->text);
	else if (snprintf(job->text, sizeof(job->text), "%zu of %zu VMs failed; %s: %s", failed,
			  job->member_count, first->vm, first->text) < 0)
		job->text[0] = '\0';
	return failed + stopped == job->member_count ? JOB_EXCEPTION : JOB_WARNINGS;
}
