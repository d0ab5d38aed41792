// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The watch, with events and disks of arrays: the kernel tells less than happens,
 * and the listener must hear of all of it once.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "watch/watch.h"

#define DISKS 3

/* The world: disk "dN" has the number numbers[N], 0: it is not tracked. */
static struct source_info infos[DISKS];
static struct tidemark_event_data queue[64];
static int answers[64]; /* of next(), 0: the event */
static size_t queued, taken;
static unsigned int opens, closes, looks;
static int open_error;

static struct {
	char device[8];
	unsigned int what;
	int error;
	char text[REASON_TEXT_MAX];
} told[64];
static size_t told_count;

static int fake_open(void *arg)
{
	opens++;
	return open_error ? open_error : 7;
}

static void fake_close(void *arg)
{
	closes++;
}

static int fake_next(void *arg, struct tidemark_event_data *ret)
{
	if (taken == queued)
		return -EAGAIN;
	*ret = queue[taken];
	return answers[taken++];
}

static int fake_look(void *arg, const char *device, struct source_info *ret)
{
	struct source_info *i = &infos[device[1] - '0'];

	looks++;
	if (!i->disk)
		return -ENODEV;
	*ret = *i;
	return 0;
}

static const struct watch_source fake = {
	.open = fake_open, .close = fake_close, .next = fake_next, .look = fake_look,
};

static void listen(void *owner, const struct watch_notice *n)
{
	assert_ptr_equal(owner, &fake);
	snprintf(told[told_count].device, sizeof(told[0].device), "%s", n->device);
	told[told_count].what = n->what;
	told[told_count].error = n->error;
	snprintf(told[told_count++].text, REASON_TEXT_MAX, "%s", n->text);
}

static void event_about(uint32_t event, uint64_t disk, uint32_t reason)
{
	answers[queued] = 0;
	queue[queued++] = (struct tidemark_event_data){
		.event = event, .disk = disk, .reason = reason,
	};
}

static void event_error(int error)
{
	answers[queued++] = error;
}

static int setup(void **state)
{
	static const char *const devices[] = { "d0", "d1", "d2" };
	struct watch *w;

	memset(infos, 0, sizeof(infos));
	for (size_t i = 0; i < DISKS; i++)
		infos[i] = (struct source_info){
			.tracked = true, .disk = 10 + i, .uuid = { 1 + i }, .size = MIB(4),
			.granule = 65536,
		};
	queued = taken = told_count = 0;
	opens = closes = open_error = 0;
	if (watch_create(&w, &fake, listen, (void *)&fake) || watch_set(w, devices, DISKS))
		return -1;
	looks = 0;
	*state = w;
	return told_count ? -1 : 0;
}

static int teardown(void **state)
{
	watch_destroy(*state);
	return closes == opens - (open_error ? 1 : 0) ? 0 : -1;
}

static void told_is(size_t i, const char *device, unsigned int what)
{
	assert_true(i < told_count);
	assert_string_equal(told[i].device, device);
	assert_int_equal(told[i].what, what);
}

static void watch__detach_is_told_once(void **state)
{
	struct watch *w = *state;

	infos[1].disk = 0;
	event_about(TIDEMARK_EVENT_DETACHED, 11, 0);
	assert_true(watch_run(w));
	assert_int_equal(told_count, 1);
	told_is(0, "d1", WATCH_GONE);
	assert_int_equal(told[0].error, -ENODEV);
	assert_string_equal(told[0].text, "is not tracked any more");
	/* Only that one was looked at. */
	assert_int_equal(looks, 1);
	event_about(TIDEMARK_EVENT_DETACHED, 11, 0);
	watch_run(w);
	watch_renew(w);
	assert_int_equal(told_count, 1);
}

static void watch__dropped_table_has_its_own_sentence(void **state)
{
	struct watch *w = *state;

	infos[1].disk = 0;
	event_about(TIDEMARK_EVENT_DETACHED, 11, TIDEMARK_REASON_DROPPED);
	watch_run(w);
	assert_non_null(strstr(told[0].text, "goes on without the tracker"));
}

static void watch__the_same_tracker_back(void **state)
{
	struct watch *w = *state;

	infos[1].disk = 0;
	event_about(TIDEMARK_EVENT_DETACHED, 11, 0);
	watch_run(w);
	infos[1].disk = 44;
	event_about(TIDEMARK_EVENT_ATTACHED, 44, 0);
	watch_run(w);
	assert_int_equal(told_count, 2);
	told_is(1, "d1", WATCH_FOUND);
}

/* Detached and attached between two turns of the loop: another tracker, and never gone. */
static void watch__another_tracker_in_one_turn(void **state)
{
	struct watch *w = *state;

	infos[1].disk = 44;
	infos[1].uuid[0] = 99;
	event_about(TIDEMARK_EVENT_DETACHED, 11, 0);
	event_about(TIDEMARK_EVENT_ATTACHED, 44, 0);
	watch_run(w);
	assert_int_equal(told_count, 1);
	told_is(0, "d1", WATCH_REPLACED);
	assert_int_equal(looks, 1);
}

static void watch__resize_and_torn(void **state)
{
	struct watch *w = *state;

	infos[0].size *= 2;
	infos[2].torn = true;
	event_about(TIDEMARK_EVENT_RESIZED, 10, 0);
	event_about(TIDEMARK_EVENT_TORN, 12, 0);
	watch_run(w);
	assert_int_equal(told_count, 2);
	told_is(0, "d0", WATCH_RESIZED);
	told_is(1, "d2", WATCH_TORN);
}

