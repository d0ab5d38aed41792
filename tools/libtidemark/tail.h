/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tail of a disk as its metadata device. No part of the public interface.
 *
 *     NAME (tidemark) ─┬─► NAME-data-tidemark (linear) ─► the disk but its tail
 *                      └─► NAME-meta-tidemark (linear) ─► its tail
 *
 * Two devices, so that the module has one for itself alone, and what it writes to
 * the one is not counted as written to the other.
 */
#ifndef LIBTIDEMARK_TAIL_H
#define LIBTIDEMARK_TAIL_H

#include "libtidemark/dm.h"

/**
 * struct tail - a disk cut in two
 * @data: all but its tail
 * @meta: its tail
 * @sectors: size of @data
 * @path: of @meta, freed by the caller
 */
struct tail {
	struct dmdev data;
	struct dmdev meta;
	uint64_t sectors;
	char *path;
};

/**
 * tail_create() - cut a disk in two
 * @name: of the tracked device that is to be made over it
 * @path: of the disk
 * @major: of the disk
 * @minor: of the disk
 * @sectors: its size
 * @granule_sectors: sectors in a granule
 *
 * How long the tail is follows from size and granule alone. A disk whose tail holds
 * no metadata yet must begin with TAIL_BLANK zeroes: what is on a disk may reach up to
 * its end, and be it a copy of a partition table.
 *
 * Return: 0; -ENOSPC: the disk is too small; -ENOTEMPTY: it is not blank; -EEXIST: a
 * name is taken; -ENAMETOOLONG; else what the kernel said. On failure nothing is left.
 */
int tail_create(const char *name, const char *path, uint32_t major, uint32_t minor,
		uint64_t sectors, uint32_t granule_sectors, struct tail *ret);

/** tail_remove() - both parts of the tracked device @name. Return: 0; -ENODEV: none; -EBUSY */
int tail_remove(const char *name);

enum { TAIL_BLANK = 1 << 20 };

#endif
