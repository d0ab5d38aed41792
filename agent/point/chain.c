// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/chain.h"

#include <inttypes.h>
#include <string.h>

#include "point/file.h"
#include "point/reader.h"

/* A merge can take a file away between the database's word and its opening. */
#define CHAIN_TRIES 20

struct level {
	struct raw file;
	struct reader *reader;
};

/* @levels: overlays, the lowest first; @base: with @whole, what is below them */
struct chain {
	bool whole;
	struct raw base;
	struct level *levels;
	size_t count;
	struct catalog_layer top;
};

struct chain *chain_close(struct chain *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < c->count; i++) {
		reader_close(c->levels[i].reader);
		raw_close(&c->levels[i].file);
	}
	raw_close(&c->base);
	free(c->levels);
	free(c);
	return NULL;
}

static struct chain *chain_new(size_t count)
{
	struct chain *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->base = RAW_NONE;
	c->levels = calloc(count + 1, sizeof(*c->levels));
	if (c->levels)
		return c;
	free(c);
	return NULL;
}

static int chain_add(struct chain *c, const char *path, struct reason *reason)
{
	struct level *l = &c->levels[c->count];
	int err;

	l->file = RAW_NONE;
	err = raw_open(path, 0, 0, &l->file, reason);
	if (err)
		return err;
	err = reader_open(l->file.tail_fd, &l->reader, reason);
	if (!err && reader_info(l->reader)->cluster < IO_ALIGN)
		err = reason_set(reason, -EUCLEAN, REASON_UNKNOWN,
				 "the overlay is damaged: its clusters are too small");
	if (err) {
		reader_close(l->reader);
		raw_close(&l->file);
		return reason_set(reason, err, 0, "cannot read %s: %s", path, strerror(-err));
	}
	c->count++;
	return 0;
}

int chain_open_files(const char *const *paths, size_t count, struct chain **ret,
		     struct reason *reason)
{
	struct chain *c = chain_new(count);
	int err = 0;

	if (!c)
		return reason_set(reason, -ENOMEM, 0, "no memory for the layers of a point");
	for (size_t i = 0; i < count && !err; i++)
		err = chain_add(c, paths[i], reason);
	if (err) {
		chain_close(c);
		return err;
	}
	*ret = c;
	return 0;
}

/* Is the file that layer? One that was exchanged must not pass for it. */
static int chain_judge(const struct chain *c, const struct catalog_layer *l,
		       struct reason *reason)
{
	const struct reader_info *info = reader_info(c->levels[c->count - 1].reader);

	if (info->labelled && info->size == l->size && info->point == l->point &&
	    info->epoch == l->epoch)
		return 0;
	return reason_set(reason, -EUCLEAN, REASON_UNKNOWN,
			  "the overlay is damaged: it is not the point that was committed");
}

static int chain_load(struct chain *c, struct store *s, const struct catalog_disk *d,
		      const struct catalog_layer *layers, size_t count, struct reason *reason)
{
	char folder[STORE_PATH_MAX], path[STORE_PATH_MAX];
	int err = store_folder(s, d->collection, d->vm, d->name, folder);

	if (!err)
		err = raw_open(d->path, layers[0].size, 0, &c->base, reason);
	if (!err && c->base.capacity < c->base.size && d->state == CATALOG_READY)
		err = reason_set(reason, -ENODEV, REASON_INVALID_STATE,
				 "%s is shorter than it was: %" PRIu64 " bytes of %" PRIu64,
				 d->path, c->base.capacity, c->base.size);
	for (size_t i = 1; i < count && !err; i++) {
		err = file_path(path, sizeof(path), folder, layers[i].file);
		if (!err)
			err = chain_add(c, path, reason);
		if (!err)
			err = chain_judge(c, &layers[i], reason);
	}
	c->whole = true;
	c->top = layers[count - 1];
	return err;
}

static int chain_try(struct store *s, const struct catalog_disk *d, uint64_t point,
		     struct chain **ret, struct reason *reason)
{
	_cleanup_free_ struct catalog_layer *layers = NULL;
	struct chain *c;
	size_t count;
	int err = catalog_layers(store_catalog(s), d->id, point, &layers, &count);

