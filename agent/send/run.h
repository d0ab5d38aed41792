/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A run: one resynchronization, or verification, of a collection's disks from
 * the first word to the last. It is a function that a thread executes; see
 * sender.h for the thread.
 */
#ifndef TIDEMARK_SEND_RUN_H
#define TIDEMARK_SEND_RUN_H

#include <stdatomic.h>

#include "base/name.h"
#include "base/reason.h"
#include "send/mode.h"
#include "send/origin.h"
#include "send/progress.h"
#include "send/throttle.h"
#include "wire/frame.h"

/** enum run_kind - what a run is for */
enum run_kind {
	RUN_RESYNC = 1,
	RUN_VERIFY = 2,
};

/**
 * struct run_disk - a disk of the collection
 * @vm: name of its VM
 * @name: its own
 * @device: path of the device or file
 * @tracked: the kernel tracks it; if it does not, the disk fails. Otherwise:
 *	nobody writes to it during the run
 * @granule: bytes, for disks that are not tracked
 * @past: what is remembered of it
 * @left_out: this run is not about it (its VM is suspended, its replica is
 *	elsewhere): it is not touched, its report stays empty. So that all runs of
 *	a collection may share the order of its disks
 */
struct run_disk {
	const char *vm;
	const char *name;
	const char *device;
	bool tracked;
	uint32_t granule;
	struct mode_past past;
	bool left_out;
};

/**
 * struct run_vm - how a VM is made to hold still at a seal
 * @name: as in run_disk.vm
 * @hook: path of a command, run with "freeze" before a seal and "thaw" after it, or
 *	NULL; see freeze/freeze.h. The path of a socket counts as @guest_agent
 * @guest_agent: path of the socket of its QEMU guest agent, or NULL. In both, %v
 *	stands for the VM's name
 * @freeze_ms: for freezing; over this, the seal is made without; 0: RUN_FREEZE_MS
 *
 * A VM without hook and guest agent needs no entry.
 */
struct run_vm {
	const char *name;
	const char *hook;
	const char *guest_agent;
	uint32_t freeze_ms;
};

#define RUN_FREEZE_MS 30000
/** A disk that is torn again and again is sealed without a freeze in the end. */
#define RUN_FREEZES 3

/** Rate limits that one run obeys: its job's, its collection's, the agent's. */
#define RUN_THROTTLES 3 /* as CONN_THROTTLES */

/**
 * struct run_config - what to do; borrowed while the run lasts
 * @kind: enum run_kind
 * @compare: compare even where the tracker's bits would do
 * @no_compare: a disk that would have to be compared fails instead, "not supported"
 * @freeze: the VMs in @vms are frozen around each of the first RUN_FREEZES seals, to
 *	make the point application consistent
 * @seeded: the replica host is said to have a copy of every disk: one without fails
 * @aside: the copy is not the replica: afterwards the tracker is as if the run had
 *	never been, and what is marked stays marked
 * @final: the last difference before a planned failover: writes have stopped.
 *	A disk that is written to all the same fails the run; so does any disk that
 *	cannot be sent: none is dropped. On success nothing is owed or marked
 * @compress: pack what is sent where that pays, if the receiver knows it
 * @paranoid: compare by SHA-256; a receiver that does not know it fails the run
 * @streams: connections that carry the disks' bytes, if the receiver knows it; 0 and 1:
 *	the one connection carries all. FRAME_LANES_MAX at most
 * @kernel_tls: enum tls_kernel: with @tls_dir, who encrypts
 * @history_given: @history means something; else the receiver decides
 * @history: further points that the replica is to keep, 0 to FRAME_HISTORY_MAX
 * @collection: its name
 * @host: of the replica
 * @port: of the replica
 * @tls_dir: folder of certificates, see tls/context.h; NULL: in the clear
 * @disks: @disk_count of them, 1 to FRAME_DISKS_MAX
 * @disk_count: see @disks
 * @vms: @vm_count of them; may name VMs that have no disk in this run
 * @vm_count: see @vms
 * @state_dir: folder that remembers who is frozen; without it nobody is
 * @origins: who knows where disks come from that were failed over to; NULL: nobody
 * @throttles: limits of bytes a second on the wire; NULL: none. They may be
 *	shared with other runs and changed at any time
 * @compare_rate: limit of bytes a second that are read to be compared, NULL: none; as
 *	@throttles
 * @latency_ms: what holds the reads back when the VMs' own requests take longer: see
 *	send/brake.h; 0 in it, or NULL: nothing does. May be changed at any time
 * @max_passes: seals before a disk that is written too fast is given up
 * @pool_limit: bytes that the preserve pool of a disk may grow to when the run would
 *	else not come to an end; 0: it stays as it is
 * @timeout_ms: for answers of the replica host
 * @drain_ms: for writes that were in flight at a seal
 * @commit_ms: for the replica to make the point durable
 */
