/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watch in the main loop: woken by events, and once a minute.
 */
#ifndef TIDEMARK_WATCH_LOOP_H
#define TIDEMARK_WATCH_LOOP_H

#include <systemd/sd-event.h>

#include "watch/watch.h"

struct watch_loop;

/**
 * watch_loop_create() - watch the kernel's disks
 * @event: the main loop
 * @listener: called from it
 */
int watch_loop_create(struct watch_loop **ret, sd_event *event, watch_listener listener,
		      void *owner);
/** watch_loop_destroy() - NULL is ignored. Return: NULL */
struct watch_loop *watch_loop_destroy(struct watch_loop *l);

/** watch_loop_set() - see watch_set() */
int watch_loop_set(struct watch_loop *l, const char *const *devices, size_t count);

/** watch_loop_lost() - see watch_lost() */
uint64_t watch_loop_lost(const struct watch_loop *l);

#endif
