// SPDX-License-Identifier: GPL-2.0-or-later
#include "point/cover.h"

#include <string.h>

struct cover {
	uint64_t size;
	uint32_t unit;
	uint64_t units;
	uint64_t bits[];
};

int cover_create(uint64_t size, uint32_t unit, struct cover **ret)
{
	uint64_t units = u64_div_up(size, unit);
	struct cover *c = calloc(1, sizeof(*c) + u64_div_up(units, 64) * sizeof(uint64_t));

	if (!c)
		return -ENOMEM;
	c->size = size;
	c->unit = unit;
	c->units = units;
	*ret = c;
	return 0;
}

struct cover *cover_destroy(struct cover *c)
{
	free(c);
	return NULL;
}

int cover_grow(struct cover **c, uint64_t size)
{
	uint64_t had = u64_div_up((*c)->units, 64), units = u64_div_up(size, (*c)->unit);
	uint64_t words = u64_div_up(units, 64);
	struct cover *grown = *c;

	if (size <= (*c)->size)
		return 0;
	if (words > had) {
		grown = realloc(grown, sizeof(*grown) + words * sizeof(uint64_t));
		if (!grown)
			return -ENOMEM;
		memset(&grown->bits[had], 0, (words - had) * sizeof(uint64_t));
	}
	grown->size = size;
	grown->units = units;
	*c = grown;
	return 0;
}

void cover_mark(struct cover *c, uint64_t offset, uint64_t span)
{
	uint64_t end = u64_min(u64_div_up(offset + span, c->unit), c->units);

	for (uint64_t i = offset / c->unit; i < end; i++)
		c->bits[i / 64] |= 1ull << i % 64;
}

void cover_clear(struct cover *c, uint64_t offset, uint64_t span)
{
	uint64_t end = u64_min(u64_div_up(offset + span, c->unit), c->units);

	for (uint64_t i = offset / c->unit; i < end; i++)
		c->bits[i / 64] &= ~(1ull << i % 64);
}

/* The first unit at or after @i whose bit is @set. */
static uint64_t cover_find(const struct cover *c, uint64_t i, bool set)
{
	while (i < c->units) {
		uint64_t word = set ? c->bits[i / 64] : ~c->bits[i / 64];

		word &= ~0ull << i % 64;
		if (word)
			return u64_min((i & ~63ull) + __builtin_ctzll(word), c->units);
		i = (i & ~63ull) + 64;
	}
	return c->units;
}

bool cover_marked(const struct cover *c, uint64_t offset)
{
	uint64_t i = offset / c->unit;

	return i < c->units && c->bits[i / 64] >> i % 64 & 1;
}

bool cover_next_mark(const struct cover *c, uint64_t from, uint64_t *ret_offset)
{
	uint64_t i = cover_find(c, from / c->unit, true);

	if (i >= c->units)
		return false;
	*ret_offset = i * c->unit;
	return true;
}

/* The first region at or after @from whose bits are @set. */
static bool cover_region(const struct cover *c, uint64_t from, bool set, uint64_t *ret_offset,
			 uint64_t *ret_span)
{
	/* The end of a region that is the last one lies in its last unit: there is no other. */
	uint64_t first = from < c->size ? cover_find(c, from / c->unit, set) : c->units;
	uint64_t last;

	if (first >= c->units)
		return false;
	last = cover_find(c, first, !set);
	*ret_offset = first * c->unit;
	*ret_span = u64_min(last * c->unit, c->size) - *ret_offset;
	return true;
}

bool cover_next(const struct cover *c, uint64_t from, uint64_t *ret_offset, uint64_t *ret_span)
{
	return cover_region(c, from, true, ret_offset, ret_span);
}

bool cover_next_gap(const struct cover *c, uint64_t from, uint64_t *ret_offset,
		    uint64_t *ret_span)
{
	return cover_region(c, from, false, ret_offset, ret_span);
}
