// SPDX-License-Identifier: GPL-2.0-or-later
#include "failover/failover.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "failover/disk.h"
#include "failover/export.h"
#include "failover/method.h"
#include "point/points.h"
#include "point/retain.h"
#include "ring/ring.h"

#define RING_DEPTH 32

static int method_tick(void *arg)
{
	const struct method *m = arg;
	struct pollfd fd = { .fd = m->cancel_fd, .events = POLLIN };

	return poll(&fd, 1, 0) > 0 ? -ECANCELED : 0;
}

static int method_load(struct method *m)
{
	int err = catalog_list(store_catalog(m->f->store), m->asked->collection, &m->disks,
			       &m->count);

	if (!err && !m->count)
		return reason_set(m->reason, -ENOENT, REASON_NOT_FOUND,
				  "no replica of the collection %s is held here",
				  m->asked->collection);
	return err ? reason_set(m->reason, err, REASON_FAILED, "cannot read the state file") : 0;
}

/* A failover is of the whole collection: its point is. */
int method_find(struct method *m, enum failover_kind kind, struct catalog_failover *ret)
{
	int found = catalog_failover_find(store_catalog(m->f->store), m->asked->collection, kind,
					  ret);

	if (found > 0)
		return 0;
	if (found < 0)
		return reason_set(m->reason, found, REASON_FAILED, "cannot read the state file");
	return reason_set(m->reason, -EINVAL, REASON_INVALID_STATE,
			  kind == FAILOVER_TEST ? "the collection %s is not being tested" :
						  "the collection %s is not failed over",
			  m->asked->collection);
}

int method_set(struct method *m, const struct catalog_failover *row)
{
	int err = catalog_failover_set(store_catalog(m->f->store), row);

	return err ? reason_set(m->reason, err, REASON_FAILED, "cannot write the state file: %s",
				strerror(-err)) : 0;
}

static int method_clear(struct method *m, const struct catalog_failover *row)
{
	int err = catalog_failover_clear(store_catalog(m->f->store), row->collection, row->kind);

	if (err)
		return reason_set(m->reason, err, REASON_FAILED, "cannot write the state file: %s",
				  strerror(-err));
	store_unpin(m->f->store, row->collection, row->point);
	receiver_tidy(m->f->receiver);
	return 0;
}

static int drop_disks(struct method *m, const char *name)
{
	int err = 0;

	for (size_t i = 0; i < m->count && !err; i++)
		err = disk_judge_idle(m->f->store, &m->disks[i], name, m->reason);
	for (size_t i = 0; i < m->count && !err; i++)
		err = disk_drop(m->f->store, &m->disks[i], name, m->reason);
	return err;
}

static int make_disks(struct method *m, uint64_t point, const char *name)
{
	size_t made = 0;

	for (size_t i = 0; i < m->count; i++) {
		int none = disk_make(m->f->store, &m->disks[i], point, name, m->reason);

		if (none < 0)
			return none;
		made += !none;
	}
	return made ? 0 : reason_set(m->reason, -ENOENT, REASON_NOT_FOUND,
				     "no disk has anything for point %" PRIu64, point);
}

/* -- exports --------------------------------------------------------------------------- */

static int export_disks(struct failover *f, const struct catalog_failover *row,
			const struct catalog_disk *disks, size_t count, struct reason *reason)
{
	int err = 0;

	pthread_mutex_lock(&f->lock);
	exports_stop(f->exports, row->collection);
	for (size_t i = 0; i < count && !err && row->path[0]; i++) {
		char file[STORE_PATH_MAX], socket[STORE_PATH_MAX];
		int n = snprintf(socket, sizeof(socket), "%s/%s-%s-%s.sock", row->path,
				 row->collection, disks[i].vm, disks[i].name);

		err = n < (int)sizeof(socket) ? disk_path(f->store, &disks[i], STORE_TEST, file) :
						-ENAMETOOLONG;
		if (!err && access(file, F_OK))
			continue; /* it has nothing for this point */
		if (!err)
			err = exports_start(f->exports, row->collection, file, socket, reason);
	}
	pthread_mutex_unlock(&f->lock);
	return err;
}

static void unexport_disks(struct failover *f, const char *collection)
{
	pthread_mutex_lock(&f->lock);
	exports_stop(f->exports, collection);
	pthread_mutex_unlock(&f->lock);
}

/* -- test failover ----------------------------------------------------------------------- */

