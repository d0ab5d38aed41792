// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark meta - make, look at and mend metadata devices
 */
#include "tidemark/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <linux/fs.h>
#include <linux/tidemark-meta.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tidemark/output.h"
#include "tidemark/signature.h"
#include "tidemark/size.h"

#define GRANULE_DEFAULT (64 * 1024)

static const char meta_help[] =
	"Usage: tidemark meta format --for DISK [OPTION...] META\n"
	"       tidemark meta size   --for DISK [OPTION...]\n"
	"       tidemark meta check  META\n"
	"       tidemark meta dump   [--json] [--runs] META\n"
	"       tidemark meta repair META\n\n"
	"A metadata device keeps what is known of a tracked disk over a detach, a shutdown and\n"
	"a power cut. META is a partition, a logical volume or a file, of the size that\n"
	"'meta size' prints (bytes), and not in use.\n\n"
	"  -d, --for DISK       the disk to be tracked, or its size, like 40G\n"
	"  -g, --granule SIZE   what one bit stands for: 4K to 4M, a power of two; 64K\n"
	"  -i, --identity TEXT  what the table calls the disk, to notice an exchange\n"
	"  -c, --create         make META, a file, in the size that it needs\n"
	"  -a, --again          META is a metadata device already: forget what it knows\n"
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\"\n"
	"  -r, --runs           each run of granules that count as changed, too\n"
	"  -h, --help           this text\n";

/**
 * struct meta_options - the command line
 * @disk: a path or a size
 * @granule: bytes
 * @identity: or NULL
 * @path: of the metadata device
 * @create: make a file
 * @again: format over metadata
 * @json: for programs
 * @runs: list them
 */
struct meta_options {
	const char *disk;
	uint64_t granule;
	const char *identity;
	const char *path;
	bool create;
	bool again;
	bool json;
	bool runs;
};

/* -- opening ------------------------------------------------------------------ */

static int meta_open_explain(int error, const char *path)
{
	switch (-error) {
	case EBUSY:
	case EWOULDBLOCK:
		command_say("%s: is in use; a metadata device is, while its disk is attached", path);
		return EXIT_IN_USE;
	case ENOTBLK:
		command_say("%s: neither a block device nor a file", path);
		return EXIT_USAGE;
	}
	return command_fail(error, "cannot open %s", path);
}

/*
 * For ourselves alone if @flags has O_EXCL: the kernel sees to that for a
 * device, a lock among ourselves for a file.
 */
static int meta_open(const char *path, int flags, int *ret_fd)
{
	struct stat st;
	int fd, error = 0;

	if (stat(path, &st)) {
		if (errno != ENOENT || !(flags & O_CREAT))
			return meta_open_explain(-errno, path);
		st.st_mode = S_IFREG;
	}
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		return meta_open_explain(-ENOTBLK, path);
	if (S_ISREG(st.st_mode))
		fd = open(path, (flags & ~O_EXCL) | O_CLOEXEC, 0600);
	else
		fd = open(path, (flags & ~O_CREAT) | O_CLOEXEC);
	if (fd < 0)
		return meta_open_explain(-errno, path);
	if (S_ISREG(st.st_mode) && (flags & O_EXCL) && flock(fd, LOCK_EX | LOCK_NB))
		error = -errno;
	if (error) {
		close(fd);
		return meta_open_explain(error, path);
	}
	*ret_fd = fd;
	return EXIT_DONE;
}

static int file_bytes(const char *path, uint64_t *ret)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		r = -errno;
	else if (S_ISREG(st.st_mode))
		*ret = st.st_size;
	else if (!S_ISBLK(st.st_mode))
		r = -ENOTBLK;
	else if (ioctl(fd, BLKGETSIZE64, ret))
		r = -errno;
	close(fd);
	return r;
}

/* --for is a path when there is such a file, else a size. */
static int disk_bytes(const char *disk, uint64_t *ret)
{
	int r;

	if (!strchr(disk, '/') && !size_parse(disk, ret))
		return EXIT_DONE;
	r = file_bytes(disk, ret);
	if (r == -ENOTBLK) {
		command_say("%s: neither a block device nor a file", disk);
		return EXIT_USAGE;
	}
	return r ? command_fail(r, "%s: no disk and no size", disk) : EXIT_DONE;
}

