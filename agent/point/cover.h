/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A cover: which parts of a disk have been written. One bit for each cluster:
 * 2 MiB of memory for each TiB at 64 KiB.
 */
#ifndef TIDEMARK_POINT_COVER_H
#define TIDEMARK_POINT_COVER_H

#include "base/util.h"

struct cover;

/** cover_create() - nothing is marked. @unit: bytes that a bit stands for */
int cover_create(uint64_t size, uint32_t unit, struct cover **ret);
/** cover_destroy() - NULL is ignored. Return: NULL */
struct cover *cover_destroy(struct cover *c);

/**
 * cover_grow() - of what has grown: what is new is not marked
 * @size: less than it has changes nothing
 *
 * Return: 0 or -ENOMEM: it is as it was.
 */
int cover_grow(struct cover **c, uint64_t size);

/**
 * cover_mark() - a region was written: whole units, unless it ends with the
 * disk. A unit that is marked in part is marked.
 */
void cover_mark(struct cover *c, uint64_t offset, uint64_t span);

/** cover_clear() - a region is as if it had never been written; units as for cover_mark() */
void cover_clear(struct cover *c, uint64_t offset, uint64_t span);

/** cover_marked() - is the unit there marked? */
bool cover_marked(const struct cover *c, uint64_t offset);

/** cover_next_mark() - the first marked unit at or after @from. Return: is there one? */
bool cover_next_mark(const struct cover *c, uint64_t from, uint64_t *ret_offset);

/**
 * cover_next() - the first region at or after @from that is marked
 *
 * As cover_next_gap().
 */
bool cover_next(const struct cover *c, uint64_t from, uint64_t *ret_offset, uint64_t *ret_span);

/**
 * cover_next_gap() - the first region at or after @from that is not marked
 * @from: a multiple of the unit
 *
 * Return: true: it is at @ret_offset, @ret_span bytes to the next mark or the
 * end of the disk; false: there is none.
 */
bool cover_next_gap(const struct cover *c, uint64_t from, uint64_t *ret_offset,
		    uint64_t *ret_span);

#endif
