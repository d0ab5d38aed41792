// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark metrics, stats - figures of the agent, for Prometheus and for people
 *
 * Prometheus' text format, with base units. What the agent does not know is left
 * out. Without an agent there is tidemark_up 0 and nothing else, so that an alert
 * can see that.
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tidemark/bus.h"
#include "tidemark/json.h"
#include "tidemark/output.h"
#include "tidemark/size.h"

/* -- samples ---------------------------------------------------------------- */

/* What a sample is about; NULL: not given. */
struct labels {
	const char *collection;
	const char *vm;
	const char *disk;
	const char *role;
};

static void put_label(FILE *f, const char *name, const char *value, bool *first)
{
	if (!value)
		return;
	fprintf(f, "%s%s=\"", *first ? "{" : ",", name);
	*first = false;
	for (const char *p = value; *p; p++) {
		if (*p == '\n')
			fputs("\\n", f);
		else if (*p == '"' || *p == '\\')
			fprintf(f, "\\%c", *p);
		else
			fputc(*p, f);
	}
	fputc('"', f);
}

static void put_sample(FILE *f, const char *name, const struct labels *labels, uint64_t value)
{
	bool first = true;

	fputs(name, f);
	put_label(f, "collection", labels->collection, &first);
	put_label(f, "vm", labels->vm, &first);
	put_label(f, "disk", labels->disk, &first);
	put_label(f, "role", labels->role, &first);
	fprintf(f, "%s %" PRIu64 "\n", first ? "" : "}", value);
}

/* "2026-11-22T10:00:00Z" to seconds since 1970; 0: it is none */
static uint64_t seconds_of(const char *text)
{
	struct tm tm = { 0 };
	time_t t;

	if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return 0;
	t = timegm(&tm);
	return t < 0 ? 0 : (uint64_t)t;
}

/* -- families --------------------------------------------------------------- */

enum level { LEVEL_COLLECTION, LEVEL_STATISTICS, LEVEL_VM, LEVEL_DISK };

/**
 * struct family - a metric: all its samples come together
 * @name: its name
 * @type: gauge or counter
 * @help: what it is
 * @level: which objects of the status have it
 * @member: of these
 * @time: it is a time
 */
struct family {
	const char *name;
	const char *type;
	const char *help;
	enum level level;
	const char *member;
	bool time;
};

static const struct family families[] = {
	{ "tidemark_collection_state", "gauge", "State of a collection, the reference's number.",
	  LEVEL_COLLECTION, "state", false },
	{ "tidemark_collection_health", "gauge", "Health: 1 ok, 2 warning, 3 critical.",
	  LEVEL_COLLECTION, "health", false },
	{ "tidemark_collection_next_run_timestamp_seconds", "gauge",
	  "When the next recurring run or retry is due.", LEVEL_COLLECTION, "next_run", true },
	{ "tidemark_pending_bytes", "gauge", "Bytes that the next run has to look at.",
	  LEVEL_STATISTICS, "pending_replication_size", false },
	{ "tidemark_sent_bytes_total", "counter", "Bytes of disk sent.",
	  LEVEL_STATISTICS, "bytes_sent", false },
	{ "tidemark_compared_bytes_total", "counter", "Bytes of disk compared.",
	  LEVEL_STATISTICS, "bytes_compared", false },
	{ "tidemark_resynchronizations_total", "counter", "Resynchronizations run.",
	  LEVEL_STATISTICS, "resynchronize_count", false },
	{ "tidemark_replication_successes_total", "counter", "Runs that succeeded.",
	  LEVEL_STATISTICS, "replication_success_count", false },
	{ "tidemark_replication_failures_total", "counter", "Runs that failed.",
	  LEVEL_STATISTICS, "replication_failure_count", false },
	{ "tidemark_network_failures_total", "counter", "Runs that the network failed.",
	  LEVEL_STATISTICS, "network_failure_count", false },
	{ "tidemark_replication_misses_total", "counter", "Cycles that were not begun in time.",
	  LEVEL_STATISTICS, "replication_miss_count", false },
	{ "tidemark_vm_state", "gauge", "State of a VM, the reference's number.",
	  LEVEL_VM, "state", false },
	{ "tidemark_vm_health", "gauge", "Health: 1 ok, 2 warning, 3 critical.",
	  LEVEL_VM, "health", false },
	{ "tidemark_disk_size_bytes", "gauge", "Size of a disk.", LEVEL_DISK, "size", false },
	{ "tidemark_disk_owed_bytes", "gauge", "Bytes changed since the newest point.",
	  LEVEL_DISK, "owed_all", false },
	{ "tidemark_disk_health", "gauge", "Health: 1 ok, 2 warning, 3 critical.",
	  LEVEL_DISK, "health", false },
	{ "tidemark_disk_last_point", "gauge", "Number of the newest point.",
	  LEVEL_DISK, "point", false },
	{ "tidemark_disk_last_point_timestamp_seconds", "gauge",
	  "When the newest point was made.", LEVEL_DISK, "point_time", true },
};

