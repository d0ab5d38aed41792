// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/reader.h"

#include <string.h>
#include <sys/stat.h>

#include "point/qcow2.h"

#define L1_OFFSET QCOW2_OFFSET
#define L1_KNOWN (QCOW2_COPIED | QCOW2_OFFSET)
#define L2_KNOWN (QCOW2_COPIED | QCOW2_OFFSET | QCOW2_ZERO)

/* @l2_index: which table is in @l2; UINT32_MAX: none */
struct reader {
	int fd;
	struct reader_info info;
	uint64_t file_size;
	uint32_t cluster_bits;
	uint64_t *l1;
	uint32_t l1_count;
	be64 *l2;
	uint32_t l2_count;
	uint32_t l2_index;
};

static int reader_bad(struct reason *reason, const char *what)
{
	return reason_set(reason, -EUCLEAN, REASON_UNKNOWN, "the overlay is damaged: %s", what);
}

static int reader_pread(const struct reader *r, void *buf, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(r->fd, (char *)buf + done, size - done, offset + done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EUCLEAN;
		done += n;
	}
	return 0;
}

/* Do @bytes at @offset lie in the file, from a cluster's start? */
static bool reader_inside(const struct reader *r, uint64_t offset, uint64_t bytes)
{
	if (offset & (r->info.cluster - 1))
		return false;
	return offset <= r->file_size && bytes <= r->file_size - offset;
}

static const char *reader_judge_header(struct reader *r, const struct qcow2_header *h)
{
	uint32_t bits = be32_get(h->cluster_bits);
	uint64_t l1_want;

	if (be32_get(h->magic) != QCOW2_MAGIC)
		return "it is no qcow2 file";
	if (be32_get(h->version) != QCOW2_VERSION)
		return "its version is not 3";
	if (bits < QCOW2_CLUSTER_BITS_MIN || bits > QCOW2_CLUSTER_BITS_MAX)
		return "its cluster size is out of bounds";
	if (be64_get(h->incompatible) || be32_get(h->crypt_method) || be32_get(h->snapshots))
		return "it uses features that no point has";
	if (be32_get(h->header_length) < sizeof(*h) ||
	    be32_get(h->header_length) > (1u << bits))
		return "its header has no sane length";
	r->cluster_bits = bits;
	r->info.cluster = 1u << bits;
	r->info.size = be64_get(h->size);
	r->l2_count = r->info.cluster / sizeof(be64);
	r->l1_count = be32_get(h->l1_size);
	if (r->info.size == 0 || r->info.size % SECTOR_SIZE || r->info.size > INT64_MAX / 2)
		return "its virtual size is no size of a disk";
	l1_want = u64_div_up(u64_div_up(r->info.size, r->info.cluster), r->l2_count);
	if (l1_want > r->l1_count || r->l1_count > QCOW2_L1_MAX / sizeof(be64))
		return "its L1 table has the wrong size";
	if (!reader_inside(r, be64_get(h->l1_offset), r->l1_count * sizeof(be64)) ||
	    be64_get(h->l1_offset) == 0)
		return "its L1 table lies outside of it";
	return NULL;
}

/* Extensions follow the header; the backing name may follow them. @size bytes are in @buf. */
static const char *reader_judge_extensions(struct reader *r, const uint8_t *buf, size_t size)
{
	const struct qcow2_header *h = (const void *)buf;
	uint64_t at = be32_get(h->header_length);
	uint64_t name = be64_get(h->backing_offset);
	uint32_t name_size = be32_get(h->backing_size);

	while (size - at >= sizeof(struct qcow2_extension)) {
		struct qcow2_extension e;
		struct qcow2_tidemark ours;

		memcpy(&e, buf + at, sizeof(e));
		at += sizeof(e);
		if (be32_get(e.type) == QCOW2_EXT_END)
			break;
		if (u64_align(be32_get(e.length), 8) > size - at)
			return "a header extension runs over its end";
		if (be32_get(e.type) == QCOW2_EXT_TIDEMARK) {
			if (be32_get(e.length) != sizeof(ours))
				return "its label has the wrong size";
			memcpy(&ours, buf + at, sizeof(ours));
			memcpy(r->info.tracker, ours.tracker, sizeof(ours.tracker));
			r->info.epoch = be64_get(ours.epoch);
			r->info.point = be64_get(ours.point);
			r->info.labelled = true;
		}
		if (be32_get(e.type) == QCOW2_EXT_BACKING_FORMAT) {
			if (be32_get(e.length) >= sizeof(r->info.backing_format))
				return "its backing file's format is no format";
			memcpy(r->info.backing_format, buf + at, be32_get(e.length));
		}
		at += u64_align(be32_get(e.length), 8);
	}
	if (!name)
		return NULL;
	if (name_size >= sizeof(r->info.backing) || name > size || name_size > size - name)
		return "its backing file's name lies outside of the header";
	memcpy(r->info.backing, buf + name, name_size);
	return NULL;
}

