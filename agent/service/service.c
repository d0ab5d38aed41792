// SPDX-License-Identifier: GPL-2.0-or-later
#include "service/service.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/log.h"
#include "base/util.h"
#include "service/private.h"

/* Disks are looked at so often, and so many collections at a time. */
#define LOOK_US (10 * SECOND_US)
#define LOOK_COLLECTIONS 16u

/* -- looking up ------------------------------------------------------------- */

static int compare_collections(const void *a, const void *b)
{
	const struct collection *one = *(struct collection *const *)a;
	const struct collection *two = *(struct collection *const *)b;

	if (one->role != two->role)
		return one->role < two->role ? -1 : 1;
	return strcmp(one->name, two->name);
}

void service_sort(struct service *s)
{
	s->changes++;
	if (s->collection_count)
		qsort(s->collections, s->collection_count, sizeof(*s->collections),
		      compare_collections);
}

size_t service_count(const struct service *s)
{
	return s->collection_count;
}

const struct collection *service_at(const struct service *s, size_t i)
{
	return i < s->collection_count ? s->collections[i] : NULL;
}

struct collection *service_get(struct service *s, const char *name)
{
	for (size_t i = 0; i < s->collection_count; i++) {
		if (strcmp(s->collections[i]->name, name) == 0)
			return s->collections[i];
	}
	return NULL;
}

const struct collection *service_find(const struct service *s, const char *collection)
{
	return service_get((struct service *)s, collection);
}

int service_wanted(struct service *s, const char *name, struct collection **ret,
		   struct reason *reason)
{
	struct collection *c = service_get(s, name);

	/* A replica whose first point came since we looked last. */
	if (!c) {
		member_look_replicas(s);
		c = service_get(s, name);
	}
	if (!c)
		return reason_set(reason, -ENOENT, REASON_NOT_FOUND,
				  "there is no collection %s on this host", name);
	*ret = c;
	return 0;
}

const struct service_job *service_jobs(const struct service *s)
{
	return s->jobs;
}

const struct service_job *service_job(const struct service *s, uint64_t id)
{
	return job_find((struct service *)s, id);
}

size_t service_running(const struct service *s)
{
	size_t count = 0;

	for (const struct service_job *job = s->jobs; job; job = job->next)
		count += run_active(job) != 0;
	return count;
}

uint64_t service_changes(const struct service *s)
{
	return s->changes;
}

struct history *service_history(struct service *s)
{
	return s->history;
}

const struct config *service_config(const struct service *s)
{
	return s->config;
}

void service_look(struct service *s, const char *collection)
{
	bool replicas = !collection;

	for (size_t i = 0; i < s->collection_count; i++) {
		struct collection *c = s->collections[i];

		if (collection && strcmp(c->name, collection) != 0)
			continue;
		replicas |= c->role == MODEL_REPLICA;
		member_look(s, c);
	}
	if (replicas)
		member_look_replicas(s);
}

void service_look_replicas(struct service *s)
{
	member_look_replicas(s);
	member_drop_replicas(s);
}

/* -- telling ---------------------------------------------------------------- */

void service_listen(struct service *s, const struct service_listener *listener)
{
	s->listener = listener ? *listener : (struct service_listener){ 0 };
}

void service_tell(struct service *s, struct service_event event)
{
	event.seq = ++s->seq;
	event.time = wall(s);
	if (s->listener.event)
		s->listener.event(s->listener.owner, &event);
}

int service_insert(struct service *s, struct collection *c)
{
	struct collection **grown = realloc(s->collections, (s->collection_count + 1) *
							    sizeof(struct collection *));
	size_t i;

	if (!grown)
		return -ENOMEM;
	s->collections = grown;
	for (i = s->collection_count++; i && compare_collections(&c, &grown[i - 1]) < 0; i--)
		grown[i] = grown[i - 1];
	grown[i] = c;
	s->changes++;
	if (s->listener.collection_added)
		s->listener.collection_added(s->listener.owner, c);
	service_tell(s, (struct service_event){ .name = "collection-added",
						.collection = c->name,
						.text = model_role_name(c->role) });
	return 0;
}

