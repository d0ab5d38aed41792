/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Tidemark: the format of a metadata device, byte for byte.
 *
 * A metadata device keeps what is known of a tracked disk over a detach, a
 * shutdown, a crash and a power cut. The module writes it while the disk is
 * attached (and holds the device open for itself); tools format, check, dump
 * and repair it while it is not. All numbers are little-endian, all areas lie
 * at multiples of TIDEMARK_META_BLOCK bytes, counted from the beginning of the
 * device. To put metadata and data on one disk, stack two linear targets.
 *
 *	block 0	superblock slot 0	the newer valid one counts:
 *	block 1	superblock slot 1	the slot of sequence number s is s % 2
 *	block 2	intent units		1 bit an extent of 4 MiB
 *	after	bitmap units		1 bit a granule
 *
 * UNITS
 *
 *   Intent and bitmap are rows of units of 512 bytes, each with a checksum of
 *   its own. Nothing larger than a sector needs to be written as a whole: a
 *   torn block of 4 KiB is some units old and some new. Bit b of an area is bit
 *   b % 8 of byte (b / 8) % TIDEMARK_META_UNIT_BYTES of the bits of unit
 *   b / TIDEMARK_META_UNIT_BITS; bits past the end are 0. An area ends with the
 *   block that its last unit is in; units after that one are zero bytes.
 *
 *   A unit that does not verify stands for ones: all of its granules, or all
 *   granules of its extents, count as changed.
 *
 * CHECKSUMS
 *
 *   CRC-32C as of iSCSI, begun with ~0 and not inverted at the end (crc32c(~0,
 *   ...) of the kernel). A superblock: over its 512 bytes with @crc taken as 0.
 *   A unit: over the 16 bytes of the superblock's @format, then over bytes 4 to
 *   511 of the unit. So a unit of an older formatting does not verify.
 *
 * LAYOUT, from @sectors and @granule_sectors alone
 *
 *	granules      = ceil(sectors / granule_sectors)
 *	extents       = ceil(sectors / TIDEMARK_META_EXTENT)
 *	units(bits)   = ceil(bits / TIDEMARK_META_UNIT_BITS)
 *	blocks(bits)  = ceil(units(bits) / 8)
 *	intent_block  = 2
 *	bitmap_block  = 2 + blocks(extents)
 *	size          = (bitmap_block + blocks(granules)) * 4096 bytes
 *
 *   The superblock repeats the two block numbers; one that disagrees with these
 *   rules does not verify.
 *
 * WHAT IT MEANS
 *
 *   bitmap   what was changed since @committed_epoch and is not on its way to
 *            be forgotten: the current and the sealed bitmap in one. A sealed
 *            epoch that was not committed is therefore folded by a load.
 *   intent   extents in which more may have changed than the bitmap says.
 *
 *   At any moment, with the newer valid superblock:
 *
 *     TIDEMARK_META_ACTIVE, TIDEMARK_META_CLEAN
 *              bitmap + intent hold every granule changed since the seal of
 *              @committed_epoch. (Intent counts with CLEAN too: the first writes
 *              may come before the superblock says ACTIVE.)
 *     TIDEMARK_META_ALL
 *              every granule counts as changed; units mean nothing.
 *     TIDEMARK_META_NEW
 *              formatted and never attached; units mean nothing. The module
 *              makes a tracker UUID with each attach that finds this.
 *
 *   If @reason has bits of TIDEMARK_REASON_UNRELIABLE, every granule counts as
 *   changed in any state.
 *
 *   Every epoch that was ever current is less than @next_epoch.
 *
 * ORDER OF WRITES
 *
 *   "Then" means: the writes before have been completed and are durable (FUA,
 *   or a flush between), and only then the next is submitted. One task does all
 *   of it, a step at a time; the writes of one step may land in any order.
 *
 *   first write to an extent
 *              intent unit with the extent's bit (FUA), then the write itself.
 *              Many held writes share one step.
 *   checkpoint, for extents not written for a while
 *              from here on writes to them count as first writes, unless the
 *              bit has not begun to be cleared on the device; bitmap units of
 *              what is marked in these extents (and of those with bits to be
 *              forgotten); then intent units without them (FUA).
 *   seal       superblock with a higher @next_epoch, when it is used up, then
 *              the new epoch's number is given out.
 *   commit     flush of the data device, begun after the epoch has drained:
 *              what the replica has got was perhaps in its cache; then
 *              superblock with @committed_epoch, then bitmap units that forget
 *              (some time later).
 *   settle     the same flush, then bitmap units that forget (some time later).
 *   mark (by request)
 *              bitmap units, flush, then the request returns.
 *   unreliable superblock with @reason and @unreliable_epoch, at once.
 *   any superblock with a reason of TIDEMARK_REASON_UNRELIABLE, or state ALL,
 *              that the one before does not have: once more, into the other
 *              slot. So no sector alone can rot and take the warning with it.
 *   other size or granule, first metadata, repair after an error
 *              superblock ALL; then flush of the data device, since what was
 *              committed without metadata was not flushed; intent units without
 *              a bit; from here on first writes are intended as above; bitmap
 *              units; then superblock ACTIVE.
 *   detach     bitmap units that differ; then intent units without a bit; then
 *              superblock CLEAN with the counters.
 *   attach     superblock ACTIVE, at any time.
 *
 *   When a write fails the task stops all of this, makes a new tracker UUID
 *   and tries to write superblock ALL with it until that succeeds. Nobody who
 *   holds the old UUID may then take what a dead device still says for true: an
 *   agent remembers the event TIDEMARK_EVENT_UNRELIABLE.
 */
