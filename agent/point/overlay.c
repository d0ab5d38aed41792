// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/overlay.h"

#include <string.h>

#include "point/cover.h"
#include "point/qcow2.h"

/*
 * @end: clusters of the file that are taken
 * @taken: of these, the ones that were when it was created
 * @unused: of these, by number, those that nobody uses any more, see overlay_forget();
 *	NULL: none
 * @lowest: none of them is before this
 */
struct overlay {
	uint64_t size;
	struct tables *tables;
	struct table_io io;
	struct table_map *map;
	uint32_t l1_count;
	uint32_t l2_count; /* entries of an L2 table */
	uint32_t cluster_bits;
	uint64_t end;
	uint64_t taken;
	struct cover *unused;
	uint64_t lowest;
};

static uint64_t overlay_cluster_size(const struct overlay *o)
{
	return 1ull << o->cluster_bits;
}

static uint64_t overlay_l1_count(uint64_t size, uint32_t cluster)
{
	return u64_div_up(u64_div_up(size, cluster), cluster / sizeof(uint64_t));
}

int overlay_judge(uint64_t size, uint32_t cluster)
{
	if (!u64_is_power_of_2(cluster) || cluster < OVERLAY_CLUSTER_MIN ||
	    cluster > OVERLAY_CLUSTER_MAX)
		return -EINVAL;
	if (size == 0 || size % SECTOR_SIZE || size > INT64_MAX / 2)
		return -EINVAL;
	if (overlay_l1_count(size, cluster) > QCOW2_L1_MAX / sizeof(uint64_t))
		return -EFBIG;
	return 0;
}

int overlay_create(const struct overlay_config *config, struct overlay **ret)
{
	struct overlay *o;
	int err = overlay_judge(config->size, config->cluster);

	if (err)
		return err;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	*o = (struct overlay){
		.size = config->size,
		.tables = config->tables,
		.io = config->io,
		.l1_count = overlay_l1_count(config->size, config->cluster),
		.l2_count = config->cluster / sizeof(uint64_t),
		.cluster_bits = __builtin_ctz(config->cluster),
	};
	/* Behind the header. */
	o->end = u64_max(1, u64_div_up(config->taken, config->cluster));
	o->taken = o->end;
	err = table_map_create(&(struct table_map_config){ o->tables, o->io, o->l1_count,
							   o->cluster_bits, &o->end }, &o->map);
	if (err) {
		free(o);
		return err;
	}
	*ret = o;
	return 0;
}

struct overlay *overlay_destroy(struct overlay *o)
{
	if (!o)
		return NULL;
	table_map_destroy(o->map);
	cover_destroy(o->unused);
	free(o);
	return NULL;
}

/* An entry, to be changed; its table is made if there is none. */
static int overlay_entry(struct overlay *o, uint64_t cluster, uint64_t **ret)
{
	uint64_t *table;
	int err = table_map_get(o->map, cluster / o->l2_count, TABLE_CHANGE, &table);

	if (!err)
		*ret = &table[cluster % o->l2_count];
	return err;
}

/* A region that a frame may have: in the disk, whole clusters but at its end. */
static bool overlay_region_valid(const struct overlay *o, uint64_t offset, uint64_t span)
{
	uint64_t mask = overlay_cluster_size(o) - 1;

	if (span == 0 || offset > o->size || span > o->size - offset || offset & mask)
		return false;
	return !(span & mask) || offset + span == o->size;
}

/* A place for data: one that nobody uses any more, or the next one. */
static uint64_t overlay_new_place(struct overlay *o)
{
	if (o->unused && cover_next_mark(o->unused, o->lowest, &o->lowest)) {
		cover_clear(o->unused, o->lowest, 1);
		return o->lowest++;
	}
	o->unused = cover_destroy(o->unused);
	return o->end++;
}

/* The cluster's place in the file, taken now if it has none. It will hold data. */
static int overlay_take(struct overlay *o, uint64_t cluster, uint64_t *ret)
{
	uint64_t *entry;
	int err = overlay_entry(o, cluster, &entry);

	if (err)
		return err;
	if (!(*entry & QCOW2_OFFSET))
		*entry = overlay_new_place(o) << o->cluster_bits;
	/* One that was made zero keeps its place: it is data again. */
	*entry &= QCOW2_OFFSET;
	*ret = *entry >> o->cluster_bits;
	*entry |= QCOW2_COPIED;
	return 0;
}

