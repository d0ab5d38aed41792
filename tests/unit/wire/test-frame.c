// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/frame.h"

static void encode(struct frame *f, const void *payload, struct frame_wire *w)
{
	frame_encode(f, payload, w);
}

static void frame__round_trip(void **state)
{
	uint8_t payload[4096];
	struct frame f = { .type = FRAME_DATA, .length = sizeof(payload), .disk = 3,
			   .offset = 1 << 20, .span = sizeof(payload), .epoch = 7 };
	struct frame_wire w;
	struct frame g;

	memset(payload, 0x5a, sizeof(payload));
	encode(&f, payload, &w);
	assert_int_equal(frame_check(&w, &g), FRAME_OK);
	assert_int_equal(frame_verify(&w, payload), FRAME_OK);
	assert_int_equal(g.type, f.type);
	assert_int_equal(g.length, f.length);
	assert_int_equal(g.disk, f.disk);
	assert_int_equal(g.offset, f.offset);
	assert_int_equal(g.span, f.span);
	assert_int_equal(g.epoch, f.epoch);
}

static void frame__bytes_on_the_wire(void **state)
{
	/* Documentation/wire.rst: little-endian at these offsets, whatever the host. */
	struct frame f = { .type = FRAME_ZERO, .disk = 0x0102, .offset = 0x10000,
			   .span = 0x200, .epoch = 0x0a };
	struct frame_wire w;
	const uint8_t *b = (const uint8_t *)&w;

	encode(&f, NULL, &w);
	assert_memory_equal(b, "TDMK", 4);
	assert_int_equal(b[4], 1);
	assert_int_equal(b[5], FRAME_ZERO);
	assert_int_equal(b[12], 0x02);
	assert_int_equal(b[13], 0x01);
	assert_int_equal(b[18], 0x01);
	assert_int_equal(b[25], 0x02);
	assert_int_equal(b[32], 0x0a);
}

