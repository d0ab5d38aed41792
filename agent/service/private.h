/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the service folder: what its files share.
 *
 *   service.c     life, tick, who is told
 *   collection.c  collections, their members, states, health
 *   member.c      looking at disks and at the store
 *   method.c      the methods that start and stop things
 *   relation.c    the methods that make and change relationships
 *   job.c         jobs from their creation to their end
 *   run.c         the runs of a job
 *   rate.c        what holds runs back now
 *   record.c      all of it in the database
 *   export.c      the receiver of an initial replication to a folder
 *   schedule.c, health.c   pure
 */
#ifndef TIDEMARK_SERVICE_PRIVATE_H
#define TIDEMARK_SERVICE_PRIVATE_H

#include "send/throttle.h"
#include "service/export.h"
#include "service/health.h"
#include "service/schedule.h"
#include "service/service.h"
#include "state/state.h"

/**
 * struct collection_private - what others need not see
 * @last_start: when its last job began, steady; 0: never
 * @due: when the next recurring run, retry or automatic run is due, steady;
 *	INT64_MAX: never
 * @due_wall: the window's next start, wall; INT64_MAX: @due counts
 * @grid: when the recurring run before that was due, steady
 * @consistent: when the last application consistent point was made, steady
 * @cycles: recurring runs that were due since the last reset
 * @missed: of them, missed or failed
 * @seen: a mark for reloads
 * @in_store: of a replica: the store had something of it when it was looked at last
 */
struct collection_private {
	int64_t last_start;
	int64_t due;
	int64_t due_wall;
	int64_t grid;
	int64_t consistent;
	uint64_t cycles;
	uint64_t missed;
	bool seen;
	bool in_store;
};

/** enum job_wish - how a running job is to end, if not by itself */
enum job_wish {
	WISH_NONE,
	WISH_TERMINATE,
	WISH_KILL,
	WISH_SUSPEND,
	WISH_STOP, /* the agent ends; the job goes on at the next start */
};

/**
 * struct job_slot - where a disk of a member is in the runs
 * @run: index of the run
 * @disk: index in its configuration
 */
struct job_slot {
	size_t run;
	size_t disk;
};

/**
 * struct job_run - one connection to one replica address
 * @config: what it does; disks and vms are owned, their strings are of @strings
 * @strings: everything that @config points to: a reload may free the originals
 * @ops: how it is executed; NULL: not started
 * @handle: of @ops
 * @ended: its end was taken note of
 */
struct job_run {
	struct run_config config;
	char **strings;
	size_t string_count;
	const struct job_runner *ops;
	void *handle;
	bool ended;
};

/**
 * struct service_job_private - what others need not see
 * @service: its service
 * @throttle: what holds of RateLimit and RateRules, shared by its runs
 * @own: its own limit, as well
 * @compare: CompareRate, as well
 * @latency_ms: LatencyLimit, shared by its runs
 * @runs: @run_count of them
 * @slots: of all disks of all members, in their order
 * @wish: enum job_wish
 * @removal: when its object goes, steady
 * @started: steady, 0: not yet
 * @ended: steady
 * @best: highest permille shown
 * @failover: what a failover method was asked
 * @path: owned, of @failover
 * @vm: owned, of @failover and of requests about one member
 * @peer: what a failover left
 * @export: where an initial replication to a folder goes
 * @automatic: nobody asked for it
 * @warned: a run had a warning; .text is that
 */
struct service_job_private {
	struct service *service;
	struct throttle throttle;
	struct throttle own;
	struct throttle compare;
	_Atomic uint32_t latency_ms;
	struct job_run *runs;
	size_t run_count;
	struct job_slot *slots;
	enum job_wish wish;
	int64_t removal;
	int64_t started;
	int64_t ended;
	uint32_t best;
	struct service_failover failover;
	char *path;
	char *vm;
	char peer[320];
	struct export *export;
	bool automatic;
	bool warned;
};

struct service {
	struct config *config;
	struct history *history;
	struct state *state;
	struct job_runner runner;
	struct service_clock clock;
	struct service_world world;
	const struct service_failover_ops *failover;
	const struct run_origins *origins;
	struct service_listener listener;
	struct throttle throttle; /* the agent's, shared by all runs */
	struct collection **collections; /* sorted by role, then name */
	size_t collection_count;
	struct service_job *jobs;
	uint64_t seq;
	uint64_t changes;
	int fd;
	size_t looked; /* the next collection for the tick to look at */
	int64_t look_at; /* when, steady */
	bool stopping;
};

static inline int64_t wall(const struct service *s)
{
	return s->clock.wall_us(s->clock.arg);
}

static inline int64_t steady(const struct service *s)
{
	return s->clock.steady_us(s->clock.arg);
}

/* -- service.c -------------------------------------------------------------- */

/** service_tell() - an event; .seq and .time are filled here */
void service_tell(struct service *s, struct service_event event);
/** service_get() - service_find(), to be changed */
struct collection *service_get(struct service *s, const char *name);
/** service_wanted() - the same, or -ENOENT with @reason */
int service_wanted(struct service *s, const char *name, struct collection **ret,
		   struct reason *reason);
