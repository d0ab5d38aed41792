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
#include <unistd.h>

#include "tidemark/bus-private.h"
#include "tidemark/command.h"

#define CODE_FAILED 32768u
/* Somebody types a password meanwhile. */
#define ASKING_US UINT64_C(150000000)

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
int bus_refused(const sd_bus_error *error, int err)
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

static int bus_connect(sd_bus **ret, const char *address)
{
	sd_bus *bus = NULL;
	int err;

	if (!address || strcmp(address, "system") == 0)
		return sd_bus_open_system(ret);
	err = sd_bus_new(&bus);
	if (err >= 0)
		err = sd_bus_set_address(bus, address);
	if (err >= 0)
		err = sd_bus_set_bus_client(bus, 1);
	if (err >= 0)
		err = sd_bus_start(bus);
	if (err < 0)
		sd_bus_unref(bus);
	else
		*ret = bus;
	return err;
}

int bus_reachable(const char *address)
{
	sd_bus *bus = NULL;
	int err = bus_connect(&bus, address ?: getenv(BUS_ENVIRONMENT));

	sd_bus_flush_close_unref(bus);
	return err < 0 ? err : 0;
}

int bus_open(struct bus **ret, const char *address)
{
	struct bus *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return command_fail(-ENOMEM, "cannot connect to D-Bus");
	if (!address)
		address = getenv(BUS_ENVIRONMENT);
	err = bus_connect(&b->bus, address);
	if (err < 0) {
		free(b);
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

/* -- calls ------------------------------------------------------------------ */

int bus_garbled(int err)
{
	return command_fail(err < 0 ? err : -EBADMSG, "the agent's answer is not understood");
}

/* polkit may ask the person at the terminal, if there is one */
int bus_allow_asking(sd_bus_message *m)
{
	return sd_bus_message_set_allow_interactive_authorization(m, isatty(STDIN_FILENO));
}

int bus_new_call(struct bus *b, sd_bus_message **ret, const char *method)
{
	int err = sd_bus_message_new_method_call(b->bus, ret, BUS_NAME, BUS_PATH, BUS_SERVICE,
						 method);

	return err < 0 ? err : bus_allow_asking(*ret);
}

int bus_call(struct bus *b, sd_bus_message *m, sd_bus_message **ret)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	bool asking = sd_bus_message_get_allow_interactive_authorization(m) > 0;
	int err = sd_bus_call(b->bus, m, asking ? ASKING_US : 0, &error, ret);
	int code = err < 0 ? bus_refused(&error, err) : EXIT_DONE;

	sd_bus_message_unref(m);
	sd_bus_error_free(&error);
	return code;
}

/* -- waiting ---------------------------------------------------------------- */

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

/* -- events ----------------------------------------------------------------- */

static void bus_tell(struct bus *b, const struct bus_event *event)
{
	if (!b->event_result)
		b->event_result = b->event(event, b->event_arg);
}

static int bus_on_event(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct bus *b = arg;
	struct bus_event e;

	if (sd_bus_message_read(m, "ttssstuus", &e.seq, &e.time, &e.name, &e.collection, &e.vm,
				&e.job, &e.from, &e.to, &e.text) >= 0)
		bus_tell(b, &e);
	return 0;
}

static int bus_on_owner(sd_bus_message *m, void *arg, sd_bus_error *error)
{
	struct bus_event e = { .collection = "", .vm = "" };
	const char *name, *before, *after;
	struct bus *b = arg;

	if (sd_bus_message_read(m, "sss", &name, &before, &after) < 0)
		return 0;
	e.name = *after ? "agent-started" : "agent-ended";
	e.text = *after ? "the agent answers; its numbers begin anew" :
			  "the agent does not answer any more";
	bus_tell(b, &e);
	return 0;
}

int bus_events(struct bus *b, bus_event_fn *fn, void *arg)
{
	int err;

	b->event = fn;
	b->event_arg = arg;
	err = sd_bus_match_signal(b->bus, NULL, BUS_NAME, BUS_PATH, BUS_SERVICE, "Event",
				  bus_on_event, b);
	if (err >= 0)
		err = sd_bus_add_match(b->bus, NULL,
				       "type='signal',sender='org.freedesktop.DBus',"
				       "member='NameOwnerChanged',arg0='" BUS_NAME "'",
				       bus_on_owner, b);
	return err < 0 ? command_fail(err, "cannot subscribe to the agent's events") : EXIT_DONE;
}

int bus_events_fd(struct bus *b)
{
	return sd_bus_get_fd(b->bus);
}

short bus_events_poll(struct bus *b)
{
	int events = sd_bus_get_events(b->bus);

	return (short)(events < 0 ? 0 : events);
}

int bus_events_next(struct bus *b)
{
	int err;

	do {
		err = sd_bus_process(b->bus, NULL);
	} while (err > 0 && !b->event_result);
	return err < 0 ? err : b->event_result;
}
