// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A failover method in a thread of its own, steered like a run.
 */
#include "service/private.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/util.h"

struct worker {
	const struct service_failover_ops *ops;
	const struct service_failover *failover;
	char *peer;
	size_t peer_size;
	int ended_fd;
	int cancel_fd;
	pthread_t thread;
	atomic_bool ended;
	int result;
	struct reason reason;
	struct progress progress;
	struct run_report report;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	w->result = w->ops->execute(w->ops->arg, w->failover, w->cancel_fd, &w->progress, w->peer,
				    w->peer_size, &w->reason);
	atomic_store(&w->progress.done, !w->result);
	/* Everything above is seen by who sees this. */
	atomic_store_explicit(&w->ended, true, memory_order_release);
	eventfd_write(w->ended_fd, 1);
	return NULL;
}

static void worker_free(struct worker *w)
{
	closep(&w->cancel_fd);
	free(w->report.disks);
	free(w);
}

int runner_failover_start(struct service *s, struct service_job *job, void **ret)
{
	struct service_job_private *p = job->private;
	struct worker *w = calloc(1, sizeof(*w));
	sigset_t all, old;
	int err = 0;

	if (!w)
		return -ENOMEM;
	w->ops = s->failover;
	w->failover = &p->failover;
	w->peer = p->peer;
	w->peer_size = sizeof(p->peer);
	w->ended_fd = s->fd;
	w->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->cancel_fd < 0)
		err = -errno;
	w->report.disks = calloc(p->failover.config->disk_count + 1, sizeof(*w->report.disks));
	if (!w->report.disks)
		err = -ENOMEM;
	if (!err) {
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &old);
		err = -pthread_create(&w->thread, NULL, worker_main, w);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (err) {
		worker_free(w);
		return err;
	}
	*ret = w;
	return 0;
}

static void worker_cancel(void *run)
{
	eventfd_write(((struct worker *)run)->cancel_fd, 1);
}

static void worker_pause(void *run, bool paused)
{
}

static bool worker_ended(void *run)
{
	return atomic_load_explicit(&((struct worker *)run)->ended, memory_order_acquire);
}

static int worker_result(void *run)
{
	return ((struct worker *)run)->result;
}

static const struct reason *worker_reason(void *run)
{
	return &((struct worker *)run)->reason;
}

static const struct run_report *worker_report(void *run)
{
	return &((struct worker *)run)->report;
}

static void worker_progress(void *run, struct progress_view *ret)
{
	progress_read(&((struct worker *)run)->progress, ret);
}

static void worker_disk_progress(void *run, size_t disk, struct progress_view *ret)
{
	*ret = (struct progress_view){ .eta = UINT64_MAX };
}

static void worker_destroy(void *run)
{
	struct worker *w = run;

	worker_cancel(w);
	pthread_join(w->thread, NULL);
	worker_free(w);
}

const struct job_runner runner_failover = {
	.cancel = worker_cancel,
	.pause = worker_pause,
	.ended = worker_ended,
	.result = worker_result,
	.reason = worker_reason,
	.report = worker_report,
	.progress = worker_progress,
	.disk_progress = worker_disk_progress,
	.destroy = worker_destroy,
};
