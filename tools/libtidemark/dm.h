/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Device-mapper devices. No part of the public interface.
 *
 * libdevmapper keeps state of its own for the process: these functions are
 * used between dmdev_begin() and dmdev_end(), which let one thread in at a time.
 */
#ifndef LIBTIDEMARK_DM_H
#define LIBTIDEMARK_DM_H

#include <stdbool.h>
#include <stdint.h>

#include "libtidemark/table.h"

enum {
	DMDEV_NAME_SIZE = 128,		/* with its NUL */
	DMDEV_UUID_SIZE = 129,
};

/**
 * struct dmdev - what device mapper says of a device
 * @name: its name
 * @uuid: its device-mapper UUID, or ""
 * @major: of the block device
 * @minor: of the block device
 * @open_count: how often it is open
 * @read_only: it refuses writes
 * @suspended: I/O waits
 * @live: there is a table
 * @pending: a further table was loaded and is not live
 */
struct dmdev {
	char name[DMDEV_NAME_SIZE];
	char uuid[DMDEV_UUID_SIZE];
	uint32_t major;
	uint32_t minor;
	int open_count;
	bool read_only;
	bool suspended;
	bool live;
	bool pending;
};

/**
 * dmdev_begin() - before any other of these functions
 *
 * Return: 0; -EACCES: not permitted; -ENOSYS: no device mapper in this kernel.
 */
int dmdev_begin(void);
/** dmdev_end() - after the last one, also when dmdev_begin() failed */
void dmdev_end(void);

/**
 * dmdev_has_target() - can the kernel build this kind of target
 * @type: its name; its module is loaded when it is installed
 *
 * Return: 0, or -ENOPKG.
 */
int dmdev_has_target(const char *type);

/** dmdev_by_name() - Return: 0; -ENXIO: no such device */
int dmdev_by_name(const char *name, struct dmdev *ret);
/** dmdev_by_number() - Return: 0; -ENXIO: no device of device mapper */
int dmdev_by_number(uint32_t major, uint32_t minor, struct dmdev *ret);
/** dmdev_path() - Return: 0 and an allocated path; -ENOMEM */
int dmdev_path(const struct dmdev *dev, char **ret);

/**
 * dmdev_table() - the table of a device
 * @dev: the device
 * @pending: of the table that is not live yet
 * @ret: filled, freed by the caller; must be empty
 */
int dmdev_table(const struct dmdev *dev, bool pending, struct table *ret);

/**
 * dmdev_create() - a new device, live with a table
 * @name: its name
 * @uuid: its device-mapper UUID
 * @table: its table
 * @read_only: it refuses writes
 * @hidden: udev leaves it alone: nothing scans it, no links point to it
 * @ret: what became of it
 *
 * Return: 0; -EEXIST: the name or the UUID is taken. On failure nothing is left.
 */
int dmdev_create(const char *name, const char *uuid, const struct table *table, bool read_only,
		 bool hidden, struct dmdev *ret);

/** dmdev_load() - load a table; it goes live by dmdev_resume() */
int dmdev_load(const struct dmdev *dev, const struct table *table);
/** dmdev_clear() - drop a table that was loaded and is not live */
int dmdev_clear(const struct dmdev *dev);

/**
 * dmdev_resume() - make the loaded table live, or end a suspension
 *
 * One request does it all inside the kernel: suspend, exchange, resume. So no
 * signal and no death of this process leaves the device suspended. I/O in
 * flight is waited for, I/O submitted meanwhile waits and then takes the new
 * table. A mounted file system is not frozen: the disk's content does not
 * change and a freeze would only stall its users.
 */
int dmdev_resume(const struct dmdev *dev);

/** dmdev_message() - send a message to the live table's first target */
int dmdev_message(const struct dmdev *dev, const char *text);

/**
 * dmdev_remove() - remove a device that nobody has open
 * @dev: the device
 * @deferred: when it is open, let it go with its last user instead of failing
 *
 * Return: 0; -EBUSY.
 */
int dmdev_remove(const struct dmdev *dev, bool deferred);

#endif
