/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the subcommands share: how they are called, how they end, how they speak.
 *
 * One file per subcommand, named by it; its function takes the arguments from
 * the subcommand's own name on, and returns an exit code. Data goes to stdout,
 * messages to stderr.
 */
#ifndef TIDEMARK_COMMAND_H
#define TIDEMARK_COMMAND_H

#include <stdbool.h>

#include "libtidemark/tidemark.h"

/**
 * enum exit_code - how the command ends; tidemark(8) has the same table
 * @EXIT_DONE: done, or the job has started
 * @EXIT_FAILED: failed, and none of the others says why
 * @EXIT_USAGE: invalid parameter, type or usage
 * @EXIT_NOT_FOUND: no such device, disk, collection or job
 * @EXIT_DENIED: not permitted
 * @EXIT_NOT_SUPPORTED: this device or this version cannot do it
 * @EXIT_UNKNOWN: it is not known whether it was done
 * @EXIT_TIMEOUT: it took longer than it may
 * @EXIT_IN_USE: the device or the name is in use
 * @EXIT_INVALID_STATE: not in the state that this needs
 * @EXIT_NOT_AVAILABLE: the module or the service is not there
 * @EXIT_NO_MEMORY: out of memory
 * @EXIT_WARNINGS: done, but read the warnings
 */
enum exit_code {
	EXIT_DONE		= 0,
	EXIT_FAILED		= 1,
	EXIT_USAGE		= 2,
	EXIT_NOT_FOUND		= 3,
	EXIT_DENIED		= 4,
	EXIT_NOT_SUPPORTED	= 5,
	EXIT_UNKNOWN		= 6,
	EXIT_TIMEOUT		= 7,
	EXIT_IN_USE		= 8,
	EXIT_INVALID_STATE	= 9,
	EXIT_NOT_AVAILABLE	= 10,
	EXIT_NO_MEMORY		= 11,
	EXIT_WARNINGS		= 12,
};

/** exit_code_of() - the exit code for a negative errno; 0 is EXIT_DONE */
enum exit_code exit_code_of(int error);

/** command_say() - a message for a person: "tidemark: " and a line end are added */
void command_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/**
 * command_fail() - say what failed and why
 * @error: a negative errno, its text is added
 * @format: what failed
 *
 * Return: the exit code for @error.
 */
int command_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * command_usage() - say what is wrong with the arguments and where to read more
 * @command: name of the subcommand, NULL for the command itself
 * @format: what is wrong; NULL when getopt_long() has said it
 *
 * Return: EXIT_USAGE.
 */
int command_usage(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * command_sure() - ask a person, on a terminal
 * @yes: it was said already: do not ask
 * @format: the question, without " [y/N]"
 *
 * Return: yes. Where nobody can be asked it is said that --yes is missing.
 */
bool command_sure(bool yes, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * command_path() - a path for the agent, which has another working directory
 *
 * Return: allocated, absolute unless @path is empty; NULL with errno set.
 */
char *command_path(const char *path);

/**
 * command_open() - open the control device, or say why that is not possible
 * @ret: the handle
 * @flags: as for tidemark_open()
 *
 * Return: an exit code.
 */
int command_open(struct tidemark **ret, int flags);

/* The subcommands, in the order of the table in main.c. */
int command_attach(int argc, char **argv);
int command_detach(int argc, char **argv);
int command_hold(int argc, char **argv);
int command_disks(int argc, char **argv);
int command_meta(int argc, char **argv);
int command_list(int argc, char **argv);
int command_status(int argc, char **argv);
int command_start(int argc, char **argv);
int command_resync(int argc, char **argv);
int command_cancel(int argc, char **argv);
int command_suspend(int argc, char **argv);
int command_resume(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_jobs(int argc, char **argv);
int command_job(int argc, char **argv);
int command_history(int argc, char **argv);
int command_points(int argc, char **argv);
int command_import(int argc, char **argv);
int command_events(int argc, char **argv);
int command_collection(int argc, char **argv);
int command_stats(int argc, char **argv);
int command_metrics(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_failover(int argc, char **argv);
int command_test_failover(int argc, char **argv);
int command_planned_failover(int argc, char **argv);
int command_reverse(int argc, char **argv);
int command_pki(int argc, char **argv);

#endif
