// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * event - the module's events over generic netlink
 *
 * The only file that knows libnl. Messages are received without libnl's
 * callbacks: a multicast listener answers nothing, and recvmsg() itself tells
 * ENOBUFS (events lost) from ENOMEM, which libnl's error numbers do not.
 *
 * Losing events in silence is what this file exists to prevent. The socket says
 * ENOBUFS when it overran, and the sequence number of the module shows a hole
 * where a message never reached the socket at all.
 */
#include "libtidemark/tidemark.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

enum {
	EVENT_SOCKET_BYTES = 1 << 20,	/* some thousand events */
	EVENT_MESSAGE_BYTES = 8192,	/* one event has less than 400 */
};

struct tidemark_events {
	struct nl_sock *sock;
	int family;
	uint64_t seq;			/* of the newest event, 0: none yet */
	bool held;			/* an event waits behind a reported loss */
	struct tidemark_event_data next;
	size_t used;			/* what of @message was looked at */
	size_t size;			/* how much of it was received */
	_Alignas(struct nlmsghdr) unsigned char message[EVENT_MESSAGE_BYTES];
};

static struct nla_policy event_policy[TIDEMARK_ATTR_MAX + 1] = {
	[TIDEMARK_ATTR_SEQ] = { .type = NLA_U64 },
	[TIDEMARK_ATTR_DISK] = { .type = NLA_U64 },
	[TIDEMARK_ATTR_UUID] = { .minlen = TIDEMARK_UUID_SIZE, .maxlen = TIDEMARK_UUID_SIZE },
	[TIDEMARK_ATTR_NAME] = { .type = NLA_NUL_STRING, .maxlen = TIDEMARK_NAME_SIZE },
	[TIDEMARK_ATTR_EPOCH] = { .type = NLA_U64 },
	[TIDEMARK_ATTR_GRANULES] = { .type = NLA_U64 },
	[TIDEMARK_ATTR_REASON] = { .type = NLA_U32 },
};

static int event_errno(int nle)
{
	switch (-nle) {
	case NLE_OBJ_NOTFOUND:
		return -ENOENT;		/* no such family: the module is not loaded */
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EACCES;
	case NLE_AF_NOSUPPORT:
		return -EAFNOSUPPORT;
	case NLE_AGAIN:
		return -EAGAIN;
	case NLE_INTR:
		return -EINTR;
	}
	return -EIO;
}

int tidemark_events_open(struct tidemark_events **ret)
{
	struct tidemark_events *e;
	int group, r;

	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->sock = nl_socket_alloc();
	if (!e->sock) {
		free(e);
		return -ENOMEM;
	}

	r = genl_connect(e->sock);
	if (r < 0)
		goto fail;
	r = genl_ctrl_resolve(e->sock, TIDEMARK_GENL_NAME);
	if (r < 0)
		goto fail;
	e->family = r;
	r = genl_ctrl_resolve_grp(e->sock, TIDEMARK_GENL_NAME, TIDEMARK_GENL_GROUP);
	if (r < 0)
		goto fail;
	group = r;
	/* before joining, so that a burst right after it finds the room; a
	 * smaller buffer than asked for loses events sooner, never in silence
	 */
	nl_socket_set_buffer_size(e->sock, EVENT_SOCKET_BYTES, 0);
	r = nl_socket_set_nonblocking(e->sock);
	if (r < 0)
		goto fail;
	r = nl_socket_add_membership(e->sock, group);
	if (r < 0)
		goto fail;

	*ret = e;
	return 0;

fail:
	tidemark_events_close(e);
	return event_errno(r);
}

struct tidemark_events *tidemark_events_close(struct tidemark_events *e)
{
	if (e) {
		nl_socket_free(e->sock);
		free(e);
	}
	return NULL;
}

int tidemark_events_fd(struct tidemark_events *e)
{
	return nl_socket_get_fd(e->sock);
}

static int event_parse(const struct tidemark_events *e, struct nlmsghdr *header,
		       struct tidemark_event_data *ret)
{
	struct nlattr *attr[TIDEMARK_ATTR_MAX + 1];
	struct tidemark_event_data data = { 0 };

	if (header->nlmsg_type != e->family || !genlmsg_valid_hdr(header, 0))
		return -ENOMSG;
	if (genlmsg_parse(header, 0, attr, TIDEMARK_ATTR_MAX, event_policy) < 0)
		return -EPROTO;
	if (!attr[TIDEMARK_ATTR_SEQ] || !attr[TIDEMARK_ATTR_DISK])
		return -EPROTO;

