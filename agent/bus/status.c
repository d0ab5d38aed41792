// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The document of GetStatus: everything about this agent, as JSON. Integers are
 * integers, sizes are bytes, times are ISO 8601 in UTC; members are only added.
 *
 * Trackers are asked anew while that costs little. With more disks than that the
 * document shows what the service saw last ("looked": false); ask for one
 * collection then.
 */
#include "bus/document.h"
#include "bus/objects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "send/source.h"

/* So many trackers are asked for one document: about 5 ms. */
#define LOOK_MAX 256

/* -- what is sent ----------------------------------------------------------- */

static void put_source(struct json_object *o, const struct source_info *info)
{
	document_put_u64(o, "size", info->size);
	document_put_u64(o, "granule", info->granule);
	document_put_uuid(o, "uuid", info->uuid);
	if (!info->tracked)
		return;
	document_put_u64(o, "epoch", info->epoch);
	document_put_u64(o, "committed_epoch", info->committed_epoch);
	document_put_u64(o, "sealed_epoch", info->sealed_epoch);
	document_put_u64(o, "marked", u64_min(info->marked * info->granule, info->size));
	document_put_u64(o, "sealed", u64_min(info->sealed * info->granule, info->size));
	document_put_u64(o, "owed", u64_min(info->owed * info->granule, info->size));
	document_put(o, "torn", json_object_new_boolean(info->torn));
	document_put_u64(o, "writes", info->writes);
	document_put_u64(o, "written", info->written);
	document_put_u64(o, "discarded", info->discarded);
	document_put_text(o, "message", info->message);
}

static struct json_object *disk_json(const struct service_vm *vm, const struct service_disk *d,
				     bool look)
{
	struct json_object *o = json_object_new_object();
	struct source_info info;
	int err = -EAGAIN;

	document_put_text(o, "vm", vm->name);
	document_put_text(o, "disk", d->name);
	document_put_text(o, "device", d->device);
	document_put_text(o, "tracking", d->tracked ? "kernel" : "none");
	document_put(o, "included", json_object_new_boolean(!d->excluded));
	if (look && d->device)
		err = source_look(d->device, d->tracked, d->granule, &info);
	document_put_text(o, "error", err == -ENOPKG ? "the kernel module is not loaded" :
			     err == -ENODEV ? "not tracked" :
			     err && err != -EAGAIN ? strerrordesc_np(-err) :
			     d->error[0] ? d->error : NULL);
	if (!err) {
		put_source(o, &info);
	} else if (d->size) {
		document_put_u64(o, "size", d->size);
		document_put_u64(o, "owed", d->owed);
	}
	document_put_u64(o, "health", d->health);
	document_put_text(o, "health_name", model_health_name(d->health));
	document_put_u64(o, "point", d->point);
	document_put_u64(o, "point_epoch", d->point_epoch);
	document_put_time(o, "point_time", d->point_time);
	return o;
}

static struct json_object *vm_json(const struct service_vm *vm)
{
	struct json_object *o = json_object_new_object();

	document_put_text(o, "vm", vm->name);
	document_put_u64(o, "state", vm->state);
	document_put_text(o, "state_name", model_vm_state_name(vm->state));
	document_put_u64(o, "health", vm->health);
	document_put_text(o, "health_name", model_health_name(vm->health));
	document_put_text(o, "health_text", vm->health_text[0] ? vm->health_text : NULL);
	document_put_u64(o, "point", vm->point);
	document_put_time(o, "point_time", vm->point_time);
	document_put_u64(o, "error", vm->error);
	document_put_text(o, "text", vm->error_text[0] ? vm->error_text : NULL);
	return o;
}

static struct json_object *last_json(const struct history_entry *e)
{
	struct json_object *o = json_object_new_object();

	document_put_u64(o, "job", e->id);
	document_put_u64(o, "state", e->state);
	document_put_text(o, "state_name", job_state_name(e->state));
	document_put_u64(o, "error", e->error);
	document_put_text(o, "text", e->text);
	document_put_u64(o, "point", e->point);
	document_put_time(o, "started", e->started);
	document_put_time(o, "ended", e->ended);
	document_put_u64(o, "owed", e->owed);
	document_put_u64(o, "sent", e->sent);
	document_put_u64(o, "wire", e->wire);
	document_put_u64(o, "different", e->different);
	document_put_u64(o, "passes", e->passes);
	return o;
}

/* The names are those that the command makes of GetReplicationStatistics'. */
static struct json_object *statistics_json(const struct service_statistics *s)
{
	struct json_object *o = json_object_new_object();

