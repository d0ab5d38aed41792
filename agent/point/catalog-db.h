/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the catalog: what catalog.c and catalog-point.c share. Nobody else
 * includes it.
 */
#ifndef TIDEMARK_POINT_CATALOG_DB_H
#define TIDEMARK_POINT_CATALOG_DB_H

#include <pthread.h>

#include "point/catalog.h"
#include "state/state.h"

/* @lock: covers all */
struct catalog {
	pthread_mutex_t lock;
	struct state *state;
	bool poisoned;
};

/** catalog_lock() - for reading. Return: 0, or -EIO, unlocked: it is poisoned */
int catalog_lock(struct catalog *c);
void catalog_unlock(struct catalog *c);
/** catalog_start() - lock, and begin a transaction */
int catalog_start(struct catalog *c);
/** catalog_end() - commit when @err is 0, else roll back; unlock. Return: what became of it */
int catalog_end(struct catalog *c, int err);
/** catalog_run() - a statement with up to two integers, ?1 and ?2, for parameters */
int catalog_run(struct catalog *c, const char *sql, int64_t a, int64_t b);
/** catalog_text() - copy a column that is text */
void catalog_text(struct state_query *q, int column, char *to, size_t size);
/** catalog_prune() - forget points of which no disk has anything any more */
int catalog_prune(struct catalog *c);
/** catalog_forget_staging() - in a transaction: a disk has nothing staged any more */
int catalog_forget_staging(struct catalog *c, int64_t disk);
/** catalog_collection() - the id of a collection; made if there is none */
int catalog_collection(struct catalog *c, const char *name, int64_t *ret);

#endif
