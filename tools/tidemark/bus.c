// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bus - the agent, over D-Bus
 */
#include "tidemark/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "tidemark/command.h"

#define BUS_NAME "org.tidemark.Replication1"
#define BUS_PATH "/org/tidemark/Replication1"
#define BUS_SERVICE BUS_NAME ".Service"
#define BUS_JOB BUS_NAME ".Job"
#define CODE_FAILED 32768u
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct bus {
	sd_bus *bus;
};

/* -- codes ------------------------------------------------------------------ */

int bus_exit_code(uint32_t code)
{
	static const int exits[] = {
		EXIT_FAILED,	   EXIT_DENIED,	       EXIT_NOT_SUPPORTED, EXIT_UNKNOWN,
		EXIT_TIMEOUT,	   EXIT_USAGE,	       EXIT_IN_USE,	   EXIT_INVALID_STATE,
		EXIT_USAGE,	   EXIT_NOT_AVAILABLE, EXIT_NO_MEMORY,	   EXIT_NOT_FOUND,
	};

	if (code < CODE_FAILED || code - CODE_FAILED >= ARRAY_SIZE(exits))
		return EXIT_FAILED;
	return exits[code - CODE_FAILED];
}

int bus_job_exit_code(const struct bus_job *job)
{
	switch (job->state) {
	case BUS_JOB_COMPLETED:
		return job->bytes_different ? EXIT_FAILED : EXIT_DONE;
	case BUS_JOB_WARNINGS:
		return EXIT_WARNINGS;
	}
	return bus_exit_code(job->error);
}

bool bus_job_ended(const struct bus_job *job)
{
	return job->state >= BUS_JOB_COMPLETED;
}

void bus_job_path(uint64_t job, char ret[64])
{
	snprintf(ret, 64, BUS_PATH "/Job/%" PRIu64, job);
}

/*
 * The agent's refusals begin with their number: "32774: ...". Others come from
 * D-Bus itself, and say with their name what is the matter.
 */
static int bus_refused(const sd_bus_error *error, int err)
{
	static const struct {
		const char *name;
		int code;
	} names[] = {
		{ SD_BUS_ERROR_SERVICE_UNKNOWN, EXIT_NOT_AVAILABLE },
		{ SD_BUS_ERROR_NAME_HAS_NO_OWNER, EXIT_NOT_AVAILABLE },
		{ SD_BUS_ERROR_NO_REPLY, EXIT_NOT_AVAILABLE },
		{ SD_BUS_ERROR_DISCONNECTED, EXIT_NOT_AVAILABLE },
		{ SD_BUS_ERROR_ACCESS_DENIED, EXIT_DENIED },
		{ SD_BUS_ERROR_UNKNOWN_OBJECT, EXIT_NOT_FOUND },
		{ SD_BUS_ERROR_TIMEOUT, EXIT_TIMEOUT },
	};
	const char *message = error->message ? error->message : strerror(-err);
	unsigned int code;
	int used = 0;

	if (sscanf(message, "%u: %n", &code, &used) == 1 && used && code >= CODE_FAILED) {
		command_say("%s", message + used);
		return bus_exit_code(code);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!sd_bus_error_has_name(error, names[i].name))
			continue;
		if (names[i].code == EXIT_NOT_AVAILABLE)
			command_say("the agent, tidemarkd, does not answer: %s", message);
		else
			command_say("%s", message);
		return names[i].code;
	}
	command_say("the agent refuses: %s", message);
	return err < 0 ? (int)exit_code_of(err) : EXIT_FAILED;
}

/* -- life ------------------------------------------------------------------- */

int bus_open(struct bus **ret, const char *address)
{
	struct bus *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return command_fail(-ENOMEM, "cannot connect to D-Bus");
	if (!address)
		address = getenv(BUS_ENVIRONMENT);
	if (!address || strcmp(address, "system") == 0) {
		err = sd_bus_open_system(&b->bus);
	} else {
		err = sd_bus_new(&b->bus);
		if (err >= 0)
			err = sd_bus_set_address(b->bus, address);
		if (err >= 0)
			err = sd_bus_set_bus_client(b->bus, 1);
		if (err >= 0)
			err = sd_bus_start(b->bus);
	}
	if (err < 0) {
		bus_close(b);
		command_fail(err, "cannot connect to D-Bus at %s", address ? address : "system");
		return EXIT_NOT_AVAILABLE;
	}
	*ret = b;
	return EXIT_DONE;
}

struct bus *bus_close(struct bus *b)
{
	if (b) {
		sd_bus_flush_close_unref(b->bus);
		free(b);
	}
	return NULL;
}

/* -- methods ---------------------------------------------------------------- */

