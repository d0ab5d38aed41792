// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The service in the database: STATE_DIR/agent.db, whose tables are made by
 * job/history.c. Whoever changes several rows wraps them in record_begin() and
 * record_end(): the agent may be killed between any two statements, and what it
 * finds then must have been true at one instant.
 */
#include "service/private.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "base/util.h"

/* Run a statement; @types: i int64_t, t text, b 16 bytes. */
static int put(struct service *s, const char *sql, const char *types, ...)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(s->state, sql, &q);
	va_list args;

	if (err)
		return err;
	va_start(args, types);
	for (int i = 1; *types; i++, types++) {
		if (*types == 'i')
			state_bind_int(q, i, va_arg(args, int64_t));
		else if (*types == 't')
			state_bind_text(q, i, va_arg(args, const char *));
		else
			state_bind_blob(q, i, va_arg(args, const void *), FRAME_UUID_SIZE);
	}
	va_end(args);
	return state_run(q);
}

/* A query about a collection in a role. */
static int ask(struct service *s, const char *sql, const struct collection *c,
	       struct state_query **ret)
{
	int err = state_prepare(s->state, sql, ret);

	if (err)
		return err;
	state_bind_text(*ret, 1, c->name);
	state_bind_int(*ret, 2, c->role);
	return 0;
}

int record_begin(struct service *s)
{
	return state_begin(s->state);
}

int record_end(struct service *s, int err)
{
	if (!err) {
		crash_at("service-changed");
		err = state_commit(s->state);
		crash_at("service-committed");
	}
	if (err)
		state_rollback(s->state);
	return err;
}

/* -- collections ------------------------------------------------------------ */

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
	{ "start_time", offsetof(struct service_statistics, start_time) },
	{ "end_time", offsetof(struct service_statistics, end_time) },
	{ "size", offsetof(struct service_statistics, size) },
	{ "max_size", offsetof(struct service_statistics, max_size) },
	{ "success_count", offsetof(struct service_statistics, success_count) },
	{ "miss_count", offsetof(struct service_statistics, miss_count) },
	{ "network_failure_count", offsetof(struct service_statistics, network_failure_count) },
	{ "failure_count", offsetof(struct service_statistics, failure_count) },
	{ "latency", offsetof(struct service_statistics, latency) },
	{ "latency_sum", offsetof(struct service_statistics, latency_sum) },
	{ "max_latency", offsetof(struct service_statistics, max_latency) },
	{ "last_test_time", offsetof(struct service_statistics, last_test_time) },
	{ "resync_count", offsetof(struct service_statistics, resync_count) },
	{ "compared_bytes", offsetof(struct service_statistics, compared_bytes) },
	{ "sent_bytes", offsetof(struct service_statistics, sent_bytes) },
};

/*
 * Moments of the steady clock, which begins anew with each boot, are kept as those
 * of the wall clock; 0 stays 0: never.
 */
static int64_t wall_of(struct service *s, int64_t at)
{
	return at ? wall(s) + at - steady(s) : 0;
}

static int64_t steady_of(struct service *s, int64_t at)
{
	return at ? steady(s) + at - wall(s) : 0;
}

static const struct {
	const char *name;
	size_t offset;
} moments[] = {
	{ "grid", offsetof(struct collection_private, grid) },
	{ "last_start", offsetof(struct collection_private, last_start) },
	{ "consistent", offsetof(struct collection_private, consistent) },
};

static int record_statistics(struct service *s, const struct collection *c)
{
	static const char sql[] = "INSERT OR REPLACE INTO statistics (collection, role, name, value)"
				  " VALUES (?, ?, ?, ?)";
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(counters) && !err; i++)
		err = put(s, sql, "titi", c->name, (int64_t)c->role, counters[i].name,
			  *(const int64_t *)((const char *)&c->statistics + counters[i].offset));
	if (!err)
		err = put(s, sql, "titi", c->name, (int64_t)c->role, "cycles",
			  (int64_t)c->private->cycles);
	if (!err)
		err = put(s, sql, "titi", c->name, (int64_t)c->role, "missed",
			  (int64_t)c->private->missed);
	for (size_t i = 0; i < ARRAY_SIZE(moments) && !err; i++) {
		const char *at = (const char *)c->private + moments[i].offset;

		err = put(s, sql, "titi", c->name, (int64_t)c->role, moments[i].name,
			  wall_of(s, *(const int64_t *)at));
	}
	return err;
}

