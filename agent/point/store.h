/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store: where replicas and their points lie on this host.
 *
 *   STORE/.lock                          held by the agent that uses the store
 *   STORE/.state.db                      which points are committed
 *   STORE/COLLECTION/VM/DISK/replica.raw the raw replica, unless configured elsewhere
 *   STORE/COLLECTION/VM/DISK/point-N.qcow2     a point over those before it
 *   STORE/COLLECTION/VM/DISK/....partial         under way: no reader looks at it
 *
 * A file is what the database says it is: a point is committed when its
 * transaction is, and whatever lies in these folders and is not in the
 * database is left over from a crash and removed by store_recover().
 * Documentation/replica.rst argues each step.
 *
 * Threads: all functions may be called from any thread. A collection's files
 * belong to who has claimed it.
 */
#ifndef TIDEMARK_POINT_STORE_H
#define TIDEMARK_POINT_STORE_H

#include "base/name.h"
#include "base/reason.h"
#include "base/util.h"
#include "point/merge.h"

#define STORE_PATH_MAX 1024 /* with the NUL; QEMU takes backing names of 1023 bytes */
#define STORE_UUID_SIZE 16

/* The disk of a VM that was failed over, and of one that is tested: in the disk's folder. */
#define STORE_FAILOVER "failover.qcow2"
#define STORE_TEST "test.qcow2"

struct catalog;
struct catalog_disk;
struct catalog_spared;
struct faults;
struct ring;
struct store;

/**
 * struct store_target - a disk whose raw replica does not lie in the store
 * @collection: of the disk
 * @vm: of the disk
 * @disk: its name
 * @path: block device or file, absolute; a file's folder exists
 * @force: take it over whatever it carries
 */
struct store_target {
	const char *collection;
	const char *vm;
	const char *disk;
	const char *path;
	bool force;
};

/** enum store_state - of a replica */
enum store_state {
	STORE_SEEDING,	 /* its first point was begun and never committed */
	STORE_READY,	 /* openable */
	STORE_DAMAGED,	 /* a comparison will mend it; the reason was logged */
	STORE_RECEIVING, /* openable, and a new point is under way */
	STORE_MERGING,	 /* openable; its newest point goes into the raw replica */
	STORE_CLEARING,	 /* all that is held of it is being given up */
};

/** store_state_name() - "seeding", "ready", "damaged", "receiving", "merging", "clearing" */
const char *store_state_name(enum store_state state);

/**
 * struct store_replica - a replica, for status lines
 * @collection: of the disk
 * @vm: of the disk
 * @disk: its name
 * @path: what to open now (qcow2 if it ends in .qcow2, else raw); "": nothing
 * @size: bytes
 * @point: number of the newest point, 0: none
 * @created: when it was committed, seconds since 1970
 * @tracker: UUID of the tracker that it came from
 * @epoch: that it closed
 * @state: of the replica
 * @reversed: it was failed over to, and is sent from here since: no replica any more
 * @done: bytes of its collection that an import has read
 * @total: of so many; 0: none is under way
 * @error: why nothing is received of its collection, see store_recover(); "": it is
 */
struct store_replica {
	char collection[NAME_SIZE];
	char vm[NAME_SIZE];
	char disk[NAME_SIZE];
	char path[STORE_PATH_MAX];
	uint64_t size;
	uint64_t point;
	int64_t created;
	uint8_t tracker[STORE_UUID_SIZE];
	uint64_t epoch;
	enum store_state state;
	bool reversed;
	uint64_t done;
	uint64_t total;
	char error[REASON_TEXT_MAX];
};

/**
 * store_open() - lock a store and open its state
 * @dir: folder of the store; created if its parent exists
 * @state_path: NULL: ".state.db" in @dir
 * @targets: copied
 *
 * Return: 0; -EBUSY: another agent has it; or another errno. @reason is filled.
 */
int store_open(const char *dir, const char *state_path, const struct store_target *targets,
	       size_t target_count, struct store **ret, struct reason *reason);
/** store_close() - NULL is ignored. Return: NULL */
struct store *store_close(struct store *s);

/**
 * store_recover() - remove what a crash left behind; before anything is claimed
 *
 * Unlinks partial files and points that were never committed, and forgets disks that
 * never had one. Points that were committed and not merged are left to retain_run().
 *
 * A collection of which something cannot be cleared up (a file that cannot be removed)
 * has a fault from here on, which is logged; the others are ready to be used.
 *
 * Return: 0, faults or not; or an errno: nothing can be used.
 */
int store_recover(struct store *s, struct reason *reason);

/** store_fault() - why nothing may be received of a collection. Return: is there a reason? */
bool store_fault(struct store *s, const char *collection, struct reason *ret);
/** store_next_fault() - the next collection by name that has one; @after: "" at first */
bool store_next_fault(struct store *s, const char *after, char ret[NAME_SIZE]);

