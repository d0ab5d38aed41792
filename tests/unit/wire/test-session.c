// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SIZE (MIB(10) + 512)

static uint8_t payload[FRAME_CONTROL_MAX];

static int pass(struct session *s, struct frame f)
{
	int fault = session_check(s, &f);

	return fault ? fault : session_take(s, &f, payload);
}

static int hello(struct session *s, uint16_t min, uint16_t max)
{
	struct frame_hello v = { .min_version = min, .max_version = max, .node = "n",
				 .collection = "c" };

	return pass(s, (struct frame){ .type = FRAME_HELLO,
				       .length = frame_hello_encode(&v, payload) });
}

static int open_disk(struct session *s, uint32_t disk, const char *name, uint32_t granule)
{
	struct frame_open v = { .vm = "vm", .size = SIZE, .granule = granule };

	strcpy(v.name, name);
	return pass(s, (struct frame){ .type = FRAME_OPEN, .disk = disk,
				       .length = frame_open_encode(&v, payload) });
}

static int begin(struct session *s, uint32_t disk, uint32_t mode, uint64_t epoch)
{
	struct frame_begin v = { .mode = mode };

	return pass(s, (struct frame){ .type = FRAME_BEGIN, .disk = disk, .epoch = epoch,
				       .length = frame_begin_encode(&v, payload) });
}

static int chunk(struct session *s, uint8_t type, uint32_t disk, uint64_t offset, uint64_t span)
{
	return pass(s, (struct frame){ .type = type, .disk = disk, .offset = offset, .span = span,
				       .length = type == FRAME_DATA ? span : 0, .epoch = 1,
				       .checksum = offset });
}

static int end(struct session *s, uint32_t disk, uint64_t epoch, struct frame_end v)
{
	return pass(s, (struct frame){ .type = FRAME_END, .disk = disk, .epoch = epoch,
				       .length = frame_end_encode(&v, payload) });
}

static int simple(struct session *s, uint8_t type)
{
	return pass(s, (struct frame){ .type = type });
}

static struct session begun(uint32_t mode)
{
	struct session s;

	session_init(&s, 8);
	assert_int_equal(hello(&s, 1, 1), FRAME_OK);
	assert_int_equal(open_disk(&s, 0, "vda", 65536), FRAME_OK);
	assert_int_equal(begin(&s, 0, mode, 0), FRAME_OK);
	return s;
}

static void refused(struct session *s, int fault, int wanted)
{
	assert_int_equal(fault, wanted);
	assert_non_null(s->why);
}

static void session__a_whole_run(void **state)
{
	struct session s = begun(FRAME_MODE_FULL);
	struct frame f = { .type = FRAME_DATA, .offset = 65536, .span = 65536, .epoch = 1,
			   .checksum = 65536 };
	struct frame z = { .type = FRAME_ZERO, .span = 65536, .epoch = 1 };

	assert_int_equal(chunk(&s, FRAME_DATA, 0, 65536, 65536), FRAME_OK);
	assert_int_equal(simple(&s, FRAME_PASS), FRAME_OK);
	assert_int_equal(chunk(&s, FRAME_ZERO, 0, 0, 65536), FRAME_OK);
	assert_int_equal(end(&s, 0, 7, (struct frame_end){ 2, 2 * 65536, frame_digest(&f) +
							   frame_digest(&z) }), FRAME_OK);
	assert_int_equal(s.disks[0].epoch, 7);
	assert_int_equal(simple(&s, FRAME_COMMIT), FRAME_OK);
	assert_int_equal(s.phase, SESSION_COMMITTED);
	session_done(&s);
}

static void session__hello_first_and_once(void **state)
{
	struct session s;

	session_init(&s, 8);
	refused(&s, simple(&s, FRAME_PASS), FRAME_FAULT_ORDER);
	refused(&s, simple(&s, FRAME_PING), FRAME_FAULT_ORDER);
	refused(&s, open_disk(&s, 0, "vda", 65536), FRAME_FAULT_ORDER);
	assert_int_equal(hello(&s, 1, 3), FRAME_OK);
	refused(&s, hello(&s, 1, 1), FRAME_FAULT_ORDER);
	session_done(&s);
}

