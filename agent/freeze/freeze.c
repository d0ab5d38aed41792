// SPDX-License-Identifier: GPL-2.0-or-later
#include "freeze/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <json-c/json.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "freeze/member.h"

struct freeze {
	int fd;
	pid_t pid;
	bool asked; /* to thaw */
};

/* -- the file --------------------------------------------------------------- */

static struct json_object *freeze_spec(const char *collection, const struct freeze_vm *vms,
				       size_t count)
{
	struct json_object *spec = json_object_new_object();
	struct json_object *array = json_object_new_array();

	json_object_object_add(spec, "collection", json_object_new_string(collection));
	json_object_object_add(spec, "vms", array);
	for (size_t i = 0; i < count; i++) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "name", json_object_new_string(vms[i].name));
		if (vms[i].hook)
			json_object_object_add(o, "hook", json_object_new_string(vms[i].hook));
		if (vms[i].guest_agent)
			json_object_object_add(o, "guest_agent",
					       json_object_new_string(vms[i].guest_agent));
		json_object_object_add(o, "freeze_ms", json_object_new_int(vms[i].freeze_ms));
		json_object_array_add(array, o);
	}
	return spec;
}

/* Durable before anything is frozen. */
static int freeze_write(const char *state_dir, const char *collection, const struct freeze_vm *vms,
			size_t count, char *path, size_t size)
{
	struct json_object *spec;
	_cleanup_close_ int fd = -1;
	int err = 0;

	if (snprintf(path, size, "%s/frozen.XXXXXX", state_dir) >= (int)size)
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	spec = freeze_spec(collection, vms, count);
	if (json_object_to_fd(fd, spec, JSON_C_TO_STRING_PLAIN) < 0 || fsync(fd) < 0)
		err = errno ? -errno : -EIO;
	json_object_put(spec);
	if (err)
		unlink(path);
	return err;
}

/* -- the process ------------------------------------------------------------ */

static int freeze_spawn(struct freeze *f, const char *path, const char *mode)
{
	char *const argv[] = { (char *)"tidemarkd", (char *)FREEZER_ARGUMENT, (char *)path,
			       (char *)mode, NULL };
	posix_spawn_file_actions_t files;
	_cleanup_close_ int theirs = -1;
	int fds[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	f->fd = fds[0];
	theirs = fds[1];
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, theirs, 0);
	err = posix_spawn(&f->pid, "/proc/self/exe", &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (err)
		closep(&f->fd);
	return -err;
}

int freeze_start(struct freeze **ret, const char *state_dir, const char *collection,
		 const struct freeze_vm *vms, size_t count)
{
	struct freeze *f = calloc(1, sizeof(*f));
	char path[4096];
	int err;

	if (!f)
		return -ENOMEM;
	err = freeze_write(state_dir, collection, vms, count, path, sizeof(path));
	if (!err) {
		err = freeze_spawn(f, path, NULL);
		if (err)
			unlink(path);
	}
	if (err) {
		free(f);
		return err;
	}
	*ret = f;
	return 0;
}

int freeze_fd(const struct freeze *f)
{
	return f->fd;
}

static int freeze_answer(struct freeze *f, bool *ret_good, char text[REASON_TEXT_MAX])
{
	struct freeze_answer a;
	ssize_t n;

	do
		n = recv(f->fd, &a, sizeof(a), 0);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(a))
		return n < 0 ? -errno : -EPIPE;
	*ret_good = a.good;
	snprintf(text, REASON_TEXT_MAX, "%s", a.text);
	return 0;
}

int freeze_frozen(struct freeze *f, bool *ret_all, char text[REASON_TEXT_MAX])
{
	return freeze_answer(f, ret_all, text);
}

void freeze_thaw(struct freeze *f)
{
	if (!f->asked)
		(void)!send(f->fd, "t", 1, MSG_NOSIGNAL);
	f->asked = true;
}

int freeze_thawed(struct freeze *f, bool *ret_held, char text[REASON_TEXT_MAX])
{
	return freeze_answer(f, ret_held, text);
}

struct freeze *freeze_end(struct freeze *f)
{
	if (!f)
		return NULL;
	/* It reads the end of the socket, and thaws. */
	close(f->fd);
	while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(f);
	return NULL;
}

void freeze_recover(const char *state_dir, void (*each)(const char *text))
{
	char pattern[4096], text[REASON_TEXT_MAX + 128];
	glob_t found;

	if (snprintf(pattern, sizeof(pattern), "%s/frozen.*", state_dir) >= (int)sizeof(pattern) ||
	    glob(pattern, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		struct freeze *f = calloc(1, sizeof(*f));
		char why[REASON_TEXT_MAX] = "its thaw could not be started";
		bool held;

		if (f && freeze_spawn(f, found.gl_pathv[i], FREEZER_THAW) == 0) {
			if (freeze_thawed(f, &held, why))
				snprintf(why, sizeof(why), "the freezer was lost");
			freeze_end(f);
		} else {
			free(f);
		}
		snprintf(text, sizeof(text), "VMs that were left frozen are thawed%s%s",
			 why[0] ? ": " : "", why);
		each(text);
	}
	globfree(&found);
}
