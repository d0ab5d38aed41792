// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * org.tidemark.Replication1.Job: one object for each job, in the shape of
 * CIM_ConcreteJob, with our counters besides.
 */
#include "bus/objects.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "send/conn.h"
#include "send/mode.h"

enum request {
	REQUEST_TERMINATE = 4,
	REQUEST_KILL = 5,
};

/* JobType of the management model; a verification has no number of its own there. */
#define JOB_TYPE_RESYNC 107u

/* -- numbers ---------------------------------------------------------------- */

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
	{ "BytesDisk", offsetof(struct progress_view, disk) },
	{ "BytesMarked", offsetof(struct progress_view, marked) },
	{ "BytesOwed", offsetof(struct progress_view, owed) },
	{ "BytesSent", offsetof(struct progress_view, sent) },
	{ "BytesZero", offsetof(struct progress_view, zero) },
	{ "BytesOnWire", offsetof(struct progress_view, wire) },
	{ "BytesReceived", offsetof(struct progress_view, received) },
	{ "BytesRemaining", offsetof(struct progress_view, remaining) },
	{ "BytesDifferent", offsetof(struct progress_view, different) },
	{ "ReadCalls", offsetof(struct progress_view, reads) },
	{ "Rate", offsetof(struct progress_view, rate) },
	{ "ETA", offsetof(struct progress_view, eta) },
};

static int property_counter(sd_bus *bus, const char *path, const char *interface,
			    const char *property, sd_bus_message *reply, void *arg,
			    sd_bus_error *error)
{
	struct job *job = arg;
	struct progress_view p;

	sender_progress(job->sender, &p);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		if (strcmp(counters[i].name, property) == 0)
			return sd_bus_message_append(
				reply, "t", *(uint64_t *)((char *)&p + counters[i].offset));
	}
	return -ENOENT;
}

static int property_small(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *arg,
			  sd_bus_error *error)
{
	struct job *job = arg;
	struct progress_view p;
	uint32_t value = 0;

	sender_progress(job->sender, &p);
	if (strcmp(property, "JobState") == 0)
		value = job->state;
	else if (strcmp(property, "JobType") == 0)
		value = job->run.kind == RUN_RESYNC ? JOB_TYPE_RESYNC : 0;
	else if (strcmp(property, "PercentComplete") == 0)
		value = p.permille / 10;
	else if (strcmp(property, "Permille") == 0)
		value = p.permille;
	else if (strcmp(property, "Passes") == 0)
		value = p.passes;
	else if (strcmp(property, "Torn") == 0)
		value = p.torn;
	else if (strcmp(property, "ErrorCode") == 0)
		value = job->error;
	return sd_bus_message_append(reply, "u", value);
}

/* -- texts and times -------------------------------------------------------- */

static int property_text(sd_bus *bus, const char *path, const char *interface,
			 const char *property, sd_bus_message *reply, void *arg,
			 sd_bus_error *error)
{
	struct job *job = arg;
	char text[128] = "";
	const char *value = text;

	if (strcmp(property, "InstanceID") == 0)
		snprintf(text, sizeof(text), "tidemark:job:%" PRIu64, job->id);
	else if (strcmp(property, "Name") == 0)
		value = job->run.kind == RUN_VERIFY ? "Verify" : "Resynchronize";
	else if (strcmp(property, "Description") == 0)
		snprintf(text, sizeof(text), "%s of collection %s",
			 job->run.kind == RUN_VERIFY ? "verification" : "resynchronization",
			 job->run.collection);
	else if (strcmp(property, "Collection") == 0)
		value = job->run.collection;
	else if (strcmp(property, "JobStatus") == 0)
		value = job_state_name(job->state);
	else if (strcmp(property, "ErrorDescription") == 0)
		value = job->text;
	return sd_bus_message_append(reply, "s", value);
}

