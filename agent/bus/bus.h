/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus: the agent's face to other programs, D-Bus by sd-bus.
 *
 *   org.tidemark.Replication1                             the name
 *   /org/tidemark/Replication1                            ....Service, ObjectManager
 *   /org/tidemark/Replication1/Collection/NAME            ....Collection
 *   /org/tidemark/Replication1/Collection/NAME/VM/NAME    ....VM
 *   /org/tidemark/Replication1/Job/N                      ....Job
 *
 * Names in paths are escaped as sd_bus_path_encode(3) does. The methods of the
 * management model are the Service's, with its names; each returns (u code, o job).
 * A refusal is a D-Bus error whose message begins with the number of the
 * management model: "32774: job 7 of collection web is running". Names are
 * D-Bus's own where it has one for the code (AccessDenied, NotSupported,
 * InvalidArgs, FileNotFound, Timeout, NoMemory), else
 * org.tidemark.Replication1.Error.{Failed,InUse,InvalidState,NotAvailable,StatusUnknown}.
 *
 * Whoever the bus lets through may look. To change something one must be root,
 * the user that the agent runs as, or whom polkit authorizes.
 */
#ifndef TIDEMARK_BUS_BUS_H
#define TIDEMARK_BUS_BUS_H

#include "receive/receiver.h"
#include "service/service.h"

struct bus;
struct sd_event;

/**
 * struct bus_agent - what the bus shows; all borrowed
 * @service: collections, jobs, methods; the bus becomes its listener
 * @receiver: NULL: this agent holds no replicas
 * @engine: how data I/O is done, for status
 * @kernel_tls: what is known of kernel TLS, for status
 */
struct bus_agent {
	struct service *service;
	struct receiver *receiver;
	const char *engine;
	const char *(*kernel_tls)(void);
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
