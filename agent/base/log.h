/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The log: lines for people, and under systemd entries of the journal whose
 * fields programs can ask for.
 *
 *   TIDEMARK_COLLECTION=, TIDEMARK_VM=, TIDEMARK_DISK=   what it is about
 *   TIDEMARK_JOB=                                        the job's number
 *   TIDEMARK_CODE=                                       enum reason_code
 *   MESSAGE_ID=                                          one for each log_event
 *
 * Each MESSAGE_ID has an entry in systemd/tidemark.catalog, which says what has
 * happened and what to do (journalctl -x). They are never given to another event.
 */
#ifndef TIDEMARK_BASE_LOG_H
#define TIDEMARK_BASE_LOG_H

#include <stdint.h>
#include <syslog.h>

/**
 * enum log_event - events that an administrator may wait for
 * @LOG_EVENT_NONE: just a line
 * @LOG_EVENT_READY: the agent has started
 * @LOG_EVENT_RELOADED: the configuration was read again and holds
 * @LOG_EVENT_RELOAD_REFUSED: it was read again and is wrong; the old one holds
 * @LOG_EVENT_ENGINE_PLAIN: no io_uring here, data goes by pread and pwrite
 * @LOG_EVENT_UNENCRYPTED: the receiver can be reached from other hosts without TLS
 * @LOG_EVENT_JOB_STARTED: a job has started
 * @LOG_EVENT_JOB_COMPLETED: it has done what was asked
 * @LOG_EVENT_JOB_WARNINGS: the same, but
 * @LOG_EVENT_JOB_FAILED: it has not
 * @LOG_EVENT_JOB_CANCELLED: it was cancelled
 * @LOG_EVENT_MEMBER_FAILED: a VM failed in a job whose other VMs went on
 * @LOG_EVENT_STATE_CHANGED: the state of a collection or a VM
 * @LOG_EVENT_HEALTH_CHANGED: the health of a collection or a VM
 * @LOG_EVENT_UNRELIABLE: a tracker cannot be trusted; a comparison follows
 * @LOG_EVENT_POINT: the replica has a new point
 * @LOG_EVENT_CLEARED: all that was held of a collection was given up
 * @LOG_EVENT_SENDER_REFUSED: the receiver has refused a sender
 * @LOG_EVENT_COUNT: how many there are
 */
enum log_event {
	LOG_EVENT_NONE,
	LOG_EVENT_READY,
	LOG_EVENT_RELOADED,
	LOG_EVENT_RELOAD_REFUSED,
	LOG_EVENT_ENGINE_PLAIN,
	LOG_EVENT_UNENCRYPTED,
	LOG_EVENT_JOB_STARTED,
	LOG_EVENT_JOB_COMPLETED,
	LOG_EVENT_JOB_WARNINGS,
	LOG_EVENT_JOB_FAILED,
	LOG_EVENT_JOB_CANCELLED,
	LOG_EVENT_MEMBER_FAILED,
	LOG_EVENT_STATE_CHANGED,
	LOG_EVENT_HEALTH_CHANGED,
	LOG_EVENT_UNRELIABLE,
	LOG_EVENT_POINT,
	LOG_EVENT_CLEARED,
	LOG_EVENT_SENDER_REFUSED,
	LOG_EVENT_COUNT,
};

/**
 * struct log_fields - what a line is about; NULL and 0 are left out
 * @event: enum log_event
 * @collection: its name
 * @vm: name of the member
 * @disk: its name
 * @job: its number
 * @code: enum reason_code
 */
struct log_fields {
	enum log_event event;
	const char *collection;
	const char *vm;
	const char *disk;
	uint64_t job;
	uint32_t code;
};

/**
 * log_write() - one line for people, to stderr or the journal
 * @priority: LOG_ERR ... LOG_DEBUG
 * @format: as printf, without a newline
 *
 * Only the edges of the agent log (main, sessions, jobs): what a function
 * returns, it does not log. Safe in every thread.
 */
void log_write(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/**
 * log_about() - the same, with fields for the journal
 * @priority: LOG_ERR ... LOG_DEBUG
 * @fields: only read
 * @format: a sentence that says all of it also without the fields
 */
void log_about(int priority, const struct log_fields *fields, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** log_message_id() - the MESSAGE_ID of an event, 32 hexadecimal digits; NULL for none */
const char *log_message_id(enum log_event event);

/** log_set_level() - drop lines above @priority; the default is LOG_INFO */
void log_set_level(int priority);

#define log_error(...) log_write(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
