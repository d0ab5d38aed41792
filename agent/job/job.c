// SPDX-License-Identifier: GPL-2.0-or-later
#include "job/job.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/log.h"
#include "send/conn.h"
#include "send/source.h"

struct jobs {
	const struct config *config;
	struct history *history;
	struct job *first;
	struct job_listener listener;
	int fd;
};

bool job_ended(const struct job *job)
{
	return job->ended != 0;
}

static void job_change(struct jobs *j, struct job *job, enum job_state state)
{
	job->state = state;
	job->changed = time(NULL);
	if (j->listener.changed)
		j->listener.changed(j->listener.owner, job);
}

/* -- the table -------------------------------------------------------------- */

int jobs_create(struct jobs **ret, const struct config *config, struct history *history)
{
	struct jobs *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->config = config;
	j->history = history;
	j->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (j->fd < 0) {
		free(j);
		return -errno;
	}
	*ret = j;
	return 0;
}

static void job_free(struct job *job)
{
	sender_destroy(job->sender);
	free(job);
}

void jobs_listen(struct jobs *j, const struct job_listener *listener)
{
	j->listener = *listener;
}

int jobs_fd(const struct jobs *j)
{
	return j->fd;
}

struct job *jobs_first(struct jobs *j)
{
	return j->first;
}

struct job *jobs_find(struct jobs *j, uint64_t id)
{
	struct job *job = j->first;

	while (job && job->id != id)
		job = job->next;
	return job;
}

size_t jobs_running(struct jobs *j)
{
	size_t count = 0;

	for (struct job *job = j->first; job; job = job->next)
		count += !job_ended(job);
	return count;
}

struct job *jobs_of(struct jobs *j, const char *collection)
{
	struct job *job = j->first;

	while (job && (job_ended(job) || strcmp(job->run.collection, collection) != 0))
		job = job->next;
	return job;
}

/* -- the end of a job ------------------------------------------------------- */

static void job_record(struct jobs *j, struct job *job, bool committed)
{
	const struct run_report *report = sender_report(job->sender);
	struct progress_view p;
	struct history_entry e;
	int err;

	sender_progress(job->sender, &p);
	e = (struct history_entry){
		.id = job->id,
		.state = job->state,
		.error = job->error,
		.point = report->point,
		.started = job->started,
		.ended = job->ended,
		.owed = p.owed,
		.sent = p.sent,
		.wire = p.wire,
		.different = p.different,
		.passes = p.passes,
	};
	snprintf(e.text, sizeof(e.text), "%s", job->text);
	err = history_end(j->history, &e, &job->run, committed ? report : NULL);
	if (err)
		log_warning("job %llu: cannot write the history: %s",
			    (unsigned long long)job->id, strerrordesc_np(-err));
}

static void job_log(const struct job *job)
{
	const struct log_fields fields = {
		.event = job->state == JOB_COMPLETED ? LOG_EVENT_JOB_COMPLETED :
			 job->state == JOB_WARNINGS ? LOG_EVENT_JOB_WARNINGS :
			 job->state == JOB_TERMINATED ? LOG_EVENT_JOB_CANCELLED :
			 LOG_EVENT_JOB_FAILED,
		.collection = job->run.collection,
		.job = job->id,
		.code = job->error,
	};
	struct progress_view p;

	sender_progress(job->sender, &p);
	log_about(job->state == JOB_COMPLETED ? LOG_INFO : LOG_WARNING, &fields,
		  "job %llu: %s of %s: %s%s%s (%llu of %llu bytes sent, %u passes, %llu ms)",
		  (unsigned long long)job->id,
		  job->run.kind == RUN_VERIFY ? "verification" : "resynchronization",
		  job->run.collection, job_state_name(job->state), job->text[0] ? ": " : "",
		  job->text, (unsigned long long)p.sent, (unsigned long long)p.disk, p.passes,
		  (unsigned long long)(job->ended_ms - job->started_ms));
}

/* The point was made without some disks: name the first that is to blame. */
static void job_say_failed(struct job *job, const struct run_report *report)
{
	for (size_t i = 0; i < job->run.disk_count; i++) {
		const struct run_report_disk *d = &report->disks[i];

		if (d->outcome != RUN_DISK_FAILED)
			continue;
		job->error = d->reason.code;
		snprintf(job->text, sizeof(job->text), "%zu disks were left behind: %.400s",
			 report->failed, d->reason.text);
		return;
	}
}