static void put_member(FILE *f, const struct family *m, struct json_object *o,
		       const struct labels *labels)
{
	uint64_t value;

	if (strcmp(m->member, "owed_all") == 0) {
		if (json_has(o, "marked"))
			value = json_number(o, "marked") + json_number(o, "sealed");
		else if (json_has(o, "owed"))
			value = json_number(o, "owed");
		else
			return;
	} else if (!json_has(o, m->member)) {
		return;
	} else if (m->time) {
		value = seconds_of(json_text(o, m->member));
	} else {
		value = json_number(o, m->member);
	}
	put_sample(f, m->name, labels, value);
}

static void put_family_of(FILE *f, const struct family *m, struct json_object *c)
{
	struct labels labels = {
		.collection = json_text(c, "collection"),
		.role = json_text(c, "role"),
	};
	const char *array = m->level == LEVEL_VM ? "vms" : "disks";

	if (m->level == LEVEL_COLLECTION)
		put_member(f, m, c, &labels);
	else if (m->level == LEVEL_STATISTICS)
		put_member(f, m, json_member(c, "statistics"), &labels);
	for (size_t i = 0; m->level >= LEVEL_VM && i < json_length(c, array); i++) {
		struct json_object *o = json_item(c, array, i);

		labels.vm = json_text(o, "vm");
		labels.disk = m->level == LEVEL_DISK ? json_text(o, "disk") : NULL;
		put_member(f, m, o, &labels);
	}
}

static void put_head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Of the agent as a whole. */
static void put_agent(FILE *f, struct json_object *status)
{
	static const struct labels none = { 0 };
	uint64_t running = 0, waiting = 0;

	put_head(f, "tidemark_up", "gauge", "Does the agent answer?");
	put_sample(f, "tidemark_up", &none, status != NULL);
	if (!status)
		return;
	put_head(f, "tidemark_build_info", "gauge", "Version of the agent.");
	fprintf(f, "tidemark_build_info{version=\"%s\",engine=\"%s\"} 1\n",
		json_text(status, "version") ?: "", json_text(status, "engine") ?: "");
	for (size_t i = 0; i < json_length(status, "jobs"); i++) {
		uint64_t state = json_number(json_item(status, "jobs", i), "state");

		running += state == BUS_JOB_RUNNING;
		waiting += state == BUS_JOB_NEW;
	}
	put_head(f, "tidemark_jobs_running", "gauge", "Jobs that run.");
	put_sample(f, "tidemark_jobs_running", &none, running);
	put_head(f, "tidemark_jobs_waiting", "gauge", "Jobs that wait for their time or place.");
	put_sample(f, "tidemark_jobs_waiting", &none, waiting);
}

static void put_metrics(FILE *f, struct json_object *status)
{
	put_agent(f, status);
	for (size_t i = 0; status && i < sizeof(families) / sizeof(families[0]); i++) {
		put_head(f, families[i].name, families[i].type, families[i].help);
		for (size_t k = 0; k < json_length(status, "collections"); k++)
			put_family_of(f, &families[i], json_item(status, "collections", k));
	}
}

/* -- a file for node_exporter's textfile collector ---------------------------- */

/* Whoever reads @path sees the old file or the new one, never a part. */
static int write_file(const char *path, struct json_object *status)
{
	char *temporary;
	FILE *f;
	int fd, err = 0;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return command_fail(-ENOMEM, "cannot write %s", path);
	fd = mkstemp(temporary);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		err = -errno;
		if (fd >= 0)
			close(fd);
	} else {
		put_metrics(f, status);
		if (fchmod(fd, 0644) < 0 || fflush(f) || fsync(fd) < 0)
			err = -errno;
		if (fclose(f) && !err)
			err = -errno;
	}
	if (!err && rename(temporary, path) < 0)
		err = -errno;
	if (err && fd >= 0)
		unlink(temporary);
	free(temporary);
	return err ? command_fail(err, "cannot write %s", path) : EXIT_DONE;
}

