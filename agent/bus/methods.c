// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Methods of the management model that become a request to the service. One
 * table says for each which arguments and which options it has; one function
 * reads them.
 */
#include "bus/objects.h"

#include <errno.h>
#include <string.h>

/* Options beyond those that every job has, and arguments after the collection. */
enum {
	ALLOW_VM = 1 << 0,
	ALLOW_FORCE = 1 << 1,
	ALLOW_COMPARE = 1 << 2,
	ALLOW_START_TIME = 1 << 3,
	ALLOW_PATH = 1 << 4,
	TAKE_START_TIME = 1 << 5,
	TAKE_SUSPENDED = 1 << 6,
	TAKE_INITIAL = 1 << 7,
	TAKE_POINT = 1 << 8,
	ALLOW_PARANOID = 1 << 9,
};

#define FAILOVER (ALLOW_VM | ALLOW_FORCE | ALLOW_PATH)

static const struct {
	const char *name;
	enum model_event event;
	unsigned int flags;
} requests[] = {
	{ "StartReplication", EVENT_START, TAKE_INITIAL | TAKE_START_TIME },
	{ "CancelInitialReplication", EVENT_CANCEL_INITIAL, 0 },
	{ "Resynchronize", EVENT_RESYNC, TAKE_START_TIME | TAKE_SUSPENDED | ALLOW_COMPARE |
	  ALLOW_PARANOID },
	{ "CancelResynchronize", EVENT_CANCEL_RESYNC, 0 },
	{ "SuspendReplication", EVENT_SUSPEND, ALLOW_VM },
	{ "ResumeReplication", EVENT_RESUME, ALLOW_VM },
	{ "Verify", EVENT_VERIFY, ALLOW_START_TIME | ALLOW_PARANOID },
	{ "InitiatePlannedFailover", EVENT_PLANNED_FAILOVER, FAILOVER },
	{ "RevertPlannedFailover", EVENT_REVERT_PLANNED, FAILOVER },
	{ "InitiateFailover", EVENT_FAILOVER, FAILOVER | TAKE_POINT },
	{ "RevertFailover", EVENT_REVERT_FAILOVER, FAILOVER },
	{ "CommitFailover", EVENT_COMMIT_FAILOVER, FAILOVER },
	{ "PrepareForReverseReplication", EVENT_PREPARE_REVERSE, FAILOVER },
	{ "ReverseReplicationRelationship", EVENT_REVERSE, FAILOVER },
	{ "TestReplicaCollection", EVENT_TEST, FAILOVER | TAKE_POINT },
	{ "RevertTestReplicaCollection", EVENT_REVERT_TEST, FAILOVER },
};

/**
 * struct call - a request with what it points to
 * @rq: the request
 * @collection: its name
 * @owner: who asks
 * @start_time: text in the message
 * @until: of the option
 */
struct call {
	struct service_request rq;
	char collection[NAME_SIZE];
	char owner[64];
	const char *start_time;
	uint64_t until;
};

static int read_arguments(sd_bus_message *m, struct call *c, unsigned int flags,
			  sd_bus_error *error)
{
	int suspended = 0;
	int err = bus_read_collection(m, c->collection, error);

	if (err >= 0 && flags & TAKE_INITIAL)
		err = sd_bus_message_read(m, "us", &c->rq.initial, &c->rq.path);
	if (err >= 0 && flags & TAKE_START_TIME)
		err = sd_bus_message_read(m, "s", &c->start_time);
	if (err >= 0 && flags & TAKE_SUSPENDED)
		err = sd_bus_message_read(m, "b", &suspended);
	if (err >= 0 && flags & TAKE_POINT)
		err = sd_bus_message_read(m, "t", &c->rq.point);
	if (suspended)
		c->rq.event = EVENT_RESYNC_ALL;
	return err;
}

