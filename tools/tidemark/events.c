// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark events - print what the agent and the kernel module report, as it happens
 *
 * NDJSON: one JSON object a line, flushed line by line. Each source counts its own
 * events; lost ones are said by an object of their own: whoever follows the disks
 * must ask for their state again then.
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "tidemark/bus.h"
#include "tidemark/output.h"

static const char events_help[] =
	"Usage: tidemark events [OPTION...]\n\n"
	"Print the events of the agent and of the kernel module as they happen, one JSON\n"
	"object a line (schema \"" OUTPUT_SCHEMA "\"), until interrupted. \"seq\" counts all\n"
	"events of a \"source\"; an object with \"event\": \"lost\" says that some are missing.\n"
	"What is not there, the agent or the module, is left out; one must be there.\n\n"
	"  -c, --count N        end after N events\n"
	"      --agent          the agent's only\n"
	"      --kernel         the kernel module's only\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

/**
 * struct follow - what is followed
 * @kernel: the module's events, NULL: none
 * @bus: the agent's, NULL: none
 * @left: so many events are still to be printed
 */
struct follow {
	struct tidemark_events *kernel;
	struct bus *bus;
	uint64_t left;
};

static void event_stamp(char ret[40])
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret, 40, "%s.%03uZ", text, (unsigned int)(now.tv_nsec / 1000000) % 1000);
}

static struct json_object *event_object(const char *source, const char *name)
{
	struct json_object *object = json_object_new_object();
	char stamp[40];

	event_stamp(stamp);
	json_object_object_add(object, "schema", json_object_new_string(OUTPUT_SCHEMA));
	json_object_object_add(object, "time", json_object_new_string(stamp));
	json_object_object_add(object, "source", json_object_new_string(source));
	json_object_object_add(object, "event", json_object_new_string(name));
	return object;
}

/* Return: 0 or -errno of the write; the line is out when it returns. */
static int event_print(struct json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							  JSON_C_TO_STRING_NOSLASHESCAPE);
	int r = 0;

	if (!text)
		r = -ENOMEM;
	else if (puts(text) < 0 || fflush(stdout))
		r = errno ? -errno : -EIO;
	json_object_put(object);
	return r;
}

static int event_print_data(const struct tidemark_event_data *data)
{
	struct json_object *object = event_object("kernel", tidemark_event_name(data->event));
	struct json_object *reasons = NULL;
	char uuid[37];

	json_object_object_add(object, "seq", json_object_new_uint64(data->seq));
	json_object_object_add(object, "number", json_object_new_uint64(data->disk));
	json_object_object_add(object, "name", json_object_new_string(data->name));
	json_object_object_add(object, "uuid",
			       json_object_new_string(output_uuid(data->uuid, uuid)));
	json_object_object_add(object, "epoch", json_object_new_uint64(data->epoch));
	json_object_object_add(object, "granules", json_object_new_uint64(data->granules));
	for (uint32_t bit = 1; bit; bit <<= 1) {
		if (!(data->reason & bit))
			continue;
		if (!reasons)
			reasons = json_object_new_array();
		json_object_array_add(reasons, json_object_new_string(tidemark_reason_name(bit)));
	}
	if (reasons)
		json_object_object_add(object, "reasons", reasons);
	return event_print(object);
}

/*
 * Print what is there, at most *@left events.
 * Return: 0 when all was printed, or a negative errno.
 */
static int events_drain(struct tidemark_events *events, uint64_t *left)
{
	struct tidemark_event_data data;
	int r;

	while (*left) {
		r = tidemark_events_next(events, &data);
		if (r == -EAGAIN)
			return 0;
		if (r == -ENOBUFS)
			r = event_print(event_object("kernel", "lost"));
		else if (!r) {
			r = event_print_data(&data);
			--*left;
		}
		if (r)
			return r;
	}
	return 0;
}

static void put_text(struct json_object *object, const char *name, const char *text)
{
	if (text && *text)
		json_object_object_add(object, name, json_object_new_string(text));
}

