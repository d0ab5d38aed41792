// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Leftovers: what an earlier life left half-done in a store is cleared up, one collection
 * after the other, and what cannot be is a fault of that collection. See store.h.
 */
#include "point/store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/log.h"
#include "point/catalog-failover.h"
#include "point/fault.h"
#include "point/recover.h"
#include "point/retain.h"

/* Before anything is retired: their disks lie over these points. */
static int store_pin_failovers(struct store *s, struct reason *reason)
{
	_cleanup_free_ struct catalog_failover *rows = NULL;
	size_t count = 0;
	int err = catalog_failovers(store_catalog(s), &rows, &count);

	for (size_t i = 0; i < count && !err; i++)
		/* One that was to be committed may not have given up the other points yet. */
		if (rows[i].state == FAILOVER_MADE || rows[i].state == FAILOVER_COMMITTING)
			store_pin(s, rows[i].collection, rows[i].point);
	return err ? reason_set(reason, err, REASON_FAILED, "cannot read the state file") : 0;
}

static void known_free(struct recover_known *known)
{
	free((void *)known->disks);
	free((void *)known->files);
	free((void *)known->kept);
}

/* What the database says of files. For known_free(), also on failure. */
static int store_known(struct store *s, struct recover_known *ret, struct reason *reason)
{
	struct catalog_staging *kept = NULL;
	struct catalog_disk *disks = NULL;
	struct catalog_file *files = NULL;
	int err = catalog_list(store_catalog(s), NULL, &disks, &ret->disk_count);

	if (!err)
		err = catalog_files(store_catalog(s), &files, &ret->file_count);
	if (!err)
		err = catalog_stagings(store_catalog(s), &kept, &ret->kept_count);
	ret->disks = disks;
	ret->files = files;
	ret->kept = kept;
	return err ? reason_set(reason, err, REASON_FAILED, "cannot read the state file") : 0;
}

static bool store_has_staging(const struct recover_known *known, int64_t disk)
{
	for (size_t i = 0; i < known->kept_count; i++)
		if (known->kept[i].disk == disk)
			return true;
	return false;
}

void store_remove_folders(struct store *s, const char *collection, const char *vm,
			  const char *disk)
{
	char path[STORE_PATH_MAX];

	if (store_folder(s, collection, vm, disk, path))
		return;
	for (int depth = 0; depth < 3 && !rmdir(path); depth++)
		*strrchr(path, '/') = '\0';
}

/*
 * Disks of a collection that were begun, without a point and without anything to go on
 * with: their files are gone. A device is ours for as long as it may carry half of a VM's
 * signatures. A row that cannot be forgotten now is no reason not to start.
 */
static void store_forget_seeding(struct store *s, const char *collection,
				 const struct recover_known *known)
{
	for (size_t i = 0; i < known->disk_count; i++) {
		const struct catalog_disk *d = &known->disks[i];

		if (d->state != CATALOG_SEEDING || d->device || store_has_staging(known, d->id) ||
		    strcmp(d->collection, collection))
			continue;
		store_remove_folders(s, d->collection, d->vm, d->name);
		catalog_unseed(store_catalog(s), d->id);
	}
}

/* Headers first: until they are written a file may be needed under its old name. */
static int store_recover_one(struct store *s, const char *collection,
			     const struct recover_known *known, struct reason *reason)
{
	int err = retain_recover(s, collection, reason);

	if (!err)
		err = recover_cleared(store_dir(s), collection, known, reason);
	if (!err)
		store_forget_seeding(s, collection, known);
	return err;
}

/*
 * Nothing is received of a collection before it is cleared up. That is no fault of what
 * a sender would send: it may well try again.
 */
static int store_set_fault(struct store *s, const char *collection, int err,
			   const struct reason *why, struct reason *ret)
{
	struct reason fault = { 0 };

	reason_set(&fault, err, REASON_NOT_AVAILABLE,
		   "what was left half-done of the collection %s cannot be cleared up: %s",
		   collection, why->text[0] ? why->text : strerror(-err));
	*ret = fault;
	return faults_set(store_faults(s), collection, &fault);
}