void service_drop(struct service *s, struct collection *c)
{
	size_t i = 0;

	s->changes++;
	while (s->collections[i] != c)
		i++;
	memmove(&s->collections[i], &s->collections[i + 1],
		(--s->collection_count - i) * sizeof(struct collection *));
	if (s->listener.collection_removed)
		s->listener.collection_removed(s->listener.owner, c);
	service_tell(s, (struct service_event){ .name = "collection-removed",
						.collection = c->name,
						.text = model_role_name(c->role) });
	collection_free(c);
}

/* -- the tick --------------------------------------------------------------- */

static bool job_due(const struct service_job *job, int64_t now)
{
	return job->state == JOB_NEW && job->scheduled <= now;
}

static struct collection *collection_of(struct service *s, const struct service_job *job)
{
	for (size_t i = 0; i < s->collection_count; i++) {
		struct collection *c = s->collections[i];

		if (c->role == job->role && strcmp(c->name, job->collection) == 0)
			return c;
	}
	return NULL;
}

/* Another job of its collection that is at work: this one comes after it. */
static bool job_blocked(struct service *s, const struct service_job *job)
{
	for (const struct service_job *other = s->jobs; other; other = other->next) {
		if (other != job && !service_job_ended(other) && run_active(other) &&
		    strcmp(other->collection, job->collection) == 0)
			return true;
	}
	return false;
}

static size_t places_taken(const struct service *s)
{
	size_t count = 0;

	for (const struct service_job *job = s->jobs; job; job = job->next)
		count += run_active(job);
	return count;
}

/* The job whose turn it is; NULL: nobody's now. */
static struct service_job *tick_pick(struct service *s)
{
	size_t taken = places_taken(s);
	size_t all = s->config->max_jobs;
	size_t count = 0, chosen, i = 0;
	struct schedule_waiting *waiting;
	struct service_job *job, **jobs;
	int64_t now = wall(s);

	for (job = s->jobs; job; job = job->next)
		count += job_due(job, now) && !job_blocked(s, job);
	if (!count)
		return NULL;
	waiting = calloc(count, sizeof(*waiting));
	jobs = calloc(count, sizeof(struct service_job *));
	for (job = s->jobs; job && waiting && jobs; job = job->next) {
		struct collection *c = collection_of(s, job);

		if (!job_due(job, now) || job_blocked(s, job))
			continue;
		waiting[i] = (struct schedule_waiting){
			.last = c ? c->private->last_start : 0,
			.submitted = job->submitted,
			.id = job->id,
			.runs = job_wants(s, job),
		};
		jobs[i++] = job;
	}
	chosen = schedule_pick(waiting, i, taken < all ? all - taken : 0, all);
	job = chosen < i ? jobs[chosen] : NULL;
	free(waiting);
	free(jobs);
	return job;
}

static void tick_reap(struct service *s)
{
	struct service_job *next;

	for (struct service_job *job = s->jobs; job; job = next) {
		next = job->next;
		if (run_active(job) && !service_job_ended(job))
			job_reap(s, job);
	}
}

static void tick_until(struct service *s)
{
	int64_t now = wall(s);

	for (struct service_job *job = s->jobs; job; job = job->next) {
		if (job->until && job->until <= now && !service_job_ended(job) &&
		    job->private->wish == WISH_NONE)
			job_wish(s, job, WISH_TERMINATE);
	}
}

static void tick_cycles(struct service *s)
{
	for (size_t i = 0; i < s->collection_count; i++) {
		struct collection *c = s->collections[i];
		struct service_job *job;

		if (c->private->due > steady(s) && c->private->due_wall > wall(s))
			continue;
		job = job_of(s, c);
		/* One that is at work covers it; one that is scheduled for later does not. */
		if (job && (job->state != JOB_NEW || job_due(job, wall(s)) || !job->scheduled))
			continue;
		method_cycle(s, c);
	}
}

static void tick_queue(struct service *s)
{
	struct service_job *job;

	while ((job = tick_pick(s)) != NULL)
		job_launch(s, job);
	for (job = s->jobs; job; job = job->next) {
		const char *status = job->state != JOB_NEW ? NULL :
				     job->scheduled > wall(s) ? "scheduled" : "waiting for a place";

		if (status && strcmp(job->status, status) != 0)
			job_set(s, job, JOB_NEW, status);
	}
}

