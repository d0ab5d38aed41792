/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Tidemark: changed-block tracking for block devices, user space interface.
 *
 * This header is the manual of /dev/tidemark-control and of the generic
 * netlink family "tidemark".
 *
 * WORDS
 *
 *   disk     a tracked block device. The kernel numbers it at attach (@disk,
 *            never 0, never used again while the module is loaded).
 *   granule  what one bit stands for: a power of two of 512-byte sectors,
 *            4 KiB to 4 MiB. The last granule of a disk may be short.
 *   epoch    the numbered time between two seals, counted per disk from 1.
 *   current  the bitmap that writes are marking now.
 *   sealed   what is sealed and not committed: what must reach the replica.
 *   owed     what of it is to be read as of the newest seal, and nobody has
 *            released yet.
 *
 * LIFE OF AN EPOCH
 *
 *   SEAL ends the current epoch of a set of disks at one instant and returns
 *   the number of the epoch that ended. WAIT returns once every write that was
 *   submitted before the seal has landed: only then may the owed granules be
 *   read from the data device or a view. Writers never wait for any of this.
 *   RUNS (or READ) lists the owed granules. RELEASE says that granules have
 *   been read. Without a view (see there), a write that meets an owed granule
 *   before its release makes the epoch *torn* (TIDEMARK_STATE_TORN): what was
 *   read is then no single moment of the disk. A torn epoch is closed by a
 *   further SEAL with TIDEMARK_SEAL_EXTEND: the sealed bitmap keeps everything,
 *   only what changed since, or was not released yet, is owed. When an epoch
 *   that is not torn has been stored durably, COMMIT forgets the sealed bitmap.
 *   FOLD gives it back to the current one instead: the way out of every failure.
 *
 *                   write            SEAL                    COMMIT
 *        current ----------> marked ------> sealed (+ owed) ---------> gone
 *           ^                                  |
 *           +-------------- FOLD --------------+
 *
 *   VIEW
 *
 *   A view is a read-only block device that shows the owed granules as they
 *   were at the moment of the seal, and nothing else (EIO). It is a device of
 *   device mapper, to be created read-only before the seal:
 *
 *	0 <sectors> tidemark-view <tracked device | number of the disk>
 *
 *   While a disk has one, a write that meets an owed granule does not tear: it
 *   waits until the granule's old bytes have been read into the *preserve
 *   pool*, and goes on. RELEASE, COMMIT and FOLD free what was preserved. The
 *   pool's size is a feature of the tracked device's table (`pool <bytes>`), or
 *   set by POOL; rounded down to granules it is allocated with the first view of
 *   a disk, and freed with the last. When it is full, or old bytes cannot be
 *   read, or the last view is removed while something is preserved, the epoch is
 *   torn: a write never waits for a reader. Reads through the view give EIO
 *
 *	- of a granule that is not owed, or released;
 *	- when there is no sealed epoch, or it has not drained (see WAIT);
 *	- when it is torn, also of what could be read before, until a further
 *	  SEAL with TIDEMARK_SEAL_EXTEND: then go on with what is owed;
 *	- for good when the disk is gone or has another data device or granule.
 *
 *   What a read has returned is the moment of the seal of the epoch that INFO
 *   shows before and after it, torn or not.
 *
 *   METADATA
 *
 *   With a metadata device (see <linux/tidemark-meta.h>, named by the table) a
 *   tracker outlives a detach and a crash: its UUID, its epochs, and at least
 *   all that has changed since the last commit. Without one it is a new one with
 *   each attach.
 *
 *   With metadata COMMIT and SETTLE first flush the data device: what they forget
 *   must not be taken back by a power cut. They wait for that, with nothing
 *   locked, and look at the epoch again after it.
 *
 *   TRUST IN METADATA
 *
 *   What a metadata device says may be true no more: somebody has put an older
 *   copy of it back. The kernel cannot know that, who remembers can. Each
 *   superblock has a higher sequence number than all before it with the same
 *   tracker UUID, and one is written at each attach, commit and detach, for each
 *   reason, and by a checkpoint after extents got their intent. So remember
 *   (@uuid, @attach, @meta_sequence) of INFO, durably, now and then and after
 *   each commit. When a disk with that @uuid has another @attach, its @meta_found
 *   must not be less than the @meta_sequence remembered: else what it has not
 *   marked may have changed, compare. Nor may @meta_sequence be less than the
 *   one remembered of the same @attach.
 *
 *   SETTLE clears granules from the sealed bitmap alone: they are stored
 *   durably although the epoch is not committed. The caller must remember
 *   where; a granule written since is marked in the current epoch.
 *
 * CALLING
 *
 *   Each request takes a pointer to its struct, whose first member is its
 *   size as the caller was compiled. Structs only grow. A caller's struct may
 *   be shorter (missing members read as 0) or longer (unknown members must be
 *   0, else E2BIG) than the kernel's. Flags that are not named here, reserved
 *   members and padding must be 0, else EINVAL. Output members of the caller's
 *   struct are written on success, and where a request says so on failure.
 *
 *   Opening the device read-only allows the requests marked (r). The others
 *   need a descriptor open for writing and CAP_SYS_ADMIN.
 *
 * ERRORS, the same for all requests
 *
 *   ENOTTY     no such request
 *   EINVAL     size too small, unknown flag, reserved member not 0, range
 *              empty or not inside of the disk, a disk named twice, a time
 *              over TIDEMARK_TIMEOUT_MAX, no such bitmap
 *   E2BIG      the struct has members that this kernel does not know, or an
 *              array is longer than a request may take
 *   EFAULT     a bad pointer
 *   EBADF      the descriptor is not open for writing
 *   EPERM      no CAP_SYS_ADMIN
 *   ENODEV     no such disk
 *   ENODATA    the disk has no sealed epoch
 *   ESTALE     the sealed epoch is another than the one named
 *   EAGAIN     the sealed epoch has not drained yet
 *   ETIMEDOUT  it did not drain in the time given
 *   EINTR      a signal arrived while waiting
 *   ENOSPC     the caller's array is too short (says how long it must be)
 *   ENOMEM     out of memory
 *   EIO        COMMIT, SETTLE of a disk with metadata: the data device could not
 *              be flushed (or another errno of that device): nothing was
 *              forgotten, the epoch is still sealed
 */
