// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bus-call - the methods of the agent's service
 */
#include "tidemark/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/bus-json.h"
#include "tidemark/bus-private.h"
#include "tidemark/command.h"

/* -- requests --------------------------------------------------------------- */

/*
 * The arguments between the collection and the options of those methods that have
 * some: i initial and path, t start time, s include suspended, p point.
 */
static const struct {
	const char *method;
	const char *arguments;
} shapes[] = {
	{ "Resynchronize", "ts" },
	{ "PlanResynchronize", "ts" },
	{ "StartReplication", "it" },
	{ "InitiateFailover", "p" },
	{ "TestReplicaCollection", "p" },
};

static const char *shape_of(const char *method)
{
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (strcmp(shapes[i].method, method) == 0)
			return shapes[i].arguments;
	}
	return "";
}

static int append_arguments(sd_bus_message *m, const struct bus_request *rq, const char *shape)
{
	int err = sd_bus_message_append(m, "s", rq->collection);

	for (; *shape && err >= 0; shape++) {
		switch (*shape) {
		case 'i':
			err = sd_bus_message_append(m, "us", rq->initial, rq->path ?: "");
			break;
		case 't':
			err = sd_bus_message_append(m, "s", rq->start_time ?: "");
			break;
		case 's':
			err = sd_bus_message_append(m, "b", rq->include_suspended);
			break;
		case 'p':
			err = sd_bus_message_append(m, "t", rq->point);
			break;
		}
	}
	return err;
}

static int append_options(sd_bus_message *m, const struct bus_request *rq, const char *shape)
{
	int err = sd_bus_message_open_container(m, 'a', "{sv}");

	if (err >= 0 && rq->vm)
		err = sd_bus_message_append(m, "{sv}", "VM", "s", rq->vm);
	if (err >= 0 && rq->compare)
		err = sd_bus_message_append(m, "{sv}", "Compare", "b", 1);
	if (err >= 0 && rq->paranoid)
		err = sd_bus_message_append(m, "{sv}", "Paranoid", "b", 1);
	if (err >= 0 && rq->force)
		err = sd_bus_message_append(m, "{sv}", "Force", "b", 1);
	if (err >= 0 && rq->start_time && !strchr(shape, 't'))
		err = sd_bus_message_append(m, "{sv}", "StartTime", "s", rq->start_time);
	if (err >= 0 && rq->path && !strchr(shape, 'i'))
		err = sd_bus_message_append(m, "{sv}", "Path", "s", rq->path);
	return err < 0 ? err : sd_bus_message_close_container(m);
}

/* Send @m, complete but for @err, which is what became of it so far. */
static int finish_call(struct bus *b, sd_bus_message *m, int err, sd_bus_message **ret)
{
	if (err >= 0)
		return bus_call(b, m, ret);
	sd_bus_message_unref(m);
	if (err == -EINVAL) {
		/* sd-bus takes UTF-8 only, and paths without a hole */
		command_say("an argument is no valid text");
		return EXIT_USAGE;
	}
	return command_fail(err, "cannot call the agent");
}

static int send_request(struct bus *b, const char *method, const struct bus_request *rq,
			sd_bus_message **ret)
{
	const char *shape = shape_of(method);
	sd_bus_message *m = NULL;
	int err = bus_new_call(b, &m, method);

	if (err >= 0)
		err = append_arguments(m, rq, shape);
	if (err >= 0)
		err = append_options(m, rq, shape);
	return finish_call(b, m, err, ret);
}

/* The reply (u code, o job) that every method that may make a job gives. */
static int read_job(sd_bus_message *reply, uint64_t *ret_job)
{
	const char *path;
	uint32_t code;
	int err = sd_bus_message_read(reply, "uo", &code, &path);

	if (err < 0)
		return bus_garbled(err);
	*ret_job = 0;
	if (code && sscanf(path, BUS_PATH "/Job/%" SCNu64, ret_job) != 1)
		return bus_garbled(-EBADMSG);
	return EXIT_DONE;
}

int bus_request(struct bus *b, const struct bus_request *rq, uint64_t *ret_job)
{
	sd_bus_message *reply = NULL;
	int code = send_request(b, rq->method, rq, &reply);

	if (!code)
		code = read_job(reply, ret_job);
	sd_bus_message_unref(reply);
	return code;
}

