// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark import - take over copies that came by another way than the network
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "tidemark/bus-json.h"
#include "tidemark/bus.h"
#include "tidemark/json.h"
#include "tidemark/output.h"
#include "tidemark/size.h"

static const char import_help[] =
	"Usage: tidemark import COLLECTION FOLDER [OPTION...]\n\n"
	"On the replica host: take copies of a collection's disks over from a folder, as its\n"
	"first point. 'tidemark start COLLECTION --export FOLDER' makes them on its host, and\n"
	"'tidemark start COLLECTION --seeded' there brings them up to date afterwards.\n\n"
	"  -J, --json           print the outcome as JSON\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

static void import_print(struct json_object *document, const char *collection)
{
	char size[SIZE_TEXT];

	printf("%s: point %" PRIu64 ", %" PRIu64 " disks, %s\n", collection,
	       json_number(document, "point"), json_number(document, "disks"),
	       size_format(json_number(document, "bytes"), size));
}

static int import_run(const char *address, const char *collection, const char *folder, bool json)
{
	struct json_object *document;
	char *text = NULL;
	struct bus *b;
	int code = bus_open(&b, address);

	if (code)
		return code;
	code = bus_import(b, collection, folder, &text);
	bus_close(b);
	if (code)
		return code;
	document = json_tokener_parse(text);
	free(text);
	if (!document)
		return command_fail(-EBADMSG, "the agent's answer is not understood");
	if (json)
		return output_json(document);
	import_print(document, collection);
	json_object_put(document);
	return EXIT_DONE;
}

int command_import(int argc, char **argv)
{
	static const struct option names[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const char *address = NULL;
	char *folder;
	bool json = false;
	int option, code;

	while ((option = getopt_long(argc, argv, "Jh", names, NULL)) >= 0) {
		switch (option) {
		case 'J': json = true; break;
		case 'B': address = optarg; break;
		case 'h':
			fputs(import_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("import", NULL);
		}
	}
	if (argc - optind != 2)
		return command_usage("import", "import takes a collection and a folder");
	/* The agent has another working directory. */
	folder = realpath(argv[optind + 1], NULL);
	if (!folder)
		return command_fail(-errno, "%s", argv[optind + 1]);
	code = import_run(address, argv[optind], folder, json);
	free(folder);
	return code;
}