#ifndef _UAPI_LINUX_TIDEMARK_H
#define _UAPI_LINUX_TIDEMARK_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TIDEMARK_CONTROL_NAME	"tidemark-control"
#define TIDEMARK_CONTROL_PATH	"/dev/" TIDEMARK_CONTROL_NAME

#define TIDEMARK_ABI_MAJOR	1	/* changes when a caller may break */
#define TIDEMARK_ABI_MINOR	3	/* changes when something is added */

#define TIDEMARK_UUID_SIZE	16
#define TIDEMARK_NAME_SIZE	128	/* a device-mapper name, with its NUL */
#define TIDEMARK_MESSAGE_SIZE	128

#define TIDEMARK_GRANULE_MIN	8	/* sectors: 4 KiB */
#define TIDEMARK_GRANULE_MAX	8192	/* sectors: 4 MiB */
#define TIDEMARK_GRANULE_DEFAULT 128	/* sectors: 64 KiB */
#define TIDEMARK_GRANULES_MAX	0x40000000ULL	/* of one disk: 128 MiB a bitmap */

#define TIDEMARK_SEAL_MAX	2048	/* disks in one seal */
#define TIDEMARK_RUNS_MAX	65536	/* runs in one request */
#define TIDEMARK_TIMEOUT_MAX	600000	/* milliseconds */

#define TIDEMARK_IDENTITY_MAX	63	/* characters */

#define TIDEMARK_POOL_MAX	(1ULL << 30)	/* bytes */
#define TIDEMARK_POOL_DEFAULT	(8ULL << 20)	/* bytes */