/**
 * store_mend() - clear up a collection that has a fault
 * @collection: claimed by the caller, who is about to begin something in it
 *
 * Return: 0: it has none, or none any more; or a negative errno with the fault's reason.
 */
int store_mend(struct store *s, const char *collection, struct reason *reason);

/** store_recover_disks() - remove what is not known of a collection, claimed by the caller */
int store_recover_disks(struct store *s, const char *collection, struct reason *reason);

/**
 * store_claim() - have a collection for oneself
 * @wait_ms: how long to wait for who has it
 *
 * Return: 0, or -EBUSY with @reason saying what is being done to it.
 */
int store_claim(struct store *s, const char *collection, unsigned int wait_ms,
		struct reason *reason);
void store_release(struct store *s, const char *collection);
/** store_wanted() - does somebody wait in store_claim()? What can wait itself lets him */
bool store_wanted(struct store *s, const char *collection);

/**
 * store_set_history() - how many further points are kept
 * @history: of a collection whose sender says nothing of it
 * @max: whatever the sender says; at most 24
 */
void store_set_history(struct store *s, unsigned int history, unsigned int max);
/** store_history() - how many further points of a collection are kept */
unsigned int store_history(struct store *s, const char *collection);

/**
 * store_pin() - use a point: it is kept until store_unpin(), whatever the limit
 *
 * Return: 0; -ENOENT: there is no such point; -ENOMEM.
 */
int store_pin(struct store *s, const char *collection, uint64_t point);
void store_unpin(struct store *s, const char *collection, uint64_t point);
/** store_pinned() - does anybody use it? */
bool store_pinned(struct store *s, const char *collection, uint64_t point);
/** store_retire() - a point is kept no more. Return: 0; -EBUSY: it is in use; -ENOENT; errno */
int store_retire(struct store *s, const char *collection, uint64_t point);

/**
 * store_absorbed() - a layer is in the raw replica; as catalog_absorbed()
 *
 * Return: 0; 1: somebody has begun to use the layer meanwhile, so its file stays; errno.
 */
int store_absorbed(struct store *s, const struct catalog_disk *disk, uint64_t point,
		   uint64_t above, const void *header, size_t header_size);

/**
 * store_clear() - all points of a collection, which the caller has claimed, are kept no more
 * @spared: see catalog_clear()
 *
 * Return: 0; -EBUSY: one of them is in use; errno.
 */
int store_clear(struct store *s, const char *collection, const struct catalog_spared *spared,
		size_t count);

/**
 * store_remove_cleared() - remove what is left of it: files, and folders that are empty
 *
 * It has a fault if that fails, and none if not.
 */
int store_remove_cleared(struct store *s, const char *collection, struct reason *reason);

/** store_status() - every replica; as receiver_status() */
int store_status(struct store *s, int (*cb)(const struct store_replica *replica, void *arg),
		 void *arg);

/**
 * store_open_path() - where the openable replica of a disk is now
 * @ret: its newest committed overlay, or the raw replica when that is merged
 *
 * Return: 0; -ENOENT: no such disk, or it has no point.
 */
int store_open_path(struct store *s, const char *collection, const char *vm, const char *disk,
		    char ret[STORE_PATH_MAX]);

/* -- for stages ----------------------------------------------------------------- */

/** store_catalog() - the tables */
struct catalog *store_catalog(struct store *s);
/** store_dir() - the folder of the store, absolute */
const char *store_dir(const struct store *s);
/** store_faults() - of its collections; only leftover.c sets them */
struct faults *store_faults(struct store *s);

/** store_target() - the configured place of a disk, NULL: it lies in the store */
const struct store_target *store_target(struct store *s, const char *collection,
					const char *vm, const char *disk);

/** store_folder() - of a disk, absolute. Return: 0 or -ENAMETOOLONG */
int store_folder(struct store *s, const char *collection, const char *vm, const char *disk,
		 char ret[STORE_PATH_MAX]);

/** store_make_folder() - make it, durably */
int store_make_folder(struct store *s, const char *collection, const char *vm, const char *disk,
		      struct reason *reason);

/** store_remove_folders() - those that were made for a disk, where they are empty */
void store_remove_folders(struct store *s, const char *collection, const char *vm,
			  const char *disk);

/**
 * store_leave() - a file of what was given up cannot be removed: a fault of its collection
 * @err: why not, a negative errno
 */
void store_leave(struct store *s, const char *collection, const char *path, int err);

/**
 * store_progress() - how far what is being done to a claimed collection is, for status
 * @done: bytes
 * @total: of so many; 0: nothing is to be said
 */
void store_progress(struct store *s, const char *collection, uint64_t done, uint64_t total);

/** store_activity() - what is being done to a claimed collection, for status */
void store_activity(struct store *s, const char *collection, enum store_state activity);
enum store_state store_activity_of(struct store *s, const char *collection);

#endif
