// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark disks - list the tracked disks
 */
#include "tidemark/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tidemark/output.h"

enum disks_column {
	DISKS_NAME, DISKS_DEVICE, DISKS_UUID, DISKS_SIZE, DISKS_GRANULE, DISKS_MARKED,
	DISKS_STATE, DISKS_EPOCH, DISKS_NUMBER, DISKS_DATA, DISKS_GRANULES, DISKS_SEALED,
	DISKS_OWED, DISKS_SEALED_EPOCH, DISKS_COMMITTED_EPOCH, DISKS_TORN, DISKS_POOL,
	DISKS_POOL_USED, DISKS_POOL_PEAK, DISKS_REASON, DISKS_WRITES, DISKS_WRITTEN,
	DISKS_DISCARDED, DISKS_MESSAGE,
};

static const struct output_column disks_columns[] = {
	[DISKS_NAME]	= { "NAME", "device-mapper name", .type = OUTPUT_TEXT },
	[DISKS_DEVICE]	= { "DEVICE", "path of the tracked device", .type = OUTPUT_TEXT },
	[DISKS_UUID]	= { "UUID", "of the tracker", .type = OUTPUT_TEXT },
	[DISKS_SIZE]	= { "SIZE", "of the disk", .type = OUTPUT_BYTES },
	[DISKS_GRANULE]	= { "GRANULE", "what one bit stands for", .type = OUTPUT_BYTES },
	[DISKS_MARKED]	= { "MARKED", "bytes of the granules that changed in this epoch",
			    .type = OUTPUT_BYTES },
	[DISKS_STATE]	= { "STATE", "sealed, draining, torn, suspended, metadata, blind; else "
			    "tracking", "tracking", OUTPUT_WORDS },
	[DISKS_EPOCH]	= { "EPOCH", "the current epoch", .type = OUTPUT_NUMBER },
	[DISKS_NUMBER]	= { "NUMBER", "the kernel's number of the disk", NULL,
			    OUTPUT_NUMBER, true },
	[DISKS_DATA]	= { "DATA", "path of the device below", NULL, OUTPUT_TEXT, true },
	[DISKS_GRANULES] = { "GRANULES", "size of the disk in granules", NULL,
			     OUTPUT_NUMBER, true },
	[DISKS_SEALED]	= { "SEALED", "bytes sealed and not committed", NULL,
			    OUTPUT_BYTES, true },
	[DISKS_OWED]	= { "OWED", "bytes sealed and not released", NULL,
			    OUTPUT_BYTES, true },
	[DISKS_SEALED_EPOCH] = { "SEALED-EPOCH", "the newest sealed epoch", NULL,
				 OUTPUT_NUMBER, true },
	[DISKS_COMMITTED_EPOCH] = { "COMMITTED-EPOCH", "the newest committed epoch", NULL,
				    OUTPUT_NUMBER, true },
	[DISKS_TORN]	= { "TORN", "writes that met an owed granule", NULL,
			    OUTPUT_NUMBER, true },
	[DISKS_POOL]	= { "POOL", "size of the preserve pool", NULL, OUTPUT_BYTES, true },
	[DISKS_POOL_USED] = { "POOL-USED", "bytes of it that are in use", NULL,
			      OUTPUT_BYTES, true },
	[DISKS_POOL_PEAK] = { "POOL-PEAK", "the most of it that was in use since attach", NULL,
			      OUTPUT_BYTES, true },
	[DISKS_REASON]	= { "REASON", "why more is marked than was written, see tidemark(8)", "-",
			    OUTPUT_WORDS, true },
	[DISKS_WRITES]	= { "WRITES", "writes since attach", NULL, OUTPUT_NUMBER, true },
	[DISKS_WRITTEN]	= { "WRITTEN", "bytes written since attach", NULL, OUTPUT_BYTES, true },
	[DISKS_DISCARDED] = { "DISCARDED", "bytes discarded since attach", NULL,
			      OUTPUT_BYTES, true },
	[DISKS_MESSAGE]	= { "MESSAGE", "the newest thing to know", NULL, OUTPUT_TEXT, true },
};

#define COLUMNS (sizeof(disks_columns) / sizeof(disks_columns[0]))

static const char disks_help[] =
	"Usage: tidemark disks [DEVICE...] [OPTION...]\n\n"
	"List the tracked disks: all, or those named by a path, a device-mapper name or\n"
	"a tracker's UUID.\n\n"
	OUTPUT_OPTIONS_HELP
	"  -h, --help           this text\n";

/* The path of a block device by its number: /dev/mapper/NAME, /dev/vda, ... */
static const char *disks_path(uint32_t major, uint32_t minor, char *ret, size_t size)
{
	char link[64], target[PATH_MAX], name[TIDEMARK_NAME_SIZE + 1];
	ssize_t n;
	FILE *f;

	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u/dm/name", major, minor);
	f = fopen(link, "re");
	if (f) {
		bool got = fgets(name, sizeof(name), f);

		fclose(f);
		if (got) {
			name[strcspn(name, "\n")] = '\0';
			snprintf(ret, size, "/dev/mapper/%s", name);
			return ret;
		}
	}

	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major, minor);
	n = readlink(link, target, sizeof(target) - 1);
	if (n <= 0)
		return NULL;
	target[n] = '\0';
	n = snprintf(ret, size, "/dev/%s", strrchr(target, '/') ? strrchr(target, '/') + 1 : target);
	if (n < 0 || (size_t)n >= size)
		return NULL;
	/* sysfs writes the slash of cciss/c0d0 and its like as an exclamation mark */
	for (char *p = ret; (p = strchr(p, '!')); )
		*p = '/';
	return ret;
}

