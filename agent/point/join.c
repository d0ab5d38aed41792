// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/join.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "point/chain.h"
#include "point/file.h"
#include "point/overlay.h"
#include "point/reader.h"
#include "point/stage.h"

#define JOIN_PIECE MIB(1)

struct join {
	struct chain *chain;
	struct overlay *overlay;
	struct raw file;
	uint8_t *buf;
	const struct merge_tick *tick;
	struct reason *reason;
};

static int join_info(const char *path, struct reader_info *ret, struct reason *reason)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct reader *r = NULL;
	int err = fd < 0 ? -errno : reader_open(fd, &r, reason);

	if (!err)
		*ret = *reader_info(r);
	reader_close(r);
	return err ? reason_set(reason, err, 0, "cannot read %s: %s", path, strerror(-err)) : 0;
}

static int join_data(struct join *j, uint64_t offset, uint64_t length)
{
	while (length) {
		uint64_t piece = u64_min(length, JOIN_PIECE), to, room;
		int err = overlay_map(j->overlay, offset, piece, &to, &room);

		if (err)
			return err;
		piece = u64_min(piece, room);
		memset(j->buf, 0, u64_align(piece, IO_ALIGN));
		err = chain_pread(j->chain, j->buf, piece, offset, j->reason);
		/* Whole clusters: what is behind the disk's end are zeroes. */
		if (!err)
			err = file_write(j->file.tail_fd, j->buf, piece, to);
		if (err)
			return err;
		offset += piece;
		length -= piece;
	}
	return 0;
}

/* Cluster by cluster of the new overlay: no older cluster is larger than both. */
static int join_walk(struct join *j, uint32_t cluster)
{
	uint64_t size = chain_size(j->chain), done = 0;

	for (uint64_t at = 0; at < size; at += done) {
		struct chain_run run;
		int err = chain_next(j->chain, at, size - at, &run, j->reason);

		if (!err && j->tick && j->tick->call)
			err = j->tick->call(j->tick->arg);
		if (err)
			return err;
		/* A place may end inside of the disk's last cluster; a region may not. */
		done = u64_align(run.length, cluster);
		done = u64_min(done, size - at);
		if (run.kind == CHAIN_DATA)
			err = join_data(j, at, done);
		else if (run.kind == CHAIN_ZERO)
			err = overlay_zero(j->overlay, at, done);
		if (err)
			return err;
	}
	return 0;
}

static int join_write(void *arg, const void *buf, size_t size, uint64_t offset)
{
	struct join *j = arg;

	if (offset == 0)
		crash_at("join-written");
	return file_write(j->file.tail_fd, buf, size, offset);
}

static int join_read(void *arg, void *buf, size_t size, uint64_t offset)
{
	struct join *j = arg;

	return file_read(j->file.tail_fd, buf, size, offset);
}

static int join_finish(struct join *j, const struct reader_info *lower,
		       const struct reader_info *upper)
{
	struct overlay_label label = {
		.backing = lower->backing,
		.format = lower->backing_format,
		.epoch = upper->epoch,
		.point = upper->point,
	};
	uint64_t size;
	int err;

	memcpy(label.tracker, upper->tracker, sizeof(label.tracker));
	err = overlay_finish(j->overlay, &label, &size);
	if (!err && ftruncate(j->file.tail_fd, size))
		err = -errno;
	if (!err)
		err = raw_sync(&j->file);
	return err;
}

static int join_make(struct join *j, const char *partial, const struct reader_info *lower,
		     const struct reader_info *upper)
{
	struct overlay_config config = {
		.size = upper->size,
		.cluster = u64_min(lower->cluster, upper->cluster),
		.io = { join_write, join_read, j },
	};
	int err = tables_create(STAGE_TABLES_MAX, &config.tables);

	if (!err)
		err = overlay_create(&config, &j->overlay);
	if (!err)
		err = file_unlink(partial);
	if (!err)
		err = raw_open(partial, 0, RAW_WRITE | RAW_CREATE, &j->file, j->reason);
	if (!err)
		err = join_walk(j, config.cluster);
	if (!err)
		err = join_finish(j, lower, upper);
	raw_close(&j->file);
	overlay_destroy(j->overlay);
	tables_destroy(config.tables);
	return err;
}

static int join_rename(const char *partial, const char *upper)
{
	int err;

	crash_at("join-durable");
	if (rename(partial, upper))
		return -errno;
	err = file_sync_parent(upper);
	if (!err)
		crash_at("join-renamed");
	return err;
}

static int join_durable(const char *upper, struct reason *reason)
{
	int err = file_sync_parent(upper);

	return err ? reason_set(reason, err, REASON_FAILED, "cannot sync the folder of %s: %s",
				upper, strerror(-err)) : 0;
}

int join_run(const char *lower, const char *upper, const struct merge_tick *tick,
	     struct reason *reason)
{
	const char *paths[] = { lower, upper };
	struct join j = { .file = RAW_NONE, .tick = tick, .reason = reason };
	char partial[STORE_PATH_MAX + 16];
	struct reader_info low, up;
	int err = join_info(upper, &up, reason);

	/* It was joined before, and renamed; that may not be durable yet, and the lower one goes. */
	if (!err && strcmp(up.backing, strrchr(lower, '/') + 1))
		return join_durable(upper, reason);
	if (!err)
		err = join_info(lower, &low, reason);
	if (!err)
		err = chain_open_files(paths, 2, &j.chain, reason);
	if (err)
		return err;
	j.buf = aligned_alloc(IO_ALIGN, JOIN_PIECE);
	snprintf(partial, sizeof(partial), "%s.partial", upper);
	err = j.buf ? join_make(&j, partial, &low, &up) : -ENOMEM;
	if (!err)
		err = join_rename(partial, upper);
	if (err)
		file_unlink(partial);
	chain_close(j.chain);
	free(j.buf);
	return err ? reason_set(reason, err, 0, "cannot join %s with what is below it: %s", upper,
				strerror(-err)) : 0;
}
