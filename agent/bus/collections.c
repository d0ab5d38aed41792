// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * org.tidemark.Replication1.Collection and .VM: one object for each collection,
 * and below it one for each of its members. They are looked at only; the methods
 * are the service's.
 */
#include "bus/objects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- of a collection -------------------------------------------------------- */

static int get_state_name(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *arg,
			  sd_bus_error *error)
{
	const struct collection *c = arg;
	const char *name = model_collection_state_name(c->state);

	if (strcmp(property, "RoleName") == 0)
		name = model_role_name(c->role);
	else if (strcmp(property, "HealthName") == 0)
		name = model_health_name(c->health);
	return sd_bus_message_append(reply, "s", name);
}

static int get_vms(sd_bus *bus, const char *path, const char *interface, const char *property,
		   sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct collection *c = arg;
	char vm[BUS_PATH_SIZE];
	int err = sd_bus_message_open_container(reply, 'a', "o");

	for (size_t i = 0; i < c->vm_count && err >= 0; i++)
		err = sd_bus_message_append(reply, "o", bus_vm_path(c->name, c->vms[i].name, vm));
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

static int append_setting(sd_bus_message *reply, const struct setting *setting, const char *text)
{
	char clean[SETTING_TEXT_MAX];

	switch (setting->type) {
	case 'b':
		return sd_bus_message_append(reply, "{sv}", setting->name, "b",
					     strcmp(text, "yes") == 0);
	case 'u':
		return sd_bus_message_append(reply, "{sv}", setting->name, "u",
					     (uint32_t)strtoul(text, NULL, 10));
	case 't':
		return sd_bus_message_append(reply, "{sv}", setting->name, "t",
					     (uint64_t)strtoull(text, NULL, 10));
	}
	return sd_bus_message_append(reply, "{sv}", setting->name, "s",
				     bus_text(text, clean, sizeof(clean)));
}

static int get_settings(sd_bus *bus, const char *path, const char *interface,
			const char *property, sd_bus_message *reply, void *arg,
			sd_bus_error *error)
{
	const struct collection *c = arg;
	size_t count;
	const struct setting *table = settings_table(&count);
	int err = sd_bus_message_open_container(reply, 'a', "{sv}");

	for (size_t i = 0; i < count && err >= 0; i++) {
		char text[SETTING_TEXT_MAX] = "";

		table[i].get(&c->settings, text, sizeof(text));
		err = append_setting(reply, &table[i], text);
	}
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define FIXED SD_BUS_VTABLE_PROPERTY_CONST
#define MEMBER(m) offsetof(struct collection, m)

static const sd_bus_vtable collection_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", bus_get_array, MEMBER(name), FIXED),
	SD_BUS_PROPERTY("Role", "u", NULL, MEMBER(role), CHANGES),
	SD_BUS_PROPERTY("RoleName", "s", get_state_name, 0, CHANGES),
	SD_BUS_PROPERTY("Origin", "u", NULL, MEMBER(origin), CHANGES),
	SD_BUS_PROPERTY("File", "s", bus_get_text, MEMBER(file), CHANGES),
	SD_BUS_PROPERTY("ReplicationState", "u", NULL, MEMBER(state), CHANGES),
	SD_BUS_PROPERTY("StateName", "s", get_state_name, 0, CHANGES),
	SD_BUS_PROPERTY("ReplicationHealth", "u", NULL, MEMBER(health), CHANGES),
	SD_BUS_PROPERTY("HealthName", "s", get_state_name, 0, CHANGES),
	SD_BUS_PROPERTY("HealthDescription", "s", bus_get_array, MEMBER(health_text), CHANGES),
	SD_BUS_PROPERTY("VMs", "ao", get_vms, 0, CHANGES),
	SD_BUS_PROPERTY("Job", "o", bus_get_job, MEMBER(job), CHANGES),
	SD_BUS_PROPERTY("LastJob", "o", bus_get_job, MEMBER(last_job), CHANGES),
	SD_BUS_PROPERTY("NextRun", "t", NULL, MEMBER(next_run), CHANGES),
	SD_BUS_PROPERTY("RateLimit", "t", NULL, MEMBER(rate.limit), CHANGES),
	SD_BUS_PROPERTY("RateLimitReason", "s", bus_get_array, MEMBER(rate.why), CHANGES),
	SD_BUS_PROPERTY("Settings", "a{sv}", get_settings, 0, CHANGES),
	SD_BUS_VTABLE_END,
};

#undef MEMBER

static int find_collection(sd_bus *bus, const char *path, const char *interface, void *arg,
			   void **ret, sd_bus_error *error)
{
	struct bus *b = arg;
	char name[NAME_SIZE];

	if (!bus_collection_of(path, name))
		return 0;
	*ret = (void *)service_find(b->agent.service, name);
	return *ret ? 1 : 0;
}

/* -- of a VM ---------------------------------------------------------------- */

static int get_vm_text(sd_bus *bus, const char *path, const char *interface,
		       const char *property, sd_bus_message *reply, void *arg,
		       sd_bus_error *error)
{
	const struct service_vm *vm = arg;
	char text[512] = "";
	char collection[NAME_SIZE], name[NAME_SIZE];

	if (strcmp(property, "StateName") == 0)
		snprintf(text, sizeof(text), "%s", model_vm_state_name(vm->state));
	else if (strcmp(property, "HealthName") == 0)
		snprintf(text, sizeof(text), "%s", model_health_name(vm->health));
	else if (strcmp(property, "CollectionName") == 0 && bus_vm_of(path, collection, name))
		snprintf(text, sizeof(text), "%s", collection);
	else if (strcmp(property, "RecoveryConnectionPoint") == 0 && vm->host)
		snprintf(text, sizeof(text), strchr(vm->host, ':') ? "[%s]:%s" : "%s:%s", vm->host,
			 vm->port ?: "");
	return sd_bus_message_append(reply, "s", text);
}

static int get_vm_collection(sd_bus *bus, const char *path, const char *interface,
			     const char *property, sd_bus_message *reply, void *arg,
			     sd_bus_error *error)
{
	char collection[NAME_SIZE], name[NAME_SIZE], object[BUS_PATH_SIZE];

	if (!bus_vm_of(path, collection, name))
		return -ENOENT;
	return sd_bus_message_append(reply, "o", bus_collection_path(collection, object));
}

static int get_seconds(sd_bus *bus, const char *path, const char *interface,
		       const char *property, sd_bus_message *reply, void *arg,
		       sd_bus_error *error)
{
	return sd_bus_message_append(reply, "t", *(const int64_t *)arg * UINT64_C(1000000));
}

/* (disk, device, size, owed, point, its time, health, what is wrong) */
static int get_vm_disks(sd_bus *bus, const char *path, const char *interface,
			const char *property, sd_bus_message *reply, void *arg,
			sd_bus_error *error)
{
	const struct service_vm *vm = arg;
	char device[BUS_TEXT_SIZE], text[REASON_TEXT_MAX];
	int err = sd_bus_message_open_container(reply, 'a', "(ssttttus)");

	for (size_t i = 0; i < vm->disk_count && err >= 0; i++) {
		const struct service_disk *d = &vm->disks[i];

		err = sd_bus_message_append(reply, "(ssttttus)", d->name,
					    bus_text(d->device, device, sizeof(device)), d->size,
					    d->owed, d->point, d->point_time * UINT64_C(1000000),
					    (uint32_t)d->health,
					    bus_text(d->error, text, sizeof(text)));
	}
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

#define MEMBER(m) offsetof(struct service_vm, m)

static const sd_bus_vtable vm_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", bus_get_array, MEMBER(name), FIXED),
	SD_BUS_PROPERTY("Collection", "o", get_vm_collection, 0, FIXED),
	SD_BUS_PROPERTY("CollectionName", "s", get_vm_text, 0, FIXED),
	SD_BUS_PROPERTY("ReplicationState", "u", NULL, MEMBER(state), CHANGES),
	SD_BUS_PROPERTY("StateName", "s", get_vm_text, 0, CHANGES),
	SD_BUS_PROPERTY("ReplicationHealth", "u", NULL, MEMBER(health), CHANGES),
	SD_BUS_PROPERTY("HealthName", "s", get_vm_text, 0, CHANGES),
	SD_BUS_PROPERTY("HealthDescription", "s", bus_get_array, MEMBER(health_text), CHANGES),
	SD_BUS_PROPERTY("RecoveryConnectionPoint", "s", get_vm_text, 0, CHANGES),
	SD_BUS_PROPERTY("Point", "t", NULL, MEMBER(point), CHANGES),
	SD_BUS_PROPERTY("LastReplicationTime", "t", get_seconds, MEMBER(point_time), CHANGES),
	SD_BUS_PROPERTY("ErrorCode", "u", NULL, MEMBER(error), CHANGES),
	SD_BUS_PROPERTY("ErrorDescription", "s", bus_get_array, MEMBER(error_text), CHANGES),
	SD_BUS_PROPERTY("Retries", "u", NULL, MEMBER(retries), CHANGES),
	/* what is owed changes all the time: it is told to who asks */
	SD_BUS_PROPERTY("Disks", "a(ssttttus)", get_vm_disks, 0, 0),
	SD_BUS_VTABLE_END,
};

static int find_vm(sd_bus *bus, const char *path, const char *interface, void *arg, void **ret,
		   sd_bus_error *error)
{
	struct bus *b = arg;
	char collection[NAME_SIZE], name[NAME_SIZE];
	const struct collection *c;

	if (!bus_vm_of(path, collection, name))
		return 0;
	c = service_find(b->agent.service, collection);
	*ret = c ? (void *)service_vm(c, name) : NULL;
	return *ret ? 1 : 0;
}

/* -- which there are -------------------------------------------------------- */

static size_t count_objects(struct service *s)
{
	size_t count = 0;

	for (size_t i = 0; i < service_count(s); i++)
		count += 1 + service_at(s, i)->vm_count;
	return count;
}

static char *copy_path(const char *path)
{
	return path[1] ? strdup(path) : NULL;
}

static int nodes(sd_bus *bus, const char *prefix, void *arg, char ***ret, sd_bus_error *error)
{
	struct service *s = ((struct bus *)arg)->agent.service;
	char **list = calloc(count_objects(s) + 1, sizeof(*list));
	char path[BUS_PATH_SIZE];
	size_t at = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < service_count(s); i++) {
		const struct collection *c = service_at(s, i);

		/* a name in both roles is one object */
		if (service_find(s, c->name) != c)
			continue;
		list[at] = copy_path(bus_collection_path(c->name, path));
		at += !!list[at];
		for (size_t k = 0; k < c->vm_count; k++) {
			list[at] = copy_path(bus_vm_path(c->name, c->vms[k].name, path));
			at += !!list[at];
		}
	}
	*ret = list;
	return 0;
}

int bus_collections_add(struct bus *b)
{
	int err = sd_bus_add_fallback_vtable(b->bus, bus_slot(b), BUS_COLLECTION_PATH,
					     BUS_COLLECTION, collection_vtable, find_collection,
					     b);

	if (err >= 0)
		err = sd_bus_add_fallback_vtable(b->bus, bus_slot(b), BUS_COLLECTION_PATH, BUS_VM,
						 vm_vtable, find_vm, b);
	if (err >= 0)
		err = sd_bus_add_node_enumerator(b->bus, bus_slot(b), BUS_COLLECTION_PATH, nodes,
						 b);
	return err;
}
