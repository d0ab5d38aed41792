/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Need: what a disk that was sent from here once has changed by itself. The
 * sender is told before OPENED, with the tracker that vouches for it. Nobody but
 * steps.c includes this.
 */
#ifndef TIDEMARK_RECEIVE_NEED_H
#define TIDEMARK_RECEIVE_NEED_H

#include "receive/steps.h"

/**
 * need_offer() - NEED frames for a disk, if its tracker can be trusted
 * @opened: says FRAME_OPENED_ORIGIN then; else it stays, and the sender compares
 *
 * Return: 0, or the errno of sending.
 */
int need_offer(struct connection *c, uint32_t index, struct frame_opened *opened);

/**
 * need_judge() - may FRAME_MODE_REVERSE follow on what need_offer() said?
 *
 * Return: 0; or -EINVAL, with @c->reason: the tracker is another one now, or nothing was
 * offered.
 */
int need_judge(struct connection *c, uint32_t index);

#endif
