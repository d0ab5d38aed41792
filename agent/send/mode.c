// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/mode.h"

#include <string.h>

int mode_choose(const struct mode_here *here, const struct frame_opened *there,
		const char **ret_reason)
{
	*ret_reason = NULL;
	if (!there->present)
		return FRAME_MODE_FULL;
	if (!here->tracked)
		*ret_reason = "the disk is not tracked";
	else if (memcmp(here->uuid, there->uuid, FRAME_UUID_SIZE) != 0)
		*ret_reason = "the replica was made under another tracker";
	else if (there->epoch < here->committed_epoch)
		*ret_reason = "the replica is older than the last committed epoch";
	else if (there->epoch >= here->epoch)
		*ret_reason = "the replica is newer than the tracker's current epoch";
	else if (there->size > here->size)
		*ret_reason = "the disk has shrunk";
	else if (here->unreliable)
		*ret_reason = here->unreliable;
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
	}
	return "unknown";
}
