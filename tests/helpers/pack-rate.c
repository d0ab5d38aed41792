// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How small and how fast the agent packs, for tests/bench/pack.sh.
 *
 *   pack-rate zstd|lz4 FILE   blocks of 64 KiB of the file, for three seconds: prints
 *                             RATIO and MB/s, the median of the passes over it
 *   pack-rate RATE            what is chosen on a link of so many MB/s
 *
 * Seconds are the processor's: what else it has to do is not counted.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wire/pack.h"

#define BLOCK 65536u
#define SECONDS 3
#define PASSES 1000

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint8_t *load(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "r");
	uint8_t *data;
	long size;

	if (!file || fseek(file, 0, SEEK_END) || (size = ftell(file)) < BLOCK)
		errx(2, "%s: cannot be read, or is short", path);
	rewind(file);
	data = malloc(size);
	if (!data || fread(data, 1, size, file) != (size_t)size)
		errx(2, "%s: cannot be read", path);
	fclose(file);
	*ret_size = size;
	return data;
}

/* Return: bytes that all blocks are on the wire, those that it does not pay for as they are. */
static uint64_t pass(struct packer *p, enum frame_type type, const uint8_t *data, size_t size)
{
	static uint8_t packed[BLOCK];
	uint64_t total = 0;

	for (size_t at = 0; at + BLOCK <= size; at += BLOCK)
		total += packer_run(p, type, data + at, BLOCK, packed) ?: BLOCK;
	return total;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void measure(struct packer *p, enum frame_type type, const char *path)
{
	uint64_t begun = now_ns(), total = 0, passes[PASSES];
	size_t size, whole, n = 0;
	uint8_t *data = load(path, &size);

	whole = size / BLOCK * BLOCK;
	while (n < PASSES && now_ns() - begun < SECONDS * 1000000000ull) {
		uint64_t since = now_ns();

		total = pass(p, type, data, size);
		passes[n++] = now_ns() - since;
	}
	qsort(passes, n, sizeof(passes[0]), by_size);
	printf("%.2f %.0f\n", (double)whole / total, whole * 1e3 / passes[n / 2]);
	free(data);
}

int main(int argc, char **argv)
{
	struct packer *p;

	if (argc < 2 || argc > 3 || packer_create(&p, FRAME_FEATURES))
		errx(2, "usage: pack-rate zstd|lz4 FILE, or pack-rate RATE");
	if (argc == 3)
		measure(p, strcmp(argv[1], "lz4") ? FRAME_PACKED : FRAME_PACKED_LZ4, argv[2]);
	else
		switch (packer_choose(p, strtoull(argv[1], NULL, 10) * 1000000)) {
		case FRAME_PACKED:
			puts("zstd");
			break;
		case FRAME_PACKED_LZ4:
			puts("lz4");
			break;
		default:
			puts("none");
		}
	packer_destroy(p);
	return 0;
}
