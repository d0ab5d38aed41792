// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs over several streams: that they are used, that the replica is the disk in every
 * mode, what becomes of lanes that are refused or cut, and who may join. Between sender
 * and receiver stands a relay that passes every connection on, and cuts one of them.
 */
#define GRANULES 256u

#include <poll.h>
#include <pthread.h>

#include "send/conn.h"
#include "tests/unit/send/relay.h"

#define STREAMS 4u

/* -- the relay ---------------------------------------------------------------- */

/*
 * @passed: bytes from the sender, of each connection in the order in which they came
 * @cut: the number of the one that is cut; 0 is the run's own, 1 its first lane
 * @limit: after so many bytes of it
 */
static struct relay {
	int listener;
	uint16_t to;
	char port[8];
	pthread_t thread;
	_Atomic unsigned int count;
	_Atomic uint64_t passed[64];
	_Atomic unsigned int cut;
	_Atomic uint64_t limit;
	pthread_t threads[64];
	int fds[64];
} relay;

static bool pass_on(int from, int to, size_t max, size_t *ret)
{
	static _Thread_local char buf[65536];
	ssize_t n = recv(from, buf, u64_min(sizeof(buf), max), 0);

	*ret = n > 0 ? n : 0;
	return n > 0 && relay_put(to, buf, n);
}

static void *relay_serve(void *arg)
{
	unsigned int index = (uintptr_t)arg;
	int near = relay.fds[index], far = relay_dial(relay.to);
	struct pollfd p[2] = { { near, POLLIN, 0 }, { far, POLLIN, 0 } };
	size_t n;

	while (far >= 0 && poll(p, 2, -1) > 0) {
		uint64_t left = relay.cut == index ? relay.limit - relay.passed[index] : UINT64_MAX;

		if (p[1].revents && !pass_on(far, near, SIZE_MAX, &n))
			break;
		if (p[0].revents) {
			if (!left || !pass_on(near, far, left, &n))
				break;
			relay.passed[index] += n;
		}
	}
	close(near);
	close(far);
	return NULL;
}

static void *relay_main(void *arg)
{
	int fd;

	while ((fd = accept(relay.listener, NULL, NULL)) >= 0) {
		unsigned int index = relay.count++;

		relay.fds[index] = fd;
		pthread_create(&relay.threads[index], NULL, relay_serve,
			       (void *)(uintptr_t)index);
	}
	return NULL;
}

/* All connections are over: the next run's are counted from 0. */
static void relay_reset(struct world *w, unsigned int cut, uint64_t limit)
{
	for (unsigned int i = 0; i < relay.count; i++)
		pthread_join(relay.threads[i], NULL);
	relay.count = 0;
	memset((void *)relay.passed, 0, sizeof(relay.passed));
	relay.cut = cut;
	relay.limit = limit;
	relay.to = receiver_port(w->receiver);
	w->config.port = relay.port;
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
	for (unsigned int i = 0; i < relay.count; i++)
		pthread_join(relay.threads[i], NULL);
	return group_teardown(state);
}

/* -- helpers ------------------------------------------------------------------- */

static int streams_setup(void **state)
{
	struct world *w = *state;

	setup(state);
	fakes_fill();
	w->config.streams = STREAMS;
	relay_reset(w, UINT32_MAX, 0);
	return 0;
}

static void run_has_streams(struct world *w, unsigned int streams)
{
	run_ok(w);
	assert_int_equal(w->report.streams, streams);
	assert_int_equal(w->report.streams_why[0] != '\0', streams < w->config.streams);
	replicas_are_at_seal(w);
}

/* -- runs ----------------------------------------------------------------------- */

static void streams__all_modes(void **state)
{
	struct world *w = *state;

	run_has_streams(w, STREAMS);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_FULL);
	assert_int_equal(relay.count, 1 + STREAMS);
	for (unsigned int i = 0; i < STREAMS; i++)
		assert_true(relay.passed[1 + i] > SIZE / STREAMS / 4);
	/* What is no bulk is little. */
	assert_true(relay.passed[0] < KIB(128));

	for (size_t g = 0; g < GRANULES; g += 3)
		fake_write(&fakes[g & 1], g, g % 6 ? 0x80 + g % 100 : 0);
	run_has_streams(w, STREAMS);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_INCREMENTAL);

	fakes[0].uuid[5] ^= 1;
	for (size_t g = 0; g < GRANULES; g += 5)
		memset(fakes[0].disk + g * GRANULE, 0x90 + g % 60, bytes_of(g));
	run_has_streams(w, STREAMS);
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_COMPARE);

	w->config.kind = RUN_VERIFY;
	run_ok(w);
	assert_int_equal(w->progress.different, 0);
	assert_int_equal(w->report.streams, 1);
}

static void tear_twice(struct fake *f, enum moment m)
{
	if (m == AT_WAIT && f->seals < 3)
		for (size_t g = 0; g < GRANULES; g += 2)
			if (f->owed[g])
				fake_write(f, g, 0x40 + f->seals);
}

