// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/store.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "point/catalog-clear.h"
#include "point/catalog-failover.h"
#include "point/catalog-point.h"
#include "point/fault.h"
#include "point/file.h"
#include "point/retain.h"

/* A name begins with a dot so that no collection can have it: see name_valid(). */
#define STORE_LOCK ".lock"
#define STORE_STATE ".state.db"

/* struct claim - a collection that somebody has for himself */
struct claim {
	struct claim *next;
	char collection[NAME_SIZE];
	enum store_state activity;
	uint64_t done;
	uint64_t total;
};

/* struct pin - a point that somebody uses; one for each use */
struct pin {
	struct pin *next;
	char collection[NAME_SIZE];
	uint64_t point;
};

/*
 * @lock: covers @claims, @waiting and @pins; @released is signalled when one of them goes
 * @lock_fd: holds the lock on the store, for as long as it is open
 */
struct store {
	char dir[STORE_PATH_MAX];
	int lock_fd;
	struct catalog *catalog;
	struct faults *faults;
	struct store_target *targets;
	size_t target_count;
	pthread_mutex_t lock;
	pthread_cond_t released;
	struct claim *claims;
	struct claim *waiting;
	struct pin *pins;
	unsigned int history;
	unsigned int history_max;
};

const char *store_state_name(enum store_state state)
{
	static const char *const names[] = {
		[STORE_SEEDING] = "seeding",
		[STORE_READY] = "ready",
		[STORE_DAMAGED] = "damaged",
		[STORE_RECEIVING] = "receiving",
		[STORE_MERGING] = "merging",
		[STORE_CLEARING] = "clearing",
	};

	return (size_t)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

/* -- open and close --------------------------------------------------------------- */

static int store_lock_dir(struct store *s, struct reason *reason)
{
	char path[STORE_PATH_MAX];
	int err = file_path(path, sizeof(path), s->dir, STORE_LOCK);

	if (err)
		return reason_set(reason, err, 0, "the store's path is too long");
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock_fd < 0)
		return reason_set(reason, -errno, 0, "cannot open %s: %s", path, strerror(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			return reason_set(reason, -EBUSY, 0, "another agent uses the store %s",
					  s->dir);
		return reason_set(reason, -errno, 0, "cannot lock %s: %s", path, strerror(errno));
	}
	return 0;
}

static int store_set_dir(struct store *s, const char *dir, struct reason *reason)
{
	char real[PATH_MAX];
	int err = file_make_folder(dir);

	if (err)
		return reason_set(reason, err, 0, "cannot use %s as a store: %s", dir,
				  strerror(-err));
	/* Backing names and the database must hold whatever the working folder is. */
	if (!realpath(dir, real))
		return reason_set(reason, -errno, 0, "cannot use %s as a store: %s", dir,
				  strerror(errno));
	if (strlen(real) >= sizeof(s->dir))
		return reason_set(reason, -ENAMETOOLONG, 0, "the store's path is too long");
	memcpy(s->dir, real, strlen(real) + 1);
	return 0;
}

static int store_copy_targets(struct store *s, const struct store_target *from, size_t count)
{
	s->targets = calloc(count + 1, sizeof(*s->targets));
	if (!s->targets)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct store_target *t = &s->targets[i];

		t->collection = strdup(from[i].collection);
		t->vm = strdup(from[i].vm);
		t->disk = strdup(from[i].disk);
		t->path = strdup(from[i].path);
		t->force = from[i].force;
		s->target_count++;
		if (!t->collection || !t->vm || !t->disk || !t->path)
			return -ENOMEM;
	}
	return 0;
}

static int store_check_targets(const struct store *s, struct reason *reason)
{
	for (size_t i = 0; i < s->target_count; i++) {
		const struct store_target *t = &s->targets[i];

		if (!name_valid(t->collection) || !name_valid(t->vm) || !name_valid(t->disk))
			return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
					  "the target %s is for a disk with an invalid name",
					  t->path);
		if (t->path[0] != '/' || strlen(t->path) + sizeof(".partial") > STORE_PATH_MAX)
			return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
					  "the target %s is no absolute path", t->path);
	}
	return 0;
}

static int store_init(struct store *s, const char *dir, const char *state_path,
		      const struct store_target *targets, size_t target_count,
		      struct reason *reason)
{
	char path[STORE_PATH_MAX];
	int err = faults_create(&s->faults);

	if (!err)
		err = store_copy_targets(s, targets, target_count);
	if (!err)
		err = store_check_targets(s, reason);
	if (!err)
		err = store_set_dir(s, dir, reason);
	if (!err)
		err = store_lock_dir(s, reason);
	if (!err)
		err = file_path(path, sizeof(path), s->dir, STORE_STATE);
	if (!err)
		err = catalog_open(state_path ? state_path : path, &s->catalog, reason);
	return err;
}

