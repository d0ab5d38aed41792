/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tables: the L2 tables of overlays that are being written, of which only so many
 * stay in memory. Those that were used longest ago make room: they are written to
 * their overlay's file, in large pieces, and read again when they are wanted.
 *
 * A table gets its place in the file when it is written first, and keeps it. What
 * stands in the file before tables_flush() is for this process alone: the file's
 * header comes after that, and a run that is taken up again makes its tables anew.
 *
 * struct tables is the memory, for several overlays of one thread; struct table_map
 * belongs to one of them.
 */
#ifndef TIDEMARK_POINT_TABLES_H
#define TIDEMARK_POINT_TABLES_H

#include "point/batch.h"

struct tables;
struct table_map;

/**
 * tables_create() - memory for tables
 * @limit: bytes; one table is always possible, whatever its size
 *
 * Return: 0 or -ENOMEM.
 */
int tables_create(uint64_t limit, struct tables **ret);
/** tables_destroy() - the maps are gone already. NULL is ignored. Return: NULL */
struct tables *tables_destroy(struct tables *t);

/** tables_used() - bytes that tables take now */
uint64_t tables_used(const struct tables *t);

/** tables_batch() - its buffer, for others; nothing else may be called meanwhile */
struct batch *tables_batch(struct tables *t);

/**
 * struct table_io - the file that the tables lie in; blocks
 * @write: see batch_write
 * @read: exactly so much; @buf is aligned to IO_ALIGN. Return: 0 or a negative errno
 */
struct table_io {
	batch_write write;
	int (*read)(void *arg, void *buf, size_t size, uint64_t offset);
	void *arg;
};

/**
 * struct table_map_config - the tables of one overlay
 * @tables: where they are kept; outlives the map
 * @io: copied
 * @count: how many there can be
 * @cluster_bits: a table is a cluster
 * @end: the first cluster of the file that nobody has; counted up for each place
 */
struct table_map_config {
	struct tables *tables;
	struct table_io io;
	uint32_t count;
	uint32_t cluster_bits;
	uint64_t *end;
};

/** enum table_kind - what there is of a table */
enum table_kind {
	TABLE_NONE,   /* nothing: no entry says anything */
	TABLE_ZEROES, /* all that it covers reads as zeroes, and it takes no room */
	TABLE_THERE,
};

/** table_map_create() - of TABLE_NONE. Return: 0 or -ENOMEM */
int table_map_create(const struct table_map_config *config, struct table_map **ret);
/** table_map_destroy() - writes nothing. NULL is ignored. Return: NULL */
struct table_map *table_map_destroy(struct table_map *m);

/** table_map_kind() - what there is of table @index */
enum table_kind table_map_kind(const struct table_map *m, uint32_t index);

/** table_map_zeroes() - from TABLE_NONE to TABLE_ZEROES */
void table_map_zeroes(struct table_map *m, uint32_t index);

/** enum table_access - what it is wanted for */
enum table_access {
	TABLE_READ, /* of a table that is TABLE_THERE */
	TABLE_CHANGE,
};

/**
 * table_map_get() - the entries of a table, in the machine's byte order
 * @ret: until the next call for any map of these tables
 *
 * To be changed, it is made if it is not there. Return: 0; -ENOMEM; or the errno of
 * writing others or of reading it: nothing has changed then.
 */
int table_map_get(struct table_map *m, uint32_t index, enum table_access access,
		  uint64_t **ret);

/**
 * table_map_flush() - write what was changed, and keep nothing in memory
 *
 * Each table that is TABLE_THERE has a place then. Return: 0 or the errno of writing.
 */
int table_map_flush(struct table_map *m);

/** table_map_place() - after that: the cluster of a table that is TABLE_THERE */
uint64_t table_map_place(const struct table_map *m, uint32_t index);

#endif
