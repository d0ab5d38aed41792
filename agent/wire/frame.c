// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire/frame.h"

#include <string.h>

#include "base/xxh3.h"

#define SPAN_MAX INT64_MAX

/* What a type may look like; everything that a header can be judged by. */
struct frame_rule {
	const char *name;
	uint32_t length_min;
	uint32_t length_max;
	bool disk;   /* names a disk */
	bool range;  /* offset and span mean something, and span is not 0 */
	bool epoch;  /* epoch means something */
};

#define HELLO_SIZE (2 + 2 + 4 + 2 * NAME_SIZE)
#define WELCOME_SIZE (2 + 2 + 4)
#define JOIN_SIZE (FRAME_TOKEN_SIZE + 4 + 4)
#define TAKE_SIZE (4 + 4)
#define OPEN_SIZE (2 * NAME_SIZE + FRAME_UUID_SIZE + 8 + 4 + 4)
#define OPENED_SIZE (4 + 4 + FRAME_UUID_SIZE + 8 + 8 + 8)
#define BEGIN_SIZE (4 + 4)
#define END_SIZE (8 + 8 + 8)
#define COMMIT_SIZE (4 + 4 + 4 + 4)
#define DURABLE_SIZE 8
#define ERROR_SIZE_MIN 4
#define RANGE_SIZE (8 + 8)
#define STAGED_SIZE (4 + 4 + FRAME_UUID_SIZE)
#define SEALED_SIZE (4 + 4)

static const struct frame_rule frame_rules[FRAME_TYPE_MAX + 1] = {
	[FRAME_HELLO] = { "HELLO", HELLO_SIZE, HELLO_SIZE, false, false, false },
	[FRAME_WELCOME] = { "WELCOME", WELCOME_SIZE, WELCOME_SIZE + FRAME_TOKEN_SIZE,
			    false, false, false },
	[FRAME_OPEN] = { "OPEN", OPEN_SIZE, OPEN_SIZE, true, false, false },
	[FRAME_OPENED] = { "OPENED", OPENED_SIZE, OPENED_SIZE, true, false, false },
	[FRAME_BEGIN] = { "BEGIN", BEGIN_SIZE, BEGIN_SIZE, true, false, true },
	[FRAME_BEGUN] = { "BEGUN", 0, 0, true, false, false },
	[FRAME_DATA] = { "DATA", SECTOR_SIZE, FRAME_PAYLOAD_MAX, true, true, true },
	[FRAME_ZERO] = { "ZERO", 0, 0, true, true, true },
	[FRAME_HASH] = { "HASH", 0, 0, true, true, false },
	[FRAME_HASHES] = { "HASHES", FRAME_HASH_SIZE, FRAME_PAYLOAD_MAX, true, true, false },
	[FRAME_PASS] = { "PASS", 0, 0, false, false, false },
	[FRAME_END] = { "END", END_SIZE, END_SIZE, true, false, true },
	[FRAME_COMMIT] = { "COMMIT", 0, COMMIT_SIZE, false, false, false },
	[FRAME_DURABLE] = { "DURABLE", DURABLE_SIZE, DURABLE_SIZE, false, false, false },
	[FRAME_ABORT] = { "ABORT", 0, 0, false, false, false },
	[FRAME_ERROR] = { "ERROR", ERROR_SIZE_MIN, ERROR_SIZE_MIN + FRAME_TEXT_MAX - 1,
			  false, false, false },
	[FRAME_PING] = { "PING", 0, 0, false, false, false },
	[FRAME_PONG] = { "PONG", 0, 0, false, false, false },
	[FRAME_DROP] = { "DROP", ERROR_SIZE_MIN, ERROR_SIZE_MIN + FRAME_TEXT_MAX - 1,
			 true, false, false },
	[FRAME_NEED] = { "NEED", RANGE_SIZE, FRAME_NEED_MAX * RANGE_SIZE, true, false, false },
	[FRAME_STAGED] = { "STAGED", STAGED_SIZE + RANGE_SIZE,
			   STAGED_SIZE + FRAME_STAGED_MAX * RANGE_SIZE, true, false, true },
	[FRAME_SEALED] = { "SEALED", SEALED_SIZE, SEALED_SIZE + FRAME_SEALED_MAX * RANGE_SIZE,
			   true, false, true },
	[FRAME_PACKED] = { "PACKED", 1, FRAME_PAYLOAD_MAX - 1, true, true, true },
	[FRAME_JOIN] = { "JOIN", JOIN_SIZE, JOIN_SIZE, false, false, false },
	[FRAME_JOINED] = { "JOINED", 0, 0, false, false, false },
	[FRAME_TAKE] = { "TAKE", TAKE_SIZE, TAKE_SIZE, false, false, false },
	[FRAME_PACKED_LZ4] = { "PACKED_LZ4", 1, FRAME_PAYLOAD_MAX - 1, true, true, true },
};