static void tick_remove(struct service *s)
{
	struct service_job *next;

	for (struct service_job *job = s->jobs; job; job = next) {
		next = job->next;
		if (service_job_ended(job) && job->private->removal <= steady(s))
			job_remove(s, job);
	}
}

static void tick_look(struct service *s)
{
	if (s->look_at > steady(s))
		return;
	s->look_at = steady(s) + LOOK_US;
	for (size_t i = 0; i < LOOK_COLLECTIONS && i < s->collection_count; i++) {
		s->looked = (s->looked + 1) % s->collection_count;
		member_look(s, s->collections[s->looked]);
	}
	service_look_replicas(s);
}

void service_tick(struct service *s)
{
	eventfd_t unused;

	eventfd_read(s->fd, &unused);
	if (s->stopping)
		return;
	tick_reap(s);
	rate_follow_all(s);
	tick_until(s);
	tick_cycles(s);
	tick_queue(s);
	tick_look(s);
	tick_remove(s);
}

static void sooner(int64_t *first, int64_t when)
{
	if (when < *first)
		*first = when;
}

void service_next(struct service *s, int64_t *ret_wall_us, int64_t *ret_steady_us)
{
	int64_t now = wall(s);

	*ret_wall_us = INT64_MAX;
	*ret_steady_us = s->look_at;
	for (const struct service_job *job = s->jobs; job; job = job->next) {
		if (service_job_ended(job)) {
			sooner(ret_steady_us, job->private->removal);
			continue;
		}
		if (job->state == JOB_NEW && job->scheduled > now)
			sooner(ret_wall_us, job->scheduled);
		if (job->until && job->private->wish == WISH_NONE)
			sooner(ret_wall_us, job->until);
		if (run_active(job))
			sooner(ret_wall_us, rate_next(s, job));
	}
	for (size_t i = 0; i < s->collection_count; i++) {
		const struct collection *c = s->collections[i];
		const struct service_job *job = c->job ? service_job(s, c->job) : NULL;

		/* The end of that job comes by service_fd(). */
		if (job && (job->state != JOB_NEW || job->scheduled <= now))
			continue;
		sooner(ret_steady_us, c->private->due);
		sooner(ret_wall_us, c->private->due_wall);
	}
}

int service_fd(const struct service *s)
{
	return s->fd;
}

/* -- life ------------------------------------------------------------------- */

static int64_t clock_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

static int64_t system_wall(void *arg)
{
	return clock_us(CLOCK_REALTIME);
}

static int64_t system_steady(void *arg)
{
	return clock_us(CLOCK_BOOTTIME);
}

static int system_look(void *arg, const char *device, bool tracked, uint32_t granule,
		       struct source_info *ret)
{
	return source_look(device, tracked, granule, ret);
}

static int open_collections(struct service *s, struct reason *reason)
{
	int err = 0;

	for (size_t i = 0; i < s->config->collection_count && !err; i++) {
		struct collection *c;

		err = collection_from_config(s, &s->config->collections[i], &c, reason);
		if (!err && service_insert(s, c)) {
			collection_free(c);
			err = reason_set(reason, -ENOMEM, 0, "out of memory");
		}
	}
	if (!err)
		err = record_load(s, reason);
	service_sort(s);
	return err;
}

/* What a job that had not ended is now. */
static void open_job(struct service *s, struct service_job *job)
{
	struct collection *c = collection_of(s, job);
	int64_t now = wall(s);

	if (c)
		c->job = job->id;
	if (job->event >= EVENTS || !c) {
		job_fail_all(job, c ? REASON_FAILED : REASON_NOT_FOUND,
			     c ? "it is of a sort that this version does not know" :
				 "its collection is gone");
		job_end(s, job, JOB_EXCEPTION);
	} else if (job->state == JOB_SHUTTING_DOWN) {
		job_end(s, job, JOB_TERMINATED);
	} else if (job->state == JOB_NEW && job->scheduled &&
		   !schedule_missed(job->scheduled, now, s->config->missed_grace_s)) {
		job_fail_all(job, REASON_NOT_AVAILABLE,
			     "its start time passed while the agent was not running");
		job_end(s, job, JOB_EXCEPTION);
	} else if (job->state != JOB_SUSPENDED && job->state != JOB_NEW) {
		log_notice("job %llu of collection %s was running when the agent ended: it goes on",
			   (unsigned long long)job->id, job->collection);
		job->state = JOB_NEW;
		job->scheduled = 0;
	}
}

