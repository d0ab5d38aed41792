/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packing: the bytes of a PACKED frame, one zstd frame for each. Pure. What is
 * unpacked is as long as the frame's span says, which is bounded before, or it is a
 * fault: no length inside of it is believed, and nothing is allocated by it.
 */
#ifndef TIDEMARK_WIRE_PACK_H
#define TIDEMARK_WIRE_PACK_H

#include "wire/frame.h"

struct packer;

/** packer_create() - 1.3 MiB that packs one region after the other. 0 or -ENOMEM */
int packer_create(struct packer **ret);
/** packer_destroy() - NULL is ignored. Return: NULL */
struct packer *packer_destroy(struct packer *p);

/**
 * packer_run() - pack, if that pays
 * @to: room for @size bytes
 *
 * It pays when an eighth is saved. After a region that did not, the next fifteen are
 * not tried.
 *
 * Return: bytes at @to; 0: it does not pay.
 */
uint32_t packer_run(struct packer *p, const void *from, uint32_t size, void *to);

/**
 * unpack() - what packer_run() has packed
 * @to: @span bytes
 *
 * Return: FRAME_OK, or FRAME_FAULT_PAYLOAD: it is not @span bytes.
 */
int unpack(const void *from, uint32_t length, void *to, uint32_t span);

#endif
