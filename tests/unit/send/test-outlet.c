// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames that are sent from the caller's own memory, to a peer that reads when the test
 * says so: nothing is given back too early, everything is in the end, and who hangs up
 * does not wait. An item that is given back is written to at once, as by the next read of
 * a disk; the peer checks each frame against its checksum.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "send/outlet.h"

#define ITEMS 64u
#define ITEM_SIZE KIB(4)
#define WIRE_SIZE (FRAME_HEADER_SIZE + ITEM_SIZE)
/* More than the peer's buffer takes, less than that and ours. */
#define FEW 14u

static uint8_t memory[ITEMS][MIB(1)];
static struct conn_item items[ITEMS];
static unsigned int back; /* items that were given back */

static void item_back(struct conn_item *item)
{
	memset(memory[item - items], 0xee, sizeof(memory[0]));
	back++;
}

static void item_fill(unsigned int i, uint32_t size)
{
	memset(memory[i], 1 + i, size);
	items[i] = (struct conn_item){
		.frame = { .type = FRAME_DATA, .disk = 1, .length = size, .span = size,
			   .offset = i * MIB(1) },
		.payload = memory[i],
		.sent = item_back,
	};
}

/* -- the world ------------------------------------------------------------------ */

static struct {
	struct ring *ring;
	int listener;
	char port[8];
	int peer;
	int cancel_fd;
	struct conn *conn;
	struct conn_config config;
	struct progress progress;
	struct reason reason;
	pthread_t thread;
	unsigned int frames; /* that the peer has read */
	uint8_t last;	     /* type of the last one */
	bool bad;
} w;

/* Its buffer is full soon, and its segments are small enough for that not to be slow. */
static int listen_small(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t size = sizeof(a);
	int few = KIB(32), segment = 1400;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	w.listener = socket(AF_INET, SOCK_STREAM, 0);
	if (setsockopt(w.listener, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few)) ||
	    setsockopt(w.listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)) ||
	    bind(w.listener, (struct sockaddr *)&a, size) || listen(w.listener, 4) ||
	    getsockname(w.listener, (struct sockaddr *)&a, &size))
		return -1;
	snprintf(w.port, sizeof(w.port), "%u", ntohs(a.sin_port));
	return 0;
}

static int setup_as(const char *zero)
{
	int err;

	memset(&w, 0, sizeof(w));
	back = 0;
	setenv(RING_ZERO_VARIABLE, zero, 1);
	err = ring_create(&w.ring, 64);
	unsetenv(RING_ZERO_VARIABLE);
	w.cancel_fd = eventfd(0, EFD_NONBLOCK);
	w.config = (struct conn_config){
		.host = "127.0.0.1", .port = w.port, .timeout_ms = 20000, .cancel_fd = w.cancel_fd,
	};
	if (err || listen_small() ||
	    conn_open(&w.conn, &w.config, w.ring, &w.progress, &w.reason))
		return -1;
	w.peer = accept(w.listener, NULL, NULL);
	return w.peer < 0 ? -1 : 0;
}

static int setup(void **state)
{
	return setup_as("always");
}

static int setup_auto(void **state)
{
	return setup_as("auto");
}

static int teardown(void **state)
{
	w.conn = conn_close(w.conn);
	assert_int_equal(ring_busy(w.ring), 0);
	ring_destroy(w.ring);
	close(w.listener);
	if (w.peer >= 0)
		close(w.peer);
	close(w.cancel_fd);
	return 0;
}

static void zero_or_skip(void)
{
	if (ring_zero(w.ring) == RING_ZERO_NEVER)
		skip();
}

static void timer_done(struct ring_op *op, int64_t result)
{
}

/* Return: as conn_run() */
static int run_for(unsigned int ms)
{
	struct ring_op timer = { .done = timer_done };
	int err = 0;

	ring_timeout(w.ring, &timer, ms);
	while (timer.busy) {
		err = conn_run(w.conn);
		if (err)
			ring_run(w.ring);
	}
	return err;
}

static void queue(unsigned int count, uint32_t size)
{
	for (unsigned int i = 0; i < count; i++) {
		item_fill(i, size);
		conn_queue(w.conn, &items[i]);
	}
}

/* -- the peer ------------------------------------------------------------------- */

static bool peer_get(void *buf, size_t size)
{
	return recv(w.peer, buf, size, MSG_WAITALL) == (ssize_t)size;
}

static void *peer_main(void *arg)
{
	static uint8_t payload[FRAME_PAYLOAD_MAX];
	struct frame_wire wire;
	struct frame f;

	while (peer_get(&wire, sizeof(wire))) {
		w.bad |= frame_check(&wire, &f) != FRAME_OK;
		if (w.bad || (f.length && !peer_get(payload, f.length)))
			break;
		w.bad |= frame_verify(&wire, payload) != FRAME_OK;
		w.bad |= f.type == FRAME_DATA && payload[0] != 1 + w.frames;
		w.frames++;
		w.last = f.type;
	}
	return NULL;
}

