/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tracker made of arrays, for test-run.c alone: it follows <linux/tidemark.h>,
 * and a test may hook the moments that decide.
 */
#ifndef TIDEMARK_TESTS_SEND_TRACKER_H
#define TIDEMARK_TESTS_SEND_TRACKER_H

#include "send/source.h"

#define GRANULE 65536u
#ifndef GRANULES
#define GRANULES 40u
#endif
#define TAIL 1536u /* the last granule is short */
#define SIZE ((GRANULES - 1) * GRANULE + TAIL)

enum moment { AT_SEAL, AT_WAIT, AT_RELEASE, AT_COMMIT };

struct fake {
	struct source source;
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t epoch, sealed_epoch, committed_epoch;
	bool current[GRANULES], sealed[GRANULES], owed[GRANULES];
	bool torn, open;
	uint8_t *disk;	      /* the disk's bytes, now */
	uint8_t at_seal[SIZE]; /* and at the newest seal */
	unsigned int seals, folds, commits, released, left, grown;
	uint64_t pool_limit; /* what the newest growth was allowed */
	int commit_error;
	int open_error, info_error; /* what goes wrong, and stays so */
	unsigned int slow_waits; /* so many end without the drain having ended */
	void (*hook)(struct fake *f, enum moment m);
};

#define FAKES 3

static struct fake fakes[FAKES];
static unsigned int seal_calls;
static int cancel_fd;

static uint64_t bytes_of(uint64_t granule)
{
	return granule == GRANULES - 1 ? TAIL : GRANULE;
}

/* A write of the VM: the tracker marks, then the bytes land. */
static void fake_write(struct fake *f, uint64_t granule, uint8_t byte)
{
	if (f->sealed_epoch && f->owed[granule])
		f->torn = true;
	f->current[granule] = true;
	memset(f->disk + granule * GRANULE, byte, bytes_of(granule));
}

static struct fake *fake_of(struct source *s)
{
	return container_of(s, struct fake, source);
}

static uint64_t count_bits(const bool *bits)
{
	uint64_t n = 0;

	for (size_t i = 0; i < GRANULES; i++)
		n += bits[i];
	return n;
}

static int fake_info(struct source *s, struct source_info *ret)
{
	struct fake *f = fake_of(s);

	if (f->info_error)
		return f->info_error;
	*ret = (struct source_info){
		.tracked = true,
		.size = SIZE,
		.granule = GRANULE,
		.epoch = f->epoch,
		.committed_epoch = f->committed_epoch,
		.sealed_epoch = f->sealed_epoch,
		.marked = count_bits(f->current),
		.sealed = count_bits(f->sealed),
		.torn = f->torn,
	};
	memcpy(ret->uuid, f->uuid, sizeof(ret->uuid));
	return 0;
}

static int fake_mark(struct source *s, const struct plan_run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		assert_true(runs[i].first + runs[i].count <= GRANULES);
		memset(fake_of(s)->current + runs[i].first, true, runs[i].count);
	}
	return 0;
}

static int fake_fold(struct source *s)
{
	struct fake *f = fake_of(s);

	if (!f->sealed_epoch)
		return 0;
	for (size_t i = 0; i < GRANULES; i++)
		f->current[i] |= f->sealed[i];
	memset(f->sealed, false, GRANULES);
	memset(f->owed, false, GRANULES);
	f->sealed_epoch = 0;
	f->torn = false;
	f->folds++;
	s->epoch = 0;
	return 0;
}

static int fake_seal(struct source **group, size_t count, bool extend, uint32_t timeout_ms,
		     uint64_t *ret_excluded_ns)
{
	for (size_t i = 0; i < count; i++)
		if (fake_of(group[i])->hook)
			fake_of(group[i])->hook(fake_of(group[i]), AT_SEAL);
	for (size_t i = 0; i < count; i++)
		if (fake_of(group[i])->info_error)
			return fake_of(group[i])->info_error;
	seal_calls++;
	if (ret_excluded_ns)
		*ret_excluded_ns = 1000;
	for (size_t i = 0; i < count; i++) {
		struct fake *f = fake_of(group[i]);

		if (!extend)
			fake_fold(group[i]);
		/* What an extended epoch owes still is owed by the new one. */
		for (size_t k = 0; k < GRANULES; k++)
			f->current[k] |= f->owed[k];
		for (size_t k = 0; k < GRANULES; k++)
			f->sealed[k] |= f->current[k];
		memcpy(f->owed, f->current, GRANULES);
		memset(f->current, false, GRANULES);
		memcpy(f->at_seal, f->disk, SIZE);
		f->torn = false;
		f->sealed_epoch = f->epoch++;
		f->seals++;
		group[i]->epoch = f->sealed_epoch;
		group[i]->owed = count_bits(f->owed);
	}
	return 0;
}

