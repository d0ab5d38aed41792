// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark points - the recovery points that this host holds of a collection
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tidemark/bus.h"
#include "tidemark/output.h"
#include "tidemark/size.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct output_column point_columns[] = {
	{ "POINT", "number", NULL, OUTPUT_NUMBER, false },
	{ "CREATED", "when it was committed", NULL, OUTPUT_TEXT, false },
	{ "CONSISTENCY", "application, crash or group crash", NULL, OUTPUT_TEXT, false },
	{ "DISKS", "how many disks it has", NULL, OUTPUT_NUMBER, false },
	{ "SPACE", "that the files which came with it take", NULL, OUTPUT_BYTES, false },
	{ "NOTES", "newest, final, in use", "", OUTPUT_WORDS, false },
};

static const struct output_column disk_columns[] = {
	{ "VM", "name of the VM", NULL, OUTPUT_TEXT, false },
	{ "DISK", "name of the disk", NULL, OUTPUT_TEXT, false },
	{ "SIZE", "of the disk", NULL, OUTPUT_BYTES, false },
	{ "LAYER", "the point that its newest layer came with", NULL, OUTPUT_NUMBER, false },
	{ "SPACE", "that this layer takes", NULL, OUTPUT_BYTES, false },
	{ "FORMAT", "qcow2 or raw", NULL, OUTPUT_TEXT, false },
	{ "PATH", "what to open, for reading", NULL, OUTPUT_TEXT, false },
	{ "DIGEST", "of all bytes, once it was verified", NULL, OUTPUT_TEXT, false },
	{ "EPOCH", "of the tracker that it closed", NULL, OUTPUT_NUMBER, true },
	{ "TRACKER", "UUID", NULL, OUTPUT_TEXT, true },
};

static const char points_help[] =
	"Usage: tidemark points list COLLECTION [OPTION...]\n"
	"       tidemark points show COLLECTION [POINT] [OPTION...]\n"
	"       tidemark points verify COLLECTION [POINT] [OPTION...]\n"
	"       tidemark points delete COLLECTION POINT [OPTION...]\n"
	"       tidemark points clear COLLECTION [--yes] [OPTION...]\n\n"
	"The recovery points that this host holds of a collection. Without POINT: the\n"
	"newest one. 'verify' reads all of it: the first time it records a digest of each\n"
	"disk, later it compares. 'delete' gives up a point; the others stay what they are.\n"
	"'clear' gives up all that this host holds of a collection, raw replicas included;\n"
	"of a device nothing but the knowledge of what it is.\n\n"
	"  -y, --yes            clear: do not ask\n"
	OUTPUT_OPTIONS_HELP
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

struct points {
	const char *verb;
	const char *collection;
	bool given;
	uint64_t point;
	bool yes;
	const char *address;
	struct output_options output;
};

static struct json_object *get(struct json_object *o, const char *name)
{
	struct json_object *v;

	return json_object_object_get_ex(o, name, &v) ? v : NULL;
}

static const char *get_text(struct json_object *o, const char *name)
{
	struct json_object *v = get(o, name);

	return v ? json_object_get_string(v) : NULL;
}

static uint64_t get_number(struct json_object *o, const char *name)
{
	return json_object_get_uint64(get(o, name));
}

static void row_point(struct output *o, struct json_object *p)
{
	static const char *const notes[][2] = {
		{ "newest", "newest" }, { "final", "final" }, { "in_use", "in use" },
	};
	char text[64] = "";
	size_t at = 0;

	output_row(o);
	output_number(o, 0, get_number(p, "point"));
	output_text(o, 1, get_text(p, "created"));
	output_text(o, 2, get_text(p, "consistency_name"));
	output_number(o, 3, json_object_array_length(get(p, "disks")));
	output_number(o, 4, get_number(p, "space"));
	for (size_t i = 0; i < ARRAY_SIZE(notes); i++) {
		if (!json_object_get_boolean(get(p, notes[i][0])))
			continue;
		at += snprintf(text + at, sizeof(text) - at, "%s%s", at ? "," : "", notes[i][1]);
	}
	output_text(o, 5, text);
}

