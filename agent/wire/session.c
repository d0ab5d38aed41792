// SPDX-License-Identifier: GPL-2.0-or-later
#include "wire/session.h"

#include <string.h>

#include "wire/hash.h"

void session_init(struct session *s, uint32_t disk_max)
{
	*s = (struct session){ .disk_max = u64_min(disk_max, FRAME_DISKS_MAX) };
}

void session_done(struct session *s)
{
	free(s->disks);
	*s = (struct session){ 0 };
}

static int session_fault(struct session *s, int fault, const char *why)
{
	s->why = why;
	return fault;
}

/* -- before the payload ------------------------------------------------------------ */

static int check_open(struct session *s, const struct frame *f)
{
	if (f->disk != s->disk_count)
		return session_fault(s, FRAME_FAULT_DISK, "disks are not opened in order");
	if (s->disk_count >= s->disk_max)
		return session_fault(s, FRAME_FAULT_DISK, "there are more disks than are allowed");
	return FRAME_OK;
}

/* A region inside of the disk, in units, unless it ends with the disk. */
static int check_region(struct session *s, const struct session_disk *d, const struct frame *f,
			uint32_t unit)
{
	if (f->offset > d->open.size || f->span > d->open.size - f->offset)
		return session_fault(s, FRAME_FAULT_RANGE, "the region runs over the disk's end");
	if (f->offset % unit || (f->span % unit && f->offset + f->span != d->open.size))
		return session_fault(s, FRAME_FAULT_RANGE, "the region is not in whole granules");
	return FRAME_OK;
}

static int check_chunk(struct session *s, const struct session_disk *d, const struct frame *f)
{
	if (d->phase != SESSION_DISK_BEGUN)
		return session_fault(s, FRAME_FAULT_ORDER, "the disk is not begun, or has ended");
	if (d->mode == FRAME_MODE_VERIFY)
		return session_fault(s, FRAME_FAULT_ORDER, "a verification changes nothing");
	if (frame_packing(f->type) & ~s->features)
		return session_fault(s, FRAME_FAULT_ORDER, "that packing was not agreed on");
	if (d->sealing || (d->sealed_epoch && f->epoch != d->sealed_epoch))
		return session_fault(s, FRAME_FAULT_ORDER,
				     "the chunk is not of the epoch that was sealed");
	return check_region(s, d, f, d->unit);
}

static int check_sealed(struct session *s, const struct session_disk *d, const struct frame *f)
{
	if (!(s->features & FRAME_FEATURE_RESUME))
		return session_fault(s, FRAME_FAULT_ORDER, "resuming was not agreed on");
	if (d->phase != SESSION_DISK_BEGUN || d->mode == FRAME_MODE_VERIFY)
		return session_fault(s, FRAME_FAULT_ORDER, "the disk is not begun, or has ended");
	if (!f->epoch || f->epoch <= d->sealed_epoch || (d->sealing && f->epoch != d->sealing))
		return session_fault(s, FRAME_FAULT_ORDER, "the epoch went back");
	return FRAME_OK;
}

static int check_hash(struct session *s, const struct session_disk *d, const struct frame *f)
{
	if (d->phase != SESSION_DISK_BEGUN)
		return session_fault(s, FRAME_FAULT_ORDER, "the disk is not begun, or has ended");
	if (!frame_mode_hashes(d->mode))
		return session_fault(s, FRAME_FAULT_ORDER, "hashes are for comparing only");
	if (f->span > FRAME_PAYLOAD_MAX / hash_size(hash_kind(s->features)) *
			      (uint64_t)d->open.granule)
		return session_fault(s, FRAME_FAULT_RANGE,
				     "the hashes of so many granules fill no frame");
	return check_region(s, d, f, d->open.granule);
}

