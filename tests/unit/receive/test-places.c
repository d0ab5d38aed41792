// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "receive/peers.h"
#include "receive/places.h"

#define NOW 100000u

static const struct place_limits limits = { .all = 4, .strangers = 3, .host = 2, .named = true };
static struct place places[8];
static unsigned int count;

static void host_of(const char *text, uint8_t ret[PLACE_HOST_SIZE])
{
	struct sockaddr_storage a = { .ss_family = strchr(text, ':') ? AF_INET6 : AF_INET };
	void *at = a.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&a)->sin_addr
					  : (void *)&((struct sockaddr_in6 *)&a)->sin6_addr;

	assert_int_equal(inet_pton(a.ss_family, text, at), 1);
	place_host(&a, ret);
}

static struct place *add(const char *host, bool admitted, uint64_t since_ms)
{
	struct place *p = &places[count];

	*p = (struct place){ .next = count ? &places[count - 1] : NULL, .since_ms = since_ms };
	host_of(host, p->host);
	p->admitted = admitted;
	count++;
	return p;
}

static enum place_verdict judge(const struct place_limits *l, const char *host,
				struct place **leaves)
{
	uint8_t key[PLACE_HOST_SIZE];

	host_of(host, key);
	return places_judge(count ? &places[count - 1] : NULL, l, key, NOW, leaves);
}

static int nobody(void **state)
{
	count = 0;
	return 0;
}

static void places__a_host_has_so_many_strangers(void **state)
{
	struct place *leaves, *oldest;

	add("10.0.0.1", true, 0);
	add("10.0.0.1", false, NOW - 1);
	assert_int_equal(judge(&limits, "10.0.0.1", &leaves), PLACE_FREE);
	oldest = add("10.0.0.1", false, NOW - PLACE_STRANGER_MS);
	assert_int_equal(judge(&limits, "10.0.0.1", &leaves), PLACE_HOST);
	assert_ptr_equal(leaves, oldest);
	assert_int_equal(judge(&limits, "10.0.0.2", &leaves), PLACE_FREE);
	oldest->since_ms++;
	assert_int_equal(judge(&limits, "10.0.0.1", &leaves), PLACE_HOST);
	assert_null(leaves);
}

static void places__where_nobody_has_a_name_all_of_a_host_count(void **state)
{
	struct place_limits clear = limits;
	struct place *leaves;

	clear.named = false;
	add("10.0.0.1", true, 0);
	add("10.0.0.1", true, 0);
	assert_int_equal(judge(&limits, "10.0.0.1", &leaves), PLACE_FREE);
	assert_int_equal(judge(&clear, "10.0.0.1", &leaves), PLACE_HOST);
	assert_null(leaves);
}

static void places__strangers_have_so_many(void **state)
{
	struct place *leaves, *first = add("10.0.0.1", false, 0);

	add("10.0.0.2", false, NOW - PLACE_STRANGER_MS);
	add("10.0.0.3", false, NOW);
	assert_int_equal(judge(&limits, "10.0.0.4", &leaves), PLACE_STRANGERS);
	assert_ptr_equal(leaves, first);
	/* Over, and only not yet joined: it cannot leave once more. */
	first->ended = true;
	assert_int_equal(judge(&limits, "10.0.0.4", &leaves), PLACE_STRANGERS);
	assert_ptr_equal(leaves, &places[1]);
	first->admitted = true;
	assert_int_equal(judge(&limits, "10.0.0.4", &leaves), PLACE_FREE);
}

static void places__admitted_ones_leave_for_nobody(void **state)
{
	struct place *leaves;

	for (unsigned int i = 0; i < limits.all; i++)
		add("10.0.0.1", true, 0);
	assert_int_equal(judge(&limits, "10.0.0.4", &leaves), PLACE_NONE);
	assert_null(leaves);
}

static void places__a_network_of_ipv6_is_one_host(void **state)
{
	uint8_t a[PLACE_HOST_SIZE], b[PLACE_HOST_SIZE];

	host_of("2001:db8::1", a);
	host_of("2001:db8::ffff:1", b);
	assert_memory_equal(a, b, sizeof(a));
	host_of("2001:db8:0:1::1", b);
	assert_memory_not_equal(a, b, sizeof(a));
	host_of("10.0.0.1", a);
	host_of("::ffff:10.0.0.1", b);
	assert_memory_equal(a, b, sizeof(a));
	host_of("::ffff:10.0.0.2", b);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void peers__a_name_has_so_many_connections(void **state)
{
	struct peers *p;

	assert_int_equal(peers_create(&p), 0);
	assert_int_equal(peers_enter(p, "a", 2), 0);
	assert_int_equal(peers_enter(p, "a", 2), 0);
	assert_int_equal(peers_enter(p, "a", 2), -EBUSY);
	assert_int_equal(peers_enter(p, "b", 2), 0);
	peers_leave(p, "a");
	assert_int_equal(peers_enter(p, "a", 2), 0);
	peers_leave(p, "a");
	peers_leave(p, "a");
	peers_leave(p, "b");
	peers_destroy(p);
}

static void places__lanes_count_with_their_connection(void **state)
{
	struct place *leaves;

	add("10.0.0.1", true, 0);
	for (unsigned int i = 0; i < 6; i++)
		add("10.0.0.1", true, 0)->lane = true;
	assert_int_equal(judge(&limits, "10.0.0.1", &leaves), PLACE_FREE);
	places[6].lane = false;
	places[5].lane = false;
	places[4].lane = false;
	assert_int_equal(judge(&limits, "10.0.0.1", &leaves), PLACE_NONE);
}

#define TEST(f) cmocka_unit_test_setup(f, nobody)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(places__a_host_has_so_many_strangers),
		TEST(places__where_nobody_has_a_name_all_of_a_host_count),
		TEST(places__strangers_have_so_many),
		TEST(places__admitted_ones_leave_for_nobody),
		TEST(places__a_network_of_ipv6_is_one_host),
		TEST(places__lanes_count_with_their_connection),
		TEST(peers__a_name_has_so_many_connections),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
