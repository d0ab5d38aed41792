/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The service: collections, their VMs and disks, and the methods of the
 * management model on them. It decides what runs when; how bytes move is the
 * business of agent/send, how failovers are done that of agent/failover, and
 * what the world sees that of agent/bus.
 *
 * Everything here belongs to the main thread. Objects that it hands out (struct
 * collection, struct service_job) are read-only for others, and stand until the next
 * call that changes something or the return to the event loop: keep names and
 * numbers, not pointers.
 *
 * A method returns SERVICE_COMPLETED (0: done, there is no job), SERVICE_STARTED
 * (4096: *ret_job is its number), or a negative errno with @reason: code and
 * sentence. These are the reference's numbers.
 *
 * Durable before answered: what a method has returned success for is in
 * STATE_DIR/agent.db. The agent may be killed at any instant.
 */
#ifndef TIDEMARK_SERVICE_SERVICE_H
#define TIDEMARK_SERVICE_SERVICE_H

#include "base/name.h"
#include "base/reason.h"
#include "config/config.h"
#include "config/settings.h"
#include "job/history.h"
#include "model/machine.h"
#include "send/source.h"
#include "service/job.h"

struct service;

/* -- objects ---------------------------------------------------------------- */

/** enum service_origin - where a collection comes from */
enum service_origin {
	ORIGIN_FILE = 1, /* a configuration file: changed there, and by a reload */
	ORIGIN_API, /* CreateReplicationRelationship */
	ORIGIN_STORE, /* replica role: somebody sends it to us */
};

/**
 * struct service_disk - a disk of a VM
 * @name: its own
 * @device: primary: device or file; replica: the replica's path
 * @tracked: the kernel tracks it
 * @granule: bytes, if not tracked
 * @excluded: IncludedDisks does not name it: no run is about it
 * @held: replica: the store had it when it was looked at last
 * @size: bytes, 0: not known
 * @owed: bytes changed since the newest point, as last looked at
 * @point: number of the newest point, 0: none
 * @point_epoch: the epoch that it closes
 * @point_time: when it was committed, seconds since 1970
 * @tracker: UUID of the tracker whose epoch @point_epoch is
 * @committed_epoch: the newest one that this tracker was seen to have committed
 * @attach: during which it was seen last
 * @meta_sequence: of its metadata then
 * @doubt: why its bits are not trusted, until the replica has been compared; "":
 *	they are
 * @health: enum model_health
 * @error: what is wrong with it; "": nothing
 */
struct service_disk {
	char name[NAME_SIZE];
	char *device;
	bool tracked;
	bool excluded;
	bool held;
	uint32_t granule;
	uint64_t size;
	uint64_t owed;
	uint64_t point;
	uint64_t point_epoch;
	int64_t point_time;
	uint8_t tracker[FRAME_UUID_SIZE];
	uint64_t committed_epoch;
	uint64_t attach;
	uint64_t meta_sequence;
	char doubt[REASON_TEXT_MAX];
	enum model_health health;
	char error[REASON_TEXT_MAX];
};

/**
 * struct service_vm - a member of a collection
 * @name: its own; a VM is in one collection only
 * @state: enum model_vm_state
 * @health: enum model_health
 * @health_text: why it is not Ok; "": it is
 * @host: of its own RecoveryConnectionPoint, NULL: the collection's
 * @port: of that
 * @freeze: its own freeze command, NULL: the collection's
 * @point: number of its newest point
 * @point_time: when that was committed, seconds since 1970, 0: never
 * @error: enum reason_code of its last run, 0: that went well
 * @error_text: the sentence for it
 * @retries: failed runs in a row, of those that are tried again
 * @retry_at: it is not taken by a run that nobody asked for before this, steady
 * @stuck: nor at all, until somebody asks: its last run failed for good
 * @disks: @disk_count of them
 * @disk_count: see @disks
 */
struct service_vm {
	char name[NAME_SIZE];
	enum model_vm_state state;
	enum model_health health;
	char health_text[REASON_TEXT_MAX];
	char *host;
	char *port;
	char *freeze;
	uint64_t point;
	int64_t point_time;
	uint32_t error;
	char error_text[REASON_TEXT_MAX];
	uint32_t retries;
	int64_t retry_at;
	bool stuck;
	struct service_disk *disks;
	size_t disk_count;
};

/**
 * struct service_statistics - as the reference counts; times are seconds since
 * 1970, latencies seconds
 */
