/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of bus*.c, the files of the command that know sd-bus.
 */
#ifndef TIDEMARK_BUS_PRIVATE_H
#define TIDEMARK_BUS_PRIVATE_H

#include <systemd/sd-bus.h>

#include "tidemark/bus.h"

#define BUS_NAME "org.tidemark.Replication1"
#define BUS_PATH "/org/tidemark/Replication1"
#define BUS_SERVICE BUS_NAME ".Service"
#define BUS_COLLECTION BUS_NAME ".Collection"
#define BUS_VM BUS_NAME ".VM"
#define BUS_JOB BUS_NAME ".Job"
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/**
 * struct bus - the connection
 * @bus: sd-bus's
 * @event: who is told of events, or NULL
 * @event_arg: for it
 * @event_result: what it returned
 */
struct bus {
	sd_bus *bus;
	bus_event_fn *event;
	void *event_arg;
	int event_result;
};

/** bus_refused() - say why a call failed. Return: an exit code */
int bus_refused(const sd_bus_error *error, int err);
/** bus_garbled() - say that an answer is not what it should be. Return: an exit code */
int bus_garbled(int err);
/** bus_call() - send @m and wait; @m is freed. Return: an exit code; else *@ret is the reply */
int bus_call(struct bus *b, sd_bus_message *m, sd_bus_message **ret);
/** bus_allow_asking() - let polkit ask a person, if one is there */
int bus_allow_asking(sd_bus_message *m);
/** bus_new_call() - a method of the service. Return: negative errno */
int bus_new_call(struct bus *b, sd_bus_message **ret, const char *method);

#endif
