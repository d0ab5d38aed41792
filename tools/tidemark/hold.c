// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemark hold - keep all tracked devices open until killed
 *
 * For the end of a shutdown: a device that is open is not removed, so it is
 * tracked until process 1 has killed everybody and takes devices apart itself.
 * Then its metadata may say that nothing was written after that.
 */
#include "tidemark/command.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

static const char hold_help[] =
	"Usage: tidemark hold\n\n"
	"Keep all devices that are tracked now open, and thus from being removed, until\n"
	"it is killed. tidemark-hold.service does this while the host goes down.\n\n"
	"  -h, --help           this text\n";

/* The descriptor stays open until the end: this is what it is for. */
static int hold_open(struct tidemark *t, uint64_t disk)
{
	struct tidemark_info info;
	char path[32];
	int fd, r = tidemark_info(t, disk, &info);

	if (r == -ENODEV)	/* detached since the list */
		return EXIT_DONE;
	if (r)
		return command_fail(r, "cannot ask about a disk");
	/* devtmpfs has it, whatever udev has taken away already */
	snprintf(path, sizeof(path), "/dev/dm-%u", info.minor);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? command_fail(-errno, "cannot open %s", path) : EXIT_DONE;
}

/* Those that can be held are, whatever is with the others. */
static int hold_all(struct tidemark *t)
{
	uint64_t *disks;
	size_t count;
	int code = EXIT_DONE, one, r;

	r = tidemark_list(t, &disks, &count);
	if (r)
		return command_fail(r, "cannot list the disks");
	for (size_t i = 0; i < count; i++) {
		one = hold_open(t, disks[i]);
		code = code ? code : one;
	}
	free(disks);
	return code;
}

int command_hold(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	struct tidemark *t;
	int option, code;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) >= 0) {
		if (option != 'h')
			return command_usage("hold", NULL);
		fputs(hold_help, stdout);
		return EXIT_DONE;
	}
	if (optind != argc)
		return command_usage("hold", "hold takes no device");
	code = command_open(&t, O_RDONLY);
	if (code)
		return code;
	code = hold_all(t);
	tidemark_close(t);
	sd_notifyf(0, "READY=1\nSTATUS=%s", code ? "Not all devices are held" :
					       "All devices are held");
	for (;;)
		pause();
}
