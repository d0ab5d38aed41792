/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of the fuzzer share; see fuzz.c. */
#ifndef TESTS_MODULE_FUZZ_H
#define TESTS_MODULE_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "metadata.h"

#define FUZZ_DISKS 4
#define FUZZ_BYTES (8ULL << 20)
#define FUZZ_INPUT 256
#define FUZZ_ARENA (1 << 18)

/**
 * struct fuzz_input - bytes that decide everything that one round does
 * @bytes: the input
 * @length: how many
 * @at: the next one; past the end all are 0
 */
struct fuzz_input {
	uint8_t bytes[FUZZ_INPUT];
	unsigned int length;
	unsigned int at;
};

/**
 * struct fuzz_thread - one of those that fuzz
 * @index: its number
 * @input: what it is at
 * @control: the control device, read and write
 * @control_ro: the same, read only
 * @netlink: a generic netlink socket
 * @arena: memory that requests point to; a page that cannot be touched follows
 * @readonly: a page that cannot be written
 * @calls: system calls made
 * @good: of them, successful ones
 * @strange: a request ended as its description forbids
 */
struct fuzz_thread {
	unsigned int index;
	struct fuzz_input input;
	int control;
	int control_ro;
	int netlink;
	uint8_t *arena;
	uint8_t *readonly;
	uint64_t calls;
	uint64_t good;
	uint64_t strange;
};

/* The loop devices: of the data, and one for metadata, whose file is named, too. */
extern char fuzz_data[FUZZ_DISKS][64];
extern struct metadata fuzz_metadata;
extern uint16_t fuzz_family;

uint32_t fuzz_take(struct fuzz_input *input, unsigned int bytes);
uint32_t fuzz_below(struct fuzz_input *input, uint32_t limit);
uint64_t fuzz_number(struct fuzz_input *input);
bool fuzz_one_in(struct fuzz_input *input, uint32_t count);

void fuzz_request(struct fuzz_thread *thread);
void fuzz_table(struct fuzz_thread *thread);
void fuzz_message(struct fuzz_thread *thread);
void fuzz_device(struct fuzz_thread *thread);
void fuzz_netlink(struct fuzz_thread *thread);
void fuzz_name(struct fuzz_input *input, char ret_name[16]);

void fuzz_count(struct fuzz_thread *thread, int err);

#endif /* TESTS_MODULE_FUZZ_H */
