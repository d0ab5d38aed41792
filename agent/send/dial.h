/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIDEMARK_SEND_DIAL_H
#define TIDEMARK_SEND_DIAL_H

#include <stdint.h>

#include "base/reason.h"

/**
 * dial() - a TCP connection to a receiver
 * @host: name or address
 * @port: number or service
 * @timeout_ms: for all addresses of @host together; also for how long data may
 *	stay unacknowledged later
 * @cancel_fd: an eventfd; -ECANCELED when it becomes readable
 * @reason: says why
 *
 * Return: a non-blocking socket, or a negative errno.
 */
int dial(const char *host, const char *port, uint32_t timeout_ms, int cancel_fd,
	 struct reason *reason);

#endif
