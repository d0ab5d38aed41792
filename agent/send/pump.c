// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/pump.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "wire/pack.h"

/* Zeroes are sent as a span; one frame should still be a matter of seconds there. */
#define ZERO_SPAN_MAX GIB(1)
#define GRANULE_MIN 4096u
#define GRANULES_MAX (PUMP_REGION / GRANULE_MIN)
/* As many frames as a region has granules, the zeroes that came before, or large granules' parts. */
#define SLOT_ITEMS (GRANULES_MAX + 1)
#define PUMP_RUNS 256
#define PUMP_TICK_MS 500
/* A read that is held back waits so long at a time: who hangs up waits for that. */
#define PUMP_WAIT_MS 100

struct slot;

struct slot_item {
	struct conn_item item;
	struct slot *slot;
};

/**
 * struct slot - a region on its way
 * @read: fills @buffer
 * @pump: that it belongs to
 * @buffer: slot_size() bytes, aligned
 * @region: what is read
 * @reading: the read has not ended
 * @lost: it failed, for the epoch is torn: nothing is sent or released
 * @hashing: the replica's hashes have not come
 * @queued: frames that the connection has and has not sent
 * @used: items in use
 * @hashes: the replica's, of each granule
 * @hash_item: the request for them
 * @items: frames of this region
 */
struct slot {
	struct ring_op read;
	struct pump *pump;
	uint8_t *buffer;
	struct plan_region region;
	bool reading;
	bool lost;
	bool hashing;
	unsigned int queued;
	unsigned int used;
	uint8_t hashes[GRANULES_MAX * FRAME_HASH_MAX];
	struct slot_item hash_item;
	struct slot_item items[SLOT_ITEMS];
};

/*
 * Slots are counted without end, slot n is slots[n % depth]:
 * freed <= handled <= filled <= freed + depth.
 */
struct pump {
	struct ring *ring;
	struct progress *progress;
	const _Atomic bool *paused;
	pump_differ differ;
	void *differ_owner;
	struct brake *brake;	  /* NULL: none */
	unsigned int depth;
	uint64_t slot_size;
	uint32_t frame_max;
	uint64_t filled;
	uint64_t handled;
	uint64_t freed;
	struct slot *slots;
	uint8_t *memory;
	struct packer *packer; /* NULL: nothing is packed */
	uint8_t *packed;       /* as much as @memory, in the same places */
	struct hash *hash;
	uint32_t hash_size;
	struct throttle *compare_rate;
	struct ring_op wait;
	bool waiting; /* for that limit, or the brake */

	/* of the disk under way */
	struct conn *conn;
	struct pump_disk *disk;
	bool torn;	  /* no more of this disk in this pass */
	bool failed;	  /* no more of this disk at all */
	uint64_t handled_bytes; /* of this disk in this pass */
	struct plan plan;
	struct plan_region region; /* the newest one of it */
	bool pending;	  /* it has not been read */
	bool spent;	  /* the connection is: nothing more is read */
	struct plan_run page[PUMP_RUNS];
	uint64_t next;
	struct progress_meter meter;
	uint64_t metered_ms;
	uint64_t zero_offset;
	uint64_t zero_span;
	struct plan_run done[PUMP_DEPTH_MAX]; /* read, not yet released */
	size_t done_count;
};

static uint64_t slot_size(uint32_t granule)
{
	return u64_max(PUMP_REGION, granule);
}

static unsigned int pump_depth(uint32_t granule)
{
	uint64_t depth = PUMP_MEMORY / slot_size(granule);

	return u64_min(u64_max(depth, PUMP_DEPTH_MIN), PUMP_DEPTH_MAX);
}

uint64_t pump_memory(uint32_t granule)
{
	return pump_depth(granule) * (slot_size(granule) + sizeof(struct slot));
}

/* Count for the disk and for the run. */
#define PUMP_COUNT(p, counter, n)                                 \
	do {                                                      \
		progress_add(&(p)->progress->counter, n);         \
		progress_add(&(p)->disk->progress->counter, n);   \
	} while (0)

/* The disk has failed: what is under way ends, nothing more is begun. */
static int pump_fail_disk(struct pump *p, int err)
{
	p->failed = true;
	if (!p->disk->error)
		p->disk->error = err;
	return err;
}

