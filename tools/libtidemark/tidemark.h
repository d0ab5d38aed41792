/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libtidemark: changed-block tracking from C.
 *
 * For storage appliances and backup tools. The library speaks to the kernel
 * module (ioctls, see <linux/tidemark.h>: its words and its life of an epoch
 * are used here), to device mapper (attach, detach) and to the module's events.
 * It never prints, never logs, keeps no global state, and may be used from
 * several threads as long as each object is used by one at a time (attach and
 * detach: by one in the process).
 *
 * Every function returns 0 or a negative errno; output parameters are written
 * on success only, except where it says so. Errors of the kernel are listed in
 * <linux/tidemark.h> and are passed on as they are.
 */
#ifndef LIBTIDEMARK_TIDEMARK_H
#define LIBTIDEMARK_TIDEMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/tidemark.h>

#ifdef __cplusplus
extern "C" {
#endif

/** struct tidemark - an open /dev/tidemark-control */
struct tidemark;

/**
 * tidemark_open() - open the control device
 * @ret: the handle, closed by tidemark_close()
 * @flags: O_RDONLY (requests that only look) or O_RDWR
 *
 * Return: 0; -ENOENT: the module is not loaded; -EPROTO: the module's
 * interface is another than this library's; -EACCES: not permitted; -EINVAL:
 * other flags (the descriptor is closed at exec in any case).
 */
int tidemark_open(struct tidemark **ret, int flags);
/** tidemark_close() - close it; NULL is ignored. Return: NULL */
struct tidemark *tidemark_close(struct tidemark *t);

/** tidemark_version() - version and features of the module */
int tidemark_version(struct tidemark *t, struct tidemark_version *ret);

/**
 * tidemark_list() - the numbers of all tracked disks
 * @t: the control device
 * @ret_disks: allocated array in ascending order, freed by the caller; NULL if empty
 * @ret_count: how many
 */
int tidemark_list(struct tidemark *t, uint64_t **ret_disks, size_t *ret_count);

/** tidemark_info() - everything about a disk */
int tidemark_info(struct tidemark *t, uint64_t disk, struct tidemark_info *ret);

/**
 * tidemark_find() - a tracked disk by what a person would call it
 * @t: the control device
 * @name: a device path (also of a symbolic link), a device-mapper name, or a
 *	tracker UUID in text; without a slash it is never a path
 * @ret: what INFO says of it
 *
 * Return: 0, or -ENODEV when no tracked disk is meant by it.
 */
int tidemark_find(struct tidemark *t, const char *name, struct tidemark_info *ret);

/**
 * tidemark_seal() - end the epoch of all these disks at one instant
 * @t: the control device
 * @disks: .disk says which; .epoch and .owed are filled
 * @count: how many, at most TIDEMARK_SEAL_MAX
 * @flags: enum tidemark_seal_flag
 * @timeout_ms: how long to wait for an older epoch to drain
 * @ret_excluded_ns: for how long submission was excluded, may be NULL
 */
int tidemark_seal(struct tidemark *t, struct tidemark_seal_disk *disks, size_t count,
		  uint32_t flags, uint32_t timeout_ms, uint64_t *ret_excluded_ns);

/** tidemark_wait() - until every write from before the seal has landed */
int tidemark_wait(struct tidemark *t, uint64_t disk, uint64_t epoch, uint32_t timeout_ms);

/**
 * tidemark_runs() - a bitmap as runs of granules
 * @t: the control device
 * @disk: its number
 * @which: enum tidemark_which
 * @first: the granule to begin with
 * @count: how many granules to look at; UINT64_MAX: to the end
 * @runs: filled with the runs found
 * @capacity: how many it has room for
 * @ret_filled: how many were found
 * @ret_next: the granule to go on with; the end of the range when all was seen
 */
int tidemark_runs(struct tidemark *t, uint64_t disk, uint32_t which, uint64_t first,
		  uint64_t count, struct tidemark_run *runs, size_t capacity,
		  size_t *ret_filled, uint64_t *ret_next);

/** tidemark_read() - a bitmap as bytes: @bitmap has room for (@count + 7) / 8 */
int tidemark_read(struct tidemark *t, uint64_t disk, uint32_t which, uint64_t first,
		  uint64_t count, void *bitmap);

/** tidemark_count() - set bits in a range of a bitmap; @count as in tidemark_runs() */
int tidemark_count(struct tidemark *t, uint64_t disk, uint32_t which, uint64_t first,
		   uint64_t count, uint64_t *ret_set);

/*
 * More than TIDEMARK_RUNS_MAX runs go in several requests. When one of them is
 * refused, those before it stand.
 */
/** tidemark_release() - these owed granules have been read; any number of runs */
int tidemark_release(struct tidemark *t, uint64_t disk, uint64_t epoch,
		     const struct tidemark_run *runs, size_t count);
/** tidemark_settle() - these sealed granules are stored durably; any number of runs */
int tidemark_settle(struct tidemark *t, uint64_t disk, uint64_t epoch,
		    const struct tidemark_run *runs, size_t count);
/** tidemark_mark() - these granules have changed; any number of runs */
int tidemark_mark(struct tidemark *t, uint64_t disk, const struct tidemark_run *runs,
		  size_t count);

/** tidemark_commit() - the replica has the sealed epoch durably */
int tidemark_commit(struct tidemark *t, uint64_t disk, uint64_t epoch);
/** tidemark_fold() - put the sealed epoch's granules back into the current one */
int tidemark_fold(struct tidemark *t, uint64_t disk, uint64_t epoch);

/** tidemark_threshold() - ask for an event at so many marked granules, 0: never */
int tidemark_threshold(struct tidemark *t, uint64_t disk, uint64_t granules);

/**
 * tidemark_pool() - make the preserve pool of a disk another size
 * @t: the control device
 * @disk: its number
 * @bytes: 0 to TIDEMARK_POOL_MAX; see POOL in <linux/tidemark.h>
 */
int tidemark_pool(struct tidemark *t, uint64_t disk, uint64_t bytes);

/* -- views ------------------------------------------------------------------ */

/** struct tidemark_view - an open view of a disk */
struct tidemark_view;

/**
 * tidemark_view_open() - a block device that shows what is owed
 * @t: the control device
 * @disk: the disk's number
 * @ret: the view, closed by tidemark_view_close()
 *
 * To be opened before the seal whose epoch it is to show. While it is open, a
 * write that meets an owed granule does not tear the epoch, but has the old
 * bytes preserved; see VIEW in <linux/tidemark.h> for what can be read when.
 * The device goes with its last descriptor, also when the process dies.
 *
 * Return: 0; -EOPNOTSUPP: the module knows no views; -ENODEV; -EACCES; -ENOMEM.
 */
int tidemark_view_open(struct tidemark *t, uint64_t disk, struct tidemark_view **ret);
/** tidemark_view_close() - close it; NULL is ignored. Return: NULL */
struct tidemark_view *tidemark_view_close(struct tidemark_view *view);
/** tidemark_view_fd() - for reads, aligned as O_DIRECT wants it; owned by the view */
int tidemark_view_fd(struct tidemark_view *view);

/* -- attach and detach, by device mapper ----------------------------------- */

/**
 * struct tidemark_attach - how to track a device
 * @device: path of the device
 * @name: device-mapper name of the new device; NULL: @device is a
 *	device-mapper device itself, and the tracker is slid under it, live
 * @granule_sectors: 0: TIDEMARK_GRANULE_DEFAULT
 * @read_only: the new device refuses writes (stacked only)
 * @meta: path of its metadata device, which is formatted when there is nothing
 *	but zeroes on it; TIDEMARK_META_TAIL: the tail of @device, which the new
 *	device then lacks (stacked only); NULL: none, a new tracker with each attach
 */
struct tidemark_attach {
	const char *device;
	const char *name;
	uint32_t granule_sectors;
	bool read_only;
	const char *meta;
};

#define TIDEMARK_META_TAIL "tail"

/**
 * tidemark_attach() - track a device
 * @attach: how
 * @ret_path: allocated path of the tracked device, freed by the caller; may be NULL
 *
 * Stacked (@attach.name is set): a new device-mapper device over @device. From
 * then on only the new device may be written to.
 *
 * Slid in (@attach.name is NULL): what the device-mapper device maps to moves
 * to a hidden device named NAME-tidemark, and the device itself maps to that
 * one through the tracker. Its number stays, it may be mounted or open, I/O
 * waits while the tables are exchanged. Every failure leaves the device as it
 * was. Leftovers of a process that was killed half way are cleared away first.
 *
 * The module is loaded when it is installed.
 *
 * Return: 0; -ENOENT: no such device; -ENOTBLK: no block device;
 * -EMEDIUMTYPE: no device-mapper device and no name given; -EALREADY: already
 * tracked; -EEXIST: the name, or NAME-tidemark, is taken; -EBUSY: the device is
 * in use and cannot be stacked upon, or it is suspended or being changed by
 * somebody else and cannot be slid under; -EOPNOTSUPP: it has a target that
 * keeps state of its own (snapshot, thin, RAID, cache, ...) and cannot be moved:
 * stack; -EINVAL: bad granule or name; -ENAMETOOLONG; -EROFS: the device is
 * read-only and @attach.read_only is not set; -ENOPKG: the module is not there;
 * -ENOSYS: no device mapper; -EACCES: not permitted; of the metadata device:
 * -ENODEV: there is none; -ENOMSG: it holds something else; -ENOSPC: too small;
 * -ENOTEMPTY: the tail is no metadata yet, and @device is not blank;
 * else what the kernel said.
 */
int tidemark_attach(const struct tidemark_attach *attach, char **ret_path);

/**
 * tidemark_detach() - stop tracking a device
 * @device: path or device-mapper name of the tracked device
 *
 * A stacked device is removed (-EBUSY when it is open), a slid-in tracker is
 * taken out, live. What was marked is forgotten. A name without a slash is a
 * device-mapper name, never a path. Where only the hidden device is left, since
 * somebody loaded another table into the tracked one or (named by its name)
 * removed it, that is cleared away.
 *
 * Return: 0; -ENOENT, -ENOTBLK: no such path; -ENODEV: it is not tracked;
 * -EBUSY: it is in use, suspended, or being changed by somebody else;
 * -EOPNOTSUPP: its table is none that tidemark_attach() made; -ENOSYS; -EACCES.
 */
int tidemark_detach(const char *device);

/* -- events ----------------------------------------------------------------- */

/**
 * struct tidemark_event_data - one event of the module
 * @event: enum tidemark_event
 * @seq: counts all events, without a hole
 * @disk: the disk's number
 * @uuid: of its tracker
 * @name: of the tracked device
 * @epoch: what the event is about
 * @granules: what the event is about
 * @reason: enum tidemark_reason
 */
struct tidemark_event_data {
	uint32_t event;
	uint64_t seq;
	uint64_t disk;
	uint8_t uuid[TIDEMARK_UUID_SIZE];
	char name[TIDEMARK_NAME_SIZE];
	uint64_t epoch;
	uint64_t granules;
	uint32_t reason;
};

/** struct tidemark_events - a subscription */
struct tidemark_events;

/**
 * tidemark_events_open() - subscribe; the descriptor becomes readable with events
 * @ret: the subscription, to be closed by the caller
 *
 * Return: 0; -ENOENT: the module is not loaded; -EACCES; -ENOMEM.
 */
int tidemark_events_open(struct tidemark_events **ret);
/** tidemark_events_close() - end it; NULL is ignored. Return: NULL */
struct tidemark_events *tidemark_events_close(struct tidemark_events *e);
/** tidemark_events_fd() - for poll(); owned by the subscription */
int tidemark_events_fd(struct tidemark_events *e);
/**
 * tidemark_events_next() - the next event, without waiting
 * @e: the subscription
 * @ret: the event; it owns nothing
 *
 * Return: 0; -EAGAIN: none; -ENOBUFS: events were lost, ask tidemark_list() and
 * tidemark_info() again; the subscription goes on.
 */
int tidemark_events_next(struct tidemark_events *e, struct tidemark_event_data *ret);

/** tidemark_event_name() - "sealed", "torn", ...; "unknown" for others */
const char *tidemark_event_name(uint32_t event);

/* -- reasons ---------------------------------------------------------------- */

/**
 * tidemark_reason_name() - "gap", "bypassed", ...; "unknown" for others
 * @reason: one of enum tidemark_reason
 */
const char *tidemark_reason_name(uint32_t reason);
/**
 * tidemark_unreliable_text() - why a tracker's bits alone cannot be trusted
 * @reason: tidemark_info.reason
 *
 * Return: a constant sentence without a full stop; NULL: they can be trusted.
 */
const char *tidemark_unreliable_text(uint32_t reason);

/* -- metadata devices --------------------------------------------------------
 *
 * Only while nobody has the disk attached: the module holds its metadata device
 * open for itself. These functions read and write an open file or device from
 * its beginning; the format is in <linux/tidemark-meta.h>.
 */

/**
 * struct tidemark_meta_layout - where things are on a metadata device
 * @sectors: size of the tracked disk
 * @granule_sectors: sectors in a granule
 * @granules: of the disk
 * @extents: of the disk
 * @intent_units: how many
 * @bitmap_units: how many
 * @intent_block: the first of them is in this block of 4096 bytes
 * @bitmap_block: the same
 * @bytes: how large the device must be
 */
struct tidemark_meta_layout {
	uint64_t sectors;
	uint32_t granule_sectors;
	uint64_t granules;
	uint64_t extents;
	uint64_t intent_units;
	uint64_t bitmap_units;
	uint64_t intent_block;
	uint64_t bitmap_block;
	uint64_t bytes;
};

/**
 * tidemark_meta_layout() - the layout for a disk
 * @sectors: size of the tracked disk
 * @granule_sectors: sectors in a granule
 * @ret: the layout
 *
 * Return: 0; -EINVAL: not such a granule, or an empty disk; -EFBIG: more than
 * TIDEMARK_GRANULES_MAX.
 */
int tidemark_meta_layout(uint64_t sectors, uint32_t granule_sectors,
			 struct tidemark_meta_layout *ret);

/**
 * tidemark_meta_format() - make a metadata device for a disk
 * @fd: for reading and writing
 * @sectors: size of the tracked disk
 * @granule_sectors: sectors in a granule
 * @identity: what the table will call the disk, up to TIDEMARK_IDENTITY_MAX
 *	bytes; NULL: nothing
 *
 * Whatever was there is lost; it does not ask. Superblocks are wiped first and
 * written last, so that half a formatting is none.
 *
 * Return: 0; as tidemark_meta_layout(); -ENOSPC: the device is too small;
 * -ENAMETOOLONG; an error of the device.
 */
int tidemark_meta_format(int fd, uint64_t sectors, uint32_t granule_sectors,
			 const char *identity);

/**
 * enum tidemark_meta_slot - what is in a superblock's slot
 * @TIDEMARK_META_SLOT_EMPTY: zeroes
 * @TIDEMARK_META_SLOT_FOREIGN: something else
 * @TIDEMARK_META_SLOT_DAMAGED: a superblock that does not verify
 * @TIDEMARK_META_SLOT_UNKNOWN: a superblock of a later version
 * @TIDEMARK_META_SLOT_VALID: a superblock
 */
enum tidemark_meta_slot {
	TIDEMARK_META_SLOT_EMPTY,
	TIDEMARK_META_SLOT_FOREIGN,
	TIDEMARK_META_SLOT_DAMAGED,
	TIDEMARK_META_SLOT_UNKNOWN,
	TIDEMARK_META_SLOT_VALID,
};

/**
 * struct tidemark_meta_report - what a metadata device says
 * @slots: enum tidemark_meta_slot, of each
 * @slot: the one that counts
 * @layout: where things are
 * @seq: of the superblock
 * @format: of the superblock
 * @uuid: of the tracker
 * @next_epoch: each epoch that ever was current is less
 * @sealed_epoch: 0: none
 * @committed_epoch: 0: none
 * @unreliable_epoch: 0: none
 * @state: enum tidemark_meta_state
 * @reason: enum tidemark_reason
 * @time: seconds since 1970
 * @writes: superblocks and units written since formatting
 * @identity: NUL-terminated
 * @all: all granules count as changed, whatever the units say
 * @intent_bad: intent units that do not verify
 * @bitmap_bad: bitmap units that do not verify
 * @intents: extents with intent
 * @marked: granules in the bitmap, those of bad units too
 * @changed: granules in the bitmap or in an extent with intent; all, with @all
 */
struct tidemark_meta_report {
	uint8_t slots[2];
	uint8_t slot;
	struct tidemark_meta_layout layout;
	uint64_t seq;
	uint8_t format[16];
	uint8_t uuid[TIDEMARK_UUID_SIZE];
	uint64_t next_epoch;
	uint64_t sealed_epoch;
	uint64_t committed_epoch;
	uint64_t unreliable_epoch;
	uint32_t state;
	uint32_t reason;
	uint64_t time;
	uint64_t writes;
	char identity[TIDEMARK_IDENTITY_MAX + 1];
	bool all;
	uint64_t intent_bad;
	uint64_t bitmap_bad;
	uint64_t intents;
	uint64_t marked;
	uint64_t changed;
};

/** struct tidemark_meta - a metadata device as it was read */
struct tidemark_meta;

/**
 * tidemark_meta_load() - read a metadata device
 * @fd: for reading
 * @ret: freed by tidemark_meta_free()
 *
 * Damage to units is no error, as it is none for the module: they count as ones.
 *
 * Return: 0; -ENOMSG: no superblock at all; -EBADMSG: none that verifies;
 * -EPROTONOSUPPORT: of a later version; -ENODATA: the device ends too early; an
 * error of the device; -ENOMEM.
 */
int tidemark_meta_load(int fd, struct tidemark_meta **ret);
/** tidemark_meta_free() - NULL is ignored. Return: NULL */
struct tidemark_meta *tidemark_meta_free(struct tidemark_meta *m);
/** tidemark_meta_report() - what it says; valid as long as @m is */
const struct tidemark_meta_report *tidemark_meta_report(const struct tidemark_meta *m);

/**
 * tidemark_meta_next() - the next run of granules that count as changed
 * @m: a loaded one
 * @from: granule to begin with
 * @ret: the run
 *
 * Return: whether there is one.
 */
bool tidemark_meta_next(const struct tidemark_meta *m, uint64_t from, struct tidemark_run *ret);
/** tidemark_meta_intent() - has this extent intent */
bool tidemark_meta_intent(const struct tidemark_meta *m, uint64_t extent);

/**
 * struct tidemark_meta_repaired - what a repair has done
 * @supers: superblocks written
 * @intent_units: intent units set to ones
 * @bitmap_units: bitmap units set to ones
 */
struct tidemark_meta_repaired {
	unsigned int supers;
	uint64_t intent_units;
	uint64_t bitmap_units;
};

/**
 * tidemark_meta_repair() - mend what can be mended without guessing
 * @fd: for reading and writing
 * @ret: what was done
 *
 * A unit that does not verify becomes ones, which it stood for already. A slot
 * whose superblock does not verify may have held the newer one: what that said
 * nobody knows, so both slots then say that everything has changed.
 *
 * Return: 0; as tidemark_meta_load().
 */
int tidemark_meta_repair(int fd, struct tidemark_meta_repaired *ret);

#ifdef __cplusplus
}
#endif

#endif
