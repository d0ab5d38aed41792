/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings of a relationship: those of the management model and ours. One table
 * names each for the file ("replica"), and for programs ("RecoveryConnectionPoint"),
 * says what it must look like, and turns it from text and to text; the
 * configuration, the API and what is stored all go through it.
 */
#ifndef TIDEMARK_CONFIG_SETTINGS_H
#define TIDEMARK_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/reason.h"
#include "config/rules.h"

/** enum settings_authentication - of the reference: 1 Kerberos is not to be had */
enum settings_authentication {
	AUTHENTICATION_NONE = 0, /* (ours) loopback, tests, or plain=yes */
	AUTHENTICATION_CERTIFICATE = 2,
};

/**
 * struct settings - how a collection is replicated
 * @host: of RecoveryConnectionPoint; owned. NULL: not said
 * @port: its port; owned
 * @authentication: enum settings_authentication, also of loopback; see
 *	settings_secure()
 * @plain: another host may be spoken to without TLS
 * @compression: CompressionEnabled: pack where that pays
 * @interval_s: ReplicationInterval, seconds between recurring runs; 0: only on request
 * @history: RecoveryHistory, further points that the replica keeps, 0 to 24
 * @history_given: it was said; if not, the replica host decides
 * @consistent_s: ApplicationConsistentSnapshotInterval, seconds; 0: never
 * @freeze: command that makes the VMs' file systems consistent; owned. NULL: none
 * @included: IncludedDisks, VM/DISK with blanks between: these only are replicated;
 *	owned. NULL: all
 * @auto_resync: AutoResynchronizeEnabled
 * @window_start_s: AutoResynchronizeIntervalStart, seconds after local midnight
 * @window_end_s: AutoResynchronizeIntervalEnd; before @window_start_s: after midnight;
 *	the same: all day
 * @write_order: EnableWriteOrderPreservationAcrossDisks; disks of a run are always
 *	sealed at one instant, so "no" is taken and changes nothing
 * @allow_compare: where no bitmap can be trusted, both sides may be read and compared
 * @paranoid: what is compared is by SHA-256
 * @streams: TCP connections that carry the bytes of one run, 1 to 8
 * @kernel_tls: enum tls_kernel: who encrypts what is sent
 * @rate_limit: bytes a second on the wire; 0: none
 * @rate_rules: what holds instead at some times
 * @compare_rate: bytes a second that are read to be compared; 0: as fast as it goes
 * @latency_ms: reads are held back when a VM's own requests take longer; 0: never
 * @max_concurrent: runs of this collection at once, if its VMs have several
 *	replica addresses; 0: as many as the agent allows
 * @max_passes: seals before a disk that is written too fast is given up
 * @pool_limit: bytes that the preserve pool of a disk may grow to meanwhile; 0: none
 * @timeout_s: for answers of the replica host
 * @drain_timeout_s: for writes that were in flight at a seal
 * @commit_timeout_s: for the replica to make a point durable
 */
struct settings {
	char *host;
	char *port;
	uint32_t authentication;
	bool plain;
	bool compression;
	uint32_t interval_s;
	uint32_t history;
	bool history_given;
	uint32_t consistent_s;
	char *freeze;
	char *included;
	bool auto_resync;
	uint32_t window_start_s;
	uint32_t window_end_s;
	bool write_order;
	bool allow_compare;
	bool paranoid;
	uint32_t streams;
	uint32_t kernel_tls;
	uint64_t rate_limit;
	uint64_t compare_rate;
	struct rate_rules rate_rules;
	uint32_t latency_ms;
	uint32_t max_concurrent;
	uint32_t max_passes;
	uint64_t pool_limit;
	uint32_t timeout_s;
	uint32_t drain_timeout_s;
	uint32_t commit_timeout_s;
};

/**
 * struct setting - a row of the table
 * @key: in a file: "replica"
 * @name: for programs: "RecoveryConnectionPoint"
 * @type: of the value in D-Bus's letters: 's', 'b', 'u', 't'
 * @expected: what is allowed, for people: "HOST:PORT"
 * @set: from text. Return: 0, -EINVAL, -ENOMEM
 * @get: to text, in @size bytes
 */
struct setting {
	const char *key;
	const char *name;
	char type;
	const char *expected;
	int (*set)(struct settings *s, const char *text);
	void (*get)(const struct settings *s, char *text, size_t size);
};

#define SETTING_TEXT_MAX 1024

/** settings_table() - all of them; *@ret_count rows */
const struct setting *settings_table(size_t *ret_count);
/** settings_find() - by .key or .name; NULL: there is none */
const struct setting *settings_find(const char *name);

/** settings_defaults() - fill with what holds when nothing is said; nothing is allocated */
void settings_defaults(struct settings *s);
/** settings_copy() - a copy with strings of its own. Return: 0 or -ENOMEM */
int settings_copy(struct settings *to, const struct settings *from);
/** settings_clear() - free the strings; @s itself is the caller's */
void settings_clear(struct settings *s);

/**
 * settings_apply() - set one by name
 *
 * Return: 0; -ENOENT: no such setting; -EINVAL: @reason says what was expected;
 * -ENOMEM. @s is unchanged then.
 */
int settings_apply(struct settings *s, const char *name, const char *text, struct reason *reason);

/**
 * settings_secure() - is that host spoken to through TLS, with certificates?
 *
 * Any other host is, unless @s->plain was said; this one, if it was asked for.
 */
bool settings_secure(const struct settings *s, const char *host);

/** settings_include() - is that disk replicated? */
bool settings_include(const struct settings *s, const char *vm, const char *disk);

/** settings_check() - what no single value can be blamed for. Return: 0 or -EINVAL */
int settings_check(const struct settings *s, struct reason *reason);

#endif
