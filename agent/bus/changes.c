// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changes: from the service's words to signals.
 *
 * A collection that changes is noted, and told of at the next tick, once, however
 * often it changed; and only so many are told of in one turn of the loop, so that
 * a thousand that change at once keep nobody waiting. What was told last is kept
 * as a hash, so that what is as it was is not told again. Jobs that run are told
 * of at every tick; that a job or collection has come or gone, at once.
 */
#include "bus/objects.h"

#include <search.h>
#include <stdio.h>
#include <string.h>

/* The time from a change to its signal, and from one progress to the next. */
#define TICK_US 250000u
/* Collections told of in one turn of the loop. */
#define TURN 32

/**
 * struct seen - a collection as it was told of last
 * @name: of the collection; the key
 * @hash: of what changes
 * @vms: the same of its members
 * @vm_count: of them
 */
struct seen {
	char name[NAME_SIZE];
	uint64_t hash;
	struct seen_vm {
		char name[NAME_SIZE];
		uint64_t hash;
	} *vms;
	size_t vm_count;
};

/**
 * struct changes - what is to be told
 * @seen: tree of struct seen
 * @dirty: tree of names, char[NAME_SIZE]
 * @timer: the next tick
 * @turn: more is to be told in the next turn
 */
struct changes {
	void *seen;
	void *dirty;
	sd_event_source *timer;
	sd_event_source *turn;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b); /* both begin with the name */
}

static void free_seen(void *p)
{
	struct seen *s = p;

	free(s->vms);
	free(s);
}

/* -- hashes ----------------------------------------------------------------- */

/* FNV-1a: no secrets here, only "is it another?" */
static uint64_t hash_add(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash_add(hash, text ? text : "", text ? strlen(text) + 1 : 1);
}

#define HASH(hash, member) ((hash) = hash_add((hash), &(member), sizeof(member)))
#define HASH_INIT UINT64_C(0xcbf29ce484222325)

static uint64_t hash_vm(const struct service_vm *vm)
{
	uint64_t h = HASH_INIT;

	HASH(h, vm->state);
	HASH(h, vm->health);
	HASH(h, vm->point);
	HASH(h, vm->point_time);
	HASH(h, vm->error);
	HASH(h, vm->retries);
	h = hash_text(h, vm->health_text);
	h = hash_text(h, vm->error_text);
	h = hash_text(h, vm->host);
	return hash_text(h, vm->port);
}

static uint64_t hash_collection(const struct collection *c)
{
	size_t count;
	const struct setting *table = settings_table(&count);
	uint64_t h = HASH_INIT;

	HASH(h, c->role);
	HASH(h, c->origin);
	HASH(h, c->state);
	HASH(h, c->health);
	HASH(h, c->job);
	HASH(h, c->last_job);
	HASH(h, c->next_run);
	HASH(h, c->rate.limit);
	h = hash_text(h, c->rate.why);
	h = hash_text(h, c->file);
	h = hash_text(h, c->health_text);
	for (size_t i = 0; i < count; i++) {
		char text[SETTING_TEXT_MAX] = "";

		table[i].get(&c->settings, text, sizeof(text));
		h = hash_text(h, text);
	}
	for (size_t i = 0; i < c->vm_count; i++)
		h = hash_text(h, c->vms[i].name);
	return h;
}

/* -- what was told ---------------------------------------------------------- */

static struct seen *find_seen(struct changes *ch, const char *name)
{
	void **node = tfind(name, &ch->seen, by_name);

	return node ? *node : NULL;
}

static const struct seen_vm *find_seen_vm(const struct seen *s, const char *name)
{
	for (size_t i = 0; i < s->vm_count; i++) {
		if (strcmp(s->vms[i].name, name) == 0)
			return &s->vms[i];
	}
	return NULL;
}

/* Keep how it is now. Without memory the next change is told of in full. */
static void remember(struct changes *ch, const struct collection *c)
{
	struct seen *s = find_seen(ch, c->name);
	struct seen_vm *vms = calloc(c->vm_count ? c->vm_count : 1, sizeof(*vms));

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (s)
			snprintf(s->name, sizeof(s->name), "%s", c->name);
		if (s && !tsearch(s, &ch->seen, by_name)) {
			free(s);
			s = NULL;
		}
	}
	if (!s || !vms) {
		free(vms);
		return;
	}
	for (size_t i = 0; i < c->vm_count; i++) {
		snprintf(vms[i].name, sizeof(vms[i].name), "%s", c->vms[i].name);
		vms[i].hash = hash_vm(&c->vms[i]);
	}
	free(s->vms);
	s->vms = vms;
	s->vm_count = c->vm_count;
	s->hash = hash_collection(c);
}

