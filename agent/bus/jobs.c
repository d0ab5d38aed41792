// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * org.tidemark.Replication1.Job: one object for each job, in the shape of
 * CIM_ConcreteJob, with our counters besides.
 */
#include "bus/objects.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

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
	{ "ReadLimit", offsetof(struct progress_view, read_limit) },
	{ "DiskLatency", offsetof(struct progress_view, latency) },
};

static int get_counter(sd_bus *bus, const char *path, const char *interface,
		       const char *property, sd_bus_message *reply, void *arg,
		       sd_bus_error *error)
{
	struct progress_view p;

	service_job_progress(arg, &p);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		if (strcmp(counters[i].name, property) == 0)
			return sd_bus_message_append(
				reply, "t", *(uint64_t *)((char *)&p + counters[i].offset));
	}
	return -ENOENT;
}

static int get_small(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct service_job *job = arg;
	struct progress_view p;
	uint32_t value = 0;

	service_job_progress(job, &p);
	if (strcmp(property, "JobType") == 0)
		value = service_job_type(job);
	else if (strcmp(property, "PercentComplete") == 0)
		value = p.permille / 10;
	else if (strcmp(property, "Permille") == 0)
		value = p.permille;
	else if (strcmp(property, "Passes") == 0)
		value = p.passes;
	else if (strcmp(property, "Torn") == 0)
		value = p.torn;
	return sd_bus_message_append(reply, "u", value);
}

static int get_rate(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	struct service_rate rate;

	service_job_rate(arg, &rate);
	if (strcmp(property, "RateLimit") == 0)
		return sd_bus_message_append(reply, "t", rate.limit);
	return sd_bus_message_append(reply, "s", rate.why);
}

static int get_elapsed(sd_bus *bus, const char *path, const char *interface,
		       const char *property, sd_bus_message *reply, void *arg,
		       sd_bus_error *error)
{
	return sd_bus_message_append(reply, "t", service_job_elapsed(arg));
}

/* -- texts ------------------------------------------------------------------ */

static void summarize(const struct service_job *job, char *text, size_t size)
{
	size_t failed = 0;

	for (size_t i = 0; i < job->member_count; i++)
		failed += job->members[i].error != 0;
	text[0] = '\0';
	if (failed)
		snprintf(text, size, "%zu of %zu members failed", failed, job->member_count);
	else if (job->error)
		snprintf(text, size, "%s failed", service_job_name(job));
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct service_job *job = arg;
	char text[256] = "";

	if (strcmp(property, "InstanceID") == 0)
		snprintf(text, sizeof(text), "tidemark:job:%" PRIu64, job->id);
	else if (strcmp(property, "Name") == 0)
		snprintf(text, sizeof(text), "%s", service_job_name(job));
	else if (strcmp(property, "Description") == 0)
		service_job_description(job, text, sizeof(text));
	else if (strcmp(property, "StateName") == 0)
		snprintf(text, sizeof(text), "%s", job_state_name(job->state));
	else if (strcmp(property, "JobStatus") == 0)
		snprintf(text, sizeof(text), "%s",
			 job->status[0] ? job->status : job_state_name(job->state));
	else if (strcmp(property, "ErrorSummaryDescription") == 0)
		summarize(job, text, sizeof(text));
	return sd_bus_message_append(reply, "s", text);
}

static int get_cancellable(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *reply, void *arg,
			   sd_bus_error *error)
{
	const struct service_job *job = arg;

	return sd_bus_message_append(reply, "b",
				     !service_job_ended(job) && job->state != JOB_SHUTTING_DOWN);
}

/* -- members and disks ------------------------------------------------------ */

