// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * org.tidemark.Replication1.Service: what can be asked of the agent; and how a
 * message finds the method that it calls, on this interface and on a job's.
 */
#include "bus/objects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* -- methods that only look -------------------------------------------------- */

static int reply_text(sd_bus_message *m, int err, const char *text)
{
	return err < 0 ? err : sd_bus_reply_method_return(m, "s", text);
}

/* Of a name or a path; "" stands for all. */
static const char *name_of(const char *collection, char name[NAME_SIZE])
{
	return collection[0] == '/' && bus_collection_of(collection, name) ? name : collection;
}

static int run_get_status(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_free_ char *text = NULL;
	const char *collection = "";
	char name[NAME_SIZE];
	const struct bus_option options[] = { { "Collection", 's', &collection } };
	int err = bus_read_options(m, options, ARRAY_SIZE(options), error);

	if (err >= 0)
		err = bus_status(b, name_of(collection, name), &text);
	return reply_text(m, err, text);
}

static int run_get_history(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_free_ char *text = NULL;
	const char *collection;
	char name[NAME_SIZE];
	uint64_t before;
	uint32_t count;
	int err = sd_bus_message_read(m, "stu", &collection, &before, &count);

	if (err >= 0)
		err = bus_read_options(m, NULL, 0, error);
	if (err >= 0)
		err = bus_history(b, name_of(collection, name), before, count, &text);
	return reply_text(m, err, text);
}

const struct bus_method bus_service_methods[] = {
	{ "GetStatus", "a{sv}", NULL, run_get_status },
	{ "GetHistory", "stua{sv}", NULL, run_get_history },
	{ 0 },
};

/* -- dispatch --------------------------------------------------------------- */

static const struct {
	const char *interface;
	const struct bus_method *methods;
} tables[] = {
	{ BUS_SERVICE, bus_service_methods },
	{ BUS_POINTS, bus_points_methods },
	{ BUS_SERVICE, bus_request_methods },
	{ BUS_SERVICE, bus_configure_methods },
	{ BUS_JOB, bus_job_methods },
};

static const struct bus_method *find_method(const char *interface, const char *member)
{
	for (size_t i = 0; member && i < ARRAY_SIZE(tables); i++) {
		if (interface && strcmp(interface, tables[i].interface) != 0)
			continue;
		for (const struct bus_method *method = tables[i].methods; method->name; method++) {
			if (strcmp(method->name, member) == 0)
				return method;
		}
	}
	return NULL;
}

int bus_method(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct bus *b = sd_bus_slot_get_userdata(
		sd_bus_get_current_slot(sd_bus_message_get_bus(m)));
	const struct bus_method *method = find_method(sd_bus_message_get_interface(m),
						      sd_bus_message_get_member(m));

	if (!method)
		return -ENOSYS;
	return bus_authorize(b, m, method, error);
}

/*
 * sd-bus refuses arguments that are not those of the signature, and objects that
 * do not exist, without a number of the management model. So they are looked at first.
 */
static int refuse_early(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct bus *b = arg;
	const char *interface = sd_bus_message_get_interface(m);
	const struct bus_method *method;
	struct reason reason = { 0 };
	uint64_t job;

	if (!sd_bus_message_is_method_call(m, NULL, NULL) || !interface)
		return 0;
	method = find_method(interface, sd_bus_message_get_member(m));
	if (!method)
		return 0;
	if (!sd_bus_message_has_signature(m, method->signature))
		reason_set(&reason, 0, REASON_WRONG_TYPE,
			   "%s takes arguments of the types '%s', not '%.64s'", method->name,
			   method->signature, sd_bus_message_get_signature(m, true) ?: "");
	else if (strcmp(interface, BUS_JOB) == 0 &&
		 (!bus_job_of(sd_bus_message_get_path(m), &job) ||
		  !service_job(b->agent.service, job)))
		reason_set(&reason, 0, REASON_NOT_FOUND, "there is no job %.64s",
			   sd_bus_message_get_path(m));
	return reason.code ? bus_refuse(error, &reason) : 0;
}

/* -- properties ------------------------------------------------------------- */

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", TIDEMARK_VERSION);
}

