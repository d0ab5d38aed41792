// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Methods that start, stop and step things. Each goes the same way: is the
 * collection there (32779), is it free (32774), does its state allow it (32775), is
 * the moment one (32776, 32773), which members is it for (32775), can it be done at
 * all (32770, 32777), is there anything to do (0)?
 */
#include "service/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "config/value.h"

/* -- who it is for ---------------------------------------------------------- */

/* A member in one of these makes Resynchronize impossible for all. */
static bool vm_blocks(enum model_vm_state state)
{
	switch (state) {
	case VM_INITIAL:
	case VM_RECOVERED:
	case VM_COMMITTED:
	case VM_FAILOVER:
	case VM_FAILBACK:
	case VM_FAILBACK_COMPLETE:
	case VM_REPURPOSE:
	case VM_PREPARED_SYNC:
	case VM_PREPARED_REVERSE:
	case VM_TEST:
		return true;
	default:
		return false;
	}
}

static bool event_is_resync(enum model_event event)
{
	return event == EVENT_RESYNC || event == EVENT_RESYNC_ALL || event == EVENT_CYCLE;
}

static int refuse_vm(const struct service_vm *vm, enum model_event event, struct reason *reason)
{
	return reason_set(reason, -EINVAL, REASON_INVALID_STATE, "%s is not possible: VM %s is %s",
			  model_event_name(event), vm->name, model_vm_state_name(vm->state));
}

/* Why nobody was chosen: what the members are. */
static int refuse_all(const struct collection *c, enum model_event event, struct reason *reason)
{
	char text[REASON_TEXT_MAX / 2] = "it has no members";

	for (size_t i = 0; i < c->vm_count; i++) {
		size_t used = i ? strlen(text) : 0;

		snprintf(text + used, sizeof(text) - used, "%s%s is %s", i ? ", " : "",
			 c->vms[i].name, model_vm_state_name(c->vms[i].state));
	}
	return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
			  "no member of collection %s is in a state for %s: %s", c->name,
			  model_event_name(event), text);
}

int method_choose(struct service *s, const struct collection *c, struct service_job *job,
		  struct reason *reason)
{
	const struct service_job_private *p = job->private;
	int err = 0;

	for (size_t i = 0; i < c->vm_count && !err; i++) {
		const struct service_vm *vm = &c->vms[i];
		struct model_step step = model_vm_step(c->role, vm->state, job->event);

		if (p->vm && strcmp(p->vm, vm->name) != 0)
			continue;
		if (event_is_resync(job->event) && vm_blocks(vm->state))
			return refuse_vm(vm, job->event, reason);
		if (job_is_failover(job) && step.action == ACTION_REFUSE)
			return refuse_vm(vm, job->event, reason);
		if (step.action != ACTION_RUN && step.action != ACTION_FAILOVER)
			continue;
		if (!vm_included(vm))
			continue;
		if (p->automatic && !collection_takes(s, c, vm))
			continue;
		err = job_add_member(job, vm);
	}
	if (err)
		return reason_set(reason, err, 0, "out of memory");
	return job->member_count ? 0 : refuse_all(c, job->event, reason);
}

/* -- can it be done at all? ------------------------------------------------- */

static int refuse_disk(const struct service_vm *vm, const struct service_disk *d, int err,
		       struct reason *reason)
{
	switch (err) {
	case -ENOPKG:
		return reason_set(reason, err, REASON_NOT_AVAILABLE,
				  "dm-tidemark is not loaded: disk %s of VM %s", d->name,
				  vm->name);
	case -ENODEV:
		return reason_set(reason, err, REASON_NOT_SUPPORTED,
				  "disk %s of VM %s (%s) is not tracked", d->name, vm->name,
				  d->device);
	case -ENOENT:
		return reason_set(reason, err, REASON_NOT_FOUND,
				  "disk %s of VM %s: there is no %s", d->name, vm->name, d->device);
	default:
		return reason_set(reason, err, 0, "disk %s of VM %s (%s): %s", d->name, vm->name,
				  d->device, strerrordesc_np(-err));
	}
}