static int property_time(sd_bus *bus, const char *path, const char *interface,
			 const char *property, sd_bus_message *reply, void *arg,
			 sd_bus_error *error)
{
	struct job *job = arg;
	uint64_t now = job_ended(job) ? job->ended_ms : conn_now();
	uint64_t value = 0;

	if (strcmp(property, "ElapsedTime") == 0)
		value = (now - job->started_ms) * 1000;
	else if (strcmp(property, "TimeBeforeRemoval") == 0)
		value = JOB_REMOVAL_S * UINT64_C(1000000);
	else if (strcmp(property, "TimeOfLastStateChange") == 0)
		value = job->changed * UINT64_C(1000000);
	else
		value = job->started * UINT64_C(1000000);
	return sd_bus_message_append(reply, "t", value);
}

static int property_cancellable(sd_bus *bus, const char *path, const char *interface,
				const char *property, sd_bus_message *reply, void *arg,
				sd_bus_error *error)
{
	return sd_bus_message_append(reply, "b", !job_ended(arg));
}

/* -- the report ------------------------------------------------------------- */

static int property_point(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *arg,
			  sd_bus_error *error)
{
	struct job *job = arg;

	return sd_bus_message_append(reply, "t",
				     job_ended(job) ? sender_report(job->sender)->point : 0);
}

/* (VM, disk, how, why not incremental, bytes, frames, bytes in them) */
static int property_disks(sd_bus *bus, const char *path, const char *interface,
			  const char *property, sd_bus_message *reply, void *arg,
			  sd_bus_error *error)
{
	struct job *job = arg;
	const struct run_report *report = sender_report(job->sender);
	bool ended = job_ended(job);
	int err = sd_bus_message_open_container(reply, 'a', "(ssssttt)");

	for (size_t i = 0; i < job->run.disk_count && err >= 0; i++) {
		const struct run_disk *d = &job->run.disks[i];
		struct run_report_disk *r = &report->disks[i];
		int mode = atomic_load(&r->mode);
		const char *why = atomic_load(&r->why);

		err = sd_bus_message_append(reply, "(ssssttt)", d->vm, d->name,
					    mode ? mode_name(mode) : "", why ? why : "",
					    ended ? r->size : 0, ended ? r->frames : 0,
					    ended ? r->bytes : 0);
	}
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

/* (VM, disk, offset, length) */
static int property_differences(sd_bus *bus, const char *path, const char *interface,
				const char *property, sd_bus_message *reply, void *arg,
				sd_bus_error *error)
{
	struct job *job = arg;
	const struct run_report *report = sender_report(job->sender);
	int err = sd_bus_message_open_container(reply, 'a', "(sstt)");

	for (size_t i = 0; job_ended(job) && i < report->range_count && err >= 0; i++) {
		const struct run_range *range = &report->ranges[i];
		const struct run_disk *d = &job->run.disks[range->disk];

		err = sd_bus_message_append(reply, "(sstt)", d->vm, d->name, range->offset,
					    range->length);
	}
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

/* -- methods ---------------------------------------------------------------- */

static int method_request_state_change(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	static const struct reason unsupported = {
		REASON_NOT_SUPPORTED, "a job can be asked to terminate (4) or be killed (5) only",
	};
	static const struct reason ended = {
		REASON_INVALID_STATE, "the job has ended",
	};
	struct job *job = arg;
	struct bus *b = sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));
	uint32_t request;
	int err;

	err = bus_permitted(m, error);
	if (err < 0)
		return err;
	err = sd_bus_message_read(m, "u", &request);
	if (err < 0)
		return err;
	/* Both leave the replica as it was; neither waits for more than one transfer. */
	if (request != REQUEST_TERMINATE && request != REQUEST_KILL)
		return bus_refuse(error, &unsupported);
	if (jobs_cancel(b->agent.jobs, job))
		return bus_refuse(error, &ended);
	return sd_bus_reply_method_return(m, "u", 0u);
}

#define CHANGING SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define FIXED SD_BUS_VTABLE_PROPERTY_CONST

