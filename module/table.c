// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a table line of target "tidemark" says, see table.h.
 *
 *	<data device> <metadata device | -> <granule sectors>
 *	[<count of feature words> [pool <bytes>] [identity <word>] [boot <uuid>]]
 */
#include "table.h"

#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

static int feature_pool(struct tidemark_table *table, const char *word)
{
	if (kstrtou64(word, 10, &table->pool_bytes) ||
	    table->pool_bytes > TIDEMARK_POOL_MAX)
		return -EINVAL;
	table->pool_given = true;
	return 0;
}

static int feature_identity(struct tidemark_table *table, const char *word)
{
	if (strlen(word) > TIDEMARK_IDENTITY_MAX)
		return -EINVAL;
	strscpy(table->identity, word, sizeof(table->identity));
	return 0;
}

static int feature_boot(struct tidemark_table *table, const char *word)
{
	if (uuid_parse(word, &table->boot) || uuid_is_null(&table->boot))
		return -EINVAL;
	table->boot_given = true;
	return 0;
}

/**
 * struct table_feature - a feature: two words
 * @name: the first word
 * @take: takes the second one; 0 or -EINVAL
 * @why: it is refused
 */
struct table_feature {
	const char *name;
	int (*take)(struct tidemark_table *table, const char *word);
	char *why;
};

static const struct table_feature features[] = {
	{ "pool", feature_pool, "Pool is no number of bytes up to 1 GiB" },
	{ "identity", feature_identity, "Identity has more than 63 characters" },
	{ "boot", feature_boot, "Boot is no UUID" },
};

static int feature_take(struct tidemark_table *table, char **words,
			char **ret_why)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(features); i++) {
		if (strcasecmp(words[0], features[i].name))
			continue;
		*ret_why = features[i].why;
		return features[i].take(table, words[1]);
	}
	*ret_why = "The features known are pool <bytes>, identity <word>, boot <uuid>";
	return -EINVAL;
}

/**
 * tidemark_table_parse() - read a table line
 * @table: is filled; its words are those of @argv
 * @argc: how many words
 * @argv: the words
 * @ret_why: on failure, for a person
 *
 * Return: 0 or -EINVAL.
 */
int tidemark_table_parse(struct tidemark_table *table, unsigned int argc,
			 char **argv, char **ret_why)
{
	unsigned int count = 0, i;
	int err;

	memset(table, 0, sizeof(*table));
	if (argc < 3) {
		*ret_why = "Need <data device> <metadata device | -> <granule sectors>";
		return -EINVAL;
	}
	table->data = argv[0];
	table->meta = strcmp(argv[1], "-") ? argv[1] : NULL;
	if (kstrtou32(argv[2], 10, &table->granule_sectors)) {
		*ret_why = "Granule is no number of sectors";
		return -EINVAL;
	}
	if (argc > 3 && (kstrtouint(argv[3], 10, &count) || count % 2 ||
			 count > 2 * ARRAY_SIZE(features))) {
		*ret_why = "Count of feature words is not 0, 2, 4 or 6";
		return -EINVAL;
	}
	if (argc > 3 && argc - 4 != count) {
		*ret_why = argc - 4 < count ? "Fewer feature words than counted" :
					      "Words after the features";
		return -EINVAL;
	}
	for (i = 0; i < count; i += 2) {
		err = feature_take(table, argv + 4 + i, ret_why);
		if (err)
			return err;
	}
	return 0;
}

/**
 * tidemark_table_features() - the features of a table line, as words
 * @table: the line
 * @text: where they go: a space, a count, the words
 * @size: of @text
 *
 * Return: how many characters were written.
 */
unsigned int tidemark_table_features(const struct tidemark_table *table,
				     char *text, unsigned int size)
{
	unsigned int count = 2 * (table->pool_given + !!table->identity[0] +
				  table->boot_given);
	unsigned int used = scnprintf(text, size, " %u", count);

	if (table->pool_given)
		used += scnprintf(text + used, size - used, " pool %llu",
				  table->pool_bytes);
	if (table->identity[0])
		used += scnprintf(text + used, size - used, " identity %s",
				  table->identity);
	if (table->boot_given)
		used += scnprintf(text + used, size - used, " boot %pUb",
				  &table->boot);
	return used;
}