/* The reply (u code, o job) that every method that makes a job gives. */
static int bus_read_job(sd_bus_message *reply, uint64_t *ret_job)
{
	const char *path;
	uint32_t code;
	int err = sd_bus_message_read(reply, "uo", &code, &path);

	if (err < 0)
		return command_fail(err, "the agent's answer is not understood");
	*ret_job = 0;
	if (code && sscanf(path, BUS_PATH "/Job/%" SCNu64, ret_job) != 1)
		return command_fail(-EBADMSG, "the agent's answer is not understood");
	return EXIT_DONE;
}

int bus_resynchronize(struct bus *b, const char *collection, bool compare, uint64_t *ret_job)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int err;

	if (compare)
		err = sd_bus_call_method(b->bus, BUS_NAME, BUS_PATH, BUS_SERVICE, "Resynchronize",
					 &error, &reply, "ssba{sv}", collection, "", 0, 1,
					 "Compare", "b", 1);
	else
		err = sd_bus_call_method(b->bus, BUS_NAME, BUS_PATH, BUS_SERVICE, "Resynchronize",
					 &error, &reply, "ssba{sv}", collection, "", 0, 0);
	err = err < 0 ? bus_refused(&error, err) : bus_read_job(reply, ret_job);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return err;
}

int bus_verify(struct bus *b, const char *collection, uint64_t *ret_job)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	int err;

	err = sd_bus_call_method(b->bus, BUS_NAME, BUS_PATH, BUS_SERVICE, "Verify", &error, &reply,
				 "sa{sv}", collection, 0);
	err = err < 0 ? bus_refused(&error, err) : bus_read_job(reply, ret_job);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return err;
}

int bus_points(struct bus *b, const char *method, const char *collection, uint64_t point,
	       char **ret)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *m = NULL, *reply = NULL;
	const char *text;
	int err = sd_bus_message_new_method_call(b->bus, &m, BUS_NAME, BUS_PATH,
						 BUS_NAME ".Points", method);

	if (err >= 0)
		err = sd_bus_message_append(m, "s", collection);
	if (err >= 0 && strcmp(method, "ListPoints"))
		err = sd_bus_message_append(m, "t", point);
	/* All of a point may be read: that takes its time. */
	if (err >= 0)
		err = sd_bus_call(b->bus, m, UINT64_MAX, &error, &reply);
	if (err >= 0 && ret) {
		err = sd_bus_message_read(reply, "s", &text);
		*ret = err >= 0 ? strdup(text) : NULL;
		err = err >= 0 && !*ret ? -ENOMEM : err;
	}
	err = err < 0 ? bus_refused(&error, err) : EXIT_DONE;
	sd_bus_message_unref(m);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return err;
}

int bus_cancel(struct bus *b, uint64_t job)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char path[64];
	int err;

	bus_job_path(job, path);
	err = sd_bus_call_method(b->bus, BUS_NAME, path, BUS_JOB, "RequestStateChange", &error,
				 NULL, "ua{sv}", 4u, 0);
	err = err < 0 ? bus_refused(&error, err) : EXIT_DONE;
	sd_bus_error_free(&error);
	return err;
}

int bus_status(struct bus *b, char **ret)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *text;
	int err;

	err = sd_bus_call_method(b->bus, BUS_NAME, BUS_PATH, BUS_SERVICE, "GetStatus", &error,
				 &reply, "a{sv}", 0);
	if (err >= 0)
		err = sd_bus_message_read(reply, "s", &text);
	if (err >= 0) {
		*ret = strdup(text);
		err = *ret ? EXIT_DONE : command_fail(-ENOMEM, "cannot read the status");
	} else {
		err = bus_refused(&error, err);
	}
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return err;
}

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
	TEXT("JobStatus", status),
	TEXT("ErrorDescription", text),
	U32("JobState", state),
	U32("ErrorCode", error),
	U32("Permille", permille),
	U32("Passes", passes),
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
	U64("ElapsedTime", elapsed),
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

static int read_property(sd_bus_message *m, struct bus_job *job)
{
	const char *name, *text;
	int err = sd_bus_message_read(m, "s", &name);

	if (err < 0)
		return err;
	if (strcmp(name, "Differences") == 0)
		return read_ranges(m, job);
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
		err = err < 0 ? command_fail(err, "the agent's answer is not understood") :
				EXIT_DONE;
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
	job->ranges = NULL;
	job->range_count = 0;
}

int bus_wait(struct bus *b, unsigned int ms)
{
	int err;

	/* Signals of all jobs may come; whoever waits asks for its own job anew. */
	do {
		err = sd_bus_process(b->bus, NULL);
	} while (err > 0);
	if (err >= 0)
		err = sd_bus_wait(b->bus, ms * UINT64_C(1000));
	if (err < 0 && err != -EINTR)
		return command_fail(err, "lost the connection to D-Bus");
	return EXIT_DONE;
}
