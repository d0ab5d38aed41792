// SPDX-License-Identifier: GPL-2.0-or-later
#include "tidemark/trackers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tidemark/size.h"

#define BLANKS " \t\r\n"
#define DM_DIR "/dev/mapper/"

static const char header[] =
	"# Trackers that come back at boot; see tidemark-units(7).\n"
	"# name   device   options (granule=SIZE, read-only, meta=DEVICE or tail; - for none)\n"
	"# The name - stands for a tracker slid under a device-mapper device.\n";

/* -- one line --------------------------------------------------------------- */

/* The words of a line that is no comment, at most four; @text is cut into them. */
static size_t line_words(char *text, char *words[4])
{
	char *save = NULL;
	size_t count = 0;

	if (text[strspn(text, BLANKS)] == '#')
		return 0;
	for (char *w = strtok_r(text, BLANKS, &save); w && count < 4;
	     w = strtok_r(NULL, BLANKS, &save))
		words[count++] = w;
	return count;
}

/* Return: NULL, or what is expected instead of an option */
static const char *option_parse(const char *option, struct tidemark_attach *a)
{
	uint64_t bytes;

	if (strcmp(option, "read-only") == 0) {
		a->read_only = true;
		return a->name ? NULL : "read-only with a name only";
	}
	if (strncmp(option, "meta=/", 6) == 0) {
		a->meta = option + 5;
		return NULL;
	}
	if (strcmp(option, "meta=" TIDEMARK_META_TAIL) == 0) {
		a->meta = option + 5;
		return a->name ? NULL : "meta=tail with a name only";
	}
	if (strncmp(option, "granule=", 8) != 0)
		return "granule=SIZE, meta=/DEVICE, meta=tail or read-only";
	if (size_parse(option + 8, &bytes) || bytes < TIDEMARK_GRANULE_MIN * 512ULL ||
	    bytes > TIDEMARK_GRANULE_MAX * 512ULL || bytes & (bytes - 1))
		return "granule=4K to granule=4M, a power of two";
	a->granule_sectors = (uint32_t)(bytes / 512);
	return NULL;
}

static const char *options_parse(char *options, struct tidemark_attach *a, const char **ret_wrong)
{
	const char *expected = NULL;
	char *save = NULL;

	for (char *o = strtok_r(options, ",", &save); o && !expected;
	     o = strtok_r(NULL, ",", &save)) {
		*ret_wrong = o;
		expected = option_parse(o, a);
	}
	return expected;
}

/* Return: NULL, or what is expected instead of *@ret_wrong */
static const char *line_parse(char *words[4], size_t count, struct tidemark_attach *ret,
			      const char **ret_wrong)
{
	struct tidemark_attach a = { .name = strcmp(words[0], "-") ? words[0] : NULL };
	const char *expected = NULL;

	*ret_wrong = count < 2 ? words[0] : words[count - 1];
	if (count < 2 || count > 3)
		return "NAME DEVICE [OPTIONS]";
	if (a.name && strchr(a.name, '/')) {
		*ret_wrong = a.name;
		return "a name, or -";
	}
	a.device = words[1];
	if (a.device[0] != '/') {
		*ret_wrong = a.device;
		return "the path of a device";
	}
	if (count == 3 && strcmp(words[2], "-") != 0)
		expected = options_parse(words[2], &a, ret_wrong);
	if (!expected)
		*ret = a;
	return expected;
}

static bool device_same(const char *a, const char *b)
{
	char real_a[PATH_MAX], real_b[PATH_MAX];

	return strcmp(a, b) == 0 ||
	       (realpath(a, real_a) && realpath(b, real_b) && strcmp(real_a, real_b) == 0);
}

/* Is it the tracker of that name, or the one slid under that device? NULL: no matter */
static bool tracker_is(const struct tidemark_attach *a, const char *name, const char *device)
{
	if (a->name)
		return name && strcmp(a->name, name) == 0;
	return device && device_same(a->device, device);
}

/* -- the table -------------------------------------------------------------- */