struct run_config {
	enum run_kind kind;
	bool compare;
	bool no_compare;
	bool freeze;
	bool seeded;
	bool aside;
	bool final;
	bool compress;
	bool paranoid;
	uint32_t streams;
	uint32_t kernel_tls;
	bool history_given;
	uint32_t history;
	const char *collection;
	const char *host;
	const char *port;
	const char *tls_dir;
	const struct run_disk *disks;
	size_t disk_count;
	const struct run_vm *vms;
	size_t vm_count;
	const char *state_dir;
	const struct run_origins *origins;
	struct throttle *throttles[RUN_THROTTLES];
	struct throttle *compare_rate;
	const _Atomic uint32_t *latency_ms;
	uint32_t max_passes;
	uint64_t pool_limit;
	uint32_t timeout_ms;
	uint32_t drain_ms;
	uint32_t commit_ms;
};

/**
 * struct run_control - how a run is steered while it lasts; by any thread
 * @cancel_fd: an eventfd; readable: stop soon, leave everything as it was
 * @paused: read and send nothing more for now. The connection stays, and what was
 *	sent stays with the receiver. VMs are not slowed: when the preserve pool
 *	is full meanwhile, the epoch is torn, and a further pass follows
 */
struct run_control {
	int cancel_fd;
	_Atomic bool paused;
};

/**
 * enum run_trouble - the sort of what made a run or a disk fail
 * @RUN_TROUBLE_NONE: nothing has
 * @RUN_TROUBLE_FINAL: trying again will not help by itself
 * @RUN_TROUBLE_NETWORK: the replica host could not be reached, or was lost
 * @RUN_TROUBLE_MEMORY: out of memory, here or there
 * @RUN_TROUBLE_SPACE: the replica's storage is full
 * @RUN_TROUBLE_BUSY: the collection is in use at the replica host, or it has no
 *	place for another connection
 * @RUN_TROUBLE_RATE: the disks are written faster than they can be copied
 */
enum run_trouble {
	RUN_TROUBLE_NONE = 0,
	RUN_TROUBLE_FINAL,
	RUN_TROUBLE_NETWORK,
	RUN_TROUBLE_MEMORY,
	RUN_TROUBLE_SPACE,
	RUN_TROUBLE_BUSY,
	RUN_TROUBLE_RATE,
};

/** run_recoverable() - is it worth trying again after a while? */
static inline bool run_recoverable(enum run_trouble trouble)
{
	return trouble > RUN_TROUBLE_FINAL;
}

/**
 * enum run_outcome - what became of a disk
 * @RUN_DISK_NONE: not decided, or left out of the run
 * @RUN_DISK_DONE: it is in the new point, or was verified
 * @RUN_DISK_FAILED: it was dropped from the run, for a reason of its own
 * @RUN_DISK_DROPPED: with another disk of its VM that failed
 * @RUN_DISK_LEFT: somebody took its VM out, see run_report_disk.leave
 *
 * If the run as a whole fails (the connection is lost, say) the disks that were
 * still in it stay RUN_DISK_NONE: the run's reason is theirs.
 */
enum run_outcome {
	RUN_DISK_NONE = 0,
	RUN_DISK_DONE,
	RUN_DISK_FAILED,
	RUN_DISK_DROPPED,
	RUN_DISK_LEFT,
};

/**
 * struct run_report_disk - what became of a disk
 * @mode: enum frame_mode, 0: not decided yet; may be read while the run lasts
 * @why: why it is no incremental run, a constant or the doubt that is remembered, or
 *	NULL; as @mode
 * @progress: its counters, may be read while the run lasts. Bytes on the wire are
 *	those of its chunks; .received stays 0
 * @outcome: enum run_outcome; as @mode. @reason stands once it is FAILED or DROPPED
 * @leave: may be set by any thread, for all disks of a VM: it is to leave the run
 *	soon, which goes on without it. Too late, or in a final run, it changes nothing
 * @reason: with any outcome but NONE and DONE: code and sentence
 * @trouble: with RUN_DISK_FAILED and RUN_DISK_DROPPED: its sort
 * @tracked: by the kernel
 * @uuid: of its tracker
 * @epoch: that the new point closes
 * @after: what its tracker said after the commit; not tracked: nothing
 * @size: bytes
 * @frames: DATA and ZERO frames sent
 * @bytes: of disk that they carry
 */
