// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/hold.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"

/* How often the receiver is listened to, while VMs freeze. */
#define HOLD_SLICE_MS 1000

static bool hold_in_run(struct run *r, const char *vm)
{
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d))
		if (strcmp(d->config->vm, vm) == 0)
			return true;
	return false;
}

/* Is there a way to freeze every VM that is in the run? */
static bool hold_covers(struct run *r)
{
	for (struct session_disk *d = members_first(r); d; d = members_next(r, d)) {
		bool found = false;

		for (size_t i = 0; i < r->config->vm_count && !found; i++) {
			const struct run_vm *vm = &r->config->vms[i];

			found = strcmp(vm->name, d->config->vm) == 0 && (vm->hook || vm->guest_agent);
		}
		if (!found)
			return false;
	}
	return true;
}

/* One path may stand for all VMs of a collection: %v in it is the VM's name. */
static char *hold_path(const struct run_vm *vm, const char *path)
{
	const char *at = path ? strstr(path, "%v") : NULL;
	char *ret = NULL;

	if (!path)
		return NULL;
	if (!at)
		return strdup(path);
	if (asprintf(&ret, "%.*s%s%s", (int)(at - path), path, vm->name, at + 2) < 0)
		return NULL;
	return ret;
}

/* What is called a hook may be a socket: then a guest agent listens there. */
static int hold_vm(const struct run_vm *vm, struct freeze_vm *ret)
{
	char *hook = hold_path(vm, vm->hook);
	char *agent = hold_path(vm, vm->guest_agent);
	struct stat st;

	if ((vm->hook && !hook) || (vm->guest_agent && !agent)) {
		free(hook);
		free(agent);
		return -ENOMEM;
	}
	if (hook && !agent && stat(hook, &st) == 0 && S_ISSOCK(st.st_mode)) {
		agent = hook;
		hook = NULL;
	}
	*ret = (struct freeze_vm){
		.name = vm->name,
		.hook = hook,
		.guest_agent = agent,
		.freeze_ms = vm->freeze_ms ? vm->freeze_ms : RUN_FREEZE_MS,
	};
	return 0;
}

static int hold_start(struct run *r, struct hold *h)
{
	_cleanup_free_ struct freeze_vm *vms = calloc(r->config->vm_count, sizeof(*vms));
	size_t count = 0;
	int err = 0;

	if (!vms)
		return -ENOMEM;
	for (size_t i = 0; i < r->config->vm_count && !err; i++) {
		const struct run_vm *vm = &r->config->vms[i];

		if (hold_in_run(r, vm->name) && (vm->hook || vm->guest_agent))
			err = hold_vm(vm, &vms[count++]);
	}
	if (count && !err)
		err = freeze_start(&h->freeze, r->config->state_dir, r->config->collection, vms,
				   count);
	for (size_t i = 0; i < count; i++) {
		free((char *)vms[i].hook);
		free((char *)vms[i].guest_agent);
	}
	return err;
}

/* Until the freezer has something to say; the receiver hears of us meanwhile. */
static int hold_wait(struct run *r, struct hold *h)
{
	struct pollfd fds[] = {
		{ .fd = freeze_fd(h->freeze), .events = POLLIN },
		{ .fd = r->control->cancel_fd, .events = POLLIN },
	};

	for (;;) {
		int n = poll(fds, ARRAY_SIZE(fds), HOLD_SLICE_MS);
		int err = 0;

		if (fds[1].revents)
			return reason_set(r->reason, -ECANCELED, REASON_FAILED, "stopped");
		if (fds[0].revents)
			return 0;
		if (n == 0)
			err = conn_run(r->conn);
		if (err)
			return err;
	}
}

int hold_begin(struct run *r, struct hold *h)
{
	char text[REASON_TEXT_MAX] = "";
	bool frozen = false;
	int err;

	if (!r->config->freeze || !r->config->vm_count || !r->config->state_dir)
		return 0;
	err = hold_start(r, h);
	if (err) {
		members_warn(r, "the VMs could not be frozen: %s", strerrordesc_np(-err));
		return 0;
	}
	if (!h->freeze)
		return 0;
	err = hold_wait(r, h);
	if (err) {
		h->freeze = freeze_end(h->freeze);
		return err;
	}
	err = freeze_frozen(h->freeze, &frozen, text);
	if (err)
		members_warn(r, "the freezer was lost: %s", strerrordesc_np(-err));
	else if (!frozen)
		members_warn(r, "%s", text);
	h->all = frozen && hold_covers(r);
	return 0;
}

void hold_end(struct run *r, struct hold *h)
{
	char text[REASON_TEXT_MAX] = "";
	bool held = false;

	if (!h->freeze)
		return;
	freeze_thaw(h->freeze);
	if (freeze_thawed(h->freeze, &held, text))
		snprintf(text, sizeof(text), "the freezer was lost before it said that all are "
			 "thawed");
	if (text[0])
		members_warn(r, "%s", text);
	if (h->all && !held)
		members_warn(r, "the seal took so long that the VMs were thawed before it");
	h->all = h->all && held;
	h->freeze = freeze_end(h->freeze);
}
