// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/recover.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "point/file.h"

struct recover {
	const struct recover_known *known;
	struct reason *reason;
};

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && !strcmp(name + n - m, suffix);
}

bool recover_is_partial(const char *name)
{
	return has_suffix(name, ".partial");
}

/* What follows "point-N", NULL: it is no such name. */
static const char *point_suffix(const char *name)
{
	const char *at = name;

	if (strncmp(at, "point-", 6))
		return NULL;
	for (at += 6; isdigit((unsigned char)*at);)
		at++;
	return at > name + 6 ? at : NULL;
}

bool recover_is_point(const char *name)
{
	const char *suffix = point_suffix(name);

	return suffix && !strcmp(suffix, ".qcow2");
}

bool recover_is_damaged(const char *name)
{
	const char *suffix = point_suffix(name);

	return suffix && !strcmp(suffix, ".qcow2.damaged");
}

static bool recover_known(const struct recover *r, const char *const names[3], const char *file)
{
	for (size_t i = 0; i < r->known->file_count; i++) {
		const struct catalog_file *f = &r->known->files[i];

		if (!strcmp(f->collection, names[0]) && !strcmp(f->vm, names[1]) &&
		    !strcmp(f->disk, names[2]) && !strcmp(f->file, file))
			return true;
	}
	return false;
}

/* Has the disk a point? What was set aside of one without is of no use to anybody. */
static bool recover_has_point(const struct recover *r, const char *const names[3])
{
	for (size_t i = 0; i < r->known->disk_count; i++) {
		const struct catalog_disk *d = &r->known->disks[i];

		if (!strcmp(d->collection, names[0]) && !strcmp(d->vm, names[1]) &&
		    !strcmp(d->name, names[2]))
			return d->state != CATALOG_SEEDING;
	}
	return false;
}

static bool recover_kept(const struct recover *r, const char *path)
{
	for (size_t i = 0; i < r->known->kept_count; i++)
		if (!strcmp(r->known->kept[i].file, path))
			return true;
	return false;
}

static int recover_unlink(const struct recover *r, const char *path)
{
	int err = recover_kept(r, path) ? 0 : file_unlink(path);

	return err ? reason_set(r->reason, err, REASON_FAILED, "cannot remove %s: %s", path,
				strerror(-err)) : 0;
}

static int recover_file(const struct recover *r, const char *folder, const char *name,
			const char *const names[3])
{
	char path[STORE_PATH_MAX];

	if (!recover_is_partial(name) && !recover_is_point(name) &&
	    (!recover_is_damaged(name) || recover_has_point(r, names)))
		return 0;
	if (recover_known(r, names, name))
		return 0;
	/* A test begins without the collection for itself: this may be in the making. */
	if (r->known->running && !strcmp(name, STORE_TEST ".partial"))
		return 0;
	if (file_path(path, sizeof(path), folder, name))
		return 0; /* we cannot have made it */
	return recover_unlink(r, path);
}

static void dir_closep(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* May it be a folder that we made? */
static bool recover_is_folder(const struct dirent *e)
{
	return strlen(e->d_name) < NAME_SIZE && name_valid(e->d_name) &&
	       (e->d_type == DT_DIR || e->d_type == DT_UNKNOWN);
}

/* There is none, or it is a file: none of ours. Else nobody knows what is in it. */
static int recover_unread(const struct recover *r, const char *folder)
{
	int err = -errno;

	return err == -ENOENT || err == -ENOTDIR ? 0 :
	       reason_set(r->reason, err, REASON_FAILED, "cannot look into %s: %s", folder,
			  strerror(-err));
}

/*
 * Walk down: a collection's folder has VMs, those have disks, and those have files.
 * @names: what was passed on the way.
 */
static int recover_walk(const struct recover *r, const char *folder, const char *names[3],
			unsigned int depth)
{
	_cleanup_(dir_closep) DIR *d = opendir(folder);
	int err = d ? 0 : recover_unread(r, folder);

	while (d && !err) {
		struct dirent *e;
		char path[STORE_PATH_MAX];

		errno = 0;
		e = readdir(d);
		if (!e)
			return errno ? recover_unread(r, folder) : 0;
		if (depth == 3) {
			err = recover_file(r, folder, e->d_name, names);
			continue;
		}
		if (!recover_is_folder(e) || file_path(path, sizeof(path), folder, e->d_name))
			continue;
		names[depth] = e->d_name;
		err = recover_walk(r, path, names, depth + 1);
	}
	return err;
}

/* Somebody may have put something else at a place that is not in the store. */
static int recover_unlink_file(const struct recover *r, const char *path)
{
	struct stat st;

	return lstat(path, &st) || S_ISREG(st.st_mode) ? recover_unlink(r, path) : 0;
}

/*
 * A raw replica in a file whose first point was never committed. It can stand
 * under its final name, when the crash came between the rename and the
 * transaction; what stood there before was given up when the seeding began.
 */
static int recover_seeding(const struct recover *r, const struct catalog_disk *d)
{
	char partial[STORE_PATH_MAX + 16];
	int err;

	if (d->state != CATALOG_SEEDING || d->device)
		return 0;
	snprintf(partial, sizeof(partial), "%s.partial", d->path);
	err = recover_unlink_file(r, d->path);
	if (!err)
		err = recover_unlink_file(r, partial);
	if (err)
		return err;
	/* Its row goes next: a power loss must not bring the file back without it. */
	err = file_sync_parent(d->path);
	return err && err != -ENOENT ?
	       reason_set(r->reason, err, 0, "cannot sync the folder of %s: %s", d->path,
			  strerror(-err)) : 0;
}

static bool recover_has_rows(const struct recover_known *known, const char *collection)
{
	for (size_t i = 0; i < known->disk_count; i++)
		if (!strcmp(known->disks[i].collection, collection))
			return true;
	return false;
}

int recover_each(const char *dir, const struct recover_known *known,
		 int (*each)(void *arg, const char *collection), void *arg)
{
	_cleanup_(dir_closep) DIR *d = opendir(dir);
	const char *last = "";
	struct dirent *e;
	int err = 0;

	if (!d)
		return -errno;
	for (size_t i = 0; i < known->disk_count && !err; i++) {
		if (strcmp(known->disks[i].collection, last))
			err = each(arg, known->disks[i].collection);
		last = known->disks[i].collection;
	}
	while (!err && (e = readdir(d)))
		if (recover_is_folder(e) && !recover_has_rows(known, e->d_name))
			err = each(arg, e->d_name);
	return err;
}

int recover_collection(const char *dir, const char *collection, const struct recover_known *known,
		       struct reason *reason)
{
	struct recover r = { .known = known, .reason = reason };
	const char *names[3] = { collection };
	char folder[STORE_PATH_MAX];
	int err = file_path(folder, sizeof(folder), dir, collection);

	return err ? reason_set(reason, err, 0, "the path of a collection is too long") :
		     recover_walk(&r, folder, names, 1);
}

int recover_cleared(const char *dir, const char *collection, const struct recover_known *known,
		    struct reason *reason)
{
	struct recover r = { .known = known, .reason = reason };
	int err = 0;

	for (size_t i = 0; i < known->disk_count && !err; i++)
		if (!strcmp(known->disks[i].collection, collection))
			err = recover_seeding(&r, &known->disks[i]);
	return err ? err : recover_collection(dir, collection, known, reason);
}
