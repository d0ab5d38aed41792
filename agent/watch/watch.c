// SPDX-License-Identifier: GPL-2.0-or-later
#include "watch/watch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

/* So many events at a time, then the rest of the main loop has its turn. */
#define WATCH_BATCH 4096

/**
 * struct watched - a disk
 * @device: as it was given
 * @dirty: to be looked at
 * @error: of the last look
 * @last: how it was then
 * @event_reason: enum tidemark_reason of its last DETACHED
 * @again: how often it is still to be looked at, see watch_again()
 */
struct watched {
	char *device;
	bool dirty;
	int error;
	struct source_info last;
	uint32_t event_reason;
	unsigned int again;
};

/* The looks after an event: 100 ms, then twice as long each time, 12.7 s in all. */
#define WATCH_AGAIN	 7
#define WATCH_AGAIN_MS 100

struct watch {
	const struct watch_source *source;
	watch_listener listener;
	void *owner;
	int fd;
	uint64_t lost;
	struct watched *disks;
	size_t count;
};

/* -- what is different ------------------------------------------------------ */

static unsigned int watched_differs(const struct watched *d, int error,
				    const struct source_info *now)
{
	const struct source_info *last = &d->last;
	unsigned int what = 0;

	if (error)
		return d->error ? 0 : WATCH_GONE;
	if (d->error)
		what |= WATCH_FOUND;
	/* What was known before it went is still known: the same one is back, or not. */
	if (last->tracked && memcmp(now->uuid, last->uuid, sizeof(now->uuid)) != 0)
		what |= WATCH_REPLACED;
	if (last->tracked && (now->size != last->size || now->granule != last->granule))
		what |= WATCH_RESIZED;
	if (now->torn && !last->torn)
		what |= WATCH_TORN;
	if (now->unreliable && (!last->unreliable || now->reason != last->reason))
		what |= WATCH_UNRELIABLE;
	if (!now->unreliable && last->unreliable)
		what |= WATCH_RELIABLE;
	return what;
}

static void watched_say(const struct watched *d, struct watch_notice *n)
{
	const char *why = "";

	if (n->what & WATCH_GONE) {
		if (d->event_reason & TIDEMARK_REASON_DROPPED)
			why = ": its table was exchanged and goes on without the tracker";
		if (n->error == -ENODEV)
			snprintf(n->text, sizeof(n->text), "is not tracked any more%s", why);
		else
			snprintf(n->text, sizeof(n->text), "cannot be looked at any more: %s",
				 strerrordesc_np(-n->error));
	} else if (n->what & WATCH_UNRELIABLE) {
		snprintf(n->text, sizeof(n->text), "its tracker cannot be trusted: %s",
			 n->now.unreliable);
	} else if (n->what & WATCH_REPLACED) {
		snprintf(n->text, sizeof(n->text), "has another tracker than before");
	} else if (n->what & WATCH_RESIZED) {
		snprintf(n->text, sizeof(n->text), "has %llu bytes and granules of %u now",
			 (unsigned long long)n->now.size, n->now.granule);
	} else if (n->what & WATCH_FOUND) {
		snprintf(n->text, sizeof(n->text), "is tracked again");
	} else if (n->what & WATCH_RELIABLE) {
		snprintf(n->text, sizeof(n->text), "its tracker can be trusted again");
	} else {
		snprintf(n->text, sizeof(n->text), "its sealed epoch is torn");
	}
}

/* Look at it; tell what is different, unless it is the first look. */
static void watched_look(struct watch *w, struct watched *d, bool tell)
{
	struct watch_notice n = { .device = d->device };

	d->dirty = false;
	n.error = w->source->look(w->source->arg, d->device, &n.now);
	n.what = tell ? watched_differs(d, n.error, &n.now) : 0;
	if (n.what)
		watched_say(d, &n);
	d->error = n.error;
	if (!n.error) {
		d->last = n.now;
		d->event_reason = 0;
		d->again = 0;
	}
	if (n.what)
		w->listener(w->owner, &n);
}

static void watch_look(struct watch *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->disks[i].dirty)
			watched_look(w, &w->disks[i], true);
}

static void watch_all_dirty(struct watch *w)
{
	for (size_t i = 0; i < w->count; i++)
		w->disks[i].dirty = true;
}

/* -- events ----------------------------------------------------------------- */

