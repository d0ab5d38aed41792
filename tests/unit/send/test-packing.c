// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a run is packed with: by the rate of its link, and by what the receiver knows.
 * Between sender and receiver stands a relay that counts frames by their types, and
 * hides features from the receiver: it is then as old as these.
 *
 * A limit is a rate below which no link is measured, so it decides what the first frames
 * are. How fast the link is found to be later on is another thing on each machine.
 */
#define GRANULES 192u

#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>

#include "tests/unit/send/relay.h"

/*
 * @knows: features that HELLO may have
 * @slow_us: each 64 KiB of a frame take so long
 * @first: type of the first frame with a disk's bytes
 * @counts: of frames from the sender, by their types
 */
static struct relay {
	int listener;
	char port[8];
	uint16_t to;
	pthread_t thread;
	uint32_t knows;
	unsigned int slow_us;
	uint8_t first;
	unsigned int counts[FRAME_TYPE_MAX + 1];
} relay;

static bool take(int fd, void *buf, size_t size)
{
	return !size || recv(fd, buf, size, MSG_WAITALL) == (ssize_t)size;
}

static void relay_hide(struct frame_wire *w, struct frame *f, uint8_t *payload)
{
	struct frame_hello hello;

	if (frame_hello_decode(payload, f->length, &hello) == FRAME_OK) {
		hello.features &= relay.knows;
		frame_hello_encode(&hello, payload);
		frame_encode(f, payload, w);
	}
}

static bool relay_frame(int near, int far)
{
	static struct {
		struct frame_wire wire;
		uint8_t payload[FRAME_PAYLOAD_MAX];
	} in;
	struct frame f;

	if (!take(near, &in.wire, sizeof(in.wire)) || frame_check(&in.wire, &f) != FRAME_OK)
		return false;
	usleep(f.length / KIB(64) * relay.slow_us);
	if (!take(near, in.payload, f.length))
		return false;
	if (f.type == FRAME_HELLO)
		relay_hide(&in.wire, &f, in.payload);
	relay.counts[f.type]++;
	if (!relay.first && frame_is_data(f.type))
		relay.first = f.type;
	return relay_put(far, (char *)&in, sizeof(in.wire) + f.length);
}

static void *relay_main(void *arg)
{
	int near = accept(relay.listener, NULL, NULL), far = relay_dial(relay.to);
	struct pollfd p[2] = { { near, POLLIN, 0 }, { far, POLLIN, 0 } };
	static char buf[65536];

	while (poll(p, 2, -1) > 0) {
		if (p[1].revents) {
			ssize_t n = recv(far, buf, sizeof(buf), 0);

			if (n <= 0 || !relay_put(near, buf, n))
				break;
		}
		if (p[0].revents && !relay_frame(near, far))
			break;
	}
	close(near);
	close(far);
	return NULL;
}

static int packing_setup(void **state)
{
	struct world *w = *state;

	setup(state);
	fakes_fill();
	relay.listener = relay_listen(relay.port);
	relay.slow_us = 0;
	relay.to = receiver_port(w->receiver);
	w->config.port = relay.port;
	w->config.disk_count = 1;
	w->config.compress = true;
	return 0;
}

static int packing_teardown(void **state)
{
	close(relay.listener);
	return teardown(state);
}

/* A run on a link of @rate bytes a second, 0: as fast as it can, to a receiver like that. */
static void run_limited(struct world *w, uint64_t rate, uint32_t knows)
{
	static struct throttle limit;

	throttle_set(&limit, rate);
	w->config.throttles[0] = &limit;
	relay.knows = knows;
	relay.first = 0;
	memset(relay.counts, 0, sizeof(relay.counts));
	assert_int_equal(pthread_create(&relay.thread, NULL, relay_main, NULL), 0);
	run_ok(w);
	pthread_join(relay.thread, NULL);
	replicas_are_at_seal(w);
	for (size_t g = 0; g < GRANULES; g++)
		fake_write(&fakes[0], g, 1 + (g + seal_calls) % 200);
}

