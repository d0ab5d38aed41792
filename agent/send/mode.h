/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How a disk is brought up to date: decided from what both ends say of
 * themselves, by one pure function.
 */
#ifndef TIDEMARK_SEND_MODE_H
#define TIDEMARK_SEND_MODE_H

#include "send/origin.h"
#include "send/source.h"

/**
 * struct mode_past - what is remembered of a tracked disk since its newest point
 * @known: something is; if not, the rest means nothing
 * @uuid: of its tracker at that point
 * @committed_epoch: the newest one that this tracker was seen to have committed
 * @attach: during which it was seen last
 * @meta_sequence: the newest one that was seen then
 * @doubt: why a comparison has been due since, a sentence; NULL: none is
 */
struct mode_past {
	bool known;
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t committed_epoch;
	uint64_t attach;
	uint64_t meta_sequence;
	const char *doubt;
};

/**
 * mode_doubt() - why the bits of a tracked disk cannot be trusted, by what its
 *	tracker says now and what is remembered of it
 *
 * A tracker that knows that writes went round it says so itself. It does not know
 * when its metadata are an older copy: they were true once. But a commit, and each
 * sequence number, is durable in them before it is told: a tracker that calls less
 * committed than it was seen to have, or that began with a lower number than an
 * earlier attach was seen to have reached, is one that was put back (TRUST IN
 * METADATA in <linux/tidemark.h>). And it forgets what it said of itself, or
 * what it was, when it could not write it and the host then crashed: so a doubt
 * stands until the replica has been compared, whatever is said meanwhile.
 *
 * Return: a constant sentence, or that of @past, which stands first; NULL: there is
 * no doubt.
 */
const char *mode_doubt(const struct source_info *here, const struct mode_past *past);

/**
 * mode_choose() - how to bring a replica up to date
 * @here: the disk
 * @past: what is remembered of it
 * @origin: what this disk was before it was failed over to; NULL: not known
 * @there: what the replica holds, from OPENED
 * @ret_reason: why it is no incremental run, as by mode_doubt(); NULL when it
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
 * A tracker that has marked everything because writes went round it takes its doubt
 * back with the commit of that.
 *
 * A disk that has grown is marked whole by the tracker, so it passes; one that
 * has shrunk is compared, to be sure of its end.
 *
 * Against the old primary's disk (FRAME_OPENED_ORIGIN) there is a third state: S, the
 * old disk as it was when its epoch R (@origin->epoch) was sealed. Its tracker
 * has marked all it has written since its committed epoch C (@there->epoch), and NEED
 * said that:
 *
 *   C <= R < its current epoch   it differs from S only in what NEED said, for the
 *            reason above: bits since C are a superset of bits since R.
 *   this disk  differs from S only in the ranges of @origin, when it was made
 *            of the replica, and where it was written since. Those are this
 *            tracker's marks if it has been there, and has committed nothing, since
 *            nobody had written; or none, if nobody has.
 *
 * So what differs is among both together. Whatever of this does not hold is a reason
 * to compare all.
 *
 * Return: FRAME_MODE_FULL, FRAME_MODE_INCREMENTAL, FRAME_MODE_COMPARE or
 * FRAME_MODE_REVERSE.
 */
int mode_choose(const struct source_info *here, const struct mode_past *past,
		const struct run_origin *origin, const struct frame_opened *there,
		const char **ret_reason);

/** mode_name() - "full", "incremental", "compare", "verify", "reverse" */
const char *mode_name(int mode);

#endif
