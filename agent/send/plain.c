// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk at rest: nobody tracks it and, so says the configuration, nobody
 * writes to it. What was marked by the run itself is owed once; nothing can be
 * torn; there is no epoch to commit, so the next run compares again.
 */
#include "send/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* @marks: a bit for each granule that this run has marked; NULL: none yet */
struct plain {
	struct source source;
	unsigned long *marks;
	uint64_t marked;
	bool sealed;
	bool extended;
};

#define LONG_BITS (8 * sizeof(unsigned long))

static struct plain *plain_of(struct source *s)
{
	return container_of(s, struct plain, source);
}

static bool plain_is_marked(const struct plain *p, uint64_t granule)
{
	return p->marks && p->marks[granule / LONG_BITS] & 1ul << granule % LONG_BITS;
}

static int plain_mark(struct source *s, const struct plan_run *runs, size_t count)
{
	struct plain *p = plain_of(s);
	uint64_t granules = source_granules(s);

	if (!p->marks)
		p->marks = calloc(u64_div_up(granules, LONG_BITS), sizeof(*p->marks));
	if (!p->marks)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		uint64_t end = u64_min(runs[i].first + runs[i].count, granules);

		for (uint64_t g = runs[i].first; g < end; g++) {
			p->marked += !plain_is_marked(p, g);
			p->marks[g / LONG_BITS] |= 1ul << g % LONG_BITS;
		}
	}
	return 0;
}

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
		struct plain *p = plain_of(group[i]);

		/* The first seal of a run may be one over what others had sealed before. */
		p->extended = extend && p->sealed;
		p->sealed = true;
		group[i]->owed = p->extended ? 0 : p->marked;
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
	struct plain *p = plain_of(s);
	uint64_t granules = source_granules(s), g = p->extended ? granules : first;
	size_t filled = 0;

	while (g < granules && filled < capacity) {
		uint64_t from;

		while (g < granules && !plain_is_marked(p, g))
			g++;
		from = g;
		while (g < granules && plain_is_marked(p, g))
			g++;
		if (g > from)
			runs[filled++] = (struct plan_run){ from, g - from };
	}
	*ret_filled = filled;
	*ret_next = g;
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
	struct plain *p = plain_of(s);

	closep(&s->fd);
	free(p->marks);
	free(p);
}

static const struct source_ops plain_ops = {
	.name = "plain",
	.info = plain_info,
	.mark = plain_mark,
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
	/* The last sectors of a file of an odd size cannot be read with O_DIRECT. */
	err = size % IO_ALIGN ? 0 : fd_direct(fd);
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
