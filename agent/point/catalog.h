/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The catalog: the store's tables. Which disks have a replica here, where it
 * is and by what it is known again; which points are committed; which of them
 * are still overlays. Only this unit has SQL of the store's.
 *
 * Threads: every call is one transaction under a lock of its own.
 */
#ifndef TIDEMARK_POINT_CATALOG_H
#define TIDEMARK_POINT_CATALOG_H

#include "point/guard.h"
#include "point/store.h"

#define CATALOG_FILE_MAX 64

struct catalog;

/** enum catalog_state - what the database knows of a disk's raw replica */
enum catalog_state {
	CATALOG_SEEDING = 0, /* begun; holds nothing that anybody may rely on */
	CATALOG_READY = 1,
	CATALOG_DAMAGED = 2, /* a point was lost: compare before it is relied on */
};

/**
 * struct catalog_disk - a disk's row, with its newest point
 * @id: of the row
 * @path: of the raw replica
 * @device: it is a block device
 * @identity: by what that is known again, see guard_identity()
 * @size: bytes of the disk at its newest point
 * @granule: bytes
 * @tracker: UUID, zeroes when no incremental run may follow
 * @epoch: that the newest point closed
 * @point: its number, 0: none
 * @created: when, seconds since 1970
 * @file: name of its overlay, "": it is the raw replica
 * @adopted: a disk that was sent from here: it stays at @path, configured or not
 * @doubted: and its tracker was not to be trusted then
 */
struct catalog_disk {
	int64_t id;
	char collection[NAME_SIZE];
	char vm[NAME_SIZE];
	char name[NAME_SIZE];
	char path[STORE_PATH_MAX];
	bool device;
	char identity[GUARD_IDENTITY_MAX];
	uint64_t size;
	uint32_t granule;
	uint8_t tracker[STORE_UUID_SIZE];
	uint64_t epoch;
	enum catalog_state state;
	uint64_t point;
	int64_t created;
	char file[CATALOG_FILE_MAX];
	bool adopted;
	bool doubted;
};

/**
 * struct catalog_entry - one disk of a point that is committed
 * @disk: id of its row
 * @file: name of the overlay, NULL: written into the raw replica
 */
struct catalog_entry {
	int64_t disk;
	const char *file;
	uint64_t size;
	uint32_t granule;
	uint8_t tracker[STORE_UUID_SIZE];
	uint64_t epoch;
};

/**
 * struct catalog_label - what is said of a point as a whole
 * @consistency: 1 application, 2 crash, 3 group crash
 * @history: further points that the sender wants kept, -1: it says nothing
 * @final: nobody writes to the disks any more
 */
struct catalog_label {
	uint32_t consistency;
	int32_t history;
	bool final;
};

/** catalog_open() - the database at @path; created if need be */
int catalog_open(const char *path, struct catalog **ret, struct reason *reason);
/** catalog_close() - NULL is ignored. Return: NULL */
struct catalog *catalog_close(struct catalog *c);

/** catalog_find() - a disk's row. Return: 1: found, 0: there is none, or errno */
int catalog_find(struct catalog *c, const char *collection, const char *vm, const char *name,
		 struct catalog_disk *ret);

/**
 * catalog_find_other() - another disk than this one whose raw replica is at @path, or is
 * the device known by @identity (unless that says nothing: "file", "path")
 *
 * Return: 1: there is one, 0: there is none, or errno
 */
int catalog_find_other(struct catalog *c, const char *collection, const char *vm,
		       const char *name, const char *path, const char *identity,
		       struct catalog_disk *ret);

/**
 * catalog_seed() - record, durably, that a disk's raw replica is being begun
 * @disk: names, path, device, identity, size, granule. What was known of the
 *	disk before is forgotten, its points too.
 * @ret: id of its row
 */
int catalog_seed(struct catalog *c, const struct catalog_disk *disk, int64_t *ret);

/**
 * catalog_unseed() - forget, durably, a disk that was begun and never got a point
 * @disk: id of its row; one that has a point stays
 */
int catalog_unseed(struct catalog *c, int64_t disk);

/**
 * catalog_adopt() - a disk that was sent from here is a replica from here on
 * @disk: names, path, device, identity, size, granule, doubted
 *
 * What it holds is nearly what will be sent: it is shown as a replica that must
 * be compared. What was known of a replica of these names is forgotten.
 */
int catalog_adopt(struct catalog *c, const struct catalog_disk *disk);

/** catalog_next_point() - the number that the collection's next point will have */
int catalog_next_point(struct catalog *c, const char *collection, uint64_t *ret);

/**
 * catalog_commit() - the collection has a new point: one transaction
 * @number: from catalog_next_point()
 *
 * Return: 0: durable. Anything else: the outcome of the transaction may be
 * unknown, and catalog_poisoned() says whether it is.
 */
int catalog_commit(struct catalog *c, const char *collection, uint64_t number,
		   const struct catalog_label *label, const struct catalog_entry *entries,
		   size_t count);

/**
 * catalog_poisoned() - did a transaction end with an unknown outcome?
 *
 * Then the database may or may not say that a point is committed, and only
 * reading it anew tells. All calls fail with -EIO from there on, and no file
 * may be removed: the next start finds out.
 */
bool catalog_poisoned(struct catalog *c);

/**
 * catalog_damaged() - layers of a disk are lost: it is to be compared
 * @from: number of the point of the lowest of them
 * @raw: the raw replica, too, is not what it was
 */
int catalog_damaged(struct catalog *c, int64_t disk, uint64_t from, bool raw);

/**
 * catalog_list() - rows ordered by collection, vm and name
 * @collection: of this one only; NULL: all
 * @ret: array, to be freed
 */
int catalog_list(struct catalog *c, const char *collection, struct catalog_disk **ret,
		 size_t *ret_count);

#endif
