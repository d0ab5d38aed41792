// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A slow link between two network namespaces, for a kernel without netem: what one
 * end sends waits for its turn on a cable of so many bits a second, travels, and is
 * lost or comes out at the other end. Each way has a cable of its own, and a queue of
 * as many packets as netem's; what finds it full is dropped.
 *
 *   link MS MBIT LOSS NEAR FAR
 *     MS: one way's delay; LOSS: percent of the packets, each way: at random, or with
 *     "even" behind it (0.1even) each so-manieth, which is the same luck for everybody
 *     NEAR, FAR: namespaces of ip-netns(8); each gets an end, a device "cable" (tun)
 *
 * Says "ready" and runs until it is killed. As root.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000LL
/* tc-netem(8): limit */
#define QUEUE_PACKETS 1000
#define PACKET_SIZE 2048

struct packet {
	int64_t due;
	size_t size;
	uint8_t data[PACKET_SIZE];
};

/* One way: packets come from a descriptor, and go to another in their order. */
struct way {
	int from;
	int to;
	/* when the last of the queue has left the cable's near end */
	int64_t free_at;
	/* of the next packet to be lost, so much is due */
	double owed;
	size_t head;
	size_t count;
	struct packet queue[QUEUE_PACKETS];
};

static int64_t delay_ns;
static double ns_per_byte;
static double loss;
static bool even;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* The end of the link in the namespace @name: a descriptor, of which each read() is a packet. */
static int end_open(const char *name)
{
	struct ifreq request = { .ifr_name = "cable", .ifr_flags = IFF_TUN | IFF_NO_PI };
	char path[128];
	int space, fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	space = open(path, O_RDONLY | O_CLOEXEC);
	if (space < 0 || setns(space, CLONE_NEWNET) < 0)
		err(1, "namespace %s", name);
	close(space);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		err(1, "device in %s", name);
	return fd;
}

static bool way_loses(struct way *w)
{
	if (!even)
		return drand48() < loss;
	w->owed += loss;
	if (w->owed < 1)
		return false;
	w->owed -= 1;
	return true;
}

static void way_take(struct way *w)
{
	static uint8_t lost[PACKET_SIZE];
	bool full = w->count == QUEUE_PACKETS;
	struct packet *p = &w->queue[(w->head + w->count) % QUEUE_PACKETS];
	ssize_t size = read(w->from, full ? lost : p->data, PACKET_SIZE);
	int64_t now = now_ns();

	if (size <= 0 || full || way_loses(w))
		return;
	if (w->free_at < now)
		w->free_at = now;
	w->free_at += (int64_t)(ns_per_byte * (double)size);
	p->size = (size_t)size;
	p->due = w->free_at + delay_ns;
	w->count++;
}

static void way_deliver(struct way *w, int64_t now)
{
	while (w->count > 0 && w->queue[w->head].due <= now) {
		struct packet *p = &w->queue[w->head];

		/* an end that is not up yet loses it, as a real one */
		if (write(w->to, p->data, p->size) < 0 && errno != EIO)
			err(1, "a packet");
		w->head = (w->head + 1) % QUEUE_PACKETS;
		w->count--;
	}
}

static int64_t way_due(const struct way *w)
{
	return w->count > 0 ? w->queue[w->head].due : INT64_MAX;
}

static void forward(struct way ways[2])
{
	struct pollfd fds[2] = { { ways[0].from, POLLIN, 0 }, { ways[1].from, POLLIN, 0 } };

	for (;;) {
		int64_t due = way_due(&ways[0]) < way_due(&ways[1]) ? way_due(&ways[0]) :
								      way_due(&ways[1]);
		int64_t left = due - now_ns();
		struct timespec wait = { 0 };

		if (left > 0) {
			wait.tv_sec = left / NS_PER_S;
			wait.tv_nsec = left % NS_PER_S;
		}
		if (ppoll(fds, 2, due == INT64_MAX ? NULL : &wait, NULL) < 0)
			err(1, "ppoll");
		for (int i = 0; i < 2; i++) {
			if (fds[i].revents)
				way_take(&ways[i]);
			way_deliver(&ways[i], now_ns());
		}
	}
}

int main(int argc, char **argv)
{
	static struct way ways[2];
	char *end;

	if (argc != 6)
		errx(2, "link MS MBIT LOSS NEAR FAR");
	delay_ns = (int64_t)(atof(argv[1]) * 1e6);
	ns_per_byte = 8e3 / atof(argv[2]);
	loss = strtod(argv[3], &end) / 100;
	even = strcmp(end, "even") == 0;
	if (*end && !even)
		errx(2, "no loss: %s", argv[3]);
	srand48(1);
	/* else the kernel may let each packet wait for 50 us more */
	prctl(PR_SET_TIMERSLACK, 1);
	ways[0].from = ways[1].to = end_open(argv[4]);
	ways[1].from = ways[0].to = end_open(argv[5]);
	puts("ready");
	fflush(stdout);
	forward(ways);
}