static void session__versions(void **state)
{
	struct session s;

	session_init(&s, 8);
	refused(&s, hello(&s, 2, 5), FRAME_FAULT_VERSION);
	refused(&s, hello(&s, 0, 0), FRAME_FAULT_VERSION);
	assert_int_equal(hello(&s, 0, 9), FRAME_OK);
	assert_int_equal(s.version, FRAME_VERSION);
	session_done(&s);
}

static void session__disks(void **state)
{
	struct session s;
	char name[8];

	session_init(&s, 4);
	assert_int_equal(hello(&s, 1, 1), FRAME_OK);
	refused(&s, open_disk(&s, 1, "vdb", 65536), FRAME_FAULT_DISK);
	assert_int_equal(open_disk(&s, 0, "vda", 65536), FRAME_OK);
	refused(&s, open_disk(&s, 0, "vda", 65536), FRAME_FAULT_DISK);
	refused(&s, open_disk(&s, 1, "vda", 65536), FRAME_FAULT_DISK);
	refused(&s, begin(&s, 1, FRAME_MODE_FULL, 0), FRAME_FAULT_DISK);
	for (uint32_t i = 1; i < 4; i++) {
		snprintf(name, sizeof(name), "vd%u", i);
		assert_int_equal(open_disk(&s, i, name, 65536), FRAME_OK);
	}
	refused(&s, open_disk(&s, 4, "vdx", 65536), FRAME_FAULT_DISK);
	session_done(&s);
}

static void session__begin_once(void **state)
{
	struct session s = begun(FRAME_MODE_FULL);

	refused(&s, begin(&s, 0, FRAME_MODE_FULL, 0), FRAME_FAULT_ORDER);
	session_done(&s);
}

static void session__regions(void **state)
{
	static const struct {
		uint64_t offset, span;
		bool good;
	} regions[] = {
		{ 0, 65536, true },
		{ 0, SIZE, true },
		{ MIB(10), 512, true },
		{ MIB(10) - 65536, 65536 + 512, true },
		{ MIB(10), 65536, false },
		{ MIB(10), 1024, false },
		{ SIZE, 512, false },
		{ MIB(20), 65536, false },
		{ 512, 65536, false },
		{ 0, 512, false },
		{ 65536, 65536 + 512, false },
		{ INT64_MAX & ~65535ull, 65536, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
		struct session s = begun(FRAME_MODE_FULL);
		int fault = chunk(&s, FRAME_ZERO, 0, regions[i].offset, regions[i].span);

		assert_int_equal(fault, regions[i].good ? FRAME_OK : FRAME_FAULT_RANGE);
		session_done(&s);
	}
}

/* A granule of 4 MiB comes in several frames, of whole clusters each. */
static void session__large_granules(void **state)
{
	struct session s;

	session_init(&s, 1);
	assert_int_equal(hello(&s, 1, 1), FRAME_OK);
	assert_int_equal(open_disk(&s, 0, "vda", MIB(4)), FRAME_OK);
	assert_int_equal(begin(&s, 0, FRAME_MODE_COMPARE, 0), FRAME_OK);
	assert_int_equal(chunk(&s, FRAME_DATA, 0, MIB(1), MIB(1)), FRAME_OK);
	refused(&s, chunk(&s, FRAME_DATA, 0, 4096, 65536), FRAME_FAULT_RANGE);
	/* Hashes are of whole granules. */
	refused(&s, chunk(&s, FRAME_HASH, 0, MIB(1), MIB(4)), FRAME_FAULT_RANGE);
	assert_int_equal(chunk(&s, FRAME_HASH, 0, MIB(4), SIZE - MIB(4)), FRAME_OK);
	assert_int_equal(session_hashes(&s, &(struct frame){ .span = SIZE - MIB(4) }), 2);
	session_done(&s);
}

static void session__hashes_are_for_comparing(void **state)
{
	struct session full = begun(FRAME_MODE_FULL), inc = begun(FRAME_MODE_INCREMENTAL);
	struct session verify = begun(FRAME_MODE_VERIFY);

	refused(&full, chunk(&full, FRAME_HASH, 0, 0, 65536), FRAME_FAULT_ORDER);
	refused(&inc, chunk(&inc, FRAME_HASH, 0, 0, 65536), FRAME_FAULT_ORDER);
	assert_int_equal(chunk(&verify, FRAME_HASH, 0, 0, 65536), FRAME_OK);
	session_done(&full);
	session_done(&inc);
	session_done(&verify);
}

/* As many as their hashes have room for in one frame. */
static void session__hashes_fill_a_frame_at_most(void **state)
{
	static const struct {
		uint32_t features;
		uint64_t granules;
	} limits[] = { { 0, 65536 }, { FRAME_FEATURE_SHA256, 32768 } };

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		struct session s = begun(FRAME_MODE_VERIFY);

		s.features = limits[i].features;
		s.disks[0].open.granule = 4096;
		s.disks[0].open.size = GIB(1);
		assert_int_equal(chunk(&s, FRAME_HASH, 0, 0, limits[i].granules * 4096), FRAME_OK);
		refused(&s, chunk(&s, FRAME_HASH, 0, 0, (limits[i].granules + 1) * 4096),
			FRAME_FAULT_RANGE);
		session_done(&s);
	}
}

