// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemarkd: the agent. It puts the parts together and takes them apart in the
 * opposite order; nothing else happens here.
 *
 * Threads: this one runs the event loop (signals, D-Bus, the service).
 * Each run has one, see send/sender.h; the receiver has its own, see
 * receive/receiver.h. SIGTERM, SIGINT and SIGHUP are blocked before the first of them starts.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/log.h"
#include "base/util.h"
#include "bus/bus.h"
#include "config/config.h"
#include "failover/failover.h"
#include "failover/tracker.h"
#include "freeze/freeze.h"
#include "ring/ring.h"
#include "service/loop.h"
#include "tls/context.h"
#include "watch/loop.h"

struct options {
	const char *config;
	const char *bus;
	bool receiver;
};

#define DAY_US (24ull * 3600 * 1000000)

struct agent {
	const char *config_path;
	struct config *config; /* until the service takes it */
	int state_fd; /* locked: the state has one agent */
	struct service *service;
	struct service_loop *loop;
	struct receiver *receiver;
	struct failover *failover;
	struct bus *bus;
	struct watch_loop *watch;
	sd_event_source *after;
	uint64_t watched; /* service_changes() when the watch was set */
	uint64_t lost; /* events, as last said */
	sd_event *event;
};

static const char usage[] =
	"Usage: tidemarkd [OPTION]...\n"
	"Replicate VM disks: send what changed, receive what others send.\n"
	"\n"
	"  --config FILE   configuration (" CONFIG_PATH ")\n"
	"  --bus ADDRESS   D-Bus: system, none, or an address; overrides the configuration\n"
	"  --receiver      receive, also without a [receiver] section\n"
	"  --print-states  print the tables of the state machines, and end\n"
	"  --foreground    stay in the foreground (always)\n"
	"  --version       print the version\n"
	"  --help          print this\n";

/* Return: 0: go on, 1: done, negative: wrong usage. */
static int options_parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "bus", required_argument, NULL, 'b' },
		{ "receiver", no_argument, NULL, 'r' },
		{ "print-states", no_argument, NULL, 'S' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:b:rfVh", names, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config = optarg;
			break;
		case 'b':
			o->bus = optarg;
			break;
		case 'r':
			o->receiver = true;
			break;
		case 'f':
			break;
		case 'S':
			model_print(stdout);
			return 1;
		case 'V':
			puts("tidemarkd " TIDEMARK_VERSION);
			return 1;
		case 'h':
			fputs(usage, stdout);
			return 1;
		default:
			return -EINVAL;
		}
	}
	return optind == argc ? 0 : -EINVAL;
}

/* A configuration that is wrong changes nothing: what runs goes on as it was. */
static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct agent *a = arg;
	struct reason reason = { 0 };
	struct config *config = NULL;
	int err;

	sd_notify(0, "RELOADING=1");
	err = config_load(a->config_path, &config, &reason);
	if (!err)
		err = service_reload(a->service, config, &reason);
	if (err) {
		config_free(config);
		log_about(LOG_ERR, &(struct log_fields){ .event = LOG_EVENT_RELOAD_REFUSED },
			  "%s; the configuration as it was holds", reason.text);
	} else {
		const struct config *now = service_config(a->service);

		log_set_level(now->log_level);
		if (a->receiver && receiver_set_peers(a->receiver, now->peers, now->peer_count))
			log_warning("out of memory: senders may what they might before");
		if (a->receiver)
			receiver_tidy(a->receiver);
		log_about(LOG_INFO, &(struct log_fields){ .event = LOG_EVENT_RELOADED },
			  "the configuration was read again, %zu collections",
			  service_count(a->service));
	}
	sd_notify(0, "READY=1");
	return 0;
}

static void on_certificate(void *owner, const char *text)
{
	log_warning("%s", text);
}