static int check_end(struct session *s, const struct session_disk *d, const struct frame *f)
{
	if (d->phase != SESSION_DISK_BEGUN)
		return session_fault(s, FRAME_FAULT_ORDER, "the disk is not begun, or has ended");
	if (d->mode == FRAME_MODE_VERIFY)
		return session_fault(s, FRAME_FAULT_ORDER, "a verification has no end to commit");
	if (f->epoch < d->begin_epoch)
		return session_fault(s, FRAME_FAULT_ORDER, "the epoch went back");
	if (d->sealing || (d->sealed_epoch && f->epoch != d->sealed_epoch))
		return session_fault(s, FRAME_FAULT_ORDER, "another epoch was sealed");
	return FRAME_OK;
}

static int check_commit(struct session *s, const struct frame *f)
{
	bool payload = s->features & FRAME_FEATURE_POINT;
	uint32_t ended = 0;

	if (payload != (f->length != 0))
		return session_fault(s, FRAME_FAULT_LENGTH,
				     payload ? "COMMIT says nothing of the point"
					     : "COMMIT has a payload that was not agreed on");
	for (uint32_t i = 0; i < s->disk_count; i++) {
		const struct session_disk *d = &s->disks[i];

		if (d->phase == SESSION_DISK_BEGUN && d->mode != FRAME_MODE_VERIFY)
			return session_fault(s, FRAME_FAULT_ORDER, "a disk has not ended");
		ended += d->phase == SESSION_DISK_ENDED;
	}
	if (!ended)
		return session_fault(s, FRAME_FAULT_ORDER, "there is nothing to commit");
	return FRAME_OK;
}

static int check_disk_frame(struct session *s, const struct frame *f)
{
	const struct session_disk *d;

	if (f->disk >= s->disk_count)
		return session_fault(s, FRAME_FAULT_DISK, "the disk was not opened");
	d = &s->disks[f->disk];
	if (d->phase == SESSION_DISK_DROPPED)
		return session_fault(s, FRAME_FAULT_ORDER, "the disk was dropped");
	switch (f->type) {
	case FRAME_DROP:
		return s->features & FRAME_FEATURE_DROP ? FRAME_OK :
			session_fault(s, FRAME_FAULT_ORDER, "dropping a disk was not agreed on");
	case FRAME_BEGIN:
		if (d->phase != SESSION_DISK_OPENED)
			return session_fault(s, FRAME_FAULT_ORDER, "the disk was begun twice");
		return FRAME_OK;
	case FRAME_HASH:
		return check_hash(s, d, f);
	case FRAME_END:
		return check_end(s, d, f);
	case FRAME_SEALED:
		return check_sealed(s, d, f);
	default:
		return check_chunk(s, d, f);
	}
}

int session_check(struct session *s, const struct frame *f)
{
	s->why = NULL;
	if (s->take.frames && !frame_is_data(f->type))
		return session_fault(s, FRAME_FAULT_ORDER, "a lane has DATA alone, packed or not");
	if (f->type == FRAME_ERROR)
		return FRAME_OK;
	if (s->phase == SESSION_NEW && f->type != FRAME_HELLO && f->type != FRAME_JOIN)
		return session_fault(s, FRAME_FAULT_ORDER, "a connection begins with HELLO");
	if (s->phase == SESSION_LANE)
		return session_fault(s, FRAME_FAULT_ORDER, "a lane has DATA alone, packed or not");
	/* What is not known here was flagged as skippable: frame_check() saw to that. */
	if (f->type == FRAME_PING || f->type == FRAME_PONG || f->type > FRAME_TYPE_MAX)
		return FRAME_OK;
	if (s->phase == SESSION_COMMITTED)
		return session_fault(s, FRAME_FAULT_ORDER, "the job was committed already");
	switch (f->type) {
	case FRAME_HELLO:
		if (s->phase != SESSION_NEW)
			return session_fault(s, FRAME_FAULT_ORDER, "HELLO came twice");
		return FRAME_OK;
	case FRAME_JOIN:
		if (s->phase != SESSION_NEW)
			return session_fault(s, FRAME_FAULT_ORDER, "JOIN comes first or not at all");
		return FRAME_OK;
	case FRAME_TAKE:
		if (!(s->features & FRAME_FEATURE_STREAMS))
			return session_fault(s, FRAME_FAULT_ORDER, "lanes were not agreed on");
		return FRAME_OK;
	case FRAME_OPEN:
		return check_open(s, f);
	case FRAME_BEGIN:
	case FRAME_DATA:
	case FRAME_PACKED:
	case FRAME_PACKED_LZ4:
	case FRAME_ZERO:
	case FRAME_HASH:
	case FRAME_END:
	case FRAME_DROP:
	case FRAME_SEALED:
		return check_disk_frame(s, f);
	case FRAME_PASS:
	case FRAME_ABORT:
		return FRAME_OK;
	case FRAME_COMMIT:
		return check_commit(s, f);
	default:
		return session_fault(s, FRAME_FAULT_ORDER, "only a receiver sends this frame");
	}
}

