// SPDX-License-Identifier: GPL-2.0-or-later
#include "service/job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"
#include "service/private.h"

/* -- objects ---------------------------------------------------------------- */

struct service_job *job_new(struct service *s, const struct collection *c, enum model_event event)
{
	struct service_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->private = calloc(1, sizeof(*job->private));
	if (!job->private) {
		free(job);
		return NULL;
	}
	job->private->service = s;
	job->event = event;
	snprintf(job->collection, sizeof(job->collection), "%s", c->name);
	job->role = c->role;
	job->state = JOB_NEW;
	job->hash = job->secret = "";
	job->submitted = job->changed = wall(s);
	job->removal_us = SERVICE_REMOVAL_S * SECOND_US;
	return job;
}

static void job_clear_members(struct service_job *job)
{
	for (size_t i = 0; i < job->member_count; i++)
		free(job->members[i].disks);
	free(job->members);
	job->members = NULL;
	job->member_count = 0;
}

struct service_job *job_free(struct service_job *job)
{
	if (!job)
		return NULL;
	run_free_all(job);
	job_clear_members(job);
	free(job->private->path);
	free(job->private->vm);
	free(job->private);
	free(job);
	return NULL;
}

int job_add_member(struct service_job *job, const struct service_vm *vm)
{
	struct service_job_member *m;

	m = realloc(job->members, (job->member_count + 1) * sizeof(*m));
	if (!m)
		return -ENOMEM;
	job->members = m;
	m += job->member_count;
	memset(m, 0, sizeof(*m));
	m->disks = calloc(vm->disk_count + 1, sizeof(*m->disks));
	if (!m->disks)
		return -ENOMEM;
	job->member_count++;
	snprintf(m->vm, sizeof(m->vm), "%s", vm->name);
	m->from = vm->state;
	m->state = JOB_NEW;
	m->disk_count = vm->disk_count;
	for (size_t i = 0; i < vm->disk_count; i++) {
		snprintf(m->disks[i].name, NAME_SIZE, "%s", vm->disks[i].name);
		m->disks[i].mode = m->disks[i].why = "";
	}
	return 0;
}

struct service_job *job_of(struct service *s, const struct collection *c)
{
	struct service_job *job = s->jobs;

	while (job && (service_job_ended(job) || job->role != c->role ||
		       strcmp(job->collection, c->name) != 0))
		job = job->next;
	return job;
}

struct service_job *job_find(struct service *s, uint64_t id)
{
	struct service_job *job = s->jobs;

	while (job && job->id != id)
		job = job->next;
	return job;
}

/* The collection that a job is about; NULL: it is gone. */
static struct collection *job_collection(struct service *s, const struct service_job *job)
{
	for (size_t i = 0; i < s->collection_count; i++) {
		struct collection *c = s->collections[i];

		if (c->role == job->role && strcmp(c->name, job->collection) == 0)
			return c;
	}
	return NULL;
}

size_t job_wants(const struct service *s, const struct service_job *job)
{
	const struct collection *c = service_find(s, job->collection);
	size_t limit = c && c->settings.max_concurrent ? c->settings.max_concurrent : SIZE_MAX;
	size_t places = 0;

	/* Members with an address of their own; before the launch nothing more is known. */
	for (size_t i = 0; c && i < job->member_count; i++) {
		const struct service_vm *vm = service_vm(c, job->members[i].vm);

		places += vm && vm->host;
	}
	places = u64_max(places, 1);
	return u64_min(places, limit);
}

/* -- telling ---------------------------------------------------------------- */

static void job_tell(struct service *s, struct service_job *job)
{
	struct collection *c = job_collection(s, job);

	if (s->listener.job_changed)
		s->listener.job_changed(s->listener.owner, job);
	service_tell(s, (struct service_event){
		.name = "job", .collection = job->collection, .job = job->id, .to = job->state,
		.text = job->text[0] ? job->text : job_state_name(job->state),
	});
	if (!c)
		return;
	c->job = job_of(s, c) ? job_of(s, c)->id : 0;
	if (service_job_ended(job))
		c->last_job = job->id;
}

