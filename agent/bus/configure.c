// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Methods of the management model that make, change and forget relationships,
 * and its statistics.
 */
#include "bus/objects.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What one call may bring. */
#define SETTINGS_MAX 64
#define DISKS_MAX 1024

/**
 * struct values - settings as they came, as text
 * @of: name and text of each; the texts lie in @texts or in the message
 * @texts: room for numbers
 * @count: of them
 */
struct values {
	struct service_value of[SETTINGS_MAX];
	char texts[SETTINGS_MAX][24];
	size_t count;
};

static int wrong_type(sd_bus_error *error, const char *name, const char *expected)
{
	struct reason reason = { 0 };

	reason_set(&reason, 0, REASON_WRONG_TYPE, "%.64s is of the wrong type: %s is expected", name,
		   expected);
	return bus_refuse(error, &reason);
}

static int invalid(sd_bus_error *error, const char *what, const char *name)
{
	struct reason reason = { 0 };

	reason_set(&reason, 0, REASON_INVALID_PARAMETER, "%s: '%.64s'", what, name);
	return bus_refuse(error, &reason);
}

/* -- settings --------------------------------------------------------------- */

/* A value of any of D-Bus's basic types that a setting of type @type may have, to text. */
static int read_setting(sd_bus_message *m, char type, const char **ret, char text[24])
{
	const char *contents;
	union {
		const char *s;
		int b;
		uint8_t y;
		uint16_t q;
		uint32_t u;
		uint64_t t;
		int16_t n;
		int32_t i;
		int64_t x;
	} v;
	char found;
	int err = sd_bus_message_peek_type(m, &found, &contents);

	if (err < 0)
		return err;
	if (found != 'v' || strlen(contents) != 1 || !strchr("sbyqutnix", contents[0]))
		return -EMEDIUMTYPE;
	found = contents[0];
	err = sd_bus_message_read(m, "v", contents, &v);
	if (err < 0)
		return err;
	*ret = text;
	if (found == 's')
		*ret = v.s;
	else if ((found == 'b') != (type == 'b') || type == 's')
		return -EMEDIUMTYPE;
	else if (found == 'b')
		*ret = v.b ? "yes" : "no";
	else if (found == 'n' || found == 'i' || found == 'x')
		snprintf(text, 24, "%" PRId64, found == 'n' ? v.n : found == 'i' ? v.i : v.x);
	else
		snprintf(text, 24, "%" PRIu64, found == 'y' ? v.y : found == 'q' ? v.q :
					       found == 'u' ? v.u : v.t);
	return 0;
}

