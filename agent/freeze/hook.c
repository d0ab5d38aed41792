// SPDX-License-Identifier: GPL-2.0-or-later
#include "freeze/member.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"

static int hook_spawn(const struct freeze_vm *vm, const char *collection, const char *action,
		      pid_t *ret)
{
	char env_action[64], env_vm[128], env_collection[128];
	char *const argv[] = { (char *)vm->hook, (char *)action, (char *)vm->name, NULL };
	char *const envp[] = {
		(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		env_action, env_vm, env_collection, NULL,
	};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int err;

	snprintf(env_action, sizeof(env_action), "TIDEMARK_ACTION=%s", action);
	snprintf(env_vm, sizeof(env_vm), "TIDEMARK_VM=%s", vm->name);
	snprintf(env_collection, sizeof(env_collection), "TIDEMARK_COLLECTION=%s", collection);
	sigemptyset(&none);
	sigfillset(&defaults);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
					POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	/* What it says goes where the agent's own words go. */
	posix_spawn_file_actions_adddup2(&files, 2, 1);
	err = posix_spawn(ret, vm->hook, &files, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -err;
}

int hook_run(const struct freeze_vm *vm, const char *collection, const char *action,
	     uint64_t deadline, char *text)
{
	_cleanup_close_ int fd = -1;
	struct pollfd end;
	int status, err, ready;
	pid_t pid;

	err = hook_spawn(vm, collection, action, &pid);
	if (err) {
		snprintf(text, REASON_TEXT_MAX, "cannot run %.200s: %s", vm->hook,
			 strerrordesc_np(-err));
		return err;
	}
	fd = syscall(SYS_pidfd_open, pid, 0);
	end = (struct pollfd){ .fd = fd, .events = POLLIN };
	do
		ready = poll(&end, 1, freeze_left(deadline));
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ready <= 0) {
		snprintf(text, REASON_TEXT_MAX, "%.200s %s did not end in time and was killed",
			 vm->hook, action);
		return -ETIMEDOUT;
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	snprintf(text, REASON_TEXT_MAX, "%.200s %s failed: %s %d", vm->hook, action,
		 WIFEXITED(status) ? "exit status" : "signal",
		 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return -ECHILD;
}