/* May this disk be done without comparing? Only where that is forbidden it matters. */
static bool disk_needs_compare(const struct service_disk *d, const struct source_info *info)
{
	return d->point && (!d->tracked || member_doubt(d, info));
}

static int probe_vm(struct service *s, const struct collection *c, const struct service_job *job,
		    const struct service_vm *vm, struct reason *reason)
{
	for (size_t i = 0; i < vm->disk_count; i++) {
		const struct service_disk *d = &vm->disks[i];
		struct source_info info = { 0 };
		int err;

		if (d->excluded)
			continue;
		err = s->world.look(s->world.arg, d->device, d->tracked, d->granule, &info);
		if (err)
			return refuse_disk(vm, d, err, reason);
		if (c->settings.allow_compare || job->event == EVENT_VERIFY)
			continue;
		if (job->compare || disk_needs_compare(d, &info))
			return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
					  "disk %s of VM %s must be compared, and allow_compare=no",
					  d->name, vm->name);
	}
	return 0;
}

/* One member that can be done is enough: the others fail in the job, by themselves. */
static int probe(struct service *s, const struct collection *c, const struct service_job *job,
		 struct reason *reason)
{
	struct reason first = { 0 };
	int err = 0;

	for (size_t i = 0; i < job->member_count; i++) {
		const struct service_vm *vm = service_vm(c, job->members[i].vm);
		int one = probe_vm(s, c, job, vm, &first);

		if (!one)
			return 0;
		err = err ? err : one;
	}
	*reason = first;
	return err;
}

static bool all_in_sync(struct service *s, const struct collection *c,
			const struct service_job *job)
{
	if (!event_is_resync(job->event) || job->compare)
		return false;
	for (size_t i = 0; i < job->member_count; i++) {
		const struct service_job_member *m = &job->members[i];

		/* Resuming is something to be done, even with nothing to send. */
		if (m->from != VM_REPLICATING ||
		    !member_in_sync(s, c, service_vm(c, m->vm)))
			return false;
	}
	return true;
}

/* -- starting --------------------------------------------------------------- */

static int job_ask(struct service_job *job, const struct service_request *rq)
{
	struct service_job_private *p = job->private;

	job->compare = rq->compare;
	job->paranoid = rq->paranoid;
	if (rq->event == EVENT_START)
		job->initial = rq->initial ? rq->initial : INITIAL_NETWORK;
	/* Whatever the copy says of itself: it has been out of our hands. */
	job->compare |= job->initial == INITIAL_SEEDED;
	job->until = rq->until;
	job->delete_on_completion = rq->delete_on_completion;
	if (rq->removal_s)
		job->removal_us = rq->removal_s * SECOND_US;
	snprintf(job->owner, sizeof(job->owner), "%s", rq->owner ? rq->owner : "");
	snprintf(job->notify, sizeof(job->notify), "%s", rq->notify ? rq->notify : "");
	p->failover.point = rq->point;
	p->failover.force = rq->force;
	p->vm = rq->vm ? strdup(rq->vm) : NULL;
	p->path = rq->path ? strdup(rq->path) : NULL;
	return (rq->vm && !p->vm) || (rq->path && !p->path) ? -ENOMEM : 0;
}

static void dry_run_text(const struct service_job *job, struct reason *reason)
{
	size_t used = snprintf(reason->text, sizeof(reason->text), "%s would take",
			       service_job_name(job));

	for (size_t i = 0; i < job->member_count && used < sizeof(reason->text); i++)
		used += snprintf(reason->text + used, sizeof(reason->text) - used, "%s %s",
				 i ? "," : "", job->members[i].vm);
}

static int refuse_busy(const struct service_job *job, struct reason *reason)
{
	return reason_set(reason, -EBUSY, REASON_IN_USE, "job %llu of collection %s is %s",
			  (unsigned long long)job->id, job->collection,
			  job->state == JOB_NEW && job->scheduled ? "scheduled" :
			  job->state == JOB_NEW ? "waiting" :
			  job->state == JOB_SUSPENDED ? "suspended" : "running");
}

