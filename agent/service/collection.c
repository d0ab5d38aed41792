// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Collections and their members: making them, and the steps of the state
 * machines that concern what is in memory. Nothing here is durable by itself:
 * who changes states records them (record.c) in the same transaction as the rest.
 */
#include "service/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* -- making ----------------------------------------------------------------- */

struct collection *collection_new(const char *name, enum model_role role,
				  enum service_origin origin)
{
	struct collection *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->private = calloc(1, sizeof(*c->private));
	if (!c->private) {
		free(c);
		return NULL;
	}
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->role = role;
	c->origin = origin;
	settings_defaults(&c->settings);
	c->private->due = INT64_MAX;
	c->private->due_wall = INT64_MAX;
	return c;
}

void vm_clear(struct service_vm *vm)
{
	for (size_t i = 0; i < vm->disk_count; i++)
		free(vm->disks[i].device);
	free(vm->disks);
	free(vm->host);
	free(vm->port);
	free(vm->freeze);
}

struct collection *collection_free(struct collection *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->vm_count; i++)
		vm_clear(&c->vms[i]);
	free(c->vms);
	free(c->file);
	settings_clear(&c->settings);
	free(c->private);
	free(c);
	return NULL;
}

struct service_vm *collection_find_vm(struct collection *c, const char *vm)
{
	for (size_t i = 0; i < c->vm_count; i++) {
		if (strcmp(c->vms[i].name, vm) == 0)
			return &c->vms[i];
	}
	return NULL;
}

const struct service_vm *service_vm(const struct collection *c, const char *vm)
{
	return collection_find_vm((struct collection *)c, vm);
}

struct service_vm *collection_add_vm(struct collection *c, const char *vm)
{
	struct service_vm *found = collection_find_vm(c, vm);
	struct service_vm *grown;