	data.event = genlmsg_hdr(header)->cmd;
	data.seq = nla_get_u64(attr[TIDEMARK_ATTR_SEQ]);
	data.disk = nla_get_u64(attr[TIDEMARK_ATTR_DISK]);
	if (attr[TIDEMARK_ATTR_UUID])
		memcpy(data.uuid, nla_data(attr[TIDEMARK_ATTR_UUID]), sizeof(data.uuid));
	if (attr[TIDEMARK_ATTR_NAME])
		nla_strlcpy(data.name, attr[TIDEMARK_ATTR_NAME], sizeof(data.name));
	if (attr[TIDEMARK_ATTR_EPOCH])
		data.epoch = nla_get_u64(attr[TIDEMARK_ATTR_EPOCH]);
	if (attr[TIDEMARK_ATTR_GRANULES])
		data.granules = nla_get_u64(attr[TIDEMARK_ATTR_GRANULES]);
	if (attr[TIDEMARK_ATTR_REASON])
		data.reason = nla_get_u32(attr[TIDEMARK_ATTR_REASON]);
	*ret = data;
	return 0;
}

/* Fill @message. Return: 0, -EAGAIN, -ENOBUFS. */
static int event_receive(struct tidemark_events *e)
{
	struct sockaddr_nl from;
	struct iovec iov = { .iov_base = e->message, .iov_len = sizeof(e->message) };
	struct msghdr header = {
		.msg_name = &from, .msg_namelen = sizeof(from),
		.msg_iov = &iov, .msg_iovlen = 1,
	};
	ssize_t n;

	e->used = 0;
	e->size = 0;
	for (;;) {
		header.msg_namelen = sizeof(from);
		header.msg_flags = 0;
		n = recvmsg(tidemark_events_fd(e), &header, 0);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		/* port 0 is the kernel: nobody else speaks for the module */
		if (header.msg_namelen != sizeof(from) || from.nl_pid != 0)
			continue;
		if (header.msg_flags & MSG_TRUNC)
			return -ENOBUFS;
		e->size = (size_t)n;
		return 0;
	}
}

/* The next event of what was received. Return: 0, -EAGAIN, -EPROTO. */
static int event_take(struct tidemark_events *e, struct tidemark_event_data *ret)
{
	while (e->used < e->size) {
		struct nlmsghdr *header = (struct nlmsghdr *)(e->message + e->used);
		size_t step;
		int r;

		if (!nlmsg_ok(header, (int)(e->size - e->used)))
			break;
		step = NLMSG_ALIGN(header->nlmsg_len);
		e->used = step < e->size - e->used ? e->used + step : e->size;
		r = event_parse(e, header, ret);
		if (r != -ENOMSG)
			return r;
	}
	e->used = e->size;
	return -EAGAIN;
}

int tidemark_events_next(struct tidemark_events *e, struct tidemark_event_data *ret)
{
	struct tidemark_event_data data;
	int r;

	if (e->held) {
		e->held = false;
		*ret = e->next;
		return 0;
	}

	for (;;) {
		r = event_take(e, &data);
		if (r != -EAGAIN)
			break;
		r = event_receive(e);
		if (r == -ENOBUFS)
			e->seq = 0;	/* said now: not once more for its hole */
		if (r)
			return r;
	}
	if (r)
		return r;

	if (e->seq && data.seq != e->seq + 1) {
		e->seq = data.seq;
		e->next = data;
		e->held = true;
		return -ENOBUFS;
	}
	e->seq = data.seq;
	*ret = data;
	return 0;
}

const char *tidemark_event_name(uint32_t event)
{
	static const char *const names[] = {
		[TIDEMARK_EVENT_ATTACHED] = "attached",
		[TIDEMARK_EVENT_DETACHED] = "detached",
		[TIDEMARK_EVENT_SEALED] = "sealed",
		[TIDEMARK_EVENT_TORN] = "torn",
		[TIDEMARK_EVENT_COMMITTED] = "committed",
		[TIDEMARK_EVENT_FOLDED] = "folded",
		[TIDEMARK_EVENT_THRESHOLD] = "threshold",
		[TIDEMARK_EVENT_RESIZED] = "resized",
		[TIDEMARK_EVENT_UNRELIABLE] = "unreliable",
		[TIDEMARK_EVENT_RELIABLE] = "reliable",
	};

	if (event >= sizeof(names) / sizeof(names[0]) || !names[event])
		return "unknown";
	return names[event];
}
