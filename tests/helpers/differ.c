// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * differ A B UNIT: in how many units (bytes, a multiple of 4096) do two files or
 * devices of one size differ? Read from the disk, past any cache, where that can
 * be done.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static int look(const char *path, uint64_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	off_t end;

	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (end < 0) {
		perror(path);
		exit(2);
	}
	*ret_size = end;
	return fd;
}

int main(int argc, char **argv)
{
	uint64_t unit, size[2], count = 0;
	char *buf[2];
	int fd[2];

	if (argc != 4) {
		fprintf(stderr, "usage: differ A B UNIT\n");
		return 2;
	}
	unit = strtoull(argv[3], NULL, 0);
	if (!unit || unit % IO_ALIGN)
		return 2;
	for (int i = 0; i < 2; i++) {
		fd[i] = look(argv[1 + i], &size[i]);
		if (posix_memalign((void **)&buf[i], IO_ALIGN, unit))
			return 2;
	}
	if (size[0] != size[1]) {
		fprintf(stderr, "differ: sizes differ\n");
		return 2;
	}
	for (uint64_t at = 0; at < size[0]; at += unit) {
		ssize_t n = u64_min(unit, size[0] - at);

		for (int i = 0; i < 2; i++)
			if (pread(fd[i], buf[i], unit, at) != n) {
				perror(argv[1 + i]);
				return 2;
			}
		count += memcmp(buf[0], buf[1], n) != 0;
	}
	printf("%llu\n", (unsigned long long)count);
	return 0;
}