static int check_failover(struct service *s, struct collection *c, struct service_job *job,
			  struct reason *reason)
{
	struct service_job_private *p = job->private;
	int err;

	if (!s->failover)
		return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
				  "this agent does no failovers");
	err = run_build(s, c, job);
	if (err)
		return reason_set(reason, err, 0, "out of memory");
	p->failover.event = job->event;
	p->failover.role = c->role;
	p->failover.collection = job->collection;
	p->failover.config = &p->runs[0].config;
	p->failover.vm = p->vm;
	p->failover.path = p->path;
	err = s->failover->check(s->failover->arg, &p->failover, reason);
	/* Built again when it begins: members may be others then. */
	run_free_all(job);
	p->failover.config = NULL;
	return err < 0 ? err : 0;
}

static int check_path(const struct service_job *job, struct reason *reason)
{
	const char *path = job->private->path;

	if (job->initial == INITIAL_EXPORT)
		return export_check(path, reason);
	if (job->initial && path)
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "a path goes with an export (2) only");
	return 0;
}

static int method_prepare(struct service *s, struct collection *c, struct service_job *job,
			  const struct service_request *rq, struct reason *reason)
{
	int64_t now = wall(s);
	int64_t when;
	int err = job_ask(job, rq);

	if (err)
		return reason_set(reason, err, 0, "out of memory");
	err = check_path(job, reason);
	if (err)
		return err;
	err = schedule_start(rq->start_time, now, &when, reason);
	if (err)
		return err;
	if (rq->until && rq->until <= when)
		return reason_set(reason, -ERANGE, REASON_INVALID_PARAMETER,
				  "UntilTime is not after the start");
	job->scheduled = when > now ? when : 0;
	err = method_choose(s, c, job, reason);
	if (err)
		return err;
	if (job_is_failover(job))
		return check_failover(s, c, job, reason);
	return job->scheduled ? 0 : probe(s, c, job, reason);
}

static int method_start(struct service *s, struct collection *c, const struct service_request *rq,
			uint64_t *ret_job, struct reason *reason)
{
	struct service_job *job = job_of(s, c);
	int err;

	if (job)
		return refuse_busy(job, reason);
	if (model_collection_step(c->role, c->state, rq->event).action == ACTION_REFUSE)
		return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
				  "%s is not possible: collection %s (%s) is %s",
				  model_event_name(rq->event), c->name, model_role_name(c->role),
				  model_collection_state_name(c->state));
	job = job_new(s, c, rq->event);
	if (!job)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	err = method_prepare(s, c, job, rq, reason);
	if (!err && !job->scheduled && all_in_sync(s, c, job)) {
		job_free(job);
		return SERVICE_COMPLETED;
	}
	if (!err && rq->dry_run)
		dry_run_text(job, reason);
	if (err || rq->dry_run) {
		job_free(job);
		return err ? err : SERVICE_STARTED;
	}
	for (size_t i = 0; i < job->member_count; i++) {
		struct service_vm *vm = collection_find_vm(c, job->members[i].vm);

		/* Somebody asked: what was given up is tried again. */
		vm->stuck = false;
		vm->retry_at = 0;
	}
	err = job_enter(s, c, job, reason);
	if (err)
		return err;
	*ret_job = job->id;
	service_tick(s);
	return SERVICE_STARTED;
}

/*
 * What the members that are due need. Resynchronize covers them all; it is not what
 * a mere recurring run, or an initial replication that is tried again, is called.
 */
static enum model_event cycle_event(struct service *s, const struct collection *c)
{
	size_t waiting = 0, ready = 0, others = 0;

