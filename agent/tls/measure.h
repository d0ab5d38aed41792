/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A measure of kernel TLS against OpenSSL: what a few MiB through a socket on loopback cost
 * this thread, encrypted by the one and by the other. Nobody but this folder includes this.
 */
#ifndef TIDEMARK_TLS_MEASURE_H
#define TIDEMARK_TLS_MEASURE_H

#include <stdbool.h>

/**
 * measure_wins() - is kernel TLS at least a tenth cheaper than OpenSSL here?
 * @ret_why: if not: why, a string that stays
 *
 * Measured once in a process, for some 10 ms of CPU time where the processor has AES; a
 * kernel that has no TLS is asked again each time. By any thread.
 */
bool measure_wins(const char **ret_why);

/** measure_verdict() - what is known so far, a sentence that stays; by any thread */
const char *measure_verdict(void);

/** measure_note() - as long as nothing was measured: what was found of kernel TLS; a constant */
void measure_note(const char *found);

#endif
