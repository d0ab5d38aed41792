/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Following a job of the agent: what all commands that start one share.
 */
#ifndef TIDEMARK_JOB_H
#define TIDEMARK_JOB_H

#include "tidemark/bus.h"
#include "tidemark/output.h"

/**
 * struct job_options - how a job is shown
 * @json: its end as a JSON document, no progress
 * @quiet: no progress
 * @bytes: sizes in bytes
 * @wait: job_started() waits for its end
 * @bus: address of D-Bus; NULL: as the environment says
 */
struct job_options {
	const char *bus;
	bool wait;
	bool json;
	bool quiet;
	bool bytes;
};

/*
 * The options of every command that starts or shows a job, for getopt_long(). What
 * waits by default takes JOB_LONG_OPTIONS, too, and has set @wait before.
 */
#define JOB_SHORT_OPTIONS "wJbh"
#define JOB_LONG_OPTIONS \
	{ "wait",	 no_argument,		NULL, 'w' }, \
	{ "no-wait",	 no_argument,		NULL, 'W' }, \
	{ "json",	 no_argument,		NULL, 'J' }, \
	{ "bytes",	 no_argument,		NULL, 'b' }, \
	{ "no-progress", no_argument,		NULL, 'P' }, \
	{ "bus",	 required_argument,	NULL, 'B' }, \
	{ "help",	 no_argument,		NULL, 'h' }
#define JOB_OPTIONS_HELP \
	"  -w, --wait           wait for the end; the exit code is the job's\n" \
	"  -J, --json           JSON, schema \"" OUTPUT_SCHEMA "\"\n" \
	"  -b, --bytes          sizes in bytes\n" \
	"      --no-progress    no progress while waiting\n" \
	"      --bus ADDRESS    D-Bus: system or an address\n" \
	"  -h, --help           this text\n"

/** job_option() - take an option. Return: whether it was one of these, but for 'h' */
bool job_option(struct job_options *options, int option, const char *argument);

/**
 * job_request() - call a method and end as the options say: a command's whole body
 * @rq: what is called
 *
 * Return: an exit code.
 */
int job_request(const struct bus_request *rq, const struct job_options *options);
/** job_request_folder() - and @rq->path, if there is one, is a folder as seen from here */
int job_request_folder(const struct bus_request *rq, const struct job_options *options);

/**
 * job_follow() - wait for the end of a job, show progress on stderr, then print
 * what it did
 *
 * Return: the exit code that the job's end stands for.
 */
int job_follow(struct bus *b, uint64_t id, const struct job_options *options);

/**
 * job_started() - a job was started: print its path, or what it is, or follow it, as
 * the options say
 */
int job_started(struct bus *b, uint64_t id, const struct job_options *options);

/** job_print() - print what a job is or did. Return: an exit code */
int job_print(struct bus *b, const struct bus_job *job, const struct job_options *options);

/** job_print_nothing() - print that a collection is in sync. Return: an exit code */
int job_print_nothing(const char *collection, const struct job_options *options);

#endif
