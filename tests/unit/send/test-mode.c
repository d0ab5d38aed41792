// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "send/mode.h"

static const struct source_info here = {
	.tracked = true,
	.uuid = { 1, 2, 3 },
	.epoch = 10,
	.committed_epoch = 7,
	.size = 1 << 20,
};

static const struct frame_opened there = {
	.present = 1,
	.uuid = { 1, 2, 3 },
	.epoch = 7,
	.size = 1 << 20,
	.point = 4,
};

static const struct mode_past nothing;
static const struct mode_past past = {
	.known = true,
	.uuid = { 1, 2, 3 },
	.committed_epoch = 7,
};

static int choose_from(const struct source_info *h, const struct run_origin *o,
		       const struct frame_opened *t)
{
	const char *why = "untouched";
	int mode = mode_choose(h, &nothing, o, t, &why);

	/* A reason is given exactly when there is something to explain. */
	assert_int_equal(why != NULL, mode == FRAME_MODE_COMPARE);
	return mode;
}

static int choose(const struct source_info *h, const struct frame_opened *t)
{
	return choose_from(h, NULL, t);
}

static void mode__empty_replica_is_full(void **state)
{
	struct frame_opened t = there;

	t.present = 0;
	assert_int_equal(choose(&here, &t), FRAME_MODE_FULL);
}

static void mode__same_tracker_is_incremental(void **state)
{
	assert_int_equal(choose(&here, &there), FRAME_MODE_INCREMENTAL);
}

/* The old primary's disk, and this one, which was failed over to. */
static const struct frame_opened old = {
	.present = FRAME_OPENED_ORIGIN,
	.uuid = { 7 },
	.epoch = 4,
	.size = 1 << 20,
	.point = 9,
};

static const struct run_origin origin = {
	.uuid = { 7 },
	.epoch = 5,
	.size = 1 << 20,
	.covered = true,
	.cover = { 1, 2, 3 },
	.cover_epoch = 7,
};

static void mode__origin_is_reversed(void **state)
{
	struct source_info h = here;
	struct run_origin o = origin;
	struct frame_opened t = old;

	assert_int_equal(choose_from(&h, &o, &t), FRAME_MODE_REVERSE);
	/* The replica has what the old tracker committed last, or is ahead of it. */
	t.epoch = 5;
	assert_int_equal(choose_from(&h, &o, &t), FRAME_MODE_REVERSE);
	t.point = 6;
	assert_int_equal(choose_from(&h, &o, &t), FRAME_MODE_REVERSE);
	/* Not tracked: if nobody has written. */
	h.tracked = false;
	o.untouched = true;
	o.covered = false;
	assert_int_equal(choose_from(&h, &o, &t), FRAME_MODE_REVERSE);
}

static void mode__origin_without_proof_is_compared(void **state)
{
	struct source_info h;
	struct run_origin o;
	struct frame_opened t;

#define DOUBT(change)                                                  \
	do {                                                           \
		h = here;                                              \
		o = origin;                                            \
		t = old;                                               \
		assert_int_equal(choose_from(&h, &o, &t), FRAME_MODE_REVERSE);  \
		change;                                                \
		assert_int_equal(choose_from(&h, &o, &t), FRAME_MODE_COMPARE);  \
	} while (0)
	DOUBT(t.uuid[0]++);
	DOUBT(t.epoch = 6); /* the changes from 5 to 6 are forgotten there */
	DOUBT(t.point = 5); /* a tracker that has not sealed 5 yet */
	DOUBT(t.size += 512);
	DOUBT(o.size += 512);
	DOUBT(h.size -= 512);
	DOUBT(o.covered = false);
	DOUBT(o.cover[15]++);
	DOUBT(h.committed_epoch++);
	DOUBT(h.unreliable = "somebody wrote past the tracker");
	DOUBT(h.tracked = false);
#undef DOUBT
	assert_int_equal(choose_from(&here, NULL, &old), FRAME_MODE_COMPARE);
}

static void mode__unreliable_tracker_is_compared(void **state)
{
	struct frame_opened t = there;
	struct source_info h = here;
	const char *why;

	h.unreliable = "somebody wrote past the tracker";
	assert_int_equal(choose(&h, &there), FRAME_MODE_COMPARE);
	assert_int_equal(mode_choose(&h, &nothing, NULL, &there, &why), FRAME_MODE_COMPARE);
	assert_string_equal(why, h.unreliable);
	/* There is nothing to compare with. */
	t.present = 0;
	assert_int_equal(choose(&h, &t), FRAME_MODE_FULL);
}

/* What the tracker says is as it should be; what is remembered of it is not. */
static void mode__what_is_remembered(void **state)
{
	static const char sentence[] = "once it said something";
	struct frame_opened t = there;
	struct mode_past p = past;
	const char *why;

	assert_int_equal(mode_choose(&here, &p, NULL, &there, &why), FRAME_MODE_INCREMENTAL);
	assert_null(mode_doubt(&here, &p));
	p.doubt = sentence;
	assert_int_equal(mode_choose(&here, &p, NULL, &there, &why), FRAME_MODE_COMPARE);
	assert_ptr_equal(why, sentence);
	p.known = false;
	assert_int_equal(mode_choose(&here, &p, NULL, &there, &why), FRAME_MODE_INCREMENTAL);
	t.present = 0;
	p.known = true;
	assert_int_equal(mode_choose(&here, &p, NULL, &t, &why), FRAME_MODE_FULL);
}