static struct slot *pump_slot(struct pump *p, uint64_t n)
{
	return &p->slots[n % p->depth];
}

/* -- out -------------------------------------------------------------------- */

static void slot_item_sent(struct conn_item *item)
{
	struct slot *s = container_of(item, struct slot_item, item)->slot;

	s->queued--;
	progress_add(&s->pump->disk->progress->wire, FRAME_HEADER_SIZE + item->frame.length);
}

static void slot_queue(struct slot *s, struct slot_item *i, const struct frame *f,
		       const void *payload)
{
	*i = (struct slot_item){
		.slot = s,
		.item = { .frame = *f, .payload = payload, .sent = slot_item_sent },
	};
	s->queued++;
	conn_queue(s->pump->conn, &i->item);
}

/* What DATA and ZERO add to END. The checksum is known once the frame is queued. */
static void disk_count(struct pump_disk *d, const struct frame *f)
{
	d->sent.frames++;
	d->sent.bytes += f->span;
	d->sent.digest += frame_digest(f);
}

static void slot_send(struct slot *s, uint8_t type, uint64_t offset, uint64_t span,
		      const void *payload, uint32_t length)
{
	struct slot_item *i = &s->items[s->used++];
	struct pump_disk *d = s->pump->disk;
	struct frame f = {
		.type = type,
		.length = payload ? length : 0,
		.disk = d->handle,
		.offset = offset,
		.span = span,
		.epoch = d->source->epoch,
	};

	slot_queue(s, i, &f, payload);
	disk_count(d, &i->item.frame);
	if (payload)
		PUMP_COUNT(s->pump, sent, span);
	else
		PUMP_COUNT(s->pump, zero, span);
}

static void slot_flush_zero(struct slot *s)
{
	struct pump *p = s->pump;

	if (p->zero_span)
		slot_send(s, FRAME_ZERO, p->zero_offset, p->zero_span, NULL, 0);
	p->zero_span = 0;
}

/* Hold zeroes back as long as they go on: they cost no memory. */
static void slot_zero(struct slot *s, uint64_t offset, uint64_t length)
{
	struct pump *p = s->pump;

	if (p->zero_span &&
	    (p->zero_offset + p->zero_span != offset || p->zero_span + length > ZERO_SPAN_MAX))
		slot_flush_zero(s);
	if (!p->zero_span)
		p->zero_offset = offset;
	p->zero_span += length;
}

static void slot_send_data(struct slot *s, uint64_t offset, uint32_t span)
{
	struct pump *p = s->pump;
	uint8_t *data = s->buffer + (offset - s->region.offset);
	uint8_t *packed = p->packer ? p->packed + (data - p->memory) : NULL;
	enum frame_type type = FRAME_DATA;
	uint32_t n = 0;

	if (packed) {
		type = packer_choose(p->packer, conn_pace(p->conn));
		n = packer_run(p->packer, type, data, span, packed);
	}
	if (n)
		slot_send(s, type, offset, span, packed, n);
	else
		slot_send(s, FRAME_DATA, offset, span, data, span);
}

static void slot_data(struct slot *s, uint64_t offset, uint64_t length)
{
	slot_flush_zero(s);
	while (length) {
		uint64_t n = u64_min(length, s->pump->frame_max);

		slot_send_data(s, offset, n);
		offset += n;
		length -= n;
	}
}

/* -- a region that is complete ---------------------------------------------- */

enum kind { KIND_SKIP, KIND_ZERO, KIND_DATA };

static int slot_judge(struct slot *s, uint64_t index, const uint8_t *data, uint64_t length,
		      enum kind *ret)
{
	struct pump *p = s->pump;
	uint8_t hash[FRAME_HASH_MAX];
	int err;

	if (p->disk->task != PUMP_SEND) {
		err = hash_run(p->hash, data, length, hash);
		if (err)
			return reason_set(p->disk->reason, err, REASON_FAILED,
					  "OpenSSL cannot hash a granule");
		*ret = KIND_SKIP;
		if (memcmp(hash, s->hashes + index * p->hash_size, p->hash_size) == 0)
			return 0;
		if (p->disk->task == PUMP_VERIFY)
			return p->differ(p->differ_owner, p->disk, s->region.first + index, length);
	}
	*ret = bytes_are_zero(data, length) ? KIND_ZERO : KIND_DATA;
	return 0;
}