struct service_statistics {
	int64_t start_time; /* StartStatisticTime: of the last reset */
	int64_t end_time; /* EndStatisticTime: of the last run counted */
	uint64_t size; /* ReplicationSize: bytes, of the last run */
	uint64_t max_size; /* MaxReplicationSize */
	uint64_t pending_size; /* PendingReplicationSize: owed now */
	uint64_t success_count; /* ReplicationSuccessCount */
	uint64_t miss_count; /* ReplicationMissCount: cycles not begun in time */
	uint64_t network_failure_count;
	uint64_t failure_count; /* ReplicationFailureCount */
	uint64_t latency; /* ReplicationLatency: mean of the runs counted */
	uint64_t max_latency;
	int64_t last_test_time; /* LastTestFailoverTime */
	uint64_t resync_count; /* ours: resynchronizations run */
	uint64_t compared_bytes; /* ours */
	uint64_t sent_bytes; /* ours */
	uint64_t latency_sum; /* of which @latency is the mean */
};

/**
 * struct collection - VMs that are replicated together
 * @name: its name
 * @role: enum model_role
 * @origin: enum service_origin
 * @file: ORIGIN_FILE: where it is defined, else NULL
 * @settings: how it is replicated
 * @state: enum model_collection_state, the fold of its members'
 * @health: the worst of its members'
 * @health_text: why it is not Ok
 * @vms: @vm_count of them
 * @vm_count: see @vms
 * @statistics: since the last reset
 * @job: number of the job that is running or waiting, 0: none
 * @last_job: number of the last one that ended, 0: none
 * @next_run: when the next recurring run, automatic resynchronization or retry is
 *	due, µs since 1970; 0: none is
 * @rate: the tighter of its rate limit and the agent's, by the time of day
 */
struct collection {
	char name[NAME_SIZE];
	enum model_role role;
	enum service_origin origin;
	char *file;
	struct settings settings;
	enum model_collection_state state;
	enum model_health health;
	char health_text[REASON_TEXT_MAX];
	struct service_vm *vms;
	size_t vm_count;
	struct service_statistics statistics;
	uint64_t job;
	uint64_t last_job;
	int64_t next_run;
	struct service_rate rate;
	struct collection_private *private;
};

/** service_count() - of collections, both roles */
size_t service_count(const struct service *s);
/** service_at() - the @i-th, by role (primary first) and name */
const struct collection *service_at(const struct service *s, size_t i);
/**
 * service_find() - by name; a name in both roles: the primary
 *
 * Return: NULL: there is none.
 */
const struct collection *service_find(const struct service *s, const char *collection);
/** service_vm() - a member; NULL: there is none */
const struct service_vm *service_vm(const struct collection *c, const char *vm);
/** service_jobs() - all jobs that are remembered, newest first, by job.next */
const struct service_job *service_jobs(const struct service *s);
/** service_job() - by number; NULL: there is none */
const struct service_job *service_job(const struct service *s, uint64_t id);
/** service_changes() - another number when collections or their disks have become others */
uint64_t service_changes(const struct service *s);
/** service_running() - how many jobs run now */
size_t service_running(const struct service *s);
/** service_history() - for pages of ended jobs (job/history.h) */
struct history *service_history(struct service *s);
/** service_config() - as last loaded */
const struct config *service_config(const struct service *s);
/** service_look_replicas() - ask the store alone; what it has no more is not held any more */
void service_look_replicas(struct service *s);
/**
 * service_look() - ask the kernel and the store how things are, now
 * @collection: NULL: all
 *
 * Sizes, owed bytes, health, replicas. It costs an ioctl a disk; the tick does it,
 * too, for a few collections at a time.
 */
void service_look(struct service *s, const char *collection);

/* -- methods ---------------------------------------------------------------- */

/** enum service_answer - see the head of this file */
enum service_answer {
	SERVICE_COMPLETED = 0,
	SERVICE_STARTED = 4096,
};

/**
 * struct service_request - what a method is asked; unused members are zero
 * @event: which method: EVENT_START to EVENT_VERIFY
 * @collection: its collection
 * @vm: one member only, of the methods that allow it (SUSPEND, RESUME, failovers);
 *	NULL: all
 * @start_time: CIM datetime, NULL or "": now. RESYNC, START, VERIFY
 * @compare: RESYNC: compare even where bits can be trusted
 * @paranoid: RESYNC, VERIFY: what is compared is by SHA-256
 * @force: failovers: as that method's page says
 * @point: failovers: number of the point, 0: the newest
 * @initial: START: 1 network (also 0), 2 export, 3 seeded
 * @path: START: where an export goes; failovers: as their page says
 * @until: UntilTime, µs since 1970: the job ends then; 0: never
 * @owner: who asked, for the job; NULL: the agent
 * @notify: a sentence that the job carries; NULL: none
 * @delete_on_completion: the job's object goes with its end
 * @removal_s: TimeBeforeRemoval, seconds; 0: SERVICE_REMOVAL_S
 * @dry_run: say what would happen (code, eligible members by the reason's
 *	sentence) and change nothing
 */
