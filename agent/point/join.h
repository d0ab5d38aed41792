/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The join: two overlays, one over the other, become one that says the same.
 * It takes the upper one's name, by a rename, so that nothing above it is
 * touched: before and after it, a reader of that name sees the same bytes.
 */
#ifndef TIDEMARK_POINT_JOIN_H
#define TIDEMARK_POINT_JOIN_H

#include "point/merge.h"

/**
 * join_run() - put what @lower says under what @upper says, durably, as @upper
 *
 * "@upper.partial" is written, made durable and renamed. An @upper that does
 * not lie over @lower any more has been joined before: nothing is done then.
 * @lower is left where it is.
 *
 * Return: 0: it is durable; -EUCLEAN: one of them is damaged; an errno.
 */
int join_run(const char *lower, const char *upper, const struct merge_tick *tick,
	     struct reason *reason);

#endif
