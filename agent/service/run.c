// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The runs of a job: members are grouped by the address of their replica; each
 * group is one run. Everything that a run points to is copied, because a reload
 * may change or free the collection while it lasts.
 */
#include "service/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

void run_vm_address(const struct collection *c, const struct service_vm *vm, const char **ret_host,
		    const char **ret_port)
{
	*ret_host = vm->host ? vm->host : c->settings.host;
	*ret_port = vm->host ? vm->port : c->settings.port;
}

const struct job_slot *run_slot(const struct service_job *job, size_t member, size_t disk)
{
	const struct job_slot *slot = job->private->slots;

	if (!slot)
		return NULL;
	for (size_t i = 0; i < member; i++)
		slot += job->members[i].disk_count;
	return slot + disk;
}

/* -- building --------------------------------------------------------------- */

static const char *run_keep(struct job_run *run, const char *text)
{
	char **grown;
	char *copy;

	if (!text)
		return NULL;
	copy = strdup(text);
	grown = realloc(run->strings, (run->string_count + 1) * sizeof(*grown));
	if (grown)
		run->strings = grown;
	if (!copy || !grown) {
		free(copy);
		return NULL;
	}
	return run->strings[run->string_count++] = copy;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void run_configure(const struct collection *c, struct service_job *job,
			  struct job_run *run, const char *host, const char *port)
{
	const struct settings *t = &c->settings;

	const char *tls_dir = job->private->service->config->tls_dir;
	/* An export does not leave this process. */
	bool secure = host && !job->private->export && settings_secure(t, host);

	run->config = (struct run_config){
		.kind = job->event == EVENT_VERIFY ? RUN_VERIFY : RUN_RESYNC,
		.compare = job->compare,
		.seeded = job->initial == INITIAL_SEEDED,
		.aside = job->initial == INITIAL_EXPORT,
		.no_compare = !t->allow_compare,
		.compress = t->compression,
		.paranoid = job->paranoid || t->paranoid,
		.streams = t->streams,
		.kernel_tls = t->kernel_tls,
		.history_given = t->history_given,
		.history = t->history,
		.collection = run_keep(run, c->name),
		.host = run_keep(run, host),
		.port = run_keep(run, port),
		.tls_dir = secure ? run_keep(run, tls_dir) : NULL,
		.state_dir = run_keep(run, job->private->service->config->state_dir),
		.origins = job->private->service->origins,
		.throttles = { &job->private->throttle, &job->private->service->throttle,
			       &job->private->own },
		.compare_rate = &job->private->compare,
		.latency_ms = &job->private->latency_ms,
		.max_passes = t->max_passes,
		.pool_limit = t->pool_limit,
		.timeout_ms = t->timeout_s * 1000,
		.drain_ms = t->drain_timeout_s * 1000,
		.commit_ms = t->commit_timeout_s * 1000,
	};
}

/* The run to that address, new if there is none; NULL: no memory. */
static struct job_run *run_to(const struct collection *c, struct service_job *job,
			      const char *host, const char *port)
{
	struct service_job_private *p = job->private;
	struct job_run *run;

	for (size_t i = 0; i < p->run_count; i++) {
		/* A failover is one thing, however many addresses there are. */
		if (job_is_failover(job) ||
		    (same(p->runs[i].config.host, host) && same(p->runs[i].config.port, port)))
			return &p->runs[i];
	}
	run = realloc(p->runs, (p->run_count + 1) * sizeof(*run));
	if (!run)
		return NULL;
	p->runs = run;
	run += p->run_count++;
	memset(run, 0, sizeof(*run));
	run_configure(c, job, run, host, port);
	return run->config.collection && (run->config.host || !host) ? run : NULL;
}

static int run_add_disk(struct job_run *run, const struct service_vm *vm,
			const struct service_disk *d)
{
	struct run_disk *disks = (struct run_disk *)run->config.disks;
	struct run_disk *grown = realloc(disks, (run->config.disk_count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	run->config.disks = grown;
	grown += run->config.disk_count++;
	*grown = (struct run_disk){
		.vm = run_keep(run, vm->name),
		.name = run_keep(run, d->name),
		.device = run_keep(run, d->device),
		.tracked = d->tracked,
		.granule = d->granule,
		.left_out = d->excluded,
		.past = member_past(d),
	};
	grown->past.doubt = run_keep(run, grown->past.doubt);
	if (*d->doubt && !grown->past.doubt)
		return -ENOMEM;
	return grown->vm && grown->name && (grown->device || !d->device) ? 0 : -ENOMEM;
}

static int run_add_hook(struct job_run *run, const struct service_vm *vm, const char *hook)
{
	struct run_vm *vms = (struct run_vm *)run->config.vms;
	struct run_vm *grown = realloc(vms, (run->config.vm_count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	run->config.vms = grown;
	grown += run->config.vm_count++;
	*grown = (struct run_vm){
		.name = run_keep(run, vm->name),
		.hook = run_keep(run, hook),
	};
	run->config.freeze = true;
	return grown->name && grown->hook ? 0 : -ENOMEM;
}

/* An application consistent point is due, and not with each run. */
static bool consistent_due(struct service *s, const struct collection *c,
			   const struct service_job *job)
{
	if (!c->settings.consistent_s || job->event == EVENT_VERIFY)
		return false;
	return !c->private->consistent ||
	       steady(s) - c->private->consistent >= c->settings.consistent_s * SECOND_US;
}

static int run_add_member(struct service *s, const struct collection *c, struct service_job *job,
			  const struct service_vm *vm, struct job_slot *slots)
{
	const char *hook = vm->freeze ? vm->freeze : c->settings.freeze;
	const char *host, *port;
	struct job_run *run;
	int err = 0;

	run_vm_address(c, vm, &host, &port);
	if (job->private->export) {
		host = EXPORT_HOST;
		port = export_port(job->private->export);
	}
	run = run_to(c, job, host, port);
	if (!run)
		return -ENOMEM;
	for (size_t i = 0; i < vm->disk_count && !err; i++) {
		slots[i] = (struct job_slot){ run - job->private->runs, run->config.disk_count };
		err = run_add_disk(run, vm, &vm->disks[i]);
	}
	if (!err && hook && consistent_due(s, c, job))
		err = run_add_hook(run, vm, hook);
	return err;
}

int run_build(struct service *s, const struct collection *c, struct service_job *job)
{
	struct service_job_private *p = job->private;
	size_t disks = 0;
	int err = 0;

	for (size_t i = 0; i < job->member_count; i++)
		disks += job->members[i].disk_count;
	p->slots = calloc(disks + 1, sizeof(*p->slots));
	if (!p->slots)
		return -ENOMEM;
	for (size_t i = 0; i < job->member_count && !err; i++) {
		const struct service_vm *vm = service_vm(c, job->members[i].vm);

		if (vm)
			err = run_add_member(s, c, job, vm,
					     (struct job_slot *)run_slot(job, i, 0));
	}
	return err;
}

void run_free_all(struct service_job *job)
{
	struct service_job_private *p = job->private;

	for (size_t i = 0; i < p->run_count; i++) {
		struct job_run *run = &p->runs[i];

		if (run->handle)
			run->ops->destroy(run->handle);
		for (size_t j = 0; j < run->string_count; j++)
			free(run->strings[j]);
		free(run->strings);
		free((struct run_disk *)run->config.disks);
		free((struct run_vm *)run->config.vms);
	}
	p->export = export_close(p->export);
	free(p->runs);
	free(p->slots);
	p->runs = NULL;
	p->slots = NULL;
	p->run_count = 0;
}

size_t run_active(const struct service_job *job)
{
	const struct service_job_private *p = job->private;
	size_t count = 0;

	for (size_t i = 0; i < p->run_count; i++)
		count += p->runs[i].handle && !p->runs[i].ended;
	return count;
}

/* One that has not begun does so without it, or not at all. */
static void run_leave_out(struct job_run *run, const char *vm)
{
	struct run_disk *disks = (struct run_disk *)run->config.disks;
	bool any = false;

	for (size_t i = 0; i < run->config.disk_count; i++) {
		disks[i].left_out |= strcmp(disks[i].vm, vm) == 0;
		any |= !disks[i].left_out;
	}
	run->ended = !any;
}

void run_leave(struct service_job *job, const char *vm)
{
	struct service_job_private *p = job->private;

	for (size_t i = 0; i < p->run_count; i++) {
		struct job_run *run = &p->runs[i];

		if (!run->ops)
			run_leave_out(run, vm);
		else if (run->handle && !run->ended && run->ops->leave)
			run->ops->leave(run->handle, vm);
	}
}

/* All members of a run that never was. */
static void run_fail(struct service_job *job, size_t run, int err)
{
	/* EAGAIN: a thread without room for its stack */
	bool no_memory = err == -ENOMEM || err == -EAGAIN;

	for (size_t i = 0; i < job->member_count; i++) {
		const struct job_slot *slot = run_slot(job, i, 0);

		if (job->members[i].disk_count && slot->run == run)
			job_member_fail(&job->members[i],
					no_memory ? REASON_NO_MEMORY : REASON_FAILED,
					"its run cannot be started");
	}
}

void run_start(struct service *s, struct service_job *job)
{
	struct service_job_private *p = job->private;
	const struct collection *c = service_find(s, job->collection);
	size_t limit = c && c->settings.max_concurrent ? c->settings.max_concurrent : SIZE_MAX;

	for (size_t i = 0; i < p->run_count && run_active(job) < limit; i++) {
		struct job_run *run = &p->runs[i];
		int err;

		if (run->ops || run->ended)
			continue;
		if (job_is_failover(job)) {
			run->ops = &runner_failover;
			err = runner_failover_start(s, job, &run->handle);
		} else {
			run->ops = &s->runner;
			err = run->ops->start(run->ops->arg, &run->config, s->fd, &run->handle);
		}
		if (err) {
			run->ended = true;
			run_fail(job, i, err);
		}
	}
}

/* -- runs as threads -------------------------------------------------------- */

static int default_start(void *arg, const struct run_config *config, int ended_fd, void **ret)
{
	struct sender *sender;
	int err = sender_start(&sender, config, ended_fd);

	if (!err)
		*ret = sender;
	return err;
}

static void default_cancel(void *run)
{
	sender_cancel(run);
}

static void default_pause(void *run, bool paused)
{
	sender_pause(run, paused);
}

static void default_leave(void *run, const char *vm)
{
	sender_leave(run, vm);
}

static bool default_ended(void *run)
{
	return sender_ended(run);
}

static int default_result(void *run)
{
	return sender_result(run);
}

static const struct reason *default_reason(void *run)
{
	return sender_reason(run);
}

static const struct run_report *default_report(void *run)
{
	return sender_report(run);
}

static void default_progress(void *run, struct progress_view *ret)
{
	sender_progress(run, ret);
}

static void default_disk_progress(void *run, size_t disk, struct progress_view *ret)
{
	sender_disk_progress(run, disk, ret);
}

static void default_destroy(void *run)
{
	sender_destroy(run);
}

const struct job_runner runner_default = {
	.start = default_start,
	.cancel = default_cancel,
	.pause = default_pause,
	.leave = default_leave,
	.ended = default_ended,
	.result = default_result,
	.reason = default_reason,
	.report = default_report,
	.progress = default_progress,
	.disk_progress = default_disk_progress,
	.destroy = default_destroy,
};