#define TIDEMARK_IOC_TYPE	0xB7

/**
 * enum tidemark_feature - what a kernel can do, bits of tidemark_version.features
 * @TIDEMARK_FEATURE_SEAL_EXTEND: SEAL takes TIDEMARK_SEAL_EXTEND
 * @TIDEMARK_FEATURE_SETTLE: SETTLE exists
 * @TIDEMARK_FEATURE_THRESHOLD: THRESHOLD exists
 * @TIDEMARK_FEATURE_VIEW: there are views, and POOL
 * @TIDEMARK_FEATURE_META: a table may name a metadata device
 * @TIDEMARK_FEATURE_WITNESS: writes that pass the tracker by are noticed
 */
enum tidemark_feature {
	TIDEMARK_FEATURE_SEAL_EXTEND	= 1 << 0,
	TIDEMARK_FEATURE_SETTLE		= 1 << 1,
	TIDEMARK_FEATURE_THRESHOLD	= 1 << 2,
	TIDEMARK_FEATURE_VIEW		= 1 << 3,
	TIDEMARK_FEATURE_META		= 1 << 4,
	TIDEMARK_FEATURE_WITNESS	= 1 << 5,
};

/**
 * struct tidemark_version - VERSION (r): which interface is this
 * @size: of this struct
 * @flags: 0
 * @abi_major: out: TIDEMARK_ABI_MAJOR of the kernel
 * @abi_minor: out: TIDEMARK_ABI_MINOR of the kernel
 * @features: out: enum tidemark_feature
 * @release: out: the module's version, NUL-terminated
 */
struct tidemark_version {
	__u32 size;
	__u32 flags;
	__u32 abi_major;
	__u32 abi_minor;
	__aligned_u64 features;
	__u8 release[32];
};

#define TIDEMARK_IOC_VERSION	_IO(TIDEMARK_IOC_TYPE, 0)

/**
 * struct tidemark_list - LIST (r): the numbers of all tracked disks
 * @size: of this struct
 * @flags: 0
 * @capacity: in: how many numbers @disks has room for
 * @count: out: how many disks there are, also with ENOSPC
 * @disks: in: address of an array of __u64, filled in ascending order
 */
struct tidemark_list {
	__u32 size;
	__u32 flags;
	__u32 capacity;
	__u32 count;
	__aligned_u64 disks;
};

#define TIDEMARK_IOC_LIST	_IO(TIDEMARK_IOC_TYPE, 1)

/**
 * enum tidemark_state - bits of tidemark_info.state
 * @TIDEMARK_STATE_SEALED: there is a sealed epoch
 * @TIDEMARK_STATE_DRAINING: writes from before the newest seal are in flight
 * @TIDEMARK_STATE_TORN: an owed granule was overwritten before its release
 * @TIDEMARK_STATE_SUSPENDED: the device is suspended
 * @TIDEMARK_STATE_META: there is a metadata device, and it works
 * @TIDEMARK_STATE_BLIND: the data device does not count what it writes (its
 *	queue/iostats is off): a write that passes the tracker by goes unseen
 */
enum tidemark_state {
	TIDEMARK_STATE_SEALED		= 1 << 0,
	TIDEMARK_STATE_DRAINING		= 1 << 1,
	TIDEMARK_STATE_TORN		= 1 << 2,
	TIDEMARK_STATE_SUSPENDED	= 1 << 3,
	TIDEMARK_STATE_META		= 1 << 4,
	TIDEMARK_STATE_BLIND		= 1 << 5,
};

