// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * table - device-mapper tables in memory
 */
#include "libtidemark/table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int table_add(struct table *t, uint64_t start, uint64_t length, const char *type,
	      const char *params)
{
	struct table_target target = { .start = start, .length = length };
	struct table_target *targets;

	target.type = strdup(type);
	target.params = strdup(params);
	targets = reallocarray(t->targets, t->count + 1, sizeof(*targets));
	if (targets)
		t->targets = targets;
	if (!target.type || !target.params || !targets) {
		free(target.type);
		free(target.params);
		return -ENOMEM;
	}
	t->targets[t->count++] = target;
	return 0;
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->count; i++) {
		explicit_bzero(t->targets[i].params, strlen(t->targets[i].params));
		free(t->targets[i].params);
		free(t->targets[i].type);
	}
	free(t->targets);
	*t = (struct table){ 0 };
}

bool table_equal(const struct table *a, const struct table *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct table_target *x = &a->targets[i], *y = &b->targets[i];

		if (x->start != y->start || x->length != y->length ||
		    strcmp(x->type, y->type) || strcmp(x->params, y->params))
			return false;
	}
	return true;
}

uint64_t table_sectors(const struct table *t)
{
	uint64_t end = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct table_target *target = &t->targets[i];

		if (target->start != end || !target->length ||
		    target->length > UINT64_MAX - end)
			return 0;
		end += target->length;
	}
	return end;
}

int table_add_tracker(struct table *t, uint64_t sectors, const struct table_tracker *tracker)
{
	char params[256], meta[24] = "-", features[160] = "";

	if (tracker->meta)
		snprintf(meta, sizeof(meta), "%" PRIu32 ":%" PRIu32, tracker->meta_major,
			 tracker->meta_minor);
	if (tracker->identity[0] || tracker->boot[0])
		snprintf(features, sizeof(features), " %d%s%s%s%s",
			 2 * (!!tracker->identity[0] + !!tracker->boot[0]),
			 tracker->identity[0] ? " identity " : "", tracker->identity,
			 tracker->boot[0] ? " boot " : "", tracker->boot);
	snprintf(params, sizeof(params), "%" PRIu32 ":%" PRIu32 " %s %" PRIu32 "%s",
		 tracker->major, tracker->minor, meta, tracker->granule_sectors, features);
	return table_add(t, 0, sectors, TABLE_TRACKER, params);
}

int table_get_tracker(const struct table *t, struct table_tracker *ret)
{
	struct table_tracker tracker = { 0 };
	size_t trackers = 0;
	char meta[24];
	int used = 0;

	for (size_t i = 0; i < t->count; i++)
		trackers += !strcmp(t->targets[i].type, TABLE_TRACKER);
	if (!trackers)
		return -ENOMSG;
	if (t->count != 1 || t->targets[0].start)
		return -EOPNOTSUPP;

	/* what follows are features, of no concern here */
	if (sscanf(t->targets[0].params, "%" SCNu32 ":%" SCNu32 " %23s %" SCNu32 "%n",
		   &tracker.major, &tracker.minor, meta, &tracker.granule_sectors, &used) != 4)
		return -EOPNOTSUPP;
	tracker.meta = sscanf(meta, "%" SCNu32 ":%" SCNu32, &tracker.meta_major,
			      &tracker.meta_minor) == 2;
	if (!tracker.meta && strcmp(meta, "-") != 0)
		return -EOPNOTSUPP;
	if (t->targets[0].params[used] != '\0' && t->targets[0].params[used] != ' ')
		return -EOPNOTSUPP;
	*ret = tracker;
	return 0;
}

bool table_is_movable(const struct table *t)
{
	static const char *const movable[] = {
		"linear", "striped", "crypt", "delay", "flakey", "dust", "error", "zero",
	};

	for (size_t i = 0; i < t->count; i++) {
		bool found = false;

		for (size_t m = 0; m < sizeof(movable) / sizeof(movable[0]) && !found; m++)
			found = !strcmp(t->targets[i].type, movable[m]);
		if (!found)
			return false;
	}
	return t->count > 0;
}
