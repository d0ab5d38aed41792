// SPDX-License-Identifier: GPL-2.0-or-later
#include "tidemark/when.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tidemark/command.h"

#define ANALYZE "systemd-analyze"

enum { WHEN_LINE = 128 };

/* 25 characters that no time of systemd's is made of. */
static bool when_is_cim(const char *text)
{
	return strlen(text) == WHEN_TEXT - 1 && text[14] == '.' &&
	       strspn(text, "0123456789*.+-:") == WHEN_TEXT - 1;
}

/* What stands behind @label in an answer, to the end of its line. */
static int when_line(const char *answer, const char *label, char ret[WHEN_LINE])
{
	const char *at = strstr(answer, label);
	size_t length;

	if (!at)
		return -EBADMSG;
	at += strlen(label);
	length = strcspn(at, "\n");
	if (length >= WHEN_LINE)
		return -EBADMSG;
	memcpy(ret, at, length);
	ret[length] = '\0';
	return 0;
}

/* "1795744800.832162", seconds since 1970, to a CIM datetime in UTC */
static int when_format(const char *unix_time, char ret[WHEN_TEXT])
{
	char fraction[7] = "", digits[WHEN_TEXT];
	long long seconds;
	struct tm tm;
	time_t t;

	if (sscanf(unix_time, "%lld.%6[0-9]", &seconds, fraction) < 1 || seconds < 0)
		return -EBADMSG;
	t = seconds;
	if (!gmtime_r(&t, &tm) || !strftime(digits, sizeof(digits), "%Y%m%d%H%M%S", &tm) ||
	    strlen(digits) != 14)
		return -EBADMSG;
	while (strlen(fraction) < 6)
		strncat(fraction, "0", sizeof(fraction) - strlen(fraction) - 1);
	snprintf(ret, WHEN_TEXT, "%.14s.%.6s+000", digits, fraction);
	return 0;
}

/* -- systemd-analyze -------------------------------------------------------- */

static int when_spawn(const char *verb, const char *text, pid_t *ret_pid, int *ret_fd)
{
	char *argv[] = { (char *)ANALYZE, (char *)verb, (char *)"--", (char *)text, NULL };
	posix_spawn_file_actions_t actions;
	int fds[2];
	int err;

	if (pipe(fds) < 0)
		return -errno;
	/* what it says of bad times is not ours: we say it */
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addclose(&actions, fds[0]);
	err = -posix_spawnp(ret_pid, ANALYZE, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (err)
		close(fds[0]);
	else
		*ret_fd = fds[0];
	return err;
}

/* Return: 0; -EINVAL: it takes no such text; another errno: it could not be asked. */
static int when_run(const char *verb, const char *text, char *answer, size_t size)
{
	size_t length = 0;
	int fd = -1, status;
	ssize_t n;
	pid_t pid;
	int err;

	setenv("LC_ALL", "C", 1);
	err = when_spawn(verb, text, &pid, &fd);
	if (err)
		return err;
	while ((n = read(fd, answer + length, size - length - 1)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		length += n > 0 ? (size_t)n : 0;
		if (length == size - 1)
			break;
	}
	answer[length] = '\0';
	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EINVAL;
}

static int when_ask(const char *verb, const char *text, const char *label, char ret[WHEN_LINE])
{
	char answer[1024];
	int err = when_run(verb, text, answer, sizeof(answer));

	return err ? err : when_line(answer, label, ret);
}

static int when_moment(const char *text, char ret[WHEN_TEXT])
{
	char line[WHEN_LINE];
	int err = when_ask("timestamp", text, "UNIX seconds: @", line);

	return err ? err : when_format(line, ret);
}

/* "tomorrow 02:00": the day by itself, then that day's time. "Fri 2026-11-27 00:00:00 UTC" */
static int when_day(const char *text, char ret[WHEN_TEXT])
{
	char word[16], time[64], line[WHEN_LINE], both[WHEN_LINE];
	char date[16];
	int err;

	if (sscanf(text, "%15[a-z] %63[0-9:.]", word, time) != 2 || strlen(word) + 1 +
	    strlen(time) != strlen(text))
		return -EINVAL;
	err = when_ask("timestamp", word, "Normalized form: ", line);
	if (err)
		return err;
	if (sscanf(line, "%*s %15s", date) != 1)
		return -EBADMSG;
	snprintf(both, sizeof(both), "%s %s", date, time);
	return when_moment(both, ret);
}

/* "Mon 02:00", the next moment of a calendar expression */
static int when_calendar(const char *text, char ret[WHEN_TEXT])
{
	char line[WHEN_LINE];
	int err = when_ask("calendar", text, "Next elapse: ", line);

	return err ? err : when_moment(line, ret);
}

int when_parse(const char *text, char ret[WHEN_TEXT])
{
	int err;

	if (when_is_cim(text)) {
		snprintf(ret, WHEN_TEXT, "%s", text);
		return EXIT_DONE;
	}
	err = when_moment(text, ret);
	if (err == -EINVAL)
		err = when_day(text, ret);
	if (err == -EINVAL)
		err = when_calendar(text, ret);
	if (err == -ENOENT) {
		command_say("systemd-analyze is not there to read '%s': give a CIM datetime, "
			    "yyyymmddHHMMSS.mmmmmm+000", text);
		return EXIT_NOT_AVAILABLE;
	}
	if (err == -EINVAL || err == -EBADMSG) {
		command_say("'%s' is no time: see systemd.time(7), or give a CIM datetime", text);
		return EXIT_USAGE;
	}
	return err ? command_fail(err, "cannot read '%s'", text) : EXIT_DONE;
}