/**
 * enum tidemark_reason - why more was marked than was written, or what is
 *	wrong with a tracker: bits of tidemark_info.reason
 * @TIDEMARK_REASON_RESIZED: the disk has changed its size or its granule: what
 *	was added is marked, what was marked is in whole granules of the new
 *	size; if that was found out by its metadata, all is marked
 * @TIDEMARK_REASON_REPLACED: the data device was exchanged by another table
 * @TIDEMARK_REASON_GAP: the disk was, or may have been, written to between two
 *	attaches
 * @TIDEMARK_REASON_SWAPPED: the metadata belongs to another disk of this size
 * @TIDEMARK_REASON_BYPASSED: the data device has counted more writes than the
 *	tracker has passed to it: somebody writes to it directly
 * @TIDEMARK_REASON_META_LOST: the metadata did not verify: all is marked, and
 *	the tracker has a new UUID
 * @TIDEMARK_REASON_META_PART: a part of the metadata did not verify: what it
 *	stands for is marked
 * @TIDEMARK_REASON_META_ERROR: metadata cannot be written: tracking goes on in
 *	memory and would not survive; the tracker has a new UUID. Gone when the
 *	metadata device works again
 * @TIDEMARK_REASON_UNCLEAN: the disk was not detached the last time: all that
 *	may have been written shortly before is marked
 * @TIDEMARK_REASON_DROPPED: only with TIDEMARK_EVENT_DETACHED: the device goes
 *	on without its tracker, and nobody has announced that
 */
enum tidemark_reason {
	TIDEMARK_REASON_RESIZED		= 1 << 0,
	TIDEMARK_REASON_REPLACED	= 1 << 1,
	TIDEMARK_REASON_GAP		= 1 << 2,
	TIDEMARK_REASON_SWAPPED		= 1 << 3,
	TIDEMARK_REASON_BYPASSED	= 1 << 4,
	TIDEMARK_REASON_META_LOST	= 1 << 5,
	TIDEMARK_REASON_META_PART	= 1 << 6,
	TIDEMARK_REASON_META_ERROR	= 1 << 7,
	TIDEMARK_REASON_UNCLEAN		= 1 << 8,
	TIDEMARK_REASON_DROPPED		= 1 << 9,
};

/*
 * Reasons with which the bits alone could not be trusted: something was, or may
 * have been, written that nobody has marked. When one of them arises everything
 * is marked, and tidemark_info.unreliable_epoch is set to the epoch in which it
 * was. The kernel takes them back when that epoch, or one sealed after it, is
 * committed: the replica then has everything. There is no other way. Whoever
 * brings the replica up to date may, and should, compare instead of send.
 */
#define TIDEMARK_REASON_UNRELIABLE	0x1e

/**
 * struct tidemark_info - INFO (r): everything about a disk
 * @size: of this struct
 * @flags: 0
 * @disk: in: its number
 * @uuid: out: of the tracker; a new one means that nothing is known of what
 *	was written before
 * @major: out: of the tracked device
 * @minor: out: of the tracked device
 * @data_major: out: of the device below, which the owed granules are read from
 * @data_minor: out: of the device below
 * @sectors: out: size of the disk in sectors of 512 bytes
 * @granules: out: size of the disk in granules, the last one may be short
 * @granule_sectors: out: sectors in a granule
 * @state: out: enum tidemark_state
 * @reason: out: enum tidemark_reason, since attach; those of
 *	TIDEMARK_REASON_UNRELIABLE until they are taken back
 * @reserved: 0
 * @epoch: out: the current epoch
 * @sealed_epoch: out: the newest sealed epoch, 0: none
 * @committed_epoch: out: the newest committed epoch, 0: none
 * @marked: out: granules in the current bitmap
 * @sealed: out: granules in the sealed bitmap
 * @owed: out: granules in the owed bitmap
 * @torn: out: how often a write met an owed granule, in the sealed epoch
 * @threshold: out: see THRESHOLD
 * @writes: out: writes passed down, of any kind, since attach
 * @write_sectors: out: sectors written (WRITE, WRITE_ZEROES)
 * @discard_sectors: out: sectors discarded (DISCARD, SECURE_ERASE)
 * @name: out: name of the tracked device, NUL-terminated
 * @message: out: the newest thing a person should know, NUL-terminated
 * @views: out: how many views the disk has
 * @reserved2: 0
 * @pool_bytes: out: size of the preserve pool; allocated only with a view
 * @pool_used: out: bytes of it that are in use
 * @pool_peak: out: the highest of @pool_used since attach
 * @preserved: out: granules in it
 * @unreliable_epoch: out: see TIDEMARK_REASON_UNRELIABLE; 0: reliable
 * @bypassed_sectors: out: counted by the data device and not passed to it by
 *	the tracker, as far as it was noticed, since attach
 * @meta_major: out: of the metadata device, 0 with @meta_minor 0: none
 * @meta_minor: out: of the metadata device
 * @meta_intents: out: extents of 4 MiB whose intent is on the metadata device
 * @meta_held: out: writes that had to wait for it, since attach
 * @meta_writes: out: writes to the metadata device, since attach
 * @meta_flushes: out: flushes of it, those that are part of a write too
 * @meta_checkpoints: out: checkpoints that have cleared intent, since attach
 * @meta_errors: out: requests to the metadata device that failed, since attach
 * @attach: out: a random number of this attach, never 0: that of another attach
 *	of the disk is another one, over boots too
 * @meta_found: out: sequence number of the superblock with which this attach
 *	began, 0: there was none that verified. See TRUST IN METADATA
 * @meta_sequence: out: sequence number of the newest superblock that is durable
 */
