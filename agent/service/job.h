/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Jobs of the service: what takes time, in the shape of CIM_ConcreteJob. A job
 * has a member for each VM it is about, and runs: one for each replica address
 * that its members have.
 *
 * Read-only for others than agent/service. Times are µs since 1970, 0: not yet
 * or never. Everything but members' progress stands still between two calls of
 * service_tick().
 */
#ifndef TIDEMARK_SERVICE_JOB_H
#define TIDEMARK_SERVICE_JOB_H

#include "base/name.h"
#include "base/reason.h"
#include "model/machine.h"
#include "send/sender.h"

/** enum service_initial - how an initial replication is done; numbers of the reference */
enum service_initial {
	INITIAL_NETWORK = 1,
	INITIAL_EXPORT = 2, /* to a folder, which is carried to the replica host */
	INITIAL_SEEDED = 3, /* the replica host has a copy already: it is compared */
};

/** TimeBeforeRemoval when nothing else was asked for, seconds. */
#define SERVICE_REMOVAL_S 300

/**
 * struct service_rate - what holds runs back
 * @limit: bytes a second on the wire; 0: nothing does
 * @why: the setting that says so, and the rule; "": nothing is set
 */
struct service_rate {
	uint64_t limit;
	char why[128];
};

/**
 * struct service_job_disk - a disk of a member, as its run left it
 * @name: its own
 * @mode: "full", "incremental", "compare", "verify"; "": not decided
 * @why: why it is not incremental; "": it is, or not decided
 * @size: bytes; this and the rest: 0 before the end
 * @frames: of data and zeroes that were sent
 * @bytes: of disk in them
 * @error: enum reason_code, 0: none
 * @text: the sentence for it
 */
struct service_job_disk {
	char name[NAME_SIZE];
	const char *mode;
	const char *why;
	uint64_t size;
	uint64_t frames;
	uint64_t bytes;
	uint32_t error;
	char text[REASON_TEXT_MAX];
};

/**
 * struct service_job_member - a VM that a job is about
 * @vm: its name
 * @from: its state before the job
 * @state: enum job_state: JOB_NEW, JOB_RUNNING, or a final one
 * @error: enum reason_code, 0: none
 * @text: the sentence for it
 * @disks: @disk_count of them
 * @disk_count: see @disks
 */
struct service_job_member {
	char vm[NAME_SIZE];
	enum model_vm_state from;
	enum job_state state;
	uint32_t error;
	char text[REASON_TEXT_MAX];
	struct service_job_disk *disks;
	size_t disk_count;
};

/**
 * struct service_job - a job
 * @next: in service_jobs(), older
 * @id: its number, never given twice
 * @event: the method, or EVENT_CYCLE: a recurring run
 * @collection: what it is about
 * @role: of this host in it
 * @state: enum job_state
 * @status: JobStatus, a word or two more than @state: "waiting for 2026-...",
 *	"waiting for a place", "" else
 * @owner: who asked; "": the agent itself
 * @notify: as asked
 * @compare: by comparing, whatever bits say
 * @paranoid: what is compared is by SHA-256, whatever the settings say
 * @hash: the hash by which a disk was compared, "": none was, or not yet
 * @streams: TCP connections that carried the bytes of a run, 0: not known yet
 * @secret: how a run was encrypted, "plain": not at all; "": not known yet
 * @initial: StartReplication: enum service_initial, else 0
 * @submitted: TimeSubmitted
 * @scheduled: ScheduledStartTime, 0: at once
 * @started: StartTime
 * @ended: when it ended
 * @changed: TimeOfLastStateChange
 * @until: UntilTime
 * @removal_us: TimeBeforeRemoval
 * @delete_on_completion: as asked
 * @error: ErrorCode, enum reason_code, 0: none
 * @text: the sentence for it, or a warning
 * @point: number of the newest point that it made, 0: none
 * @consistency: enum model_consistency of that, 0: none
 * @rate_limit: its own, bytes a second on the wire; 0: it has none
 * @members: @member_count of them
 * @member_count: see @members
 * @private: of the service
 */
struct service_job {
	struct service_job *next;
	uint64_t id;
	enum model_event event;
	char collection[NAME_SIZE];
	enum model_role role;
	enum job_state state;
	char status[128];
	char owner[64];
	char notify[256];
	bool compare;
	bool paranoid;
	const char *hash;
	uint32_t streams;
	const char *secret;
	uint32_t initial;
	int64_t submitted;
	int64_t scheduled;
	int64_t started;
	int64_t ended;
	int64_t changed;
	int64_t until;
	int64_t removal_us;
	bool delete_on_completion;
	uint32_t error;
	char text[REASON_TEXT_MAX];
	uint64_t point;
	uint32_t consistency;
	uint64_t rate_limit;
	struct service_job_member *members;
	size_t member_count;
	struct service_job_private *private;
};

/** service_job_ended() - is its state a last one? */
static inline bool service_job_ended(const struct service_job *job)
{
	return job_state_final(job->state);
}

/** service_job_type() - JobType, as the reference numbers them; 0: it has none for it */
uint32_t service_job_type(const struct service_job *job);

/* Name and Description of a job: "Resynchronize", "resynchronization of collection web". */
const char *service_job_name(const struct service_job *job);
void service_job_description(const struct service_job *job, char *text, size_t size);

/** service_job_elapsed() - ElapsedTime, µs, of the clock that does not jump */
uint64_t service_job_elapsed(const struct service_job *job);

/**
 * service_job_progress() - of the whole; .permille is 0 to 1000, is 1000 only after
 * success, and never falls while the job is not run again
 */
void service_job_progress(const struct service_job *job, struct progress_view *ret);
/** service_job_member_progress() - of the member with that index */
void service_job_member_progress(const struct service_job *job, size_t member,
				 struct progress_view *ret);
/** service_job_disk_progress() - of one of its disks */
void service_job_disk_progress(const struct service_job *job, size_t member, size_t disk,
			       struct progress_view *ret);

/**
 * service_job_rate() - what holds it back now: the tightest of its own limit, its
 * collection's and the agent's; of one that has ended: nothing
 */
void service_job_rate(const struct service_job *job, struct service_rate *ret);

/** struct service_job_difference - bytes that a verification found to differ */
struct service_job_difference {
	const char *vm;
	const char *disk;
	uint64_t offset;
	uint64_t length;
};

/** service_job_difference() - the @i-th. Return: false: there is none */
bool service_job_difference(const struct service_job *job, size_t i,
			    struct service_job_difference *ret);

/** struct service_job_error - of GetErrorEx; @vm and @disk NULL: of the whole */
struct service_job_error {
	const char *vm;
	const char *disk;
	uint32_t code;
	const char *text;
};

/** service_job_error() - the @i-th, the job's own first. Return: false: there is none */
bool service_job_error(const struct service_job *job, size_t i, struct service_job_error *ret);

/**
 * struct job_runner - how a run is executed; as send/sender.h, so that tests need
 * no disks
 */
struct job_runner {
	int (*start)(void *arg, const struct run_config *config, int ended_fd, void **ret);
	void (*cancel)(void *run);
	void (*pause)(void *run, bool paused);
	void (*leave)(void *run, const char *vm);
	bool (*ended)(void *run);
	int (*result)(void *run);
	const struct reason *(*reason)(void *run);
	const struct run_report *(*report)(void *run);
	void (*progress)(void *run, struct progress_view *ret);
	void (*disk_progress)(void *run, size_t disk, struct progress_view *ret);
	void (*destroy)(void *run);
	void *arg;
};

#endif