static int layout_of(const struct meta_options *o, struct tidemark_meta_layout *ret)
{
	uint64_t bytes = 0;
	int code = disk_bytes(o->disk, &bytes);
	int r;

	if (code)
		return code;
	if (bytes % 512) {
		command_say("%s: its size is no multiple of 512 bytes", o->disk);
		return EXIT_USAGE;
	}
	r = o->granule > UINT32_MAX || o->granule % 512 ? -EINVAL :
	    tidemark_meta_layout(bytes / 512, o->granule / 512, ret);
	switch (r) {
	case 0:
		return EXIT_DONE;
	case -EFBIG:
		command_say("%s: more than 2^30 granules: make them larger", o->disk);
		return EXIT_USAGE;
	}
	command_say(bytes ? "a granule is a power of two from 4K to 4M" : "the disk is empty");
	return EXIT_USAGE;
}

/* -- format ------------------------------------------------------------------- */

static bool same_file(const char *a, const char *b)
{
	struct stat x, y;

	if (stat(a, &x) || stat(b, &y))
		return false;
	return S_ISBLK(x.st_mode) && S_ISBLK(y.st_mode) ? x.st_rdev == y.st_rdev :
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Metadata of ours, in whatever state, is not overwritten by accident either. */
static bool holds_metadata(int fd)
{
	char magic[2][8] = { };

	return (pread(fd, magic[0], 8, 0) == 8 && !memcmp(magic[0], TIDEMARK_META_MAGIC, 8)) ||
	       (pread(fd, magic[1], 8, TIDEMARK_META_BLOCK) == 8 &&
		!memcmp(magic[1], TIDEMARK_META_MAGIC, 8));
}

static int format_allowed(int fd, const struct meta_options *o)
{
	char text[SIGNATURE_TEXT_MAX];
	int r;

	if (same_file(o->path, o->disk)) {
		command_say("%s: is the disk itself", o->path);
		return EXIT_USAGE;
	}
	r = signature_find(fd, text);
	if (r < 0)
		return command_fail(r, "cannot look what is on %s", o->path);
	if (r) {
		command_say("%s: holds something already (%s); wipe it yourself, with wipefs, "
			    "if it is not needed", o->path, text);
		return EXIT_IN_USE;
	}
	if (holds_metadata(fd) && !o->again) {
		command_say("%s: is a metadata device already; --again forgets what it knows",
			    o->path);
		return EXIT_IN_USE;
	}
	return EXIT_DONE;
}

/* A file that is to be made gets its size; one that holds anything keeps its own. */
static int format_size(int fd, const struct meta_options *o, uint64_t needed)
{
	off_t size = lseek(fd, 0, SEEK_END);
	int r;

	if (size < 0)
		return command_fail(-errno, "cannot measure %s", o->path);
	if (o->create && !size) {
		r = posix_fallocate(fd, 0, needed);
		return r ? command_fail(-r, "no room for %s", o->path) : EXIT_DONE;
	}
	if ((uint64_t)size >= needed)
		return EXIT_DONE;
	command_say("%s: has %" PRId64 " bytes, but %" PRIu64 " are needed", o->path,
		    (int64_t)size, needed);
	return EXIT_USAGE;
}

static int meta_format(const struct meta_options *o)
{
	struct tidemark_meta_layout layout;
	int fd = -1, r, code = layout_of(o, &layout);

	if (!code)
		code = meta_open(o->path, O_RDWR | O_EXCL | (o->create ? O_CREAT : 0), &fd);
	if (code)
		return code;
	code = format_allowed(fd, o);
	if (!code)
		code = format_size(fd, o, layout.bytes);
	if (!code) {
		r = tidemark_meta_format(fd, layout.sectors, layout.granule_sectors, o->identity);
		if (r == -ENAMETOOLONG) {
			command_say("an identity has at most %d bytes", TIDEMARK_IDENTITY_MAX);
			code = EXIT_USAGE;
		} else if (r) {
			code = command_fail(r, "cannot format %s", o->path);
		}
	}
	close(fd);
	return code;
}

static int meta_size(const struct meta_options *o)
{
	struct tidemark_meta_layout layout;
	int code = layout_of(o, &layout);

	if (!code)
		printf("%" PRIu64 "\n", layout.bytes);
	return code;
}

/* -- check and dump ----------------------------------------------------------- */

static const char *state_name(uint32_t state)
{
	static const char *const names[] = {
		[TIDEMARK_META_NEW] = "new",
		[TIDEMARK_META_CLEAN] = "clean",
		[TIDEMARK_META_ACTIVE] = "active",
		[TIDEMARK_META_ALL] = "all",
	};

	return state < sizeof(names) / sizeof(names[0]) && names[state] ? names[state] : "unknown";
}

static const char *slot_name(uint8_t slot)
{
	static const char *const names[] = {
		[TIDEMARK_META_SLOT_EMPTY] = "empty",
		[TIDEMARK_META_SLOT_FOREIGN] = "foreign",
		[TIDEMARK_META_SLOT_DAMAGED] = "damaged",
		[TIDEMARK_META_SLOT_UNKNOWN] = "unknown",
		[TIDEMARK_META_SLOT_VALID] = "valid",
	};

	return names[slot];
}

static int load_explain(int error, const char *path)
{
	switch (-error) {
	case ENOMSG:
		command_say("%s: is no metadata device", path);
		return EXIT_NOT_FOUND;
	case EBADMSG:
		command_say("%s: neither superblock verifies: nothing can be read from it. Format "
			    "it with --again; the replica will be compared", path);
		return EXIT_FAILED;
	case EPROTONOSUPPORT:
		command_say("%s: was written by a later version", path);
		return EXIT_NOT_SUPPORTED;
	case ENODATA:
		command_say("%s: ends before its metadata does", path);
		return EXIT_FAILED;
	}
	return command_fail(error, "cannot read %s", path);
}

static int meta_load(const struct meta_options *o, struct tidemark_meta **ret)
{
	int fd, r, code = meta_open(o->path, O_RDONLY | O_EXCL, &fd);

	if (code)
		return code;
	r = tidemark_meta_load(fd, ret);
	close(fd);
	return r ? load_explain(r, o->path) : EXIT_DONE;
}

static bool twin_missing(const struct tidemark_meta_report *r)
{
	uint8_t twin = r->slots[!r->slot];

	return twin != TIDEMARK_META_SLOT_VALID && !(twin == TIDEMARK_META_SLOT_EMPTY && r->seq == 1);
}

static int meta_check(const struct meta_options *o)
{
	struct tidemark_meta *m = NULL;
	const struct tidemark_meta_report *r;
	int code = meta_load(o, &m);

	if (code)
		return code;
	r = tidemark_meta_report(m);
	printf("%s: %s, superblock %" PRIu64 ", %" PRIu64 " of %" PRIu64 " granules changed\n",
	       o->path, state_name(r->state), r->seq, r->changed, r->layout.granules);
	if (twin_missing(r)) {
		command_say("superblock slot %d is %s: a power cut can leave that, and the next "
			    "attach mends it", !r->slot, slot_name(r->slots[!r->slot]));
		code = EXIT_WARNINGS;
	}
	/* The units of a device that never was attached, or where all counts, mean nothing. */
	if (!r->all && (r->intent_bad || r->bitmap_bad)) {
		command_say("%" PRIu64 " intent units and %" PRIu64 " bitmap units do not verify: "
			    "all that they stand for counts as changed", r->intent_bad,
			    r->bitmap_bad);
		code = EXIT_WARNINGS;
	}
	tidemark_meta_free(m);
	return code;
}

static char *reasons_text(uint32_t reason, char *ret, size_t size)
{
	size_t used = 0;

	ret[0] = '\0';
	for (uint32_t bit = 1; bit; bit <<= 1)
		if ((reason & bit) && used < size)
			used += snprintf(ret + used, size - used, "%s%s", used ? "," : "",
					 tidemark_reason_name(bit));
	return ret;
}

static void dump_text(const struct tidemark_meta_report *r)
{
	char uuid[37], size[SIZE_TEXT], granule[SIZE_TEXT], reasons[256];

	printf("uuid             %s\n", output_uuid(r->uuid, uuid));
	printf("format           %s\n", output_uuid(r->format, uuid));
	printf("identity         %s\n", r->identity[0] ? r->identity : "-");
	printf("state            %s\n", state_name(r->state));
	printf("reasons          %s\n", r->reason ? reasons_text(r->reason, reasons,
								   sizeof(reasons)) : "-");
	printf("size             %s\n", size_format(r->layout.sectors * 512, size));
	printf("granule          %s\n", size_format(r->layout.granule_sectors * 512ull, granule));
	printf("superblock       %" PRIu64 ", slots %s and %s\n", r->seq, slot_name(r->slots[0]),
	       slot_name(r->slots[1]));
	printf("next epoch       %" PRIu64 "\n", r->next_epoch);
	printf("sealed epoch     %" PRIu64 "\n", r->sealed_epoch);
	printf("committed epoch  %" PRIu64 "\n", r->committed_epoch);
	printf("unreliable epoch %" PRIu64 "\n", r->unreliable_epoch);
	printf("marked           %" PRIu64 " of %" PRIu64 " granules\n", r->marked,
	       r->layout.granules);
	printf("intent           %" PRIu64 " of %" PRIu64 " extents\n", r->intents,
	       r->layout.extents);
	printf("changed          %" PRIu64 " granules\n", r->changed);
	printf("damaged units    %" PRIu64 " intent, %" PRIu64 " bitmap\n", r->intent_bad,
	       r->bitmap_bad);
	printf("writes           %" PRIu64 "\n", r->writes);
}

static void dump_runs(const struct tidemark_meta *m)
{
	struct tidemark_run run = { };

	while (tidemark_meta_next(m, run.first + run.count, &run))
		printf("%" PRIu64 " %" PRIu64 "\n", (uint64_t)run.first, (uint64_t)run.count);
}

static void add_number(struct json_object *o, const char *name, uint64_t number)
{
	json_object_object_add(o, name, json_object_new_uint64(number));
}

static void add_text(struct json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

static struct json_object *json_reasons(uint32_t reason)
{
	struct json_object *list = json_object_new_array();

	for (uint32_t bit = 1; bit; bit <<= 1)
		if (reason & bit)
			json_object_array_add(list,
					      json_object_new_string(tidemark_reason_name(bit)));
	return list;
}

static struct json_object *json_runs(const struct tidemark_meta *m)
{
	struct json_object *list = json_object_new_array();
	struct tidemark_run run = { };

	while (tidemark_meta_next(m, run.first + run.count, &run)) {
		struct json_object *pair = json_object_new_array_ext(2);

		json_object_array_add(pair, json_object_new_uint64(run.first));
		json_object_array_add(pair, json_object_new_uint64(run.count));
		json_object_array_add(list, pair);
	}
	return list;
}

static void json_numbers(struct json_object *o, const struct tidemark_meta_report *r)
{
	add_number(o, "size", r->layout.sectors * 512);
	add_number(o, "granule", r->layout.granule_sectors * 512ull);
	add_number(o, "granules", r->layout.granules);
	add_number(o, "extents", r->layout.extents);
	add_number(o, "sequence", r->seq);
	add_number(o, "next_epoch", r->next_epoch);
	add_number(o, "sealed_epoch", r->sealed_epoch);
	add_number(o, "committed_epoch", r->committed_epoch);
	add_number(o, "unreliable_epoch", r->unreliable_epoch);
	add_number(o, "marked", r->marked);
	add_number(o, "intents", r->intents);
	add_number(o, "changed", r->changed);
	add_number(o, "bad_intent_units", r->intent_bad);
	add_number(o, "bad_bitmap_units", r->bitmap_bad);
	add_number(o, "writes", r->writes);
	add_number(o, "time", r->time);
}

static void dump_json(const struct tidemark_meta *m, bool runs)
{
	const struct tidemark_meta_report *r = tidemark_meta_report(m);
	struct json_object *o = json_object_new_object(), *slots = json_object_new_array();
	char uuid[37];

	add_text(o, "schema", OUTPUT_SCHEMA);
	add_text(o, "uuid", output_uuid(r->uuid, uuid));
	add_text(o, "format", output_uuid(r->format, uuid));
	add_text(o, "identity", r->identity);
	add_text(o, "state", state_name(r->state));
	json_object_object_add(o, "reasons", json_reasons(r->reason));
	for (int i = 0; i < 2; i++)
		json_object_array_add(slots, json_object_new_string(slot_name(r->slots[i])));
	json_object_object_add(o, "slots", slots);
	json_object_object_add(o, "all", json_object_new_boolean(r->all));
	json_numbers(o, r);
	if (runs)
		json_object_object_add(o, "runs", json_runs(m));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
					       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static int meta_dump(const struct meta_options *o)
{
	struct tidemark_meta *m = NULL;
	int code = meta_load(o, &m);

	if (code)
		return code;
	if (o->json) {
		dump_json(m, o->runs);
	} else {
		dump_text(tidemark_meta_report(m));
		if (o->runs)
			dump_runs(m);
	}
	tidemark_meta_free(m);
	return EXIT_DONE;
}

static int meta_repair(const struct meta_options *o)
{
	struct tidemark_meta_repaired done = { };
	int fd, r, code = meta_open(o->path, O_RDWR | O_EXCL, &fd);

	if (code)
		return code;
	r = tidemark_meta_repair(fd, &done);
	close(fd);
	if (r)
		return load_explain(r, o->path);
	printf("%s: %u superblocks written, %" PRIu64 " intent units and %" PRIu64
	       " bitmap units set to all changed\n", o->path, done.supers, done.intent_units,
	       done.bitmap_units);
	return EXIT_DONE;
}

/* -- the command line --------------------------------------------------------- */

static const struct meta_action {
	const char *name;
	int (*run)(const struct meta_options *o);
	bool disk;
	bool path;
} meta_actions[] = {
	{ "format",	meta_format,	true,	true },
	{ "size",	meta_size,	true,	false },
	{ "check",	meta_check,	false,	true },
	{ "dump",	meta_dump,	false,	true },
	{ "repair",	meta_repair,	false,	true },
};

static int meta_option(struct meta_options *o, int option, const char *argument)
{
	switch (option) {
	case 'd':
		o->disk = argument;
		return EXIT_DONE;
	case 'g':
		return size_parse(argument, &o->granule) ?
			command_usage("meta", "'%s' is no size", argument) : EXIT_DONE;
	case 'i':
		o->identity = argument;
		return EXIT_DONE;
	case 'c':
		o->create = true;
		return EXIT_DONE;
	case 'a':
		o->again = true;
		return EXIT_DONE;
	case 'J':
		o->json = true;
		return EXIT_DONE;
	case 'r':
		o->runs = true;
		return EXIT_DONE;
	}
	return command_usage("meta", NULL);
}

static int meta_dispatch(struct meta_options *o, int argc, char **argv)
{
	const struct meta_action *action = NULL;

	if (!argc)
		return command_usage("meta", "meta takes format, size, check, dump or repair");
	for (size_t i = 0; i < sizeof(meta_actions) / sizeof(meta_actions[0]); i++)
		if (!strcmp(meta_actions[i].name, argv[0]))
			action = &meta_actions[i];
	if (!action)
		return command_usage("meta", "there is no 'meta %s'", argv[0]);
	if (argc != 1 + action->path)
		return command_usage("meta", "meta %s takes %s", action->name,
				     action->path ? "one metadata device" : "no argument");
	if (action->disk != !!o->disk)
		return command_usage("meta", action->disk ? "meta %s needs --for" :
				     "meta %s takes no --for", action->name);
	o->path = action->path ? argv[1] : NULL;
	return action->run(o);
}

int command_meta(int argc, char **argv)
{
	static const struct option options[] = {
		{ "for", required_argument, NULL, 'd' },
		{ "granule", required_argument, NULL, 'g' },
		{ "identity", required_argument, NULL, 'i' },
		{ "create", no_argument, NULL, 'c' },
		{ "again", no_argument, NULL, 'a' },
		{ "json", no_argument, NULL, 'J' },
		{ "runs", no_argument, NULL, 'r' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct meta_options o = { .granule = GRANULE_DEFAULT };
	int option, code;

	while ((option = getopt_long(argc, argv, "d:g:i:caJrh", options, NULL)) >= 0) {
		if (option == 'h') {
			fputs(meta_help, stdout);
			return EXIT_DONE;
		}
		code = meta_option(&o, option, optarg);
		if (code)
			return code;
	}
	return meta_dispatch(&o, argc - optind, argv + optind);
}
