// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * scribble DEVICE SEED PERCENT UNIT: overwrite about PERCENT of the device's
 * units (bytes, a multiple of 4096) with bytes that depend on SEED and place;
 * one in eight of them with zeroes. Direct, then flushed. Prints how many
 * units were written, and each one's number with --list.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

int main(int argc, char **argv)
{
	bool list = argc == 6 && strcmp(argv[5], "--list") == 0;
	uint64_t seed, unit, written = 0;
	double percent;
	uint64_t *buf;
	off_t end;
	int fd;

	if (argc != 5 && !list) {
		fprintf(stderr, "usage: scribble DEVICE SEED PERCENT UNIT [--list]\n");
		return 2;
	}
	seed = strtoull(argv[2], NULL, 0);
	percent = atof(argv[3]);
	unit = strtoull(argv[4], NULL, 0);
	fd = open(argv[1], O_WRONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || (end = lseek(fd, 0, SEEK_END)) < 0) {
		perror(argv[1]);
		return 1;
	}
	if (!unit || unit % IO_ALIGN || posix_memalign((void **)&buf, IO_ALIGN, unit)) {
		fprintf(stderr, "scribble: bad unit\n");
		return 2;
	}
	for (uint64_t u = 0; u < (uint64_t)end / unit; u++) {
		uint64_t dice = mix(seed * 1000003 + u);

		if (dice % 100000 >= percent * 1000)
			continue;
		for (uint64_t i = 0; i < unit / 8; i++)
			buf[i] = (dice >> 20) % 8 ? mix(dice + i) : 0;
		if (pwrite(fd, buf, unit, u * unit) != (ssize_t)unit) {
			perror("scribble: write");
			return 1;
		}
		if (list)
			printf("%llu\n", (unsigned long long)u);
		written++;
	}
	if (fdatasync(fd)) {
		perror("scribble: sync");
		return 1;
	}
	if (!list)
		printf("%llu\n", (unsigned long long)written);
	return 0;
}
