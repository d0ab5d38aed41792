// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/overlay.h"

#include <string.h>

#include "point/qcow2.h"

#define OVERLAY_BATCH MIB(1)

/*
 * @l1: L2 tables, in the machine's byte order; NULL: nothing allocated there;
 *	&overlay_zeroes: all of it reads as zeroes, and no table was needed
 * @end: clusters of the file that are taken
 * @unused: of these, @unused_count that nobody uses any more, see overlay_forget()
 */
struct overlay {
	uint64_t size;
	uint64_t *budget;
	uint64_t **l1;
	uint32_t l1_count;
	uint32_t l2_count; /* entries of an L2 table */
	uint32_t cluster_bits;
	uint64_t end;
	uint64_t *unused;
	size_t unused_count;
	size_t unused_room;
};

static uint64_t overlay_zeroes[1];

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
	uint64_t l1_count;
	int err = overlay_judge(config->size, config->cluster);

	if (err)
		return err;
	l1_count = overlay_l1_count(config->size, config->cluster);
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	*o = (struct overlay){
		.size = config->size,
		.budget = config->budget,
		.l1 = calloc(l1_count, sizeof(*o->l1)),
		.l1_count = l1_count,
		.l2_count = config->cluster / sizeof(uint64_t),
		.cluster_bits = __builtin_ctz(config->cluster),
		.end = 1, /* behind the header */
	};
	if (!o->l1) {
		free(o);
		return -ENOMEM;
	}
	*ret = o;
	return 0;
}

struct overlay *overlay_destroy(struct overlay *o)
{
	if (!o)
		return NULL;
	for (uint32_t i = 0; i < o->l1_count; i++)
		if (o->l1[i] && o->l1[i] != overlay_zeroes) {
			free(o->l1[i]);
			*o->budget += o->l2_count * sizeof(uint64_t);
		}
	free(o->unused);
	free(o->l1);
	free(o);
	return NULL;
}

/* The L2 table of an L1 entry, made if there is none. */
static uint64_t *overlay_table(struct overlay *o, uint32_t index)
{
	size_t bytes = o->l2_count * sizeof(uint64_t);
	uint64_t *table = o->l1[index];
	bool zero = table == overlay_zeroes;

	if (table && !zero)
		return table;
	if (*o->budget < bytes)
		return NULL;
	table = calloc(1, bytes);
	if (!table)
		return NULL;
	*o->budget -= bytes;
	if (zero)
		for (uint32_t i = 0; i < o->l2_count; i++)
			table[i] = QCOW2_ZERO;
	o->l1[index] = table;
	return table;
}

/* A region that a frame may have: in the disk, whole clusters but at its end. */
static bool overlay_region_valid(const struct overlay *o, uint64_t offset, uint64_t span)
{
	uint64_t mask = overlay_cluster_size(o) - 1;

	if (span == 0 || offset > o->size || span > o->size - offset || offset & mask)
		return false;
	return !(span & mask) || offset + span == o->size;
}

