// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/receiver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "point/retain.h"
#include "receive/connection.h"
#include "receive/berth.h"
#include "receive/places.h"
#include "receive/refuse.h"
#include "ring/ring.h"
#include "tls/context.h"
#include "wire/frame.h"

#define RECEIVER_RING_DEPTH 32
#define PEER_SIZE (NI_MAXHOST + NI_MAXSERV + 4)

/*
 * A peer that vanishes without a word is noticed by the kernel: after 15 s of
 * silence it is asked, and after three unanswered questions the connection
 * fails; bytes that it does not acknowledge fail it after 30 s. So a dead
 * sender keeps its collection for half a minute at most.
 */
#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_INTERVAL_S 5
#define KEEPALIVE_COUNT 3
#define UNACKNOWLEDGED_MS 30000

/* struct service - a connection's thread; in the list until it was joined */
struct service {
	struct place place;
	struct receiver *receiver;
	pthread_t thread;
	int fd;
	struct tls_context *tls;
	char peer[PEER_SIZE];
};

/*
 * @stop: set once; every thread looks at it
 * @wake_fd: readable when the accepting thread is to look
 * @tidy_fd: the merging thread waits for it
 * @services: of the accepting thread alone
 */
struct receiver {
	struct receiver_limits limits;
	struct store *store;
	struct connection_config connection;
	struct peers *peers;
	struct berths *lanes;
	char *tls_dir;
	struct tls_context *tls; /* of the accepting thread alone, once it runs */
	atomic_bool stop;
	int listen_fd;
	int wake_fd;
	int tidy_fd;
	uint16_t port;
	pthread_t accept_thread;
	pthread_t merge_thread;
	bool accepting;
	bool merging;
	struct place *services;
};

/* -- listening ----------------------------------------------------------------------- */

static int listen_on(const struct addrinfo *a)
{
	_cleanup_close_ int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
					a->ai_protocol);
	int one = 1;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, 64))
		return -errno;
	return TAKE_FD(fd);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size))
		return 0;
	if (address.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static int receiver_listen(struct receiver *r, const struct receiver_config *config,
			   struct reason *reason)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE };
	const char *host = config->host ? config->host : "127.0.0.1";
	struct addrinfo *list;
	char port[8];
	int err;

	snprintf(port, sizeof(port), "%u", config->port);
	err = getaddrinfo(host, port, &hints, &list);
	if (err)
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "%s is no address to listen on: %s", host, gai_strerror(err));
	r->listen_fd = -EADDRNOTAVAIL;
	for (struct addrinfo *a = list; a && r->listen_fd < 0; a = a->ai_next)
		r->listen_fd = listen_on(a);
	freeaddrinfo(list);
	if (r->listen_fd < 0)
		return reason_set(reason, r->listen_fd, REASON_NOT_AVAILABLE,
				  "cannot listen on %s port %u: %s", host, config->port,
				  strerror(-r->listen_fd));
	r->port = port_of(r->listen_fd);
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

/* -- connections --------------------------------------------------------------------- */

static void *service_main(void *arg)
{
	struct service *s = arg;
	uint64_t one = 1;
	struct connection_socket socket = {
		.fd = s->fd,
		.peer = s->peer,
		.tls = s->tls,
		.admitted = &s->place.admitted,
		.lane = &s->place.lane,
	};

	connection_run(&s->receiver->connection, &socket);
	s->place.ended = true;
	(void)!write(s->receiver->wake_fd, &one, sizeof(one));
	return NULL;
}

/* Join what has ended, or, when stopping, everything. */
static void receiver_reap(struct receiver *r, bool all)
{
	struct place **at = &r->services;

	while (*at) {
		struct service *s = container_of(*at, struct service, place);

		if (!s->place.ended && !all) {
			at = &s->place.next;
			continue;
		}
		pthread_join(s->thread, NULL);
		close(s->fd);
		tls_context_unref(s->tls);
		*at = s->place.next;
		free(s);
	}
}

static void socket_tune(int fd)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{ IPPROTO_TCP, TCP_NODELAY, 1 },
		{ SOL_SOCKET, SO_KEEPALIVE, 1 },
		{ IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S },
		{ IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S },
		{ IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT },
		{ IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS },
	};

	/* None of these can fail on a TCP socket; without them all is slower, not wrong. */
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

