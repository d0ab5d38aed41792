/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State: what the agent must still know after a crash, in an SQLite file. Only
 * state.c knows SQLite; who uses it brings the tables (a list of migrations)
 * and the statements.
 *
 * Durability. The file is in WAL mode with synchronous=FULL: a commit is one
 * append to the log and one fsync of it (and, when the log is new, of its
 * folder), and survives power loss once state_commit() has returned 0. A
 * rollback journal with FULL would not do: there a commit is the unlinking of
 * the journal, whose folder is not synced, so that a commit already answered
 * could be undone by a power loss.
 *
 * A commit that fails has an unknown outcome: the log may be on disk although
 * its fsync failed. Who must not guess closes the state and reads it again:
 * state_open() makes durable what it finds, whatever became of that fsync.
 *
 * Threads: calls are serialized inside, but a transaction belongs to the whole
 * connection. Who shares one among threads holds a lock around a transaction.
 */
#ifndef TIDEMARK_STATE_STATE_H
#define TIDEMARK_STATE_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "base/util.h"

struct state;
struct state_query;

/**
 * state_open() - open or create a state file and bring its tables up to date
 * @path: of the file, created with mode 0600; its folder exists
 * @migrations: SQL scripts; the file's user_version says how many it has seen,
 *	the rest is run in order, each in one transaction with its number. A
 *	released script is never changed, only followed by another.
 * @count: of scripts
 *
 * Return: 0; -EOPNOTSUPP: written by a newer version; -EUCLEAN: damaged, or no
 * SQLite file; another errno.
 */
int state_open(const char *path, const char *const *migrations, size_t count, struct state **ret);
/** state_close() - NULL is ignored; queries must have been freed. Return: NULL */
struct state *state_close(struct state *s);
/** state_error() - SQLite's sentence about the last failure; valid until the next call */
const char *state_error(struct state *s);

/* A transaction that takes the write lock at once. */
int state_begin(struct state *s);
int state_commit(struct state *s);
/* Never fails; does nothing outside a transaction. */
void state_rollback(struct state *s);

/** state_exec() - run SQL that has no parameters and gives no rows */
int state_exec(struct state *s, const char *sql);
/** state_last_id() - the rowid of the last insertion */
int64_t state_last_id(struct state *s);
/** state_changes() - how many rows the last statement changed */
int64_t state_changes(struct state *s);

/**
 * state_prepare() - a statement with ? parameters; free it with state_query_free()
 *
 * A failed bind is kept in the query and returned by the step that follows, so
 * binds need no check of their own. Parameters count from 1, columns from 0.
 */
int state_prepare(struct state *s, const char *sql, struct state_query **ret);
struct state_query *state_query_free(struct state_query *q);
static inline void state_query_freep(struct state_query **q) { state_query_free(*q); }
#define _cleanup_query_ _cleanup_(state_query_freep)

void state_bind_int(struct state_query *q, int parameter, int64_t value);
/* @value is copied; NULL binds NULL */
void state_bind_text(struct state_query *q, int parameter, const char *value);
void state_bind_blob(struct state_query *q, int parameter, const void *value, size_t size);

/** state_step() - the next row. Return: 1: there is one, 0: no more, or a negative errno */
int state_step(struct state_query *q);
/** state_run() - step to the end, ignore rows, reset for another run. Return: 0 or errno */
int state_run(struct state_query *q);

int64_t state_int(struct state_query *q, int column);
/* "" for NULL; valid until the next step */
const char *state_text(struct state_query *q, int column);
/* Copies at most @size bytes, the rest of @buf is zeroed. Return: bytes in the row */
size_t state_blob(struct state_query *q, int column, void *buf, size_t size);

#endif