struct tidemark_info {
	__u32 size;
	__u32 flags;
	__aligned_u64 disk;
	__u8 uuid[TIDEMARK_UUID_SIZE];
	__u32 major;
	__u32 minor;
	__u32 data_major;
	__u32 data_minor;
	__aligned_u64 sectors;
	__aligned_u64 granules;
	__u32 granule_sectors;
	__u32 state;
	__u32 reason;
	__u32 reserved;
	__aligned_u64 epoch;
	__aligned_u64 sealed_epoch;
	__aligned_u64 committed_epoch;
	__aligned_u64 marked;
	__aligned_u64 sealed;
	__aligned_u64 owed;
	__aligned_u64 torn;
	__aligned_u64 threshold;
	__aligned_u64 writes;
	__aligned_u64 write_sectors;
	__aligned_u64 discard_sectors;
	__u8 name[TIDEMARK_NAME_SIZE];
	__u8 message[TIDEMARK_MESSAGE_SIZE];
	__u32 views;
	__u32 reserved2;
	__aligned_u64 pool_bytes;
	__aligned_u64 pool_used;
	__aligned_u64 pool_peak;
	__aligned_u64 preserved;
	__aligned_u64 unreliable_epoch;
	__aligned_u64 bypassed_sectors;
	__u32 meta_major;
	__u32 meta_minor;
	__aligned_u64 meta_intents;
	__aligned_u64 meta_held;
	__aligned_u64 meta_writes;
	__aligned_u64 meta_flushes;
	__aligned_u64 meta_checkpoints;
	__aligned_u64 meta_errors;
	__aligned_u64 attach;
	__aligned_u64 meta_found;
	__aligned_u64 meta_sequence;
};

#define TIDEMARK_IOC_INFO	_IO(TIDEMARK_IOC_TYPE, 2)

/**
 * struct tidemark_seal_disk - one disk of a SEAL
 * @disk: in: its number
 * @epoch: out: the epoch that was sealed
 * @owed: out: granules in it
 */
struct tidemark_seal_disk {
	__aligned_u64 disk;
	__aligned_u64 epoch;
	__aligned_u64 owed;
};

/**
 * enum tidemark_seal_flag - flags of a SEAL
 * @TIDEMARK_SEAL_EXTEND: an older sealed epoch is not folded first: its
 *	granules stay sealed, and owed is only what changed since it and what
 *	it owed still. Without an older sealed epoch nothing is different
 */
enum tidemark_seal_flag {
	TIDEMARK_SEAL_EXTEND	= 1 << 0,
};

