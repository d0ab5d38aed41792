// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/util.h"
#include "ring/ring.h"

struct call {
	struct ring_op op;
	int64_t result;
	unsigned int count;
};

static void call_done(struct ring_op *op, int64_t result)
{
	struct call *c = container_of(op, struct call, op);

	c->result = result;
	c->count++;
}

static int setup(void **state)
{
	struct ring *r;

	if (ring_create(&r, 8) < 0)
		return -1;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	ring_destroy(*state);
	return 0;
}

static void run_all(struct ring *r)
{
	while (ring_busy(r))
		assert_int_equal(ring_run(r), 0);
}

static void ring__write_then_read(void **state)
{
	_cleanup_close_ int fd = memfd_create("ring", 0);
	struct call w = { .op.done = call_done }, f = w, c = w;
	char out[10000], in[20000];

	memset(out, 'x', sizeof(out));
	ring_write(*state, &w.op, fd, out, sizeof(out), 5000);
	run_all(*state);
	assert_int_equal(w.result, sizeof(out));
	ring_fsync(*state, &f.op, fd);
	ring_read(*state, &c.op, fd, in, sizeof(in), 0);
	run_all(*state);
	assert_int_equal(f.result, 0);
	/* End of file: fewer bytes, no error. */
	assert_int_equal(c.result, 15000);
	assert_memory_equal(in + 5000, out, sizeof(out));
	assert_int_equal(in[4999], 0);
}

static void ring__more_than_its_depth(void **state)
{
	_cleanup_close_ int fd = memfd_create("ring", 0);
	static struct call calls[100];
	static char data[100][64];

	for (int i = 0; i < 100; i++) {
		calls[i] = (struct call){ .op.done = call_done };
		memset(data[i], i, sizeof(data[i]));
		ring_write(*state, &calls[i].op, fd, data[i], 64, i * 64);
	}
	run_all(*state);
	for (int i = 0; i < 100; i++) {
		char in[64];

		assert_int_equal(calls[i].count, 1);
		assert_int_equal(calls[i].result, 64);
		assert_int_equal(pread(fd, in, 64, i * 64), 64);
		assert_memory_equal(in, data[i], 64);
	}
}

static void ring__send_is_whole(void **state)
{
	/* Far more than a socket's buffer, in parts, against a slow receiver. */
	static char a[1 << 20], b[300], in[(1 << 20) + 300];
	struct iovec iov[] = { { b, sizeof(b) }, { a, sizeof(a) } };
	struct call s = { .op.done = call_done }, r = s;
	int fds[2];

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ring_send(*state, &s.op, fds[0], iov, 2);
	ring_recv(*state, &r.op, fds[1], in, sizeof(in));
	run_all(*state);
	assert_int_equal(s.result, sizeof(in));
	assert_int_equal(r.result, sizeof(in));
	assert_int_equal(in[0], 'b');
	assert_int_equal(in[299], 'b');
	assert_int_equal(in[300], 'a');
	assert_int_equal(in[sizeof(in) - 1], 'a');
	close(fds[0]);
	ring_recv(*state, &r.op, fds[1], in, 10);
	run_all(*state);
	assert_int_equal(r.result, 0);
	close(fds[1]);
}

static void ring__cancel_ends_a_wait(void **state)
{
	struct call r = { .op.done = call_done }, t = r;
	char in[8];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ring_recv(*state, &r.op, fds[1], in, sizeof(in));
	ring_timeout(*state, &t.op, 3600000);
	ring_cancel(*state, &r.op);
	ring_cancel(*state, &t.op);
	run_all(*state);
	assert_int_equal(r.result, -ECANCELED);
	assert_int_equal(t.result, -ECANCELED);
	close(fds[0]);
	close(fds[1]);
}

static void ring__timeout_and_errors(void **state)
{
	struct call t = { .op.done = call_done }, w = t;
	char byte = 0;

	ring_timeout(*state, &t.op, 20);
	ring_write(*state, &w.op, -1, &byte, 1, 0);
	run_all(*state);
	assert_int_equal(t.result, 0);
	assert_int_equal(w.result, -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ring__write_then_read, setup, teardown),
		cmocka_unit_test_setup_teardown(ring__more_than_its_depth, setup, teardown),
		cmocka_unit_test_setup_teardown(ring__send_is_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(ring__cancel_ends_a_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(ring__timeout_and_errors, setup, teardown),
	};

	return cmocka_run_group_tests_name("ring/ring", tests, NULL, NULL);
}
