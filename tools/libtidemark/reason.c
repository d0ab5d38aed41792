// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * reason - what is wrong with a tracker, in words
 */
#include "libtidemark/tidemark.h"

/**
 * struct reason - one of enum tidemark_reason
 * @name: a word
 * @unreliable: why its bits cannot be trusted, NULL: they can
 */
struct reason {
	const char *name;
	const char *unreliable;
};

/* By the number of the bit. */
static const struct reason reasons[] = {
	{ "resized", NULL },
	{ "replaced", "the data device was exchanged" },
	{ "gap", "the disk may have been written to while it was not tracked" },
	{ "swapped", "the tracker's metadata belongs to another disk" },
	{ "bypassed", "somebody writes to the data device past the tracker" },
	{ "meta-lost", NULL },
	{ "meta-part", NULL },
	{ "meta-error", NULL },
	{ "unclean", NULL },
	{ "dropped", NULL },
};

const char *tidemark_reason_name(uint32_t reason)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reason == 1U << i)
			return reasons[i].name;
	return "unknown";
}

const char *tidemark_unreliable_text(uint32_t reason)
{
	reason &= TIDEMARK_REASON_UNRELIABLE;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reason & 1U << i)
			return reasons[i].unreliable;
	return reason ? "the tracker is unreliable" : NULL;
}
