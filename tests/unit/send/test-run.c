// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs from end to end, against a real receiver on loopback, with a tracker made
 * of arrays: it follows <linux/tidemark.h>, and writes to its disk at the very
 * moments that decide whether a replica is one moment of the disk.
 *
 * The linker takes this file's source_kernel_open() instead of the library's.
 */
#include <limits.h>

#include "tests/unit/send/world.h"

/* -- the tests -------------------------------------------------------------- */

/* The network is slow here; most of the disk packs well, one granule not at all. */
static void run__packs_where_it_pays(void **state)
{
	struct world *w = *state;
	struct throttle slow = { 0 };

	throttle_set(&slow, MIB(4));
	w->config.throttles[0] = &slow;
	w->config.disk_count = 1;
	for (size_t i = 0; i < GRANULE; i++)
		fakes[0].disk[3 * GRANULE + i] = random();
	run_ok(w);
	assert_true(w->progress.wire > SIZE / 2);
	replicas_are_at_seal(w);

	for (size_t g = 0; g < GRANULES; g++)
		fake_write(&fakes[0], g, 200 + g % 50);
	for (size_t i = 0; i < GRANULE; i++)
		fakes[0].disk[3 * GRANULE + i] = random();
	w->config.compress = true;
	run_ok(w);
	/* But for the region with noise. */
	assert_true(w->progress.wire < SIZE / 5);
	assert_int_equal(w->progress.sent, SIZE);
	replicas_are_at_seal(w);
}

static void run__full_then_incremental(void **state)
{
	struct world *w = *state;

	run_ok(w);
	assert_int_equal(seal_calls, 1);
	assert_int_equal(w->report.point, 1);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_FULL);
	assert_int_equal(w->progress.sent + w->progress.zero, 2 * SIZE);
	assert_int_equal(w->progress.handled, 2 * SIZE);
	assert_int_equal(fakes[0].released, GRANULES);
	assert_int_equal(fakes[1].released, GRANULES);
	replicas_are_at_seal(w);

	fake_write(&fakes[0], 3, 0x77);
	fake_write(&fakes[0], 4, 0x78);
	fake_write(&fakes[0], 9, 0x00);
	fake_write(&fakes[1], GRANULES - 1, 0x79);
	run_ok(w);
	assert_int_equal(w->report.point, 2);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_INCREMENTAL);
	/* Exactly what was marked: neighbours in one frame, zeroes as a span. */
	assert_int_equal(w->progress.sent, 2 * GRANULE + TAIL);
	assert_int_equal(w->progress.zero, GRANULE);
	assert_int_equal(w->progress.reads, 3);
	assert_int_equal(w->report_disks[0].frames, 2);
	assert_int_equal(w->report_disks[1].frames, 1);
	assert_int_equal(fakes[0].released, 3);
	replicas_are_at_seal(w);
	assert_int_equal(count_bits(fakes[0].current), 0);
	assert_int_equal(fakes[0].commits, 2);
}

/* A write to an owed granule, before it is read. */
static void tear_once(struct fake *f, enum moment m)
{
	if (m == AT_WAIT && f->seals == 1 && f == &fakes[0])
		fake_write(f, 7, 0xee);
	/* And one to a granule that has been released, which tears nothing. */
	if (m == AT_RELEASE && f->seals == 2 && f == &fakes[0] && !f->owed[7])
		fake_write(f, 7, 0xdd);
}

static void run__torn_epoch_is_closed_by_another_pass(void **state)
{
	struct world *w = *state;

	fakes[0].hook = tear_once;
	run_ok(w);
	assert_int_equal(seal_calls, 2);
	assert_int_equal(w->progress.passes, 2);
	assert_int_equal(w->progress.torn, 1);
	/* The second pass sends the difference, not everything again. */
	assert_int_equal(w->progress.owed, 2 * SIZE + GRANULE);
	/* The moment of the second seal: 0xee is there, 0xdd is not, but marked. */
	assert_int_equal(fakes[0].at_seal[7 * GRANULE], 0xee);
	replicas_are_at_seal(w);
	assert_true(fakes[0].current[7]);
	assert_int_equal(count_bits(fakes[0].current), 1);
	fakes[0].hook = NULL;
	run_ok(w);
	assert_int_equal(w->progress.sent, GRANULE);
	replicas_are_at_seal(w);
}

/* The VM is as fast as the run, until there is room for what it overwrites. */
static void tear_until_there_is_room(struct fake *f, enum moment m)
{
	if (m == AT_WAIT && f->grown < 2)
		fake_write(f, 7, 0xa0 + f->seals);
}

