// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Payloads of control frames: written member by member through a cursor, and
 * read back the same way. A cursor that ran over its end is a fault of the
 * whole payload; nothing is ever read or written outside of it.
 */
#include "wire/frame.h"

#include <string.h>

struct cursor {
	uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static void put_bytes(struct cursor *c, const void *data, size_t size)
{
	memcpy(c->at, data, size);
	c->at += size;
}

static void put_u16(struct cursor *c, uint16_t v)
{
	le16 w = le16_of(v);

	put_bytes(c, &w, sizeof(w));
}

static void put_u32(struct cursor *c, uint32_t v)
{
	le32 w = le32_of(v);

	put_bytes(c, &w, sizeof(w));
}

static void put_u64(struct cursor *c, uint64_t v)
{
	le64 w = le64_of(v);

	put_bytes(c, &w, sizeof(w));
}

static void put_name(struct cursor *c, const char *name)
{
	char field[NAME_SIZE] = { 0 };

	memcpy(field, name, strnlen(name, NAME_SIZE - 1));
	put_bytes(c, field, sizeof(field));
}

static void get_bytes(struct cursor *c, void *ret, size_t size)
{
	if ((size_t)(c->end - c->at) < size) {
		c->bad = true;
		memset(ret, 0, size);
		return;
	}
	memcpy(ret, c->at, size);
	c->at += size;
}

static uint16_t get_u16(struct cursor *c)
{
	le16 w;

	get_bytes(c, &w, sizeof(w));
	return le16_get(w);
}

static uint32_t get_u32(struct cursor *c)
{
	le32 w;

	get_bytes(c, &w, sizeof(w));
	return le32_get(w);
}

static uint64_t get_u64(struct cursor *c)
{
	le64 w;

	get_bytes(c, &w, sizeof(w));
	return le64_get(w);
}

static void get_name(struct cursor *c, char ret[NAME_SIZE])
{
	get_bytes(c, ret, NAME_SIZE);
	if (c->bad || !memchr(ret, 0, NAME_SIZE) || !name_valid(ret))
		c->bad = true;
}

static struct cursor cursor_write(void *buf)
{
	return (struct cursor){ .at = buf };
}

static struct cursor cursor_read(const void *buf, uint32_t length)
{
	return (struct cursor){ .at = (uint8_t *)buf, .end = (const uint8_t *)buf + length };
}

static uint32_t cursor_written(const struct cursor *c, const void *buf)
{
	return c->at - (const uint8_t *)buf;
}

/* All was there, and nothing is left over. */
static bool cursor_good(const struct cursor *c)
{
	return !c->bad && c->at == c->end;
}

uint32_t frame_hello_encode(const struct frame_hello *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u16(&c, v->min_version);
	put_u16(&c, v->max_version);
	put_u32(&c, v->features);
	put_name(&c, v->node);
	put_name(&c, v->collection);
	return cursor_written(&c, buf);
}

int frame_hello_decode(const void *buf, uint32_t length, struct frame_hello *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_hello v = { 0 };

	v.min_version = get_u16(&c);
	v.max_version = get_u16(&c);
	v.features = get_u32(&c);
	get_name(&c, v.node);
	get_name(&c, v.collection);
	if (!cursor_good(&c) || v.min_version > v.max_version)
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

uint32_t frame_welcome_encode(const struct frame_welcome *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u16(&c, v->version);
	put_u16(&c, 0);
	put_u32(&c, v->features);
	if (v->features & FRAME_FEATURE_STREAMS)
		put_bytes(&c, v->token, sizeof(v->token));
	return cursor_written(&c, buf);
}

int frame_welcome_decode(const void *buf, uint32_t length, struct frame_welcome *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_welcome v = { 0 };
	uint16_t reserved;

	v.version = get_u16(&c);
	reserved = get_u16(&c);
	v.features = get_u32(&c);
	if (v.features & FRAME_FEATURE_STREAMS)
		get_bytes(&c, v.token, sizeof(v.token));
	if (!cursor_good(&c) || reserved || v.version == 0)
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

uint32_t frame_join_encode(const struct frame_join *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_bytes(&c, v->token, sizeof(v->token));
	put_u32(&c, v->lane);
	put_u32(&c, 0);
	return cursor_written(&c, buf);
}

int frame_join_decode(const void *buf, uint32_t length, struct frame_join *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_join v = { 0 };
	uint32_t reserved;

	get_bytes(&c, v.token, sizeof(v.token));
	v.lane = get_u32(&c);
	reserved = get_u32(&c);
	if (!cursor_good(&c) || reserved || v.lane >= FRAME_LANES_MAX)
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

uint32_t frame_take_encode(const struct frame_take *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u32(&c, v->lane);
	put_u32(&c, v->frames);
	return cursor_written(&c, buf);
}

int frame_take_decode(const void *buf, uint32_t length, struct frame_take *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_take v = { 0 };

	v.lane = get_u32(&c);
	v.frames = get_u32(&c);
	if (!cursor_good(&c) || v.lane >= FRAME_LANES_MAX || !v.frames ||
	    v.frames > FRAME_TAKE_MAX)
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

static bool size_valid(uint64_t size)
{
	return size && size % SECTOR_SIZE == 0 && size <= INT64_MAX;
}

uint32_t frame_open_encode(const struct frame_open *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_name(&c, v->vm);
	put_name(&c, v->name);
	put_bytes(&c, v->uuid, sizeof(v->uuid));
	put_u64(&c, v->size);
	put_u32(&c, v->granule);
	put_u32(&c, 0);
	return cursor_written(&c, buf);
}

int frame_open_decode(const void *buf, uint32_t length, struct frame_open *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_open v = { 0 };
	uint32_t reserved;

	get_name(&c, v.vm);
	get_name(&c, v.name);
	get_bytes(&c, v.uuid, sizeof(v.uuid));
	v.size = get_u64(&c);
	v.granule = get_u32(&c);
	reserved = get_u32(&c);
	if (!cursor_good(&c) || reserved || !size_valid(v.size))
		return FRAME_FAULT_PAYLOAD;
	if (!u64_is_power_of_2(v.granule) || v.granule < KIB(4) || v.granule > MIB(4))
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

uint32_t frame_opened_encode(const struct frame_opened *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u32(&c, v->present);
	put_u32(&c, 0);
	put_bytes(&c, v->uuid, sizeof(v->uuid));
	put_u64(&c, v->epoch);
	put_u64(&c, v->size);
	put_u64(&c, v->point);
	return cursor_written(&c, buf);
}

int frame_opened_decode(const void *buf, uint32_t length, struct frame_opened *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_opened v = { 0 };
	uint32_t reserved;

	v.present = get_u32(&c);
	reserved = get_u32(&c);
	get_bytes(&c, v.uuid, sizeof(v.uuid));
	v.epoch = get_u64(&c);
	v.size = get_u64(&c);
	v.point = get_u64(&c);
	if (!cursor_good(&c) || reserved || v.present > FRAME_OPENED_MAX)
		return FRAME_FAULT_PAYLOAD;
	if (v.present && !size_valid(v.size))
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

#define BEGIN_FORCE 1u
#define BEGIN_RESUME 2u

uint32_t frame_begin_encode(const struct frame_begin *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u32(&c, v->mode);
	put_u32(&c, (v->force ? BEGIN_FORCE : 0) | (v->resume ? BEGIN_RESUME : 0));
	return cursor_written(&c, buf);
}

int frame_begin_decode(const void *buf, uint32_t length, struct frame_begin *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_begin v = { 0 };
	uint32_t flags;

	v.mode = get_u32(&c);
	flags = get_u32(&c);
	v.force = flags & BEGIN_FORCE;
	v.resume = flags & BEGIN_RESUME;
	if (!cursor_good(&c) || v.mode < FRAME_MODE_FULL || v.mode > FRAME_MODE_REVERSE ||
	    flags & ~(BEGIN_FORCE | BEGIN_RESUME))
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

uint32_t frame_end_encode(const struct frame_end *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u64(&c, v->frames);
	put_u64(&c, v->bytes);
	put_u64(&c, v->digest);
	return cursor_written(&c, buf);
}

int frame_end_decode(const void *buf, uint32_t length, struct frame_end *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_end v = { 0 };

	v.frames = get_u64(&c);
	v.bytes = get_u64(&c);
	v.digest = get_u64(&c);
	if (!cursor_good(&c))
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

#define COMMIT_FINAL 1u

uint32_t frame_commit_encode(const struct frame_commit *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u32(&c, v->consistency);
	put_u32(&c, v->history);
	put_u32(&c, v->final ? COMMIT_FINAL : 0);
	put_u32(&c, 0);
	return cursor_written(&c, buf);
}

int frame_commit_decode(const void *buf, uint32_t length, struct frame_commit *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_commit v = { 0 };
	uint32_t flags, reserved;

	v.consistency = get_u32(&c);
	v.history = get_u32(&c);
	flags = get_u32(&c);
	reserved = get_u32(&c);
	v.final = flags & COMMIT_FINAL;
	if (!cursor_good(&c) || reserved || flags & ~COMMIT_FINAL)
		return FRAME_FAULT_PAYLOAD;
	if (v.consistency < FRAME_CONSISTENCY_APPLICATION ||
	    v.consistency > FRAME_CONSISTENCY_GROUP)
		return FRAME_FAULT_PAYLOAD;
	if (v.history > FRAME_HISTORY_MAX && v.history != FRAME_HISTORY_UNSAID)
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

static void put_ranges(struct cursor *c, const struct frame_range *ranges, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		put_u64(c, ranges[i].offset);
		put_u64(c, ranges[i].span);
	}
}

/* To the end of the payload; frame_check() has seen to it that there are not too many. */
static uint32_t get_ranges(struct cursor *c, struct frame_range *ret)
{
	uint64_t end = 0;
	uint32_t count = 0;

	while (!c->bad && c->at < c->end) {
		struct frame_range r = { 0 };

		r.offset = get_u64(c);
		r.span = get_u64(c);
		if (r.offset < end || !size_valid(r.span) || r.offset % SECTOR_SIZE ||
		    r.offset > INT64_MAX - r.span)
			c->bad = true;
		end = r.offset + r.span;
		ret[count++] = r;
	}
	return count;
}

uint32_t frame_need_encode(const struct frame_range *ranges, uint32_t count, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_ranges(&c, ranges, count);
	return cursor_written(&c, buf);
}

int frame_need_decode(const void *buf, uint32_t length, struct frame_range *ret,
		      uint32_t *ret_count)
{
	struct cursor c = cursor_read(buf, length);
	uint32_t count = get_ranges(&c, ret);

	if (!cursor_good(&c) || !count)
		return FRAME_FAULT_PAYLOAD;
	*ret_count = count;
	return FRAME_OK;
}

uint32_t frame_staged_encode(const struct frame_staged *v, const struct frame_range *ranges,
			     uint32_t count, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u32(&c, v->mode);
	put_u32(&c, 0);
	put_bytes(&c, v->uuid, sizeof(v->uuid));
	put_ranges(&c, ranges, count);
	return cursor_written(&c, buf);
}

int frame_staged_decode(const void *buf, uint32_t length, struct frame_staged *ret,
			struct frame_range *ranges, uint32_t *ret_count)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_staged v = { 0 };
	uint32_t reserved, count;

	v.mode = get_u32(&c);
	reserved = get_u32(&c);
	get_bytes(&c, v.uuid, sizeof(v.uuid));
	count = get_ranges(&c, ranges);
	if (!cursor_good(&c) || reserved || !count || v.mode < FRAME_MODE_FULL ||
	    (v.mode > FRAME_MODE_COMPARE && v.mode != FRAME_MODE_REVERSE))
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	*ret_count = count;
	return FRAME_OK;
}

uint32_t frame_sealed_encode(const struct frame_sealed *v, const struct frame_range *ranges,
			     uint32_t count, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u32(&c, v->complete);
	put_u32(&c, 0);
	put_ranges(&c, ranges, count);
	return cursor_written(&c, buf);
}

int frame_sealed_decode(const void *buf, uint32_t length, struct frame_sealed *ret,
			struct frame_range *ranges, uint32_t *ret_count)
{
	struct cursor c = cursor_read(buf, length);
	uint32_t complete = get_u32(&c), reserved = get_u32(&c);
	uint32_t count = get_ranges(&c, ranges);

	if (!cursor_good(&c) || reserved || complete > 1)
		return FRAME_FAULT_PAYLOAD;
	*ret = (struct frame_sealed){ .complete = complete };
	*ret_count = count;
	return FRAME_OK;
}

uint32_t frame_durable_encode(const struct frame_durable *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u64(&c, v->point);
	return cursor_written(&c, buf);
}

int frame_durable_decode(const void *buf, uint32_t length, struct frame_durable *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_durable v = { 0 };

	v.point = get_u64(&c);
	if (!cursor_good(&c) || v.point == 0)
		return FRAME_FAULT_PAYLOAD;
	*ret = v;
	return FRAME_OK;
}

#define ERROR_SPACE 0x80000000u

uint32_t frame_error_encode(const struct frame_error *v, void *buf)
{
	struct cursor c = cursor_write(buf);

	put_u32(&c, v->code | (v->space ? ERROR_SPACE : 0));
	put_bytes(&c, v->text, strnlen(v->text, FRAME_TEXT_MAX - 1));
	return cursor_written(&c, buf);
}

int frame_error_decode(const void *buf, uint32_t length, struct frame_error *ret)
{
	struct cursor c = cursor_read(buf, length);
	struct frame_error v = { 0 };
	size_t text;

	v.code = get_u32(&c);
	v.space = v.code & ERROR_SPACE;
	v.code &= ~ERROR_SPACE;
	if (c.bad || v.code < 32768 || v.code > 32779)
		return FRAME_FAULT_PAYLOAD;
	text = c.end - c.at;
	if (text >= FRAME_TEXT_MAX)
		return FRAME_FAULT_PAYLOAD;
	get_bytes(&c, v.text, text);
	/* It goes to a log and a terminal: nothing but printable bytes. */
	for (size_t i = 0; i < text; i++)
		if ((unsigned char)v.text[i] < 0x20 || v.text[i] == 0x7f)
			v.text[i] = '?';
	*ret = v;
	return FRAME_OK;
}
