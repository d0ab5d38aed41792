// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * org.tidemark.Replication1.Points: the recovery points that this host holds of
 * a collection.
 */
#include "bus/task.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "bus/document.h"
#include "point/clear.h"
#include "point/import.h"
#include "point/points.h"

#define SCHEMA "tidemark/1"

static int need_receiver(struct bus *b, sd_bus_error *error)
{
	static const struct reason none = {
		REASON_NOT_SUPPORTED, "this host receives nothing: it has no points",
	};

	return b->agent.receiver ? 0 : bus_refuse(error, &none);
}

/* -- what is shown ------------------------------------------------------------------------ */

static void put(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

static void put_u64(struct json_object *o, const char *key, uint64_t value)
{
	put(o, key, json_object_new_uint64(value));
}

static void put_hex(struct json_object *o, const char *key, const uint8_t *bytes, size_t size)
{
	char text[64] = "";

	for (size_t i = 0; i < size; i++)
		snprintf(text + 2 * i, sizeof(text) - 2 * i, "%02x", bytes[i]);
	put(o, key, json_object_new_string(text));
}

static struct json_object *disk_json(const struct points_disk *d)
{
	struct json_object *o = json_object_new_object();
	size_t length = strlen(d->path);
	bool qcow2 = length > 6 && !strcmp(d->path + length - 6, ".qcow2");

	put(o, "vm", json_object_new_string(d->vm));
	put(o, "disk", json_object_new_string(d->disk));
	put_u64(o, "layer", d->layer);
	put(o, "path", length ? json_object_new_string(d->path) : NULL);
	put(o, "format", length ? json_object_new_string(qcow2 ? "qcow2" : "raw") : NULL);
	put_u64(o, "size", d->size);
	put_u64(o, "space", d->space);
	put_u64(o, "epoch", d->epoch);
	document_put_uuid(o, "tracker", d->tracker);
	if (d->digested)
		put_hex(o, "digest", d->digest, sizeof(d->digest));
	else
		put(o, "digest", NULL);
	return o;
}

static struct json_object *point_json(const struct points_point *p)
{
	static const char *const levels[] = { "?", "application", "crash", "group crash" };
	struct json_object *o = json_object_new_object();
	struct json_object *disks = json_object_new_array();
	time_t created = p->created;
	char text[32] = "";
	struct tm tm;

	if (gmtime_r(&created, &tm))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	put_u64(o, "point", p->number);
	put(o, "created", json_object_new_string(text));
	put_u64(o, "consistency", p->consistency);
	put(o, "consistency_name",
	    json_object_new_string(levels[p->consistency < ARRAY_SIZE(levels) ? p->consistency : 0]));
	put(o, "final", json_object_new_boolean(p->final));
	put(o, "newest", json_object_new_boolean(p->newest));
	put(o, "in_use", json_object_new_boolean(p->in_use));
	put_u64(o, "space", p->space);
	for (size_t i = 0; i < p->disk_count; i++)
		json_object_array_add(disks, disk_json(&p->disks[i]));
	put(o, "disks", disks);
	return o;
}

static int list_text(struct bus *b, const char *collection, char **ret, struct reason *reason)
{
	struct store *s = receiver_store(b->agent.receiver);
	struct points_point *points = NULL;
	struct json_object *o, *array;
	size_t count = 0;
	int err = points_list(s, collection, &points, &count, reason);

	if (err)
		return err;
	o = json_object_new_object();
	array = json_object_new_array();
	put(o, "schema", json_object_new_string(SCHEMA));
	put(o, "collection", json_object_new_string(collection));
	put_u64(o, "history", store_history(s, collection));
	for (size_t i = 0; i < count; i++)
		json_object_array_add(array, point_json(&points[i]));
	put(o, "points", array);
	points_free(points, count);
	*ret = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						     JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return *ret ? 0 : -ENOMEM;
}

/* -- methods ------------------------------------------------------------------------------ */

static int run_list(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_free_ char *text = NULL;
	struct reason reason = { 0 };
	char collection[NAME_SIZE];
	int err = need_receiver(b, error);

	if (err >= 0)
		err = bus_read_collection(m, collection, error);
	if (err < 0)
		return err;
	if (list_text(b, collection, &text, &reason)) {
		reason_set(&reason, -ENOMEM, 0, "out of memory");
		return bus_refuse(error, &reason);
	}
	return sd_bus_reply_method_return(m, "s", text);
}

static int verify_work(struct task_call *call, struct reason *reason)
{
	struct store *s = receiver_store(call->bus->agent.receiver);
	const struct merge_tick tick = { task_tick, call };
	size_t fresh = 0;
	int err = points_verify(s, call->collection, call->number, &tick, &fresh, reason);

	/* Its layer could not be merged meanwhile. */
	receiver_tidy(call->bus->agent.receiver);
	if (err == -ECANCELED)
		log_info("%s: the verification of a point was stopped", call->collection);
	if (err)
		return err;
	if (asprintf(&call->text, "{\"schema\":\"" SCHEMA "\",\"first_time\":%zu}", fresh) < 0)
		return -ENOMEM;
	return 0;
}

static int read_call(struct bus *b, sd_bus_message *m, struct task_call *ret,
		     sd_bus_error *error)
{
	int err = need_receiver(b, error);

	*ret = (struct task_call){ .bus = b };
	if (err >= 0)
		err = bus_read_collection(m, ret->collection, error);
	return err < 0 ? err : sd_bus_message_read(m, "t", &ret->number);
}

static int run_verify(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	struct task_call call;
	int err = read_call(b, m, &call, error);

	return err < 0 ? err : task_start(m, &call, verify_work);
}

static int import_work(struct task_call *call, struct reason *reason)
{
	struct store *s = receiver_store(call->bus->agent.receiver);
	const struct log_fields fields = { .event = LOG_EVENT_POINT,
					   .collection = call->collection };
	const struct merge_tick tick = { task_tick, call };
	struct import_result done;
	int err = import_run(s, call->collection, call->path, &tick, &done, reason);

	if (err)
		return err;
	log_about(LOG_NOTICE, &fields, "%s: point %llu is committed: %u disk(s) of %s, %llu bytes",
		  call->collection, (unsigned long long)done.point, done.disks, call->path,
		  (unsigned long long)done.bytes);
	if (asprintf(&call->text, "{\"schema\":\"" SCHEMA "\",\"point\":%llu,\"disks\":%u,"
		     "\"bytes\":%llu}", (unsigned long long)done.point, done.disks,
		     (unsigned long long)done.bytes) < 0)
		return -ENOMEM;
	return 0;
}

/* Copies that were carried here, as StartReplication to a folder leaves them. */
static int run_import(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	struct task_call call = { .bus = b, .replicas = true };
	struct reason reason = { 0 };
	const struct collection *c;
	const char *folder;
	int err = need_receiver(b, error);

	if (err >= 0)
		err = bus_read_collection(m, call.collection, error);
	if (err >= 0)
		err = sd_bus_message_read(m, "s", &folder);
	if (err < 0)
		return err;
	c = service_find(b->agent.service, call.collection);
	if (folder[0] != '/' ||
	    snprintf(call.path, sizeof(call.path), "%s", folder) >= (int)sizeof(call.path))
		reason_set(&reason, 0, REASON_INVALID_PARAMETER,
			   "'%.64s' is no absolute path of a folder", folder);
	else if (c && c->role == MODEL_PRIMARY)
		reason_set(&reason, 0, REASON_INVALID_STATE,
			   "collection %s is sent by this host: a copy of it belongs on its replica "
			   "host", call.collection);
	return reason.code ? bus_refuse(error, &reason) : task_start(m, &call, import_work);
}

static int run_delete(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	struct reason reason = { 0 };
	struct task_call call;
	int err = read_call(b, m, &call, error);

	if (err < 0)
		return err;
	if (points_delete(receiver_store(b->agent.receiver), call.collection, call.number, &reason))
		return bus_refuse(error, &reason);
	receiver_tidy(b->agent.receiver);
	return sd_bus_reply_method_return(m, "uo", 0u, "/");
}

/* -- giving up a collection --------------------------------------------------------------- */

static struct json_object *clear_disk_json(const struct clear_disk *d)
{
	struct json_object *o = json_object_new_object();

	put(o, "vm", json_object_new_string(d->vm));
	put(o, "disk", json_object_new_string(d->disk));
	put(o, "path", json_object_new_string(d->path));
	put(o, "fate", json_object_new_string(clear_fate_name(d->fate)));
	put_u64(o, "space", d->space);
	return o;
}

/* Frees what is in @r. */
static char *clear_text(const char *collection, struct clear_report *r)
{
	struct json_object *o = json_object_new_object();
	struct json_object *disks = json_object_new_array();
	char *text;

	put(o, "schema", json_object_new_string(SCHEMA));
	put(o, "collection", json_object_new_string(collection));
	put_u64(o, "points", r->points);
	put_u64(o, "space", r->space);
	for (size_t i = 0; i < r->disk_count; i++)
		json_object_array_add(disks, clear_disk_json(&r->disks[i]));
	put(o, "disks", disks);
	text = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						     JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	free(r->disks);
	return text;
}

static int run_plan_clear(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	_cleanup_free_ char *text = NULL;
	struct reason reason = { 0 };
	struct clear_report report;
	char collection[NAME_SIZE];
	int err = need_receiver(b, error);

	if (err >= 0)
		err = bus_read_collection(m, collection, error);
	if (err < 0)
		return err;
	if (clear_look(receiver_store(b->agent.receiver), collection, &report, &reason))
		return bus_refuse(error, &reason);
	text = clear_text(collection, &report);
	return text ? sd_bus_reply_method_return(m, "s", text) : -ENOMEM;
}

static int clear_work(struct task_call *call, struct reason *reason)
{
	const struct log_fields fields = { .event = LOG_EVENT_CLEARED,
					   .collection = call->collection };
	struct clear_report report;
	int err = clear_run(receiver_store(call->bus->agent.receiver), call->collection, &report,
			    reason);

	if (err)
		return err;
	log_about(LOG_NOTICE, &fields, "%s: all that was held of it is given up: %zu point(s) of "
		  "%zu disk(s), %llu bytes", call->collection, report.points, report.disk_count,
		  (unsigned long long)report.space);
	call->text = clear_text(call->collection, &report);
	return call->text ? 0 : -ENOMEM;
}

static int run_clear(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	struct task_call call = { .bus = b, .replicas = true };
	int err = need_receiver(b, error);

	if (err >= 0)
		err = bus_read_collection(m, call.collection, error);
	return err < 0 ? err : task_start(m, &call, clear_work);
}

const struct bus_method bus_points_methods[] = {
	{ "ListPoints", "s", NULL, run_list },
	{ "VerifyPoint", "st", BUS_ACTION_REPLICATE, run_verify },
	{ "DeletePoint", "st", BUS_ACTION_CONFIGURE, run_delete },
	{ "PlanClearPoints", "s", NULL, run_plan_clear },
	{ "ClearPoints", "s", BUS_ACTION_CONFIGURE, run_clear },
	{ "ImportInitialReplica", "ss", BUS_ACTION_CONFIGURE, run_import },
	{ 0 },
};

#define POINT SD_BUS_ARGS("s", collection, "t", point)

static const sd_bus_vtable points_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("ListPoints", SD_BUS_ARGS("s", collection),
				SD_BUS_RESULT("s", json), bus_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("VerifyPoint", POINT, SD_BUS_RESULT("s", json), bus_method,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("DeletePoint", POINT, SD_BUS_RESULT("u", code, "o", job),
				bus_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("PlanClearPoints", SD_BUS_ARGS("s", collection),
				SD_BUS_RESULT("s", json), bus_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ClearPoints", SD_BUS_ARGS("s", collection),
				SD_BUS_RESULT("s", json), bus_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ImportInitialReplica",
				SD_BUS_ARGS("s", collection, "s", folder),
				SD_BUS_RESULT("s", json), bus_method, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int bus_points_add(struct bus *b)
{
	return sd_bus_add_object_vtable(b->bus, bus_slot(b), BUS_PATH, BUS_POINTS, points_vtable, b);
}