	if (found)
		return found;
	grown = realloc(c->vms, (c->vm_count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	c->vms = grown;
	found = &grown[c->vm_count++];
	memset(found, 0, sizeof(*found));
	snprintf(found->name, sizeof(found->name), "%s", vm);
	return found;
}

struct service_disk *vm_add_disk(struct service_vm *vm, const char *disk)
{
	struct service_disk *d;

	for (size_t i = 0; i < vm->disk_count; i++) {
		if (strcmp(vm->disks[i].name, disk) == 0)
			return &vm->disks[i];
	}
	d = realloc(vm->disks, (vm->disk_count + 1) * sizeof(*d));
	if (!d)
		return NULL;
	vm->disks = d;
	d += vm->disk_count++;
	memset(d, 0, sizeof(*d));
	snprintf(d->name, sizeof(d->name), "%s", disk);
	return d;
}

static int compare_vms(const void *a, const void *b)
{
	return strcmp(((const struct service_vm *)a)->name, ((const struct service_vm *)b)->name);
}

static int compare_disks(const void *a, const void *b)
{
	return strcmp(((const struct service_disk *)a)->name,
		      ((const struct service_disk *)b)->name);
}

void collection_sort(struct collection *c)
{
	if (c->vm_count)
		qsort(c->vms, c->vm_count, sizeof(*c->vms), compare_vms);
	for (size_t i = 0; i < c->vm_count; i++) {
		struct service_vm *vm = &c->vms[i];

		if (vm->disk_count)
			qsort(vm->disks, vm->disk_count, sizeof(*vm->disks), compare_disks);
	}
}

void collection_include(struct collection *c)
{
	for (size_t i = 0; i < c->vm_count; i++) {
		struct service_vm *vm = &c->vms[i];

		for (size_t j = 0; j < vm->disk_count; j++)
			vm->disks[j].excluded = !settings_include(&c->settings, vm->name,
								  vm->disks[j].name);
	}
}

static bool vm_excludes(const struct service_vm *vm, const char *disk)
{
	for (size_t i = 0; i < vm->disk_count; i++) {
		if (strcmp(vm->disks[i].name, disk) == 0)
			return vm->disks[i].excluded;
	}
	return false;
}

void collection_included_anew(struct collection *c, const struct collection *old)
{
	for (size_t i = 0; i < c->vm_count; i++) {
		struct service_vm *vm = &c->vms[i];
		const struct service_vm *was = service_vm(old, vm->name);

		for (size_t j = 0; was && j < vm->disk_count; j++) {
			if (vm->state == VM_REPLICATING && !vm->disks[j].excluded &&
			    vm_excludes(was, vm->disks[j].name))
				vm->state = VM_WAITING_RESYNC;
		}
	}
}

bool vm_included(const struct service_vm *vm)
{
	for (size_t i = 0; i < vm->disk_count; i++) {
		if (!vm->disks[i].excluded)
			return true;
	}
	return !vm->disk_count;
}

void swap_members(struct service *s, struct collection *a, struct collection *b)
{
	struct collection old = *a;

	s->changes++;
	a->settings = b->settings;
	a->vms = b->vms;
	a->vm_count = b->vm_count;
	b->settings = old.settings;
	b->vms = old.vms;
	b->vm_count = old.vm_count;
}

size_t collection_disks(const struct collection *c)
{
	size_t count = 0;

	for (size_t i = 0; i < c->vm_count; i++)
		count += c->vms[i].disk_count;
	return count;
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

static int collection_fill(struct collection *c, const struct config_collection *from)
{
	int err = settings_copy(&c->settings, &from->settings);

	if (!err)
		err = copy_text(&c->file, from->file);
	for (size_t i = 0; i < from->disk_count && !err; i++) {
		const struct run_disk *d = &from->disks[i];
		struct service_vm *vm = collection_add_vm(c, d->vm);
		struct service_disk *disk = vm ? vm_add_disk(vm, d->name) : NULL;

		if (!disk)
			return -ENOMEM;
		disk->tracked = d->tracked;
		disk->granule = d->granule;
		err = copy_text(&disk->device, d->device);
	}
	for (size_t i = 0; i < from->vm_count && !err; i++) {
		const struct config_vm *own = &from->vms[i];
		struct service_vm *vm = collection_find_vm(c, own->name);

		if (!vm)
			continue;
		err = copy_text(&vm->host, own->host);
		if (!err)
			err = copy_text(&vm->port, own->port);
		if (!err)
			err = copy_text(&vm->freeze, own->freeze);
	}
	return err;
}

int collection_from_config(struct service *s, const struct config_collection *from,
			   struct collection **ret, struct reason *reason)
{
	struct collection *c = collection_new(from->name, MODEL_PRIMARY, ORIGIN_FILE);
	int err = c ? collection_fill(c, from) : -ENOMEM;

	if (!err) {
		collection_sort(c);
		collection_include(c);
		err = record_load_members(s, c);
	}
	if (err) {
		collection_free(c);
		return reason_set(reason, err, 0, "collection %s: %s", from->name,
				  strerrordesc_np(-err));
	}
	*ret = c;
	return 0;
}

/* -- states ----------------------------------------------------------------- */

void vm_become(struct service *s, struct collection *c, struct service_vm *vm,
	       enum model_vm_state state, const char *why)
{
	enum model_vm_state from = vm->state;
	struct log_fields fields = {
		.event = LOG_EVENT_STATE_CHANGED, .collection = c->name, .vm = vm->name,
	};

	if (state == from)
		return;
	vm->state = state;
	log_about(LOG_INFO, &fields, "%s/%s: %s, was %s%s%s", c->name, vm->name,
		  model_vm_state_name(state), model_vm_state_name(from), why ? ": " : "",
		  why ? why : "");
	service_tell(s, (struct service_event){
		.name = "state", .collection = c->name, .vm = vm->name, .from = from, .to = state,
		.text = model_vm_state_name(state),
	});
}

void vm_happen(struct service *s, struct collection *c, struct service_vm *vm,
	       enum model_event event, const char *why)
{
	struct model_step step = model_vm_step(c->role, vm->state, event);

	if (step.action != ACTION_REFUSE)
		vm_become(s, c, vm, step.during, why);
}

static void vm_judge(struct service *s, struct collection *c, struct service_vm *vm)
{
	const char *disk_error = NULL;
	char text[REASON_TEXT_MAX];
	struct health_facts facts = {
		.role = c->role,
		.state = vm->state,
		.run_error = vm->error ? vm->error_text : NULL,
		.interval_s = c->settings.interval_s,
		.since_point_s = vm->point_time ? wall(s) / SECOND_US - vm->point_time : -1,
		.cycles = c->private->cycles,
		.missed = c->private->missed,
	};
	enum model_health health;

	for (size_t i = 0; i < vm->disk_count && !disk_error; i++) {
		if (vm->disks[i].error[0])
			disk_error = vm->disks[i].error;
	}
	facts.disk_error = disk_error;
	health = health_judge(&facts, text, sizeof(text));
	if (health != vm->health) {
		struct log_fields fields = {
			.event = LOG_EVENT_HEALTH_CHANGED, .collection = c->name, .vm = vm->name,
		};

		log_about(health > HEALTH_OK ? LOG_WARNING : LOG_INFO, &fields,
			  "%s/%s: health %s%s%s", c->name, vm->name, model_health_name(health),
			  *text ? ": " : "", text);
		service_tell(s, (struct service_event){
			.name = "health", .collection = c->name, .vm = vm->name,
			.from = vm->health, .to = health, .text = text,
		});
		vm->health = health;
	}
	snprintf(vm->health_text, sizeof(vm->health_text), "%s", text);
}

static void collection_judge(struct collection *c)
{
	c->health = HEALTH_NONE;
	c->health_text[0] = '\0';
	for (size_t i = 0; i < c->vm_count; i++) {
		const struct service_vm *vm = &c->vms[i];

		if (vm->health <= c->health)
			continue;
		c->health = vm->health;
		c->health_text[0] = '\0';
		if (vm->health_text[0] &&
		    snprintf(c->health_text, sizeof(c->health_text), "%s: %s", vm->name,
			     vm->health_text) < 0)
			c->health_text[0] = '\0';
	}
}

static enum model_collection_state collection_fold(const struct collection *c)
{
	enum model_vm_state *states = calloc(c->vm_count + 1, sizeof(*states));
	enum model_collection_state state = COLLECTION_DISABLED;

	/* Without memory the state is what it was. */
	if (!states)
		return c->state;
	for (size_t i = 0; i < c->vm_count; i++)
		states[i] = c->vms[i].state;
	/* One without members that is configured can have some: it is ready. */
	state = c->vm_count ? model_fold(states, c->vm_count) : COLLECTION_READY;
	free(states);
	return state;
}

void collection_refresh(struct service *s, struct collection *c)
{
	enum model_collection_state from = c->state;
	uint64_t pending = 0;

	for (size_t i = 0; i < c->vm_count; i++) {
		vm_judge(s, c, &c->vms[i]);
		for (size_t j = 0; j < c->vms[i].disk_count; j++)
			pending += c->vms[i].disks[j].owed;
	}
	c->statistics.pending_size = pending;
	collection_judge(c);
	c->state = collection_fold(c);
	if (c->state != from)
		service_tell(s, (struct service_event){
			.name = "state", .collection = c->name, .from = from, .to = c->state,
			.text = model_collection_state_name(c->state),
		});
	collection_changed(s, c);
}

void collection_changed(struct service *s, struct collection *c)
{
	if (s->listener.collection_changed)
		s->listener.collection_changed(s->listener.owner, c);
}

/* -- the next run ----------------------------------------------------------- */

/* When a member may be taken by a run that nobody asked for; INT64_MAX: it may not. */
static int64_t vm_due(const struct service_vm *vm, enum model_vm_state state, int64_t at)
{
	if (vm->state != state || vm->stuck)
		return INT64_MAX;
	/* The steady clock may be young: a moment of before the boot is below 0. */
	return vm->retry_at && vm->retry_at > at ? vm->retry_at : at;
}

static int64_t first_due(const struct collection *c, enum model_vm_state state, int64_t at)
{
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < c->vm_count; i++) {
		int64_t due = vm_due(&c->vms[i], state, at);

		if (due < first)
			first = due;
	}
	return first;
}

/* An initial replication that failed for reasons that may pass. */
static bool vm_tries_again(const struct service_vm *vm)
{
	return vm->state == VM_READY && vm->retries;
}

static int64_t again_due(const struct collection *c, int64_t at)
{
	int64_t first = INT64_MAX;

	for (size_t i = 0; i < c->vm_count; i++) {
		int64_t due = vm_tries_again(&c->vms[i]) ? vm_due(&c->vms[i], VM_READY, at) :
							   INT64_MAX;

		if (due < first)
			first = due;
	}
	return first;
}

static int64_t cycle_due(struct service *s, const struct collection *c)
{
	struct collection_private *p = c->private;
	uint64_t missed;
	/* At once if there was none ever; later on the grid. */
	int64_t at = p->last_start ? schedule_cycle(p->grid, p->last_start,
						    c->settings.interval_s * SECOND_US, &missed) :
				     steady(s);

	return first_due(c, VM_REPLICATING, at);
}

void collection_schedule(struct service *s, struct collection *c)
{
	struct collection_private *p = c->private;
	int64_t now = steady(s);
	int64_t wall_now = wall(s);
	int64_t due = INT64_MAX, again = again_due(c, now);
	int64_t open;

	p->due = p->due_wall = INT64_MAX;
	c->next_run = 0;
	if (c->role != MODEL_PRIMARY)
		return;
	if (c->settings.interval_s) {
		p->due = cycle_due(s, c);
		p->due = again < p->due ? again : p->due;
	}
	if (c->settings.auto_resync) {
		due = first_due(c, VM_WAITING_RESYNC, now);
		due = again < due ? again : due;
	}
	if (due != INT64_MAX && schedule_window(wall_now, c->settings.window_start_s,
						c->settings.window_end_s, &open))
		p->due = due < p->due ? due : p->due;
	else if (due != INT64_MAX)
		p->due_wall = open;
	if (p->due != INT64_MAX)
		c->next_run = wall_now + (p->due > now ? p->due - now : 0);
	if (p->due_wall != INT64_MAX && (!c->next_run || p->due_wall < c->next_run))
		c->next_run = p->due_wall;
}

bool collection_takes(struct service *s, const struct collection *c, const struct service_vm *vm)
{
	int64_t now = steady(s);
	int64_t open;

	bool again = vm_tries_again(vm) && vm_due(vm, VM_READY, 0) <= now;

	if (c->settings.interval_s && (again || vm_due(vm, VM_REPLICATING, 0) <= now))
		return true;
	return c->settings.auto_resync && (again || vm_due(vm, VM_WAITING_RESYNC, 0) <= now) &&
	       schedule_window(wall(s), c->settings.window_start_s, c->settings.window_end_s,
			       &open);
}
