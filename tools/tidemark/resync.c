// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark resync - bring a collection's replica up to date
 */
#include "tidemark/command.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>

#include "tidemark/job.h"
#include "tidemark/json.h"
#include "tidemark/output.h"
#include "tidemark/size.h"
#include "tidemark/when.h"

static const char resync_help[] =
	"Usage: tidemark resync COLLECTION [OPTION...]\n\n"
	"Bring the replica of a collection up to date: send what has changed. Starts a\n"
	"job of the agent and prints its path; with --wait, waits for its end and prints\n"
	"what it did.\n\n"
	"  -t, --start-time TIME\n"
	"                       start then, at most 7 days ahead: '+90min', 'tomorrow 02:00',\n"
	"                       'Sat 03:00', see systemd.time(7); or a CIM datetime\n"
	"  -i, --include-suspended\n"
	"                       also the VMs whose replication is suspended\n"
	"      --compare        compare all granules, do not trust the tracker's bits\n"
	"      --paranoid       where granules are compared: by SHA-256\n"
	"  -n, --dry-run        only say what would be done: bytes, and how long it takes\n"
	JOB_OPTIONS_HELP;

/* -- --dry-run -------------------------------------------------------------- */

static void plan_row(struct json_object *disk, const char *collection, bool bytes)
{
	char text[SIZE_TEXT];
	uint64_t n = json_number(disk, "bytes");

	if (bytes)
		printf("  %s/%s/%s: %" PRIu64 "\n", collection, json_text(disk, "vm") ?: "",
		       json_text(disk, "disk") ?: "", n);
	else
		printf("  %s/%s/%s: %s\n", collection, json_text(disk, "vm") ?: "",
		       json_text(disk, "disk") ?: "", size_format(n, text));
}

static void plan_print(struct json_object *plan, const struct bus_request *rq, bool bytes)
{
	uint64_t eta = json_number(plan, "eta"), total = json_number(plan, "bytes");
	const char *text = json_text(plan, "text");
	char size[SIZE_TEXT];

	if (!json_number(plan, "code")) {
		printf("%s: nothing has changed since its newest point\n", rq->collection);
		return;
	}
	if (bytes)
		printf("%s: %" PRIu64 " bytes to look at", rq->collection, total);
	else
		printf("%s: %s to look at", rq->collection, size_format(total, size));
	if (json_has(plan, "eta"))
		printf(", about %02" PRIu64 ":%02" PRIu64 ":%02" PRIu64 " at the last job's rate\n",
		       eta / 3600, eta / 60 % 60, eta % 60);
	else
		printf(", there is no earlier job to tell how long that takes\n");
	for (size_t i = 0; i < json_length(plan, "disks"); i++)
		plan_row(json_item(plan, "disks", i), rq->collection, bytes);
	if (text && *text)
		printf("  %s\n", text);
}

static int resync_plan(const struct bus_request *rq, const struct job_options *options)
{
	struct json_object *plan = NULL;
	struct bus *b;
	int code = bus_open(&b, options->bus);

	if (code)
		return code;
	code = bus_plan(b, rq, &plan);
	bus_close(b);
	if (code)
		return code;
	if (options->json)
		return output_json(plan);
	plan_print(plan, rq, options->bytes);
	json_object_put(plan);
	return EXIT_DONE;
}

/* -- the command ------------------------------------------------------------ */

int command_resync(int argc, char **argv)
{
	static const struct option names[] = {
		{ "start-time", required_argument, NULL, 't' },
		{ "include-suspended", no_argument, NULL, 'i' },
		{ "compare", no_argument, NULL, 'c' },
		{ "paranoid", no_argument, NULL, 'p' },
		{ "dry-run", no_argument, NULL, 'n' },
		JOB_LONG_OPTIONS,
		{ }
	};
	struct bus_request rq = { .method = "Resynchronize" };
	struct job_options options = { 0 };
	char start_time[WHEN_TEXT];
	bool dry_run = false;
	int option, code;

	while ((option = getopt_long(argc, argv, "t:in" JOB_SHORT_OPTIONS, names, NULL)) >= 0) {
		if (job_option(&options, option, optarg))
			continue;
		switch (option) {
		case 't':
			code = when_parse(optarg, start_time);
			if (code)
				return code;
			rq.start_time = start_time;
			break;
		case 'i': rq.include_suspended = true; break;
		case 'c': rq.compare = true; break;
		case 'p': rq.paranoid = true; break;
		case 'n': dry_run = true; break;
		case 'h':
			fputs(resync_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("resync", NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage("resync", "resync takes one collection");
	rq.collection = argv[optind];
	return dry_run ? resync_plan(&rq, &options) : job_request(&rq, &options);
}
