/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * To be rid of all that this host holds of a collection: points, raw replicas that are
 * files, what is staged, and the rows. Documentation/replica.rst, "Giving up a
 * collection", argues each step.
 */
#ifndef TIDEMARK_POINT_CLEAR_H
#define TIDEMARK_POINT_CLEAR_H

#include "point/store.h"

/** enum clear_fate - what becomes of a raw replica */
enum clear_fate {
	CLEAR_REMOVED,	/* a file of ours: it goes */
	CLEAR_DEVICE,	/* a device: its bytes stay, it is only forgotten */
	CLEAR_ADOPTED,	/* a disk that was sent from here: it stays as well */
	CLEAR_STRANGER, /* what is at its path is no file: it is left alone */
	CLEAR_ABSENT,	/* nothing is at its path; perhaps a mount is missing */
};

/** clear_fate_name() - "removed", "device", "adopted", "stranger", "absent" */
const char *clear_fate_name(enum clear_fate fate);

/**
 * struct clear_disk - a disk that is given up
 * @vm: name
 * @disk: name
 * @path: of its raw replica
 * @fate: of that
 * @space: bytes that come back on file systems
 */
struct clear_disk {
	char vm[NAME_SIZE];
	char disk[NAME_SIZE];
	char path[STORE_PATH_MAX];
	enum clear_fate fate;
	uint64_t space;
};

/**
 * struct clear_report - what is given up
 * @points: how many
 * @space: of all disks
 * @disks: @disk_count of them, to be freed
 */
struct clear_report {
	size_t points;
	uint64_t space;
	struct clear_disk *disks;
	size_t disk_count;
};

/**
 * clear_look() - what clear_run() would give up; changes nothing
 *
 * Return: 0; -ENOENT: nothing is held of such a collection; an errno. @reason is filled.
 */
int clear_look(struct store *s, const char *collection, struct clear_report *ret,
	       struct reason *reason);

/**
 * clear_run() - give it up, durably
 * @ret: what was given up
 *
 * A crash leaves all of it or nothing: what is begun is completed at the next start.
 * Blocks; any thread.
 *
 * Return: 0; -ENOENT: nothing is held of such a collection; -EBUSY: it or a point of it is
 * in use; -EINVAL: its replicas are disks since a failover; an errno. @reason is filled.
 */
int clear_run(struct store *s, const char *collection, struct clear_report *ret,
	      struct reason *reason);

#endif
