// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tidemarkd: the agent. It puts the parts together and takes them apart in the
 * opposite order; nothing else happens here.
 *
 * Threads: this one runs the event loop (signals, D-Bus, the table of jobs).
 * Each job has one, see send/sender.h; the receiver has its own, see
 * receive/receiver.h. SIGTERM and SIGINT are blocked before the first of them starts.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/log.h"
#include "base/util.h"
#include "bus/bus.h"
#include "config/config.h"
#include "freeze/freeze.h"
#include "job/job.h"
#include "ring/ring.h"
#include "watch/loop.h"

/* How often old jobs are looked for. */
#define REAP_US 10000000u

struct options {
	const char *config;
	const char *bus;
	bool receiver;
};

struct agent {
	struct config *config;
	struct history *history;
	struct jobs *jobs;
	struct receiver *receiver;
	struct bus *bus;
	struct watch_loop *watch;
	sd_event *event;
	sd_event_source *reap;
};

static const char usage[] =
	"Usage: tidemarkd [OPTION]...\n"
	"Replicate VM disks: send what changed, receive what others send.\n"
	"\n"
	"  --config FILE   configuration (" CONFIG_PATH ")\n"
	"  --bus ADDRESS   D-Bus: system, none, or an address; overrides the configuration\n"
	"  --receiver      receive, also without a [receiver] section\n"
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

static int on_jobs(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct agent *a = arg;

	jobs_reap(a->jobs);
	sd_notifyf(0, "STATUS=%zu jobs running", jobs_running(a->jobs));
	return 0;
}

static int on_reap(sd_event_source *source, uint64_t now, void *arg)
{
	struct agent *a = arg;

	jobs_reap(a->jobs);
	sd_event_source_set_time_relative(source, REAP_US);
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
		err = sd_event_add_io(a->event, NULL, jobs_fd(a->jobs), EPOLLIN, on_jobs, a);
	if (err >= 0)
		err = sd_event_add_time_relative(a->event, &a->reap, CLOCK_MONOTONIC, REAP_US, 0,
						 on_reap, a);
	if (err < 0)
		return reason_set(reason, err, 0, "cannot set up the event loop: %s",
				  strerrordesc_np(-err));
	return 0;
}

/* Something has happened to a disk: say it at once, it may be hours to the next run. */
static void on_disk(void *owner, const struct watch_notice *n)
{
	struct log_fields fields = {
		.event = n->what & WATCH_UNRELIABLE ? LOG_EVENT_UNRELIABLE : LOG_EVENT_NONE,
	};
	bool bad = n->what & (WATCH_GONE | WATCH_REPLACED | WATCH_UNRELIABLE);

	log_about(bad ? LOG_WARNING : LOG_INFO, &fields, "%s %s", n->device, n->text);
}

static int watch_devices(struct agent *a)
{
	_cleanup_free_ const char **devices = NULL;
	size_t count = 0;

	for (size_t i = 0; i < a->config->collection_count; i++)
		count += a->config->collections[i].run.disk_count;
	devices = calloc(count + 1, sizeof(*devices));
	if (!devices)
		return -ENOMEM;
	count = 0;
	for (size_t i = 0; i < a->config->collection_count; i++) {
		const struct run_config *run = &a->config->collections[i].run;

		for (size_t k = 0; k < run->disk_count; k++)
			if (run->disks[k].tracked)
				devices[count++] = run->disks[k].device;
	}
	return watch_loop_set(a->watch, devices, count);
}

static int start_watch(struct agent *a, struct reason *reason)
{
	int err = watch_loop_create(&a->watch, a->event, on_disk, a);

	if (err >= 0)
		err = watch_devices(a);
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
		/* config_load() has seen to it that other hosts need plain=yes. */
		.plain_allowed = true,
		.store_dir = c->store,
		.history = c->history,
		.history_max = c->history_max,
		.targets = c->targets,
		.target_count = c->target_count,
	};
	int err = receiver_create(&rc, &a->receiver, reason);

	if (err)
		return err;
	if (!config_loopback(c->listen_host))
		log_about(LOG_WARNING, &(struct log_fields){ .event = LOG_EVENT_UNENCRYPTED },
			  "listening on %s without encryption, as plain=yes says", c->listen_host);
	log_info("listening on %s, port %u", c->listen_host, receiver_port(a->receiver));
	return 0;
}

static int start_bus(struct agent *a, const char *address, const char *engine,
		     struct reason *reason)
{
	struct bus_agent shown = {
		.config = a->config,
		.jobs = a->jobs,
		.history = a->history,
		.receiver = a->receiver,
		.engine = engine,
	};

	if (strcmp(address, "none") == 0)
		return 0;
	return bus_create(&a->bus, address, a->event, &shown, reason);
}

/* How data will be moved, asked before anything depends on it. */
static int probe_ring(const char **ret_engine, struct reason *reason)
{
	struct ring *ring;
	int err = ring_create(&ring, 1);

	if (err == -EINVAL)
		return reason_set(reason, err, REASON_INVALID_PARAMETER, "%s=%s, expected auto, "
				  "io_uring or plain", RING_ENGINE_VARIABLE,
				  getenv(RING_ENGINE_VARIABLE));
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

static int agent_start(struct agent *a, const struct options *o, struct reason *reason)
{
	const char *bus;
	const char *engine = NULL;
	int err = config_load(o->config, &a->config, reason);

	if (err)
		return err;
	log_set_level(a->config->log_level);
	freeze_recover(a->config->state_dir, on_recovered);
	err = probe_ring(&engine, reason);
	if (!err)
		err = history_open(a->config->state_dir, &a->history, reason);
	if (!err) {
		err = jobs_create(&a->jobs, a->config, a->history);
		reason_set(err ? reason : NULL, err, 0, "cannot set up jobs: %s",
			   strerrordesc_np(-err));
	}
	if (!err)
		err = start_loop(a, reason);
	if (!err)
		err = start_watch(a, reason);
	if (!err && (a->config->receive || o->receiver))
		err = start_receiver(a, reason);
	/* The nearest word counts: command line, configuration, environment. */
	bus = o->bus ? o->bus : a->config->bus;
	if (!bus)
		bus = getenv("TIDEMARK_BUS_ADDRESS");
	if (!err)
		err = start_bus(a, bus ? bus : "system", engine, reason);
	return err;
}

static void agent_stop(struct agent *a)
{
	/* Jobs before the bus: their end is still told. */
	jobs_stop(a->jobs);
	a->bus = bus_destroy(a->bus);
	jobs_destroy(a->jobs);
	receiver_destroy(a->receiver);
	watch_loop_destroy(a->watch);
	sd_event_source_disable_unref(a->reap);
	sd_event_unref(a->event);
	history_close(a->history);
	config_free(a->config);
}

int main(int argc, char **argv)
{
	struct options options = { .config = CONFIG_PATH };
	struct reason reason = { 0 };
	struct agent agent = { 0 };
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
	sigaddset(&blocked, SIGPIPE);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	err = agent_start(&agent, &options, &reason);
	if (err < 0) {
		log_error("%s", reason.text);
	} else {
		log_about(LOG_INFO, &(struct log_fields){ .event = LOG_EVENT_READY },
			  "tidemarkd " TIDEMARK_VERSION " is ready, %zu collections",
			  agent.config->collection_count);
		sd_notify(0, "READY=1\nSTATUS=0 jobs running");
		err = sd_event_loop(agent.event);
		sd_notify(0, "STOPPING=1");
	}
	agent_stop(&agent);
	return err < 0 ? 1 : 0;
}