/**
 * struct tidemark_seal - SEAL: end the epoch of all disks named, at one instant
 * @size: of this struct
 * @flags: enum tidemark_seal_flag
 * @count: in: how many disks, at least 1
 * @timeout_ms: in: how long to wait for an older epoch to drain, folded and
 *	committed ones too
 * @disks: in: address of an array of struct tidemark_seal_disk
 * @excluded_ns: out: for how long submission was excluded, as seen by the first
 *	write that met it
 *
 * A write submitted after the seal to one disk of the set is in the new epoch,
 * and so is every write, to any disk of the set, that was submitted after that
 * one. Either all disks are sealed or none.
 */
struct tidemark_seal {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 timeout_ms;
	__aligned_u64 disks;
	__aligned_u64 excluded_ns;
};

#define TIDEMARK_IOC_SEAL	_IO(TIDEMARK_IOC_TYPE, 3)

/**
 * struct tidemark_wait - WAIT: until the sealed epoch of a disk has drained
 * @size: of this struct
 * @flags: 0
 * @disk: in: its number
 * @epoch: in: the sealed epoch
 * @timeout_ms: in: 0 asks only: ETIMEDOUT when it has not
 * @reserved: 0
 */
struct tidemark_wait {
	__u32 size;
	__u32 flags;
	__aligned_u64 disk;
	__aligned_u64 epoch;
	__u32 timeout_ms;
	__u32 reserved;
};

#define TIDEMARK_IOC_WAIT	_IO(TIDEMARK_IOC_TYPE, 4)

/**
 * enum tidemark_which - which bitmap
 * @TIDEMARK_CURRENT: what writes are marking now: a lower bound while they do
 * @TIDEMARK_SEALED: sealed and not committed
 * @TIDEMARK_OWED: added by the newest seal and not released
 */
enum tidemark_which {
	TIDEMARK_CURRENT	= 0,
	TIDEMARK_SEALED		= 1,
	TIDEMARK_OWED		= 2,
};

/**
 * struct tidemark_read - READ (r): a bitmap as bytes
 * @size: of this struct
 * @flags: 0
 * @disk: in: its number
 * @which: in: enum tidemark_which
 * @reserved: 0
 * @first: in: granule of the first bit, a multiple of 8
 * @count: in: how many granules, at most to the end of the disk
 * @bitmap: in: address of (@count + 7) / 8 bytes; bit n of byte m is granule
 *	@first + 8 * m + n; bits past @count are written as 0
 */
struct tidemark_read {
	__u32 size;
	__u32 flags;
	__aligned_u64 disk;
	__u32 which;
	__u32 reserved;
	__aligned_u64 first;
	__aligned_u64 count;
	__aligned_u64 bitmap;
};

#define TIDEMARK_IOC_READ	_IO(TIDEMARK_IOC_TYPE, 5)

/**
 * struct tidemark_run - granules in a row
 * @first: the first one
 * @count: how many, never 0
 */
struct tidemark_run {
	__aligned_u64 first;
	__aligned_u64 count;
};

/**
 * struct tidemark_runs - RUNS (r): a bitmap as runs of set bits
 * @size: of this struct
 * @flags: 0
 * @disk: in: its number
 * @which: in: enum tidemark_which
 * @capacity: in: how many runs @runs has room for, 1 to TIDEMARK_RUNS_MAX
 * @first: in: the granule to begin with
 * @count: in: how many granules to look at, at most to the end of the disk
 * @runs: in: address of an array of struct tidemark_run
 * @filled: out: how many runs were found
 * @reserved: 0
 * @next: out: the granule to go on with; @first + @count when all was seen
 *
 * A run that reaches over the end of a request's range is cut there.
 */
struct tidemark_runs {
	__u32 size;
	__u32 flags;
	__aligned_u64 disk;
	__u32 which;
	__u32 capacity;
	__aligned_u64 first;
	__aligned_u64 count;
	__aligned_u64 runs;
	__u32 filled;
	__u32 reserved;
	__aligned_u64 next;
};

