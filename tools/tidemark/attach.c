// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark attach - track the changes of a device
 */
#include "tidemark/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tidemark/size.h"
#include "tidemark/trackers.h"

#define WAIT_MAX 3600
#define WAIT_TICKS 5

/* What was asked for. */
struct attach_request {
	struct tidemark_attach attach;
	bool save;
	bool all;
	unsigned int wait;
};

static const char attach_help[] =
	"Usage: tidemark attach DEVICE [OPTION...]\n"
	"       tidemark attach --all [--wait SECONDS]\n\n"
	"Track the changes of a block device from now on, and print the path of the\n"
	"tracked device.\n\n"
	"A device-mapper device (an LVM volume, an opened LUKS device) gets the tracker\n"
	"slid under it, live: it may be mounted or open, and keeps its path and number.\n"
	"Any other device must not be in use; with --name a new device is put over it,\n"
	"and from then on only the new one may be written to.\n\n"
	"  -N, --name NAME      put a new device of this name over DEVICE\n"
	"  -g, --granule SIZE   what one bit stands for: 4K to 4M, a power of two;\n"
	"                       64K if not given\n"
	"  -m, --meta DEVICE    keep what is known of the disk on this device, so that it\n"
	"                       outlives detach, shutdown and crash; formatted if blank\n"
	"      --meta tail      at the end of DEVICE, which the new device then lacks\n"
	"                       (with --name; the first time on a blank disk only)\n"
	"  -r, --read-only      the new device refuses writes (with --name)\n"
	"  -s, --save           do it at each boot, too: note it in\n"
	"                       " TRACKERS_PATH "\n"
	"  -a, --all            all that are noted there and not tracked yet\n"
	"  -w, --wait SECONDS   wait for devices that are not there yet (with --all)\n"
	"  -h, --help           this text\n";

static int attach_explain(int error, const struct tidemark_attach *attach)
{
	const char *device = attach->device;

	switch (-error) {
	case ENOENT:
		command_say("%s: there is no such device", device);
		break;
	case ENOTBLK:
		command_say("%s: not a block device", device);
		break;
	case EMEDIUMTYPE:
		command_say("%s: not a device-mapper device, so nothing can be slid under it: "
			    "give --name to put a new device over it", device);
		break;
	case EALREADY:
		command_say("%s: is tracked already, see 'tidemark disks'", device);
		break;
	case EEXIST:
		if (attach->name)
			command_say("the name '%s' is taken by another device: choose another",
				    attach->name);
		else
			command_say("%s: the name of the hidden device below it, its own with "
				    "'-tidemark' behind, is taken by another device", device);
		break;
	case EBUSY:
		if (attach->name)
			command_say("%s: is in use (mounted, swapped to, or held by another "
				    "device): free it first", device);
		else
			command_say("%s: is suspended, or somebody is changing its table now: "
				    "try again when that is over", device);
		break;
	case EOPNOTSUPP:
		command_say("%s: has a device-mapper target that keeps state of its own and "
			    "cannot be moved: give --name to put a new device over it", device);
		break;
	case ENODEV:
		command_say("%s: there is no such metadata device", attach->meta ?: device);
		break;
	case ENOMSG:
		command_say("%s: holds something that is no metadata: if it may be lost, run "
			    "'tidemark meta format'", attach->meta ?: device);
		break;
	case ENOSPC:
		command_say("%s: is too small for the metadata of this disk with this granule",
			    attach->meta ?: device);
		break;
	case ENOTEMPTY:
		command_say("%s: holds something already, which may reach up to its end: its tail "
			    "can be had while it is blank only; name another device by --meta",
			    device);
		break;
	case EINVAL:
		command_say("%s: cannot be tracked like this: check --name and --granule, and "
			    "the kernel log for what it refused", device);
		break;
	case ENAMETOOLONG:
		command_say("the name is too long");
		break;
	case EROFS:
		command_say("%s: is read-only: give --read-only to track it all the same",
			    device);
		break;
	case ENOPKG:
		command_say("the kernel module is not loaded: run 'modprobe dm-tidemark'");
		break;
	case ENOSYS:
		command_say("this kernel has no device mapper: run 'modprobe dm-mod'");
		break;
	case EACCES:
	case EPERM:
		command_say("%s: not permitted: run it as root", device);
		break;
	default:
		return command_fail(error, "cannot track %s", device);
	}
	return exit_code_of(error);
}

