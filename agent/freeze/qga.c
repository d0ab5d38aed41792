// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU's guest agent: JSON over a unix socket, one line an answer. The socket is a
 * serial port, so what a former client has left behind may still be in it, and what
 * is asked while the guest is busy is answered later: each question is therefore led
 * by guest-sync-delimited with a number of its own, and everything before the answer
 * to that is thrown away (QEMU's docs/interop/qemu-ga-ref).
 */
#include "freeze/member.h"

#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/util.h"

#define QGA_DELIMITER '\xff'

static int qga_connect(struct qga *q, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;

	if (q->fd >= 0)
		return 0;
	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	q->fd = TAKE_FD(fd);
	q->used = 0;
	return 0;
}

static int qga_wait(struct qga *q, short events, uint64_t deadline)
{
	struct pollfd fd = { .fd = q->fd, .events = events };
	int n = poll(&fd, 1, freeze_left(deadline));

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : -ETIMEDOUT;
}

static int qga_write(struct qga *q, const char *text, uint64_t deadline)
{
	size_t size = strlen(text);

	while (size) {
		ssize_t n = send(q->fd, text, size, MSG_NOSIGNAL);
		int err = 0;

		if (n > 0) {
			text += n;
			size -= n;
		} else if (errno == EAGAIN) {
			err = qga_wait(q, POLLOUT, deadline);
		} else if (errno != EINTR) {
			err = -errno;
		}
		if (err)
			return err;
	}
	return 0;
}

/* Up to a character: a line, or, what is thrown away, up to the delimiter. */
static int qga_read_to(struct qga *q, char end, char *line, size_t size, uint64_t deadline)
{
	for (;;) {
		char *at = memchr(q->buf, (unsigned char)end, q->used);
		ssize_t n;
		int err;

		if (at) {
			size_t length = at - q->buf;

			snprintf(line, size, "%.*s", (int)length, q->buf);
			q->used -= length + 1;
			memmove(q->buf, at + 1, q->used);
			return 0;
		}
		/* More than an answer may have: no agent, or one that is out of step. */
		if (q->used == sizeof(q->buf))
			q->used = 0;
		err = qga_wait(q, POLLIN, deadline);
		if (err)
			return err;
		n = recv(q->fd, q->buf + q->used, sizeof(q->buf) - q->used, 0);
		if (n == 0)
			return -ECONNRESET;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n > 0)
			q->used += n;
	}
}

/* An answer's "return"; what is wrong in @text. */
static int qga_answer(const char *line, int64_t *ret, char *text)
{
	struct json_object *o = json_tokener_parse(line), *member;
	const char *why = "an answer that is none";
	int err = -EPROTO;

	if (json_object_object_get_ex(o, "return", &member)) {
		*ret = json_object_get_int64(member);
		err = 0;
	} else if (json_object_object_get_ex(o, "error", &member) &&
		   json_object_object_get_ex(member, "desc", &member)) {
		why = json_object_get_string(member);
		err = -EREMOTEIO;
	}
	if (err)
		snprintf(text, REASON_TEXT_MAX, "its guest agent says: %.300s", why);
	json_object_put(o);
	return err;
}

/* One question, in step. */
static int qga_ask(struct qga *q, const char *execute, uint64_t deadline, int64_t *ret, char *text)
{
	char line[sizeof(q->buf)];
	uint32_t id;
	int err;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		return -EIO;
	id &= INT32_MAX;
	snprintf(line, sizeof(line),
		 "%c{\"execute\": \"guest-sync-delimited\", \"arguments\": {\"id\": %u}}\n",
		 QGA_DELIMITER, id);
	err = qga_write(q, line, deadline);
	do {
		if (!err)
			err = qga_read_to(q, QGA_DELIMITER, line, sizeof(line), deadline);
		if (!err)
			err = qga_read_to(q, '\n', line, sizeof(line), deadline);
		if (err)
			return err;
	} while (qga_answer(line, ret, text) || *ret != id);
	*text = '\0';
	snprintf(line, sizeof(line), "{\"execute\": \"%s\"}\n", execute);
	err = qga_write(q, line, deadline);
	if (!err)
		err = qga_read_to(q, '\n', line, sizeof(line), deadline);
	return err ? err : qga_answer(line, ret, text);
}

/* What went wrong, if nothing better is known. A lost connection is made anew later. */
static int qga_failed(struct qga *q, const char *path, int err, char *text)
{
	if (err == -ETIMEDOUT)
		snprintf(text, REASON_TEXT_MAX, "its guest agent did not answer in time");
	else if (!*text)
		snprintf(text, REASON_TEXT_MAX, "its guest agent at %.200s: %s", path,
			 strerrordesc_np(-err));
	if (err != -ETIMEDOUT && err != -EREMOTEIO) {
		closep(&q->fd);
		q->fd = -1;
	}
	return err;
}

int qga_freeze(struct qga *q, const char *path, uint64_t deadline, char *text)
{
	int64_t count = 0;
	int err = qga_connect(q, path);

	if (!err)
		err = qga_ask(q, "guest-fsfreeze-freeze", deadline, &count, text);
	if (!err && count <= 0) {
		snprintf(text, REASON_TEXT_MAX, "its guest agent has frozen no file system");
		return -ENODATA;
	}
	return err ? qga_failed(q, path, err, text) : 0;
}

int qga_thaw(struct qga *q, const char *path, uint64_t deadline, char *text)
{
	int64_t count = 0;
	int err = qga_connect(q, path);

	if (!err)
		err = qga_ask(q, "guest-fsfreeze-thaw", deadline, &count, text);
	return err ? qga_failed(q, path, err, text) : 0;
}
