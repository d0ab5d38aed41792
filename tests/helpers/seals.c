// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * seals DISK MILLISECONDS seal|look: every so many milliseconds, until SIGTERM,
 * seal a tracked disk, or only ask for what a seal would be told. Prints "seals N"
 * and "torn N": of how many of them the pool was found full.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "libtidemark/tidemark.h"

#define TIMEOUT_MS 10000

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	/* An alarm that comes with the end is handled after it. */
	if (number == SIGTERM)
		stop = 1;
}

/* What came of the seal before? Then the next one, or the same question again. */
static int ask(struct tidemark *t, uint64_t disk, bool seal, uint64_t *torn)
{
	struct tidemark_seal_disk item = { .disk = disk };
	struct tidemark_info info;
	int r = tidemark_info(t, disk, &info);

	if (r < 0)
		return r;
	if (!seal)
		return tidemark_info(t, disk, &info);
	*torn += !!(info.state & TIDEMARK_STATE_TORN);
	return tidemark_seal(t, &item, 1, 0, TIMEOUT_MS, NULL);
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct itimerval period = { 0 };
	uint64_t seals = 0, torn = 0;
	struct tidemark_info info;
	struct tidemark *t;
	sigset_t block, wait;
	long milliseconds;
	bool seal;
	int r;

	seal = argc == 4 && strcmp(argv[3], "seal") == 0;
	if (argc != 4 || (milliseconds = atol(argv[2])) <= 0 ||
	    (!seal && strcmp(argv[3], "look") != 0)) {
		fprintf(stderr, "usage: seals DISK MILLISECONDS seal|look\n");
		return 2;
	}
	r = tidemark_open(&t, O_RDWR);
	if (r >= 0)
		r = tidemark_find(t, argv[1], &info);
	if (r < 0) {
		fprintf(stderr, "seals: %s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	sigemptyset(&block);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, &wait);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	period.it_interval.tv_sec = milliseconds / 1000;
	period.it_interval.tv_usec = milliseconds % 1000 * 1000;
	period.it_value = period.it_interval;
	setitimer(ITIMER_REAL, &period, NULL);
	while (!stop) {
		r = ask(t, info.disk, seal, &torn);
		if (r < 0) {
			fprintf(stderr, "seals: %s\n", strerror(-r));
			return 1;
		}
		seals += seal;
		sigsuspend(&wait);
	}
	printf("seals %llu\ntorn %llu\n", (unsigned long long)seals, (unsigned long long)torn);
	t = tidemark_close(t);
	return 0;
}
