// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * command - how subcommands end and how they speak
 */
#include "tidemark/command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum exit_code exit_code_of(int error)
{
	switch (-error) {
	case 0:
		return EXIT_DONE;
	case EINVAL: case E2BIG: case ERANGE: case EDOM: case ENAMETOOLONG:
	case ENOTBLK: case EMEDIUMTYPE: case ENOTDIR: case EISDIR: case EBADMSG:
		return EXIT_USAGE;
	case ENOENT: case ENODEV: case ENXIO: case ESRCH:
		return EXIT_NOT_FOUND;
	case EACCES: case EPERM: case EROFS: case EKEYREJECTED:
		return EXIT_DENIED;
	case EOPNOTSUPP: case ENOTTY: case EPROTO: case EPROTONOSUPPORT: case EAFNOSUPPORT:
		return EXIT_NOT_SUPPORTED;
	case EINPROGRESS: case EINTR:
		return EXIT_UNKNOWN;
	case ETIMEDOUT: case ETIME:
		return EXIT_TIMEOUT;
	case EBUSY: case EEXIST: case ETXTBSY: case EADDRINUSE: case ENOTEMPTY:
		return EXIT_IN_USE;
	case EALREADY: case EAGAIN: case ESTALE: case ENODATA: case ECANCELED:
		return EXIT_INVALID_STATE;
	case ENOPKG: case ENOSYS: case ECONNREFUSED: case ECONNRESET: case ENOTCONN:
	case EHOSTUNREACH: case ENETUNREACH: case EHOSTDOWN: case ENETDOWN: case ESHUTDOWN:
		return EXIT_NOT_AVAILABLE;
	case ENOMEM: case ENOBUFS:
		return EXIT_NO_MEMORY;
	}
	return EXIT_FAILED;
}

void command_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("tidemark: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

int command_fail(int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("tidemark: ", stderr);
	vfprintf(stderr, format, args);
	fprintf(stderr, ": %s\n", strerror(-error));
	va_end(args);
	return exit_code_of(error);
}

int command_usage(const char *command, const char *format, ...)
{
	va_list args;

	if (format) {
		va_start(args, format);
		fputs("tidemark: ", stderr);
		vfprintf(stderr, format, args);
		fputc('\n', stderr);
		va_end(args);
	}
	fprintf(stderr, "Try 'tidemark %s%s--help'.\n", command ?: "", command ? " " : "");
	return EXIT_USAGE;
}

bool command_sure(bool yes, const char *format, ...)
{
	char answer[8] = "";
	va_list args;

	if (yes)
		return true;
	if (!isatty(STDIN_FILENO)) {
		command_say("nobody can be asked here: give --yes");
		return false;
	}
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs(" [y/N] ", stderr);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

char *command_path(const char *path)
{
	char *folder, *whole = NULL;

	if (path[0] == '/' || !path[0])
		return strdup(path);
	folder = getcwd(NULL, 0);
	if (folder && asprintf(&whole, "%s/%s", folder, path) < 0)
		whole = NULL;
	free(folder);
	return whole;
}

int command_open(struct tidemark **ret, int flags)
{
	int r = tidemark_open(ret, flags);

	switch (-r) {
	case 0:
		return EXIT_DONE;
	case ENOENT:
		command_say("the kernel module is not loaded: run 'modprobe dm-tidemark'");
		return EXIT_NOT_AVAILABLE;
	case EPROTO:
		command_say("the loaded kernel module has another interface than this command: "
			    "install the same version of both");
		return EXIT_NOT_SUPPORTED;
	case EACCES:
	case EPERM:
		command_say("no permission to open " TIDEMARK_CONTROL_PATH ": run it as root");
		return EXIT_DENIED;
	}
	return command_fail(r, "cannot open " TIDEMARK_CONTROL_PATH);
}
