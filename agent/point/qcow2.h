/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qcow2 as it stands on disk, version 3: what a point's overlay needs of it.
 * The format is specified in QEMU's docs/interop/qcow2. All numbers are
 * big-endian. The writer is overlay.c, the validating reader reader.c.
 */
#ifndef TIDEMARK_POINT_QCOW2_H
#define TIDEMARK_POINT_QCOW2_H

#include "base/util.h"

typedef struct { uint32_t raw; } __attribute__((packed)) be32;
typedef struct { uint64_t raw; } __attribute__((packed)) be64;

static inline uint32_t be32_get(be32 v) { return be32toh(v.raw); }
static inline uint64_t be64_get(be64 v) { return be64toh(v.raw); }
static inline be32 be32_of(uint32_t v) { return (be32){ htobe32(v) }; }
static inline be64 be64_of(uint64_t v) { return (be64){ htobe64(v) }; }

#define QCOW2_MAGIC 0x514649fbu /* "QFI\xfb" */
#define QCOW2_VERSION 3
#define QCOW2_CLUSTER_BITS_MIN 9
#define QCOW2_CLUSTER_BITS_MAX 21
/* QEMU opens no image with a larger L1 table. */
#define QCOW2_L1_MAX MIB(32)
#define QCOW2_BACKING_MAX 1023

#define QCOW2_COPIED (1ull << 63)     /* L1, L2: the reference count is exactly 1 */
#define QCOW2_COMPRESSED (1ull << 62) /* L2 */
#define QCOW2_ZERO (1ull << 0)	      /* L2: reads as zeroes, whatever the cluster holds */
#define QCOW2_OFFSET 0x00fffffffffffe00ull

#define QCOW2_EXT_END 0
#define QCOW2_EXT_BACKING_FORMAT 0xe2792acau
/* Ours, "TDMK": the tracker and the epoch that the point closed. */
#define QCOW2_EXT_TIDEMARK 0x54444d4bu

#define QCOW2_REFCOUNT_ORDER 4 /* 16 bits */
#define QCOW2_REFCOUNT_MAX 0xffffu

/** struct qcow2_header - the first 104 bytes */
struct qcow2_header {
	be32 magic;
	be32 version;
	be64 backing_offset;
	be32 backing_size;
	be32 cluster_bits;
	be64 size;
	be32 crypt_method;
	be32 l1_size;
	be64 l1_offset;
	be64 refcount_offset;
	be32 refcount_clusters;
	be32 snapshots;
	be64 snapshots_offset;
	be64 incompatible;
	be64 compatible;
	be64 autoclear;
	be32 refcount_order;
	be32 header_length;
} __attribute__((packed));
_Static_assert(sizeof(struct qcow2_header) == 104, "the header of version 3");

/** struct qcow2_extension - in front of an extension's data, which is padded to 8 bytes */
struct qcow2_extension {
	be32 type;
	be32 length;
} __attribute__((packed));

/** struct qcow2_tidemark - data of QCOW2_EXT_TIDEMARK */
struct qcow2_tidemark {
	uint8_t tracker[16];
	be64 epoch;
	be64 point;
} __attribute__((packed));

#endif