int bus_plan(struct bus *b, const struct bus_request *rq, struct json_object **ret)
{
	static const char *const keys[] = { "vm", "disk", "bytes", NULL };
	struct json_object *disks = NULL, *o;
	sd_bus_message *reply = NULL;
	uint64_t bytes = 0, seconds = 0;
	const char *text = "";
	uint32_t method = 0;
	int code = send_request(b, "PlanResynchronize", rq, &reply);
	int err = 0;

	if (!code) {
		err = sd_bus_message_read(reply, "us", &method, &text);
		if (err >= 0)
			err = bus_json_structs(reply, keys, &disks);
		if (err >= 0)
			err = sd_bus_message_read(reply, "tt", &bytes, &seconds);
		if (err < 0)
			code = bus_garbled(err);
	}
	if (!code) {
		o = json_object_new_object();
		json_object_object_add(o, "collection", json_object_new_string(rq->collection));
		json_object_object_add(o, "code", json_object_new_uint64(method));
		json_object_object_add(o, "text", json_object_new_string(text));
		json_object_object_add(o, "bytes", json_object_new_uint64(bytes));
		json_object_object_add(o, "eta", seconds == UINT64_MAX ? NULL :
						 json_object_new_uint64(seconds));
		json_object_object_add(o, "disks", disks);
		*ret = o;
	} else {
		json_object_put(disks);
	}
	sd_bus_message_unref(reply);
	return code;
}

/* Send @m, complete but for @err, to the Points interface, and wait for as long as it takes. */
static int points_call(struct bus *b, sd_bus_message *m, int err, char **ret)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	const char *text;

	if (err < 0)
		return finish_call(b, m, err, NULL);
	err = sd_bus_call(b->bus, m, UINT64_MAX, &error, &reply);
	if (err >= 0 && ret) {
		err = sd_bus_message_read(reply, "s", &text);
		*ret = err >= 0 ? strdup(text) : NULL;
		err = err >= 0 && !*ret ? -ENOMEM : err;
	}
	err = err < 0 ? bus_refused(&error, err) : EXIT_DONE;
	sd_bus_message_unref(m);
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return err;
}

static int points_new(struct bus *b, const char *method, sd_bus_message **ret)
{
	return sd_bus_message_new_method_call(b->bus, ret, BUS_NAME, BUS_PATH, BUS_NAME ".Points",
					      method);
}

int bus_points(struct bus *b, const char *method, const char *collection, uint64_t point,
	       char **ret)
{
	sd_bus_message *m = NULL;
	int err = points_new(b, method, &m);

	if (err >= 0)
		err = sd_bus_message_append(m, "s", collection);
	if (err >= 0 && (!strcmp(method, "VerifyPoint") || !strcmp(method, "DeletePoint")))
		err = sd_bus_message_append(m, "t", point);
	return points_call(b, m, err, ret);
}

int bus_import(struct bus *b, const char *collection, const char *folder, char **ret)
{
	sd_bus_message *m = NULL;
	int err = points_new(b, "ImportInitialReplica", &m);

	if (err >= 0)
		err = sd_bus_message_append(m, "ss", collection, folder);
	return points_call(b, m, err, ret);
}

/* -- relationships ---------------------------------------------------------- */

static int append_settings(sd_bus_message *m, const struct bus_setting *settings, size_t count)
{
	int err = sd_bus_message_open_container(m, 'a', "{sv}");

	/* the agent reads all of them from text, too */
	for (size_t i = 0; i < count && err >= 0; i++)
		err = sd_bus_message_append(m, "{sv}", settings[i].name, "s", settings[i].text);
	return err < 0 ? err : sd_bus_message_close_container(m);
}

static int append_disks(sd_bus_message *m, const struct bus_disk *disks, size_t count)
{
	int err = sd_bus_message_open_container(m, 'a', "(sssa{sv})");

	for (size_t i = 0; i < count && err >= 0; i++) {
		const struct bus_disk *d = &disks[i];

		if (d->granule)
			err = sd_bus_message_append(m, "(sssa{sv})", d->vm, d->disk, d->device, 2,
						    "Tracking", "s", d->tracked ? "kernel" : "none",
						    "Granule", "u", d->granule);
		else
			err = sd_bus_message_append(m, "(sssa{sv})", d->vm, d->disk, d->device, 1,
						    "Tracking", "s",
						    d->tracked ? "kernel" : "none");
	}
	return err < 0 ? err : sd_bus_message_close_container(m);
}

static int finish_done(struct bus *b, sd_bus_message *m, int err)
{
	sd_bus_message *reply = NULL;
	int code = finish_call(b, m, err, &reply);

	sd_bus_message_unref(reply);
	return code;
}

int bus_create(struct bus *b, const char *collection, const struct bus_setting *settings,
	       size_t setting_count, const struct bus_disk *disks, size_t disk_count)
{
	sd_bus_message *m = NULL;
	int err = bus_new_call(b, &m, "CreateReplicationRelationship");

	if (err >= 0)
		err = sd_bus_message_append(m, "s", collection);
	if (err >= 0)
		err = append_settings(m, settings, setting_count);
	if (err >= 0)
		err = append_disks(m, disks, disk_count);
	if (err >= 0)
		err = sd_bus_message_append(m, "a{sv}", 0);
	return finish_done(b, m, err);
}