static void streams__several_passes(void **state)
{
	struct world *w = *state;

	fakes[0].hook = tear_twice;
	run_has_streams(w, STREAMS);
	assert_int_equal(fakes[0].seals, 3);
}

static void streams__eight_and_small_frames(void **state)
{
	struct world *w = *state;

	w->config.streams = 8;
	run_ok(w);
	/* In the clear a host has half of the places, and lanes are in them until they join. */
	assert_true(w->report.streams >= 7);
	replicas_are_at_seal(w);
	for (size_t g = 0; g < GRANULES; g += 2)
		fake_write(&fakes[0], g, 0x33);
	run_ok(w);
	replicas_are_at_seal(w);
}

static void streams__obey_a_limit_and_pack(void **state)
{
	struct world *w = *state;
	struct throttle slow = { 0 };
	uint64_t begun = conn_now();

	throttle_set(&slow, MIB(8));
	w->config.throttles[0] = &slow;
	w->config.disk_count = 1;
	run_has_streams(w, STREAMS);
	/* Six sevenths are data. */
	assert_true(conn_now() - begun > (uint64_t)SIZE * 6 / 7 * 1000 / MIB(8) - 300);
	for (size_t g = 0; g < GRANULES; g++)
		fake_write(&fakes[0], g, 200 + g % 50);
	w->config.compress = true;
	run_has_streams(w, STREAMS);
	assert_true(w->progress.wire < SIZE / 5);
}

/* Whatever is packed is bulk: on a link for which LZ4 pays as well. */
static void streams__carry_lz4(void **state)
{
	struct world *w = *state;
	struct throttle limit = { 0 };
	uint64_t bulk = 0;

	throttle_set(&limit, MIB(200));
	w->config.throttles[0] = &limit;
	w->config.compress = true;
	run_has_streams(w, STREAMS);
	assert_true(w->progress.wire < SIZE / 20);
	for (unsigned int i = 1; i <= STREAMS; i++)
		bulk += relay.passed[i];
	assert_true(bulk > w->progress.wire / 2);
}

static void cancel_at_release(struct fake *f, enum moment m)
{
	if (m == AT_RELEASE && f->released > GRANULES / 2)
		eventfd_write(cancel_fd, 1);
}

static void streams__cancelled_run_forgets_nothing(void **state)
{
	struct world *w = *state;
	eventfd_t unused;

	run_ok(w);
	for (size_t g = 0; g < GRANULES; g++)
		fake_write(&fakes[0], g, 1 + g % 99);
	fakes[0].hook = cancel_at_release;
	assert_int_equal(run(w), -ECANCELED);
	eventfd_read(cancel_fd, &unused);
	fakes[0].hook = NULL;
	run_has_streams(w, STREAMS);
}

/* -- lanes that are cut, or cannot be had ------------------------------------- */

/* As a lost connection: what came is kept, and the next run goes on. */
static void streams__a_lane_is_cut(void **state)
{
	struct world *w = *state;

	relay_reset(w, 2, MIB(2) + 12345);
	assert_int_not_equal(run(w), 0);
	assert_int_equal(w->report.trouble, RUN_TROUBLE_NETWORK);
	assert_int_equal(w->reason.code, REASON_NOT_AVAILABLE);
	relay_reset(w, UINT32_MAX, 0);
	run_has_streams(w, STREAMS);
	/* Two MiB of each of the four, less what was under way. */
	assert_true(w->progress.sent < 2 * SIZE - MIB(4));

	for (size_t g = 0; g < GRANULES; g++)
		fake_write(&fakes[1], g, 0x55);
	relay_reset(w, 0, KIB(2));
	assert_int_not_equal(run(w), 0);
	assert_int_equal(w->report.trouble, RUN_TROUBLE_NETWORK);
	relay_reset(w, UINT32_MAX, 0);
	run_has_streams(w, STREAMS);
}

/* A lane that is cut before its JOIN is through is left out. */
static void streams__a_lane_does_not_come(void **state)
{
	struct world *w = *state;

	relay_reset(w, 3, 50);
	run_has_streams(w, STREAMS - 1);
}

static void streams__there_is_no_place(void **state)
{
	struct receiver_config rc = { .plain_allowed = true, .store_dir = folder };
	struct world *w = *state;
	struct reason reason = { 0 };

	receiver_destroy(w->receiver);
	rc.limits.connections = 1;
	assert_int_equal(receiver_create(&rc, &w->receiver, &reason), 0);
	relay_reset(w, UINT32_MAX, 0);
	run_has_streams(w, 1);
	assert_non_null(strstr(w->report.streams_why, "are served already"));
	receiver_destroy(w->receiver);
	assert_int_equal(receiver_start(w), 0);
}

/* -- who may join ----------------------------------------------------------------- */

