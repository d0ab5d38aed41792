// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fault {
	struct fault *next;
	char collection[NAME_SIZE];
	struct reason why;
};

/* @lock: covers @first, the head of a list in the order of names */
struct faults {
	pthread_mutex_t lock;
	struct fault *first;
};

int faults_create(struct faults **ret)
{
	struct faults *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	*ret = f;
	return 0;
}

struct faults *faults_destroy(struct faults *f)
{
	if (!f)
		return NULL;
	while (f->first) {
		struct fault *next = f->first->next;

		free(f->first);
		f->first = next;
	}
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}

/* The place of a name: of its fault, or where that belongs. */
static struct fault **fault_place(struct faults *f, const char *collection)
{
	struct fault **at = &f->first;

	while (*at && strcmp((*at)->collection, collection) < 0)
		at = &(*at)->next;
	return at;
}

static bool fault_is(const struct fault *fault, const char *collection)
{
	return fault && !strcmp(fault->collection, collection);
}

int faults_set(struct faults *f, const char *collection, const struct reason *why)
{
	struct fault **at, *fault;

	pthread_mutex_lock(&f->lock);
	at = fault_place(f, collection);
	fault = *at;
	if (!fault_is(fault, collection)) {
		fault = calloc(1, sizeof(*fault));
		if (fault) {
			snprintf(fault->collection, sizeof(fault->collection), "%s", collection);
			fault->next = *at;
			*at = fault;
		}
	}
	if (fault)
		fault->why = *why;
	pthread_mutex_unlock(&f->lock);
	return fault ? 0 : -ENOMEM;
}

void faults_clear(struct faults *f, const char *collection)
{
	struct fault **at, *gone = NULL;

	pthread_mutex_lock(&f->lock);
	at = fault_place(f, collection);
	if (fault_is(*at, collection)) {
		gone = *at;
		*at = gone->next;
	}
	pthread_mutex_unlock(&f->lock);
	free(gone);
}

bool faults_find(struct faults *f, const char *collection, struct reason *ret)
{
	const struct fault *fault;
	bool found;

	pthread_mutex_lock(&f->lock);
	fault = *fault_place(f, collection);
	found = fault_is(fault, collection);
	if (found && ret)
		*ret = fault->why;
	pthread_mutex_unlock(&f->lock);
	return found;
}

bool faults_next(struct faults *f, const char *after, char ret[NAME_SIZE])
{
	const struct fault *fault;

	pthread_mutex_lock(&f->lock);
	fault = *fault_place(f, after);
	if (fault_is(fault, after))
		fault = fault->next;
	if (fault)
		memcpy(ret, fault->collection, NAME_SIZE);
	pthread_mutex_unlock(&f->lock);
	return fault;
}
