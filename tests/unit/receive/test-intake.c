// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The intake over a real stage and a real ring: chunks of all sizes, over each
 * other, in an area that is far too small for all of them, end up as if they
 * had been written one after the other.
 */
#include "receive/intake.h"
#include "tests/unit/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (MIB(12) + 512)
#define UNIT 65536u

static char folder[] = "/tmp/tidemark-intake.XXXXXX";
static struct store *store;
static struct ring *ring;
static unsigned int poll_fails;

/* The engine without io_uring waits by this. */
int poll(struct pollfd *fds, nfds_t count, int ms)
{
	if (!poll_fails)
		return syscall(SYS_poll, fds, count, ms);
	poll_fails--;
	errno = ENOMEM;
	return -1;
}

static void stage_add(struct stage *s, uint32_t disk, const char *name)
{
	struct stage_disk_spec spec = { .vm = "vm", .size = SIZE, .granule = UNIT };
	struct stage_held held;

	snprintf(spec.disk, sizeof(spec.disk), "%s", name);
	assert_int_equal(stage_open(s, disk, &spec, &held, NULL), 0);
	assert_int_equal(stage_begin(s, disk, STAGE_SEED, 0, NULL), 0);
}

static struct stage *stage_for(const char *collection)
{
	struct stage *s;

	assert_int_equal(store_claim(store, collection, 0, NULL), 0);
	assert_int_equal(stage_create(store, collection, &s), 0);
	stage_add(s, 0, "vda");
	return s;
}

static uint64_t seed = 88172645463325252ull;

static uint64_t dice(uint64_t sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % sides;
}

/* What lies where the stage has the disk's bytes. */
static void assert_stage_has(struct stage *s, const uint8_t *model)
{
	static uint8_t got[SIZE] __attribute__((aligned(IO_ALIGN)));
	struct raw_place place;

	for (uint64_t at = 0; at < SIZE; at += place.length) {
		assert_int_equal(stage_place(s, 0, at, SIZE - at, &place), 0);
		assert_int_equal(pread(place.fd, got + at, place.length, place.offset), place.length);
	}
	assert_memory_equal(got, model, SIZE);
}

static void intake__what_came_last_stays(void **state)
{
	static uint8_t model[SIZE], got[SIZE];
	struct stage *s = stage_for("order");
	struct intake t;
	uint64_t point, end = SIZE;
	char path[STORE_PATH_MAX];
	int fd;

	assert_int_equal(intake_open(&t, ring, s), 0);
	for (unsigned int i = 0; i < 1000; i++) {
		/* Mostly where the one before ends: those can be written together. */
		uint64_t offset = dice(3) && end < SIZE ? end : dice(SIZE / UNIT + 1) * UNIT;
		uint32_t span = u64_min((1 + dice(dice(3) ? 2 : 16)) * UNIT, SIZE - offset);
		struct intake_chunk *c;

		end = offset + span;
		assert_int_equal(intake_take(&t, span, UNIT, &c), 0);
		assert_int_equal((uintptr_t)c->buf % IO_ALIGN, 0);
		/* One that turned out to be spoiled. */
		if (!dice(10)) {
			memset(c->buf, 0xee, span);
			intake_drop(&t, c);
			continue;
		}
		memset(c->buf, 1 + i % 250, span);
		memset(model + offset, 1 + i % 250, span);
		assert_int_equal(intake_write(&t, c, 0, offset), 0);
		if (i % 50)
			continue;
		assert_int_equal(intake_drain(&t), 0);
		assert_stage_has(s, model);
	}
	assert_int_equal(intake_drain(&t), 0);
	intake_close(&t);
	intake_close(&t);
	assert_int_equal(stage_end(s, 0, 1, NULL, NULL), 0);
	assert_int_equal(stage_commit(s, &(struct stage_label){ .consistency = 2 }, &point, NULL), 0);
	stage_destroy(s);
	store_release(store, "order");
	assert_int_equal(store_open_path(store, "order", "vm", "vda", path), 0);
	fd = open(path, O_RDONLY);
	assert_int_equal(read(fd, got, SIZE), SIZE);
	close(fd);
	assert_memory_equal(got, model, SIZE);
}

static struct intake_chunk *write_to(struct intake *t, uint32_t disk, uint64_t offset,
				     uint32_t span)
{
	struct intake_chunk *c;

	assert_int_equal(intake_take(t, span, UNIT, &c), 0);
	assert_int_equal(intake_write(t, c, disk, offset), 0);
	return c;
}

static struct intake_chunk *write_at(struct intake *t, uint64_t offset, uint32_t span)
{
	return write_to(t, 0, offset, span);
}

