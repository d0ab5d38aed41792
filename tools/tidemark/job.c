// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark job - show, wait for or cancel a job of the agent
 */
#include "tidemark/job.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tidemark/command.h"
#include "tidemark/output.h"
#include "tidemark/size.h"

#define FOLLOW_MS 250
#define LINE_EVERY_S 10
#define BAR_MAX 40

/* -- progress --------------------------------------------------------------- */

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static const char *format_eta(uint64_t eta, char ret[32])
{
	if (eta == UINT64_MAX)
		return "--:--:--";
	snprintf(ret, 32, "%02" PRIu64 ":%02" PRIu64 ":%02" PRIu64, eta / 3600, eta / 60 % 60,
		 eta % 60);
	return ret;
}

static void progress_text(const struct bus_job *job, char *ret, size_t size)
{
	char sent[SIZE_TEXT], rate[SIZE_TEXT], eta[32];

	snprintf(ret, size, "%3u%%  %s sent  %s/s  ETA %s", job->permille / 10,
		 size_format(job->bytes_sent, sent), size_format(job->rate, rate),
		 format_eta(job->eta, eta));
}

/* A bar as wide as the terminal allows, drawn over itself. */
static void progress_bar(const struct bus_job *job)
{
	struct winsize window;
	char text[128], bar[BAR_MAX + 1];
	int columns = 80;
	int width, full;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col)
		columns = window.ws_col;
	progress_text(job, text, sizeof(text));
	width = columns - (int)strlen(text) - 5;
	if (width > BAR_MAX)
		width = BAR_MAX;
	if (width < 4) {
		fprintf(stderr, "\r%.*s\033[K", columns - 1, text);
		return;
	}
	full = width * (int)job->permille / 1000;
	memset(bar, ' ', width);
	memset(bar, '=', full);
	if (full && full < width)
		bar[full - 1] = '>';
	bar[width] = '\0';
	fprintf(stderr, "\r[%s] %s\033[K", bar, text);
}

struct follow {
	bool terminal;
	bool drawn;
	time_t last_line;
};

static void follow_show(struct follow *f, const struct bus_job *job)
{
	char text[128];

	if (f->terminal) {
		progress_bar(job);
		f->drawn = true;
	} else if (now() - f->last_line >= LINE_EVERY_S) {
		progress_text(job, text, sizeof(text));
		fprintf(stderr, "%s\n", text);
		f->last_line = now();
	}
}

int job_follow(struct bus *b, uint64_t id, const struct job_options *options)
{
	struct follow f = { .terminal = isatty(STDERR_FILENO), .last_line = now() };
	bool quiet = options->quiet || options->json;
	struct bus_job job;
	int code;

	for (;;) {
		code = bus_job(b, id, &job);
		if (code || bus_job_ended(&job))
			break;
		if (!quiet)
			follow_show(&f, &job);
		bus_job_free(&job);
		code = bus_wait(b, FOLLOW_MS);
		if (code)
			break;
	}
	if (f.drawn)
		fputs("\r\033[K", stderr);
	if (code)
		return code;
	code = job_print(&job, options);
	if (!code)
		code = bus_job_exit_code(&job);
	bus_job_free(&job);
	return code;
}

/* -- what it did ------------------------------------------------------------ */

static void put(struct json_object *o, const char *name, uint64_t value)
{
	json_object_object_add(o, name, json_object_new_uint64(value));
}

static struct json_object *ranges_json(const struct bus_job *job)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < job->range_count; i++) {
		const struct bus_range *r = &job->ranges[i];
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "vm", json_object_new_string(r->vm));
		json_object_object_add(o, "disk", json_object_new_string(r->disk));
		put(o, "offset", r->offset);
		put(o, "length", r->length);
		json_object_array_add(array, o);
	}
	return array;
}

static int print_json(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return EXIT_DONE;
}

static int job_print_json(const struct bus_job *job)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "schema", json_object_new_string(OUTPUT_SCHEMA));
	put(o, "job", job->id);
	json_object_object_add(o, "collection", json_object_new_string(job->collection));
	json_object_object_add(o, "name", json_object_new_string(job->name));
	put(o, "state", job->state);
	json_object_object_add(o, "state_name", json_object_new_string(job->status));
	put(o, "error", job->error);
	json_object_object_add(o, "text", json_object_new_string(job->text));
	put(o, "percent", job->permille / 10);
	put(o, "bytes_disk", job->bytes_disk);
	put(o, "bytes_marked", job->bytes_marked);
	put(o, "bytes_owed", job->bytes_owed);
	put(o, "bytes_sent", job->bytes_sent);
	put(o, "bytes_zero", job->bytes_zero);
	put(o, "bytes_on_wire", job->bytes_on_wire);
	put(o, "bytes_remaining", job->bytes_remaining);
	put(o, "bytes_different", job->bytes_different);
	put(o, "read_calls", job->read_calls);
	put(o, "passes", job->passes);
	put(o, "torn", job->torn);
	put(o, "point", job->point);
	put(o, "rate", job->rate);
	json_object_object_add(o, "eta", job->eta == UINT64_MAX ? NULL :
					 json_object_new_uint64(job->eta));
	put(o, "elapsed_us", job->elapsed);
	json_object_object_add(o, "differences", ranges_json(job));
	return print_json(o);
}

