/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exports: disks under test, read-write over NBD through a unix socket each, by
 * qemu-nbd as a child process. A child ends with the agent.
 */
#ifndef TIDEMARK_FAILOVER_EXPORT_H
#define TIDEMARK_FAILOVER_EXPORT_H

#include "base/name.h"
#include "base/reason.h"
#include "base/util.h"

struct exports;

/** exports_create() - nothing is served yet */
int exports_create(struct exports **ret);
/** exports_destroy() - end all of them. NULL is ignored. Return: NULL */
struct exports *exports_destroy(struct exports *e);

/**
 * exports_start() - serve a qcow2 file; one thread at a time
 * @socket: path; a socket that is there is replaced
 *
 * Returns when the socket accepts connections, or why not.
 */
int exports_start(struct exports *e, const char *collection, const char *file,
		  const char *socket, struct reason *reason);
/** exports_stop() - end the exports of a collection; NULL: all. Their files are closed then */
void exports_stop(struct exports *e, const char *collection);

#endif
