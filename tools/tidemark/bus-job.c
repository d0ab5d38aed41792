// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bus-job - jobs of the agent: what they are, what they can be asked for
 */
#include "tidemark/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/bus-json.h"
#include "tidemark/bus-private.h"
#include "tidemark/command.h"

/* -- a job's properties ----------------------------------------------------- */

static const struct property {
	const char *name;
	char type; /* of D-Bus */
	size_t offset;
	size_t size; /* of texts */
} properties[] = {
#define TEXT(n, m) { n, 's', offsetof(struct bus_job, m), sizeof(((struct bus_job *)0)->m) }
#define U32(n, m) { n, 'u', offsetof(struct bus_job, m), 0 }
#define U64(n, m) { n, 't', offsetof(struct bus_job, m), 0 }
	TEXT("Collection", collection),
	TEXT("Name", name),
	TEXT("StateName", status),
	TEXT("JobStatus", note),
	TEXT("Owner", owner),
	TEXT("ErrorDescription", text),
	TEXT("RateLimitReason", rate_limit_reason),
	TEXT("Hash", hash),
	TEXT("Encryption", encryption),
	U32("JobState", state),
	U32("ErrorCode", error),
	U32("Permille", permille),
	U32("Passes", passes),
	U32("Streams", streams),
	U32("Torn", torn),
	U64("BytesDisk", bytes_disk),
	U64("BytesMarked", bytes_marked),
	U64("BytesOwed", bytes_owed),
	U64("BytesSent", bytes_sent),
	U64("BytesZero", bytes_zero),
	U64("BytesOnWire", bytes_on_wire),
	U64("BytesRemaining", bytes_remaining),
	U64("BytesDifferent", bytes_different),
	U64("ReadCalls", read_calls),
	U64("Rate", rate),
	U64("ETA", eta),
	U64("RateLimit", rate_limit),
	U64("OwnRateLimit", own_rate_limit),
	U64("ReadLimit", read_limit),
	U64("DiskLatency", latency),
	U64("ElapsedTime", elapsed),
	U64("TimeSubmitted", submitted),
	U64("ScheduledStartTime", scheduled),
	U64("StartTime", started),
	U64("EndTime", ended),
	U64("Point", point),
#undef TEXT
#undef U32
#undef U64
};

static int read_ranges(sd_bus_message *m, struct bus_job *job)
{
	struct bus_range *grown;
	const char *vm, *disk;
	uint64_t offset, length;
	int err = sd_bus_message_enter_container(m, 'v', "a(sstt)");

	if (err >= 0)
		err = sd_bus_message_enter_container(m, 'a', "(sstt)");
	while (err >= 0 &&
	       (err = sd_bus_message_read(m, "(sstt)", &vm, &disk, &offset, &length)) > 0) {
		grown = realloc(job->ranges, (job->range_count + 1) * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		job->ranges = grown;
		grown += job->range_count++;
		*grown = (struct bus_range){ .offset = offset, .length = length };
		snprintf(grown->vm, sizeof(grown->vm), "%s", vm);
		snprintf(grown->disk, sizeof(grown->disk), "%s", disk);
	}
	if (err >= 0)
		err = sd_bus_message_exit_container(m);
	return err < 0 ? err : sd_bus_message_exit_container(m);
}

/* What the members of the structures in Members and Disks are called in JSON. */
static const char *const member_keys[] = {
	"vm", "state", "error", "text", "bytes_owed", "bytes_sent", "bytes_on_wire",
	"bytes_remaining", "rate", "eta", "permille", NULL,
};

static const char *const disk_keys[] = {
	"vm", "disk", "mode", "why", "error", "text", "size", "frames", "frame_bytes",
	"bytes_owed", "bytes_sent", "bytes_on_wire", "bytes_remaining", "permille", NULL,
};

static int read_members(sd_bus_message *m, struct bus_job *job)
{
	int err = bus_json_array(m, member_keys, &job->members);

	for (size_t i = 0; err >= 0 && i < json_object_array_length(job->members); i++) {
		struct json_object *member = json_object_array_get_idx(job->members, i);

		/* as of the job itself: not known */
		if (json_object_get_uint64(json_object_object_get(member, "eta")) == UINT64_MAX)
			json_object_object_add(member, "eta", NULL);
	}
	return err;
}

static int read_property(sd_bus_message *m, struct bus_job *job)
{
	const char *name, *text;
	int err = sd_bus_message_read(m, "s", &name);

	if (err < 0)
		return err;
	if (strcmp(name, "Differences") == 0)
		return read_ranges(m, job);
	if (strcmp(name, "Members") == 0)
		return read_members(m, job);
	if (strcmp(name, "Disks") == 0)
		return bus_json_array(m, disk_keys, &job->disks);
	for (size_t i = 0; i < ARRAY_SIZE(properties); i++) {
		const struct property *p = &properties[i];
		char *where = (char *)job + p->offset;

		if (strcmp(p->name, name) != 0)
			continue;
		if (p->type == 's') {
			err = sd_bus_message_read(m, "v", "s", &text);
			if (err >= 0)
				snprintf(where, p->size, "%s", text);
			return err;
		}
		return sd_bus_message_read(m, "v", p->type == 'u' ? "u" : "t", where);
	}
	return sd_bus_message_skip(m, "v");
}

static int read_properties(sd_bus_message *m, struct bus_job *job)
{
	int err = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (err >= 0 && (err = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		err = read_property(m, job);
		if (err >= 0)
			err = sd_bus_message_exit_container(m);
	}
	return err < 0 ? err : sd_bus_message_exit_container(m);
}

int bus_job(struct bus *b, uint64_t job, struct bus_job *ret)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	struct bus_job got = { .id = job };
	char path[64];
	int err;

	bus_job_path(job, path);
	err = sd_bus_call_method(b->bus, BUS_NAME, path, "org.freedesktop.DBus.Properties",
				 "GetAll", &error, &reply, "s", BUS_JOB);
	if (err < 0 && (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT) ||
			sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_METHOD))) {
		command_say("there is no job %" PRIu64, job);
		err = EXIT_NOT_FOUND;
	} else if (err < 0) {
		err = bus_refused(&error, err);
	} else {
		err = read_properties(reply, &got);
		err = err < 0 ? bus_garbled(err) : EXIT_DONE;
	}
	if (err)
		bus_job_free(&got);
	else
		*ret = got;
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return err;
}

