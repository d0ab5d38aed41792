// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/brake.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/util.h"

#define STAT_SIZE 512

void brake_step(struct brake_control *c, uint64_t read, uint64_t latency_us, uint64_t bound_us)
{
	if (!bound_us) {
		*c = (struct brake_control){ 0 };
	} else if (latency_us > bound_us) {
		uint64_t from = c->rate ? u64_min(c->rate, read) : read;

		/* Nothing was read: it is not us who make it slow. */
		if (!c->rate && !read)
			return;
		if (!c->rate)
			c->before = read;
		c->rate = u64_max(from / 2, BRAKE_RATE_MIN);
	} else if (c->rate && latency_us < bound_us * 3 / 4) {
		c->rate += c->rate / 4;
		if (c->rate >= 2 * c->before)
			c->rate = 0;
	}
}

/* -- looking ---------------------------------------------------------------- */

int brake_add(struct brake *b, const char *stat)
{
	struct brake_disk *grown;
	int fd = open(stat, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	grown = realloc(b->disks, (b->count + 1) * sizeof(*grown));
	if (!grown) {
		close(fd);
		return -ENOMEM;
	}
	b->disks = grown;
	b->disks[b->count++] = (struct brake_disk){ .fd = fd };
	return 0;
}

void brake_clear(struct brake *b)
{
	for (size_t i = 0; i < b->count; i++)
		close(b->disks[i].fd);
	free(b->disks);
	b->disks = NULL;
	b->count = 0;
}

/* The VM's latency since the last look; a device that has gone has none. */
static uint64_t disk_latency(struct brake_disk *d, uint64_t elapsed_us)
{
	char text[STAT_SIZE];
	ssize_t n = pread(d->fd, text, sizeof(text) - 1, 0);
	struct latency_stat now;
	uint64_t mean = 0;

	if (n < 0)
		n = 0;
	text[n] = '\0';
	if (latency_parse(text, &now)) {
		d->seen = false;
		return 0;
	}
	if (d->seen)
		mean = latency_mean(&d->last, &now, elapsed_us);
	d->last = now;
	d->seen = true;
	return mean;
}

static void brake_show(struct brake *b, uint64_t latency_us)
{
	if (!b->progress)
		return;
	atomic_store(&b->progress->latency, latency_us);
	atomic_store(&b->progress->read_limit, b->control.rate);
}

static uint64_t brake_bound_us(const struct brake *b)
{
	return b->bound_ms ? atomic_load(b->bound_ms) * UINT64_C(1000) : 0;
}

/* What was read in a second: a mean over a few, for at low rates reads come seldom. */
static void brake_measure(struct brake *b, uint64_t elapsed_ms)
{
	uint64_t fresh = b->taken * 1000 / elapsed_ms;

	b->read = b->read ? (b->read * 3 + fresh) / 4 : fresh;
	b->taken = 0;
}

void brake_tick(struct brake *b, uint64_t now_ms)
{
	uint64_t elapsed_ms = now_ms - b->looked_ms;
	uint64_t bound_us = brake_bound_us(b);
	uint64_t worst = 0;

	if (!b->count)
		return;
	if (!bound_us && !b->control.rate) {
		brake_show(b, 0);
		return;
	}
	if (b->looked_ms && elapsed_ms < BRAKE_LOOK_MS)
		return;
	for (size_t i = 0; i < b->count; i++)
		worst = u64_max(worst, disk_latency(&b->disks[i], elapsed_ms * 1000));
	if (b->looked_ms) {
		brake_measure(b, elapsed_ms);
		brake_step(&b->control, b->read, worst, bound_us);
		throttle_adjust(&b->throttle, b->control.rate);
		brake_show(b, worst);
	}
	b->taken = 0;
	b->looked_ms = now_ms;
}

/* -- holding ---------------------------------------------------------------- */

uint64_t brake_wait(struct brake *b, uint64_t now_ns)
{
	struct throttle *const limits[] = { &b->throttle };

	return throttles_wait(limits, ARRAY_SIZE(limits), now_ns);
}

void brake_take(struct brake *b, uint64_t now_ns, uint64_t bytes)
{
	struct throttle *const limits[] = { &b->throttle };

	b->taken += bytes;
	throttles_take(limits, ARRAY_SIZE(limits), now_ns, bytes);
}
