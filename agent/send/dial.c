// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "send/conn.h"

/* Wait for a connect() under way: 0, or a negative errno. */
static int dial_wait(int fd, uint64_t deadline, int cancel_fd)
{
	struct pollfd fds[] = {
		{ .fd = fd, .events = POLLOUT },
		{ .fd = cancel_fd, .events = POLLIN },
	};

	for (;;) {
		uint64_t now = conn_now();
		int error = 0;
		socklen_t size = sizeof(error);

		if (now >= deadline)
			return -ETIMEDOUT;
		if (poll(fds, ARRAY_SIZE(fds), deadline - now) < 0 && errno != EINTR)
			return -errno;
		if (fds[1].revents)
			return -ECANCELED;
		if (!fds[0].revents)
			continue;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
			return -errno;
		return -error;
	}
}

static int dial_one(const struct addrinfo *a, uint64_t deadline, int cancel_fd)
{
	_cleanup_close_ int fd = -1;
	int err;

	fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
		if (errno != EINPROGRESS)
			return -errno;
		err = dial_wait(fd, deadline, cancel_fd);
		if (err)
			return err;
	}
	return TAKE_FD(fd);
}

/*
 * Frames are sent whole, so waiting for more to send only costs time. A peer
 * that has vanished is noticed by TCP itself: by unacknowledged data, or, when
 * there is nothing to send, by keep-alive.
 */
static int dial_options(int fd, uint32_t timeout_ms)
{
	const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, 10 },
		{ IPPROTO_TCP, TCP_KEEPINTVL, 5 },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, (int)timeout_ms },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (setsockopt(fd, options[i].level, options[i].name, &options[i].value,
			       sizeof(int)) < 0)
			return -errno;
	}
	return 0;
}

/* Nobody there is "not available", silence is a timeout, whatever the errno. */
static int dial_refused(struct reason *reason, int error, const char *host, const char *port)
{
	switch (error) {
	case -ECANCELED:
		return reason_set(reason, error, REASON_FAILED, "stopped while connecting");
	case -ETIMEDOUT:
		return reason_set(reason, error, REASON_TIMEOUT,
				  "the replica host %s:%s did not answer", host, port);
	case -ENOMEM:
		return reason_set(reason, error, REASON_NO_MEMORY, "out of memory");
	}
	return reason_set(reason, error, REASON_NOT_AVAILABLE,
			  "cannot reach the replica host %s:%s: %s", host, port,
			  strerrordesc_np(-error));
}

int dial(const char *host, const char *port, uint32_t timeout_ms, int cancel_fd,
	 struct reason *reason)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	uint64_t deadline = conn_now() + timeout_ms;
	struct addrinfo *all, *a;
	int fd = -EHOSTUNREACH;
	int err;

	err = getaddrinfo(host, port, &hints, &all);
	if (err)
		return reason_set(reason, -EHOSTUNREACH, REASON_NOT_AVAILABLE,
				  "cannot find the replica host %s:%s: %s", host, port,
				  gai_strerror(err));
	for (a = all; a; a = a->ai_next) {
		fd = dial_one(a, deadline, cancel_fd);
		if (fd >= 0 || fd == -ECANCELED || fd == -ETIMEDOUT)
			break;
	}
	freeaddrinfo(all);
	if (fd < 0)
		return dial_refused(reason, fd, host, port);
	err = dial_options(fd, timeout_ms);
	if (err) {
		close(fd);
		return dial_refused(reason, err, host, port);
	}
	return fd;
}
