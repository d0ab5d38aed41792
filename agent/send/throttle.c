// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/throttle.h"

#include "base/util.h"

#define SECOND_NS 1000000000ull

void throttle_set(struct throttle *t, uint64_t rate)
{
	atomic_store(&t->rate, rate ? u64_max(rate, THROTTLE_RATE_MIN) : 0);
	atomic_store(&t->paid_ns, 0);
}

uint64_t throttle_wait(const struct throttle *t, uint64_t now_ns)
{
	uint64_t paid = atomic_load(&t->paid_ns);

	if (!atomic_load(&t->rate) || paid <= now_ns)
		return 0;
	/* To be asked again soon: the limit may be another then. */
	return u64_min(paid - now_ns, SECOND_NS);
}

void throttle_take(struct throttle *t, uint64_t now_ns, uint64_t bytes)
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
}
