/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Peers: which sender may send which collection. A certificate of our CA says who
 * somebody is; what that one may do is said here. May be changed while connections
 * are served; any thread may ask.
 */
#ifndef TIDEMARK_RECEIVE_PEERS_H
#define TIDEMARK_RECEIVE_PEERS_H

#include <stdbool.h>
#include <stddef.h>

struct peers;

/**
 * struct receiver_peer - what a sender may do
 * @name: of its certificate: the common name, or a DNS name
 * @collections: names with spaces between, or "*"
 */
struct receiver_peer {
	const char *name;
	const char *collections;
};

/** peers_create() - nobody may do anything. Return: 0 or -ENOMEM */
int peers_create(struct peers **ret);
/** peers_destroy() - NULL is ignored. Return: NULL */
struct peers *peers_destroy(struct peers *p);

/** peers_set() - these, copied, and nobody else. Return: 0 or -ENOMEM: nothing has changed */
int peers_set(struct peers *p, const struct receiver_peer *peers, size_t count);

/** peers_may() - may the bearer of this name send this collection? */
bool peers_may(struct peers *p, const char *name, const char *collection);

/**
 * peers_enter() - count one more connection of this name, if it has less than @limit
 *
 * Return: 0, then peers_leave() follows; -EBUSY; or -ENOMEM.
 */
int peers_enter(struct peers *p, const char *name, unsigned int limit);
/** peers_leave() - one connection less of this name */
void peers_leave(struct peers *p, const char *name);

#endif