static void row_disk(struct output *o, struct json_object *d)
{
	output_row(o);
	output_text(o, 0, get_text(d, "vm"));
	output_text(o, 1, get_text(d, "disk"));
	output_number(o, 2, get_number(d, "size"));
	output_number(o, 3, get_number(d, "layer"));
	output_number(o, 4, get_number(d, "space"));
	output_text(o, 5, get_text(d, "format"));
	output_text(o, 6, get_text(d, "path"));
	output_text(o, 7, get_text(d, "digest"));
	output_number(o, 8, get_number(d, "epoch"));
	output_text(o, 9, get_text(d, "tracker"));
}

static int print_list(struct json_object *points, const struct output_options *options)
{
	struct output *o = output_new("points", point_columns, ARRAY_SIZE(point_columns));
	int err;

	for (size_t i = 0; points && i < json_object_array_length(points); i++)
		row_point(o, json_object_array_get_idx(points, i));
	err = output_print(o, options);
	output_free(o);
	return exit_code_of(err);
}

static int print_point(struct json_object *points, const struct points *p)
{
	size_t count = points ? json_object_array_length(points) : 0;
	struct json_object *found = NULL, *disks;
	struct output *o;
	int err;

	for (size_t i = 0; i < count; i++) {
		struct json_object *one = json_object_array_get_idx(points, i);

		if (p->given ? get_number(one, "point") == p->point : i + 1 == count)
			found = one;
	}
	if (!found) {
		command_say("the collection %s has no such point", p->collection);
		return EXIT_NOT_FOUND;
	}
	disks = get(found, "disks");
	o = output_new("disks", disk_columns, ARRAY_SIZE(disk_columns));
	for (size_t i = 0; disks && i < json_object_array_length(disks); i++)
		row_disk(o, json_object_array_get_idx(disks, i));
	err = output_print(o, &p->output);
	output_free(o);
	return exit_code_of(err);
}

static int points_show(struct bus *b, const struct points *p)
{
	struct json_object *document;
	char *text = NULL;
	int code = bus_points(b, "ListPoints", p->collection, 0, &text);

	if (code)
		return code;
	document = json_tokener_parse(text);
	if (!document)
		code = command_fail(-EBADMSG, "the agent's answer is not understood");
	else if (!strcmp(p->verb, "show"))
		code = print_point(get(document, "points"), p);
	else
		code = print_list(get(document, "points"), &p->output);
	json_object_put(document);
	free(text);
	return code;
}

static int points_verify(struct bus *b, const struct points *p)
{
	struct json_object *document;
	char *text = NULL;
	int code = bus_points(b, "VerifyPoint", p->collection, p->point, &text);

	if (code)
		return code;
	document = json_tokener_parse(text);
	if (p->output.json)
		puts(text);
	else if (get_number(document, "first_time"))
		printf("all of it can be read; the digests of %" PRIu64
		       " disks were recorded for the first time\n",
		       get_number(document, "first_time"));
	else
		puts("all of it is what it was");
	json_object_put(document);
	free(text);
	return EXIT_DONE;
}

/* -- clear ---------------------------------------------------------------------- */

/* What stays where it is, a line for each disk. */
static void clear_spared(FILE *to, struct json_object *disks)
{
	static const struct {
		const char *fate;
		const char *text;
	} fates[] = {
		{ "device", "keeps its bytes, and is a replica no more" },
		{ "adopted", "is a disk that was sent from here: it stays, and is a replica no more" },
		{ "stranger", "is not the file that was made there: it is left alone" },
		{ "absent", "is not there: if a mount is missing, its file remains" },
	};

	for (size_t i = 0; disks && i < json_object_array_length(disks); i++) {
		struct json_object *d = json_object_array_get_idx(disks, i);
		const char *fate = get_text(d, "fate");

		for (size_t f = 0; fate && f < ARRAY_SIZE(fates); f++)
			if (!strcmp(fate, fates[f].fate))
				fprintf(to, "%s/%s: %s %s\n", get_text(d, "vm"),
					get_text(d, "disk"), get_text(d, "path"), fates[f].text);
	}
}

/* "3 points of 2 disks, 1.2 GiB" */
static void clear_describe(struct json_object *document, char *ret, size_t size)
{
	uint64_t points = get_number(document, "points");
	size_t disks = json_object_array_length(get(document, "disks"));
	char space[SIZE_TEXT];

	snprintf(ret, size, "%" PRIu64 " point%s of %zu disk%s, %s", points, points == 1 ? "" : "s",
		 disks, disks == 1 ? "" : "s", size_format(get_number(document, "space"), space));
}

static int clear_call(struct bus *b, const char *method, const char *collection,
		      struct json_object **ret)
{
	char *text = NULL;
	int code = bus_points(b, method, collection, 0, &text);