static void frame_verify__any_flipped_bit_shows(void **state)
{
	uint8_t payload[512] = { 1, 2, 3 };
	struct frame f = { .type = FRAME_DATA, .length = 512, .span = 512, .epoch = 1 };
	struct frame_wire w;

	encode(&f, payload, &w);
	for (unsigned int bit = 0; bit < 8 * sizeof(w); bit++) {
		struct frame_wire torn = w;
		struct frame g;

		((uint8_t *)&torn)[bit / 8] ^= 1 << bit % 8;
		/* Either the header is refused, or the checksum does not match. */
		if (frame_check(&torn, &g) == FRAME_OK && g.length <= sizeof(payload))
			assert_int_equal(frame_verify(&torn, payload), FRAME_FAULT_CHECKSUM);
	}
	for (unsigned int bit = 0; bit < 8 * sizeof(payload); bit++) {
		payload[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(frame_verify(&w, payload), FRAME_FAULT_CHECKSUM);
		payload[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(frame_verify(&w, payload), FRAME_OK);
}

static void frame_check__faults(void **state)
{
	static const struct {
		struct frame f;
		int fault;
	} cases[] = {
		{ { .type = 0 }, FRAME_FAULT_TYPE },
		{ { .type = FRAME_TYPE_MAX + 1 }, FRAME_FAULT_TYPE },
		{ { .type = FRAME_TYPE_MAX + 1, .flags = FRAME_SKIPPABLE }, FRAME_OK },
		{ { .type = 200, .flags = FRAME_SKIPPABLE, .length = FRAME_PAYLOAD_MAX + 1 },
		  FRAME_FAULT_LENGTH },
		{ { .type = FRAME_PING, .flags = 2 }, FRAME_FAULT_FLAGS },
		{ { .type = FRAME_PING, .length = 1 }, FRAME_FAULT_LENGTH },
		{ { .type = FRAME_PING, .disk = 1 }, FRAME_FAULT_DISK },
		{ { .type = FRAME_PING, .offset = 512 }, FRAME_FAULT_RANGE },
		{ { .type = FRAME_PING, .epoch = 1 }, FRAME_FAULT_RANGE },
		{ { .type = FRAME_HELLO, .length = 3 }, FRAME_FAULT_LENGTH },
		{ { .type = FRAME_DATA, .length = FRAME_PAYLOAD_MAX + 512,
		    .span = FRAME_PAYLOAD_MAX + 512 }, FRAME_FAULT_LENGTH },
		{ { .type = FRAME_DATA, .length = 0, .span = 0 }, FRAME_FAULT_LENGTH },
		{ { .type = FRAME_DATA, .length = 512, .span = 1024 }, FRAME_FAULT_RANGE },
		{ { .type = FRAME_DATA, .length = 512, .span = 512, .offset = 1 },
		  FRAME_FAULT_RANGE },
		{ { .type = FRAME_DATA, .length = 513, .span = 513 }, FRAME_FAULT_RANGE },
		{ { .type = FRAME_DATA, .length = 512, .span = 512, .disk = FRAME_DISKS_MAX },
		  FRAME_FAULT_DISK },
		{ { .type = FRAME_ZERO, .span = 512, .offset = UINT64_MAX - 511 },
		  FRAME_FAULT_RANGE },
		{ { .type = FRAME_ZERO, .span = UINT64_MAX - 511, .offset = 512 },
		  FRAME_FAULT_RANGE },
		{ { .type = FRAME_ZERO, .span = 0 }, FRAME_FAULT_RANGE },
		{ { .type = FRAME_HASHES, .length = 17, .span = 512 }, FRAME_FAULT_LENGTH },
		{ { .type = FRAME_HASH, .span = 512, .epoch = 1 }, FRAME_FAULT_RANGE },
		{ { .type = FRAME_ERROR, .length = 4 + FRAME_TEXT_MAX }, FRAME_FAULT_LENGTH },
	};
	static uint8_t payload[2 * FRAME_PAYLOAD_MAX];
	struct frame_wire w;
	struct frame g;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		frame_encode(&cases[i].f, payload, &w);
		if (frame_check(&w, &g) != cases[i].fault)
			fail_msg("case %zu: %s", i, frame_fault_text(frame_check(&w, &g)));
	}
	frame_encode(&(struct frame){ .type = FRAME_PING }, NULL, &w);
	w.magic = le32_of(0);
	assert_int_equal(frame_check(&w, &g), FRAME_FAULT_MAGIC);
	w.magic = le32_of(FRAME_MAGIC);
	w.version = 2;
	assert_int_equal(frame_check(&w, &g), FRAME_FAULT_VERSION);
}

/* Shorter than what it is of, and no more than DATA could have: of either packing. */
static void frame_check__packed(void **state)
{
	static const struct {
		struct frame f;
		int fault;
	} cases[] = {
		{ { .length = 1, .span = 512 }, FRAME_OK },
		{ { .length = FRAME_PAYLOAD_MAX - 1, .span = FRAME_PAYLOAD_MAX }, FRAME_OK },
		{ { .length = 0, .span = 512 }, FRAME_FAULT_LENGTH },
		{ { .length = FRAME_PAYLOAD_MAX, .span = FRAME_PAYLOAD_MAX + 512 },
		  FRAME_FAULT_LENGTH },
		{ { .length = 512, .span = 512 }, FRAME_FAULT_RANGE },
		{ { .length = 1024, .span = 512 }, FRAME_FAULT_RANGE },
		{ { .length = 1, .span = 0 }, FRAME_FAULT_RANGE },
		{ { .length = 1, .span = 513 }, FRAME_FAULT_RANGE },
		{ { .length = 1, .span = FRAME_PAYLOAD_MAX + 512 }, FRAME_FAULT_RANGE },
		{ { .length = 1, .span = 512, .offset = 1 }, FRAME_FAULT_RANGE },
		{ { .length = 1, .span = 512, .disk = FRAME_DISKS_MAX }, FRAME_FAULT_DISK },
	};
	static const uint8_t types[] = { FRAME_PACKED, FRAME_PACKED_LZ4 };
	static uint8_t payload[FRAME_PAYLOAD_MAX];
	struct frame_wire w;
	struct frame g;

	for (size_t i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		struct frame f = cases[i / 2].f;

		f.type = types[i % 2];
		frame_encode(&f, payload, &w);
		if (frame_check(&w, &g) != cases[i / 2].fault)
			fail_msg("case %zu, %s: %s", i / 2, frame_type_name(f.type),
				 frame_fault_text(frame_check(&w, &g)));
	}
}

static void frame__what_is_data(void **state)
{
	for (unsigned int type = 0; type < 256; type++)
		assert_int_equal(frame_is_data(type), type == FRAME_DATA ||
				 type == FRAME_PACKED || type == FRAME_PACKED_LZ4);
	/* Documentation/wire.rst */
	assert_int_equal(FRAME_PACKED_LZ4, 27);
	assert_int_equal(frame_packing(FRAME_DATA), 0);
	assert_int_equal(frame_packing(FRAME_PACKED), 1 << 5);
	assert_int_equal(frame_packing(FRAME_PACKED_LZ4), 1 << 8);
	assert_string_equal(frame_type_name(FRAME_PACKED_LZ4), "PACKED_LZ4");
}

static void payload__round_trips(void **state)
{
	uint8_t buf[FRAME_CONTROL_MAX];
	struct frame_hello hello = { 1, 2, 0, "kvm1", "web" }, hello2;
	struct frame_welcome welcome = { .version = 1 }, welcome2;
	struct frame_open open = { "web01", "vda", { 1, 2 }, 1 << 30, 65536 }, open2;
	struct frame_opened opened = { 1, { 3 }, 9, 1 << 30, 4 }, opened2;
	struct frame_begin begin = { FRAME_MODE_COMPARE, true, true }, begin2;
	struct frame_end end = { 1, 2, 3 }, end2;
	struct frame_durable durable = { 5 }, durable2;
	struct frame_error error = { 32774, false, "in use" }, error2;
	uint32_t n;

	n = frame_hello_encode(&hello, buf);
	assert_int_equal(frame_hello_decode(buf, n, &hello2), FRAME_OK);
	assert_string_equal(hello2.collection, "web");
	assert_int_equal(hello2.max_version, 2);
	assert_int_equal(frame_hello_decode(buf, n - 1, &hello2), FRAME_FAULT_PAYLOAD);

	n = frame_welcome_encode(&welcome, buf);
	assert_int_equal(frame_welcome_decode(buf, n, &welcome2), FRAME_OK);
	assert_int_equal(n, 8);
	assert_int_equal(welcome2.version, 1);
	assert_int_equal(frame_welcome_decode(buf, n + FRAME_TOKEN_SIZE, &welcome2),
			 FRAME_FAULT_PAYLOAD);

	n = frame_open_encode(&open, buf);
	assert_int_equal(frame_open_decode(buf, n, &open2), FRAME_OK);
	assert_int_equal(open2.size, open.size);
	assert_int_equal(open2.granule, 65536);
	assert_memory_equal(open2.uuid, open.uuid, 16);

	n = frame_opened_encode(&opened, buf);
	assert_int_equal(frame_opened_decode(buf, n, &opened2), FRAME_OK);
	assert_int_equal(opened2.point, 4);
	assert_int_equal(opened2.epoch, 9);

	n = frame_begin_encode(&begin, buf);
	assert_int_equal(frame_begin_decode(buf, n, &begin2), FRAME_OK);
	assert_int_equal(begin2.mode, FRAME_MODE_COMPARE);
	assert_true(begin2.force && begin2.resume);
	buf[4] |= 4;
	assert_int_equal(frame_begin_decode(buf, n, &begin2), FRAME_FAULT_PAYLOAD);

	n = frame_end_encode(&end, buf);
	assert_int_equal(frame_end_decode(buf, n, &end2), FRAME_OK);
	assert_int_equal(end2.digest, 3);

	n = frame_durable_encode(&durable, buf);
	assert_int_equal(frame_durable_decode(buf, n, &durable2), FRAME_OK);
	assert_int_equal(durable2.point, 5);

	n = frame_error_encode(&error, buf);
	assert_int_equal(frame_error_decode(buf, n, &error2), FRAME_OK);
	assert_string_equal(error2.text, "in use");
	assert_false(error2.space);
	error.space = true;
	n = frame_error_encode(&error, buf);
	assert_int_equal(frame_error_decode(buf, n, &error2), FRAME_OK);
	assert_int_equal(error2.code, 32774);
	assert_true(error2.space);
}

/* The token is there when streams were agreed on, and only then. */
static void streams__round_trips_and_bounds(void **state)
{
	struct frame_welcome welcome = { 1, FRAME_FEATURE_STREAMS, "0123456789abcde" }, welcome2;
	struct frame_join join = { "0123456789abcde", FRAME_LANES_MAX - 1 }, join2;
	struct frame_take take = { FRAME_LANES_MAX - 1, FRAME_TAKE_MAX }, take2;
	uint8_t buf[FRAME_CONTROL_MAX];
	uint32_t n = frame_welcome_encode(&welcome, buf);

	assert_int_equal(n, 24);
	assert_int_equal(frame_welcome_decode(buf, n, &welcome2), FRAME_OK);
	assert_memory_equal(welcome2.token, welcome.token, FRAME_TOKEN_SIZE);
	assert_int_equal(frame_welcome_decode(buf, 8, &welcome2), FRAME_FAULT_PAYLOAD);

	n = frame_join_encode(&join, buf);
	assert_int_equal(n, 24);
	assert_int_equal(frame_join_decode(buf, n, &join2), FRAME_OK);
	assert_int_equal(join2.lane, FRAME_LANES_MAX - 1);
	assert_memory_equal(join2.token, join.token, FRAME_TOKEN_SIZE);
	assert_int_equal(frame_join_decode(buf, n - 1, &join2), FRAME_FAULT_PAYLOAD);
	buf[20] = 1;
	assert_int_equal(frame_join_decode(buf, n, &join2), FRAME_FAULT_PAYLOAD);
	join.lane = FRAME_LANES_MAX;
	n = frame_join_encode(&join, buf);
	assert_int_equal(frame_join_decode(buf, n, &join2), FRAME_FAULT_PAYLOAD);

	n = frame_take_encode(&take, buf);
	assert_int_equal(n, 8);
	assert_int_equal(frame_take_decode(buf, n, &take2), FRAME_OK);
	assert_int_equal(take2.lane, FRAME_LANES_MAX - 1);
	assert_int_equal(take2.frames, FRAME_TAKE_MAX);
	take.frames++;
	assert_int_equal(frame_take_decode(buf, frame_take_encode(&take, buf), &take2),
			 FRAME_FAULT_PAYLOAD);
	take.frames = 0;
	assert_int_equal(frame_take_decode(buf, frame_take_encode(&take, buf), &take2),
			 FRAME_FAULT_PAYLOAD);
	take = (struct frame_take){ FRAME_LANES_MAX, 1 };
	assert_int_equal(frame_take_decode(buf, frame_take_encode(&take, buf), &take2),
			 FRAME_FAULT_PAYLOAD);
}

static void payload__refuses(void **state)
{
	uint8_t buf[FRAME_CONTROL_MAX];
	struct frame_open open = { "web01", "vda", { 0 }, 1 << 30, 65536 }, open2;
	struct frame_hello hello = { 1, 1, 0, "kvm1", "../etc" }, hello2;
	struct frame_error error = { 32768, false, "a\033[31mb" }, error2;
	struct frame_begin begin = { 9, false, false }, begin2;

	assert_int_equal(frame_hello_decode(buf, frame_hello_encode(&hello, buf), &hello2),
			 FRAME_FAULT_PAYLOAD);
	strcpy(hello.collection, "web");
	hello.min_version = 3;
	assert_int_equal(frame_hello_decode(buf, frame_hello_encode(&hello, buf), &hello2),
			 FRAME_FAULT_PAYLOAD);
	open.granule = 65537;
	assert_int_equal(frame_open_decode(buf, frame_open_encode(&open, buf), &open2),
			 FRAME_FAULT_PAYLOAD);
	open.granule = 8 << 20;
	assert_int_equal(frame_open_decode(buf, frame_open_encode(&open, buf), &open2),
			 FRAME_FAULT_PAYLOAD);
	open.granule = 65536;
	open.size = 100;
	assert_int_equal(frame_open_decode(buf, frame_open_encode(&open, buf), &open2),
			 FRAME_FAULT_PAYLOAD);
	open.size = 1 << 30;
	/* A name without its NUL. */
	frame_open_encode(&open, buf);
	memset(buf, 'a', NAME_SIZE);
	assert_int_equal(frame_open_decode(buf, frame_open_encode(&open, buf), &open2), FRAME_OK);
	memset(buf, 'a', NAME_SIZE);
	assert_int_equal(frame_open_decode(buf, 2 * NAME_SIZE + 32, &open2), FRAME_FAULT_PAYLOAD);
	assert_int_equal(frame_begin_decode(buf, frame_begin_encode(&begin, buf), &begin2),
			 FRAME_FAULT_PAYLOAD);
	assert_int_equal(frame_error_decode(buf, frame_error_encode(&error, buf), &error2),
			 FRAME_OK);
	assert_string_equal(error2.text, "a?[31mb");
}

static void bytes_are_zero__finds_every_byte(void **state)
{
	static uint8_t buf[4099];

	for (size_t size = 0; size < 40; size++)
		assert_true(bytes_are_zero(buf, size));
	assert_true(bytes_are_zero(buf, sizeof(buf)));
	for (size_t i = 0; i < sizeof(buf); i++) {
		buf[i] = 1;
		assert_false(bytes_are_zero(buf, sizeof(buf)));
		buf[i] = 0;
	}
}

static void commit__bounds(void **state)
{
	struct frame_commit v = { FRAME_CONSISTENCY_APPLICATION, 24, true }, w;
	uint8_t buf[FRAME_CONTROL_MAX];
	uint32_t n = frame_commit_encode(&v, buf);

	assert_int_equal(frame_commit_decode(buf, n, &w), FRAME_OK);
	assert_int_equal(w.consistency, 1);
	assert_int_equal(w.history, 24);
	assert_true(w.final);
	assert_int_equal(frame_commit_decode(buf, n - 1, &w), FRAME_FAULT_PAYLOAD);
	v.history = FRAME_HISTORY_UNSAID;
	assert_int_equal(frame_commit_decode(buf, frame_commit_encode(&v, buf), &w), FRAME_OK);
	v.history = 25;
	assert_int_equal(frame_commit_decode(buf, frame_commit_encode(&v, buf), &w),
			 FRAME_FAULT_PAYLOAD);
	v.history = 0;
	for (v.consistency = 0; v.consistency < 5; v.consistency++)
		assert_int_equal(frame_commit_decode(buf, frame_commit_encode(&v, buf), &w),
				 v.consistency % 4 ? FRAME_OK : FRAME_FAULT_PAYLOAD);
	v.consistency = 2;
	frame_commit_encode(&v, buf);
	buf[8] |= 2;
	assert_int_equal(frame_commit_decode(buf, n, &w), FRAME_FAULT_PAYLOAD);
}

static void need__ranges_ascend(void **state)
{
	struct frame_range v[3] = { { 0, 512 }, { 512, 65536 }, { 1 << 20, 512 } }, w[3];
	uint8_t buf[3 * 16];
	uint32_t n = frame_need_encode(v, 3, buf), count = 0;

	assert_int_equal(frame_need_decode(buf, n, w, &count), FRAME_OK);
	assert_int_equal(count, 3);
	assert_memory_equal(v, w, sizeof(v));
	assert_int_equal(frame_need_decode(buf, n - 8, w, &count), FRAME_FAULT_PAYLOAD);
	assert_int_equal(frame_need_decode(buf, 0, w, &count), FRAME_FAULT_PAYLOAD);
	v[1].offset = 0;
	frame_need_encode(v, 3, buf);
	assert_int_equal(frame_need_decode(buf, n, w, &count), FRAME_FAULT_PAYLOAD);
	v[1] = (struct frame_range){ 512, 100 };
	frame_need_encode(v, 3, buf);
	assert_int_equal(frame_need_decode(buf, n, w, &count), FRAME_FAULT_PAYLOAD);
	v[1] = (struct frame_range){ INT64_MAX - 511, 1024 };
	frame_need_encode(v, 2, buf);
	assert_int_equal(frame_need_decode(buf, 32, w, &count), FRAME_FAULT_PAYLOAD);
}

static void staged_and_sealed__bounds(void **state)
{
	struct frame_range v[2] = { { 4096, 4096 }, { 65536, 512 } }, w[FRAME_SEALED_MAX + 1];
	struct frame_staged staged = { FRAME_MODE_COMPARE, { 7 } }, staged2;
	struct frame_sealed sealed = { true }, sealed2;
	uint8_t buf[FRAME_CONTROL_MAX];
	uint32_t n = frame_staged_encode(&staged, v, 2, buf), count = 0;

	assert_int_equal(frame_staged_decode(buf, n, &staged2, w, &count), FRAME_OK);
	assert_int_equal(count, 2);
	assert_memory_equal(v, w, sizeof(v));
	assert_int_equal(staged2.mode, FRAME_MODE_COMPARE);
	assert_int_equal(staged2.uuid[0], 7);
	assert_int_equal(frame_staged_decode(buf, 24, &staged2, w, &count), FRAME_FAULT_PAYLOAD);
	staged.mode = FRAME_MODE_VERIFY;
	assert_int_equal(frame_staged_decode(buf, frame_staged_encode(&staged, v, 2, buf),
					     &staged2, w, &count), FRAME_FAULT_PAYLOAD);

	n = frame_sealed_encode(&sealed, v, 2, buf);
	assert_int_equal(frame_sealed_decode(buf, n, &sealed2, w, &count), FRAME_OK);
	assert_true(sealed2.complete);
	assert_int_equal(count, 2);
	assert_int_equal(frame_sealed_decode(buf, n - 8, &sealed2, w, &count),
			 FRAME_FAULT_PAYLOAD);
	n = frame_sealed_encode(&sealed, NULL, 0, buf);
	assert_int_equal(frame_sealed_decode(buf, n, &sealed2, w, &count), FRAME_OK);
	assert_int_equal(count, 0);
	buf[0] = 2;
	assert_int_equal(frame_sealed_decode(buf, n, &sealed2, w, &count), FRAME_FAULT_PAYLOAD);
}

static void frame_digest__tells_frames_apart(void **state)
{
	struct frame a = { .type = FRAME_ZERO, .offset = 0, .span = 512, .checksum = 1 };
	struct frame b = a;

	b.offset = 512;
	assert_true(frame_digest(&a) != frame_digest(&b));
	b = a;
	b.type = FRAME_DATA;
	assert_true(frame_digest(&a) != frame_digest(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame__round_trip),
		cmocka_unit_test(frame__bytes_on_the_wire),
		cmocka_unit_test(frame_verify__any_flipped_bit_shows),
		cmocka_unit_test(frame_check__faults),
		cmocka_unit_test(frame_check__packed),
		cmocka_unit_test(frame__what_is_data),
		cmocka_unit_test(payload__round_trips),
		cmocka_unit_test(streams__round_trips_and_bounds),
		cmocka_unit_test(payload__refuses),
		cmocka_unit_test(bytes_are_zero__finds_every_byte),
		cmocka_unit_test(commit__bounds),
		cmocka_unit_test(need__ranges_ascend),
		cmocka_unit_test(staged_and_sealed__bounds),
		cmocka_unit_test(frame_digest__tells_frames_apart),
	};

	return cmocka_run_group_tests_name("wire/frame", tests, NULL, NULL);
}
