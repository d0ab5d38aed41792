/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus: the agent's face to other programs, D-Bus by sd-bus.
 *
 *   org.tidemark.Replication1                  the name
 *   /org/tidemark/Replication1                 org.tidemark.Replication1.Service
 *   /org/tidemark/Replication1/Job/N           org.tidemark.Replication1.Job
 *
 * A refusal is a D-Bus error whose message begins with the number of the
 * management model: "32774: job 7 of collection web is running". Names are
 * D-Bus's own where it has one for the code (AccessDenied, NotSupported,
 * InvalidArgs, FileNotFound, Timeout, NoMemory), else
 * org.tidemark.Replication1.Error.{Failed,InUse,InvalidState,NotAvailable,StatusUnknown}.
 *
 * Whoever the bus lets through may look. To change something one must be root
 * or the user that the agent runs as.
 */
#ifndef TIDEMARK_BUS_BUS_H
#define TIDEMARK_BUS_BUS_H

#include "config/config.h"
#include "job/job.h"
#include "receive/receiver.h"

struct bus;
struct sd_event;

/**
 * struct bus_agent - what the bus shows; all borrowed
 * @config: the configuration
 * @jobs: the table
 * @history: what was
 * @receiver: NULL: this agent holds no replicas
 * @engine: how data I/O is done, for status
 */
struct bus_agent {
	const struct config *config;
	struct jobs *jobs;
	struct history *history;
	struct receiver *receiver;
	const char *engine;
};

/**
 * bus_create() - connect, show the objects, take the name
 * @address: "system" or a D-Bus address
 * @event: the loop that it works in
 * @agent: copied
 */
int bus_create(struct bus **ret, const char *address, struct sd_event *event,
	       const struct bus_agent *agent, struct reason *reason);
/** bus_destroy() - give the name back and disconnect. NULL is ignored. Return: NULL */
struct bus *bus_destroy(struct bus *b);

#endif