	document_put_time(o, "start_statistic_time", s->start_time);
	document_put_time(o, "end_statistic_time", s->end_time);
	document_put_u64(o, "replication_size", s->size);
	document_put_u64(o, "max_replication_size", s->max_size);
	document_put_u64(o, "pending_replication_size", s->pending_size);
	document_put_u64(o, "replication_success_count", s->success_count);
	document_put_u64(o, "replication_miss_count", s->miss_count);
	document_put_u64(o, "network_failure_count", s->network_failure_count);
	document_put_u64(o, "replication_failure_count", s->failure_count);
	document_put_u64(o, "replication_latency", s->latency);
	document_put_u64(o, "max_replication_latency", s->max_latency);
	document_put_time(o, "last_test_failover_time", s->last_test_time);
	document_put_u64(o, "resynchronize_count", s->resync_count);
	document_put_u64(o, "bytes_compared", s->compared_bytes);
	document_put_u64(o, "bytes_sent", s->sent_bytes);
	return o;
}

static void put_replica(struct json_object *o, const struct settings *s)
{
	char text[512];

	snprintf(text, sizeof(text), strchr(s->host ?: "", ':') ? "[%s]:%s" : "%s:%s",
		 s->host ?: "", s->port ?: "");
	document_put_text(o, "replica", s->host ? text : NULL);
}

static void put_members(struct json_object *o, const struct collection *c, bool look)
{
	struct json_object *disks = json_object_new_array();
	struct json_object *vms = json_object_new_array();

	for (size_t i = 0; i < c->vm_count; i++) {
		const struct service_vm *vm = &c->vms[i];

		json_object_array_add(vms, vm_json(vm));
		for (size_t k = 0; k < vm->disk_count; k++)
			json_object_array_add(disks, disk_json(vm, &vm->disks[k], look));
	}
	document_put(o, "vms", vms);
	document_put(o, "disks", disks);
}

static void put_rate(struct json_object *o, const struct service_rate *rate)
{
	document_put_u64(o, "rate_limit", rate->limit);
	document_put_text(o, "rate_limit_reason", rate->why[0] ? rate->why : NULL);
}

static struct json_object *collection_json(struct bus *b, const struct collection *c, bool look)
{
	struct json_object *o = json_object_new_object();
	struct history_entry last;

	document_put_text(o, "collection", c->name);
	document_put_text(o, "role", model_role_name(c->role));
	put_replica(o, &c->settings);
	document_put(o, "job", c->job ? json_object_new_uint64(c->job) : NULL);
	document_put(o, "last", c->last_job && history_last(service_history(b->agent.service), c->name,
						   &last) == 0 ? last_json(&last) : NULL);
	document_put_u64(o, "state", c->state);
	document_put_text(o, "state_name", model_collection_state_name(c->state));
	document_put_u64(o, "health", c->health);
	document_put_text(o, "health_name", model_health_name(c->health));
	document_put_text(o, "health_text", c->health_text[0] ? c->health_text : NULL);
	document_put_time(o, "next_run", c->next_run / 1000000);
	put_rate(o, &c->rate);
	document_put(o, "statistics", statistics_json(&c->statistics));
	put_members(o, c, look && c->role == MODEL_PRIMARY);
	return o;
}

static const char *kind_of(const struct service_job *job)
{
	switch (job->event) {
	case EVENT_VERIFY:
		return "verify";
	case EVENT_RESYNC:
	case EVENT_RESYNC_ALL:
	case EVENT_CYCLE:
		return "resynchronize";
	default:
		return service_job_name(job);
	}
}

static struct json_object *job_json(const struct service_job *job)
{
	struct json_object *o = json_object_new_object();
	struct service_rate rate;
	struct progress_view p;

	service_job_progress(job, &p);
	service_job_rate(job, &rate);
	document_put_u64(o, "job", job->id);
	document_put_text(o, "collection", job->collection);
	document_put_text(o, "name", service_job_name(job));
	document_put_text(o, "kind", kind_of(job));
	document_put_u64(o, "state", job->state);
	document_put_text(o, "state_name", job_state_name(job->state));
	document_put_text(o, "status", job->status[0] ? job->status : NULL);
	document_put_text(o, "owner", job->owner[0] ? job->owner : NULL);
	document_put_u64(o, "percent", p.permille / 10);
	document_put_u64(o, "owed", p.owed);
	document_put_u64(o, "sent", p.sent);
	document_put_u64(o, "wire", p.wire);
	document_put_u64(o, "remaining", p.remaining);
	document_put_u64(o, "rate", p.rate);
	document_put(o, "eta", p.eta == UINT64_MAX ? NULL : json_object_new_uint64(p.eta));
	put_rate(o, &rate);
	document_put_u64(o, "own_rate_limit", job->rate_limit);
	document_put_u64(o, "read_limit", p.read_limit);
	document_put_u64(o, "latency_us", p.latency);
	document_put_u64(o, "passes", p.passes);
	document_put_text(o, "hash", job->hash[0] ? job->hash : NULL);
	document_put_u64(o, "streams", job->streams);
	document_put_text(o, "encryption", job->secret[0] ? job->secret : NULL);
	document_put_u64(o, "error", job->error);
	document_put_text(o, "text", job->text);
	document_put_time(o, "submitted", job->submitted / 1000000);
	document_put_time(o, "scheduled", job->scheduled / 1000000);
	document_put_time(o, "started", job->started / 1000000);
	document_put_time(o, "ended", job->ended / 1000000);
	return o;
}

