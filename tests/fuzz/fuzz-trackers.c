// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A table of trackers that may be anything. What is understood is understood the
 * same way after it was written by us.
 */
#include <stdint.h>
#include <sys/mman.h>

#include "tidemark/size.c"
#include "tidemark/trackers.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void file_fill(const char *path, const uint8_t *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

static void check_again(const char *path, const struct trackers *t)
{
	struct trackers again;
	char why[TRACKERS_WHY] = "";

	for (size_t i = 0; i < t->count; i++)
		if (trackers_save(path, &t->list[i]))
			abort();
	if (trackers_load(path, &again, why) || again.count != t->count)
		abort();
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->list[i].device, again.list[i].device) ||
		    t->list[i].granule_sectors != again.list[i].granule_sectors ||
		    t->list[i].read_only != again.list[i].read_only)
			abort();
	trackers_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[PATH_MAX];
	char why[TRACKERS_WHY] = "";
	struct trackers t;

	if (!*path) {
		char folder[] = "/dev/shm/tidemark-fuzz-XXXXXX";

		if (!mkdtemp(folder))
			abort();
		snprintf(path, sizeof(path), "%s/trackers.conf", folder);
	}
	file_fill(path, data, size);
	if (trackers_load(path, &t, why)) {
		if (!*why)
			abort();
		return 0;
	}
	if (t.count && t.count < 8) {
		unlink(path);
		check_again(path, &t);
	}
	trackers_free(&t);
	return 0;
}