#ifndef _UAPI_LINUX_TIDEMARK_META_H
#define _UAPI_LINUX_TIDEMARK_META_H

#include <linux/types.h>

#define TIDEMARK_META_MAGIC	"tidemeta"	/* without its NUL */
#define TIDEMARK_META_VERSION	1
#define TIDEMARK_META_BLOCK	4096		/* bytes */
#define TIDEMARK_META_EXTENT	8192		/* sectors: 4 MiB */
#define TIDEMARK_META_INTENT_BLOCK 2

#define TIDEMARK_META_UNIT_SIZE	512
#define TIDEMARK_META_UNIT_BYTES 496		/* of bits */
#define TIDEMARK_META_UNIT_BITS	(TIDEMARK_META_UNIT_BYTES * 8)
#define TIDEMARK_META_UNITS_PER_BLOCK \
	(TIDEMARK_META_BLOCK / TIDEMARK_META_UNIT_SIZE)

#define TIDEMARK_META_INTENT_MAGIC 0x746e4d54	/* bytes "TMnt" */
#define TIDEMARK_META_BITMAP_MAGIC 0x6d624d54	/* bytes "TMbm" */

#define TIDEMARK_META_ID_SIZE	64

/* No sequence number and no epoch is higher: they never come that far. */
#define TIDEMARK_META_NUMBER_MAX (1ULL << 62)

/**
 * enum tidemark_meta_state - of a superblock
 * @TIDEMARK_META_NEW: formatted, never attached
 * @TIDEMARK_META_CLEAN: detached, the bitmap is exact
 * @TIDEMARK_META_ACTIVE: attached, or it was and was not detached
 * @TIDEMARK_META_ALL: every granule counts as changed
 */
enum tidemark_meta_state {
	TIDEMARK_META_NEW	= 1,
	TIDEMARK_META_CLEAN	= 2,
	TIDEMARK_META_ACTIVE	= 3,
	TIDEMARK_META_ALL	= 4,
};

/**
 * struct tidemark_meta_counters - how much a device was written to
 * @diskseq: of its disk: another one, or the same one plugged in again, has
 *	another number within one boot; 0: not known
 * @sectors: written and discarded since the device exists
 */
struct tidemark_meta_counters {
	__le64 diskseq;
	__le64 sectors;
};

/**
 * struct tidemark_meta_super - the first 512 bytes of a superblock; the rest of
 *	its block is 0
 * @magic: TIDEMARK_META_MAGIC
 * @crc: see above
 * @version: TIDEMARK_META_VERSION
 * @compat: features that need not be known
 * @incompat: features without which nothing here may be read or written; a
 *	reader that finds an unknown one leaves the device alone
 * @seq: higher with each superblock written; the first one has 1
 * @format: random, made with each formatting
 * @uuid: of the tracker; meaningless in state NEW
 * @sectors: size of the tracked disk
 * @granule_sectors: sectors in a granule
 * @extent_sectors: TIDEMARK_META_EXTENT
 * @intent_block: TIDEMARK_META_INTENT_BLOCK
 * @bitmap_block: see LAYOUT
 * @next_epoch: at least 1
 * @sealed_epoch: the newest one when this was written, 0: none; informative
 * @committed_epoch: the newest one, 0: none
 * @unreliable_epoch: a commit of this epoch, or a later one, ends the
 *	reasons in TIDEMARK_REASON_UNRELIABLE; 0: there is none
 * @state: enum tidemark_meta_state
 * @reason: enum tidemark_reason
 * @boot: which boot this was written in. 0 with state CLEAN: the host was going
 *	down, and nothing can have been written after. Otherwise a CLEAN one of
 *	another boot, and an ACTIVE one of this boot, say that the disk was not
 *	tracked for a time of which nothing is known (TIDEMARK_REASON_GAP)
 * @data: the data device, at the detach; only in state CLEAN
 * @tracked: the tracked device, the same
 * @time: when this was written, seconds since 1970; informative
 * @writes: how many superblocks and units were written since formatting;
 *	informative
 * @identity: what the table calls the disk, padded with 0; empty: nothing
 * @reserved: 0
 */
struct tidemark_meta_super {
	__u8 magic[8];
	__le32 crc;
	__le32 version;
	__le64 compat;
	__le64 incompat;
	__le64 seq;
	__u8 format[16];
	__u8 uuid[16];
	__le64 sectors;
	__le32 granule_sectors;
	__le32 extent_sectors;
	__le64 intent_block;
	__le64 bitmap_block;
	__le64 next_epoch;
	__le64 sealed_epoch;
	__le64 committed_epoch;
	__le64 unreliable_epoch;
	__le32 state;
	__le32 reason;
	__u8 boot[16];
	struct tidemark_meta_counters data;
	struct tidemark_meta_counters tracked;
	__le64 time;
	__le64 writes;
	__u8 identity[TIDEMARK_META_ID_SIZE];
	__u8 reserved[240];
};

/**
 * struct tidemark_meta_unit - a sector of intent or of bitmap
 * @crc: see above
 * @magic: TIDEMARK_META_INTENT_MAGIC or TIDEMARK_META_BITMAP_MAGIC
 * @index: in its area, from 0
 * @reserved: 0
 * @bits: see UNITS
 */
struct tidemark_meta_unit {
	__le32 crc;
	__le32 magic;
	__le32 index;
	__le32 reserved;
	__u8 bits[TIDEMARK_META_UNIT_BYTES];
};

#endif /* _UAPI_LINUX_TIDEMARK_META_H */
