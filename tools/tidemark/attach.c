// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark attach - track the changes of a device
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/size.h"

static const char attach_help[] =
	"Usage: tidemark attach DEVICE [OPTION...]\n\n"
	"Track the changes of a block device from now on, and print the path of the\n"
	"tracked device.\n\n"
	"A device-mapper device (an LVM volume, an opened LUKS device) gets the tracker\n"
	"slid under it, live: it may be mounted or open, and keeps its path and number.\n"
	"Any other device must not be in use; with --name a new device is put over it,\n"
	"and from then on only the new one may be written to.\n\n"
	"  -N, --name NAME      put a new device of this name over DEVICE\n"
	"  -g, --granule SIZE   what one bit stands for: 4K to 4M, a power of two;\n"
	"                       64K if not given\n"
	"  -r, --read-only      the new device refuses writes (with --name)\n"
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

/* Return: EXIT_DONE, another exit code, or -1 when the help was printed. */
static int attach_parse(int argc, char **argv, struct tidemark_attach *ret)
{
	static const struct option options[] = {
		{ "name",	required_argument,	NULL, 'N' },
		{ "granule",	required_argument,	NULL, 'g' },
		{ "read-only",	no_argument,		NULL, 'r' },
		{ "help",	no_argument,		NULL, 'h' },
		{ }
	};
	int option, code;

	while ((option = getopt_long(argc, argv, "N:g:rh", options, NULL)) >= 0) {
		switch (option) {
		case 'N':
			ret->name = optarg;
			break;
		case 'g':
			code = attach_parse_granule(optarg, &ret->granule_sectors);
			if (code)
				return code;
			break;
		case 'r':
			ret->read_only = true;
			break;
		case 'h':
			fputs(attach_help, stdout);
			return -1;
		default:
			return command_usage("attach", NULL);
		}
	}
	if (optind + 1 != argc)
		return command_usage("attach", "attach takes one device");
	if (ret->read_only && !ret->name)
		return command_usage("attach", "--read-only needs --name");
	ret->device = argv[optind];
	return EXIT_DONE;
}

int command_attach(int argc, char **argv)
{
	struct tidemark_attach attach = { 0 };
	sigset_t all, old;
	char *path;
	int r;

	r = attach_parse(argc, argv, &attach);
	if (r)
		return r < 0 ? EXIT_DONE : r;

	/* an impatient Ctrl-C must not leave it half done */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	r = tidemark_attach(&attach, &path);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (r)
		return attach_explain(r, &attach);

	puts(path);
	free(path);
	return EXIT_DONE;
}
