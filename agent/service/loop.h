/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The service in an event loop: when it ticks.
 *
 * Two clocks. What waits a length of time (retries, intervals, removal) goes by the
 * boot-time clock, which nobody sets. What waits for a moment (StartTime, UntilTime,
 * the window) goes by a timerfd on the real-time clock with TFD_TIMER_CANCEL_ON_SET:
 * when the clock is set it becomes readable, everything is looked at again, and a
 * moment that is past now is due now; one that is further away is waited for anew.
 */
#ifndef TIDEMARK_SERVICE_LOOP_H
#define TIDEMARK_SERVICE_LOOP_H

#include "service/service.h"

struct sd_event;
struct service_loop;

/** service_loop_create() - tick @s in @event from now on; both are borrowed */
int service_loop_create(struct service_loop **ret, struct service *s, struct sd_event *event);
/** service_loop_destroy() - NULL is ignored. Return: NULL */
struct service_loop *service_loop_destroy(struct service_loop *l);

#endif