static int read_settings(sd_bus_message *m, struct values *v, sd_bus_error *error)
{
	const struct setting *setting;
	const char *name;
	int err = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (err >= 0 && (err = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		err = sd_bus_message_read(m, "s", &name);
		if (err < 0)
			return err;
		setting = settings_find(name);
		/* the key of a file is no name on the bus */
		if (!setting || strcmp(setting->name, name) != 0)
			return invalid(error, "there is no such setting", name);
		if (v->count == SETTINGS_MAX)
			return invalid(error, "too many settings, from here on", name);
		v->of[v->count].name = setting->name;
		err = read_setting(m, setting->type, &v->of[v->count].text, v->texts[v->count]);
		if (err < 0)
			return wrong_type(error, name, setting->expected);
		v->count++;
		err = sd_bus_message_exit_container(m);
	}
	return err < 0 ? err : sd_bus_message_exit_container(m);
}

/* -- disks ------------------------------------------------------------------ */

static int read_disk(sd_bus_message *m, struct service_new_disk *ret, sd_bus_error *error)
{
	const char *tracking = "kernel";
	struct service_new_disk d = { 0 };
	const struct bus_option options[] = {
		{ "Tracking", 's', &tracking },
		{ "Granule", 'u', &d.granule },
	};
	int err = sd_bus_message_read(m, "sss", &d.vm, &d.name, &d.device);

	if (err >= 0)
		err = bus_read_options(m, options, ARRAY_SIZE(options), error);
	if (err < 0)
		return err;
	if (!name_valid(d.vm))
		return invalid(error, "no name of a VM", d.vm);
	if (!name_valid(d.name))
		return invalid(error, "no name of a disk", d.name);
	if (d.device[0] != '/')
		return invalid(error, "the path of a device must be absolute", d.device);
	if (strcmp(tracking, "kernel") != 0 && strcmp(tracking, "none") != 0)
		return invalid(error, "Tracking must be kernel or none", tracking);
	d.tracked = strcmp(tracking, "kernel") == 0;
	*ret = d;
	return 0;
}

static int read_disks(sd_bus_message *m, struct service_new_disk *ret, size_t *ret_count,
		      sd_bus_error *error)
{
	size_t count = 0;
	int err = sd_bus_message_enter_container(m, 'a', "(sssa{sv})");

	while (err >= 0 && (err = sd_bus_message_enter_container(m, 'r', "sssa{sv}")) > 0) {
		if (count == DISKS_MAX)
			return invalid(error, "too many disks in one call, at most", "1024");
		err = read_disk(m, &ret[count++], error);
		if (err < 0)
			return err;
		err = sd_bus_message_exit_container(m);
	}
	*ret_count = count;
	return err < 0 ? err : sd_bus_message_exit_container(m);
}

/* -- methods ---------------------------------------------------------------- */

static int done(sd_bus_message *m, int err, const struct reason *reason, sd_bus_error *error)
{
	if (err < 0)
		return bus_refuse(error, reason);
	return sd_bus_reply_method_return(m, "uo", 0u, "/");
}

static int run_create(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_free_ struct service_new_disk *disks = calloc(DISKS_MAX, sizeof(*disks));
	struct values values = { 0 };
	struct reason reason = { 0 };
	char collection[NAME_SIZE];
	size_t count;
	int err;

	if (!disks)
		return -ENOMEM;
	err = bus_read_collection(m, collection, error);
	if (err >= 0)
		err = read_settings(m, &values, error);
	if (err >= 0)
		err = read_disks(m, disks, &count, error);
	if (err >= 0)
		err = bus_read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	err = service_create(b->agent.service, collection, values.of, values.count, disks, count,
			     &reason);
	return done(m, err, &reason, error);
}

static int run_modify(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	const char *vm = NULL;
	const struct bus_option options[] = { { "VM", 's', &vm } };
	struct values values = { 0 };
	struct reason reason = { 0 };
	char collection[NAME_SIZE];
	int err = bus_read_collection(m, collection, error);

	if (err >= 0)
		err = read_settings(m, &values, error);
	if (err >= 0)
		err = bus_read_options(m, options, ARRAY_SIZE(options), error);
	if (err < 0)
		return err;
	if (vm && !name_valid(vm))
		return invalid(error, "no name of a VM", vm);
	err = service_modify(b->agent.service, collection, vm, values.of, values.count, &reason);
	return done(m, err, &reason, error);
}

/* Methods of a collection and nothing else. */
static int run_plain(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	struct reason reason = { 0 };
	char collection[NAME_SIZE];
	int err = bus_read_collection(m, collection, error);

	if (err >= 0)
		err = bus_read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	if (strcmp(sd_bus_message_get_member(m), "RemoveReplicationRelationship") == 0)
		err = service_remove(b->agent.service, collection, &reason);
	else
		err = service_reset_statistics(b->agent.service, collection, &reason);
	return done(m, err, &reason, error);
}

static int run_add_disks(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_free_ struct service_new_disk *disks = calloc(DISKS_MAX, sizeof(*disks));
	struct reason reason = { 0 };
	char collection[NAME_SIZE];
	size_t count;
	int err;

	if (!disks)
		return -ENOMEM;
	err = bus_read_collection(m, collection, error);
	if (err >= 0)
		err = read_disks(m, disks, &count, error);
	if (err >= 0)
		err = bus_read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	if (!count)
		return invalid(error, "there is nothing to add to", collection);
	err = service_add_disks(b->agent.service, collection, disks, count, &reason);
	return done(m, err, &reason, error);
}

static int run_remove_vm(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	struct reason reason = { 0 };
	char collection[NAME_SIZE];
	const char *vm;
	int err = bus_read_collection(m, collection, error);

	if (err >= 0)
		err = sd_bus_message_read(m, "s", &vm);
	if (err >= 0)
		err = bus_read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	if (!name_valid(vm))
		return invalid(error, "no name of a VM", vm);
	err = service_remove_vm(b->agent.service, collection, vm, &reason);
	return done(m, err, &reason, error);
}

/* -- statistics ------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t offset;
	bool time; /* seconds since 1970; on the bus microseconds */
} statistics[] = {
	{ "StartStatisticTime", offsetof(struct service_statistics, start_time), true },
	{ "EndStatisticTime", offsetof(struct service_statistics, end_time), true },
	{ "ReplicationSize", offsetof(struct service_statistics, size), false },
	{ "MaxReplicationSize", offsetof(struct service_statistics, max_size), false },
	{ "PendingReplicationSize", offsetof(struct service_statistics, pending_size), false },
	{ "ReplicationSuccessCount", offsetof(struct service_statistics, success_count), false },
	{ "ReplicationMissCount", offsetof(struct service_statistics, miss_count), false },
	{ "NetworkFailureCount", offsetof(struct service_statistics, network_failure_count),
	  false },
	{ "ReplicationFailureCount", offsetof(struct service_statistics, failure_count), false },
	{ "ReplicationLatency", offsetof(struct service_statistics, latency), false },
	{ "MaxReplicationLatency", offsetof(struct service_statistics, max_latency), false },
	{ "LastTestFailoverTime", offsetof(struct service_statistics, last_test_time), true },
	{ "ResynchronizeCount", offsetof(struct service_statistics, resync_count), false },
	{ "BytesCompared", offsetof(struct service_statistics, compared_bytes), false },
	{ "BytesSent", offsetof(struct service_statistics, sent_bytes), false },
};

