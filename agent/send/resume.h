/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Resuming: what the receiver has of a run that was cut short is not sent again.
 *
 * The sender remembers nothing for it but what the kernel holds: a run that fails
 * leaves its epoch sealed. The next one asks which granules the receiver has of that
 * very seal, and seals over it: then only what it has not, and what has been written
 * since, is owed. Nothing is forgotten before a commit, so whatever does not fit is
 * answered by a fold, and everything is sent. replica.rst argues all of it.
 */
#ifndef TIDEMARK_SEND_RESUME_H
#define TIDEMARK_SEND_RESUME_H

#include "send/members.h"

/** resume_take() - a STAGED frame of a disk. Return: 0, -EPROTO or -ENOMEM */
int resume_take(struct session_disk *d, const struct frame *f, const void *payload);

/** resume_judge() - the mode has been chosen: does the disk go on with what is staged? */
void resume_judge(struct session_disk *d);

/**
 * resume_prepare() - before the first seal
 * @ret_extend: some disk goes on: seal over what is sealed
 *
 * What a disk that goes on still needs is marked; what others had sealed is folded.
 */
int resume_prepare(struct run *r, bool *ret_extend);

/**
 * resume_check() - after the first seal: was it the next one after what was looked at?
 *
 * Somebody else who sealed meanwhile may have had what was marked.
 */
int resume_check(struct run *r);

/** resume_sealed() - tell the receiver of a seal, and what of the staged has changed */
int resume_sealed(struct run *r, struct session_disk *d, uint32_t pass);

#endif