static int read_job_options(sd_bus_message *m, struct call *c, unsigned int flags,
			    sd_bus_error *error)
{
	struct bus_option known[16];
	size_t count = 0;

#define KNOW(n, t, v) (known[count++] = (struct bus_option){ n, t, v })
	KNOW("UntilTime", 't', &c->until);
	KNOW("Notify", 's', &c->rq.notify);
	KNOW("DeleteOnCompletion", 'b', &c->rq.delete_on_completion);
	KNOW("TimeBeforeRemoval", 'u', &c->rq.removal_s);
	if (flags & ALLOW_VM)
		KNOW("VM", 's', &c->rq.vm);
	if (flags & ALLOW_FORCE)
		KNOW("Force", 'b', &c->rq.force);
	if (flags & ALLOW_COMPARE)
		KNOW("Compare", 'b', &c->rq.compare);
	if (flags & ALLOW_PARANOID)
		KNOW("Paranoid", 'b', &c->rq.paranoid);
	if (flags & ALLOW_START_TIME)
		KNOW("StartTime", 's', &c->start_time);
	if (flags & ALLOW_PATH)
		KNOW("Path", 's', &c->rq.path);
#undef KNOW
	return bus_read_options(m, known, count, error);
}

/* What no service needs to doubt any more. */
static int check_call(struct call *c, sd_bus_error *error)
{
	struct reason reason = { 0 };

	if (c->rq.vm && !name_valid(c->rq.vm))
		reason_set(&reason, 0, REASON_INVALID_PARAMETER, "'%.64s' is no name of a VM",
			   c->rq.vm);
	if (c->until > INT64_MAX)
		reason_set(&reason, 0, REASON_INVALID_PARAMETER, "UntilTime is out of range");
	if (c->rq.initial > 3)
		reason_set(&reason, 0, REASON_INVALID_PARAMETER,
			   "there is no initial replication %u: 1 network, 2 export, 3 seeded",
			   c->rq.initial);
	if (c->rq.notify && strlen(c->rq.notify) > 255)
		reason_set(&reason, 0, REASON_INVALID_PARAMETER,
			   "Notify is longer than 255 bytes");
	if (reason.code)
		return bus_refuse(error, &reason);
	if (c->rq.path && !c->rq.path[0])
		c->rq.path = NULL;
	c->rq.collection = c->collection;
	c->rq.start_time = c->start_time;
	c->rq.until = (int64_t)c->until;
	c->rq.owner = c->owner;
	return 0;
}

static int read_call(sd_bus_message *m, size_t which, struct call *ret, sd_bus_error *error)
{
	int err;

	*ret = (struct call){ .rq.event = requests[which].event };
	err = read_arguments(m, ret, requests[which].flags, error);
	if (err >= 0)
		err = read_job_options(m, ret, requests[which].flags, error);
	if (err >= 0)
		err = check_call(ret, error);
	if (err >= 0)
		bus_sender(m, ret->owner, sizeof(ret->owner));
	return err;
}

static size_t find_request(const char *name)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(requests) && strcmp(requests[i].name, name) != 0)
		i++;
	return i;
}

static int run_request(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	size_t which = find_request(sd_bus_message_get_member(m));
	struct reason reason = { 0 };
	char path[BUS_PATH_SIZE];
	uint64_t job = 0;
	struct call call;
	int answer;

	if (which == ARRAY_SIZE(requests))
		return -ENOSYS;
	answer = read_call(m, which, &call, error);
	if (answer < 0)
		return answer;
	answer = service_call(b->agent.service, &call.rq, &job, &reason);
	if (answer < 0)
		return bus_refuse(error, &reason);
	return sd_bus_reply_method_return(m, "uo", (uint32_t)answer, bus_job_path(job, path));
}

/* -- what would be done ----------------------------------------------------- */

/* Bytes that a run would have to look at: what is owed, or all where bits say nothing. */
static uint64_t disk_bytes(const struct service_disk *d, bool compare)
{
	return compare || !d->tracked || !d->point ? d->size : d->owed;
}

static bool would_run(const struct collection *c, const struct service_vm *vm,
		      enum model_event event)
{
	return model_vm_step(c->role, vm->state, event).action == ACTION_RUN;
}

/* Seconds for so many bytes, as fast as the last run was; UINT64_MAX: not known. */
static uint64_t plan_seconds(struct bus *b, const char *collection, uint64_t bytes)
{
	struct history_entry last;
	int64_t took;

	if (!bytes)
		return 0;
	if (history_last(service_history(b->agent.service), collection, &last) || !last.sent)
		return UINT64_MAX;
	took = last.ended - last.started;
	/* the history knows whole seconds */
	return (uint64_t)((double)bytes * (double)(took < 1 ? 1 : took) / (double)last.sent) + 1;
}

