// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark failover, test-failover, planned-failover, reverse - a collection's
 * disks on its replica host
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/bus.h"
#include "tidemark/job.h"
#include "tidemark/output.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define OPTIONS_HELP \
	"  -J, --json           the job as JSON, schema \"" OUTPUT_SCHEMA "\"\n" \
	"  -b, --bytes          sizes in bytes\n" \
	"      --no-wait        start it and print its path\n" \
	"      --no-progress    no progress while waiting\n" \
	"      --bus ADDRESS    D-Bus: system or an address\n" \
	"  -h, --help           this text\n"

static const char failover_help[] =
	"Usage: tidemark failover COLLECTION [--point N] [OPTION...]\n"
	"       tidemark failover commit COLLECTION [OPTION...]\n"
	"       tidemark failover revert COLLECTION [OPTION...]\n\n"
	"On the replica host: make disks of a recovery point that VMs can run from; what the\n"
	"old primary sends is refused from here on. 'tidemark status' has their paths.\n"
	"'revert' throws away what the VMs have written, and the replica is a replica again.\n"
	"'commit' merges it into the replicas, for good, and gives up all recovery points.\n"
	"Stop the VMs before either.\n\n"
	"  -p, --point N        to this point; else to the newest\n"
	OPTIONS_HELP;

static const char test_help[] =
	"Usage: tidemark test-failover start COLLECTION [--point N] [--nbd FOLDER] [OPTION...]\n"
	"       tidemark test-failover stop COLLECTION [OPTION...]\n\n"
	"On the replica host: make throw-away disks over a recovery point, test.qcow2 in each\n"
	"disk's folder. Replication goes on meanwhile. 'stop' throws them away.\n\n"
	"  -p, --point N        over this point; else over the newest\n"
	"      --nbd FOLDER     serve each over NBD, read-write, by qemu-nbd, at the socket\n"
	"                       FOLDER/COLLECTION-VM-DISK.sock\n"
	OPTIONS_HELP;

static const char planned_help[] =
	"Usage: tidemark planned-failover COLLECTION [OPTION...]\n"
	"       tidemark planned-failover revert COLLECTION [OPTION...]\n\n"
	"On the primary, with the VMs stopped: send the last difference. The point that comes\n"
	"of it is marked final: failed over to, it loses nothing. 'revert' goes on replicating.\n\n"
	OPTIONS_HELP;

static const char reverse_help[] =
	"Usage: tidemark reverse prepare COLLECTION [OPTION...]\n"
	"       tidemark reverse COLLECTION [--to HOST:PORT] [OPTION...]\n\n"
	"Exchange the roles of primary and replica after a failover. 'prepare', on the old\n"
	"primary, makes its disks replicas, where they are: nobody may write to them any more.\n"
	"Without it, on the new primary, the failover is committed, if it was not, and the\n"
	"collection is one that is sent from here; on the old primary, it is one that is\n"
	"received. The first run sends what either side has changed.\n\n"
	"  -t, --to HOST:PORT   of the old primary, where the collection goes from here on\n"
	OPTIONS_HELP;

/* struct verb - a word behind the command's name, and the method that it stands for */
struct verb {
	const char *word; /* NULL: none is given */
	const char *method;
};

struct call {
	const char *name;
	const char *help;
	const struct verb *verbs;
	size_t verb_count;
	struct bus_request rq;
	const char *nbd;
	const char *to;
	struct job_options job;
};

static int call_point(struct call *c, const char *text)
{
	char *end = NULL;

	errno = 0;
	c->rq.point = strtoull(text, &end, 10);
	if (errno || *end || !c->rq.point || text[0] == '-')
		return command_usage(c->name, "'%s' is no number of a point", text);
	return EXIT_DONE;
}

/* [VERB] COLLECTION */
static int call_words(struct call *c, int count, char **words)
{
	for (size_t i = 0; i < c->verb_count; i++) {
		const struct verb *v = &c->verbs[i];

		if (v->word ? count == 2 && !strcmp(words[0], v->word) : count == 1) {
			c->rq.method = v->method;
			c->rq.collection = words[count - 1];
			return EXIT_DONE;
		}
	}
	return command_usage(c->name, "%s takes a collection, see --help", c->name);
}

static int call_parse(struct call *c, int argc, char **argv)
{
	static const struct option names[] = {
		{ "point", required_argument, NULL, 'p' },
		{ "nbd", required_argument, NULL, 'N' },
		{ "to", required_argument, NULL, 't' },
		JOB_LONG_OPTIONS,
		{ }
	};
	int option, code = EXIT_DONE;

	c->job.wait = true;
	while (!code && (option = getopt_long(argc, argv, "p:t:" JOB_SHORT_OPTIONS, names,
					      NULL)) >= 0) {
		if (job_option(&c->job, option, optarg))
			continue;
		switch (option) {
		case 'p': code = call_point(c, optarg); break;
		case 'N': c->rq.path = c->nbd = optarg; break;
		case 't': c->rq.path = c->to = optarg; break;
		case 'h':
			fputs(c->help, stdout);
			exit(EXIT_DONE);
		default:
			return command_usage(c->name, NULL);
		}
	}
	if (!code)
		code = call_words(c, argc - optind, argv + optind);
	if (!code && c->rq.point && strcmp(c->rq.method, "InitiateFailover") &&
	    strcmp(c->rq.method, "TestReplicaCollection"))
		code = command_usage(c->name, "--point is for the beginning of a failover");
	if (!code && c->nbd && strcmp(c->rq.method, "TestReplicaCollection"))
		code = command_usage(c->name, "--nbd is for test-failover start");
	if (!code && c->to && strcmp(c->rq.method, "ReverseReplicationRelationship"))
		code = command_usage(c->name, "--to is for the exchange of roles");
	return code;
}

static int call(struct call c, int argc, char **argv)
{
	int code = call_parse(&c, argc, argv);

	if (code)
		return code;
	return c.nbd ? job_request_folder(&c.rq, &c.job) : job_request(&c.rq, &c.job);
}

int command_failover(int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ NULL, "InitiateFailover" },
		{ "commit", "CommitFailover" },
		{ "revert", "RevertFailover" },
	};

	return call((struct call){ .name = "failover", .help = failover_help, .verbs = verbs,
				   .verb_count = ARRAY_SIZE(verbs) }, argc,
		    argv);
}

int command_test_failover(int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ "start", "TestReplicaCollection" },
		{ "stop", "RevertTestReplicaCollection" },
	};

	return call((struct call){ .name = "test-failover", .help = test_help, .verbs = verbs,
				   .verb_count = ARRAY_SIZE(verbs) }, argc,
		    argv);
}

int command_planned_failover(int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ NULL, "InitiatePlannedFailover" },
		{ "revert", "RevertPlannedFailover" },
	};

	return call((struct call){ .name = "planned-failover", .help = planned_help, .verbs = verbs,
				   .verb_count = ARRAY_SIZE(verbs) },
		    argc, argv);
}

int command_reverse(int argc, char **argv)
{
	static const struct verb verbs[] = {
		{ NULL, "ReverseReplicationRelationship" },
		{ "prepare", "PrepareForReverseReplication" },
	};

	return call((struct call){ .name = "reverse", .help = reverse_help, .verbs = verbs,
				   .verb_count = ARRAY_SIZE(verbs) }, argc, argv);
}
