// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How members are: disks as the kernel shows them, replicas as the store has them.
 */
#include "service/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* -- primary: disks --------------------------------------------------------- */

static void disk_error(struct service_disk *d, const char *text)
{
	snprintf(d->error, sizeof(d->error), "%s", text);
	d->health = *text ? HEALTH_CRITICAL : HEALTH_OK;
}

struct mode_past member_past(const struct service_disk *d)
{
	struct mode_past past = {
		.known = d->tracked && d->point,
		.committed_epoch = d->committed_epoch,
		.attach = d->attach,
		.meta_sequence = d->meta_sequence,
		.doubt = *d->doubt ? d->doubt : NULL,
	};

	memcpy(past.uuid, d->tracker, sizeof(past.uuid));
	return past;
}

const char *member_doubt(const struct service_disk *d, const struct source_info *info)
{
	const struct mode_past past = member_past(d);

	return mode_doubt(info, &past);
}

void member_remember(struct service_disk *d, const struct source_info *info)
{
	d->committed_epoch = info->committed_epoch;
	d->attach = info->attach;
	d->meta_sequence = info->meta_sequence;
}

/*
 * What a tracker has said is remembered: a doubt, for it may forget that itself,
 * and without one how far it has come.
 */
bool member_learn(struct service_disk *d, const struct source_info *info)
{
	const char *doubt = member_doubt(d, info);

	if (!d->tracked || !d->point || *d->doubt)
		return false;
	if (doubt) {
		snprintf(d->doubt, sizeof(d->doubt), "%s", doubt);
		return true;
	}
	if (info->committed_epoch == d->committed_epoch && info->attach == d->attach &&
	    info->meta_sequence == d->meta_sequence)
		return false;
	member_remember(d, info);
	return true;
}

/* Return: is something new to be recorded? */
static bool disk_look(struct service *s, struct collection *c, struct service_vm *vm,
		      struct service_disk *d)
{
	struct source_info info = { 0 };
	char text[REASON_TEXT_MAX];
	const char *doubt;
	bool learnt;
	int err;

	if (d->excluded) {
		disk_error(d, "");
		d->owed = 0;
		return false;
	}
	err = s->world.look(s->world.arg, d->device, d->tracked, d->granule, &info);
	if (err) {
		snprintf(text, sizeof(text), "disk %s (%s): %s", d->name, d->device,
			 err == -ENOPKG ? "the kernel module is not loaded" :
			 err == -ENODEV ? "not tracked" : strerrordesc_np(-err));
		disk_error(d, text);
		return false;
	}
	disk_error(d, "");
	d->size = info.size;
	d->owed = info.tracked ?
		u64_min((info.marked + info.sealed) * info.granule, info.size) : 0;
	learnt = member_learn(d, &info);
	doubt = member_doubt(d, &info);
	if (!doubt)
		return learnt;
	snprintf(text, sizeof(text), "disk %s: %s", d->name, doubt);
	disk_error(d, text);
	if (d->point)
		vm_happen(s, c, vm, EVENT_LOST, text);
	return learnt;
}

/* What was learnt of disks, and the states of the members that follow from it. */
static int look_record(struct service *s, const struct collection *c)
{
	int err = record_members(s, c);

	for (size_t i = 0; i < c->vm_count; i++) {
		const struct service_vm *vm = &c->vms[i];

		for (size_t j = 0; j < vm->disk_count && !err; j++) {
			if (vm->disks[j].point)
				err = record_disk(s, c, vm, &vm->disks[j]);
		}
	}
	return err;
}

void member_look(struct service *s, struct collection *c)
{
	enum model_vm_state was;
	bool lost = false, learnt = false;

	if (c->role != MODEL_PRIMARY)
		return;
	for (size_t i = 0; i < c->vm_count; i++) {
		struct service_vm *vm = &c->vms[i];

		was = vm->state;
		for (size_t j = 0; j < vm->disk_count; j++)
			learnt |= disk_look(s, c, vm, &vm->disks[j]);
		lost |= vm->state != was;
	}
	if (lost || learnt) {
		int err = record_begin(s);

		if (!err)
			err = record_end(s, look_record(s, c));
		/* Found again at the next look, and at every start. */
		if (err)
			log_warning("collection %s: cannot be recorded: %s", c->name,
				    strerrordesc_np(-err));
	}
	if (lost)
		collection_schedule(s, c);
	collection_refresh(s, c);
}

bool member_in_sync(struct service *s, const struct collection *c, const struct service_vm *vm)
{
	if (!vm->disk_count)
		return false;
	for (size_t i = 0; i < vm->disk_count; i++) {
		const struct service_disk *d = &vm->disks[i];
		struct source_info info = { 0 };

		if (d->excluded)
			continue;
		if (!d->tracked || !d->point)
			return false;
		if (s->world.look(s->world.arg, d->device, true, d->granule, &info))
			return false;
		if (member_doubt(d, &info) || info.marked || info.sealed ||
		    d->point_epoch != info.committed_epoch)
			return false;
	}
	return true;
}

/* -- replica: the store ----------------------------------------------------- */

static struct collection *replica_collection(struct service *s, const char *name, bool *ret_new)
{
	for (size_t i = 0; i < s->collection_count; i++) {
		struct collection *c = s->collections[i];

		if (c->role == MODEL_REPLICA && strcmp(c->name, name) == 0)
			return c;
	}
	*ret_new = true;
	return collection_new(name, MODEL_REPLICA, ORIGIN_STORE);
}

