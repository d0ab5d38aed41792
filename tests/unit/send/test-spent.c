// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs whose connections are spent, as by keys of kernel TLS, on any kernel: the linker puts
 * this file's conn_spent() in the place of the real one, so that a connection in the clear
 * is, after so many bytes. How often a run takes another connection, how long that takes,
 * and that nothing is sent twice. With real keys it is tests/system/ktls.sh's.
 */
#define GRANULES 256u

#include "send/conn.h"
#include "tests/unit/send/world.h"

/* What a key lasts for, and as records of 4 KiB */
#define KEY MIB(2)
#define KEY_RECORDS "512"
/*
 * From the end of a key to the seal with which the run goes on: some ten milliseconds, less
 * than this on a busy machine too. What has failed is tried again after 30 s.
 */
#define PAUSE_NS 5000000000ull

/*
 * @seen: the connection that @end is of, by its number
 * @end: so many bytes of the run are sent by then
 * @spent_ns: when it was said last of this connection, 0: it was not
 * @pause_ns: the longest
 * @resumed: so often a run was gone on with
 * @rewritten: the granule that is written to next, -1: none
 */
static struct {
	struct world *w;
	uint32_t seen;
	uint64_t end;
	uint64_t spent_ns;
	uint64_t pause_ns;
	unsigned int resumed;
	int rewritten;
} key;

bool __wrap_conn_spent(const struct conn *c);

bool __wrap_conn_spent(const struct conn *c)
{
	uint64_t sent = key.w->progress.sent;

	if (!key.end || key.seen != key.w->report.renewed) {
		key.seen = key.w->report.renewed;
		key.end = sent + KEY;
	}
	/* A run that does not get on is to end all the same. */
	if (sent < key.end || key.seen > 2 * SIZE / KEY)
		return false;
	key.spent_ns = conn_now_ns();
	return true;
}

static void resumes(struct fake *f, enum moment m)
{
	if (m != AT_SEAL || !key.spent_ns)
		return;
	key.pause_ns = u64_max(key.pause_ns, conn_now_ns() - key.spent_ns);
	key.spent_ns = 0;
	key.resumed++;
	/* One that was sent is written to: that one is sent again, and no other. */
	if (key.rewritten >= 0)
		fake_write(f, key.rewritten++, 0xe0);
}

static void key_anew(struct world *w)
{
	memset(&key, 0, sizeof(key));
	key.w = w;
	key.rewritten = -1;
}

static int spent_setup(void **state)
{
	struct world *w = *state;

	setup(state);
	key_anew(w);
	fakes[0].hook = resumes;
	setenv("TIDEMARK_TLS_RECORDS", KEY_RECORDS, 1);
	return 0;
}

static int spent_teardown(void **state)
{
	unsetenv("TIDEMARK_TLS_RECORDS");
	return teardown(state);
}

/* Bytes that a run has to send as data, if it sends nothing twice. */
static uint64_t data_bytes(const struct world *w, bool all)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->config.disk_count; i++)
		for (size_t g = 0; g < GRANULES; g++)
			if ((all || fakes[i].current[g]) && fakes[i].disk[g * GRANULE])
				sum += bytes_of(g);
	return sum;
}

/* @data: that it has to send */
static void runs_on(struct world *w, uint64_t data)
{
	run_ok(w);
	print_message("%u connections, %lu bytes of %lu, longest pause %lu ms\n",
		      w->report.renewed + 1, (unsigned long)w->progress.sent,
		      (unsigned long)data, (unsigned long)(key.pause_ns / 1000000));
	assert_in_range(w->report.renewed, 2, data / KEY);
	assert_int_equal(key.resumed, w->report.renewed);
	assert_int_equal(w->report.trouble, RUN_TROUBLE_NONE);
	assert_int_equal(w->reason.code, 0);
	assert_int_equal(w->progress.sent, data);
	assert_true(key.pause_ns < PAUSE_NS);
	replicas_are_at_seal(w);
}

static void spent__full(void **state)
{
	struct world *w = *state;

	runs_on(w, data_bytes(w, true));
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_FULL);
}

static void spent__incremental(void **state)
{
	struct world *w = *state;

	run_ok(w);
	key_anew(w);
	for (size_t i = 0; i < 2; i++)
		for (size_t g = 0; g < GRANULES; g++)
			if (g % 8)
				fake_write(&fakes[i], g, 0x80 + g % 100);
	runs_on(w, data_bytes(w, false));
	assert_int_equal(w->report_disks[0].mode, FRAME_MODE_INCREMENTAL);
}

static void spent__with_lanes(void **state)
{
	struct world *w = *state;

	w->config.streams = 3;
	runs_on(w, data_bytes(w, true));
	assert_int_equal(w->report.streams, 3);
}

static void spent__what_was_written_to_is_sent_again(void **state)
{
	struct world *w = *state;
	uint64_t data = data_bytes(w, true);

	key.rewritten = 1;
	run_ok(w);
	assert_true(key.resumed >= 2);
	assert_int_equal(w->progress.sent, data + (uint64_t)key.resumed * GRANULE);
	assert_int_equal(fakes[0].at_seal[GRANULE], 0xe0);
	replicas_are_at_seal(w);
}

/* What has sent all there is when its key ends needs no other. */
static void spent__not_by_the_last_byte(void **state)
{
	struct world *w = *state;

	run_ok(w);
	key_anew(w);
	for (size_t g = 0; g < KEY / GRANULE; g++)
		fake_write(&fakes[0], g, 0x44);
	run_ok(w);
	assert_int_equal(w->report.renewed, 0);
	assert_int_equal(w->progress.sent, KEY);
	replicas_are_at_seal(w);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, spent_setup, spent_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(spent__full),
		TEST(spent__incremental),
		TEST(spent__with_lanes),
		TEST(spent__what_was_written_to_is_sent_again),
		TEST(spent__not_by_the_last_byte),
	};

	return cmocka_run_group_tests_name("send/spent", tests, group_setup, group_teardown);
}
