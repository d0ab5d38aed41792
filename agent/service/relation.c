// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Making and changing relationships. A change is made on a copy, recorded, and only
 * then taken over: what cannot be recorded has not happened.
 */
#include "service/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* -- checks ----------------------------------------------------------------- */

static int check_name(const char *what, const char *name, struct reason *reason)
{
	if (name_valid(name))
		return 0;
	return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
			  "%s is no name of a %s: 1 to 63 of A-Z a-z 0-9 . _ -, no dot or dash in "
			  "front", name, what);
}

/* Is it ours to change, and is nothing under way? */
static int check_ours(struct service *s, const struct collection *c, enum model_event event,
		      struct reason *reason)
{
	if (c->origin == ORIGIN_FILE)
		return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
				  "collection %s is defined in %s: change it there and reload",
				  c->name, c->file);
	if (model_collection_step(c->role, c->state, event).action == ACTION_REFUSE)
		return reason_set(reason, -EINVAL, REASON_INVALID_STATE,
				  "%s is not possible: collection %s (%s) is %s",
				  model_event_name(event), c->name, model_role_name(c->role),
				  model_collection_state_name(c->state));
	return 0;
}

static int check_free(struct service *s, const struct collection *c, struct reason *reason)
{
	const struct service_job *job = job_of(s, c);

	if (!job)
		return 0;
	return reason_set(reason, -EBUSY, REASON_IN_USE,
			  "job %llu of collection %s has not ended", (unsigned long long)job->id,
			  c->name);
}

/* A VM is in one collection only. */
static int check_vm(struct service *s, const struct collection *c, const char *vm,
		    struct reason *reason)
{
	for (size_t i = 0; i < s->collection_count; i++) {
		const struct collection *other = s->collections[i];

		if (other->role == MODEL_PRIMARY && strcmp(other->name, c->name) != 0 &&
		    service_vm(other, vm))
			return reason_set(reason, -EEXIST, REASON_INVALID_PARAMETER,
					  "VM %s is in collection %s", vm, other->name);
	}
	return 0;
}

static int check_disk(struct service *s, const struct collection *c,
		      const struct service_new_disk *d, struct reason *reason)
{
	int err = check_name("VM", d->vm, reason);

	if (!err)
		err = check_name("disk", d->name, reason);
	if (err)
		return err;
	if (d->device[0] != '/')
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "device %s of disk %s is no absolute path", d->device, d->name);
	if (d->granule && (!u64_is_power_of_2(d->granule) || d->granule < KIB(4) ||
			   d->granule > MIB(4)))
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "granule %u, expected 4096 to 4194304, a power of two", d->granule);
	return check_vm(s, c, d->vm, reason);
}

/* -- changing a copy -------------------------------------------------------- */

