/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TIDEMARK_GATE_H
#define _TIDEMARK_GATE_H

#include <linux/types.h>

int tidemark_gate_init(void);
void tidemark_gate_exit(void);

bool tidemark_gate_enter(bool nowait);
void tidemark_gate_leave(void);

void tidemark_gate_close(void);
u64 tidemark_gate_open(void);

#endif /* _TIDEMARK_GATE_H */
