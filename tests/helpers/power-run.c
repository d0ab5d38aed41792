// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * power-run DISK DATA POINTS WRITES SEED [MARK-COMMAND]: writers and an agent in
 * one, for power-cut tests. Two threads write to the tracked device DISK until
 * each has made WRITES writes (0: for ever): mostly into a working set of three
 * extents that moves, some with FUA, some followed by a flush. Meanwhile epochs
 * are sealed, and the owed granules copied from DATA, the device below, to the
 * next image in POINTS, the image before it copied first; then MARK-COMMAND is
 * run with "point:INDEX:EPOCH:UUID" as its last argument. Every third epoch is
 * then folded, as when the answer of a replica is lost, the others committed.
 * With "-" for DATA there are writers alone.
 *
 * A point is printed as that line, too.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "libtidemark/tidemark.h"

#define CHUNK MIB(1)

static struct {
	const char *disk;
	const char *mark;
	int data, points;
	uint64_t bytes, writes, seed;
	struct tidemark *t;
	struct tidemark_info info;
	atomic_int writers;
	uint8_t *buffer;
} g;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* -- writers ------------------------------------------------------------------ */

static uint64_t place(uint64_t *x, uint64_t i)
{
	uint64_t blocks = g.bytes / 4096, hot = i / 1000 * 3 * MIB(4) / 4096;

	if (next(x) % 512)
		return (hot + next(x) % (3 * MIB(4) / 4096)) % blocks * 4096;
	return next(x) % blocks * 4096;
}

static void *writer(void *argument)
{
	uint64_t x = (g.seed * 2 + 1) * 0x9e3779b97f4a7c15ull + (uintptr_t)argument * 77777;
	struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	int plain = open(g.disk, O_WRONLY | O_DIRECT | O_CLOEXEC);
	int sync = open(g.disk, O_WRONLY | O_DIRECT | O_DSYNC | O_CLOEXEC);
	uint64_t *buf;

	if (plain < 0 || sync < 0 || posix_memalign((void **)&buf, IO_ALIGN, 4096))
		die(g.disk);
	for (uint64_t i = 0; !g.writes || i < g.writes; i++) {
		for (int j = 0; j < 512; j++)
			buf[j] = next(&x);
		if (pwrite(next(&x) % 4 ? plain : sync, buf, 4096, place(&x, i)) != 4096)
			die("write");
		if (next(&x) % 32 == 0 && fdatasync(plain))
			die("flush");
		nanosleep(&pause, NULL);	/* checkpoints come by the clock */
	}
	g.writers--;
	return NULL;
}

/* -- the agent ---------------------------------------------------------------- */

static void copy(int from, uint64_t from_at, int to, uint64_t to_at, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes; done += CHUNK) {
		uint64_t n = u64_min(CHUNK, bytes - done);

		if (pread(from, g.buffer, n, from_at + done) != (ssize_t)n ||
		    pwrite(to, g.buffer, n, to_at + done) != (ssize_t)n)
			die("copy");
	}
}

static void copy_owed(uint64_t image)
{
	uint64_t granule = g.info.granule_sectors * 512ull, from = 0;
	struct tidemark_run runs[256];
	size_t count;

	while (from < g.info.granules) {
		if (tidemark_runs(g.t, g.info.disk, TIDEMARK_OWED, from, UINT64_MAX, runs, 256,
				  &count, &from))
			die("owed granules");
		for (size_t i = 0; i < count; i++) {
			uint64_t at = runs[i].first * granule;

			copy(g.data, at, g.points, image * g.bytes + at,
			     u64_min(runs[i].count * granule, g.bytes - at));
		}
	}
}

static void point_tell(uint64_t image, uint64_t epoch)
{
	char line[128], command[512];
	int n = snprintf(line, sizeof(line), "point:%llu:%llu:", (unsigned long long)image,
			 (unsigned long long)epoch);

	for (int i = 0; i < 16; i++)
		n += snprintf(line + n, sizeof(line) - n, "%02x", g.info.uuid[i]);
	if (fdatasync(g.points))
		die("points");
	if (g.mark) {
		snprintf(command, sizeof(command), "%s %s", g.mark, line);
		if (system(command))
			die(command);
	}
	puts(line);
	fflush(stdout);
}

