// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark start, suspend, resume, cancel - steer the replication of a collection
 */
#include "tidemark/command.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "tidemark/job.h"
#include "tidemark/output.h"
#include "tidemark/when.h"

/* -- start ------------------------------------------------------------------ */

static const char start_help[] =
	"Usage: tidemark start COLLECTION [OPTION...]\n\n"
	"Begin the replication of a collection: the initial replication.\n\n"
	"      --export FOLDER  write a copy to a folder that is carried to the replica host\n"
	"      --seeded         the replica host has a copy already, which is compared: see\n"
	"                       'tidemark import --help'\n"
	"      --type TYPE      the same in one word: network, as if nothing is said, export\n"
	"                       (with --path FOLDER), or seeded\n"
	"  -t, --start-time TIME\n"
	"                       start then, see 'tidemark resync --help'\n"
	JOB_OPTIONS_HELP;

static int start_type(const char *text, uint32_t *ret)
{
	static const char *const types[] = { "", "network", "export", "seeded" };

	for (uint32_t i = 1; i < 4; i++) {
		if (strcmp(text, types[i]) == 0) {
			*ret = i;
			return EXIT_DONE;
		}
	}
	return command_usage("start", "'%s' is none of network, export, seeded", text);
}

int command_start(int argc, char **argv)
{
	static const struct option names[] = {
		{ "type", required_argument, NULL, 'T' },
		{ "path", required_argument, NULL, 'p' },
		{ "export", required_argument, NULL, 'e' },
		{ "seeded", no_argument, NULL, 's' },
		{ "start-time", required_argument, NULL, 't' },
		JOB_LONG_OPTIONS,
		{ }
	};
	struct bus_request rq = { .method = "StartReplication", .initial = 1 };
	struct job_options options = { 0 };
	char start_time[WHEN_TEXT];
	unsigned int ways = 0;
	int option, code = EXIT_DONE;

	while ((option = getopt_long(argc, argv, "t:" JOB_SHORT_OPTIONS, names, NULL)) >= 0) {
		if (job_option(&options, option, optarg))
			continue;
		ways += option == 'T' || option == 'e' || option == 's';
		switch (option) {
		case 'T':
			code = start_type(optarg, &rq.initial);
			break;
		case 'e':
			rq.initial = 2;
			rq.path = optarg;
			break;
		case 's':
			rq.initial = 3;
			break;
		case 'p':
			rq.path = optarg;
			break;
		case 't':
			code = when_parse(optarg, start_time);
			rq.start_time = start_time;
			break;
		case 'h':
			fputs(start_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("start", NULL);
		}
		if (code)
			return code;
	}
	if (argc - optind != 1)
		return command_usage("start", "start takes one collection");
	if (ways > 1)
		return command_usage("start", "--export, --seeded and --type exclude each other");
	if ((rq.initial == 2) != (rq.path != NULL))
		return command_usage("start", "a folder goes with an export, and it needs one");
	rq.collection = argv[optind];
	return job_request_folder(&rq, &options);
}

/* -- suspend, resume, cancel ------------------------------------------------ */

static const char suspend_help[] =
	"Usage: tidemark suspend COLLECTION [OPTION...]\n\n"
	"Suspend the replication of a collection, or of one VM of it. Changes go on being\n"
	"tracked; a resynchronization that runs is suspended, and goes on where it was.\n\n"
	"      --vm VM          this VM only\n"
	JOB_OPTIONS_HELP;

static const char resume_help[] =
	"Usage: tidemark resume COLLECTION [OPTION...]\n\n"
	"Resume the replication of a collection, or of one VM of it, where it left off.\n\n"
	"      --vm VM          this VM only\n"
	JOB_OPTIONS_HELP;

static const char cancel_help[] =
	"Usage: tidemark cancel COLLECTION [OPTION...]\n\n"
	"End the resynchronization of a collection, be it running or waiting for its time.\n"
	"What the replica has stored stays stored, and is not sent again.\n\n"
	"      --initial        end its initial replication\n"
	JOB_OPTIONS_HELP;

/* What the three have in common; @word is the command's name. */
static int steer(int argc, char **argv, const char *word, const char *help,
		 const struct option *names, const char *method, const char *initial_method)
{
	struct bus_request rq = { .method = method };
	struct job_options options = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, JOB_SHORT_OPTIONS, names, NULL)) >= 0) {
		if (job_option(&options, option, optarg))
			continue;
		switch (option) {
		case 'v':
			rq.vm = optarg;
			break;
		case 'I':
			rq.method = initial_method;
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_DONE;
		default:
			return command_usage(word, NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage(word, "%s takes one collection", word);
	rq.collection = argv[optind];
	return job_request(&rq, &options);
}

static const struct option vm_names[] = {
	{ "vm", required_argument, NULL, 'v' },
	JOB_LONG_OPTIONS,
	{ }
};

int command_suspend(int argc, char **argv)
{
	return steer(argc, argv, "suspend", suspend_help, vm_names, "SuspendReplication", NULL);
}

int command_resume(int argc, char **argv)
{
	return steer(argc, argv, "resume", resume_help, vm_names, "ResumeReplication", NULL);
}

int command_cancel(int argc, char **argv)
{
	static const struct option names[] = {
		{ "initial", no_argument, NULL, 'I' },
		JOB_LONG_OPTIONS,
		{ }
	};

	return steer(argc, argv, "cancel", cancel_help, names, "CancelResynchronize",
		     "CancelInitialReplication");
}
