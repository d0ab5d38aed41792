// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames as a receiver gets them, up to where bytes would be written: header
 * check, order of the session, payload decoders. The input is a stream of
 * frames; magic, version and checksum are put right, unless its first byte is
 * odd, so that the fuzzer gets behind them.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/hash.h"
#include "wire/pack.h"
#include "wire/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_promises(const struct session *s, const struct frame *f)
{
	const struct session_disk *d;

	if (s->phase == SESSION_LANE && f->type != FRAME_ERROR)
		abort();
	if (s->take.lane >= FRAME_LANES_MAX || s->take.frames > FRAME_TAKE_MAX)
		abort();
	if (s->take.frames && !frame_is_data(f->type))
		abort();
	if (!frame_is_data(f->type) && f->type != FRAME_ZERO && f->type != FRAME_HASH)
		return;
	d = &s->disks[f->disk];
	if (f->disk >= s->disk_count || f->offset > d->open.size ||
	    f->span > d->open.size - f->offset || f->offset % d->unit)
		abort();
	if (frame_packing(f->type) &&
	    (f->span > FRAME_PAYLOAD_MAX || !(frame_packing(f->type) & s->features)))
		abort();
	if (f->type == FRAME_DATA && (f->span > FRAME_PAYLOAD_MAX || f->span != f->length))
		abort();
	if (f->type == FRAME_HASH &&
	    session_hashes(s, f) * hash_size(hash_kind(s->features)) > FRAME_PAYLOAD_MAX)
		abort();
}

/* Return: bytes that were used; 0: the connection would be closed */
static size_t one_frame(struct session *s, const uint8_t *data, size_t size, bool mend)
{
	struct frame_wire w;
	struct frame f;
	void *payload;
	int fault;

	if (size < sizeof(w))
		return 0;
	memcpy(&w, data, sizeof(w));
	if (mend) {
		w.magic = le32_of(FRAME_MAGIC);
		w.version = FRAME_VERSION;
	}
	if (frame_check(&w, &f) != FRAME_OK || session_check(s, &f) != FRAME_OK)
		return 0;
	check_promises(s, &f);
	/* DATA is long and opaque: as many bytes as there are. */
	if (f.length > size - sizeof(w))
		return f.type == FRAME_DATA && session_take(s, &f, NULL) == FRAME_OK ? size : 0;
	/* Of its own, so that a read beyond it is seen. */
	payload = malloc(f.length);
	memcpy(payload, data + sizeof(w), f.length);
	fault = mend ? FRAME_OK : frame_verify(&w, payload);
	if (!fault)
		fault = session_take(s, &f, payload);
	if (!fault && frame_packing(f.type)) {
		/* Of its own, as long as it may be. */
		void *to = malloc(f.span);

		fault = unpack(f.type, payload, f.length, to, f.span);
		free(to);
	}
	free(payload);
	return fault ? 0 : sizeof(w) + f.length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session s;
	size_t used;

	if (!size)
		return 0;
	session_init(&s, 8);
	for (size_t at = 1; at < size; at += used) {
		used = one_frame(&s, data + at, size - at, !(data[0] & 1));
		if (!used)
			break;
	}
	session_done(&s);
	return 0;
}