/* -- the commands ----------------------------------------------------------- */

static const char metrics_help[] =
	"Usage: tidemark metrics [OPTION...]\n\n"
	"Print figures of the agent in Prometheus' text format. Without an agent,\n"
	"tidemark_up is 0 and the exit code 10.\n\n"
	"  -o, --output FILE    replace FILE by them, at once: for the textfile collector of\n"
	"                       node_exporter\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

static int metrics_run(const char *bus, const char *path)
{
	struct json_object *status = NULL;
	struct bus *b;
	int code = bus_open(&b, bus), written = EXIT_DONE;

	if (!code) {
		code = bus_status(b, NULL, &status);
		bus_close(b);
	}
	if (path)
		written = write_file(path, status);
	else
		put_metrics(stdout, status);
	json_object_put(status);
	return code ? code : written;
}

int command_metrics(int argc, char **argv)
{
	static const struct option names[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	const char *bus = NULL, *path = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "o:h", names, NULL)) >= 0) {
		switch (option) {
		case 'o': path = optarg; break;
		case 'B': bus = optarg; break;
		case 'h':
			fputs(metrics_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("metrics", NULL);
		}
	}
	if (optind != argc)
		return command_usage("metrics", "metrics takes no arguments");
	return metrics_run(bus, path);
}

static const char stats_help[] =
	"Usage: tidemark stats COLLECTION [OPTION...]\n\n"
	"Show the replication statistics of a collection.\n\n"
	"      --reset          begin them anew\n"
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\"\n"
	"  -b, --bytes          sizes in bytes\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

static bool ends_with(const char *key, const char *end)
{
	size_t length = strlen(key), of_end = strlen(end);

	return length > of_end && strcmp(key + length - of_end, end) == 0;
}

/* The bus tells moments as microseconds; documents have them as all others do. */
static struct json_object *stats_document(struct json_object *stats)
{
	struct json_object *document = json_object_new_object();
	char text[OUTPUT_TIME];

	json_each(stats, i) {
		uint64_t n = json_object_get_uint64(json_value(&i));
		struct json_object *value;

		if (!ends_with(json_key(&i), "_time"))
			value = json_object_get(json_value(&i));
		else
			value = n ? json_object_new_string(output_time(n, text)) : NULL;
		json_object_object_add(document, json_key(&i), value);
	}
	json_object_put(stats);
	return document;
}

static void stats_print(struct json_object *stats, bool bytes)
{
	char size_text[SIZE_TEXT], time_text[OUTPUT_TIME];

	json_each(stats, i) {
		uint64_t n = json_object_get_uint64(json_value(&i));
		const char *key = json_key(&i);
		bool size = strncmp(key, "bytes_", 6) == 0 || ends_with(key, "_size");

		if (ends_with(key, "_time"))
			printf("%-28s %s\n", key, n ? output_time(n, time_text) : "-");
		else if (size && !bytes)
			printf("%-28s %s\n", key, size_format(n, size_text));
		else
			printf("%-28s %" PRIu64 "\n", key, n);
	}
}

static int stats_run(const char *bus, const char *collection, bool reset, bool json, bool bytes)
{
	const struct bus_request rq = {
		.method = "ResetReplicationStatistics",
		.collection = collection,
	};
	struct json_object *stats = NULL;
	struct bus *b;
	uint64_t job;
	int code = bus_open(&b, bus);

	if (code)
		return code;
	code = reset ? bus_request(b, &rq, &job) : bus_statistics(b, collection, &stats);
	bus_close(b);
	if (code || reset)
		return code;
	if (json)
		return output_json(stats_document(stats));
	stats_print(stats, bytes);
	json_object_put(stats);
	return EXIT_DONE;
}

int command_stats(int argc, char **argv)
{
	static const struct option names[] = {
		{ "reset", no_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'J' },
		{ "bytes", no_argument, NULL, 'b' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	bool reset = false, json = false, bytes = false;
	const char *bus = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "Jbh", names, NULL)) >= 0) {
		switch (option) {
		case 'r': reset = true; break;
		case 'J': json = true; break;
		case 'b': bytes = true; break;
		case 'B': bus = optarg; break;
		case 'h':
			fputs(stats_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("stats", NULL);
		}
	}
	if (argc - optind != 1)
		return command_usage("stats", "stats takes one collection");
	return stats_run(bus, argv[optind], reset, json, bytes);
}