static void peer_name(const struct sockaddr_storage *address, socklen_t size, char ret[PEER_SIZE])
{
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (getnameinfo((const struct sockaddr *)address, size, host, sizeof(host), port,
			sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(ret, PEER_SIZE, "a peer");
	else
		snprintf(ret, PEER_SIZE, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int receiver_serve(struct receiver *r, int fd, const char *peer,
			  const uint8_t host[PLACE_HOST_SIZE])
{
	struct service *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->receiver = r;
	s->fd = fd;
	s->place.since_ms = now_ms();
	memcpy(s->place.host, host, PLACE_HOST_SIZE);
	s->tls = tls_context_ref(r->tls);
	memcpy(s->peer, peer, PEER_SIZE);
	err = pthread_create(&s->thread, NULL, service_main, s);
	if (err) {
		tls_context_unref(s->tls);
		free(s);
		return -err;
	}
	s->place.next = r->services;
	r->services = &s->place;
	return 0;
}

/* Certificates that were renewed, or revoked, count from the next connection on. */
static void receiver_renew(struct receiver *r)
{
	struct tls_context *fresh;
	struct reason reason = { 0 };

	if (!r->tls || !tls_context_stale(r->tls))
		return;
	if (tls_context_create(&fresh, r->tls_dir, TLS_SERVER, &reason)) {
		log_error("the certificates have changed and cannot be used, the old ones "
			  "hold: %s", reason.text);
		return;
	}
	tls_context_unref(r->tls);
	r->tls = fresh;
	log_notice("the certificates have changed and are in use");
}

/*
 * Whoever has a place that is wanted, and has not shown for a while that it may be here,
 * leaves it: a flood of half-open connections keeps nobody out for long.
 */
static void receiver_make_room(struct receiver *r, struct place *leaves)
{
	struct service *s = container_of(leaves, struct service, place);

	log_warning("%s: its place is needed, and it has not said who it is", s->peer);
	shutdown(s->fd, SHUT_RDWR);
	for (int n = 0; n < 100 && !leaves->ended; n++)
		poll(NULL, 0, 10);
	receiver_reap(r, false);
}

/* Is there a place for one more from @host? Return: 0, or @reason is filled. */
static int receiver_admit(struct receiver *r, const uint8_t host[PLACE_HOST_SIZE],
			  struct reason *reason)
{
	const struct receiver_limits *l = &r->limits;
	const struct place_limits limits = {
		.all = l->connections,
		.strangers = l->strangers,
		.host = l->per_peer,
		.named = r->tls != NULL,
	};
	enum place_verdict verdict;
	struct place *leaves;

	verdict = places_judge(r->services, &limits, host, now_ms(), &leaves);
	if (leaves) {
		receiver_make_room(r, leaves);
		verdict = places_judge(r->services, &limits, host, now_ms(), &leaves);
	}
	switch (verdict) {
	case PLACE_FREE:
		return 0;
	case PLACE_NONE:
		return reason_set(reason, -EBUSY, REASON_IN_USE,
				  "%u connections are served already", l->connections);
	case PLACE_STRANGERS:
		return reason_set(reason, -EBUSY, REASON_IN_USE,
				  "%u connections that have not said who they are, are served "
				  "already", l->strangers);
	case PLACE_HOST:
		break;
	}
	return reason_set(reason, -EBUSY, REASON_IN_USE,
			  "%u connections of that host are served already", l->per_peer);
}

static void receiver_accept(struct receiver *r)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	struct reason reason = { 0 };
	uint8_t host[PLACE_HOST_SIZE];
	char peer[PEER_SIZE];
	int fd = accept4(r->listen_fd, (struct sockaddr *)&address, &size, SOCK_CLOEXEC);

	if (fd < 0) {
		/* Out of descriptors or memory: a moment, or this spins. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			log_error("cannot accept a connection: %s", strerror(errno));
			poll(NULL, 0, 100);
		}
		return;
	}
	peer_name(&address, size, peer);
	socket_tune(fd);
	receiver_renew(r);
	place_host(&address, host);
	if (!receiver_admit(r, host, &reason) && receiver_serve(r, fd, peer, host))
		reason_set(&reason, -ENOMEM, REASON_NO_MEMORY, "no memory for a connection");
	if (!reason.code)
		return;
	log_about(LOG_WARNING, &(struct log_fields){ .event = LOG_EVENT_SENDER_REFUSED,
						     .code = reason.code },
		  "%s: refused: %s", peer, reason.text);
	if (!r->tls)
		refuse_send(fd, NULL, &reason, false);
	close(fd);
}

static void *accept_main(void *arg)
{
	struct receiver *r = arg;
	struct pollfd fds[] = {
		{ .fd = r->listen_fd, .events = POLLIN },
		{ .fd = r->wake_fd, .events = POLLIN },
	};
	uint64_t count;

	while (!r->stop) {
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		if (fds[1].revents)
			(void)!read(r->wake_fd, &count, sizeof(count));
		receiver_reap(r, false);
		if (fds[0].revents && !r->stop)
			receiver_accept(r);
	}
	receiver_reap(r, true);
	return NULL;
}

/* -- merging what was left over ------------------------------------------------------- */

struct merge {
	struct receiver *receiver;
	const char *collection;
};

/* A run that arrives does not wait for a merge: the merge is done after it, anew. */
static int merge_stopping(void *arg)
{
	const struct merge *m = arg;

	return m->receiver->stop || store_wanted(m->receiver->store, m->collection) ? -ECANCELED :
										      0;
}

static void merge_collection(struct receiver *r, const char *collection, struct ring *ring)
{
	struct merge merge = { r, collection };
	struct merge_tick tick = { merge_stopping, &merge };
	struct reason reason = { 0 };
	int err;

	/* In use: then who uses it merges, before anything else. */
	if (store_claim(r->store, collection, 0, &reason))
		return;
	err = retain_run(r->store, collection, ring, &tick, &reason);
	if (err == -ECANCELED)
		log_info("%s: a merge is put off", collection);
	else if (err)
		log_error("%s: a committed point stays an overlay for now: %s", collection,
			  reason.text);
	store_release(r->store, collection);
}

static void merge_all(struct receiver *r, struct ring *ring)
{
	char collection[NAME_SIZE] = "";

	while (!r->stop && retain_pending(r->store, collection, collection) > 0)
		merge_collection(r, collection, ring);
}

/* Somebody may have mended what kept a collection from being cleared up. */
static void mend_collection(struct receiver *r, const char *collection)
{
	struct log_fields fields = { .collection = collection };
	struct reason reason = { 0 };

	/* In use: then who uses it has mended it. */
	if (store_claim(r->store, collection, 0, NULL))
		return;
	if (store_mend(r->store, collection, &reason)) {
		fields.code = reason.code;
		log_about(LOG_ERR, &fields, "%s", reason.text);
	}
	store_release(r->store, collection);
}

static void mend_all(struct receiver *r)
{
	char collection[NAME_SIZE] = "";

	while (!r->stop && store_next_fault(r->store, collection, collection))
		mend_collection(r, collection);
}

static void *merge_main(void *arg)
{
	struct receiver *r = arg;
	struct ring *ring;
	uint64_t count;

	if (ring_create(&ring, RECEIVER_RING_DEPTH))
		return NULL; /* connections will say so, and merge */
	merge_all(r, ring);
	/* What could not be cleared up at the start is tried again when somebody asks for it. */
	while (!r->stop && read(r->tidy_fd, &count, sizeof(count)) > 0) {
		mend_all(r);
		merge_all(r, ring);
	}
	ring_destroy(ring);
	return NULL;
}

/* -- create, destroy ------------------------------------------------------------------ */

static void limits_default(struct receiver_limits *l)
{
	l->connections = l->connections ? l->connections : 16;
	l->strangers = l->strangers ? l->strangers : u64_max(l->connections * 3 / 4, 1);
	l->per_peer = l->per_peer ? l->per_peer : u64_max(l->connections / 2, 1);
	l->disks = l->disks ? l->disks : FRAME_DISKS_MAX;
	l->handshake_ms = l->handshake_ms ? l->handshake_ms : 10000;
	l->idle_ms = l->idle_ms ? l->idle_ms : 60000;
	l->busy_ms = l->busy_ms ? l->busy_ms : 8000;
}

static int receiver_start(struct receiver *r, struct reason *reason)
{
	int err = pthread_create(&r->accept_thread, NULL, accept_main, r);

	r->accepting = !err;
	if (!err) {
		err = pthread_create(&r->merge_thread, NULL, merge_main, r);
		r->merging = !err;
	}
	return err ? reason_set(reason, -err, 0, "cannot start a thread: %s", strerror(err)) : 0;
}

static int receiver_init(struct receiver *r, const struct receiver_config *config,
			 struct reason *reason)
{
	int err;

	err = berths_create(&r->lanes);
	if (!err)
		err = peers_create(&r->peers);
	if (!err)
		err = peers_set(r->peers, config->peers, config->peer_count);
	if (err)
		return reason_set(reason, err, 0, "no memory for a receiver");
	if (config->tls_dir) {
		r->tls_dir = strdup(config->tls_dir);
		if (!r->tls_dir)
			return reason_set(reason, -ENOMEM, 0, "no memory for a receiver");
		err = tls_context_create(&r->tls, r->tls_dir, TLS_SERVER, reason);
		if (err)
			return err;
	} else if (!config->plain_allowed)
		return reason_set(reason, -EOPNOTSUPP, REASON_NOT_SUPPORTED,
				  "nothing is received: TCP without TLS was not allowed by name");
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->wake_fd < 0)
		return reason_set(reason, -errno, 0, "cannot make an event descriptor");
	r->tidy_fd = eventfd(0, EFD_CLOEXEC);
	if (r->tidy_fd < 0)
		return reason_set(reason, -errno, 0, "cannot make an event descriptor");
	err = store_open(config->store_dir, config->state_path, config->targets,
			 config->target_count, &r->store, reason);
	if (!err)
		store_set_history(r->store, config->history, config->history_max);
	if (!err)
		err = store_recover(r->store, reason);
	if (!err)
		err = receiver_listen(r, config, reason);
	if (err)
		return err;
	r->connection = (struct connection_config){
		.store = r->store,
		.limits = &r->limits,
		.stop = &r->stop,
		.peers = r->peers,
		.trackers = config->trackers,
		.lanes = r->lanes,
	};
	return receiver_start(r, reason);
}

int receiver_create(const struct receiver_config *config, struct receiver **ret,
		    struct reason *reason)
{
	struct receiver *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return reason_set(reason, -ENOMEM, 0, "no memory for a receiver");
	r->listen_fd = -1;
	r->wake_fd = -1;
	r->tidy_fd = -1;
	r->limits = config->limits;
	limits_default(&r->limits);
	err = receiver_init(r, config, reason);
	if (err) {
		receiver_destroy(r);
		return reason_set(reason, err, 0, "cannot receive: %s", strerror(-err));
	}
	*ret = r;
	return 0;
}

struct receiver *receiver_destroy(struct receiver *r)
{
	uint64_t one = 1;

	if (!r)
		return NULL;
	r->stop = true;
	if (r->wake_fd >= 0)
		(void)!write(r->wake_fd, &one, sizeof(one));
	receiver_tidy(r);
	if (r->accepting)
		pthread_join(r->accept_thread, NULL);
	if (r->merging)
		pthread_join(r->merge_thread, NULL);
	closep(&r->listen_fd);
	closep(&r->wake_fd);
	closep(&r->tidy_fd);
	store_close(r->store);
	peers_destroy(r->peers);
	berths_destroy(r->lanes);
	tls_context_unref(r->tls);
	free(r->tls_dir);
	free(r);
	return NULL;
}

struct store *receiver_store(struct receiver *r)
{
	return r->store;
}

void receiver_tidy(struct receiver *r)
{
	uint64_t one = 1;

	if (r->tidy_fd >= 0)
		(void)!write(r->tidy_fd, &one, sizeof(one));
}

int receiver_set_peers(struct receiver *r, const struct receiver_peer *peers, size_t count)
{
	return peers_set(r->peers, peers, count);
}

uint16_t receiver_port(const struct receiver *r)
{
	return r->port;
}

int receiver_status(struct receiver *r,
		    int (*cb)(const struct store_replica *replica, void *arg), void *arg)
{
	return store_status(r->store, cb, arg);
}