static void peer_reads(void)
{
	assert_int_equal(pthread_create(&w.thread, NULL, peer_main, NULL), 0);
}

static void peer_has_read(unsigned int frames, uint8_t last)
{
	pthread_join(w.thread, NULL);
	assert_false(w.bad);
	assert_int_equal(w.frames, frames);
	assert_int_equal(w.last, last);
}

static uint64_t close_ms(void)
{
	uint64_t since = conn_now();

	w.conn = conn_close(w.conn);
	return conn_now() - since;
}

/* -- tests ---------------------------------------------------------------------- */

static void outlet__nothing_comes_back_before_it_has_arrived(void **state)
{
	zero_or_skip();
	queue(FEW, ITEM_SIZE);
	assert_int_equal(run_for(200), 0);
	/* All is with the kernel; what the peer's buffer has taken is acknowledged. */
	assert_int_equal(atomic_load(&w.progress.wire), FEW * WIRE_SIZE);
	assert_in_range(back, 0, FEW - 1);
	peer_reads();
	while (back < FEW)
		assert_int_equal(conn_run(w.conn), 0);
	shutdown(w.peer, SHUT_RD);
	close_ms();
	peer_has_read(FEW, FRAME_DATA);
}

/* Far more than there are places for: what finds none is copied, and all is in order. */
static void outlet__more_than_can_be_lent(void **state)
{
	queue(ITEMS, MIB(1));
	peer_reads();
	while (back < ITEMS)
		assert_int_equal(conn_run(w.conn), 0);
	assert_int_equal(atomic_load(&w.progress.wire),
			 (uint64_t)ITEMS * (FRAME_HEADER_SIZE + MIB(1)));
	close_ms();
	peer_has_read(ITEMS, FRAME_DATA);
}

/* Given up by the sender: the peer gets all that it was sent, and is told. */
static void outlet__the_word_before_the_end_arrives(void **state)
{
	zero_or_skip();
	queue(FEW, ITEM_SIZE);
	run_for(100);
	assert_in_range(back, 0, FEW - 1);
	conn_fail(w.conn, -EIO);
	conn_abort(w.conn);
	peer_reads();
	assert_in_range(close_ms(), 0, 1500);
	assert_int_equal(back, FEW);
	peer_has_read(FEW + 1, FRAME_ABORT);
}

/* Nobody reads it: it is waited for, but not long, and then all memory is free. */
static void outlet__a_silent_peer_is_left(void **state)
{
	zero_or_skip();
	queue(FEW, ITEM_SIZE);
	run_for(100);
	conn_fail(w.conn, -EIO);
	conn_abort(w.conn);
	assert_in_range(close_ms(), 0, 5000);
	assert_int_equal(back, FEW);
}

static void outlet__stopped(void **state)
{
	zero_or_skip();
	queue(ITEMS, MIB(1));
	run_for(100);
	eventfd_write(w.cancel_fd, 1);
	assert_int_equal(run_for(50), -ECANCELED);
	assert_in_range(close_ms(), 0, 1000);
	/* What was begun is; the rest was never taken. */
	assert_in_range(back, 1, ITEMS - 1);
}

static void *stop_soon(void *arg)
{
	usleep(100000);
	eventfd_write(w.cancel_fd, 1);
	return NULL;
}

/* In one batch with others: it must not stay with the kernel, for it is on a stack. */
static void outlet__one_frame_fails(void **state)
{
	struct frame f = { .type = FRAME_PING };
	pthread_t thread;

	zero_or_skip();
	queue(FEW, ITEM_SIZE);
	pthread_create(&thread, NULL, stop_soon, NULL);
	assert_int_equal(conn_send(w.conn, &f, NULL), -ECANCELED);
	pthread_join(thread, NULL);
	peer_reads();
	assert_in_range(close_ms(), 0, 1000);
	pthread_join(w.thread, NULL);
	assert_false(w.bad);
	assert_int_equal(back, FEW);
}

