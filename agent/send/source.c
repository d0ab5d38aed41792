// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/source.h"

#include <errno.h>

struct source *source_close(struct source *s)
{
	if (s)
		s->ops->close(s);
	return NULL;
}

int source_look(const char *device, bool tracked, uint32_t granule, struct source_info *ret)
{
	struct source *s;
	int err;

	err = tracked ? source_kernel_open(&s, device) : source_plain_open(&s, device, granule);
	if (err)
		return err;
	err = s->ops->info(s, ret);
	source_close(s);
	return err;
}

int source_seal(struct source **sources, size_t count, bool extend, uint32_t timeout_ms,
		uint64_t *ret_excluded_ns)
{
	_cleanup_free_ struct source **group = calloc(count, sizeof(*group));
	_cleanup_free_ bool *taken = calloc(count, sizeof(*taken));

	if (!group || !taken)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		size_t members = 0;
		int err;

		if (taken[i])
			continue;
		for (size_t j = i; j < count; j++) {
			if (taken[j] || sources[j]->ops != sources[i]->ops)
				continue;
			taken[j] = true;
			group[members++] = sources[j];
		}
		err = sources[i]->ops->seal(group, members, extend, timeout_ms,
					    ret_excluded_ns);
		if (err)
			return err;
	}
	return 0;
}