int store_open(const char *dir, const char *state_path, const struct store_target *targets,
	       size_t target_count, struct store **ret, struct reason *reason)
{
	struct store *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;
	int err;

	if (!s)
		return reason_set(reason, -ENOMEM, 0, "no memory for a store");
	s->lock_fd = -1;
	s->history_max = RETAIN_HISTORY_MAX;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->released, &attr);
	pthread_condattr_destroy(&attr);
	err = store_init(s, dir, state_path, targets, target_count, reason);
	if (err) {
		store_close(s);
		return reason_set(reason, err, 0, "cannot open the store %s: %s", dir,
				  strerror(-err));
	}
	*ret = s;
	return 0;
}

struct store *store_close(struct store *s)
{
	if (!s)
		return NULL;
	catalog_close(s->catalog);
	faults_destroy(s->faults);
	for (size_t i = 0; i < s->target_count; i++) {
		free((char *)s->targets[i].collection);
		free((char *)s->targets[i].vm);
		free((char *)s->targets[i].disk);
		free((char *)s->targets[i].path);
	}
	free(s->targets);
	while (s->pins) {
		struct pin *next = s->pins->next;

		free(s->pins);
		s->pins = next;
	}
	closep(&s->lock_fd);
	pthread_cond_destroy(&s->released);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

struct catalog *store_catalog(struct store *s)
{
	return s->catalog;
}

const char *store_dir(const struct store *s)
{
	return s->dir;
}

struct faults *store_faults(struct store *s)
{
	return s->faults;
}

const struct store_target *store_target(struct store *s, const char *collection,
					const char *vm, const char *disk)
{
	for (size_t i = 0; i < s->target_count; i++) {
		const struct store_target *t = &s->targets[i];

		if (!strcmp(t->collection, collection) && !strcmp(t->vm, vm) &&
		    !strcmp(t->disk, disk))
			return t;
	}
	return NULL;
}

/* -- folders ---------------------------------------------------------------------- */

int store_folder(struct store *s, const char *collection, const char *vm, const char *disk,
		 char ret[STORE_PATH_MAX])
{
	int n = snprintf(ret, STORE_PATH_MAX, "%s/%s/%s/%s", s->dir, collection, vm, disk);

	/* Room for the longest name in it. */
	return n < 0 || n + 32 > STORE_PATH_MAX ? -ENAMETOOLONG : 0;
}

int store_make_folder(struct store *s, const char *collection, const char *vm, const char *disk,
		      struct reason *reason)
{
	char path[STORE_PATH_MAX];
	int err = store_folder(s, collection, vm, disk, path);

	for (char *slash = path + strlen(s->dir); slash && !err; ) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		err = file_make_folder(path);
		if (!err)
			err = file_sync_parent(path);
		if (slash)
			*slash = '/';
	}
	return err ? reason_set(reason, err, 0, "cannot make the folder %s: %s", path,
				strerror(-err)) : 0;
}

/* -- claims ----------------------------------------------------------------------- */

static struct claim *store_find_claim(struct store *s, const char *collection)
{
	struct claim *c = s->claims;

	while (c && strcmp(c->collection, collection))
		c = c->next;
	return c;
}

static void deadline_in(struct timespec *ret, unsigned int ms)
{
	clock_gettime(CLOCK_MONOTONIC, ret);
	ret->tv_sec += ms / 1000;
	ret->tv_nsec += ms % 1000 * 1000000l;
	if (ret->tv_nsec >= 1000000000l) {
		ret->tv_sec++;
		ret->tv_nsec -= 1000000000l;
	}
}

static int store_claim_locked(struct store *s, struct claim *mine, unsigned int wait_ms,
			      struct reason *reason)
{
	struct timespec deadline;
	struct claim *other;

	deadline_in(&deadline, wait_ms);
	while ((other = store_find_claim(s, mine->collection))) {
		struct claim **at = &s->waiting;
		int late;

		mine->next = s->waiting;
		s->waiting = mine;
		late = pthread_cond_timedwait(&s->released, &s->lock, &deadline);
		while (*at != mine)
			at = &(*at)->next;
		*at = mine->next;
		other = store_find_claim(s, mine->collection);
		if (late == ETIMEDOUT && other)
			return reason_set(reason, -EBUSY, REASON_IN_USE,
					  "the collection %s is in use here: %s",
					  mine->collection, store_state_name(other->activity));
	}
	mine->next = s->claims;
	s->claims = mine;
	return 0;
}

bool store_wanted(struct store *s, const char *collection)
{
	const struct claim *c;

	pthread_mutex_lock(&s->lock);
	for (c = s->waiting; c && strcmp(c->collection, collection);)
		c = c->next;
	pthread_mutex_unlock(&s->lock);
	return c;
}

