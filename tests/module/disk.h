/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the tests of the module share: tracked disks on loop devices whose
 * files lie in memory, requests, sets of granules, events. They need root, and
 * are run in a guest (tests/guest/run).
 */
#ifndef TESTS_MODULE_DISK_H
#define TESTS_MODULE_DISK_H

#include <linux/tidemark.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

/**
 * struct disk - a tracked disk
 * @name: device-mapper name
 * @path: of the tracked device
 * @file: behind the loop device
 * @loop: the loop device
 * @data: the data device: @loop, or a dm-delay over it
 * @delay: device-mapper name of the dm-delay, or ""
 * @bytes: size
 * @granule: sectors in a granule
 * @meta: word for its metadata device, or "": none
 * @features: of its table, with their count, or ""
 * @id: its number
 */
struct disk {
	char name[32];
	char path[64];
	char file[64];
	char loop[64];
	char data[64];
	char delay[32];
	uint64_t bytes;
	uint32_t granule;
	char meta[64];
	char features[160];
	uint64_t id;
};

/**
 * struct disk_options - what a disk is made of
 * @bytes: size
 * @granule: sectors in a granule, 0: 128
 * @logical: logical sector size, 0: 512
 * @delay_ms: writes below take so long, 0: no dm-delay
 */
struct disk_options {
	uint64_t bytes;
	uint32_t granule;
	uint32_t logical;
	uint32_t delay_ms;
};

__attribute__((format(printf, 1, 2))) int sh(const char *format, ...);

int disk_create(struct disk *disk, const char *name, struct disk_options options);
void disk_remove(struct disk *disk);
int disk_reload(struct disk *disk, const char *table);
int disk_attach(struct disk *disk);
uint64_t disk_find(const char *name);

int request(unsigned long number, void *argument);
void request_close(void);
struct tidemark_info disk_info(const struct disk *disk);
int seal(const struct disk *disk, uint32_t flags, uint64_t *ret_epoch);
int seal_wait(const struct disk *disk, uint64_t epoch, uint32_t timeout_ms);
int seal_drained(const struct disk *disk, uint32_t flags, uint64_t *ret_epoch);
int change(unsigned long number, const struct disk *disk, uint64_t epoch, uint64_t first,
	   uint64_t count);
int end(unsigned long number, const struct disk *disk, uint64_t epoch);

uint8_t *granules_read(const struct disk *disk, uint32_t which, uint64_t *ret_count);
const char *granules_text(const struct disk *disk, uint32_t which);
void *file_copy(const struct disk *disk);
uint64_t granules_missed(const struct disk *disk, const void *before);
uint64_t granules_changed(const struct disk *disk, const void *before);

int write_at(const char *path, int flags, uint64_t offset, size_t length, int byte);
bool file_equal(const char *one, const char *two, uint64_t bytes);

struct events;

/**
 * struct event - what arrived
 * @type: enum tidemark_event
 * @seq: its number
 * @disk: the disk's number
 * @epoch: that it is about
 * @granules: that it is about
 * @reason: enum tidemark_reason
 * @name: the disk's name
 */
struct event {
	int type;
	uint64_t seq;
	uint64_t disk;
	uint64_t epoch;
	uint64_t granules;
	uint32_t reason;
	char name[TIDEMARK_NAME_SIZE];
};

struct events *events_open(void);
void events_close(struct events *events);
int events_limit(struct events *events, int bytes);
int events_next(struct events *events, int timeout_ms, struct event *ret_event);

#endif /* TESTS_MODULE_DISK_H */
