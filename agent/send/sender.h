/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sender: a run in a thread of its own, with a ring of its own.
 */
#ifndef TIDEMARK_SEND_SENDER_H
#define TIDEMARK_SEND_SENDER_H

#include "send/run.h"

struct sender;

/**
 * sender_start() - start a run
 * @config: borrowed until sender_destroy()
 * @ended_fd: an eventfd that 1 is added to when the run has ended
 *
 * The thread blocks all signals. Return: 0 or a negative errno.
 */
int sender_start(struct sender **ret, const struct run_config *config, int ended_fd);

/** sender_cancel() - ask it to end soon; it ends with -ECANCELED, if at all in time */
void sender_cancel(struct sender *s);

/**
 * sender_pause() - read and send nothing more, or go on
 *
 * A run that has sent everything and waits for the receiver ends all the same.
 */
void sender_pause(struct sender *s, bool paused);

/** sender_leave() - take a VM out: the run goes on without it, see run_report_disk.leave */
void sender_leave(struct sender *s, const char *vm);

/** sender_ended() - has the run ended? From then on result, reason and report stand */
bool sender_ended(const struct sender *s);

/** sender_result() - 0 or the negative errno of the run */
int sender_result(const struct sender *s);
const struct reason *sender_reason(const struct sender *s);
const struct run_report *sender_report(const struct sender *s);
/** sender_progress() - at any time */
void sender_progress(struct sender *s, struct progress_view *ret);

/** sender_disk_progress() - the same for one disk, by its index in the configuration */
void sender_disk_progress(struct sender *s, size_t disk, struct progress_view *ret);

/** sender_destroy() - cancel, wait for the end, free. NULL is ignored. Return: NULL */
struct sender *sender_destroy(struct sender *s);

#endif
