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
#include "send/progress.h"
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
 * @tracked: the kernel tracks it; if it does not, the run fails. Otherwise:
 *	nobody writes to it during the run
 * @granule: bytes, for disks that are not tracked
 */
struct run_disk {
	const char *vm;
	const char *name;
	const char *device;
	bool tracked;
	uint32_t granule;
};

/**
 * struct run_config - what to do; borrowed while the run lasts
 * @kind: enum run_kind
 * @compare: compare even where the tracker's bits would do
 * @collection: its name
 * @host: of the replica
 * @port: of the replica
 * @disks: @disk_count of them, 1 to FRAME_DISKS_MAX
 * @disk_count: see @disks
 * @max_passes: seals before a disk that is written too fast is given up
 * @timeout_ms: for answers of the replica host
 * @drain_ms: for writes that were in flight at a seal
 * @commit_ms: for the replica to make the point durable
 */
struct run_config {
	enum run_kind kind;
	bool compare;
	const char *collection;
	const char *host;
	const char *port;
	const struct run_disk *disks;
	size_t disk_count;
	uint32_t max_passes;
	uint32_t timeout_ms;
	uint32_t drain_ms;
	uint32_t commit_ms;
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
 * struct run_report_disk - what became of a disk
 * @mode: enum frame_mode, 0: not decided yet; may be read while the run lasts
 * @why: why it is no incremental run, a constant, or NULL; as @mode
 * @tracked: by the kernel
 * @uuid: of its tracker
 * @epoch: that the new point closes
 * @size: bytes
 * @frames: DATA and ZERO frames sent
 * @bytes: of disk that they carry
 */
struct run_report_disk {
	_Atomic int mode;
	_Atomic(const char *) why;
	bool tracked;
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t epoch;
	uint64_t size;
	uint64_t frames;
	uint64_t bytes;
};

/**
 * struct run_report - what became of a run
 * @disks: one for each of the configuration; owned by the caller
 * @point: the replica's newest point now, 0: none, or not known
 * @warning: a sentence; "": none
 * @ranges: verification: the first RUN_RANGES_MAX differing ranges
 * @range_count: of them
 *
 * All but the modes is to be read after the run has ended.
 */
struct run_report {
	struct run_report_disk *disks;
	uint64_t point;
	char warning[REASON_TEXT_MAX];
	struct run_range ranges[RUN_RANGES_MAX];
	size_t range_count;
};

/**
 * run_execute() - do it
 * @cancel_fd: an eventfd; readable: stop soon, leave everything as it was
 * @progress: zeroed by the caller
 * @report: with @report->disks; zeroed by the caller
 * @reason: filled on failure
 *
 * Whatever happens before the replica has said "durable", the kernel's bits are
 * folded: the next run sends them again, and the replica is what it was.
 *
 * Return: 0 or a negative errno; -ECANCELED after @cancel_fd.
 */
int run_execute(const struct run_config *config, int cancel_fd, struct progress *progress,
		struct run_report *report, struct reason *reason);

#endif