static void session__a_verification_changes_nothing(void **state)
{
	struct session s = begun(FRAME_MODE_VERIFY);

	refused(&s, chunk(&s, FRAME_DATA, 0, 0, 65536), FRAME_FAULT_ORDER);
	refused(&s, chunk(&s, FRAME_ZERO, 0, 0, 65536), FRAME_FAULT_ORDER);
	refused(&s, end(&s, 0, 1, (struct frame_end){ 0 }), FRAME_FAULT_ORDER);
	refused(&s, simple(&s, FRAME_COMMIT), FRAME_FAULT_ORDER);
	session_done(&s);
}

static void session__totals(void **state)
{
	struct frame f = { .type = FRAME_ZERO, .span = 65536, .epoch = 1 };
	struct frame_end good = { 1, 65536, frame_digest(&f) };
	struct frame_end bad[] = { good, good, good };
	struct session s = begun(FRAME_MODE_FULL);

	bad[0].frames++;
	bad[1].bytes += 512;
	bad[2].digest ^= 1;
	assert_int_equal(chunk(&s, FRAME_ZERO, 0, 0, 65536), FRAME_OK);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		refused(&s, end(&s, 0, 1, bad[i]), FRAME_FAULT_PAYLOAD);
	assert_int_equal(end(&s, 0, 1, good), FRAME_OK);
	refused(&s, end(&s, 0, 1, good), FRAME_FAULT_ORDER);
	refused(&s, chunk(&s, FRAME_ZERO, 0, 0, 65536), FRAME_FAULT_ORDER);
	session_done(&s);
}

static void session__epochs_do_not_go_back(void **state)
{
	struct session s;

	session_init(&s, 1);
	assert_int_equal(hello(&s, 1, 1), FRAME_OK);
	assert_int_equal(open_disk(&s, 0, "vda", 65536), FRAME_OK);
	assert_int_equal(begin(&s, 0, FRAME_MODE_INCREMENTAL, 9), FRAME_OK);
	refused(&s, end(&s, 0, 8, (struct frame_end){ 0 }), FRAME_FAULT_ORDER);
	assert_int_equal(end(&s, 0, 9, (struct frame_end){ 0 }), FRAME_OK);
	session_done(&s);
}