static void watch_take(struct watch *w, const struct tidemark_event_data *e)
{
	switch (e->event) {
	case TIDEMARK_EVENT_SEALED:
	case TIDEMARK_EVENT_COMMITTED:
	case TIDEMARK_EVENT_FOLDED:
	case TIDEMARK_EVENT_THRESHOLD:
		return; /* the agent's own doing, or nobody's concern */
	}
	for (size_t i = 0; i < w->count; i++) {
		struct watched *d = &w->disks[i];

		/*
		 * A disk that was not there may be the one that has come. The kernel says
		 * so before user space has made its device node: it may take more looks.
		 */
		if (d->error && e->event == TIDEMARK_EVENT_ATTACHED) {
			d->dirty = true;
			d->again = WATCH_AGAIN;
		}
		if (!d->error && d->last.disk == e->disk)
			d->dirty = true;
		if (!d->error && d->last.disk == e->disk &&
		    e->event == TIDEMARK_EVENT_DETACHED)
			d->event_reason = e->reason;
	}
}

bool watch_run(struct watch *w)
{
	struct tidemark_event_data e;
	int err = 0;

	for (int n = 0; n < WATCH_BATCH && w->fd >= 0; n++) {
		err = w->source->next(w->source->arg, &e);
		if (err == -EAGAIN)
			break;
		if (!err) {
			watch_take(w, &e);
			continue;
		}
		/* Lost, or not understood: look for ourselves. */
		w->lost++;
		watch_all_dirty(w);
		if (err == -ENOBUFS || err == -EPROTO)
			continue;
		/* The socket is out of order: watch_renew() takes a new one. */
		w->source->close(w->source->arg);
		w->fd = -1;
	}
	watch_look(w);
	return w->fd >= 0;
}

unsigned int watch_wait(const struct watch *w)
{
	unsigned int most = 0;

	for (size_t i = 0; i < w->count; i++)
		if (w->disks[i].again > most)
			most = w->disks[i].again;
	return most ? WATCH_AGAIN_MS << (WATCH_AGAIN - most) : 0;
}

void watch_again(struct watch *w)
{
	for (size_t i = 0; i < w->count; i++) {
		if (w->disks[i].again) {
			w->disks[i].again--;
			w->disks[i].dirty = true;
		}
	}
	watch_look(w);
}

void watch_renew(struct watch *w)
{
	if (w->fd >= 0)
		w->source->close(w->source->arg);
	/* Listen first, then look: what happens in between is seen twice, not never. */
	w->fd = w->source->open(w->source->arg);
	watch_all_dirty(w);
	watch_look(w);
}

/* -- life ------------------------------------------------------------------- */

static struct watched *watch_find(struct watch *w, const char *device)
{
	for (size_t i = 0; i < w->count; i++)
		if (strcmp(w->disks[i].device, device) == 0)
			return &w->disks[i];
	return NULL;
}

static void watch_forget(struct watched *disks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(disks[i].device);
	free(disks);
}

int watch_set(struct watch *w, const char *const *devices, size_t count)
{
	struct watched *disks = calloc(count ? count : 1, sizeof(*disks));

	if (!disks)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct watched *known = watch_find(w, devices[i]);

		if (known)
			disks[i] = *known;
		disks[i].dirty = !known;
		disks[i].device = strdup(devices[i]);
		if (!disks[i].device) {
			watch_forget(disks, i);
			return -ENOMEM;
		}
	}
	watch_forget(w->disks, w->count);
	w->disks = disks;
	w->count = count;
	for (size_t i = 0; i < count; i++)
		if (disks[i].dirty)
			watched_look(w, &disks[i], false);
	return 0;
}

int watch_create(struct watch **ret, const struct watch_source *source, watch_listener listener,
		 void *owner)
{
	struct watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->source = source;
	w->listener = listener;
	w->owner = owner;
	w->fd = source->open(source->arg);
	*ret = w;
	return 0;
}

struct watch *watch_destroy(struct watch *w)
{
	if (!w)
		return NULL;
	if (w->fd >= 0)
		w->source->close(w->source->arg);
	watch_forget(w->disks, w->count);
	free(w);
	return NULL;
}

int watch_fd(const struct watch *w)
{
	return w->fd < 0 ? -1 : w->fd;
}

uint64_t watch_lost(const struct watch *w)
{
	return w->lost;
}