/** service_insert() - take a collection over. Return: 0 or -ENOMEM */
int service_insert(struct service *s, struct collection *c);
/** service_sort() - after a role has changed */
void service_sort(struct service *s);
/** service_drop() - tell, take it out and free it */
void service_drop(struct service *s, struct collection *c);

/* -- collection.c ----------------------------------------------------------- */

/** collection_new() - an empty one with default settings; NULL: out of memory */
struct collection *collection_new(const char *name, enum model_role role,
				  enum service_origin origin);
/** collection_free() - NULL is ignored. Return: NULL */
struct collection *collection_free(struct collection *c);
/** collection_add_vm() - the member of that name, new if there is none; NULL: no memory */
struct service_vm *collection_add_vm(struct collection *c, const char *vm);
/** collection_find_vm() - service_vm(), to be changed */
struct service_vm *collection_find_vm(struct collection *c, const char *vm);
/** vm_add_disk() - the same for a disk */
struct service_disk *vm_add_disk(struct service_vm *vm, const char *disk);
/** vm_clear() - free what it owns */
void vm_clear(struct service_vm *vm);
/** collection_sort() - members and disks into the order of their names */
void collection_sort(struct collection *c);
/** collection_include() - which of its disks are replicated, from its settings */
void collection_include(struct collection *c);
/** collection_included_anew() - disks that @old left out: their VMs are to be resynchronized */
void collection_included_anew(struct collection *c, const struct collection *old);
/** vm_included() - is any of its disks replicated? */
bool vm_included(const struct service_vm *vm);
/** collection_from_config() - what a file says; states are those of the record, or new */
int collection_from_config(struct service *s, const struct config_collection *from,
			   struct collection **ret, struct reason *reason);
/** swap_members() - exchange settings, members and statistics of two */
void swap_members(struct service *s, struct collection *a, struct collection *b);
/** collection_disks() - of all members */
size_t collection_disks(const struct collection *c);

/** vm_become() - another state; tells and logs. The fold follows with collection_refresh() */
void vm_become(struct service *s, struct collection *c, struct service_vm *vm,
	       enum model_vm_state state, const char *why);
/** vm_happen() - an event that just happens; nothing if the table has no cell for it */
void vm_happen(struct service *s, struct collection *c, struct service_vm *vm,
	       enum model_event event, const char *why);
/** collection_refresh() - state and health from its members'; tells what is new */
void collection_refresh(struct service *s, struct collection *c);
/** collection_changed() - tell the listener */
void collection_changed(struct service *s, struct collection *c);
/** collection_schedule() - when its next run is due, from its settings and state */
void collection_schedule(struct service *s, struct collection *c);
/** collection_takes() - is a member part of a run that nobody asked for, begun now? */
bool collection_takes(struct service *s, const struct collection *c, const struct service_vm *vm);

/* -- member.c --------------------------------------------------------------- */

/** member_look() - ask the kernel about all disks of a primary collection */
void member_look(struct service *s, struct collection *c);
/** member_learn() - what a tracker has said of itself. Return: is it to be recorded? */
bool member_learn(struct service_disk *d, const struct source_info *info);
/** member_remember() - how far a tracker has come, whatever was remembered before */
void member_remember(struct service_disk *d, const struct source_info *info);
/** member_past() - what is remembered of a disk; borrows its doubt */
struct mode_past member_past(const struct service_disk *d);
/** member_doubt() - why its bits cannot be trusted; NULL: they can */
const char *member_doubt(const struct service_disk *d, const struct source_info *info);
/** member_look_replicas() - take the store's replicas over */
void member_look_replicas(struct service *s);
/** member_drop_replicas() - what was given up: nothing is held of it any more */
void member_drop_replicas(struct service *s);
/** member_in_sync() - nothing is owed, and the replica has all there was */
bool member_in_sync(struct service *s, const struct collection *c, const struct service_vm *vm);

/* -- relation.c ------------------------------------------------------------- */

/** relation_swap() - primary becomes replica, or the other way */
void relation_swap(struct service *s, struct collection *c, const char *peer);

/* -- method.c --------------------------------------------------------------- */

/**
 * method_choose() - the members that a job is for, as their states are now
 * @job: its members are replaced
 *
 * Return: 0, or negative with @reason: 32775 and why nobody is.
 */
int method_choose(struct service *s, const struct collection *c, struct service_job *job,
		  struct reason *reason);
/** method_cycle() - begin a run that nobody asked for, if any member is due */
void method_cycle(struct service *s, struct collection *c);

/* -- job.c ------------------------------------------------------------------ */

/** job_new() - an object, not yet in the table; NULL: no memory */
struct service_job *job_new(struct service *s, const struct collection *c,
			    enum model_event event);
struct service_job *job_free(struct service_job *job);
/** job_add_member() - a VM that it is about. Return: 0 or -ENOMEM */
int job_add_member(struct service_job *job, const struct service_vm *vm);
/** job_enter() - make it durable, put it into the table, tell. On failure it is freed */
int job_enter(struct service *s, struct collection *c, struct service_job *job,
	      struct reason *reason);