static int get_count(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	struct bus *b = arg;
	size_t count = strcmp(property, "RunningJobs") == 0 ? service_running(b->agent.service) :
							     service_count(b->agent.service);

	return sd_bus_message_append(reply, "u", (uint32_t)count);
}

#define P(name) SD_BUS_PARAM(name)
/* (arguments) -> (u code, o job), the shape of the methods of the management model */
#define METHOD(name, signature, names) \
	SD_BUS_METHOD_WITH_NAMES(name, signature, P(collection) names P(options), "uo", \
				 P(code) P(job), bus_method, SD_BUS_VTABLE_UNPRIVILEGED)
#define LOOK(name, signature, names, result, result_names) \
	SD_BUS_METHOD_WITH_NAMES(name, signature, names P(options), result, result_names, \
				 bus_method, SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable service_vtable[] = {
	SD_BUS_VTABLE_START(0),
	METHOD("StartReplication", "sussa{sv}",
	       P(initial_replication_type) P(export_location) P(start_time)),
	METHOD("CancelInitialReplication", "sa{sv}", ),
	METHOD("Resynchronize", "ssba{sv}", P(start_time) P(include_suspended)),
	METHOD("CancelResynchronize", "sa{sv}", ),
	METHOD("SuspendReplication", "sa{sv}", ),
	METHOD("ResumeReplication", "sa{sv}", ),
	METHOD("Verify", "sa{sv}", ),
	METHOD("CancelUpdateDiskSet", "sa{sv}", ),
	METHOD("InitiatePlannedFailover", "sa{sv}", ),
	METHOD("RevertPlannedFailover", "sa{sv}", ),
	METHOD("InitiateFailover", "sta{sv}", P(point)),
	METHOD("RevertFailover", "sa{sv}", ),
	METHOD("CommitFailover", "sa{sv}", ),
	METHOD("PrepareForReverseReplication", "sa{sv}", ),
	METHOD("ReverseReplicationRelationship", "sa{sv}", ),
	METHOD("TestReplicaCollection", "sta{sv}", P(point)),
	METHOD("RevertTestReplicaCollection", "sa{sv}", ),
	METHOD("CreateReplicationRelationship", "sa{sv}a(sssa{sv})a{sv}", P(settings) P(disks)),
	METHOD("ModifyReplicationSettings", "sa{sv}a{sv}", P(settings)),
	METHOD("RemoveReplicationRelationship", "sa{sv}", ),
	METHOD("AddDisks", "sa(sssa{sv})a{sv}", P(disks)),
	METHOD("RemoveVM", "ssa{sv}", P(vm)),
	METHOD("ResetReplicationStatistics", "sa{sv}", ),
	LOOK("PlanResynchronize", "ssba{sv}", P(collection) P(start_time) P(include_suspended),
	     "usa(sst)tt", P(code) P(text) P(disks) P(bytes) P(seconds)),
	LOOK("GetReplicationStatistics", "sa{sv}", P(collection), "ua{sv}",
	     P(code) P(statistics)),
	LOOK("GetStatus", "a{sv}", , "s", P(json)),
	LOOK("GetHistory", "stua{sv}", P(collection) P(before) P(count), "s", P(json)),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Engine", "s", bus_get_text, offsetof(struct bus, agent.engine),
			SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("RunningJobs", "u", get_count, 0, 0),
	SD_BUS_PROPERTY("CollectionCount", "u", get_count, 0, 0),
	SD_BUS_SIGNAL_WITH_ARGS("JobFinished", SD_BUS_ARGS("o", job, "u", state, "u", code), 0),
	SD_BUS_SIGNAL_WITH_ARGS("JobRemoved", SD_BUS_ARGS("o", job), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Event",
				SD_BUS_ARGS("t", seq, "t", time, "s", name, "s", collection,
					    "s", vm, "t", job, "u", from, "u", to, "s", text), 0),
	SD_BUS_VTABLE_END,
};

int bus_service_add(struct bus *b)
{
	int err = sd_bus_add_filter(b->bus, bus_slot(b), refuse_early, b);

	if (err >= 0)
		err = sd_bus_add_object_manager(b->bus, bus_slot(b), BUS_PATH);
	if (err >= 0)
		err = sd_bus_add_object_vtable(b->bus, bus_slot(b), BUS_PATH, BUS_SERVICE,
					       service_vtable, b);
	return err;
}
