/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A task: a method that takes long. It is done in a thread of its own, and the
 * answer is sent from the event loop when it has ended.
 */
#ifndef TIDEMARK_BUS_TASK_H
#define TIDEMARK_BUS_TASK_H

#include <stdatomic.h>

#include "bus/objects.h"

/**
 * struct task_call - what a method was asked; for its thread alone
 * @bus: the agent's parts that any thread may use: the receiver
 * @collection: name
 * @vm: name, or ""
 * @number: of a point, 0: the newest
 * @path: an argument
 * @force: an option
 * @replicas: it may change which replicas this host has
 * @cancelled: set when nobody waits for the answer any more, see task_tick()
 * @text: set by the thread: the answer, allocated; NULL: the codes (0, "/")
 */
struct task_call {
	struct bus *bus;
	char collection[NAME_SIZE];
	char vm[NAME_SIZE];
	uint64_t number;
	char path[256];
	bool force;
	bool replicas;
	atomic_bool *cancelled;
	char *text;
};

/**
 * task_start() - do it
 * @m: the call; answered later
 * @call: copied
 * @work: in the thread. Return: 0, or a negative errno with @reason
 *
 * Return: 1, for sd-bus, or negative.
 */
int task_start(sd_bus_message *m, const struct task_call *call,
	       int (*work)(struct task_call *call, struct reason *reason));

/** task_tick() - for work that asks now and then (struct merge_tick): -ECANCELED: end */
int task_tick(void *call);

/** tasks_end() - end all tasks of a bus, wait for that, and answer nobody */
void tasks_end(struct bus *b);

#endif
