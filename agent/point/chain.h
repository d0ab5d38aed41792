/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A chain: a disk at a point, read through its layers, the newest first, down
 * to the raw replica. It holds open what it reads from: layers may be joined or
 * merged meanwhile, and it goes on saying the same, as long as the point is
 * kept (replica.rst says why).
 */
#ifndef TIDEMARK_POINT_CHAIN_H
#define TIDEMARK_POINT_CHAIN_H

#include "point/catalog-point.h"
#include "point/raw.h"

struct chain;

/* More layers are never stacked: a run merges first, then. */
#define CHAIN_MAX 64

/** enum chain_kind - what a chain says of a region */
enum chain_kind {
	CHAIN_DATA,
	CHAIN_ZERO,
	CHAIN_BELOW, /* nothing: only if it was opened without the raw replica */
};

/**
 * struct chain_run - a region of one kind
 * @length: bytes
 * @place: CHAIN_DATA: where @length bytes of it are
 */
struct chain_run {
	enum chain_kind kind;
	uint64_t length;
	struct raw_place place;
};

/**
 * chain_open() - a disk as it is at a point
 * @point: a number, or UINT64_MAX: the newest
 *
 * Return: 0; -ENOENT: the disk has nothing for that point; -EUCLEAN: what it
 * had is damaged; an errno. @reason is filled.
 */
int chain_open(struct store *s, const struct catalog_disk *d, uint64_t point,
	       struct chain **ret, struct reason *reason);

/** chain_open_files() - overlays alone, the lowest first, without what is below them */
int chain_open_files(const char *const *paths, size_t count, struct chain **ret,
		     struct reason *reason);

/** chain_close() - NULL is ignored. Return: NULL */
struct chain *chain_close(struct chain *c);

/** chain_size() - bytes of the disk */
uint64_t chain_size(const struct chain *c);
/** chain_layer() - the layer on top */
const struct catalog_layer *chain_layer(const struct chain *c);

/**
 * chain_next() - the first bytes of a region
 * @offset: a multiple of IO_ALIGN
 * @span: bytes, not 0; what lies behind the disk's end is zeroes
 *
 * Return: 0, or -EUCLEAN or the errno of reading a table, with @reason.
 */
int chain_next(struct chain *c, uint64_t offset, uint64_t span, struct chain_run *ret,
	       struct reason *reason);

/** chain_pread() - bytes of the disk, blocking; @offset: a multiple of IO_ALIGN */
int chain_pread(struct chain *c, void *buf, size_t size, uint64_t offset, struct reason *reason);

#endif
