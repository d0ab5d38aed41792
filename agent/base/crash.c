// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/crash.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Documentation/replica.rst has a sentence on what each leaves behind. */
static const char *const names[] = {
	"begin-recorded",   /* the disk is in the database, nothing on disk yet */
	"begin-created",    /* the partial file stands, without a byte of data */
	"write",	    /* one chunk has been written */
	"settle-durable",   /* bytes of a run are durable, the database does not say so */
	"settle-recorded",  /* it does */
	"disk-dropped",	    /* a disk was given up, and what it had is gone */
	"tables-written",   /* an overlay's tables are written, its header is not */
	"disk-durable",	    /* one disk's bytes are durable under the partial name */
	"disk-renamed",	    /* one disk has its final name */
	"folders-synced",   /* all names are durable, the transaction has not begun */
	"committed",	    /* the transaction is durable, nobody was told */
	"told",		    /* DURABLE was sent */
	"merge-begun",	    /* the raw replica has its new size */
	"merge-copied",	    /* one piece was copied into the raw replica */
	"merge-durable",    /* all pieces are, and durable */
	"merge-recorded",   /* the database says so; the overlay still stands */
	"merge-rebased",    /* what is above it has the raw replica below it */
	"merge-unlinked",   /* the overlay is gone */
	"join-written",	    /* all but the header of what two overlays become */
	"join-durable",	    /* it is durable under a partial name */
	"join-renamed",	    /* it has the upper one's name */
	"join-recorded",    /* the database has forgotten the lower one */
	"join-unlinked",    /* that is gone */
	"failover-recorded", /* a failover or a test is in the database, no disk is made */
	"failover-created", /* one of its disks is */
	"failover-removed", /* one of its disks is gone again */
	"failover-committing", /* the database says that the replicas become the disks */
	"failover-cut",	    /* the later points are given up */
	"failover-merged",  /* one raw replica is the disk, durably */
	"failover-taken",   /* and its overlay is gone */
	"reverse-adopted",  /* one disk of the old primary is a replica */
	"reverse-cleared",  /* and that it was failed over to once is forgotten */
	"reverse-covered",  /* it is known who tracks one disk of the new primary */
	"reverse-recorded", /* the replica host is the primary, in its store */
	"clear-begun",	    /* a collection is to be given up, nothing says so */
	"clear-recorded",   /* its points are given up in the database, the files stand */
	"clear-unlinked",   /* the files are gone */
	"clear-removed",    /* and their folders */
	"clear-forgotten",  /* and the rows */
	NULL,
};

static const char *crash_name;
static size_t crash_name_size;
static atomic_int crash_left;

__attribute__((constructor)) static void crash_setup(void)
{
	const char *value = getenv("TIDEMARK_CRASH");
	const char *colon = value ? strchr(value, ':') : NULL;

	if (!value || !*value)
		return;
	crash_name = value;
	crash_name_size = colon ? (size_t)(colon - value) : strlen(value);
	crash_left = colon ? (int)strtol(colon + 1, NULL, 10) : 1;
}

void crash_at(const char *name)
{
	if (!crash_name)
		return;
	if (strlen(name) != crash_name_size || memcmp(name, crash_name, crash_name_size))
		return;
	if (atomic_fetch_sub(&crash_left, 1) != 1)
		return;
	fprintf(stderr, "crash point %s\n", name);
	/* As by kill -9: a sanitizer would look for what was not cleaned up at _exit(). */
	syscall(SYS_exit_group, 137);
}

const char *const *crash_names(void)
{
	return names;
}
