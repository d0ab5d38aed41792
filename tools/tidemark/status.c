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
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/bus.h"
#include "tidemark/output.h"
#include "tidemark/size.h"

enum sent_column {
	SENT_COLLECTION, SENT_VM, SENT_DISK, SENT_STATE, SENT_OWED, SENT_SIZE, SENT_POINT,
	SENT_RATE, SENT_DONE, SENT_ETA, SENT_DEVICE, SENT_NOTE,
};

static const struct output_column sent_columns[] = {
	[SENT_COLLECTION] = { "COLLECTION", "what is replicated together", .type = OUTPUT_TEXT },
	[SENT_VM]	= { "VM", "name of the VM", .type = OUTPUT_TEXT },
	[SENT_DISK]	= { "DISK", "name of its disk", .type = OUTPUT_TEXT },
	[SENT_STATE]	= { "STATE", "of the collection", .type = OUTPUT_TEXT },
	[SENT_OWED]	= { "OWED", "bytes of granules changed since the last point",
			    .type = OUTPUT_BYTES },
	[SENT_SIZE]	= { "SIZE", "of the disk", .type = OUTPUT_BYTES },
	[SENT_POINT]	= { "LAST-POINT", "when its newest point was made", .type = OUTPUT_TEXT },
	[SENT_RATE]	= { "RATE", "of the job under way, a second", .type = OUTPUT_TEXT },
	[SENT_DONE]	= { "DONE", "of the job under way", .type = OUTPUT_PERCENT },
	[SENT_ETA]	= { "ETA", "its end, as far as one knows", .type = OUTPUT_TEXT },
	[SENT_DEVICE]	= { "DEVICE", "path of the disk", NULL, OUTPUT_TEXT, true },
	[SENT_NOTE]	= { "NOTE", "what is the matter with it", .type = OUTPUT_TEXT },
};

enum held_column {
	HELD_COLLECTION, HELD_VM, HELD_DISK, HELD_STATE, HELD_SIZE, HELD_POINT, HELD_CREATED,
	HELD_FORMAT, HELD_PATH,
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
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char status_help[] =
	"Usage: tidemark status [COLLECTION] [OPTION...]\n\n"
	"Show what the agent of this host sends and which replicas it holds.\n\n"
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\"\n"
	"  -b, --bytes          sizes in bytes\n"
	"  -n, --noheadings     no headings\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

/* -- reading the document --------------------------------------------------- */

static const char *get_text(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_string(v) : NULL;
}

static uint64_t get_number(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? json_object_get_uint64(v) : 0;
}

static bool has(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) && v;
}

static struct json_object *get(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? v : NULL;
}

static struct json_object *find_job(struct json_object *document, struct json_object *collection)
{
	struct json_object *jobs = get(document, "jobs");
	uint64_t id = get_number(collection, "job");

	for (size_t i = 0; id && jobs && i < json_object_array_length(jobs); i++) {
		struct json_object *job = json_object_array_get_idx(jobs, i);

		if (get_number(job, "job") == id)
			return job;
	}
	return NULL;
}

