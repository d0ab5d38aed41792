/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where an initial replication to a folder goes: a receiver of this process alone,
 * whose store is the folder. So what arrives there is as complete, as consistent and as
 * durable as what arrives at another host.
 */
#ifndef TIDEMARK_SERVICE_EXPORT_H
#define TIDEMARK_SERVICE_EXPORT_H

#include "base/reason.h"

struct export;

/** Where export_port() is to be found. */
#define EXPORT_HOST "127.0.0.1"

/**
 * export_check() - may an export go there? It is empty, or is to be made
 *
 * Return: 0 or negative with @reason.
 */
int export_check(const char *folder, struct reason *reason);

/**
 * export_open() - listen for it, on this host only
 * @folder: made if its parent is there. What an earlier try left there is kept
 */
int export_open(struct export **ret, const char *folder, struct reason *reason);
/** export_close() - after the run has ended. NULL is ignored. Return: NULL */
struct export *export_close(struct export *e);
/** export_port() - as text; stands as long as @e */
const char *export_port(const struct export *e);

#endif
