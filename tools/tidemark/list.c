// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark list, jobs, history - the agent's collections, its jobs, and those that were
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/bus.h"
#include "tidemark/json.h"
#include "tidemark/output.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/**
 * struct listing - a command that lists what a document of the agent holds
 * @command: its name
 * @help: its text
 * @list: name of the array in JSON
 * @array: of the array in the document
 * @columns: @column_count of them
 * @column_count: see @columns
 * @row: fill a row from a member of the array; false: leave it out
 */
struct listing {
	const char *command;
	const char *help;
	const char *list;
	const char *array;
	const struct output_column *columns;
	size_t column_count;
	bool (*row)(struct output *o, struct json_object *member);
};

/**
 * struct list_options - what the user wants
 * @output: how it is printed
 * @bus: where the agent is
 * @collection: this one only, or NULL
 * @limit: so many rows; history only
 */
struct list_options {
	struct output_options output;
	const char *bus;
	const char *collection;
	uint32_t limit;
};

static void text(struct output *o, size_t column, struct json_object *member, const char *name)
{
	output_text(o, column, json_text(member, name));
}

static void number(struct output *o, size_t column, struct json_object *member, const char *name)
{
	if (json_has(member, name))
		output_number(o, column, json_number(member, name));
}

/* -- list ------------------------------------------------------------------- */

enum list_column {
	LIST_COLLECTION, LIST_ROLE, LIST_STATE, LIST_HEALTH, LIST_VMS, LIST_DISKS, LIST_OWED,
	LIST_REPLICA, LIST_POINT, LIST_NEXT, LIST_JOB, LIST_STATE_NUMBER, LIST_HEALTH_NUMBER,
	LIST_NOTE,
};

static const struct output_column list_columns[] = {
	[LIST_COLLECTION] = { "COLLECTION", "its name", .type = OUTPUT_TEXT },
	[LIST_ROLE]	  = { "ROLE", "primary: it is sent; replica: it is held",
			      .type = OUTPUT_TEXT },
	[LIST_STATE]	  = { "STATE", "of the management model", .type = OUTPUT_TEXT },
	[LIST_HEALTH]	  = { "HEALTH", "Ok, Warning or Critical", .type = OUTPUT_TEXT },
	[LIST_VMS]	  = { "VMS", "how many", .type = OUTPUT_NUMBER },
	[LIST_DISKS]	  = { "DISKS", "how many", .type = OUTPUT_NUMBER },
	[LIST_OWED]	  = { "OWED", "bytes changed since the newest point",
			      .type = OUTPUT_BYTES },
	[LIST_REPLICA]	  = { "REPLICA", "where it is sent to", .type = OUTPUT_TEXT },
	[LIST_POINT]	  = { "LAST-POINT", "when the oldest of its VMs' newest points was made",
			      .type = OUTPUT_TEXT },
	[LIST_NEXT]	  = { "NEXT-RUN", "when the next recurring run or retry is due", NULL,
			      OUTPUT_TEXT, true },
	[LIST_JOB]	  = { "JOB", "number of the job that runs or waits",
			      .type = OUTPUT_NUMBER },
	[LIST_STATE_NUMBER]  = { "STATE-NUMBER", "the reference's", NULL, OUTPUT_NUMBER, true },
	[LIST_HEALTH_NUMBER] = { "HEALTH-NUMBER", "the reference's", NULL, OUTPUT_NUMBER, true },
	[LIST_NOTE]	  = { "NOTE", "what is the matter with it", .type = OUTPUT_TEXT },
};

/* What is known to be owed of a disk is added to *@owed. Return: is it known? */
static bool owed_add(struct json_object *disk, uint64_t *owed)
{
	bool marked = json_has(disk, "marked");

	*owed += marked ? json_number(disk, "marked") + json_number(disk, "sealed") :
			  json_number(disk, "owed");
	return marked || json_has(disk, "owed");
}

static bool list_row(struct output *o, struct json_object *c)
{
	const char *oldest = NULL, *health = json_text(c, "health_name");
	bool known = false;
	uint64_t owed = 0;

	for (size_t i = 0; i < json_length(c, "disks"); i++)
		known |= owed_add(json_item(c, "disks", i), &owed);
	for (size_t i = 0; i < json_length(c, "vms"); i++) {
		const char *time = json_text(json_item(c, "vms", i), "point_time");

		/* ISO 8601 in UTC: the order of the texts is that of the times */
		if (time && (!oldest || strcmp(time, oldest) < 0))
			oldest = time;
	}
	output_row(o);
	text(o, LIST_COLLECTION, c, "collection");
	text(o, LIST_ROLE, c, "role");
	text(o, LIST_STATE, c, "state_name");
	output_text(o, LIST_HEALTH, health);
	output_colour(o, LIST_HEALTH, !health || json_number(c, "health") < 2 ? NULL :
				      json_number(c, "health") == 2 ? "yellow" : "red");
	output_number(o, LIST_VMS, json_length(c, "vms"));
	output_number(o, LIST_DISKS, json_length(c, "disks"));
	if (known && strcmp(json_text(c, "role") ?: "", "replica") != 0)
		output_number(o, LIST_OWED, owed);
	text(o, LIST_REPLICA, c, "replica");
	output_text(o, LIST_POINT, oldest);
	text(o, LIST_NEXT, c, "next_run");
	number(o, LIST_JOB, c, "job");
	number(o, LIST_STATE_NUMBER, c, "state");
	number(o, LIST_HEALTH_NUMBER, c, "health");
	text(o, LIST_NOTE, c, "health_text");
	return true;
}