static void session__commit_wants_all_ends(void **state)
{
	struct session s = begun(FRAME_MODE_FULL);

	assert_int_equal(open_disk(&s, 1, "vdb", 65536), FRAME_OK);
	assert_int_equal(open_disk(&s, 2, "vdc", 65536), FRAME_OK);
	assert_int_equal(begin(&s, 1, FRAME_MODE_FULL, 0), FRAME_OK);
	assert_int_equal(end(&s, 0, 1, (struct frame_end){ 0 }), FRAME_OK);
	refused(&s, simple(&s, FRAME_COMMIT), FRAME_FAULT_ORDER);
	assert_int_equal(end(&s, 1, 1, (struct frame_end){ 0 }), FRAME_OK);
	/* The third was opened and left alone. */
	assert_int_equal(simple(&s, FRAME_COMMIT), FRAME_OK);
	refused(&s, simple(&s, FRAME_COMMIT), FRAME_FAULT_ORDER);
	refused(&s, begin(&s, 2, FRAME_MODE_FULL, 0), FRAME_FAULT_ORDER);
	refused(&s, simple(&s, FRAME_ABORT), FRAME_FAULT_ORDER);
	assert_int_equal(simple(&s, FRAME_PING), FRAME_OK);
	session_done(&s);
}

static void session__what_only_receivers_send(void **state)
{
	static const uint8_t types[] = { FRAME_WELCOME, FRAME_OPENED, FRAME_BEGUN, FRAME_HASHES,
					 FRAME_DURABLE };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct session s = begun(FRAME_MODE_FULL);

		refused(&s, simple(&s, types[i]), FRAME_FAULT_ORDER);
		session_done(&s);
	}
}

static void session__what_may_be_skipped(void **state)
{
	struct session s = begun(FRAME_MODE_FULL);

	assert_int_equal(pass(&s, (struct frame){ .type = 200, .flags = FRAME_SKIPPABLE }),
			 FRAME_OK);
	assert_int_equal(simple(&s, FRAME_ERROR), FRAME_OK);
	session_done(&s);
}

static struct session grown(uint32_t features, uint32_t disks)
{
	struct frame_hello v = { 1, 1, features, "n", "c" };
	char name[8];
	struct session s;

	session_init(&s, 8);
	assert_int_equal(pass(&s, (struct frame){ .type = FRAME_HELLO,
						  .length = frame_hello_encode(&v, payload) }),
			 FRAME_OK);
	for (uint32_t i = 0; i < disks; i++) {
		snprintf(name, sizeof(name), "vd%u", i);
		assert_int_equal(open_disk(&s, i, name, 65536), FRAME_OK);
		assert_int_equal(begin(&s, i, FRAME_MODE_INCREMENTAL, 0), FRAME_OK);
	}
	return s;
}

static int drop(struct session *s, uint32_t disk)
{
	struct frame_error v = { 32768, false, "its device is gone" };

	return pass(s, (struct frame){ .type = FRAME_DROP, .disk = disk,
				       .length = frame_error_encode(&v, payload) });
}

static int commit(struct session *s, uint32_t consistency, uint32_t history)
{
	struct frame_commit v = { .consistency = consistency, .history = history };

	return pass(s, (struct frame){ .type = FRAME_COMMIT,
				       .length = frame_commit_encode(&v, payload) });
}

static void session__features_are_what_both_know(void **state)
{
	struct session s = grown(0xf0000000u | FRAME_FEATURE_POINT, 0);

	assert_int_equal(s.features, FRAME_FEATURE_POINT);
	session_done(&s);
}

static void session__a_dropped_disk_is_over(void **state)
{
	struct session s = grown(FRAME_FEATURES, 3);

	assert_int_equal(drop(&s, 1), FRAME_OK);
	refused(&s, chunk(&s, FRAME_ZERO, 1, 0, 65536), FRAME_FAULT_ORDER);
	refused(&s, drop(&s, 1), FRAME_FAULT_ORDER);
	refused(&s, end(&s, 1, 1, (struct frame_end){ 0 }), FRAME_FAULT_ORDER);
	refused(&s, drop(&s, 3), FRAME_FAULT_DISK);
	assert_int_equal(end(&s, 0, 1, (struct frame_end){ 0 }), FRAME_OK);
	refused(&s, commit(&s, 2, 0), FRAME_FAULT_ORDER);
	assert_int_equal(end(&s, 2, 1, (struct frame_end){ 0 }), FRAME_OK);
	/* Also one that has ended. */
	assert_int_equal(drop(&s, 0), FRAME_OK);
	assert_int_equal(commit(&s, 1, 24), FRAME_OK);
	assert_int_equal(s.commit.consistency, 1);
	assert_int_equal(s.commit.history, 24);
	session_done(&s);
	s = grown(FRAME_FEATURES, 1);
	assert_int_equal(drop(&s, 0), FRAME_OK);
	refused(&s, commit(&s, 2, 0), FRAME_FAULT_ORDER);
	session_done(&s);
}

