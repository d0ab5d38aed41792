/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A connection: one sender's job, from HELLO to DURABLE and the merge after
 * it. It runs in a thread of its own and ends when the peer does, when the
 * peer breaks a rule, when a limit is reached, or when the agent stops;
 * whatever it was, the reason is logged once, the peer is told if it still
 * listens, and a point under way is dropped. Or it is a lane of such a connection, see
 * berth.h.
 *
 * Memory: INTAKE_SIZE for chunks; HASHER_SIZE and 1 MiB for comparisons; a
 * merge takes as much as those when they are free again. Tables of overlays:
 * STAGE_TABLES_MAX at most.
 */
#ifndef TIDEMARK_RECEIVE_CONNECTION_H
#define TIDEMARK_RECEIVE_CONNECTION_H

#include <stdatomic.h>

#include "receive/receiver.h"

/**
 * struct connection_config - what a connection is given; all of it outlives it
 * @store: where points go
 * @limits: none of them 0
 * @stop: set when the agent stops
 * @peers: who may send what, where there is TLS
 * @trackers: of disks that were sent from here once; NULL: none
 * @lanes: of all connections
 */
struct connection_config {
	struct store *store;
	const struct receiver_limits *limits;
	const atomic_bool *stop;
	struct peers *peers;
	const struct receiver_trackers *trackers;
	struct berths *lanes;
};

/**
 * struct connection_socket - an accepted connection; stays the caller's
 * @fd: connected
 * @peer: its address, for the log
 * @tls: certificates; NULL: in the clear
 * @admitted: set once the peer has shown that it may send a collection
 * @lane: set once it is a lane of another connection
 */
struct connection_socket {
	int fd;
	const char *peer;
	const struct tls_context *tls;
	atomic_bool *admitted;
	atomic_bool *lane;
};

/** connection_run() - serve a peer to the end */
void connection_run(const struct connection_config *config,
		    const struct connection_socket *socket);


#endif
