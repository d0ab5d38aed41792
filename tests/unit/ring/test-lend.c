// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that is lent to the kernel by ring_send_zero(): when it comes back, over sockets
 * of TCP on loopback whose other end reads when the test says so. What waits there to be
 * sent is the caller's memory itself, as on any network: whoever changes it too early
 * changes what arrives.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "ring/ring.h"

#define SIZE MIB(4)

struct call {
	struct ring_op op;
	int64_t result;
	unsigned int done;
	unsigned int released;
	bool copied;
};

static uint8_t memory[SIZE], got[SIZE];

static void call_done(struct ring_op *op, int64_t result)
{
	struct call *c = container_of(op, struct call, op);

	c->result = result;
	c->done++;
	assert_int_equal(c->released, 0);
}

/* As a caller does who reads into it again. */
static void call_released(struct ring_op *op, bool copied)
{
	struct call *c = container_of(op, struct call, op);

	assert_int_equal(c->done, 1);
	assert_false(op->busy);
	c->copied = copied;
	c->released++;
	memset(memory, 0xee, sizeof(memory));
}

static struct call call_new(void)
{
	return (struct call){ .op.done = call_done, .op.released = call_released };
}

/* -- rings -------------------------------------------------------------------- */

static struct ring *ring_as(const char *engine, const char *zero)
{
	struct ring *r = NULL;

	setenv(RING_ENGINE_VARIABLE, engine, 1);
	setenv(RING_ZERO_VARIABLE, zero, 1);
	ring_create(&r, 8);
	unsetenv(RING_ENGINE_VARIABLE);
	unsetenv(RING_ZERO_VARIABLE);
	return r;
}

static int setup(void **state)
{
	*state = ring_as("io_uring", "auto");
	return *state ? 0 : -1;
}

static int setup_plain(void **state)
{
	*state = ring_as("plain", "always");
	return *state ? 0 : -1;
}

static int setup_never(void **state)
{
	*state = ring_as("io_uring", "never");
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	ring_destroy(*state);
	return 0;
}

static bool zero(struct ring *r)
{
	return ring_zero(r) != RING_ZERO_NEVER;
}

/* A kernel older than 6.2 has nothing here to look at. */
static void zero_or_skip(struct ring *r)
{
	if (!zero(r))
		skip();
}

static void timer_done(struct ring_op *op, int64_t result)
{
}

/* Let the ring go on for so long, whatever ends. */
static void run_for(struct ring *r, unsigned int ms)
{
	struct ring_op timer = { .done = timer_done };

	ring_timeout(r, &timer, ms);
	while (timer.busy)
		assert_int_equal(ring_run(r), 0);
}

static void run_all(struct ring *r)
{
	while (ring_busy(r))
		assert_int_equal(ring_run(r), 0);
}

/* -- sockets ------------------------------------------------------------------ */

/* @fds[0] takes @out bytes before a send has to wait, @fds[1] a few before it is full. */
static void pair(int fds[2], int out)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t size = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int few = KIB(32), segment = 1400;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few)), 0);
	/* Smaller than its buffer, or it waits for that to be empty each time. */
	assert_int_equal(setsockopt(listener, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(int)), 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&a, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &size), 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &out, sizeof(out)), 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&a, size), 0);
	fds[1] = accept(listener, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(listener);
}

