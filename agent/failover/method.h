/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the failover folder: a method under way, and what failover.c and
 * reverse.c share.
 */
#ifndef TIDEMARK_FAILOVER_METHOD_H
#define TIDEMARK_FAILOVER_METHOD_H

#include <pthread.h>

#include "failover/failover.h"
#include "point/catalog-failover.h"

/* A run that is under way may end by itself before it is refused. */
#define CLAIM_MS 8000

/**
 * struct failover - of this host
 * @receiver: NULL: it holds no replicas
 * @store: of @receiver
 * @ops: for the service
 * @origins: for runs
 * @lock: covers @exports
 */
struct failover {
	struct receiver *receiver;
	struct store *store;
	struct service_failover_ops ops;
	struct run_origins origins;
	pthread_mutex_t lock;
	struct exports *exports;
};

/**
 * struct method - a method under way
 * @asked: what was asked
 * @cancel_fd: readable: give up what can be given up
 * @peer: where the new replica is, @peer_size bytes: to be filled
 * @disks: @count of the collection's rows; of methods on a replica only
 */
struct method {
	struct failover *f;
	const struct service_failover *asked;
	int cancel_fd;
	char *peer;
	size_t peer_size;
	struct reason *reason;
	struct catalog_disk *disks;
	size_t count;
};

/* -- failover.c: of the collection, as it was asked for -- */

/** method_find() - the failover's row. Return: 0, or -EINVAL: there is none, with the reason */
int method_find(struct method *m, enum failover_kind kind, struct catalog_failover *ret);
/** method_set() - record it, durably */
int method_set(struct method *m, const struct catalog_failover *row);
/** method_commit() - CommitFailover; nothing if it was */
int method_commit(struct method *m);

/* -- reverse.c -- */

/** reverse_check() - is what was asked for possible? */
int reverse_check(const struct service_failover *asked, struct reason *reason);
/** reverse_primary() - both methods on the old primary: its disks become replicas */
int reverse_primary(struct method *m);
/** reverse_replica() - ReverseReplicationRelationship on the new one */
int reverse_replica(struct method *m);
/** reverse_load_origin() - for struct run_origins; @store: a struct store */
int reverse_load_origin(void *store, const char *collection, const char *vm, const char *disk,
			const char *device, struct run_origin **ret);

#endif