struct service_request {
	enum model_event event;
	const char *collection;
	const char *vm;
	const char *start_time;
	bool compare;
	bool paranoid;
	bool force;
	uint64_t point;
	uint32_t initial;
	const char *path;
	int64_t until;
	const char *owner;
	const char *notify;
	bool delete_on_completion;
	uint32_t removal_s;
	bool dry_run;
};

/**
 * service_call() - any method but those below
 * @ret_job: with SERVICE_STARTED: the job's number
 * @reason: with an error, or with @rq->dry_run: what would be done
 *
 * EVENT_RESYNC_ALL is Resynchronize with IncludeSuspended=true.
 */
int service_call(struct service *s, const struct service_request *rq, uint64_t *ret_job,
		 struct reason *reason);

/** struct service_value - a setting by name (settings.h) and its text */
struct service_value {
	const char *name;
	const char *text;
};

/** struct service_new_disk - a disk to be added; @granule 0: the default */
struct service_new_disk {
	const char *vm;
	const char *name;
	const char *device;
	bool tracked;
	uint32_t granule;
};

/** service_create() - CreateReplicationRelationship: a new collection, without members too */
int service_create(struct service *s, const char *collection, const struct service_value *settings,
		   size_t setting_count, const struct service_new_disk *disks, size_t disk_count,
		   struct reason *reason);
/**
 * service_modify() - ModifyReplicationSettings
 * @vm: NULL, or: of this member (RecoveryConnectionPoint and FreezeCommand only;
 *	text "": the collection's again)
 *
 * All or nothing. A running job goes on with what it began with. A collection
 * from a file is refused (32770): it is changed there.
 */
int service_modify(struct service *s, const char *collection, const char *vm,
		   const struct service_value *settings, size_t setting_count,
		   struct reason *reason);
/** service_remove() - RemoveReplicationRelationship; what the replica host has stays there */
int service_remove(struct service *s, const char *collection, struct reason *reason);
/** service_add_disks() - add VMs, or disks to VMs */
int service_add_disks(struct service *s, const char *collection,
		      const struct service_new_disk *disks, size_t disk_count,
		      struct reason *reason);
/** service_remove_vm() - take a member out */
int service_remove_vm(struct service *s, const char *collection, const char *vm,
		      struct reason *reason);
/** service_reset_statistics() - ResetReplicationStatistics */
int service_reset_statistics(struct service *s, const char *collection, struct reason *reason);

/** enum service_job_request - of RequestStateChange */
enum service_job_request {
	JOB_REQUEST_START = 2, /* a scheduled or suspended job: now */
	JOB_REQUEST_SUSPEND = 3, /* it can be started again, and goes on where it was */
	JOB_REQUEST_TERMINATE = 4, /* what is stored stays stored */
	JOB_REQUEST_KILL = 5, /* at once */
};

/** service_job_request() - RequestStateChange. Return: 0 or negative with @reason */
int service_job_request(struct service *s, uint64_t job, uint32_t requested,
			struct reason *reason);

/**
 * service_job_limit() - another rate limit of a job's own, which holds at once, and as
 * long as the job
 * @limit: bytes a second, 64K or more; 0: it has none
 *
 * Return: 0 or negative with @reason; nothing has changed then.
 */
int service_job_limit(struct service *s, uint64_t job, uint64_t limit, struct reason *reason);

/**
 * service_reload() - a new configuration has been read
 * @config: taken over on success; on failure it is the caller's
 *
 * Collections that are gone from the files end their jobs and are forgotten,
 * others take the new settings; running jobs go on with what they began with.
 * On failure nothing has changed.
 */
int service_reload(struct service *s, struct config *config, struct reason *reason);

/* -- being told ------------------------------------------------------------- */

/**
 * struct service_event - a line of `tidemark events`
 * @seq: 1, 2, 3, ... since the agent started
 * @time: µs since 1970
 * @name: "state", "health", "job", "collection-added", "collection-removed",
 *	"settings", "reload"
 * @collection: NULL: of none
 * @vm: NULL: of none
 * @job: 0: of none
 * @from: number of the state or health before
 * @to: number of that after
 * @text: for people
 */
struct service_event {
	uint64_t seq;
	int64_t time;
	const char *name;
	const char *collection;
	const char *vm;
	uint64_t job;
	uint32_t from;
	uint32_t to;
	const char *text;
};

/**
 * struct service_listener - who is told of changes; each may be NULL
 * @collection_added: a collection is new
 * @collection_changed: anything of it or of its members is another
 * @collection_removed: it will be freed after the call
 * @job_added: a job was created
 * @job_changed: its state is another
 * @job_removed: it will be freed after the call
 * @event: something to be told in the order of its happening
 * @owner: for all of them
 *
 * Do not call back into methods from these.
 */
