/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration: /etc/tidemark/tidemark.conf and what lies in the folder
 * beside it, tidemark.conf.d/, as *.conf, in the order of their names. A later
 * value replaces an earlier one. tidemark.conf(5) has every section and key.
 *
 * Only this folder knows inih. Everything is checked here: who gets a struct
 * config need not doubt it. An error names file and line and says what was
 * expected.
 */
#ifndef TIDEMARK_CONFIG_CONFIG_H
#define TIDEMARK_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/name.h"
#include "base/reason.h"
#include "config/settings.h"
#include "point/store.h"
#include "receive/peers.h"
#include "send/run.h"

#define CONFIG_PATH "/etc/tidemark/tidemark.conf"

/**
 * struct config_vm - what is said of a VM as a whole; a VM may do without
 * @name: its own
 * @host: of its own replica, NULL: the collection's
 * @port: of that
 * @freeze: its own freeze hook, NULL: the collection's
 */
struct config_vm {
	char *name;
	char *host;
	char *port;
	char *freeze;
};

/**
 * struct config_collection - what is replicated together; owns its strings
 * @name: its name
 * @file: where it was mentioned first
 * @settings: how it is replicated
 * @disks: @disk_count of them, those of a VM in any order
 * @disk_count: 1 to FRAME_DISKS_MAX
 * @vms: @vm_count of them
 * @vm_count: see @vms
 */
struct config_collection {
	char *name;
	char *file;
	struct settings settings;
	struct run_disk *disks;
	size_t disk_count;
	struct config_vm *vms;
	size_t vm_count;
};

/**
 * struct config - the whole of it
 * @state_dir: folder of the agent's own state
 * @bus: "system", "none", or a D-Bus address; NULL: not said
 * @log_level: LOG_ERR to LOG_DEBUG
 * @max_jobs: runs at once, of all collections; others wait in a queue
 * @missed_grace_s: a scheduled job whose time passed while the agent was away is run
 *	when it is not later than this, else it is refused
 * @rate_limit: bytes a second on the wire, of all runs together; 0: none
 * @rate_rules: what holds instead at some times
 * @receive: there is a [receiver] section
 * @listen_host: address
 * @listen_port: its port
 * @tls_dir: folder of certificates, see tls/context.h
 * @receiver_plain: other hosts may connect without TLS
 * @receiver_tls: they must have it, also from this host
 * @peers: who may send what, where there is TLS; owns its strings
 * @peer_count: of them
 * @store: folder of replicas
 * @history: further points kept of a collection whose sender says nothing of it
 * @history_max: at most, whatever a sender says
 * @connections: served at a time, and of them, 0: see struct receiver_limits:
 * @connections_per_peer: of one sender
 * @connections_unknown: that have not said who they are
 * @targets: replicas elsewhere
 * @target_count: of them
 * @collections: what this host sends
 * @collection_count: of them
 */
struct config {
	char *state_dir;
	char *bus;
	int log_level;
	uint32_t max_jobs;
	uint32_t missed_grace_s;
	uint64_t rate_limit;
	struct rate_rules rate_rules;
	bool receive;
	char *listen_host;
	uint16_t listen_port;
	char *tls_dir;
	bool receiver_plain;
	bool receiver_tls;
	struct receiver_peer *peers;
	size_t peer_count;
	char *store;
	uint32_t history;
	uint32_t history_max;
	uint32_t connections;
	uint32_t connections_per_peer;
	uint32_t connections_unknown;
	struct store_target *targets;
	size_t target_count;
	struct config_collection *collections;
	size_t collection_count;
};

/**
 * config_load() - read a file and its folder of additions
 * @path: of the file; the folder is @path with ".d" added, and may be missing
 * @ret: freed by config_free()
 * @reason: on failure: "FILE:LINE: what is wrong, what was expected"
 *
 * Return: 0; -EINVAL; or the errno of reading a file.
 */
int config_load(const char *path, struct config **ret, struct reason *reason);
/** config_receives_tls() - must those who send to this host have certificates? */
bool config_receives_tls(const struct config *c);

/** config_free() - NULL is ignored. Return: NULL */
struct config *config_free(struct config *c);

/** config_collection() - by its name; NULL: there is none */
struct config_collection *config_collection(const struct config *c, const char *name);

/** config_collection_of_vm() - the first one that has a disk of that VM, or NULL */
struct config_collection *config_collection_of_vm(const struct config *c, const char *vm);

/** config_loopback() - does this address or name reach no further than this host? */
bool config_loopback(const char *host);

#endif