/* A clock that was set back meanwhile must not leave moments in the future. */
static void load_moment(struct service *s, struct collection *c, const char *name, int64_t value)
{
	for (size_t i = 0; i < ARRAY_SIZE(moments); i++) {
		char *at = (char *)c->private + moments[i].offset;

		if (strcmp(name, moments[i].name) == 0 && value <= wall(s))
			*(int64_t *)at = steady_of(s, value);
	}
}

static int load_statistics(struct service *s, struct collection *c)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = ask(s, "SELECT name, value FROM statistics WHERE collection = ? AND role = ?", c,
		      &q);

	while (!err && (err = state_step(q)) > 0) {
		const char *name = state_text(q, 0);
		int64_t value = state_int(q, 1);

		for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
			if (strcmp(name, counters[i].name) == 0)
				*(int64_t *)((char *)&c->statistics + counters[i].offset) = value;
		}
		load_moment(s, c, name, value);
		if (strcmp(name, "cycles") == 0)
			c->private->cycles = value;
		else if (strcmp(name, "missed") == 0)
			c->private->missed = value;
		err = 0;
	}
	return err;
}

int record_members(struct service *s, const struct collection *c)
{
	int err = 0;

	for (size_t i = 0; i < c->vm_count && !err; i++) {
		const struct service_vm *vm = &c->vms[i];

		err = put(s, "INSERT OR REPLACE INTO member (collection, role, vm, state, error,"
			  " text, retries, retry_at, stuck) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			  "titiit" "iii", c->name, (int64_t)c->role, vm->name,
			  (int64_t)vm->state, (int64_t)vm->error, vm->error_text,
			  (int64_t)vm->retries, wall_of(s, vm->retry_at), (int64_t)vm->stuck);
	}
	return err ? err : record_statistics(s, c);
}

static int record_setting(struct service *s, const struct collection *c, const char *vm,
			  const char *name, const char *value)
{
	return put(s, "INSERT OR REPLACE INTO setting (collection, role, vm, name, value)"
		   " VALUES (?, ?, ?, ?, ?)", "titt" "t", c->name, (int64_t)c->role, vm, name, value);
}

static int record_settings(struct service *s, const struct collection *c)
{
	size_t count;
	const struct setting *table = settings_table(&count);
	char text[SETTING_TEXT_MAX];
	int err = put(s, "DELETE FROM setting WHERE collection = ? AND role = ?", "ti", c->name,
		      (int64_t)c->role);

	for (size_t i = 0; i < count && !err; i++) {
		table[i].get(&c->settings, text, sizeof(text));
		/* What was not said is what is found when there is no row. */
		if (strcmp(table[i].key, "history") == 0 && !c->settings.history_given)
			continue;
		if (*text)
			err = record_setting(s, c, "", table[i].key, text);
	}
	for (size_t i = 0; i < c->vm_count && !err; i++) {
		const struct service_vm *vm = &c->vms[i];
		const struct settings own = { .host = vm->host, .port = vm->port };

		if (vm->host) {
			settings_find("replica")->get(&own, text, sizeof(text));
			err = record_setting(s, c, vm->name, "replica", text);
		}
		if (vm->freeze && !err)
			err = record_setting(s, c, vm->name, "freeze_hook", vm->freeze);
	}
	return err;
}