static int attach_parse_granule(const char *text, uint32_t *ret_sectors)
{
	uint64_t bytes;

	if (size_parse(text, &bytes) || bytes < TIDEMARK_GRANULE_MIN * 512ULL ||
	    bytes > TIDEMARK_GRANULE_MAX * 512ULL || bytes & (bytes - 1))
		return command_usage("attach", "'%s' is no granule: 4K to 4M, a power of two",
				     text);
	*ret_sectors = (uint32_t)(bytes / 512);
	return EXIT_DONE;
}

static int attach_parse_wait(const char *text, unsigned int *ret)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || seconds > WAIT_MAX)
		return command_usage("attach", "'%s' are no seconds, 0 to %d", text, WAIT_MAX);
	*ret = (unsigned int)seconds;
	return EXIT_DONE;
}

/* Return: an exit code */
static int attach_check(const struct attach_request *r)
{
	const struct tidemark_attach *a = &r->attach;

	if (r->all && (a->device || a->name || a->granule_sectors || a->read_only || a->meta || r->save))
		return command_usage("attach", "--all takes what is in " TRACKERS_PATH
				     ", no device and no other option but --wait");
	if (r->wait && !r->all)
		return command_usage("attach", "--wait needs --all");
	if (!r->all && !a->device)
		return command_usage("attach", "attach takes one device");
	if (a->read_only && !a->name)
		return command_usage("attach", "--read-only needs --name");
	if (a->meta && !strcmp(a->meta, TIDEMARK_META_TAIL) && !a->name)
		return command_usage("attach", "--meta tail needs --name: a live device keeps its "
				     "size");
	if (a->read_only && a->meta)
		return command_usage("attach", "--read-only needs no --meta: nothing changes");
	return EXIT_DONE;
}

/* Return: EXIT_DONE, another exit code, or -1 when the help was printed. */
static int attach_parse(int argc, char **argv, struct attach_request *ret)
{
	static const struct option options[] = {
		{ "name",	required_argument,	NULL, 'N' },
		{ "granule",	required_argument,	NULL, 'g' },
		{ "meta",	required_argument,	NULL, 'm' },
		{ "read-only",	no_argument,		NULL, 'r' },
		{ "save",	no_argument,		NULL, 's' },
		{ "all",	no_argument,		NULL, 'a' },
		{ "wait",	required_argument,	NULL, 'w' },
		{ "help",	no_argument,		NULL, 'h' },
		{ }
	};
	int option, code = EXIT_DONE;

	while (!code && (option = getopt_long(argc, argv, "N:g:m:rsaw:h", options, NULL)) >= 0) {
		switch (option) {
		case 'N':
			ret->attach.name = optarg;
			break;
		case 'g':
			code = attach_parse_granule(optarg, &ret->attach.granule_sectors);
			break;
		case 'm':
			ret->attach.meta = optarg;
			break;
		case 'r':
			ret->attach.read_only = true;
			break;
		case 's':
			ret->save = true;
			break;
		case 'a':
			ret->all = true;
			break;
		case 'w':
			code = attach_parse_wait(optarg, &ret->wait);
			break;
		case 'h':
			fputs(attach_help, stdout);
			return -1;
		default:
			return command_usage("attach", NULL);
		}
	}
	if (code)
		return code;
	if (optind + 1 < argc)
		return command_usage("attach", "attach takes one device");
	ret->attach.device = argv[optind];
	return attach_check(ret);
}

/* Return: 0, with the path printed, or a negative errno */
static int attach_do(const struct tidemark_attach *attach)
{
	sigset_t all, old;
	char *path;
	int r;

	/* an impatient Ctrl-C must not leave it half done */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	r = tidemark_attach(attach, &path);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (r)
		return r;
	puts(path);
	free(path);
	return 0;
}

/* -- one, and at each boot -------------------------------------------------- */

