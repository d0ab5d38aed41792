// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * writes DEVICE SIZE COUNT random|sequential: direct writes one after the other,
 * prints the nanoseconds that one took. Under -icount with shift 0 a virtual
 * nanosecond is one instruction of the guest, and the figure repeats.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/util.h"

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

int main(int argc, char **argv)
{
	uint64_t size, count, blocks, start, x = 88172645463325252ull;
	void *buf;
	bool random;
	off_t end;
	int fd;

	if (argc != 5) {
		fprintf(stderr, "usage: writes DEVICE SIZE COUNT random|sequential\n");
		return 2;
	}
	size = strtoull(argv[2], NULL, 0);
	count = strtoull(argv[3], NULL, 0);
	random = strcmp(argv[4], "random") == 0;
	fd = open(argv[1], O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || (end = lseek(fd, 0, SEEK_END)) < 0) {
		perror(argv[1]);
		return 1;
	}
	if (!size || size % SECTOR_SIZE || (uint64_t)end < size ||
	    posix_memalign(&buf, IO_ALIGN, size)) {
		fprintf(stderr, "writes: bad size\n");
		return 2;
	}
	memset(buf, 0xa5, size);
	blocks = end / size;
	start = now_ns();
	for (uint64_t i = 0; i < count; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		if (pwrite(fd, buf, size, (random ? x : i) % blocks * size) != (ssize_t)size) {
			perror("write");
			return 1;
		}
	}
	printf("%llu\n", (unsigned long long)((now_ns() - start) / count));
	return 0;
}