/* One event of the agent; what is not about anything lacks its member. */
static int event_of_agent(const struct bus_event *e, void *arg)
{
	struct json_object *object = event_object("agent", e->name);
	struct follow *f = arg;
	char time[OUTPUT_TIME];

	if (!f->left) {
		json_object_put(object);
		return 1;
	}
	if (e->time)
		json_object_object_add(object, "happened",
				       json_object_new_string(output_time(e->time, time)));
	if (e->seq)
		json_object_object_add(object, "seq", json_object_new_uint64(e->seq));
	put_text(object, "collection", e->collection);
	put_text(object, "vm", e->vm);
	if (e->job)
		json_object_object_add(object, "job", json_object_new_uint64(e->job));
	if (e->from || e->to) {
		json_object_object_add(object, "from", json_object_new_uint64(e->from));
		json_object_object_add(object, "to", json_object_new_uint64(e->to));
	}
	put_text(object, "text", e->text);
	f->left--;
	return event_print(object);
}

static int follow_next(struct follow *f)
{
	int r = 0;

	if (f->bus)
		r = bus_events_next(f->bus);
	if (!r && f->kernel)
		r = events_drain(f->kernel, &f->left);
	return r > 0 ? 0 : r;
}

static int events_follow(struct follow *f, int signals)
{
	struct pollfd fds[3] = { { .fd = signals, .events = POLLIN }, { .fd = -1 }, { .fd = -1 } };
	int r;

	for (;;) {
		r = follow_next(f);
		if (r)
			return command_fail(r, "cannot go on printing events");
		if (!f->left)
			return EXIT_DONE;
		if (f->kernel)
			fds[1] = (struct pollfd){ tidemark_events_fd(f->kernel), POLLIN, 0 };
		if (f->bus)
			fds[2] = (struct pollfd){ bus_events_fd(f->bus), bus_events_poll(f->bus), 0 };
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return command_fail(-errno, "cannot wait for events");
		if (fds[0].revents)
			return EXIT_DONE;
	}
}

/* Subscribe to the module. Return: an exit code; without a module, if @needed or not. */
static int open_kernel(struct follow *f, bool needed)
{
	int r = tidemark_events_open(&f->kernel);

	if (r)
		f->kernel = NULL;
	if (!r || (r == -ENOENT && !needed))
		return EXIT_DONE;
	if (r == -ENOENT) {
		command_say("the kernel module is not loaded: run 'modprobe dm-tidemark'");
		return EXIT_NOT_AVAILABLE;
	}
	return command_fail(r, "cannot subscribe to the module's events");
}

/* @alone: nothing else was asked for */
static int open_agent(struct follow *f, const char *address, bool alone)
{
	int code;

	/* without an agent its bus may be there: then its start is told of, too */
	if (!alone && bus_reachable(address)) {
		if (f->kernel)
			return EXIT_DONE;
		command_say("there is nobody to tell of events: the kernel module is not loaded "
			    "(run 'modprobe dm-tidemark'), and there is no D-Bus for the agent");
		return EXIT_NOT_AVAILABLE;
	}
	code = bus_open(&f->bus, address);
	return code ? code : bus_events(f->bus, event_of_agent, f);
}

static int events_run(struct follow *f, bool kernel, bool agent, const char *address)
{
	sigset_t ends;
	int signals, code = EXIT_DONE;

	if (kernel)
		code = open_kernel(f, !agent);
	if (!code && agent)
		code = open_agent(f, address, !kernel);
	if (code)
		return code;
	/* an end by a signal is a clean end: the last line is whole */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	if (signals < 0)
		return command_fail(-errno, "cannot watch for signals");
	code = events_follow(f, signals);
	close(signals);
	return code;
}

int command_events(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' },
		{ "agent", no_argument, NULL, 'a' },
		{ "kernel", no_argument, NULL, 'k' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct follow f = { .left = UINT64_MAX };
	bool agent = false, kernel = false;
	const char *address = NULL;
	int option, code;
	char *end;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) >= 0) {
		switch (option) {
		case 'c':
			errno = 0;
			f.left = strtoull(optarg, &end, 10);
			if (errno || *end || end == optarg || *optarg == '-')
				return command_usage("events", "'%s' is no number", optarg);
			break;
		case 'a': agent = true; break;
		case 'k': kernel = true; break;
		case 'B': address = optarg; break;
		case 'h':
			fputs(events_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("events", NULL);
		}
	}
	if (optind != argc)
		return command_usage("events", "events takes no arguments");
	code = events_run(&f, kernel || !agent, agent || !kernel, address);
	bus_close(f.bus);
	if (f.kernel)
		tidemark_events_close(f.kernel);
	return code;
}