static void run__more_room_ends_the_passes(void **state)
{
	struct world *w = *state;

	fakes[0].hook = tear_until_there_is_room;
	run_ok(w);
	assert_int_equal(w->progress.passes, 3);
	assert_int_equal(w->progress.torn, 2);
	assert_int_equal(fakes[0].grown, 2);
	assert_int_equal(fakes[0].pool_limit, 1 << 20);
	/* The other one was not torn, and needs no more. */
	assert_int_equal(fakes[1].grown, 0);
	replicas_are_at_seal(w);
	fakes[0].hook = NULL;
}

/* A write during the run, to a granule that is not owed, belongs to the next one. */
static void write_beside(struct fake *f, enum moment m)
{
	if (m == AT_WAIT && f == &fakes[1])
		fake_write(f, 20, 0xcc);
}

static void run__write_beside_waits_for_the_next_run(void **state)
{
	struct world *w = *state;

	run_ok(w);
	fake_write(&fakes[1], 2, 0x42);
	fakes[1].hook = write_beside;
	run_ok(w);
	assert_int_equal(w->progress.passes, 1);
	assert_int_not_equal(fakes[1].at_seal[20 * GRANULE], 0xcc);
	replicas_are_at_seal(w);
	fakes[1].hook = NULL;
	run_ok(w);
	assert_int_equal(w->progress.sent, GRANULE);
	replicas_are_at_seal(w);
}

static void run__too_fast_fails_and_folds(void **state)
{
	static uint8_t before[SIZE], after[SIZE];
	struct world *w = *state;

	run_ok(w);
	replica_read(w, 0, before);
	fake_write(&fakes[0], 1, 0x99);
	fake_write(&fakes[0], 2, 0x99);
	fakes[0].hook = tear_always;
	assert_int_equal(run(w), -EAGAIN);
	assert_int_equal(w->reason.code, REASON_FAILED);
	assert_non_null(strstr(w->reason.text, "faster than"));
	assert_non_null(strstr(w->reason.text, "stays at point 1"));
	assert_int_equal(w->progress.passes, 4);
	/* Folded: both are changed ones again, and the replica is what it was. */
	assert_int_equal(count_bits(fakes[0].current), 2);
	assert_int_equal(fakes[0].commits, 1);
	replica_read(w, 0, after);
	assert_memory_equal(before, after, SIZE);
	fakes[0].hook = NULL;
	run_ok(w);
	replicas_are_at_seal(w);
}

static void cancel_at_release(struct fake *f, enum moment m)
{
	if (m == AT_RELEASE)
		eventfd_write(cancel_fd, 1);
}

static void run__cancelled_run_forgets_nothing(void **state)
{
	static uint8_t before[SIZE], after[SIZE];
	struct world *w = *state;
	eventfd_t unused;

	run_ok(w);
	replica_read(w, 0, before);
	fake_write(&fakes[0], 5, 0x55);
	fakes[0].hook = cancel_at_release;
	assert_int_equal(run(w), -ECANCELED);
	assert_true(fakes[0].current[5] || fakes[0].sealed[5]);
	replica_read(w, 0, after);
	assert_memory_equal(before, after, SIZE);
	eventfd_read(cancel_fd, &unused);
	fakes[0].hook = NULL;
	run_ok(w);
	/* None, if the receiver had it and kept it. */
	assert_true(w->progress.sent <= GRANULE);
	replicas_are_at_seal(w);
}

static void run__cancelled_before_it_connects(void **state)
{
	struct world *w = *state;

	eventfd_write(cancel_fd, 1);
	assert_int_equal(run(w), -ECANCELED);
}

static void run__slow_drain_is_waited_for(void **state)
{
	struct world *w = *state;

	fakes[1].slow_waits = 2;
	run_ok(w);
	assert_int_equal(fakes[1].slow_waits, 0);
	replicas_are_at_seal(w);
}

static void run__drain_that_does_not_end_is_a_timeout(void **state)
{
	struct world *w = *state;

	fakes[0].slow_waits = UINT_MAX;
	w->config.drain_ms = 700;
	assert_int_equal(run(w), -ETIME);
	assert_int_equal(w->reason.code, REASON_TIMEOUT);
	assert_int_equal(fakes[0].folds, 1);
}

static struct world *losing;

static void lose_receiver(struct fake *f, enum moment m)
{
	if (m == AT_WAIT)
		losing->receiver = receiver_destroy(losing->receiver);
}