static void outlet__the_peer_resets(void **state)
{
	const struct linger reset = { .l_onoff = 1 };

	zero_or_skip();
	queue(FEW, ITEM_SIZE);
	run_for(100);
	setsockopt(w.peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(w.peer);
	w.peer = -1;
	assert_int_equal(run_for(100), -ECONNRESET);
	assert_int_equal(back, FEW);
	assert_in_range(close_ms(), 0, 1000);
}

/* All is sent, and not taken: that is silence, too. */
static void outlet__what_is_lent_is_not_waited_for_without_end(void **state)
{
	zero_or_skip();
	w.conn = conn_close(w.conn);
	close(w.peer);
	w.config.timeout_ms = 1000;
	assert_int_equal(conn_open(&w.conn, &w.config, w.ring, &w.progress, &w.reason), 0);
	w.peer = accept(w.listener, NULL, NULL);
	queue(FEW, ITEM_SIZE);
	assert_int_equal(run_for(4000), -ETIMEDOUT);
	assert_in_range(close_ms(), 0, 1000);
	assert_int_equal(back, FEW);
}

/* -- an outlet by itself ---------------------------------------------------------- */

static struct {
	struct outlet out;
	unsigned int taken, freed;
} alone;

static void alone_sent(void *owner, struct conn_item *list, int64_t result)
{
	alone.taken += result > 0;
	alone.freed += list != NULL;
}

static void alone_send(size_t bytes)
{
	const struct queue_batch batch = {
		.items = &items[0],
		.iov = { { memory, bytes } },
		.parts = 1,
		.bytes = bytes,
	};

	outlet_send(&alone.out, &batch);
	while (outlet_sending(&alone.out))
		assert_int_equal(ring_run(w.ring), 0);
}

/* On the test's ring, over a socket of its own that takes much before a send has to wait. */
static struct stream *alone_open(int fds[2], size_t lent_max)
{
	struct sockaddr_in a;
	socklen_t size = sizeof(a);
	struct stream *s;
	int out = MIB(4);

	memset(&alone, 0, sizeof(alone));
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &out, sizeof(out));
	getsockname(w.listener, (struct sockaddr *)&a, &size);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&a, size), 0);
	fds[1] = accept(w.listener, NULL, NULL);
	assert_int_equal(stream_create(&s, w.ring, fds[0], NULL, NULL), 0);
	outlet_init(&alone.out, s, fds[0], lent_max, alone_sent, NULL);
	return s;
}

static void alone_close(struct stream *s, int fds[2])
{
	outlet_hang_up(&alone.out);
	while (outlet_since(&alone.out))
		assert_int_equal(ring_run(w.ring), 0);
	assert_int_equal(alone.freed, alone.taken);
	assert_int_equal(alone.out.lent_bytes, 0);
	stream_destroy(s);
	close(fds[0]);
	close(fds[1]);
}

static void outlet__lends_no_more_than_it_may(void **state)
{
	struct stream *s;
	int fds[2];

	zero_or_skip();
	s = alone_open(fds, KIB(256));
	for (unsigned int i = 0; i < 10; i++)
		alone_send(KIB(64));
	/* What the peer took has been given back, and made room. */
	assert_in_range(alone.out.lent_bytes, KIB(192), KIB(256));
	assert_int_equal(alone.taken, 10);
	assert_int_equal(alone.freed, 10 - alone.out.lent_bytes / KIB(64));
	alone_close(s, fds);
}

static void *drain(void *arg)
{
	static uint8_t buf[65536];

	while (recv(*(int *)arg, buf, sizeof(buf), 0) > 0)
		;
	return NULL;
}

/* On loopback the kernel copies at the other end: it says so, and is not asked again. */
static void outlet__stops_where_it_is_copied(void **state)
{
	struct stream *s;
	pthread_t thread;
	int fds[2];

	zero_or_skip();
	s = alone_open(fds, MIB(4));
	pthread_create(&thread, NULL, drain, &fds[1]);
	alone_send(OUTLET_LEND_MIN - 1);
	assert_int_equal(alone.freed, 1);
	for (unsigned int i = 0; i < OUTLET_COPIES; i++) {
		assert_false(outlet_copies(&alone.out));
		alone_send(OUTLET_LEND_MIN);
		assert_int_equal(alone.out.lent_bytes, OUTLET_LEND_MIN);
		while (outlet_since(&alone.out))
			assert_int_equal(ring_run(w.ring), 0);
	}
	assert_true(outlet_copies(&alone.out));
	alone_send(MIB(1));
	assert_int_equal(alone.out.lent_bytes, 0);
	/* Then the other end has nothing more to read. */
	outlet_hang_up(&alone.out);
	pthread_join(thread, NULL);
	alone_close(s, fds);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(outlet__nothing_comes_back_before_it_has_arrived),
		TEST(outlet__more_than_can_be_lent),
		{ "outlet__more_than_can_be_lent [auto]", outlet__more_than_can_be_lent, setup_auto,
		  teardown, NULL },
		TEST(outlet__the_word_before_the_end_arrives),
		TEST(outlet__a_silent_peer_is_left),
		TEST(outlet__stopped),
		TEST(outlet__one_frame_fails),
		TEST(outlet__the_peer_resets),
		TEST(outlet__what_is_lent_is_not_waited_for_without_end),
		TEST(outlet__lends_no_more_than_it_may),
		{ "outlet__stops_where_it_is_copied", outlet__stops_where_it_is_copied, setup_auto,
		  teardown, NULL },
	};

	return cmocka_run_group_tests_name("send/outlet", tests, NULL, NULL);
}
