// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/queue.h"

#define BATCH_ITEMS (RING_IOV_MAX / 2)

void queue_clear(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_add(struct queue *q, struct conn_item *item)
{
	item->next = NULL;
	*q->last = item;
	q->last = &item->next;
}

static struct conn_item *queue_take(struct queue *q)
{
	struct conn_item *item = q->first;

	q->first = item->next;
	if (!q->first)
		q->last = &q->first;
	item->next = NULL;
	return item;
}

void queue_append(struct queue *q, struct conn_item *item)
{
	frame_encode(&item->frame, item->payload, &item->wire);
	item->frame.checksum = le64_get(item->wire.checksum);
	queue_add(q, item);
}

void queue_move(struct queue *from, struct queue *to)
{
	queue_add(to, queue_take(from));
}

static bool item_bulk(const struct conn_item *item)
{
	return frame_is_data(item->frame.type);
}

bool queue_bulk(const struct queue *q)
{
	return item_bulk(q->first);
}

void queue_collect(struct queue *q, size_t max, bool bulk, struct queue_batch *ret)
{
	struct conn_item **end = &ret->items;

	*ret = (struct queue_batch){ 0 };
	while (q->first && ret->frames < BATCH_ITEMS) {
		struct conn_item *item = q->first;
		size_t size = FRAME_HEADER_SIZE + item->frame.length;

		if (ret->frames && (ret->bytes + size > max || (bulk && !item_bulk(item))))
			break;
		ret->iov[ret->parts++] = (struct iovec){ &item->wire, FRAME_HEADER_SIZE };
		if (item->frame.length)
			ret->iov[ret->parts++] = (struct iovec){ (void *)item->payload,
								 item->frame.length };
		ret->bytes += size;
		ret->frames++;
		*end = queue_take(q);
		end = &(*end)->next;
	}
}
