/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Device-mapper tables in memory: a row of targets. Knows no device mapper; no
 * part of the public interface.
 */
#ifndef LIBTIDEMARK_TABLE_H
#define LIBTIDEMARK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The names of the targets that matter here. */
#define TABLE_TRACKER "tidemark"

/**
 * struct table_target - one line of a table
 * @start: first sector
 * @length: how many sectors
 * @type: name of the target
 * @params: the rest of the line
 */
struct table_target {
	uint64_t start;
	uint64_t length;
	char *type;
	char *params;
};

/**
 * struct table - the lines of a device; all 0 is an empty one
 * @targets: the lines, in order
 * @count: how many
 */
struct table {
	struct table_target *targets;
	size_t count;
};

/** table_add() - append a line. Return: 0, -ENOMEM */
int table_add(struct table *t, uint64_t start, uint64_t length, const char *type,
	      const char *params);
/**
 * table_free() - free what @t holds and make it empty
 *
 * Parameters are wiped first: those of a crypt target may hold its key.
 */
void table_free(struct table *t);

/** table_equal() - do both map the same */
bool table_equal(const struct table *a, const struct table *b);

/**
 * table_sectors() - the size of the device
 *
 * Return: 0 for a table that is empty or has holes.
 */
uint64_t table_sectors(const struct table *t);

/**
 * struct table_tracker - the parameters of a tracker
 * @major: of the data device
 * @minor: of the data device
 * @granule_sectors: sectors in a granule
 * @meta: it has a metadata device
 * @meta_major: of that
 * @meta_minor: of that
 * @identity: what the disk is called, one word, or ""
 * @boot: a UUID, or ""
 */
struct table_tracker {
	uint32_t major;
	uint32_t minor;
	uint32_t granule_sectors;
	bool meta;
	uint32_t meta_major;
	uint32_t meta_minor;
	char identity[64];
	char boot[40];
};

/** table_add_tracker() - append a tracker from sector 0. Return: 0, -ENOMEM */
int table_add_tracker(struct table *t, uint64_t sectors, const struct table_tracker *tracker);

/**
 * table_get_tracker() - is this one tracker over one whole device
 * @t: the table
 * @ret: its devices and granule; @ret.identity and @ret.boot are ""
 *
 * Return: 0; -ENOMSG: it has no tracker; -EOPNOTSUPP: it has one, but beside
 * other targets or in a form that is not ours.
 */
int table_get_tracker(const struct table *t, struct table_tracker *ret);

/**
 * table_is_movable() - may these targets exist twice for a moment
 * @t: the table
 *
 * While a tracker is slid in or taken out, the old and the new device both have
 * this table. Targets without a state of their own bear that. Those that keep
 * state (snapshots, caches, RAID, pools, integrity, ...) would have two owners
 * of one metadata area, which they do not.
 */
bool table_is_movable(const struct table *t);

#endif
