// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Comparing: by SHA-256, with a real receiver, and with a scripted one that is older
 * than that, or wrong; and how fast disks are read for it.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "send/conn.h"
#include "tests/unit/send/world.h"

/* -- a receiver that does what it is told -------------------------------------------- */

/**
 * struct puppet - it has a point of each disk that it is asked about
 * @knows: features that it knows
 * @adds: features that it claims to have agreed on besides
 * @size: bytes of each hash that it sends, all of them zeroes
 * @asked: features that HELLO had
 */
struct puppet {
	int fd;
	pthread_t thread;
	char port[8];
	uint32_t knows;
	uint32_t adds;
	uint32_t size;
	uint32_t asked;
};

static bool get(int fd, void *buf, size_t size)
{
	return !size || recv(fd, buf, size, MSG_WAITALL) == (ssize_t)size;
}

static void answer(int fd, struct frame f, const void *payload)
{
	struct frame_wire w;

	frame_encode(&f, payload, &w);
	send(fd, &w, sizeof(w), MSG_NOSIGNAL);
	send(fd, payload, f.length, MSG_NOSIGNAL);
}

static void puppet_answer(struct puppet *p, int fd, const struct frame *f, const void *payload)
{
	static const uint8_t zeroes[FRAME_PAYLOAD_MAX];
	struct frame_opened opened = { .present = 1, .epoch = 1, .size = SIZE, .point = 1 };
	struct frame_welcome welcome = { .version = FRAME_VERSION };
	struct frame reply = { .disk = f->disk };
	uint8_t buf[FRAME_CONTROL_MAX];
	struct frame_hello hello;

	switch (f->type) {
	case FRAME_HELLO:
		assert_int_equal(frame_hello_decode(payload, f->length, &hello), FRAME_OK);
		p->asked = hello.features;
		welcome.features = (hello.features & p->knows) | p->adds;
		reply.type = FRAME_WELCOME;
		reply.length = frame_welcome_encode(&welcome, buf);
		answer(fd, reply, buf);
		break;
	case FRAME_OPEN:
		reply.type = FRAME_OPENED;
		reply.length = frame_opened_encode(&opened, buf);
		answer(fd, reply, buf);
		break;
	case FRAME_BEGIN:
		reply.type = FRAME_BEGUN;
		answer(fd, reply, buf);
		break;
	case FRAME_HASH:
		reply.type = FRAME_HASHES;
		reply.offset = f->offset;
		reply.span = f->span;
		reply.length = u64_div_up(f->span, GRANULE) * p->size;
		answer(fd, reply, zeroes);
		break;
	}
}

static void *puppet_main(void *arg)
{
	static uint8_t payload[FRAME_PAYLOAD_MAX];
	struct puppet *p = arg;
	int fd = accept(p->fd, NULL, NULL);
	struct frame_wire w;
	struct frame f;

	while (get(fd, &w, sizeof(w)) && frame_check(&w, &f) == FRAME_OK &&
	       get(fd, payload, f.length))
		puppet_answer(p, fd, &f, payload);
	close(fd);
	return NULL;
}

static void puppet_start(struct puppet *p, struct world *w)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(a);

	p->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(p->fd, (struct sockaddr *)&a, size), 0);
	assert_int_equal(listen(p->fd, 1), 0);
	assert_int_equal(getsockname(p->fd, (struct sockaddr *)&a, &size), 0);
	snprintf(p->port, sizeof(p->port), "%u", ntohs(a.sin_port));
	w->config.port = p->port;
	w->config.disk_count = 1;
	assert_int_equal(pthread_create(&p->thread, NULL, puppet_main, p), 0);
}

static void puppet_end(struct puppet *p)
{
	pthread_join(p->thread, NULL);
	close(p->fd);
}

/* -- the tests ----------------------------------------------------------------------- */

#define OLD (FRAME_FEATURES & ~(FRAME_FEATURE_SHA256 | FRAME_FEATURE_STREAMS))

static void paranoid__verify_finds_what_differs(void **state)
{
	struct world *w = *state;
	uint64_t fast;

	run_ok(w);
	assert_null(w->report.hash);
	memset(fakes[0].disk + 12 * GRANULE, 0x21, 2 * GRANULE); /* not marked */
	fakes[1].disk[SIZE - 1] ^= 1;				 /* in the short tail */
	w->config.kind = RUN_VERIFY;
	run_ok(w);
	assert_string_equal(w->report.hash, "XXH3-128");
	fast = w->progress.received;
	w->config.paranoid = true;
	run_ok(w);
	assert_string_equal(w->report.hash, "SHA-256");
	/* 16 bytes more for each granule; the rest is the same frames. */
	assert_int_equal(w->progress.received - fast, 2 * GRANULES * 16);
	assert_int_equal(w->report.range_count, 2);
	assert_int_equal(w->report.ranges[0].offset, 12 * GRANULE);
	assert_int_equal(w->report.ranges[0].length, 2 * GRANULE);
	assert_int_equal(w->report.ranges[1].disk, 1);
	assert_int_equal(w->report.ranges[1].offset, (GRANULES - 1) * GRANULE);
	assert_int_equal(w->progress.different, 2 * GRANULE + TAIL);
}

