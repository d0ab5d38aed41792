// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/origin.h"

#include <stdlib.h>

struct run_origin *run_origin_free(struct run_origin *o)
{
	if (o)
		free(o->ranges);
	free(o);
	return NULL;
}