static void watch__unreliable_and_back(void **state)
{
	struct watch *w = *state;

	infos[0].unreliable = "written behind its back";
	infos[0].reason = TIDEMARK_REASON_BYPASSED;
	event_about(TIDEMARK_EVENT_UNRELIABLE, 10, TIDEMARK_REASON_BYPASSED);
	watch_run(w);
	told_is(0, "d0", WATCH_UNRELIABLE);
	assert_non_null(strstr(told[0].text, "written behind its back"));
	infos[0].unreliable = NULL;
	infos[0].reason = 0;
	event_about(TIDEMARK_EVENT_RELIABLE, 10, 0);
	watch_run(w);
	told_is(1, "d0", WATCH_RELIABLE);
}

static void watch__what_a_run_does_is_no_concern(void **state)
{
	struct watch *w = *state;

	event_about(TIDEMARK_EVENT_SEALED, 10, 0);
	event_about(TIDEMARK_EVENT_COMMITTED, 10, 0);
	event_about(TIDEMARK_EVENT_FOLDED, 11, 0);
	event_about(TIDEMARK_EVENT_DETACHED, 77, 0); /* nobody's */
	watch_run(w);
	assert_int_equal(looks, 0);
}

/* The event that matters was lost: the overrun alone must bring everything to light. */
static void watch__lost_events_are_cured_by_looking(void **state)
{
	struct watch *w = *state;

	infos[0].size *= 2;
	infos[1].disk = 0;
	event_error(-ENOBUFS);
	assert_true(watch_run(w));
	assert_int_equal(watch_lost(w), 1);
	assert_int_equal(looks, DISKS);
	assert_int_equal(told_count, 2);
	told_is(0, "d0", WATCH_RESIZED);
	told_is(1, "d1", WATCH_GONE);
}

static void watch__broken_socket_is_taken_anew(void **state)
{
	struct watch *w = *state;

	infos[1].disk = 0;
	event_error(-EIO);
	assert_false(watch_run(w));
	assert_int_equal(watch_fd(w), -1);
	told_is(0, "d1", WATCH_GONE);
	watch_renew(w);
	assert_int_equal(watch_fd(w), 7);
	assert_int_equal(opens, 2);
}

/* No event will ever say that the module was loaded anew. */
static void watch__renewal_finds_what_nobody_said(void **state)
{
	struct watch *w = *state;

	infos[2].uuid[0] = 55;
	watch_renew(w);
	assert_int_equal(told_count, 1);
	told_is(0, "d2", WATCH_REPLACED);
}

static void watch__new_disks_are_no_news(void **state)
{
	static const char *const devices[] = { "d1", "d0" };
	struct watch *w = *state;

	infos[0].disk = 0;
	assert_int_equal(watch_set(w, devices, 1), 0);
	assert_int_equal(watch_set(w, devices, 2), 0);
	assert_int_equal(told_count, 0);
	/* And it is known that d0 is missing. */
	infos[0].disk = 99;
	event_about(TIDEMARK_EVENT_ATTACHED, 99, 0);
	watch_run(w);
	told_is(0, "d0", WATCH_FOUND);
}

/* Its node is made after the kernel has told of it: looked at until it is there. */
static void watch__node_comes_after_the_event(void **state)
{
	struct watch *w = *state;
	unsigned int waited = 0;

	infos[1].disk = 0;
	event_about(TIDEMARK_EVENT_DETACHED, 11, 0);
	watch_run(w);
	told_count = 0;
	assert_int_equal(watch_wait(w), 0);
	event_about(TIDEMARK_EVENT_ATTACHED, 21, 0);
	watch_run(w);
	for (unsigned int i = 0; i < 4; i++) {
		assert_true(watch_wait(w) > 0);
		waited += watch_wait(w);
		watch_again(w);
		assert_int_equal(told_count, 0);
	}
	assert_int_equal(waited, 100 + 200 + 400 + 800);
	infos[1].disk = 21;
	infos[1].uuid[0] = 99;
	watch_again(w);
	assert_int_equal(told_count, 1);
	told_is(0, "d1", WATCH_FOUND | WATCH_REPLACED);
	assert_int_equal(watch_wait(w), 0);

	/* One that never comes is given up. */
	infos[1].disk = 0;
	event_about(TIDEMARK_EVENT_DETACHED, 21, 0);
	event_about(TIDEMARK_EVENT_ATTACHED, 31, 0);
	watch_run(w);
	event_about(TIDEMARK_EVENT_ATTACHED, 31, 0);
	watch_run(w);
	for (waited = 0; watch_wait(w); watch_again(w))
		waited += watch_wait(w);
	assert_int_equal(waited, 12700);
	assert_int_equal(told_count, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(watch__detach_is_told_once),
		TEST(watch__node_comes_after_the_event),
		TEST(watch__dropped_table_has_its_own_sentence),
		TEST(watch__the_same_tracker_back),
		TEST(watch__another_tracker_in_one_turn),
		TEST(watch__resize_and_torn),
		TEST(watch__unreliable_and_back),
		TEST(watch__what_a_run_does_is_no_concern),
		TEST(watch__lost_events_are_cured_by_looking),
		TEST(watch__broken_socket_is_taken_anew),
		TEST(watch__renewal_finds_what_nobody_said),
		TEST(watch__new_disks_are_no_news),
	};

	return cmocka_run_group_tests_name("watch", tests, NULL, NULL);
}
