/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Names of files, made durable. A name is durable when its folder was synced
 * after it was made; the same goes for a name that is gone.
 */
#ifndef TIDEMARK_POINT_FILE_H
#define TIDEMARK_POINT_FILE_H

#include "base/util.h"

/** file_sync_folder() - names made and removed in a folder are durable */
int file_sync_folder(const char *path);

/** file_sync_parent() - the same for the folder that @path lies in */
int file_sync_parent(const char *path);

/** file_unlink() - remove a file; that it is not there is fine */
int file_unlink(const char *path);

/** file_make_folder() - make a folder with mode 0700; that it is there is fine */
int file_make_folder(const char *path);

/**
 * file_path() - paste a folder and a name: "FOLDER/NAME"
 * @size: of @ret
 *
 * Return: 0 or -ENAMETOOLONG
 */
int file_path(char *ret, size_t size, const char *folder, const char *name);

/** file_exists() - is there anything under this name? */
bool file_exists(const char *path);

/** file_read() - all of it, blocking. Return: 0; -EIO: it ends before that; another errno */
int file_read(int fd, void *buf, size_t size, uint64_t offset);

/** file_write() - all of it, blocking. Return: 0 or a negative errno */
int file_write(int fd, const void *buf, size_t size, uint64_t offset);

#endif