static int append_statistics(sd_bus_message *reply, const struct service_statistics *s)
{
	int err = sd_bus_message_open_container(reply, 'a', "{sv}");

	for (size_t i = 0; i < ARRAY_SIZE(statistics) && err >= 0; i++) {
		uint64_t value;

		memcpy(&value, (const char *)s + statistics[i].offset, sizeof(value));
		if (statistics[i].time)
			value *= 1000000;
		err = sd_bus_message_append(reply, "{sv}", statistics[i].name, "t", value);
	}
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

static int run_statistics(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	const struct collection *c;
	sd_bus_message *reply = NULL;
	struct reason reason = { 0 };
	char name[NAME_SIZE];
	int err = bus_read_collection(m, name, error);

	if (err >= 0)
		err = bus_read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	c = service_find(b->agent.service, name);
	if (!c) {
		reason_set(&reason, 0, REASON_NOT_FOUND, "there is no collection %s on this host",
			   name);
		return bus_refuse(error, &reason);
	}
	err = sd_bus_message_new_method_return(m, &reply);
	if (err >= 0)
		err = sd_bus_message_append(reply, "u", 0u);
	if (err >= 0)
		err = append_statistics(reply, &c->statistics);
	if (err >= 0)
		err = sd_bus_send(b->bus, reply, NULL);
	sd_bus_message_unref(reply);
	return err;
}

#define CONFIGURE BUS_ACTION_CONFIGURE

const struct bus_method bus_configure_methods[] = {
	{ "CreateReplicationRelationship", "sa{sv}a(sssa{sv})a{sv}", CONFIGURE, run_create },
	{ "ModifyReplicationSettings", "sa{sv}a{sv}", CONFIGURE, run_modify },
	{ "RemoveReplicationRelationship", "sa{sv}", CONFIGURE, run_plain },
	{ "AddDisks", "sa(sssa{sv})a{sv}", CONFIGURE, run_add_disks },
	{ "RemoveVM", "ssa{sv}", CONFIGURE, run_remove_vm },
	{ "GetReplicationStatistics", "sa{sv}", NULL, run_statistics },
	{ "ResetReplicationStatistics", "sa{sv}", CONFIGURE, run_plain },
	{ 0 },
};