/* Send what the region holds, granules of a kind that follow each other as one. */
static int slot_handle(struct slot *s)
{
	uint32_t granule = s->pump->disk->source->granule;
	uint64_t end = s->region.offset + s->region.length;
	uint64_t data_from = s->region.offset;
	uint64_t data = 0;

	if (s->lost || s->pump->failed)
		return 0;
	for (uint64_t i = 0; i < s->region.count; i++) {
		uint64_t offset = s->region.offset + i * granule;
		uint64_t length = u64_min(granule, end - offset);
		enum kind kind = KIND_SKIP;
		int err = slot_judge(s, i, s->buffer + i * granule, length, &kind);

		if (err)
			return err;
		if (kind == KIND_DATA) {
			if (!data)
				data_from = offset;
			data += length;
			continue;
		}
		if (data)
			slot_data(s, data_from, data);
		data = 0;
		if (kind == KIND_ZERO)
			slot_zero(s, offset, length);
	}
	if (data)
		slot_data(s, data_from, data);
	PUMP_COUNT(s->pump, handled, s->region.length);
	s->pump->handled_bytes += s->region.length;
	return 0;
}

/* -- in --------------------------------------------------------------------- */

static int pump_hashes(void *owner, const struct frame *f, const void *hashes)
{
	struct pump *p = owner;

	for (uint64_t n = p->handled; n < p->filled; n++) {
		struct slot *s = pump_slot(p, n);

		if (!s->hashing || s->region.offset != f->offset)
			continue;
		if (f->disk != p->disk->handle || f->span != s->region.length ||
		    f->length != s->region.count * p->hash_size)
			return -EPROTO;
		memcpy(s->hashes, hashes, f->length);
		s->hashing = false;
		return 0;
	}
	return -EPROTO;
}

/*
 * A view that has nothing to show gives EIO. That is no fault of the disk: the
 * next pass reads again what is still owed.
 */
static bool pump_torn(struct pump *p)
{
	struct source_info now;

	if (!p->torn && p->disk->task != PUMP_VERIFY &&
	    !p->disk->source->ops->info(p->disk->source, &now))
		p->torn = now.torn;
	return p->torn;
}

static void slot_read_done(struct ring_op *op, int64_t result)
{
	struct slot *s = container_of(op, struct slot, read);
	struct pump *p = s->pump;

	s->reading = false;
	if (result < 0 && pump_torn(p)) {
		s->lost = true;
		return;
	}
	if (result != (int64_t)s->region.length) {
		if (result >= 0)
			result = -ENODATA;
		s->lost = true;
		pump_fail_disk(p, reason_set(p->disk->reason, result, REASON_FAILED,
					     "reading %" PRIu64 " bytes at %" PRIu64
					     " of the disk failed: %s",
					     s->region.length, s->region.offset,
					     strerrordesc_np(-result)));
		return;
	}
	progress_add(&p->progress->reads, 1);
	progress_add(&p->disk->progress->reads, 1);
	if (p->disk->task != PUMP_VERIFY)
		p->done[p->done_count++] = (struct plan_run){ s->region.first, s->region.count };
}

static void slot_start(struct slot *s, const struct plan_region *region)
{
	struct pump *p = s->pump;
	struct frame request = {
		.type = FRAME_HASH,
		.disk = p->disk->handle,
		.offset = region->offset,
		.span = region->length,
	};

	s->region = *region;
	s->used = 0;
	s->reading = true;
	s->lost = false;
	s->hashing = p->disk->task != PUMP_SEND;
	if (s->hashing)
		slot_queue(s, &s->hash_item, &request, NULL);
	ring_read(p->ring, &s->read, p->disk->source->fd, s->buffer, region->length,
		  region->offset);
}

/* -- the pump --------------------------------------------------------------- */

/* The next page of the plan. */
static int pump_feed(struct pump *p)
{
	struct source *s = p->disk->source;
	size_t filled = 0;
	int err;

	if (p->disk->task == PUMP_VERIFY) {
		uint64_t all = u64_div_up(u64_min(p->disk->verify_size, s->size), s->granule);

		if (p->next < all) {
			p->page[0] = (struct plan_run){ p->next, all - p->next };
			filled = 1;
			p->next = all;
		}
	} else if (p->next < source_granules(s)) {
		err = s->ops->runs(s, p->next, p->page, PUMP_RUNS, &filled, &p->next);
		if (err)
			return err;
	}
	if (!filled && (p->disk->task == PUMP_VERIFY || p->next >= source_granules(s))) {
		plan_finish(&p->plan);
		return 0;
	}
	return plan_feed(&p->plan, p->page, filled);
}