int bus_modify(struct bus *b, const char *collection, const char *vm,
	       const struct bus_setting *settings, size_t setting_count)
{
	sd_bus_message *m = NULL;
	int err = bus_new_call(b, &m, "ModifyReplicationSettings");

	if (err >= 0)
		err = sd_bus_message_append(m, "s", collection);
	if (err >= 0)
		err = append_settings(m, settings, setting_count);
	if (err >= 0)
		err = vm ? sd_bus_message_append(m, "a{sv}", 1, "VM", "s", vm) :
			   sd_bus_message_append(m, "a{sv}", 0);
	return finish_done(b, m, err);
}

int bus_add_disks(struct bus *b, const char *collection, const struct bus_disk *disks,
		  size_t disk_count)
{
	sd_bus_message *m = NULL;
	int err = bus_new_call(b, &m, "AddDisks");

	if (err >= 0)
		err = sd_bus_message_append(m, "s", collection);
	if (err >= 0)
		err = append_disks(m, disks, disk_count);
	if (err >= 0)
		err = sd_bus_message_append(m, "a{sv}", 0);
	return finish_done(b, m, err);
}

int bus_remove_vm(struct bus *b, const char *collection, const char *vm)
{
	sd_bus_message *m = NULL;
	int err = bus_new_call(b, &m, "RemoveVM");

	if (err >= 0)
		err = sd_bus_message_append(m, "ssa{sv}", collection, vm, 0);
	return finish_done(b, m, err);
}

/* -- documents -------------------------------------------------------------- */

/* A method that answers with a JSON text. */
static int call_document(struct bus *b, sd_bus_message *m, int err, struct json_object **ret)
{
	sd_bus_message *reply = NULL;
	const char *text;
	int code = finish_call(b, m, err, &reply);

	if (!code) {
		err = sd_bus_message_read(reply, "s", &text);
		*ret = err < 0 ? NULL : json_tokener_parse(text);
		if (!*ret)
			code = bus_garbled(err);
	}
	sd_bus_message_unref(reply);
	return code;
}

int bus_status(struct bus *b, const char *collection, struct json_object **ret)
{
	sd_bus_message *m = NULL;
	int err = bus_new_call(b, &m, "GetStatus");

	if (err >= 0)
		err = collection ?
		      sd_bus_message_append(m, "a{sv}", 1, "Collection", "s", collection) :
		      sd_bus_message_append(m, "a{sv}", 0);
	return call_document(b, m, err, ret);
}

int bus_history(struct bus *b, const char *collection, uint64_t before, uint32_t count,
		struct json_object **ret)
{
	sd_bus_message *m = NULL;
	int err = bus_new_call(b, &m, "GetHistory");

	if (err >= 0)
		err = sd_bus_message_append(m, "stua{sv}", collection ?: "", before, count, 0);
	return call_document(b, m, err, ret);
}

int bus_statistics(struct bus *b, const char *collection, struct json_object **ret)
{
	sd_bus_message *m = NULL, *reply = NULL;
	uint32_t method;
	int err = bus_new_call(b, &m, "GetReplicationStatistics");
	int code;

	if (err >= 0)
		err = sd_bus_message_append(m, "sa{sv}", collection, 0);
	code = finish_call(b, m, err, &reply);
	if (!code) {
		err = sd_bus_message_read(reply, "u", &method);
		if (err >= 0)
			err = bus_json_value(reply, ret);
		if (err < 0)
			code = bus_garbled(err);
	}
	sd_bus_message_unref(reply);
	return code;
}

int bus_collection(struct bus *b, const char *collection, struct json_object **ret)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	char *path = NULL;
	int err = sd_bus_path_encode(BUS_PATH "/Collection", collection, &path);
	int code;

	if (err >= 0)
		err = sd_bus_call_method(b->bus, BUS_NAME, path, "org.freedesktop.DBus.Properties",
					 "GetAll", &error, &reply, "s", BUS_COLLECTION);
	free(path);
	if (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT)) {
		command_say("there is no collection %s", collection);
		code = EXIT_NOT_FOUND;
	} else if (err < 0) {
		code = bus_refused(&error, err);
	} else {
		err = bus_json_value(reply, ret);
		code = err < 0 ? bus_garbled(err) : EXIT_DONE;
	}
	sd_bus_message_unref(reply);
	sd_bus_error_free(&error);
	return code;
}
