// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/berth.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

/*
 * Bytes that may wait in a lane until its turn comes. The kernel puts off acknowledging what
 * nobody reads, unless it is less than the socket's SO_RCVLOWAT: the sender took the delay,
 * up to 40 ms, for the network's, and sent that much less. It also makes room for so many.
 */
#define BERTH_AHEAD (1 << 20)

/*
 * @lock: all of these, their owners, and the private part of each lane
 * @changed: a lane is ready, or gone, or let go of
 */
struct berths {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct berths_owner *owners;
};

/* struct berths_owner - a connection that lanes may join */
struct berths_owner {
	struct berths *all;
	struct berths_owner *next;
	uint8_t token[FRAME_TOKEN_SIZE];
	char guest[NAME_SIZE];
	char collection[NAME_SIZE];
	struct berth *lanes[FRAME_LANES_MAX];
};

int berths_create(struct berths **ret)
{
	struct berths *l = calloc(1, sizeof(*l));
	pthread_condattr_t clock;

	if (!l)
		return -ENOMEM;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, &clock);
	pthread_condattr_destroy(&clock);
	*ret = l;
	return 0;
}

struct berths *berths_destroy(struct berths *l)
{
	if (l) {
		pthread_cond_destroy(&l->changed);
		pthread_mutex_destroy(&l->lock);
		free(l);
	}
	return NULL;
}

/* -- the first connection's thread ------------------------------------------- */

int berths_open(struct berths *l, const char *guest, const char *collection,
	       struct berths_owner **ret, uint8_t ret_token[FRAME_TOKEN_SIZE])
{
	_cleanup_free_ struct berths_owner *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	if (getrandom(o->token, sizeof(o->token), 0) != sizeof(o->token))
		return errno ? -errno : -EIO;
	o->all = l;
	memcpy(o->guest, guest, strnlen(guest, NAME_SIZE - 1));
	memcpy(o->collection, collection, strnlen(collection, NAME_SIZE - 1));
	memcpy(ret_token, o->token, sizeof(o->token));
	pthread_mutex_lock(&l->lock);
	o->next = l->owners;
	l->owners = o;
	pthread_mutex_unlock(&l->lock);
	*ret = TAKE_PTR(o);
	return 0;
}

struct berths_owner *berths_close(struct berths_owner *o)
{
	struct berths *l = o ? o->all : NULL;
	struct berths_owner **at;

	if (!o)
		return NULL;
	pthread_mutex_lock(&l->lock);
	for (at = &l->owners; *at != o; at = &(*at)->next)
		;
	*at = o->next;
	for (uint32_t i = 0; i < FRAME_LANES_MAX; i++)
		if (o->lanes[i])
			o->lanes[i]->owner = NULL;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	free(o);
	return NULL;
}

static struct timespec after(unsigned int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

/* Where that fails the lane is slower, and nothing else. */
static void berth_rest(const struct berth *lane, bool rest)
{
	const int bytes = rest ? BERTH_AHEAD : 1;

	(void)!setsockopt(lane->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

/* A lane has its place before the sender is told that it has: so there is one to wait for. */
struct berth *berths_use(struct berths_owner *o, uint32_t index, unsigned int limit_ms)
{
	struct berths *l = o->all;
	struct timespec end = after(limit_ms);
	struct berth *lane;
	int err = 0;

	pthread_mutex_lock(&l->lock);
	while ((lane = o->lanes[index]) && !lane->ready && !err)
		err = pthread_cond_timedwait(&l->changed, &l->lock, &end);
	if (lane && !lane->ready)
		lane = NULL;
	pthread_mutex_unlock(&l->lock);
	if (lane)
		berth_rest(lane, false);
	return lane;
}

void berths_rest(struct berth *lane)
{
	berth_rest(lane, true);
}

/* -- a lane's own thread ------------------------------------------------------ */

/* In a time that says nothing of how much of it was right. */
static bool token_is(const uint8_t *a, const uint8_t *b)
{
	volatile uint8_t differ = 0;

	for (size_t i = 0; i < FRAME_TOKEN_SIZE; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}

static struct berths_owner *owner_find(struct berths *l, const uint8_t *token)
{
	struct berths_owner *found = NULL;

	for (struct berths_owner *o = l->owners; o; o = o->next)
		if (token_is(o->token, token))
			found = o;
	return found;
}

static bool owner_is(const struct berths_owner *o, char names[STREAM_NAMES_MAX][NAME_SIZE],
		     size_t count)
{
	bool is = !o->guest[0];

	for (size_t i = 0; i < count; i++)
		is |= strcmp(o->guest, names[i]) == 0;
	return is;
}

static int berth_enter(struct berths_owner *o, uint32_t index, struct berth *lane,
		      struct reason *reason)
{
	if (o->lanes[index])
		return reason_set(reason, -EBUSY, REASON_IN_USE, "lane %u has joined before",
				  index);
	o->lanes[index] = lane;
	lane->owner = o;
	lane->index = index;
	lane->ready = false;
	memcpy(lane->collection, o->collection, sizeof(lane->collection));
	return 0;
}

int berths_join(struct berths *l, const struct frame_join *join,
	       char names[STREAM_NAMES_MAX][NAME_SIZE], size_t count, struct berth *lane,
	       struct reason *reason)
{
	struct berths_owner *o;
	int err;

	pthread_mutex_lock(&l->lock);
	o = owner_find(l, join->token);
	if (!o)
		err = reason_set(reason, -EACCES, REASON_ACCESS_DENIED,
				 "there is no connection with that token to join");
	else if (!owner_is(o, names, count))
		err = reason_set(reason, -EACCES, REASON_ACCESS_DENIED,
				 "the certificate of %s gives no right to join a connection of "
				 "another name", count ? names[0] : "nobody");
	else
		err = berth_enter(o, join->lane, lane, reason);
	pthread_mutex_unlock(&l->lock);
	return err;
}

void berth_serve(struct berths *l, struct berth *lane)
{
	berth_rest(lane, true);
	pthread_mutex_lock(&l->lock);
	lane->ready = true;
	pthread_cond_broadcast(&l->changed);
	while (lane->owner)
		pthread_cond_wait(&l->changed, &l->lock);
	pthread_mutex_unlock(&l->lock);
	berth_rest(lane, false);
}

void berth_leave(struct berths *l, struct berth *lane)
{
	pthread_mutex_lock(&l->lock);
	if (lane->owner)
		lane->owner->lanes[lane->index] = NULL;
	lane->owner = NULL;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}
