/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failovers: the methods of the management model that make a VM's disk of a
 * point, and what becomes of it. Documentation/replica.rst argues each step.
 *
 * On the replica host:
 *   TestReplicaCollection        a throw-away overlay over any point; pushes go on
 *   RevertTestReplicaCollection  it is gone
 *   InitiateFailover             an overlay that a VM runs from; pushes are refused
 *   RevertFailover               it is gone, and so is what the VM wrote
 *   CommitFailover               it is merged: the raw replica is the disk
 *   ReverseReplicationRelationship  this host is the primary from here on
 * On the primary:
 *   InitiatePlannedFailover      a last run, of disks that nobody writes to
 *   PrepareForReverseReplication its disks become replicas, where they are
 *   ReverseReplicationRelationship  the same, and the roles are exchanged
 *
 * Every method can be done again after a crash anywhere in it.
 */
#ifndef TIDEMARK_FAILOVER_FAILOVER_H
#define TIDEMARK_FAILOVER_FAILOVER_H

#include "receive/receiver.h"
#include "service/service.h"

struct failover;

/**
 * failover_create() - take up what was under way
 * @receiver: NULL: this host holds no replicas
 *
 * Exports of tests are served again.
 */
int failover_create(struct failover **ret, struct receiver *receiver, struct reason *reason);
/** failover_destroy() - end exports; nothing else changes. NULL is ignored. Return: NULL */
struct failover *failover_destroy(struct failover *f);

/** failover_origins() - for runs; NULL: this host holds no replicas */
const struct run_origins *failover_origins(struct failover *f);
/** failover_ops() - for the service */
const struct service_failover_ops *failover_ops(struct failover *f);

#endif
