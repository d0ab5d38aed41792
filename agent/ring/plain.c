// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine for hosts that refuse io_uring: pread, pwrite and poll.
 *
 *   queue ──► files (read, write, fsync) ──► pool of at most PLAIN_THREADS ──┐
 *        └──► sockets, timeouts, polls  ──► poll() by the ring's own thread ─┴► ended
 *
 * A file always blocks, so it takes a thread; threads start when there is work
 * for them and end with the engine. All else is asked of poll(), and done
 * without waiting. An operation is in one list at a time, and says in which one.
 *
 * @lock covers the two lists that the pool shares with the ring's thread, and
 * the counts; the list of waiters is the ring's thread's own.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "base/util.h"
#include "ring/engine.h"

#define PLAIN_THREADS 4u
#define PLAIN_THREAD_NAME "tidemark-files"

/* Where an operation is. */
enum place {
	PLACE_QUEUED,	/* for the pool */
	PLACE_MOVING,	/* a thread has it */
	PLACE_WAITING,	/* for poll() */
	PLACE_ENDED,	/* for ring_complete() */
};

struct list {
	struct ring_op *first;
	struct ring_op **last;
	unsigned int count;
};

struct engine {
	struct ring *ring;
	struct list waiting;
	struct pollfd *fds;
	unsigned int fds_count;
	int wake_fd;
	unsigned int threads_max;
	pthread_t threads[PLAIN_THREADS];

	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list queued;
	struct list ended;
	unsigned int thread_count;
	unsigned int idle;
	bool stop;
};

/* -- lists ------------------------------------------------------------------ */

static void list_init(struct list *l)
{
	*l = (struct list){ .last = &l->first };
}

static void list_add(struct list *l, struct ring_op *op, enum place place)
{
	op->next = NULL;
	op->place = place;
	*l->last = op;
	l->last = &op->next;
	l->count++;
}

/* @link points at the operation, inside of @l. */
static struct ring_op *list_take(struct list *l, struct ring_op **link)
{
	struct ring_op *op = *link;

	*link = op->next;
	if (!op->next)
		l->last = link;
	l->count--;
	return op;
}

static void list_remove(struct list *l, struct ring_op *op)
{
	struct ring_op **link = &l->first;

	while (*link != op)
		link = &(*link)->next;
	list_take(l, link);
}

/* -- files: the pool -------------------------------------------------------- */

static int64_t file_move(struct ring_op *op)
{
	struct iovec *v = &op->iov[op->iov_first];
	int64_t n;

	if (op->kind == RING_READ)
		n = pread(op->fd, v->iov_base, v->iov_len, op->offset + op->moved);
	else if (op->kind == RING_WRITE)
		n = pwrite(op->fd, v->iov_base, v->iov_len, op->offset + op->moved);
	else
		n = fdatasync(op->fd);
	return n < 0 ? -errno : n;
}

static void *pool_main(void *arg)
{
	struct engine *e = arg;

	pthread_setname_np(pthread_self(), PLAIN_THREAD_NAME);
	pthread_mutex_lock(&e->lock);
	while (!e->stop) {
		struct ring_op *op;
		int64_t result;

		if (!e->queued.first) {
			e->idle++;
			pthread_cond_wait(&e->work, &e->lock);
			e->idle--;
			continue;
		}
		op = list_take(&e->queued, &e->queued.first);
		op->place = PLACE_MOVING;
		pthread_mutex_unlock(&e->lock);
		result = file_move(op);
		pthread_mutex_lock(&e->lock);
		op->result = result;
		if (!e->ended.first)
			eventfd_write(e->wake_fd, 1);
		list_add(&e->ended, op, PLACE_ENDED);
	}
	pthread_mutex_unlock(&e->lock);
	return NULL;
}

/* Called with the lock held. No thread to be had at all: it is done right here. */
static void pool_queue(struct engine *e, struct ring_op *op)
{
	list_add(&e->queued, op, PLACE_QUEUED);
	if (e->queued.count > e->idle && e->thread_count < e->threads_max &&
	    pthread_create(&e->threads[e->thread_count], NULL, pool_main, e) == 0)
		e->thread_count++;
	if (e->thread_count) {
		pthread_cond_signal(&e->work);
		return;
	}
	list_remove(&e->queued, op);
	op->result = file_move(op);
	list_add(&e->ended, op, PLACE_ENDED);
}

/* -- all else: poll --------------------------------------------------------- */

static void now_get(struct timespec *ret)
{
	clock_gettime(CLOCK_MONOTONIC, ret);
}

/* A timeout's time becomes the moment at which it ends. */
static void timeout_begin(struct ring_op *op)
{
	struct timespec now;

	now_get(&now);
	op->u.time.sec += now.tv_sec;
	op->u.time.nsec += now.tv_nsec;
	if (op->u.time.nsec >= 1000000000) {
		op->u.time.sec++;
		op->u.time.nsec -= 1000000000;
	}
}

/* Milliseconds, rounded up; 0: it has ended */
static int64_t timeout_left(const struct ring_op *op, const struct timespec *now)
{
	int64_t ns = (op->u.time.sec - now->tv_sec) * 1000000000 + op->u.time.nsec - now->tv_nsec;

	return ns > 0 ? (ns + 999999) / 1000000 : 0;
}