/* Keep those members of an array of the document that are of a collection. */
static void restrict_to(struct json_object *document, const char *name, const char *collection)
{
	struct json_object *array = get(document, name);

	for (size_t i = array ? json_object_array_length(array) : 0; i-- > 0;) {
		const char *of = get_text(json_object_array_get_idx(array, i), "collection");

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
	uint64_t eta = get_number(job, "eta");

	snprintf(text, sizeof(text), "%s/s", size_format(get_number(job, "rate"), size));
	output_text(o, SENT_RATE, text);
	output_number(o, SENT_DONE, get_number(job, "percent"));
	if (!has(job, "eta"))
		return;
	snprintf(text, sizeof(text), "%02u:%02u:%02u", (unsigned int)(eta / 3600 % 1000),
		 (unsigned int)(eta / 60 % 60), (unsigned int)(eta % 60));
	output_text(o, SENT_ETA, text);
}

static void row_disk(struct output *o, struct json_object *collection, struct json_object *disk,
		     struct json_object *job)
{
	const char *state = get_text(collection, "state_name");
	struct json_object *last = get(collection, "last");

	output_row(o);
	output_text(o, SENT_COLLECTION, get_text(collection, "collection"));
	output_text(o, SENT_VM, get_text(disk, "vm"));
	output_text(o, SENT_DISK, get_text(disk, "disk"));
	output_text(o, SENT_STATE, state);
	output_colour(o, SENT_STATE, state_colour(state));
	if (has(disk, "marked"))
		output_number(o, SENT_OWED, get_number(disk, "marked") +
					    get_number(disk, "sealed"));
	if (has(disk, "size"))
		output_number(o, SENT_SIZE, get_number(disk, "size"));
	output_text(o, SENT_POINT, get_text(disk, "point_time"));
	output_text(o, SENT_DEVICE, get_text(disk, "device"));
	if (job)
		row_job(o, job);
	if (has(disk, "error"))
		output_text(o, SENT_NOTE, get_text(disk, "error"));
	else if (last && get_number(last, "error"))
		output_text(o, SENT_NOTE, get_text(last, "text"));
	else if (strcmp(get_text(disk, "tracking") ?: "", "none") == 0)
		output_text(o, SENT_NOTE, "not tracked: compared each time");
}

static void rows_sent(struct output *o, struct json_object *document)
{
	struct json_object *collections = get(document, "collections");

	for (size_t i = 0; collections && i < json_object_array_length(collections); i++) {
		struct json_object *c = json_object_array_get_idx(collections, i);
		struct json_object *disks = get(c, "disks");

		for (size_t k = 0; disks && k < json_object_array_length(disks); k++)
			row_disk(o, c, json_object_array_get_idx(disks, k), find_job(document, c));
	}
}

static void rows_held(struct output *o, struct json_object *document)
{
	struct json_object *replicas = get(document, "replicas");

	for (size_t i = 0; replicas && i < json_object_array_length(replicas); i++) {
		struct json_object *r = json_object_array_get_idx(replicas, i);

		output_row(o);
		output_text(o, HELD_COLLECTION, get_text(r, "collection"));
		output_text(o, HELD_VM, get_text(r, "vm"));
		output_text(o, HELD_DISK, get_text(r, "disk"));
		output_text(o, HELD_STATE, get_text(r, "state"));
		output_number(o, HELD_SIZE, get_number(r, "size"));
		output_number(o, HELD_POINT, get_number(r, "point"));
		output_text(o, HELD_CREATED, get_text(r, "created"));
		output_text(o, HELD_FORMAT, get_text(r, "format"));
		output_text(o, HELD_PATH, get_text(r, "path"));
	}
}

static size_t length_of(struct json_object *document, const char *name)
{
	struct json_object *array = get(document, name);

	return array ? json_object_array_length(array) : 0;
}

static int print_table(struct json_object *document, const struct output_options *options)
{
	struct output *sent = output_new("collections", sent_columns, COUNT(sent_columns));
	struct output *held = output_new("replicas", held_columns, COUNT(held_columns));
	bool any_held = length_of(document, "replicas");
	bool any_sent = length_of(document, "collections");
	int err = 0;

	rows_sent(sent, document);
	rows_held(held, document);
	if (any_sent || !any_held)
		err = output_print(sent, options);
	if (!err && any_sent && any_held)
		putchar('\n');
	if (!err && any_held)
		err = output_print(held, options);
	output_free(sent);
	output_free(held);
	return err ? command_fail(err, "cannot print the status") : EXIT_DONE;
}

/* -- the command ------------------------------------------------------------ */

static int status_print(const char *text, const char *collection,
			const struct output_options *options)
{
	struct json_object *document = json_tokener_parse(text);
	int code = EXIT_DONE;

	if (!document)
		return command_fail(-EBADMSG, "the agent's status is not understood");
	if (collection) {
		restrict_to(document, "collections", collection);
		restrict_to(document, "replicas", collection);
		restrict_to(document, "jobs", collection);
		if (!length_of(document, "collections") && !length_of(document, "replicas")) {
			command_say("there is no collection %s", collection);
			code = EXIT_NOT_FOUND;
		}
	}
	if (!code && options->json)
		puts(json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_SPACED |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (!code)
		code = print_table(document, options);
	json_object_put(document);
	return code;
}

int command_status(int argc, char **argv)
{
	static const struct option names[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "bytes", no_argument, NULL, 'b' },
		{ "noheadings", no_argument, NULL, 'n' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct output_options options = { 0 };
	const char *address = NULL;
	struct bus *b;
	char *text;
	int option, code;

	while ((option = getopt_long(argc, argv, "Jbnh", names, NULL)) >= 0) {
		switch (option) {
		case 'J': options.json = true; break;
		case 'b': options.bytes = true; break;
		case 'n': options.noheadings = true; break;
		case 'B': address = optarg; break;
		case 'h':
			fputs(status_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("status", NULL);
		}
	}
	if (argc - optind > 1)
		return command_usage("status", "status takes one collection at most");
	code = bus_open(&b, address);
	if (code)
		return code;
	code = bus_status(b, &text);
	bus_close(b);
	if (code)
		return code;
	code = status_print(text, argv[optind], &options);
	free(text);
	return code;
}