static void job_log(const struct service_job *job)
{
	struct log_fields fields = {
		.event = job->state == JOB_COMPLETED ? LOG_EVENT_JOB_COMPLETED :
			 job->state == JOB_WARNINGS ? LOG_EVENT_JOB_WARNINGS :
			 job->state == JOB_EXCEPTION ? LOG_EVENT_JOB_FAILED :
						       LOG_EVENT_JOB_CANCELLED,
		.collection = job->collection, .job = job->id, .code = job->error,
	};
	struct progress_view p;
	char what[160];

	service_job_progress(job, &p);
	service_job_description(job, what, sizeof(what));
	log_about(job->state == JOB_COMPLETED ? LOG_INFO : LOG_WARNING, &fields,
		  "job %llu: %s: %s%s%s (%llu of %llu bytes sent, %u passes, %llu ms)",
		  (unsigned long long)job->id, what, job_state_name(job->state),
		  job->text[0] ? ": " : "", job->text, (unsigned long long)p.sent,
		  (unsigned long long)p.disk, p.passes,
		  (unsigned long long)service_job_elapsed(job) / 1000);
}

/* The job's row and, with the states that it changed, its collection's. */
static int job_write(struct service *s, struct service_job *job, const struct collection *c)
{
	int err = record_begin(s);

	if (err)
		return err;
	err = record_job(s, job);
	if (!err && c)
		err = record_members(s, c);
	for (size_t i = 0; c && i < job->member_count && !err; i++) {
		const struct service_vm *vm = service_vm(c, job->members[i].vm);

		if (!vm || job->members[i].state != JOB_COMPLETED || c->role != MODEL_PRIMARY)
			continue;
		for (size_t j = 0; j < vm->disk_count && !err; j++) {
			if (vm->disks[j].point)
				err = record_disk(s, c, vm, &vm->disks[j]);
		}
	}
	return record_end(s, err);
}

static void job_record(struct service *s, struct service_job *job, const struct collection *c)
{
	int err = job_write(s, job, c);

	if (err)
		log_error("job %llu: cannot be recorded: %s", (unsigned long long)job->id,
			  strerrordesc_np(-err));
}

void job_set(struct service *s, struct service_job *job, enum job_state state, const char *status)
{
	snprintf(job->status, sizeof(job->status), "%s", status);
	if (job->state != state)
		job->changed = wall(s);
	job->state = state;
	job_record(s, job, job_collection(s, job));
	job_tell(s, job);
}

/* -- the start -------------------------------------------------------------- */

/* Members enter the state of the work. */
static void job_begin_members(struct service *s, struct collection *c, struct service_job *job)
{
	for (size_t i = 0; i < job->member_count; i++) {
		struct service_job_member *m = &job->members[i];
		struct service_vm *vm = collection_find_vm(c, m->vm);
		struct model_step step = model_vm_step(c->role, m->from, job->event);

		m->state = JOB_RUNNING;
		if (vm && step.action != ACTION_REFUSE)
			vm_become(s, c, vm, step.during, NULL);
	}
	collection_refresh(s, c);
}

int job_enter(struct service *s, struct collection *c, struct service_job *job,
	      struct reason *reason)
{
	int err = record_begin(s);

	if (!err)
		err = record_end(s, record_job_new(s, job));
	if (err) {
		job_free(job);
		return reason_set(reason, err, 0, "cannot write agent.db: %s",
				  strerrordesc_np(-err));
	}
	job->next = s->jobs;
	s->jobs = job;
	c->job = job->id;
	if (s->listener.job_added)
		s->listener.job_added(s->listener.owner, job);
	service_tell(s, (struct service_event){
		.name = "job", .collection = c->name, .job = job->id, .to = job->state,
		.text = service_job_name(job),
	});
	collection_changed(s, c);
	return 0;
}

void job_member_fail(struct service_job_member *m, uint32_t code, const char *text)
{
	if (job_state_final(m->state))
		return;
	m->state = JOB_EXCEPTION;
	m->error = code;
	snprintf(m->text, sizeof(m->text), "%s", text);
}

void job_fail_all(struct service_job *job, uint32_t code, const char *text)
{
	for (size_t i = 0; i < job->member_count; i++)
		job_member_fail(&job->members[i], code, text);
	job->error = code;
	snprintf(job->text, sizeof(job->text), "%s", text);
}

static void job_prepare_failover(struct service_job *job)
{
	struct service_job_private *p = job->private;

	p->failover.event = job->event;
	p->failover.role = job->role;
	p->failover.collection = job->collection;
	p->failover.config = &p->runs[0].config;
	p->failover.vm = p->vm;
	p->failover.path = p->path;
}

