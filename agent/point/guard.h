/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard: is this device or file free to become a replica, and is it the
 * one that it was? The only file that knows libblkid.
 *
 * A replica carries its VM's own signatures, so that a signature alone says
 * nothing: the database says what is ours, by path and by identity. A thing
 * that is not ours and carries any signature is somebody else's.
 */
#ifndef TIDEMARK_POINT_GUARD_H
#define TIDEMARK_POINT_GUARD_H

#include "base/reason.h"
#include "base/util.h"

#define GUARD_TEXT_MAX 256
#define GUARD_IDENTITY_MAX 320

/**
 * guard_probe() - what is on a device or file?
 * @ret: a phrase: "an ext4 file system labelled \"home\""; untouched if nothing is
 *
 * Return: 1: something; 0: nothing that libblkid knows; or a negative errno.
 */
int guard_probe(const char *path, char ret[GUARD_TEXT_MAX]);

/**
 * guard_identity() - by what a device is known again
 * @ret: "wwid:...", "dm:...", "serial:...", "loop:...", with the partition if
 *	it is one; "path" when the device has nothing of its own to be known by:
 *	then another one under the same name is taken for it; "file": a file
 *
 * Return: 0 or a negative errno.
 */
int guard_identity(const char *path, char ret[GUARD_IDENTITY_MAX]);

/**
 * guard_admit() - may this become a replica?
 * @path: device or file; a file that does not exist is fine
 * @size: bytes of the disk
 * @force: take over what it carries. Nothing overrides being in use, read-only
 *	or too small.
 * @ret: as guard_identity()
 *
 * Return: 0; -EEXIST: it carries a signature; -EBUSY: mounted or held; -ENOSPC:
 * too small; -EROFS; another errno. @reason names what was found.
 */
int guard_admit(const char *path, uint64_t size, bool force, char ret[GUARD_IDENTITY_MAX],
		struct reason *reason);

#endif
