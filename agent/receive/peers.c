// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/peers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* struct guest - a name that has connections */
struct guest {
	struct guest *next;
	unsigned int connections;
	char name[];
};

struct peers {
	pthread_mutex_t lock;
	struct receiver_peer *peers;
	size_t count;
	struct guest *guests;
};

static void peers_free(struct receiver_peer *peers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free((char *)peers[i].name);
		free((char *)peers[i].collections);
	}
	free(peers);
}

int peers_create(struct peers **ret)
{
	struct peers *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

struct peers *peers_destroy(struct peers *p)
{
	if (p) {
		peers_free(p->peers, p->count);
		pthread_mutex_destroy(&p->lock);
		free(p);
	}
	return NULL;
}

int peers_set(struct peers *p, const struct receiver_peer *peers, size_t count)
{
	struct receiver_peer *copy = calloc(count + 1, sizeof(*copy));
	struct receiver_peer *old;
	size_t old_count;

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		copy[i].name = strdup(peers[i].name);
		copy[i].collections = strdup(peers[i].collections ? peers[i].collections : "");
		if (copy[i].name && copy[i].collections)
			continue;
		peers_free(copy, i + 1);
		return -ENOMEM;
	}
	pthread_mutex_lock(&p->lock);
	old = p->peers;
	old_count = p->count;
	p->peers = copy;
	p->count = count;
	pthread_mutex_unlock(&p->lock);
	peers_free(old, old_count);
	return 0;
}

/* Is a name in a list of names, or is everything? */
static bool list_has(const char *list, const char *name)
{
	size_t size = strlen(name);

	for (const char *at = list; *at; at += strspn(at, " \t,")) {
		size_t n = strcspn(at, " \t,");

		if ((n == size && strncmp(at, name, n) == 0) || (n == 1 && *at == '*'))
			return true;
		at += n;
	}
	return false;
}

bool peers_may(struct peers *p, const char *name, const char *collection)
{
	bool may = false;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->count && !may; i++)
		may = strcmp(p->peers[i].name, name) == 0 &&
		      list_has(p->peers[i].collections, collection);
	pthread_mutex_unlock(&p->lock);
	return may;
}

/* -- who is here ------------------------------------------------------------- */

static struct guest **guest_find(struct peers *p, const char *name)
{
	struct guest **at = &p->guests;

	while (*at && strcmp((*at)->name, name))
		at = &(*at)->next;
	return at;
}

static int guest_enter(struct peers *p, const char *name, unsigned int limit)
{
	struct guest **at = guest_find(p, name);
	size_t size = strlen(name) + 1;

	if (!*at) {
		*at = calloc(1, sizeof(**at) + size);
		if (!*at)
			return -ENOMEM;
		memcpy((*at)->name, name, size);
	}
	if ((*at)->connections >= limit)
		return -EBUSY;
	(*at)->connections++;
	return 0;
}

int peers_enter(struct peers *p, const char *name, unsigned int limit)
{
	int err;

	pthread_mutex_lock(&p->lock);
	err = guest_enter(p, name, limit);
	pthread_mutex_unlock(&p->lock);
	return err;
}

void peers_leave(struct peers *p, const char *name)
{
	struct guest **at, *gone = NULL;

	pthread_mutex_lock(&p->lock);
	at = guest_find(p, name);
	if (*at && --(*at)->connections == 0) {
		gone = *at;
		*at = gone->next;
	}
	pthread_mutex_unlock(&p->lock);
	free(gone);
}
