// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/tables.h"

#include <string.h>
#include <sys/queue.h>

#include "point/qcow2.h"

/*
 * A table in memory.
 * @place: its cluster in the file, 0: none yet
 * @changed: the file does not have it as it is here
 */
struct table {
	TAILQ_ENTRY(table) entry;
	struct table_map *map;
	uint32_t index;
	bool changed;
	uint64_t place;
	uint64_t *entries;
};

TAILQ_HEAD(table_list, table);

/* @recent: what was used last comes first */
struct tables {
	struct table_list recent;
	uint64_t limit;
	uint64_t used;
	struct batch batch;
};

/*
 * @slots: of each table: 0: TABLE_NONE; SLOT_ZEROES: TABLE_ZEROES; with SLOT_FILE: its
 *	cluster in the file, above SLOT_SHIFT; else the struct table, in memory
 */
struct table_map {
	struct table_map_config config;
	uint64_t slots[];
};

#define SLOT_ZEROES 1ull
#define SLOT_FILE 2ull
#define SLOT_SHIFT 2

/* -- the memory -------------------------------------------------------------------------- */

int tables_create(uint64_t limit, struct tables **ret)
{
	struct tables *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	TAILQ_INIT(&t->recent);
	t->limit = limit;
	if (batch_create(&t->batch)) {
		free(t);
		return -ENOMEM;
	}
	*ret = t;
	return 0;
}

struct tables *tables_destroy(struct tables *t)
{
	if (t)
		batch_destroy(&t->batch);
	free(t);
	return NULL;
}

uint64_t tables_used(const struct tables *t)
{
	return t->used;
}

struct batch *tables_batch(struct tables *t)
{
	return &t->batch;
}

static size_t table_bytes(const struct table_map *m)
{
	return (size_t)1 << m->config.cluster_bits;
}

static uint32_t table_entries(const struct table_map *m)
{
	return table_bytes(m) / sizeof(uint64_t);
}

static void table_free(struct table *e)
{
	struct tables *t = e->map->config.tables;

	TAILQ_REMOVE(&t->recent, e, entry);
	t->used -= table_bytes(e->map);
	free(e->entries);
	free(e);
}

/* Gathered: written, with others, by the batch's flush at the latest. */
static int table_gather(struct table *e)
{
	struct table_map *m = e->map;
	uint8_t *room;
	int err;

	if (!e->changed)
		return 0;
	if (!e->place)
		e->place = (*m->config.end)++;
	err = batch_room(&m->config.tables->batch, table_bytes(m),
			 e->place << m->config.cluster_bits, &room);
	for (uint32_t i = 0; i < table_entries(m) && !err; i++)
		((be64 *)room)[i] = be64_of(e->entries[i]);
	return err;
}

/* The file has it. */
static void table_drop(struct table *e)
{
	e->map->slots[e->index] = e->place << SLOT_SHIFT | SLOT_FILE;
	table_free(e);
}

/* The next one, to those used more recently, of the same map. */
static struct table *table_younger(struct table *e)
{
	struct table_map *m = e->map;

	do {
		e = TAILQ_PREV(e, table_list, entry);
	} while (e && e->map != m);
	return e;
}

/* Several make room at once, the oldest of one file: they are new there in a row. */
static int tables_evict(struct tables *t)
{
	struct table *oldest = TAILQ_LAST(&t->recent, table_list), *younger;
	struct table_map *m = oldest->map;
	uint64_t goal = u64_max(u64_min(t->limit / 4, BATCH_SIZE), table_bytes(m));
	uint32_t count = 0;
	int err = 0;

	batch_begin(&t->batch, m->config.io.write, m->config.io.arg);
	for (struct table *e = oldest; e && count < goal / table_bytes(m) && !err; count++) {
		err = table_gather(e);
		e = table_younger(e);
	}
	if (!err)
		err = batch_flush(&t->batch);
	/* If it fails all of them are here, and still to be written. */
	for (struct table *e = oldest; count && !err; count--, e = younger) {
		younger = table_younger(e);
		table_drop(e);
	}
	return err;
}