static int record_disks(struct service *s, const struct collection *c)
{
	int err = put(s, "DELETE FROM member_disk WHERE collection = ? AND role = ?", "ti", c->name,
		      (int64_t)c->role);

	for (size_t i = 0; i < c->vm_count; i++) {
		const struct service_vm *vm = &c->vms[i];

		for (size_t j = 0; j < vm->disk_count && !err; j++) {
			const struct service_disk *d = &vm->disks[j];

			err = put(s, "INSERT INTO member_disk (collection, role, vm, disk, device,"
				  " tracked, granule) VALUES (?, ?, ?, ?, ?, ?, ?)", "titttii",
				  c->name, (int64_t)c->role, vm->name, d->name,
				  d->device ? d->device : "", (int64_t)d->tracked,
				  (int64_t)d->granule);
		}
	}
	return err;
}

int record_collection(struct service *s, const struct collection *c)
{
	int err = put(s, "INSERT OR REPLACE INTO relation (collection, role, origin) "
		      "VALUES (?, ?, ?)", "tii", c->name, (int64_t)c->role, (int64_t)c->origin);

	if (!err && c->origin == ORIGIN_API)
		err = record_settings(s, c);
	if (!err && c->origin == ORIGIN_API)
		err = record_disks(s, c);
	if (!err)
		err = put(s, "DELETE FROM member WHERE collection = ? AND role = ?", "ti", c->name,
			  (int64_t)c->role);
	return err ? err : record_members(s, c);
}

int record_forget(struct service *s, const char *name, enum model_role role)
{
	static const char *const tables[] = {
		"DELETE FROM relation WHERE collection = ? AND role = ?",
		"DELETE FROM setting WHERE collection = ? AND role = ?",
		"DELETE FROM member WHERE collection = ? AND role = ?",
		"DELETE FROM member_disk WHERE collection = ? AND role = ?",
		"DELETE FROM statistics WHERE collection = ? AND role = ?",
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables) && !err; i++)
		err = put(s, tables[i], "ti", name, (int64_t)role);
	if (!err && role == MODEL_PRIMARY)
		err = put(s, "DELETE FROM disk WHERE collection = ?", "t", name);
	return err;
}

int record_disk(struct service *s, const struct collection *c, const struct service_vm *vm,
		const struct service_disk *d)
{
	return put(s, "INSERT OR REPLACE INTO disk (collection, vm, disk, uuid, epoch, point, ended,"
		   " committed, doubt, attach, sequence)"
		   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "tttbiiiitii", c->name,
		   vm->name, d->name, d->tracker, (int64_t)d->point_epoch, (int64_t)d->point,
		   d->point_time, (int64_t)d->committed_epoch, d->doubt, (int64_t)d->attach,
		   (int64_t)d->meta_sequence);
}

/* -- reading collections ---------------------------------------------------- */

/* A VM of which nothing is recorded: what its disks say. Older versions left only those. */
static enum model_vm_state state_of_disks(struct service *s, const struct collection *c,
					  const struct service_vm *vm)
{
	struct history_entry last;

	for (size_t i = 0; i < vm->disk_count; i++) {
		if (!vm->disks[i].point && !vm->disks[i].excluded)
			return VM_READY;
	}
	if (!history_last(s->history, c->name, &last) && last.state != JOB_COMPLETED &&
	    last.state != JOB_WARNINGS)
		return VM_WAITING_RESYNC;
	return VM_REPLICATING;
}

static int load_points(struct service *s, struct collection *c)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(s->state, "SELECT vm, disk, uuid, epoch, point, ended, committed,"
				" doubt, attach, sequence FROM disk WHERE collection = ?", &q);

	if (err)
		return err;
	state_bind_text(q, 1, c->name);
	while ((err = state_step(q)) > 0) {
		struct service_vm *vm = collection_find_vm(c, state_text(q, 0));

		for (size_t i = 0; vm && i < vm->disk_count; i++) {
			struct service_disk *d = &vm->disks[i];

			if (strcmp(d->name, state_text(q, 1)) != 0)
				continue;
			state_blob(q, 2, d->tracker, sizeof(d->tracker));
			d->point_epoch = state_int(q, 3);
			d->point = state_int(q, 4);
			d->point_time = state_int(q, 5);
			d->committed_epoch = state_int(q, 6);
			snprintf(d->doubt, sizeof(d->doubt), "%s", state_text(q, 7));
			d->attach = state_int(q, 8);
			d->meta_sequence = state_int(q, 9);
			if (d->point_time >= vm->point_time) {
				vm->point = d->point;
				vm->point_time = d->point_time;
			}
		}
	}
	return err;
}