static void paranoid__compare_sends_what_differs(void **state)
{
	struct world *w = *state;

	run_ok(w);
	fakes[0].disk[7 * GRANULE + 5] ^= 1;
	w->config.paranoid = true;
	/* The bits will do: nothing is compared, and nothing is said of a hash. */
	run_ok(w);
	assert_null(w->report.hash);
	assert_int_equal(w->progress.sent, 0);
	w->config.compare = true;
	run_ok(w);
	assert_string_equal(w->report.hash, "SHA-256");
	assert_int_equal(w->progress.sent, GRANULE);
	replicas_are_at_seal(w);
}

static void paranoid__an_old_receiver_is_refused(void **state)
{
	struct puppet p = { .knows = OLD };
	struct world *w = *state;

	puppet_start(&p, w);
	w->config.paranoid = true;
	assert_int_equal(run(w), -EOPNOTSUPP);
	puppet_end(&p);
	assert_int_equal(p.asked, FRAME_FEATURES & ~FRAME_FEATURE_STREAMS);
	assert_int_equal(w->reason.code, REASON_NOT_SUPPORTED);
	assert_non_null(strstr(w->reason.text, "cannot compare by SHA-256"));
	/* Trying again will not help. */
	assert_int_equal(w->report.trouble, RUN_TROUBLE_FINAL);
	assert_int_equal(seal_calls, 0);
}

/* Who was not asked does not know of it: an old one verifies as ever. */
static void paranoid__is_not_said_unless_asked(void **state)
{
	struct puppet p = { .knows = OLD, .size = 16 };
	struct world *w = *state;

	puppet_start(&p, w);
	w->config.kind = RUN_VERIFY;
	run_ok(w);
	puppet_end(&p);
	assert_int_equal(p.asked, OLD);
	assert_int_equal(w->progress.different, SIZE);

	p = (struct puppet){ .knows = OLD, .adds = FRAME_FEATURE_SHA256 };
	puppet_start(&p, w);
	assert_int_equal(run(w), -EOPNOTSUPP);
	puppet_end(&p);
}

static void paranoid__hashes_of_another_length_are_refused(void **state)
{
	static const uint32_t wrong[] = { 16, 48 };
	struct puppet p = { .knows = FRAME_FEATURES, .size = 32 };
	struct world *w = *state;

	w->config.kind = RUN_VERIFY;
	w->config.paranoid = true;
	puppet_start(&p, w);
	run_ok(w);
	puppet_end(&p);
	assert_int_equal(w->progress.different, SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		p = (struct puppet){ .knows = FRAME_FEATURES, .size = wrong[i] };
		puppet_start(&p, w);
		assert_int_equal(run(w), -EPROTO);
		puppet_end(&p);
		assert_non_null(strstr(w->reason.text, "HASHES"));
		assert_int_equal(w->progress.different, 0);
	}
}

/* The first region is read at once, and each other one when those before are paid for. */
static void compare_rate__holds_reading_back(void **state)
{
	struct throttle limit = { 0 };
	struct world *w = *state;
	uint64_t since;

	w->config.disk_count = 1;
	w->config.compare_rate = &limit;
	throttle_set(&limit, MIB(2));
	/* Only what is compared counts: the rest has a limit of its own. */
	run_ok(w);
	fake_write(&fakes[0], 3, 0x77);
	run_ok(w);
	assert_int_equal(limit.paid_ns, 0);
	w->config.compare = true;
	since = conn_now();
	run_ok(w);
	assert_true(conn_now() - since >= 1000);
	replicas_are_at_seal(w);
	w->config.kind = RUN_VERIFY;
	since = conn_now();
	run_ok(w);
	assert_true(conn_now() - since >= 1000);
	assert_int_equal(w->report.range_count, 0);
}

/* Waits until the run has begun to read at its 64 KiB/s, and gives it leave. */
static void *hasten(void *arg)
{
	struct world *w = arg;

	while (!atomic_load(&w->progress.reads))
		usleep(1000);
	throttle_set(w->config.compare_rate, 0);
	return NULL;
}

static struct world *hurried;
static pthread_t hurry;

static void hurry_up(struct fake *f, enum moment m)
{
	if (m == AT_WAIT)
		assert_int_equal(pthread_create(&hurry, NULL, hasten, hurried), 0);
}

static void compare_rate__may_change_meanwhile(void **state)
{
	struct throttle limit = { 0 };
	struct world *w = *state;

	w->config.disk_count = 1;
	run_ok(w);
	w->config.compare = true;
	w->config.compare_rate = &limit;
	throttle_set(&limit, THROTTLE_RATE_MIN);
	hurried = w;
	fakes[0].hook = hurry_up;
	run_ok(w);
	pthread_join(hurry, NULL);
	assert_int_equal(w->progress.handled, SIZE);
	/* From then on nothing was counted. */
	assert_int_equal(limit.paid_ns, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(paranoid__verify_finds_what_differs),
		TEST(paranoid__compare_sends_what_differs),
		TEST(paranoid__an_old_receiver_is_refused),
		TEST(paranoid__is_not_said_unless_asked),
		TEST(paranoid__hashes_of_another_length_are_refused),
		TEST(compare_rate__holds_reading_back),
		TEST(compare_rate__may_change_meanwhile),
	};

	return cmocka_run_group_tests_name("send/compare", tests, group_setup, group_teardown);
}
