/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control device, as the other files of the library see it.
 *
 * No part of the public interface.
 */
#ifndef LIBTIDEMARK_CONTROL_H
#define LIBTIDEMARK_CONTROL_H

#include "libtidemark/tidemark.h"

/**
 * control_request() - one ioctl on the control device
 * @t: the handle
 * @request: TIDEMARK_IOC_*
 * @arg: its struct, with @size filled in
 *
 * Return: 0 or the kernel's negative errno.
 */
int control_request(struct tidemark *t, unsigned long request, void *arg);

/**
 * control_range() - give a range its end
 * @t: the handle
 * @disk: the disk's number
 * @first: the first granule
 * @count: how many granules; UINT64_MAX becomes what is left of the disk
 *
 * Return: 0; -EINVAL: @first lies behind the end; an error of INFO.
 */
int control_range(struct tidemark *t, uint64_t disk, uint64_t first, uint64_t *count);

#endif