static void epoch_run(uint64_t image)
{
	struct tidemark_seal_disk disk = { .disk = g.info.disk };
	bool keep = image % 3 != 2;
	int r;

	if (image)
		copy(g.points, (image - 1) * g.bytes, g.points, image * g.bytes, g.bytes);
	errno = -tidemark_seal(g.t, &disk, 1, 0, 60000, NULL);
	if (errno)
		die("seal");
	errno = -tidemark_wait(g.t, g.info.disk, disk.epoch, 60000);
	if (errno)
		die("wait");
	copy_owed(image);
	point_tell(image, disk.epoch);
	r = keep ? tidemark_commit(g.t, g.info.disk, disk.epoch) :
		   tidemark_fold(g.t, g.info.disk, disk.epoch);
	errno = -r;
	if (r)
		die(keep ? "commit" : "fold");
}

/* -- at rest ------------------------------------------------------------------ */

static void intents_gone(void)
{
	struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };

	for (int i = 0; i < 20 * 240; i++) {
		errno = -tidemark_info(g.t, g.info.disk, &g.info);
		if (errno)
			die("info");
		if (!g.info.meta_intents)
			return;
		nanosleep(&pause, NULL);
	}
	errno = ETIMEDOUT;
	die("intents");
}

/*
 * A few writes, then none, until no extent has intent: then one checkpoint has both
 * written their granules, for the first time, and cleared their intent. While all goes
 * on there are few of these, as each commit writes the granules too.
 */
static void rest(void)
{
	uint64_t x = g.seed + 1, *buf;
	int disk = open(g.disk, O_WRONLY | O_DIRECT | O_CLOEXEC);

	if (disk < 0 || posix_memalign((void **)&buf, IO_ALIGN, 4096))
		die(g.disk);
	for (int i = 0; i < 4; i++) {
		intents_gone();
		for (int j = 0; j < 3; j++) {
			buf[0] = next(&x);
			if (pwrite(disk, buf, 4096, next(&x) % (g.bytes / 4096) * 4096) != 4096)
				die("write");
		}
		if (fdatasync(disk))
			die("flush");
	}
	intents_gone();
	free(buf);
	close(disk);
}

/* Returns how many images there is room for. */
static uint64_t disk_open(const char *data, const char *points)
{
	int fd;

	if (strcmp(data, "-") == 0) {
		fd = open(g.disk, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			die(g.disk);
		g.bytes = lseek(fd, 0, SEEK_END);
		close(fd);
		return 0;
	}
	if (tidemark_open(&g.t, O_RDWR) || tidemark_find(g.t, g.disk, &g.info))
		die(g.disk);
	g.data = open(data, O_RDONLY | O_DIRECT | O_CLOEXEC);
	g.points = open(points, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (g.data < 0 || g.points < 0 || posix_memalign((void **)&g.buffer, IO_ALIGN, CHUNK))
		die(data);
	g.bytes = lseek(g.data, 0, SEEK_END);
	return lseek(g.points, 0, SEEK_END) / g.bytes;
}

int main(int argc, char **argv)
{
	struct timespec pause = { .tv_nsec = 300 * 1000 * 1000 };
	pthread_t threads[2];
	uint64_t images, image = 0;

	if (argc != 6 && argc != 7) {
		fprintf(stderr, "usage: power-run DISK DATA POINTS WRITES SEED [MARK-COMMAND]\n");
		return 2;
	}
	g.disk = argv[1];
	g.writes = strtoull(argv[4], NULL, 0);
	g.seed = strtoull(argv[5], NULL, 0);
	g.mark = argc == 7 ? argv[6] : NULL;
	images = disk_open(argv[2], argv[3]);
	g.writers = 2;
	for (uintptr_t i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, writer, (void *)i))
			die("thread");
	while (g.writers) {
		if (image < images)
			epoch_run(image++);
		nanosleep(&pause, NULL);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (g.t)
		rest();
	tidemark_close(g.t);
	return 0;
}