/* (VM, state, code, sentence, owed, sent, on the wire, remaining, rate, ETA, permille) */
static int get_members(sd_bus *bus, const char *path, const char *interface,
		       const char *property, sd_bus_message *reply, void *arg,
		       sd_bus_error *error)
{
	const struct service_job *job = arg;
	char text[REASON_TEXT_MAX];
	int err = sd_bus_message_open_container(reply, 'a', "(suusttttttu)");

	for (size_t i = 0; i < job->member_count && err >= 0; i++) {
		const struct service_job_member *m = &job->members[i];
		struct progress_view p;

		service_job_member_progress(job, i, &p);
		err = sd_bus_message_append(reply, "(suusttttttu)", m->vm, (uint32_t)m->state,
					    m->error, bus_text(m->text, text, sizeof(text)),
					    p.owed, p.sent, p.wire, p.remaining, p.rate, p.eta,
					    p.permille);
	}
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

static int append_disk(sd_bus_message *reply, const struct service_job *job, size_t member,
		       size_t disk)
{
	const struct service_job_member *m = &job->members[member];
	const struct service_job_disk *d = &m->disks[disk];
	char text[REASON_TEXT_MAX];
	struct progress_view p;

	service_job_disk_progress(job, member, disk, &p);
	return sd_bus_message_append(reply, "(ssssustttttttu)", m->vm, d->name, d->mode ?: "",
				     d->why ?: "", d->error, bus_text(d->text, text, sizeof(text)),
				     d->size, d->frames, d->bytes, p.owed, p.sent, p.wire,
				     p.remaining, p.permille);
}

/*
 * (VM, disk, how, why not incremental, code, sentence, size, frames, bytes in them,
 * owed, sent, on the wire, remaining, permille)
 */
static int get_disks(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	const struct service_job *job = arg;
	int err = sd_bus_message_open_container(reply, 'a', "(ssssustttttttu)");

	for (size_t i = 0; i < job->member_count && err >= 0; i++) {
		for (size_t k = 0; k < job->members[i].disk_count && err >= 0; k++)
			err = append_disk(reply, job, i, k);
	}
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

/* (VM, disk, offset, length) */
static int get_differences(sd_bus *bus, const char *path, const char *interface,
			   const char *property, sd_bus_message *reply, void *arg,
			   sd_bus_error *error)
{
	struct service_job_difference d;
	int err = sd_bus_message_open_container(reply, 'a', "(sstt)");

	for (size_t i = 0; err >= 0 && service_job_difference(arg, i, &d); i++)
		err = sd_bus_message_append(reply, "(sstt)", d.vm ?: "", d.disk ?: "", d.offset,
					    d.length);
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

/* -- methods ---------------------------------------------------------------- */

/* The job that a message is for; it may have gone while polkit was asked. */
static const struct service_job *job_of(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	const struct service_job *job = NULL;
	struct reason reason = { 0 };
	uint64_t id;

	if (bus_job_of(sd_bus_message_get_path(m), &id))
		job = service_job(b->agent.service, id);
	if (!job) {
		reason_set(&reason, 0, REASON_NOT_FOUND, "there is no job %.64s",
			   sd_bus_message_get_path(m));
		bus_refuse(error, &reason);
	}
	return job;
}

static int run_request_state(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	const struct service_job *job = job_of(b, m, error);
	struct reason reason = { 0 };
	uint32_t requested;
	int err;

	if (!job)
		return -ENOENT;
	err = sd_bus_message_read(m, "u", &requested);
	if (err >= 0)
		err = bus_read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	if (requested < JOB_REQUEST_START || requested > JOB_REQUEST_KILL) {
		reason_set(&reason, 0, REASON_INVALID_PARAMETER,
			   "a job cannot be asked for state %u: 2 start, 3 suspend, 4 terminate, "
			   "5 kill", requested);
		return bus_refuse(error, &reason);
	}
	err = service_job_request(b->agent.service, job->id, requested, &reason);
	if (err < 0)
		return bus_refuse(error, &reason);
	return sd_bus_reply_method_return(m, "u", 0u);
}

static int run_set_rate_limit(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	const struct service_job *job = job_of(b, m, error);
	struct reason reason = { 0 };
	uint64_t limit;
	int err;

	if (!job)
		return -ENOENT;
	err = sd_bus_message_read(m, "t", &limit);
	if (err >= 0)
		err = bus_read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	err = service_job_limit(b->agent.service, job->id, limit, &reason);
	if (err < 0)
		return bus_refuse(error, &reason);
	return sd_bus_reply_method_return(m, "u", 0u);
}

static int run_get_error(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	const struct service_job *job = job_of(b, m, error);
	struct service_job_error e = { .text = "" };
	char text[REASON_TEXT_MAX];
	int err;

	if (!job)
		return -ENOENT;
	err = bus_read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	if (!service_job_error(job, 0, &e))
		e = (struct service_job_error){ .text = "" };
	return sd_bus_reply_method_return(m, "us", e.code, bus_text(e.text, text, sizeof(text)));
}

static int append_errors(sd_bus_message *reply, const struct service_job *job)
{
	struct service_job_error e;
	char text[REASON_TEXT_MAX];
	int err = sd_bus_message_open_container(reply, 'a', "(ssus)");

	for (size_t i = 0; err >= 0 && service_job_error(job, i, &e); i++)
		err = sd_bus_message_append(reply, "(ssus)", e.vm ?: "", e.disk ?: "", e.code,
					    bus_text(e.text, text, sizeof(text)));
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

static int run_get_error_ex(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	const struct service_job *job = job_of(b, m, error);
	sd_bus_message *reply = NULL;
	int err;

	if (!job)
		return -ENOENT;
	err = bus_read_options(m, NULL, 0, error);
	if (err >= 0)
		err = sd_bus_message_new_method_return(m, &reply);
	if (err >= 0)
		err = append_errors(reply, job);
	if (err >= 0)
		err = sd_bus_send(b->bus, reply, NULL);
	sd_bus_message_unref(reply);
	return err;
}

const struct bus_method bus_job_methods[] = {
	{ "RequestStateChange", "ua{sv}", BUS_ACTION_REPLICATE, run_request_state },
	{ "SetRateLimit", "ta{sv}", BUS_ACTION_REPLICATE, run_set_rate_limit },
	{ "GetError", "a{sv}", NULL, run_get_error },
	{ "GetErrorEx", "a{sv}", NULL, run_get_error_ex },
	{ 0 },
};

/* -- the interface ---------------------------------------------------------- */

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define FIXED SD_BUS_VTABLE_PROPERTY_CONST
#define MEMBER(m) offsetof(struct service_job, m)
#define P(name) SD_BUS_PARAM(name)
#define METHOD(name, in, in_names, out, out_names) \
	SD_BUS_METHOD_WITH_NAMES(name, in, in_names P(options), out, out_names, bus_method, \
				 SD_BUS_VTABLE_UNPRIVILEGED)

static const sd_bus_vtable job_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("InstanceID", "s", get_text, 0, FIXED),
	SD_BUS_PROPERTY("Name", "s", get_text, 0, FIXED),
	SD_BUS_PROPERTY("Description", "s", get_text, 0, FIXED),
	SD_BUS_PROPERTY("Collection", "s", bus_get_array, MEMBER(collection), FIXED),
	SD_BUS_PROPERTY("Owner", "s", bus_get_array, MEMBER(owner), FIXED),
	SD_BUS_PROPERTY("Notify", "s", bus_get_array, MEMBER(notify), FIXED),
	SD_BUS_PROPERTY("JobType", "u", get_small, 0, FIXED),
	SD_BUS_PROPERTY("JobState", "u", NULL, MEMBER(state), CHANGES),
	SD_BUS_PROPERTY("StateName", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("JobStatus", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("PercentComplete", "u", get_small, 0, CHANGES),
	SD_BUS_PROPERTY("Permille", "u", get_small, 0, CHANGES),
	SD_BUS_PROPERTY("TimeSubmitted", "t", NULL, MEMBER(submitted), FIXED),
	SD_BUS_PROPERTY("ScheduledStartTime", "t", NULL, MEMBER(scheduled), CHANGES),
	SD_BUS_PROPERTY("StartTime", "t", NULL, MEMBER(started), CHANGES),
	SD_BUS_PROPERTY("EndTime", "t", NULL, MEMBER(ended), CHANGES),
	SD_BUS_PROPERTY("ElapsedTime", "t", get_elapsed, 0, 0),
	SD_BUS_PROPERTY("TimeOfLastStateChange", "t", NULL, MEMBER(changed), CHANGES),
	SD_BUS_PROPERTY("UntilTime", "t", NULL, MEMBER(until), FIXED),
	SD_BUS_PROPERTY("TimeBeforeRemoval", "t", NULL, MEMBER(removal_us), FIXED),
	SD_BUS_PROPERTY("DeleteOnCompletion", "b", bus_get_bool, MEMBER(delete_on_completion),
			FIXED),
	SD_BUS_PROPERTY("ErrorCode", "u", NULL, MEMBER(error), CHANGES),
	SD_BUS_PROPERTY("ErrorDescription", "s", bus_get_array, MEMBER(text), CHANGES),
	SD_BUS_PROPERTY("ErrorSummaryDescription", "s", get_text, 0, CHANGES),
	SD_BUS_PROPERTY("Cancellable", "b", get_cancellable, 0, CHANGES),
	SD_BUS_PROPERTY("BytesDisk", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("BytesMarked", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("BytesOwed", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("BytesSent", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("BytesZero", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("BytesOnWire", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("BytesReceived", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("BytesRemaining", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("BytesDifferent", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("ReadCalls", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("Rate", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("ETA", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("RateLimit", "t", get_rate, 0, CHANGES),
	SD_BUS_PROPERTY("RateLimitReason", "s", get_rate, 0, CHANGES),
	SD_BUS_PROPERTY("OwnRateLimit", "t", NULL, MEMBER(rate_limit), CHANGES),
	SD_BUS_PROPERTY("ReadLimit", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("DiskLatency", "t", get_counter, 0, CHANGES),
	SD_BUS_PROPERTY("Passes", "u", get_small, 0, CHANGES),
	SD_BUS_PROPERTY("Torn", "u", get_small, 0, CHANGES),
	SD_BUS_PROPERTY("Point", "t", NULL, MEMBER(point), CHANGES),
	SD_BUS_PROPERTY("Consistency", "u", NULL, MEMBER(consistency), CHANGES),
	SD_BUS_PROPERTY("Hash", "s", bus_get_text, MEMBER(hash), CHANGES),
	SD_BUS_PROPERTY("Streams", "u", NULL, MEMBER(streams), CHANGES),
	SD_BUS_PROPERTY("Encryption", "s", bus_get_text, MEMBER(secret), CHANGES),
	/* long: told to who asks */
	SD_BUS_PROPERTY("Members", "a(suusttttttu)", get_members, 0, 0),
	SD_BUS_PROPERTY("Disks", "a(ssssustttttttu)", get_disks, 0, 0),
	SD_BUS_PROPERTY("Differences", "a(sstt)", get_differences, 0, 0),
	METHOD("RequestStateChange", "ua{sv}", P(requested), "u", P(code)),
	METHOD("SetRateLimit", "ta{sv}", P(limit), "u", P(code)),
	METHOD("GetError", "a{sv}", , "us", P(code) P(text)),
	METHOD("GetErrorEx", "a{sv}", , "a(ssus)", P(errors)),
	SD_BUS_VTABLE_END,
};

static int find_job(sd_bus *bus, const char *path, const char *interface, void *arg, void **ret,
		    sd_bus_error *error)
{
	struct bus *b = arg;
	uint64_t id;

	if (!bus_job_of(path, &id))
		return 0;
	*ret = (void *)service_job(b->agent.service, id);
	return *ret ? 1 : 0;
}

static int nodes(sd_bus *bus, const char *prefix, void *arg, char ***ret, sd_bus_error *error)
{
	const struct service_job *jobs = service_jobs(((struct bus *)arg)->agent.service);
	size_t count = 0;
	char **list;

	for (const struct service_job *job = jobs; job; job = job->next)
		count++;
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	count = 0;
	for (const struct service_job *job = jobs; job; job = job->next) {
		list[count] = malloc(BUS_PATH_SIZE);
		if (list[count])
			bus_job_path(job->id, list[count++]);
	}
	*ret = list;
	return 0;
}

int bus_jobs_add(struct bus *b)
{
	int err = sd_bus_add_fallback_vtable(b->bus, bus_slot(b), BUS_JOB_PATH, BUS_JOB, job_vtable,
					     find_job, b);

	if (err >= 0)
		err = sd_bus_add_node_enumerator(b->bus, bus_slot(b), BUS_JOB_PATH, nodes, b);
	return err;
}
