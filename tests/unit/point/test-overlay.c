// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The writer and the reader, each judged by the other and by a model that
 * knows only which cluster was written last by what.
 */
#include "point/overlay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "point/qcow2.h"
#include "point/reader.h"

/* The file of an overlay. @writes: of them */
struct file {
	int fd;
	uint64_t last_write;
	unsigned int writes;
	int broken;
};

static int file_write(void *arg, const void *buf, size_t size, uint64_t offset)
{
	struct file *f = arg;

	assert_int_equal((uintptr_t)buf % IO_ALIGN, 0);
	assert_true(size <= MIB(1));
	if (f->broken)
		return f->broken;
	f->last_write = offset;
	f->writes++;
	return pwrite(f->fd, buf, size, offset) == (ssize_t)size ? 0 : -EIO;
}

static int file_read(void *arg, void *buf, size_t size, uint64_t offset)
{
	struct file *f = arg;

	assert_int_equal((uintptr_t)buf % IO_ALIGN, 0);
	return pread(f->fd, buf, size, offset) == (ssize_t)size ? 0 : -EIO;
}

/* All overlays of a test share the memory of @tables. */
static struct tables *tables;
static struct file file;

static struct overlay *make_in(struct file *f, uint64_t size, uint32_t cluster, uint64_t taken)
{
	struct overlay *o;

	*f = (struct file){ .fd = memfd_create("overlay", 0) };
	assert_int_equal(overlay_create(&(struct overlay_config){
						.size = size,
						.cluster = cluster,
						.tables = tables,
						.io = { file_write, file_read, f },
						.taken = taken,
					}, &o), 0);
	return o;
}

static struct overlay *make(uint64_t size, uint32_t cluster)
{
	return make_in(&file, size, cluster, 0);
}

static int memory(void **state)
{
	return tables_create(MIB(64), &tables);
}

static int memory_gone(void **state)
{
	assert_int_equal(tables_used(tables), 0);
	tables = tables_destroy(tables);
	return 0;
}

/* Only so many bytes from here on. */
static void memory_limit(uint64_t limit)
{
	tables_destroy(tables);
	assert_int_equal(tables_create(limit, &tables), 0);
}

static uint64_t place(struct overlay *o, uint64_t offset, uint64_t span, uint64_t *ret_length)
{
	uint64_t at;

	assert_int_equal(overlay_map(o, offset, span, &at, ret_length), 0);
	return at;
}

