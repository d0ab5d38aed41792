/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Places: how many connections are served at a time, in all, of one host, and of those
 * who have not shown yet who they are (strangers). Pure: who owns the list asks here
 * before it lets one more in.
 */
#ifndef TIDEMARK_RECEIVE_PLACES_H
#define TIDEMARK_RECEIVE_PLACES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define PLACE_HOST_SIZE 16

/** So long a stranger keeps a place that others want. */
#define PLACE_STRANGER_MS 2000

/**
 * struct place - of a connection that is served
 * @next: in its owner's list
 * @host: where it comes from, see place_host()
 * @since_ms: when it came
 * @admitted: the peer has shown that it may be here
 * @lane: it is a lane of another connection, which it counts with: FRAME_LANES_MAX at most
 * @ended: it is over
 */
struct place {
	struct place *next;
	uint8_t host[PLACE_HOST_SIZE];
	uint64_t since_ms;
	atomic_bool admitted;
	atomic_bool lane;
	atomic_bool ended;
};

/**
 * struct place_limits - none of them is 0
 * @all: connections
 * @strangers: of them, not admitted
 * @host: of them, not admitted, from one host; where nobody says who he is (@named is
 *	not set) admitted or not
 */
struct place_limits {
	unsigned int all;
	unsigned int strangers;
	unsigned int host;
	bool named;
};

/** enum place_verdict - is there a place for one more? */
enum place_verdict {
	PLACE_FREE,
	PLACE_NONE,	 /* all are taken */
	PLACE_STRANGERS, /* strangers have too many */
	PLACE_HOST,	 /* that host has too many */
};

/** place_host() - of an address: the whole one, of IPv6 the network of 64 bits */
void place_host(const struct sockaddr_storage *address, uint8_t ret[PLACE_HOST_SIZE]);

/**
 * places_judge() - is there a place for one more from @host?
 * @first: those that are served
 * @now_ms: clock of @since_ms
 * @ret_leaves: who would have to leave for it: the oldest stranger that takes up what is
 *	lacking and has had PLACE_STRANGER_MS; NULL: nobody. NULL with PLACE_FREE
 */
enum place_verdict places_judge(struct place *first, const struct place_limits *limits,
				const uint8_t host[PLACE_HOST_SIZE], uint64_t now_ms,
				struct place **ret_leaves);

#endif
