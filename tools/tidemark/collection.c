// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark collection - make, change and forget what is replicated together
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
#include "tidemark/size.h"

static const char collection_help[] =
	"Usage: tidemark collection show COLLECTION\n"
	"       tidemark collection create COLLECTION NAME=VALUE... [--disk DISK]...\n"
	"       tidemark collection modify COLLECTION NAME=VALUE... [--vm VM]\n"
	"       tidemark collection add-vm COLLECTION --disk DISK...\n"
	"       tidemark collection add-disk COLLECTION --disk DISK...\n"
	"       tidemark collection remove-vm COLLECTION VM [--yes]\n"
	"       tidemark collection remove COLLECTION [--yes]\n\n"
	"Make, change, look at and forget collections: VMs that are replicated together,\n"
	"and how. Those of configuration files are changed there. What a replica host\n"
	"holds stays there when a collection is removed.\n\n"
	"  -d, --disk VM/DISK=DEVICE[,none][,granule=SIZE]\n"
	"                       a disk of a VM; none: no tracker knows what changes, so it is\n"
	"                       compared each time, in granules of SIZE\n"
	"      --vm VM          settings of this VM only\n"
	"  -y, --yes            do not ask\n"
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\" (show)\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n\n"
	"NAME=VALUE are settings by the names that 'show' has: RecoveryConnectionPoint,\n"
	"ReplicationInterval, RecoveryHistory, RateLimit and others.\n";

#define DISKS_MAX 256
#define SETTINGS_MAX 64

/**
 * struct collection - what was asked for
 * @bus: where the agent is
 * @vm: settings of this VM only, or NULL
 * @yes: do not ask
 * @json: print JSON
 * @disks: @disk_count of them; their texts are argv's, taken apart
 * @disk_count: see @disks
 */
struct collection {
	const char *bus;
	const char *vm;
	bool yes;
	bool json;
	struct bus_disk disks[DISKS_MAX];
	size_t disk_count;
};

/* -- arguments -------------------------------------------------------------- */

static int disk_usage(const char *text)
{
	return command_usage("collection", "'%s' is no VM/DISK=DEVICE[,none][,granule=SIZE]", text);
}

static int disk_suffix(struct bus_disk *d, char *suffix, const char *whole)
{
	uint64_t granule;

	for (char *word = suffix, *next; word; word = next) {
		next = strchr(word, ',');
		if (next)
			*next++ = '\0';
		if (strcmp(word, "none") == 0) {
			d->tracked = false;
		} else if (strncmp(word, "granule=", 8) == 0 &&
			   size_parse(word + 8, &granule) == 0 && granule && granule <= UINT32_MAX) {
			d->granule = (uint32_t)granule;
		} else {
			return disk_usage(whole);
		}
	}
	return EXIT_DONE;
}

/* "web01/vda=/dev/vg/web01,none": cut in place; it is the command's own argument */
static int disk_parse(struct collection *c, char *text)
{
	struct bus_disk d = { .vm = text, .tracked = true };
	char *whole = strdup(text), *slash, *equals, *comma;
	int code = EXIT_DONE;

	slash = strchr(text, '/');
	equals = slash ? strchr(slash, '=') : NULL;
	if (!whole || !equals || slash == text || equals == slash + 1 || !equals[1]) {
		code = disk_usage(text);
	} else if (c->disk_count == DISKS_MAX) {
		code = command_usage("collection", "more than %d disks in one call", DISKS_MAX);
	} else {
		*slash = *equals = '\0';
		d.disk = slash + 1;
		d.device = equals + 1;
		comma = strchr(equals + 1, ',');
		if (comma) {
			*comma = '\0';
			code = disk_suffix(&d, comma + 1, whole);
		}
		c->disks[c->disk_count++] = d;
	}
	free(whole);
	return code;
}

/* NAME=VALUE arguments, cut in place. Return: an exit code */
static int settings_parse(char **argv, int argc, struct bus_setting *ret, size_t *ret_count)
{
	for (int i = 0; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (!equals || equals == argv[i])
			return command_usage("collection", "'%s' is no NAME=VALUE", argv[i]);
		if (i == SETTINGS_MAX)
			return command_usage("collection", "too many settings");
		*equals = '\0';
		ret[i] = (struct bus_setting){ argv[i], equals + 1 };
	}
	*ret_count = (size_t)argc;
	return EXIT_DONE;
}

/* -- show ------------------------------------------------------------------- */

static void show_value(const char *key, struct json_object *value, int indent)
{
	if (json_object_is_type(value, json_type_object)) {
		printf("%*s%s:\n", indent, "", key);
		json_each(value, i)
			show_value(json_key(&i), json_value(&i), indent + 2);
	} else if (json_object_is_type(value, json_type_array)) {
		printf("%*s%s:\n", indent, "", key);
		for (size_t i = 0; i < json_object_array_length(value); i++)
			printf("%*s%s\n", indent + 2, "",
			       json_object_get_string(json_object_array_get_idx(value, i)));
	} else {
		printf("%*s%-*s %s\n", indent, "", 40 - indent, key,
		       json_object_get_string(value));
	}
}