static void forget(struct changes *ch, struct seen *s)
{
	tdelete(s->name, &ch->seen, by_name);
	free_seen(s);
}

/* -- telling ---------------------------------------------------------------- */

static void tell_vms(struct bus *b, const struct seen *s, const struct collection *c)
{
	char path[BUS_PATH_SIZE];

	for (size_t i = 0; s && i < s->vm_count; i++) {
		if (!service_vm(c, s->vms[i].name))
			sd_bus_emit_interfaces_removed(
				b->bus, bus_vm_path(c->name, s->vms[i].name, path), BUS_VM, NULL);
	}
	for (size_t i = 0; i < c->vm_count; i++) {
		const struct seen_vm *before = s ? find_seen_vm(s, c->vms[i].name) : NULL;

		bus_vm_path(c->name, c->vms[i].name, path);
		if (!before)
			sd_bus_emit_interfaces_added(b->bus, path, BUS_VM, NULL);
		else if (before->hash != hash_vm(&c->vms[i]))
			sd_bus_emit_properties_changed_strv(b->bus, path, BUS_VM, NULL);
	}
}

static void tell_collection(struct bus *b, const char *name)
{
	const struct collection *c = service_find(b->agent.service, name);
	const struct seen *s = find_seen(b->changes, name);
	char path[BUS_PATH_SIZE];

	if (!c)
		return;
	bus_collection_path(name, path);
	if (!s)
		sd_bus_emit_interfaces_added(b->bus, path, BUS_COLLECTION, NULL);
	else if (s->hash != hash_collection(c))
		sd_bus_emit_properties_changed_strv(b->bus, path, BUS_COLLECTION, NULL);
	tell_vms(b, s, c);
	remember(b->changes, c);
}

static void tell_gone(struct bus *b, const char *name)
{
	struct seen *s = find_seen(b->changes, name);
	char path[BUS_PATH_SIZE];

	for (size_t i = 0; s && i < s->vm_count; i++)
		sd_bus_emit_interfaces_removed(b->bus, bus_vm_path(name, s->vms[i].name, path),
					       BUS_VM, NULL);
	if (s) {
		sd_bus_emit_interfaces_removed(b->bus, bus_collection_path(name, path),
					       BUS_COLLECTION, NULL);
		forget(b->changes, s);
	}
}

/* Tell of at most TURN collections. Return: are there more? */
static bool tell_some(struct bus *b)
{
	struct changes *ch = b->changes;

	for (size_t i = 0; i < TURN && ch->dirty; i++) {
		char *name = *(char **)ch->dirty;

		tdelete(name, &ch->dirty, by_name);
		tell_collection(b, name);
		free(name);
	}
	return ch->dirty;
}