struct run_report_disk {
	_Atomic int mode;
	_Atomic(const char *) why;
	struct progress progress;
	_Atomic int outcome;
	_Atomic bool leave;
	struct reason reason;
	enum run_trouble trouble;
	bool tracked;
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t epoch;
	struct source_info after;
	uint64_t size;
	uint64_t frames;
	uint64_t bytes;
};

/**
 * enum run_consistency - how good a point is; numbers are the reference's
 * @RUN_CONSISTENCY_APPLICATION: every VM of the run was frozen at the seal
 * @RUN_CONSISTENCY_CRASH: as after a power cut: one disk
 * @RUN_CONSISTENCY_GROUP: as after one power cut of all disks at one instant
 */
enum run_consistency {
	RUN_CONSISTENCY_APPLICATION = 1,
	RUN_CONSISTENCY_CRASH = 2,
	RUN_CONSISTENCY_GROUP = 3,
};

/** struct run_range - bytes of a disk that differ, found by a verification */
struct run_range {
	size_t disk;
	uint64_t offset;
	uint64_t length;
};

/** So many ranges are kept; progress.different counts all of them. */
#define RUN_RANGES_MAX 1024

/**
 * struct run_report - what became of a run
 * @disks: one for each of the configuration; owned by the caller
 * @failed: disks that were dropped, or left. When the
 *	run succeeds and this is not 0, the others are in the new point
 * @trouble: why the run failed, or with which sort of trouble its first disk was
 *	dropped; RUN_TROUBLE_NONE: neither
 * @consistency: of the new point, enum run_consistency, 0: there is none
 * @hash: the hash by which disks are compared, its name, NULL: none is (yet)
 * @streams: connections that carry the disks' bytes, 0: not agreed on yet; as @hash it may
 *	be read while the run lasts
 * @streams_why: why these are fewer than were asked for; "": they are not
 * @secret: stream_secret() of the newest connection, NULL: there is none yet; as @hash
 * @kernel_why: with TLS_KERNEL_YES: why the kernel does not encrypt, a string that stays;
 *	NULL: it does
 * @renewed: connections that ended because their key had encrypted enough (kernel TLS)
 * @uncopied: bytes that were sent without a copy
 * @copies: that was given up, for the kernel copied all the same
 * @excluded_ns: for how long the longest of its seals kept writes waiting
 * @point: the replica's newest point now, 0: none, or not known
 * @warning: a sentence; "": none
 * @ranges: verification: the first RUN_RANGES_MAX differing ranges
 * @range_count: of them
 *
 * To be read after the run has ended, but for what @disks say otherwise of.
 */
struct run_report {
	struct run_report_disk *disks;
	size_t failed;
	enum run_trouble trouble;
	enum run_consistency consistency;
	_Atomic(const char *) hash;
	_Atomic uint32_t streams;
	char streams_why[REASON_TEXT_MAX];
	_Atomic(const char *) secret;
	const char *kernel_why;
	uint32_t renewed;
	uint64_t uncopied;
	bool copies;
	uint64_t excluded_ns;
	uint64_t point;
	char warning[REASON_TEXT_MAX];
	struct run_range ranges[RUN_RANGES_MAX];
	size_t range_count;
};

/**
 * run_execute() - do it
 * @control: steers it
 * @progress: zeroed by the caller
 * @report: with @report->disks; zeroed by the caller
 * @reason: filled on failure
 *
 * Whatever happens before the replica has said "durable", the kernel's bits are
 * folded: the next run sends them again, and the replica is what it was.
 *
 * A disk that fails takes all disks of its VM out of the run, and nobody else's:
 * their bits are folded, the receiver drops what it has of them. Only when no disk
 * is left does the run fail, with the reason of the first one.
 *
 * A connection with kernel TLS whose key has encrypted enough is followed by another one, at
 * once, and goes on as a run would that was cut short; that is no failure.
 *
 * Return: 0 or a negative errno; -ECANCELED after @control->cancel_fd.
 */
int run_execute(const struct run_config *config, struct run_control *control,
		struct progress *progress, struct run_report *report, struct reason *reason);

#endif
