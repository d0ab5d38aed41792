/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Faults: collections that nothing is received for, because what an earlier life left
 * half-done of them could not be cleared up. One each, until it could. They are kept in
 * memory only: the next start finds out for itself.
 *
 * Threads: any, at any time.
 */
#ifndef TIDEMARK_POINT_FAULT_H
#define TIDEMARK_POINT_FAULT_H

#include <stdbool.h>

#include "base/name.h"
#include "base/reason.h"

struct faults;

/** faults_create() - none. Return: 0 or -ENOMEM */
int faults_create(struct faults **ret);
/** faults_destroy() - NULL is ignored. Return: NULL */
struct faults *faults_destroy(struct faults *f);

/**
 * faults_set() - a collection has one, in the place of the one that it had
 *
 * Return: 0; or -ENOMEM: a collection that had none still has none.
 */
int faults_set(struct faults *f, const char *collection, const struct reason *why);

/** faults_clear() - it has none any more */
void faults_clear(struct faults *f, const char *collection);

/** faults_find() - has it one? @ret: which; NULL is allowed */
bool faults_find(struct faults *f, const char *collection, struct reason *ret);

/**
 * faults_next() - the first collection by name after @after that has one
 * @after: "" at first; may be @ret
 */
bool faults_next(struct faults *f, const char *after, char ret[NAME_SIZE]);

#endif