int store_claim(struct store *s, const char *collection, unsigned int wait_ms,
		struct reason *reason)
{
	struct claim *mine = calloc(1, sizeof(*mine));
	int err;

	if (!mine)
		return reason_set(reason, -ENOMEM, 0, "no memory");
	snprintf(mine->collection, sizeof(mine->collection), "%s", collection);
	mine->activity = STORE_READY;
	pthread_mutex_lock(&s->lock);
	err = store_claim_locked(s, mine, wait_ms, reason);
	pthread_mutex_unlock(&s->lock);
	if (err)
		free(mine);
	return err;
}

void store_release(struct store *s, const char *collection)
{
	struct claim **at, *gone;

	pthread_mutex_lock(&s->lock);
	for (at = &s->claims; *at && strcmp((*at)->collection, collection);)
		at = &(*at)->next;
	gone = *at;
	if (gone)
		*at = gone->next;
	pthread_cond_broadcast(&s->released);
	pthread_mutex_unlock(&s->lock);
	free(gone);
}

void store_activity(struct store *s, const char *collection, enum store_state activity)
{
	struct claim *c;

	pthread_mutex_lock(&s->lock);
	c = store_find_claim(s, collection);
	if (c)
		c->activity = activity;
	pthread_mutex_unlock(&s->lock);
}

void store_progress(struct store *s, const char *collection, uint64_t done, uint64_t total)
{
	struct claim *c;

	pthread_mutex_lock(&s->lock);
	c = store_find_claim(s, collection);
	if (c) {
		c->done = done;
		c->total = total;
	}
	pthread_mutex_unlock(&s->lock);
}

static void store_progress_of(struct store *s, const char *collection, struct store_replica *ret)
{
	const struct claim *c;

	pthread_mutex_lock(&s->lock);
	c = store_find_claim(s, collection);
	if (c) {
		ret->done = c->done;
		ret->total = c->total;
	}
	pthread_mutex_unlock(&s->lock);
}

enum store_state store_activity_of(struct store *s, const char *collection)
{
	enum store_state activity = STORE_READY;
	struct claim *c;

	pthread_mutex_lock(&s->lock);
	c = store_find_claim(s, collection);
	if (c)
		activity = c->activity;
	pthread_mutex_unlock(&s->lock);
	return activity;
}

/* -- points in use ------------------------------------------------------------------ */

void store_set_history(struct store *s, unsigned int history, unsigned int max)
{
	s->history = u64_min(history, RETAIN_HISTORY_MAX);
	s->history_max = u64_min(max, RETAIN_HISTORY_MAX);
}

unsigned int store_history(struct store *s, const char *collection)
{
	int said = catalog_history(s->catalog, collection);

	return u64_min(said >= 0 ? (unsigned int)said : s->history, s->history_max);
}

static struct pin *store_find_pin(struct store *s, const char *collection, uint64_t point)
{
	struct pin *p = s->pins;

	while (p && (p->point != point || strcmp(p->collection, collection)))
		p = p->next;
	return p;
}

