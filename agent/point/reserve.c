// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files grow ahead of their data. A write that extends a file waits for every other
 * one, and a write into a hole is handed to a thread of the kernel's, because it may
 * have to wait for blocks.
 */
#include <fcntl.h>

#include "point/stage-disk.h"

/* A file grows in steps of this, so that writes seldom do it. */
#define RESERVE_STEP MIB(32)
/* So much data in a row says that more follows: a disk with holes keeps them. */
#define RESERVE_RUN MIB(1)

int reserve_overlay(struct stage_disk *d)
{
	uint64_t end = overlay_end(d->overlay);
	uint64_t want;

	if (end <= d->reserved)
		return 0;
	want = u64_align(end, RESERVE_STEP);
	if (fallocate(d->file.fd, 0, d->reserved, want - d->reserved)) {
		if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) {
			/* Not so much; is there room for what is needed now? */
			want = end;
			if (fallocate(d->file.fd, 0, d->reserved, want - d->reserved))
				return -errno;
		} else if (errno != EOPNOTSUPP && errno != ENOSYS) {
			return -errno;
		}
	}
	d->reserved = want;
	return 0;
}

static void reserve_row(struct stage_disk *d, uint64_t offset, uint64_t span)
{
	uint64_t end = offset + span, want;

	if (offset != d->run_end)
		d->run = 0;
	d->run += span;
	d->run_end = end;
	if (d->raw.device || d->run < RESERVE_RUN || end <= d->reserved)
		return;
	want = u64_min(end + u64_min(d->run, RESERVE_STEP), d->spec.size);
	/* Where it fails the writes themselves show whether there is room. */
	(void)!fallocate(d->raw.fd, FALLOC_FL_KEEP_SIZE, offset, want - offset);
	d->reserved = want;
}

void reserve_seed(struct stage_disk *d, uint64_t offset, uint64_t span)
{
	reserve_row(d, offset, span);
	d->hole = u64_max(d->hole, u64_max(offset + span, d->reserved));
}
