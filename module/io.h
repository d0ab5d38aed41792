/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads the old bytes of a granule into a slot. The core has these reads done
 * here, whatever the tap; it does not know what they are made of.
 */
#ifndef _TIDEMARK_IO_H
#define _TIDEMARK_IO_H

#include <linux/types.h>

struct block_device;
struct tidemark_io;
struct tidemark_slot;

struct tidemark_io *tidemark_io_alloc(unsigned int pages, gfp_t gfp);
void tidemark_io_read(struct tidemark_slot *slot, struct block_device *data);

#endif /* _TIDEMARK_IO_H */