static const char *const frame_faults[FRAME_FAULT_MAX + 1] = {
	[FRAME_OK] = "nothing",
	[FRAME_FAULT_MAGIC] = "this is no Tidemark frame (wrong magic)",
	[FRAME_FAULT_VERSION] = "the frame is of a version that is not spoken here",
	[FRAME_FAULT_TYPE] = "unknown frame type",
	[FRAME_FAULT_FLAGS] = "unknown frame flags",
	[FRAME_FAULT_LENGTH] = "the frame's length is out of bounds for its type",
	[FRAME_FAULT_DISK] = "the frame names a disk that cannot be",
	[FRAME_FAULT_RANGE] = "the frame's range is no range of a disk",
	[FRAME_FAULT_CHECKSUM] = "the frame's checksum does not match",
	[FRAME_FAULT_PAYLOAD] = "the frame's payload is malformed",
	[FRAME_FAULT_ORDER] = "the frame may not come now",
};

const char *frame_fault_text(int fault)
{
	if (fault < 0 || fault > FRAME_FAULT_MAX)
		return "unknown fault";
	return frame_faults[fault];
}

const char *frame_type_name(unsigned int type)
{
	if (type == 0 || type > FRAME_TYPE_MAX)
		return "unknown";
	return frame_rules[type].name;
}

static uint64_t frame_checksum(const struct frame_wire *w, const void *payload, uint32_t length)
{
	XXH3_state_t state;

	XXH3_64bits_reset(&state);
	XXH3_64bits_update(&state, w, offsetof(struct frame_wire, checksum));
	if (length)
		XXH3_64bits_update(&state, payload, length);
	return XXH3_64bits_digest(&state);
}

void frame_encode(const struct frame *f, const void *payload, struct frame_wire *ret)
{
	*ret = (struct frame_wire){
		.magic = le32_of(FRAME_MAGIC),
		.version = FRAME_VERSION,
		.type = f->type,
		.flags = le16_of(f->flags),
		.length = le32_of(f->length),
		.disk = le32_of(f->disk),
		.offset = le64_of(f->offset),
		.span = le64_of(f->span),
		.epoch = le64_of(f->epoch),
	};
	ret->checksum = le64_of(frame_checksum(ret, payload, f->length));
}

static bool range_valid(uint64_t offset, uint64_t span)
{
	if (offset % SECTOR_SIZE || span % SECTOR_SIZE || span == 0)
		return false;
	return offset <= SPAN_MAX && span <= SPAN_MAX - offset;
}

/* Members that mean nothing for a type must be 0, so that they can mean something one day. */
static int frame_check_rule(const struct frame *f, const struct frame_rule *rule)
{
	if (f->length < rule->length_min || f->length > rule->length_max)
		return FRAME_FAULT_LENGTH;
	if (f->disk >= (rule->disk ? FRAME_DISKS_MAX : 1))
		return FRAME_FAULT_DISK;
	if (rule->range ? !range_valid(f->offset, f->span) : f->offset || f->span)
		return FRAME_FAULT_RANGE;
	if (f->type == FRAME_DATA && f->span != f->length)
		return FRAME_FAULT_RANGE;
	if (frame_packing(f->type) && (f->span <= f->length || f->span > FRAME_PAYLOAD_MAX))
		return FRAME_FAULT_RANGE;
	if (f->type == FRAME_HASHES && f->length % FRAME_HASH_SIZE)
		return FRAME_FAULT_LENGTH;
	if (!rule->epoch && f->epoch)
		return FRAME_FAULT_RANGE;
	return FRAME_OK;
}

int frame_check(const struct frame_wire *w, struct frame *ret)
{
	struct frame f = {
		.type = w->type,
		.flags = le16_get(w->flags),
		.length = le32_get(w->length),
		.disk = le32_get(w->disk),
		.offset = le64_get(w->offset),
		.span = le64_get(w->span),
		.epoch = le64_get(w->epoch),
		.checksum = le64_get(w->checksum),
	};
	int fault;

	if (le32_get(w->magic) != FRAME_MAGIC)
		return FRAME_FAULT_MAGIC;
	if (w->version != FRAME_VERSION)
		return FRAME_FAULT_VERSION;
	if (f.flags & ~FRAME_SKIPPABLE)
		return FRAME_FAULT_FLAGS;
	if (f.type == 0 || f.type > FRAME_TYPE_MAX) {
		if (!(f.flags & FRAME_SKIPPABLE))
			return FRAME_FAULT_TYPE;
		if (f.length > FRAME_PAYLOAD_MAX)
			return FRAME_FAULT_LENGTH;
	} else {
		fault = frame_check_rule(&f, &frame_rules[f.type]);
		if (fault)
			return fault;
	}
	*ret = f;
	return FRAME_OK;
}

int frame_verify(const struct frame_wire *w, const void *payload)
{
	if (frame_checksum(w, payload, le32_get(w->length)) != le64_get(w->checksum))
		return FRAME_FAULT_CHECKSUM;
	return FRAME_OK;
}

uint64_t frame_digest(const struct frame *f)
{
	struct {
		le64 type, offset, span, epoch, checksum;
	} v = { le64_of(f->type), le64_of(f->offset), le64_of(f->span), le64_of(f->epoch),
		le64_of(f->checksum) };

	return XXH3_64bits(&v, sizeof(v));
}
