/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The catalog's points: which a collection has, of which layers a disk is made
 * of, and the steps by which layers become fewer. See catalog.h for the rest.
 *
 * A layer is a disk's part of a point: the oldest one is the raw replica, every
 * other one an overlay over the one before it. A disk has none for a point
 * whose run it was no part of: then its newest layer that is older counts.
 *
 * A point that is *retired* is no point any more: nobody is shown it. Its
 * layers go when no point that is kept needs them; that takes its time, and can
 * be cut short anywhere.
 */
#ifndef TIDEMARK_POINT_CATALOG_POINT_H
#define TIDEMARK_POINT_CATALOG_POINT_H

#include "point/catalog.h"

#define CATALOG_DIGEST_SIZE 16
/* All of a header that can change when the file below gets another name. */
#define CATALOG_HEADER_MAX 4096

/**
 * struct catalog_point - a point that is kept
 * @number: of it
 * @created: seconds since 1970
 * @consistency: 1 application, 2 crash, 3 group crash
 * @final: nobody wrote to the disks any more
 */
struct catalog_point {
	uint64_t number;
	int64_t created;
	uint32_t consistency;
	bool final;
};

/**
 * struct catalog_layer - a disk's part of a point
 * @point: its number
 * @file: name of the overlay; "": the raw replica
 * @size: bytes of the disk
 * @tracker: UUID
 * @epoch: that it closed
 * @broken: what it said is lost; a layer over it was compared with what is there
 * @digested: @digest has been recorded
 * @digest: of all bytes of the disk at that point
 */
struct catalog_layer {
	uint64_t point;
	char file[CATALOG_FILE_MAX];
	uint64_t size;
	uint8_t tracker[STORE_UUID_SIZE];
	uint64_t epoch;
	bool broken;
	bool digested;
	uint8_t digest[CATALOG_DIGEST_SIZE];
};

/** struct catalog_file - a file in a disk's folder that the database knows */
struct catalog_file {
	char collection[NAME_SIZE];
	char vm[NAME_SIZE];
	char disk[NAME_SIZE];
	char file[CATALOG_FILE_MAX];
};

/** struct catalog_header - a header that must be written before anything else is done */
struct catalog_header {
	int64_t disk;
	uint64_t point;
	struct catalog_file at;
	size_t size;
	uint8_t header[CATALOG_HEADER_MAX];
};

/** catalog_points() - a collection's points that are kept, the oldest first; @ret: to be freed */
int catalog_points(struct catalog *c, const char *collection, struct catalog_point **ret,
		   size_t *ret_count);

/**
 * catalog_layers() - of what a disk is made at a point, the raw replica first
 * @point: its number; UINT64_MAX: the newest
 * @ret: to be freed
 */
int catalog_layers(struct catalog *c, int64_t disk, uint64_t point, struct catalog_layer **ret,
		   size_t *ret_count);

/** catalog_files() - all overlays of all disks; @ret: to be freed */
int catalog_files(struct catalog *c, struct catalog_file **ret, size_t *ret_count);

/** catalog_history() - what the sender wants kept. Return: 0 or more, -1: it has said nothing */
int catalog_history(struct catalog *c, const char *collection);

/** catalog_retire() - a point is no point any more. Return: 0, -ENOENT, or errno */
int catalog_retire(struct catalog *c, const char *collection, uint64_t number);

/**
 * catalog_absorbed() - the raw replica has, durably, what an overlay says
 * @point: number of that overlay's layer, which is the raw replica from here on
 * @above: number of the layer over it, 0: none
 * @header: that @above's file is to have, to be written before the overlay goes
 */
int catalog_absorbed(struct catalog *c, int64_t disk, uint64_t point, uint64_t above,
		     const void *header, size_t header_size);

/** catalog_headers() - headers that are to be written; @ret: to be freed */
int catalog_headers(struct catalog *c, struct catalog_header **ret, size_t *ret_count);
/** catalog_rebased() - such a header has been written, durably */
int catalog_rebased(struct catalog *c, int64_t disk, uint64_t point);

/** catalog_joined() - the overlay over a layer says, durably, what that said too: it is gone */
int catalog_joined(struct catalog *c, int64_t disk, uint64_t point);

/** catalog_digest() - record the digest of a layer */
int catalog_digest(struct catalog *c, int64_t disk, uint64_t point, const uint8_t *digest);

#endif
