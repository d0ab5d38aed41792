// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark status - what the agent sends and what it holds
 *
 * The agent's own document is the source; --json prints it as it is, restricted
 * to the collection that was asked for.
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tidemark/bus.h"
#include "tidemark/json.h"
#include "tidemark/output.h"
#include "tidemark/size.h"

enum sent_column {
	SENT_COLLECTION, SENT_VM, SENT_DISK, SENT_STATE, SENT_OWED, SENT_SIZE, SENT_POINT,
	SENT_RATE, SENT_DONE, SENT_ETA, SENT_LIMIT, SENT_HEALTH, SENT_DEVICE, SENT_NOTE,
};

static const struct output_column sent_columns[] = {
	[SENT_COLLECTION] = { "COLLECTION", "what is replicated together", .type = OUTPUT_TEXT },
	[SENT_VM]	= { "VM", "name of the VM", .type = OUTPUT_TEXT },
	[SENT_DISK]	= { "DISK", "name of its disk", .type = OUTPUT_TEXT },
	[SENT_STATE]	= { "STATE", "of the VM", .type = OUTPUT_TEXT },
	[SENT_OWED]	= { "OWED", "bytes of granules changed since the last point",
			    .type = OUTPUT_BYTES },
	[SENT_SIZE]	= { "SIZE", "of the disk", .type = OUTPUT_BYTES },
	[SENT_POINT]	= { "LAST-POINT", "when its newest point was made", .type = OUTPUT_TEXT },
	[SENT_RATE]	= { "RATE", "of the job under way, a second", .type = OUTPUT_TEXT },
	[SENT_DONE]	= { "DONE", "of the job under way", .type = OUTPUT_PERCENT },
	[SENT_ETA]	= { "ETA", "its end, as far as one knows", .type = OUTPUT_TEXT },
	[SENT_LIMIT]	= { "LIMIT", "bytes a second that it may send now, 0: any number", NULL,
			    OUTPUT_BYTES, true },
	[SENT_HEALTH]	= { "HEALTH", "of the disk", NULL, OUTPUT_TEXT, true },
	[SENT_DEVICE]	= { "DEVICE", "path of the disk", NULL, OUTPUT_TEXT, true },
	[SENT_NOTE]	= { "NOTE", "what is the matter with it", .type = OUTPUT_TEXT },
};

enum held_column {
	HELD_COLLECTION, HELD_VM, HELD_DISK, HELD_STATE, HELD_SIZE, HELD_POINT, HELD_CREATED,
	HELD_FORMAT, HELD_PATH, HELD_NOTE,
};

