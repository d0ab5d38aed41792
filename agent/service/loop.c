// SPDX-License-Identifier: GPL-2.0-or-later
#include "service/loop.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/log.h"
#include "base/util.h"

struct service_loop {
	struct service *service;
	sd_event_source *ended; /* runs */
	sd_event_source *steady;
	sd_event_source *wall; /* a timerfd */
	sd_event_source *after; /* each turn of the loop: when is the next? */
	int fd;
	int64_t armed;
	size_t running; /* as last said in STATUS= */
};

static int loop_tick(struct service_loop *l)
{
	service_tick(l->service);
	return 0;
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	return loop_tick(arg);
}

static int on_steady(sd_event_source *source, uint64_t now, void *arg)
{
	return loop_tick(arg);
}

static void say_clock_set(void)
{
	log_notice("the clock was set: schedules are looked at again");
}

static int on_wall(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct service_loop *l = arg;
	uint64_t unused;

	/* ECANCELED: the clock was set. The moment waited for is armed again below. */
	if (read(fd, &unused, sizeof(unused)) < 0 && errno == ECANCELED)
		say_clock_set();
	l->armed = 0;
	return loop_tick(l);
}

/* Return: the clock was set, and nobody has looked since. */
static bool arm_wall(struct service_loop *l, int64_t when)
{
	/* Always armed, far away if need be: it is what tells that the clock was set. */
	int64_t us = when == INT64_MAX ? INT64_C(1) << 52 : when > 0 ? when : 1;
	struct itimerspec t = {
		.it_value = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 },
	};

	if (us == l->armed)
		return false;
	if (timerfd_settime(l->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &t, NULL) == 0) {
		l->armed = us;
		return false;
	}
	if (errno != ECANCELED) {
		log_error("cannot set a timer: %s", strerrordesc_np(errno));
		return false;
	}
	/*
	 * Set since it was armed last, before the descriptor could say so: this call has
	 * said it instead, and the timer runs all the same.
	 */
	l->armed = us;
	say_clock_set();
	return true;
}

static int on_after(sd_event_source *source, void *arg)
{
	struct service_loop *l = arg;
	int64_t wall_us, steady_us;
	size_t running = service_running(l->service);

	service_next(l->service, &wall_us, &steady_us);
	if (arm_wall(l, wall_us))
		steady_us = 0;
	if (steady_us == INT64_MAX) {
		sd_event_source_set_enabled(l->steady, SD_EVENT_OFF);
	} else {
		sd_event_source_set_time(l->steady, steady_us > 0 ? steady_us : 0);
		sd_event_source_set_enabled(l->steady, SD_EVENT_ONESHOT);
	}
	if (running != l->running)
		sd_notifyf(0, "STATUS=%zu jobs running", running);
	l->running = running;
	return 0;
}

int service_loop_create(struct service_loop **ret, struct service *s, struct sd_event *event)
{
	struct service_loop *l = calloc(1, sizeof(*l));
	int err = 0;

	if (!l)
		return -ENOMEM;
	l->service = s;
	l->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->fd < 0)
		err = -errno;
	if (!err)
		err = sd_event_add_io(event, &l->ended, service_fd(s), EPOLLIN, on_ended, l);
	if (err >= 0)
		err = sd_event_add_io(event, &l->wall, l->fd, EPOLLIN, on_wall, l);
	if (err >= 0)
		err = sd_event_add_time_relative(event, &l->steady, CLOCK_BOOTTIME, 0, 1, on_steady,
						 l);
	if (err >= 0)
		err = sd_event_add_post(event, &l->after, on_after, l);
	if (err < 0) {
		service_loop_destroy(l);
		return err;
	}
	*ret = l;
	return 0;
}

struct service_loop *service_loop_destroy(struct service_loop *l)
{
	if (!l)
		return NULL;
	sd_event_source_disable_unref(l->after);
	sd_event_source_disable_unref(l->steady);
	sd_event_source_disable_unref(l->wall);
	sd_event_source_disable_unref(l->ended);
	closep(&l->fd);
	free(l);
	return NULL;
}
