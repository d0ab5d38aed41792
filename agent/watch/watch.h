/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watch: what happens to this host's disks while nobody runs anything: a tracker
 * that goes, comes, is another, a disk that is resized, a tracker that says that its
 * bits cannot be trusted.
 *
 * The kernel's events say when to look, never what to believe: a disk that an event
 * is about is looked at, and the listener is told what is different from before. So
 * an event that is lost costs time, not truth: when one is, which the library notices
 * by the socket's overrun and by the hole in the sequence, every disk is looked at.
 * So it is once a minute, with a new socket: a module that was loaded anew has another
 * family, and nothing else would say so.
 *
 * It belongs to the main thread. Looking is an ioctl a disk and does not block.
 */
#ifndef TIDEMARK_WATCH_WATCH_H
#define TIDEMARK_WATCH_WATCH_H

#include "base/reason.h"
#include "libtidemark/tidemark.h"
#include "send/source.h"

struct watch;

/** enum watch_what - what is different; bits of watch_notice.what */
enum watch_what {
	WATCH_GONE = 1 << 0,	   /* it is not tracked any more, or cannot be looked at */
	WATCH_FOUND = 1 << 1,	   /* it is tracked, and was not */
	WATCH_REPLACED = 1 << 2,   /* another tracker: what was marked before is not known */
	WATCH_RESIZED = 1 << 3,	   /* another size or granule */
	WATCH_TORN = 1 << 4,	   /* its sealed epoch is torn */
	WATCH_UNRELIABLE = 1 << 5, /* a reason why its bits cannot be trusted, or another one */
	WATCH_RELIABLE = 1 << 6,   /* there is none any more */
};

/**
 * struct watch_notice - something has happened to a disk
 * @device: as in watch_set()
 * @what: enum watch_what
 * @error: with WATCH_GONE: the errno of looking at it, -ENODEV: not tracked
 * @now: without WATCH_GONE: how it is now
 * @text: a sentence without the device's name
 */
struct watch_notice {
	const char *device;
	unsigned int what;
	int error;
	struct source_info now;
	char text[REASON_TEXT_MAX];
};

/** typedef watch_listener - told of each disk that is different; must not call back */
typedef void (*watch_listener)(void *owner, const struct watch_notice *n);

/**
 * struct watch_source - where events come from and how disks are looked at
 * @open: begin to listen. Return: a descriptor, readable when there is an event, or a
 *	negative errno; -ENOENT: the module is not loaded
 * @close: end it
 * @next: as tidemark_events_next()
 * @look: as source_look() of a tracked device
 * @arg: for all of them
 */
struct watch_source {
	int (*open)(void *arg);
	void (*close)(void *arg);
	int (*next)(void *arg, struct tidemark_event_data *ret);
	int (*look)(void *arg, const char *device, struct source_info *ret);
	void *arg;
};

/** The kernel's events and disks. */
const struct watch_source *watch_kernel(void);

/** How often watch_renew() is to be called, seconds. */
#define WATCH_RENEW_S 60

/**
 * watch_create() - watch no disk yet
 * @source: borrowed
 *
 * Without the module there is nothing to listen to: watch_fd() is -1 until a
 * watch_renew() finds it.
 */
int watch_create(struct watch **ret, const struct watch_source *source, watch_listener listener,
		 void *owner);
/** watch_destroy() - NULL is ignored. Return: NULL */
struct watch *watch_destroy(struct watch *w);

/**
 * watch_set() - the disks to watch from now on
 * @devices: @count paths, copied
 *
 * Those that are new are looked at; how they are found is no notice. Return: 0 or
 * -ENOMEM, then the old ones stay.
 */
int watch_set(struct watch *w, const char *const *devices, size_t count);

/** watch_fd() - readable: call watch_run(). -1: nothing to wait for. Changes with watch_renew() */
int watch_fd(const struct watch *w);

/** watch_run() - take events, look, tell. Return: false: watch_fd() has changed */
bool watch_run(struct watch *w);

/**
 * watch_wait() - after how long to call watch_again()
 *
 * A disk whose coming was told may not be there yet: its device node is made by user
 * space (udev, dmsetup) after the kernel has told. Return: milliseconds, 0: never
 */
unsigned int watch_wait(const struct watch *w);

/** watch_again() - look once more at the disks that watch_wait() is about, tell */
void watch_again(struct watch *w);

/** watch_renew() - listen anew and look at every disk */
void watch_renew(struct watch *w);

/** watch_lost() - how often events were lost so far */
uint64_t watch_lost(const struct watch *w);

#endif
