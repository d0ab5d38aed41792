/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Points as people see them: which there are, what they take, whether they are
 * still what they were; and to be rid of one.
 */
#ifndef TIDEMARK_POINT_POINTS_H
#define TIDEMARK_POINT_POINTS_H

#include "point/catalog-point.h"
#include "point/merge.h"
#include "point/store.h"

/**
 * struct points_disk - a disk at a point
 * @vm: name
 * @disk: name
 * @layer: point whose layer it is: of this point, or of an older one
 * @path: what to open (qcow2 if it ends in .qcow2, else raw); "": it is lost
 * @size: bytes
 * @space: that its layer takes on the file system; 0: a device
 * @tracker: UUID
 * @epoch: that it closed
 * @digested: @digest is known: a verification has taken it
 * @digest: of all bytes
 */
struct points_disk {
	char vm[NAME_SIZE];
	char disk[NAME_SIZE];
	uint64_t layer;
	char path[STORE_PATH_MAX];
	uint64_t size;
	uint64_t space;
	uint8_t tracker[STORE_UUID_SIZE];
	uint64_t epoch;
	bool digested;
	uint8_t digest[CATALOG_DIGEST_SIZE];
};

/**
 * struct points_point - a point of a collection
 * @number: of it
 * @created: seconds since 1970
 * @consistency: 1 application, 2 crash, 3 group crash
 * @final: nobody wrote to the disks any more
 * @newest: of the collection
 * @in_use: it is verified, tested or failed over to
 * @space: of the layers that came with it
 * @disks: @disk_count of them
 */
struct points_point {
	uint64_t number;
	int64_t created;
	uint32_t consistency;
	bool final;
	bool newest;
	bool in_use;
	uint64_t space;
	struct points_disk *disks;
	size_t disk_count;
};

/**
 * points_list() - the points of a collection, the oldest first
 * @ret: freed by points_free()
 *
 * Return: 0; -ENOENT: there is no such collection here; an errno.
 */
int points_list(struct store *s, const char *collection, struct points_point **ret,
		size_t *ret_count, struct reason *reason);
/** points_free() - NULL is ignored */
void points_free(struct points_point *points, size_t count);

/** points_find() - the number of a point: @number, or the newest one for 0 */
int points_find(struct store *s, const char *collection, uint64_t number, uint64_t *ret,
		struct reason *reason);

/**
 * points_verify() - read all of a point, and compare it with what it was
 * @number: 0: the newest
 * @tick: asked now and then
 * @ret_fresh: disks whose digest was taken for the first time
 *
 * The first verification of a disk at a point records its digest, a later one
 * compares: @reason names the first disk that differs or cannot be read, with
 * -EUCLEAN. Any thread; the point is in use meanwhile.
 */
int points_verify(struct store *s, const char *collection, uint64_t number,
		  const struct merge_tick *tick, size_t *ret_fresh, struct reason *reason);

/**
 * points_delete() - a point is no point any more
 *
 * Durable when it returns; the space comes back by retain_run(). The newest
 * point is what the next run builds on: it cannot be deleted.
 *
 * Return: 0; -ENOENT; -EBUSY: in use; -EINVAL: the newest; an errno.
 */
int points_delete(struct store *s, const char *collection, uint64_t number,
		  struct reason *reason);

#endif
