// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The freezer: a process, with a thread for each VM, so that one slow VM does not
 * keep the others frozen for longer than it must.
 */
#include "freeze/freeze.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"
#include "freeze/member.h"

#define FREEZER_STACK (256u << 10)
#define FREEZER_THAWS 3
#define FREEZER_PAUSE_US 500000

struct frozen {
	struct freeze_vm vm;
	const char *collection;
	struct qga qga;
	pthread_t thread;
	bool started;
	int error;
	char text[REASON_TEXT_MAX];
};

struct freezer {
	struct json_object *spec;
	struct frozen *vms;
	size_t count;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

uint64_t freeze_deadline(uint32_t ms)
{
	return now_ms() + ms;
}

int freeze_left(uint64_t deadline)
{
	uint64_t now = now_ms();

	return deadline > now ? (int)(deadline - now) : 0;
}

/* -- one VM ----------------------------------------------------------------- */

static void *frozen_freeze(void *arg)
{
	struct frozen *f = arg;
	uint64_t deadline = freeze_deadline(f->vm.freeze_ms);

	f->error = 0;
	if (f->vm.hook)
		f->error = hook_run(&f->vm, f->collection, "freeze", deadline, f->text);
	if (f->vm.guest_agent && !f->error)
		f->error = qga_freeze(&f->qga, f->vm.guest_agent, deadline, f->text);
	return NULL;
}

static int frozen_thaw_once(struct frozen *f)
{
	int agent = 0, hook = 0;

	f->text[0] = '\0';
	if (f->vm.guest_agent)
		agent = qga_thaw(&f->qga, f->vm.guest_agent, freeze_deadline(FREEZE_THAW_MS),
				 f->text);
	if (f->vm.hook)
		hook = hook_run(&f->vm, f->collection, "thaw", freeze_deadline(FREEZE_THAW_MS),
				f->text);
	return agent ? agent : hook;
}

static void *frozen_thaw(void *arg)
{
	struct frozen *f = arg;

	for (int i = 0; i < FREEZER_THAWS; i++) {
		f->error = frozen_thaw_once(f);
		if (!f->error)
			break;
		usleep(FREEZER_PAUSE_US);
	}
	return NULL;
}

/* -- all of them ------------------------------------------------------------ */

/* In a thread each; without one, one after the other. */
static void freezer_each(struct freezer *z, void *(*what)(void *))
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, FREEZER_STACK);
	for (size_t i = 0; i < z->count; i++) {
		struct frozen *f = &z->vms[i];

		f->started = pthread_create(&f->thread, &attr, what, f) == 0;
		if (!f->started)
			what(f);
	}
	for (size_t i = 0; i < z->count; i++)
		if (z->vms[i].started)
			pthread_join(z->vms[i].thread, NULL);
	pthread_attr_destroy(&attr);
}

/* The first VM that failed, and how many. */
static bool freezer_judge(struct freezer *z, const char *what, char *text)
{
	size_t failed = 0;

	text[0] = '\0';
	for (size_t i = 0; i < z->count; i++) {
		const struct frozen *f = &z->vms[i];

		if (!f->error)
			continue;
		if (!failed++)
			snprintf(text, REASON_TEXT_MAX, "%s could not be %s: %.380s", f->vm.name,
				 what, f->text);
	}
	if (failed > 1) {
		size_t used = strlen(text);

		snprintf(text + used, REASON_TEXT_MAX - used, " (and %zu more)", failed - 1);
	}
	return !failed;
}

/* Who reads this may be dead: then nobody needs it. */
static void freezer_tell(bool good, const char *text)
{
	struct freeze_answer a = { .good = good };

	snprintf(a.text, sizeof(a.text), "%s", text);
	(void)!send(0, &a, sizeof(a), MSG_NOSIGNAL);
}

/* Until the word comes, the agent is gone, or it has been too long. Was it the word? */
static bool freezer_hold(void)
{
	struct pollfd fd = { .fd = 0, .events = POLLIN };
	uint64_t deadline = freeze_deadline(FREEZE_HOLD_MS);
	char word;
	int n;

	do
		n = poll(&fd, 1, freeze_left(deadline));
	while (n < 0 && errno == EINTR);
	return n > 0 && recv(0, &word, 1, 0) == 1;
}

/* -- its orders ------------------------------------------------------------- */

static const char *spec_text(struct json_object *o, const char *name)
{
	struct json_object *member;

	return json_object_object_get_ex(o, name, &member) ? json_object_get_string(member) : NULL;
}

static int freezer_read(struct freezer *z, const char *path)
{
	struct json_object *vms, *ms;
	const char *collection;

	z->spec = json_object_from_file(path);
	collection = z->spec ? spec_text(z->spec, "collection") : NULL;
	if (!collection || !json_object_object_get_ex(z->spec, "vms", &vms) ||
	    !json_object_is_type(vms, json_type_array))
		return -EINVAL;
	z->vms = calloc(json_object_array_length(vms) + 1, sizeof(*z->vms));
	if (!z->vms)
		return -ENOMEM;
	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		struct json_object *o = json_object_array_get_idx(vms, i);
		struct frozen *f = &z->vms[z->count++];

		f->collection = collection;
		f->qga.fd = -1;
		f->vm.name = spec_text(o, "name");
		f->vm.hook = spec_text(o, "hook");
		f->vm.guest_agent = spec_text(o, "guest_agent");
		if (json_object_object_get_ex(o, "freeze_ms", &ms))
			f->vm.freeze_ms = json_object_get_int(ms);
		if (!f->vm.name)
			return -EINVAL;
	}
	return 0;
}

static void freezer_signals(void)
{
	sigset_t all;

	/* Nothing that can be ignored ends a freezer: it ends when all are thawed. */
	sigfillset(&all);
	sigdelset(&all, SIGCHLD);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "freezer");
}

int freezer_main(int argc, char **argv)
{
	struct freezer z = { 0 };
	char text[REASON_TEXT_MAX];
	bool held = false;
	bool thawed;

	freezer_signals();
	if (argc < 3)
		return 1;
	if (freezer_read(&z, argv[2])) {
		/* It was never written to its end, so nothing was frozen by it. */
		unlink(argv[2]);
		return 1;
	}
	if (argc < 4 || strcmp(argv[3], FREEZER_THAW) != 0) {
		bool all;

		freezer_each(&z, frozen_freeze);
		all = freezer_judge(&z, "frozen", text);
		freezer_tell(all, text);
		held = freezer_hold() && all;
	}
	freezer_each(&z, frozen_thaw);
	thawed = freezer_judge(&z, "thawed", text);
	if (thawed)
		unlink(argv[2]);
	freezer_tell(held, text);
	json_object_put(z.spec);
	free(z.vms);
	return thawed ? 0 : 1;
}
