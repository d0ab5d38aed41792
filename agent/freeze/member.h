/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of this folder share; nobody else includes this. */
#ifndef TIDEMARK_FREEZE_MEMBER_H
#define TIDEMARK_FREEZE_MEMBER_H

#include "freeze/freeze.h"

/**
 * struct freeze_answer - what the freezer says, once after the freeze and once after
 * the thaw
 * @good: all are frozen; all were until the thaw
 * @text: why not, or ""
 */
struct freeze_answer {
	bool good;
	char text[REASON_TEXT_MAX];
};

/* How a freezer is called: FREEZER_ARGUMENT FILE [FREEZER_THAW]. Its socket is 0. */
#define FREEZER_THAW "thaw"

/** freeze_deadline() - so many milliseconds from now; freeze_left() - until then */
uint64_t freeze_deadline(uint32_t ms);
int freeze_left(uint64_t deadline);

/**
 * hook_run() - run a VM's hook and wait for its end; it is killed at the deadline
 * @action: "freeze" or "thaw"
 * @text: why it failed, REASON_TEXT_MAX bytes
 *
 * Return: 0 or a negative errno.
 */
int hook_run(const struct freeze_vm *vm, const char *collection, const char *action,
	     uint64_t deadline, char *text);

/** struct qga - a connection to a guest agent; .fd is -1 while there is none */
struct qga {
	int fd;
	size_t used;
	char buf[4096];
};

/*
 * qga_freeze(), qga_thaw() - freeze or thaw the guest's file systems
 *
 * The connection stays for the thaw, which opens it anew if it was lost. Return: 0 or a
 * negative errno and @text.
 */
int qga_freeze(struct qga *q, const char *path, uint64_t deadline, char *text);
int qga_thaw(struct qga *q, const char *path, uint64_t deadline, char *text);

#endif
