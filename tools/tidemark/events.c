// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark events - print what the kernel module reports, as it happens
 *
 * NDJSON: one JSON object a line, flushed line by line. Lost events are said by
 * an object of their own: whoever follows the disks must ask for their state
 * again then.
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

#include "tidemark/output.h"

static const char events_help[] =
	"Usage: tidemark events [OPTION...]\n\n"
	"Print the events of the kernel module as they happen, one JSON object a line\n"
	"(schema \"" OUTPUT_SCHEMA "\"), until interrupted. \"seq\" counts all events; an object\n"
	"with \"event\": \"lost\" says that some are missing.\n\n"
	"  -c, --count N        end after N events\n"
	"  -h, --help           this text\n";

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

static struct json_object *event_object(const char *name)
{
	struct json_object *object = json_object_new_object();
	char stamp[40];

	event_stamp(stamp);
	json_object_object_add(object, "schema", json_object_new_string(OUTPUT_SCHEMA));
	json_object_object_add(object, "time", json_object_new_string(stamp));
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
	struct json_object *object = event_object(tidemark_event_name(data->event));
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
			r = event_print(event_object("lost"));
		else if (!r) {
			r = event_print_data(&data);
			--*left;
		}
		if (r)
			return r;
	}
	return 0;
}

static int events_follow(struct tidemark_events *events, int signals, uint64_t left)
{
	struct pollfd fds[] = {
		{ .fd = tidemark_events_fd(events), .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	int r;

	while (left) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return command_fail(-errno, "cannot wait for events");
		if (fds[1].revents)
			return EXIT_DONE;
		r = events_drain(events, &left);
		if (r)
			return command_fail(r, "cannot go on printing events");
	}
	return EXIT_DONE;
}

static int events_run(uint64_t count)
{
	struct tidemark_events *events;
	sigset_t ends;
	int signals, code, r;

	r = tidemark_events_open(&events);
	if (r == -ENOENT) {
		command_say("the kernel module is not loaded: run 'modprobe dm-tidemark'");
		return EXIT_NOT_AVAILABLE;
	}
	if (r)
		return command_fail(r, "cannot subscribe to the module's events");

	/* an end by a signal is a clean end: the last line is whole */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	if (signals < 0) {
		code = command_fail(-errno, "cannot watch for signals");
	} else {
		code = events_follow(events, signals, count);
		close(signals);
	}
	tidemark_events_close(events);
	return code;
}

int command_events(int argc, char **argv)
{
	static const struct option options[] = {
		{ "count", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	uint64_t count = UINT64_MAX;
	int option;
	char *end;

	while ((option = getopt_long(argc, argv, "c:h", options, NULL)) >= 0) {
		switch (option) {
		case 'c':
			errno = 0;
			count = strtoull(optarg, &end, 10);
			if (errno || *end || end == optarg || *optarg == '-')
				return command_usage("events", "'%s' is no number", optarg);
			break;
		case 'h':
			fputs(events_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("events", NULL);
		}
	}
	if (optind != argc)
		return command_usage("events", "events takes no arguments");
	return events_run(count);
}