static int64_t socket_move(struct ring_op *op)
{
	struct iovec *v = &op->iov[op->iov_first];
	struct msghdr msg = { .msg_iov = v, .msg_iovlen = op->iov_count - op->iov_first };
	int64_t n;

	if (op->kind == RING_SEND)
		n = sendmsg(op->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	else
		n = recv(op->fd, v->iov_base, v->iov_len, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

/* Return: the result, or -EAGAIN: it waits on */
static int64_t waiter_try(struct ring_op *op, short revents, const struct timespec *now)
{
	if (op->kind == RING_TIMEOUT)
		return timeout_left(op, now) ? -EAGAIN : 0;
	if (!revents)
		return -EAGAIN;
	return op->kind == RING_POLL ? revents : socket_move(op);
}

/* What is waited for, in the order of the list; the pool's descriptor comes first. */
static int poll_prepare(struct engine *e, bool wait, int *ret_ms)
{
	unsigned int count = e->waiting.count + 1, i = 0;
	int64_t ms = -1;
	struct timespec now;

	if (count > e->fds_count) {
		struct pollfd *fds = realloc(e->fds, count * sizeof(*fds));

		if (!fds)
			return -ENOMEM;
		e->fds = fds;
		e->fds_count = count;
	}
	now_get(&now);
	e->fds[i++] = (struct pollfd){ .fd = e->wake_fd, .events = POLLIN };
	for (struct ring_op *op = e->waiting.first; op; op = op->next) {
		e->fds[i++] = (struct pollfd){
			.fd = op->kind == RING_TIMEOUT ? -1 : op->fd,
			.events = op->kind == RING_SEND ? POLLOUT : POLLIN,
		};
		if (op->kind == RING_TIMEOUT && (ms < 0 || timeout_left(op, &now) < ms))
			ms = timeout_left(op, &now);
		/* poll() would pass it over, and wait for ever */
		if (op->kind != RING_TIMEOUT && op->fd < 0)
			wait = false;
	}
	*ret_ms = !wait ? 0 : ms > INT32_MAX ? INT32_MAX : (int)ms;
	return 0;
}

static void poll_collect(struct engine *e, struct list *ended)
{
	struct ring_op **link = &e->waiting.first;
	struct timespec now;
	eventfd_t unused;

	if (e->fds[0].revents)
		eventfd_read(e->wake_fd, &unused);
	now_get(&now);
	for (unsigned int i = 1; *link; i++) {
		/* of what is no descriptor the call itself has the error */
		int64_t result = waiter_try(*link, (*link)->fd < 0 ? POLLNVAL : e->fds[i].revents,
					    &now);

		if (result == -EAGAIN || result == -EINTR) {
			link = &(*link)->next;
			continue;
		}
		(*link)->result = result;
		list_add(ended, list_take(&e->waiting, link), PLACE_ENDED);
	}
}

/* -- the engine ------------------------------------------------------------- */

static int plain_create(struct engine **ret, struct ring *ring, unsigned int depth,
			enum ring_zero *zero, const char **ret_name)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (e->wake_fd < 0) {
		int err = -errno;

		free(e);
		return err;
	}
	e->ring = ring;
	e->threads_max = depth < PLAIN_THREADS ? depth : PLAIN_THREADS;
	list_init(&e->waiting);
	list_init(&e->queued);
	list_init(&e->ended);
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->work, NULL);
	*ret = e;
	*zero = RING_ZERO_NEVER;
	*ret_name = "pread/pwrite (as " RING_ENGINE_VARIABLE " says)";
	return 0;
}

static void plain_destroy(struct engine *e)
{
	pthread_mutex_lock(&e->lock);
	e->stop = true;
	pthread_cond_broadcast(&e->work);
	pthread_mutex_unlock(&e->lock);
	for (unsigned int i = 0; i < e->thread_count; i++)
		pthread_join(e->threads[i], NULL);
	pthread_cond_destroy(&e->work);
	pthread_mutex_destroy(&e->lock);
	close(e->wake_fd);
	free(e->fds);
	free(e);
}

static void plain_queue(struct engine *e, struct ring_op *op)
{
	switch (op->kind) {
	case RING_READ:
	case RING_WRITE:
	case RING_FSYNC:
		pthread_mutex_lock(&e->lock);
		pool_queue(e, op);
		pthread_mutex_unlock(&e->lock);
		break;
	case RING_TIMEOUT:
		timeout_begin(op);
		list_add(&e->waiting, op, PLACE_WAITING);
		break;
	default:
		list_add(&e->waiting, op, PLACE_WAITING);
		break;
	}
}

/* What a thread has begun ends by itself. */
static void plain_cancel(struct engine *e, struct ring_op *op)
{
	pthread_mutex_lock(&e->lock);
	if (op->place == PLACE_WAITING || op->place == PLACE_QUEUED) {
		list_remove(op->place == PLACE_WAITING ? &e->waiting : &e->queued, op);
		op->result = -ECANCELED;
		list_add(&e->ended, op, PLACE_ENDED);
	}
	pthread_mutex_unlock(&e->lock);
}

/*
 * Files that end all the time must not keep the sockets and timeouts waiting:
 * poll() is asked each time, and waits only when nothing has ended yet.
 */
static int plain_run(struct engine *e)
{
	struct list ended;
	bool wait;
	int ms, err;

	pthread_mutex_lock(&e->lock);
	wait = !e->ended.first;
	pthread_mutex_unlock(&e->lock);
	err = poll_prepare(e, wait, &ms);
	if (err)
		return err;
	if (poll(e->fds, e->waiting.count + 1, ms) < 0)
		return -errno;
	list_init(&ended);
	poll_collect(e, &ended);
	pthread_mutex_lock(&e->lock);
	while (e->ended.first)
		list_add(&ended, list_take(&e->ended, &e->ended.first), PLACE_ENDED);
	pthread_mutex_unlock(&e->lock);
	while (ended.first) {
		struct ring_op *op = list_take(&ended, &ended.first);

		ring_complete(e->ring, op, op->result);
	}
	return 0;
}

const struct engine_ops engine_plain = {
	.create = plain_create,
	.destroy = plain_destroy,
	.queue = plain_queue,
	.cancel = plain_cancel,
	.run = plain_run,
};
