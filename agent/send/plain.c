// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk at rest: nobody tracks it and, so says the configuration, nobody
 * writes to it. Everything is owed once; nothing can be torn; there is no epoch
 * to commit, so the next run compares again.
 */
#include "send/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

struct plain {
	struct source source;
	bool extended;
};

static int plain_info(struct source *s, struct source_info *ret)
{
	*ret = (struct source_info){
		.size = s->size,
		.granule = s->granule,
		.marked = source_granules(s),
	};
	return 0;
}

static int plain_nothing(struct source *s)
{
	return 0;
}

static int plain_seal(struct source **group, size_t count, bool extend, uint32_t timeout_ms,
		      uint64_t *ret_excluded_ns)
{
	for (size_t i = 0; i < count; i++) {
		struct plain *p = container_of(group[i], struct plain, source);

		p->extended = extend;
		group[i]->owed = extend ? 0 : source_granules(group[i]);
	}
	return 0;
}

static int plain_wait(struct source *s, uint32_t timeout_ms)
{
	return 0;
}

static int plain_runs(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
		      size_t *ret_filled, uint64_t *ret_next)
{
	struct plain *p = container_of(s, struct plain, source);
	uint64_t granules = source_granules(s);

	*ret_filled = 0;
	*ret_next = granules;
	if (p->extended || first >= granules || !capacity)
		return 0;
	runs[0] = (struct plan_run){ first, granules - first };
	*ret_filled = 1;
	return 0;
}

static int plain_sealed(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
			size_t *ret_filled, uint64_t *ret_next)
{
	*ret_filled = 0;
	*ret_next = source_granules(s);
	return 0;
}

static int plain_runs_nothing(struct source *s, const struct plan_run *runs, size_t count)
{
	return 0;
}

static int plain_changed(struct source *s, uint64_t first, uint64_t count, bool *ret)
{
	*ret = false;
	return 0;
}

static void plain_close(struct source *s)
{
	struct plain *p = container_of(s, struct plain, source);

	closep(&s->fd);
	free(p);
}

static const struct source_ops plain_ops = {
	.name = "plain",
	.info = plain_info,
	.mark = plain_runs_nothing,
	.seal = plain_seal,
	.wait = plain_wait,
	.runs = plain_runs,
	.sealed = plain_sealed,
	.release = plain_runs_nothing,
	.commit = plain_nothing,
	.fold = plain_nothing,
	.leave = plain_nothing,
	.changed = plain_changed,
	.close = plain_close,
};

static int plain_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode))
		return ioctl(fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
	if (!S_ISREG(st.st_mode))
		return -ENOTBLK;
	*ret = st.st_size;
	return 0;
}

/*
 * O_DIRECT keeps the disk out of the page cache, but not every file system has
 * it, and the last sectors of a file of an odd size cannot be read that way.
 */
static int plain_direct(int fd, uint64_t size)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || size % IO_ALIGN)
		return 0;
	return fcntl(fd, F_SETFL, flags | O_DIRECT) < 0 && errno != EINVAL ? -errno : 0;
}

int source_plain_open(struct source **ret, const char *path, uint32_t granule)
{
	_cleanup_close_ int fd = -1;
	struct plain *p;
	uint64_t size;
	int err;

	/* O_NONBLOCK: a FIFO in its place must not hold up the agent. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	err = plain_size(fd, &size);
	if (err)
		return err;
	if (!size || size % SECTOR_SIZE)
		return -EINVAL;
	err = plain_direct(fd, size);
	if (err)
		return err;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->source = (struct source){
		.ops = &plain_ops,
		.fd = TAKE_FD(fd),
		.size = size,
		.granule = granule,
	};
	*ret = &p->source;
	return 0;
}
