/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel's trackers say to the receiver, of disks that were sent from
 * here once.
 */
#ifndef TIDEMARK_FAILOVER_TRACKER_H
#define TIDEMARK_FAILOVER_TRACKER_H

#include "point/witness.h"
#include "receive/receiver.h"

/** failover_trackers - this host's */
extern const struct receiver_trackers failover_trackers;

/**
 * failover_witness() - witness_take() of a disk, or what its tracker has counted
 * @path: of the disk
 * @ret: of a tracked device of which the block layer counts nothing (before Linux 6.3
 *	device mapper does not say that it does): which attach of the tracker, and what it
 *	has passed down; a write past the tracker makes that unreliable. "": no witness
 */
void failover_witness(const char *path, char ret[WITNESS_MAX]);

#endif
