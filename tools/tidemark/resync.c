// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark resync - bring a collection's replica up to date
 */
#include "tidemark/command.h"

#include <getopt.h>
#include <stdio.h>

#include "tidemark/job.h"
#include "tidemark/output.h"

static const char resync_help[] =
	"Usage: tidemark resync COLLECTION [OPTION...]\n\n"
	"Bring the replica of a collection up to date: send what has changed. Starts a\n"
	"job of the agent and prints its path; with --wait, waits for its end and prints\n"
	"what it did.\n\n"
	"  -w, --wait           wait for the end; the exit code is the job's\n"
	"      --compare        compare all granules, do not trust the tracker's bits\n"
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\"\n"
	"  -b, --bytes          sizes in bytes\n"
	"      --no-progress    no progress while waiting\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

struct resync {
	bool wait;
	bool compare;
	const char *bus;
	struct job_options job;
};

static int resync_started(struct bus *b, uint64_t id, const struct resync *r)
{
	struct bus_job job;
	char path[64];
	int code;

	if (r->wait)
		return job_follow(b, id, &r->job);
	if (r->job.json) {
		code = bus_job(b, id, &job);
		if (!code) {
			code = job_print(&job, &r->job);
			bus_job_free(&job);
		}
		return code;
	}
	bus_job_path(id, path);
	puts(path);
	return EXIT_DONE;
}

static int resync_run(const char *collection, const struct resync *r)
{
	struct bus *b;
	uint64_t id;
	int code = bus_open(&b, r->bus);

	if (code)
		return code;
	code = bus_resynchronize(b, collection, r->compare, &id);
	if (!code)
		code = id ? resync_started(b, id, r) : job_print_nothing(collection, &r->job);
	bus_close(b);
	return code;
}

int command_resync(int argc, char **argv)
{
	static const struct option names[] = {
		{ "wait", no_argument, NULL, 'w' },
		{ "compare", no_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'J' },
		{ "bytes", no_argument, NULL, 'b' },
		{ "no-progress", no_argument, NULL, 'P' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct resync r = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "wJbh", names, NULL)) >= 0) {
		switch (option) {
		case 'w': r.wait = true; break;
		case 'c': r.compare = true; break;
		case 'J': r.job.json = true; break;
		case 'b': r.job.bytes = true; break;
		case 'P': r.job.quiet = true; break;
		case 'B': r.bus = optarg; break;
		case 'h':
			fputs(resync_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("resync", NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage("resync", "resync takes one collection");
	return resync_run(argv[optind], &r);
}
