// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/sender.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/util.h"

struct sender {
	const struct run_config *config;
	int ended_fd;
	struct run_control control;
	pthread_t thread;
	atomic_bool ended;
	int result;
	struct reason reason;
	struct progress progress;
	struct run_report report;
};

static void *sender_main(void *arg)
{
	struct sender *s = arg;

	s->result = run_execute(s->config, &s->control, &s->progress, &s->report, &s->reason);
	/* Everything above is seen by who sees this. */
	atomic_store_explicit(&s->ended, true, memory_order_release);
	eventfd_write(s->ended_fd, 1);
	return NULL;
}

static int sender_spawn(struct sender *s)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&s->thread, NULL, sender_main, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static void sender_free(struct sender *s)
{
	closep(&s->control.cancel_fd);
	free(s->report.disks);
	free(s);
}

int sender_start(struct sender **ret, const struct run_config *config, int ended_fd)
{
	struct sender *s = calloc(1, sizeof(*s));
	int err = 0;

	if (!s)
		return -ENOMEM;
	s->config = config;
	s->ended_fd = ended_fd;
	s->control.cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->control.cancel_fd < 0)
		err = -errno;
	s->report.disks = calloc(config->disk_count, sizeof(*s->report.disks));
	if (!s->report.disks)
		err = -ENOMEM;
	if (!err)
		err = sender_spawn(s);
	if (err) {
		sender_free(s);
		return err;
	}
	*ret = s;
	return 0;
}

void sender_cancel(struct sender *s)
{
	eventfd_write(s->control.cancel_fd, 1);
}

void sender_pause(struct sender *s, bool paused)
{
	atomic_store(&s->control.paused, paused);
}

void sender_leave(struct sender *s, const char *vm)
{
	for (size_t i = 0; i < s->config->disk_count; i++) {
		if (strcmp(s->config->disks[i].vm, vm) == 0)
			atomic_store(&s->report.disks[i].leave, true);
	}
}

bool sender_ended(const struct sender *s)
{
	return atomic_load_explicit(&s->ended, memory_order_acquire);
}

int sender_result(const struct sender *s)
{
	return s->result;
}

const struct reason *sender_reason(const struct sender *s)
{
	return &s->reason;
}

const struct run_report *sender_report(const struct sender *s)
{
	return &s->report;
}

void sender_progress(struct sender *s, struct progress_view *ret)
{
	progress_read(&s->progress, ret);
}

void sender_disk_progress(struct sender *s, size_t disk, struct progress_view *ret)
{
	progress_read(&s->report.disks[disk].progress, ret);
}

struct sender *sender_destroy(struct sender *s)
{
	if (!s)
		return NULL;
	sender_cancel(s);
	pthread_join(s->thread, NULL);
	sender_free(s);
	return NULL;
}
