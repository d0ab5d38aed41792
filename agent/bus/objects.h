/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the bus folder: what its files share.
 */
#ifndef TIDEMARK_BUS_OBJECTS_H
#define TIDEMARK_BUS_OBJECTS_H

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/util.h"
#include "bus/bus.h"

#define BUS_NAME "org.tidemark.Replication1"
#define BUS_PATH "/org/tidemark/Replication1"
#define BUS_SERVICE BUS_NAME ".Service"
#define BUS_COLLECTION BUS_NAME ".Collection"
#define BUS_COLLECTION_PATH BUS_PATH "/Collection"
#define BUS_VM BUS_NAME ".VM"
#define BUS_POINTS BUS_NAME ".Points"
#define BUS_JOB BUS_NAME ".Job"
#define BUS_JOB_PATH BUS_PATH "/Job"
/* A path with two escaped names of NAME_SIZE; escaping makes three letters of one. */
#define BUS_PATH_SIZE 512
/* Paths of files and sentences. */
#define BUS_TEXT_SIZE 4096

/* Actions of polkit, see org.tidemark.Replication1.policy. */
#define BUS_ACTION_REPLICATE BUS_NAME ".replicate"
#define BUS_ACTION_FAILOVER BUS_NAME ".failover"
#define BUS_ACTION_CONFIGURE BUS_NAME ".configure"

struct bus_check;
struct changes;

/**
 * struct bus - the connection and what hangs on it
 * @agent: what is shown
 * @bus: the connection
 * @event: the loop
 * @slots: objects, filters: anything that goes with the bus
 * @slot_count: of them
 * @changes: what is yet to be signalled
 * @checks: authorizations that are awaited
 * @check_count: of them
 * @tasks: methods that are being done in threads of their own
 * @stopping: they are to end soon
 */
struct bus {
	struct bus_agent agent;
	sd_bus *bus;
	sd_event *event;
	sd_bus_slot *slots[16];
	size_t slot_count;
	struct changes *changes;
	struct bus_check *checks;
	size_t check_count;
	struct task *tasks;
	atomic_bool stopping;
};

/* -- names ------------------------------------------------------------------ */

/* Object paths; into @ret. Return: @ret; "/" for no collection or job. */
const char *bus_job_path(uint64_t id, char ret[BUS_PATH_SIZE]);
const char *bus_collection_path(const char *collection, char ret[BUS_PATH_SIZE]);
const char *bus_vm_path(const char *collection, const char *vm, char ret[BUS_PATH_SIZE]);

/* The other way. Return: false: it is no such path */
bool bus_job_of(const char *path, uint64_t *ret);
bool bus_collection_of(const char *path, char ret[NAME_SIZE]);
bool bus_vm_of(const char *path, char ret_collection[NAME_SIZE], char ret_vm[NAME_SIZE]);

/**
 * bus_text() - a text that D-Bus takes: what is no UTF-8 becomes '?', what does not
 * fit is cut. A path or a sentence cut in the middle may be such
 *
 * Return: @ret, or "" for NULL.
 */
const char *bus_text(const char *text, char *ret, size_t size);

/* -- refusals --------------------------------------------------------------- */

/** bus_refuse() - fill a D-Bus error from a reason. Return: negative, for sd-bus */
int bus_refuse(sd_bus_error *error, const struct reason *reason);

/* -- methods ---------------------------------------------------------------- */

/**
 * bus_run - what a method does once its caller may call it
 *
 * It looks up its object by the message's path: that may have gone meanwhile.
 * Return: negative with @error, or negative errno; else the reply was sent.
 */
typedef int bus_run(struct bus *b, sd_bus_message *m, sd_bus_error *error);

/**
 * struct bus_method - a method of an interface
 * @name: its own
 * @signature: of its arguments
 * @action: of polkit; NULL: everybody may
 * @run: what it does
 */
struct bus_method {
	const char *name;
	const char *signature;
	const char *action;
	bus_run *run;
};

/** bus_method() - the handler of all methods in the vtables */
int bus_method(sd_bus_message *m, void *arg, sd_bus_error *error);

/**
 * bus_authorize() - call @run when the sender of @m may, else refuse
 *
 * Root and the agent's own user may at once. Others are asked for at polkit, and
 * the loop goes on meanwhile.
 */
int bus_authorize(struct bus *b, sd_bus_message *m, const struct bus_method *method,
		  sd_bus_error *error);
/** bus_authorize_end() - forget what is awaited */
void bus_authorize_end(struct bus *b);
/** bus_execute() - @method->run; an error of sd-bus becomes one with a number */
int bus_execute(struct bus *b, sd_bus_message *m, const struct bus_method *method,
		sd_bus_error *error);
/** bus_sender() - who sends, for a job's Owner: "root", "uid 1000" */
void bus_sender(sd_bus_message *m, char *ret, size_t size);

/* Methods of each interface, ended by an empty one. */
extern const struct bus_method bus_service_methods[];
extern const struct bus_method bus_points_methods[];
extern const struct bus_method bus_request_methods[];
extern const struct bus_method bus_configure_methods[];
extern const struct bus_method bus_job_methods[];

/* -- arguments -------------------------------------------------------------- */

/**
 * struct bus_option - a member of an options dictionary
 * @name: its own
 * @type: 's', 'b', 'u', 't' of D-Bus
 * @value: const char * (of the message), bool, uint32_t or uint64_t
 */
struct bus_option {
	const char *name;
	char type;
	void *value;
};

/** bus_read_options() - an a{sv}; what is not known is refused, not ignored */
int bus_read_options(sd_bus_message *m, const struct bus_option *known, size_t count,
		     sd_bus_error *error);
/** bus_read_collection() - a name or an object path */
int bus_read_collection(sd_bus_message *m, char ret[NAME_SIZE], sd_bus_error *error);

/* -- objects ---------------------------------------------------------------- */

int bus_service_add(struct bus *b);
int bus_collections_add(struct bus *b);
int bus_jobs_add(struct bus *b);
/** bus_slot() - the next free one of b->slots */
sd_bus_slot **bus_slot(struct bus *b);
/** bus_points_add() - recovery points, at the service's object */
int bus_points_add(struct bus *b);

/* Getters of properties that lie in a struct, at the vtable's offset. */
int bus_get_array(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *arg, sd_bus_error *error); /* char [] */
int bus_get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		 sd_bus_message *reply, void *arg, sd_bus_error *error); /* char *, may be NULL */
int bus_get_bool(sd_bus *bus, const char *path, const char *interface, const char *property,
		 sd_bus_message *reply, void *arg, sd_bus_error *error); /* bool */
int bus_get_job(sd_bus *bus, const char *path, const char *interface, const char *property,
		sd_bus_message *reply, void *arg, sd_bus_error *error); /* uint64_t, its path */

/* -- changes ---------------------------------------------------------------- */

int changes_create(struct bus *b);
void changes_destroy(struct bus *b);

/* -- documents -------------------------------------------------------------- */

/**
 * bus_status() - the JSON document of GetStatus; allocated
 * @collection: NULL or "": all
 *
 * Return: 0 or negative errno.
 */
int bus_status(struct bus *b, const char *collection, char **ret);

/**
 * bus_history() - the JSON document of GetHistory; allocated
 * @collection: "": all
 * @before: only jobs with lower numbers; 0: all
 * @count: so many at most
 */
int bus_history(struct bus *b, const char *collection, uint64_t before, uint32_t count, char **ret);

#endif
