// SPDX-License-Identifier: GPL-2.0-or-later
#include "failover/export.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define EXPORT_PROGRAM "qemu-nbd"
/* Until the socket is there: 10 s, in steps. */
#define EXPORT_TRIES 200
#define EXPORT_STEP_NS 50000000l

struct export {
	struct export *next;
	char collection[NAME_SIZE];
	char *socket;
	pid_t pid;
};

/*
 * A child is told when the *thread* that made it ends, which for a method's is
 * soon. So one thread makes all of them, and ends with the agent.
 *
 * @lock: covers @argv, @pid and @stop; @asked wakes the thread, @done who asked
 * @argv: of the child that is wanted; NULL: none is
 */
struct exports {
	struct export *list;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t asked;
	pthread_cond_t done;
	char *const *argv;
	pid_t pid;
	bool stop;
};

static bool export_answers(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address));
}

/* In the child: nothing but what may be called between fork and exec. */
static void export_child(char *const *argv, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == parent)
		execvp(argv[0], argv);
	_exit(127);
}

static pid_t export_fork(char *const *argv)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0)
		export_child(argv, parent);
	return pid < 0 ? -errno : pid;
}

static void *exports_main(void *arg)
{
	struct exports *e = arg;

	pthread_mutex_lock(&e->lock);
	while (!e->stop) {
		if (!e->argv) {
			pthread_cond_wait(&e->asked, &e->lock);
			continue;
		}
		e->pid = export_fork(e->argv);
		e->argv = NULL;
		pthread_cond_broadcast(&e->done);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

static pid_t exports_spawn(struct exports *e, char *const *argv)
{
	pid_t pid;

	pthread_mutex_lock(&e->lock);
	e->argv = argv;
	pthread_cond_signal(&e->asked);
	while (e->argv)
		pthread_cond_wait(&e->done, &e->lock);
	pid = e->pid;
	pthread_mutex_unlock(&e->lock);
	return pid;
}

static int export_wait(struct export *e, struct reason *reason)
{
	const struct timespec step = { .tv_nsec = EXPORT_STEP_NS };
	int status;

	for (int i = 0; i < EXPORT_TRIES; i++) {
		if (export_answers(e->socket))
			return 0;
		if (waitpid(e->pid, &status, WNOHANG) == e->pid) {
			e->pid = 0;
			if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
				return reason_set(reason, -ENOENT, REASON_NOT_AVAILABLE,
						  EXPORT_PROGRAM " is not installed");
			return reason_set(reason, -EIO, REASON_FAILED,
					  EXPORT_PROGRAM " ended at once, the journal says why");
		}
		nanosleep(&step, NULL);
	}
	return reason_set(reason, -ETIMEDOUT, REASON_TIMEOUT, EXPORT_PROGRAM " does not answer");
}

static void export_free(struct export *e)
{
	if (e->pid > 0) {
		kill(e->pid, SIGTERM);
		waitpid(e->pid, NULL, 0);
	}
	unlink(e->socket);
	free(e->socket);
	free(e);
}

int exports_start(struct exports *exports, const char *collection, const char *file,
		  const char *socket, struct reason *reason)
{
	struct export *e = calloc(1, sizeof(*e));
	char at[300];
	char *argv[] = {
		(char *)EXPORT_PROGRAM, (char *)"--persistent", (char *)"--shared=8",
		(char *)"--format=qcow2", (char *)"--cache=writeback", (char *)"--discard=unmap",
		at, (char *)file, NULL,
	};
	int err;

	if (!e)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	e->socket = strdup(socket);
	if (!e->socket || strlen(socket) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
		free(e->socket);
		free(e);
		return reason_set(reason, -ENAMETOOLONG, REASON_INVALID_PARAMETER,
				  "the path of a socket is too long: %s", socket);
	}
	snprintf(e->collection, sizeof(e->collection), "%s", collection);
	snprintf(at, sizeof(at), "--socket=%s", socket);
	unlink(socket);
	e->pid = exports_spawn(exports, argv);
	err = e->pid < 0 ? e->pid : export_wait(e, reason);
	if (err) {
		export_free(e);
		return reason_set(reason, err, 0, "cannot start " EXPORT_PROGRAM ": %s",
				  strerror(-err));
	}
	e->next = exports->list;
	exports->list = e;
	return 0;
}

void exports_stop(struct exports *exports, const char *collection)
{
	struct export **at = &exports->list;

	while (*at) {
		struct export *e = *at;

		if (collection && strcmp(e->collection, collection)) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		export_free(e);
	}
}

int exports_create(struct exports **ret)
{
	struct exports *e = calloc(1, sizeof(*e));
	sigset_t all, old;
	int err;

	if (!e)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->asked, NULL);
	pthread_cond_init(&e->done, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&e->thread, NULL, exports_main, e);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		free(e);
		return -err;
	}
	*ret = e;
	return 0;
}

struct exports *exports_destroy(struct exports *e)
{
	if (!e)
		return NULL;
	exports_stop(e, NULL);
	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_cond_signal(&e->asked);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	pthread_cond_destroy(&e->asked);
	pthread_cond_destroy(&e->done);
	pthread_mutex_destroy(&e->lock);
	free(e);
	return NULL;
}
