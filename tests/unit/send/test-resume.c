// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs that are cut short and go on. A relay between sender and receiver counts what
 * gets through and cuts the connection where the test wants; meanwhile and between
 * the cuts VMs write. The referee is the disk at the newest seal.
 *
 * TIDEMARK_CUTS: how many cuts each of the long tests makes (2), TIDEMARK_SEED: of
 * its random moments (they are printed).
 */
#define GRANULES 256u

#include <poll.h>
#include <pthread.h>

#include "tests/unit/send/relay.h"

/* -- the relay ---------------------------------------------------------------- */

/*
 * @limit: bytes from the sender after which the connection is cut
 * @passed: bytes from the sender that got through, all connections together
 */
static struct relay {
	int listener;
	uint16_t to;
	_Atomic uint64_t limit;
	_Atomic uint64_t passed;
	pthread_t thread;
	char port[8];
} relay;

static void relay_serve(int near, int far)
{
	struct pollfd p[2] = { { near, POLLIN, 0 }, { far, POLLIN, 0 } };
	static char buf[65536];
	uint64_t passed = 0;

	while (poll(p, 2, -1) > 0) {
		ssize_t n;

		if (p[1].revents) {
			n = recv(far, buf, sizeof(buf), 0);
			if (n <= 0 || !relay_put(near, buf, n))
				return;
		}
		if (p[0].revents) {
			n = recv(near, buf, u64_min(sizeof(buf), relay.limit - passed), 0);
			if (n <= 0 || !relay_put(far, buf, n))
				return;
			passed += n;
			relay.passed += n;
			if (passed >= relay.limit)
				return;
		}
	}
}

/* What got through is there to be read: a reset would take it away. */
static void relay_end(int far)
{
	char buf[4096];

	shutdown(far, SHUT_WR);
	while (recv(far, buf, sizeof(buf), 0) > 0)
		;
	close(far);
}

static void *relay_main(void *arg)
{
	int near;

	while ((near = accept(relay.listener, NULL, NULL)) >= 0) {
		int far = relay_dial(relay.to);

		if (far >= 0)
			relay_serve(near, far);
		close(near);
		relay_end(far);
	}
	return NULL;
}

static int relay_setup(void **state)
{
	if (group_setup(state))
		return -1;
	relay.listener = relay_listen(relay.port);
	return relay.listener < 0 ? -1 : pthread_create(&relay.thread, NULL, relay_main, NULL);
}

static int relay_teardown(void **state)
{
	shutdown(relay.listener, SHUT_RDWR);
	pthread_join(relay.thread, NULL);
	close(relay.listener);
	return group_teardown(state);
}

static int resume_setup(void **state)
{
	struct world *w = *state;

	setup(state);
	fakes_fill();
	relay.to = receiver_port(w->receiver);
	relay.limit = UINT64_MAX;
	relay.passed = 0;
	w->config.port = relay.port;
	killed = false;
	return 0;
}

/* -- helpers ------------------------------------------------------------------- */

static unsigned int number_of(const char *name, unsigned int otherwise)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : otherwise;
}

static void dirty(struct fake *f, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		fake_write(f, random() % GRANULES, random() % 5 ? random() : 0);
}

static uint64_t marked_bytes(struct world *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->config.disk_count; i++)
		for (size_t g = 0; g < GRANULES; g++)
			if (fakes[i].current[g] || fakes[i].sealed[g])
				sum += bytes_of(g);
	return sum;
}

/* Fails by the cut. The receiver has let go of the collection when it answers again. */
static void run_is_cut(struct world *w, uint64_t limit)
{
	relay.limit = limit;
	if (!run(w))
		fail_msg("%s", "the run was over before it was cut");
	relay.limit = UINT64_MAX;
}

/* -- the tests ----------------------------------------------------------------- */

/* A relay can be full of what the receiver has not seen; a frame is lost at the cut. */
#define LOST (KIB(256) + 4096)

static void resume__full(void **state)
{
	struct world *w = *state;
	uint64_t passed;

	run_is_cut(w, MIB(14));
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_FULL);
	assert_int_equal(fakes[0].left, 1);
	assert_int_not_equal(fakes[0].sealed_epoch, 0);
	fake_write(&fakes[0], 3, 0xab);	  /* it was sent */
	fake_write(&fakes[1], 250, 0xcd); /* it was not */
	run_ok(w);
	passed = relay.passed;
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_FULL);
	assert_int_equal(w->report_disks[1].mode, FRAME_MODE_FULL);
	assert_true(passed <= 2 * SIZE + GRANULE + LOST);
	assert_int_equal(fakes[0].at_seal[3 * GRANULE], 0xab);
	replicas_are_at_seal(w);
	/* And the next one is incremental. */
	fake_write(&fakes[0], 5, 0x11);
	run_ok(w);
	assert_int_equal(w->progress.sent, GRANULE);
	replicas_are_at_seal(w);
}