/* One that has begun before goes on without who was suspended since. */
static void job_shed(struct collection *c, struct service_job *job)
{
	size_t kept = 0;

	for (size_t i = 0; i < job->member_count; i++) {
		struct service_job_member *m = &job->members[i];
		const struct service_vm *vm = service_vm(c, m->vm);
		struct model_step step = model_vm_step(c->role, m->from, job->event);

		if (vm && step.action != ACTION_REFUSE && vm->state != step.during)
			free(m->disks);
		else
			job->members[kept++] = *m;
	}
	job->member_count = kept;
}

static int job_ready(struct service *s, struct collection *c, struct service_job *job,
		     struct reason *reason)
{
	int err;

	if (!job->started) {
		job_clear_members(job);
		err = method_choose(s, c, job, reason);
		if (err)
			return err;
	} else {
		job_shed(c, job);
	}
	if (!job->member_count)
		return reason_set(reason, -ENOENT, REASON_FAILED,
				  "the agent ended while this job was running, and nothing is "
				  "left that it is about");
	rate_follow(s, c);
	if (job->initial == INITIAL_EXPORT) {
		err = export_open(&job->private->export, job->private->path, reason);
		if (err)
			return err;
	}
	err = run_build(s, c, job);
	return err ? reason_set(reason, err, 0, "cannot set up the runs: %s",
				strerrordesc_np(-err)) : 0;
}

void job_launch(struct service *s, struct service_job *job)
{
	struct collection *c = job_collection(s, job);
	struct log_fields fields = {
		.event = LOG_EVENT_JOB_STARTED, .collection = job->collection, .job = job->id,
	};
	struct reason reason = { 0 };
	char what[160];

	if (!c)
		reason_set(&reason, -ENOENT, REASON_NOT_FOUND, "collection %s is gone",
			   job->collection);
	if (!c || job_ready(s, c, job, &reason)) {
		job_fail_all(job, reason.code, reason.text);
		job_end(s, job, JOB_EXCEPTION);
		return;
	}
	if (job_is_failover(job))
		job_prepare_failover(job);
	if (!job->started)
		job->started = wall(s);
	job->private->started = c->private->last_start = steady(s);
	if (!c->private->grid)
		c->private->grid = steady(s);
	job_begin_members(s, c, job);
	/* Durable before the first byte moves: after a crash the job is begun again. */
	job_set(s, job, JOB_RUNNING, "");
	service_job_description(job, what, sizeof(what));
	log_about(LOG_INFO, &fields, "job %llu: %s begins", (unsigned long long)job->id, what);
	run_start(s, job);
	job_reap(s, job);
}

/* -- the end ---------------------------------------------------------------- */

/* The states after it. */
static void job_step_members(struct service *s, struct collection *c, struct service_job *job)
{
	bool swap = false;

	for (size_t i = 0; i < job->member_count; i++) {
		struct service_job_member *m = &job->members[i];
		struct service_vm *vm = collection_find_vm(c, m->vm);
		struct model_step step = model_vm_step(c->role, m->from, job->event);
		bool done = m->state == JOB_COMPLETED;

		/* Another method came in between: its state holds. */
		if (!vm || step.action == ACTION_REFUSE || vm->state != step.during)
			continue;
		/* What lies in a folder is no replica yet. */
		done &= job->initial != INITIAL_EXPORT;
		vm_become(s, c, vm, done ? step.done : step.failed, m->error ? m->text : NULL);
		swap |= done && step.swap;
	}
	if (swap) {
		relation_swap(s, c, job->private->peer);
		job->role = c->role;
	}
}