static bool store_has_point(struct store *s, const char *collection, uint64_t point)
{
	_cleanup_free_ struct catalog_point *points = NULL;
	size_t count = 0;

	if (catalog_points(s->catalog, collection, &points, &count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (points[i].number == point)
			return true;
	return false;
}

int store_pin(struct store *s, const char *collection, uint64_t point)
{
	struct pin *p = calloc(1, sizeof(*p));
	int err = 0;

	if (!p)
		return -ENOMEM;
	snprintf(p->collection, sizeof(p->collection), "%s", collection);
	p->point = point;
	pthread_mutex_lock(&s->lock);
	if (store_has_point(s, collection, point)) {
		p->next = s->pins;
		s->pins = TAKE_PTR(p);
	} else {
		err = -ENOENT;
	}
	pthread_mutex_unlock(&s->lock);
	free(p);
	return err;
}

void store_unpin(struct store *s, const char *collection, uint64_t point)
{
	struct pin **at = &s->pins, *gone;

	pthread_mutex_lock(&s->lock);
	gone = store_find_pin(s, collection, point);
	while (*at && *at != gone)
		at = &(*at)->next;
	if (gone)
		*at = gone->next;
	pthread_mutex_unlock(&s->lock);
	free(gone);
}

bool store_pinned(struct store *s, const char *collection, uint64_t point)
{
	bool pinned;

	pthread_mutex_lock(&s->lock);
	pinned = store_find_pin(s, collection, point);
	pthread_mutex_unlock(&s->lock);
	return pinned;
}

int store_retire(struct store *s, const char *collection, uint64_t point)
{
	int err = -EBUSY;

	/* Under the lock, so that nobody begins to use it at this moment. */
	pthread_mutex_lock(&s->lock);
	if (!store_find_pin(s, collection, point))
		err = catalog_retire(s->catalog, collection, point);
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* Is any point from @from on in use, and before @to? */
static bool store_uses(const struct store *s, const char *collection, uint64_t from, uint64_t to)
{
	const struct pin *p = s->pins;

	while (p && (p->point < from || p->point >= to || strcmp(p->collection, collection)))
		p = p->next;
	return p;
}

int store_absorbed(struct store *s, const struct catalog_disk *disk, uint64_t point,
		   uint64_t above, const void *header, size_t header_size)
{
	int err = 1;

	/* As above: a merge takes long, and somebody may have an overlay over the layer by now. */
	pthread_mutex_lock(&s->lock);
	if (!store_uses(s, disk->collection, point, above ? above : UINT64_MAX))
		err = catalog_absorbed(s->catalog, disk->id, point, above, header, header_size);
	pthread_mutex_unlock(&s->lock);
	return err;
}

int store_clear(struct store *s, const char *collection, const struct catalog_spared *spared,
		size_t count)
{
	int err = -EBUSY;

	pthread_mutex_lock(&s->lock);
	if (!store_uses(s, collection, 0, UINT64_MAX))
		err = catalog_clear(s->catalog, collection, spared, count);
	pthread_mutex_unlock(&s->lock);
	return err;
}

/* -- status ----------------------------------------------------------------------- */

static int store_openable(struct store *s, const struct catalog_disk *d,
			  char ret[STORE_PATH_MAX])
{
	char folder[STORE_PATH_MAX];
	struct catalog_failover f;
	int err;

	if (d->state != CATALOG_READY || !d->point)
		return -ENOENT;
	err = catalog_failover_find(s->catalog, d->collection, FAILOVER_REAL, &f);
	if (err > 0 && f.state == FAILOVER_MADE) {
		err = store_folder(s, d->collection, d->vm, d->name, folder);
		if (!err)
			err = file_path(ret, STORE_PATH_MAX, folder, STORE_FAILOVER);
		/* A disk that came after that point has none. */
		return err || file_exists(ret) ? err : -ENOENT;
	}
	if (!d->file[0]) {
		memcpy(ret, d->path, STORE_PATH_MAX);
		return 0;
	}
	err = store_folder(s, d->collection, d->vm, d->name, folder);
	return err ? err : file_path(ret, STORE_PATH_MAX, folder, d->file);
}

int store_open_path(struct store *s, const char *collection, const char *vm, const char *disk,
		    char ret[STORE_PATH_MAX])
{
	struct catalog_disk d;
	int found = catalog_find(s->catalog, collection, vm, disk, &d);

	if (found <= 0)
		return found ? found : -ENOENT;
	return store_openable(s, &d, ret);
}

static enum store_state store_state_of(struct store *s, const struct catalog_disk *d)
{
	if (d->state == CATALOG_SEEDING)
		return STORE_SEEDING;
	if (d->state == CATALOG_DAMAGED)
		return STORE_DAMAGED;
	return store_activity_of(s, d->collection);
}

static bool store_reversed(const struct catalog_failover *failovers, size_t count,
			   const char *collection)
{
	for (size_t i = 0; i < count; i++)
		if (failovers[i].state == FAILOVER_REVERSED &&
		    !strcmp(failovers[i].collection, collection))
			return true;
	return false;
}

/* How people see it. */
static void store_replica_of(struct store *s, const struct catalog_disk *d,
			     struct store_replica *ret)
{
	struct reason fault;

	*ret = (struct store_replica){
		.size = d->size,
		.point = d->point,
		.created = d->created,
		.epoch = d->epoch,
		.state = store_state_of(s, d),
	};
	memcpy(ret->collection, d->collection, sizeof(ret->collection));
	memcpy(ret->vm, d->vm, sizeof(ret->vm));
	memcpy(ret->disk, d->name, sizeof(ret->disk));
	memcpy(ret->tracker, d->tracker, sizeof(ret->tracker));
	store_progress_of(s, d->collection, ret);
	if (store_fault(s, d->collection, &fault))
		memcpy(ret->error, fault.text, sizeof(ret->error));
	if (store_openable(s, d, ret->path))
		ret->path[0] = '\0';
}

int store_status(struct store *s, int (*cb)(const struct store_replica *replica, void *arg),
		 void *arg)
{
	_cleanup_free_ struct catalog_failover *failovers = NULL;
	_cleanup_free_ struct catalog_disk *disks = NULL;
	size_t count = 0, failover_count = 0;
	int err = catalog_list(s->catalog, NULL, &disks, &count);

	if (!err)
		err = catalog_failovers(s->catalog, &failovers, &failover_count);
	for (size_t i = 0; i < count && !err; i++) {
		struct store_replica r;

		store_replica_of(s, &disks[i], &r);
		r.reversed = store_reversed(failovers, failover_count, disks[i].collection);
		err = cb(&r, arg);
	}
	return err;
}
