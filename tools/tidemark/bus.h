/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The agent, over D-Bus. Only bus*.c of the command know sd-bus.
 *
 * The functions that can be refused by the agent return an exit code and have
 * said why on stderr.
 */
#ifndef TIDEMARK_BUS_H
#define TIDEMARK_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What names the bus when --bus does not: an address, or "system" (also when unset). */
#define BUS_ENVIRONMENT "TIDEMARK_BUS_ADDRESS"

/** The agent's job states that mean something here; numbers are the reference's */
enum bus_job_state {
	BUS_JOB_NEW		= 2,
	BUS_JOB_RUNNING		= 4,
	BUS_JOB_SUSPENDED	= 5,
	BUS_JOB_SHUTTING_DOWN	= 6,
	BUS_JOB_COMPLETED	= 7,
	BUS_JOB_TERMINATED	= 8,
	BUS_JOB_KILLED		= 9,
	BUS_JOB_EXCEPTION	= 10,
	BUS_JOB_WARNINGS	= 32768,
};

/**
 * struct bus_range - a range that differs, found by a verification
 * @vm: name of the VM
 * @disk: name of its disk
 * @offset: bytes
 * @length: bytes
 */
struct bus_range {
	char vm[64];
	char disk[64];
	uint64_t offset;
	uint64_t length;
};

/**
 * struct bus_job - a job
 * @id: its number
 * @collection: what it is about
 * @name: what it does: "Resynchronize", "Verify"
 * @status: its state in a word
 * @note: JobStatus: what it waits for, or its state in a word
 * @owner: who asked for it; "": the agent itself
 * @text: why it failed, or a warning
 * @state: enum bus_job_state
 * @error: code of the management model, 0: none
 * @permille: how much is done
 * @passes: seals
 * @torn: torn epochs
 * @bytes_disk: of all disks
 * @bytes_marked: of granules that were marked at the start
 * @bytes_owed: of granules that the seals made owed
 * @bytes_sent: sent as data
 * @bytes_zero: sent as zeroes
 * @bytes_on_wire: written to the connection
 * @bytes_remaining: owed and not handled
 * @bytes_different: found by a verification
 * @read_calls: reads of the disks
 * @rate: bytes a second
 * @eta: seconds, UINT64_MAX: not known
 * @rate_limit: bytes a second that it may send now, 0: no limit
 * @rate_limit_reason: what says so: a setting, or that it is its own; "": none is set
 * @own_rate_limit: its own, 0: it has none
 * @read_limit: bytes a second that the latency of the disks lets it read, 0: any number
 * @latency: of the VMs' own requests, microseconds, 0: there were none
 * @elapsed: microseconds
 * @submitted: microseconds since 1970, as the next three; 0: not yet, or never
 * @scheduled: when it is to start
 * @started: when it started
 * @ended: when it ended
 * @point: number of the newest point
 * @hash: by which it compared; "": it did not, or not yet
 * @streams: TCP connections that carried its bytes; 0: none, or not known yet
 * @encryption: how they were encrypted, "plain": not at all; "": not known yet
 * @members: JSON array: its VMs, and how far each is
 * @disks: JSON array: their disks
 * @ranges: what differs, the first of them
 * @range_count: of them
 */
struct bus_job {
	uint64_t id;
	char collection[64];
	char name[32];
	char status[32];
	char note[128];
	char owner[64];
	char text[512];
	char hash[16];
	char encryption[64];
	uint32_t state;
	uint32_t error;
	uint32_t permille;
	uint32_t passes;
	uint32_t streams;
	uint32_t torn;
	uint64_t bytes_disk;
	uint64_t bytes_marked;
	uint64_t bytes_owed;
	uint64_t bytes_sent;
	uint64_t bytes_zero;
	uint64_t bytes_on_wire;
	uint64_t bytes_remaining;
	uint64_t bytes_different;
	uint64_t read_calls;
	uint64_t rate;
	uint64_t eta;
	uint64_t rate_limit;
	char rate_limit_reason[128];
	uint64_t own_rate_limit;
	uint64_t read_limit;
	uint64_t latency;
	uint64_t elapsed;
	uint64_t submitted;
	uint64_t scheduled;
	uint64_t started;
	uint64_t ended;
	uint64_t point;
	struct json_object *members;
	struct json_object *disks;
	struct bus_range *ranges;
	size_t range_count;
};

struct bus;
struct json_object;

/** bus_open() - connect; @address NULL: what the environment says */
int bus_open(struct bus **ret, const char *address);
/** bus_reachable() - is there a bus? Says nothing. Return: 0 or negative errno */
int bus_reachable(const char *address);
/** bus_close() - NULL is ignored. Return: NULL */
struct bus *bus_close(struct bus *b);

/**
 * struct bus_request - a method of the management model; unused members are zero
 * @method: its name: "Resynchronize", "InitiateFailover", ...
 * @collection: name
 * @start_time: CIM datetime; Resynchronize, StartReplication, Verify
 * @include_suspended: Resynchronize
 * @initial: StartReplication: 1 network, 2 export, 3 seeded
 * @point: InitiateFailover, TestReplicaCollection: its number, 0: the newest
 * @path: StartReplication: where an export goes; failovers: as their option Path
 * @vm: option VM: one member only
 * @compare: option Compare
 * @paranoid: option Paranoid
 * @force: option Force
 */