/* Begin what @row says: the point is in use from here on, and the database knows. */
static int method_begin(struct method *m, struct catalog_failover *row)
{
	uint64_t point;
	int err = points_find(m->f->store, m->asked->collection, m->asked->point, &point,
			      m->reason);

	if (err)
		return err;
	err = store_pin(m->f->store, row->collection, point);
	if (err)
		return reason_set(m->reason, err, REASON_NOT_FOUND, "the point was just retired");
	row->point = point;
	err = method_set(m, row);
	if (!err) {
		crash_at("failover-recorded");
		return 0;
	}
	/* It has not begun: others may use that point, and their use is not ours to end. */
	store_unpin(m->f->store, row->collection, point);
	row->point = 0;
	return err;
}

static int method_test(struct method *m)
{
	struct catalog_failover row = { .kind = FAILOVER_TEST, .state = FAILOVER_MADE };
	int found = catalog_failover_find(store_catalog(m->f->store), m->asked->collection,
					  FAILOVER_TEST, &row);
	int err = found < 0 ? found : 0;

	if (!found) {
		snprintf(row.collection, sizeof(row.collection), "%s", m->asked->collection);
		snprintf(row.path, sizeof(row.path), "%s", m->asked->path ?: "");
		err = method_begin(m, &row);
	}
	if (!err)
		err = make_disks(m, row.point, STORE_TEST);
	if (!err)
		err = export_disks(m->f, &row, m->disks, m->count, m->reason);
	if (!err)
		return 0;
	/* All or nothing. */
	unexport_disks(m->f, row.collection);
	if (!drop_disks(m, STORE_TEST))
		method_clear(m, &row);
	return err;
}

static int method_revert_test(struct method *m)
{
	struct catalog_failover row;
	int err = method_find(m, FAILOVER_TEST, &row);

	if (err)
		return err;
	unexport_disks(m->f, row.collection);
	err = drop_disks(m, STORE_TEST);
	return err ? err : method_clear(m, &row);
}

/* -- failover ------------------------------------------------------------------------------ */

static int method_failover(struct method *m)
{
	struct catalog_failover row = { .kind = FAILOVER_REAL, .state = FAILOVER_MADE };
	int found = catalog_failover_find(store_catalog(m->f->store), m->asked->collection,
					  FAILOVER_REAL, &row);
	int err = found < 0 ? found : 0;

	if (found > 0 && row.state != FAILOVER_MADE)
		return reason_set(m->reason, -EINVAL, REASON_INVALID_STATE,
				  "the collection %s is failed over for good", row.collection);
	if (!found) {
		snprintf(row.collection, sizeof(row.collection), "%s", m->asked->collection);
		err = method_begin(m, &row);
	}
	if (!err)
		err = make_disks(m, row.point, STORE_FAILOVER);
	if (err && row.point && !drop_disks(m, STORE_FAILOVER))
		method_clear(m, &row);
	if (!err)
		log_notice("%s: failed over to point %" PRIu64, row.collection, row.point);
	return err;
}

static int method_revert(struct method *m)
{
	struct catalog_failover row;
	int err = method_find(m, FAILOVER_REAL, &row);

	if (err)
		return err;
	if (row.state != FAILOVER_MADE)
		return reason_set(m->reason, -EINVAL, REASON_INVALID_STATE,
				  "the failover of %s was committed: it cannot be reverted",
				  row.collection);
	err = drop_disks(m, STORE_FAILOVER);
	if (!err)
		err = method_clear(m, &row);
	if (!err)
		log_notice("%s: the failover is reverted, the replica is a replica again",
			   row.collection);
	return err;
}

/* The point is what the raw replicas are; then what the VMs wrote goes into them. */
static int commit_disks(struct method *m, struct ring *ring)
{
	struct merge_tick tick = { method_tick, m };
	int err = retain_run(m->f->store, m->asked->collection, ring, &tick, m->reason);

	for (size_t i = 0; i < m->count && !err; i++)
		err = disk_take(m->f->store, &m->disks[i], STORE_FAILOVER, ring, &tick, m->reason);
	return err;
}

static int commit_record(struct method *m, struct catalog_failover *row,
			 const struct catalog_origin *origins, size_t count)
{
	int err;

	row->state = FAILOVER_COMMITTING;
	err = method_set(m, row);
	if (err)
		return err;
	crash_at("failover-committing");
	err = catalog_cut(store_catalog(m->f->store), row->collection, row->point, origins, count);
	if (err)
		return err;
	crash_at("failover-cut");
	/* It is the only one, and nobody opens its layer by name any more. */
	store_unpin(m->f->store, row->collection, row->point);
	return 0;
}

