/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TIDEMARK_VIEW_H
#define _TIDEMARK_VIEW_H

int tidemark_view_init(void);
void tidemark_view_exit(void);

#endif /* _TIDEMARK_VIEW_H */
