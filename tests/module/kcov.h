/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the module's code a thread has run, by the kernel's KCOV: only on
 * kernels that have it, and instrument the module (6.1-debug). Elsewhere
 * kcov_open() returns NULL, which all others take for "nothing was run".
 */
#ifndef TESTS_MODULE_KCOV_H
#define TESTS_MODULE_KCOV_H

struct kcov;

struct kcov *kcov_open(void);
void kcov_begin(struct kcov *kcov);
unsigned int kcov_end(struct kcov *kcov);
unsigned int kcov_seen(void);
unsigned int kcov_points(const char *ko);

#endif /* TESTS_MODULE_KCOV_H */