/* Layers that the cut has forgotten are files that nobody knows. */
static int commit_cut(struct method *m, struct catalog_failover *row)
{
	_cleanup_free_ struct catalog_origin *origins = calloc(m->count + 1, sizeof(*origins));
	size_t count = 0;
	int err = origins ? 0 : -ENOMEM;

	/* What is cut off now differs from what the old primary has: it has to be known. */
	for (size_t i = 0; i < m->count && !err; i++) {
		err = disk_origin(m->f->store, &m->disks[i], row->point, &origins[count]);
		count += origins && origins[count].disk;
	}
	if (!err)
		err = commit_record(m, row, origins, count);
	for (size_t i = 0; i < count; i++)
		catalog_origin_clear(&origins[i]);
	return err ? reason_set(m->reason, err, REASON_FAILED, "cannot write the state file: %s",
				strerror(-err)) : store_recover_disks(m->f->store, row->collection,
								      m->reason);
}
int method_commit(struct method *m)
{
	struct catalog_failover row, test;
	struct ring *ring = NULL;
	int err = method_find(m, FAILOVER_REAL, &row);

	if (err || row.state >= FAILOVER_COMMITTED)
		return err;
	if (catalog_failover_find(store_catalog(m->f->store), row.collection, FAILOVER_TEST,
				  &test) > 0)
		return reason_set(m->reason, -EBUSY, REASON_IN_USE,
				  "the collection %s is being tested: end that first",
				  row.collection);
	for (size_t i = 0; i < m->count && !err; i++)
		err = disk_judge_idle(m->f->store, &m->disks[i], STORE_FAILOVER, m->reason);
	if (!err)
		err = ring_create(&ring, RING_DEPTH);
	if (!err)
		err = commit_cut(m, &row);
	if (!err)
		err = commit_disks(m, ring);
	ring_destroy(ring);
	row.state = FAILOVER_COMMITTED;
	if (!err)
		err = method_set(m, &row);
	if (!err)
		log_notice("%s: the failover to point %" PRIu64 " is committed", row.collection,
			   row.point);
	return err;
}

/* -- planned failover, reverse ---------------------------------------------------------------- */

/*
 * The VMs have been stopped: what is sent now is all there is, and the point
 * says so. Nothing is lost when it is failed over to.
 */
static int method_planned(struct method *m, struct progress *progress)
{
	_cleanup_free_ struct run_report *report = calloc(1, sizeof(*report));
	_cleanup_free_ struct run_report_disk *disks =
		calloc(m->asked->config->disk_count + 1, sizeof(*disks));
	struct run_config config = *m->asked->config;
	struct run_control control = { .cancel_fd = m->cancel_fd };

	if (!report || !disks)
		return reason_set(m->reason, -ENOMEM, 0, "out of memory");
	report->disks = disks;
	config.kind = RUN_RESYNC;
	config.final = true;
	return run_execute(&config, &control, progress, report, m->reason);
}

/* -- all of them ------------------------------------------------------------------------------ */

static int (*const replica_methods[EVENTS])(struct method *m) = {
	[EVENT_TEST] = method_test,
	[EVENT_REVERT_TEST] = method_revert_test,
	[EVENT_FAILOVER] = method_failover,
	[EVENT_REVERT_FAILOVER] = method_revert,
	[EVENT_COMMIT_FAILOVER] = method_commit,
	[EVENT_REVERSE] = reverse_replica,
};

static int judge(const struct failover *f, const struct service_failover *asked,
		 struct reason *reason)
{
	if (asked->role == MODEL_PRIMARY && (asked->event == EVENT_PLANNED_FAILOVER ||
					    asked->event == EVENT_REVERT_PLANNED))
		return 0;
	if (asked->role == MODEL_PRIMARY &&
	    (asked->event == EVENT_PREPARE_REVERSE || asked->event == EVENT_REVERSE))
		return f->receiver ? 0 : reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
						    "this host receives nothing: it needs a "
						    "[receiver] section first");
	if (asked->role != MODEL_REPLICA || !replica_methods[asked->event])
		return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
				  "%s is not supported", model_event_name(asked->event));
	if (!f->receiver)
		return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
				  "this host receives nothing: it has no points");
	if (asked->vm)
		return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
				  "a point is of a whole collection: %s of one VM is not supported",
				  model_event_name(asked->event));
	return 0;
}

