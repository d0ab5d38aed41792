// SPDX-License-Identifier: GPL-2.0-or-later
#include "watch/watch.h"

static struct tidemark_events *events;

static int kernel_open(void *arg)
{
	int err = tidemark_events_open(&events);

	return err ? err : tidemark_events_fd(events);
}

static void kernel_close(void *arg)
{
	events = tidemark_events_close(events);
}

static int kernel_next(void *arg, struct tidemark_event_data *ret)
{
	return tidemark_events_next(events, ret);
}

static int kernel_look(void *arg, const char *device, struct source_info *ret)
{
	return source_look(device, true, 0, ret);
}

const struct watch_source *watch_kernel(void)
{
	static const struct watch_source source = {
		.open = kernel_open,
		.close = kernel_close,
		.next = kernel_next,
		.look = kernel_look,
	};

	return &source;
}