static int table_create(struct table_map *m, uint32_t index, struct table **ret)
{
	struct tables *t = m->config.tables;
	struct table *e;
	int err = 0;

	while (t->used && t->used + table_bytes(m) > t->limit && !err)
		err = tables_evict(t);
	e = err ? NULL : malloc(sizeof(*e));
	if (!e)
		return err ? err : -ENOMEM;
	*e = (struct table){ .map = m, .index = index };
	e->entries = aligned_alloc(IO_ALIGN, table_bytes(m));
	if (!e->entries) {
		free(e);
		return -ENOMEM;
	}
	TAILQ_INSERT_HEAD(&t->recent, e, entry);
	t->used += table_bytes(m);
	*ret = e;
	return 0;
}

/* -- the tables of an overlay -------------------------------------------------------------- */

int table_map_create(const struct table_map_config *config, struct table_map **ret)
{
	struct table_map *m = calloc(1, sizeof(*m) + config->count * sizeof(m->slots[0]));

	if (!m)
		return -ENOMEM;
	m->config = *config;
	*ret = m;
	return 0;
}

static struct table *slot_table(const struct table_map *m, uint32_t index)
{
	uint64_t slot = m->slots[index];

	return slot & (SLOT_ZEROES | SLOT_FILE) ? NULL : (struct table *)(uintptr_t)slot;
}

struct table_map *table_map_destroy(struct table_map *m)
{
	for (uint32_t i = 0; m && i < m->config.count; i++) {
		struct table *e = slot_table(m, i);

		if (e)
			table_free(e);
	}
	free(m);
	return NULL;
}

enum table_kind table_map_kind(const struct table_map *m, uint32_t index)
{
	if (!m->slots[index])
		return TABLE_NONE;
	return m->slots[index] == SLOT_ZEROES ? TABLE_ZEROES : TABLE_THERE;
}

void table_map_zeroes(struct table_map *m, uint32_t index)
{
	m->slots[index] = SLOT_ZEROES;
}

static int table_read(struct table *e, uint64_t place)
{
	const struct table_map *m = e->map;
	int err = m->config.io.read(m->config.io.arg, e->entries, table_bytes(m),
				    place << m->config.cluster_bits);

	for (uint32_t i = 0; i < table_entries(m) && !err; i++)
		e->entries[i] = be64_get(((be64 *)e->entries)[i]);
	e->place = place;
	return err;
}

static int table_load(struct table_map *m, uint32_t index, struct table **ret)
{
	uint64_t slot = m->slots[index];
	struct table *e;
	int err = table_create(m, index, &e);

	if (err)
		return err;
	if (slot & SLOT_FILE)
		err = table_read(e, slot >> SLOT_SHIFT);
	else
		for (uint32_t i = 0; i < table_entries(m); i++)
			e->entries[i] = slot == SLOT_ZEROES ? QCOW2_ZERO : 0;
	if (err) {
		table_free(e);
		return err;
	}
	m->slots[index] = (uintptr_t)e;
	*ret = e;
	return 0;
}

int table_map_get(struct table_map *m, uint32_t index, enum table_access access,
		  uint64_t **ret)
{
	struct table_list *recent = &m->config.tables->recent;
	struct table *e = slot_table(m, index);
	int err = e ? 0 : table_load(m, index, &e);

	if (err)
		return err;
	if (e != TAILQ_FIRST(recent)) {
		TAILQ_REMOVE(recent, e, entry);
		TAILQ_INSERT_HEAD(recent, e, entry);
	}
	e->changed |= access == TABLE_CHANGE;
	*ret = e->entries;
	return 0;
}

int table_map_flush(struct table_map *m)
{
	struct batch *b = &m->config.tables->batch;
	int err = 0;

	batch_begin(b, m->config.io.write, m->config.io.arg);
	for (uint32_t i = 0; i < m->config.count && !err; i++)
		if (slot_table(m, i))
			err = table_gather(slot_table(m, i));
	if (!err)
		err = batch_flush(b);
	for (uint32_t i = 0; i < m->config.count && !err; i++)
		if (slot_table(m, i))
			table_drop(slot_table(m, i));
	return err;
}

uint64_t table_map_place(const struct table_map *m, uint32_t index)
{
	return m->slots[index] >> SLOT_SHIFT;
}
