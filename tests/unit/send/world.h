/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of runs work with: disks of tracker.h, a real receiver on loopback,
 * and a collection of its own for each test. For test-run.c and test-members.c alone.
 */
#ifndef TIDEMARK_TESTS_SEND_WORLD_H
#define TIDEMARK_TESTS_SEND_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "receive/receiver.h"
#include "send/run.h"
#include "send/source.h"
#include "tests/unit/scratch.h"
#include "tests/unit/send/tracker.h"

static char folder[] = "/tmp/tidemark-run-XXXXXX";
static unsigned int collections;

static struct run_disk disks[] = {
	{ .vm = "v", .name = "d0", .device = "0", .tracked = true },
	{ .vm = "v", .name = "d1", .device = "1", .tracked = true },
	{ .vm = "w", .name = "d0", .device = "2", .tracked = true },
};

/* What a test works with: all disks fresh, a collection of its own. */
struct world {
	struct receiver *receiver;
	char collection[16];
	char port[8];
	struct run_config config;
	struct progress progress;
	struct run_report_disk report_disks[FAKES];
	struct run_report report;
	struct reason reason;
};

static void fake_reset(struct fake *f, uint8_t id)
{
	int fd = f->source.fd;
	uint8_t *disk = f->disk;

	memset(f, 0, sizeof(*f));
	f->source = (struct source){
		.ops = &fake_ops, .fd = fd, .size = SIZE, .granule = GRANULE,
	};
	f->disk = disk;
	f->epoch = 1;
	f->uuid[0] = id;
	f->uuid[1] = ++collections;
	for (size_t g = 0; g < GRANULES; g++)
		memset(disk + g * GRANULE, g % 5 ? g : 0, bytes_of(g));
}

static int receiver_start(struct world *w)
{
	struct receiver_config rc = { .plain_allowed = true, .store_dir = folder };
	struct reason reason = { 0 };
	int err = receiver_create(&rc, &w->receiver, &reason);

	if (err)
		fprintf(stderr, "%s\n", reason.text);
	return err;
}

static int group_setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	log_set_level(getenv("TIDEMARK_LOG") ? LOG_DEBUG : LOG_ERR);
	if (!w || !mkdtemp(folder) || receiver_start(w))
		return -1;
	for (size_t i = 0; i < FAKES; i++) {
		fakes[i].source.fd = memfd_create("disk", 0);
		if (ftruncate(fakes[i].source.fd, SIZE))
			return -1;
		fakes[i].disk = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				     fakes[i].source.fd, 0);
	}
	*state = w;
	return 0;
}

static int group_teardown(void **state)
{
	struct world *w = *state;

	receiver_destroy(w->receiver);
	free(w);
	return scratch_remove(folder);
}

static int setup(void **state)
{
	struct world *w = *state;

	fake_reset(&fakes[0], 10);
	fake_reset(&fakes[1], 11);
	fake_reset(&fakes[2], 12);
	cancel_fd = eventfd(0, EFD_NONBLOCK);
	snprintf(w->collection, sizeof(w->collection), "c%u", collections);
	snprintf(w->port, sizeof(w->port), "%u", receiver_port(w->receiver));
	w->config = (struct run_config){
		.kind = RUN_RESYNC,
		.collection = w->collection,
		.host = "127.0.0.1",
		.port = w->port,
		.disks = disks,
		.disk_count = 2,
		.max_passes = 4,
		.pool_limit = 1 << 20,
		.timeout_ms = 20000,
		.drain_ms = 5000,
		.commit_ms = 20000,
	};
	return 0;
}

static int teardown(void **state)
{
	close(cancel_fd);
	return 0;
}

static int run(struct world *w)
{
	struct run_control control = { .cancel_fd = cancel_fd };
	int err;

	seal_calls = 0;
	for (size_t i = 0; i < FAKES; i++)
		fakes[i].released = 0;
	memset(&w->progress, 0, sizeof(w->progress));
	memset(w->report_disks, 0, sizeof(w->report_disks));
	memset(&w->report, 0, sizeof(w->report));
	memset(&w->reason, 0, sizeof(w->reason));
	w->report.disks = w->report_disks;
	err = run_execute(&w->config, &control, &w->progress, &w->report, &w->reason);
	/* Whatever happened: nothing is left open, or sealed but for a run to go on with. */
	for (size_t i = 0; i < FAKES; i++) {
		assert_false(fakes[i].open);
		if (!err)
			assert_int_equal(fakes[i].sealed_epoch, 0);
	}
	return err;
}

static void run_ok(struct world *w)
{
	if (run(w))
		fail_msg("%u: %s", w->reason.code, w->reason.text);
}

struct lookup {
	const char *collection, *vm, *disk;
	char path[STORE_PATH_MAX];
	enum store_state state;
};

static int lookup_one(const struct store_replica *r, void *arg)
{
	struct lookup *l = arg;

	if (strcmp(r->collection, l->collection) == 0 && strcmp(r->vm, l->vm) == 0 &&
	    strcmp(r->disk, l->disk) == 0) {
		snprintf(l->path, sizeof(l->path), "%s", r->path);
		l->state = r->state;
	}
	return 0;
}

/* The raw replica of a disk, when its newest point has been merged into it. */
static void replica_read(struct world *w, size_t i, uint8_t *ret)
{
	struct lookup l = {
		.collection = w->collection, .vm = disks[i].vm, .disk = disks[i].name,
	};
	FILE *file;

	for (int n = 0; n < 500; n++) {
		assert_int_equal(receiver_status(w->receiver, lookup_one, &l), 0);
		if (l.state == STORE_READY && strstr(l.path, ".raw"))
			break;
		usleep(20000);
	}
	file = fopen(l.path, "r");
	assert_non_null(file);
	assert_int_equal(fread(ret, 1, SIZE, file), SIZE);
	assert_int_equal(fgetc(file), EOF);
	fclose(file);
}

static void replica_is_at_seal(struct world *w, size_t i)
{
	static uint8_t bytes[SIZE];

	replica_read(w, i, bytes);
	assert_memory_equal(bytes, fakes[i].at_seal, SIZE);
}

/* The replicas are the disks as they were at the newest seal, which was one instant. */
static void replicas_are_at_seal(struct world *w)
{
	for (size_t i = 0; i < w->config.disk_count; i++)
		replica_is_at_seal(w, i);
}

/* Every granule that is owed is written to before it is read, again and again. */
static void __attribute__((unused)) tear_always(struct fake *f, enum moment m)
{
	if (m == AT_WAIT)
		for (size_t g = 0; g < GRANULES; g++)
			if (f->owed[g])
				fake_write(f, g, f->seals);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