/* The cluster's place in the file, taken now if it has none. It will hold data. */
static int overlay_take(struct overlay *o, uint64_t cluster, uint64_t *ret)
{
	uint64_t *table = overlay_table(o, cluster / o->l2_count);
	uint64_t *entry;

	if (!table)
		return -ENOMEM;
	entry = &table[cluster % o->l2_count];
	if (!(*entry & QCOW2_OFFSET))
		*entry = (o->unused_count ? o->unused[--o->unused_count] : o->end++)
			 << o->cluster_bits;
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

int overlay_zero(struct overlay *o, uint64_t offset, uint64_t span)
{
	uint64_t cluster = offset >> o->cluster_bits;
	uint64_t disk_end = u64_div_up(o->size, overlay_cluster_size(o));
	uint64_t end;

	if (!overlay_region_valid(o, offset, span))
		return -EINVAL;
	end = cluster + u64_div_up(span, overlay_cluster_size(o));
	while (cluster < end) {
		uint32_t index = cluster / o->l2_count;
		uint64_t table_end = u64_min((uint64_t)(index + 1) * o->l2_count, disk_end);
		uint64_t stop = u64_min(end, table_end);
		uint64_t *table = o->l1[index];

		/* All that a table covers, and nothing of it is allocated. */
		if (cluster % o->l2_count == 0 && stop == table_end && !table)
			o->l1[index] = overlay_zeroes;
		if (o->l1[index] != overlay_zeroes) {
			table = overlay_table(o, index);
			if (!table)
				return -ENOMEM;
			/* A cluster in the file stays allocated: it may be wanted again. */
			for (uint64_t c = cluster; c < stop; c++)
				table[c % o->l2_count] |= QCOW2_ZERO;
		}
		cluster = stop;
	}
	return 0;
}

int overlay_restore(struct overlay *o, uint64_t offset, uint64_t span, uint64_t place)
{
	uint64_t cluster = offset >> o->cluster_bits;
	uint64_t at = place >> o->cluster_bits;
	uint64_t count;

	if (!overlay_region_valid(o, offset, span) || !at ||
	    place & (overlay_cluster_size(o) - 1) || at > QCOW2_OFFSET >> o->cluster_bits)
		return -EINVAL;
	count = u64_div_up(span, overlay_cluster_size(o));
	for (uint64_t i = 0; i < count; i++) {
		uint64_t *table = overlay_table(o, (cluster + i) / o->l2_count);

		if (!table)
			return -ENOMEM;
		table[(cluster + i) % o->l2_count] = (at + i) << o->cluster_bits | QCOW2_COPIED;
	}
	o->end = u64_max(o->end, at + count);
	return 0;
}

static int overlay_forget_place(struct overlay *o, uint64_t place)
{
	if (!place)
		return 0;
	if (o->unused_count == o->unused_room) {
		size_t room = o->unused_room ? o->unused_room * 2 : 64;
		uint64_t *grown = realloc(o->unused, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		o->unused = grown;
		o->unused_room = room;
	}
	o->unused[o->unused_count++] = place >> o->cluster_bits;
	return 0;
}

/* A place that was given up may have been taken by another cluster since. */
int overlay_restored(struct overlay *o)
{
	uint64_t *used = calloc(u64_div_up(o->end, 64), sizeof(*used));
	int err = used ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < o->l1_count && !err; i++) {
		const uint64_t *table = o->l1[i] == overlay_zeroes ? NULL : o->l1[i];

		for (uint32_t k = 0; table && k < o->l2_count; k++) {
			uint64_t place = (table[k] & QCOW2_OFFSET) >> o->cluster_bits;

			used[place / 64] |= 1ull << place % 64;
		}
	}
	o->unused_count = 0;
	for (uint64_t place = o->end; place-- > 1 && !err;)
		if (!(used[place / 64] >> place % 64 & 1))
			err = overlay_forget_place(o, place << o->cluster_bits);
	free(used);
	return err;
}

int overlay_forget(struct overlay *o, uint64_t offset, uint64_t span)
{
	uint64_t cluster = offset >> o->cluster_bits;
	uint64_t end;

	if (!overlay_region_valid(o, offset, span))
		return -EINVAL;
	end = cluster + u64_div_up(span, overlay_cluster_size(o));
	/* From the end: the places are taken from the end of the list. */
	while (end-- > cluster) {
		uint64_t *table = o->l1[end / o->l2_count];
		uint64_t *entry;

		if (!table)
			continue;
		table = overlay_table(o, end / o->l2_count);
		if (!table)
			return -ENOMEM;
		entry = &table[end % o->l2_count];
		if (overlay_forget_place(o, *entry & QCOW2_OFFSET))
			return -ENOMEM;
		*entry = 0;
	}
	return 0;
}

uint64_t overlay_end(const struct overlay *o)
{
	return o->end << o->cluster_bits;
}

/* -- finishing ---------------------------------------------------------------- */

/*
 * Tables follow each other in the file, so they are gathered and written in
 * large pieces. @fill: bytes in @buf; @at: where they go.
 */
struct batch {
	overlay_write write;
	void *arg;
	uint8_t *buf;
	size_t fill;
	uint64_t at;
};

static int batch_flush(struct batch *b)
{
	int err = b->fill ? b->write(b->arg, b->buf, b->fill, b->at) : 0;

	b->at += b->fill;
	b->fill = 0;
	return err;
}

/* Room for @size bytes, a divisor of the batch's size. */
static int batch_room(struct batch *b, size_t size, uint8_t **ret)
{
	int err = b->fill + size > OVERLAY_BATCH ? batch_flush(b) : 0;

	if (err)
		return err;
	*ret = b->buf + b->fill;
	memset(*ret, 0, size);
	b->fill += size;
	return 0;
}

/*
 * What finishing knows. @l1_disk: the L1 table as it will stand on disk.
 * @shared: cluster of the table that is zeroes throughout, which many L1
 * entries may share: its reference count is above 1, and they lack
 * QCOW2_COPIED then, so QEMU would copy it before writing to it. Only as many
 * share one as a count of 16 bits can say.
 */
struct finish {
	struct overlay *o;
	uint64_t *unused; /* a bit for each cluster before @data_end that nobody uses, or NULL */
	uint64_t data_end;
	struct batch batch;
	be64 *l1_disk;
	uint32_t *zero_users; /* of each shared table, in order */
	uint64_t *zero_cluster;
	uint32_t zero_tables;
	uint64_t l1_cluster;
	uint64_t refblock_cluster;
	uint64_t refblocks;
	uint64_t reftable_cluster;
	uint64_t reftable_clusters;
};

static int finish_table(struct finish *f, const uint64_t *table)
{
	struct overlay *o = f->o;
	uint8_t *room;
	int err = batch_room(&f->batch, overlay_cluster_size(o), &room);

	for (uint32_t i = 0; i < o->l2_count && !err; i++)
		((be64 *)room)[i] = be64_of(table ? table[i] : QCOW2_ZERO);
	return err;
}

static uint64_t overlay_zero_count(const struct overlay *o)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < o->l1_count; i++)
		count += o->l1[i] == overlay_zeroes;
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
		err = finish_table(f, NULL);
		if (err)
			return err;
		f->zero_cluster[i] = f->o->end++;
		f->zero_users[i] = u64_min(left, QCOW2_REFCOUNT_MAX);
		left -= f->zero_users[i];
	}
	return 0;
}

