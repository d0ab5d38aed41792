// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/rebase.h"

#include <fcntl.h>
#include <string.h>

#include "point/file.h"
#include "point/qcow2.h"
#include "point/reader.h"

static uint8_t *put_extension(uint8_t *at, uint32_t type, const void *data, uint32_t size)
{
	struct qcow2_extension e = { be32_of(type), be32_of(size) };

	memcpy(at, &e, sizeof(e));
	memcpy(at + sizeof(e), data, size);
	return at + sizeof(e) + u64_align(size, 8);
}

/*
 * All that the old header has is kept, but the format and the name. That both
 * headers are sane was seen by reader_open(); that the new one has room is
 * asked here.
 */
static int rebase_build(const uint8_t *old, const char *backing, const char *format, uint8_t *ret)
{
	size_t at = sizeof(struct qcow2_header), name_size = strlen(backing);
	struct qcow2_header h;
	uint8_t *to = ret + sizeof(h);

	memset(ret, 0, REBASE_HEADER_SIZE);
	memcpy(&h, old, sizeof(h));
	at = be32_get(h.header_length);
	memcpy(ret, old, at);
	to = put_extension(ret + at, QCOW2_EXT_BACKING_FORMAT, format, strlen(format));
	while (at + sizeof(struct qcow2_extension) <= REBASE_HEADER_SIZE) {
		struct qcow2_extension e;
		size_t size;

		memcpy(&e, old + at, sizeof(e));
		at += sizeof(e);
		size = be32_get(e.length);
		if (be32_get(e.type) == QCOW2_EXT_END)
			break;
		if (size > REBASE_HEADER_SIZE - at ||
		    (size_t)(to - ret) + sizeof(e) + size + 8 > REBASE_HEADER_SIZE)
			return -EUCLEAN;
		if (be32_get(e.type) != QCOW2_EXT_BACKING_FORMAT)
			to = put_extension(to, be32_get(e.type), old + at, size);
		at += u64_align(size, 8);
	}
	to = put_extension(to, QCOW2_EXT_END, "", 0);
	if (name_size > QCOW2_BACKING_MAX || (size_t)(to - ret) + name_size > REBASE_HEADER_SIZE)
		return -ENAMETOOLONG;
	memcpy(to, backing, name_size);
	h.backing_offset = be64_of(to - ret);
	h.backing_size = be32_of(name_size);
	memcpy(ret, &h, sizeof(h));
	return 0;
}

int rebase_header(const char *path, const char *backing, const char *format, uint8_t *ret,
		  struct reason *reason)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t old[REBASE_HEADER_SIZE] = { 0 };
	struct reader *r = NULL;
	int err = fd < 0 ? -errno : reader_open(fd, &r, reason);

	reader_close(r);
	if (!err && pread(fd, old, sizeof(old), 0) < (ssize_t)sizeof(struct qcow2_header))
		err = -EIO;
	if (!err)
		err = rebase_build(old, backing, format, ret);
	return err ? reason_set(reason, err, 0, "cannot rebase %s: %s", path, strerror(-err)) : 0;
}

int rebase_write(const char *path, const void *header, size_t size, struct reason *reason)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = fd < 0 ? -errno : file_write(fd, header, size, 0);

	if (!err && fdatasync(fd))
		err = -errno;
	return err ? reason_set(reason, err, REASON_FAILED, "cannot rebase %s: %s", path,
				strerror(-err)) : 0;
}
