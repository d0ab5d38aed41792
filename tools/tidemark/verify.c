// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark verify - compare a collection with its replica, changing nothing
 */
#include "tidemark/command.h"

#include <getopt.h>
#include <stdio.h>

#include "tidemark/job.h"
#include "tidemark/output.h"

static const char verify_help[] =
	"Usage: tidemark verify COLLECTION [OPTION...]\n\n"
	"Compare all granules of a collection with its replica and list what differs,\n"
	"but for what has changed since the replica's newest point and is marked. Changes\n"
	"nothing. The exit code is 1 when something differs.\n\n"
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\"\n"
	"  -b, --bytes          sizes in bytes\n"
	"      --no-wait        start it and print its path\n"
	"      --no-progress    no progress while waiting\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

static int verify_run(const char *collection, const char *address, bool wait,
		      const struct job_options *options)
{
	struct bus *b;
	char path[64];
	uint64_t id;
	int code = bus_open(&b, address);

	if (code)
		return code;
	code = bus_verify(b, collection, &id);
	if (!code && wait) {
		code = job_follow(b, id, options);
	} else if (!code) {
		bus_job_path(id, path);
		puts(path);
	}
	bus_close(b);
	return code;
}

int command_verify(int argc, char **argv)
{
	static const struct option names[] = {
		{ "wait", no_argument, NULL, 'w' },
		{ "no-wait", no_argument, NULL, 'W' },
		{ "json", no_argument, NULL, 'J' },
		{ "bytes", no_argument, NULL, 'b' },
		{ "no-progress", no_argument, NULL, 'P' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct job_options options = { 0 };
	const char *address = NULL;
	bool wait = true;
	int option;

	while ((option = getopt_long(argc, argv, "wJbh", names, NULL)) >= 0) {
		switch (option) {
		case 'w': wait = true; break;
		case 'W': wait = false; break;
		case 'J': options.json = true; break;
		case 'b': options.bytes = true; break;
		case 'P': options.quiet = true; break;
		case 'B': address = optarg; break;
		case 'h':
			fputs(verify_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("verify", NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage("verify", "verify takes one collection");
	return verify_run(argv[optind], address, wait, &options);
}