struct service_listener {
	void (*collection_added)(void *owner, const struct collection *c);
	void (*collection_changed)(void *owner, const struct collection *c);
	void (*collection_removed)(void *owner, const struct collection *c);
	void (*job_added)(void *owner, const struct service_job *job);
	void (*job_changed)(void *owner, const struct service_job *job);
	void (*job_removed)(void *owner, const struct service_job *job);
	void (*event)(void *owner, const struct service_event *event);
	void *owner;
};

/** service_listen() - one listener; NULL: none any more */
void service_listen(struct service *s, const struct service_listener *listener);

/* -- what it stands on ------------------------------------------------------ */

/**
 * struct service_clock - time, so that tests need not wait
 * @wall_us: µs since 1970; may jump
 * @steady_us: µs of a clock that does not, and counts while the host sleeps
 */
struct service_clock {
	int64_t (*wall_us)(void *arg);
	int64_t (*steady_us)(void *arg);
	void *arg;
};

/**
 * struct service_world - the disks of this host
 * @look: source_look() of send/source.h
 * @replicas: receiver_status() of receive/receiver.h; NULL: this host receives
 *	nothing
 */
struct service_world {
	int (*look)(void *arg, const char *device, bool tracked, uint32_t granule,
		    struct source_info *ret);
	int (*replicas)(void *arg, int (*each)(const struct store_replica *r, void *arg),
			void *each_arg);
	void *arg;
};

/**
 * struct service_failover - a failover method under way; stands until it has ended
 * @event: EVENT_PLANNED_FAILOVER to EVENT_REVERT_TEST
 * @role: of this host before it
 * @collection: name
 * @config: as the run of a resynchronization would be: members, disks, address
 *	(primary); for a replica members and disks without devices
 * @vm: one member only, or NULL
 * @point: number, 0: the newest
 * @force: as asked
 * @path: as asked, or NULL
 */
struct service_failover {
	enum model_event event;
	enum model_role role;
	const char *collection;
	const struct run_config *config;
	const char *vm;
	uint64_t point;
	bool force;
	const char *path;
};

/**
 * struct service_failover_ops - how agent/failover does them
 * @check: in the main thread, quick: may it begin? Negative errno with @reason: no
 *	job is made
 * @execute: in a thread of the job's own. What it did must be repeatable: the agent
 *	may be killed and does it again. Readable @cancel_fd: undo what can be undone
 *	and return -ECANCELED
 * @arg: for both
 *
 * After success the service takes the step of the state machine and, where that
 * says so, exchanges the role of the collection: its settings' address is then
 * the former primary's, as @execute left it in @ret_peer ("HOST:PORT", "": not known).
 */
struct service_failover_ops {
	int (*check)(void *arg, const struct service_failover *f, struct reason *reason);
	int (*execute)(void *arg, const struct service_failover *f, int cancel_fd,
		       struct progress *progress, char *ret_peer, size_t peer_size,
		       struct reason *reason);
	void *arg;
};

/**
 * struct service_options - what a service is made with; all borrowed but @config
 * @config: taken over
 * @state_dir: folder of agent.db; NULL: that of @config
 * @runner: how runs are executed; NULL: threads of send/sender.h
 * @clock: NULL: the system's
 * @world: NULL: this host's, without replicas
 * @failover: NULL: failover methods answer 32770
 * @origins: for runs; NULL: no disk here was failed over to
 */
struct service_options {
	struct config *config;
	const char *state_dir;
	const struct job_runner *runner;
	const struct service_clock *clock;
	const struct service_world *world;
	const struct service_failover_ops *failover;
	const struct run_origins *origins;
};

/**
 * service_open() - collections of the files, of the database and of the store;
 * jobs that ran go on, schedules stand
 *
 * On failure @options->config is the caller's.
 */
int service_open(struct service **ret, const struct service_options *options,
		 struct reason *reason);
/** service_stop() - end all runs and wait for that; they go on at the next start */
void service_stop(struct service *s);
/** service_close() - after service_stop(). NULL is ignored. Return: NULL */
struct service *service_close(struct service *s);

/* -- its loop --------------------------------------------------------------- */

/** service_fd() - readable when a run has ended: call service_tick() */
int service_fd(const struct service *s);
/**
 * service_tick() - do what is due: ended runs, schedules, queue, retries, removal
 *
 * To be called when service_fd() is readable, at service_next(), and after the
 * wall clock was set.
 */
void service_tick(struct service *s);
/**
 * service_next() - when to call service_tick() next
 * @ret_wall_us: on the real-time clock, INT64_MAX: no need
 * @ret_steady_us: on the boot-time clock, INT64_MAX: no need
 */
void service_next(struct service *s, int64_t *ret_wall_us, int64_t *ret_steady_us);

#endif