static void disks_words(uint32_t bits, const char *const *names, size_t count, char *ret,
			size_t size)
{
	size_t used = 0;

	*ret = '\0';
	for (size_t i = 0; i < count; i++) {
		if (!(bits & 1U << i))
			continue;
		used += (size_t)snprintf(ret + used, size - used, "%s%s", used ? "," : "",
					 names[i]);
		if (used >= size)
			return;
	}
}

/* Granules as bytes, no more than the disk has: its last granule may be short. */
static uint64_t disks_bytes(const struct tidemark_info *info, uint64_t granules)
{
	uint64_t bytes = granules * info->granule_sectors * 512;

	return bytes < info->sectors * 512 ? bytes : info->sectors * 512;
}

static void disks_row(struct output *o, const struct tidemark_info *info)
{
	static const char *const states[] = { "sealed", "draining", "torn", "suspended",
					      "metadata", "blind" };
	static const char *const reasons[] = { "resized", "replaced", "gap", "swapped", "bypassed",
					       "meta-lost", "meta-part", "meta-error", "unclean" };
	char path[PATH_MAX], words[128], uuid[37];

	output_row(o);
	output_text(o, DISKS_NAME, (const char *)info->name);
	output_text(o, DISKS_DEVICE, disks_path(info->major, info->minor, path, sizeof(path)));
	output_text(o, DISKS_UUID, output_uuid(info->uuid, uuid));
	output_number(o, DISKS_SIZE, info->sectors * 512);
	output_number(o, DISKS_GRANULE, info->granule_sectors * 512ULL);
	output_number(o, DISKS_MARKED, disks_bytes(info, info->marked));
	disks_words(info->state, states, sizeof(states) / sizeof(states[0]), words,
		    sizeof(words));
	output_text(o, DISKS_STATE, words);
	if (info->state & TIDEMARK_STATE_TORN)
		output_colour(o, DISKS_STATE, "yellow");
	output_number(o, DISKS_EPOCH, info->epoch);
	output_number(o, DISKS_NUMBER, info->disk);
	output_text(o, DISKS_DATA,
		    disks_path(info->data_major, info->data_minor, path, sizeof(path)));
	output_number(o, DISKS_GRANULES, info->granules);
	output_number(o, DISKS_SEALED, disks_bytes(info, info->sealed));
	output_number(o, DISKS_OWED, disks_bytes(info, info->owed));
	if (info->sealed_epoch)
		output_number(o, DISKS_SEALED_EPOCH, info->sealed_epoch);
	if (info->committed_epoch)
		output_number(o, DISKS_COMMITTED_EPOCH, info->committed_epoch);
	output_number(o, DISKS_TORN, info->torn);
	output_number(o, DISKS_POOL, info->pool_bytes);
	output_number(o, DISKS_POOL_USED, info->pool_used);
	output_number(o, DISKS_POOL_PEAK, info->pool_peak);
	disks_words(info->reason, reasons, sizeof(reasons) / sizeof(reasons[0]), words,
		    sizeof(words));
	output_text(o, DISKS_REASON, words);
	if (info->reason & (TIDEMARK_REASON_UNRELIABLE | TIDEMARK_REASON_META_ERROR))
		output_colour(o, DISKS_REASON, "red");
	output_number(o, DISKS_WRITES, info->writes);
	output_number(o, DISKS_WRITTEN, info->write_sectors * 512);
	output_number(o, DISKS_DISCARDED, info->discard_sectors * 512);
	if (info->message[0])
		output_text(o, DISKS_MESSAGE, (const char *)info->message);
}

static int disks_collect_all(struct tidemark *t, struct output *o)
{
	struct tidemark_info info;
	uint64_t *disks;
	size_t count;
	int r;

	r = tidemark_list(t, &disks, &count);
	if (r)
		return command_fail(r, "cannot list the disks");
	for (size_t i = 0; i < count; i++) {
		r = tidemark_info(t, disks[i], &info);
		if (r == -ENODEV)	/* detached since the list */
			continue;
		if (r)
			break;
		disks_row(o, &info);
	}
	free(disks);
	return r && r != -ENODEV ? command_fail(r, "cannot ask about a disk") : EXIT_DONE;
}

static int disks_collect(struct tidemark *t, struct output *o, char **names)
{
	struct tidemark_info info;
	int r;

	if (!*names)
		return disks_collect_all(t, o);
	for (; *names; names++) {
		r = tidemark_find(t, *names, &info);
		if (r == -ENODEV) {
			command_say("%s: is no tracked disk", *names);
			return EXIT_NOT_FOUND;
		}
		if (r)
			return command_fail(r, "cannot ask about %s", *names);
		disks_row(o, &info);
	}
	return EXIT_DONE;
}

int command_disks(int argc, char **argv)
{
	static const struct option options[] = {
		OUTPUT_LONG_OPTIONS,
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct output_options wanted = { 0 };
	struct tidemark *t;
	struct output *o;
	int option, code, r;

	while ((option = getopt_long(argc, argv, OUTPUT_SHORT_OPTIONS "h", options, NULL)) >= 0) {
		if (output_option(&wanted, option, optarg))
			continue;
		if (option != 'h')
			return command_usage("disks", NULL);
		fputs(disks_help, stdout);
		output_help_columns(disks_columns, COLUMNS);
		return EXIT_DONE;
	}

	code = command_open(&t, O_RDONLY);
	if (code)
		return code;
	o = output_new("disks", disks_columns, COLUMNS);
	code = disks_collect(t, o, argv + optind);
	if (!code) {
		r = output_print(o, &wanted);
		if (r == -EINVAL)
			code = command_usage("disks", NULL);
		else if (r)
			code = command_fail(r, "cannot print the list");
	}
	output_free(o);
	tidemark_close(t);
	return code;
}