static void unpair(int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

/* The buffers of both ends are full, and stay so: the kernel still moves bytes between them. */
static void stuff(int fd)
{
	for (unsigned int quiet = 0; quiet < 10; quiet++) {
		while (send(fd, memory, KIB(64), MSG_DONTWAIT) > 0)
			quiet = 0;
		usleep(20000);
	}
}

static void *read_all(void *arg)
{
	size_t at = 0;
	ssize_t n;

	while (at < SIZE && (n = recv(*(int *)arg, got + at, SIZE - at, 0)) > 0)
		at += n;
	return (void *)at;
}

/* The other end reads until @size bytes are there; they are those that were sent. */
static void read_while_it_runs(struct ring *r, int fds[2], size_t size)
{
	pthread_t thread;
	void *read;

	assert_int_equal(pthread_create(&thread, NULL, read_all, &fds[1]), 0);
	run_all(r);
	shutdown(fds[0], SHUT_WR);
	assert_int_equal(pthread_join(thread, &read), 0);
	assert_int_equal((size_t)read, size);
	for (size_t i = 0; i < size; i++)
		if (got[i] != (uint8_t)(i / 1000))
			fail_msg("byte %zu has changed", i);
}

static void memory_fill(void)
{
	for (size_t i = 0; i < SIZE; i++)
		memory[i] = i / 1000;
}

static void send_memory(struct ring *r, struct call *c, int fd, size_t size)
{
	struct iovec iov[2] = { { memory, 100 }, { memory + 100, size - 100 } };

	memory_fill();
	*c = call_new();
	ring_send_zero(r, &c->op, fd, iov, 2);
}

/* -- tests -------------------------------------------------------------------- */

/*
 * The other end's buffer is full, ours is not: all bytes are with the kernel, which has no
 * copy of them. The memory stays ours alone to read until they have been acknowledged.
 */
static void lend__until_acknowledged(void **state)
{
	struct call c;
	int fds[2];

	zero_or_skip(*state);
	pair(fds, SIZE);
	send_memory(*state, &c, fds[0], MIB(1));
	run_for(*state, 300);
	assert_int_equal(c.done, 1);
	assert_int_equal(c.result, MIB(1));
	assert_int_equal(c.released, 0);
	assert_true(c.op.busy);
	assert_int_equal(ring_busy(*state), 1);
	/* It can't be had back by asking for it. */
	ring_cancel(*state, &c.op);
	run_for(*state, 100);
	assert_int_equal(c.released, 0);
	read_while_it_runs(*state, fds, MIB(1));
	assert_int_equal(c.released, 1);
	/* Loopback is where it does not pay, and the kernel says so. */
	assert_true(c.copied);
	unpair(fds);
}

/* The next one begins at done, and another way to send may follow. */
static void lend__the_next_begins_at_done(void **state)
{
	struct iovec iov = { memory + MIB(1), MIB(1) };
	struct call first, second = call_new();
	int fds[2];

	zero_or_skip(*state);
	pair(fds, SIZE);
	send_memory(*state, &first, fds[0], MIB(1));
	run_for(*state, 50);
	assert_int_equal(first.done, 1);
	ring_send(*state, &second.op, fds[0], &iov, 1);
	run_for(*state, 50);
	assert_int_equal(second.done, 1);
	assert_int_equal(first.released, 0);
	read_while_it_runs(*state, fds, MIB(2));
	assert_int_equal(first.released, 1);
	assert_int_equal(second.released, 0);
	unpair(fds);
}

/* Cut short by a cancel, it is continued inside: each part is let go of by itself. */
static void lend__in_several_parts(void **state)
{
	struct call c;
	int fds[2];

	zero_or_skip(*state);
	pair(fds, KIB(256));
	send_memory(*state, &c, fds[0], SIZE);
	run_for(*state, 20);
	ring_cancel(*state, &c.op);
	run_for(*state, 20);
	assert_int_equal(c.done, 0);
	assert_int_equal(c.op.notes, 1);
	read_while_it_runs(*state, fds, SIZE);
	assert_int_equal(c.result, SIZE);
	assert_int_equal(c.released, 1);
	unpair(fds);
}

static void lend__cancelled_before_a_byte(void **state)
{
	struct call c;
	int fds[2];

	pair(fds, KIB(64));
	stuff(fds[0]);
	send_memory(*state, &c, fds[0], MIB(1));
	run_for(*state, 20);
	assert_int_equal(c.done, 0);
	ring_cancel(*state, &c.op);
	run_all(*state);
	assert_int_equal(c.result, -ECANCELED);
	assert_int_equal(c.released, 1);
	unpair(fds);
}

/* Whoever wants it back hangs up: the bytes that were not acknowledged are gone then. */
static void lend__a_reset_gives_it_back(void **state)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct call c;
	int fds[2];

	zero_or_skip(*state);
	pair(fds, KIB(256));
	send_memory(*state, &c, fds[0], SIZE);
	run_for(*state, 20);
	/* What was sent before still is, so this does not. */
	shutdown(fds[0], SHUT_RDWR);
	run_for(*state, 100);
	assert_int_equal(c.done, 1);
	assert_int_equal(c.result, -EPIPE);
	assert_int_equal(c.released, 0);
	assert_int_equal(connect(fds[0], &none, sizeof(none)), 0);
	run_all(*state);
	assert_int_equal(c.released, 1);
	unpair(fds);
}