void bus_job_free(struct bus_job *job)
{
	free(job->ranges);
	json_object_put(job->members);
	json_object_put(job->disks);
	job->members = job->disks = NULL;
	job->ranges = NULL;
	job->range_count = 0;
}

/* -- methods ---------------------------------------------------------------- */

static int new_job_call(struct bus *b, sd_bus_message **ret, uint64_t job, const char *method)
{
	char path[64];
	int err;

	bus_job_path(job, path);
	err = sd_bus_message_new_method_call(b->bus, ret, BUS_NAME, path, BUS_JOB, method);
	if (err >= 0)
		err = bus_allow_asking(*ret);
	return err;
}

/* Call what was made, unless making it failed with @err. */
static int job_call(struct bus *b, sd_bus_message *m, int err)
{
	sd_bus_message *reply = NULL;

	if (err < 0) {
		sd_bus_message_unref(m);
		return command_fail(err, "cannot call the agent");
	}
	err = bus_call(b, m, &reply);
	sd_bus_message_unref(reply);
	return err;
}

int bus_job_request(struct bus *b, uint64_t job, uint32_t requested)
{
	sd_bus_message *m = NULL;
	int err = new_job_call(b, &m, job, "RequestStateChange");

	if (err >= 0)
		err = sd_bus_message_append(m, "ua{sv}", requested, 0);
	return job_call(b, m, err);
}

int bus_job_limit(struct bus *b, uint64_t job, uint64_t limit)
{
	sd_bus_message *m = NULL;
	int err = new_job_call(b, &m, job, "SetRateLimit");

	if (err >= 0)
		err = sd_bus_message_append(m, "ta{sv}", limit, 0);
	return job_call(b, m, err);
}

int bus_job_errors(struct bus *b, uint64_t job, struct json_object **ret)
{
	static const char *const keys[] = { "vm", "disk", "code", "text", NULL };
	sd_bus_message *m = NULL, *reply = NULL;
	int err = new_job_call(b, &m, job, "GetErrorEx");

	if (err >= 0)
		err = sd_bus_message_append(m, "a{sv}", 0);
	if (err < 0) {
		sd_bus_message_unref(m);
		return command_fail(err, "cannot call the agent");
	}
	err = bus_call(b, m, &reply);
	if (!err && bus_json_structs(reply, keys, ret) < 0)
		err = bus_garbled(-EBADMSG);
	sd_bus_message_unref(reply);
	return err;
}
