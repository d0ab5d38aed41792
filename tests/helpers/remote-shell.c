// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * remote-shell PORT: for tests that steer a guest from the host. Each
 * connection gets a shell of its own that reads its commands from it. Prints
 * READY when it listens. Runs in guests only, whose network ends at the host's loopback.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/util.h"

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY) };
	int server, one = 1;

	if (argc != 2 || !getenv("TIDEMARK_GUEST")) {
		fprintf(stderr, "usage: remote-shell PORT, in a guest\n");
		return 2;
	}
	addr.sin_port = htons(atoi(argv[1]));
	signal(SIGCHLD, SIG_IGN);
	server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(server, (void *)&addr, sizeof(addr)) || listen(server, 16)) {
		perror("remote-shell");
		return 1;
	}
	puts("READY");
	fflush(stdout);
	for (;;) {
		int client = accept(server, NULL, NULL);

		if (client < 0)
			continue;
		if (fork() == 0) {
			signal(SIGCHLD, SIG_DFL);
			dup2(client, 0);
			dup2(client, 1);
			dup2(client, 2);
			close(client);
			execlp("bash", "bash", NULL);
			_exit(127);
		}
		close(client);
	}
}