static int plan_disks(sd_bus_message *reply, const struct collection *c,
		      const struct service_request *rq, uint64_t *ret_bytes)
{
	int err = sd_bus_message_open_container(reply, 'a', "(sst)");

	for (size_t i = 0; c && i < c->vm_count && err >= 0; i++) {
		const struct service_vm *vm = &c->vms[i];

		if (!would_run(c, vm, rq->event))
			continue;
		for (size_t k = 0; k < vm->disk_count && err >= 0; k++) {
			uint64_t bytes = disk_bytes(&vm->disks[k], rq->compare);

			if (vm->disks[k].excluded)
				continue;
			*ret_bytes += bytes;
			err = sd_bus_message_append(reply, "(sst)", vm->name, vm->disks[k].name,
						    bytes);
		}
	}
	return err < 0 ? err : sd_bus_message_close_container(reply);
}

static int run_plan(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	sd_bus_message *reply = NULL;
	struct reason reason = { 0 };
	char text[REASON_TEXT_MAX];
	uint64_t bytes = 0, job;
	struct call call;
	int answer = read_call(m, find_request("Resynchronize"), &call, error);
	int err;

	if (answer < 0)
		return answer;
	call.rq.dry_run = true;
	service_look(b->agent.service, call.collection);
	answer = service_call(b->agent.service, &call.rq, &job, &reason);
	if (answer < 0)
		return bus_refuse(error, &reason);
	err = sd_bus_message_new_method_return(m, &reply);
	if (err >= 0)
		err = sd_bus_message_append(reply, "us", (uint32_t)answer,
					    bus_text(reason.text, text, sizeof(text)));
	if (err >= 0)
		err = plan_disks(reply, answer == SERVICE_STARTED ?
				 service_find(b->agent.service, call.collection) : NULL, &call.rq,
				 &bytes);
	if (err >= 0)
		err = sd_bus_message_append(reply, "tt", bytes,
					    plan_seconds(b, call.collection, bytes));
	if (err >= 0)
		err = sd_bus_send(b->bus, reply, NULL);
	sd_bus_message_unref(reply);
	return err;
}

/* There are no disk sets that are being updated: disks are added between two runs. */
static int run_cancel_update(struct bus *b, sd_bus_message *m, sd_bus_error *error)
{
	struct reason reason = { 0 };
	char collection[NAME_SIZE];
	int err = bus_read_collection(m, collection, error);

	if (err >= 0)
		err = bus_read_options(m, NULL, 0, error);
	if (err < 0)
		return err;
	if (service_find(b->agent.service, collection))
		reason_set(&reason, 0, REASON_INVALID_STATE,
			   "no disk set of collection %s is being updated", collection);
	else
		reason_set(&reason, 0, REASON_NOT_FOUND, "there is no collection %s on this host",
			   collection);
	return bus_refuse(error, &reason);
}

#define REPLICATE BUS_ACTION_REPLICATE
#define FAIL_OVER BUS_ACTION_FAILOVER

const struct bus_method bus_request_methods[] = {
	{ "StartReplication", "sussa{sv}", REPLICATE, run_request },
	{ "CancelInitialReplication", "sa{sv}", REPLICATE, run_request },
	{ "Resynchronize", "ssba{sv}", REPLICATE, run_request },
	{ "PlanResynchronize", "ssba{sv}", NULL, run_plan },
	{ "CancelResynchronize", "sa{sv}", REPLICATE, run_request },
	{ "SuspendReplication", "sa{sv}", REPLICATE, run_request },
	{ "ResumeReplication", "sa{sv}", REPLICATE, run_request },
	{ "Verify", "sa{sv}", REPLICATE, run_request },
	{ "CancelUpdateDiskSet", "sa{sv}", REPLICATE, run_cancel_update },
	{ "InitiatePlannedFailover", "sa{sv}", FAIL_OVER, run_request },
	{ "RevertPlannedFailover", "sa{sv}", FAIL_OVER, run_request },
	{ "InitiateFailover", "sta{sv}", FAIL_OVER, run_request },
	{ "RevertFailover", "sa{sv}", FAIL_OVER, run_request },
	{ "CommitFailover", "sa{sv}", FAIL_OVER, run_request },
	{ "PrepareForReverseReplication", "sa{sv}", FAIL_OVER, run_request },
	{ "ReverseReplicationRelationship", "sa{sv}", FAIL_OVER, run_request },
	{ "TestReplicaCollection", "sta{sv}", FAIL_OVER, run_request },
	{ "RevertTestReplicaCollection", "sa{sv}", FAIL_OVER, run_request },
	{ 0 },
};
