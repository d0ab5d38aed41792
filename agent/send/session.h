/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A session: the sender's side of the conversation that wire/frame.h draws, one
 * function for each of its steps. What is said, not what is done with the disks.
 */
#ifndef TIDEMARK_SEND_SESSION_H
#define TIDEMARK_SEND_SESSION_H

#include "send/conn.h"
#include "send/pump.h"
#include "send/run.h"
#include "send/source.h"

/**
 * struct session_disk - a disk of a run
 * @config: as configured
 * @report: what is told of it
 * @source: its bits and bytes
 * @before: what the source said when the run began
 * @opened: what the replica holds
 * @mode: enum frame_mode
 * @pump: its state in the pump
 */
struct session_disk {
	const struct run_disk *config;
	struct run_report_disk *report;
	struct source *source;
	struct source_info before;
	struct frame_opened opened;
	int mode;
	struct pump_disk pump;
};

/** session_hello() - HELLO, WELCOME */
int session_hello(struct conn *c, const struct run_config *config, struct reason *reason);
/** session_open() - OPEN, OPENED; fills @d->opened */
int session_open(struct conn *c, const struct run_config *config, struct session_disk *d,
		 struct reason *reason);
/** session_begin() - BEGIN, BEGUN, in @d->mode */
int session_begin(struct conn *c, const struct run_config *config, struct session_disk *d);
/** session_pass() - PASS: what follows may overwrite what was sent */
int session_pass(struct conn *c);
/** session_end() - END of a disk */
int session_end(struct conn *c, struct session_disk *d);
/** session_commit() - COMMIT, DURABLE; *@ret_point is the new point's number */
int session_commit(struct conn *c, const struct run_config *config, uint64_t *ret_point,
		   struct reason *reason);

#endif
