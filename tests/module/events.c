// SPDX-License-Identifier: GPL-2.0-or-later
/* The events of the module, as a test wants to see them. */
#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"

#define QUEUE 4096

/**
 * struct events - a listener
 * @socket: of libnl
 * @queue: events that have arrived
 * @head: the next to be given out
 * @tail: the next to be filled
 */
struct events {
	struct nl_sock *socket;
	struct event queue[QUEUE];
	unsigned int head;
	unsigned int tail;
};

static int events_receive(struct nl_msg *message, void *argument)
{
	struct genlmsghdr *head = genlmsg_hdr(nlmsg_hdr(message));
	struct nlattr *attr[TIDEMARK_ATTR_MAX + 1];
	struct events *events = argument;
	struct event *event = &events->queue[events->tail % QUEUE];

	if (genlmsg_parse(nlmsg_hdr(message), 0, attr, TIDEMARK_ATTR_MAX, NULL))
		return NL_STOP;
	for (int i = TIDEMARK_ATTR_SEQ; i <= TIDEMARK_ATTR_MAX; i++)
		if (!attr[i])
			return NL_STOP;
	if (nla_len(attr[TIDEMARK_ATTR_UUID]) != TIDEMARK_UUID_SIZE)
		return NL_STOP;
	event->type = head->cmd;
	event->seq = nla_get_u64(attr[TIDEMARK_ATTR_SEQ]);
	event->disk = nla_get_u64(attr[TIDEMARK_ATTR_DISK]);
	event->epoch = nla_get_u64(attr[TIDEMARK_ATTR_EPOCH]);
	event->granules = nla_get_u64(attr[TIDEMARK_ATTR_GRANULES]);
	event->reason = nla_get_u32(attr[TIDEMARK_ATTR_REASON]);
	snprintf(event->name, sizeof(event->name), "%s", nla_get_string(attr[TIDEMARK_ATTR_NAME]));
	events->tail++;
	return NL_OK;
}

struct events *events_open(void)
{
	struct events *events = calloc(1, sizeof(*events));
	int group;

	events->socket = nl_socket_alloc();
	nl_socket_disable_seq_check(events->socket);
	nl_socket_modify_cb(events->socket, NL_CB_VALID, NL_CB_CUSTOM, events_receive, events);
	if (genl_connect(events->socket))
		goto fail;
	group = genl_ctrl_resolve_grp(events->socket, TIDEMARK_GENL_NAME, TIDEMARK_GENL_GROUP);
	if (group < 0 || nl_socket_add_membership(events->socket, group))
		goto fail;
	nl_socket_set_nonblocking(events->socket);
	return events;
fail:
	events_close(events);
	return NULL;
}

void events_close(struct events *events)
{
	nl_socket_free(events->socket);
	free(events);
}

/* Let the socket hold so many bytes of events at most. */
int events_limit(struct events *events, int bytes)
{
	return nl_socket_set_buffer_size(events->socket, bytes, 0) < 0 ? -EIO : 0;
}

/* The next event, or -ETIMEDOUT; -ENOBUFS: some were dropped here. */
int events_next(struct events *events, int timeout_ms, struct event *ret_event)
{
	struct pollfd poll_fd = { .fd = nl_socket_get_fd(events->socket), .events = POLLIN };
	int err;

	while (events->head == events->tail) {
		if (poll(&poll_fd, 1, timeout_ms) != 1)
			return -ETIMEDOUT;
		err = nl_recvmsgs_default(events->socket);
		if (err < 0)	/* libnl has no word of its own for ENOBUFS */
			return err == -NLE_NOMEM ? -ENOBUFS : -EIO;
	}
	*ret_event = events->queue[events->head++ % QUEUE];
	return 0;
}
