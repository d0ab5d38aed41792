/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The witness: what the block layer counts of a device, against what the
 * tracker has passed to it. Silence would be the worst answer that a tracker
 * can give; this is how writes that went round it are noticed.
 */
#ifndef _TIDEMARK_WITNESS_H
#define _TIDEMARK_WITNESS_H

#include <linux/types.h>

struct block_device;
struct tidemark_disk;

/**
 * struct tidemark_counters - how much a device was written to
 * @diskseq: of its disk, never the same for two disks, or for two media of one,
 *	within one boot
 * @sectors: written and discarded since it exists
 */
struct tidemark_counters {
	u64 diskseq;
	u64 sectors;
};

/**
 * struct tidemark_witness - of a disk; disk lock
 * @data: of the data device; when it is suspended, as of then
 * @tracked: of the tracked device, the same
 * @counted: sectors that the data device had counted
 * @passed: sectors that the tracker had passed to it at the same time, when no
 *	write was in flight
 * @bypassed: sectors counted and not passed, so far
 * @blind: the data device does not count
 */
struct tidemark_witness {
	struct tidemark_counters data;
	struct tidemark_counters tracked;
	u64 counted;
	u64 passed;
	u64 bypassed;
	bool blind;
};

void tidemark_witness_begin(struct tidemark_disk *disk);
void tidemark_witness_check(struct tidemark_disk *disk);
void tidemark_witness_quiet(struct tidemark_disk *disk);
void tidemark_witness_gap(struct tidemark_disk *disk);

#endif /* _TIDEMARK_WITNESS_H */
