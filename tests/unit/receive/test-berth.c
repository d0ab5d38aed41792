// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "receive/berth.h"

static struct berths *berths;
static struct berths_owner *owner;
static struct frame_join join = { .lane = 2 };
static struct berth lane;
static pthread_t thread;
static int peer = -1;

/* Two ends of a TCP connection. */
static void connect_both(int *here, int *there)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&at, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
	*there = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(*there, (struct sockaddr *)&at, size), 0);
	*here = accept(listener, NULL, NULL);
	assert_true(*here >= 0);
	close(listener);
}

static void *serve(void *arg)
{
	berth_serve(berths, &lane);
	return NULL;
}

static int set_up(void **state)
{
	char names[STREAM_NAMES_MAX][NAME_SIZE] = { "" };
	struct reason reason = { 0 };

	lane = (struct berth){ 0 };
	connect_both(&lane.fd, &peer);
	assert_int_equal(berths_create(&berths), 0);
	assert_int_equal(berths_open(berths, "", "web", &owner, join.token), 0);
	assert_int_equal(berths_join(berths, &join, names, 0, &lane, &reason), 0);
	return pthread_create(&thread, NULL, serve, NULL);
}

static int tear_down(void **state)
{
	owner = berths_close(owner);
	pthread_join(thread, NULL);
	berths = berths_destroy(berths);
	close(lane.fd);
	return close(peer);
}

/* Bytes that the kernel acknowledges at once though nobody reads them. */
static int ahead(void)
{
	socklen_t size = sizeof(int);
	int bytes = 0;

	assert_int_equal(getsockopt(lane.fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &size), 0);
	return bytes;
}

static void berth__whose_turn_it_is_not_is_acknowledged(void **state)
{
	struct berth *used = berths_use(owner, join.lane, 10000);

	assert_ptr_equal(used, &lane);
	/* What is there is enough to go on with: no wait for more. */
	assert_int_equal(ahead(), 1);
	berths_rest(used);
	assert_true(ahead() >= 4 * (int)FRAME_LANE_PAYLOAD);
	assert_ptr_equal(berths_use(owner, join.lane, 10000), used);
	assert_int_equal(ahead(), 1);
}

static void berth__is_acknowledged_before_its_first_turn(void **state)
{
	/* The owner may use it from when it is ready, and it rests by then. */
	while (ahead() == 1)
		usleep(1000);
	assert_true(ahead() >= 4 * (int)FRAME_LANE_PAYLOAD);
}

static void berth__that_is_let_go_of_reads_what_there_is(void **state)
{
	berths_rest(berths_use(owner, join.lane, 10000));
	owner = berths_close(owner);
	pthread_join(thread, NULL);
	assert_int_equal(ahead(), 1);
	pthread_create(&thread, NULL, serve, NULL);
}

static void berth__of_nobody_cannot_be_used(void **state)
{
	assert_null(berths_use(owner, join.lane + 1, 10000));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(berth__whose_turn_it_is_not_is_acknowledged),
		TEST(berth__is_acknowledged_before_its_first_turn),
		TEST(berth__that_is_let_go_of_reads_what_there_is),
		TEST(berth__of_nobody_cannot_be_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