/* A state that only a job can be the reason of, and there is none. */
static void open_states(struct service *s, struct collection *c)
{
	static const struct {
		enum model_vm_state during, after;
	} left[] = {
		{ VM_RESYNC, VM_WAITING_RESYNC },
		{ VM_INITIAL, VM_READY },
	};

	if (c->role != MODEL_PRIMARY || job_of(s, c))
		return;
	for (size_t i = 0; i < c->vm_count; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(left); j++) {
			if (c->vms[i].state == left[j].during)
				vm_become(s, c, &c->vms[i], left[j].after, "no job is left");
		}
	}
}

static int service_set_up(struct service *s, const struct service_options *o,
			  struct reason *reason)
{
	const char *folder = o->state_dir ? o->state_dir : o->config->state_dir;
	struct service_job *next;
	int err;

	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->fd < 0)
		return reason_set(reason, -errno, 0, "cannot make an eventfd: %s",
				  strerrordesc_np(errno));
	err = history_open(folder, &s->history, reason);
	if (err)
		return err;
	s->state = history_state(s->history);
	err = open_collections(s, reason);
	if (err)
		return err;
	/* Before the jobs: a failover that was cut short is about these members. */
	member_look_replicas(s);
	err = record_load_jobs(s, reason);
	if (err)
		return err;
	for (struct service_job *job = s->jobs; job; job = next) {
		next = job->next;
		open_job(s, job);
	}
	for (size_t i = 0; i < s->collection_count; i++) {
		struct collection *c = s->collections[i];
		struct history_entry last;

		open_states(s, c);
		if (c->private->last_start && c->settings.interval_s)
			c->private->grid = schedule_resume(c->private->grid, c->private->last_start,
							   steady(s),
							   c->settings.interval_s * SECOND_US);
		if (!c->statistics.start_time)
			c->statistics.start_time = wall(s) / SECOND_US;
		if (c->role == MODEL_PRIMARY && !history_last(s->history, c->name, &last))
			c->last_job = last.id;
		collection_schedule(s, c);
		collection_refresh(s, c);
	}
	return 0;
}

int service_open(struct service **ret, const struct service_options *options,
		 struct reason *reason)
{
	static const struct service_clock system_clock = { system_wall, system_steady, NULL };
	static const struct service_world system_world = { system_look, NULL, NULL };
	struct service *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	s->config = options->config;
	s->runner = options->runner ? *options->runner : runner_default;
	s->clock = options->clock ? *options->clock : system_clock;
	s->world = options->world ? *options->world : system_world;
	s->failover = options->failover;
	s->origins = options->origins;
	err = service_set_up(s, options, reason);
	if (err) {
		s->config = NULL;
		service_close(s);
		return err;
	}
	*ret = s;
	return 0;
}

void service_stop(struct service *s)
{
	struct pollfd fd = { .events = POLLIN };
	eventfd_t unused;

	if (!s)
		return;
	s->stopping = true;
	fd.fd = s->fd;
	for (struct service_job *job = s->jobs; job; job = job->next) {
		if (!service_job_ended(job))
			job_wish(s, job, WISH_STOP);
	}
	while (places_taken(s)) {
		/* The time limit is for a run that ended before the eventfd was read. */
		poll(&fd, 1, 100);
		eventfd_read(s->fd, &unused);
		tick_reap(s);
	}
}

struct service *service_close(struct service *s)
{
	if (!s)
		return NULL;
	s->listener = (struct service_listener){ 0 };
	while (s->jobs) {
		struct service_job *job = s->jobs;

		s->jobs = job->next;
		job_free(job);
	}
	for (size_t i = 0; i < s->collection_count; i++)
		collection_free(s->collections[i]);
	free(s->collections);
	history_close(s->history);
	config_free(s->config);
	closep(&s->fd);
	free(s);
	return NULL;
}