static void resume__incremental(void **state)
{
	struct world *w = *state;

	run_ok(w);
	for (size_t g = 0; g < GRANULES; g += 2)
		fake_write(&fakes[0], g, 0x80 + g % 100);
	relay.passed = 0;
	run_is_cut(w, MIB(6));
	for (size_t g = 0; g < 20; g += 4)
		fake_write(&fakes[0], g, 0x70); /* they are staged, and stale */
	run_is_cut(w, MIB(1));
	fake_write(&fakes[0], 4, 0);
	run_ok(w);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_INCREMENTAL);
	assert_true(relay.passed <= (GRANULES / 2 + 6) * (uint64_t)(GRANULE + 96) + 2 * LOST);
	replicas_are_at_seal(w);
}

/*
 * A granule is staged, and goes back to the bytes of the replica's point: in a
 * comparison it is equal, and what is staged must not stay.
 */
static void compare_that_goes_back(struct world *w, bool cut_again)
{
	static uint8_t point[GRANULE];

	run_ok(w);
	memcpy(point, fakes[0].disk + 10 * GRANULE, GRANULE);
	fakes[0].uuid[5] ^= 1; /* its bits are not known: it is compared */
	memset(fakes[0].current, false, sizeof(fakes[0].current));
	for (size_t g = 8; g < 200; g++)
		memset(fakes[0].disk + g * GRANULE, 0x90 + g % 60, GRANULE);
	run_is_cut(w, MIB(5));
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_COMPARE);
	fake_write(&fakes[0], 10, 0);
	memcpy(fakes[0].disk + 10 * GRANULE, point, GRANULE);
	/* Once more, before anything else is sent: then it is stale in the record, too. */
	if (cut_again)
		run_is_cut(w, MIB(1));
	relay.passed = 0;
	run_ok(w);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_COMPARE);
	assert_true(relay.passed < 130 * (uint64_t)GRANULE);
	replicas_are_at_seal(w);
}

static void resume__compare_that_goes_back(void **state)
{
	compare_that_goes_back(*state, false);
}

static void resume__compare_that_goes_back_and_is_cut_again(void **state)
{
	compare_that_goes_back(*state, true);
}

/* The first pass is torn; what it has read is written to while it goes on. */
static void write_behind(struct fake *f, enum moment m)
{
	if (f->seals != 2)
		return;
	if (m == AT_WAIT)
		fake_write(f, 199, 0xe0);
	if (m == AT_RELEASE)
		for (size_t g = 0; g < 100; g++)
			if (!f->owed[g] && !f->current[g])
				fake_write(f, g, 0xe1);
}

/* It is cut in the second pass: what the first one sent, and is to be sent again, is stale. */
static void resume__cut_in_a_second_pass(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 1;
	run_ok(w);
	for (size_t g = 0; g < 200; g++)
		fake_write(&fakes[0], g, 0xd0);
	fakes[0].hook = write_behind;
	run_is_cut(w, 200 * (uint64_t)GRANULE + MIB(1));
	fakes[0].hook = NULL;
	assert_int_equal(fakes[0].seals, 3);
	relay.passed = 0;
	run_ok(w);
	assert_int_equal(fakes[0].at_seal[90 * GRANULE], 0xe1);
	assert_true(relay.passed < 100 * (uint64_t)GRANULE);
	replicas_are_at_seal(w);
}

/* Somebody else sealed, read and released what is not at the receiver. */
static void resume__not_after_another_seal(void **state)
{
	struct source *group[] = { &fakes[0].source };
	struct world *w = *state;

	run_ok(w);
	for (size_t g = 0; g < GRANULES; g += 2)
		fake_write(&fakes[0], g, 0x21);
	run_is_cut(w, MIB(6));
	fake_write(&fakes[0], 0, 0x99);
	fake_seal(group, 1, false, 0, NULL);
	memset(fakes[0].owed, false, sizeof(fakes[0].owed));
	fakes[0].source.epoch = 0;
	relay.passed = 0;
	run_ok(w);
	assert_true(relay.passed >= GRANULES / 2 * (uint64_t)GRANULE);
	replicas_are_at_seal(w);
}

static void seal_in_between(struct fake *f, enum moment m)
{
	struct source *group[] = { &f->source };

	if (m != AT_SEAL)
		return;
	f->hook = NULL;
	fake_seal(group, 1, true, 0, NULL);
	memset(f->owed, false, sizeof(f->owed));
}

static void resume__not_over_a_seal_that_came_between(void **state)
{
	struct world *w = *state;

	w->config.disk_count = 1;
	run_ok(w);
	for (size_t g = 0; g < GRANULES; g += 2)
		fake_write(&fakes[0], g, 0x21);
	run_is_cut(w, MIB(6));
	fake_write(&fakes[0], 0, 0x99);
	fakes[0].hook = seal_in_between;
	assert_int_equal(run(w), -ESTALE);
	run_ok(w);
	replicas_are_at_seal(w);
}

