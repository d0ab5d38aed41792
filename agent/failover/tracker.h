/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel's trackers say to the receiver, of disks that were sent from
 * here once.
 */
#ifndef TIDEMARK_FAILOVER_TRACKER_H
#define TIDEMARK_FAILOVER_TRACKER_H

#include "receive/receiver.h"

/** failover_trackers - this host's */
extern const struct receiver_trackers failover_trackers;

#endif
