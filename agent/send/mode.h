/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a disk is brought up to date: decided from what both ends say of
 * themselves, by one pure function.
 */
#ifndef TIDEMARK_SEND_MODE_H
#define TIDEMARK_SEND_MODE_H

#include <stdbool.h>

#include "wire/frame.h"

/**
 * struct mode_here - what the sender knows of its disk
 * @tracked: the kernel tracks it; if not, the rest but @size means nothing
 * @uuid: of the tracker
 * @epoch: the current one
 * @committed_epoch: the newest committed one, 0: none
 * @size: bytes
 * @unreliable: why the tracker's bits cannot be trusted, a constant sentence, or
 *	NULL: they can
 */
struct mode_here {
	bool tracked;
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t epoch;
	uint64_t committed_epoch;
	uint64_t size;
	const char *unreliable;
};

/**
 * mode_choose() - how to bring a replica up to date
 * @here: the disk
 * @there: what the replica holds, from OPENED
 * @ret_reason: why it is no incremental run, a constant sentence; NULL when it
 *	is one, or when there is nothing to explain
 *
 * The replica is the disk as it was when epoch R was sealed (R: @there->epoch).
 * The tracker has marked everything that was written since its last committed
 * epoch C was sealed: commit is the only thing that forgets, fold gives back.
 *
 *   C <= R   what changed since R's seal is among what changed since C's seal:
 *            the bits are a superset of the difference. R may be ahead of C,
 *            when "durable" was said and never heard: the bits were folded, a
 *            superset again.
 *   R < C    changes between R and C are forgotten here: the replica was rolled
 *            back, or restored from elsewhere. Only a comparison finds them.
 *   R >= the current epoch    this tracker has not been there yet: it was rolled
 *            back itself (a snapshot of the host, restored metadata). Compare.
 *
 * A tracker that knows that writes went round it says so (@here->unreliable),
 * has marked everything, and takes it back with the commit of that.
 *
 * A disk that has grown is marked whole by the tracker, so it passes; one that
 * has shrunk is compared, to be sure of its end.
 *
 * Return: FRAME_MODE_FULL, FRAME_MODE_INCREMENTAL or FRAME_MODE_COMPARE.
 */
int mode_choose(const struct mode_here *here, const struct frame_opened *there,
		const char **ret_reason);

/** mode_name() - "full", "incremental", "compare", "verify" */
const char *mode_name(int mode);

#endif
