// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Metadata devices as files: format, load, repair.
 *
 * What is where, and what it means when it does not verify, stands in
 * <linux/tidemark-meta.h>; metablock.c knows the bytes. This file follows the
 * same rules as the module's own load, and is written apart from it, so that
 * each is a check of the other.
 */
#include "libtidemark/meta.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "libtidemark/metablock.h"
#include "libtidemark/tidemark.h"

#define BLOCK TIDEMARK_META_BLOCK

/* Bits here are in the order of the format: bit b is bit b % 8 of byte b / 8. */
struct tidemark_meta {
	struct tidemark_meta_report report;
	uint8_t *bitmap;
	uint8_t *intent;
};

/**
 * struct area - a row of units
 * @block: its first block
 * @bits: how many it has
 * @magic: of its units
 */
struct area {
	uint64_t block;
	uint64_t bits;
	uint32_t magic;
};

static struct area area_intent(const struct tidemark_meta_layout *l)
{
	return (struct area){ l->intent_block, l->extents, TIDEMARK_META_INTENT_MAGIC };
}

static struct area area_bitmap(const struct tidemark_meta_layout *l)
{
	return (struct area){ l->bitmap_block, l->granules, TIDEMARK_META_BITMAP_MAGIC };
}

static uint64_t area_units(const struct area *a)
{
	return a->bits / TIDEMARK_META_UNIT_BITS + (a->bits % TIDEMARK_META_UNIT_BITS != 0);
}

