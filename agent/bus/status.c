// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The document of GetStatus: everything about this agent, as JSON. Integers are
 * integers, sizes are bytes, times are ISO 8601 in UTC; members are only added.
 */
#include "bus/objects.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "send/mode.h"
#include "send/source.h"

#define SCHEMA "tidemark/1"

static void put(struct json_object *o, const char *key, struct json_object *value)
{
	json_object_object_add(o, key, value);
}

static void put_u64(struct json_object *o, const char *key, uint64_t value)
{
	put(o, key, json_object_new_uint64(value));
}

static void put_text(struct json_object *o, const char *key, const char *value)
{
	put(o, key, value ? json_object_new_string(value) : NULL);
}

static void put_time(struct json_object *o, const char *key, int64_t value)
{
	char text[32];
	time_t t = value;
	struct tm tm;

	if (!value || !gmtime_r(&t, &tm)) {
		put(o, key, NULL);
		return;
	}
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	put_text(o, key, text);
}

static void put_uuid(struct json_object *o, const char *key, const uint8_t *u)
{
	static const uint8_t none[FRAME_UUID_SIZE];
	char text[40];
	char *p = text;

	if (memcmp(u, none, sizeof(none)) == 0) {
		put(o, key, NULL);
		return;
	}
	for (size_t i = 0; i < FRAME_UUID_SIZE; i++)
		p += snprintf(p, text + sizeof(text) - p, "%s%02x",
			      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
	put_text(o, key, text);
}

/* -- what is sent ----------------------------------------------------------- */

static void put_source(struct json_object *o, const struct source_info *info)
{
	put_u64(o, "size", info->size);
	put_u64(o, "granule", info->granule);
	put_uuid(o, "uuid", info->uuid);
	if (!info->tracked)
		return;
	put_u64(o, "epoch", info->epoch);
	put_u64(o, "committed_epoch", info->committed_epoch);
	put_u64(o, "sealed_epoch", info->sealed_epoch);
	put_u64(o, "marked", u64_min(info->marked * info->granule, info->size));
	put_u64(o, "sealed", u64_min(info->sealed * info->granule, info->size));
	put_u64(o, "owed", u64_min(info->owed * info->granule, info->size));
	put(o, "torn", json_object_new_boolean(info->torn));
	put_u64(o, "writes", info->writes);
	put_u64(o, "written", info->written);
	put_u64(o, "discarded", info->discarded);
	put_text(o, "message", info->message);
}

static struct json_object *disk_json(struct bus *b, const struct run_config *run,
				     const struct run_disk *d, bool *never)
{
	struct json_object *o = json_object_new_object();
	struct history_disk last = { 0 };
	struct source_info info;
	int err;

	put_text(o, "vm", d->vm);
	put_text(o, "disk", d->name);
	put_text(o, "device", d->device);
	put_text(o, "tracking", d->tracked ? "kernel" : "none");
	err = source_look(d->device, d->tracked, d->granule, &info);
	put_text(o, "error",
		 err == -ENOPKG ? "the kernel module is not loaded" :
		 err == -ENODEV ? "not tracked" : err ? strerrordesc_np(-err) : NULL);
	if (!err)
		put_source(o, &info);
	if (history_disk(b->agent.history, run->collection, d->vm, d->name, &last))
		*never = true;
	put_u64(o, "point", last.point);
	put_u64(o, "point_epoch", last.epoch);
	put_time(o, "point_time", last.ended);
	return o;
}

static struct json_object *last_json(const struct history_entry *e)
{
	struct json_object *o = json_object_new_object();

	put_u64(o, "job", e->id);
	put_u64(o, "state", e->state);
	put_text(o, "state_name", job_state_name(e->state));
	put_u64(o, "error", e->error);
	put_text(o, "text", e->text);
	put_u64(o, "point", e->point);
	put_time(o, "started", e->started);
	put_time(o, "ended", e->ended);
	put_u64(o, "owed", e->owed);
	put_u64(o, "sent", e->sent);
	put_u64(o, "wire", e->wire);
	put_u64(o, "different", e->different);
	put_u64(o, "passes", e->passes);
	return o;
}

/* States of a collection in the management model, as far as they occur. */
static void put_state(struct json_object *o, const struct job *job, bool never, bool failed)
{
	if (job && job->run.kind == RUN_RESYNC) {
		put_u64(o, "state", 10);
		put_text(o, "state_name", "Resynchronizing");
	} else if (never) {
		put_u64(o, "state", 1);
		put_text(o, "state_name", "Ready");
	} else if (failed) {
		put_u64(o, "state", 9);
		put_text(o, "state_name", "WaitingToStartResynchronization");
	} else {
		put_u64(o, "state", 3);
		put_text(o, "state_name", "Replicating");
	}
}

static struct json_object *collection_json(struct bus *b, const struct config_collection *c)
{
	struct json_object *o = json_object_new_object();
	struct json_object *disks = json_object_new_array();
	struct job *job = jobs_of(b->agent.jobs, c->run.collection);
	struct history_entry last;
	char replica[512];
	bool never = false;
	bool failed = false;

	snprintf(replica, sizeof(replica), strchr(c->run.host, ':') ? "[%s]:%s" : "%s:%s",
		 c->run.host, c->run.port);
	put_text(o, "collection", c->run.collection);
	put_text(o, "replica", replica);
	for (size_t i = 0; i < c->run.disk_count; i++)
		json_object_array_add(disks, disk_json(b, &c->run, &c->run.disks[i], &never));
	put(o, "job", job ? json_object_new_uint64(job->id) : NULL);
	if (history_last(b->agent.history, c->run.collection, &last) == 0) {
		failed = last.state != JOB_COMPLETED && last.state != JOB_WARNINGS;
		put(o, "last", last_json(&last));
	} else {
		put(o, "last", NULL);
	}
	put_state(o, job, never, failed);
	put(o, "disks", disks);
	return o;
}

static struct json_object *job_json(struct job *job)
{
	struct json_object *o = json_object_new_object();
	struct progress_view p;

	sender_progress(job->sender, &p);
	put_u64(o, "job", job->id);
	put_text(o, "collection", job->run.collection);
	put_text(o, "kind", job->run.kind == RUN_VERIFY ? "verify" : "resynchronize");
	put_u64(o, "state", job->state);
	put_text(o, "state_name", job_state_name(job->state));
	put_u64(o, "percent", p.permille / 10);
	put_u64(o, "owed", p.owed);
	put_u64(o, "sent", p.sent);
	put_u64(o, "wire", p.wire);
	put_u64(o, "remaining", p.remaining);
	put_u64(o, "rate", p.rate);
	put(o, "eta", p.eta == UINT64_MAX ? NULL : json_object_new_uint64(p.eta));
	put_u64(o, "passes", p.passes);
	put_u64(o, "error", job->error);
	put_text(o, "text", job->text);
	put_time(o, "started", job->started);
	put_time(o, "ended", job->ended);
	return o;
}

/* -- what is held ----------------------------------------------------------- */

static int replica_json(const struct store_replica *r, void *arg)
{
	struct json_object *o = json_object_new_object();
	size_t length = strlen(r->path);
	bool qcow2 = length > 6 && strcmp(r->path + length - 6, ".qcow2") == 0;

	put_text(o, "collection", r->collection);
	put_text(o, "vm", r->vm);
	put_text(o, "disk", r->disk);
	put_text(o, "path", r->path[0] ? r->path : NULL);
	put_text(o, "format", r->path[0] ? (qcow2 ? "qcow2" : "raw") : NULL);
	put_u64(o, "size", r->size);
	put_u64(o, "point", r->point);
	put_time(o, "created", r->created);
	put_uuid(o, "tracker", r->tracker);
	put_u64(o, "epoch", r->epoch);
	put_text(o, "state", store_state_name(r->state));
	return json_object_array_add(arg, o);
}

int bus_status(struct bus *b, char **ret)
{
	struct json_object *o = json_object_new_object();
	struct json_object *collections = json_object_new_array();
	struct json_object *replicas = json_object_new_array();
	struct json_object *jobs = json_object_new_array();
	int err = 0;

	put_text(o, "schema", SCHEMA);
	put_text(o, "version", TIDEMARK_VERSION);
	put_text(o, "engine", b->agent.engine);
	put_time(o, "time", time(NULL));
	for (size_t i = 0; i < b->agent.config->collection_count; i++)
		json_object_array_add(collections,
				      collection_json(b, &b->agent.config->collections[i]));
	for (struct job *job = jobs_first(b->agent.jobs); job; job = job->next)
		json_object_array_add(jobs, job_json(job));
	if (b->agent.receiver)
		err = receiver_status(b->agent.receiver, replica_json, replicas);
	put(o, "collections", collections);
	put(o, "replicas", replicas);
	put(o, "jobs", jobs);
	if (!err) {
		*ret = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							     JSON_C_TO_STRING_NOSLASHESCAPE));
		err = *ret ? 0 : -ENOMEM;
	}
	json_object_put(o);
	return err;
}
