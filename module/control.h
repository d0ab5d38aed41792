/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TIDEMARK_CONTROL_H
#define _TIDEMARK_CONTROL_H

int tidemark_control_init(void);
void tidemark_control_exit(void);

#endif /* _TIDEMARK_CONTROL_H */
