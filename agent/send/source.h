/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a disk's bytes and bits come from.
 *
 * A run asks a source what is owed, reads the bytes from its descriptor, and
 * tells it what was read and how it ended. Two sorts: the kernel's tracker
 * (source_kernel_open), and a disk that nobody tracks because nobody writes to
 * it (source_plain_open). Only the first one's file knows libtidemark.
 *
 * The order of calls is that of <linux/tidemark.h>: seal, wait, then runs and
 * release, then commit or fold. Sources belong to one thread.
 */
#ifndef TIDEMARK_SEND_SOURCE_H
#define TIDEMARK_SEND_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan/plan.h"
#include "wire/frame.h"

struct source;

/**
 * struct source_info - a source as it is now
 * @disk: the kernel's number of it, 0: not tracked
 * @tracked: changes are marked; if not, @uuid and the epochs are 0
 * @uuid: of the tracker
 * @size: bytes
 * @granule: bytes
 * @epoch: the current epoch
 * @committed_epoch: the newest committed one, 0: none
 * @sealed_epoch: the newest sealed one, 0: none
 * @marked: granules in the current bitmap
 * @sealed: granules in the sealed bitmap
 * @owed: granules sealed last and not released
 * @torn: an owed granule was overwritten before its release
 * @reason: enum tidemark_reason of the kernel
 * @unreliable: why the bits alone cannot be trusted, a constant sentence; NULL:
 *	they can
 * @attach: a random number of this attach of the tracker
 * @meta_found: sequence of the metadata with which it began, 0: there were none
 * @meta_sequence: of the newest that are durable
 * @draining: writes from before the newest seal have not landed
 * @writes: writes passed down since attach
 * @written: bytes of them
 * @discarded: bytes discarded
 * @message: the newest thing a person should know of the tracker
 * @device: path of the tracked device, if it was asked for by the device below it;
 *	else ""
 */
struct source_info {
	uint64_t disk;
	bool tracked;
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t size;
	uint32_t granule;
	uint64_t epoch;
	uint64_t committed_epoch;
	uint64_t sealed_epoch;
	uint64_t marked;
	uint64_t sealed;
	uint64_t owed;
	bool torn;
	uint32_t reason;
	const char *unreliable;
	uint64_t attach;
	uint64_t meta_found;
	uint64_t meta_sequence;
	bool draining;
	uint64_t writes;
	uint64_t written;
	uint64_t discarded;
	char message[128];
	char device[256];
};

/**
 * struct source_ops - what a source can do; each returns 0 or a negative errno
 * @name: "kernel", "plain": for status
 * @info: as it is now
 * @mark: these granules have changed
 * @seal: end the epoch of all these sources (all with the same ops) at one
 *	instant; .epoch and .owed of each are set. @extend: what was sealed
 *	before stays sealed, only what changed since is owed. The last parameter:
 *	for how many ns writes were kept waiting; may stay untouched
 * @wait: until what was written before the seal has landed; -ETIMEDOUT
 * @runs: owed granules from @first on, as tidemark_runs() gives them
 * @sealed: granules of the sealed bitmap, as @runs; none: there is no sealed epoch
 * @release: these granules have been read
 * @commit: the replica has the sealed epoch
 * @fold: it does not. No sealed epoch, or another one than ours: nothing to do
 * @leave: it may have some of it: the sealed epoch stays, nothing of it is owed, and
 *	no write is kept waiting for it
 * @changed: is a granule in this range marked in the current or sealed bitmap?
 * @current: granules of the current bitmap, as @runs. NULL: the sort has none
 * @grow: twice as much room for what is overwritten before it was read, @limit bytes at
 *	most, until it is closed. NULL: the sort has none
 * @close: free it
 */
struct source_ops {
	const char *name;
	int (*info)(struct source *s, struct source_info *ret);
	int (*mark)(struct source *s, const struct plan_run *runs, size_t count);
	int (*seal)(struct source **group, size_t count, bool extend, uint32_t timeout_ms,
		    uint64_t *ret_excluded_ns);
	int (*wait)(struct source *s, uint32_t timeout_ms);
	int (*runs)(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
		    size_t *ret_filled, uint64_t *ret_next);
	int (*sealed)(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
		      size_t *ret_filled, uint64_t *ret_next);
	int (*release)(struct source *s, const struct plan_run *runs, size_t count);
	int (*commit)(struct source *s);
	int (*fold)(struct source *s);
	int (*leave)(struct source *s);
	int (*changed)(struct source *s, uint64_t first, uint64_t count, bool *ret);
	int (*current)(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
		       size_t *ret_filled, uint64_t *ret_next);
	int (*grow)(struct source *s, uint64_t limit);
	void (*close)(struct source *s);
};

/**
 * struct source - the part that all sorts have
 * @ops: its sort
 * @fd: what the bytes are read from
 * @size: bytes, as it was when opened
 * @granule: bytes
 * @epoch: the sealed epoch that this run works on, 0: none
 * @owed: granules that the newest seal made owed
 * @stat: path of the counters of the device that the VM uses, "": nobody uses it
 */
struct source {
	const struct source_ops *ops;
	int fd;
	uint64_t size;
	uint32_t granule;
	uint64_t epoch;
	uint64_t owed;
	char stat[48];
};

/** source_granules() - size of the disk in granules */
static inline uint64_t source_granules(const struct source *s)
{
	return s->size / s->granule + (s->size % s->granule != 0);
}

/**
 * source_kernel_open() - a disk that the kernel tracks
 * @device: path, device-mapper name or tracker UUID of the tracked device; or the
 *	path of the device that it tracks
 *
 * Return: 0; -ENODEV: not tracked; -ENOPKG: the module is not loaded; or
 * another errno.
 */
int source_kernel_open(struct source **ret, const char *device);

/**
 * source_plain_open() - a file or device that nobody writes to meanwhile
 * @path: a regular file or a block device
 * @granule: bytes
 *
 * Return: 0; -EINVAL: its size is 0 or no multiple of 512; or another errno.
 */
int source_plain_open(struct source **ret, const char *path, uint32_t granule);

/**
 * source_look() - a source as it is now, without keeping it open
 * @tracked: by the kernel; if not, a plain one
 * @granule: bytes, for plain ones
 *
 * Errors as for source_kernel_open() and source_plain_open().
 */
int source_look(const char *device, bool tracked, uint32_t granule, struct source_info *ret);

/** source_close() - NULL is ignored. Return: NULL */
struct source *source_close(struct source *s);

/**
 * source_seal() - seal sources of any sorts, each sort as one group
 *
 * One sort only, the kernel's, has writers: so there is one instant.
 */
int source_seal(struct source **sources, size_t count, bool extend, uint32_t timeout_ms,
		uint64_t *ret_excluded_ns);

#endif
