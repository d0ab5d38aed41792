/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reason: why something was refused or failed, as a code of the management
 * model for programs and a sentence for people. Functions that can fail in
 * ways that an administrator must tell apart fill one and return its errno;
 * the edge logs the sentence once and sends both to the peer.
 */
#ifndef TIDEMARK_BASE_REASON_H
#define TIDEMARK_BASE_REASON_H

#include <stdint.h>

#define REASON_TEXT_MAX 512

/** enum reason_code - the codes of the management model */
enum reason_code {
	REASON_FAILED = 32768,
	REASON_ACCESS_DENIED = 32769,
	REASON_NOT_SUPPORTED = 32770,
	REASON_UNKNOWN = 32771,
	REASON_TIMEOUT = 32772,
	REASON_INVALID_PARAMETER = 32773,
	REASON_IN_USE = 32774,
	REASON_INVALID_STATE = 32775,
	REASON_WRONG_TYPE = 32776,
	REASON_NOT_AVAILABLE = 32777,
	REASON_NO_MEMORY = 32778,
	REASON_NOT_FOUND = 32779,
};

/**
 * struct reason - what is said about a failure
 * @code: enum reason_code, 0 while nothing has been said
 * @text: the sentence, without a full stop or a newline
 */
struct reason {
	uint32_t code;
	char text[REASON_TEXT_MAX];
};

/**
 * reason_set() - say it
 * @r: where; NULL is allowed
 * @err: negative errno that the caller is about to return
 * @code: enum reason_code; 0: chosen by @err
 * @format: the sentence; long ones are cut
 *
 * What was said first stands: the innermost function knows best.
 *
 * Return: @err, so that a caller may say "return reason_set(...)".
 */
int reason_set(struct reason *r, int err, uint32_t code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif
