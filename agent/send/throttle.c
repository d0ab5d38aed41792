// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/throttle.h"

#include "base/util.h"

#define SECOND_NS 1000000000ull

void throttle_adjust(struct throttle *t, uint64_t rate)
{
	atomic_store(&t->rate, rate ? u64_max(rate, THROTTLE_RATE_MIN) : 0);
}

void throttle_set(struct throttle *t, uint64_t rate)
{
	throttle_adjust(t, rate);
	atomic_store(&t->paid_ns, 0);
}

static uint64_t throttle_wait(const struct throttle *t, uint64_t now_ns)
{
	uint64_t paid = atomic_load(&t->paid_ns);

	if (!atomic_load(&t->rate) || paid <= now_ns)
		return 0;
	return u64_min(paid - now_ns, SECOND_NS);
}

static void throttle_take(struct throttle *t, uint64_t now_ns, uint64_t bytes)
{
	uint64_t rate = atomic_load(&t->rate);
	uint64_t paid = atomic_load(&t->paid_ns);
	uint64_t next;

	if (!rate)
		return;
	do {
		next = u64_max(paid, now_ns > THROTTLE_BURST_NS ? now_ns - THROTTLE_BURST_NS : 0);
		next += (uint64_t)((long double)bytes * SECOND_NS / rate);
	} while (!atomic_compare_exchange_weak(&t->paid_ns, &paid, next));
	/*
	 * A limit that was set since the rate was read may have forgiven before this
	 * piece was charged by the old one, which could be sixteen seconds for a frame.
	 * One that is set after this look forgives it itself.
	 */
	if (atomic_load(&t->rate) != rate)
		atomic_compare_exchange_strong(&t->paid_ns, &next, paid);
}

uint64_t throttles_wait(struct throttle *const *limits, size_t count, uint64_t now_ns)
{
	uint64_t wait = 0;

	for (size_t i = 0; i < count; i++)
		if (limits[i])
			wait = u64_max(wait, throttle_wait(limits[i], now_ns));
	return wait;
}

void throttles_take(struct throttle *const *limits, size_t count, uint64_t now_ns, uint64_t bytes)
{
	for (size_t i = 0; i < count; i++)
		if (limits[i])
			throttle_take(limits[i], now_ns, bytes);
}

uint64_t throttles_piece(struct throttle *const *limits, size_t count, uint64_t max)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t rate = limits[i] ? atomic_load(&limits[i]->rate) : 0;

		if (rate)
			max = u64_min(max, rate / 8);
	}
	return max;
}
