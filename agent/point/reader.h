/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The overlay reader: where the bytes of a point are. It trusts no byte of the
 * file: what does not verify is an error with a reason, never a crash or a
 * read outside of the file. It understands what overlay.c writes and what QEMU
 * makes of it without new features: no compression, encryption, snapshots,
 * external data, extended L2.
 */
#ifndef TIDEMARK_POINT_READER_H
#define TIDEMARK_POINT_READER_H

#include "base/reason.h"
#include "base/util.h"

struct reader;

/** enum reader_kind - what an overlay says of a region */
enum reader_kind {
	READER_BELOW, /* nothing: the backing file's bytes stand */
	READER_DATA,
	READER_ZERO,
};

/**
 * struct reader_info - what the header says
 * @size: virtual size, bytes, a multiple of 512
 * @cluster: bytes
 * @backing: name of the backing file, "": none
 * @backing_format: of that, "": not said
 * @labelled: the header has our extension, and the rest is valid
 * @tracker: UUID of the tracker
 * @epoch: that the point closed
 * @point: its number
 */
struct reader_info {
	uint64_t size;
	uint32_t cluster;
	char backing[1024];
	char backing_format[16];
	bool labelled;
	uint8_t tracker[16];
	uint64_t epoch;
	uint64_t point;
};

/**
 * struct reader_run - a region of one kind
 * @kind: of it
 * @length: bytes of the disk, to the end of the disk at most
 * @offset: READER_DATA: into the file, where @length bytes rounded up to whole
 *	clusters stand
 */
struct reader_run {
	enum reader_kind kind;
	uint64_t length;
	uint64_t offset;
};

/**
 * reader_open() - validate a header and load the L1 table
 * @fd: without O_DIRECT; stays the caller's, and open
 *
 * Return: 0; -EUCLEAN: no overlay, or a damaged one, @reason says what; errno.
 */
int reader_open(int fd, struct reader **ret, struct reason *reason);
/** reader_close() - NULL is ignored. Return: NULL */
struct reader *reader_close(struct reader *r);

const struct reader_info *reader_info(const struct reader *r);

/**
 * reader_next() - the run at an offset
 * @offset: a multiple of the cluster size, less than the disk's size
 *
 * The run is as long as one L2 table can say; the next may be of the same kind.
 *
 * Return: 0, -EUCLEAN with @reason, or an errno of reading.
 */
int reader_next(struct reader *r, uint64_t offset, struct reader_run *ret, struct reason *reason);

#endif
