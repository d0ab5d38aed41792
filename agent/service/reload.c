// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A new configuration: everything that can fail is done first, on objects of its
 * own; taking them over cannot.
 */
#include "service/private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/util.h"

/* What the API made holds: a file cannot take it away by mistake. */
static int check_collection(struct service *s, const struct config_collection *from,
			    struct reason *reason)
{
	const struct collection *c = service_find(s, from->name);

	if (c && c->role == MODEL_PRIMARY && c->origin != ORIGIN_FILE)
		return reason_set(reason, -EEXIST, REASON_INVALID_PARAMETER,
				  "%s: [collection %s]: it was made by CreateReplicationRelationship; "
				  "remove it there first", from->file, from->name);
	for (size_t i = 0; i < from->disk_count; i++) {
		for (size_t j = 0; j < s->collection_count; j++) {
			c = s->collections[j];
			if (c->origin == ORIGIN_API && c->role == MODEL_PRIMARY &&
			    service_vm(c, from->disks[i].vm))
				return reason_set(reason, -EEXIST, REASON_INVALID_PARAMETER,
						  "%s: [collection %s]: VM %s is in collection %s",
						  from->file, from->name, from->disks[i].vm,
						  c->name);
		}
	}
	return 0;
}

/* What is only in memory goes on. */
static void keep_members(struct collection *fresh, const struct collection *old)
{
	for (size_t i = 0; i < fresh->vm_count; i++) {
		struct service_vm *vm = &fresh->vms[i];
		const struct service_vm *was = service_vm(old, vm->name);

		if (!was)
			continue;
		/* Its state is the recorded one, unless the record fell behind. */
		vm->state = was->state;
		vm->health = was->health;
		vm->error = was->error;
		snprintf(vm->error_text, sizeof(vm->error_text), "%s", was->error_text);
		vm->retries = was->retries;
		/* What was in its way may be what has been changed: it is tried at once. */
		vm->stuck = false;
		vm->retry_at = 0;
		for (size_t j = 0; j < vm->disk_count; j++) {
			struct service_disk *d = &vm->disks[j];

			for (size_t k = 0; k < was->disk_count; k++) {
				if (strcmp(was->disks[k].name, d->name) == 0)
					d->owed = was->disks[k].owed;
			}
		}
	}
}

static void take(struct service *s, struct collection *fresh)
{
	struct collection *c = service_get(s, fresh->name);

	if (!c || c->origin != ORIGIN_FILE) {
		/* There is room: reload_build() made it. */
		fresh->private->seen = true;
		fresh->statistics.start_time = wall(s) / SECOND_US;
		service_insert(s, fresh);
		collection_schedule(s, fresh);
		collection_refresh(s, fresh);
		return;
	}
	keep_members(fresh, c);
	collection_included_anew(fresh, c);
	swap_members(s, c, fresh);
	free(c->file);
	c->file = TAKE_PTR(fresh->file);
	collection_free(fresh);
	c->private->seen = true;
	collection_schedule(s, c);
	collection_refresh(s, c);
}

static void drop_unseen(struct service *s)
{
	for (size_t i = s->collection_count; i-- > 0;) {
		struct collection *c = s->collections[i];
		struct service_job *job;

		if (c->origin != ORIGIN_FILE || c->private->seen)
			continue;
		while ((job = job_of(s, c)) != NULL && job->private->wish == WISH_NONE)
			job_wish(s, job, WISH_TERMINATE);
		log_notice("collection %s is not in the configuration any more", c->name);
		service_drop(s, c);
	}
}

static int reload_build(struct service *s, struct config *config, struct collection **fresh,
			struct reason *reason)
{
	struct collection **grown;
	int err = 0;

	for (size_t i = 0; i < config->collection_count && !err; i++) {
		err = check_collection(s, &config->collections[i], reason);
		if (!err)
			err = collection_from_config(s, &config->collections[i], &fresh[i], reason);
	}
	if (err)
		return err;
	grown = realloc(s->collections, (s->collection_count + config->collection_count + 1) *
					sizeof(*grown));
	if (!grown)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	s->collections = grown;
	return 0;
}

int service_reload(struct service *s, struct config *config, struct reason *reason)
{
	size_t count = config->collection_count;
	struct collection **fresh = calloc(count + 1, sizeof(*fresh));
	int err;

	if (!fresh)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	err = reload_build(s, config, fresh, reason);
	if (err) {
		for (size_t i = 0; i < count; i++)
			collection_free(fresh[i]);
		free(fresh);
		return err;
	}
	for (size_t i = 0; i < s->collection_count; i++)
		s->collections[i]->private->seen = false;
	for (size_t i = 0; i < count; i++)
		take(s, fresh[i]);
	free(fresh);
	drop_unseen(s);
	config_free(s->config);
	s->config = config;
	service_tell(s, (struct service_event){ .name = "reload", .text = "configuration read" });
	service_tick(s);
	return 0;
}
