// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/clear.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "point/catalog-clear.h"
#include "point/catalog-failover.h"
#include "point/catalog-point.h"
#include "point/file.h"
#include "point/recover.h"

/* A merge lets others go first, at its next piece. */
#define CLEAR_WAIT_MS 2000

/* What the work on a collection knows. @spared: as many as there are disks */
struct clear {
	struct store *store;
	const char *collection;
	struct catalog_disk *disks;
	struct catalog_spared *spared;
	size_t spared_count;
	struct clear_report report;
	struct reason *reason;
};

const char *clear_fate_name(enum clear_fate fate)
{
	static const char *const names[] = {
		[CLEAR_REMOVED] = "removed",
		[CLEAR_DEVICE] = "device",
		[CLEAR_ADOPTED] = "adopted",
		[CLEAR_STRANGER] = "stranger",
		[CLEAR_ABSENT] = "absent",
	};

	return (size_t)fate < ARRAY_SIZE(names) ? names[fate] : "unknown";
}

/* -- what there is ------------------------------------------------------------------------ */

static uint64_t file_space(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISREG(st.st_mode) ? st.st_blocks * 512ull : 0;
}

/* Of what recovery would remove of a disk whose points are given up. */
static uint64_t folder_space(const char *folder)
{
	DIR *d = opendir(folder);
	uint64_t space = 0;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[STORE_PATH_MAX];

		if ((recover_is_partial(e->d_name) || recover_is_point(e->d_name) ||
		     recover_is_damaged(e->d_name)) &&
		    !file_path(path, sizeof(path), folder, e->d_name))
			space += file_space(path);
	}
	if (d)
		closedir(d);
	return space;
}

static int disk_fate(const struct catalog_disk *row, enum clear_fate *ret)
{
	struct stat st;

	if (row->adopted)
		*ret = CLEAR_ADOPTED;
	else if (row->device)
		*ret = CLEAR_DEVICE;
	else if (!lstat(row->path, &st))
		*ret = S_ISREG(st.st_mode) ? CLEAR_REMOVED : CLEAR_STRANGER;
	else if (errno == ENOENT || errno == ENOTDIR)
		/* One without a point has no more than a partial file. */
		*ret = row->state == CATALOG_SEEDING ? CLEAR_REMOVED : CLEAR_ABSENT;
	else
		return -errno;
	return 0;
}

static int clear_disk(struct clear *c, const struct catalog_disk *row, struct clear_disk *ret)
{
	char folder[STORE_PATH_MAX], partial[STORE_PATH_MAX + 16];
	int err = disk_fate(row, &ret->fate);

	if (err)
		return reason_set(c->reason, err, 0, "cannot look at %s: %s", row->path,
				  strerror(-err));
	err = store_folder(c->store, row->collection, row->vm, row->name, folder);
	if (err)
		return reason_set(c->reason, err, 0, "the path of a disk is too long");
	memcpy(ret->vm, row->vm, sizeof(ret->vm));
	memcpy(ret->disk, row->name, sizeof(ret->disk));
	memcpy(ret->path, row->path, sizeof(ret->path));
	ret->space = folder_space(folder);
	if (ret->fate != CLEAR_REMOVED)
		return 0;
	ret->space += file_space(row->path);
	snprintf(partial, sizeof(partial), "%s.partial", row->path);
	/* In the folder it has been counted. */
	if (strncmp(partial, folder, strlen(folder)))
		ret->space += file_space(partial);
	return 0;
}

static int clear_load(struct clear *c)
{
	_cleanup_free_ struct catalog_point *points = NULL;
	struct clear_report *r = &c->report;
	struct catalog *catalog = store_catalog(c->store);
	int err = catalog_list(catalog, c->collection, &c->disks, &r->disk_count);

	if (!err && !r->disk_count)
		return reason_set(c->reason, -ENOENT, REASON_NOT_FOUND,
				  "no replica of a collection %s is held here", c->collection);
	if (!err)
		err = catalog_points(catalog, c->collection, &points, &r->points);
	if (err)
		return reason_set(c->reason, err, REASON_FAILED, "cannot read the state file");
	r->disks = calloc(r->disk_count, sizeof(*r->disks));
	if (!r->disks)
		return reason_set(c->reason, -ENOMEM, 0, "no memory");
	for (size_t i = 0; i < r->disk_count && !err; i++) {
		err = clear_disk(c, &c->disks[i], &r->disks[i]);
		r->space += r->disks[i].space;
	}
	return err;
}

