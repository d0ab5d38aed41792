// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/outlet.h"

#include <sys/socket.h>

static void batch_init(struct outlet_batch *b, struct outlet *o);

void outlet_init(struct outlet *o, struct stream *stream, int fd, size_t lent_max,
		 outlet_sent sent, void *owner)
{
	*o = (struct outlet){
		.stream = stream,
		.fd = fd,
		.lent_max = lent_max,
		.sent = sent,
		.owner = owner,
	};
	batch_init(&o->copy, o);
	for (unsigned int i = 0; i < OUTLET_LENT; i++)
		batch_init(&o->lent[i], o);
}

/* -- ends ------------------------------------------------------------------------ */

static struct conn_item *batch_take_items(struct outlet_batch *b)
{
	struct conn_item *items = b->items;

	b->items = NULL;
	return items;
}

static void batch_sent(struct ring_op *op, int64_t result)
{
	struct outlet_batch *b = container_of(op, struct outlet_batch, op);
	struct outlet *o = b->outlet;

	o->sending = NULL;
	o->sent(o->owner, b == &o->copy ? batch_take_items(b) : NULL, result);
}

static void batch_released(struct ring_op *op, bool copied)
{
	struct outlet_batch *b = container_of(op, struct outlet_batch, op);
	struct outlet *o = b->outlet;

	o->copies = copied ? u64_min(o->copies + 1, OUTLET_COPIES) : 0;
	o->uncopied += copied ? 0 : b->bytes;
	o->lent_bytes -= b->bytes;
	o->sent(o->owner, batch_take_items(b), 0);
}

static void batch_init(struct outlet_batch *b, struct outlet *o)
{
	b->outlet = o;
	b->op.done = batch_sent;
	b->op.released = batch_released;
}

/* -- sending --------------------------------------------------------------------- */

bool outlet_copies(const struct outlet *o)
{
	return o->copies == OUTLET_COPIES;
}

static bool outlet_pays(const struct outlet *o, size_t bytes)
{
	switch (stream_zero(o->stream)) {
	case RING_ZERO_ALWAYS:
		return bytes >= OUTLET_LEND_WORDS;
	case RING_ZERO_AUTO:
		return bytes >= OUTLET_LEND_MIN && !outlet_copies(o);
	default:
		return false;
	}
}

static struct outlet_batch *outlet_place(struct outlet *o, size_t bytes)
{
	if (!outlet_pays(o, bytes) || o->lent_bytes + bytes > o->lent_max)
		return &o->copy;
	for (unsigned int i = 0; i < OUTLET_LENT; i++)
		if (!o->lent[i].items)
			return &o->lent[i];
	return &o->copy;
}

void outlet_send(struct outlet *o, const struct queue_batch *batch)
{
	struct outlet_batch *b = outlet_place(o, batch->bytes);

	b->items = batch->items;
	b->since = conn_now();
	b->bytes = batch->bytes;
	o->sending = b;
	if (b == &o->copy) {
		stream_send(o->stream, &b->op, batch->iov, batch->parts);
		return;
	}
	o->lent_bytes += batch->bytes;
	stream_send_zero(o->stream, &b->op, batch->iov, batch->parts);
}

bool outlet_sending(const struct outlet *o)
{
	return o->sending;
}

uint64_t outlet_since(const struct outlet *o)
{
	uint64_t since = o->copy.items ? o->copy.since : 0;

	for (unsigned int i = 0; i < OUTLET_LENT; i++)
		if (o->lent[i].items && (!since || o->lent[i].since < since))
			since = o->lent[i].since;
	return since;
}

/*
 * A socket that is shut down still sends, and repeats, what it was given: as long as the
 * other end is silent. Only one that is no longer connected forgets it.
 */
void outlet_hang_up(struct outlet *o)
{
	const struct sockaddr none = { .sa_family = AF_UNSPEC };

	/* Else it is cut short, and may look so. */
	if (!o->sending)
		stream_end(o->stream);
	shutdown(o->fd, SHUT_RDWR);
	if (o->lent_bytes)
		connect(o->fd, &none, sizeof(none));
}