static const struct listing list_listing = {
	.command = "list",
	.help = "Usage: tidemark list [COLLECTION] [OPTION...]\n\n"
		"List the collections of this host, those that it sends and those that it holds.\n\n"
		OUTPUT_OPTIONS_HELP
		"      --bus ADDRESS    D-Bus: system or an address\n"
		"  -h, --help           this text\n",
	.list = "collections",
	.array = "collections",
	.columns = list_columns,
	.column_count = COUNT(list_columns),
	.row = list_row,
};

/* -- jobs and history ------------------------------------------------------- */

enum job_column {
	JOB_ID, JOB_COLLECTION, JOB_NAME, JOB_STATE, JOB_DONE, JOB_SENT, JOB_RATE, JOB_ETA,
	JOB_OWNER, JOB_SUBMITTED, JOB_SCHEDULED, JOB_STARTED, JOB_ENDED, JOB_WIRE, JOB_POINT,
	JOB_HASH, JOB_STATE_NUMBER, JOB_ERROR, JOB_NOTE,
};

static const struct output_column job_columns[] = {
	[JOB_ID]	 = { "JOB", "its number", .type = OUTPUT_NUMBER },
	[JOB_COLLECTION] = { "COLLECTION", "what it is about", .type = OUTPUT_TEXT },
	[JOB_NAME]	 = { "NAME", "the method that made it", .type = OUTPUT_TEXT },
	[JOB_STATE]	 = { "STATE", "of the management model", .type = OUTPUT_TEXT },
	[JOB_DONE]	 = { "DONE", "how much of it", .type = OUTPUT_PERCENT },
	[JOB_SENT]	 = { "SENT", "bytes of disk", .type = OUTPUT_BYTES },
	[JOB_RATE]	 = { "RATE", "bytes a second", .type = OUTPUT_BYTES },
	[JOB_ETA]	 = { "ETA", "seconds to its end, as far as one knows",
			     .type = OUTPUT_NUMBER },
	[JOB_OWNER]	 = { "OWNER", "who asked for it", NULL, OUTPUT_TEXT, true },
	[JOB_SUBMITTED]	 = { "SUBMITTED", "when it was asked for", NULL, OUTPUT_TEXT, true },
	[JOB_SCHEDULED]	 = { "SCHEDULED", "when it is to start", .type = OUTPUT_TEXT },
	[JOB_STARTED]	 = { "STARTED", "when it started", .type = OUTPUT_TEXT },
	[JOB_ENDED]	 = { "ENDED", "when it ended", .type = OUTPUT_TEXT },
	[JOB_WIRE]	 = { "ON-WIRE", "bytes written to the connection", NULL, OUTPUT_BYTES,
			     true },
	[JOB_POINT]	 = { "POINT", "number of the point that it made", NULL, OUTPUT_NUMBER,
			     true },
	[JOB_HASH]	 = { "HASH", "by which it compared", NULL, OUTPUT_TEXT, true },
	[JOB_STATE_NUMBER] = { "STATE-NUMBER", "the reference's", NULL, OUTPUT_NUMBER, true },
	[JOB_ERROR]	 = { "ERROR", "its ErrorCode", NULL, OUTPUT_NUMBER, true },
	[JOB_NOTE]	 = { "NOTE", "what it waits for, or what went wrong",
			     .type = OUTPUT_TEXT },
};

static bool job_row(struct output *o, struct json_object *job)
{
	uint64_t state = json_number(job, "state");
	const char *said = json_text(job, "text");

	output_row(o);
	number(o, JOB_ID, job, "job");
	text(o, JOB_COLLECTION, job, "collection");
	text(o, JOB_NAME, job, "name");
	text(o, JOB_STATE, job, "state_name");
	output_colour(o, JOB_STATE, state == BUS_JOB_EXCEPTION ? "red" :
				    state == BUS_JOB_WARNINGS ? "yellow" : NULL);
	number(o, JOB_DONE, job, "percent");
	number(o, JOB_SENT, job, "sent");
	if (state == BUS_JOB_RUNNING) {
		number(o, JOB_RATE, job, "rate");
		number(o, JOB_ETA, job, "eta");
	}
	text(o, JOB_OWNER, job, "owner");
	text(o, JOB_SUBMITTED, job, "submitted");
	text(o, JOB_SCHEDULED, job, "scheduled");
	text(o, JOB_STARTED, job, "started");
	text(o, JOB_ENDED, job, "ended");
	number(o, JOB_WIRE, job, "wire");
	if (json_number(job, "point"))
		number(o, JOB_POINT, job, "point");
	text(o, JOB_HASH, job, "hash");
	number(o, JOB_STATE_NUMBER, job, "state");
	number(o, JOB_ERROR, job, "error");
	output_text(o, JOB_NOTE, said && *said ? said : json_text(job, "status"));
	return true;
}

