// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The brake, on counters that a test makes up and a clock that it moves by hand.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "send/brake.h"

#define MS 1000000ull /* ns */
#define PIECE KIB(256)

/* -- the control ------------------------------------------------------------ */

static uint64_t step(struct brake_control *c, uint64_t read, uint64_t latency_us)
{
	brake_step(c, read, latency_us, 10000);
	return c->rate;
}

static void step__halves_and_grows(void **state)
{
	struct brake_control c = { 0 };

	assert_int_equal(step(&c, MIB(100), 10000), 0); /* at the bound is not over it */
	assert_int_equal(step(&c, MIB(100), 10001), MIB(50));
	assert_int_equal(step(&c, MIB(50), 20000), MIB(25));
	/* From what was read in fact. */
	assert_int_equal(step(&c, MIB(10), 20000), MIB(5));
	/* Between three quarters and the bound it stays. */
	assert_int_equal(step(&c, MIB(5), 7500), MIB(5));
	assert_int_equal(step(&c, MIB(5), 10000), MIB(5));
	assert_int_equal(step(&c, MIB(5), 7499), MIB(5) * 5 / 4);
	/* And comes off, at twice what was read before. */
	for (int i = 0; i < 17 && c.rate; i++)
		assert_true(step(&c, MIB(5), 0) < MIB(200));
	assert_int_equal(c.rate, 0);
}

static void step__never_stops_a_run(void **state)
{
	struct brake_control c = { 0 };

	assert_int_equal(step(&c, 1, 20000), BRAKE_RATE_MIN);
	for (int i = 0; i < 100; i++)
		assert_int_equal(step(&c, 0, 1000000), BRAKE_RATE_MIN);
	/* What reads nothing makes nothing slow. */
	c = (struct brake_control){ 0 };
	assert_int_equal(step(&c, 0, 1000000), 0);
}

static void step__without_a_bound_it_comes_off(void **state)
{
	struct brake_control c = { .rate = MIB(1), .before = MIB(100) };

	brake_step(&c, MIB(1), 1000000, 0);
	assert_int_equal(c.rate, 0);
	assert_int_equal(c.before, 0);
}

/* -- with counters ---------------------------------------------------------- */

static _Atomic uint32_t bound_ms;
static struct progress progress;
static struct brake brake;
static char paths[2][64];
static uint64_t ios[2], ticks[2], now_ms;

