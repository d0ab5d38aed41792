// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark verify - compare a collection with its replica, changing nothing
 */
#include "tidemark/command.h"

#include <getopt.h>
#include <stdio.h>

#include "tidemark/job.h"
#include "tidemark/output.h"
#include "tidemark/when.h"

static const char verify_help[] =
	"Usage: tidemark verify COLLECTION [OPTION...]\n\n"
	"Compare all granules of a collection with its replica and list what differs,\n"
	"but for what has changed since the replica's newest point and is marked. Changes\n"
	"nothing. The exit code is 1 when something differs.\n\n"
	"  -t, --start-time TIME\n"
	"                       start then, see 'tidemark resync --help'\n"
	"      --paranoid       compare by SHA-256, not by XXH3-128\n"
	"      --no-wait        start it and print its path\n"
	JOB_OPTIONS_HELP;

int command_verify(int argc, char **argv)
{
	static const struct option names[] = {
		{ "start-time", required_argument, NULL, 't' },
		{ "paranoid", no_argument, NULL, 'p' },
		JOB_LONG_OPTIONS,
		{ }
	};
	struct bus_request rq = { .method = "Verify" };
	struct job_options options = { .wait = true };
	char start_time[WHEN_TEXT];
	int option, code;

	while ((option = getopt_long(argc, argv, "t:" JOB_SHORT_OPTIONS, names, NULL)) >= 0) {
		if (job_option(&options, option, optarg))
			continue;
		switch (option) {
		case 't':
			code = when_parse(optarg, start_time);
			if (code)
				return code;
			rq.start_time = start_time;
			break;
		case 'p':
			rq.paranoid = true;
			break;
		case 'h':
			fputs(verify_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("verify", NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage("verify", "verify takes one collection");
	rq.collection = argv[optind];
	return job_request(&rq, &options);
}
