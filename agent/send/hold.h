/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Freezing in a run. Nobody but run.c includes this. */
#ifndef TIDEMARK_SEND_HOLD_H
#define TIDEMARK_SEND_HOLD_H

#include "freeze/freeze.h"
#include "send/members.h"

/**
 * struct hold - the VMs of a run, held still around a seal; zeroed: none is
 * @all: every VM that is in the run is frozen
 */
struct hold {
	struct freeze *freeze;
	bool all;
};

/**
 * hold_begin() - freeze the VMs that have disks left in the run, if that was asked for
 *
 * What cannot be frozen is a warning in the report, nothing else. Meanwhile the
 * receiver hears that the run lives. Return: 0, or the errno that ends the run.
 */
int hold_begin(struct run *r, struct hold *h);

/** hold_end() - thaw; @h->all tells whether all were frozen until now */
void hold_end(struct run *r, struct hold *h);

#endif