static void overlay__bounds(void **state)
{
	static const struct {
		uint64_t size;
		uint32_t cluster;
		int err;
	} cases[] = {
		{ MIB(1), 65536, 0 },
		{ 512, 4096, 0 },
		{ 0, 65536, -EINVAL },
		{ 1000, 65536, -EINVAL },
		{ MIB(1), 2048, -EINVAL },
		{ MIB(1), 131072, -EINVAL },
		{ MIB(1), 12288, -EINVAL },
		{ GIB(8192), 4096, 0 },
		{ GIB(8192) + 512, 4096, -EFBIG },
		{ GIB(16384), 65536, 0 },
		{ UINT64_MAX & ~511ull, 65536, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(overlay_judge(cases[i].size, cases[i].cluster), cases[i].err);
}

static void overlay__regions(void **state)
{
	struct overlay *o = make(MIB(1) + 512, 65536);
	uint64_t at, length;

	assert_int_equal(overlay_map(o, 0, 0, &at, &length), -EINVAL);
	assert_int_equal(overlay_map(o, 512, 65536, &at, &length), -EINVAL);
	assert_int_equal(overlay_map(o, 0, 512, &at, &length), -EINVAL);
	assert_int_equal(overlay_map(o, MIB(1), 65536, &at, &length), -EINVAL);
	assert_int_equal(overlay_map(o, MIB(2), 65536, &at, &length), -EINVAL);
	assert_int_equal(overlay_zero(o, UINT64_MAX - 65535, 65536), -EINVAL);
	assert_int_equal(overlay_end(o), 65536);
	/* The last cluster is whole in the file, though the disk ends inside of it. */
	assert_int_equal(place(o, MIB(1), 512, &length), 65536);
	assert_int_equal(length, 65536);
	overlay_destroy(o);
}

static void overlay__appends_and_keeps_places(void **state)
{
	struct overlay *o = make(MIB(8), 65536);
	uint64_t length, first, second;

	first = place(o, MIB(2), 4 * 65536, &length);
	assert_int_equal(first, 65536);
	assert_int_equal(length, 4 * 65536);
	second = place(o, 0, 65536, &length);
	assert_int_equal(second, first + 4 * 65536);
	/* Again: the same places, in a piece as far as they lie together. */
	assert_int_equal(place(o, MIB(2) + 65536, 65536, &length), first + 65536);
	assert_int_equal(overlay_end(o), 6 * 65536);
	assert_int_equal(place(o, 0, 2 * 65536, &length), second);
	assert_int_equal(length, 2 * 65536);
	assert_int_equal(place(o, MIB(2) - 65536, 2 * 65536, &length), 7 * 65536);
	assert_int_equal(length, 65536);
	overlay_destroy(o);
}

/* What a region's cluster says in a finished file: its refcount is part of it. */
static void overlay__restored_is_as_it_was(void **state)
{
	struct overlay *o = make_in(&file, MIB(8), 65536, 6 * 65536);
	uint64_t length;

	/* Cluster 0 at place 1, cluster 5 at 2, forgotten, then cluster 9 in its place. */
	assert_int_equal(overlay_restore(o, 0, 65536, 65536), 0);
	assert_int_equal(overlay_restore(o, 5 * 65536, 65536, 2 * 65536), 0);
	assert_int_equal(overlay_forget(o, 5 * 65536, 65536), 0);
	assert_int_equal(overlay_restore(o, 9 * 65536, 65536, 2 * 65536), 0);
	assert_int_equal(overlay_restore(o, 20 * 65536, 65536, 5 * 65536), 0);
	assert_int_equal(overlay_restored(o), 0);
	assert_int_equal(overlay_end(o), 6 * 65536);
	/* Places 3 and 4 belong to nobody; then the file grows. */
	assert_int_equal(place(o, 9 * 65536, 65536, &length), 2 * 65536);
	assert_int_equal(place(o, 30 * 65536, 65536, &length), 3 * 65536);
	assert_int_equal(place(o, 31 * 65536, 65536, &length), 4 * 65536);
	assert_int_equal(place(o, 32 * 65536, 65536, &length), 6 * 65536);
	assert_int_equal(overlay_restore(o, 0, 65536, 0), -EINVAL);
	assert_int_equal(overlay_restore(o, 0, 65536, 65536 + 512), -EINVAL);
	assert_int_equal(overlay_restore(o, 0, 65536, 6 * 65536), -EINVAL);
	assert_int_equal(overlay_restore(o, 0, 2 * 65536, 5 * 65536), -EINVAL);
	assert_int_equal(overlay_restore(o, 0, 65536, INT64_MAX & ~65535ull), -EINVAL);
	overlay_destroy(o);
}

static void overlay__zero_keeps_the_place(void **state)
{
	struct overlay *o = make(MIB(8), 65536);
	uint64_t length, at = place(o, 65536, 65536, &length);

	assert_int_equal(overlay_zero(o, 0, MIB(1)), 0);
	assert_int_equal(overlay_end(o), 2 * 65536);
	assert_int_equal(place(o, 65536, 65536, &length), at);
	overlay_destroy(o);
}

/* A terabyte of zeroes: no table until something is written into it. */
static void overlay__zeroes_cost_nothing(void **state)
{
	struct overlay *o = make(GIB(1024), 65536);
	uint64_t length;

	assert_int_equal(overlay_zero(o, 0, GIB(1024)), 0);
	assert_int_equal(tables_used(tables), 0);
	place(o, GIB(512), 65536, &length);
	assert_int_equal(tables_used(tables), 65536);
	overlay_destroy(o);
}

/* -- against the reader ---------------------------------------------------------------- */

/* Ends what make() made. */
static struct file finish(struct overlay *o)
{
	struct overlay_label label = { .backing = "replica.raw", .format = "raw", .epoch = 0x1122334455667788,
				       .point = 3, .tracker = "fifteen letters" };
	uint64_t size;

	assert_int_equal(overlay_finish(o, &label, &size), 0);
	assert_int_equal(file.last_write, 0); /* the header comes last */
	assert_int_equal(ftruncate(file.fd, size), 0);
	return file;
}

static struct reader *read_back(const struct file *f)
{
	struct reason reason = { 0 };
	struct reader *r;
	int err = reader_open(f->fd, &r, &reason);

	if (err)
		fail_msg("%s", reason.text);
	return r;
}

static void overlay__label(void **state)
{
	struct overlay *o = make(MIB(3) + 512, 4096);
	struct file f = finish(o);
	struct reader *r = read_back(&f);
	const struct reader_info *info = reader_info(r);

	assert_int_equal(info->size, MIB(3) + 512);
	assert_int_equal(info->cluster, 4096);
	assert_string_equal(info->backing, "replica.raw");
	assert_true(info->labelled);
	assert_int_equal(info->epoch, 0x1122334455667788);
	assert_int_equal(info->point, 3);
	assert_memory_equal(info->tracker, "fifteen letters", 16);
	reader_close(r);
	overlay_destroy(o);
	close(f.fd);
}

static uint64_t seed = 88172645463325252ull;

static uint64_t dice(uint64_t sides)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % sides;
}

#define MODEL_CLUSTERS 3000

/* kind of each cluster, and where its data must be */
struct model {
	uint8_t kind[MODEL_CLUSTERS];
	uint64_t at[MODEL_CLUSTERS];
};

static void model_step(struct overlay *o, struct model *m, uint64_t size, uint32_t cluster)
{
	uint64_t first = dice(MODEL_CLUSTERS), count = 1 + dice(dice(9) ? 5 : 900);
	uint64_t offset = first * cluster, span, done = 0, at, length;

	count = u64_min(count, MODEL_CLUSTERS - first);
	span = u64_min(count * cluster, size - offset);
	if (dice(2)) {
		assert_int_equal(overlay_zero(o, offset, span), 0);
		memset(m->kind + first, READER_ZERO, count);
		return;
	}
	while (done < span) {
		at = place(o, offset + done, span - done, &length);
		for (uint64_t i = 0; i < length / cluster; i++) {
			uint64_t c = first + done / cluster + i;

			if (m->at[c])
				assert_int_equal(m->at[c], at + i * cluster);
			m->at[c] = at + i * cluster;
			m->kind[c] = READER_DATA;
		}
		done += length;
	}
}

static void model_compare(const struct file *f, const struct model *m, uint64_t size,
			  uint32_t cluster)
{
	struct reader *r = read_back(f);
	struct reader_run run;

	for (uint64_t at = 0; at < size; at += run.length) {
		assert_int_equal(reader_next(r, at, &run, NULL), 0);
		assert_true(run.length > 0 && run.length <= size - at);
		for (uint64_t i = 0; i < run.length; i += cluster) {
			uint64_t c = (at + i) / cluster;

			assert_int_equal(m->kind[c], run.kind);
			if (run.kind == READER_DATA)
				assert_int_equal(m->at[c], run.offset + i);
		}
	}
	reader_close(r);
}

static void random_runs(void)
{
	static struct model m;

	for (unsigned int round = 0; round < 30; round++) {
		uint32_t cluster = 4096u << dice(5);
		uint64_t size = (uint64_t)MODEL_CLUSTERS * cluster - (dice(2) ? 512 * dice(8) : 0);
		struct overlay *o = make(size, cluster);
		struct file f;

		memset(&m, 0, sizeof(m));
		for (uint64_t i = dice(60); i; i--)
			model_step(o, &m, size, cluster);
		f = finish(o);
		model_compare(&f, &m, size, cluster);
		overlay_destroy(o);
		assert_int_equal(tables_used(tables), 0);
		close(f.fd);
	}
}

static void overlay__random_runs_read_back(void **state)
{
	random_runs();
}

/* Most of the tables are in the file most of the time. */
static void overlay__random_runs_with_room_for_one_table(void **state)
{
	memory_limit(4096);
	random_runs();
}

/* -- the tables ------------------------------------------------------------------------ */

/* A terabyte, something in each table of it: no more memory than was given. */
static void overlay__tables_make_room(void **state)
{
	struct overlay *o;
	struct file f;
	struct reader *r;
	struct reader_run run;
	uint64_t at[2048], length;

	memory_limit(MIB(4));
	o = make(GIB(1024), 65536);
	for (uint64_t i = 0; i < 2048; i++) {
		at[i] = place(o, i * MIB(512), 65536, &length);
		assert_true(tables_used(tables) <= MIB(4));
	}
	/* Backwards, each is read again; a second cluster of each. */
	for (uint64_t i = 2048; i-- > 0;) {
		assert_int_equal(place(o, i * MIB(512), 65536, &length), at[i]);
		place(o, i * MIB(512) + MIB(1), 65536, &length);
		assert_true(tables_used(tables) <= MIB(4));
	}
	f = finish(o);
	assert_int_equal(tables_used(tables), 0);
	r = read_back(&f);
	for (uint64_t i = 0; i < 2048; i++) {
		assert_int_equal(reader_next(r, i * MIB(512), &run, NULL), 0);
		assert_int_equal(run.kind, READER_DATA);
		assert_int_equal(run.offset, at[i]);
	}
	reader_close(r);
	overlay_destroy(o);
	close(f.fd);
}

/* Each of two disks makes room for the other, each in its own file. */
static void overlay__disks_share_the_memory(void **state)
{
	struct overlay *o[2];
	struct file f[2];
	uint64_t at[2][64], length;

	memory_limit(3 * 65536);
	o[0] = make_in(&f[0], GIB(32), 65536, 0);
	o[1] = make_in(&f[1], GIB(64), 32768, 0);
	for (uint64_t i = 0; i < 64; i++)
		for (unsigned int k = 0; k < 2; k++) {
			at[k][i] = place(o[k], i * MIB(512), 65536, &length);
			assert_true(tables_used(tables) <= 3 * 65536);
		}
	for (unsigned int k = 0; k < 2; k++) {
		assert_true(f[k].writes > 10);
		for (uint64_t i = 0; i < 64; i++)
			assert_int_equal(place(o[k], i * MIB(512), 65536, &length), at[k][i]);
	}
	for (unsigned int k = 0; k < 2; k++) {
		overlay_destroy(o[k]);
		close(f[k].fd);
	}
}

/* A disk that is full: said, and nothing is forgotten; with room again it goes on. */
static void overlay__tables_survive_a_failing_write(void **state)
{
	uint64_t first, at, length;
	struct overlay *o;

	memory_limit(2 * 65536);
	o = make(GIB(8), 65536);
	first = place(o, 0, 65536, &length);
	place(o, MIB(512), 65536, &length);
	file.broken = -ENOSPC;
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(overlay_map(o, GIB(4), 65536, &at, &length), -ENOSPC);
	assert_int_equal(overlay_zero(o, GIB(4), 65536), -ENOSPC);
	assert_int_equal(overlay_forget(o, GIB(4), 65536), 0);
	file.broken = 0;
	place(o, GIB(4), 65536, &length);
	place(o, GIB(5), 65536, &length);
	assert_int_equal(place(o, 0, 65536, &length), first);
	overlay_destroy(o);
	close(file.fd);
}

/*
 * What is taken up again: no table may come to lie over data that is on record and was
 * not restored yet, nor in a place that is free only since this run.
 */
static void overlay__tables_spare_what_is_staged(void **state)
{
	enum { COUNT = 64, OLD = 65536 * (COUNT + 1) };
	static uint8_t data[65536];
	uint64_t length;
	struct overlay *o;

	memory_limit(2 * 65536);
	o = make_in(&file, GIB(64), 65536, OLD);
	memset(data, 7, sizeof(data));
	for (uint64_t i = 1; i <= COUNT; i++)
		assert_int_equal(pwrite(file.fd, data, 65536, i * 65536), 65536);
	for (uint64_t i = 0; i < COUNT; i++)
		assert_int_equal(overlay_restore(o, i * MIB(512), 65536, (i + 1) * 65536), 0);
	assert_int_equal(overlay_restored(o), 0);
	assert_true(overlay_end(o) > OLD && file.writes > 10);
	for (uint64_t i = 0; i < COUNT; i++)
		assert_int_equal(place(o, i * MIB(512), 65536, &length), (i + 1) * 65536);
	for (uint64_t i = 0; i < COUNT; i += 2)
		assert_int_equal(overlay_forget(o, i * MIB(512), 65536), 0);
	for (uint64_t i = COUNT; i < 2 * COUNT; i++)
		assert_int_equal(overlay_zero(o, i * MIB(512), 65536), 0);
	for (uint64_t i = 1; i <= COUNT; i++) {
		uint8_t seen[65536];

		assert_int_equal(pread(file.fd, seen, 65536, i * 65536), 65536);
		assert_memory_equal(seen, data, 65536);
	}
	/* The next data does lie there, the lowest first. */
	assert_int_equal(place(o, GIB(40), 65536, &length), 65536);
	assert_int_equal(place(o, GIB(41), 65536, &length), 3 * 65536);
	overlay_destroy(o);
	close(file.fd);
}

/* -- the reader alone -------------------------------------------------------------------- */

static struct file sample(void)
{
	struct overlay *o = make(MIB(40) + 512, 4096);
	uint64_t length;
	struct file f;

	place(o, 0, MIB(1), &length);
	place(o, MIB(30), MIB(1), &length);
	assert_int_equal(overlay_zero(o, MIB(10), MIB(8)), 0);
	place(o, MIB(40), 512, &length);
	f = finish(o);
	overlay_destroy(o);
	return f;
}

/* All that a reader does; what it says does not matter, as long as it says it. */
static bool walk(int fd)
{
	struct reason reason = { 0 };
	struct reader_run run = { 0 };
	struct reader *r;
	uint64_t size;
	int err = reader_open(fd, &r, &reason);

	if (err) {
		assert_true(err == -EUCLEAN || err == -EINVAL || err == -ENOMEM || err == -EIO);
		return false;
	}
	size = reader_info(r)->size;
	for (uint64_t at = 0, steps = 0; at < size && !err && steps < 20000; at += run.length, steps++)
		err = reader_next(r, at, &run, &reason);
	if (err == -EUCLEAN && reason.code)
		assert_true(reason.text[0] != '\0');
	reader_close(r);
	return !err;
}

static void reader__takes_a_good_one(void **state)
{
	struct file f = sample();

	assert_true(walk(f.fd));
	close(f.fd);
}

static void reader__refuses_what_is_short(void **state)
{
	struct file f = sample();
	off_t size = lseek(f.fd, 0, SEEK_END);

	assert_int_equal(ftruncate(f.fd, size / 2), 0);
	assert_false(walk(f.fd));
	assert_int_equal(ftruncate(f.fd, 60), 0);
	assert_false(walk(f.fd));
	assert_int_equal(ftruncate(f.fd, 0), 0);
	assert_false(walk(f.fd));
	close(f.fd);
}

static void reader__refuses_bad_headers(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
	} spoils[] = {
		{ offsetof(struct qcow2_header, magic), 0 },
		{ offsetof(struct qcow2_header, version), 2 },
		{ offsetof(struct qcow2_header, cluster_bits), 8 },
		{ offsetof(struct qcow2_header, cluster_bits), 40 },
		{ offsetof(struct qcow2_header, crypt_method), 1 },
		{ offsetof(struct qcow2_header, snapshots), 1 },
		{ offsetof(struct qcow2_header, incompatible) + 4, 1 },
		{ offsetof(struct qcow2_header, l1_size), 0 },
		{ offsetof(struct qcow2_header, l1_size), 0x7fffffff },
		{ offsetof(struct qcow2_header, l1_offset) + 4, 0xfffff000 },
		{ offsetof(struct qcow2_header, l1_offset) + 4, 12 },
		{ offsetof(struct qcow2_header, size), 0x7fffffff },
		{ offsetof(struct qcow2_header, size) + 4, 17 },
		{ offsetof(struct qcow2_header, header_length), 100 },
		{ offsetof(struct qcow2_header, header_length), 0xffffffff },
		{ offsetof(struct qcow2_header, backing_offset) + 4, 0xfffffff0 },
		{ offsetof(struct qcow2_header, backing_size), 5000 },
		{ sizeof(struct qcow2_header) + 4, 0xfffffff8 }, /* of the first extension */
	};

	for (size_t i = 0; i < ARRAY_SIZE(spoils); i++) {
		struct file f = sample();
		be32 value = be32_of(spoils[i].value);

		assert_int_equal(pwrite(f.fd, &value, 4, spoils[i].at), 4);
		if (walk(f.fd))
			fail_msg("header %zu with %#x was taken", spoils[i].at, spoils[i].value);
		close(f.fd);
	}
}