	if (code)
		return code;
	*ret = json_tokener_parse(text);
	free(text);
	if (get(*ret, "disks"))
		return EXIT_DONE;
	json_object_put(*ret);
	return command_fail(-EBADMSG, "the agent's answer is not understood");
}

static int clear_ask(struct bus *b, const struct points *p)
{
	struct json_object *plan;
	char what[128];
	bool sure;
	int code;

	/* Where nobody can be asked nothing is looked at. */
	if (p->yes || !isatty(STDIN_FILENO))
		return command_sure(p->yes, "%s", "") ? EXIT_DONE : EXIT_FAILED;
	code = clear_call(b, "PlanClearPoints", p->collection, &plan);
	if (code)
		return code;
	clear_describe(plan, what, sizeof(what));
	clear_spared(stderr, get(plan, "disks"));
	sure = command_sure(false, "Give up all that this host holds of %s: %s?", p->collection,
			    what);
	json_object_put(plan);
	return sure ? EXIT_DONE : EXIT_FAILED;
}

static int points_clear(struct bus *b, const struct points *p)
{
	struct json_object *document;
	char what[128];
	int code = clear_ask(b, p);

	if (!code)
		code = clear_call(b, "ClearPoints", p->collection, &document);
	if (code)
		return code;
	if (p->output.json)
		return output_json(document);
	clear_describe(document, what, sizeof(what));
	printf("%s: given up: %s\n", p->collection, what);
	clear_spared(stdout, get(document, "disks"));
	json_object_put(document);
	return EXIT_DONE;
}

static int points_run(const struct points *p)
{
	struct bus *b;
	int code = bus_open(&b, p->address);

	if (code)
		return code;
	if (!strcmp(p->verb, "verify"))
		code = points_verify(b, p);
	else if (!strcmp(p->verb, "delete"))
		code = bus_points(b, "DeletePoint", p->collection, p->point, NULL);
	else if (!strcmp(p->verb, "clear"))
		code = points_clear(b, p);
	else
		code = points_show(b, p);
	bus_close(b);
	return code;
}

static int points_arguments(int argc, char **argv, struct points *p)
{
	char *end = NULL;

	if (argc < 2 || argc > 3)
		return command_usage("points", "points takes a verb, a collection, and a point");
	p->verb = argv[0];
	p->collection = argv[1];
	if (strcmp(p->verb, "list") && strcmp(p->verb, "show") && strcmp(p->verb, "verify") &&
	    strcmp(p->verb, "delete") && strcmp(p->verb, "clear"))
		return command_usage("points", "there is no 'points %s'", p->verb);
	p->given = argc == 3;
	if (p->given) {
		errno = 0;
		p->point = strtoull(argv[2], &end, 10);
		if (errno || *end || !p->point || argv[2][0] == '-')
			return command_usage("points", "'%s' is no number of a point", argv[2]);
	}
	if (!strcmp(p->verb, "delete") && !p->given)
		return command_usage("points", "which point is to be deleted?");
	if ((!strcmp(p->verb, "list") || !strcmp(p->verb, "clear")) && p->given)
		return command_usage("points", "%s takes a collection only", p->verb);
	if (p->yes && strcmp(p->verb, "clear"))
		return command_usage("points", "--yes is for clear");
	return EXIT_DONE;
}

int command_points(int argc, char **argv)
{
	static const struct option names[] = {
		OUTPUT_LONG_OPTIONS,
		{ "yes", no_argument, NULL, 'y' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct points p = { 0 };
	int option, code;

	while ((option = getopt_long(argc, argv, OUTPUT_SHORT_OPTIONS "yh", names, NULL)) >= 0) {
		if (output_option(&p.output, option, optarg))
			continue;
		switch (option) {
		case 'y': p.yes = true; break;
		case 'B': p.address = optarg; break;
		case 'h':
			fputs(points_help, stdout);
			fputs("\nColumns of list:\n", stdout);
			output_help_columns(point_columns, ARRAY_SIZE(point_columns));
			fputs("\nColumns of show:\n", stdout);
			output_help_columns(disk_columns, ARRAY_SIZE(disk_columns));
			return EXIT_DONE;
		default:
			return command_usage("points", NULL);
		}
	}
	code = points_arguments(argc - optind, argv + optind, &p);
	return code ? code : points_run(&p);
}
