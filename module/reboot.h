/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _TIDEMARK_REBOOT_H
#define _TIDEMARK_REBOOT_H

int tidemark_reboot_init(void);
void tidemark_reboot_exit(void);

#endif /* _TIDEMARK_REBOOT_H */
