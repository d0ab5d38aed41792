// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The way back. On the old primary its disks become replicas, where they are; on
 * the new one the collection becomes one that is sent. What either side knows of
 * its changes is put together by the first run: replica.rst, "Back to the old
 * primary", argues that it is enough.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "config/value.h"
#include "failover/disk.h"
#include "failover/method.h"
#include "failover/tracker.h"
#include "send/mode.h"
#include "send/source.h"

int reverse_check(const struct service_failover *asked, struct reason *reason)
{
	_cleanup_free_ char *host = NULL;
	uint16_t port;

	if (!asked->path || !asked->path[0])
		return 0;
	if (asked->role == MODEL_PRIMARY)
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "the address of the new replica is for the new primary: this host "
				  "is the old one");
	return value_endpoint(asked->path, &host, &port) ?
		reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
			   "'%.200s' is no HOST:PORT", asked->path) : 0;
}

/* -- the old primary --------------------------------------------------------------------- */

/* Nobody may write to a disk that becomes a replica. */
static int prepare_look(const struct run_disk *d, struct catalog_disk *row, struct reason *reason)
{
	_cleanup_raw_ struct raw raw = RAW_NONE;
	int err = d->device[0] == '/' ? 0 : -EINVAL;

	if (err || strlen(d->device) >= sizeof(row->path))
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "%s/%s: the path of its device must be absolute", d->vm, d->name);
	snprintf(row->vm, sizeof(row->vm), "%s", d->vm);
	snprintf(row->name, sizeof(row->name), "%s", d->name);
	snprintf(row->path, sizeof(row->path), "%s", d->device);
	err = raw_open(d->device, 0, RAW_WRITE | RAW_EXCLUSIVE, &raw, reason);
	if (!err)
		err = disk_judge_file(d->device, d->vm, reason);
	if (!err)
		err = guard_identity(d->device, row->identity);
	row->device = raw.device;
	row->size = raw.capacity;
	row->granule = d->granule ?: KIB(64);
	return err ? reason_set(reason, err, 0, "cannot examine %s: %s", d->device,
				strerror(-err)) : 0;
}

/* What this agent remembers of a tracker goes with the role: it is looked at now. */
static bool prepare_doubt(const struct method *m, const struct run_disk *d)
{
	struct source_info info;
	const char *doubt;

	if (!d->tracked || source_look(d->device, true, 0, &info))
		return false; /* then there are no marks that would be believed */
	doubt = mode_doubt(&info, &d->past);
	if (doubt)
		log_warning("%s: %s/%s will have to be compared: %s", m->asked->collection, d->vm,
			    d->name, doubt);
	return doubt;
}

/*
 * A disk that was adopted stays as it is: the new primary may have sent something
 * since. Unless that was in an earlier life, which a failover ended.
 */
static int prepare_adopt(struct method *m, const struct run_disk *d, bool anew)
{
	struct catalog *c = store_catalog(m->f->store);
	struct catalog_disk row = { 0 }, old;
	int err = prepare_look(d, &row, m->reason);

	if (err)
		return err;
	snprintf(row.collection, sizeof(row.collection), "%s", m->asked->collection);
	row.doubted = prepare_doubt(m, d);
	err = anew ? 0 : catalog_find(c, row.collection, row.vm, row.name, &old);
	if (err > 0 && old.adopted && !strcmp(old.path, row.path))
		return 0;
	if (err >= 0)
		err = catalog_adopt(c, &row);
	if (!err)
		crash_at("reverse-adopted");
	return err ? reason_set(m->reason, err, REASON_FAILED, "cannot write the state file: %s",
				strerror(-err)) : 0;
}

static int prepare_all(struct method *m)
{
	const struct run_config *config = m->asked->config;
	struct catalog *c = store_catalog(m->f->store);
	struct catalog_failover old;
	int found = catalog_failover_find(c, m->asked->collection, FAILOVER_REAL, &old);
	int err = found < 0 ? found : 0;

	/* All of them are looked at before any is changed. */
	for (size_t i = 0; i < config->disk_count && !err; i++) {
		struct catalog_disk row = { 0 };

		err = prepare_look(&config->disks[i], &row, m->reason);
	}
	for (size_t i = 0; i < config->disk_count && !err; i++)
		err = prepare_adopt(m, &config->disks[i], found);
	/* While that row stands nothing is received. */
	if (!err && found)
		err = catalog_failover_clear(c, m->asked->collection, FAILOVER_REAL);
	if (!err && found)
		crash_at("reverse-cleared");
	return err ? reason_set(m->reason, err, REASON_FAILED, "cannot write the state file: %s",
				strerror(-err)) : 0;
}