/* -- with the payload --------------------------------------------------------------- */

static int take_hello(struct session *s, const struct frame *f, const void *payload)
{
	int fault = frame_hello_decode(payload, f->length, &s->hello);

	if (fault)
		return fault;
	if (s->hello.min_version > FRAME_VERSION || s->hello.max_version < FRAME_VERSION)
		return session_fault(s, FRAME_FAULT_VERSION,
				     "the peer speaks no version that is spoken here");
	s->version = FRAME_VERSION;
	s->features = s->hello.features & FRAME_FEATURES;
	s->phase = SESSION_OPEN;
	return FRAME_OK;
}

static int session_grow(struct session *s)
{
	uint32_t room = s->disk_room ? s->disk_room * 2 : 4;
	void *p;

	if (s->disk_count < s->disk_room)
		return 0;
	p = realloc(s->disks, room * sizeof(*s->disks));
	if (!p)
		return -ENOMEM;
	s->disks = p;
	s->disk_room = room;
	return 0;
}

static int take_open(struct session *s, const struct frame *f, const void *payload)
{
	struct session_disk d = { .phase = SESSION_DISK_OPENED };
	int err = frame_open_decode(payload, f->length, &d.open);

	if (err)
		return err;
	for (uint32_t i = 0; i < s->disk_count; i++)
		if (!strcmp(s->disks[i].open.vm, d.open.vm) &&
		    !strcmp(s->disks[i].open.name, d.open.name))
			return session_fault(s, FRAME_FAULT_DISK, "the disk was opened twice");
	err = session_grow(s);
	if (err)
		return err;
	d.unit = u64_min(d.open.granule, SESSION_UNIT_MAX);
	s->disks[s->disk_count++] = d;
	return FRAME_OK;
}

static int take_begin(struct session *s, const struct frame *f, const void *payload)
{
	struct session_disk *d = &s->disks[f->disk];
	struct frame_begin begin;
	int fault = frame_begin_decode(payload, f->length, &begin);

	if (fault)
		return fault;
	if (begin.resume &&
	    (!(s->features & FRAME_FEATURE_RESUME) || begin.mode == FRAME_MODE_VERIFY))
		return session_fault(s, FRAME_FAULT_ORDER, "there is nothing to resume");
	d->mode = begin.mode;
	d->force = begin.force;
	d->resume = begin.resume;
	d->begin_epoch = f->epoch;
	d->phase = SESSION_DISK_BEGUN;
	return FRAME_OK;
}

static int take_join(struct session *s, const struct frame *f, const void *payload)
{
	int fault = frame_join_decode(payload, f->length, &s->join);

	if (!fault)
		s->phase = SESSION_LANE;
	return fault;
}

static int take_chunk(struct session *s, const struct frame *f)
{
	struct session_disk *d = &s->disks[f->disk];

	if (s->take.frames)
		s->take.frames--;
	d->sum.frames++;
	d->sum.bytes += f->span;
	d->sum.digest += frame_digest(f);
	return FRAME_OK;
}

