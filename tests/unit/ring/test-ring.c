// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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

static int setup_plain(void **state)
{
	int err;

	setenv(RING_ENGINE_VARIABLE, "plain", 1);
	err = setup(state);
	unsetenv(RING_ENGINE_VARIABLE);
	return err || !ring_is_plain(*state) ? -1 : 0;
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

static int64_t move(struct ring *r, bool writes, int fd, void *buf, size_t size)
{
	struct call c = { .op.done = call_done };

	if (writes)
		ring_write(r, &c.op, fd, buf, size, 0);
	else
		ring_read(r, &c.op, fd, buf, size, 0);
	run_all(r);
	assert_int_equal(c.count, 1);
	return c.result;
}

/* Often enough that it is pinned; and then other memory at, most likely, the same place. */
static void ring__memory_is_what_it_seems(void **state)
{
	const size_t size = MIB(1);
	_cleanup_close_ int fd = memfd_create("memory", 0);
	uint8_t *got = malloc(size), *other[RING_AREAS + 1];

	for (unsigned int round = 0; round < 3; round++) {
		uint8_t *memory = ring_memory(*state, size);

		assert_non_null(memory);
		assert_int_equal((uintptr_t)memory % IO_ALIGN, 0);
		for (unsigned int i = 0; i < 10; i++) {
			memset(memory, 10 * round + i + 1, size);
			assert_int_equal(move(*state, true, fd, memory, size), size);
			assert_int_equal(pread(fd, got, size, 0), size);
			assert_memory_equal(got, memory, size);
			memset(memory, 0, size);
			assert_int_equal(move(*state, false, fd, memory, size), size);
			assert_memory_equal(got, memory, size);
			/* In part, and from within. */
			assert_int_equal(move(*state, false, fd, memory + size / 2, 4096), 4096);
		}
		assert_null(ring_memory_free(*state, memory));
	}
	/* More pieces than the ring has places for work as well. */
	for (unsigned int i = 0; i <= RING_AREAS; i++) {
		other[i] = ring_memory(*state, size);
		assert_non_null(other[i]);
	}
	for (unsigned int i = 0; i < 6 * (RING_AREAS + 1); i++) {
		uint8_t *memory = other[i % (RING_AREAS + 1)];

		memset(memory, i + 1, size);
		assert_int_equal(move(*state, true, fd, memory, size), size);
		assert_int_equal(pread(fd, got, size, 0), size);
		assert_memory_equal(got, memory, size);
	}
	for (unsigned int i = 0; i <= RING_AREAS; i++)
		ring_memory_free(*state, other[i]);
	ring_memory_free(*state, NULL);
	free(got);
}

static bool begins_with(int fd, const char *text)
{
	char got[64] = { 0 };

	return pread(fd, got, sizeof(got) - 1, 0) >= 0 && strcmp(got, text) == 0;
}

static void ring__a_held_file_is_that_of_its_descriptor(void **state)
{
	_cleanup_close_ int first = memfd_create("first", 0), second = memfd_create("second", 0);
	int fd = dup(first), number = fd;
	char text[] = "one", got[4] = "";

	ring_file(*state, fd);
	ring_file(*state, fd);
	assert_int_equal(move(*state, true, fd, text, 4), 4);
	assert_int_equal(move(*state, false, fd, got, 4), 4);
	assert_string_equal(got, "one");
	ring_file_drop(*state, fd);
	ring_file_drop(*state, fd);
	/* The number means another file now. */
	assert_int_equal(dup2(second, fd), number);
	assert_int_equal(move(*state, true, fd, "two", 4), 4);
	assert_true(begins_with(first, "one"));
	assert_true(begins_with(second, "two"));
	ring_file(*state, fd);
	assert_int_equal(move(*state, true, fd, "six", 4), 4);
	assert_true(begins_with(first, "one"));
	assert_true(begins_with(second, "six"));
	ring_file_drop(*state, fd);
	close(fd);
}

/* What is queued has not looked for its file yet. */
static void ring__what_was_queued_keeps_its_file(void **state)
{
	_cleanup_close_ int first = memfd_create("first", 0), second = memfd_create("second", 0);
	struct call a = { .op.done = call_done }, b = a, c = a;

	ring_file(*state, first);
	ring_write(*state, &a.op, first, "one", 4, 0);
	ring_file_drop(*state, first);
	ring_write(*state, &b.op, first, "two", 4, 4);
	ring_file(*state, second);
	ring_write(*state, &c.op, second, "six", 4, 0);
	ring_file_drop(*state, second);
	run_all(*state);
	assert_int_equal(a.result, 4);
	assert_int_equal(b.result, 4);
	assert_int_equal(c.result, 4);
	assert_true(begins_with(first, "one"));
	assert_true(begins_with(second, "six"));
}

static void ring__more_files_than_places(void **state)
{
	int fds[2 * RING_FILES];
	char text[16], got[16];

	for (unsigned int round = 0; round < 3; round++) {
		for (int i = 0; i < 2 * RING_FILES; i++) {
			fds[i] = memfd_create("file", 0);
			ring_file(*state, fds[i]);
		}
		for (int i = 0; i < 2 * RING_FILES; i++) {
			snprintf(text, sizeof(text), "%u of %d", round, i);
			assert_int_equal(move(*state, true, fds[i], text, sizeof(text)), sizeof(text));
			assert_int_equal(move(*state, false, fds[i], got, sizeof(got)), sizeof(got));
			assert_string_equal(got, text);
			assert_true(begins_with(fds[i], text));
		}
		for (int i = 0; i < 2 * RING_FILES; i++) {
			ring_file_drop(*state, fds[i]);
			close(fds[i]);
		}
	}
	ring_file_drop(*state, -1);
}

/* A short transfer goes on by the descriptor when its place is another file's meanwhile. */
static void ring__a_transfer_outlives_its_place(void **state)
{
	_cleanup_close_ int other = memfd_create("other", 0);
	struct call r = { .op.done = call_done };
	char got[8] = "";
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ring_file(*state, fds[0]);
	ring_recv(*state, &r.op, fds[0], got, sizeof(got));
	assert_int_equal(write(fds[1], "abc", 3), 3);
	ring_file_drop(*state, fds[0]);
	ring_file(*state, other);
	assert_int_equal(write(fds[1], "defgh", 5), 5);
	run_all(*state);
	assert_int_equal(r.result, 8);
	assert_memory_equal(got, "abcdefgh", 8);
	ring_file_drop(*state, other);
	close(fds[0]);
	close(fds[1]);
}

static void ring__a_dropped_socket_can_be_closed(void **state)
{
	struct pollfd end = { .events = POLLIN };
	int fds[2];
	char got;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ring_file(*state, fds[0]);
	ring_file_drop(*state, fds[0]);
	close(fds[0]);
	end.fd = fds[1];
	assert_int_equal(poll(&end, 1, 5000), 1);
	assert_int_equal(read(fds[1], &got, 1), 0);
	close(fds[1]);
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

/* Threads of the pool; a sanitizer may have others of its own. */
static unsigned int threads(void)
{
	unsigned int count = 0;
	DIR *d = opendir("/proc/self/task");

	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		char path[300], name[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		count += fgets(name, sizeof(name), f) && strcmp(name, "tidemark-files\n") == 0;
		fclose(f);
	}
	closedir(d);
	return count;
}

/* One that was joined is seen in /proc for a moment longer. */
static void threads_wait(unsigned int wanted)
{
	for (int i = 0; i < 10000 && threads() != wanted; i++)
		usleep(1000);
	assert_int_equal(threads(), wanted);
}

/* Sockets and timeouts take their turn while files end all the time. */
static void ring__files_do_not_starve_the_rest(void **state)
{
	_cleanup_close_ int fd = memfd_create("ring", 0);
	struct call w = { .op.done = call_done }, r = w, t = w;
	char byte = 0, in = 1;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ring_recv(*state, &r.op, fds[1], &in, 1);
	ring_timeout(*state, &t.op, 30);
	assert_int_equal(write(fds[0], &byte, 1), 1);
	while (!r.count || !t.count) {
		if (!w.op.busy)
			ring_write(*state, &w.op, fd, &byte, 1, 0);
		assert_int_equal(ring_run(*state), 0);
	}
	run_all(*state);
	assert_int_equal(in, 0);
	close(fds[0]);
	close(fds[1]);
}

static void ring__polls_and_refuses(void **state)
{
	struct call p = { .op.done = call_done }, r = p;
	char in;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ring_poll(*state, &p.op, fds[1]);
	assert_int_equal(write(fds[0], "x", 1), 1);
	ring_recv(*state, &r.op, -1, &in, 1);
	run_all(*state);
	assert_int_equal(p.result, POLLIN);
	assert_int_equal(r.result, -EBADF);
	close(fds[0]);
	close(fds[1]);
}

/* Many at a time, few threads; the last of them goes with the ring. */
static void ring__threads_are_bounded(void **state)
{
	_cleanup_close_ int fd = memfd_create("ring", 0);
	static struct call calls[200];
	unsigned int most = 0;
	static char data[200][4096];
	struct ring *r;

	threads_wait(0);
	setenv(RING_ENGINE_VARIABLE, "plain", 1);
	assert_int_equal(ring_create(&r, 64), 0);
	unsetenv(RING_ENGINE_VARIABLE);
	for (int i = 0; i < 200; i++) {
		calls[i] = (struct call){ .op.done = call_done };
		ring_write(r, &calls[i].op, fd, data[i], 4096, i * 4096);
		if (threads() > most)
			most = threads();
	}
	run_all(r);
	/* They name themselves: on a busy machine after all has been queued. One stays. */
	if (threads() > most)
		most = threads();
	for (int i = 0; i < 200; i++)
		assert_int_equal(calls[i].result, 4096);
	assert_in_range(most, 1, 4);
	ring_destroy(r);
	threads_wait(0);
}

/* In a child: io_uring_setup() fails with @error, as under a container's profile. */
static void deny_io_uring(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(2);
}

static int refused_child(int error, const char *asked, const char *wanted, int wanted_error)
{
	struct ring *r;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int err;

		deny_io_uring(error);
		if (asked)
			setenv(RING_ENGINE_VARIABLE, asked, 1);
		err = ring_create(&r, 8);
		if (err)
			_exit(err == wanted_error ? 0 : 3);
		_exit(!wanted_error && strcmp(ring_engine(r), wanted) == 0 ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void ring__does_without_io_uring(void **state)
{
	struct ring *r;

	assert_int_equal(refused_child(EPERM, NULL, "pread/pwrite (io_uring is not permitted)", 0),
			 0);
	assert_int_equal(refused_child(ENOSYS, "auto",
				       "pread/pwrite (this kernel has no io_uring)", 0), 0);
	/* Who asks for it by name wants to know. */
	assert_int_equal(refused_child(EPERM, "io_uring", NULL, -EPERM), 0);
	/* No reason to be slow for ever. */
	assert_int_equal(refused_child(ENFILE, NULL, NULL, -ENFILE), 0);
	setenv(RING_ENGINE_VARIABLE, "fast", 1);
	assert_int_equal(ring_create(&r, 8), -EINVAL);
	unsetenv(RING_ENGINE_VARIABLE);
}

#define BOTH_ENGINES(test) \
	{ #test " [io_uring]", test, setup, teardown, NULL }, \
	{ #test " [plain]", test, setup_plain, teardown, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_ENGINES(ring__memory_is_what_it_seems),
		BOTH_ENGINES(ring__a_held_file_is_that_of_its_descriptor),
		BOTH_ENGINES(ring__what_was_queued_keeps_its_file),
		BOTH_ENGINES(ring__more_files_than_places),
		BOTH_ENGINES(ring__a_transfer_outlives_its_place),
		BOTH_ENGINES(ring__a_dropped_socket_can_be_closed),
		BOTH_ENGINES(ring__write_then_read),
		BOTH_ENGINES(ring__more_than_its_depth),
		BOTH_ENGINES(ring__send_is_whole),
		BOTH_ENGINES(ring__cancel_ends_a_wait),
		BOTH_ENGINES(ring__timeout_and_errors),
		BOTH_ENGINES(ring__files_do_not_starve_the_rest),
		BOTH_ENGINES(ring__polls_and_refuses),
		cmocka_unit_test(ring__threads_are_bounded),
		cmocka_unit_test(ring__does_without_io_uring),
	};

	return cmocka_run_group_tests_name("ring/ring", tests, NULL, NULL);
}
