// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "base/util.h"
#include "config/parse.h"
#include "tls/context.h"

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
		if (strcmp(c->collections[i].name, name) == 0)
			return &c->collections[i];
	}
	return NULL;
}

/* Does a VM of a [vm ...] have a disk? */
static bool vm_has_disk(const struct config_collection *c, const char *vm)
{
	for (size_t i = 0; i < c->disk_count; i++) {
		if (strcmp(c->disks[i].vm, vm) == 0)
			return true;
	}
	return false;
}

struct config_collection *config_collection_of_vm(const struct config *c, const char *vm)
{
	for (size_t i = 0; i < c->collection_count; i++) {
		if (vm_has_disk(&c->collections[i], vm))
			return &c->collections[i];
	}
	return NULL;
}

static void collection_free(struct config_collection *c)
{
	for (size_t i = 0; i < c->disk_count; i++) {
		free((char *)c->disks[i].vm);
		free((char *)c->disks[i].name);
		free((char *)c->disks[i].device);
	}
	for (size_t i = 0; i < c->vm_count; i++) {
		free(c->vms[i].name);
		free(c->vms[i].host);
		free(c->vms[i].port);
		free(c->vms[i].freeze);
	}
	free(c->disks);
	free(c->vms);
	free(c->name);
	free(c->file);
	settings_clear(&c->settings);
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
	for (size_t i = 0; i < c->peer_count; i++) {
		free((char *)c->peers[i].name);
		free((char *)c->peers[i].collections);
	}
	free(c->collections);
	free(c->targets);
	free(c->peers);
	free(c->tls_dir);
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
	c->tls_dir = strdup(tls_dir());
	c->log_level = LOG_INFO;
	c->max_jobs = 4;
	c->missed_grace_s = 3600;
	if (!c->state_dir || !c->listen_host || !c->store || !c->tls_dir)
		return config_free(c);
	return c;
}

bool config_receives_tls(const struct config *c)
{
	return c->receiver_tls || (!c->receiver_plain && !config_loopback(c->listen_host));
}

static int refuse(const struct config_collection *c, struct reason *reason, const char *what)
{
	return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER, "%s: [collection %s]: %s",
			  c->file, c->name, what);
}

/* What no single line can be blamed for. */
static int config_check_collection(const struct config_collection *c, struct reason *reason)
{
	struct reason inner = { 0 };
	char text[REASON_TEXT_MAX / 2];

	if (settings_check(&c->settings, &inner))
		return refuse(c, reason, inner.text);
	if (!c->disk_count) {
		snprintf(text, sizeof(text), "it has no [disk %s/VM/DISK]", c->name);
		return refuse(c, reason, text);
	}
	for (size_t i = 0; i < c->disk_count; i++) {
		const struct run_disk *d = &c->disks[i];

		if (d->device)
			continue;
		snprintf(text, sizeof(text), "[disk %s/%s/%s] has no device=PATH", c->name, d->vm,
			 d->name);
		return refuse(c, reason, text);
	}
	for (size_t i = 0; i < c->vm_count; i++) {
		const struct config_vm *vm = &c->vms[i];

		snprintf(text, sizeof(text), "[vm %s/%s] has no [disk %s/%s/DISK]", c->name,
			 vm->name, c->name, vm->name);
		if (!vm_has_disk(c, vm->name))
			return refuse(c, reason, text);
	}
	return 0;
}

/* A VM is in one collection only. */
static int config_check_vms(const struct config *c, struct reason *reason)
{
	for (size_t i = 1; i < c->collection_count; i++) {
		const struct config_collection *one = &c->collections[i];

		for (size_t d = 0; d < one->disk_count; d++) {
			const struct config_collection *other =
				config_collection_of_vm(c, one->disks[d].vm);
			char text[REASON_TEXT_MAX / 2];

			if (other == one)
				continue;
			snprintf(text, sizeof(text), "VM %s is in [collection %s], too",
				 one->disks[d].vm, other->name);
			return refuse(one, reason, text);
		}
	}
	return 0;
}

static int config_check(const struct config *c, const char *path, struct reason *reason)
{
	int err = 0;

	for (size_t i = 0; i < c->collection_count && !err; i++)
		err = config_check_collection(&c->collections[i], reason);
	if (!err)
		err = config_check_vms(c, reason);
	for (size_t i = 0; i < c->target_count && !err; i++) {
		if (!c->targets[i].path)
			err = reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
					 "%s: [replica %s/%s/%s] has no path=PATH", path,
					 c->targets[i].collection, c->targets[i].vm,
					 c->targets[i].disk);
	}
	if (!err && c->receiver_plain && c->receiver_tls)
		err = reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				 "%s: [receiver] has both plain=yes and tls=yes", path);
	for (size_t i = 0; i < c->peer_count && !err; i++) {
		if (!c->peers[i].collections)
			err = reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
					 "%s: [peer %s] has no collections=", path,
					 c->peers[i].name);
	}
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
