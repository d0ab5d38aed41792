// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark job - show a job of the agent, wait for it, or steer it
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
#include "tidemark/json.h"
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
	if (job->state == BUS_JOB_NEW || job->state == BUS_JOB_SUSPENDED) {
		fprintf(stderr, "\r%.*s\033[K", columns - 1, job->note);
		return;
	}
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
		if (job->state == BUS_JOB_NEW || job->state == BUS_JOB_SUSPENDED)
			snprintf(text, sizeof(text), "%s", job->note);
		else
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
	code = job_print(b, &job, options);
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

static void put_time(struct json_object *o, const char *name, uint64_t us)
{
	char text[OUTPUT_TIME];

	json_object_object_add(o, name, us ? json_object_new_string(output_time(us, text)) : NULL);
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

static int job_print_json(struct bus *b, const struct bus_job *job)
{
	struct json_object *o = json_object_new_object();
	struct json_object *errors = NULL;
	int code = bus_job_errors(b, job->id, &errors);

	if (code) {
		json_object_put(o);
		return code;
	}

	put(o, "job", job->id);
	json_object_object_add(o, "collection", json_object_new_string(job->collection));
	json_object_object_add(o, "name", json_object_new_string(job->name));
	put(o, "state", job->state);
	json_object_object_add(o, "state_name", json_object_new_string(job->status));
	put(o, "error", job->error);
	json_object_object_add(o, "text", json_object_new_string(job->text));
	json_object_object_add(o, "status", json_object_new_string(job->note));
	json_object_object_add(o, "owner", json_object_new_string(job->owner));
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
	json_object_object_add(o, "hash", job->hash[0] ? json_object_new_string(job->hash) : NULL);
	put(o, "streams", job->streams);
	json_object_object_add(o, "encryption",
			       job->encryption[0] ? json_object_new_string(job->encryption) : NULL);
	put(o, "passes", job->passes);
	put(o, "torn", job->torn);
	put(o, "point", job->point);
	put(o, "rate", job->rate);
	json_object_object_add(o, "eta", job->eta == UINT64_MAX ? NULL :
					 json_object_new_uint64(job->eta));
	put(o, "rate_limit", job->rate_limit);
	json_object_object_add(o, "rate_limit_reason", *job->rate_limit_reason ?
			       json_object_new_string(job->rate_limit_reason) : NULL);
	put(o, "own_rate_limit", job->own_rate_limit);
	put(o, "read_limit", job->read_limit);
	put(o, "latency_us", job->latency);
	put(o, "elapsed_us", job->elapsed);
	put_time(o, "submitted", job->submitted);
	put_time(o, "scheduled", job->scheduled);
	put_time(o, "started", job->started);
	put_time(o, "ended", job->ended);
	json_object_object_add(o, "members", json_object_get(job->members));
	json_object_object_add(o, "disks", json_object_get(job->disks));
	json_object_object_add(o, "errors", errors);
	json_object_object_add(o, "differences", ranges_json(job));
	return output_json(o);
}

static void print_size(const char *what, uint64_t bytes, const char *unit, const char *why,
		       const struct job_options *options)
{
	char text[SIZE_TEXT];

	if (options->bytes)
		printf("  %-16s %" PRIu64 "%s%s\n", what, bytes, unit, why);
	else
		printf("  %-16s %s%s%s\n", what, size_format(bytes, text), unit, why);
}

static void print_bytes(const char *what, uint64_t bytes, const struct job_options *options)
{
	print_size(what, bytes, "", "", options);
}

static void print_ranges(const struct bus_job *job)
{
	for (size_t i = 0; i < job->range_count; i++) {
		const struct bus_range *r = &job->ranges[i];

		printf("  %s/%s/%s: %" PRIu64 " bytes at %" PRIu64 " differ\n", job->collection,
		       r->vm, r->disk, r->length, r->offset);
	}
}

static void print_time(const char *what, uint64_t us)
{
	char text[OUTPUT_TIME];

	if (us)
		printf("  %-16s %s\n", what, output_time(us, text));
}

static void print_seconds(const struct bus_job *job)
{
	printf("  %-16s %" PRIu64 ".%03" PRIu64 "\n", "seconds", job->elapsed / 1000000,
	       job->elapsed / 1000 % 1000);
}

static void print_bytes_of(const struct bus_job *job, const struct job_options *options)
{
	bool verify = strcmp(job->name, "Verify") == 0;

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
	if (job->streams > 1)
		printf("  %-16s %u\n", "streams", job->streams);
	if (job->encryption[0])
		printf("  %-16s %s\n", "encryption", job->encryption);
	if (job->hash[0])
		printf("  %-16s %s\n", "compared by", job->hash);
	printf("  %-16s %" PRIu64 "\n", "reads", job->read_calls);
	print_seconds(job);
	if (job->point)
		printf("  %-16s %" PRIu64 "\n", "point", job->point);
}

static void print_brake(const struct bus_job *job, const struct job_options *options)
{
	if (job->latency)
		printf("  %-16s %" PRIu64 ".%03" PRIu64 " ms\n", "disk latency",
		       job->latency / 1000, job->latency % 1000);
	if (job->read_limit)
		print_bytes("reads a second", job->read_limit, options);
}

static void print_limit(const struct bus_job *job, const struct job_options *options)
{
	char why[sizeof(job->rate_limit_reason) + 4];

	snprintf(why, sizeof(why), " (%s)", job->rate_limit_reason);
	if (job->rate_limit)
		print_size("rate limit", job->rate_limit, "/s", why, options);
	else if (*job->rate_limit_reason)
		printf("  %-16s none%s\n", "rate limit", why);
	/* It has one, and another is tighter. */
	if (job->own_rate_limit && job->own_rate_limit != job->rate_limit)
		print_size("its own limit", job->own_rate_limit, "/s", "", options);
}

/* One line for each member or disk that failed; the job's own is said last, on stderr. */
static void print_errors(struct bus *b, const struct bus_job *job)
{
	struct json_object *errors = NULL;

	if (!bus_job_ended(job) || job->state == BUS_JOB_COMPLETED ||
	    bus_job_errors(b, job->id, &errors))
		return;
	for (size_t i = 0; i < json_object_array_length(errors); i++) {
		struct json_object *e = json_object_array_get_idx(errors, i);
		const char *vm = json_text(e, "vm"), *disk = json_text(e, "disk");

		if (vm && *vm)
			printf("  %s/%s%s%s: %s\n", job->collection, vm, disk && *disk ? "/" : "",
			       disk ?: "", json_text(e, "text") ?: "");
	}
	json_object_put(errors);
}

/* What people call what a method does. */
static const char *job_noun(const struct bus_job *job)
{
	if (strcmp(job->name, "Verify") == 0)
		return "verification";
	if (strcmp(job->name, "Resynchronize") == 0)
		return "resynchronization";
	return job->name;
}

int job_print(struct bus *b, const struct bus_job *job, const struct job_options *options)
{
	if (options->json)
		return job_print_json(b, job);
	printf("job %" PRIu64 ": %s of %s: %s\n", job->id, job_noun(job), job->collection,
	       job->status);
	if (!bus_job_ended(job)) {
		if (strcmp(job->note, job->status) != 0)
			printf("  %-16s %s\n", "status", job->note);
		print_time("scheduled", job->scheduled);
		printf("  %-16s %u%%\n", "done", job->permille / 10);
		print_limit(job, options);
		print_brake(job, options);
	}
	/* Many a job moves no bytes: one of a failover, or one that has not begun. */
	if (job->bytes_disk)
		print_bytes_of(job, options);
	else
		print_seconds(job);
	print_ranges(job);
	print_errors(b, job);
	if (job->text[0])
		command_say("%s", job->text);
	return EXIT_DONE;
}

static int job_show(struct bus *b, uint64_t id, const struct job_options *options);

int job_started(struct bus *b, uint64_t id, const struct job_options *options)
{
	char path[64];

	if (options->wait)
		return job_follow(b, id, options);
	if (options->json)
		return job_show(b, id, options);
	bus_job_path(id, path);
	puts(path);
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
	json_object_object_add(o, "job", NULL);
	json_object_object_add(o, "collection", json_object_new_string(collection));
	put(o, "bytes_sent", 0);
	put(o, "bytes_on_wire", 0);
	put(o, "read_calls", 0);
	return output_json(o);
}

/* -- starting one ------------------------------------------------------------ */

bool job_option(struct job_options *options, int option, const char *argument)
{
	switch (option) {
	case 'w':
	case 'W':
		options->wait = option == 'w';
		return true;
	case 'J':
		options->json = true;
		return true;
	case 'b':
		options->bytes = true;
		return true;
	case 'P':
		options->quiet = true;
		return true;
	case 'B':
		options->bus = argument;
		return true;
	}
	return false;
}

/* A method that is done, and had no need of a job. */
static int job_none(const struct bus_request *rq, const struct job_options *options)
{
	struct json_object *o;

	if (strcmp(rq->method, "Resynchronize") == 0)
		return job_print_nothing(rq->collection, options);
	if (!options->json)
		return EXIT_DONE;
	o = json_object_new_object();
	json_object_object_add(o, "job", NULL);
	json_object_object_add(o, "collection", json_object_new_string(rq->collection));
	return output_json(o);
}

int job_request(const struct bus_request *rq, const struct job_options *options)
{
	struct bus *b;
	uint64_t id;
	int code = bus_open(&b, options->bus);

	if (code)
		return code;
	code = bus_request(b, rq, &id);
	if (!code)
		code = id ? job_started(b, id, options) : job_none(rq, options);
	bus_close(b);
	return code;
}

int job_request_folder(const struct bus_request *rq, const struct job_options *options)
{
	struct bus_request whole = *rq;
	char *path = rq->path ? command_path(rq->path) : NULL;
	int code;

	if (rq->path && !path)
		return command_fail(-errno, "%s", rq->path);
	whole.path = path;
	code = job_request(&whole, options);
	free(path);
	return code;
}

/* -- tidemark job ----------------------------------------------------------- */

static const char job_help[] =
	"Usage: tidemark job VERB ID [OPTION...]\n"
	"       tidemark job limit ID RATE [OPTION...]\n\n"
	"Show a job of the agent, wait for its end, or have it do something. A job can be\n"
	"asked about for five minutes after its end; 'tidemark history' knows older ones.\n\n"
	"Verbs:\n"
	"  show                 what it does or did, and what went wrong\n"
	"  wait                 wait for its end; the exit code is the job's\n"
	"  cancel               end it; what the replica has stored stays stored\n"
	"  kill                 end it at once\n"
	"  suspend              have it pause\n"
	"  resume               have it go on, or start it before its time\n"
	"  limit                from now on it sends at most RATE bytes a second, as in 20M;\n"
	"                       0 or none: only its collection and the agent hold it back\n\n"
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\"\n"
	"  -b, --bytes          sizes in bytes\n"
	"      --no-progress    no progress while waiting\n"
	"      --bus ADDRESS    D-Bus: system or an address\n"
	"  -h, --help           this text\n";

/* RequestStateChange, by the verb */
static const struct {
	const char *verb;
	uint32_t request;
} job_requests[] = {
	{ "resume", 2 },
	{ "suspend", 3 },
	{ "cancel", 4 },
	{ "kill", 5 },
};

static uint32_t job_request_of(const char *verb)
{
	for (size_t i = 0; i < sizeof(job_requests) / sizeof(job_requests[0]); i++) {
		if (strcmp(job_requests[i].verb, verb) == 0)
			return job_requests[i].request;
	}
	return 0;
}

static int job_show(struct bus *b, uint64_t id, const struct job_options *options)
{
	struct bus_job job;
	int code = bus_job(b, id, &job);

	if (code)
		return code;
	code = job_print(b, &job, options);
	bus_job_free(&job);
	return code;
}

/* @limit: of the verb limit */
static int job_run(struct bus *b, const char *verb, uint64_t id, uint64_t limit,
		   const struct job_options *options)
{
	if (strcmp(verb, "limit") == 0)
		return bus_job_limit(b, id, limit);
	if (strcmp(verb, "wait") == 0)
		return job_follow(b, id, options);
	if (strcmp(verb, "show") == 0)
		return job_show(b, id, options);
	return bus_job_request(b, id, job_request_of(verb));
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

/* What is to be done: words of the command line, or a sentence about them. */
static int job_arguments(char **words, int count, uint64_t *ret_id, uint64_t *ret_limit)
{
	const char *verb = words[0];
	bool limit = count && strcmp(verb, "limit") == 0;

	if (limit && count != 3)
		return command_usage("job", "job limit takes a job's number and a rate");
	if (!limit && count != 2)
		return command_usage("job", "job takes a verb and a job's number");
	if (strcmp(verb, "show") && strcmp(verb, "wait") && !limit && !job_request_of(verb))
		return command_usage("job", "'%s' is none of show, wait, cancel, kill, suspend, "
				     "resume, limit", verb);
	if (job_parse(words[1], ret_id))
		return command_usage("job", "'%s' is no job's number", words[1]);
	*ret_limit = 0;
	if (limit && strcmp(words[2], "none") && size_parse(words[2], ret_limit))
		return command_usage("job", "'%s' is no rate, as 20M, 0 or none are", words[2]);
	return EXIT_DONE;
}

int command_job(int argc, char **argv)
{
	static const struct option names[] = { JOB_LONG_OPTIONS, { } };
	struct job_options options = { 0 };
	struct bus *b;
	uint64_t id = 0, limit = 0;
	int option, code;

	while ((option = getopt_long(argc, argv, "Jbh", names, NULL)) >= 0) {
		if (option == 'h') {
			fputs(job_help, stdout);
			return EXIT_DONE;
		}
		if (!job_option(&options, option, optarg))
			return command_usage("job", NULL);
	}
	code = job_arguments(argv + optind, argc - optind, &id, &limit);
	if (code)
		return code;
	code = bus_open(&b, options.bus);
	if (code)
		return code;
	code = job_run(b, argv[optind], id, limit, &options);
	bus_close(b);
	return code;
}
