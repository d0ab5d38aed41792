// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A receiver alone, for tests: runs until SIGTERM or SIGINT, prints the state
 * of every replica on SIGUSR1, and then "end".
 *
 *   receiver-run [OPTION VALUE]... STORE
 *     --host ADDRESS         to listen on: 127.0.0.1
 *     --port N               default: any
 *     --port-file FILE       the port is written there once it listens
 *     --target C/V/D=PATH    where the raw replica of a disk is; "force:PATH"
 *     --history N            further points that are kept: 0
 *     --history-max N        24
 *     --tls-dir DIR          certificates; then nothing comes in the clear
 *     --peer NAME            that of a certificate which may send everything
 *     --commands FIFO        lines "list C", "show C N", "verify C N", "delete C N", "clear C",
 *                            answered on stdout; each answer ends with "end" and a code
 *     --connections N, --strangers N, --per-peer N,
 *     --idle-ms N, --handshake-ms N, --busy-ms N
 */
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "point/clear.h"
#include "point/points.h"
#include "receive/receiver.h"

#define TARGETS_MAX 16

struct run {
	struct receiver_config config;
	struct store_target targets[TARGETS_MAX];
	const char *port_file;
	const char *commands;
	struct receiver_peer peer;
	struct receiver *receiver;
};

static bool parse_target(struct run *r, char *text)
{
	struct store_target *t = &r->targets[r->config.target_count];
	char *path = strchr(text, '='), *rest;

	if (!path || r->config.target_count == TARGETS_MAX)
		return false;
	*path++ = '\0';
	t->force = !strncmp(path, "force:", 6);
	t->path = t->force ? path + 6 : path;
	t->collection = strtok_r(text, "/", &rest);
	t->vm = strtok_r(NULL, "/", &rest);
	t->disk = strtok_r(NULL, "/", &rest);
	r->config.target_count++;
	return t->disk != NULL;
}

static bool parse_option(struct run *r, const char *name, char *value)
{
	struct receiver_limits *l = &r->config.limits;

	if (!strcmp(name, "--host"))
		r->config.host = value;
	else if (!strcmp(name, "--port"))
		r->config.port = atoi(value);
	else if (!strcmp(name, "--port-file"))
		r->port_file = value;
	else if (!strcmp(name, "--connections"))
		l->connections = atoi(value);
	else if (!strcmp(name, "--strangers"))
		l->strangers = atoi(value);
	else if (!strcmp(name, "--per-peer"))
		l->per_peer = atoi(value);
	else if (!strcmp(name, "--idle-ms"))
		l->idle_ms = atoi(value);
	else if (!strcmp(name, "--handshake-ms"))
		l->handshake_ms = atoi(value);
	else if (!strcmp(name, "--busy-ms"))
		l->busy_ms = atoi(value);
	else if (!strcmp(name, "--tls-dir"))
		r->config.tls_dir = value;
	else if (!strcmp(name, "--peer"))
		r->peer = (struct receiver_peer){ .name = value, .collections = "*" };
	else if (!strcmp(name, "--commands"))
		r->commands = value;
	else if (!strcmp(name, "--history"))
		r->config.history = atoi(value);
	else if (!strcmp(name, "--history-max"))
		r->config.history_max = atoi(value);
	else if (!strcmp(name, "--target"))
		return parse_target(r, value);
	else
		return false;
	return true;
}

static int print_replica(const struct store_replica *p, void *arg)
{
	printf("%s/%s/%s %s point %" PRIu64 " epoch %" PRIu64 " size %" PRIu64 " %s\n",
	       p->collection, p->vm, p->disk, store_state_name(p->state), p->point, p->epoch,
	       p->size, p->path[0] ? p->path : "-");
	return 0;
}

/* -- points -------------------------------------------------------------------------- */

static void print_points(struct run *r, const char *collection, uint64_t number,
			 struct reason *reason)
{
	struct points_point *points = NULL;
	size_t count = 0;