/* What will end soon is said at each start, and once a day. */
static void tls_warn(const struct config *c)
{
	static const enum tls_role roles[] = { TLS_CLIENT, TLS_SERVER };

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		struct tls_context *context;

		/* Those who have none, or need none, are told when they use them. */
		if (tls_context_create(&context, c->tls_dir, roles[i], NULL))
			continue;
		tls_context_warnings(context, on_certificate, NULL);
		tls_context_unref(context);
	}
}

static int on_day(sd_event_source *source, uint64_t now, void *arg)
{
	struct agent *a = arg;

	tls_warn(service_config(a->service));
	sd_event_source_set_time_relative(source, DAY_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int start_loop(struct agent *a, struct reason *reason)
{
	int err = sd_event_new(&a->event);

	/* NULL instead of a handler: the loop ends. */
	if (err >= 0)
		err = sd_event_add_signal(a->event, NULL, SIGTERM, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(a->event, NULL, SIGINT, NULL, NULL);
	if (err >= 0)
		err = sd_event_add_signal(a->event, NULL, SIGHUP, on_reload, a);
	/* Only if systemd asks for it. A loop that hangs does not feed it. */
	if (err >= 0)
		err = sd_event_set_watchdog(a->event, true);
	if (err >= 0)
		err = sd_event_add_time_relative(a->event, NULL, CLOCK_BOOTTIME, DAY_US, 0, on_day,
						 a);
	if (err < 0)
		return reason_set(reason, err, 0, "cannot set up the event loop: %s",
				  strerrordesc_np(-err));
	return 0;
}

static const struct collection *collection_of_device(struct agent *a, const char *device)
{
	for (size_t i = 0; i < service_count(a->service); i++) {
		const struct collection *c = service_at(a->service, i);

		for (size_t j = 0; j < c->vm_count; j++) {
			for (size_t k = 0; k < c->vms[j].disk_count; k++) {
				if (c->role == MODEL_PRIMARY &&
				    strcmp(c->vms[j].disks[k].device, device) == 0)
					return c;
			}
		}
	}
	return NULL;
}

/* Something has happened to a disk: say it at once, it may be hours to the next run. */
static void on_disk(void *owner, const struct watch_notice *n)
{
	struct agent *a = owner;
	const struct collection *c = collection_of_device(a, n->device);
	struct log_fields fields = {
		.event = n->what & WATCH_UNRELIABLE ? LOG_EVENT_UNRELIABLE : LOG_EVENT_NONE,
		.collection = c ? c->name : NULL,
	};
	bool bad = n->what & (WATCH_GONE | WATCH_REPLACED | WATCH_UNRELIABLE);

	log_about(bad ? LOG_WARNING : LOG_INFO, &fields, "%s %s", n->device, n->text);
	if (c)
		service_look(a->service, c->name);
}

static int watch_devices(struct agent *a)
{
	_cleanup_free_ const char **devices = NULL;
	size_t count = 0;

	for (size_t i = 0; i < service_count(a->service); i++) {
		const struct collection *c = service_at(a->service, i);

		for (size_t j = 0; j < c->vm_count; j++)
			count += c->vms[j].disk_count;
	}
	devices = calloc(count + 1, sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	count = 0;
	for (size_t i = 0; i < service_count(a->service); i++) {
		const struct collection *c = service_at(a->service, i);

		for (size_t j = 0; j < c->vm_count; j++) {
			const struct service_vm *vm = &c->vms[j];

			for (size_t k = 0; k < vm->disk_count; k++)
				if (c->role == MODEL_PRIMARY && vm->disks[k].tracked)
					devices[count++] = vm->disks[k].device;
		}
	}
	a->watched = service_changes(a->service);
	return watch_loop_set(a->watch, devices, count);
}

/* After each turn of the loop: a method or a reload may have brought other disks. */
static int on_after(sd_event_source *source, void *arg)
{
	struct agent *a = arg;

	if (a->lost != watch_loop_lost(a->watch)) {
		a->lost = watch_loop_lost(a->watch);
		log_notice("events of the kernel were lost: every disk was looked at");
	}
	if (a->watched != service_changes(a->service) && watch_devices(a) < 0)
		log_warning("out of memory: new disks are not watched");
	return 0;
}

static int start_watch(struct agent *a, struct reason *reason)
{
	int err = watch_loop_create(&a->watch, a->event, on_disk, a);

	if (err >= 0)
		err = watch_devices(a);
	if (err >= 0)
		err = sd_event_add_post(a->event, &a->after, on_after, a);
	if (err < 0)
		return reason_set(reason, err, 0, "cannot watch the disks: %s",
				  strerrordesc_np(-err));
	return 0;
}

static int start_receiver(struct agent *a, struct reason *reason)
{
	const struct config *c = a->config;
	struct receiver_config rc = {
		.host = c->listen_host,
		.port = c->listen_port,
		/* In the clear: for this host alone, or by name. */
		.plain_allowed = c->receiver_plain || config_loopback(c->listen_host),
		.tls_dir = config_receives_tls(c) ? c->tls_dir : NULL,
		.peers = c->peers,
		.peer_count = c->peer_count,
		.store_dir = c->store,
		.history = c->history,
		.history_max = c->history_max,
		.limits = {
			.connections = c->connections,
			.per_peer = c->connections_per_peer,
			.strangers = c->connections_unknown,
		},
		.targets = c->targets,
		.target_count = c->target_count,
		.trackers = &failover_trackers,
	};
	int err = receiver_create(&rc, &a->receiver, reason);

	if (err)
		return err;
	if (!rc.tls_dir && !config_loopback(c->listen_host))
		log_about(LOG_WARNING, &(struct log_fields){ .event = LOG_EVENT_UNENCRYPTED },
			  "listening on %s without encryption, as plain=yes says", c->listen_host);
	log_info("listening on %s, port %u%s", c->listen_host, receiver_port(a->receiver),
		 rc.tls_dir ? ", with TLS 1.3" : "");
	return 0;
}

static int start_bus(struct agent *a, const char *address, const char *engine,
		     struct reason *reason)
{
	struct bus_agent shown = {
		.service = a->service,
		.receiver = a->receiver,
		.engine = engine,
		.kernel_tls = tls_kernel_verdict,
	};

	if (strcmp(address, "none") == 0)
		return 0;
	return bus_create(&a->bus, address, a->event, &shown, reason);
}

static const char *variable_text(const char *variable)
{
	const char *value = getenv(variable);

	return value ? value : "auto";
}

/* How data will be moved, asked before anything depends on it. */
static int probe_ring(const char **ret_engine, struct reason *reason)
{
	struct ring *ring;
	int err = ring_create(&ring, 1);

	if (err == -EINVAL)
		return reason_set(reason, err, REASON_INVALID_PARAMETER,
				  "%s=%s, expected auto, io_uring or plain; %s=%s, expected auto, "
				  "always or never", RING_ENGINE_VARIABLE,
				  variable_text(RING_ENGINE_VARIABLE), RING_ZERO_VARIABLE,
				  variable_text(RING_ZERO_VARIABLE));
	if (err)
		return reason_set(reason, err, REASON_NOT_SUPPORTED, "io_uring is not to be had: %s",
				  strerrordesc_np(-err));
	*ret_engine = ring_engine(ring);
	if (ring_is_plain(ring))
		log_about(LOG_WARNING, &(struct log_fields){ .event = LOG_EVENT_ENGINE_PLAIN },
			  "data is moved without io_uring: %s", ring_engine(ring));
	ring_destroy(ring);
	return 0;
}

static void on_recovered(const char *text)
{
	log_warning("%s", text);
}

static int world_look(void *arg, const char *device, bool tracked, uint32_t granule,
		      struct source_info *ret)
{
	return source_look(device, tracked, granule, ret);
}

static int world_replicas(void *arg, int (*each)(const struct store_replica *r, void *arg),
			  void *each_arg)
{
	struct agent *a = arg;

	return a->receiver ? receiver_status(a->receiver, each, each_arg) : 0;
}

static int start_service(struct agent *a, struct reason *reason)
{
	const struct service_world world = { world_look, world_replicas, a };
	struct service_options options = { .config = a->config, .world = &world };
	int err = failover_create(&a->failover, a->receiver, reason);

	if (!err) {
		options.failover = failover_ops(a->failover);
		options.origins = failover_origins(a->failover);
		err = service_open(&a->service, &options, reason);
	}

	if (err)
		return err;
	a->config = NULL;
	err = service_loop_create(&a->loop, a->service, a->event);
	return err < 0 ? reason_set(reason, err, 0, "cannot set up the service's timers: %s",
				    strerrordesc_np(-err)) : 0;
}

/*
 * A second agent would run the jobs that the first one runs, and thaw the VMs that it has
 * frozen. On one bus the name keeps it out, but only after that, and not on another bus.
 * Where folders cannot be locked nothing is.
 */
static int lock_state(struct agent *a, const char *folder, struct reason *reason)
{
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return reason_set(reason, -errno, 0, "cannot create %s: %s", folder,
				  strerrordesc_np(errno));
	a->state_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->state_fd < 0)
		return reason_set(reason, -errno, 0, "cannot open %s: %s", folder,
				  strerrordesc_np(errno));
	if (flock(a->state_fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return reason_set(reason, -EBUSY, REASON_IN_USE,
				  "another agent uses the state in %s", folder);
	return 0;
}

static int agent_start(struct agent *a, const struct options *o, struct reason *reason)
{
	const char *bus;
	const char *engine = NULL;
	int err = config_load(o->config, &a->config, reason);

	if (!err)
		err = lock_state(a, a->config->state_dir, reason);
	if (err)
		return err;
	a->config_path = o->config;
	log_set_level(a->config->log_level);
	tls_warn(a->config);
	freeze_recover(a->config->state_dir, on_recovered);
	/* The nearest word counts: command line, configuration, environment. */
	bus = o->bus ? o->bus : a->config->bus;
	if (!bus)
		bus = getenv("TIDEMARK_BUS_ADDRESS");
	err = probe_ring(&engine, reason);
	if (!err)
		err = start_loop(a, reason);
	if (!err && (a->config->receive || o->receiver))
		err = start_receiver(a, reason);
	if (!err)
		err = start_service(a, reason);
	if (!err)
		err = start_watch(a, reason);
	if (!err)
		err = start_bus(a, bus ? bus : "system", engine, reason);
	return err;
}

static void agent_stop(struct agent *a)
{
	/* Runs before the bus: their end is still told. */
	sd_event_source_disable_unref(a->after);
	watch_loop_destroy(a->watch);
	service_stop(a->service);
	a->bus = bus_destroy(a->bus);
	service_loop_destroy(a->loop);
	service_close(a->service);
	failover_destroy(a->failover);
	receiver_destroy(a->receiver);
	sd_event_unref(a->event);
	config_free(a->config);
	if (a->state_fd >= 0)
		close(a->state_fd);
}

int main(int argc, char **argv)
{
	struct options options = { .config = CONFIG_PATH };
	struct reason reason = { 0 };
	struct agent agent = { .state_fd = -1 };
	sigset_t blocked;
	int err;

	if (argc > 1 && strcmp(argv[1], FREEZER_ARGUMENT) == 0)
		return freezer_main(argc, argv);
	err = options_parse(argc, argv, &options);
	if (err) {
		if (err < 0)
			fputs(usage, stderr);
		return err < 0 ? 2 : 0;
	}
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGHUP);
	sigaddset(&blocked, SIGPIPE);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	err = agent_start(&agent, &options, &reason);
	if (err < 0) {
		log_error("%s", reason.text);
	} else {
		log_about(LOG_INFO, &(struct log_fields){ .event = LOG_EVENT_READY },
			  "tidemarkd " TIDEMARK_VERSION " is ready, %zu collections",
			  service_count(agent.service));
		sd_notify(0, "READY=1\nSTATUS=0 jobs running");
		err = sd_event_loop(agent.event);
		sd_notify(0, "STOPPING=1");
	}
	agent_stop(&agent);
	return err < 0 ? 1 : 0;
}