static void stat_write(size_t i, uint64_t more_ios, uint64_t each_ms)
{
	FILE *f = fopen(paths[i], "w");

	ios[i] += more_ios;
	ticks[i] += more_ios * each_ms;
	assert_non_null(f);
	/* Half of it were reads. */
	fprintf(f, "%8llu 0 0 %8llu %8llu 0 0 %8llu 0 0 0\n", (unsigned long long)ios[i] / 2,
		(unsigned long long)ticks[i] / 2, (unsigned long long)(ios[i] - ios[i] / 2),
		(unsigned long long)(ticks[i] - ticks[i] / 2));
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	memset(&brake, 0, sizeof(brake));
	memset(&progress, 0, sizeof(progress));
	memset(ios, 0, sizeof(ios));
	memset(ticks, 0, sizeof(ticks));
	now_ms = 5000;
	bound_ms = 10;
	brake.bound_ms = &bound_ms;
	brake.progress = &progress;
	for (size_t i = 0; i < 2; i++) {
		int fd;

		snprintf(paths[i], sizeof(paths[i]), "/tmp/tidemark-brake-XXXXXX");
		fd = mkstemp(paths[i]);
		if (fd < 0)
			return -1;
		close(fd);
		stat_write(i, 1000, 50); /* from before the run: it does not count */
		if (brake_add(&brake, paths[i]))
			return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	brake_clear(&brake);
	return unlink(paths[0]) || unlink(paths[1]);
}

/* A second in which the run reads whatever it may, @want bytes at most. Return: bytes read */
static uint64_t second(uint64_t want)
{
	uint64_t bytes = 0;

	for (int i = 0; i < 1000; i++, now_ms++) {
		while (bytes + PIECE <= want && !brake_wait(&brake, now_ms * MS)) {
			brake_take(&brake, now_ms * MS, PIECE);
			bytes += PIECE;
		}
	}
	return bytes;
}

static void look(uint64_t vm_ios, uint64_t each_ms)
{
	stat_write(0, vm_ios, each_ms);
	brake_tick(&brake, now_ms);
}

static void brake__holds_back_and_lets_go(void **state)
{
	brake_tick(&brake, now_ms);
	assert_int_equal(second(MIB(64)), MIB(64));
	look(100, 9);
	assert_int_equal(progress.read_limit, 0);
	assert_int_equal(progress.latency, 9000);
	second(MIB(64));
	look(100, 11);
	assert_int_equal(progress.read_limit, MIB(32));
	assert_int_equal(progress.latency, 11000);
	/* It is really held to that, but for what a pause of 50 ms may catch up on. */
	assert_in_range(second(MIB(64)), MIB(30), MIB(35));
	look(100, 40);
	assert_true(progress.read_limit <= MIB(16));
	/* A VM that is quiet again lets it go on, in the end as if nothing had been. */
	for (int i = 0; i < 30 && progress.read_limit; i++) {
		second(MIB(64));
		look(100, 1);
	}
	assert_int_equal(progress.read_limit, 0);
	assert_int_equal(second(MIB(64)), MIB(64));
}

static void brake__a_run_goes_on_at_the_floor(void **state)
{
	uint64_t bytes = 0;

	brake_tick(&brake, now_ms);
	for (int i = 0; i < 40; i++) {
		bytes = i < 30 ? 0 : bytes;
		bytes += second(MIB(64));
		look(100, 500);
	}
	assert_int_equal(progress.read_limit, BRAKE_RATE_MIN);
	/* The last ten seconds: one piece each four. */
	assert_in_range(bytes, 2 * PIECE, 4 * PIECE);
}

static void brake__growing_forgives_nothing(void **state)
{
	uint64_t bytes = 0, allowed = 0;

	brake.control = (struct brake_control){ .rate = BRAKE_RATE_MIN, .before = MIB(64) };
	throttle_adjust(&brake.throttle, BRAKE_RATE_MIN);
	brake_tick(&brake, now_ms);
	for (int i = 0; i < 8; i++) {
		allowed += brake.throttle.rate;
		bytes += second(MIB(64));
		look(100, 1);
	}
	assert_true(bytes <= allowed + PIECE);
}

static void brake__the_worst_disk_counts(void **state)
{
	brake_tick(&brake, now_ms);
	second(MIB(64));
	stat_write(1, 10, 30);
	look(100, 2);
	assert_int_equal(progress.latency, 30000);
	assert_int_equal(progress.read_limit, MIB(32));
}

static void brake__looks_once_a_second(void **state)
{
	brake_tick(&brake, now_ms);
	brake_take(&brake, now_ms * MS, MIB(64));
	stat_write(0, 10, 30);
	brake_tick(&brake, now_ms + BRAKE_LOOK_MS - 1);
	assert_int_equal(progress.read_limit, 0);
	brake_tick(&brake, now_ms + BRAKE_LOOK_MS);
	assert_int_equal(progress.read_limit, MIB(32));
}

static void brake__the_bound_may_be_changed(void **state)
{
	bound_ms = 0;
	brake_tick(&brake, now_ms);
	second(MIB(64));
	look(100, 100);
	assert_int_equal(progress.latency, 0);
	assert_int_equal(progress.read_limit, 0);
	bound_ms = 10;
	for (int i = 0; i < 2; i++) {
		look(100, 100);
		second(MIB(64));
	}
	look(100, 100);
	assert_true(progress.read_limit > 0);
	bound_ms = 0;
	second(MIB(64));
	look(100, 100);
	assert_int_equal(progress.read_limit, 0);
	look(100, 100);
	assert_int_equal(progress.latency, 0);
	assert_int_equal(second(MIB(64)), MIB(64));
}

static void brake__a_device_that_goes_holds_nobody(void **state)
{
	brake_tick(&brake, now_ms);
	second(MIB(64));
	look(100, 100);
	assert_true(progress.read_limit > 0);
	for (int i = 0; i < 30; i++) {
		second(MIB(64));
		assert_int_equal(truncate(paths[0], 0), 0);
		brake_tick(&brake, now_ms);
	}
	assert_int_equal(progress.read_limit, 0);
	/* What is not there is not watched. */
	assert_int_equal(brake_add(&brake, "/nowhere/stat"), 0);
	assert_int_equal(brake.count, 2);
}

/* A disk on which the VM waits longer the more is read: it ends up near the bound. */
static void brake__finds_what_the_disk_can_bear(void **state)
{
	uint64_t bytes, high = 0, sum = 0;

	brake_tick(&brake, now_ms);
	for (int i = 0; i < 200; i++) {
		bytes = second(MIB(200));
		if (i >= 100) {
			high = u64_max(high, bytes);
			sum += bytes;
		}
		look(100, 1 + bytes / MIB(2)); /* 10 ms at 18 MiB a second */
	}
	assert_in_range(sum / 100, MIB(8), MIB(20));
	assert_true(high <= MIB(26));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(step__halves_and_grows),
		cmocka_unit_test(step__never_stops_a_run),
		cmocka_unit_test(step__without_a_bound_it_comes_off),
		T(brake__holds_back_and_lets_go),
		T(brake__a_run_goes_on_at_the_floor),
		T(brake__growing_forgives_nothing),
		T(brake__the_worst_disk_counts),
		T(brake__looks_once_a_second),
		T(brake__the_bound_may_be_changed),
		T(brake__a_device_that_goes_holds_nobody),
		T(brake__finds_what_the_disk_can_bear),
	};

	return cmocka_run_group_tests_name("send/brake", tests, NULL, NULL);
}
