/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Crash points: places between two durable steps where a test can have the
 * agent die, as kill -9 would do it. They are always compiled in, so that what
 * is tested is what is shipped; without TIDEMARK_CRASH in the environment a
 * point costs a comparison of a pointer with NULL.
 */
#ifndef TIDEMARK_BASE_CRASH_H
#define TIDEMARK_BASE_CRASH_H

/**
 * crash_at() - die here if TIDEMARK_CRASH names this point
 * @name: one of crash_names()
 *
 * The process ends with status 137 and nothing is cleaned up, flushed or
 * unlocked. "NAME:3" in the environment means the third time that it is met.
 */
void crash_at(const char *name);

/**
 * crash_names() - every point of the receiver, in the order in which a run meets
 * them, then NULL
 *
 * The service has two more, met at each of its transactions: "service-changed"
 * before the commit, "service-committed" after it.
 */
const char *const *crash_names(void);

#endif
