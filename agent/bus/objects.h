/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the bus folder: what its files share.
 */
#ifndef TIDEMARK_BUS_OBJECTS_H
#define TIDEMARK_BUS_OBJECTS_H

#include <systemd/sd-bus.h>

#include "bus/bus.h"

#define BUS_NAME "org.tidemark.Replication1"
#define BUS_PATH "/org/tidemark/Replication1"
#define BUS_SERVICE BUS_NAME ".Service"
#define BUS_JOB BUS_NAME ".Job"
#define BUS_JOB_PATH BUS_PATH "/Job"
#define BUS_PATH_SIZE 64

struct bus {
	struct bus_agent agent;
	sd_bus *bus;
	sd_event *event;
	sd_event_source *timer;
	sd_bus_slot *service;
	sd_bus_slot *job_objects;
	sd_bus_slot *job_nodes;
};

/** bus_job_path() - the object path of a job */
void bus_job_path(uint64_t id, char ret[BUS_PATH_SIZE]);

/** bus_refuse() - fill a D-Bus error from a reason. Return: negative, for sd-bus */
int bus_refuse(sd_bus_error *error, const struct reason *reason);

/** bus_permitted() - may the sender of @m change things? Return: 0, or negative with @error */
int bus_permitted(sd_bus_message *m, sd_bus_error *error);

/** bus_service_add() - the service's object */
int bus_service_add(struct bus *b);
/** bus_jobs_add() - the jobs' objects */
int bus_jobs_add(struct bus *b);
/** bus_job_changed() - send PropertiesChanged for a job */
void bus_job_changed(struct bus *b, const struct job *job);

/** bus_status() - the JSON document of GetStatus; allocated. Return: 0 or negative errno */
int bus_status(struct bus *b, char **ret);

#endif