static void print_bytes(const char *what, uint64_t bytes, const struct job_options *options)
{
	char text[SIZE_TEXT];

	if (options->bytes)
		printf("  %-16s %" PRIu64 "\n", what, bytes);
	else
		printf("  %-16s %s\n", what, size_format(bytes, text));
}

static void print_ranges(const struct bus_job *job)
{
	for (size_t i = 0; i < job->range_count; i++) {
		const struct bus_range *r = &job->ranges[i];

		printf("  %s/%s/%s: %" PRIu64 " bytes at %" PRIu64 " differ\n", job->collection,
		       r->vm, r->disk, r->length, r->offset);
	}
}

int job_print(const struct bus_job *job, const struct job_options *options)
{
	bool verify = strcmp(job->name, "Verify") == 0;

	if (options->json)
		return job_print_json(job);
	printf("job %" PRIu64 ": %s of %s: %s\n", job->id,
	       verify ? "verification" : "resynchronization", job->collection, job->status);
	if (!bus_job_ended(job))
		printf("  %-16s %u%%\n", "done", job->permille / 10);
	print_bytes("disk", job->bytes_disk, options);
	if (verify) {
		print_bytes("different", job->bytes_different, options);
	} else {
		print_bytes("marked", job->bytes_marked, options);
		print_bytes("sent", job->bytes_sent, options);
		print_bytes("zeroes", job->bytes_zero, options);
	}
	print_bytes("on the wire", job->bytes_on_wire, options);
	if (!verify)
		printf("  %-16s %u\n", "passes", job->passes);
	printf("  %-16s %" PRIu64 "\n", "reads", job->read_calls);
	printf("  %-16s %" PRIu64 ".%03" PRIu64 "\n", "seconds", job->elapsed / 1000000,
	       job->elapsed / 1000 % 1000);
	if (job->point)
		printf("  %-16s %" PRIu64 "\n", "point", job->point);
	print_ranges(job);
	if (job->text[0])
		command_say("%s", job->text);
	return EXIT_DONE;
}

int job_print_nothing(const char *collection, const struct job_options *options)
{
	struct json_object *o;

	if (!options->json) {
		printf("%s: nothing has changed since its newest point\n", collection);
		return EXIT_DONE;
	}
	o = json_object_new_object();
	json_object_object_add(o, "schema", json_object_new_string(OUTPUT_SCHEMA));
	json_object_object_add(o, "job", NULL);
	json_object_object_add(o, "collection", json_object_new_string(collection));
	put(o, "bytes_sent", 0);
	put(o, "bytes_on_wire", 0);
	put(o, "read_calls", 0);
	return print_json(o);
}

/* -- tidemark job ----------------------------------------------------------- */

static const char job_help[] =
	"Usage: tidemark job show|wait|cancel ID [OPTION...]\n\n"
	"Show a job of the agent, wait for its end, or have it end soon. A job can be\n"
	"asked about for five minutes after its end.\n\n"
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\"\n"
	"  -b, --bytes          sizes in bytes\n"
	"      --no-progress    no progress while waiting\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

static int job_run(struct bus *b, const char *verb, uint64_t id, const struct job_options *options)
{
	struct bus_job job;
	int code;

	if (strcmp(verb, "wait") == 0)
		return job_follow(b, id, options);
	if (strcmp(verb, "cancel") == 0) {
		code = bus_job(b, id, &job);
		if (!code) {
			bus_job_free(&job);
			code = bus_cancel(b, id);
		}
		return code;
	}
	code = bus_job(b, id, &job);
	if (!code) {
		code = job_print(&job, options);
		bus_job_free(&job);
	}
	return code;
}

/* A job by its number, or by the path that resync printed. */
static int job_parse(const char *text, uint64_t *ret)
{
	const char *slash = strrchr(text, '/');
	char *end;

	if (slash)
		text = slash + 1;
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return *end || errno ? -EINVAL : 0;
}

int command_job(int argc, char **argv)
{
	static const struct option names[] = {
		{ "json", no_argument, NULL, 'J' },
		{ "bytes", no_argument, NULL, 'b' },
		{ "no-progress", no_argument, NULL, 'P' },
		{ "bus", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct job_options options = { 0 };
	const char *address = NULL, *verb;
	struct bus *b;
	uint64_t id;
	int option, code;

	while ((option = getopt_long(argc, argv, "Jbh", names, NULL)) >= 0) {
		switch (option) {
		case 'J': options.json = true; break;
		case 'b': options.bytes = true; break;
		case 'P': options.quiet = true; break;
		case 'B': address = optarg; break;
		case 'h':
			fputs(job_help, stdout);
			return EXIT_DONE;
		default:
			return command_usage("job", NULL);
		}
	}
	if (argc - optind != 2)
		return command_usage("job", "job takes a verb and a job's number");
	verb = argv[optind];
	if (strcmp(verb, "show") && strcmp(verb, "wait") && strcmp(verb, "cancel"))
		return command_usage("job", "'%s' is none of show, wait, cancel", verb);
	if (job_parse(argv[optind + 1], &id))
		return command_usage("job", "'%s' is no job's number", argv[optind + 1]);
	code = bus_open(&b, address);
	if (code)
		return code;
	code = job_run(b, verb, id, &options);
	bus_close(b);
	return code;
}