static int on_turn(sd_event_source *source, void *arg)
{
	return sd_event_source_set_enabled(source, tell_some(arg) ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* -- the tick --------------------------------------------------------------- */

static void arm(struct bus *b)
{
	int enabled = SD_EVENT_OFF;

	sd_event_source_get_enabled(b->changes->timer, &enabled);
	if (enabled != SD_EVENT_OFF)
		return;
	sd_event_source_set_time_relative(b->changes->timer, TICK_US);
	sd_event_source_set_enabled(b->changes->timer, SD_EVENT_ONESHOT);
}

static void tell_job(struct bus *b, const struct service_job *job)
{
	char path[BUS_PATH_SIZE];

	sd_bus_emit_properties_changed_strv(b->bus, bus_job_path(job->id, path), BUS_JOB, NULL);
}

static int on_tick(sd_event_source *source, uint64_t now, void *arg)
{
	struct bus *b = arg;
	bool running = false;

	for (const struct service_job *job = service_jobs(b->agent.service); job;
	     job = job->next) {
		if (service_job_ended(job) || !job->started)
			continue;
		tell_job(b, job);
		running = true;
	}
	if (b->changes->dirty)
		sd_event_source_set_enabled(b->changes->turn, SD_EVENT_ON);
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (running)
		arm(b);
	return 0;
}

/* -- the service's words ---------------------------------------------------- */

static void on_collection(void *owner, const struct collection *c)
{
	struct bus *b = owner;
	char *name = strdup(c->name);
	void **node = name ? tsearch(name, &b->changes->dirty, by_name) : NULL;

	if (!node || *node != name)
		free(name); /* noted already, or no memory: a later change will do */
	arm(b);
}

static void on_collection_removed(void *owner, const struct collection *c)
{
	struct bus *b = owner;
	void **node = tfind(c->name, &b->changes->dirty, by_name);

	if (node) {
		char *name = *node;

		tdelete(name, &b->changes->dirty, by_name);
		free(name);
	}
	tell_gone(b, c->name);
}

static void on_job_added(void *owner, const struct service_job *job)
{
	struct bus *b = owner;
	char path[BUS_PATH_SIZE];

	sd_bus_emit_interfaces_added(b->bus, bus_job_path(job->id, path), BUS_JOB, NULL);
	arm(b);
}

static void on_job_changed(void *owner, const struct service_job *job)
{
	struct bus *b = owner;
	char path[BUS_PATH_SIZE];

	tell_job(b, job);
	if (service_job_ended(job))
		sd_bus_emit_signal(b->bus, BUS_PATH, BUS_SERVICE, "JobFinished", "ouu",
				   bus_job_path(job->id, path), (uint32_t)job->state, job->error);
	else
		arm(b);
}

static void on_job_removed(void *owner, const struct service_job *job)
{
	struct bus *b = owner;
	char path[BUS_PATH_SIZE];

	bus_job_path(job->id, path);
	sd_bus_emit_interfaces_removed(b->bus, path, BUS_JOB, NULL);
	sd_bus_emit_signal(b->bus, BUS_PATH, BUS_SERVICE, "JobRemoved", "o", path);
}

static void on_event(void *owner, const struct service_event *e)
{
	struct bus *b = owner;
	char text[REASON_TEXT_MAX];

	sd_bus_emit_signal(b->bus, BUS_PATH, BUS_SERVICE, "Event", "ttssstuus", e->seq,
			   (uint64_t)e->time, e->name, e->collection ?: "", e->vm ?: "", e->job,
			   e->from, e->to, bus_text(e->text, text, sizeof(text)));
}

/* -- life ------------------------------------------------------------------- */

int changes_create(struct bus *b)
{
	const struct service_listener listener = {
		.collection_added = on_collection,
		.collection_changed = on_collection,
		.collection_removed = on_collection_removed,
		.job_added = on_job_added,
		.job_changed = on_job_changed,
		.job_removed = on_job_removed,
		.event = on_event,
		.owner = b,
	};
	int err;

	b->changes = calloc(1, sizeof(*b->changes));
	if (!b->changes)
		return -ENOMEM;
	err = sd_event_add_time_relative(b->event, &b->changes->timer, CLOCK_MONOTONIC, TICK_US, 0,
					 on_tick, b);
	if (err >= 0)
		err = sd_event_add_defer(b->event, &b->changes->turn, on_turn, b);
	if (err >= 0)
		err = sd_event_source_set_enabled(b->changes->turn, SD_EVENT_OFF);
	/* after the bus's own messages: a call is answered before more is told */
	if (err >= 0)
		err = sd_event_source_set_priority(b->changes->turn, SD_EVENT_PRIORITY_IDLE);
	if (err < 0)
		return err;
	for (size_t i = 0; i < service_count(b->agent.service); i++) {
		const struct collection *c = service_at(b->agent.service, i);

		if (service_find(b->agent.service, c->name) == c)
			remember(b->changes, c);
	}
	service_listen(b->agent.service, &listener);
	return 0;
}

void changes_destroy(struct bus *b)
{
	struct changes *ch = b->changes;

	if (!ch)
		return;
	service_listen(b->agent.service, NULL);
	sd_event_source_disable_unref(ch->timer);
	sd_event_source_disable_unref(ch->turn);
	tdestroy(ch->seen, free_seen);
	tdestroy(ch->dirty, free);
	free(ch);
	b->changes = NULL;
}
