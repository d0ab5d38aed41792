// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark detach - stop tracking a device
 */
#include "tidemark/command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "tidemark/trackers.h"

static const char detach_help[] =
	"Usage: tidemark detach DEVICE [--save]\n\n"
	"Stop tracking a device; what was marked is forgotten. DEVICE is the path or the\n"
	"device-mapper name of the tracked device. A tracker that was slid in is taken\n"
	"out live; a device that was put over another is removed, and must not be in use.\n\n"
	"  -s, --save           not at the next boot either: take it out of\n"
	"                       " TRACKERS_PATH "\n"
	"  -h, --help           this text\n";

static int detach_explain(int error, const char *device)
{
	switch (-error) {
	case ENOENT:
		command_say("%s: there is no such device", device);
		break;
	case ENOTBLK:
		command_say("%s: not a block device", device);
		break;
	case ENODEV:
		command_say("%s: is not tracked, see 'tidemark disks'", device);
		break;
	case EBUSY:
		command_say("%s: is in use, suspended, or being changed by somebody else: "
			    "free it first", device);
		break;
	case EOPNOTSUPP:
		command_say("%s: was not set up by 'tidemark attach': use dmsetup", device);
		break;
	case ENOSYS:
		command_say("this kernel has no device mapper, so nothing is tracked");
		break;
	case EACCES:
	case EPERM:
		command_say("%s: not permitted: run it as root", device);
		break;
	default:
		return command_fail(error, "cannot stop tracking %s", device);
	}
	return exit_code_of(error);
}

/*
 * After a detach with the result @r. A tracker that is not there may still be
 * in the table; one that could not be detached stays there.
 */
static int detach_forget(int r, const char *device)
{
	int forgotten;

	if (r && r != -ENODEV && r != -ENOENT)
		return detach_explain(r, device);
	forgotten = trackers_forget(TRACKERS_PATH, device);
	if (forgotten && forgotten != -ENOENT)
		return command_fail(forgotten, "cannot take %s out of " TRACKERS_PATH, device);
	return r && forgotten ? detach_explain(r, device) : EXIT_DONE;
}

int command_detach(int argc, char **argv)
{
	static const struct option options[] = {
		{ "save", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	bool save = false;
	sigset_t all, old;
	int option, r;

	while ((option = getopt_long(argc, argv, "sh", options, NULL)) >= 0) {
		if (option == 's') {
			save = true;
			continue;
		}
		if (option != 'h')
			return command_usage("detach", NULL);
		fputs(detach_help, stdout);
		return EXIT_DONE;
	}
	if (optind + 1 != argc)
		return command_usage("detach", "detach takes one device");

	/* an impatient Ctrl-C must not leave it half done */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	r = tidemark_detach(argv[optind]);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return save ? detach_forget(r, argv[optind]) :
	       r ? detach_explain(r, argv[optind]) : EXIT_DONE;
}