#define TIDEMARK_IOC_RUNS	_IO(TIDEMARK_IOC_TYPE, 6)

/**
 * struct tidemark_count - COUNT (r): set bits in a range of a bitmap
 * @size: of this struct
 * @flags: 0
 * @disk: in: its number
 * @which: in: enum tidemark_which
 * @reserved: 0
 * @first: in: the first granule
 * @count: in: how many granules
 * @set: out: how many of them are set
 */
struct tidemark_count {
	__u32 size;
	__u32 flags;
	__aligned_u64 disk;
	__u32 which;
	__u32 reserved;
	__aligned_u64 first;
	__aligned_u64 count;
	__aligned_u64 set;
};

#define TIDEMARK_IOC_COUNT	_IO(TIDEMARK_IOC_TYPE, 7)

/**
 * struct tidemark_ranges - RELEASE, SETTLE, MARK: change bits
 * @size: of this struct
 * @flags: 0
 * @disk: in: its number
 * @epoch: in: the sealed epoch; MARK: 0
 * @count: in: how many runs, at most TIDEMARK_RUNS_MAX
 * @reserved: 0
 * @runs: in: address of an array of struct tidemark_run
 *
 * RELEASE clears them from the owed bitmap, SETTLE from the sealed bitmap: both
 * need a drained epoch, since what has not landed was not read. MARK sets them
 * in the current one, for changes that were made while nobody tracked. All runs
 * are checked before the first bit is changed.
 */
struct tidemark_ranges {
	__u32 size;
	__u32 flags;
	__aligned_u64 disk;
	__aligned_u64 epoch;
	__u32 count;
	__u32 reserved;
	__aligned_u64 runs;
};

#define TIDEMARK_IOC_RELEASE	_IO(TIDEMARK_IOC_TYPE, 8)
#define TIDEMARK_IOC_SETTLE	_IO(TIDEMARK_IOC_TYPE, 9)
#define TIDEMARK_IOC_MARK	_IO(TIDEMARK_IOC_TYPE, 10)

/**
 * struct tidemark_end - COMMIT, FOLD: end a sealed epoch
 * @size: of this struct
 * @flags: 0
 * @disk: in: its number
 * @epoch: in: the sealed epoch
 *
 * COMMIT: the replica has it durably. FOLD: its granules are changed ones
 * again. A commit of an epoch that has not drained is refused with EAGAIN, one
 * whose data device cannot be flushed with EIO (see METADATA): fold then. A
 * fold is always safe. A commit of tidemark_info.unreliable_epoch or later ends
 * the reasons of TIDEMARK_REASON_UNRELIABLE, if no new one has arisen since.
 */
struct tidemark_end {
	__u32 size;
	__u32 flags;
	__aligned_u64 disk;
	__aligned_u64 epoch;
};

#define TIDEMARK_IOC_COMMIT	_IO(TIDEMARK_IOC_TYPE, 11)
#define TIDEMARK_IOC_FOLD	_IO(TIDEMARK_IOC_TYPE, 12)

/**
 * struct tidemark_threshold - THRESHOLD: ask for an event
 * @size: of this struct
 * @flags: 0
 * @disk: in: its number
 * @granules: in: an event is sent, once an epoch, when the current bitmap
 *	holds this many, at once when it does already; 0: never
 */
struct tidemark_threshold {
	__u32 size;
	__u32 flags;
	__aligned_u64 disk;
	__aligned_u64 granules;
};

#define TIDEMARK_IOC_THRESHOLD	_IO(TIDEMARK_IOC_TYPE, 13)

/**
 * struct tidemark_pool_size - POOL: make the preserve pool another size
 * @size: of this struct
 * @flags: 0
 * @disk: in: its number
 * @bytes: in: at most TIDEMARK_POOL_MAX; 0: preserve nothing
 *
 * With a view at once: what is too much is freed as it is released. ENOMEM
 * leaves the pool as it was.
 */