int overlay_map(struct overlay *o, uint64_t offset, uint64_t span, uint64_t *ret_offset,
		uint64_t *ret_length)
{
	uint64_t cluster = offset >> o->cluster_bits;
	uint64_t first, next, count;
	int err;

	if (!overlay_region_valid(o, offset, span))
		return -EINVAL;
	count = u64_div_up(span, overlay_cluster_size(o));
	err = overlay_take(o, cluster, &first);
	if (err)
		return err;
	for (uint64_t i = 1; i < count; i++) {
		err = overlay_take(o, cluster + i, &next);
		if (err)
			return err;
		/* Elsewhere; if it was taken just now, the next call finds it there. */
		if (next != first + i)
			count = i;
	}
	*ret_offset = first << o->cluster_bits;
	*ret_length = count << o->cluster_bits;
	return 0;
}

/* The part of a region that one table covers. */
static int overlay_zero_some(struct overlay *o, uint64_t cluster, uint64_t stop, bool all)
{
	uint32_t index = cluster / o->l2_count;
	enum table_kind kind = table_map_kind(o->map, index);
	uint64_t *table;
	int err;

	/* All that the table covers, and nothing of it is allocated. */
	if (all && kind == TABLE_NONE)
		table_map_zeroes(o->map, index);
	if (kind == TABLE_ZEROES || (all && kind == TABLE_NONE))
		return 0;
	err = table_map_get(o->map, index, TABLE_CHANGE, &table);
	/* A cluster in the file stays allocated: it may be wanted again. */
	for (uint64_t c = cluster; c < stop && !err; c++)
		table[c % o->l2_count] |= QCOW2_ZERO;
	return err;
}

int overlay_zero(struct overlay *o, uint64_t offset, uint64_t span)
{
	uint64_t cluster = offset >> o->cluster_bits;
	uint64_t disk_end = u64_div_up(o->size, overlay_cluster_size(o));
	uint64_t end;
	int err = 0;

	if (!overlay_region_valid(o, offset, span))
		return -EINVAL;
	end = cluster + u64_div_up(span, overlay_cluster_size(o));
	while (cluster < end && !err) {
		uint64_t table_end = u64_min((cluster / o->l2_count + 1) * o->l2_count, disk_end);
		uint64_t stop = u64_min(end, table_end);

		err = overlay_zero_some(o, cluster, stop,
					cluster % o->l2_count == 0 && stop == table_end);
		cluster = stop;
	}
	return err;
}

int overlay_restore(struct overlay *o, uint64_t offset, uint64_t span, uint64_t place)
{
	uint64_t cluster = offset >> o->cluster_bits;
	uint64_t at = place >> o->cluster_bits;
	uint64_t count, *entry;
	int err = 0;

	if (!overlay_region_valid(o, offset, span) || !at ||
	    place & (overlay_cluster_size(o) - 1))
		return -EINVAL;
	count = u64_div_up(span, overlay_cluster_size(o));
	/* Behind that a table may lie already, which had to make room. */
	if (at > o->taken || count > o->taken - at)
		return -EINVAL;
	for (uint64_t i = 0; i < count && !err; i++) {
		err = overlay_entry(o, cluster + i, &entry);
		if (!err)
			*entry = (at + i) << o->cluster_bits | QCOW2_COPIED;
	}
	return err;
}

static int overlay_forget_place(struct overlay *o, uint64_t place)
{
	int err;

	if (!place)
		return 0;
	err = o->unused ? cover_grow(&o->unused, o->end) : cover_create(o->end, 1, &o->unused);
	if (err)
		return err;
	cover_mark(o->unused, place, 1);
	o->lowest = u64_min(o->lowest, place);
	return 0;
}

/* A place that was given up may have been taken by another cluster since. */
int overlay_restored(struct overlay *o)
{
	struct cover *unused;
	uint64_t *table;
	int err = cover_create(o->taken, 1, &unused);

	if (err)
		return err;
	cover_mark(unused, 1, o->taken - 1);
	for (uint32_t i = 0; i < o->l1_count && !err; i++) {
		if (table_map_kind(o->map, i) != TABLE_THERE)
			continue;
		err = table_map_get(o->map, i, TABLE_READ, &table);
		for (uint32_t k = 0; k < o->l2_count && !err; k++)
			if (table[k] & QCOW2_OFFSET)
				cover_clear(unused, (table[k] & QCOW2_OFFSET) >> o->cluster_bits, 1);
	}
	if (err) {
		cover_destroy(unused);
		return err;
	}
	cover_destroy(o->unused);
	o->unused = unused;
	o->lowest = 0;
	return 0;
}

int overlay_forget(struct overlay *o, uint64_t offset, uint64_t span)
{
	uint64_t cluster = offset >> o->cluster_bits;
	uint64_t end, *entry;
	int err = 0;

	if (!overlay_region_valid(o, offset, span))
		return -EINVAL;
	end = cluster + u64_div_up(span, overlay_cluster_size(o));
	for (; cluster < end && !err; cluster++) {
		if (table_map_kind(o->map, cluster / o->l2_count) == TABLE_NONE)
			continue;
		err = overlay_entry(o, cluster, &entry);
		if (!err)
			err = overlay_forget_place(o, (*entry & QCOW2_OFFSET) >> o->cluster_bits);
		if (!err)
			*entry = 0;
	}
	return err;
}

