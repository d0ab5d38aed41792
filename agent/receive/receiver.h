/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The receiver: listens, and serves one sender on each connection. A thread
 * accepts; every connection has a thread and a ring of its own, so that none
 * waits for another. Memory is bounded: RECEIVER_CONNECTION_MEMORY for each
 * connection, plus STAGE_TABLES_MAX for the points under way.
 */
#ifndef TIDEMARK_RECEIVE_RECEIVER_H
#define TIDEMARK_RECEIVE_RECEIVER_H

#include "base/name.h"
#include "base/reason.h"
#include "point/store.h"
#include "receive/peers.h"

#define RECEIVER_CONNECTION_MEMORY MIB(16)

/**
 * struct receiver_limits - 0 stands for the default
 * @connections: served at a time (16); one more is told 32774 and closed
 * @strangers: of them, that have not shown who they are (three quarters)
 * @per_peer: of them, of one peer (half): of one certificate's name; before that is
 *	known, and without TLS, of one address, see receive/places.h
 * @disks: in one job (FRAME_DISKS_MAX)
 * @handshake_ms: from accept to the end of OPEN and BEGIN, for each wait (10 s)
 * @idle_ms: without a byte from the peer, or a byte taken by it (60 s)
 * @busy_ms: how long a new connection waits while its collection is in the
 *	hands of another one, mostly a merge that is about to end (8 s)
 */
struct receiver_limits {
	unsigned int connections;
	unsigned int strangers;
	unsigned int per_peer;
	unsigned int disks;
	unsigned int handshake_ms;
	unsigned int idle_ms;
	unsigned int busy_ms;
};

/**
 * struct receiver_tracker - the kernel's tracker of a disk
 * @uuid: of it
 * @committed: its newest committed epoch, not 0
 * @epoch: the current one
 */
struct receiver_tracker {
	uint8_t uuid[STORE_UUID_SIZE];
	uint64_t committed;
	uint64_t epoch;
};

/**
 * struct receiver_trackers - who knows trackers: of disks that were sent from here
 * once, and are replicas now
 * @look: the tracker of @device. Return: 0; -ENODEV: it has none that can be trusted
 * @changed: the same, and @each is given what it has marked since @committed, in whole
 *	granules. What @each returns other than 0 ends it. Any thread
 */
struct receiver_trackers {
	int (*look)(const char *device, struct receiver_tracker *ret);
	int (*changed)(const char *device, struct receiver_tracker *ret,
		       int (*each)(void *arg, uint64_t offset, uint64_t span), void *arg);
};

/**
 * struct receiver_config - copied by receiver_create()
 * @host: address to listen on, numeric or a name; NULL: 127.0.0.1
 * @port: 0: any, see receiver_port()
 * @plain_allowed: without @tls_dir, TCP without TLS was asked for by name; without
 *	either, nothing listens
 * @tls_dir: folder of certificates, see tls/context.h; read again when they change.
 *	NULL: in the clear
 * @peers: who may send what, where there is TLS; see receiver_set_peers()
 * @peer_count: of them; none: nobody may
 * @store_dir: folder of the replicas, created if its parent exists
 * @state_path: the state file; NULL: ".state.db" in @store_dir
 * @history: further points that are kept of a collection whose sender says
 *	nothing of it (RecoveryHistory)
 * @history_max: at most, whatever a sender says; both are 24 at most
 * @limits: see struct receiver_limits
 * @targets: disks whose raw replica does not lie in the store, see struct store_target
 * @target_count: of them
 * @trackers: stands as long as the receiver; NULL: nobody is tracked
 */
struct receiver_config {
	const char *host;
	uint16_t port;
	bool plain_allowed;
	const char *tls_dir;
	const struct receiver_peer *peers;
	size_t peer_count;
	const char *store_dir;
	const char *state_path;
	unsigned int history;
	unsigned int history_max;
	struct receiver_limits limits;
	const struct store_target *targets;
	size_t target_count;
	const struct receiver_trackers *trackers;
};

struct receiver;

/**
 * receiver_create() - open the store, put it in order, and listen
 * @reason: filled on failure
 *
 * Points that were committed and not merged when the agent ended are merged in
 * the background from here on. A collection of which something half-done cannot be cleared
 * up is refused to its senders, until one of them, or receiver_tidy(), finds that it can.
 *
 * Return: 0 or a negative errno.
 */
int receiver_create(const struct receiver_config *config, struct receiver **ret,
		    struct reason *reason);

/**
 * receiver_destroy() - stop: connections end, points under way are dropped
 *
 * Waits for all threads; a merge stops at its next piece and goes on at the
 * next start. NULL is ignored. Return: NULL
 */
struct receiver *receiver_destroy(struct receiver *r);

/** receiver_store() - where the points lie; stands as long as the receiver */
struct store *receiver_store(struct receiver *r);

/**
 * receiver_tidy() - look again, in the background
 *
 * A point was deleted: what is needed no more is merged. Somebody has mended something:
 * a collection with a fault (see store_recover()) is cleared up.
 */
void receiver_tidy(struct receiver *r);

/** receiver_set_peers() - who may send what from now on. Return: 0 or -ENOMEM */
int receiver_set_peers(struct receiver *r, const struct receiver_peer *peers, size_t count);

/** receiver_port() - the port that is listened on */
uint16_t receiver_port(const struct receiver *r);

/**
 * receiver_status() - every replica, in the order of collection, vm, disk
 * @cb: called for each, from this thread; what it returns other than 0 ends it
 *
 * Any thread may call it. Return: 0, what @cb returned, or a negative errno.
 */
int receiver_status(struct receiver *r,
		    int (*cb)(const struct store_replica *replica, void *arg), void *arg);

#endif
