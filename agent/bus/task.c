// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus/task.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <systemd/sd-event.h>

struct task {
	struct task *next;
	struct task_call call;
	sd_bus_message *message;
	int (*work)(struct task_call *call, struct reason *reason);
	struct reason reason;
	int error;
	int fd;
	pthread_t thread;
	sd_event_source *source;
	sd_bus_track *caller;
	atomic_bool cancelled;
};

static struct task *task_free(struct task *t)
{
	sd_event_source_disable_unref(t->source);
	sd_bus_track_unref(t->caller);
	sd_bus_message_unref(t->message);
	closep(&t->fd);
	free(t->call.text);
	free(t);
	return NULL;
}

static void *task_main(void *arg)
{
	struct task *t = arg;
	uint64_t one = 1;

	t->error = t->work(&t->call, &t->reason);
	(void)!write(t->fd, &one, sizeof(one));
	return NULL;
}

static int task_answer(struct task *t)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r;

	if (t->error < 0) {
		reason_set(&t->reason, t->error, 0, "%s", strerrordesc_np(-t->error));
		bus_refuse(&error, &t->reason);
		r = sd_bus_reply_method_error(t->message, &error);
	} else if (t->call.text) {
		r = sd_bus_reply_method_return(t->message, "s", t->call.text);
	} else {
		r = sd_bus_reply_method_return(t->message, "uo", 0u, "/");
	}
	sd_bus_error_free(&error);
	return r;
}

static void task_take_out(struct task *t)
{
	struct task **at = &t->call.bus->tasks;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
}

static int task_ended(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct task *t = arg;

	pthread_join(t->thread, NULL);
	/* Whoever gets the answer and asks for the status is to see what came of it. */
	if (t->call.replicas)
		service_look_replicas(t->call.bus->agent.service);
	/* Who asked may be gone: then there is nobody to be told. */
	(void)task_answer(t);
	task_take_out(t);
	task_free(t);
	return 0;
}

/* Who asked has left the bus. */
static int task_left(sd_bus_track *track, void *arg)
{
	struct task *t = arg;

	atomic_store(&t->cancelled, true);
	return 0;
}

int task_start(sd_bus_message *m, const struct task_call *call,
	       int (*work)(struct task_call *call, struct reason *reason))
{
	struct bus *b = call->bus;
	struct task *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->call = *call;
	t->call.cancelled = &t->cancelled;
	t->work = work;
	t->message = sd_bus_message_ref(m);
	t->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = t->fd < 0 ? -errno : sd_event_add_io(b->event, &t->source, t->fd, 1 /* EPOLLIN */,
						    task_ended, t);
	if (err >= 0)
		err = sd_bus_track_new(b->bus, &t->caller, task_left, t);
	if (err >= 0)
		err = sd_bus_track_add_sender(t->caller, m);
	if (err >= 0)
		err = -pthread_create(&t->thread, NULL, task_main, t);
	if (err < 0) {
		task_free(t);
		return err;
	}
	t->next = b->tasks;
	b->tasks = t;
	return 1;
}

int task_tick(void *call)
{
	const struct task_call *c = call;

	return c->bus->stopping || atomic_load(c->cancelled) ? -ECANCELED : 0;
}

void tasks_end(struct bus *b)
{
	b->stopping = true;
	while (b->tasks) {
		struct task *t = b->tasks;

		pthread_join(t->thread, NULL);
		b->tasks = t->next;
		task_free(t);
	}
}