static int add_disks(struct service *s, struct collection *c, const struct service_new_disk *disks,
		     size_t count, struct reason *reason)
{
	for (size_t i = 0; i < count; i++) {
		const struct service_new_disk *from = &disks[i];
		struct service_vm *vm;
		struct service_disk *d;
		bool is_new;
		int err = check_disk(s, c, from, reason);

		if (err)
			return err;
		if (collection_disks(c) >= FRAME_DISKS_MAX)
			return reason_set(reason, -E2BIG, REASON_INVALID_PARAMETER,
					  "a collection may have %u disks", FRAME_DISKS_MAX);
		vm = collection_add_vm(c, from->vm);
		is_new = vm && !vm->disk_count;
		d = vm ? vm_add_disk(vm, from->name) : NULL;
		if (d && d->device)
			return reason_set(reason, -EEXIST, REASON_INVALID_PARAMETER,
					  "VM %s has a disk %s", from->vm, from->name);
		if (d)
			d->device = strdup(from->device);
		if (!d || !d->device)
			return reason_set(reason, -ENOMEM, 0, "out of memory");
		d->tracked = from->tracked;
		d->granule = from->granule ? from->granule : KIB(64);
		if (is_new)
			vm->state = VM_READY;
		else if (vm->state == VM_REPLICATING)
			vm->state = VM_WAITING_RESYNC;
	}
	collection_sort(c);
	collection_include(c);
	return 0;
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

static int copy_vm(struct collection *to, const struct service_vm *from)
{
	struct service_vm *vm = collection_add_vm(to, from->name);
	int err = 0;

	if (!vm)
		return -ENOMEM;
	*vm = *from;
	vm->host = vm->port = vm->freeze = NULL;
	vm->disk_count = 0;
	vm->disks = calloc(from->disk_count + 1, sizeof(*vm->disks));
	if (!vm->disks)
		return -ENOMEM;
	for (size_t i = 0; i < from->disk_count && !err; i++) {
		vm->disks[i] = from->disks[i];
		vm->disk_count++;
		err = copy_text(&vm->disks[i].device, from->disks[i].device);
	}
	if (!err)
		err = copy_text(&vm->host, from->host);
	if (!err)
		err = copy_text(&vm->port, from->port);
	return err ? err : copy_text(&vm->freeze, from->freeze);
}

static struct collection *collection_copy(const struct collection *from)
{
	struct collection *c = collection_new(from->name, from->role, from->origin);
	int err = c ? settings_copy(&c->settings, &from->settings) : -ENOMEM;

	for (size_t i = 0; i < from->vm_count && !err; i++)
		err = copy_vm(c, &from->vms[i]);
	if (err)
		return collection_free(c);
	c->statistics = from->statistics;
	*c->private = *from->private;
	return c;
}

/* The copy becomes what the collection is; what it was goes with the copy. */
static void collection_take(struct service *s, struct collection *c, struct collection *copy)
{
	swap_members(s, c, copy);
	rate_follow(s, c);
	collection_schedule(s, c);
	collection_refresh(s, c);
}

static int collection_store(struct service *s, struct collection *c, struct reason *reason)
{
	int err = record_begin(s);

	if (!err)
		err = record_end(s, record_collection(s, c));
	return err ? reason_set(reason, err, 0, "cannot write agent.db: %s",
				strerrordesc_np(-err)) : 0;
}

/* Record the copy and take it over; it is freed in any case. */
static int collection_replace(struct service *s, struct collection *c, struct collection *copy,
			      int err, struct reason *reason)
{
	if (!err)
		err = collection_store(s, copy, reason);
	if (!err)
		collection_take(s, c, copy);
	collection_free(copy);
	return err;
}

/* -- methods ---------------------------------------------------------------- */

static int apply_settings(struct collection *c, const struct service_value *values, size_t count,
			  struct reason *reason)
{
	int err = 0;

	for (size_t i = 0; i < count && !err; i++)
		err = settings_apply(&c->settings, values[i].name, values[i].text, reason);
	collection_include(c);
	return err ? err : settings_check(&c->settings, reason);
}

int service_create(struct service *s, const char *collection, const struct service_value *settings,
		   size_t setting_count, const struct service_new_disk *disks, size_t disk_count,
		   struct reason *reason)
{
	struct collection *c = service_get(s, collection);
	int err = check_name("collection", collection, reason);

	if (err)
		return err;
	if (c && c->role == MODEL_PRIMARY)
		return reason_set(reason, -EEXIST, REASON_INVALID_STATE,
				  "there is a collection %s", collection);
	c = collection_new(collection, MODEL_PRIMARY, ORIGIN_API);
	if (!c)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	c->statistics.start_time = wall(s) / SECOND_US;
	err = apply_settings(c, settings, setting_count, reason);
	if (!err)
		err = add_disks(s, c, disks, disk_count, reason);
	if (!err)
		err = collection_store(s, c, reason);
	if (!err && service_insert(s, c))
		err = reason_set(reason, -ENOMEM, 0, "out of memory");
	if (err) {
		collection_free(c);
		return err;
	}
	collection_schedule(s, c);
	collection_refresh(s, c);
	return SERVICE_COMPLETED;
}

static int set_vm_value(struct service_vm *vm, const struct collection *c,
			const struct service_value *v, struct reason *reason)
{
	const struct setting *setting = settings_find(v->name);
	struct settings own = { 0 };
	int err;

	if (!setting || (strcmp(setting->key, "replica") != 0 &&
			 strcmp(setting->key, "freeze_hook") != 0))
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "%s is no setting of a VM: RecoveryConnectionPoint and FreezeHook "
				  "are", v->name);
	if (*v->text) {
		err = settings_apply(&own, v->name, v->text, reason);
		if (err)
			return err;
	}
	if (strcmp(setting->key, "freeze_hook") == 0) {
		free(vm->freeze);
		vm->freeze = own.freeze;
		return 0;
	}
	free(vm->host);
	free(vm->port);
	vm->host = own.host;
	vm->port = own.port;
	return 0;
}

int service_modify(struct service *s, const char *collection, const char *vm,
		   const struct service_value *settings, size_t setting_count,
		   struct reason *reason)
{
	struct collection *c, *copy;
	struct service_vm *member = NULL;
	int err = service_wanted(s, collection, &c, reason);

	if (!err)
		err = check_ours(s, c, EVENT_MODIFY, reason);
	if (err)
		return err;
	copy = collection_copy(c);
	if (!copy)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	if (vm) {
		member = collection_find_vm(copy, vm);
		if (!member)
			err = reason_set(reason, -ENOENT, REASON_NOT_FOUND,
					 "there is no VM %s in collection %s", vm, collection);
		for (size_t i = 0; i < setting_count && !err; i++)
			err = set_vm_value(member, copy, &settings[i], reason);
	} else {
		err = apply_settings(copy, settings, setting_count, reason);
		collection_included_anew(copy, c);
	}
	for (size_t i = 0; i < copy->vm_count; i++) {
		copy->vms[i].stuck = false;
		copy->vms[i].retry_at = 0;
	}
	err = collection_replace(s, c, copy, err, reason);
	if (!err)
		service_tell(s, (struct service_event){ .name = "settings", .collection = c->name,
							.vm = vm, .text = "settings changed" });
	return err ? err : SERVICE_COMPLETED;
}