static int sealed(struct session *s, uint64_t epoch, bool complete, uint64_t offset,
		  uint64_t span)
{
	struct frame_sealed v = { .complete = complete };
	struct frame_range range = { offset, span };

	return pass(s, (struct frame){ .type = FRAME_SEALED, .epoch = epoch,
				       .length = frame_sealed_encode(&v, &range, span != 0,
								     payload) });
}

static void session__seals(void **state)
{
	struct session s;

	session_init(&s, 4);
	hello(&s, 1, 1);
	s.features = FRAME_FEATURES;
	assert_int_equal(open_disk(&s, 0, "vda", 65536), FRAME_OK);
	refused(&s, sealed(&s, 1, true, 0, 0), FRAME_FAULT_ORDER);
	assert_int_equal(begin(&s, 0, FRAME_MODE_INCREMENTAL, 0), FRAME_OK);
	s.features &= ~FRAME_FEATURE_RESUME;
	refused(&s, sealed(&s, 1, true, 0, 0), FRAME_FAULT_ORDER);
	s.features |= FRAME_FEATURE_RESUME;
	assert_int_equal(sealed(&s, 1, true, 0, 0), FRAME_OK);
	assert_int_equal(chunk(&s, FRAME_DATA, 0, 0, 65536), FRAME_OK);
	refused(&s, sealed(&s, 1, true, 0, 0), FRAME_FAULT_ORDER);
	refused(&s, sealed(&s, 2, true, 4096, 65536), FRAME_FAULT_RANGE);
	refused(&s, sealed(&s, 2, true, 65536, SIZE), FRAME_FAULT_RANGE);
	/* One that is not complete: nothing else may come, and it must be the same seal. */
	assert_int_equal(sealed(&s, 2, false, 0, 65536), FRAME_OK);
	refused(&s, chunk(&s, FRAME_DATA, 0, 0, 65536), FRAME_FAULT_ORDER);
	refused(&s, end(&s, 0, 2, s.disks[0].sum), FRAME_FAULT_ORDER);
	refused(&s, sealed(&s, 3, true, 0, 0), FRAME_FAULT_ORDER);
	assert_int_equal(sealed(&s, 2, true, 0, 0), FRAME_OK);
	/* Bytes of the seal before it come too late. */
	refused(&s, chunk(&s, FRAME_DATA, 0, 0, 65536), FRAME_FAULT_ORDER);
	refused(&s, end(&s, 0, 1, s.disks[0].sum), FRAME_FAULT_ORDER);
	assert_int_equal(end(&s, 0, 2, s.disks[0].sum), FRAME_OK);
	session_done(&s);
}

static void session__what_was_not_agreed_on(void **state)
{
	struct session s = grown(0, 2);

	refused(&s, drop(&s, 0), FRAME_FAULT_ORDER);
	assert_int_equal(end(&s, 0, 1, (struct frame_end){ 0 }), FRAME_OK);
	assert_int_equal(end(&s, 1, 1, (struct frame_end){ 0 }), FRAME_OK);
	refused(&s, commit(&s, 2, 0), FRAME_FAULT_LENGTH);
	assert_int_equal(simple(&s, FRAME_COMMIT), FRAME_OK);
	assert_int_equal(s.commit.consistency, FRAME_CONSISTENCY_GROUP);
	assert_int_equal(s.commit.history, FRAME_HISTORY_UNSAID);
	session_done(&s);
	s = grown(FRAME_FEATURE_POINT, 1);
	assert_int_equal(end(&s, 0, 1, (struct frame_end){ 0 }), FRAME_OK);
	refused(&s, simple(&s, FRAME_COMMIT), FRAME_FAULT_LENGTH);
	session_done(&s);
}