/* -- what is held ----------------------------------------------------------- */

static struct json_object *import_json(const struct store_replica *r)
{
	struct json_object *o = r->total ? json_object_new_object() : NULL;

	if (o) {
		document_put_u64(o, "done", r->done);
		document_put_u64(o, "total", r->total);
	}
	return o;
}

static int replica_json(const struct store_replica *r, void *arg)
{
	size_t length = strlen(r->path);
	struct json_object *o;
	bool qcow2 = length > 6 && strcmp(r->path + length - 6, ".qcow2") == 0;

	if (r->reversed)
		return 0;
	o = json_object_new_object();
	document_put_text(o, "collection", r->collection);
	document_put_text(o, "vm", r->vm);
	document_put_text(o, "disk", r->disk);
	document_put_text(o, "path", r->path[0] ? r->path : NULL);
	document_put_text(o, "format", r->path[0] ? (qcow2 ? "qcow2" : "raw") : NULL);
	document_put_u64(o, "size", r->size);
	document_put_u64(o, "point", r->point);
	document_put_time(o, "created", r->created);
	document_put_uuid(o, "tracker", r->tracker);
	document_put_u64(o, "epoch", r->epoch);
	document_put_text(o, "state", store_state_name(r->state));
	document_put_text(o, "error", r->error[0] ? r->error : NULL);
	document_put(o, "import", import_json(r));
	return json_object_array_add(arg, o);
}

static bool wanted(const char *collection, const char *name)
{
	return !collection[0] || strcmp(collection, name) == 0;
}

/* Collections of which nothing is received; of some of them no replica is held. */
static void put_faults(struct bus *b, struct json_object *o, const char *collection)
{
	struct store *s = b->agent.receiver ? receiver_store(b->agent.receiver) : NULL;
	struct json_object *array = json_object_new_array();
	char name[NAME_SIZE] = "";
	struct reason why;

	while (s && store_next_fault(s, name, name)) {
		struct json_object *fault;

		if (!wanted(collection, name) || !store_fault(s, name, &why))
			continue;
		fault = json_object_new_object();
		document_put_text(fault, "collection", name);
		document_put_text(fault, "error", why.text);
		json_object_array_add(array, fault);
	}
	document_put(o, "faults", array);
}

static size_t disks_of(struct service *s, const char *collection)
{
	size_t count = 0;

	for (size_t i = 0; i < service_count(s); i++) {
		const struct collection *c = service_at(s, i);

		for (size_t k = 0; wanted(collection, c->name) && k < c->vm_count; k++)
			count += c->vms[k].disk_count;
	}
	return count;
}

static void put_collections(struct bus *b, struct json_object *o, const char *collection)
{
	struct json_object *array = json_object_new_array();
	bool look = disks_of(b->agent.service, collection) <= LOOK_MAX;

	for (size_t i = 0; i < service_count(b->agent.service); i++) {
		const struct collection *c = service_at(b->agent.service, i);

		if (wanted(collection, c->name))
			json_object_array_add(array, collection_json(b, c, look));
	}
	document_put(o, "looked", json_object_new_boolean(look));
	document_put(o, "collections", array);
}

static void put_jobs(struct bus *b, struct json_object *o, const char *collection)
{
	struct json_object *array = json_object_new_array();

	for (const struct service_job *job = service_jobs(b->agent.service); job;
	     job = job->next) {
		if (wanted(collection, job->collection))
			json_object_array_add(array, job_json(job));
	}
	document_put(o, "jobs", array);
}

int bus_status(struct bus *b, const char *collection, char **ret)
{
	struct json_object *o = json_object_new_object();
	struct json_object *replicas = json_object_new_array();
	int err = 0;

	document_put_text(o, "schema", DOCUMENT_SCHEMA);
	document_put_text(o, "version", TIDEMARK_VERSION);
	document_put_text(o, "engine", b->agent.engine);
	document_put_text(o, "kernel_tls", b->agent.kernel_tls());
	document_put_text(o, "tls_dir", service_config(b->agent.service)->tls_dir);
	document_put_time(o, "time", time(NULL));
	put_collections(b, o, collection ?: "");
	put_jobs(b, o, collection ?: "");
	if (b->agent.receiver)
		err = receiver_status(b->agent.receiver, replica_json, replicas);
	document_put(o, "replicas", replicas);
	put_faults(b, o, collection ?: "");
	if (err) {
		json_object_put(o);
		return err;
	}
	return document_end(o, ret);
}
