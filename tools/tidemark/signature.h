/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is on a device already? The only file of the command that knows libblkid.
 */
#ifndef TIDEMARK_SIGNATURE_H
#define TIDEMARK_SIGNATURE_H

enum { SIGNATURE_TEXT_MAX = 64 };

/**
 * signature_find() - look for a file system, a partition table, a RAID or LVM
 *	member, or anything else that libblkid knows
 * @fd: the device or file, readable
 * @ret: its type: "ext4", "LVM2_member", "gpt", ...
 *
 * Return: 1: something; 0: nothing; or a negative errno.
 */
int signature_find(int fd, char ret[SIGNATURE_TEXT_MAX]);

#endif
