// SPDX-License-Identifier: GPL-2.0-or-later
/* A file that may be anything, as the overlay reader finds it at a merge. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "point/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(struct reader *r, uint64_t file_size)
{
	const struct reader_info *info = reader_info(r);
	struct reason reason = { 0 };
	struct reader_run run;

	/* A sparse disk of 2^61 bytes is valid, and takes as many steps as its L1 has entries. */
	for (uint64_t at = 0, steps = 0; at < info->size && steps < 5000; at += run.length, steps++) {
		if (reader_next(r, at, &run, &reason))
			return;
		if (!run.length || run.length > info->size - at)
			abort();
		if (run.kind == READER_DATA &&
		    (run.offset % info->cluster || run.offset >= file_size ||
		     u64_align(run.length, info->cluster) > file_size - run.offset))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct reason reason = { 0 };
	struct reader *r;

	if (fd < 0)
		fd = memfd_create("overlay", 0);
	if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	if (reader_open(fd, &r, &reason) == 0) {
		walk(r, size);
		reader_close(r);
	}
	return 0;
}
