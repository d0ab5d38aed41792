// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * control - the control device: open, version, list, info, find
 *
 * A handle is a descriptor and nothing else: no cache that could grow stale,
 * and so nothing to lock.
 */
#include "libtidemark/control.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "libtidemark/uuid.h"

struct tidemark {
	int fd;
};

int control_request(struct tidemark *t, unsigned long request, void *arg)
{
	if (ioctl(t->fd, request, arg) < 0)
		return -errno;
	return 0;
}

/*
 * A node whose module has gone answers ENXIO or ENODEV: to the caller that is
 * the same as no node, the module is not there.
 */
static int control_device_open(int flags)
{
	int fd = open(TIDEMARK_CONTROL_PATH, flags | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == ENXIO || errno == ENODEV)
		return -ENOENT;
	return -errno;
}

int tidemark_open(struct tidemark **ret, int flags)
{
	struct tidemark_version version;
	struct tidemark *t;
	int r;

	if (flags != O_RDONLY && flags != O_RDWR)
		return -EINVAL;

	t = malloc(sizeof(*t));
	if (!t)
		return -ENOMEM;

	t->fd = control_device_open(flags);
	if (t->fd < 0) {
		r = t->fd;
		free(t);
		return r;
	}

	r = tidemark_version(t, &version);
	if (!r && version.abi_major != TIDEMARK_ABI_MAJOR)
		r = -EPROTO;
	if (r) {
		tidemark_close(t);
		/* whatever answers there does not even know VERSION */
		return r == -ENOTTY ? -EPROTO : r;
	}

	*ret = t;
	return 0;
}

struct tidemark *tidemark_close(struct tidemark *t)
{
	if (t) {
		close(t->fd);
		free(t);
	}
	return NULL;
}

int tidemark_version(struct tidemark *t, struct tidemark_version *ret)
{
	struct tidemark_version arg = { .size = sizeof(arg) };
	int r = control_request(t, TIDEMARK_IOC_VERSION, &arg);

	if (r)
		return r;
	arg.release[sizeof(arg.release) - 1] = '\0';
	*ret = arg;
	return 0;
}

int tidemark_list(struct tidemark *t, uint64_t **ret_disks, size_t *ret_count)
{
	uint64_t *disks = NULL;
	uint32_t capacity = 0;

	for (;;) {
		struct tidemark_list arg = {
			.size = sizeof(arg),
			.capacity = capacity,
			.disks = (uintptr_t)disks,
		};
		uint64_t *bigger;
		int r = control_request(t, TIDEMARK_IOC_LIST, &arg);

		if (!r) {
			if (!arg.count) {
				free(disks);
				disks = NULL;
			}
			*ret_disks = disks;
			*ret_count = arg.count;
			return 0;
		}
		if (r != -ENOSPC || arg.count <= capacity) {
			free(disks);
			return r == -ENOSPC ? -EPROTO : r;
		}

		/* some spare room: a disk may join between the two requests */
		if (arg.count > UINT32_MAX - 16) {
			free(disks);
			return -ENOMEM;
		}
		capacity = arg.count + 16;
		bigger = reallocarray(disks, capacity, sizeof(*disks));
		if (!bigger) {
			free(disks);
			return -ENOMEM;
		}
		disks = bigger;
	}
}

int tidemark_info(struct tidemark *t, uint64_t disk, struct tidemark_info *ret)
{
	struct tidemark_info arg = { .size = sizeof(arg), .disk = disk };
	int r = control_request(t, TIDEMARK_IOC_INFO, &arg);

	if (r)
		return r;
	arg.name[sizeof(arg.name) - 1] = '\0';
	arg.message[sizeof(arg.message) - 1] = '\0';
	*ret = arg;
	return 0;
}

int control_range(struct tidemark *t, uint64_t disk, uint64_t first, uint64_t *count)
{
	struct tidemark_info info;
	int r;

	if (*count != UINT64_MAX)
		return 0;

	r = tidemark_info(t, disk, &info);
	if (r)
		return r;
	if (first > info.granules)
		return -EINVAL;
	*count = info.granules - first;
	return 0;
}

/* What a person may have meant by a name. */
struct control_wanted {
	const char *name;
	bool by_number;
	bool by_uuid;
	unsigned int major;
	unsigned int minor;
	uint8_t uuid[TIDEMARK_UUID_SIZE];
};

static bool control_is_wanted(const struct control_wanted *w, const struct tidemark_info *info)
{
	if (w->by_number)
		return info->major == w->major && info->minor == w->minor;
	if (w->by_uuid && !memcmp(info->uuid, w->uuid, sizeof(w->uuid)))
		return true;
	return !strcmp((const char *)info->name, w->name);
}

int tidemark_find(struct tidemark *t, const char *name, struct tidemark_info *ret)
{
	struct control_wanted wanted = { .name = name };
	struct tidemark_info info;
	uint64_t *disks;
	size_t count;
	struct stat st;
	int r;

	/* a name without a slash is never a path: no file of the working
	 * directory may shadow a disk
	 */
	if (strchr(name, '/')) {
		if (stat(name, &st) < 0)
			return errno == ENOENT || errno == ENOTDIR ? -ENODEV : -errno;
		if (!S_ISBLK(st.st_mode))
			return -ENODEV;
		wanted.by_number = true;
		wanted.major = major(st.st_rdev);
		wanted.minor = minor(st.st_rdev);
	} else {
		wanted.by_uuid = !uuid_parse_text(name, wanted.uuid);
	}

	r = tidemark_list(t, &disks, &count);
	if (r)
		return r;

	r = -ENODEV;
	for (size_t i = 0; i < count; i++) {
		int e = tidemark_info(t, disks[i], &info);

		if (e == -ENODEV)	/* detached since the list */
			continue;
		if (e) {
			r = e;
			break;
		}
		if (control_is_wanted(&wanted, &info)) {
			*ret = info;
			r = 0;
			break;
		}
	}
	free(disks);
	return r;
}