	for (size_t i = 0; i < c->vm_count; i++) {
		const struct service_vm *vm = &c->vms[i];

		if (!collection_takes(s, c, vm))
			continue;
		waiting += vm->state == VM_WAITING_RESYNC;
		ready += vm->state == VM_READY;
		others += vm->state == VM_REPLICATING;
	}
	if (ready && !waiting && !others)
		return EVENT_START;
	return waiting || ready ? EVENT_RESYNC : EVENT_CYCLE;
}

void method_cycle(struct service *s, struct collection *c)
{
	struct reason reason = { 0 };
	struct service_job *job = job_new(s, c, EVENT_CYCLE);
	uint64_t missed = 0;

	if (!job)
		return;
	job->event = cycle_event(s, c);
	if (job->event == EVENT_START)
		job->initial = INITIAL_NETWORK;
	job->private->automatic = true;
	if (method_choose(s, c, job, &reason)) {
		job_free(job);
		collection_schedule(s, c);
		return;
	}
	if (c->settings.interval_s) {
		int64_t interval = c->settings.interval_s * SECOND_US;
		int64_t due = c->private->due < steady(s) ? c->private->due : steady(s);

		/* One that was tried again, or is the first, begins a grid of its own. */
		c->private->grid = schedule_cycle(due, steady(s), interval, &missed) - interval;
		c->statistics.miss_count += missed;
		c->private->missed += missed;
		c->private->cycles += missed + 1;
	}
	c->private->due = c->private->due_wall = INT64_MAX;
	job_enter(s, c, job, &reason);
}

/* -- steps without a job of their own --------------------------------------- */

/*
 * Every member that has a cell for the event goes to its state, durably; what
 * cannot be recorded has not happened.
 *
 * Return: how many did, or negative with @reason. @ret_runs: of them, those whose
 * cell asks for a run and which were left alone.
 */
static int step_members(struct service *s, struct collection *c, const struct service_request *rq,
			size_t *ret_runs, struct reason *reason)
{
	enum model_vm_state *old = calloc(c->vm_count + 1, sizeof(*old));
	int count = 0;
	int err;

	if (!old)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	*ret_runs = 0;
	for (size_t i = 0; i < c->vm_count; i++) {
		struct service_vm *vm = &c->vms[i];
		struct model_step step = model_vm_step(c->role, vm->state, rq->event);

		old[i] = vm->state;
		if ((rq->vm && strcmp(rq->vm, vm->name) != 0) || step.action == ACTION_REFUSE)
			continue;
		if (step.action == ACTION_RUN) {
			++*ret_runs;
			continue;
		}
		count++;
		if (!rq->dry_run)
			vm->state = step.during;
	}
	err = record_begin(s);
	if (!err)
		err = record_end(s, record_members(s, c));
	for (size_t i = 0; i < c->vm_count; i++) {
		enum model_vm_state fresh = c->vms[i].state;

		/* Said only now that it holds. */
		c->vms[i].state = old[i];
		if (!err)
			vm_become(s, c, &c->vms[i], fresh, model_event_name(rq->event));
	}
	free(old);
	return err ? reason_set(reason, err, 0, "cannot write agent.db: %s",
				strerrordesc_np(-err)) : count;
}

/* One that has not begun looks again who is suspended when it does. */
static void suspend_job(struct service *s, struct service_job *job, const char *vm)
{
	bool begun = run_active(job) || job->started;

	if (vm && run_active(job) && !job_is_failover(job) && job->private->wish == WISH_NONE)
		job_leave(s, job, vm);
	else if (begun || (!vm && !job->scheduled))
		job_wish(s, job, WISH_TERMINATE);
}

static int method_suspend(struct service *s, struct collection *c,
			  const struct service_request *rq, struct reason *reason)
{
	struct service_job *job = job_of(s, c);
	size_t runs;
	int count;

	count = step_members(s, c, rq, &runs, reason);
	if (count < 0)
		return count;
	if (!count)
		return refuse_all(c, rq->event, reason);
	if (rq->dry_run)
		return SERVICE_COMPLETED;
	if (job && job->event != EVENT_VERIFY)
		suspend_job(s, job, rq->vm);
	collection_schedule(s, c);
	collection_refresh(s, c);
	return SERVICE_COMPLETED;
}

