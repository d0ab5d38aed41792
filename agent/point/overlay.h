/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The overlay writer: a point of one disk as a qcow2 file over its raw replica.
 *
 * It decides where bytes go and keeps the tables; the data is written by the
 * caller's ring, the tables by functions that the caller gives, so that a test
 * needs no file. Data clusters are appended as they arrive. A cluster that is
 * written again keeps its place, so two writes to it must be ordered by the caller.
 *
 * The file, from its start: header cluster (written last, so that a file whose
 * writing was cut short is no qcow2 file), data clusters, L2 tables, L1 table,
 * refcount blocks, refcount table. L2 tables that had to make room in memory lie
 * among the data.
 *
 * A table's place is always a new one at the end of the file, never one that
 * overlay_forget() has freed: what lies there may still be on record as settled,
 * and a run that is taken up again reads it.
 *
 * Memory: that of struct tables for all overlays together; of each, 8 bytes for each
 * L1 entry (at 64 KiB for each 512 MiB of the disk, 32 MiB at most); and one bit for
 * each cluster of the file once something was restored or forgotten.
 */
#ifndef TIDEMARK_POINT_OVERLAY_H
#define TIDEMARK_POINT_OVERLAY_H

#include "point/tables.h"

#define OVERLAY_CLUSTER_MIN 4096u
#define OVERLAY_CLUSTER_MAX 65536u
#define OVERLAY_UUID_SIZE 16

struct overlay;

/** overlay_cluster() - the cluster size for a granule: no larger than 64 KiB */
static inline uint32_t overlay_cluster(uint32_t granule)
{
	return granule < OVERLAY_CLUSTER_MAX ? granule : OVERLAY_CLUSTER_MAX;
}

/**
 * struct overlay_config - what an overlay is to be
 * @size: virtual size, bytes, a multiple of 512
 * @cluster: bytes, a power of two, OVERLAY_CLUSTER_MIN to OVERLAY_CLUSTER_MAX
 * @tables: memory for its tables; may be shared with other overlays of one thread,
 *	outlives them
 * @io: its file, where tables are written to; copied
 * @taken: bytes of the file that may hold data from before, see overlay_restore()
 */
struct overlay_config {
	uint64_t size;
	uint32_t cluster;
	struct tables *tables;
	struct table_io io;
	uint64_t taken;
};

/**
 * struct overlay_label - what is known when it is finished
 * @backing: name of the backing file, at most 1023 bytes, copied
 * @format: of that: "raw" or "qcow2"
 * @tracker: UUID of the tracker that the data came from
 * @epoch: that the point closes
 * @point: its number
 */
struct overlay_label {
	const char *backing;
	const char *format;
	uint8_t tracker[OVERLAY_UUID_SIZE];
	uint64_t epoch;
	uint64_t point;
};

/**
 * overlay_judge() - can there be an overlay of these sizes?
 *
 * Return: 0; -EINVAL: a bound is broken; -EFBIG: the L1 table would be larger
 * than QEMU opens (above 8 TiB with clusters of 4 KiB).
 */
int overlay_judge(uint64_t size, uint32_t cluster);

/**
 * overlay_create() - an overlay in which nothing is allocated
 *
 * Return: 0, as overlay_judge(), or -ENOMEM.
 */
int overlay_create(const struct overlay_config *config, struct overlay **ret);
/** overlay_destroy() - NULL is ignored. Return: NULL */
struct overlay *overlay_destroy(struct overlay *o);

/**
 * overlay_map() - where to write the first bytes of a region
 * @offset: into the disk, a multiple of the cluster size
 * @span: bytes; whole clusters, unless it ends with the disk
 * @ret_offset: into the file
 * @ret_length: whole clusters. Can be less than @span: call again for the rest.
 *	Can be more, by less than a cluster, where the disk ends inside one:
 *	the rest of that cluster is to be written as zeroes.
 *
 * Clusters are allocated as needed. Return: 0; -EINVAL: the region is not as
 * described; -ENOMEM; or the errno of writing or reading a table.
 */
int overlay_map(struct overlay *o, uint64_t offset, uint64_t span, uint64_t *ret_offset,
		uint64_t *ret_length);

/** overlay_zero() - the region reads as zeroes; region and errors as overlay_map() */
int overlay_zero(struct overlay *o, uint64_t offset, uint64_t span);

/**
 * overlay_restore() - a region's data lies where an earlier overlay_map() put it
 * @offset: as for overlay_map(); @span: whole clusters, unless it ends with the disk
 * @place: into the file, before what the overlay was created with as taken
 *
 * What an earlier overlay was told is told again, in its order: by this, by
 * overlay_zero() and overlay_forget(); then overlay_restored(). Return: as overlay_map().
 */
int overlay_restore(struct overlay *o, uint64_t offset, uint64_t span, uint64_t place);

/** overlay_restored() - all is restored: places that nobody has are free. As overlay_map() */
int overlay_restored(struct overlay *o);

/**
 * overlay_forget() - say nothing of a region, as if it had never been mapped or zeroed
 *
 * Its places in the file are used for what is mapped next. Return: as overlay_map().
 */
int overlay_forget(struct overlay *o, uint64_t offset, uint64_t span);

/** overlay_end() - bytes of the file that data may have been written to */
uint64_t overlay_end(const struct overlay *o);

/**
 * overlay_finish() - write the tables, and as the last thing the header
 * @ret_size: of the finished file, a multiple of the cluster size
 *
 * All data has been written before. Nothing of it is in memory then, and it can only be
 * destroyed. Return: 0; -ENAMETOOLONG: the label; -ENOMEM; or an errno as for overlay_map().
 */
int overlay_finish(struct overlay *o, const struct overlay_label *label, uint64_t *ret_size);

#endif