static unsigned int sent(enum frame_type type)
{
	return relay.counts[type];
}

static void packing__zstd_on_a_slow_link(void **state)
{
	struct world *w = *state;

	run_limited(w, MIB(100), UINT32_MAX);
	assert_int_equal(relay.first, FRAME_PACKED);
	assert_int_equal(sent(FRAME_PACKED_LZ4), 0);
	assert_int_equal(sent(FRAME_DATA), 0);
	assert_true(w->progress.wire < SIZE / 20);
}

static void packing__lz4_on_a_faster_one(void **state)
{
	struct world *w = *state;

	run_limited(w, MIB(200), UINT32_MAX);
	assert_int_equal(relay.first, FRAME_PACKED_LZ4);
	/* It may turn out to be slower than the limit, but not faster. */
	assert_int_equal(sent(FRAME_DATA), 0);
	assert_true(w->progress.wire < SIZE / 20);
	run_limited(w, MIB(399), UINT32_MAX);
	assert_int_equal(relay.first, FRAME_PACKED_LZ4);
}

static void packing__none_on_a_fast_one(void **state)
{
	struct world *w = *state;

	run_limited(w, MIB(400), UINT32_MAX);
	assert_int_equal(relay.first, FRAME_DATA);
	run_limited(w, 0, UINT32_MAX);
	assert_int_equal(relay.first, FRAME_DATA);
}

/* Without a limit it is measured: by a small window, so that buffers hold little of a send. */
static void packing__a_link_that_is_found_to_be_slow(void **state)
{
	struct world *w = *state;
	int segment = 1000, window = KIB(16);

	setsockopt(relay.listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
	setsockopt(relay.listener, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
	relay.slow_us = 10000;
	run_limited(w, 0, UINT32_MAX);
	assert_int_equal(relay.first, FRAME_DATA);
	assert_true(sent(FRAME_PACKED) + sent(FRAME_PACKED_LZ4) > 0);
}

/* Not a frame that it does not know, and what it knows only where that pays. */
static void packing__an_older_receiver(void **state)
{
	struct world *w = *state;

	run_limited(w, MIB(200), FRAME_FEATURES & ~FRAME_FEATURE_LZ4);
	assert_int_equal(relay.first, FRAME_DATA);
	assert_int_equal(sent(FRAME_PACKED_LZ4), 0);
	run_limited(w, MIB(100), FRAME_FEATURES & ~FRAME_FEATURE_LZ4);
	assert_int_equal(relay.first, FRAME_PACKED);
	assert_int_equal(sent(FRAME_DATA), 0);
	run_limited(w, MIB(200), FRAME_FEATURES & ~FRAME_FEATURE_PACK);
	assert_int_equal(relay.first, FRAME_PACKED_LZ4);
	assert_int_equal(sent(FRAME_PACKED), 0);
	run_limited(w, MIB(100), FRAME_FEATURES & ~FRAME_FEATURE_PACK);
	assert_int_equal(sent(FRAME_PACKED) + sent(FRAME_PACKED_LZ4), 0);
	run_limited(w, MIB(200), 0);
	assert_int_equal(sent(FRAME_PACKED) + sent(FRAME_PACKED_LZ4), 0);
}

static void packing__not_unless_it_is_wanted(void **state)
{
	static const uint64_t rates[] = { MIB(100), MIB(200) };
	struct world *w = *state;

	w->config.compress = false;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		run_limited(w, rates[i], UINT32_MAX);
		assert_true(sent(FRAME_DATA) > 0);
		assert_int_equal(sent(FRAME_PACKED) + sent(FRAME_PACKED_LZ4), 0);
	}
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, packing_setup, packing_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(packing__zstd_on_a_slow_link),
		TEST(packing__lz4_on_a_faster_one),
		TEST(packing__none_on_a_fast_one),
		TEST(packing__a_link_that_is_found_to_be_slow),
		TEST(packing__an_older_receiver),
		TEST(packing__not_unless_it_is_wanted),
	};

	return cmocka_run_group_tests_name("send/packing", tests, group_setup, group_teardown);
}