/* Chunks that follow each other are one request, until it is large or something else comes. */
static void intake__neighbours_go_together(void **state)
{
	struct stage *s = stage_for("together");
	struct intake_chunk *first, *next;
	struct intake t;

	assert_int_equal(intake_open(&t, ring, s), 0);
	first = write_at(&t, UNIT, UNIT);
	next = write_at(&t, 2 * UNIT, 2 * UNIT);
	assert_ptr_equal(t.held, first);
	assert_int_equal(first->joined, 1);
	assert_int_equal(t.place.length, 3 * UNIT);
	/* Elsewhere: what was held back is on its way. */
	next = write_at(&t, 9 * UNIT, UNIT);
	assert_ptr_equal(t.held, next);
	/* The same place again: the older one is written first, whatever it waited for. */
	write_at(&t, 9 * UNIT, UNIT);
	assert_false(next->busy);
	assert_int_equal(intake_drain(&t), 0);
	assert_null(t.held);
	first = write_at(&t, 0, INTAKE_WRITE / 2);
	write_at(&t, INTAKE_WRITE / 2, INTAKE_WRITE / 2);
	assert_null(t.held);
	assert_int_equal(first->joined, 1);
	write_at(&t, INTAKE_WRITE, MIB(1));
	assert_null(t.held);
	/* The place where it would go on, but of another disk. */
	stage_add(s, 1, "vdb");
	write_at(&t, 0, UNIT);
	next = write_to(&t, 1, UNIT, UNIT);
	assert_ptr_equal(t.held, next);
	intake_close(&t);
	stage_destroy(s);
	store_release(store, "together");
}

/* Rooms never overlap and never leave the area. */
static void intake__rooms_are_apart(void **state)
{
	struct stage *s = stage_for("rooms");
	struct intake t;

	assert_int_equal(intake_open(&t, ring, s), 0);
	for (unsigned int i = 0; i < 300; i++) {
		uint32_t span = (1 + dice(16)) * UNIT;
		struct intake_chunk *c;

		assert_int_equal(intake_take(&t, span, UNIT, &c), 0);
		assert_true(c->buf >= t.area && c->buf + span <= t.area + INTAKE_SIZE);
		for (uint32_t k = 0; k < INTAKE_DEPTH; k++) {
			struct intake_chunk *o = &t.chunks[k];

			if (o->busy)
				assert_true(o->buf + o->room <= c->buf ||
					    c->buf + c->room <= o->buf);
		}
		memset(c->buf, 1, span);
		assert_int_equal(intake_write(&t, c, 0, dice(100) * UNIT), 0);
	}
	intake_close(&t);
	stage_destroy(s);
	store_release(store, "rooms");
}

static void intake__the_rest_of_a_unit_is_zero(void **state)
{
	struct stage *s = stage_for("rest");
	struct intake_chunk *c;
	struct intake t;

	assert_int_equal(intake_open(&t, ring, s), 0);
	memset(t.area, 0xff, INTAKE_SIZE);
	assert_int_equal(intake_take(&t, 512, UNIT, &c), 0);
	for (uint32_t i = 512; i < UNIT; i++)
		assert_int_equal(c->buf[i], 0);
	intake_drop(&t, c);
	intake_close(&t);
	stage_destroy(s);
	store_release(store, "rest");
}

static void intake__an_error_comes_back(void **state)
{
	struct stage *s = stage_for("error");
	struct intake_chunk *c;
	struct intake t;

	assert_int_equal(intake_open(&t, ring, s), 0);
	t.error = -EIO;
	assert_int_equal(intake_take(&t, UNIT, UNIT, &c), -EIO);
	assert_int_equal(intake_settle(&t, 0, 0, UNIT), -EIO);
	assert_int_equal(intake_drain(&t), -EIO);
	intake_close(&t);
	stage_destroy(s);
	store_release(store, "error");
}

/* What was begun has not ended when the ring fails, and its memory is still written from. */
static void intake__waits_for_what_a_ring_has_left(void **state)
{
	struct stage *s = stage_for("left");
	struct ring *plain;
	struct intake t;

	setenv(RING_ENGINE_VARIABLE, "plain", 1);
	assert_int_equal(ring_create(&plain, 64), 0);
	unsetenv(RING_ENGINE_VARIABLE);
	assert_int_equal(intake_open(&t, plain, s), 0);
	for (unsigned int i = 0; i < 8; i++)
		write_at(&t, 2 * i * UNIT, UNIT);
	poll_fails = 1;
	assert_int_equal(intake_drain(&t), -ENOMEM);
	poll_fails = 1;
	intake_close(&t);
	assert_int_equal(ring_busy(plain), 0);
	ring_destroy(plain);
	stage_destroy(s);
	store_release(store, "left");
}

static int set_up(void **state)
{
	if (!mkdtemp(folder) || ring_create(&ring, 64))
		return -1;
	return store_open(folder, NULL, NULL, 0, &store, NULL);
}

static int tear_down(void **state)
{
	ring_destroy(ring);
	store_close(store);
	return scratch_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intake__what_came_last_stays),
		cmocka_unit_test(intake__neighbours_go_together),
		cmocka_unit_test(intake__rooms_are_apart),
		cmocka_unit_test(intake__the_rest_of_a_unit_is_zero),
		cmocka_unit_test(intake__an_error_comes_back),
		cmocka_unit_test(intake__waits_for_what_a_ring_has_left),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