static int method_resume(struct service *s, struct collection *c, const struct service_request *rq,
			 uint64_t *ret_job, struct reason *reason)
{
	struct service_job *job = job_of(s, c);
	size_t runs;
	int count;

	if (job && run_active(job))
		return refuse_busy(job, reason);
	count = step_members(s, c, rq, &runs, reason);
	if (count < 0)
		return count;
	if (!count && !runs)
		return refuse_all(c, rq->event, reason);
	for (size_t i = 0; i < c->vm_count; i++) {
		struct service_vm *vm = &c->vms[i];

		if (rq->vm && strcmp(rq->vm, vm->name) != 0)
			continue;
		vm->stuck = false;
		vm->retry_at = 0;
		vm->error = vm->state == VM_REPLICATING ? 0 : vm->error;
	}
	collection_schedule(s, c);
	collection_refresh(s, c);
	return runs ? method_start(s, c, rq, ret_job, reason) : SERVICE_COMPLETED;
}

static bool job_is_for(const struct service_job *job, enum model_event cancel)
{
	if (cancel == EVENT_CANCEL_INITIAL)
		return job->event == EVENT_START;
	return job->event == EVENT_RESYNC || job->event == EVENT_RESYNC_ALL ||
	       job->event == EVENT_RESUME;
}

/* Initial replications that wait to be tried again are not. Return: how many. */
static size_t cancel_retries(struct collection *c)
{
	size_t count = 0;

	for (size_t i = 0; i < c->vm_count; i++) {
		struct service_vm *vm = &c->vms[i];

		if (vm->state != VM_READY || !vm->retries)
			continue;
		vm->retries = 0;
		vm->retry_at = 0;
		count++;
	}
	return count;
}

static int method_cancel(struct service *s, struct collection *c, const struct service_request *rq,
			 struct reason *reason)
{
	struct service_job *job = job_of(s, c);
	size_t runs, retries = 0;
	int count;

	if (job && !job_is_for(job, rq->event))
		job = NULL;
	if (job && rq->dry_run)
		return SERVICE_COMPLETED;
	if (rq->event == EVENT_CANCEL_INITIAL && !rq->dry_run)
		retries = cancel_retries(c);
	count = step_members(s, c, rq, &runs, reason);
	if (count < 0)
		return count;
	if (!job && !count && !retries)
		return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
				  "%s: nothing of collection %s is running or scheduled",
				  model_event_name(rq->event), c->name);
	if (job)
		job_wish(s, job, WISH_TERMINATE);
	collection_schedule(s, c);
	collection_refresh(s, c);
	return SERVICE_COMPLETED;
}

/* -- the way in ------------------------------------------------------------- */

int service_call(struct service *s, const struct service_request *rq, uint64_t *ret_job,
		 struct reason *reason)
{
	struct collection *c;
	int err = service_wanted(s, rq->collection, &c, reason);

	if (err)
		return err;
	if (rq->vm && !service_vm(c, rq->vm))
		return reason_set(reason, -ENOENT, REASON_NOT_FOUND,
				  "there is no VM %s in collection %s", rq->vm, c->name);
	switch (rq->event) {
	case EVENT_SUSPEND:
		return method_suspend(s, c, rq, reason);
	case EVENT_RESUME:
		return method_resume(s, c, rq, ret_job, reason);
	case EVENT_CANCEL_INITIAL:
	case EVENT_CANCEL_RESYNC:
		return method_cancel(s, c, rq, reason);
	case EVENT_START:
	case EVENT_RESYNC:
	case EVENT_RESYNC_ALL:
	case EVENT_VERIFY:
	case EVENT_PLANNED_FAILOVER:
	case EVENT_REVERT_PLANNED:
	case EVENT_FAILOVER:
	case EVENT_REVERT_FAILOVER:
	case EVENT_COMMIT_FAILOVER:
	case EVENT_PREPARE_REVERSE:
	case EVENT_REVERSE:
	case EVENT_TEST:
	case EVENT_REVERT_TEST:
		return method_start(s, c, rq, ret_job, reason);
	default:
		return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED, "%s is not a method",
				  model_event_name(rq->event));
	}
}