static void pump_wait_over(struct ring_op *op, int64_t result)
{
	container_of(op, struct pump, wait)->waiting = false;
}

static uint64_t pump_now_ns(void)
{
	return conn_now() * 1000000;
}

/* Must a read wait: for the brake, or for what is read to be compared? It is tried again then. */
static bool pump_held(struct pump *p)
{
	uint64_t wait = 0;

	if (p->waiting)
		return true;
	if (p->disk->task != PUMP_SEND)
		wait = throttles_wait(&p->compare_rate, 1, pump_now_ns());
	if (p->brake)
		wait = u64_max(wait, brake_wait(p->brake, pump_now_ns()));
	if (!wait)
		return false;
	p->waiting = true;
	ring_timeout(p->ring, &p->wait, u64_min(u64_div_up(wait, 1000000), PUMP_WAIT_MS));
	return true;
}

static void pump_start(struct pump *p)
{
	if (p->disk->task != PUMP_SEND)
		throttles_take(&p->compare_rate, 1, pump_now_ns(), p->region.length);
	if (p->brake)
		brake_take(p->brake, pump_now_ns(), p->region.length);
	slot_start(pump_slot(p, p->filled++), &p->region);
}

/* Start reads while there are regions and slots. Return: is there more to come? */
static bool pump_fill(struct pump *p)
{
	if (p->disk->leave && atomic_load(p->disk->leave) && !p->failed)
		pump_fail_disk(p, -ECANCELED);
	if (atomic_load_explicit(p->paused, memory_order_relaxed) && !p->failed)
		return true;
	while (!p->torn && !p->failed && p->filled < p->freed + p->depth) {
		int answer = p->pending ? PLAN_REGION : plan_next(&p->plan, &p->region);
		int err;

		switch (answer) {
		case PLAN_END:
			return 0;
		case PLAN_MORE:
			err = pump_feed(p);
			if (err)
				pump_fail_disk(p, err);
			break;
		case PLAN_REGION:
			p->spent = conn_spent(p->conn);
			p->pending = p->spent || pump_held(p);
			if (p->pending)
				return !p->spent;
			pump_start(p);
			break;
		}
	}
	return !p->torn && !p->failed;
}

/*
 * Release at once, in one call for all reads that have ended together. Until
 * then a write to one of these granules tears the epoch, although it can do no
 * harm any more: the sooner the better.
 */
static void pump_release(struct pump *p)
{
	struct source *s = p->disk->source;
	size_t count = p->done_count;
	int err = 0;

	p->done_count = 0;
	if (count && !p->failed)
		err = s->ops->release(s, p->done, count);
	if (err)
		pump_fail_disk(p, err);
}

static void pump_handle(struct pump *p)
{
	while (p->handled < p->filled) {
		struct slot *s = pump_slot(p, p->handled);
		int err;

		if (s->reading || s->hashing)
			break;
		err = slot_handle(s);
		if (err)
			pump_fail_disk(p, err);
		p->handled++;
	}
	while (p->freed < p->handled && pump_slot(p, p->freed)->queued == 0)
		p->freed++;
}

/* Zeroes at the end of the disk: no slot is left to carry them. */
static int pump_last_zero(struct pump *p)
{
	struct frame f = {
		.type = FRAME_ZERO,
		.disk = p->disk->handle,
		.offset = p->zero_offset,
		.span = p->zero_span,
		.epoch = p->disk->source->epoch,
	};
	int err;

	if (!p->zero_span)
		return 0;
	p->zero_span = 0;
	err = conn_send(p->conn, &f, NULL);
	if (err)
		return err;
	disk_count(p->disk, &f);
	PUMP_COUNT(p, zero, f.span);
	progress_add(&p->disk->progress->wire, FRAME_HEADER_SIZE);
	return 0;
}

/* The rate of the disk; that of the run is the connection's to measure. */
static void pump_measure(struct pump *p)
{
	uint64_t now = conn_now();

	if (now - p->metered_ms < PUMP_TICK_MS)
		return;
	p->metered_ms = now;
	progress_tick(p->disk->progress, &p->meter, now);
}

