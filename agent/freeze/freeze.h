/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Freezing: VMs hold still, with their file systems clean, while an epoch is sealed.
 *
 *   run ── "freeze these" ──► freezer ── hook freeze ──────► a command
 *       ◄── who is frozen ───         ── fsfreeze-freeze ──► QEMU's guest agent
 *   (seal)
 *       ── "thaw" ──────────►         ── hook thaw, fsfreeze-thaw ──►
 *       ◄── held until now? ─
 *
 * The freezer is a process of its own, of the same program. A VM that stays frozen
 * is down, so it must be thawed whatever becomes of the agent: when the agent dies
 * the freezer reads the end of its socket, when the agent hangs FREEZE_HOLD_MS are
 * over, and it thaws. It ignores SIGTERM, which a service manager sends to what an
 * agent leaves behind. Only what kills it, too, leaves a VM frozen: a file that is
 * written before the freeze and removed after the thaw says so, and the next start
 * of the agent thaws what it names: freeze_recover().
 *
 * Everything that was asked to freeze is told to thaw, also what refused, failed, or
 * did not answer in time: a guest that froze too late thaws as well.
 */
#ifndef TIDEMARK_FREEZE_FREEZE_H
#define TIDEMARK_FREEZE_FREEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"

/** For how long VMs are kept frozen at most: Windows' own limit for its writers. */
#define FREEZE_HOLD_MS 10000u
/** For a thaw; it is asked for three times. */
#define FREEZE_THAW_MS 10000u

/**
 * struct freeze_vm - how to freeze a VM
 * @name: its name
 * @hook: path of a command; called "HOOK freeze NAME" and "HOOK thaw NAME", with
 *	TIDEMARK_ACTION, TIDEMARK_VM and TIDEMARK_COLLECTION in its environment.
 *	A thaw without a freeze before it must do no harm. NULL: none
 * @guest_agent: path of the socket of its QEMU guest agent; NULL: none
 * @freeze_ms: for the freeze
 *
 * With both, the hook comes first, and is thawed last.
 */
struct freeze_vm {
	const char *name;
	const char *hook;
	const char *guest_agent;
	uint32_t freeze_ms;
};

struct freeze;

/**
 * freeze_start() - begin to freeze
 * @state_dir: where the file of who is frozen lies
 * @vms: @count of them, at least one; not needed after the call
 *
 * Return: 0 or a negative errno.
 */
int freeze_start(struct freeze **ret, const char *state_dir, const char *collection,
		 const struct freeze_vm *vms, size_t count);

/** freeze_fd() - readable when freeze_frozen() or freeze_thawed() will not wait */
int freeze_fd(const struct freeze *f);

/**
 * freeze_frozen() - how it went
 * @ret_all: every VM is frozen
 * @text: why not, or ""
 *
 * Return: 0, or the negative errno of losing the freezer.
 */
int freeze_frozen(struct freeze *f, bool *ret_all, char text[REASON_TEXT_MAX]);

/** freeze_thaw() - thaw; does not wait */
void freeze_thaw(struct freeze *f);

/**
 * freeze_thawed() - how that went
 * @ret_held: until freeze_thaw() every VM was frozen
 * @text: who could not be thawed, and why, or ""
 */
int freeze_thawed(struct freeze *f, bool *ret_held, char text[REASON_TEXT_MAX]);

/** freeze_end() - thaw if that was not asked for; waits for the freezer. NULL is ignored. Return: NULL */
struct freeze *freeze_end(struct freeze *f);

/**
 * freeze_recover() - thaw what a freezer that was killed has left frozen
 *
 * Waits for it. @each is called with a sentence for each such file.
 */
void freeze_recover(const char *state_dir, void (*each)(const char *text));

/** The first argument of a program that is to be a freezer: main() calls freezer_main(). */
#define FREEZER_ARGUMENT "--freezer"

/** freezer_main() - the freezer, with the arguments of main(). Return: exit status */
int freezer_main(int argc, char **argv);

#endif