	if (points_list(receiver_store(r->receiver), collection, &points, &count, reason))
		return;
	for (size_t i = 0; i < count; i++) {
		const struct points_point *p = &points[i];

		if (number && p->number != number)
			continue;
		printf("point %" PRIu64 " consistency %u%s%s\n", p->number, p->consistency,
		       p->final ? " final" : "", p->newest ? " newest" : "");
		for (size_t j = 0; number && j < p->disk_count; j++) {
			printf("disk %s/%s layer %" PRIu64 " %s ", p->disks[j].vm,
			       p->disks[j].disk, p->disks[j].layer, p->disks[j].path);
			for (size_t k = 0; k < CATALOG_DIGEST_SIZE; k++)
				printf("%02x", p->disks[j].digest[k]);
			printf("\n");
		}
	}
	points_free(points, count);
}

static void print_cleared(struct run *r, const char *collection, struct reason *reason)
{
	struct clear_report report;

	if (clear_run(receiver_store(r->receiver), collection, &report, reason))
		return;
	printf("cleared points %zu space %" PRIu64 "\n", report.points, report.space);
	for (size_t i = 0; i < report.disk_count; i++)
		printf("%s/%s %s %s\n", report.disks[i].vm, report.disks[i].disk,
		       clear_fate_name(report.disks[i].fate), report.disks[i].path);
	free(report.disks);
}

static void run_command(struct run *r, char *line)
{
	struct store *s = receiver_store(r->receiver);
	struct reason reason = { 0 };
	char *rest, *verb = strtok_r(line, " \n", &rest);
	char *collection = verb ? strtok_r(NULL, " \n", &rest) : NULL;
	char *word = collection ? strtok_r(NULL, " \n", &rest) : NULL;
	uint64_t number = word ? strtoull(word, NULL, 10) : 0;
	size_t fresh = 0;

	if (!collection)
		return;
	if (!strcmp(verb, "verify")) {
		if (!points_verify(s, collection, number, NULL, &fresh, &reason))
			printf("fresh %zu\n", fresh);
	} else if (!strcmp(verb, "delete")) {
		if (!points_delete(s, collection, number, &reason))
			receiver_tidy(r->receiver);
	} else if (!strcmp(verb, "clear")) {
		print_cleared(r, collection, &reason);
	} else {
		print_points(r, collection, !strcmp(verb, "show") ? number : 0, &reason);
	}
	if (reason.code)
		printf("error %u %s\n", reason.code, reason.text);
	printf("end\n");
	fflush(stdout);
}

static void *commands_main(void *arg)
{
	struct run *r = arg;
	char line[256];
	FILE *f;

	while ((f = fopen(r->commands, "r"))) {
		while (fgets(line, sizeof(line), f))
			run_command(r, line);
		fclose(f);
	}
	return NULL;
}

static int write_port(const char *path, unsigned int port)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return -errno;
	fprintf(f, "%u\n", port);
	return fclose(f) ? -errno : 0;
}

static void run_until_told(struct receiver *receiver, const sigset_t *signals)
{
	int number;

	while (!sigwait(signals, &number) && number == SIGUSR1) {
		receiver_status(receiver, print_replica, NULL);
		printf("end\n");
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct run r = { .config = { .plain_allowed = true, .history_max = 24 } };
	struct receiver *receiver;
	struct reason reason = { 0 };
	pthread_t commands;
	sigset_t signals;
	int i;

	for (i = 1; i + 1 < argc && argv[i][0] == '-'; i += 2)
		if (!parse_option(&r, argv[i], argv[i + 1])) {
			fprintf(stderr, "receiver-run: bad option %s\n", argv[i]);
			return 2;
		}
	if (i != argc - 1)
		return 2;
	r.config.store_dir = argv[i];
	r.config.targets = r.targets;
	r.config.peers = &r.peer;
	r.config.peer_count = r.peer.name != NULL;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (receiver_create(&r.config, &receiver, &reason)) {
		log_error("%s (%u)", reason.text, reason.code);
		return 1;
	}
	if (r.port_file && write_port(r.port_file, receiver_port(receiver)))
		return 1;
	r.receiver = receiver;
	if (r.commands && pthread_create(&commands, NULL, commands_main, &r))
		return 1;
	run_until_told(receiver, &signals);
	/* Whoever still answers a command has the store. */
	if (!r.commands)
		receiver_destroy(receiver);
	return 0;
}
