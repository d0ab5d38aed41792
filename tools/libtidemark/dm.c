// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * dm - device-mapper devices
 *
 * The only file that knows libdevmapper. Nodes in /dev/mapper: where udev runs
 * they are udev's, and each change is waited for with a cookie; where it does
 * not run, or DM_DISABLE_UDEV is set, dm_task_set_cookie() leaves the cookie 0
 * and dm_udev_wait() makes libdevmapper write the nodes itself.
 */
#include "libtidemark/dm.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libdevmapper.h>

static void dmdev_log(int level, const char *file, int line, int error, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* libraries do not print: errors come back as errno */
static void dmdev_log(int level, const char *file, int line, int error, const char *format, ...)
{
}

static bool dmdev_log_is_ours;

/* libdevmapper has state of the process: one user at a time. */
static pthread_mutex_t dmdev_lock = PTHREAD_MUTEX_INITIALIZER;

int dmdev_begin(void)
{
	char path[256];
	struct dm_task *task;

	pthread_mutex_lock(&dmdev_lock);
	/* a program that has a log function of its own keeps it */
	if (!dm_log_is_non_default()) {
		dm_log_with_errno_init(dmdev_log);
		dmdev_log_is_ours = true;
	}

	snprintf(path, sizeof(path), "%s/control", dm_dir());
	if (faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0 && errno == EACCES)
		return -EACCES;

	task = dm_task_create(DM_DEVICE_VERSION);
	if (!task)
		return -ENOSYS;
	if (!dm_task_run(task)) {
		int error = dm_task_get_errno(task);

		dm_task_destroy(task);
		return error == EACCES || error == EPERM ? -EACCES : -ENOSYS;
	}
	dm_task_destroy(task);
	return 0;
}

void dmdev_end(void)
{
	dm_lib_release();
	if (dmdev_log_is_ours) {
		dm_log_with_errno_init(NULL);
		dmdev_log_is_ours = false;
	}
	pthread_mutex_unlock(&dmdev_lock);
}

static void task_destroy(struct dm_task **task)
{
	if (*task)
		dm_task_destroy(*task);
}

#define _cleanup_task_ __attribute__((cleanup(task_destroy)))

static int task_run(struct dm_task *task)
{
	int error;

	if (dm_task_run(task))
		return 0;
	error = dm_task_get_errno(task);
	return error > 0 ? -error : -EIO;
}

/* Run a task that changes a node, and wait until the node is there or gone. */
static int task_run_synced(struct dm_task *task, uint16_t udev_flags)
{
	uint32_t cookie = 0;
	int r;

	if (!dm_task_set_cookie(task, &cookie, udev_flags))
		return -ENOMEM;
	r = task_run(task);
	dm_udev_wait(cookie);
	return r;
}

static int task_new(int type, const struct dmdev *dev, struct dm_task **ret)
{
	struct dm_task *task = dm_task_create(type);

	if (!task)
		return -ENOMEM;
	if (dev && !dm_task_set_name(task, dev->name)) {
		dm_task_destroy(task);
		return -EINVAL;
	}
	/* a crypt target's key must not stay in buffers */
	dm_task_secure_data(task);
	*ret = task;
	return 0;
}

int dmdev_has_target(const char *type)
{
	_cleanup_task_ struct dm_task *task = NULL;
	struct dm_versions *version, *last;
	int r;

	/* this request loads the target's module, which LIST_VERSIONS does not;
	 * the answer is asked of the list, which every kernel has
	 */
	r = task_new(DM_DEVICE_GET_TARGET_VERSION, NULL, &task);
	if (r)
		return r;
	if (dm_task_set_name(task, type))
		task_run(task);
	dm_task_destroy(task);
	task = NULL;

	r = task_new(DM_DEVICE_LIST_VERSIONS, NULL, &task);
	if (r)
		return r;
	r = task_run(task);
	if (r)
		return r;

	version = dm_task_get_versions(task);
	if (!version)
		return -ENOPKG;
	do {
		if (!strcmp(version->name, type))
			return 0;
		last = version;
		version = (void *)((char *)version + version->next);
	} while (version != last);
	return -ENOPKG;
}

static int dmdev_info(struct dm_task *task, struct dmdev *ret)
{
	struct dmdev dev = { 0 };
	struct dm_info info;
	int r;

	r = task_run(task);
	if (r)
		return r;
	if (!dm_task_get_info(task, &info) || !info.exists)
		return -ENXIO;

	snprintf(dev.name, sizeof(dev.name), "%s", dm_task_get_name(task) ?: "");
	snprintf(dev.uuid, sizeof(dev.uuid), "%s", dm_task_get_uuid(task) ?: "");
	dev.major = info.major;
	dev.minor = info.minor;
	dev.open_count = info.open_count;
	dev.read_only = info.read_only;
	dev.suspended = info.suspended;
	dev.live = info.live_table;
	dev.pending = info.inactive_table;
	*ret = dev;
	return 0;
}

int dmdev_by_name(const char *name, struct dmdev *ret)
{
	_cleanup_task_ struct dm_task *task = NULL;
	int r;

	r = task_new(DM_DEVICE_INFO, NULL, &task);
	if (r)
		return r;
	if (!dm_task_set_name(task, name))
		return -ENXIO;
	return dmdev_info(task, ret);
}

int dmdev_by_number(uint32_t major, uint32_t minor, struct dmdev *ret)
{
	_cleanup_task_ struct dm_task *task = NULL;
	int r;

	r = task_new(DM_DEVICE_INFO, NULL, &task);
	if (r)
		return r;
	if (!dm_task_set_major_minor(task, (int)major, (int)minor, 0))
		return -ENXIO;
	r = dmdev_info(task, ret);
	if (r)
		return r;
	/* the kernel looks a number of another driver up as none of its own */
	return ret->major == major && ret->minor == minor ? 0 : -ENXIO;
}

int dmdev_path(const struct dmdev *dev, char **ret)
{
	_cleanup_task_ struct dm_task *task = NULL;
	char *name, *path;
	int r;

	/* a node's name has its unusual characters written as \xNN */
	r = task_new(DM_DEVICE_INFO, dev, &task);
	if (!r)
		r = task_run(task);
	if (r)
		return r;
	name = dm_task_get_name_mangled(task);
	if (!name)
		return -ENOMEM;
	r = asprintf(&path, "%s/%s", dm_dir(), name);
	free(name);
	if (r < 0)
		return -ENOMEM;
	*ret = path;
	return 0;
}

int dmdev_table(const struct dmdev *dev, bool pending, struct table *ret)
{
	_cleanup_task_ struct dm_task *task = NULL;
	struct table table = { 0 };
	char *type, *params;
	uint64_t start, length;
	void *next = NULL;
	int r;

	r = task_new(DM_DEVICE_TABLE, dev, &task);
	if (r)
		return r;
	/* looking must not make a target write out what it holds back */
	dm_task_no_flush(task);
	if (pending)
		dm_task_query_inactive_table(task);
	r = task_run(task);
	if (r)
		return r;

	do {
		next = dm_get_next_target(task, next, &start, &length, &type, &params);
		if (!type)
			continue;
		r = table_add(&table, start, length, type, params ?: "");
		if (r) {
			table_free(&table);
			return r;
		}
	} while (next);

	*ret = table;
	return 0;
}

static int dmdev_load_mode(const struct dmdev *dev, const struct table *table, bool read_only)
{
	_cleanup_task_ struct dm_task *task = NULL;
	int r;

	r = task_new(DM_DEVICE_RELOAD, dev, &task);
	if (r)
		return r;
	for (size_t i = 0; i < table->count; i++) {
		const struct table_target *t = &table->targets[i];

		if (!dm_task_add_target(task, t->start, t->length, t->type, t->params))
			return -ENOMEM;
	}
	if (read_only && !dm_task_set_ro(task))
		return -EINVAL;
	return task_run(task);
}

int dmdev_load(const struct dmdev *dev, const struct table *table)
{
	return dmdev_load_mode(dev, table, dev->read_only);
}

int dmdev_clear(const struct dmdev *dev)
{
	_cleanup_task_ struct dm_task *task = NULL;
	int r;

	r = task_new(DM_DEVICE_CLEAR, dev, &task);
	if (r)
		return r;
	return task_run(task);
}

static int dmdev_resume_flags(const struct dmdev *dev, uint16_t udev_flags)
{
	_cleanup_task_ struct dm_task *task = NULL;
	int r;

	r = task_new(DM_DEVICE_RESUME, dev, &task);
	if (r)
		return r;
	if (!dm_task_no_flush(task) || !dm_task_skip_lockfs(task))
		return -EINVAL;
	return task_run_synced(task, udev_flags);
}

int dmdev_resume(const struct dmdev *dev)
{
	return dmdev_resume_flags(dev, 0);
}

/* A device without a table; the name or the UUID may be taken. */
static int dmdev_create_empty(const struct dmdev *dev)
{
	_cleanup_task_ struct dm_task *task = NULL;
	int r;

	r = task_new(DM_DEVICE_CREATE, dev, &task);
	if (r)
		return r;
	if (!dm_task_set_uuid(task, dev->uuid))
		return -EINVAL;
	r = task_run(task);
	return r == -EBUSY ? -EEXIST : r;
}

int dmdev_create(const char *name, const char *uuid, const struct table *table, bool read_only,
		 bool hidden, struct dmdev *ret)
{
	uint16_t flags = hidden ? DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG |
				  DM_UDEV_DISABLE_DISK_RULES_FLAG |
				  DM_UDEV_DISABLE_OTHER_RULES_FLAG : 0;
	struct dmdev dev = { .read_only = read_only }, made;
	int r;

	if (strlen(name) >= sizeof(dev.name) || strlen(uuid) >= sizeof(dev.uuid))
		return -ENAMETOOLONG;
	memcpy(dev.name, name, strlen(name) + 1);
	memcpy(dev.uuid, uuid, strlen(uuid) + 1);

	/* the kernel looks for the name before the UUID, and says EBUSY to both */
	r = dmdev_create_empty(&dev);
	if (r)
		return r;
	r = dmdev_load_mode(&dev, table, read_only);
	if (!r)
		r = dmdev_resume_flags(&dev, flags);
	if (!r)
		r = dmdev_by_name(name, &made);
	if (r) {
		dmdev_remove(&dev, false);
		return r;
	}
	*ret = made;
	return 0;
}

int dmdev_message(const struct dmdev *dev, const char *text)
{
	_cleanup_task_ struct dm_task *task = NULL;
	int r;

	r = task_new(DM_DEVICE_TARGET_MSG, dev, &task);
	if (r)
		return r;
	if (!dm_task_set_sector(task, 0) || !dm_task_set_message(task, text))
		return -ENOMEM;
	return task_run(task);
}

int dmdev_remove(const struct dmdev *dev, bool deferred)
{
	_cleanup_task_ struct dm_task *task = NULL;
	int r;

	r = task_new(DM_DEVICE_REMOVE, dev, &task);
	if (r)
		return r;
	/* udev's own look at a device lasts some milliseconds; not refused for that */
	if (deferred)
		dm_task_deferred_remove(task);
	else
		dm_task_retry_remove(task);
	return task_run_synced(task, 0);
}
