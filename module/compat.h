/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the module is built for, and the only
 * place that asks for a kernel's version. Built and run with 6.1 and 6.12.
 */
#ifndef _TIDEMARK_COMPAT_H
#define _TIDEMARK_COMPAT_H

#include <linux/blkdev.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "dm-tidemark needs Linux 6.1 or newer"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define BLK_OPEN_WRITE	FMODE_WRITE
#endif

#endif /* _TIDEMARK_COMPAT_H */