/* Nobody waits for a drain whose bytes have nowhere to go. */
static void run__receiver_lost_while_draining(void **state)
{
	struct world *w = *state;
	int err;

	losing = w;
	fakes[0].slow_waits = UINT_MAX;
	fakes[0].hook = lose_receiver;
	w->config.drain_ms = 60000;
	err = run(w);
	assert_int_equal(receiver_start(w), 0);
	assert_int_not_equal(err, 0);
	assert_int_equal(w->reason.code, REASON_NOT_AVAILABLE);
	assert_true(UINT_MAX - fakes[0].slow_waits < 10);
	assert_int_equal(fakes[0].folds, 1);
}

static void run__refused_commit_is_a_warning(void **state)
{
	struct world *w = *state;

	fakes[1].commit_error = -EIO;
	run_ok(w);
	assert_non_null(strstr(w->report.warning, "v/d1"));
	/* Folded: more is sent than need be, and the replica is ahead of "committed". */
	fakes[1].commit_error = 0;
	assert_int_equal(count_bits(fakes[1].current), GRANULES);
	run_ok(w);
	assert_int_equal(w->report_disks[1].mode, FRAME_MODE_INCREMENTAL);
	replicas_are_at_seal(w);
}

static void run__another_tracker_is_compared(void **state)
{
	struct world *w = *state;

	run_ok(w);
	fakes[0].uuid[5] ^= 1;
	memset(fakes[0].current, false, GRANULES);
	/* A write that nobody saw. */
	memset(fakes[0].disk + 11 * GRANULE, 0x12, GRANULE);
	run_ok(w);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_COMPARE);
	assert_non_null(w->report_disks[0].why);
	assert_int_equal(w->progress.sent, GRANULE);
	replicas_are_at_seal(w);
}

/* A copy that is not the replica must not make the tracker forget what the replica lacks. */
static void run__aside_leaves_the_tracker_alone(void **state)
{
	struct world *w = *state;
	size_t marked;

	fake_write(&fakes[0], 3, 0x77);
	marked = count_bits(fakes[0].current);
	w->config.aside = true;
	run_ok(w);
	replicas_are_at_seal(w);
	assert_int_equal(fakes[0].commits, 0);
	assert_true(fakes[0].current[3]);
	assert_true(count_bits(fakes[0].current) >= marked);
}

static void run__seeded_needs_a_copy(void **state)
{
	struct world *w = *state;

	w->config.seeded = true;
	assert_int_equal(run(w), -ENOENT);
	assert_int_equal(w->reason.code, REASON_NOT_FOUND);
	assert_int_equal(w->progress.sent, 0);
	w->config.seeded = false;
	run_ok(w);
	w->config.seeded = w->config.compare = true;
	fake_write(&fakes[1], 2, 0x42);
	run_ok(w);
	assert_int_equal(w->report_disks[1].mode, FRAME_MODE_COMPARE);
	assert_int_equal(w->progress.sent, GRANULE);
	replicas_are_at_seal(w);
}

static void run__compare_that_tears(void **state)
{
	struct world *w = *state;

	run_ok(w);
	fake_reset(&fakes[0], 10);
	fakes[0].uuid[5] ^= 1;
	memset(fakes[0].disk + 11 * GRANULE, 0x12, GRANULE);
	fakes[0].hook = tear_once;
	run_ok(w);
	assert_int_equal(w->progress.passes, 2);
	assert_int_equal(fakes[0].at_seal[7 * GRANULE], 0xee);
	replicas_are_at_seal(w);
}

/*
 * Granule 7 is overwritten before the first pass reads it, and has its old bytes
 * again at the second seal: those of the replica's point, not those just sent.
 */
static void tear_and_go_back(struct fake *f, enum moment m)
{
	if (f != &fakes[0] || f->seals != 1)
		return;
	if (m == AT_WAIT)
		fake_write(f, 7, 0xee);
	/* It has been read: what is sent is 0xee. */
	if (m == AT_RELEASE && !f->owed[7])
		fake_write(f, 7, 7);
}

static void run__compare_that_tears_and_goes_back(void **state)
{
	struct world *w = *state;

	run_ok(w);
	fake_reset(&fakes[0], 10);
	fakes[0].uuid[5] ^= 1;
	fakes[0].hook = tear_and_go_back;
	run_ok(w);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_COMPARE);
	assert_int_equal(w->progress.passes, 2);
	assert_int_equal(fakes[0].at_seal[7 * GRANULE], 7);
	replicas_are_at_seal(w);
}

