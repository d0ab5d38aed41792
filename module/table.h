/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a table line of target "tidemark" says. Pure: words in, words out.
 */
#ifndef _TIDEMARK_TABLE_H
#define _TIDEMARK_TABLE_H

#include <linux/tidemark.h>
#include <linux/types.h>
#include <linux/uuid.h>

/**
 * struct tidemark_table - a table line
 * @data: word for the data device, of the parsed line
 * @meta: word for the metadata device, the same; NULL: none
 * @granule_sectors: sectors in a granule, not checked
 * @pool_bytes: size of the preserve pool, if @pool_given
 * @pool_given: the line has it
 * @identity: what the disk is called, "": nothing
 * @boot: which boot this is, if @boot_given
 * @boot_given: the line has it
 */
struct tidemark_table {
	const char *data;
	const char *meta;
	u32 granule_sectors;
	u64 pool_bytes;
	bool pool_given;
	char identity[TIDEMARK_IDENTITY_MAX + 1];
	uuid_t boot;
	bool boot_given;
};

int tidemark_table_parse(struct tidemark_table *table, unsigned int argc,
			 char **argv, char **ret_why);
unsigned int tidemark_table_features(const struct tidemark_table *table,
				     char *text, unsigned int size);

#endif /* _TIDEMARK_TABLE_H */