static const struct output_column held_columns[] = {
	[HELD_COLLECTION] = { "COLLECTION", "what is replicated together", .type = OUTPUT_TEXT },
	[HELD_VM]	= { "VM", "name of the VM", .type = OUTPUT_TEXT },
	[HELD_DISK]	= { "REPLICA", "name of its disk", .type = OUTPUT_TEXT },
	[HELD_STATE]	= { "STATE", "of the replica", .type = OUTPUT_TEXT },
	[HELD_SIZE]	= { "SIZE", "of the disk", .type = OUTPUT_BYTES },
	[HELD_POINT]	= { "POINT", "number of the newest point", .type = OUTPUT_NUMBER },
	[HELD_CREATED]	= { "CREATED", "when it was made", .type = OUTPUT_TEXT },
	[HELD_FORMAT]	= { "FORMAT", "of what to open", .type = OUTPUT_TEXT },
	[HELD_PATH]	= { "PATH", "what to open", .type = OUTPUT_TEXT },
	[HELD_NOTE]	= { "NOTE", "what is the matter with it", .type = OUTPUT_TEXT },
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char status_help[] =
	"Usage: tidemark status [COLLECTION] [OPTION...]\n\n"
	"Show what the agent of this host sends and which replicas it holds.\n\n"
	OUTPUT_OPTIONS_HELP
	"  -w, --watch[=SECONDS]\n"
	"                       again and again, every 2 seconds or as given\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

/* -- reading the document --------------------------------------------------- */

static struct json_object *find_job(struct json_object *document, struct json_object *collection)
{
	uint64_t id = json_number(collection, "job");

	for (size_t i = 0; id && i < json_length(document, "jobs"); i++) {
		struct json_object *job = json_item(document, "jobs", i);

		if (json_number(job, "job") == id)
			return job;
	}
	return NULL;
}

static struct json_object *find_vm(struct json_object *collection, const char *name)
{
	for (size_t i = 0; name && i < json_length(collection, "vms"); i++) {
		const char *vm = json_text(json_item(collection, "vms", i), "vm");

		if (vm && strcmp(vm, name) == 0)
			return json_item(collection, "vms", i);
	}
	return NULL;
}

static bool is_sent(struct json_object *collection)
{
	return strcmp(json_text(collection, "role") ?: "", "replica") != 0;
}

/* Keep those members of an array of the document that are of a collection. */
static void restrict_to(struct json_object *document, const char *name, const char *collection)
{
	struct json_object *array = json_member(document, name);

	for (size_t i = array ? json_object_array_length(array) : 0; i-- > 0;) {
		const char *of = json_text(json_object_array_get_idx(array, i), "collection");

		if (!of || strcmp(of, collection) != 0)
			json_object_array_del_idx(array, i, 1);
	}
}

/* -- tables ----------------------------------------------------------------- */

static const char *state_colour(const char *state)
{
	if (!state || strcmp(state, "Replicating") == 0)
		return NULL;
	return strcmp(state, "WaitingToStartResynchronization") == 0 ? "red" : "yellow";
}

static void row_job(struct output *o, struct json_object *job)
{
	char text[SIZE_TEXT + 8], size[SIZE_TEXT];
	uint64_t eta = json_number(job, "eta");

	snprintf(text, sizeof(text), "%s/s", size_format(json_number(job, "rate"), size));
	output_text(o, SENT_RATE, text);
	output_number(o, SENT_DONE, json_number(job, "percent"));
	if (!json_has(job, "eta"))
		return;
	snprintf(text, sizeof(text), "%02u:%02u:%02u", (unsigned int)(eta / 3600 % 1000),
		 (unsigned int)(eta / 60 % 60), (unsigned int)(eta % 60));
	output_text(o, SENT_ETA, text);
}

/* What a person should know of a disk: the nearest trouble first. */
static const char *row_note(struct json_object *collection, struct json_object *vm,
			    struct json_object *disk)
{
	struct json_object *last = json_member(collection, "last");
	const char *state = json_text(vm, "state_name") ?: "";

	if (json_has(disk, "error"))
		return json_text(disk, "error");
	if (json_number(vm, "error"))
		return json_text(vm, "text");
	if (json_has(vm, "health_text"))
		return json_text(vm, "health_text");
	if (last && json_number(last, "error"))
		return json_text(last, "text");
	if (strstr(state, "Suspended"))
		return "taken with --include-suspended only";
	if (strcmp(json_text(disk, "tracking") ?: "", "none") == 0)
		return "not tracked: compared each time";
	return NULL;
}

/* What holds a job back that is under way. */
static const char *row_limit(struct json_object *job, char *text, size_t size)
{
	uint64_t latency = job ? json_number(job, "latency_us") : 0;
	char rate[SIZE_TEXT];

	if (!job)
		return NULL;
	if (json_number(job, "read_limit")) {
		snprintf(text, size, "reads at most %s/s for latency_limit: the VMs' requests take "
			 "%u.%u ms", size_format(json_number(job, "read_limit"), rate),
			 (unsigned int)(latency / 1000), (unsigned int)(latency / 100 % 10));
		return text;
	}
	if (!json_number(job, "rate_limit"))
		return NULL;
	snprintf(text, size, "at most %s/s by %s", size_format(json_number(job, "rate_limit"), rate),
		 json_text(job, "rate_limit_reason") ?: "");
	return text;
}

static void row_disk(struct output *o, struct json_object *collection, struct json_object *disk,
		     struct json_object *job)
{
	struct json_object *vm = find_vm(collection, json_text(disk, "vm"));
	const char *state = json_text(vm, "state_name") ?: json_text(collection, "state_name");
	char text[256];

	output_row(o);
	output_text(o, SENT_COLLECTION, json_text(collection, "collection"));
	output_text(o, SENT_VM, json_text(disk, "vm"));
	output_text(o, SENT_DISK, json_text(disk, "disk"));
	output_text(o, SENT_STATE, state);
	output_colour(o, SENT_STATE, state_colour(state));
	if (json_has(disk, "marked"))
		output_number(o, SENT_OWED, json_number(disk, "marked") +
					    json_number(disk, "sealed"));
	else if (json_has(disk, "owed"))
		output_number(o, SENT_OWED, json_number(disk, "owed"));
	if (json_has(disk, "size"))
		output_number(o, SENT_SIZE, json_number(disk, "size"));
	output_text(o, SENT_POINT, json_text(disk, "point_time"));
	output_number(o, SENT_LIMIT, json_number(collection, "rate_limit"));
	output_text(o, SENT_HEALTH, json_text(disk, "health_name"));
	output_text(o, SENT_DEVICE, json_text(disk, "device"));
	if (job)
		row_job(o, job);
	output_text(o, SENT_NOTE, row_note(collection, vm, disk) ?:
				  row_limit(job, text, sizeof(text)));
}

static void rows_sent(struct output *o, struct json_object *document)
{
	for (size_t i = 0; i < json_length(document, "collections"); i++) {
		struct json_object *c = json_item(document, "collections", i);

		for (size_t k = 0; is_sent(c) && k < json_length(c, "disks"); k++)
			row_disk(o, c, json_item(c, "disks", k), find_job(document, c));
	}
}

/* What a person should know of a replica. */
static const char *held_note(struct json_object *replica, char *text, size_t size)
{
	struct json_object *import = json_member(replica, "import");
	char done[SIZE_TEXT], total[SIZE_TEXT];

	if (json_has(replica, "error") || !import)
		return json_text(replica, "error");
	snprintf(text, size, "importing: %s of %s", size_format(json_number(import, "done"), done),
		 size_format(json_number(import, "total"), total));
	return text;
}

static void rows_held(struct output *o, struct json_object *document)
{
	for (size_t i = 0; i < json_length(document, "replicas"); i++) {
		struct json_object *r = json_item(document, "replicas", i);
		char note[3 * SIZE_TEXT];

		output_row(o);
		output_text(o, HELD_COLLECTION, json_text(r, "collection"));
		output_text(o, HELD_VM, json_text(r, "vm"));
		output_text(o, HELD_DISK, json_text(r, "disk"));
		output_text(o, HELD_STATE, json_text(r, "state"));
		output_number(o, HELD_SIZE, json_number(r, "size"));
		output_number(o, HELD_POINT, json_number(r, "point"));
		output_text(o, HELD_CREATED, json_text(r, "created"));
		output_text(o, HELD_FORMAT, json_text(r, "format"));
		output_text(o, HELD_PATH, json_text(r, "path"));
		output_text(o, HELD_NOTE, held_note(r, note, sizeof(note)));
	}
}

static bool is_held(struct json_object *document, const char *collection)
{
	bool held = false;

	for (size_t i = 0; i < json_length(document, "replicas") && !held; i++) {
		const char *of = json_text(json_item(document, "replicas", i), "collection");

		held = of && strcmp(of, collection) == 0;
	}
	return held;
}

/* What is the matter with a collection of which no replica is held is said all the same. */
static bool rows_faults(struct output *o, struct json_object *document)
{
	bool any = false;

	for (size_t i = 0; i < json_length(document, "faults"); i++) {
		struct json_object *fault = json_item(document, "faults", i);
		const char *collection = json_text(fault, "collection");

		if (!collection || is_held(document, collection))
			continue;
		any = true;
		output_row(o);
		output_text(o, HELD_COLLECTION, collection);
		output_text(o, HELD_NOTE, json_text(fault, "error"));
	}
	return any;
}

static size_t count_sent(struct json_object *document)
{
	size_t count = 0;

	for (size_t i = 0; i < json_length(document, "collections"); i++)
		count += is_sent(json_item(document, "collections", i));
	return count;
}

static int print_table(struct json_object *document, const struct output_options *options)
{
	struct output *sent = output_new("collections", sent_columns, COUNT(sent_columns));
	struct output *held = output_new("replicas", held_columns, COUNT(held_columns));
	bool any_held = json_length(document, "replicas");
	bool any_sent = count_sent(document);
	struct output_options of_held = *options;
	int err = 0;

	rows_sent(sent, document);
	rows_held(held, document);
	any_held |= rows_faults(held, document);
	if (any_sent || !any_held)
		err = output_print(sent, options);
	if (!err && any_sent && any_held)
		putchar('\n');
	/* the columns that were chosen are those of the first table */
	if (any_sent)
		of_held.columns = NULL;
	if (!err && any_held)
		err = output_print(held, &of_held);
	output_free(sent);
	output_free(held);
	if (err == -EINVAL) /* no such column: that was said */
		return EXIT_USAGE;
	return err ? command_fail(err, "cannot print the status") : EXIT_DONE;
}

/* -- the command ------------------------------------------------------------ */

/**
 * struct status - what was asked for
 * @output: how it is printed
 * @collection: this one only, or NULL
 * @bus: where the agent is
 * @watch: seconds from one look to the next; 0: once
 */
struct status {
	struct output_options output;
	const char *collection;
	const char *bus;
	unsigned int watch;
};

/* Print the document, and put it. */
static int status_print(struct json_object *document, const struct status *s)
{
	int code;

	if (s->collection) {
		restrict_to(document, "collections", s->collection);
		restrict_to(document, "replicas", s->collection);
		restrict_to(document, "faults", s->collection);
		restrict_to(document, "jobs", s->collection);
		if (!json_length(document, "collections") && !json_length(document, "replicas") &&
		    !json_length(document, "faults")) {
			json_object_put(document);
			command_say("there is no collection %s", s->collection);
			return EXIT_NOT_FOUND;
		}
	}
	if (s->output.json)
		return output_json(document);
	if (s->watch && isatty(STDOUT_FILENO))
		fputs("\033[H\033[2J", stdout);
	code = print_table(document, &s->output);
	json_object_put(document);
	return code;
}

static int status_once(struct bus *b, const struct status *s)
{
	struct json_object *document;
	int code = bus_status(b, s->collection, &document);

	return code ? code : status_print(document, s);
}

static int status_run(const struct status *s)
{
	struct bus *b;
	int code = bus_open(&b, s->bus);

	if (code)
		return code;
	code = status_once(b, s);
	while (!code && s->watch) {
		if (fflush(stdout))
			break; /* nobody reads any more; main() says so */
		sleep(s->watch);
		code = status_once(b, s);
	}
	bus_close(b);
	return code;
}

static int status_watch(const char *text, unsigned int *ret)
{
	char *end;
	unsigned long seconds = text ? strtoul(text, &end, 10) : 2;

	if (text && (*end || *text < '0' || *text > '9' || !seconds || seconds > 3600))
		return command_usage("status", "'%s' is no number of seconds, 1 to 3600", text);
	*ret = (unsigned int)seconds;
	return EXIT_DONE;
}

int command_status(int argc, char **argv)
{
	static const struct option names[] = {
		OUTPUT_LONG_OPTIONS,
		{ "watch", optional_argument, NULL, 'w' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct status s = { 0 };
	int option, code;

	while ((option = getopt_long(argc, argv, OUTPUT_SHORT_OPTIONS "w::h", names, NULL)) >= 0) {
		if (output_option(&s.output, option, optarg))
			continue;
		switch (option) {
		case 'w':
			code = status_watch(optarg, &s.watch);
			if (code)
				return code;
			break;
		case 'B': s.bus = optarg; break;
		case 'h':
			fputs(status_help, stdout);
			output_help_columns(sent_columns, COUNT(sent_columns));
			fputs("\nOf what is held; chosen by --output where nothing is sent:\n", stdout);
			output_help_columns(held_columns, COUNT(held_columns));
			return EXIT_DONE;
		default:
			return command_usage("status", NULL);
		}
	}
	if (argc - optind > 1)
		return command_usage("status", "status takes one collection at most");
	s.collection = argv[optind];
	return status_run(&s);
}
