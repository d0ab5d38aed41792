// SPDX-License-Identifier: GPL-2.0-or-later
/* Metadata devices, as files: what is written, and what is believed of it. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "libtidemark/metablock.h"
#include "libtidemark/tidemark.h"

#define BLOCK	4096
#define SECTORS	(1u << 21)	/* 1 GiB: 16384 granules of 64 KiB, 256 extents */
#define GRANULE	128		/* sectors */

static int file_open(void **state)
{
	char path[] = "/tmp/tidemark-meta-XXXXXX";
	int *fd = malloc(sizeof(*fd));

	*fd = mkstemp(path);
	unlink(path);
	*state = fd;
	return ftruncate(*fd, 64 * BLOCK);
}

static int file_close(void **state)
{
	close(*(int *)*state);
	free(*state);
	return 0;
}

static struct tidemark_meta_super super_read(int fd, int slot)
{
	struct tidemark_meta_super s;

	assert_int_equal(pread(fd, &s, sizeof(s), slot * BLOCK), sizeof(s));
	return s;
}

/* A superblock after @s in the slot that its number says. */
static void super_next(int fd, struct tidemark_meta_super *s)
{
	s->seq = htole64(le64toh(s->seq) + 1);
	metablock_seal(s);
	assert_int_equal(pwrite(fd, s, sizeof(*s), le64toh(s->seq) % 2 * BLOCK), sizeof(*s));
}

/* Attached: slot 0 has the superblock that counts, slot 1 the one before. */
static struct tidemark_meta_super attached(int fd)
{
	struct tidemark_meta_super s;

	assert_int_equal(tidemark_meta_format(fd, SECTORS, GRANULE, "vda of web01"), 0);
	s = super_read(fd, 1);
	s.state = htole32(TIDEMARK_META_ACTIVE);
	s.next_epoch = htole64(9);
	s.committed_epoch = htole64(7);
	memset(s.uuid, 0x5a, sizeof(s.uuid));
	super_next(fd, &s);
	return s;
}

static void bit_set(int fd, const struct tidemark_meta_super *s, uint64_t block, uint32_t magic,
		    uint64_t bit)
{
	uint64_t unit = bit / TIDEMARK_META_UNIT_BITS, in = bit % TIDEMARK_META_UNIT_BITS;
	off_t at = block * BLOCK + unit * 512;
	struct tidemark_meta_unit u;

	assert_int_equal(pread(fd, &u, sizeof(u), at), sizeof(u));
	u.bits[in / 8] |= 1 << in % 8;
	metablock_unit_seal(&u, s->format, magic, unit);
	assert_int_equal(pwrite(fd, &u, sizeof(u), at), sizeof(u));
}