/* Bytes changed at random, most of them in the tables: no crash, no endless loop. */
static void reader__survives_noise(void **state)
{
	struct file f = sample();
	off_t size = lseek(f.fd, 0, SEEK_END);
	unsigned int refused = 0;

	for (unsigned int i = 0; i < 3000; i++) {
		uint64_t at[4], was[4], now = dice(UINT64_MAX);

		for (int k = 0; k < 4; k++) {
			at[k] = dice(2) ? dice(200) : size - 8 - dice(u64_min(size - 8, 80000));
			assert_int_equal(pread(f.fd, &was[k], 8, at[k]), 8);
			assert_int_equal(pwrite(f.fd, &now, 1 + dice(8), at[k]) > 0, 1);
		}
		refused += !walk(f.fd);
		for (int k = 3; k >= 0; k--)
			assert_int_equal(pwrite(f.fd, &was[k], 8, at[k]), 8);
	}
	assert_true(refused > 1000);
	assert_true(walk(f.fd));
	close(f.fd);
}

#define OVERLAY_TEST(test) cmocka_unit_test_setup_teardown(test, memory, memory_gone)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVERLAY_TEST(overlay__bounds),
		OVERLAY_TEST(overlay__regions),
		OVERLAY_TEST(overlay__appends_and_keeps_places),
		OVERLAY_TEST(overlay__restored_is_as_it_was),
		OVERLAY_TEST(overlay__zero_keeps_the_place),
		OVERLAY_TEST(overlay__zeroes_cost_nothing),
		OVERLAY_TEST(overlay__label),
		OVERLAY_TEST(overlay__random_runs_read_back),
		OVERLAY_TEST(overlay__random_runs_with_room_for_one_table),
		OVERLAY_TEST(overlay__tables_make_room),
		OVERLAY_TEST(overlay__disks_share_the_memory),
		OVERLAY_TEST(overlay__tables_survive_a_failing_write),
		OVERLAY_TEST(overlay__tables_spare_what_is_staged),
		OVERLAY_TEST(reader__takes_a_good_one),
		OVERLAY_TEST(reader__refuses_what_is_short),
		OVERLAY_TEST(reader__refuses_bad_headers),
		OVERLAY_TEST(reader__survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