/** job_of() - the newest job of a collection that has not ended, or NULL */
struct service_job *job_of(struct service *s, const struct collection *c);
/** job_find() - service_job(), to be changed */
struct service_job *job_find(struct service *s, uint64_t id);
/** job_launch() - its time has come and there is a place */
void job_launch(struct service *s, struct service_job *job);
/** job_wish() - end it soon, in that way; a job that has not begun ends at once */
void job_wish(struct service *s, struct service_job *job, enum job_wish wish);
/** job_leave() - a member is to leave a job that runs, which goes on without it */
void job_leave(struct service *s, struct service_job *job, const char *vm);
/** job_reap() - take note of its runs that have ended, and of its own end */
void job_reap(struct service *s, struct service_job *job);
/** job_end() - a final state, or JOB_SUSPENDED; records, tells, steps the machines */
void job_end(struct service *s, struct service_job *job, enum job_state state);
/** job_set() - another state that is not final; records and tells */
void job_set(struct service *s, struct service_job *job, enum job_state state,
	     const char *status);
/** job_member_fail() - a member fails with this, if it has not ended */
void job_member_fail(struct service_job_member *m, uint32_t code, const char *text);
/** job_fail_all() - every member that has not ended fails with this */
void job_fail_all(struct service_job *job, uint32_t code, const char *text);
/** job_wants() - places that it needs */
size_t job_wants(const struct service *s, const struct service_job *job);
/** job_remove() - its time is over: tell, free */
void job_remove(struct service *s, struct service_job *job);

/* -- outcome.c --------------------------------------------------------------- */

/* Why a member ended that was taken out of its job. */
#define OUTCOME_LEFT "it was suspended meanwhile"
/**
 * outcome_take() - a run has ended: what it reports, into job, VMs and disks
 * @c: the job's collection; NULL: it is gone, the job alone is told
 * @index: of the run, whose handle has ended
 */
void outcome_take(struct service *s, struct collection *c, struct service_job *job, size_t index);
/** outcome_verdict() - the final state that its members add up to; sets .error and .text */
enum job_state outcome_verdict(struct service_job *job);

/* -- run.c ------------------------------------------------------------------ */

/** run_build() - the runs of a job from the collection as it is now */
int run_build(struct service *s, const struct collection *c, struct service_job *job);
/** run_free_all() - stop, wait, free */
void run_free_all(struct service_job *job);
/**
 * run_start() - start runs that have not been started, as many at once as the
 * collection allows
 *
 * A run that cannot be started fails its members.
 */
void run_start(struct service *s, struct service_job *job);
/** run_leave() - take a VM out of all runs; they go on without it */
void run_leave(struct service_job *job, const char *vm);
/** run_active() - how many run now */
size_t run_active(const struct service_job *job);
/** job_is_failover() - is it agent/failover that executes it? */
static inline bool job_is_failover(const struct service_job *job)
{
	return job->event >= EVENT_PLANNED_FAILOVER && job->event <= EVENT_REVERT_TEST;
}
/** run_vm_address() - where a member's replica is */
void run_vm_address(const struct collection *c, const struct service_vm *vm, const char **ret_host,
		    const char **ret_port);
/** run_slot() - of a disk of a member; NULL: it has no run */
const struct job_slot *run_slot(const struct service_job *job, size_t member, size_t disk);
/** runner_default - threads of send/sender.h */
extern const struct job_runner runner_default;
/** runner_failover - threads that execute a struct service_failover */
int runner_failover_start(struct service *s, struct service_job *job, void **ret);
extern const struct job_runner runner_failover;

/* -- rate.c ----------------------------------------------------------------- */

/** rate_follow() - what holds of a collection now holds for its runs */
void rate_follow(struct service *s, struct collection *c);
/** rate_follow_all() - the same of all */
void rate_follow_all(struct service *s);
/** rate_set_own() - another limit of a job's own holds for its runs, at once; tells */
void rate_set_own(struct service *s, struct service_job *job, uint64_t limit);
/** rate_next() - when a job's limits may be others, wall; INT64_MAX: never */
int64_t rate_next(const struct service *s, const struct service_job *job);

/* -- record.c --------------------------------------------------------------- */

int record_collection(struct service *s, const struct collection *c);
int record_members(struct service *s, const struct collection *c);
int record_forget(struct service *s, const char *name, enum model_role role);
int record_job_new(struct service *s, struct service_job *job);
int record_job(struct service *s, const struct service_job *job);
int record_job_rate(struct service *s, const struct service_job *job, uint64_t limit);
int record_disk(struct service *s, const struct collection *c, const struct service_vm *vm,
		const struct service_disk *d);
int record_load(struct service *s, struct reason *reason);
int record_load_jobs(struct service *s, struct reason *reason);
/** record_load_members() - states, errors, points, statistics of a collection */
int record_load_members(struct service *s, struct collection *c);
/** record_load_vm() - the same of one member; without a record it stays as it is */
int record_load_vm(struct service *s, const struct collection *c, struct service_vm *vm);
/** record_begin() - a transaction; record_end() commits it, or rolls back if @err */
int record_begin(struct service *s);
int record_end(struct service *s, int err);

#endif
