/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of views share. */
#ifndef TESTS_MODULE_VIEWS_H
#define TESTS_MODULE_VIEWS_H

#include <pthread.h>

#include "disk.h"

#define OLD 0x0a
#define NEW 0x0b

/**
 * struct writer - a write by another thread
 * @thread: that does it
 * @disk: to which disk
 * @granule: one of @count
 * @count: how many, 0: 1
 * @byte: what it writes
 * @seconds: out: how long it took
 * @ended: out: when it had ended
 * @err: out: how it ended
 * @done: out: it has ended
 */
struct writer {
	pthread_t thread;
	struct disk *disk;
	uint64_t granule;
	uint64_t count;
	int byte;
	double seconds;
	double ended;
	int err;
	volatile bool done;
};

double now(void);
unsigned long long sectors(const struct disk *disk);

int view_create(const struct disk *disk);
int view_remove(const struct disk *disk);
int pool_set(const struct disk *disk, uint64_t bytes);
bool pool_empty(const struct disk *disk);
bool message_is(const struct disk *disk, const char *text);

int byte_at(const char *path, uint64_t offset, uint64_t length, uint64_t step);
int view_byte(const struct disk *disk, uint64_t granule);
int data_byte(const struct disk *disk, uint64_t granule);
int write_granules(const struct disk *disk, uint64_t first, uint64_t count, int byte);

void writer_start(struct writer *writer);
void writer_join(struct writer *writer);

#endif /* TESTS_MODULE_VIEWS_H */
