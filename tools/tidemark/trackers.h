/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of trackers that come back at boot: /etc/tidemark/trackers.conf, in
 * the manner of crypttab(5), one tracker a line:
 *
 *   # name   device                        options
 *   web01    /dev/disk/by-id/wwn-0x5000c5  granule=16K
 *   -        /dev/vg0/web02                -
 *
 * A name stands for a new device over the device; "-" for a tracker that is slid
 * under it.
 */
#ifndef TIDEMARK_TRACKERS_H
#define TIDEMARK_TRACKERS_H

#include "libtidemark/tidemark.h"

#define TRACKERS_PATH "/etc/tidemark/trackers.conf"
#define TRACKERS_WHY 512

/**
 * struct trackers - the table
 * @list: what each is attached with; the texts are the table's
 * @count: how many
 */
struct trackers {
	struct tidemark_attach *list;
	size_t count;
};

/**
 * trackers_load() - read the table
 * @path: of the file
 * @ret: untouched on failure; freed by trackers_free()
 * @why: what is wrong, with file and line, for a person
 *
 * A file that is not there is an empty table.
 *
 * Return: 0; -EINVAL: a line is wrong; or what the system said.
 */
int trackers_load(const char *path, struct trackers *ret, char why[TRACKERS_WHY]);
/** trackers_free() - free what trackers_load() has made */
void trackers_free(struct trackers *t);

/**
 * trackers_save() - have a tracker come back at boot
 * @path: of the file; it is made where it is missing
 * @attach: how it is attached
 *
 * The line of the same name, or of the same slid device, is replaced; all others
 * stay as they are. The file is replaced at one instant, durably.
 */
int trackers_save(const char *path, const struct tidemark_attach *attach);
/**
 * trackers_forget() - do not have a tracker come back any more
 * @path: of the file
 * @device: its device-mapper name, or the path of the tracked device
 *
 * Return: 0; -ENOENT: there is no such line; or what the system said.
 */
int trackers_forget(const char *path, const char *device);

/**
 * trackers_stable() - a path that will name the same device after a reboot
 * @device: a path that names it now
 * @ret: allocated
 *
 * A link in /dev/disk or a name that device mapper keeps. Numbers that the kernel
 * gives as disks are found (sdb, vda, dm-3) are none.
 *
 * Return: 0; -ENOENT: it has none; -ENOMEM.
 */
int trackers_stable(const char *device, char **ret);

#endif
