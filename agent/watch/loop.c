// SPDX-License-Identifier: GPL-2.0-or-later
#include "watch/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

struct watch_loop {
	sd_event *event;
	sd_event_source *io;
	sd_event_source *renew;
	sd_event_source *again;
	struct watch *watch;
};

static int loop_on_event(sd_event_source *source, int fd, uint32_t events, void *arg);

/* The descriptor is another one, or there is none any more. */
static int loop_listen(struct watch_loop *l)
{
	int fd = watch_fd(l->watch);

	l->io = sd_event_source_disable_unref(l->io);
	return fd < 0 ? 0 : sd_event_add_io(l->event, &l->io, fd, EPOLLIN, loop_on_event, l);
}

static int loop_arm_again(struct watch_loop *l)
{
	unsigned int wait = watch_wait(l->watch);
	int err;

	if (!wait)
		return 0;
	err = sd_event_source_set_time_relative(l->again, wait * 1000ull);
	return err < 0 ? err : sd_event_source_set_enabled(l->again, SD_EVENT_ONESHOT);
}

static int loop_on_event(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct watch_loop *l = arg;

	int err = watch_run(l->watch) ? 0 : loop_listen(l);

	return err < 0 ? err : loop_arm_again(l);
}

static int loop_on_again(sd_event_source *source, uint64_t now, void *arg)
{
	struct watch_loop *l = arg;

	watch_again(l->watch);
	return loop_arm_again(l);
}

static int loop_on_renew(sd_event_source *source, uint64_t now, void *arg)
{
	struct watch_loop *l = arg;
	int err;

	/* Before its descriptor is closed: epoll must not meet the next one in its place. */
	l->io = sd_event_source_disable_unref(l->io);
	watch_renew(l->watch);
	err = loop_listen(l);
	if (err >= 0)
		err = sd_event_source_set_time_relative(source, WATCH_RENEW_S * 1000000ull);
	return err < 0 ? err : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int watch_loop_create(struct watch_loop **ret, sd_event *event, watch_listener listener,
		      void *owner)
{
	struct watch_loop *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	l->event = sd_event_ref(event);
	err = watch_create(&l->watch, watch_kernel(), listener, owner);
	if (!err)
		err = loop_listen(l);
	if (err >= 0)
		err = sd_event_add_time_relative(event, &l->renew, CLOCK_MONOTONIC,
						 WATCH_RENEW_S * 1000000ull, 0, loop_on_renew, l);
	if (err >= 0)
		err = sd_event_add_time(event, &l->again, CLOCK_MONOTONIC, UINT64_MAX, 0,
					loop_on_again, l);
	if (err < 0) {
		watch_loop_destroy(l);
		return err;
	}
	*ret = l;
	return 0;
}

struct watch_loop *watch_loop_destroy(struct watch_loop *l)
{
	if (!l)
		return NULL;
	sd_event_source_disable_unref(l->io);
	sd_event_source_disable_unref(l->renew);
	sd_event_source_disable_unref(l->again);
	watch_destroy(l->watch);
	sd_event_unref(l->event);
	free(l);
	return NULL;
}

int watch_loop_set(struct watch_loop *l, const char *const *devices, size_t count)
{
	return watch_set(l->watch, devices, count);
}

uint64_t watch_loop_lost(const struct watch_loop *l)
{
	return watch_lost(l->watch);
}
