/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Device mapper by its ioctls: tests that call it thousands of times, from many
 * threads, or want to be sure which system call fails, cannot do so by dmsetup.
 * All return 0 or -errno; paths are those of devtmpfs, /dev/dm-N.
 */
#ifndef TESTS_MODULE_DM_H
#define TESTS_MODULE_DM_H

#include <stddef.h>
#include <stdint.h>

/**
 * struct dm_line - the one line of a table
 * @sectors: length
 * @target: type
 * @params: arguments
 * @readonly: the table is
 */
struct dm_line {
	uint64_t sectors;
	const char *target;
	const char *params;
	int readonly;
};

int dm_create(const char *name);
int dm_path(const char *name, char ret_path[32]);
int dm_load(const char *name, const struct dm_line *line);
int dm_clear(const char *name);
int dm_suspend(const char *name, uint32_t flags);
int dm_resume(const char *name);
int dm_remove(const char *name);
int dm_message(const char *name, const char *text, char *ret_answer, size_t size);
int dm_status(const char *name, uint32_t flags, char *ret_text, size_t size);

#endif /* TESTS_MODULE_DM_H */