/* -- jobs ------------------------------------------------------------------- */

static int refuse_job(const struct service_job *job, struct reason *reason)
{
	return reason_set(reason, -EINVAL, REASON_INVALID_STATE, "job %llu is %s",
			  (unsigned long long)job->id, job_state_name(job->state));
}

static int job_pause(struct service *s, struct service_job *job, bool paused)
{
	struct service_job_private *p = job->private;

	for (size_t i = 0; i < p->run_count; i++) {
		if (p->runs[i].handle && !p->runs[i].ended)
			p->runs[i].ops->pause(p->runs[i].handle, paused);
	}
	job_set(s, job, paused ? JOB_SUSPENDED : JOB_RUNNING, "");
	return 0;
}

static int job_start_now(struct service *s, struct service_job *job, struct reason *reason)
{
	if (job->state == JOB_NEW && job->scheduled) {
		job->scheduled = 0;
		job_set(s, job, JOB_NEW, "");
		service_tick(s);
		return 0;
	}
	if (job->state != JOB_SUSPENDED)
		return refuse_job(job, reason);
	if (run_active(job))
		return job_pause(s, job, false);
	/* Suspended before the agent was started again: it waits for a place, and goes on. */
	job_set(s, job, JOB_NEW, "");
	service_tick(s);
	return 0;
}

static int job_wanted(struct service *s, uint64_t id, struct service_job **ret,
		      struct reason *reason)
{
	*ret = job_find(s, id);
	return *ret ? 0 : reason_set(reason, -ENOENT, REASON_NOT_FOUND, "there is no job %llu",
				     (unsigned long long)id);
}

int service_job_limit(struct service *s, uint64_t id, uint64_t limit, struct reason *reason)
{
	struct service_job *job;
	int err = job_wanted(s, id, &job, reason);

	if (err)
		return err;
	if (limit > INT64_MAX || (limit && limit < THROTTLE_RATE_MIN))
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "a job's rate limit of %llu: expected " RATE_EXPECTED,
				  (unsigned long long)limit);
	if (service_job_ended(job) || job->state == JOB_SHUTTING_DOWN)
		return refuse_job(job, reason);
	/* Of a failover only the last difference is sent, before a planned one. */
	if (job_is_failover(job) && job->event != EVENT_PLANNED_FAILOVER)
		return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
				  "job %llu sends nothing that could be limited",
				  (unsigned long long)id);
	/* Durable first: who is told that it holds may rely on that after a restart. */
	err = record_job_rate(s, job, limit);
	if (err)
		return reason_set(reason, err, 0, "cannot write agent.db: %s",
				  strerrordesc_np(-err));
	rate_set_own(s, job, limit);
	return 0;
}

int service_job_request(struct service *s, uint64_t id, uint32_t requested, struct reason *reason)
{
	struct service_job *job;
	int err = job_wanted(s, id, &job, reason);

	if (err)
		return err;
	if (requested < JOB_REQUEST_START || requested > JOB_REQUEST_KILL)
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "a job can be asked to start (2), suspend (3), terminate (4) or "
				  "be killed (5)");
	if (service_job_ended(job))
		return refuse_job(job, reason);
	switch (requested) {
	case JOB_REQUEST_START:
		return job_start_now(s, job, reason);
	case JOB_REQUEST_SUSPEND:
		if (job_is_failover(job))
			return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
					  "a failover cannot be suspended");
		return job->state == JOB_RUNNING ? job_pause(s, job, true) :
						   refuse_job(job, reason);
	default:
		job_wish(s, job, requested == JOB_REQUEST_KILL ? WISH_KILL : WISH_TERMINATE);
		return 0;
	}
}
