/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A metadata device for the tests: a file behind a loop device behind a linear
 * device, which can be made to fail, hang or delay. What is on it is read here
 * by code of its own, from <linux/tidemark-meta.h> alone.
 */
#ifndef TESTS_MODULE_METADATA_H
#define TESTS_MODULE_METADATA_H

#include <linux/tidemark-meta.h>
#include <stdbool.h>
#include <stdint.h>

#include "disk.h"

/**
 * struct metadata - a metadata device
 * @name: device-mapper name
 * @path: of the device
 * @file: what is below
 * @loop: between the two
 * @sectors: size
 */
struct metadata {
	char name[32];
	char path[64];
	char file[64];
	char loop[64];
	uint64_t sectors;
};

int metadata_create(struct metadata *meta, const char *name, uint64_t bytes);
void metadata_remove(struct metadata *meta);
int metadata_format(const struct metadata *meta, uint64_t disk_bytes, uint32_t granule);

int metadata_table(const struct metadata *meta, const char *format);

int metadata_super(const struct metadata *meta, struct tidemark_meta_super *ret);
int metadata_super_put(const struct metadata *meta, struct tidemark_meta_super super);
uint8_t *metadata_bits(const struct metadata *meta, bool intent, uint64_t *ret_count,
		       uint32_t *ret_bad);
uint32_t metadata_block_crc(uint64_t granule);
uint8_t *metadata_changed(const struct metadata *meta, uint64_t *ret_count);
uint64_t metadata_unit(const struct metadata *meta, bool intent, uint64_t unit);
int metadata_damage(const struct metadata *meta, uint64_t offset);

#endif /* TESTS_MODULE_METADATA_H */