/* What the caller gets, if all went well. */
static int clear_end(struct clear *c, int err, struct clear_report *ret)
{
	free(c->disks);
	free(c->spared);
	if (err)
		free(c->report.disks);
	else
		*ret = c->report;
	return err;
}

int clear_look(struct store *s, const char *collection, struct clear_report *ret,
	       struct reason *reason)
{
	struct clear c = { .store = s, .collection = collection, .reason = reason };

	return clear_end(&c, clear_load(&c), ret);
}

/* -- may it go ---------------------------------------------------------------------------- */

/* A point that is failed over to is in use; later the replicas are somebody's disks. */
static int clear_judge_failover(struct clear *c)
{
	struct catalog_failover row;
	int found = catalog_failover_find(store_catalog(c->store), c->collection, FAILOVER_REAL,
					  &row);

	if (found < 0)
		return reason_set(c->reason, found, REASON_FAILED, "cannot read the state file");
	if (!found || row.state == FAILOVER_MADE)
		return 0;
	return reason_set(c->reason, -EINVAL, REASON_INVALID_STATE,
			  "the collection %s is failed over for good: its replicas are disks in use",
			  c->collection);
}

/* Once it is recorded there is no way back: is the folder one that can be changed? */
static int clear_judge_folder(struct clear *c, const char *path)
{
	char folder[STORE_PATH_MAX];
	char *slash;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	if (!access(folder, W_OK | X_OK) || errno == ENOENT || errno == ENOTDIR)
		return 0;
	return reason_set(c->reason, -errno, REASON_FAILED, "cannot remove %s: %s", path,
			  strerror(errno));
}

/* What is spared of a disk has its place in the store, where nothing lies. */
static int clear_spare(struct clear *c, const struct catalog_disk *row)
{
	struct catalog_spared *s = &c->spared[c->spared_count++];
	char folder[STORE_PATH_MAX];
	int err = store_folder(c->store, row->collection, row->vm, row->name, folder);

	if (!err)
		err = file_path(s->path, sizeof(s->path), folder, "replica.raw");
	s->disk = row->id;
	return err ? reason_set(c->reason, err, 0, "the path of a disk is too long") : 0;
}

static int clear_prepare(struct clear *c)
{
	int err = clear_judge_failover(c);

	c->spared = calloc(c->report.disk_count, sizeof(*c->spared));
	if (!c->spared)
		return reason_set(c->reason, -ENOMEM, 0, "no memory");
	for (size_t i = 0; i < c->report.disk_count && !err; i++) {
		enum clear_fate fate = c->report.disks[i].fate;

		if (fate == CLEAR_REMOVED)
			err = clear_judge_folder(c, c->disks[i].path);
		else if (fate != CLEAR_ABSENT)
			err = clear_spare(c, &c->disks[i]);
	}
	return err;
}

/* -- all of it ---------------------------------------------------------------------------- */

static int clear_record(struct clear *c)
{
	int err = store_clear(c->store, c->collection, c->spared, c->spared_count);

	if (err == -EBUSY)
		return reason_set(c->reason, err, REASON_IN_USE,
				  "a point of the collection %s is in use", c->collection);
	if (err)
		return reason_set(c->reason, err, REASON_FAILED,
				  "the state file did not take it: %s", strerror(-err));
	crash_at("clear-recorded");
	return 0;
}

static int clear_remove(struct clear *c)
{
	int err = store_remove_cleared(c->store, c->collection, c->reason);

	if (err)
		return err;
	crash_at("clear-removed");
	err = catalog_cleared(store_catalog(c->store), c->collection);
	if (err)
		return reason_set(c->reason, err, REASON_FAILED, "cannot write the state file: %s",
				  strerror(-err));
	crash_at("clear-forgotten");
	return 0;
}

int clear_run(struct store *s, const char *collection, struct clear_report *ret,
	      struct reason *reason)
{
	struct clear c = { .store = s, .collection = collection, .reason = reason };
	int err = store_claim(s, collection, CLEAR_WAIT_MS, reason);

	if (err)
		return err;
	store_activity(s, collection, STORE_CLEARING);
	err = clear_load(&c);
	if (!err)
		err = clear_prepare(&c);
	if (!err) {
		crash_at("clear-begun");
		err = clear_record(&c);
	}
	if (!err)
		err = clear_remove(&c);
	store_release(s, collection);
	return clear_end(&c, err, ret);
}