static const struct listing jobs_listing = {
	.command = "jobs",
	.help = "Usage: tidemark jobs [COLLECTION] [OPTION...]\n\n"
		"List the agent's jobs: those that run or wait, and those that ended in the last\n"
		"five minutes. 'tidemark history' lists older ones.\n\n"
		OUTPUT_OPTIONS_HELP
		"      --bus ADDRESS    D-Bus: system or an address\n"
		"  -h, --help           this text\n",
	.list = "jobs",
	.array = "jobs",
	.columns = job_columns,
	.column_count = COUNT(job_columns),
	.row = job_row,
};

static const struct listing history_listing = {
	.command = "history",
	.help = "Usage: tidemark history [COLLECTION] [OPTION...]\n\n"
		"List the jobs that have ended, the newest first.\n\n"
		"  -l, --limit N        so many at most; 50 if not given\n"
		OUTPUT_OPTIONS_HELP
		"      --bus ADDRESS    D-Bus: system or an address\n"
		"  -h, --help           this text\n",
	.list = "jobs",
	.array = "jobs",
	.columns = job_columns,
	.column_count = COUNT(job_columns),
	.row = job_row,
};

/* -- the commands ----------------------------------------------------------- */

static int list_print(const struct listing *l, struct json_object *document,
		      const struct list_options *options)
{
	struct output *o = output_new(l->list, l->columns, l->column_count);
	size_t rows = 0;
	int err;

	for (size_t i = 0; i < json_length(document, l->array); i++) {
		struct json_object *member = json_item(document, l->array, i);
		const char *of = json_text(member, "collection");

		if (options->collection && strcmp(of ?: "", options->collection) != 0)
			continue;
		rows += l->row(o, member);
	}
	if (!rows && options->collection && l == &list_listing) {
		output_free(o);
		command_say("there is no collection %s", options->collection);
		return EXIT_NOT_FOUND;
	}
	err = output_print(o, &options->output);
	output_free(o);
	if (err == -EINVAL)
		return EXIT_USAGE;
	return err ? command_fail(err, "cannot print the list") : EXIT_DONE;
}

static int list_run(const struct listing *l, const struct list_options *options)
{
	struct json_object *document;
	struct bus *b;
	int code = bus_open(&b, options->bus);

	if (code)
		return code;
	code = l == &history_listing ?
	       bus_history(b, options->collection, 0, options->limit, &document) :
	       bus_status(b, options->collection, &document);
	bus_close(b);
	if (code)
		return code;
	code = list_print(l, document, options);
	json_object_put(document);
	return code;
}

static int list_limit(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || *text < '0' || *text > '9' || !n || n > 10000)
		return command_usage("history", "'%s' is no number of jobs, 1 to 10000", text);
	*ret = (uint32_t)n;
	return EXIT_DONE;
}

static int list_command(int argc, char **argv, const struct listing *l)
{
	static const struct option names[] = {
		OUTPUT_LONG_OPTIONS,
		{ "bus", required_argument, NULL, 'B' },
		{ "limit", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct list_options options = { .limit = 50 };
	int option, code;

	while ((option = getopt_long(argc, argv, OUTPUT_SHORT_OPTIONS "l:h", names, NULL)) >= 0) {
		if (output_option(&options.output, option, optarg))
			continue;
		if (option == 'B') {
			options.bus = optarg;
		} else if (option == 'l' && l == &history_listing) {
			code = list_limit(optarg, &options.limit);
			if (code)
				return code;
		} else if (option == 'h') {
			fputs(l->help, stdout);
			output_help_columns(l->columns, l->column_count);
			return EXIT_DONE;
		} else {
			return command_usage(l->command, option == 'l' ?
					     "--limit is for history" : NULL);
		}
	}
	if (argc - optind > 1)
		return command_usage(l->command, "%s takes one collection at most", l->command);
	options.collection = argv[optind];
	return list_run(l, &options);
}

int command_list(int argc, char **argv)
{
	return list_command(argc, argv, &list_listing);
}

int command_jobs(int argc, char **argv)
{
	return list_command(argc, argv, &jobs_listing);
}

int command_history(int argc, char **argv)
{
	return list_command(argc, argv, &history_listing);
}
