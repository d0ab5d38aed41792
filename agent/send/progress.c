// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/progress.h"

#include "base/util.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/*
 * A further pass adds to what is owed, so the plain share would fall. What has
 * been shown stands until the truth has caught up.
 */
static uint32_t progress_raise(struct progress *p, uint32_t permille)
{
	uint32_t best = atomic_load(&p->best);

	while (permille > best) {
		if (atomic_compare_exchange_weak(&p->best, &best, permille))
			return permille;
	}
	return best;
}

void progress_read(struct progress *p, struct progress_view *ret)
{
	bool done = atomic_load(&p->done);
	/* Read before @owed, which grows first: so that it is never above it. */
	uint64_t handled = load(&p->handled);
	uint64_t owed;
	uint32_t permille;

	atomic_thread_fence(memory_order_seq_cst);
	owed = u64_max(load(&p->owed), handled);
	*ret = (struct progress_view){
		.disk = load(&p->disk),
		.marked = load(&p->marked),
		.owed = owed,
		.handled = handled,
		.sent = load(&p->sent),
		.zero = load(&p->zero),
		.wire = load(&p->wire),
		.received = load(&p->received),
		.reads = load(&p->reads),
		.different = load(&p->different),
		.passes = atomic_load(&p->passes),
		.torn = atomic_load(&p->torn),
		.remaining = owed - handled,
		.rate = done ? 0 : load(&p->rate),
		.eta = UINT64_MAX,
		.read_limit = done ? 0 : load(&p->read_limit),
		.latency = done ? 0 : load(&p->latency),
	};
	if (done)
		permille = 1000;
	else
		permille = owed ? (uint32_t)((long double)handled / owed * 999) : 0;
	ret->permille = progress_raise(p, permille);
	if (done)
		ret->eta = 0;
	else if (ret->rate)
		ret->eta = u64_div_up(ret->remaining, ret->rate);
}

/*
 * Shares weigh as much as what their parts owe. A part that is not done keeps the
 * whole below 1000.
 */
void progress_sum(struct progress_view *sum, const struct progress_view *part)
{
	bool done = sum->permille == 1000 && part->permille == 1000;
	uint64_t owed = sum->owed + part->owed;

	if (done)
		sum->permille = 1000;
	else if (owed)
		sum->permille = u64_min(((long double)sum->permille * sum->owed +
					 (long double)part->permille * part->owed) / owed, 999);
	else
		sum->permille = 0;
	sum->disk += part->disk;
	sum->marked += part->marked;
	sum->owed = owed;
	sum->handled += part->handled;
	sum->sent += part->sent;
	sum->zero += part->zero;
	sum->wire += part->wire;
	sum->received += part->received;
	sum->reads += part->reads;
	sum->different += part->different;
	sum->passes = u64_max(sum->passes, part->passes);
	sum->torn += part->torn;
	sum->remaining += part->remaining;
	sum->rate += part->rate;
	if (part->read_limit && (!sum->read_limit || part->read_limit < sum->read_limit))
		sum->read_limit = part->read_limit;
	sum->latency = u64_max(sum->latency, part->latency);
	sum->eta = UINT64_MAX;
	if (done)
		sum->eta = 0;
	else if (sum->rate)
		sum->eta = u64_div_up(sum->remaining, sum->rate);
}

void progress_tick(struct progress *p, struct progress_meter *m, uint64_t now_ms)
{
	uint64_t handled = load(&p->handled);
	uint64_t old = load(&p->rate);
	uint64_t fresh;

	if (m->started) {
		if (now_ms <= m->ms)
			return;
		fresh = (handled - m->handled) * 1000 / (now_ms - m->ms);
		atomic_store(&p->rate, old ? (old * 3 + fresh) / 4 : fresh);
	}
	m->started = true;
	m->ms = now_ms;
	m->handled = handled;
}