static int reader_load_l1(struct reader *r, uint64_t offset, struct reason *reason)
{
	be64 *disk = calloc(r->l1_count, sizeof(*disk));
	int err = -ENOMEM;

	r->l1 = calloc(r->l1_count, sizeof(*r->l1));
	r->l2 = malloc(r->info.cluster);
	if (disk && r->l1 && r->l2)
		err = reader_pread(r, disk, r->l1_count * sizeof(*disk), offset);
	for (uint32_t i = 0; i < r->l1_count && !err; i++) {
		uint64_t entry = be64_get(disk[i]);

		r->l1[i] = entry & L1_OFFSET;
		if (entry & ~L1_KNOWN)
			err = reader_bad(reason, "an L1 entry has reserved bits");
		else if (r->l1[i] && !reader_inside(r, r->l1[i], r->info.cluster))
			err = reader_bad(reason, "an L2 table lies outside of the file");
	}
	free(disk);
	return err;
}

static int reader_load(struct reader *r, struct reason *reason)
{
	uint8_t buf[4096] __attribute__((aligned(8))) = { 0 };
	const struct qcow2_header *h = (const void *)buf;
	const char *bad;
	struct stat st;
	size_t size;
	int err;

	if (fstat(r->fd, &st))
		return -errno;
	r->file_size = st.st_size;
	if (r->file_size < sizeof(*h))
		return reader_bad(reason, "it is too short for a header");
	size = u64_min(r->file_size, sizeof(buf));
	err = reader_pread(r, buf, size, 0);
	if (err)
		return err;
	bad = reader_judge_header(r, h);
	/* All that the header may refer to lies in its cluster; we look at 4 KiB of it. */
	size = u64_min(size, r->info.cluster);
	if (!bad && be32_get(h->header_length) > size)
		bad = "its header has no sane length";
	if (!bad)
		bad = reader_judge_extensions(r, buf, size);
	if (bad)
		return reader_bad(reason, bad);
	return reader_load_l1(r, be64_get(h->l1_offset), reason);
}

int reader_open(int fd, struct reader **ret, struct reason *reason)
{
	struct reader *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->fd = fd;
	r->l2_index = UINT32_MAX;
	err = reader_load(r, reason);
	if (err) {
		reader_close(r);
		return err;
	}
	*ret = r;
	return 0;
}

struct reader *reader_close(struct reader *r)
{
	if (r) {
		free(r->l1);
		free(r->l2);
		free(r);
	}
	return NULL;
}

const struct reader_info *reader_info(const struct reader *r)
{
	return &r->info;
}

static int reader_judge_entry(const struct reader *r, uint64_t entry, struct reader_run *ret,
			      struct reason *reason)
{
	uint64_t offset = entry & QCOW2_OFFSET;

	if (entry & ~L2_KNOWN)
		return reader_bad(reason, "an L2 entry has bits that no point has");
	if (offset && !reader_inside(r, offset, r->info.cluster))
		return reader_bad(reason, "a cluster lies outside of the file");
	ret->kind = entry & QCOW2_ZERO ? READER_ZERO : offset ? READER_DATA : READER_BELOW;
	ret->offset = ret->kind == READER_DATA ? offset : 0;
	return 0;
}

int reader_next(struct reader *r, uint64_t offset, struct reader_run *ret, struct reason *reason)
{
	uint64_t cluster = offset >> r->cluster_bits;
	uint32_t index = cluster / r->l2_count;
	uint32_t first = cluster % r->l2_count;
	struct reader_run run = { 0 };
	uint64_t count = 1;
	int err;

	if (offset & (r->info.cluster - 1) || offset >= r->info.size)
		return -EINVAL;
	if (!r->l1[index]) {
		run.kind = READER_BELOW;
		count = r->l2_count - first;
		goto out;
	}
	if (r->l2_index != index) {
		r->l2_index = UINT32_MAX;
		err = reader_pread(r, r->l2, r->info.cluster, r->l1[index]);
		if (err)
			return err;
		r->l2_index = index;
	}
	err = reader_judge_entry(r, be64_get(r->l2[first]), &run, reason);
	for (; !err && first + count < r->l2_count; count++) {
		struct reader_run next;

		err = reader_judge_entry(r, be64_get(r->l2[first + count]), &next, reason);
		if (err || next.kind != run.kind)
			break;
		if (run.kind == READER_DATA &&
		    next.offset != run.offset + (count << r->cluster_bits))
			break;
	}
	if (err)
		return err;
out:
	run.length = u64_min(count << r->cluster_bits, r->info.size - offset);
	*ret = run;
	return 0;
}