/* The ranges are whole units of the disk: what is staged is counted in these. */
static int take_sealed(struct session *s, const struct frame *f, const void *payload)
{
	struct session_disk *d = &s->disks[f->disk];
	struct frame_range ranges[FRAME_SEALED_MAX];
	struct frame_sealed sealed;
	uint32_t count = 0;
	int fault = frame_sealed_decode(payload, f->length, &sealed, ranges, &count);

	for (uint32_t i = 0; i < count && !fault; i++) {
		const struct frame region = { .offset = ranges[i].offset, .span = ranges[i].span };

		fault = check_region(s, d, &region, d->unit);
	}
	if (fault)
		return fault;
	d->sealing = sealed.complete ? 0 : f->epoch;
	d->sealed_epoch = sealed.complete ? f->epoch : 0;
	return FRAME_OK;
}

static int take_end(struct session *s, const struct frame *f, const void *payload)
{
	struct session_disk *d = &s->disks[f->disk];
	struct frame_end end;
	int fault = frame_end_decode(payload, f->length, &end);

	if (fault)
		return fault;
	if (end.frames != d->sum.frames || end.bytes != d->sum.bytes)
		return session_fault(s, FRAME_FAULT_PAYLOAD,
				     "frames were lost or repeated: the totals do not match");
	if (end.digest != d->sum.digest)
		return session_fault(s, FRAME_FAULT_PAYLOAD,
				     "frames were lost or changed: the digest does not match");
	d->epoch = f->epoch;
	d->phase = SESSION_DISK_ENDED;
	return FRAME_OK;
}

static int take_drop(struct session *s, const struct frame *f, const void *payload)
{
	struct frame_error why;
	int fault = frame_error_decode(payload, f->length, &why);

	if (!fault)
		session_drop(s, f->disk);
	return fault;
}

/* All disks of a run are sealed at one instant, so more than one are a group. */
static int take_commit(struct session *s, const struct frame *f, const void *payload)
{
	uint32_t ended = 0;
	int fault = FRAME_OK;

	for (uint32_t i = 0; i < s->disk_count; i++)
		ended += s->disks[i].phase == SESSION_DISK_ENDED;
	s->commit = (struct frame_commit){
		.consistency = ended > 1 ? FRAME_CONSISTENCY_GROUP : FRAME_CONSISTENCY_CRASH,
		.history = FRAME_HISTORY_UNSAID,
	};
	if (f->length)
		fault = frame_commit_decode(payload, f->length, &s->commit);
	if (!fault)
		s->phase = SESSION_COMMITTED;
	return fault;
}

void session_drop(struct session *s, uint32_t disk)
{
	s->disks[disk].phase = SESSION_DISK_DROPPED;
}

int session_take(struct session *s, const struct frame *f, const void *payload)
{
	s->why = NULL;
	switch (f->type) {
	case FRAME_HELLO:
		return take_hello(s, f, payload);
	case FRAME_JOIN:
		return take_join(s, f, payload);
	case FRAME_TAKE:
		return frame_take_decode(payload, f->length, &s->take);
	case FRAME_OPEN:
		return take_open(s, f, payload);
	case FRAME_BEGIN:
		return take_begin(s, f, payload);
	case FRAME_DATA:
	case FRAME_PACKED:
	case FRAME_PACKED_LZ4:
	case FRAME_ZERO:
		return take_chunk(s, f);
	case FRAME_END:
		return take_end(s, f, payload);
	case FRAME_SEALED:
		return take_sealed(s, f, payload);
	case FRAME_DROP:
		return take_drop(s, f, payload);
	case FRAME_COMMIT:
		return take_commit(s, f, payload);
	default:
		return FRAME_OK;
	}
}

uint32_t session_hashes(const struct session *s, const struct frame *f)
{
	return u64_div_up(f->span, s->disks[f->disk].open.granule);
}