uint64_t overlay_end(const struct overlay *o)
{
	return o->end << o->cluster_bits;
}

/* -- finishing ---------------------------------------------------------------- */

/*
 * What finishing knows. The tables follow each other in the file, but for those that
 * had to make room earlier, and are gathered in @batch. @zero_cluster: of the tables
 * that are zeroes throughout, which many L1 entries may share: their reference count
 * is above 1, and the entries lack QCOW2_COPIED then, so QEMU would copy it before
 * writing to it. Only as many share one as a count of 16 bits can say.
 */
struct finish {
	struct overlay *o;
	struct batch *batch;
	uint32_t *zero_users; /* of each shared table, in order */
	uint64_t *zero_cluster;
	uint32_t zero_tables;
	uint64_t l1_cluster;
	uint64_t refblock_cluster;
	uint64_t refblocks;
	uint64_t reftable_cluster;
	uint64_t reftable_clusters;
};

static int finish_room(struct finish *f, uint64_t cluster, uint8_t **ret)
{
	return batch_room(f->batch, overlay_cluster_size(f->o), cluster << f->o->cluster_bits,
			  ret);
}

static int finish_zero_table(struct finish *f, uint64_t cluster)
{
	uint8_t *room;
	int err = finish_room(f, cluster, &room);

	for (uint32_t i = 0; i < f->o->l2_count && !err; i++)
		((be64 *)room)[i] = be64_of(QCOW2_ZERO);
	return err;
}

static uint64_t overlay_zero_count(const struct overlay *o)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < o->l1_count; i++)
		count += table_map_kind(o->map, i) == TABLE_ZEROES;
	return count;
}

static int finish_zero_tables(struct finish *f)
{
	uint64_t left = overlay_zero_count(f->o);
	int err;

	f->zero_tables = u64_div_up(left, QCOW2_REFCOUNT_MAX);
	f->zero_users = calloc(f->zero_tables + 1, sizeof(*f->zero_users));
	f->zero_cluster = calloc(f->zero_tables + 1, sizeof(*f->zero_cluster));
	if (!f->zero_users || !f->zero_cluster)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->zero_tables; i++) {
		f->zero_cluster[i] = f->o->end++;
		err = finish_zero_table(f, f->zero_cluster[i]);
		if (err)
			return err;
		f->zero_users[i] = u64_min(left, QCOW2_REFCOUNT_MAX);
		left -= f->zero_users[i];
	}
	return 0;
}

/* @zero_seen: entries before it that are zeroes throughout */
static uint64_t finish_l1_entry(const struct finish *f, uint32_t index, uint32_t *zero_seen)
{
	const struct overlay *o = f->o;
	uint32_t which;

	switch (table_map_kind(o->map, index)) {
	case TABLE_ZEROES:
		which = (*zero_seen)++ / QCOW2_REFCOUNT_MAX;
		return f->zero_cluster[which] << o->cluster_bits |
		       (f->zero_users[which] == 1 ? QCOW2_COPIED : 0);
	case TABLE_THERE:
		return table_map_place(o->map, index) << o->cluster_bits | QCOW2_COPIED;
	default:
		return 0;
	}
}

static int finish_l1(struct finish *f)
{
	struct overlay *o = f->o;
	uint32_t zero_seen = 0;
	uint8_t *room = NULL;
	int err = 0;

	f->l1_cluster = o->end;
	for (uint32_t i = 0; i < o->l1_count && !err; i++) {
		if (i % o->l2_count == 0)
			err = finish_room(f, o->end++, &room);
		if (!err)
			((be64 *)room)[i % o->l2_count] =
				be64_of(finish_l1_entry(f, i, &zero_seen));
	}
	return err;
}

/* The blocks and the table that points to them count themselves too. */
static void finish_size_refcounts(struct finish *f)
{
	struct overlay *o = f->o;
	uint64_t cluster = overlay_cluster_size(o);
	uint64_t per_block = cluster / sizeof(uint16_t);
	uint64_t blocks = 0, table = 0, total;

	for (;;) {
		uint64_t want;

		total = o->end + blocks + table;
		want = u64_div_up(total, per_block);
		if (want == blocks && table == u64_div_up(want * sizeof(be64), cluster))
			break;
		blocks = want;
		table = u64_div_up(want * sizeof(be64), cluster);
	}
	f->refblock_cluster = o->end;
	f->refblocks = blocks;
	f->reftable_cluster = o->end + blocks;
	f->reftable_clusters = table;
	o->end = total;
}