int reverse_primary(struct method *m)
{
	int err = store_claim(m->f->store, m->asked->collection, CLAIM_MS, m->reason);

	if (err)
		return err;
	err = prepare_all(m);
	store_release(m->f->store, m->asked->collection);
	return err;
}

/* -- the new primary ----------------------------------------------------------------------- */

/*
 * From here on the disk's tracker says what changes, if nobody has written to the
 * disk before: then all that is not as it was sent is in the origin's ranges.
 */
static int reverse_cover(struct method *m, const struct catalog_disk *d)
{
	struct catalog *c = store_catalog(m->f->store);
	struct catalog_origin origin;
	struct source_info info;
	char now[WITNESS_MAX];
	int found = catalog_origin_find(c, d->collection, d->vm, d->name, &origin);
	int err = found < 0 ? found : 0;

	if (found > 0) {
		catalog_origin_clear(&origin);
		failover_witness(d->path, now);
		if (source_look(d->path, true, 0, &info))
			return 0; /* not tracked: then it must stay as it is until the run */
		if (origin.covered && !memcmp(origin.cover, info.uuid, sizeof(origin.cover)))
			return 0;
		if (now[0] && !strcmp(now, origin.witness) && !info.unreliable) {
			err = catalog_origin_cover(c, d->id, info.uuid, info.committed_epoch);
			if (!err)
				crash_at("reverse-covered");
		} else {
			log_warning("%s: %s/%s has perhaps been written to, untracked, since the "
				    "failover was committed (%s; then \"%s\", now \"%s\"): it will "
				    "be compared",
				    d->collection, d->vm, d->name, info.unreliable ?:
				    now[0] ? "it has counted more since" : "nothing counts",
				    origin.witness, now);
		}
	}
	return err ? reason_set(m->reason, err, REASON_FAILED, "cannot write the state file: %s",
				strerror(-err)) : 0;
}

int reverse_replica(struct method *m)
{
	struct catalog_failover row;
	int err = method_commit(m);

	if (!err)
		err = method_find(m, FAILOVER_REAL, &row);
	for (size_t i = 0; i < m->count && !err; i++)
		err = reverse_cover(m, &m->disks[i]);
	if (err)
		return err;
	row.state = FAILOVER_REVERSED;
	err = method_set(m, &row);
	if (err)
		return err;
	crash_at("reverse-recorded");
	log_notice("%s: this host is the primary from here on", row.collection);
	return 0;
}

/* -- for runs --------------------------------------------------------------------------------- */

static int origin_copy(const struct catalog_origin *from, const char *device,
		       struct run_origin **ret)
{
	struct run_origin *o = calloc(1, sizeof(*o));
	char now[WITNESS_MAX];

	if (o)
		o->ranges = calloc(from->count + 1, sizeof(*o->ranges));
	if (!o || !o->ranges) {
		run_origin_free(o);
		return -ENOMEM;
	}
	failover_witness(device, now);
	memcpy(o->uuid, from->tracker, sizeof(o->uuid));
	o->epoch = from->epoch;
	o->size = from->size;
	o->untouched = now[0] && !strcmp(now, from->witness);
	o->covered = from->covered;
	memcpy(o->cover, from->cover, sizeof(o->cover));
	o->cover_epoch = from->cover_epoch;
	o->count = from->count;
	for (size_t i = 0; i < from->count; i++)
		o->ranges[i] = (struct frame_range){ from->ranges[i].offset,
						     from->ranges[i].span };
	*ret = o;
	return 0;
}

int reverse_load_origin(void *store, const char *collection, const char *vm, const char *disk,
			const char *device, struct run_origin **ret)
{
	struct catalog_origin origin;
	int found = catalog_origin_find(store_catalog(store), collection, vm, disk, &origin);
	int err;

	if (found <= 0)
		return found ? found : -ENOENT;
	err = origin_copy(&origin, device, ret);
	catalog_origin_clear(&origin);
	return err;
}
