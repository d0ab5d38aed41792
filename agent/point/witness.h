/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A witness: has anybody written to this file or device since? Two that are equal
 * say no; anything else says: perhaps.
 */
#ifndef TIDEMARK_POINT_WITNESS_H
#define TIDEMARK_POINT_WITNESS_H

#define WITNESS_MAX 160

/**
 * witness_take() - as it is now
 * @path: of a regular file or a block device
 * @ret: of a file: its identity, size, and times of the last write and change; of a
 *	device: the boot, its number in the sequence of devices, and what the block
 *	layer counts as written and discarded. "": there is no witness of it
 *
 * What is in the page cache of a device has not been counted: fsync first.
 */
void witness_take(const char *path, char ret[WITNESS_MAX]);

#endif