static const sd_bus_vtable job_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("InstanceID", "s", property_text, 0, FIXED),
	SD_BUS_PROPERTY("Name", "s", property_text, 0, FIXED),
	SD_BUS_PROPERTY("Description", "s", property_text, 0, FIXED),
	SD_BUS_PROPERTY("Collection", "s", property_text, 0, FIXED),
	SD_BUS_PROPERTY("JobType", "u", property_small, 0, FIXED),
	SD_BUS_PROPERTY("JobState", "u", property_small, 0, CHANGING),
	SD_BUS_PROPERTY("JobStatus", "s", property_text, 0, CHANGING),
	SD_BUS_PROPERTY("PercentComplete", "u", property_small, 0, CHANGING),
	SD_BUS_PROPERTY("Permille", "u", property_small, 0, CHANGING),
	SD_BUS_PROPERTY("TimeSubmitted", "t", property_time, 0, FIXED),
	SD_BUS_PROPERTY("StartTime", "t", property_time, 0, FIXED),
	SD_BUS_PROPERTY("TimeOfLastStateChange", "t", property_time, 0, 0),
	SD_BUS_PROPERTY("TimeBeforeRemoval", "t", property_time, 0, FIXED),
	SD_BUS_PROPERTY("ElapsedTime", "t", property_time, 0, 0),
	SD_BUS_PROPERTY("ErrorCode", "u", property_small, 0, CHANGING),
	SD_BUS_PROPERTY("ErrorDescription", "s", property_text, 0, CHANGING),
	SD_BUS_PROPERTY("Cancellable", "b", property_cancellable, 0, CHANGING),
	SD_BUS_PROPERTY("BytesDisk", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("BytesMarked", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("BytesOwed", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("BytesSent", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("BytesZero", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("BytesOnWire", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("BytesReceived", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("BytesRemaining", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("BytesDifferent", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("ReadCalls", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("Rate", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("ETA", "t", property_counter, 0, CHANGING),
	SD_BUS_PROPERTY("Passes", "u", property_small, 0, CHANGING),
	SD_BUS_PROPERTY("Torn", "u", property_small, 0, CHANGING),
	SD_BUS_PROPERTY("Point", "t", property_point, 0, 0),
	SD_BUS_PROPERTY("Disks", "a(ssssttt)", property_disks, 0, 0),
	SD_BUS_PROPERTY("Differences", "a(sstt)", property_differences, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("RequestStateChange", SD_BUS_ARGS("u", requested),
				SD_BUS_RESULT("u", code), method_request_state_change,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

void bus_job_changed(struct bus *b, const struct job *job)
{
	char path[BUS_PATH_SIZE];

	bus_job_path(job->id, path);
	sd_bus_emit_properties_changed(b->bus, path, BUS_JOB, "JobState", "JobStatus",
				       "PercentComplete", "Permille", "ErrorCode",
				       "ErrorDescription", "Cancellable", "BytesDisk",
				       "BytesMarked", "BytesOwed", "BytesSent", "BytesZero",
				       "BytesOnWire", "BytesReceived", "BytesRemaining",
				       "BytesDifferent", "ReadCalls", "Rate", "ETA", "Passes",
				       "Torn", NULL);
}

/* -- objects ---------------------------------------------------------------- */

static int job_object_find(sd_bus *bus, const char *path, const char *interface, void *arg,
			   void **ret, sd_bus_error *error)
{
	struct bus *b = arg;
	uint64_t id;
	int used = 0;

	if (sscanf(path, BUS_JOB_PATH "/%" SCNu64 "%n", &id, &used) != 1 || path[used])
		return 0;
	*ret = jobs_find(b->agent.jobs, id);
	return *ret ? 1 : 0;
}

static int job_nodes(sd_bus *bus, const char *prefix, void *arg, char ***ret, sd_bus_error *error)
{
	struct bus *b = arg;
	size_t count = 0;
	char **nodes;

	for (struct job *job = jobs_first(b->agent.jobs); job; job = job->next)
		count++;
	nodes = calloc(count + 1, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	count = 0;
	for (struct job *job = jobs_first(b->agent.jobs); job; job = job->next) {
		nodes[count] = malloc(BUS_PATH_SIZE);
		if (nodes[count])
			bus_job_path(job->id, nodes[count++]);
	}
	*ret = nodes;
	return 0;
}

int bus_jobs_add(struct bus *b)
{
	int err = sd_bus_add_fallback_vtable(b->bus, &b->job_objects, BUS_JOB_PATH, BUS_JOB,
					     job_vtable, job_object_find, b);

	if (err < 0)
		return err;
	return sd_bus_add_node_enumerator(b->bus, &b->job_nodes, BUS_JOB_PATH, job_nodes, b);
}