struct bus_request {
	const char *method;
	const char *collection;
	const char *start_time;
	bool include_suspended;
	uint32_t initial;
	uint64_t point;
	const char *path;
	const char *vm;
	bool compare;
	bool paranoid;
	bool force;
};

/**
 * bus_request() - call it
 * @ret_job: number of the job; 0: it is done, there is none
 */
int bus_request(struct bus *b, const struct bus_request *rq, uint64_t *ret_job);
/**
 * bus_points() - a method of the Points interface
 * @method: ListPoints, VerifyPoint, DeletePoint, PlanClearPoints, ClearPoints
 * @point: its number, for VerifyPoint and DeletePoint
 * @ret: the document that it answers with, allocated; NULL: it has none
 */
int bus_points(struct bus *b, const char *method, const char *collection, uint64_t point,
	       char **ret);
/** bus_import() - ImportInitialReplica; @ret: the document that it answers with, allocated */
int bus_import(struct bus *b, const char *collection, const char *folder, char **ret);
/** bus_plan() - what Resynchronize would do: a JSON object, to be put */
int bus_plan(struct bus *b, const struct bus_request *rq, struct json_object **ret);

/** struct bus_setting - a setting of a collection, by the reference's name */
struct bus_setting {
	const char *name;
	const char *text;
};

/** struct bus_disk - a disk to be added; @granule 0: the agent chooses */
struct bus_disk {
	const char *vm;
	const char *disk;
	const char *device;
	bool tracked;
	uint32_t granule;
};

int bus_create(struct bus *b, const char *collection, const struct bus_setting *settings,
	       size_t setting_count, const struct bus_disk *disks, size_t disk_count);
/** bus_modify() - @vm NULL: of the whole collection */
int bus_modify(struct bus *b, const char *collection, const char *vm,
	       const struct bus_setting *settings, size_t setting_count);
int bus_add_disks(struct bus *b, const char *collection, const struct bus_disk *disks,
		  size_t disk_count);
int bus_remove_vm(struct bus *b, const char *collection, const char *vm);

/**
 * bus_job_request() - RequestStateChange
 * @requested: 2 start, 3 suspend, 4 terminate, 5 kill
 */
int bus_job_request(struct bus *b, uint64_t job, uint32_t requested);
/** bus_job_limit() - SetRateLimit; @limit: bytes a second, 0: none of its own */
int bus_job_limit(struct bus *b, uint64_t job, uint64_t limit);

/*
 * Documents; each is put by the caller. bus_status(): of one collection, NULL: all.
 * bus_history(): jobs that ended, newest first, with numbers below @before (0: all).
 */
int bus_status(struct bus *b, const char *collection, struct json_object **ret);
int bus_history(struct bus *b, const char *collection, uint64_t before, uint32_t count,
		struct json_object **ret);
int bus_statistics(struct bus *b, const char *collection, struct json_object **ret);
int bus_collection(struct bus *b, const char *collection, struct json_object **ret);
int bus_job_errors(struct bus *b, uint64_t job, struct json_object **ret);

/** bus_job() - a job as it is now; @ret is freed by bus_job_free() */
int bus_job(struct bus *b, uint64_t job, struct bus_job *ret);
void bus_job_free(struct bus_job *job);
/** bus_job_ended() - is this a last state? */
bool bus_job_ended(const struct bus_job *job);
/** bus_wait() - until the agent has something to say, at most @ms milliseconds */
int bus_wait(struct bus *b, unsigned int ms);

/**
 * struct bus_event - what the agent tells of
 * @name: "state", "health", "job", ...; "agent-started" and "agent-ended" when it
 *	took or lost its name
 * @seq: counts all events of one life of the agent; 0: of the name
 * @time: microseconds since 1970
 * @collection: "": of none
 * @vm: "": of none
 * @job: 0: of none
 * @from: number of the state before
 * @to: number of that after
 * @text: for people
 */
struct bus_event {
	const char *name;
	uint64_t seq;
	uint64_t time;
	const char *collection;
	const char *vm;
	uint64_t job;
	uint32_t from;
	uint32_t to;
	const char *text;
};

/** bus_event_fn - called for each; what it returns other than 0 ends bus_events_next() */
typedef int bus_event_fn(const struct bus_event *event, void *arg);

/** bus_events() - be told of events from now on */
int bus_events(struct bus *b, bus_event_fn *fn, void *arg);
/** bus_events_fd() - to be polled for bus_events_poll() */
int bus_events_fd(struct bus *b);
short bus_events_poll(struct bus *b);
/** bus_events_next() - call the function for what has come. Return: what it returned, or
 * negative errno: the connection is lost */
int bus_events_next(struct bus *b);

/** bus_exit_code() - the exit code for a code of the management model */
int bus_exit_code(uint32_t code);
/** bus_job_exit_code() - how the command ends when this job has ended */
int bus_job_exit_code(const struct bus_job *job);

/** bus_job_path() - the object path of a job, for people */
void bus_job_path(uint64_t job, char ret[64]);

#endif
