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
 * struct resume - what the receiver has of a disk, of a run that was cut short
 * @mode: of that run
 * @uuid: of its tracker
 * @epoch: that was sealed
 * @granules: bits, one for each whole granule; NULL: nothing that can be gone on with
 *
 * Bits: 2 MiB for each TiB with granules of 64 KiB, while the run lasts.
 */
struct resume {
	uint32_t mode;
	uint8_t uuid[FRAME_UUID_SIZE];
	uint64_t epoch;
	uint64_t *granules;
};

/**
 * struct session_disk - a disk of a run
 * @config: as configured
 * @index: in the configuration, and in the report
 * @report: what is told of it
 * @source: its bits and bytes
 * @before: what the source said when the run began
 * @opened: what the replica holds
 * @origin: what this disk was failed over from, owned; NULL: not known, or not asked
 * @mode: enum frame_mode
 * @pump: its state in the pump
 * @resume: what the receiver has of a run that was cut short
 * @told: the receiver knows of the seal, and may keep what it gets
 * @opened_there: the receiver knows of it
 * @dropped: it is out of the run
 * @torn: it needs another pass
 */
struct session_disk {
	const struct run_disk *config;
	size_t index;
	struct run_report_disk *report;
	struct source *source;
	struct source_info before;
	struct frame_opened opened;
	struct run_origin *origin;
	int mode;
	struct pump_disk pump;
	struct resume resume;
	bool told;
	bool opened_there;
	bool dropped;
	bool torn;
};

/** session_hello() - HELLO, WELCOME; *@ret: what the receiver has said */
int session_hello(struct conn *c, const struct run_config *config, struct frame_welcome *ret,
		  struct reason *reason);

/*
 * The receiver answers OPEN and BEGIN, or it will not have the disk (DROP): then they
 * return SESSION_REFUSED, and @d->report->reason is what it says.
 */
#define SESSION_REFUSED 1

/**
 * session_open() - OPEN, OPENED; fills @d->opened
 *
 * Granules that the receiver needs besides what the tracker knows are marked; those that
 * it has of a run that was cut short are in @d->resume.
 */
int session_open(struct conn *c, const struct run_config *config, struct session_disk *d,
		 struct reason *reason);
/** session_mark() - ranges, not in order: marked in whole granules as if they had been written */
int session_mark(struct session_disk *d, const struct frame_range *ranges, size_t count);
/** session_begin() - BEGIN, BEGUN, in @d->mode, going on with what @d->resume has */
int session_begin(struct conn *c, const struct run_config *config, struct session_disk *d,
		  struct reason *reason);
/** session_give_up() - DROP: give up a disk, for @d->report->reason */
int session_give_up(struct conn *c, uint32_t features, struct session_disk *d,
		 struct reason *reason);
/** session_pass() - PASS: what follows may overwrite what was sent */
int session_pass(struct conn *c);
/** session_end() - END of a disk */
int session_end(struct conn *c, struct session_disk *d);
/**
 * session_commit() - COMMIT, DURABLE
 * @ret_point: the new point's number
 */
int session_commit(struct conn *c, const struct run_config *config, uint32_t features,
		   enum run_consistency consistency, uint64_t *ret_point,
		   struct reason *reason);

#endif
