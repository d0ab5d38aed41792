// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark - the command
 *
 * A table of subcommands and nothing else. It uses libtidemark and the agent's
 * public faces, never the agent's insides.
 */
#include "tidemark/command.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
} commands[] = {
	{ "attach",	command_attach,	"track the changes of a device" },
	{ "detach",	command_detach,	"stop tracking a device" },
	{ "hold",	command_hold,	"keep tracked devices from being removed" },
	{ "disks",	command_disks,	"list the tracked disks" },
	{ "meta",	command_meta,	"make, look at and mend metadata devices" },
	{ "list",	command_list,	"the collections of this host" },
	{ "status",	command_status,	"what this host sends and which replicas it holds" },
	{ "start",	command_start,	"begin the replication of a collection" },
	{ "resync",	command_resync,	"bring the replica of a collection up to date" },
	{ "cancel",	command_cancel,	"end a resynchronization" },
	{ "suspend",	command_suspend, "suspend the replication of a collection" },
	{ "resume",	command_resume,	"resume it where it left off" },
	{ "verify",	command_verify,	"compare a collection with its replica" },
	{ "jobs",	command_jobs,	"list the jobs of the agent" },
	{ "job",	command_job,	"show, wait for, or steer a job" },
	{ "history",	command_history, "list the jobs that have ended" },
	{ "points",	command_points,	"list, show, verify or delete recovery points" },
	{ "import",	command_import,	"take over copies of disks that were carried here" },
	{ "events",	command_events,	"print what happens, as it happens" },
	{ "collection",	command_collection, "make, change and forget collections" },
	{ "stats",	command_stats,	"replication statistics of a collection" },
	{ "metrics",	command_metrics, "figures for Prometheus" },
	{ "doctor",	command_doctor,	"is everything there that replication takes?" },
	{ "failover",	command_failover, "run a collection's disks on its replica host" },
	{ "test-failover", command_test_failover, "try its disks, and throw them away" },
	{ "planned-failover", command_planned_failover, "send the last difference, lose nothing" },
	{ "reverse",	command_reverse, "prepare or do the exchange of the roles" },
	{ "pki",	command_pki,	"make certificates for the connection of two hosts" },
};

static void help_print(void)
{
	printf("Usage: tidemark COMMAND [OPTION...] [ARGUMENT...]\n"
	       "       tidemark --help | --version\n\n"
	       "Replication of VM disks that sends only what changed.\n\n"
	       "Commands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-16s %s\n", commands[i].name, commands[i].summary);
	printf("\n'tidemark COMMAND --help' says more about each; tidemark(8) says all.\n");
}

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int command_run(const char *name, int argc, char **argv)
{
	const struct command *command = command_find(name);

	if (!command)
		return command_usage(NULL, "there is no command '%s'", name);
	/* getopt_long() begins its messages with this */
	argv[0] = (char *)"tidemark";
	return command->run(argc, argv);
}

/* tidemark help [COMMAND] */
static int help_run(int argc, char **argv)
{
	char *args[] = { NULL, (char *)"--help", NULL };

	if (argc < 2) {
		help_print();
		return EXIT_DONE;
	}
	if (argc > 2)
		return command_usage(NULL, "help takes one command");
	args[0] = argv[1];
	return command_run(argv[1], 2, args);
}

static int dispatch(int argc, char **argv)
{
	if (argc < 2) {
		command_usage(NULL, "no command given");
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help_print();
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("tidemark %s\n", TIDEMARK_VERSION);
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "help"))
		return help_run(argc - 1, argv + 1);
	if (argv[1][0] == '-')
		return command_usage(NULL, "there is no option '%s'", argv[1]);
	return command_run(argv[1], argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int code;

	/* UTF-8 in names; numbers in JSON must keep their point */
	setlocale(LC_CTYPE, "");
	code = dispatch(argc, argv);

	/* a full disk under stdout must not look like success */
	if (fflush(stdout) || ferror(stdout)) {
		int error = errno ?: EIO;

		if (code == EXIT_DONE)
			code = command_fail(-error, "cannot write to standard output");
	}
	return code;
}