	if (err)
		return reason_set(reason, err, REASON_FAILED, "cannot read the state file");
	if (!count)
		return reason_set(reason, -ENOENT, REASON_NOT_FOUND,
				  "%s/%s has nothing for that point", d->vm, d->name);
	c = chain_new(count);
	if (!c)
		return reason_set(reason, -ENOMEM, 0, "no memory for the layers of a point");
	err = chain_load(c, s, d, layers, count, reason);
	if (err)
		chain_close(c);
	else
		*ret = c;
	return err;
}

int chain_open(struct store *s, const struct catalog_disk *d, uint64_t point,
	       struct chain **ret, struct reason *reason)
{
	int err = -ENOENT;

	for (int i = 0; i < CHAIN_TRIES; i++) {
		struct reason why = { 0 };

		err = chain_try(s, d, point, ret, &why);
		if (err != -ENOENT || i == CHAIN_TRIES - 1)
			return err ? reason_set(reason, err, why.code, "%s", why.text) : 0;
	}
	return err;
}

uint64_t chain_size(const struct chain *c)
{
	if (c->count)
		return reader_info(c->levels[c->count - 1].reader)->size;
	return c->base.size;
}

const struct catalog_layer *chain_layer(const struct chain *c)
{
	return &c->top;
}

/* O_DIRECT takes whole blocks; what is left over goes through the page cache. */
static struct raw_place chain_place(const struct raw *file, uint64_t offset, uint64_t length)
{
	uint64_t direct = length & ~(uint64_t)(IO_ALIGN - 1);

	if (direct)
		return (struct raw_place){ file->fd, offset, direct };
	return (struct raw_place){ file->tail_fd, offset, length };
}

/*
 * What one layer says. @span is cut to what it says of one piece. Behind its
 * end there is nothing of any layer below: a disk that shrank and grew again
 * has zeroes there.
 */
static int level_next(const struct level *l, uint64_t offset, uint64_t *span,
		      struct chain_run *ret, struct reason *reason)
{
	const struct reader_info *info = reader_info(l->reader);
	uint64_t start = offset & ~(uint64_t)(info->cluster - 1);
	struct reader_run run;
	int err;

	if (offset >= info->size) {
		ret->kind = CHAIN_ZERO;
		return 0;
	}
	err = reader_next(l->reader, start, &run, reason);
	if (err)
		return reason_set(reason, err, 0, "reading an overlay failed: %s",
				  strerror(-err));
	*span = u64_min(*span, start + run.length - offset);
	ret->kind = run.kind == READER_ZERO ? CHAIN_ZERO : run.kind == READER_DATA ? CHAIN_DATA :
										     CHAIN_BELOW;
	if (ret->kind == CHAIN_DATA)
		ret->place = chain_place(&l->file, run.offset + (offset - start), *span);
	return 0;
}

int chain_next(struct chain *c, uint64_t offset, uint64_t span, struct chain_run *ret,
	       struct reason *reason)
{
	struct chain_run run = { .kind = CHAIN_BELOW };

	for (size_t i = c->count; i-- > 0 && run.kind == CHAIN_BELOW; ) {
		int err = level_next(&c->levels[i], offset, &span, &run, reason);

		if (err)
			return err;
	}
	if (run.kind == CHAIN_BELOW && c->whole) {
		uint64_t end = u64_min(c->base.size, c->base.capacity);

		run.kind = offset < end ? CHAIN_DATA : CHAIN_ZERO;
		if (run.kind == CHAIN_DATA)
			run.place = raw_place(&c->base, offset, u64_min(span, end - offset));
	}
	run.length = run.kind == CHAIN_DATA ? run.place.length : span;
	*ret = run;
	return 0;
}

int chain_pread(struct chain *c, void *buf, size_t size, uint64_t offset, struct reason *reason)
{
	for (size_t done = 0; done < size; ) {
		struct chain_run run;
		int err = chain_next(c, offset + done, size - done, &run, reason);

		if (!err && run.kind == CHAIN_DATA)
			err = file_read(run.place.fd, (char *)buf + done, run.place.length,
					run.place.offset);
		else if (!err)
			memset((char *)buf + done, 0, run.length);
		if (err)
			return reason_set(reason, err, REASON_FAILED, "reading a point failed: %s",
					  strerror(-err));
		done += run.length;
	}
	return 0;
}
