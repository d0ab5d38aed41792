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
#include "point/store.h"
#include "send/run.h"

#define CONFIG_PATH "/etc/tidemark/tidemark.conf"

/**
 * struct config_collection - what is replicated together
 * @run: ready to be executed, but for .kind and .compare; owns its strings
 * @plain: a replica host that is not this one may be spoken to without TLS
 */
struct config_collection {
	struct run_config run;
	bool plain;
};

/**
 * struct config - the whole of it
 * @state_dir: folder of the agent's own state
 * @bus: "system", "none", or a D-Bus address; NULL: not said
 * @log_level: LOG_ERR to LOG_DEBUG
 * @receive: there is a [receiver] section
 * @listen_host: address
 * @listen_port: its port
 * @receiver_plain: other hosts may connect without TLS
 * @store: folder of replicas
 * @history: further points kept of a collection whose sender says nothing of it
 * @history_max: at most, whatever a sender says
 * @targets: replicas elsewhere
 * @target_count: of them
 * @collections: what this host sends
 * @collection_count: of them
 */
struct config {
	char *state_dir;
	char *bus;
	int log_level;
	bool receive;
	char *listen_host;
	uint16_t listen_port;
	bool receiver_plain;
	char *store;
	uint32_t history;
	uint32_t history_max;
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
/** config_free() - NULL is ignored. Return: NULL */
struct config *config_free(struct config *c);

/** config_collection() - by its name; NULL: there is none */
struct config_collection *config_collection(const struct config *c, const char *name);

/** config_loopback() - does this address or name reach no further than this host? */
bool config_loopback(const char *host);

#endif