static int read_all(int fd, void *to, size_t count, uint64_t offset)
{
	for (size_t done = 0; done < count;) {
		ssize_t n = pread(fd, (char *)to + done, count - done, offset + done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ENODATA;
		if (n > 0)
			done += n;
	}
	return 0;
}

static int write_all(int fd, const void *from, size_t count, uint64_t offset)
{
	for (size_t done = 0; done < count;) {
		ssize_t n = pwrite(fd, (const char *)from + done, count - done, offset + done);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -ENOSPC;
		if (n > 0)
			done += n;
	}
	return 0;
}

/* -- superblocks -------------------------------------------------------------- */

static int super_write(int fd, struct tidemark_meta_super *super)
{
	uint8_t block[BLOCK] = { };

	metablock_seal(super);
	memcpy(block, super, sizeof(*super));
	return write_all(fd, block, BLOCK, le64toh(super->seq) % 2 * BLOCK);
}

/*
 * Which slot counts. A later version in one of them decides: what it says is
 * not for us to overrule.
 */
static int super_choose(const struct tidemark_meta_super supers[2],
			struct tidemark_meta_report *ret)
{
	struct tidemark_meta_layout layouts[2];
	int best = -1;

	for (unsigned int i = 0; i < 2; i++)
		ret->slots[i] = metablock_check(&supers[i], i, &layouts[i]);
	for (int i = 0; i < 2; i++) {
		if (ret->slots[i] == TIDEMARK_META_SLOT_UNKNOWN)
			return -EPROTONOSUPPORT;
		if (ret->slots[i] == TIDEMARK_META_SLOT_VALID &&
		    (best < 0 || le64toh(supers[i].seq) > le64toh(supers[best].seq)))
			best = i;
	}
	if (best >= 0) {
		ret->slot = best;
		ret->layout = layouts[best];
		return 0;
	}
	for (int i = 0; i < 2; i++)
		if (ret->slots[i] == TIDEMARK_META_SLOT_DAMAGED)
			return -EBADMSG;
	return -ENOMSG;
}

static int super_read(int fd, struct tidemark_meta_super *ret, struct tidemark_meta_report *report)
{
	struct tidemark_meta_super supers[2];
	int r;

	for (int i = 0; i < 2; i++) {
		r = read_all(fd, &supers[i], sizeof(supers[i]), (uint64_t)i * BLOCK);
		if (r)
			return r == -ENODATA ? -ENOMSG : r;
	}
	r = super_choose(supers, report);
	if (r)
		return r;
	*ret = supers[report->slot];
	return 0;
}

static void super_report(const struct tidemark_meta_super *s, struct tidemark_meta_report *r)
{
	r->seq = le64toh(s->seq);
	memcpy(r->format, s->format, sizeof(r->format));
	memcpy(r->uuid, s->uuid, sizeof(r->uuid));
	r->next_epoch = le64toh(s->next_epoch);
	r->sealed_epoch = le64toh(s->sealed_epoch);
	r->committed_epoch = le64toh(s->committed_epoch);
	r->unreliable_epoch = le64toh(s->unreliable_epoch);
	r->state = le32toh(s->state);
	r->reason = le32toh(s->reason);
	r->time = le64toh(s->time);
	r->writes = le64toh(s->writes);
	memcpy(r->identity, s->identity, sizeof(r->identity) - 1);
	r->all = r->state == TIDEMARK_META_ALL || r->state == TIDEMARK_META_NEW ||
		 (r->reason & TIDEMARK_REASON_UNRELIABLE);
}

/* -- areas -------------------------------------------------------------------- */

/*
 * Call @visit for each unit of an area, a block of them read at a time. When it
 * returns 1 the block is written back.
 */
static int area_walk(int fd, const struct area *a,
		     int (*visit)(void *context, struct tidemark_meta_unit *unit, uint64_t index),
		     void *context)
{
	struct tidemark_meta_unit units[TIDEMARK_META_UNITS_PER_BLOCK];
	uint64_t count = area_units(a);

	for (uint64_t first = 0; first < count; first += TIDEMARK_META_UNITS_PER_BLOCK) {
		uint64_t offset = a->block * BLOCK + first * TIDEMARK_META_UNIT_SIZE;
		bool dirty = false;
		int r = read_all(fd, units, sizeof(units), offset);

		if (r)
			return r;
		for (uint64_t i = 0; i < TIDEMARK_META_UNITS_PER_BLOCK && first + i < count; i++)
			dirty |= visit(context, &units[i], first + i) > 0;
		r = dirty ? write_all(fd, units, sizeof(units), offset) : 0;
		if (r)
			return r;
	}
	return 0;
}

static void unit_fill(struct tidemark_meta_unit *unit, uint32_t bits)
{
	memset(unit->bits, 0, sizeof(unit->bits));
	memset(unit->bits, 0xff, bits / 8);
	if (bits % 8)
		unit->bits[bits / 8] = (1u << bits % 8) - 1;
}

/* For a load. */
struct area_load {
	const struct area *area;
	const uint8_t *format;
	uint8_t *bits;
	uint64_t bad;
};

static int unit_load(void *context, struct tidemark_meta_unit *unit, uint64_t index)
{
	struct area_load *l = context;
	uint32_t bits = metablock_unit_bits(l->area->bits, index);

	if (!metablock_unit_valid(unit, l->format, l->area->magic, index)) {
		unit_fill(unit, bits);
		l->bad++;
	}
	memcpy(l->bits + index * TIDEMARK_META_UNIT_BYTES, unit->bits, TIDEMARK_META_UNIT_BYTES);
	return 0;
}

static int area_load(int fd, const struct area *a, const uint8_t format[16], uint8_t **ret_bits,
		     uint64_t *ret_bad)
{
	struct area_load l = { .area = a, .format = format };
	int r;

	l.bits = calloc(area_units(a), TIDEMARK_META_UNIT_BYTES);
	if (!l.bits)
		return -ENOMEM;
	*ret_bits = l.bits;
	r = area_walk(fd, a, unit_load, &l);
	*ret_bad = l.bad;
	return r;
}

/* -- load --------------------------------------------------------------------- */

static bool bit_get(const uint8_t *bits, uint64_t bit)
{
	return bits[bit / 8] >> bit % 8 & 1;
}

static bool granule_changed(const struct tidemark_meta *m, uint64_t granule)
{
	const struct tidemark_meta_layout *l = &m->report.layout;
	uint64_t first = granule * l->granule_sectors / TIDEMARK_META_EXTENT;

	/* A granule is never larger than an extent, and both are powers of two. */
	return m->report.all || bit_get(m->bitmap, granule) || bit_get(m->intent, first);
}

static void meta_count(struct tidemark_meta *m)
{
	struct tidemark_meta_report *r = &m->report;

	for (uint64_t i = 0; i < r->layout.extents; i++)
		r->intents += bit_get(m->intent, i);
	for (uint64_t i = 0; i < r->layout.granules; i++) {
		r->marked += bit_get(m->bitmap, i);
		r->changed += granule_changed(m, i);
	}
}


static int meta_areas(int fd, struct tidemark_meta *m)
{
	struct tidemark_meta_report *r = &m->report;
	struct area intent = area_intent(&r->layout), bitmap = area_bitmap(&r->layout);
	int err = area_load(fd, &intent, r->format, &m->intent, &r->intent_bad);

	if (!err)
		err = area_load(fd, &bitmap, r->format, &m->bitmap, &r->bitmap_bad);
	if (!err)
		meta_count(m);
	return err;
}

int tidemark_meta_load(int fd, struct tidemark_meta **ret)
{
	struct tidemark_meta_super super;
	struct tidemark_meta *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	r = super_read(fd, &super, &m->report);
	if (!r) {
		super_report(&super, &m->report);
		r = meta_areas(fd, m);
	}
	if (r) {
		tidemark_meta_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

struct tidemark_meta *tidemark_meta_free(struct tidemark_meta *m)
{
	if (m) {
		free(m->bitmap);
		free(m->intent);
		free(m);
	}
	return NULL;
}

const struct tidemark_meta_report *tidemark_meta_report(const struct tidemark_meta *m)
{
	return &m->report;
}

bool tidemark_meta_next(const struct tidemark_meta *m, uint64_t from, struct tidemark_run *ret)
{
	uint64_t end = m->report.layout.granules, last;

	while (from < end && !granule_changed(m, from))
		from++;
	if (from >= end)
		return false;
	for (last = from + 1; last < end && granule_changed(m, last);)
		last++;
	*ret = (struct tidemark_run){ .first = from, .count = last - from };
	return true;
}

bool tidemark_meta_intent(const struct tidemark_meta *m, uint64_t extent)
{
	return extent < m->report.layout.extents && bit_get(m->intent, extent);
}

/* -- format ------------------------------------------------------------------- */

static int random_fill(void *to, size_t count)
{
	return getrandom(to, count, 0) == (ssize_t)count ? 0 : -EIO;
}

static int area_format(int fd, const struct area *a, const uint8_t format[16])
{
	struct tidemark_meta_unit units[TIDEMARK_META_UNITS_PER_BLOCK];
	uint64_t count = area_units(a);

	for (uint64_t first = 0; first < count; first += TIDEMARK_META_UNITS_PER_BLOCK) {
		int r;

		memset(units, 0, sizeof(units));
		for (uint64_t i = 0; i < TIDEMARK_META_UNITS_PER_BLOCK && first + i < count; i++)
			metablock_unit_seal(&units[i], format, a->magic, first + i);
		r = write_all(fd, units, sizeof(units),
			      a->block * BLOCK + first * TIDEMARK_META_UNIT_SIZE);
		if (r)
			return r;
	}
	return 0;
}

static int super_make(const struct tidemark_meta_layout *l, const char *identity,
		      struct tidemark_meta_super *ret)
{
	struct tidemark_meta_super s = {
		.version = htole32(TIDEMARK_META_VERSION),
		.seq = htole64(1),
		.sectors = htole64(l->sectors),
		.granule_sectors = htole32(l->granule_sectors),
		.extent_sectors = htole32(TIDEMARK_META_EXTENT),
		.intent_block = htole64(l->intent_block),
		.bitmap_block = htole64(l->bitmap_block),
		.next_epoch = htole64(1),
		.state = htole32(TIDEMARK_META_NEW),
		.time = htole64(time(NULL)),
	};
	size_t length = identity ? strlen(identity) : 0;

	if (length > TIDEMARK_IDENTITY_MAX)
		return -ENAMETOOLONG;
	memcpy(s.magic, TIDEMARK_META_MAGIC, sizeof(s.magic));
	memcpy(s.identity, identity ?: "", length);
	*ret = s;
	return random_fill(ret->format, sizeof(ret->format));
}

int tidemark_meta_format(int fd, uint64_t sectors, uint32_t granule_sectors, const char *identity)
{
	static const uint8_t zeroes[2 * BLOCK];
	struct tidemark_meta_layout layout;
	struct tidemark_meta_super super;
	struct area intent, bitmap;
	off_t size;
	int r = tidemark_meta_layout(sectors, granule_sectors, &layout);

	if (!r)
		r = super_make(&layout, identity, &super);
	if (r)
		return r;
	size = lseek(fd, 0, SEEK_END);
	if (size < 0)
		return -errno;
	if ((uint64_t)size < layout.bytes)
		return -ENOSPC;
	intent = area_intent(&layout);
	bitmap = area_bitmap(&layout);
	r = write_all(fd, zeroes, sizeof(zeroes), 0);
	if (!r && fsync(fd))
		r = -errno;
	if (!r)
		r = area_format(fd, &intent, super.format);
	if (!r)
		r = area_format(fd, &bitmap, super.format);
	if (!r && fsync(fd))
		r = -errno;
	if (!r)
		r = super_write(fd, &super);
	if (!r && fsync(fd))
		r = -errno;
	return r;
}

/* -- repair ------------------------------------------------------------------- */

static int unit_repair(void *context, struct tidemark_meta_unit *unit, uint64_t index)
{
	struct area_load *l = context;

	if (metablock_unit_valid(unit, l->format, l->area->magic, index))
		return 0;
	unit_fill(unit, metablock_unit_bits(l->area->bits, index));
	metablock_unit_seal(unit, l->format, l->area->magic, index);
	l->bad++;
	return 1;
}

static int area_repair(int fd, const struct area *a, const uint8_t format[16], uint64_t *ret_bad)
{
	struct area_load l = { .area = a, .format = format };
	int r = area_walk(fd, a, unit_repair, &l);

	*ret_bad = l.bad;
	return r;
}

/* The first one written has no twin yet; later there are always two. */
static bool super_lacks_twin(const struct tidemark_meta_report *r)
{
	uint8_t twin = r->slots[!r->slot];

	return twin != TIDEMARK_META_SLOT_VALID &&
	       !(twin == TIDEMARK_META_SLOT_EMPTY && r->seq == 1);
}

/* Both slots say that everything has changed. */
static int super_all(int fd, struct tidemark_meta_super *super, uint32_t reason)
{
	super->state = htole32(TIDEMARK_META_ALL);
	super->reason |= htole32(reason);
	for (int i = 0; i < 2; i++) {
		int r;

		super->seq = htole64(le64toh(super->seq) + 1);
		super->time = htole64(time(NULL));
		r = super_write(fd, super);
		if (!r && fsync(fd))
			r = -errno;
		if (r)
			return r;
	}
	return 0;
}

int tidemark_meta_repair(int fd, struct tidemark_meta_repaired *ret)
{
	struct tidemark_meta_repaired done = { };
	struct tidemark_meta_report report = { };
	struct tidemark_meta_super super;
	struct area intent, bitmap;
	int r = super_read(fd, &super, &report);

	if (r)
		return r;
	super_report(&super, &report);
	intent = area_intent(&report.layout);
	bitmap = area_bitmap(&report.layout);
	if (super_lacks_twin(&report)) {
		r = super_all(fd, &super, TIDEMARK_REASON_META_PART);
		done.supers = 2;
	}
	if (!r)
		r = area_repair(fd, &intent, super.format, &done.intent_units);
	if (!r)
		r = area_repair(fd, &bitmap, super.format, &done.bitmap_units);
	if (!r && fsync(fd))
		r = -errno;
	if (!r)
		*ret = done;
	return r;
}

int meta_distrust(int fd, uint32_t reason)
{
	struct tidemark_meta_report report = { };
	struct tidemark_meta_super super;
	int r = super_read(fd, &super, &report);

	if (r)
		return r;
	return le32toh(super.state) == TIDEMARK_META_NEW ? 0 : super_all(fd, &super, reason);
}
