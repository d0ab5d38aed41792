/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The raw replica: a file or a block device that holds the disk's bytes as
 * they are. Transfers bypass the page cache where the file system can. A disk
 * need not end at a multiple of IO_ALIGN: its last, incomplete block goes
 * through the page cache by a second descriptor, and raw_place() says which
 * descriptor a byte belongs to. The two never touch the same block.
 */
#ifndef TIDEMARK_POINT_RAW_H
#define TIDEMARK_POINT_RAW_H

#include "base/reason.h"
#include "base/util.h"

/** enum raw_flag - how to open it */
enum raw_flag {
	RAW_WRITE = 1 << 0,
	RAW_CREATE = 1 << 1,	/* a file that does not exist yet */
	RAW_EXCLUSIVE = 1 << 2, /* a device that nobody else may hold or have mounted */
};

/**
 * struct raw - an open raw replica
 * @fd: aligned transfers; O_DIRECT where that works
 * @tail_fd: the last block, if it is incomplete; through the page cache
 * @size: bytes of the disk that it stands for
 * @capacity: bytes that are there: of the file, or of the device
 * @device: a block device
 */
struct raw {
	int fd;
	int tail_fd;
	uint64_t size;
	uint64_t capacity;
	bool device;
};

#define RAW_NONE ((struct raw){ .fd = -1, .tail_fd = -1 })

/** struct raw_place - where to read or write */
struct raw_place {
	int fd;
	uint64_t offset;
	uint64_t length;
};

/**
 * raw_open() - open a raw replica
 * @size: of the disk; nothing is changed by it, see raw_resize()
 * @flags: enum raw_flag
 *
 * Return: 0; -EBUSY: the device is held; -ENOTBLK: neither file nor device; or
 * another errno. @reason is filled.
 */
int raw_open(const char *path, uint64_t size, unsigned int flags, struct raw *ret,
	     struct reason *reason);
/** raw_close() - may be called on RAW_NONE and twice */
void raw_close(struct raw *r);
static inline void raw_closep(struct raw *r) { raw_close(r); }
#define _cleanup_raw_ _cleanup_(raw_closep)

/**
 * raw_place() - the descriptor for the first bytes of a region
 * @offset: a multiple of IO_ALIGN, less than @r->size
 * @span: bytes
 */
struct raw_place raw_place(const struct raw *r, uint64_t offset, uint64_t span);

/**
 * raw_zero() - make a region read as zeroes
 *
 * Gives the space back where that is possible, writes zeroes where nothing
 * else is. Blocks. @span may be anything inside of the disk.
 */
int raw_zero(struct raw *r, uint64_t offset, uint64_t span);

/** raw_pread() - @size bytes, buffered; beyond the end of the file zeroes are read */
int raw_pread(const struct raw *r, void *buf, size_t size, uint64_t offset);

/**
 * raw_resize() - the disk has another size now
 *
 * A file is cut or extended. Return: 0; -ENOSPC: the device is too small.
 */
int raw_resize(struct raw *r, uint64_t size);

/** raw_sync() - everything that was written is durable, or a negative errno */
int raw_sync(const struct raw *r);

#endif