static void spoil(int fd, off_t at)
{
	uint8_t byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static struct tidemark_meta *load(int fd)
{
	struct tidemark_meta *m = NULL;

	assert_int_equal(tidemark_meta_load(fd, &m), 0);
	return m;
}

static void crc__is_that_of_iscsi(void **state)
{
	assert_int_equal(~crc32c_update(~0u, "123456789", 9), 0xe3069283);
}

static void layout__of_known_disks(void **state)
{
	struct tidemark_meta_layout l;

	assert_int_equal(tidemark_meta_layout(SECTORS, GRANULE, &l), 0);
	assert_int_equal(l.granules, 16384);
	assert_int_equal(l.extents, 256);
	assert_int_equal(l.intent_units, 1);
	assert_int_equal(l.bitmap_units, 5);
	assert_int_equal(l.bitmap_block, 3);
	assert_int_equal(l.bytes, 4 * BLOCK);

	/* 1 TiB: 262144 extents in 67 units, 2^24 granules in 4229 units. */
	assert_int_equal(tidemark_meta_layout(1ull << 31, GRANULE, &l), 0);
	assert_int_equal(l.intent_units, 67);
	assert_int_equal(l.bitmap_block, 2 + 9);
	assert_int_equal(l.bytes, (11 + 529) * BLOCK);

	/* One sector more is one granule and one extent more. */
	assert_int_equal(tidemark_meta_layout(SECTORS + 1, GRANULE, &l), 0);
	assert_int_equal(l.granules, 16385);
	assert_int_equal(l.extents, 257);
}

static void layout__refuses_what_is_none(void **state)
{
	struct tidemark_meta_layout l = { .bytes = 1 };

	assert_int_equal(tidemark_meta_layout(0, GRANULE, &l), -EINVAL);
	assert_int_equal(tidemark_meta_layout(SECTORS, 0, &l), -EINVAL);
	assert_int_equal(tidemark_meta_layout(SECTORS, 4, &l), -EINVAL);
	assert_int_equal(tidemark_meta_layout(SECTORS, 129, &l), -EINVAL);
	assert_int_equal(tidemark_meta_layout(SECTORS, 16384, &l), -EINVAL);
	assert_int_equal(tidemark_meta_layout(UINT64_MAX, 8, &l), -EFBIG);
	assert_int_equal(l.bytes, 1);
}

static void format__says_everything_has_changed(void **state)
{
	int fd = *(int *)*state;
	const struct tidemark_meta_report *r;
	struct tidemark_meta *m;
	struct tidemark_run run;

	assert_int_equal(tidemark_meta_format(fd, SECTORS, GRANULE, "vda of web01"), 0);
	m = load(fd);
	r = tidemark_meta_report(m);
	assert_int_equal(r->state, TIDEMARK_META_NEW);
	assert_int_equal(r->slots[0], TIDEMARK_META_SLOT_EMPTY);
	assert_int_equal(r->slots[1], TIDEMARK_META_SLOT_VALID);
	assert_string_equal(r->identity, "vda of web01");
	assert_true(r->all);
	assert_int_equal(r->changed, 16384);
	assert_int_equal(r->intent_bad + r->bitmap_bad, 0);
	assert_true(tidemark_meta_next(m, 0, &run));
	assert_int_equal(run.first, 0);
	assert_int_equal(run.count, 16384);
	assert_false(tidemark_meta_next(m, 16384, &run));
	tidemark_meta_free(m);
}

static void format__refuses_a_small_device(void **state)
{
	int fd = *(int *)*state;

	assert_int_equal(ftruncate(fd, 4 * BLOCK - 1), 0);
	assert_int_equal(tidemark_meta_format(fd, SECTORS, GRANULE, NULL), -ENOSPC);
	assert_int_equal(ftruncate(fd, 4 * BLOCK), 0);
	assert_int_equal(tidemark_meta_format(fd, SECTORS, GRANULE, NULL), 0);
}

static void format__units_of_an_older_one_do_not_verify(void **state)
{
	int fd = *(int *)*state;
	struct tidemark_meta_unit old;
	struct tidemark_meta *m;

	attached(fd);
	assert_int_equal(pread(fd, &old, sizeof(old), 3 * BLOCK), sizeof(old));
	attached(fd);
	assert_int_equal(pwrite(fd, &old, sizeof(old), 3 * BLOCK), sizeof(old));
	m = load(fd);
	assert_int_equal(tidemark_meta_report(m)->bitmap_bad, 1);
	tidemark_meta_free(m);
}

static void load__is_bitmap_or_intent(void **state)
{
	int fd = *(int *)*state;
	struct tidemark_meta_super s = attached(fd);
	const struct tidemark_meta_report *r;
	struct tidemark_meta *m;
	struct tidemark_run run;

	bit_set(fd, &s, 3, TIDEMARK_META_BITMAP_MAGIC, 5);
	bit_set(fd, &s, 3, TIDEMARK_META_BITMAP_MAGIC, 4000);	/* in the second unit */
	bit_set(fd, &s, 3, TIDEMARK_META_BITMAP_MAGIC, 16383);
	bit_set(fd, &s, 2, TIDEMARK_META_INTENT_MAGIC, 1);
	m = load(fd);
	r = tidemark_meta_report(m);
	assert_int_equal(r->slot, 0);
	assert_int_equal(r->seq, 2);
	assert_int_equal(r->next_epoch, 9);
	assert_int_equal(r->committed_epoch, 7);
	assert_false(r->all);
	assert_int_equal(r->marked, 3);
	assert_int_equal(r->intents, 1);
	assert_int_equal(r->changed, 3 + 64);
	assert_true(tidemark_meta_intent(m, 1));
	assert_false(tidemark_meta_intent(m, 0));
	assert_true(tidemark_meta_next(m, 6, &run));
	assert_int_equal(run.first, 64);
	assert_int_equal(run.count, 64);
	assert_true(tidemark_meta_next(m, 128, &run));
	assert_int_equal(run.first, 4000);
	assert_true(tidemark_meta_next(m, 4001, &run));
	assert_int_equal(run.first, 16383);
	assert_int_equal(run.count, 1);
	tidemark_meta_free(m);
}

static void load__an_unreliable_one_is_all(void **state)
{
	int fd = *(int *)*state;
	struct tidemark_meta_super s = attached(fd);
	struct tidemark_meta *m;

	s.reason = htole32(TIDEMARK_REASON_GAP);
	super_next(fd, &s);
	m = load(fd);
	assert_true(tidemark_meta_report(m)->all);
	assert_int_equal(tidemark_meta_report(m)->changed, 16384);
	tidemark_meta_free(m);
}

static void load__damaged_units_are_ones(void **state)
{
	int fd = *(int *)*state;
	const struct tidemark_meta_report *r;
	struct tidemark_meta *m;

	attached(fd);
	spoil(fd, 3 * BLOCK + 4 * 512 + 100);	/* the last, 512 of 3968 bits */
	m = load(fd);
	r = tidemark_meta_report(m);
	assert_int_equal(r->bitmap_bad, 1);
	assert_int_equal(r->marked, 16384 - 4 * 3968);
	tidemark_meta_free(m);
	spoil(fd, 2 * BLOCK + 511);
	m = load(fd);
	r = tidemark_meta_report(m);
	assert_int_equal(r->intent_bad, 1);
	assert_int_equal(r->intents, 256);
	assert_int_equal(r->changed, 16384);
	tidemark_meta_free(m);
}

static void load__takes_the_twin_of_a_torn_superblock(void **state)
{
	int fd = *(int *)*state;
	struct tidemark_meta_super s = attached(fd);
	struct tidemark_meta *m;

	super_next(fd, &s);
	spoil(fd, BLOCK + 200);
	m = load(fd);
	assert_int_equal(tidemark_meta_report(m)->seq, 2);
	assert_int_equal(tidemark_meta_report(m)->slots[1], TIDEMARK_META_SLOT_DAMAGED);
	tidemark_meta_free(m);
	spoil(fd, 200);
	assert_int_equal(tidemark_meta_load(fd, &m), -EBADMSG);
}

static void load__every_byte_of_a_superblock_counts(void **state)
{
	int fd = *(int *)*state;
	struct tidemark_meta *m;

	assert_int_equal(tidemark_meta_format(fd, SECTORS, GRANULE, NULL), 0);
	for (int i = 0; i < 512; i++) {
		spoil(fd, BLOCK + i);
		assert_int_not_equal(tidemark_meta_load(fd, &m), 0);
		spoil(fd, BLOCK + i);
	}
	tidemark_meta_free(load(fd));
}

static void load__refuses_what_a_right_checksum_cannot_excuse(void **state)
{
	int fd = *(int *)*state;
	struct tidemark_meta_super good, s;
	struct tidemark_meta *m;

	assert_int_equal(tidemark_meta_load(fd, &m), -ENOMSG);
	assert_int_equal(tidemark_meta_format(fd, SECTORS, GRANULE, NULL), 0);
	good = super_read(fd, 1);
#define REFUSED(error, field, value) do { \
		s = good; \
		s.field = (value); \
		metablock_seal(&s); \
		assert_int_equal(pwrite(fd, &s, sizeof(s), BLOCK), sizeof(s)); \
		assert_int_equal(tidemark_meta_load(fd, &m), error); \
	} while (0)
	REFUSED(-EPROTONOSUPPORT, version, htole32(2));
	REFUSED(-EPROTONOSUPPORT, incompat, htole64(1));
	REFUSED(-EBADMSG, seq, htole64(2));		/* belongs into slot 0 */
	REFUSED(-EBADMSG, sectors, 0);
	REFUSED(-EBADMSG, sectors, htole64(UINT64_MAX));
	REFUSED(-EBADMSG, sectors, htole64(1ull << 31));	/* another layout */
	REFUSED(-EBADMSG, granule_sectors, htole32(24));
	REFUSED(-EBADMSG, extent_sectors, htole32(16));
	REFUSED(-EBADMSG, bitmap_block, htole64(4));
	REFUSED(-EBADMSG, next_epoch, 0);
	REFUSED(-EBADMSG, next_epoch, htole64(UINT64_MAX));
	REFUSED(-EBADMSG, seq, htole64(UINT64_MAX));
	REFUSED(-EBADMSG, unreliable_epoch, htole64(1));
	REFUSED(-EBADMSG, committed_epoch, htole64(1));
	REFUSED(-EBADMSG, state, htole32(5));
	s = good;
	s.compat = htole64(1);
	metablock_seal(&s);
	assert_int_equal(pwrite(fd, &s, sizeof(s), BLOCK), sizeof(s));
	tidemark_meta_free(load(fd));
	assert_int_equal(ftruncate(fd, 3 * BLOCK), 0);
	assert_int_equal(tidemark_meta_load(fd, &m), -ENODATA);
}