static int failover_check(void *arg, const struct service_failover *asked, struct reason *reason)
{
	struct failover *f = arg;
	int err = judge(f, asked, reason);
	uint64_t point;

	if (!err && (asked->event == EVENT_TEST || asked->event == EVENT_FAILOVER))
		err = points_find(f->store, asked->collection, asked->point, &point, reason);
	if (!err && asked->event == EVENT_TEST && asked->path && asked->path[0] != '/')
		err = reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				 "%s: the path of the folder must be absolute", asked->path);
	if (!err && asked->event == EVENT_TEST && asked->path &&
	    access(asked->path, W_OK | X_OK))
		err = reason_set(reason, -errno, REASON_INVALID_PARAMETER,
				 "%s is no folder that sockets could be made in", asked->path);
	if (!err && asked->event == EVENT_REVERSE)
		err = reverse_check(asked, reason);
	return err;
}

/* A test changes nothing that a run needs; all others have the collection for themselves. */
static int failover_replica(struct method *m)
{
	bool alone = m->asked->event != EVENT_TEST && m->asked->event != EVENT_REVERT_TEST;
	int err = alone ? store_claim(m->f->store, m->asked->collection, CLAIM_MS, m->reason) : 0;

	if (err)
		return err;
	/* Not before: a run that was waited for may have brought a disk. */
	err = method_load(m);
	if (!err)
		err = replica_methods[m->asked->event](m);
	if (alone)
		store_release(m->f->store, m->asked->collection);
	if (!err && m->asked->event == EVENT_REVERSE && m->asked->path)
		snprintf(m->peer, m->peer_size, "%s", m->asked->path);
	free(m->disks);
	return err;
}

static int failover_execute(void *arg, const struct service_failover *asked, int cancel_fd,
			    struct progress *progress, char *ret_peer, size_t peer_size,
			    struct reason *reason)
{
	struct method m = {
		.f = arg,
		.asked = asked,
		.cancel_fd = cancel_fd,
		.peer = ret_peer,
		.peer_size = peer_size,
		.reason = reason,
	};
	int err = judge(arg, asked, reason);

	if (peer_size)
		ret_peer[0] = '\0';
	if (err || asked->event == EVENT_REVERT_PLANNED)
		return err;
	if (asked->role == MODEL_PRIMARY &&
	    (asked->event == EVENT_PREPARE_REVERSE || asked->event == EVENT_REVERSE))
		return reverse_primary(&m);
	return asked->event == EVENT_PLANNED_FAILOVER ? method_planned(&m, progress) :
							failover_replica(&m);
}

/* -- life --------------------------------------------------------------------------------- */

static int failover_resume(struct failover *f, struct reason *reason)
{
	_cleanup_free_ struct catalog_failover *rows = NULL;
	size_t count = 0;
	int err = catalog_failovers(store_catalog(f->store), &rows, &count);

	if (err)
		return reason_set(reason, err, REASON_FAILED, "cannot read the state file");
	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ struct catalog_disk *disks = NULL;
		struct reason why = { 0 };
		size_t disk_count = 0;

		/* The store has pinned the points. */
		if (rows[i].kind != FAILOVER_TEST || !rows[i].path[0])
			continue;
		err = catalog_list(store_catalog(f->store), rows[i].collection, &disks,
				   &disk_count);
		if (!err)
			err = export_disks(f, &rows[i], disks, disk_count, &why);
		if (err)
			log_warning("%s: the disks under test are not exported any more: %s",
				    rows[i].collection, why.text);
	}
	return 0;
}

int failover_create(struct failover **ret, struct receiver *receiver, struct reason *reason)
{
	struct failover *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	f->receiver = receiver;
	f->store = receiver ? receiver_store(receiver) : NULL;
	f->ops = (struct service_failover_ops){ failover_check, failover_execute, f };
	f->origins = (struct run_origins){ reverse_load_origin, f->store };
	pthread_mutex_init(&f->lock, NULL);
	err = exports_create(&f->exports);
	if (err)
		reason_set(reason, err, 0, "cannot start a thread");
	else if (receiver)
		err = failover_resume(f, reason);
	if (err) {
		failover_destroy(f);
		return err;
	}
	*ret = f;
	return 0;
}

struct failover *failover_destroy(struct failover *f)
{
	if (!f)
		return NULL;
	exports_destroy(f->exports);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

const struct run_origins *failover_origins(struct failover *f)
{
	return f->receiver ? &f->origins : NULL;
}

const struct service_failover_ops *failover_ops(struct failover *f)
{
	return &f->ops;
}
