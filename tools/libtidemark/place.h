/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a tracker's table says beside its devices: the metadata device, what the
 * disk is called, which boot this is. No part of the public interface.
 */
#ifndef LIBTIDEMARK_PLACE_H
#define LIBTIDEMARK_PLACE_H

#include "libtidemark/table.h"
#include "libtidemark/tidemark.h"

/** place_blank() - are there only zeroes? Return: 0; -ENOMSG: no; -ENOSPC: it ends before */
int place_blank(int fd, uint64_t bytes);

/**
 * place_meta() - the metadata device of a tracker that is about to be
 * @path: of the device
 * @sectors: size of the tracked disk
 * @device_major: of the device that the user names
 * @device_minor: of the same
 * @tracker: its granule is set; gets metadata device, identity and boot
 *
 * A device on which there is nothing but zeroes is formatted.
 *
 * Return: 0; -ENODEV: no such device, or no block device; -ENOMSG: it holds
 * something that is no metadata; -ENOSPC: too small; -ENOMEM; an error of the
 * device.
 */
int place_meta(const char *path, uint64_t sectors, uint32_t device_major, uint32_t device_minor,
	       struct table_tracker *tracker);

#endif