static void job_finish(struct jobs *j, struct job *job)
{
	const struct run_report *report = sender_report(job->sender);
	const struct reason *reason = sender_reason(job->sender);
	int result = sender_result(job->sender);
	enum job_state state = JOB_COMPLETED;

	job->ended = time(NULL);
	job->ended_ms = conn_now();
	if (result) {
		state = result == -ECANCELED ? JOB_TERMINATED : JOB_EXCEPTION;
		job->error = reason->code ? reason->code : REASON_FAILED;
		snprintf(job->text, sizeof(job->text), "%s",
			 reason->code ? reason->text : strerrordesc_np(-result));
	} else if (report->failed) {
		state = JOB_WARNINGS;
		job_say_failed(job, report);
	} else if (report->warning[0]) {
		state = JOB_WARNINGS;
		snprintf(job->text, sizeof(job->text), "%s", report->warning);
	}
	job->state = state;
	job_record(j, job, !result && job->run.kind == RUN_RESYNC);
	job_log(job);
	job_change(j, job, state);
}

void jobs_reap(struct jobs *j)
{
	struct job **link = &j->first;
	eventfd_t unused;

	eventfd_read(j->fd, &unused);
	while (*link) {
		struct job *job = *link;

		if (!job_ended(job) && sender_ended(job->sender))
			job_finish(j, job);
		if (job_ended(job) && conn_now() - job->ended_ms > JOB_REMOVAL_S * 1000) {
			if (j->listener.removed)
				j->listener.removed(j->listener.owner, job);
			*link = job->next;
			job_free(job);
			continue;
		}
		link = &job->next;
	}
}

void jobs_stop(struct jobs *j)
{
	struct pollfd fd = { .events = POLLIN };

	if (!j)
		return;
	fd.fd = j->fd;
	for (struct job *job = j->first; job; job = job->next) {
		if (!job_ended(job))
			sender_cancel(job->sender);
	}
	while (jobs_running(j)) {
		poll(&fd, 1, -1);
		jobs_reap(j);
	}
}

struct jobs *jobs_destroy(struct jobs *j)
{
	if (!j)
		return NULL;
	while (j->first) {
		struct job *job = j->first;

		j->first = job->next;
		job_free(job);
	}
	close(j->fd);
	free(j);
	return NULL;
}

/* -- the start -------------------------------------------------------------- */

static bool disk_in_sync(struct jobs *j, const char *collection, const struct run_disk *d)
{
	struct source_info info;
	struct history_disk last;

	if (!d->tracked || source_look(d->device, true, d->granule, &info))
		return false;
	if (info.marked || info.sealed)
		return false;
	if (history_disk(j->history, collection, d->vm, d->name, &last))
		return false;
	return last.epoch == info.committed_epoch &&
	       memcmp(last.uuid, info.uuid, sizeof(last.uuid)) == 0;
}

static bool jobs_in_sync(struct jobs *j, const struct run_config *run)
{
	for (size_t i = 0; i < run->disk_count; i++) {
		if (!disk_in_sync(j, run->collection, &run->disks[i]))
			return false;
	}
	return true;
}

static int job_launch(struct jobs *j, struct job *job, struct reason *reason)
{
	int err;

	err = history_begin(j->history, job->run.collection, job->run.kind, job->started, &job->id);
	if (err)
		return reason_set(reason, err, 0, "cannot write the history: %s",
				  strerrordesc_np(-err));
	err = sender_start(&job->sender, &job->run, j->fd);
	if (err)
		return reason_set(reason, err, 0, "cannot start a thread: %s",
				  strerrordesc_np(-err));
	return 0;
}

int jobs_start(struct jobs *j, const char *collection, enum run_kind kind, bool compare,
	       struct job **ret, struct reason *reason)
{
	const struct config_collection *c = config_collection(j->config, collection);
	struct job *running, *job;
	int err;

	if (!c)
		return reason_set(reason, -ENOENT, REASON_NOT_FOUND,
				  "there is no collection %s on this host", collection);
	running = jobs_of(j, collection);
	if (running)
		return reason_set(reason, -EBUSY, REASON_IN_USE,
				  "job %llu of collection %s is running",
				  (unsigned long long)running->id, collection);
	if (kind == RUN_RESYNC && !compare && jobs_in_sync(j, &c->run))
		return JOBS_NOTHING_TO_DO;
	job = calloc(1, sizeof(*job));
	if (!job)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	job->collection = c;
	job->run = c->run;
	job->run.kind = kind;
	job->run.compare = compare;
	job->state = JOB_RUNNING;
	job->started = job->changed = time(NULL);
	job->started_ms = conn_now();
	err = job_launch(j, job, reason);
	if (err) {
		free(job);
		return err;
	}
	job->next = j->first;
	j->first = job;
	log_about(LOG_INFO, &(struct log_fields){ .event = LOG_EVENT_JOB_STARTED,
						  .collection = collection, .job = job->id },
		  "job %llu: %s of %s has started", (unsigned long long)job->id,
		  kind == RUN_VERIFY ? "verification" : "resynchronization", collection);
	if (j->listener.added)
		j->listener.added(j->listener.owner, job);
	*ret = job;
	return JOBS_STARTED;
}

int jobs_cancel(struct jobs *j, struct job *job)
{
	if (job_ended(job))
		return -EALREADY;
	sender_cancel(job->sender);
	job_change(j, job, JOB_SHUTTING_DOWN);
	return 0;
}
