// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A configuration that may be anything: it is refused with a sentence that says
 * where and what, or it holds what it promises.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/util.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_promises(const struct config *c)
{
	if (!c->state_dir || c->state_dir[0] != '/' || !c->store || c->store[0] != '/')
		abort();
	for (size_t i = 0; i < c->collection_count; i++) {
		const char *name = c->collections[i].name;

		if (!name || !*name || strchr(name, '/') || name[0] == '.')
			abort();
		if (config_collection(c, name) != &c->collections[i])
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[64];
	static int fd = -1;
	struct reason reason = { 0 };
	struct config *c;

	if (fd < 0) {
		fd = memfd_create("config", 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		abort();
	if (config_load(path, &c, &reason)) {
		if (!reason.code || !strstr(reason.text, path))
			abort();
		return 0;
	}
	check_promises(c);
	config_free(c);
	return 0;
}
