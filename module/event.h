/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TIDEMARK_EVENT_H
#define _TIDEMARK_EVENT_H

#include "disk.h"

int tidemark_event_init(void);
void tidemark_event_exit(void);
void tidemark_event_send(struct tidemark_disk *disk, enum tidemark_event event,
			 u64 epoch, u64 granules);

#endif /* _TIDEMARK_EVENT_H */
