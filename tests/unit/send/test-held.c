// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A whole run that the brake holds back: against a real receiver, with a tracker made
 * of arrays and counters made up.
 */
#define GRANULES 400u

#include "send/conn.h"
#include "tests/unit/send/world.h"

#define PIECE KIB(256) /* a region of the pump */
#define TIGHT MIB(2)

static struct world *held_world;
static char stat_path[48];
static unsigned int slow_ios;
static bool held; /* a limit was seen */
/* While the limit is tight: since when, what was released, the highest limit */
static struct {
	uint64_t since_ms, bytes, limit;
} tight;

static void stat_write(unsigned int ios)
{
	FILE *f = fopen(stat_path, "w");

	assert_non_null(f);
	fprintf(f, "%u 0 0 %u 0 0 0 0 0 0 0\n", ios, ios * 80);
	assert_int_equal(fclose(f), 0);
}

/* Nothing is read faster than the limit says. A slow machine reads less. */
static void tight_check(uint64_t limit, unsigned int released)
{
	static unsigned int before;
	uint64_t elapsed_ms;

	if (!tight.since_ms) {
		tight.since_ms = conn_now();
		before = released;
	}
	tight.limit = u64_max(tight.limit, limit);
	tight.bytes = (released - before) * (uint64_t)GRANULE;
	/* A tick more, for a limit that is set between two looks at the clock. */
	elapsed_ms = conn_now() - tight.since_ms + 100;
	assert_true(tight.bytes <= tight.limit * elapsed_ms / 1000 + 5 * PIECE);
}

/* The VM waits 80 ms each time, until the run is held back tightly for that. */
static void suffer(struct fake *f, enum moment m)
{
	uint64_t limit = atomic_load(&held_world->progress.read_limit);

	if (m != AT_RELEASE)
		return;
	held |= limit != 0;
	if (limit && limit <= TIGHT)
		tight_check(limit, f->released);
	else if (!tight.since_ms)
		stat_write(++slow_ios);
}

static void run_slowly(struct world *w, uint32_t bound_ms, uint64_t rate)
{
	_Atomic uint32_t latency_ms = bound_ms;
	struct throttle network = { 0 };

	/* So that the reads last for some looks, whatever this machine can do. */
	throttle_set(&network, rate);
	held_world = w;
	slow_ios = 0;
	held = false;
	memset(&tight, 0, sizeof(tight));
	stat_write(0);
	fakes[0].hook = suffer;
	w->config.disk_count = 1;
	w->config.throttles[0] = &network;
	w->config.latency_ms = &latency_ms;
	run_ok(w);
	fakes[0].hook = NULL;
	replicas_are_at_seal(w);
}

static void run__is_held_back_for_the_vm_and_ends(void **state)
{
	struct progress_view view;
	struct world *w = *state;

	snprintf(fakes[0].source.stat, sizeof(fakes[0].source.stat), "%s", stat_path);
	run_slowly(w, 20, MIB(4));
	assert_true(held);
	assert_true(tight.bytes > 0);
	/* When it is over nothing is held. */
	progress_read(&w->progress, &view);
	assert_int_equal(view.read_limit, 0);
	assert_int_equal(view.latency, 0);
}

static void run__without_a_bound_is_not_held_back(void **state)
{
	snprintf(fakes[0].source.stat, sizeof(fakes[0].source.stat), "%s", stat_path);
	run_slowly(*state, 0, MIB(12));
	assert_false(held);
}

static void run__of_a_disk_that_nobody_uses_is_not_held_back(void **state)
{
	fakes[0].source.stat[0] = '\0';
	run_slowly(*state, 20, MIB(12));
	assert_false(held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(run__is_held_back_for_the_vm_and_ends),
		TEST(run__without_a_bound_is_not_held_back),
		TEST(run__of_a_disk_that_nobody_uses_is_not_held_back),
	};
	int fd, failed;

	snprintf(stat_path, sizeof(stat_path), "/tmp/tidemark-held-XXXXXX");
	fd = mkstemp(stat_path);
	if (fd < 0)
		return 1;
	close(fd);
	failed = cmocka_run_group_tests_name("send/held", tests, group_setup, group_teardown);
	unlink(stat_path);
	return failed;
}
