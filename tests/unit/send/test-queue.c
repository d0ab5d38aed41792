// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/util.h"
#include "send/queue.h"

#define ITEMS (RING_IOV_MAX / 2 + 3)
#define PAYLOAD 1000u
#define WHOLE (FRAME_HEADER_SIZE + PAYLOAD)

static struct conn_item items[ITEMS];
static uint8_t payload[PAYLOAD];
static struct queue queue;
static struct queue_batch batch;

static void append(unsigned int i, uint8_t type, uint32_t length)
{
	items[i] = (struct conn_item){
		.frame = { .type = type, .disk = i, .length = length },
		.payload = payload,
	};
	queue_append(&queue, &items[i]);
}

static int begin(void **state)
{
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = i * 7;
	queue_clear(&queue);
	return 0;
}

static unsigned int batch_items(void)
{
	unsigned int count = 0;

	for (struct conn_item *item = batch.items; item; item = item->next)
		count++;
	return count;
}

static void queue__keeps_the_order(void **state)
{
	for (unsigned int i = 0; i < 3; i++)
		append(i, FRAME_DATA, PAYLOAD);
	queue_collect(&queue, SIZE_MAX, false, &batch);
	assert_ptr_equal(batch.items, &items[0]);
	assert_ptr_equal(items[0].next, &items[1]);
	assert_ptr_equal(items[1].next, &items[2]);
	assert_null(items[2].next);
	assert_null(queue.first);
	/* An emptied one is added to as a new one is. */
	append(3, FRAME_DATA, PAYLOAD);
	assert_ptr_equal(queue.first, &items[3]);
}

static void queue__gives_headers_and_payloads(void **state)
{
	append(0, FRAME_PING, 0);
	append(1, FRAME_DATA, PAYLOAD);
	queue_collect(&queue, SIZE_MAX, false, &batch);
	assert_int_equal(batch.frames, 2);
	assert_int_equal(batch.parts, 3);
	assert_int_equal(batch.bytes, FRAME_HEADER_SIZE + WHOLE);
	assert_ptr_equal(batch.iov[2].iov_base, payload);
	assert_int_equal(frame_verify(&items[1].wire, payload), FRAME_OK);
	assert_int_equal(items[1].frame.checksum, le64_get(items[1].wire.checksum));
}

static void queue__ends_a_batch_at_its_bytes(void **state)
{
	for (unsigned int i = 0; i < 3; i++)
		append(i, FRAME_DATA, PAYLOAD);
	queue_collect(&queue, 2 * WHOLE, false, &batch);
	assert_int_equal(batch.frames, 2);
	assert_int_equal(batch_items(), 2);
	assert_ptr_equal(queue.first, &items[2]);
	/* One frame is sent, however large. */
	queue_collect(&queue, 1, false, &batch);
	assert_int_equal(batch.frames, 1);
}

static void queue__ends_a_batch_of_bulk_at_a_word(void **state)
{
	append(0, FRAME_DATA, PAYLOAD);
	append(1, FRAME_PACKED_LZ4, PAYLOAD);
	append(2, FRAME_PING, 0);
	append(3, FRAME_DATA, PAYLOAD);
	assert_true(queue_bulk(&queue));
	queue_collect(&queue, SIZE_MAX, true, &batch);
	assert_int_equal(batch.frames, 2);
	assert_false(queue_bulk(&queue));
}

static void queue__moves_one(void **state)
{
	struct queue other;

	queue_clear(&other);
	append(0, FRAME_PING, 0);
	append(1, FRAME_DATA, PAYLOAD);
	queue_move(&queue, &other);
	assert_ptr_equal(other.first, &items[0]);
	assert_null(items[0].next);
	assert_ptr_equal(queue.first, &items[1]);
	queue_move(&queue, &other);
	assert_null(queue.first);
	queue_collect(&other, SIZE_MAX, false, &batch);
	assert_int_equal(batch_items(), 2);
}

static void queue__ends_a_batch_at_what_a_send_takes(void **state)
{
	for (unsigned int i = 0; i < ITEMS; i++)
		append(i, FRAME_DATA, PAYLOAD);
	queue_collect(&queue, SIZE_MAX, false, &batch);
	assert_int_equal(batch.parts, RING_IOV_MAX);
	queue_collect(&queue, SIZE_MAX, false, &batch);
	assert_int_equal(batch.frames, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(queue__keeps_the_order, begin),
		cmocka_unit_test_setup(queue__gives_headers_and_payloads, begin),
		cmocka_unit_test_setup(queue__ends_a_batch_at_its_bytes, begin),
		cmocka_unit_test_setup(queue__ends_a_batch_of_bulk_at_a_word, begin),
		cmocka_unit_test_setup(queue__moves_one, begin),
		cmocka_unit_test_setup(queue__ends_a_batch_at_what_a_send_takes, begin),
	};

	return cmocka_run_group_tests_name("send/queue", tests, NULL, NULL);
}