static int packed(struct session *s, uint8_t type, uint64_t offset, uint64_t span)
{
	return pass(s, (struct frame){ .type = type, .offset = offset, .span = span,
				       .length = 100, .epoch = 1, .checksum = offset });
}

/* Each of its own, and under all the rules of DATA. */
static void session__packing(void **state)
{
	static const struct {
		uint32_t feature;
		uint8_t type;
	} packings[] = { { FRAME_FEATURE_PACK, FRAME_PACKED },
			 { FRAME_FEATURE_LZ4, FRAME_PACKED_LZ4 } };

	for (size_t i = 0; i < ARRAY_SIZE(packings); i++) {
		uint8_t type = packings[i].type;
		struct session s = grown(FRAME_FEATURES & ~packings[i].feature, 1);

		refused(&s, packed(&s, type, 0, 65536), FRAME_FAULT_ORDER);
		assert_non_null(strstr(s.why, "not agreed on"));
		assert_int_equal(packed(&s, packings[!i].type, 0, 65536), FRAME_OK);
		session_done(&s);

		s = grown(packings[i].feature, 1);
		refused(&s, packed(&s, type, 4096, 65536), FRAME_FAULT_RANGE);
		refused(&s, packed(&s, type, 0, 4096), FRAME_FAULT_RANGE);
		refused(&s, packed(&s, type, MIB(10), 65536), FRAME_FAULT_RANGE);
		assert_int_equal(packed(&s, type, MIB(10), 512), FRAME_OK);
		assert_int_equal(packed(&s, type, 65536, 131072), FRAME_OK);
		assert_int_equal(s.disks[0].sum.frames, 2);
		assert_int_equal(s.disks[0].sum.bytes, 131072 + 512);
		assert_int_equal(end(&s, 0, 1, s.disks[0].sum), FRAME_OK);
		refused(&s, packed(&s, type, 0, 65536), FRAME_FAULT_ORDER);
		session_done(&s);

		s = begun(FRAME_MODE_VERIFY);
		s.features = FRAME_FEATURES;
		refused(&s, packed(&s, type, 0, 65536), FRAME_FAULT_ORDER);
		session_done(&s);
	}
}

static int hello_with(struct session *s, uint32_t features)
{
	struct frame_hello v = { .min_version = 1, .max_version = 1, .features = features,
				 .node = "n", .collection = "c" };

	return pass(s, (struct frame){ .type = FRAME_HELLO,
				       .length = frame_hello_encode(&v, payload) });
}

static int take(struct session *s, uint32_t lane, uint32_t frames)
{
	struct frame_take v = { lane, frames };

	return pass(s, (struct frame){ .type = FRAME_TAKE,
				       .length = frame_take_encode(&v, payload) });
}

