/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packing: the bytes of a PACKED frame, one zstd frame for each, and of a PACKED_LZ4
 * frame, one LZ4 block for each. Pure. What is unpacked is as long as the frame's span
 * says, which is bounded before, or it is a fault: no length inside of it is believed, and
 * nothing is allocated by it.
 *
 * zstd packs better, LZ4 faster. Which of them brings more bytes of a disk over a link in
 * a second depends on the link: see Documentation/benchmarks.rst, "Packing".
 */
#ifndef TIDEMARK_WIRE_PACK_H
#define TIDEMARK_WIRE_PACK_H

#include "wire/frame.h"

struct packer;

/*
 * Bytes a second that one processor packs, with room for what else it has to do: on a link
 * that takes as many it does not pay.
 */
#define PACK_ZSTD_RATE MIB(150)
#define PACK_LZ4_RATE MIB(400)

/**
 * packer_create() - 1.3 MiB that pack one region after the other
 * @features: agreed on, enum frame_feature: says what they may be packed with
 *
 * Return: 0 or -ENOMEM.
 */
int packer_create(struct packer **ret, uint32_t features);
/** packer_destroy() - NULL is ignored. Return: NULL */
struct packer *packer_destroy(struct packer *p);

/**
 * packer_choose() - how to send on a link
 * @rate: bytes a second that it takes; 0: not known
 *
 * What was not agreed on is not replaced by the other one.
 *
 * Return: FRAME_PACKED, FRAME_PACKED_LZ4, or FRAME_DATA: not packed.
 */
enum frame_type packer_choose(const struct packer *p, uint64_t rate);

/**
 * packer_run() - pack, if that pays
 * @type: of the frame, as packer_choose() says; FRAME_DATA never pays
 * @to: room for @size bytes
 *
 * It pays when an eighth is saved. After a region that did not, the next fifteen are
 * not tried, whatever they would be packed with.
 *
 * Return: bytes at @to; 0: it does not pay.
 */
uint32_t packer_run(struct packer *p, enum frame_type type, const void *from, uint32_t size,
		    void *to);

/**
 * unpack() - what packer_run() has packed
 * @type: FRAME_PACKED or FRAME_PACKED_LZ4
 * @to: @span bytes
 *
 * Return: FRAME_OK, or FRAME_FAULT_PAYLOAD: it is not @span bytes.
 */
int unpack(enum frame_type type, const void *from, uint32_t length, void *to, uint32_t span);

#endif