/* The replica's epoch lies between the committed one and the current: only memory helps. */
static void mode__metadata_put_back(void **state)
{
	struct source_info h = here;
	struct mode_past p = past;
	const char *why;

	h.committed_epoch = 6;
	assert_int_equal(mode_choose(&h, &nothing, NULL, &there, &why), FRAME_MODE_INCREMENTAL);
	assert_int_equal(mode_choose(&h, &p, NULL, &there, &why), FRAME_MODE_COMPARE);
	assert_non_null(strstr(why, "older copy"));
	p.committed_epoch = 6;
	assert_int_equal(mode_choose(&h, &p, NULL, &there, &why), FRAME_MODE_INCREMENTAL);
	p.committed_epoch = 5;
	assert_int_equal(mode_choose(&h, &p, NULL, &there, &why), FRAME_MODE_INCREMENTAL);
}

/* The same, of no epoch less: a lower sequence tells. */
static void mode__metadata_of_a_lower_sequence(void **state)
{
	static const struct {
		uint64_t attach, found, sequence;
		bool older;
	} now[] = {
		{ 1, 5, 9, false }, { 1, 5, 10, false }, { 1, 5, 8, true },
		{ 2, 9, 10, false }, { 2, 10, 11, false }, { 2, 8, 9, true }, { 2, 8, 12, true },
		{ 2, 0, 0, true },
	};
	struct mode_past p = past;

	p.attach = 1;
	p.meta_sequence = 9;
	for (size_t i = 0; i < ARRAY_SIZE(now); i++) {
		struct source_info h = here;

		h.attach = now[i].attach;
		h.meta_found = now[i].found;
		h.meta_sequence = now[i].sequence;
		if (!mode_doubt(&h, &p) == now[i].older)
			fail_msg("line %zu", i);
	}
}

static void mode__another_tracker_than_remembered(void **state)
{
	struct mode_past p = past;

	p.uuid[15] = 9;
	assert_non_null(strstr(mode_doubt(&here, &p), "another tracker"));
}

static void mode__never_committed_but_sealed(void **state)
{
	struct source_info h = here;
	struct frame_opened t = there;

	/* The first run's "durable" was never heard. */
	h.committed_epoch = 0;
	t.epoch = 1;
	assert_int_equal(choose(&h, &t), FRAME_MODE_INCREMENTAL);
}

static void mode__epochs_at_the_edges(void **state)
{
	const struct {
		uint64_t replica;
		int mode;
	} cases[] = {
		{ 6, FRAME_MODE_COMPARE },     /* forgotten here */
		{ 7, FRAME_MODE_INCREMENTAL }, /* the committed one */
		{ 8, FRAME_MODE_INCREMENTAL }, /* durable, not heard */
		{ 9, FRAME_MODE_INCREMENTAL }, /* the newest that can have been sealed */
		{ 10, FRAME_MODE_COMPARE },    /* the current one: cannot be there */
		{ 11, FRAME_MODE_COMPARE },    /* the future */
		{ UINT64_MAX, FRAME_MODE_COMPARE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct frame_opened t = there;

		t.epoch = cases[i].replica;
		assert_int_equal(choose(&here, &t), cases[i].mode);
	}
}

static void mode__other_tracker_is_compared(void **state)
{
	struct frame_opened t = there;

	t.uuid[15] = 1;
	assert_int_equal(choose(&here, &t), FRAME_MODE_COMPARE);
}

static void mode__untracked_is_compared(void **state)
{
	struct source_info h = here;

	h.tracked = false;
	assert_int_equal(choose(&h, &there), FRAME_MODE_COMPARE);
}

static void mode__other_sizes(void **state)
{
	struct frame_opened t = there;

	t.size = here.size - 512;
	assert_int_equal(choose(&here, &t), FRAME_MODE_INCREMENTAL);
	t.size = here.size + 512;
	assert_int_equal(choose(&here, &t), FRAME_MODE_COMPARE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mode__empty_replica_is_full),
		cmocka_unit_test(mode__same_tracker_is_incremental),
		cmocka_unit_test(mode__origin_is_reversed),
		cmocka_unit_test(mode__origin_without_proof_is_compared),
		cmocka_unit_test(mode__unreliable_tracker_is_compared),
		cmocka_unit_test(mode__what_is_remembered),
		cmocka_unit_test(mode__metadata_put_back),
		cmocka_unit_test(mode__metadata_of_a_lower_sequence),
		cmocka_unit_test(mode__another_tracker_than_remembered),
		cmocka_unit_test(mode__never_committed_but_sealed),
		cmocka_unit_test(mode__epochs_at_the_edges),
		cmocka_unit_test(mode__other_tracker_is_compared),
		cmocka_unit_test(mode__untracked_is_compared),
		cmocka_unit_test(mode__other_sizes),
	};

	return cmocka_run_group_tests_name("send/mode", tests, NULL, NULL);
}