int service_remove(struct service *s, const char *collection, struct reason *reason)
{
	struct collection *c;
	int err = service_wanted(s, collection, &c, reason);

	if (!err)
		err = check_free(s, c, reason);
	if (!err)
		err = check_ours(s, c, EVENT_REMOVE, reason);
	if (err)
		return err;
	err = record_begin(s);
	if (!err)
		err = record_end(s, record_forget(s, c->name, c->role));
	if (err)
		return reason_set(reason, err, 0, "cannot write agent.db: %s",
				  strerrordesc_np(-err));
	service_drop(s, c);
	return SERVICE_COMPLETED;
}

int service_add_disks(struct service *s, const char *collection,
		      const struct service_new_disk *disks, size_t disk_count,
		      struct reason *reason)
{
	struct collection *c, *copy;
	int err = service_wanted(s, collection, &c, reason);

	if (!err)
		err = check_ours(s, c, EVENT_MODIFY, reason);
	if (!err)
		err = check_free(s, c, reason);
	if (err)
		return err;
	copy = collection_copy(c);
	if (!copy)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	err = add_disks(s, copy, disks, disk_count, reason);
	return collection_replace(s, c, copy, err, reason);
}

int service_remove_vm(struct service *s, const char *collection, const char *vm,
		      struct reason *reason)
{
	struct collection *c, *copy;
	struct service_vm *member;
	int err = service_wanted(s, collection, &c, reason);

	if (!err)
		err = check_ours(s, c, EVENT_MODIFY, reason);
	if (!err)
		err = check_free(s, c, reason);
	if (err)
		return err;
	copy = collection_copy(c);
	if (!copy)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	member = collection_find_vm(copy, vm);
	if (!member) {
		err = reason_set(reason, -ENOENT, REASON_NOT_FOUND,
				 "there is no VM %s in collection %s", vm, collection);
	} else {
		vm_clear(member);
		copy->vm_count--;
		memmove(member, member + 1,
			(copy->vms + copy->vm_count - member) * sizeof(*member));
	}
	return collection_replace(s, c, copy, err, reason);
}

int service_reset_statistics(struct service *s, const char *collection, struct reason *reason)
{
	struct service_statistics old;
	struct collection_private counted;
	struct collection *c;
	int err = service_wanted(s, collection, &c, reason);

	if (err)
		return err;
	old = c->statistics;
	counted = *c->private;
	c->private->cycles = c->private->missed = 0;
	c->statistics = (struct service_statistics){
		.start_time = wall(s) / SECOND_US,
		.pending_size = old.pending_size,
		.last_test_time = old.last_test_time,
	};
	err = record_begin(s);
	if (!err)
		err = record_end(s, record_members(s, c));
	if (err) {
		c->statistics = old;
		*c->private = counted;
		return reason_set(reason, err, 0, "cannot write agent.db: %s",
				  strerrordesc_np(-err));
	}
	collection_refresh(s, c);
	return SERVICE_COMPLETED;
}

/* -- exchanging the roles --------------------------------------------------- */

/* A disk of the replica's is this host's own from here on. */
static void relation_own_disk(struct service *s, struct service_disk *d)
{
	struct source_info info;
	char *device;

	d->tracked = s->world.look(s->world.arg, d->device, true, 0, &info) == 0;
	d->granule = KIB(64);
	/* What is remembered is of the other host's disk: this one has no point yet. */
	d->point = d->point_epoch = 0;
	d->point_time = 0;
	d->committed_epoch = d->attach = d->meta_sequence = 0;
	d->doubt[0] = '\0';
	memset(d->tracker, 0, sizeof(d->tracker));
	/* The VM writes to the tracker that is over what was the replica. */
	device = d->tracked && info.device[0] ? strdup(info.device) : NULL;
	if (!device)
		return;
	free(d->device);
	d->device = device;
}

void relation_swap(struct service *s, struct collection *c, const char *peer)
{
	enum model_role old = c->role;
	struct reason reason = { 0 };
	int err;

	/* Where the disks are, if a failover has just been merged into them. */
	if (old == MODEL_REPLICA)
		member_look_replicas(s);
	c->role = old == MODEL_PRIMARY ? MODEL_REPLICA : MODEL_PRIMARY;
	if (c->role == MODEL_PRIMARY) {
		if (c->origin == ORIGIN_STORE)
			c->origin = ORIGIN_API;
		if (*peer && settings_apply(&c->settings, "replica", peer, &reason))
			log_warning("collection %s: %s", c->name, reason.text);
		for (size_t i = 0; i < c->vm_count; i++)
			for (size_t j = 0; j < c->vms[i].disk_count; j++)
				relation_own_disk(s, &c->vms[i].disks[j]);
	}
	err = record_begin(s);
	if (!err) {
		err = record_forget(s, c->name, old);
		err = record_end(s, err ? err : record_collection(s, c));
	}
	if (err)
		log_error("collection %s: the exchange of roles cannot be recorded: %s", c->name,
			  strerrordesc_np(-err));
	service_sort(s);
}