#define MEMBER_COLUMNS "vm, state, error, text, retries, retry_at, stuck"

static void load_member(struct service *s, struct state_query *q, struct service_vm *vm)
{
	int64_t retry = steady_of(s, state_int(q, 5));

	vm->state = state_int(q, 1);
	if (vm->state >= VM_STATES)
		vm->state = VM_UNKNOWN;
	vm->error = state_int(q, 2);
	snprintf(vm->error_text, sizeof(vm->error_text), "%s", state_text(q, 3));
	vm->retries = state_int(q, 4);
	/* Never later than it would be after a failure now, whatever the clock says. */
	vm->retry_at = retry > steady(s) + schedule_retry(vm->retries) ?
		       steady(s) + schedule_retry(vm->retries) : retry;
	vm->stuck = state_int(q, 6);
}

int record_load_members(struct service *s, struct collection *c)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = c->role == MODEL_PRIMARY ? load_points(s, c) : 0;

	for (size_t i = 0; i < c->vm_count && !err; i++)
		c->vms[i].state = c->role == MODEL_PRIMARY ? state_of_disks(s, c, &c->vms[i]) :
							     VM_DISABLED;
	if (!err)
		err = ask(s, "SELECT " MEMBER_COLUMNS " FROM member "
			  "WHERE collection = ? AND role = ?", c, &q);
	while (!err && (err = state_step(q)) > 0) {
		struct service_vm *vm = collection_find_vm(c, state_text(q, 0));

		err = 0;
		if (vm)
			load_member(s, q, vm);
	}
	return err ? err : load_statistics(s, c);
}

int record_load_vm(struct service *s, const struct collection *c, struct service_vm *vm)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = ask(s, "SELECT " MEMBER_COLUMNS " FROM member "
		      "WHERE collection = ? AND role = ? AND vm = ?", c, &q);

	if (err)
		return err;
	state_bind_text(q, 3, vm->name);
	err = state_step(q);
	if (err <= 0)
		return err;
	load_member(s, q, vm);
	return 0;
}

static int load_disks(struct service *s, struct collection *c)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = ask(s, "SELECT vm, disk, device, tracked, granule FROM member_disk "
		      "WHERE collection = ? AND role = ?", c, &q);

	while (!err && (err = state_step(q)) > 0) {
		struct service_vm *vm = collection_add_vm(c, state_text(q, 0));
		struct service_disk *d = vm ? vm_add_disk(vm, state_text(q, 1)) : NULL;

		if (!d)
			return -ENOMEM;
		d->device = strdup(state_text(q, 2));
		d->tracked = state_int(q, 3);
		d->granule = state_int(q, 4);
		err = d->device ? 0 : -ENOMEM;
	}
	return err;
}

static int load_settings(struct service *s, struct collection *c)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = ask(s, "SELECT vm, name, value FROM setting WHERE collection = ? AND role = ?", c,
		      &q);

	while (!err && (err = state_step(q)) > 0) {
		const char *name = state_text(q, 1);
		struct settings own = { 0 };
		struct service_vm *vm;

		if (!*state_text(q, 0)) {
			/* What a newer version allowed is left at its default, not guessed. */
			err = settings_apply(&c->settings, name, state_text(q, 2), NULL);
			if (err && err != -ENOMEM) {
				log_warning("collection %s: stored %s=%s is not understood",
					    c->name, name, state_text(q, 2));
				err = 0;
			}
			continue;
		}
		vm = collection_find_vm(c, state_text(q, 0));
		err = settings_apply(&own, name, state_text(q, 2), NULL);
		if (err || !vm) {
			settings_clear(&own);
			err = err == -ENOMEM ? err : 0;
			continue;
		}
		if (own.host) {
			vm->host = own.host;
			vm->port = own.port;
		}
		if (own.freeze)
			vm->freeze = own.freeze;
	}
	return err;
}

