// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * org.tidemark.Replication1.Service: what can be asked of the agent.
 */
#include "bus/objects.h"

#include <errno.h>
#include <string.h>

#include "base/util.h"

/* Options that a method knows; an unknown one is refused, not ignored. */
struct option {
	const char *name;
	bool *value;
};

static int read_options(sd_bus_message *m, const struct option *known, size_t count,
			sd_bus_error *error)
{
	struct reason reason = { 0 };
	int err = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (err >= 0 && (err = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		const char *name;
		size_t i = 0;
		int value;

		err = sd_bus_message_read(m, "s", &name);
		if (err < 0)
			return err;
		while (i < count && strcmp(known[i].name, name) != 0)
			i++;
		if (i == count) {
			reason_set(&reason, 0, REASON_INVALID_PARAMETER, "unknown option %s", name);
			return bus_refuse(error, &reason);
		}
		err = sd_bus_message_read(m, "v", "b", &value);
		if (err < 0) {
			reason_set(&reason, 0, REASON_WRONG_TYPE, "option %s must be a boolean",
				   name);
			return bus_refuse(error, &reason);
		}
		*known[i].value = value;
		err = sd_bus_message_exit_container(m);
	}
	return err < 0 ? err : sd_bus_message_exit_container(m);
}

static int start_job(struct bus *b, sd_bus_message *m, const char *collection, enum run_kind kind,
		     bool compare, sd_bus_error *error)
{
	struct reason reason = { 0 };
	char path[BUS_PATH_SIZE];
	struct job *job;
	int answer;

	answer = jobs_start(b->agent.jobs, collection, kind, compare, &job, &reason);
	if (answer < 0)
		return bus_refuse(error, &reason);
	if (answer == JOBS_NOTHING_TO_DO)
		return sd_bus_reply_method_return(m, "uo", 0u, "/");
	bus_job_path(job->id, path);
	return sd_bus_reply_method_return(m, "uo", 4096u, path);
}

static int method_resynchronize(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	static const struct reason no_schedules = {
		REASON_NOT_SUPPORTED, "a start time is not supported: the job would start now",
	};
	bool compare = false;
	const struct option options[] = { { "Compare", &compare } };
	const char *collection, *start_time;
	int include_suspended;
	int err;

	err = bus_permitted(m, error);
	if (err < 0)
		return err;
	err = sd_bus_message_read(m, "ssb", &collection, &start_time, &include_suspended);
	if (err >= 0)
		err = read_options(m, options, ARRAY_SIZE(options), error);
	if (err < 0)
		return err;
	if (*start_time)
		return bus_refuse(error, &no_schedules);
	return start_job(arg, m, collection, RUN_RESYNC, compare, error);
}

static int method_verify(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	const char *collection;
	int err;

	err = bus_permitted(m, error);
	if (err < 0)
		return err;
	err = sd_bus_message_read(m, "s", &collection);
	if (err >= 0)
		err = read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	return start_job(arg, m, collection, RUN_VERIFY, false, error);
}

static int method_get_status(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	_cleanup_free_ char *text = NULL;
	int err = read_options(m, NULL, 0, error);

	if (err >= 0)
		err = bus_status(arg, &text);
	if (err < 0)
		return err;
	return sd_bus_reply_method_return(m, "s", text);
}

static int property_version(sd_bus *bus, const char *path, const char *interface,
			    const char *property, sd_bus_message *reply, void *arg,
			    sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", TIDEMARK_VERSION);
}

static const sd_bus_vtable service_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Resynchronize",
				SD_BUS_ARGS("s", collection, "s", start_time,
					    "b", include_suspended, "a{sv}", options),
				SD_BUS_RESULT("u", code, "o", job),
				method_resynchronize, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Verify", SD_BUS_ARGS("s", collection, "a{sv}", options),
				SD_BUS_RESULT("u", code, "o", job), method_verify,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetStatus", SD_BUS_ARGS("a{sv}", options),
				SD_BUS_RESULT("s", json), method_get_status,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Version", "s", property_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_SIGNAL_WITH_ARGS("JobFinished", SD_BUS_ARGS("o", job, "u", state, "u", code), 0),
	SD_BUS_SIGNAL_WITH_ARGS("JobRemoved", SD_BUS_ARGS("o", job), 0),
	SD_BUS_VTABLE_END,
};

int bus_service_add(struct bus *b)
{
	return sd_bus_add_object_vtable(b->bus, &b->service, BUS_PATH, BUS_SERVICE, service_vtable,
					b);
}