void trackers_free(struct trackers *t)
{
	for (size_t i = 0; i < t->count; i++) {
		free((char *)t->list[i].name);
		free((char *)t->list[i].device);
		free((char *)t->list[i].meta);
	}
	free(t->list);
	*t = (struct trackers){ 0 };
}

static int trackers_add(struct trackers *t, const struct tidemark_attach *a)
{
	struct tidemark_attach *grown, copy = *a;

	grown = realloc(t->list, (t->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	t->list = grown;
	copy.device = strdup(a->device);
	copy.name = a->name ? strdup(a->name) : NULL;
	copy.meta = a->meta ? strdup(a->meta) : NULL;
	if (!copy.device || (a->name && !copy.name) || (a->meta && !copy.meta)) {
		free((char *)copy.device);
		free((char *)copy.name);
		free((char *)copy.meta);
		return -ENOMEM;
	}
	t->list[t->count++] = copy;
	return 0;
}

static int trackers_line(struct trackers *t, char *text, const char *where,
			 char why[TRACKERS_WHY])
{
	struct tidemark_attach a;
	const char *wrong = "", *expected;
	char *words[4] = { NULL };
	size_t count = line_words(text, words);

	if (!count)
		return 0;
	expected = line_parse(words, count, &a, &wrong);
	for (size_t i = 0; i < t->count && !expected; i++) {
		wrong = a.name ?: a.device;
		if (tracker_is(&t->list[i], a.name, a.name ? NULL : a.device))
			expected = "one line for each tracker";
	}
	if (!expected)
		return trackers_add(t, &a);
	snprintf(why, TRACKERS_WHY, "%s: '%s', expected %s", where, wrong, expected);
	return -EINVAL;
}

int trackers_load(const char *path, struct trackers *ret, char why[TRACKERS_WHY])
{
	struct trackers t = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *f = fopen(path, "re");
	int r = 0;

	if (!f && errno != ENOENT) {
		r = -errno;
		snprintf(why, TRACKERS_WHY, "%s: %s", path, strerror(errno));
		return r;
	}
	for (unsigned int line = 1; f && !r && getline(&text, &size, f) >= 0; line++) {
		char where[256];

		snprintf(where, sizeof(where), "%.200s:%u", path, line);
		r = trackers_line(&t, text, where, why);
		if (r == -ENOMEM)
			snprintf(why, TRACKERS_WHY, "%s: out of memory", where);
	}
	if (f && !r && ferror(f)) {
		r = -EIO;
		snprintf(why, TRACKERS_WHY, "%s: cannot be read", path);
	}
	free(text);
	if (f)
		fclose(f);
	if (r)
		trackers_free(&t);
	else
		*ret = t;
	return r;
}

/* -- changes ---------------------------------------------------------------- */

static void line_write(FILE *f, const struct tidemark_attach *a)
{
	const char *between = "";

	fprintf(f, "%s\t%s\t", a->name ?: "-", a->device);
	if (a->granule_sectors) {
		fprintf(f, "granule=%uK", a->granule_sectors / 2);
		between = ",";
	}
	if (a->meta) {
		fprintf(f, "%smeta=%s", between, a->meta);
		between = ",";
	}
	if (a->read_only) {
		fprintf(f, "%sread-only", between);
		between = ",";
	}
	fprintf(f, "%s\n", *between ? "" : "-");
}

/* Copy the table but for the lines of one tracker. Return: how many those are */
static size_t table_copy(FILE *from, FILE *to, const char *name, const char *device)
{
	char *text = NULL;
	size_t size = 0, left_out = 0;

	while (getline(&text, &size, from) >= 0) {
		struct tidemark_attach a;
		const char *wrong;
		char *words[4] = { NULL }, *copy = strdup(text);
		size_t count = copy ? line_words(copy, words) : 0;
		bool is = count && !line_parse(words, count, &a, &wrong) &&
			  tracker_is(&a, name, device);

		free(copy);
		if (is) {
			left_out++;
			continue;
		}
		fputs(text, to);
		if (text[strlen(text) - 1] != '\n')
			fputc('\n', to);
	}
	free(text);
	return left_out;
}

/* Replace @path by what @change writes: all of it, or nothing. */
static int table_replace(const char *path, const char *name, const char *device,
			 const struct tidemark_attach *add)
{
	char new[PATH_MAX], folder[PATH_MAX];
	size_t left_out = 0;
	FILE *from, *to;
	int dir, r = 0;

	if (snprintf(new, sizeof(new), "%s.new", path) >= (int)sizeof(new))
		return -ENAMETOOLONG;
	snprintf(folder, sizeof(folder), "%s", path);
	dir = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	/* one at a time; the lock goes with the descriptor */
	to = flock(dir, LOCK_EX) ? NULL : fopen(new, "we");
	if (!to) {
		r = -errno;
		close(dir);
		return r;
	}
	from = fopen(path, "re");
	if (from)
		left_out = table_copy(from, to, name, device);
	else if (errno != ENOENT)
		r = -errno;
	else
		fputs(header, to);
	if (from)
		fclose(from);
	if (add)
		line_write(to, add);
	else if (!r && !left_out)
		r = -ENOENT;
	if (fflush(to) || ferror(to) || fsync(fileno(to)) || fchmod(fileno(to), 0644))
		r = r ?: errno ? -errno : -EIO;
	fclose(to);
	if (!r && (rename(new, path) || fsync(dir)))
		r = -errno;
	if (r)
		unlink(new);
	close(dir);
	return r;
}

int trackers_save(const char *path, const struct tidemark_attach *attach)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", path);
	if (mkdir(dirname(folder), 0755) && errno != EEXIST)
		return -errno;
	return table_replace(path, attach->name, attach->name ? NULL : attach->device, attach);
}

int trackers_forget(const char *path, const char *device)
{
	char node[PATH_MAX];

	/* device mapper's name is good for both, as in tidemark_detach() */
	if (strchr(device, '/'))
		return table_replace(path, strncmp(device, DM_DIR, strlen(DM_DIR)) ? NULL :
				     device + strlen(DM_DIR), device, NULL);
	snprintf(node, sizeof(node), DM_DIR "%s", device);
	return table_replace(path, device, node, NULL);
}

/* -- stable names ----------------------------------------------------------- */

/* The first link in @folder to @real, in the order of the alphabet; "" if none */
static void folder_find(const char *folder, const char *real, char ret[PATH_MAX])
{
	struct dirent **entries;
	char path[PATH_MAX], target[PATH_MAX];
	int count = scandir(folder, &entries, NULL, alphasort);

	*ret = '\0';
	for (int i = 0; i < count; i++) {
		if (!*ret && entries[i]->d_name[0] != '.' &&
		    snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name) <
			    (int)sizeof(path) &&
		    realpath(path, target) && strcmp(target, real) == 0)
			memcpy(ret, path, strlen(path) + 1);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

int trackers_stable(const char *device, char **ret)
{
	/* by-uuid and by-label are of the contents, which VMs can change */
	static const char *const folders[] = {
		"/dev/mapper", "/dev/disk/by-id", "/dev/disk/by-partuuid", "/dev/disk/by-path",
	};
	char real[PATH_MAX], found[PATH_MAX] = "";

	if (!realpath(device, real))
		return -errno;
	/* a link of one's own, of LVM, in /dev/disk: its owner keeps it right */
	if (strcmp(device, real) != 0 && device[0] == '/') {
		*ret = strdup(device);
		return *ret ? 0 : -ENOMEM;
	}
	/* where udev does not run, these are nodes and no links */
	if (strncmp(real, DM_DIR, strlen(DM_DIR)) == 0)
		snprintf(found, sizeof(found), "%s", real);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && !*found; i++)
		folder_find(folders[i], real, found);
	if (!*found)
		return -ENOENT;
	*ret = strdup(found);
	return *ret ? 0 : -ENOMEM;
}
