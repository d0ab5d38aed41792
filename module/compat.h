/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that the module is built for, and nowhere
 * else. Built and run with 6.1 and 6.12.
 */
#ifndef _TIDEMARK_COMPAT_H
#define _TIDEMARK_COMPAT_H

#include <linux/blkdev.h>

/* The mode of a table has its own type, and bits, since 6.5. */
#ifndef BLK_OPEN_WRITE
#define BLK_OPEN_WRITE	FMODE_WRITE
#endif

#endif /* _TIDEMARK_COMPAT_H */
