/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Following a job of the agent: what resync, verify and job share.
 */
#ifndef TIDEMARK_JOB_H
#define TIDEMARK_JOB_H

#include "tidemark/bus.h"

/**
 * struct job_options - how a job is shown
 * @json: its end as a JSON document, no progress
 * @quiet: no progress
 * @bytes: sizes in bytes
 */
struct job_options {
	bool json;
	bool quiet;
	bool bytes;
};

/**
 * job_follow() - wait for the end of a job, show progress on stderr, then print
 * what it did
 *
 * Return: the exit code that the job's end stands for.
 */
int job_follow(struct bus *b, uint64_t id, const struct job_options *options);

/** job_print() - print what a job is or did. Return: an exit code */
int job_print(const struct bus_job *job, const struct job_options *options);

/** job_print_nothing() - print that a collection is in sync. Return: an exit code */
int job_print_nothing(const char *collection, const struct job_options *options);

#endif
