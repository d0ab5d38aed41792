/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling a peer why it is not served, as the last thing on a connection.
 */
#ifndef TIDEMARK_RECEIVE_REFUSE_H
#define TIDEMARK_RECEIVE_REFUSE_H

#include "base/reason.h"
#include "tls/stream.h"

/**
 * refuse_send() - an ERROR frame; a peer that does not read is not waited for
 * @space: it is for want of room, and the peer knows FRAME_FEATURE_SPACE
 * @stream: over @fd, with nothing under way; NULL: none was begun
 */
void refuse_send(int fd, struct stream *stream, const struct reason *reason, bool space);

/** refuse_linger() - end our side, and give the peer a moment to read what was sent */
void refuse_linger(int fd);

#endif