static uint16_t finish_refcount(const struct finish *f, uint64_t cluster)
{
	if (cluster >= f->o->end)
		return 0;
	if (f->o->unused && cover_marked(f->o->unused, cluster))
		return 0;
	for (uint32_t i = 0; i < f->zero_tables; i++)
		if (f->zero_cluster[i] == cluster)
			return f->zero_users[i];
	return 1;
}

static int finish_refcounts(struct finish *f)
{
	struct overlay *o = f->o;
	uint64_t per_block = overlay_cluster_size(o) / sizeof(uint16_t);
	uint64_t per_table = overlay_cluster_size(o) / sizeof(be64);
	uint8_t *room;
	int err = 0;

	finish_size_refcounts(f);
	for (uint64_t b = 0; b < f->refblocks && !err; b++) {
		err = finish_room(f, f->refblock_cluster + b, &room);
		for (uint64_t i = 0; i < per_block && !err; i++)
			((uint16_t *)room)[i] = htobe16(finish_refcount(f, b * per_block + i));
	}
	for (uint64_t t = 0; t < f->reftable_clusters && !err; t++) {
		err = finish_room(f, f->reftable_cluster + t, &room);
		for (uint64_t i = 0; i < per_table && !err; i++)
			if (t * per_table + i < f->refblocks)
				((be64 *)room)[i] = be64_of((f->refblock_cluster + t * per_table + i)
							    << o->cluster_bits);
	}
	return err;
}

static uint8_t *header_extension(uint8_t *at, uint32_t type, const void *data, uint32_t size)
{
	struct qcow2_extension e = { be32_of(type), be32_of(size) };

	memcpy(at, &e, sizeof(e));
	if (size)
		memcpy(at + sizeof(e), data, size);
	return at + sizeof(e) + u64_align(size, 8);
}

/* @buf: a cluster of zeroes. Header, extensions and name take less than 4 KiB. */
static void finish_header(const struct finish *f, const struct overlay_label *label, uint8_t *buf)
{
	const struct overlay *o = f->o;
	struct qcow2_tidemark ours = { .epoch = be64_of(label->epoch),
				       .point = be64_of(label->point) };
	size_t name_size = strlen(label->backing);
	uint8_t *at = buf + sizeof(struct qcow2_header);
	struct qcow2_header h;

	memcpy(ours.tracker, label->tracker, sizeof(ours.tracker));
	at = header_extension(at, QCOW2_EXT_BACKING_FORMAT, label->format,
			      strlen(label->format));
	at = header_extension(at, QCOW2_EXT_TIDEMARK, &ours, sizeof(ours));
	at = header_extension(at, QCOW2_EXT_END, NULL, 0);
	memcpy(at, label->backing, name_size);
	h = (struct qcow2_header){
		.magic = be32_of(QCOW2_MAGIC),
		.version = be32_of(QCOW2_VERSION),
		.backing_offset = be64_of(at - buf),
		.backing_size = be32_of(name_size),
		.cluster_bits = be32_of(o->cluster_bits),
		.size = be64_of(o->size),
		.l1_size = be32_of(o->l1_count),
		.l1_offset = be64_of(f->l1_cluster << o->cluster_bits),
		.refcount_offset = be64_of(f->reftable_cluster << o->cluster_bits),
		.refcount_clusters = be32_of(f->reftable_clusters),
		.refcount_order = be32_of(QCOW2_REFCOUNT_ORDER),
		.header_length = be32_of(sizeof(h)),
	};
	memcpy(buf, &h, sizeof(h));
}

static int finish_run(struct finish *f, const struct overlay_label *label)
{
	struct overlay *o = f->o;
	uint64_t cluster = overlay_cluster_size(o);
	int err = table_map_flush(o->map);

	batch_begin(f->batch, o->io.write, o->io.arg);
	if (!err)
		err = finish_zero_tables(f);
	if (!err)
		err = finish_l1(f);
	/* What was forgotten and not taken again is no leak: its reference count is 0. */
	if (!err)
		err = finish_refcounts(f);
	if (!err)
		err = batch_flush(f->batch);
	if (err)
		return err;
	memset(f->batch->buf, 0, cluster);
	finish_header(f, label, f->batch->buf);
	return o->io.write(o->io.arg, f->batch->buf, cluster, 0);
}

int overlay_finish(struct overlay *o, const struct overlay_label *label, uint64_t *ret_size)
{
	struct finish f = { .o = o, .batch = tables_batch(o->tables) };
	int err;

	if (strlen(label->backing) > QCOW2_BACKING_MAX)
		return -ENAMETOOLONG;
	err = finish_run(&f, label);
	if (!err)
		*ret_size = overlay_end(o);
	free(f.zero_users);
	free(f.zero_cluster);
	return err;
}