static int run_show(struct bus *b, const struct collection *c, const char *name, int argc,
		    char **argv)
{
	struct json_object *document;
	int code;

	if (argc)
		return command_usage("collection", "show takes one collection");
	code = bus_collection(b, name, &document);
	if (code)
		return code;
	if (c->json)
		return output_json(document);
	json_each(document, i)
		show_value(json_key(&i), json_value(&i), 0);
	json_object_put(document);
	return EXIT_DONE;
}

/* -- the others ------------------------------------------------------------- */

static int run_create(struct bus *b, const struct collection *c, const char *name, int argc,
		      char **argv)
{
	struct bus_setting settings[SETTINGS_MAX];
	size_t count;
	int code = settings_parse(argv, argc, settings, &count);

	return code ? code : bus_create(b, name, settings, count, c->disks, c->disk_count);
}

static int run_modify(struct bus *b, const struct collection *c, const char *name, int argc,
		      char **argv)
{
	struct bus_setting settings[SETTINGS_MAX];
	size_t count;
	int code = settings_parse(argv, argc, settings, &count);

	if (!code && !count)
		return command_usage("collection", "modify takes NAME=VALUE");
	return code ? code : bus_modify(b, name, c->vm, settings, count);
}

static int run_add(struct bus *b, const struct collection *c, const char *name, int argc,
		   char **argv)
{
	if (argc || !c->disk_count)
		return command_usage("collection", "what is to be added is said by --disk");
	return bus_add_disks(b, name, c->disks, c->disk_count);
}

static int run_remove_vm(struct bus *b, const struct collection *c, const char *name, int argc,
			 char **argv)
{
	if (argc != 1)
		return command_usage("collection", "remove-vm takes a collection and a VM");
	if (!command_sure(c->yes, "Stop replicating %s?", argv[0]))
		return EXIT_FAILED;
	return bus_remove_vm(b, name, argv[0]);
}

static int run_remove(struct bus *b, const struct collection *c, const char *name, int argc,
		      char **argv)
{
	const struct bus_request rq = {
		.method = "RemoveReplicationRelationship",
		.collection = name,
	};
	uint64_t job;

	if (argc)
		return command_usage("collection", "remove takes one collection");
	if (!command_sure(c->yes, "Forget collection %s?", name))
		return EXIT_FAILED;
	return bus_request(b, &rq, &job);
}

static const struct verb {
	const char *verb;
	int (*run)(struct bus *b, const struct collection *c, const char *name, int argc,
		   char **argv);
	bool takes_disks;
	bool takes_vm;
} verbs[] = {
	{ "show", run_show, false, false },
	{ "create", run_create, true, false },
	{ "modify", run_modify, false, true },
	{ "add-vm", run_add, true, false },
	{ "add-disk", run_add, true, false },
	{ "remove-vm", run_remove_vm, false, false },
	{ "remove", run_remove, false, false },
};

/* Who says less than he means must not have more removed than he means. */
static int verb_check(const struct verb *v, const struct collection *c)
{
	if (c->disk_count && !v->takes_disks)
		return command_usage("collection", "%s takes no --disk", v->verb);
	if (c->vm && !v->takes_vm)
		return command_usage("collection", "%s takes no --vm", v->verb);
	return EXIT_DONE;
}

static int collection_run(const struct collection *c, int argc, char **argv)
{
	struct bus *b;
	size_t i = 0;
	int code;

	if (argc < 2)
		return command_usage("collection", "collection takes a verb and a collection");
	while (i < sizeof(verbs) / sizeof(verbs[0]) && strcmp(verbs[i].verb, argv[0]) != 0)
		i++;
	if (i == sizeof(verbs) / sizeof(verbs[0]))
		return command_usage("collection", "there is no verb '%s'", argv[0]);
	code = verb_check(&verbs[i], c);
	if (!code)
		code = bus_open(&b, c->bus);
	if (code)
		return code;
	code = verbs[i].run(b, c, argv[1], argc - 2, argv + 2);
	bus_close(b);
	return code;
}

int command_collection(int argc, char **argv)
{
	static const struct option names[] = {
		{ "disk", required_argument, NULL, 'd' },
		{ "vm", required_argument, NULL, 'v' },
		{ "yes", no_argument, NULL, 'y' },
		{ "json", no_argument, NULL, 'J' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct collection c = { 0 };
	int option, code;

	while ((option = getopt_long(argc, argv, "d:yJh", names, NULL)) >= 0) {
		switch (option) {
		case 'd':
			code = disk_parse(&c, optarg);
			if (code)
				return code;
			break;
		case 'v': c.vm = optarg; break;
		case 'y': c.yes = true; break;
		case 'J': c.json = true; break;
		case 'B': c.bus = optarg; break;
		case 'h':
			fputs(collection_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("collection", NULL);
		}
	}
	return collection_run(&c, argc - optind, argv + optind);
}