static void repair__ones_for_damaged_units_and_no_more(void **state)
{
	int fd = *(int *)*state;
	struct tidemark_meta_super s = attached(fd);
	struct tidemark_meta_repaired done;
	const struct tidemark_meta_report *r;
	struct tidemark_meta *m;

	bit_set(fd, &s, 3, TIDEMARK_META_BITMAP_MAGIC, 5);
	spoil(fd, 3 * BLOCK + 4 * 512 + 100);
	assert_int_equal(tidemark_meta_repair(fd, &done), 0);
	assert_int_equal(done.supers, 0);
	assert_int_equal(done.intent_units, 0);
	assert_int_equal(done.bitmap_units, 1);
	m = load(fd);
	r = tidemark_meta_report(m);
	assert_int_equal(r->bitmap_bad, 0);
	assert_int_equal(r->marked, 1 + 512);
	assert_int_equal(r->state, TIDEMARK_META_ACTIVE);
	tidemark_meta_free(m);
	assert_int_equal(tidemark_meta_repair(fd, &done), 0);
	assert_int_equal(done.supers + done.intent_units + done.bitmap_units, 0);
}

static void repair__a_lost_slot_may_have_been_the_newer_one(void **state)
{
	int fd = *(int *)*state;
	struct tidemark_meta_super s = attached(fd);
	struct tidemark_meta_repaired done;
	const struct tidemark_meta_report *r;
	struct tidemark_meta *m;

	super_next(fd, &s);
	spoil(fd, BLOCK + 200);
	assert_int_equal(tidemark_meta_repair(fd, &done), 0);
	assert_int_equal(done.supers, 2);
	m = load(fd);
	r = tidemark_meta_report(m);
	assert_int_equal(r->slots[0], TIDEMARK_META_SLOT_VALID);
	assert_int_equal(r->slots[1], TIDEMARK_META_SLOT_VALID);
	assert_true(r->all);
	assert_int_equal(r->reason, TIDEMARK_REASON_META_PART);
	tidemark_meta_free(m);
	spoil(fd, 200);
	spoil(fd, BLOCK + 200);
	assert_int_equal(tidemark_meta_repair(fd, &done), -EBADMSG);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, file_open, file_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(crc__is_that_of_iscsi),
		TEST(layout__of_known_disks),
		TEST(layout__refuses_what_is_none),
		TEST(format__says_everything_has_changed),
		TEST(format__refuses_a_small_device),
		TEST(format__units_of_an_older_one_do_not_verify),
		TEST(load__is_bitmap_or_intent),
		TEST(load__an_unreliable_one_is_all),
		TEST(load__damaged_units_are_ones),
		TEST(load__takes_the_twin_of_a_torn_superblock),
		TEST(load__every_byte_of_a_superblock_counts),
		TEST(load__refuses_what_a_right_checksum_cannot_excuse),
		TEST(repair__ones_for_damaged_units_and_no_more),
		TEST(repair__a_lost_slot_may_have_been_the_newer_one),
	};

	return cmocka_run_group_tests_name("meta", tests, NULL, NULL);
}
