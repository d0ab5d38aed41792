/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of a connection: what each frame asks for, once it has been
 * received and judged by connection.c. Nobody else includes this.
 */
#ifndef TIDEMARK_RECEIVE_STEPS_H
#define TIDEMARK_RECEIVE_STEPS_H

#include "receive/channel.h"
#include "receive/connection.h"
#include "receive/hasher.h"
#include "receive/intake.h"
#include "receive/berth.h"
#include "receive/settle.h"
#include "wire/session.h"

/* A positive return of a step: the connection is over, and all is well. */
#define STEPS_OVER 1

/**
 * struct connection - a connection that is being served
 * @held: what OPENED said of each disk, in the order of their handles
 * @trackers: of each disk: what its own tracker was when OPENED told of it; zeroes: it
 *	did not
 * @guest: the name of the certificate that counts as one more connection; "": none
 * @lanes: those that may join it; NULL: none may
 * @is_lane: set when this is one of another connection; @lane: then
 * @taken: the lane whose frames are read now; NULL: this connection's own
 * @merged: points that were left over from before have been merged
 * @packed: room for what is to be unpacked; NULL: none was needed yet
 * @space: it ends for want of room
 * @deaf: the peer takes no answers any more
 * @keep: it may go on another time: what was received of the run is kept
 * @pace: when to settle next, see settle.h
 * @reason: why it ends; its code is 0 while all is well
 * @silent: the peer asked for the end itself, or is gone: no ERROR to it
 */
struct connection {
	const struct connection_config *config;
	int fd;
	const char *peer;
	struct ring *ring;
	struct stream *stream;
	struct channel channel;
	struct session session;
	struct stage *stage;
	struct stage_held *held;
	struct receiver_tracker *trackers;
	struct intake intake;
	struct hasher hasher;
	atomic_bool *admitted;
	atomic_bool *is_lane;
	char guest[NAME_SIZE];
	struct berths_owner *lanes;
	struct berth lane;
	struct berth *taken;
	bool claimed;
	bool merged;
	bool silent;
	bool space;
	bool deaf;
	bool keep;
	struct settle_pace pace;
	struct reason reason;
	uint8_t *packed;
	struct frame_wire wire;
	uint8_t payload[FRAME_CONTROL_MAX];
};

/** steps_collection() - its name, "" before HELLO */
const char *steps_collection(const struct connection *c);

/**
 * steps_take() - do what a frame asks for; DATA is connection.c's
 *
 * Return: 0; STEPS_OVER; or a negative errno, then @c->reason is filled.
 */
int steps_take(struct connection *c, const struct frame *f);

/** steps_unsent() - fill the reason: the peer does not take what is sent. Return: @err */
int steps_unsent(struct connection *c, int err);

/** steps_write_failed() - fill the reason: the new point cannot be written. Return: @err */
int steps_write_failed(struct connection *c, int err);

/** steps_shrink() - wait for what is being written, and free the memory of chunks and hashes */
void steps_shrink(struct connection *c);

/** steps_release() - let go of the collection */
void steps_release(struct connection *c);

#endif
