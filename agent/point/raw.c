// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/raw.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* Zeroes that must be written are written in pieces of this size. */
#define RAW_ZERO_PIECE MIB(1)

static int raw_reason(struct reason *reason, const char *path, int err)
{
	if (err == -EBUSY)
		return reason_set(reason, err, REASON_IN_USE,
				  "%s is mounted or held by something else on this host", path);
	return reason_set(reason, err, 0, "cannot open %s: %s", path, strerror(-err));
}

/*
 * Not O_DIRECT at once: a file system that does not know it (tmpfs before Linux 6.6)
 * says so when the new file is there already.
 */
static int raw_open_fd(const char *path, int flags)
{
	_cleanup_close_ int fd = open(path, flags, 0600);
	int err = fd < 0 ? -errno : fd_direct(fd);

	return err ? err : TAKE_FD(fd);
}

static int raw_measure(struct raw *r)
{
	struct stat st;

	if (fstat(r->fd, &st))
		return -errno;
	r->device = S_ISBLK(st.st_mode);
	if (!r->device && !S_ISREG(st.st_mode))
		return -ENOTBLK;
	r->capacity = st.st_size;
	if (r->device && ioctl(r->fd, BLKGETSIZE64, &r->capacity))
		return -errno;
	return 0;
}

int raw_open(const char *path, uint64_t size, unsigned int flags, struct raw *ret,
	     struct reason *reason)
{
	_cleanup_raw_ struct raw r = RAW_NONE;
	int mode = (flags & RAW_WRITE ? O_RDWR : O_RDONLY) | O_CLOEXEC;
	int first = mode;
	int err;

	if (flags & RAW_CREATE)
		first |= O_CREAT | O_EXCL;
	else if (flags & RAW_EXCLUSIVE)
		first |= O_EXCL; /* without O_CREAT: of a block device, its exclusive use */
	r.size = size;
	r.fd = raw_open_fd(path, first);
	if (r.fd < 0)
		return raw_reason(reason, path, r.fd);
	err = raw_measure(&r);
	if (err)
		return raw_reason(reason, path, err);
	r.tail_fd = open(path, mode);
	if (r.tail_fd < 0)
		return raw_reason(reason, path, -errno);
	*ret = r;
	r = RAW_NONE;
	return 0;
}

void raw_close(struct raw *r)
{
	closep(&r->fd);
	closep(&r->tail_fd);
	r->fd = -1;
	r->tail_fd = -1;
}

static uint64_t raw_direct_end(const struct raw *r)
{
	return r->size & ~(uint64_t)(IO_ALIGN - 1);
}

struct raw_place raw_place(const struct raw *r, uint64_t offset, uint64_t span)
{
	uint64_t end = raw_direct_end(r);

	if (offset >= end)
		return (struct raw_place){ r->tail_fd, offset, span };
	return (struct raw_place){ r->fd, offset, u64_min(span, end - offset) };
}

static int raw_write_zeroes(struct raw *r, uint64_t offset, uint64_t span)
{
	_cleanup_free_ void *zeroes = calloc(1, u64_min(span, RAW_ZERO_PIECE));

	if (!zeroes)
		return -ENOMEM;
	while (span) {
		ssize_t n = pwrite(r->tail_fd, zeroes, u64_min(span, RAW_ZERO_PIECE), offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENOSPC;
		offset += n;
		span -= n;
	}
	return 0;
}

/* Three ways, from the one that frees space to the one that always works. */
static int raw_zero_aligned(struct raw *r, uint64_t offset, uint64_t span)
{
	if (!fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, span))
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
		return -errno;
	if (!fallocate(r->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, span))
		return 0;
	if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
		return -errno;
	return raw_write_zeroes(r, offset, span);
}

int raw_zero(struct raw *r, uint64_t offset, uint64_t span)
{
	uint64_t end = raw_direct_end(r);
	uint64_t direct = offset < end ? u64_min(span, end - offset) : 0;
	int err = direct ? raw_zero_aligned(r, offset, direct) : 0;

	if (!err && span > direct)
		err = raw_write_zeroes(r, offset + direct, span - direct);
	return err;
}

int raw_pread(const struct raw *r, void *buf, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(r->tail_fd, (char *)buf + done, size - done, offset + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset((char *)buf + done, 0, size - done);
			break;
		}
		done += n;
	}
	return 0;
}

int raw_resize(struct raw *r, uint64_t size)
{
	if (r->device && size > r->capacity)
		return -ENOSPC;
	if (!r->device && size != r->capacity) {
		if (ftruncate(r->fd, size))
			return -errno;
		r->capacity = size;
	}
	r->size = size;
	return 0;
}

int raw_sync(const struct raw *r)
{
	return fdatasync(r->fd) ? -errno : 0;
}
