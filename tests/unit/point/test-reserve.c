// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "point/stage-disk.h"

#define CHUNK KIB(256)
#define SIZE MIB(64)

/* A first point under way: a file of its size, nothing in it. */
static int disk_create(void **state)
{
	struct stage_disk *d = calloc(1, sizeof(*d));
	char path[] = "/tmp/tidemark-reserve.XXXXXX";

	d->raw.fd = mkstemp(path);
	d->raw.tail_fd = d->raw.fd;
	d->raw.size = SIZE;
	d->raw.capacity = SIZE;
	d->spec.size = SIZE;
	d->mode = STAGE_SEED;
	unlink(path);
	*state = d;
	return d->raw.fd < 0 ? -1 : ftruncate(d->raw.fd, SIZE);
}

static int disk_destroy(void **state)
{
	struct stage_disk *d = *state;

	close(d->raw.fd);
	free(d);
	return 0;
}

static uint64_t disk_space(const struct stage_disk *d)
{
	struct stat st;

	assert_int_equal(fstat(d->raw.fd, &st), 0);
	assert_int_equal(st.st_size, SIZE);
	return st.st_blocks * 512;
}

/* Not every file system can: then there is nothing to see. */
static void need_fallocate(const struct stage_disk *d)
{
	if (fallocate(d->raw.fd, FALLOC_FL_KEEP_SIZE, 0, 4096))
		skip();
	assert_int_equal(fallocate(d->raw.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096),
			 0);
}

static void reserve__data_in_a_row_makes_room_ahead(void **state)
{
	struct stage_disk *d = *state;
	uint64_t at;

	need_fallocate(d);
	for (at = 0; at < MIB(1) - CHUNK; at += CHUNK)
		reserve_seed(d, at, CHUNK);
	assert_true(disk_space(d) < CHUNK);
	reserve_seed(d, at, CHUNK);
	assert_true(disk_space(d) >= MIB(1) + CHUNK);
	for (; at < SIZE; at += CHUNK)
		reserve_seed(d, at, CHUNK);
	assert_true(d->reserved == SIZE);
}

static void reserve__scattered_data_leaves_the_holes(void **state)
{
	struct stage_disk *d = *state;

	for (uint64_t at = 0; at < SIZE; at += 2 * CHUNK)
		reserve_seed(d, at, CHUNK);
	assert_true(disk_space(d) < CHUNK);
}

static void reserve__a_device_is_left_alone(void **state)
{
	struct stage_disk *d = *state;

	d->raw.device = true;
	for (uint64_t at = 0; at < SIZE; at += CHUNK)
		reserve_seed(d, at, CHUNK);
	assert_true(disk_space(d) < CHUNK);
}

/* What a sender's frames do to a disk. */
static void disk_data(struct stage_disk *d, uint64_t offset, char byte)
{
	struct stage s = { .disks = &d, .count = 1 };
	struct raw_place place;
	static char data[CHUNK];

	memset(data, byte, sizeof(data));
	assert_int_equal(stage_place(&s, 0, offset, CHUNK, &place), 0);
	assert_int_equal(pwrite(place.fd, data, CHUNK, place.offset), CHUNK);
}

static void disk_zero(struct stage_disk *d, uint64_t offset, uint64_t span)
{
	struct stage s = { .disks = &d, .count = 1 };

	assert_int_equal(stage_zero(&s, 0, offset, span), 0);
}

static void assert_bytes(const struct stage_disk *d, uint64_t offset, char byte)
{
	static char data[CHUNK];

	assert_int_equal(pread(d->raw.fd, data, CHUNK, offset), CHUNK);
	for (size_t i = 0; i < CHUNK; i++)
		assert_int_equal(data[i], byte);
}

static void zeroes__replace_data_that_came_before(void **state)
{
	struct stage_disk *d = *state;

	disk_data(d, 8 * CHUNK, 'a');
	disk_data(d, 2 * CHUNK, 'b');
	disk_zero(d, 0, 3 * CHUNK);
	disk_zero(d, 8 * CHUNK, 9 * CHUNK);
	assert_bytes(d, 2 * CHUNK, 0);
	assert_bytes(d, 8 * CHUNK, 0);
	/* The last chunk of them begins before the hole and goes on behind its beginning. */
	disk_data(d, 20 * CHUNK, 'c');
	disk_zero(d, 20 * CHUNK, SIZE - 20 * CHUNK);
	assert_bytes(d, 20 * CHUNK, 0);
}

static void zeroes__give_back_what_was_reserved_ahead(void **state)
{
	struct stage_disk *d = *state;

	need_fallocate(d);
	for (uint64_t at = 0; at < MIB(4); at += CHUNK)
		disk_data(d, at, 'a');
	assert_true(disk_space(d) > MIB(4) + CHUNK);
	disk_zero(d, MIB(4), SIZE - MIB(4));
	assert_true(disk_space(d) < MIB(4) + CHUNK);
	assert_bytes(d, MIB(4) - CHUNK, 'a');
}

static void zeroes__of_an_old_file_are_always_made(void **state)
{
	struct stage_disk *d = *state;

	disk_data(d, 8 * CHUNK, 'a');
	/* As it is when a staging is gone on with: nobody knows what lies there. */
	d->hole = UINT64_MAX;
	disk_data(d, 2 * CHUNK, 'b');
	disk_zero(d, 8 * CHUNK, CHUNK);
	assert_bytes(d, 8 * CHUNK, 0);
}

/* Punching waits for other writes: a first copy of a disk with many holes took twice as long. */
static void zeroes__in_the_hole_change_nothing(void **state)
{
	struct stage_disk *d = *state;
	int fd = d->raw.fd;

	disk_data(d, 0, 'a');
	d->raw.fd = -1; /* whoever asks the file gets an error */
	disk_zero(d, CHUNK, SIZE - CHUNK);
	d->raw.fd = fd;
	assert_bytes(d, CHUNK, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, disk_create, disk_destroy)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(reserve__data_in_a_row_makes_room_ahead),
		TEST(reserve__scattered_data_leaves_the_holes),
		TEST(reserve__a_device_is_left_alone),
		TEST(zeroes__replace_data_that_came_before),
		TEST(zeroes__give_back_what_was_reserved_ahead),
		TEST(zeroes__of_an_old_file_are_always_made),
		TEST(zeroes__in_the_hole_change_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