/* Another tracker's staging, another mode, another point below: all are given up. */
static void resume__only_what_fits(void **state)
{
	struct world *w = *state;

	run_ok(w);
	for (size_t g = 0; g < GRANULES; g += 2)
		fake_write(&fakes[0], g, 0xfe);
	run_is_cut(w, MIB(6));
	w->config.compare = true;
	relay.passed = 0;
	run_ok(w);
	w->config.compare = false;
	assert_true(relay.passed >= GRANULES / 2 * (uint64_t)GRANULE);
	replicas_are_at_seal(w);

	for (size_t g = 0; g < GRANULES; g += 2)
		fake_write(&fakes[0], g, 0xfd);
	run_is_cut(w, MIB(6));
	fakes[0].uuid[7] ^= 1;
	run_ok(w);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_COMPARE);
	replicas_are_at_seal(w);
}

/* The receiver ends between the cuts, and finds again what it kept. */
static void resume__receiver_starts_anew(void **state)
{
	struct world *w = *state;

	run_is_cut(w, MIB(20));
	receiver_destroy(w->receiver);
	assert_int_equal(receiver_start(w), 0);
	relay.to = receiver_port(w->receiver);
	run_ok(w);
	/* What lay in the socket when it ended was not read. */
	assert_true(relay.passed <= 2 * SIZE + MIB(8));
	replicas_are_at_seal(w);
}

static void write_while_it_runs(struct fake *f, enum moment m)
{
	if (m == AT_RELEASE && random() % 8 == 0)
		dirty(f, 1);
	if (m == AT_WAIT && random() % 3 == 0)
		dirty(f, 2);
}

/*
 * @marked: bytes that must be sent. Cut at random moments, with writes of VMs between the cuts and, if @tear, during
 * the runs, so that passes are repeated; one cut in four kills the sender.
 */
static void cut_at_random(struct world *w, uint64_t marked, bool tear)
{
	unsigned int cuts = number_of("TIDEMARK_CUTS", 2);
	uint64_t bound, share = marked / (cuts + 2), written = 0;

	relay.passed = 0;
	for (unsigned int i = 0; i < cuts; i++) {
		uint64_t before = marked_bytes(w);

		killed = random() % 4 == 0;
		relay.limit = 2048 + random() % share;
		for (size_t k = 0; k < w->config.disk_count; k++)
			fakes[k].hook = tear ? write_while_it_runs : NULL;
		/* It may be over before the cut: then this cut is for the next difference. */
		if (!run(w))
			before = 0;
		for (size_t k = 0; k < w->config.disk_count; k++) {
			fakes[k].hook = NULL;
			dirty(&fakes[k], 2);
		}
		written += marked_bytes(w) - u64_min(before, marked_bytes(w));
		written += 4 * GRANULE; /* staged ones may have been written to again */
	}
	killed = false;
	relay.limit = UINT64_MAX;
	bound = (marked + written) * 105 / 100 + cuts * LOST;
	run_ok(w);
	replicas_are_at_seal(w);
	print_message("%u cuts: %lu bytes got through, %lu are allowed\n", cuts,
		      (unsigned long)relay.passed, (unsigned long)bound);
	if (!tear)
		assert_true(relay.passed <= bound);
}

static void resume__full_cut_at_random(void **state)
{
	cut_at_random(*state, 2 * SIZE, false);
}

static void resume__incremental_cut_at_random(void **state)
{
	struct world *w = *state;

	run_ok(w);
	for (size_t i = 0; i < 2; i++)
		for (size_t g = 0; g < GRANULES; g++)
			if (random() % 2)
				fake_write(&fakes[i], g, random());
	cut_at_random(w, marked_bytes(w), false);
}

static void resume__torn_and_cut_at_random(void **state)
{
	struct world *w = *state;

	w->config.max_passes = 50;
	cut_at_random(w, 2 * SIZE, true);
	for (size_t i = 0; i < 2; i++)
		dirty(&fakes[i], GRANULES / 2);
	cut_at_random(w, marked_bytes(w), true);
	/* And as a comparison. */
	fakes[0].uuid[6] ^= 1;
	dirty(&fakes[0], GRANULES / 4);
	cut_at_random(w, marked_bytes(w), true);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, resume_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(resume__full),
		TEST(resume__incremental),
		TEST(resume__compare_that_goes_back),
		TEST(resume__compare_that_goes_back_and_is_cut_again),
		TEST(resume__cut_in_a_second_pass),
		TEST(resume__not_after_another_seal),
		TEST(resume__not_over_a_seal_that_came_between),
		TEST(resume__only_what_fits),
		TEST(resume__receiver_starts_anew),
		TEST(resume__full_cut_at_random),
		TEST(resume__incremental_cut_at_random),
		TEST(resume__torn_and_cut_at_random),
	};
	unsigned int seed = number_of("TIDEMARK_SEED", getpid());

	print_message("TIDEMARK_SEED=%u\n", seed);
	srandom(seed);
	return cmocka_run_group_tests_name("send/resume", tests, relay_setup, relay_teardown);
}