static void store_log_fault(const char *collection, const struct reason *fault)
{
	const struct log_fields fields = { .collection = collection, .code = fault->code };

	log_about(LOG_ERR, &fields, "%s; nothing is received of it before that", fault->text);
}

void store_leave(struct store *s, const char *collection, const char *path, int err)
{
	struct reason why = { 0 }, fault;

	reason_set(&why, err, REASON_FAILED, "cannot remove %s: %s", path, strerror(-err));
	if (!store_set_fault(s, collection, err, &why, &fault))
		store_log_fault(collection, &fault);
}

struct recovery {
	struct store *store;
	const struct recover_known *known;
};

/* What is the matter with one collection is no reason not to serve the others. */
static int store_recover_each(void *arg, const char *collection)
{
	struct recovery *r = arg;
	struct reason why = { 0 }, fault;
	int err = store_recover_one(r->store, collection, r->known, &why);

	if (!err)
		return 0;
	err = store_set_fault(r->store, collection, err, &why, &fault);
	if (!err)
		store_log_fault(collection, &fault);
	return err;
}

int store_recover(struct store *s, struct reason *reason)
{
	_cleanup_(known_free) struct recover_known known = { 0 };
	struct recovery recovery = { s, &known };
	int err = store_known(s, &known, reason);

	if (!err)
		err = store_pin_failovers(s, reason);
	if (err)
		return err;
	err = recover_each(store_dir(s), &known, store_recover_each, &recovery);
	/* The state file is everybody's. */
	if (!err && catalog_poisoned(store_catalog(s)))
		err = -EIO;
	return err ? reason_set(reason, err, 0, "cannot clear up the store %s: %s", store_dir(s),
				strerror(-err)) : 0;
}

bool store_fault(struct store *s, const char *collection, struct reason *ret)
{
	if (ret)
		*ret = (struct reason){ 0 };
	return faults_find(store_faults(s), collection, ret);
}

bool store_next_fault(struct store *s, const char *after, char ret[NAME_SIZE])
{
	return faults_next(store_faults(s), after, ret);
}

static int store_mend_known(struct store *s, const char *collection, struct reason *reason)
{
	_cleanup_(known_free) struct recover_known known = { .running = true };
	int err = store_known(s, &known, reason);

	return err ? err : store_recover_one(s, collection, &known, reason);
}

int store_mend(struct store *s, const char *collection, struct reason *reason)
{
	const struct log_fields fields = { .collection = collection };
	struct reason why = { 0 }, fault;
	int err;

	if (!store_fault(s, collection, NULL))
		return 0;
	err = store_mend_known(s, collection, &why);
	if (err) {
		/* It has one already, which is what there is no memory for else. */
		(void)store_set_fault(s, collection, err, &why, &fault);
		return reason_set(reason, err, fault.code, "%s", fault.text);
	}
	faults_clear(store_faults(s), collection);
	log_about(LOG_NOTICE, &fields, "what was left half-done of the collection %s is cleared up",
		  collection);
	return 0;
}

int store_recover_disks(struct store *s, const char *collection, struct reason *reason)
{
	_cleanup_(known_free) struct recover_known known = { 0 };
	int err = store_known(s, &known, reason);

	return err ? err : recover_collection(store_dir(s), collection, &known, reason);
}

static int store_remove_all(struct store *s, const char *collection, struct reason *reason)
{
	_cleanup_(known_free) struct recover_known known = { 0 };
	int err = store_known(s, &known, reason);

	if (!err)
		err = recover_cleared(store_dir(s), collection, &known, reason);
	if (err)
		return err;
	crash_at("clear-unlinked");
	for (size_t i = 0; i < known.disk_count; i++)
		if (!strcmp(known.disks[i].collection, collection))
			store_remove_folders(s, collection, known.disks[i].vm, known.disks[i].name);
	return 0;
}

int store_remove_cleared(struct store *s, const char *collection, struct reason *reason)
{
	struct reason why = { 0 }, fault;
	int err = store_remove_all(s, collection, &why);

	/* There is no way back: what is left must not be in the way of what comes next. */
	if (err)
		store_set_fault(s, collection, err, &why, &fault);
	else
		faults_clear(store_faults(s), collection);
	return err ? reason_set(reason, err, why.code, "%s", why.text) : 0;
}
