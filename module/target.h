/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TIDEMARK_TARGET_H
#define _TIDEMARK_TARGET_H

int tidemark_target_init(void);
void tidemark_target_exit(void);

#endif /* _TIDEMARK_TARGET_H */
