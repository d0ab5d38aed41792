// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The floor of a copy: the same bytes read, sent and written by the simplest io_uring
 * loop, with one fdatasync and one answer at the end. No checksums, no point, no
 * control. What a benchmark compares with.
 *
 *   floor receive PORT-FILE FILE
 *   floor send PORT FILE LIST         LIST: lines "OFFSET LENGTH", ascending; see told.h
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/util.h"
#include "tests/helpers/told.h"

#define DEPTH 32
#define PIECE KIB(256)

struct piece {
	uint64_t offset;
	uint64_t length; /* 0: the end */
};

static struct io_uring ring;
static uint8_t *slots;
static struct piece pieces[DEPTH];
static bool busy[DEPTH];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void setup(void)
{
	int err = io_uring_queue_init(DEPTH, &ring,
				      IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);

	if (err == -EINVAL)
		err = io_uring_queue_init(DEPTH, &ring, 0);
	slots = aligned_alloc(IO_ALIGN, DEPTH * PIECE);
	if (err || !slots) {
		errno = -err;
		die("io_uring");
	}
}

static void await(unsigned int slot)
{
	while (busy[slot]) {
		struct io_uring_cqe *cqe;
		unsigned int done;

		if (io_uring_submit_and_wait(&ring, 1) < 0 || io_uring_peek_cqe(&ring, &cqe))
			die("waiting");
		done = cqe->user_data;
		if (cqe->res != (int)pieces[done].length) {
			errno = cqe->res < 0 ? -cqe->res : EIO;
			die("a disk");
		}
		busy[done] = false;
		io_uring_cqe_seen(&ring, cqe);
	}
}

static void start(unsigned int slot, int fd, bool write)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	const struct piece *p = &pieces[slot];

	if (write)
		io_uring_prep_write(sqe, fd, slots + slot * PIECE, p->length, p->offset);
	else
		io_uring_prep_read(sqe, fd, slots + slot * PIECE, p->length, p->offset);
	sqe->user_data = slot;
	busy[slot] = true;
}

static void put(int sock, const struct piece *p, const void *data)
{
	struct iovec iov[2] = { { (void *)p, sizeof(*p) }, { (void *)data, p->length } };
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = p->length ? 2 : 1 };
	size_t left = sizeof(*p) + p->length;

	while (left) {
		ssize_t n = sendmsg(sock, &m, MSG_NOSIGNAL);

		if (n <= 0)
			die("sending");
		left -= n;
		for (; n; ) {
			size_t step = u64_min(n, m.msg_iov->iov_len);

			m.msg_iov->iov_base = (char *)m.msg_iov->iov_base + step;
			m.msg_iov->iov_len -= step;
			n -= step;
			if (!m.msg_iov->iov_len && m.msg_iovlen > 1) {
				m.msg_iov++;
				m.msg_iovlen--;
			}
		}
	}
}

static bool next(FILE *list, struct piece *ret)
{
	static struct piece run;

	if (!run.length &&
	    fscanf(list, "%lu %lu", (unsigned long *)&run.offset, (unsigned long *)&run.length) != 2)
		return false;
	*ret = (struct piece){ run.offset, u64_min(run.length, PIECE) };
	run.offset += ret->length;
	run.length -= ret->length;
	return true;
}

static void send_all(int sock, int fd, FILE *list)
{
	uint64_t filled = 0, sent = 0;
	bool more = true;
	uint8_t answer;

	for (;;) {
		while (more && filled < sent + DEPTH) {
			more = next(list, &pieces[filled % DEPTH]);
			if (more)
				start(filled++ % DEPTH, fd, false);
		}
		if (sent == filled)
			break;
		io_uring_submit(&ring);
		await(sent % DEPTH);
		put(sock, &pieces[sent % DEPTH], slots + sent % DEPTH * PIECE);
		sent++;
	}
	put(sock, &(struct piece){ 0 }, NULL);
	if (recv(sock, &answer, 1, 0) != 1)
		die("no answer");
}

/* What the ring has to tell may interrupt a recv() that has some of it. */
static void get(int sock, void *buf, size_t size)
{
	for (size_t got = 0; got < size;) {
		ssize_t n = recv(sock, (uint8_t *)buf + got, size - got, MSG_WAITALL);

		if (n <= 0 && !(n < 0 && errno == EINTR))
			die("receiving");
		got += n < 0 ? 0 : n;
	}
}

static void receive_all(int sock, int fd)
{
	for (uint64_t n = 0;; n++) {
		unsigned int slot = n % DEPTH;

		await(slot);
		get(sock, &pieces[slot], sizeof(pieces[slot]));
		if (!pieces[slot].length)
			break;
		get(sock, slots + slot * PIECE, pieces[slot].length);
		start(slot, fd, true);
		io_uring_submit(&ring);
	}
	for (unsigned int i = 0; i < DEPTH; i++)
		await(i);
	if (fdatasync(fd) || send(sock, "", 1, 0) != 1)
		die("the end");
}

static int serve(const char *port_file)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t size = sizeof(a);
	FILE *f;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&a, size) || listen(fd, 1) ||
	    getsockname(fd, (struct sockaddr *)&a, &size))
		die("listening");
	f = fopen(port_file, "w");
	if (!f || fprintf(f, "%u\n", ntohs(a.sin_port)) < 0 || fclose(f))
		die(port_file);
	return accept(fd, NULL, NULL);
}

static int dial(const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_port = htons(strtoul(port, NULL, 10));
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("connecting");
	return fd;
}

int main(int argc, char **argv)
{
	bool sending = argc == 5 && !strcmp(argv[1], "send");
	int fd;

	if (!sending && (argc != 4 || strcmp(argv[1], "receive"))) {
		fprintf(stderr, "usage: floor receive PORT-FILE FILE | floor send PORT FILE LIST\n");
		return 2;
	}
	fd = open(argv[3], (sending ? O_RDONLY : O_WRONLY) | O_DIRECT);
	if (fd < 0)
		die(argv[3]);
	setup();
	if (sending) {
		told_begin();
		send_all(dial(argv[2]), fd, fopen(argv[4], "r"));
		told_end();
	} else {
		receive_all(serve(argv[2]), fd);
	}
	return 0;
}