static int load_one(struct service *s, struct collection *c)
{
	int err = load_disks(s, c);

	if (!err)
		err = load_settings(s, c);
	if (!err) {
		collection_sort(c);
		collection_include(c);
		err = record_load_members(s, c);
	}
	return err;
}

/* A collection of a file whose roles were exchanged: the file gives its disks. */
static int load_exchanged(struct service *s, const char *name)
{
	struct collection *c = service_get(s, name);

	if (!c || c->origin != ORIGIN_FILE)
		return 0;
	c->role = MODEL_REPLICA;
	return record_load_members(s, c);
}

int record_load(struct service *s, struct reason *reason)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(s->state, "SELECT collection, role, origin FROM relation", &q);

	while (!err && (err = state_step(q)) > 0) {
		const char *name = state_text(q, 0);
		struct collection *c;

		err = 0;
		if (state_int(q, 2) == ORIGIN_FILE && state_int(q, 1) == MODEL_REPLICA) {
			err = load_exchanged(s, name);
			continue;
		}
		if (state_int(q, 2) != ORIGIN_API)
			continue;
		c = service_get(s, name);
		if (c && c->role == MODEL_PRIMARY) {
			log_warning("collection %s is in a file and was made by the API, too: "
				    "the file's holds", name);
			continue;
		}
		c = collection_new(name, state_int(q, 1), ORIGIN_API);
		err = c ? load_one(s, c) : -ENOMEM;
		if (!err)
			err = service_insert(s, c);
		if (err)
			collection_free(c);
	}
	return err ? reason_set(reason, err, 0, "cannot read the collections of agent.db: %s",
				strerrordesc_np(-err)) : 0;
}

/* -- jobs ------------------------------------------------------------------- */

static int record_job_members(struct service *s, const struct service_job *job)
{
	int err = 0;

	for (size_t i = 0; i < job->member_count && !err; i++) {
		const struct service_job_member *m = &job->members[i];

		err = put(s, "INSERT OR REPLACE INTO job_member (job, vm, was, state, error, text)"
			  " VALUES (?, ?, ?, ?, ?, ?)", "itiiit", (int64_t)job->id, m->vm,
			  (int64_t)m->from, (int64_t)m->state, (int64_t)m->error, m->text);
	}
	return err;
}

int record_job_new(struct service *s, struct service_job *job)
{
	const struct service_job_private *p = job->private;
	const char *vm = p->vm ? p->vm : "";
	const char *path = p->path ? p->path : "";
	int err = put(s, "INSERT INTO job (collection, kind, state, started, method, role, owner,"
		      " notify, submitted, scheduled, until, removal, fleeting, automatic, compare,"
		      " forced, asked_point, asked_vm, asked_path, initial, paranoid)"
		      " VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		      "tiititt" "iiiiiiiii" "ttii", job->collection,
		      (int64_t)(job->event == EVENT_VERIFY ? RUN_VERIFY : RUN_RESYNC),
		      (int64_t)job->state, model_event_name(job->event), (int64_t)job->role,
		      job->owner, job->notify, job->submitted, job->scheduled, job->until,
		      job->removal_us, (int64_t)job->delete_on_completion, (int64_t)p->automatic,
		      (int64_t)job->compare, (int64_t)p->failover.force,
		      (int64_t)p->failover.point, vm, path, (int64_t)job->initial,
		      (int64_t)job->paranoid);

	if (err)
		return err;
	job->id = state_last_id(s->state);
	return record_job_members(s, job);
}

int record_job(struct service *s, const struct service_job *job)
{
	struct progress_view p;
	int err;

	service_job_progress(job, &p);
	err = put(s, "UPDATE job SET state = ?, error = ?, text = ?, point = ?, consistency = ?,"
		  " started = ?, ended = ?, scheduled = ?, status = ?, owed = ?, sent = ?, wire = ?,"
		  " different = ?, passes = ?, hash = ? WHERE id = ?", "iitiiiiit" "iiiiiti",
		  (int64_t)job->state, (int64_t)job->error, job->text, (int64_t)job->point,
		  (int64_t)job->consistency, job->started / SECOND_US, job->ended / SECOND_US,
		  job->scheduled, job->status, (int64_t)p.owed, (int64_t)p.sent, (int64_t)p.wire,
		  (int64_t)p.different, (int64_t)p.passes, job->hash, (int64_t)job->id);
	return err ? err : record_job_members(s, job);
}

