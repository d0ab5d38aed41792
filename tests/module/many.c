// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many disks in one seal: by default more than the 48 locks that lockdep lets a
 * task hold, on request (many N) up to TIDEMARK_SEAL_MAX.
 */
#include <errno.h>
#include <linux/tidemark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "disk.h"
#include "dm.h"

#define BYTES (8 * MIB)

static unsigned int results, failed;

static void result(int good, const char *what)
{
	printf("%s %u - many: %s\n", good ? "ok" : "not ok", ++results, what);
	failed += !good;
}

static char *name_of(unsigned int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "many%u", i);
	return name;
}

/* All of them on one loop device, which device mapper permits. */
static unsigned int disks_make(const struct disk *base, unsigned int count)
{
	char params[128];
	struct dm_line line = { .sectors = BYTES / 512, .target = "tidemark", .params = params };
	unsigned int made = 0;

	snprintf(params, sizeof(params), "%s - 8192", base->data);
	for (unsigned int i = 0; i < count; i++)
		made += !dm_create(name_of(i)) && !dm_load(name_of(i), &line) &&
			!dm_resume(name_of(i));
	return made;
}

static unsigned int disks_remove(unsigned int count)
{
	unsigned int removed = 0;

	for (unsigned int i = 0; i < count; i++)
		removed += !dm_remove(name_of(i));
	return removed;
}

static int group_seal(struct tidemark_seal_disk *group, unsigned int count)
{
	struct tidemark_seal seal = {
		.size = sizeof(seal), .count = count, .timeout_ms = 10000,
		.disks = (uintptr_t)group,
	};

	return request(TIDEMARK_IOC_SEAL, &seal);
}

/* The numbers of all disks, in descending order: the seal has to sort. */
static unsigned int group_find(struct tidemark_seal_disk *group, unsigned int count)
{
	uint64_t *disks = calloc(count, sizeof(*disks));
	struct tidemark_list list = {
		.size = sizeof(list), .capacity = count, .disks = (uintptr_t)disks,
	};

	if (request(TIDEMARK_IOC_LIST, &list))
		list.count = 0;
	for (unsigned int i = 0; i < list.count; i++)
		group[i].disk = disks[list.count - 1 - i];
	free(disks);
	return list.count;
}

int main(int argc, char **argv)
{
	unsigned int count = argc > 1 ? strtoul(argv[1], NULL, 10) : 64, owed = 0, i;
	struct tidemark_seal_disk *group = calloc(count + 1, sizeof(*group));
	struct disk base = {};

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* of the base only the loop device is wanted */
	if (!group || disk_create(&base, "many-base", (struct disk_options){ .bytes = BYTES }) ||
	    sh("dmsetup remove many-base"))
		return 1;
	result(disks_make(&base, count) == count, "disks are made");
	result(group_find(group, count) == count, "they are listed");
	for (i = 0; i < count; i++) {
		struct disk disk = { .id = group[i].disk };

		owed += !change(TIDEMARK_IOC_MARK, &disk, 0, i % 2, 1);
	}
	result(owed == count && !group_seal(group, count), "all are sealed at once");
	for (i = 0; i < count && group[i].epoch == 1 && group[i].owed == 1; i++)
		;
	result(i == count, "each has its epoch and what it owes");
	group[count] = group[0];
	result(group_seal(group, count + 1) == (count < TIDEMARK_SEAL_MAX ? -EINVAL : -E2BIG),
	       "none twice, and no more than the limit");
	result(!group_seal(group, count) && group[count - 1].epoch == 2, "and once more");
	for (i = owed = 0; i < count; i++) {
		struct disk disk = { .id = group[i].disk };

		owed += !seal_wait(&disk, 2, 10000) && !end(TIDEMARK_IOC_COMMIT, &disk, 2);
	}
	result(owed == count, "each is committed");
	result(disks_remove(count) == count, "they go");
	disk_remove(&base);
	printf("1..%u\n", results);
	return failed ? 1 : 0;
}