/* The other end is killed, with bytes that it has not read. */
static void lend__the_peer_resets(void **state)
{
	struct call c;
	int fds[2];

	zero_or_skip(*state);
	pair(fds, SIZE);
	send_memory(*state, &c, fds[0], MIB(1));
	run_for(*state, 20);
	assert_int_equal(c.released, 0);
	close(fds[1]);
	run_all(*state);
	assert_int_equal(c.result, MIB(1));
	assert_int_equal(c.released, 1);
	close(fds[0]);
}

/* Where it is not to be had both ends come at once, and all else is as with ring_send(). */
static void lend__without_it(void **state)
{
	struct call c;
	int fds[2];

	assert_false(zero(*state));
	assert_null(strstr(ring_engine(*state), "zero-copy send"));
	pair(fds, SIZE);
	send_memory(*state, &c, fds[0], MIB(1));
	run_for(*state, 20);
	assert_int_equal(c.done, 1);
	assert_int_equal(c.released, 1);
	assert_true(c.copied);
	read_while_it_runs(*state, fds, MIB(1));
	/* Longer than all buffers: with the last byte only. */
	unpair(fds);
	pair(fds, KIB(64));
	send_memory(*state, &c, fds[0], SIZE);
	run_for(*state, 20);
	assert_int_equal(c.done + c.released, 0);
	read_while_it_runs(*state, fds, SIZE);
	assert_int_equal(c.released, 1);
	unpair(fds);
}

/* Sockets that cannot do it refuse it: those get a copy. */
static void lend__refused_by_the_socket(void **state)
{
	struct call c;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	send_memory(*state, &c, fds[0], SIZE);
	read_while_it_runs(*state, fds, SIZE);
	assert_int_equal(c.result, SIZE);
	assert_int_equal(c.released, 1);
	assert_true(c.copied);
	unpair(fds);
	send_memory(*state, &c, -1, SIZE);
	run_all(*state);
	assert_int_equal(c.result, -EBADF);
	assert_int_equal(c.released, 1);
}

/* As a user who may lock the ring, and little more. Return: 0: it was sent, as a copy */
static int unlocked_child(void)
{
	const struct rlimit few = { KIB(256), KIB(256) };
	struct call c;
	struct ring *r;
	int fds[2];

	if (setrlimit(RLIMIT_MEMLOCK, &few) || setuid(65534))
		return 2;
	r = ring_as("io_uring", "always");
	if (!r || !zero(r))
		return 3;
	pair(fds, SIZE);
	send_memory(r, &c, fds[0], MIB(1));
	while (ring_busy(r))
		ring_run(r);
	return c.result == MIB(1) && c.released == 1 && c.copied ? 0 : 4;
}

static void lend__little_may_be_locked(void **state)
{
	int status;
	pid_t pid;

	zero_or_skip(*state);
	if (getuid())
		skip();
	pid = fork();
	if (pid == 0)
		_exit(unlocked_child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void lend__as_the_environment_says(void **state)
{
	struct ring *r = ring_as("io_uring", "always");

	assert_null(ring_as("io_uring", "sometimes"));
	if (ring_zero(r) == RING_ZERO_NEVER) {
		ring_destroy(r);
		skip();
	}
	assert_int_equal(ring_zero(r), RING_ZERO_ALWAYS);
	assert_non_null(strstr(ring_engine(r), "zero-copy send"));
	ring_destroy(r);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lend__until_acknowledged),
		TEST(lend__the_next_begins_at_done),
		TEST(lend__in_several_parts),
		TEST(lend__cancelled_before_a_byte),
		TEST(lend__a_reset_gives_it_back),
		TEST(lend__the_peer_resets),
		TEST(lend__refused_by_the_socket),
		TEST(lend__little_may_be_locked),
		{ "lend__without_it [never]", lend__without_it, setup_never, teardown, NULL },
		{ "lend__without_it [plain]", lend__without_it, setup_plain, teardown, NULL },
		{ "lend__cancelled_before_a_byte [plain]", lend__cancelled_before_a_byte,
		  setup_plain, teardown, NULL },
		{ "lend__refused_by_the_socket [plain]", lend__refused_by_the_socket, setup_plain,
		  teardown, NULL },
		cmocka_unit_test(lend__as_the_environment_says),
	};

	return cmocka_run_group_tests_name("ring/lend", tests, NULL, NULL);
}