static int finish_l2(struct finish *f)
{
	struct overlay *o = f->o;
	uint32_t zero_seen = 0;
	int err = finish_zero_tables(f);

	for (uint32_t i = 0; i < o->l1_count && !err; i++) {
		if (o->l1[i] == overlay_zeroes) {
			uint32_t which = zero_seen++ / QCOW2_REFCOUNT_MAX;
			bool alone = f->zero_users[which] == 1;

			f->l1_disk[i] = be64_of(f->zero_cluster[which] << o->cluster_bits |
						(alone ? QCOW2_COPIED : 0));
		} else if (o->l1[i]) {
			f->l1_disk[i] = be64_of(o->end++ << o->cluster_bits | QCOW2_COPIED);
			err = finish_table(f, o->l1[i]);
		}
	}
	return err;
}

static int finish_l1(struct finish *f)
{
	struct overlay *o = f->o;
	size_t bytes = o->l1_count * sizeof(be64);
	int err = 0;

	f->l1_cluster = o->end;
	for (size_t at = 0; at < bytes && !err; at += overlay_cluster_size(o)) {
		uint8_t *room;

		err = batch_room(&f->batch, overlay_cluster_size(o), &room);
		if (!err)
			memcpy(room, (uint8_t *)f->l1_disk + at,
			       u64_min(bytes - at, overlay_cluster_size(o)));
		o->end++;
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
	if (f->unused && cluster < f->data_end && f->unused[cluster / 64] >> cluster % 64 & 1)
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
		err = batch_room(&f->batch, overlay_cluster_size(o), &room);
		for (uint64_t i = 0; i < per_block && !err; i++)
			((uint16_t *)room)[i] = htobe16(finish_refcount(f, b * per_block + i));
	}
	for (uint64_t t = 0; t < f->reftable_clusters && !err; t++) {
		err = batch_room(&f->batch, overlay_cluster_size(o), &room);
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
	uint64_t cluster = overlay_cluster_size(f->o);
	int err = finish_l2(f);

	if (!err)
		err = finish_l1(f);
	if (!err)
		err = finish_refcounts(f);
	if (!err)
		err = batch_flush(&f->batch);
	if (err)
		return err;
	memset(f->batch.buf, 0, cluster);
	finish_header(f, label, f->batch.buf);
	return f->batch.write(f->batch.arg, f->batch.buf, cluster, 0);
}

/* What was forgotten and not taken again: no leak, for its reference count is 0. */
static int finish_unused(struct finish *f)
{
	struct overlay *o = f->o;

	f->data_end = o->end;
	if (!o->unused_count)
		return 0;
	f->unused = calloc(u64_div_up(o->end, 64), sizeof(*f->unused));
	if (!f->unused)
		return -ENOMEM;
	for (size_t i = 0; i < o->unused_count; i++)
		f->unused[o->unused[i] / 64] |= 1ull << o->unused[i] % 64;
	return 0;
}

int overlay_finish(struct overlay *o, const struct overlay_label *label, overlay_write write,
		   void *arg, uint64_t *ret_size)
{
	struct finish f = {
		.o = o,
		.batch = { .write = write, .arg = arg, .at = overlay_end(o) },
	};
	int err = -ENOMEM;

	if (strlen(label->backing) > QCOW2_BACKING_MAX)
		return -ENAMETOOLONG;
	f.batch.buf = aligned_alloc(IO_ALIGN, OVERLAY_BATCH);
	f.l1_disk = calloc(o->l1_count, sizeof(*f.l1_disk));
	if (f.batch.buf && f.l1_disk)
		err = finish_unused(&f);
	if (!err)
		err = finish_run(&f, label);
	if (!err)
		*ret_size = overlay_end(o);
	free(f.batch.buf);
	free(f.l1_disk);
	free(f.zero_users);
	free(f.zero_cluster);
	free(f.unused);
	return err;
}