static int pump_loop(struct pump *p)
{
	int err;

	/* The next disk's slots count their frames for that disk: have none left. */
	while (pump_fill(p) || p->freed < p->filled) {
		err = conn_run(p->conn);
		if (err)
			return err;
		pump_release(p);
		pump_handle(p);
		pump_measure(p);
		if (p->brake)
			brake_tick(p->brake, conn_now());
	}
	if (p->failed)
		return PUMP_DISK_FAILED;
	err = pump_last_zero(p);
	/* All that was read is on its way: another connection goes on behind it. */
	return !err && p->spent ? conn_expire(p->conn) : err;
}

/* What is left of a torn pass is owed again by the next seal: count it once. */
static void pump_disown(struct pump *p)
{
	struct source *s = p->disk->source;
	uint64_t owed = u64_min(s->owed * s->granule, s->size);

	if (owed <= p->handled_bytes)
		return;
	atomic_fetch_sub(&p->progress->owed, owed - p->handled_bytes);
	atomic_fetch_sub(&p->disk->progress->owed, owed - p->handled_bytes);
}

int pump_disk_run(struct pump *p, struct conn *conn, struct pump_disk *disk)
{
	int err;

	p->conn = conn;
	p->disk = disk;
	p->next = 0;
	p->zero_span = 0;
	p->done_count = 0;
	p->torn = false;
	p->failed = false;
	p->pending = false;
	p->spent = false;
	p->handled_bytes = 0;
	plan_init(&p->plan, disk->source->size, disk->source->granule, PUMP_REGION);
	conn_on(conn, disk->task == PUMP_SEND ? 0 : CONN_TYPE(FRAME_HASHES), pump_hashes, p);
	p->meter = (struct progress_meter){ 0 };
	ring_file(p->ring, disk->source->fd);
	err = pump_loop(p);
	ring_file_drop(p->ring, disk->source->fd);
	atomic_store(&disk->progress->rate, 0);
	if (p->torn)
		pump_disown(p);
	conn_on(conn, 0, NULL, NULL);
	if (p->waiting)
		ring_cancel(p->ring, &p->wait);
	return err;
}

void pump_on_differ(struct pump *p, pump_differ differ, void *owner)
{
	p->differ = differ;
	p->differ_owner = owner;
}

void pump_brake(struct pump *p, struct brake *brake)
{
	p->brake = brake;
}

int pump_create(struct pump **ret, struct ring *ring, uint32_t granule,
		struct progress *progress, const _Atomic bool *paused)
{
	struct pump *p = calloc(1, sizeof(*p));
	uint64_t size = slot_size(granule);

	if (!p)
		return -ENOMEM;
	p->ring = ring;
	p->progress = progress;
	p->paused = paused;
	p->wait.done = pump_wait_over;
	p->depth = pump_depth(granule);
	p->slot_size = size;
	p->frame_max = FRAME_PAYLOAD_MAX;
	p->slots = calloc(p->depth, sizeof(*p->slots));
	p->memory = ring_memory(ring, p->depth * size);
	if (!p->slots || !p->memory) {
		pump_destroy(p);
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < p->depth; i++) {
		p->slots[i].pump = p;
		p->slots[i].buffer = p->memory + i * size;
		p->slots[i].read.done = slot_read_done;
	}
	*ret = p;
	return 0;
}

int pump_pack(struct pump *p, uint32_t features)
{
	p->packed = malloc(p->depth * p->slot_size);
	return p->packed ? packer_create(&p->packer, features) : -ENOMEM;
}

void pump_frame_max(struct pump *p, uint32_t bytes)
{
	p->frame_max = bytes;
}

void pump_compare_rate(struct pump *p, struct throttle *limit)
{
	p->compare_rate = limit;
}

int pump_hash(struct pump *p, enum hash_kind kind)
{
	p->hash_size = hash_size(kind);
	return hash_create(&p->hash, kind);
}

struct pump *pump_destroy(struct pump *p)
{
	if (p) {
		free(p->slots);
		ring_memory_free(p->ring, p->memory);
		packer_destroy(p->packer);
		hash_destroy(p->hash);
		free(p->packed);
		free(p);
	}
	return NULL;
}
