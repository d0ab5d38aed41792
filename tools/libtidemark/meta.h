/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What of metadata only the library itself may do. No part of the public interface.
 */
#ifndef LIBTIDEMARK_META_H
#define LIBTIDEMARK_META_H

#include <stdint.h>

/**
 * meta_distrust() - make metadata say that all has changed, and why
 * @fd: of the device, open for reading and writing
 * @reason: bits of enum tidemark_reason; the module keeps those that are unreliable
 *	until an epoch that has everything is committed
 *
 * Metadata of a disk that was never attached say that already, and stay as they are.
 *
 * Return: 0; as tidemark_meta_load(); an error of the device.
 */
int meta_distrust(int fd, uint32_t reason);

#endif