static int fake_wait(struct source *s, uint32_t timeout_ms)
{
	struct fake *f = fake_of(s);

	if (f->hook)
		f->hook(f, AT_WAIT);
	if (f->slow_waits) {
		f->slow_waits--;
		return -ETIMEDOUT;
	}
	return 0;
}

/* Pages of two runs at most, so that pages are needed. */
static int fake_bitmap(const bool *bits, uint64_t first, struct plan_run *runs,
		       size_t *ret_filled, uint64_t *ret_next)
{
	size_t n = 0;

	while (first < GRANULES && (n < 2 || !bits[first])) {
		if (!bits[first]) {
			first++;
			continue;
		}
		runs[n] = (struct plan_run){ first, 0 };
		while (first < GRANULES && bits[first]) {
			runs[n].count++;
			first++;
		}
		n++;
	}
	*ret_filled = n;
	*ret_next = first;
	return 0;
}

static int fake_runs(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
		     size_t *ret_filled, uint64_t *ret_next)
{
	return fake_bitmap(fake_of(s)->owed, first, runs, ret_filled, ret_next);
}

static int fake_sealed(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
		       size_t *ret_filled, uint64_t *ret_next)
{
	return fake_bitmap(fake_of(s)->sealed, first, runs, ret_filled, ret_next);
}

static int fake_release(struct source *s, const struct plan_run *runs, size_t count)
{
	struct fake *f = fake_of(s);

	for (size_t i = 0; i < count; i++) {
		assert_true(runs[i].first + runs[i].count <= GRANULES);
		for (uint64_t g = 0; g < runs[i].count; g++) {
			/* Only what is owed is read, and only once. */
			assert_true(f->owed[runs[i].first + g]);
			f->owed[runs[i].first + g] = false;
			f->released++;
		}
	}
	if (f->hook)
		f->hook(f, AT_RELEASE);
	return 0;
}

static int fake_grow(struct source *s, uint64_t limit)
{
	struct fake *f = fake_of(s);

	f->grown++;
	f->pool_limit = limit;
	return 0;
}

/* @killed: the agent is dead, and does not come to do it. */
static bool killed;

static int fake_leave(struct source *s)
{
	struct fake *f = fake_of(s);

	if (!killed)
		memset(f->owed, false, GRANULES);
	f->left++;
	s->epoch = 0;
	return 0;
}

static int fake_commit(struct source *s)
{
	struct fake *f = fake_of(s);

	if (f->hook)
		f->hook(f, AT_COMMIT);
	if (f->commit_error)
		return f->commit_error;
	assert_int_equal(s->epoch, f->sealed_epoch);
	memset(f->sealed, false, GRANULES);
	f->committed_epoch = f->sealed_epoch;
	f->sealed_epoch = 0;
	f->commits++;
	s->epoch = 0;
	return 0;
}

static int fake_changed(struct source *s, uint64_t first, uint64_t count, bool *ret)
{
	*ret = fake_of(s)->current[first] || fake_of(s)->sealed[first];
	return 0;
}

static void fake_close(struct source *s)
{
	fake_of(s)->open = false;
}

static const struct source_ops fake_ops = {
	.name = "fake",
	.info = fake_info,
	.mark = fake_mark,
	.seal = fake_seal,
	.wait = fake_wait,
	.runs = fake_runs,
	.sealed = fake_sealed,
	.grow = fake_grow,
	.release = fake_release,
	.commit = fake_commit,
	.fold = fake_fold,
	.leave = fake_leave,
	.changed = fake_changed,
	.close = fake_close,
};

int source_kernel_open(struct source **ret, const char *device)
{
	struct fake *f = &fakes[device[0] - '0'];

	assert_false(f->open);
	if (f->open_error)
		return f->open_error;
	f->open = true;
	*ret = &f->source;
	return 0;
}

#endif
