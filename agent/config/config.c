// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/util.h"
#include "config/parse.h"

#define STATE_DIR "/var/lib/tidemark"
#define STORE_DIR "/var/lib/tidemark/replicas"

bool config_loopback(const char *host)
{
	/* Names other than this one may resolve to anything, tomorrow. */
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	       (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host));
}

struct config_collection *config_collection(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->collection_count; i++) {
		if (strcmp(c->collections[i].run.collection, name) == 0)
			return &c->collections[i];
	}
	return NULL;
}

static void collection_free(struct config_collection *c)
{
	for (size_t i = 0; i < c->run.disk_count; i++) {
		free((char *)c->run.disks[i].vm);
		free((char *)c->run.disks[i].name);
		free((char *)c->run.disks[i].device);
	}
	free((struct run_disk *)c->run.disks);
	free((char *)c->run.collection);
	free((char *)c->run.host);
	free((char *)c->run.port);
}

struct config *config_free(struct config *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->collection_count; i++)
		collection_free(&c->collections[i]);
	for (size_t i = 0; i < c->target_count; i++) {
		free((char *)c->targets[i].collection);
		free((char *)c->targets[i].vm);
		free((char *)c->targets[i].disk);
		free((char *)c->targets[i].path);
	}
	free(c->collections);
	free(c->targets);
	free(c->state_dir);
	free(c->bus);
	free(c->listen_host);
	free(c->store);
	free(c);
	return NULL;
}

static struct config *config_defaults(void)
{
	struct config *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->state_dir = strdup(STATE_DIR);
	c->listen_host = strdup("127.0.0.1");
	c->listen_port = 7450;
	c->history_max = 24;
	c->store = strdup(STORE_DIR);
	c->log_level = LOG_INFO;
	if (!c->state_dir || !c->listen_host || !c->store)
		return config_free(c);
	return c;
}

/* What no single line can be blamed for. */
static int config_check_collection(const struct config_collection *c, const char *path,
				   struct reason *reason)
{
	if (!c->run.host)
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "%s: [collection %s] has no replica=HOST:PORT", path,
				  c->run.collection);
	if (!c->plain && !config_loopback(c->run.host))
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "%s: [collection %s]: %s is another host, and the connection is "
				  "not encrypted: this needs plain=yes", path, c->run.collection,
				  c->run.host);
	if (!c->run.disk_count)
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "%s: [collection %s] has no [disk %s/VM/DISK]", path,
				  c->run.collection, c->run.collection);
	for (size_t i = 0; i < c->run.disk_count; i++) {
		const struct run_disk *d = &c->run.disks[i];

		if (!d->device)
			return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
					  "%s: [disk %s/%s/%s] has no device=PATH", path,
					  c->run.collection, d->vm, d->name);
	}
	return 0;
}

static int config_check(const struct config *c, const char *path, struct reason *reason)
{
	int err = 0;

	for (size_t i = 0; i < c->collection_count && !err; i++)
		err = config_check_collection(&c->collections[i], path, reason);
	for (size_t i = 0; i < c->target_count && !err; i++) {
		if (!c->targets[i].path)
			err = reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
					 "%s: [replica %s/%s/%s] has no path=PATH", path,
					 c->targets[i].collection, c->targets[i].vm,
					 c->targets[i].disk);
	}
	if (!err && c->receive && !c->receiver_plain && !config_loopback(c->listen_host))
		err = reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				 "%s: [receiver]: %s is reached from other hosts, and connections "
				 "are not encrypted: this needs plain=yes", path, c->listen_host);
	return err;
}

int config_load(const char *path, struct config **ret, struct reason *reason)
{
	struct config *c = config_defaults();
	int err;

	if (!c)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	err = parse_file(c, path, reason);
	if (!err)
		err = parse_folder(c, path, reason);
	if (!err)
		err = config_check(c, path, reason);
	if (err) {
		config_free(c);
		return err;
	}
	*ret = c;
	return 0;
}
