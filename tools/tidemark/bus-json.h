/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From D-Bus to JSON. Inside of bus*.c.
 */
#ifndef TIDEMARK_BUS_JSON_H
#define TIDEMARK_BUS_JSON_H

#include <systemd/sd-bus.h>

struct json_object;

/*
 * Each reads what comes next in @m; *@ret is the caller's, untouched on failure.
 * Return: 0 or negative errno.
 */

/** bus_json_value() - anything: arrays become arrays, dictionaries and properties objects */
int bus_json_value(sd_bus_message *m, struct json_object **ret);
/** bus_json_structs() - an array of structures, as objects with the members @keys */
int bus_json_structs(sd_bus_message *m, const char *const *keys, struct json_object **ret);
/** bus_json_array() - the same in a variant; what was in *@ret is put */
int bus_json_array(sd_bus_message *m, const char *const *keys, struct json_object **ret);
/** bus_json_key() - "ReplicationHealth" becomes "replication_health" */
void bus_json_key(const char *name, char *ret, size_t size);

#endif