static void put(int fd, struct frame f, const void *payload)
{
	struct frame_wire w;

	frame_encode(&f, payload, &w);
	assert_int_equal(send(fd, &w, sizeof(w), MSG_NOSIGNAL), sizeof(w));
	assert_int_equal(send(fd, payload, f.length, MSG_NOSIGNAL), f.length);
}

/* Return: the type of what comes, 0: the end */
static uint8_t get(int fd, uint8_t *payload)
{
	struct frame_wire w;
	struct frame f;

	if (recv(fd, &w, sizeof(w), MSG_WAITALL) != sizeof(w))
		return 0;
	assert_int_equal(frame_check(&w, &f), FRAME_OK);
	if (f.length)
		assert_int_equal(recv(fd, payload, f.length, MSG_WAITALL), f.length);
	return f.type;
}

static int say_hello(struct world *w, uint8_t *token)
{
	struct frame_hello hello = { 1, 1, FRAME_FEATURES, "node", "" };
	struct frame_welcome welcome;
	uint8_t buf[FRAME_CONTROL_MAX];
	int fd = relay_dial(receiver_port(w->receiver));

	snprintf(hello.collection, sizeof(hello.collection), "%s", w->collection);
	put(fd, (struct frame){ .type = FRAME_HELLO, .length = frame_hello_encode(&hello, buf) },
	    buf);
	assert_int_equal(get(fd, buf), FRAME_WELCOME);
	assert_int_equal(frame_welcome_decode(buf, 24, &welcome), FRAME_OK);
	memcpy(token, welcome.token, sizeof(welcome.token));
	return fd;
}

static int say_join(struct world *w, const uint8_t *token, uint32_t lane, uint32_t answer)
{
	struct frame_join join = { .lane = lane };
	uint8_t buf[FRAME_CONTROL_MAX];
	int fd = relay_dial(receiver_port(w->receiver));

	memcpy(join.token, token, sizeof(join.token));
	put(fd, (struct frame){ .type = FRAME_JOIN, .length = frame_join_encode(&join, buf) },
	    buf);
	assert_int_equal(get(fd, buf), answer ? FRAME_ERROR : FRAME_JOINED);
	if (!answer)
		return fd;
	assert_int_equal(le32_get(*(le32 *)buf), answer);
	assert_int_equal(get(fd, buf), 0);
	close(fd);
	return -1;
}

static void say_take(int fd, uint32_t lane, uint32_t frames)
{
	struct frame_take take = { lane, frames };
	uint8_t buf[FRAME_CONTROL_MAX];

	put(fd, (struct frame){ .type = FRAME_TAKE, .length = frame_take_encode(&take, buf) },
	    buf);
}

static void join__who_may(void **state)
{
	uint8_t token[FRAME_TOKEN_SIZE], other[FRAME_TOKEN_SIZE] = { 0 }, buf[FRAME_CONTROL_MAX];
	struct world *w = *state;
	int fd = say_hello(w, token), lane;

	assert_memory_not_equal(token, other, sizeof(token));
	memcpy(other, token, sizeof(other));
	other[15] ^= 1;
	say_join(w, other, 0, REASON_ACCESS_DENIED);
	lane = say_join(w, token, 0, 0);
	say_join(w, token, 0, REASON_IN_USE);
	/* The connection goes, and its lane with it; then its token is nobody's. */
	close(fd);
	assert_int_equal(get(lane, buf), 0);
	close(lane);
	say_join(w, token, 1, REASON_ACCESS_DENIED);

	fd = say_hello(w, other);
	assert_memory_not_equal(token, other, sizeof(token));
	say_take(fd, 3, 1);
	assert_int_equal(get(fd, buf), FRAME_ERROR);
	assert_non_null(strstr((char *)buf + 4, "lane 3"));
	close(fd);
}

static void join__a_lane_has_data_alone(void **state)
{
	uint8_t token[FRAME_TOKEN_SIZE], buf[FRAME_CONTROL_MAX];
	struct world *w = *state;
	int fd = say_hello(w, token), lane = say_join(w, token, 7, 0);

	say_take(fd, 7, 1);
	put(lane, (struct frame){ .type = FRAME_PING }, NULL);
	assert_int_equal(get(fd, buf), FRAME_ERROR);
	assert_non_null(strstr((char *)buf + 4, "a lane has DATA alone"));
	assert_int_equal(get(lane, buf), 0);
	close(fd);
	close(lane);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, streams_setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(streams__all_modes),
		TEST(streams__several_passes),
		TEST(streams__eight_and_small_frames),
		TEST(streams__obey_a_limit_and_pack),
		TEST(streams__carry_lz4),
		TEST(streams__cancelled_run_forgets_nothing),
		TEST(streams__a_lane_is_cut),
		TEST(streams__a_lane_does_not_come),
		TEST(streams__there_is_no_place),
		TEST(join__who_may),
		TEST(join__a_lane_has_data_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, relay_setup, relay_teardown);
}
