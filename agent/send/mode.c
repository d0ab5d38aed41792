// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/mode.h"

#include <string.h>

/* Is there any doubt that marks and ranges are all that differs? */
static const char *mode_doubt_origin(const struct source_info *here, const char *doubt,
				     const struct run_origin *o, const struct frame_opened *there)
{
	if (!o)
		return "it is not known from which point this disk was failed over to";
	if (memcmp(o->uuid, there->uuid, FRAME_UUID_SIZE) != 0)
		return "the old primary has another tracker than before the failover";
	if (there->epoch > o->epoch)
		return "the old primary has forgotten what it changed since the failover's point";
	if (there->point <= o->epoch)
		return "the old primary's tracker was set back";
	if (there->size != here->size || o->size != here->size)
		return "the disk's size has changed since the failover";
	if (!here->tracked)
		return o->untouched ? NULL : "the disk was written to, untracked, since the "
					     "failover was committed";
	if (!o->covered || memcmp(o->cover, here->uuid, FRAME_UUID_SIZE) != 0)
		return "the disk's tracker has not been there since the failover was committed";
	if (here->committed_epoch != o->cover_epoch)
		return "the disk's tracker has committed to another replica";
	return doubt;
}

static int mode_choose_origin(const struct source_info *here, const char *doubt,
			      const struct run_origin *origin, const struct frame_opened *there,
			      const char **ret_reason)
{
	*ret_reason = mode_doubt_origin(here, doubt, origin, there);
	return *ret_reason ? FRAME_MODE_COMPARE : FRAME_MODE_REVERSE;
}

/* Has somebody put back what this tracker was before? */
static bool mode_older(const struct source_info *here, const struct mode_past *past)
{
	if (here->committed_epoch < past->committed_epoch)
		return true;
	if (here->attach == past->attach)
		return here->meta_sequence < past->meta_sequence;
	return here->meta_found < past->meta_sequence;
}

const char *mode_doubt(const struct source_info *here, const struct mode_past *past)
{
	if (past->known && past->doubt)
		return past->doubt;
	if (here->unreliable)
		return here->unreliable;
	if (!past->known)
		return NULL;
	if (memcmp(here->uuid, past->uuid, FRAME_UUID_SIZE) != 0)
		return "it has another tracker than at its last point";
	if (mode_older(here, past))
		return "its tracker's metadata is an older copy, put back";
	return NULL;
}

int mode_choose(const struct source_info *here, const struct mode_past *past,
		const struct run_origin *origin, const struct frame_opened *there,
		const char **ret_reason)
{
	const char *doubt = mode_doubt(here, past);

	*ret_reason = NULL;
	if (!there->present)
		return FRAME_MODE_FULL;
	if (there->present == FRAME_OPENED_ORIGIN)
		return mode_choose_origin(here, doubt, origin, there, ret_reason);
	if (!here->tracked)
		*ret_reason = "the disk is not tracked";
	else if (memcmp(here->uuid, there->uuid, FRAME_UUID_SIZE) != 0)
		*ret_reason = "the replica was made under another tracker";
	else if (doubt)
		*ret_reason = doubt;
	else if (there->epoch < here->committed_epoch)
		*ret_reason = "the replica is older than the last committed epoch";
	else if (there->epoch >= here->epoch)
		*ret_reason = "the replica is newer than the tracker's current epoch";
	else if (there->size > here->size)
		*ret_reason = "the disk has shrunk";
	return *ret_reason ? FRAME_MODE_COMPARE : FRAME_MODE_INCREMENTAL;
}

const char *mode_name(int mode)
{
	switch (mode) {
	case FRAME_MODE_FULL:
		return "full";
	case FRAME_MODE_INCREMENTAL:
		return "incremental";
	case FRAME_MODE_COMPARE:
		return "compare";
	case FRAME_MODE_VERIFY:
		return "verify";
	case FRAME_MODE_REVERSE:
		return "reverse";
	}
	return "unknown";
}
