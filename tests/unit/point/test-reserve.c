// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
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
	d->spec.size = SIZE;
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, disk_create, disk_destroy)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(reserve__data_in_a_row_makes_room_ahead),
		TEST(reserve__scattered_data_leaves_the_holes),
		TEST(reserve__a_device_is_left_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