/* A name of today may be another disk tomorrow. Return: an exit code */
static int attach_stable(const char *path, char **ret)
{
	int r = trackers_stable(path, ret);

	if (r == -ENOENT) {
		command_say("%s: has no name that is the same after a reboot: name it by a "
			    "link in /dev/disk or in /dev/mapper", path);
		return EXIT_USAGE;
	}
	return r ? command_fail(r, "%s", path) : EXIT_DONE;
}

static int attach_save(const struct tidemark_attach *attach)
{
	bool meta_named = attach->meta && strcmp(attach->meta, TIDEMARK_META_TAIL) != 0;
	struct tidemark_attach saved = *attach;
	char *device = NULL, *meta = NULL;
	int r, code;

	/* before anything is changed */
	code = attach_stable(attach->device, &device);
	if (!code && meta_named)
		code = attach_stable(attach->meta, &meta);
	if (code) {
		free(device);
		return code;
	}
	r = attach_do(attach);
	/* what is tracked already may well be wanted at each boot */
	if (r && r != -EALREADY) {
		free(device);
		free(meta);
		return attach_explain(r, attach);
	}
	saved.device = device;
	saved.meta = meta_named ? meta : attach->meta;
	r = trackers_save(TRACKERS_PATH, &saved);
	free(device);
	free(meta);
	return r ? command_fail(r, "%s is tracked, but cannot be noted in " TRACKERS_PATH,
				attach->device) : EXIT_DONE;
}

/* -- all of the table ------------------------------------------------------- */

/* Is it there by our own doing, an earlier --all for example? */
static bool attach_is_done(int r, const struct tidemark_attach *attach)
{
	struct tidemark_info info;
	struct tidemark *t;
	bool found;

	if (r == -EALREADY && !attach->name)
		return true;
	if ((r != -EALREADY && r != -EEXIST) || !attach->name || tidemark_open(&t, O_RDONLY))
		return false;
	found = tidemark_find(t, attach->name, &info) == 0;
	tidemark_close(t);
	return found;
}

/*
 * Once through the table. What is done, or cannot be done, is marked in @done;
 * a device that is not there yet (-ENOENT), or whose metadata device is not
 * (-ENODEV), is left unless it is the @last time.
 *
 * Return: how many are left; *@ret_code is of the first failure
 */
static size_t attach_round(const struct trackers *t, bool *done, bool last, int *ret_code)
{
	size_t left = 0;

	for (size_t i = 0; i < t->count; i++) {
		int r, code;

		if (done[i])
			continue;
		r = attach_do(&t->list[i]);
		if ((r == -ENOENT || r == -ENODEV) && !last) {
			left++;
			continue;
		}
		done[i] = true;
		if (!r || attach_is_done(r, &t->list[i]))
			continue;
		code = attach_explain(r, &t->list[i]);
		if (!*ret_code)
			*ret_code = code;
	}
	return left;
}

static int attach_all(unsigned int seconds)
{
	struct trackers trackers = { 0 };
	char why[TRACKERS_WHY];
	int code = EXIT_DONE;
	bool *done;
	int r;

	r = trackers_load(TRACKERS_PATH, &trackers, why);
	if (r) {
		command_say("%s", why);
		return r == -EINVAL ? EXIT_USAGE : exit_code_of(r);
	}
	done = calloc(trackers.count + 1, sizeof(*done));
	if (!done) {
		trackers_free(&trackers);
		return command_fail(-ENOMEM, "cannot track");
	}
	/* devices come in any order; none waits for another one's coming */
	for (unsigned int tick = 0; ; tick++) {
		bool last = tick >= seconds * WAIT_TICKS;

		if (!attach_round(&trackers, done, last, &code))
			break;
		usleep(1000000 / WAIT_TICKS);
	}
	free(done);
	trackers_free(&trackers);
	return code;
}

int command_attach(int argc, char **argv)
{
	struct attach_request request = { 0 };
	int r;

	r = attach_parse(argc, argv, &request);
	if (r)
		return r < 0 ? EXIT_DONE : r;
	if (request.all)
		return attach_all(request.wait);
	if (request.save)
		return attach_save(&request.attach);
	r = attach_do(&request.attach);
	return r ? attach_explain(r, &request.attach) : EXIT_DONE;
}