static int replica_fill(struct service_disk *d, const struct store_replica *r)
{
	if (!d->device || strcmp(d->device, r->path) != 0) {
		char *path = strdup(r->path);

		if (!path)
			return -ENOMEM;
		free(d->device);
		d->device = path;
	}
	d->held = true;
	d->size = r->size;
	d->point = r->point;
	d->point_epoch = r->epoch;
	d->point_time = r->created;
	memcpy(d->tracker, r->tracker, sizeof(d->tracker));
	disk_error(d, r->error);
	return 0;
}

static bool collection_prepared(const struct collection *c)
{
	for (size_t i = 0; i < c->vm_count; i++)
		if (c->vms[i].state == VM_PREPARED_REVERSE || c->vms[i].state == VM_REPURPOSE)
			return true;
	return false;
}

/*
 * The collection is the one of which this host is the primary: its disks are sent from
 * here since a failover, or its roles are being exchanged.
 */
static bool replica_sent(const struct service *s, const struct store_replica *r)
{
	for (size_t i = 0; i < s->collection_count; i++) {
		const struct collection *c = s->collections[i];

		if (c->role == MODEL_PRIMARY && strcmp(c->name, r->collection) == 0)
			return r->reversed || collection_prepared(c);
	}
	return false;
}

/* The newest of its disks' points: after a failover to an older one that is not what it was. */
static void replica_point(struct service_vm *vm)
{
	vm->point = 0;
	vm->point_time = 0;
	for (size_t i = 0; i < vm->disk_count; i++) {
		if (vm->disks[i].point_time < vm->point_time)
			continue;
		vm->point = vm->disks[i].point;
		vm->point_time = vm->disks[i].point_time;
	}
}

/* One disk of the store; a collection that is new is entered with its first. */
static int replica_take_one(struct service *s, const struct store_replica *r)
{
	bool is_new = false;
	struct collection *c = replica_collection(s, r->collection, &is_new);
	struct service_vm *vm = c ? collection_add_vm(c, r->vm) : NULL;
	bool new_vm = vm && !vm->disk_count;
	struct service_disk *d = vm ? vm_add_disk(vm, r->disk) : NULL;
	int err = d ? replica_fill(d, r) : -ENOMEM;

	if (!err)
		replica_point(vm);
	if (!err && new_vm)
		err = record_load_vm(s, c, vm);
	if (!err && is_new)
		err = service_insert(s, c);
	if (err) {
		if (is_new)
			collection_free(c);
		return err;
	}
	c->private->in_store = true;
	if (r->state == STORE_DAMAGED)
		vm_happen(s, c, vm, EVENT_BROKEN, "the replica is damaged");
	else
		vm_happen(s, c, vm, r->point ? EVENT_RECEIVED : EVENT_RECEIVING, NULL);
	return 0;
}

static int replica_take(const struct store_replica *r, void *arg)
{
	return replica_sent(arg, r) ? 0 : replica_take_one(arg, r);
}

/* What the last look has found of it: nothing, or as much as ever. */
static void replica_hold(struct collection *c, bool held)
{
	c->private->in_store = held;
	for (size_t i = 0; i < c->vm_count; i++)
		for (size_t j = 0; j < c->vms[i].disk_count; j++)
			c->vms[i].disks[j].held = held;
}

void member_look_replicas(struct service *s)
{
	int err;

	if (!s->world.replicas)
		return;
	for (size_t i = 0; i < s->collection_count; i++)
		replica_hold(s->collections[i], false);
	err = s->world.replicas(s->world.arg, replica_take, s);
	if (err)
		log_warning("cannot read the store: %s", strerrordesc_np(-err));
	for (size_t i = 0; i < s->collection_count; i++) {
		struct collection *c = s->collections[i];

		/* One that cannot be read says nothing of what it holds. */
		if (err)
			replica_hold(c, true);
		if (c->role == MODEL_REPLICA)
			collection_refresh(s, c);
	}
}

/* Those whose first point was begun and given up. Return: is there one less? */
static bool replica_drop_disks(struct service_vm *vm)
{
	size_t kept = 0, count = vm->disk_count;

	for (size_t i = 0; i < count; i++) {
		if (vm->disks[i].held)
			vm->disks[kept++] = vm->disks[i];
		else
			free(vm->disks[i].device);
	}
	vm->disk_count = kept;
	return kept < count;
}

static void replica_drop_members(struct service *s, struct collection *c)
{
	size_t kept = 0;
	bool fewer = false;
	int err;

	for (size_t i = 0; i < c->vm_count; i++) {
		fewer |= replica_drop_disks(&c->vms[i]);
		if (c->vms[i].disk_count)
			c->vms[kept++] = c->vms[i];
		else
			vm_clear(&c->vms[i]);
	}
	c->vm_count = kept;
	if (!fewer)
		return;
	err = record_begin(s);
	if (!err)
		err = record_end(s, record_collection(s, c));
	if (err)
		log_warning("collection %s: cannot be recorded: %s", c->name, strerrordesc_np(-err));
	s->changes++;
	collection_refresh(s, c);
}

static void replica_drop(struct service *s, struct collection *c)
{
	int err;

	/* A first point was begun and given up, or all points were. */
	if (c->private->in_store) {
		replica_drop_members(s, c);
		return;
	}
	err = record_begin(s);
	if (!err)
		err = record_end(s, record_forget(s, c->name, c->role));
	if (!err)
		service_drop(s, c);
}

void member_drop_replicas(struct service *s)
{
	if (!s->world.replicas)
		return;
	for (size_t i = s->collection_count; i--;) {
		struct collection *c = s->collections[i];

		if (c->role == MODEL_REPLICA && c->origin == ORIGIN_STORE && !c->job)
			replica_drop(s, c);
	}
}