struct tidemark_pool_size {
	__u32 size;
	__u32 flags;
	__aligned_u64 disk;
	__aligned_u64 bytes;
};

#define TIDEMARK_IOC_POOL	_IO(TIDEMARK_IOC_TYPE, 14)

/*
 * Generic netlink: family "tidemark", multicast group "events". There are no
 * requests; every message is an event. A listener whose socket overran
 * (ENOBUFS) asks LIST and INFO and knows everything again.
 */
#define TIDEMARK_GENL_NAME	"tidemark"
#define TIDEMARK_GENL_VERSION	1
#define TIDEMARK_GENL_GROUP	"events"

/**
 * enum tidemark_event - genetlink command numbers
 * @TIDEMARK_EVENT_UNSPEC: never sent
 * @TIDEMARK_EVENT_ATTACHED: a disk is tracked from now on
 * @TIDEMARK_EVENT_DETACHED: a disk is no longer tracked
 * @TIDEMARK_EVENT_SEALED: an epoch was sealed
 * @TIDEMARK_EVENT_TORN: the sealed epoch is torn (sent once an epoch)
 * @TIDEMARK_EVENT_COMMITTED: the sealed epoch was committed
 * @TIDEMARK_EVENT_FOLDED: the sealed epoch was folded
 * @TIDEMARK_EVENT_THRESHOLD: the current bitmap has reached the threshold
 * @TIDEMARK_EVENT_RESIZED: the disk has another size or granule
 * @TIDEMARK_EVENT_UNRELIABLE: a reason of TIDEMARK_REASON_UNRELIABLE, or
 *	TIDEMARK_REASON_META_ERROR, has arisen
 * @TIDEMARK_EVENT_RELIABLE: the last of these is gone
 */
enum tidemark_event {
	TIDEMARK_EVENT_UNSPEC,
	TIDEMARK_EVENT_ATTACHED,
	TIDEMARK_EVENT_DETACHED,
	TIDEMARK_EVENT_SEALED,
	TIDEMARK_EVENT_TORN,
	TIDEMARK_EVENT_COMMITTED,
	TIDEMARK_EVENT_FOLDED,
	TIDEMARK_EVENT_THRESHOLD,
	TIDEMARK_EVENT_RESIZED,
	TIDEMARK_EVENT_UNRELIABLE,
	TIDEMARK_EVENT_RELIABLE,
};

/**
 * enum tidemark_attr - attributes of an event
 * @TIDEMARK_ATTR_UNSPEC: never sent
 * @TIDEMARK_ATTR_PAD: padding
 * @TIDEMARK_ATTR_SEQ: u64, counts all events of this module, without a hole
 * @TIDEMARK_ATTR_DISK: u64, the disk's number
 * @TIDEMARK_ATTR_UUID: TIDEMARK_UUID_SIZE bytes
 * @TIDEMARK_ATTR_NAME: NUL-terminated string
 * @TIDEMARK_ATTR_EPOCH: u64, the epoch that the event is about
 * @TIDEMARK_ATTR_GRANULES: u64, granules that the event is about
 * @TIDEMARK_ATTR_REASON: u32, enum tidemark_reason, all that are there
 */
enum tidemark_attr {
	TIDEMARK_ATTR_UNSPEC,
	TIDEMARK_ATTR_PAD,
	TIDEMARK_ATTR_SEQ,
	TIDEMARK_ATTR_DISK,
	TIDEMARK_ATTR_UUID,
	TIDEMARK_ATTR_NAME,
	TIDEMARK_ATTR_EPOCH,
	TIDEMARK_ATTR_GRANULES,
	TIDEMARK_ATTR_REASON,
	/* private: */
	__TIDEMARK_ATTR_MAX,
};

#define TIDEMARK_ATTR_MAX (__TIDEMARK_ATTR_MAX - 1)

#endif /* _UAPI_LINUX_TIDEMARK_H */