static void run__verify_finds_what_is_not_marked(void **state)
{
	struct world *w = *state;

	run_ok(w);
	w->config.kind = RUN_VERIFY;
	run_ok(w);
	assert_int_equal(w->report.range_count, 0);

	fake_write(&fakes[0], 30, 0x31);			   /* marked: no fault */
	memset(fakes[0].disk + 12 * GRANULE, 0x21, 2 * GRANULE); /* not marked */
	fakes[1].disk[SIZE - 1] ^= 1;				   /* in the short tail */
	run_ok(w);
	assert_int_equal(w->report.range_count, 2);
	assert_int_equal(w->report.ranges[0].disk, 0);
	assert_int_equal(w->report.ranges[0].offset, 12 * GRANULE);
	assert_int_equal(w->report.ranges[0].length, 2 * GRANULE);
	assert_int_equal(w->report.ranges[1].disk, 1);
	assert_int_equal(w->report.ranges[1].offset, (GRANULES - 1) * GRANULE);
	assert_int_equal(w->report.ranges[1].length, TAIL);
	assert_int_equal(w->progress.different, 2 * GRANULE + TAIL);
	/* Nothing was sealed, committed or sent. */
	assert_int_equal(seal_calls, 0);
	assert_int_equal(w->progress.sent, 0);
	assert_int_equal(fakes[0].commits, 1);
}

static void run__verify_needs_a_replica(void **state)
{
	struct world *w = *state;

	w->config.kind = RUN_VERIFY;
	assert_int_equal(run(w), -ENOENT);
	assert_int_equal(w->reason.code, REASON_INVALID_STATE);
}

static void run__read_error_folds(void **state)
{
	struct world *w = *state;
	int fd = fakes[1].source.fd;

	fakes[1].source.fd = -1;
	assert_int_equal(run(w), -EBADF);
	fakes[1].source.fd = fd;
	assert_int_equal(w->reason.code, REASON_FAILED);
	assert_int_equal(count_bits(fakes[0].current), GRANULES);
	run_ok(w);
	replicas_are_at_seal(w);
}

static int view_fd = -1;

/* The first pass's view is torn before anything was read: it has EIO to show. */
static void tear_the_view(struct fake *f, enum moment m)
{
	if (m != AT_WAIT)
		return;
	if (view_fd < 0) {
		view_fd = f->source.fd;
		f->source.fd = -1;
		f->torn = true;
	} else if (f->source.fd < 0) {
		f->source.fd = view_fd;
	}
}

static void run__torn_view_is_read_again(void **state)
{
	struct world *w = *state;

	view_fd = -1;
	fakes[1].hook = tear_the_view;
	run_ok(w);
	fakes[1].hook = NULL;
	replicas_are_at_seal(w);
	assert_int_equal(w->progress.passes, 2);
	assert_int_equal(w->progress.torn, 1);
	/* Owed once, though it was sealed twice. */
	assert_int_equal(w->progress.owed, w->progress.handled);
}

static void run__left_over_epoch_is_folded_by_the_seal(void **state)
{
	struct source *group[] = { &fakes[0].source };
	struct world *w = *state;

	run_ok(w);
	/* An agent seals, and dies. */
	fake_write(&fakes[0], 6, 0x66);
	fake_seal(group, 1, false, 0, NULL);
	fakes[0].source.epoch = 0;
	run_ok(w);
	assert_int_equal(w->progress.sent, GRANULE);
	replicas_are_at_seal(w);
}

static void run__nobody_listens(void **state)
{
	struct world *w = *state;

	w->config.port = "1";
	assert_true(run(w) < 0);
	assert_int_equal(w->reason.code, REASON_NOT_AVAILABLE);
	assert_int_equal(seal_calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(run__full_then_incremental),
		TEST(run__packs_where_it_pays),
		TEST(run__torn_epoch_is_closed_by_another_pass),
		TEST(run__more_room_ends_the_passes),
		TEST(run__write_beside_waits_for_the_next_run),
		TEST(run__too_fast_fails_and_folds),
		TEST(run__cancelled_run_forgets_nothing),
		TEST(run__cancelled_before_it_connects),
		TEST(run__slow_drain_is_waited_for),
		TEST(run__drain_that_does_not_end_is_a_timeout),
		TEST(run__receiver_lost_while_draining),
		TEST(run__refused_commit_is_a_warning),
		TEST(run__another_tracker_is_compared),
		TEST(run__aside_leaves_the_tracker_alone),
		TEST(run__seeded_needs_a_copy),
		TEST(run__compare_that_tears),
		TEST(run__compare_that_tears_and_goes_back),
		TEST(run__verify_finds_what_is_not_marked),
		TEST(run__verify_needs_a_replica),
		TEST(run__read_error_folds),
		TEST(run__torn_view_is_read_again),
		TEST(run__left_over_epoch_is_folded_by_the_seal),
		TEST(run__nobody_listens),
	};

	return cmocka_run_group_tests_name("send/run", tests, group_setup, group_teardown);
}