static void session__a_take_is_so_many_frames_of_a_lane(void **state)
{
	struct session s;

	session_init(&s, 8);
	assert_int_equal(hello_with(&s, FRAME_FEATURES), FRAME_OK);
	assert_int_equal(open_disk(&s, 0, "vda", 65536), FRAME_OK);
	assert_int_equal(begin(&s, 0, FRAME_MODE_FULL, 0), FRAME_OK);
	assert_int_equal(take(&s, 3, 4), FRAME_OK);
	assert_int_equal(s.take.lane, 3);
	refused(&s, simple(&s, FRAME_PING), FRAME_FAULT_ORDER);
	refused(&s, take(&s, 2, 1), FRAME_FAULT_ORDER);
	refused(&s, chunk(&s, FRAME_ZERO, 0, 0, 65536), FRAME_FAULT_ORDER);
	refused(&s, pass(&s, (struct frame){ .type = FRAME_ERROR }), FRAME_FAULT_ORDER);
	refused(&s, pass(&s, (struct frame){ .type = 200, .flags = FRAME_SKIPPABLE }),
		FRAME_FAULT_ORDER);
	assert_int_equal(chunk(&s, FRAME_DATA, 0, 0, 65536), FRAME_OK);
	assert_int_equal(s.take.frames, 3);
	assert_int_equal(chunk(&s, FRAME_DATA, 0, 65536, 65536), FRAME_OK);
	assert_int_equal(packed(&s, FRAME_PACKED, 262144, 65536), FRAME_OK);
	assert_int_equal(s.take.frames, 1);
	assert_int_equal(packed(&s, FRAME_PACKED_LZ4, 327680, 65536), FRAME_OK);
	assert_int_equal(s.take.frames, 0);
	assert_int_equal(simple(&s, FRAME_PING), FRAME_OK);
	/* What is no bulk, or is without a lane, may come as ever. */
	assert_int_equal(chunk(&s, FRAME_ZERO, 0, 131072, 65536), FRAME_OK);
	assert_int_equal(chunk(&s, FRAME_DATA, 0, 196608, 65536), FRAME_OK);
	assert_int_equal(s.disks[0].sum.frames, 6);
	refused(&s, pass(&s, (struct frame){ .type = FRAME_JOIN }), FRAME_FAULT_ORDER);
	session_done(&s);

	session_init(&s, 8);
	refused(&s, take(&s, 0, 1), FRAME_FAULT_ORDER);
	assert_int_equal(hello_with(&s, FRAME_FEATURES & ~FRAME_FEATURE_STREAMS), FRAME_OK);
	refused(&s, take(&s, 0, 1), FRAME_FAULT_ORDER);
	session_done(&s);
}

static void session__after_join_nothing_comes_by_itself(void **state)
{
	struct frame_join join = { .token = { 1 }, .lane = 5 };
	struct session s;

	session_init(&s, 8);
	assert_int_equal(pass(&s, (struct frame){ .type = FRAME_JOIN,
				.length = frame_join_encode(&join, payload) }), FRAME_OK);
	assert_int_equal(s.join.lane, 5);
	refused(&s, hello(&s, 1, 1), FRAME_FAULT_ORDER);
	refused(&s, simple(&s, FRAME_PING), FRAME_FAULT_ORDER);
	refused(&s, pass(&s, (struct frame){ .type = FRAME_JOIN }), FRAME_FAULT_ORDER);
	refused(&s, chunk(&s, FRAME_DATA, 0, 0, 65536), FRAME_FAULT_ORDER);
	refused(&s, packed(&s, FRAME_PACKED_LZ4, 0, 65536), FRAME_FAULT_ORDER);
	session_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(session__a_whole_run),
		cmocka_unit_test(session__hello_first_and_once),
		cmocka_unit_test(session__versions),
		cmocka_unit_test(session__disks),
		cmocka_unit_test(session__begin_once),
		cmocka_unit_test(session__regions),
		cmocka_unit_test(session__large_granules),
		cmocka_unit_test(session__hashes_are_for_comparing),
		cmocka_unit_test(session__hashes_fill_a_frame_at_most),
		cmocka_unit_test(session__a_verification_changes_nothing),
		cmocka_unit_test(session__totals),
		cmocka_unit_test(session__epochs_do_not_go_back),
		cmocka_unit_test(session__commit_wants_all_ends),
		cmocka_unit_test(session__what_only_receivers_send),
		cmocka_unit_test(session__what_may_be_skipped),
		cmocka_unit_test(session__features_are_what_both_know),
		cmocka_unit_test(session__a_dropped_disk_is_over),
		cmocka_unit_test(session__seals),
		cmocka_unit_test(session__what_was_not_agreed_on),
		cmocka_unit_test(session__packing),
		cmocka_unit_test(session__a_take_is_so_many_frames_of_a_lane),
		cmocka_unit_test(session__after_join_nothing_comes_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