int record_job_rate(struct service *s, const struct service_job *job, uint64_t limit)
{
	return put(s, "UPDATE job SET rate_limit = ? WHERE id = ?", "ii", (int64_t)limit,
		   (int64_t)job->id);
}

static int load_job_members(struct service *s, struct service_job *job, const struct collection *c)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(s->state, "SELECT vm, was FROM job_member WHERE job = ?", &q);

	if (err)
		return err;
	state_bind_int(q, 1, job->id);
	while ((err = state_step(q)) > 0) {
		const struct service_vm *vm = c ? service_vm(c, state_text(q, 0)) : NULL;

		if (!vm)
			continue;
		err = job_add_member(job, vm);
		if (err)
			return err;
		job->members[job->member_count - 1].from = state_int(q, 1);
	}
	return err;
}

static enum model_event event_of_name(const char *name)
{
	unsigned int i = 0;

	while (i < EVENTS && strcmp(model_event_name(i), name) != 0)
		i++;
	return i;
}

static void load_job_row(struct state_query *q, struct service_job *job)
{
	struct service_job_private *p = job->private;

	job->id = state_int(q, 0);
	job->state = state_int(q, 3);
	job->started = state_int(q, 4) * SECOND_US;
	snprintf(job->owner, sizeof(job->owner), "%s", state_text(q, 6));
	snprintf(job->notify, sizeof(job->notify), "%s", state_text(q, 7));
	job->submitted = state_int(q, 8);
	job->scheduled = state_int(q, 9);
	job->until = state_int(q, 10);
	/* 0: a job of the version before. */
	if (state_int(q, 11))
		job->removal_us = state_int(q, 11);
	job->delete_on_completion = state_int(q, 12);
	p->automatic = state_int(q, 13);
	job->compare = state_int(q, 14);
	p->failover.force = state_int(q, 15);
	p->failover.point = state_int(q, 16);
	p->vm = *state_text(q, 17) ? strdup(state_text(q, 17)) : NULL;
	p->path = *state_text(q, 18) ? strdup(state_text(q, 18)) : NULL;
	job->initial = state_int(q, 19);
	job->paranoid = state_int(q, 20);
	job->rate_limit = state_int(q, 21);
}

static int load_job(struct service *s, struct state_query *q)
{
	const char *name = state_text(q, 1);
	struct collection stranger = { .role = state_int(q, 5) };
	const struct collection *c = service_find(s, name);
	enum model_event event = event_of_name(state_text(q, 2));
	struct service_job *job, **link = &s->jobs;
	int err;

	snprintf(stranger.name, sizeof(stranger.name), "%s", name);
	job = job_new(s, c ? c : &stranger, event);
	if (!job)
		return -ENOMEM;
	load_job_row(q, job);
	err = load_job_members(s, job, c);
	if (err) {
		job_free(job);
		return err;
	}
	while (*link && (*link)->id > job->id)
		link = &(*link)->next;
	job->next = *link;
	*link = job;
	return 0;
}

int record_load_jobs(struct service *s, struct reason *reason)
{
	_cleanup_query_ struct state_query *q = NULL;
	int err = state_prepare(s->state, "SELECT id, collection, method, state, started, role,"
				" owner, notify, submitted, scheduled, until, removal, fleeting,"
				" automatic, compare, forced, asked_point, asked_vm, asked_path,"
				" initial, paranoid, rate_limit"
				" FROM job WHERE ended = 0", &q);

	while (!err && (err = state_step(q)) > 0)
		err = load_job(s, q);
	return err ? reason_set(reason, err, 0, "cannot read the jobs of agent.db: %s",
				strerrordesc_np(-err)) : 0;
}
