// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/refuse.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "wire/frame.h"

/* How long, and how much, is listened to after an ERROR. */
#define REFUSE_LINGER_MS 1000
#define REFUSE_LINGER_BYTES MIB(64)

static uint32_t refuse_encode(const struct reason *reason, bool space, uint8_t *buf)
{
	struct frame_error e = { .code = reason->code, .space = space };
	size_t n = strnlen(reason->text, sizeof(e.text) - 1);

	for (size_t i = 0; i < n; i++)
		e.text[i] = reason->text[i] >= ' ' && reason->text[i] <= '~' ? reason->text[i] : '?';
	return frame_error_encode(&e, buf);
}

void refuse_send(int fd, struct stream *stream, const struct reason *reason, bool space)
{
	struct {
		struct frame_wire header;
		uint8_t payload[FRAME_CONTROL_MAX];
	} __attribute__((packed)) message;
	struct frame f = { .type = FRAME_ERROR };

	f.length = refuse_encode(reason, space, message.payload);
	frame_encode(&f, message.payload, &message.header);
	/* Best effort: a peer that does not read is not waited for. */
	if (stream)
		(void)!stream_last(stream, &message, FRAME_HEADER_SIZE + f.length);
	else
		(void)!send(fd, &message, FRAME_HEADER_SIZE + f.length,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * A socket that is closed with bytes unread is reset, and the peer may lose
 * the ERROR that it had not read yet. So listen on for a moment.
 */
void refuse_linger(int fd)
{
	uint8_t buf[KIB(16)];
	uint64_t bytes = 0;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	shutdown(fd, SHUT_WR);
	while (bytes < REFUSE_LINGER_BYTES && poll(&p, 1, REFUSE_LINGER_MS) > 0) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		if (n <= 0)
			break;
		bytes += n;
	}
}
