/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a relay between sender and receiver is made of: sockets on loopback, and disks
 * with enough on them. What it counts and where it cuts is each test's own.
 */
#ifndef TIDEMARK_TESTS_UNIT_SEND_RELAY_H
#define TIDEMARK_TESTS_UNIT_SEND_RELAY_H

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/send/world.h"

/* Return: a socket that listens on a port of its own, or -1. */
static int relay_listen(char ret_port[8])
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t size = sizeof(a);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&a, size) || listen(fd, 16) ||
	    getsockname(fd, (struct sockaddr *)&a, &size))
		return -1;
	snprintf(ret_port, 8, "%u", ntohs(a.sin_port));
	return fd;
}

static int relay_dial(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool relay_put(int fd, const char *buf, ssize_t n)
{
	while (n > 0) {
		ssize_t done = send(fd, buf, n, MSG_NOSIGNAL);

		if (done <= 0)
			return false;
		buf += done;
		n -= done;
	}
	return true;
}

/* Most granules have something, each its own. */
static void fakes_fill(void)
{
	for (size_t i = 0; i < FAKES; i++)
		for (size_t g = 0; g < GRANULES; g++)
			memset(fakes[i].disk + g * GRANULE, g % 7 ? 1 + g % 251 : 0, bytes_of(g));
}

#endif
