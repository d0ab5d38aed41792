// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes an overlay with random contents, and what must be read back through
 * it, so that other programs can judge both.
 *
 *   overlay-make BASE OVERLAY FLAT SIZE CLUSTER SEED OPS TABLES [WHOLE]
 *
 * BASE is read, of any length; OVERLAY and FLAT are written. OPS random
 * regions are written or zeroed, often over each other; TABLES bytes of memory hold
 * the tables. With WHOLE, all of the disk is zeroed first. Prints the file's size and
 * how often tables made room.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "point/file.h"
#include "point/overlay.h"

struct make {
	struct overlay *overlay;
	uint64_t size;
	uint32_t cluster;
	int fd;
	int flat;
	uint64_t early; /* writes before overlay_finish() */
};

static uint64_t seed;

static uint64_t dice(uint64_t sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % sides;
}

static void check(bool good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static void make_data(struct make *m, uint64_t offset, uint64_t span)
{
	uint64_t room = u64_align(span, m->cluster);
	uint8_t *buf = calloc(1, room);

	check(buf != NULL, "memory");
	for (uint64_t i = 0; i < span; i += 8) {
		uint64_t v = dice(UINT64_MAX);

		memcpy(buf + i, &v, 8);
	}
	check(pwrite(m->flat, buf, span, offset) == (ssize_t)span, "flat");
	for (uint64_t done = 0; done < span; ) {
		uint64_t at, length;

		check(!overlay_map(m->overlay, offset + done, span - done, &at, &length), "map");
		check(pwrite(m->fd, buf + done, length, at) == (ssize_t)length, "overlay");
		done += length;
	}
	free(buf);
}

static void make_zero(struct make *m, uint64_t offset, uint64_t span)
{
	/* FLAT may be large and sparse: it stays so. */
	check(!fallocate(m->flat, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, span),
	      "flat");
	check(!overlay_zero(m->overlay, offset, span), "zero");
}

static void make_ops(struct make *m, uint64_t ops)
{
	uint64_t clusters = u64_div_up(m->size, m->cluster);

	for (uint64_t i = 0; i < ops; i++) {
		uint64_t first = dice(8) ? dice(clusters) : clusters - 1 - dice(u64_min(4, clusters));
		uint64_t count = 1 + dice(dice(20) ? 6 : 300);
		uint64_t offset = first * m->cluster;
		uint64_t span = u64_min(count * m->cluster, m->size - offset);

		if (dice(3))
			make_data(m, offset, u64_min(span, MIB(1)));
		else
			make_zero(m, offset, span);
	}
}

static int make_write(void *arg, const void *buf, size_t size, uint64_t offset)
{
	struct make *m = arg;

	m->early++;
	return file_write(m->fd, buf, size, offset);
}

static int make_read(void *arg, void *buf, size_t size, uint64_t offset)
{
	struct make *m = arg;

	return file_read(m->fd, buf, size, offset);
}

static void copy_base(struct make *m, const char *path)
{
	static uint8_t buf[1 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	check(fd >= 0, path);
	for (uint64_t at = 0; at < m->size; at += n) {
		n = pread(fd, buf, u64_min(sizeof(buf), m->size - at), at);
		if (n <= 0)
			break;
		check(pwrite(m->flat, buf, n, at) == n, "flat");
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct tables *tables;
	uint64_t size;
	struct overlay_label label = { .format = "raw", .tracker = "0123456789abcde", .epoch = 42, .point = 7 };
	struct make m = { 0 };

	if (argc < 9)
		return 2;
	m.size = strtoull(argv[4], NULL, 0);
	m.cluster = strtoul(argv[5], NULL, 0);
	seed = strtoull(argv[6], NULL, 0) * 0x9e3779b97f4a7c15ull + 1;
	label.backing = argv[1];
	m.fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
	m.flat = open(argv[3], O_RDWR | O_CREAT | O_TRUNC, 0600);
	check(m.fd >= 0 && m.flat >= 0 && !ftruncate(m.flat, m.size), "open");
	copy_base(&m, argv[1]);
	check(!tables_create(strtoull(argv[8], NULL, 0), &tables), "tables");
	check(!overlay_create(&(struct overlay_config){
				      .size = m.size,
				      .cluster = m.cluster,
				      .tables = tables,
				      .io = { make_write, make_read, &m },
			      }, &m.overlay), "create");
	if (argc > 9)
		make_zero(&m, 0, m.size);
	make_ops(&m, strtoull(argv[7], NULL, 0));
	printf("early %" PRIu64 "\n", m.early);
	check(!overlay_finish(m.overlay, &label, &size), "finish");
	check(!ftruncate(m.fd, size), "truncate");
	printf("size %" PRIu64 "\n", size);
	overlay_destroy(m.overlay);
	check(tables_used(tables) == 0, "all tables are gone");
	tables_destroy(tables);
	return 0;
}
