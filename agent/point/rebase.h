/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rebasing: an overlay gets another name for what is below it. Its header is
 * written anew, in place. That is no step that happens or does not: a power
 * loss may leave half of it. So the new header is in the database before a byte
 * of it is written, and is written again at the next start until it is durable.
 */
#ifndef TIDEMARK_POINT_REBASE_H
#define TIDEMARK_POINT_REBASE_H

#include "base/reason.h"
#include "base/util.h"

#define REBASE_HEADER_SIZE 4096

/**
 * rebase_header() - the header that an overlay will have
 * @path: of the overlay; it is only read
 * @backing: the new name, at most 1023 bytes
 * @format: "raw" or "qcow2"
 * @ret: REBASE_HEADER_SIZE bytes
 */
int rebase_header(const char *path, const char *backing, const char *format, uint8_t *ret,
		  struct reason *reason);

/** rebase_write() - write such a header, durably */
int rebase_write(const char *path, const void *header, size_t size, struct reason *reason);

#endif