static void job_count(struct service *s, struct collection *c, const struct service_job *job)
{
	struct service_statistics *t = &c->statistics;
	struct progress_view p;
	uint64_t latency;

	if (job->event == EVENT_TEST && job->state == JOB_COMPLETED)
		t->last_test_time = wall(s) / SECOND_US;
	if (job_is_failover(job) || job->event == EVENT_VERIFY || !job->started)
		return;
	service_job_progress(job, &p);
	t->end_time = wall(s) / SECOND_US;
	t->sent_bytes += p.sent;
	if (job->event != EVENT_CYCLE)
		t->resync_count++;
	for (size_t i = 0; i < job->member_count; i++) {
		for (size_t j = 0; j < job->members[i].disk_count; j++) {
			struct progress_view d;

			service_job_disk_progress(job, i, j, &d);
			if (strcmp(job->members[i].disks[j].mode, "compare") == 0)
				t->compared_bytes += d.handled;
		}
	}
	if (job->state == JOB_TERMINATED || job->state == JOB_KILLED)
		return;
	if (job->state != JOB_COMPLETED && job->error) {
		t->failure_count++;
		c->private->missed += job->event == EVENT_CYCLE;
		return;
	}
	latency = service_job_elapsed(job) / SECOND_US;
	t->success_count++;
	t->size = p.sent;
	t->max_size = u64_max(t->max_size, p.sent);
	t->latency_sum += latency;
	t->latency = t->latency_sum / t->success_count;
	t->max_latency = u64_max(t->max_latency, latency);
}

void job_end(struct service *s, struct service_job *job, enum job_state state)
{
	struct collection *c = job_collection(s, job);

	for (size_t i = 0; i < job->member_count; i++) {
		if (!job_state_final(job->members[i].state))
			job->members[i].state = JOB_TERMINATED;
	}
	job->private->ended = steady(s);
	job->ended = job->changed = wall(s);
	job->state = state;
	job->status[0] = '\0';
	job->private->removal = job->delete_on_completion ? 0 :
							    steady(s) + job->removal_us;
	if (c) {
		job_count(s, c, job);
		job_step_members(s, c, job);
	}
	job_record(s, job, c);
	job_log(job);
	job_tell(s, job);
	job->private->export = export_close(job->private->export);
	if (c) {
		collection_schedule(s, c);
		collection_refresh(s, c);
	}
}

static bool job_stopped(const struct service_job *job)
{
	for (size_t i = 0; i < job->member_count; i++) {
		if (job->members[i].state != JOB_COMPLETED)
			return true;
	}
	return false;
}

void job_reap(struct service *s, struct service_job *job)
{
	struct service_job_private *p = job->private;
	struct collection *c = job_collection(s, job);
	bool all = true;

	for (size_t i = 0; i < p->run_count; i++) {
		struct job_run *run = &p->runs[i];

		if (run->handle && !run->ended && run->ops->ended(run->handle))
			outcome_take(s, c, job, i);
	}
	if (p->wish == WISH_NONE)
		run_start(s, job);
	for (size_t i = 0; i < p->run_count; i++)
		all &= p->runs[i].ended || (p->wish != WISH_NONE && !p->runs[i].ops);
	/* An agent that ends leaves the job as it stands: it goes on at the next start. */
	if (!all || (p->wish == WISH_STOP && job_stopped(job)))
		return;
	job_end(s, job, outcome_verdict(job));
}

void job_wish(struct service *s, struct service_job *job, enum job_wish wish)
{
	struct service_job_private *p = job->private;

	p->wish = wish;
	if (wish == WISH_STOP && run_active(job))
		log_notice("job %llu of collection %s is stopped: it goes on at the next start",
			   (unsigned long long)job->id, job->collection);
	if (!run_active(job)) {
		if (wish != WISH_STOP)
			job_end(s, job, wish == WISH_KILL ? JOB_KILLED : JOB_TERMINATED);
		return;
	}
	for (size_t i = 0; i < p->run_count; i++) {
		if (p->runs[i].handle && !p->runs[i].ended)
			p->runs[i].ops->cancel(p->runs[i].handle);
	}
	if (wish != WISH_STOP)
		job_set(s, job, JOB_SHUTTING_DOWN, "");
}

void job_leave(struct service *s, struct service_job *job, const char *vm)
{
	run_leave(job, vm);
	for (size_t i = 0; i < job->member_count; i++) {
		struct service_job_member *m = &job->members[i];
		const struct job_slot *slot = run_slot(job, i, 0);

		/* Its run has not begun: nobody else would say what became of it. */
		if (strcmp(m->vm, vm) != 0 || !m->disk_count || job->private->runs[slot->run].ops)
			continue;
		m->state = JOB_TERMINATED;
		snprintf(m->text, sizeof(m->text), "%s", OUTCOME_LEFT);
	}
	job_set(s, job, job->state, job->status);
}

void job_remove(struct service *s, struct service_job *job)
{
	struct service_job **link = &s->jobs;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	if (s->listener.job_removed)
		s->listener.job_removed(s->listener.owner, job);
	job_free(job);
}
