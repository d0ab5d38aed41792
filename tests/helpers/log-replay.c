// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * log-replay LOG POINTS DATA META SUBSETS SEED: puts together what a power cut
 * could have left, at every flush and FUA boundary of a dm-log-writes log and,
 * SUBSETS times each, at random moments after it; and checks each of them.
 *
 * LOG is the log device, POINTS has an image of the replica for each mark
 * "point:INDEX:EPOCH:UUID" of the log. The logged device is DATA bytes of data
 * and then META bytes of metadata.
 *
 * dm-log-writes writes an entry when it is known to be durable: FUA at its
 * completion, others when a flush has ended that began after they had. So what
 * stands before an entry is durable when it is; of the plain entries up to the
 * next flush or FUA any part, in sectors, may be; and so may be a part of that
 * FUA write itself.
 *
 * In each state: the granules in which the data differ from a replica that the
 * tracker would send to incrementally (same UUID, committed <= epoch < next)
 * must count as changed. And the bitmap, units that do not verify aside, may
 * only hold granules that were written at some time. The metadata are read by
 * libtidemark, which shares nothing with the module.
 *
 * Prints a line of figures; exit status 1 and the first faults if there are any.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/util.h"
#include "libtidemark/tidemark.h"

#define LOG_MAGIC	0x6a736677736872ull
#define FAULTS_SHOWN	10
#define POINTS_MAX	256

enum { ENTRY_FLUSH = 1, ENTRY_FUA = 2, ENTRY_DISCARD = 4, ENTRY_MARK = 8 };

struct log_super {
	le64 magic;
	le64 version;
	le64 entries;
	le32 sector_size;
};

struct log_entry {
	le64 sector;
	le64 sectors;
	le64 flags;
	le64 mark_length;
};

/* An entry as it is used here: bytes of the logged device. */
struct entry {
	uint64_t flags;
	uint64_t at;
	uint64_t length;
	const uint8_t *bytes;	/* of a mark: its text; of a discard: NULL */
};

struct point {
	uint64_t epoch;
	uint8_t uuid[16];
	const uint8_t *image;
	uint8_t *differs;	/* of each granule: 0, 1, or 2: not known */
};

struct undo {
	uint64_t at;
	uint8_t bytes[SECTOR_SIZE];
};

static struct {
	struct entry *entries;
	size_t count;
	uint8_t *data, *meta;
	uint64_t data_bytes, meta_bytes, granules;
	uint32_t granule_bytes;
	int meta_fd;
	uint8_t *written;	/* of each granule: in any entry */
	const uint8_t *images;
	uint64_t image_count;
	struct point points[POINTS_MAX];
	size_t point_count;
	struct undo *undo;
	size_t undo_count, undo_room;
	uint64_t random;
	uint64_t states, unreadable, whole, matches, most_intents, faults;
} g;

static void die(const char *what)
{
	fprintf(stderr, "log-replay: %s\n", what);
	exit(2);
}

static void *must(void *p)
{
	if (!p)
		die("out of memory");
	return p;
}

static uint64_t dice(void)
{
	g.random ^= g.random << 13;
	g.random ^= g.random >> 7;
	g.random ^= g.random << 17;
	return g.random;
}

/* -- the log ------------------------------------------------------------------ */

static const uint8_t *file_map(const char *path, uint64_t *ret_bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st))
		die(path);
	p = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	close(fd);
	*ret_bytes = st.st_size;
	return p;
}

static void log_read(const char *path)
{
	uint64_t bytes, at, size, count;
	const uint8_t *log = file_map(path, &bytes);
	struct log_super super;

	if (bytes < sizeof(super))
		die("the log is too short");
	memcpy(&super, log, sizeof(super));
	size = le32_get(super.sector_size);
	count = le64_get(super.entries);
	if (le64_get(super.magic) != LOG_MAGIC || le64_get(super.version) != 1 ||
	    size < SECTOR_SIZE || size > 4096 || (size & (size - 1)) || count > bytes / size)
		die("not a log of dm-log-writes");
	g.entries = must(calloc(count + 1, sizeof(*g.entries)));
	at = size;
	for (uint64_t i = 0; i < count; i++) {
		struct entry *e = &g.entries[i];
		struct log_entry raw;
		uint64_t left = bytes - at;

		if (left < size)
			die("the log ends too early");
		memcpy(&raw, log + at, sizeof(raw));
		e->flags = le64_get(raw.flags);
		if (le64_get(raw.sectors) > UINT64_MAX / size ||
		    le64_get(raw.sector) > UINT64_MAX / size)
			die("an entry of the log has no sense");
		e->at = le64_get(raw.sector) * size;
		e->length = le64_get(raw.sectors) * size;
		if (e->flags & ENTRY_MARK) {
			e->length = le64_get(raw.mark_length);
			e->bytes = log + at + sizeof(raw);
			if (e->length > size - sizeof(raw))
				die("a mark is too long");
			at += size;
			continue;
		}
		at += size;
		if (e->length && (e->at > g.data_bytes + g.meta_bytes ||
				  e->length > g.data_bytes + g.meta_bytes - e->at))
			die("an entry lies outside of the device");
		if (e->flags & ENTRY_DISCARD)
			continue;
		e->bytes = log + at;
		if (e->length > bytes - at)
			die("the log ends too early");
		at += e->length;
	}
	g.count = count;
}

/* -- the state ---------------------------------------------------------------- */

static void data_changed(uint64_t at)
{
	if (at >= g.data_bytes)
		return;
	for (size_t i = 0; i < g.point_count; i++)
		g.points[i].differs[at / g.granule_bytes] = 2;
}

static uint8_t *device_at(uint64_t at)
{
	return at < g.data_bytes ? g.data + at : g.meta + (at - g.data_bytes);
}

/* One sector, atomic as a disk has it. */
static void sector_apply(const struct entry *e, uint64_t in, bool undoable)
{
	uint8_t *to = device_at(e->at + in);

	if (undoable) {
		if (g.undo_count == g.undo_room) {
			g.undo_room = g.undo_room * 2 + 1024;
			g.undo = must(realloc(g.undo, g.undo_room * sizeof(*g.undo)));
		}
		g.undo[g.undo_count].at = e->at + in;
		memcpy(g.undo[g.undo_count++].bytes, to, SECTOR_SIZE);
	}
	if (e->bytes)
		memcpy(to, e->bytes + in, SECTOR_SIZE);
	else
		memset(to, 0, SECTOR_SIZE);
	data_changed(e->at + in);
}

static void entry_apply(const struct entry *e)
{
	for (uint64_t in = 0; in < e->length; in += SECTOR_SIZE)
		sector_apply(e, in, false);
}

static void undo_all(void)
{
	while (g.undo_count) {
		struct undo *u = &g.undo[--g.undo_count];

		memcpy(device_at(u->at), u->bytes, SECTOR_SIZE);
		data_changed(u->at);
	}
}

static bool point_differs(struct point *p, uint64_t granule)
{
	uint64_t at = granule * g.granule_bytes;
	uint64_t length = u64_min(g.granule_bytes, g.data_bytes - at);

	if (p->differs[granule] == 2)
		p->differs[granule] = memcmp(g.data + at, p->image + at, length) != 0;
	return p->differs[granule];
}

static void point_add(const struct entry *e)
{
	struct point *p = &g.points[g.point_count];
	unsigned long long index, epoch;
	char text[512] = "", hex[33] = "";

	memcpy(text, e->bytes, u64_min(e->length, sizeof(text) - 1));
	if (sscanf(text, "point:%llu:%llu:%32[0-9a-f]", &index, &epoch, hex) != 3)
		return;
	if (index >= g.image_count || g.point_count == POINTS_MAX)
		die("a point without an image");
	p->epoch = epoch;
	for (int i = 0; i < 16; i++)
		sscanf(hex + 2 * i, "%2hhx", &p->uuid[i]);
	p->image = g.images + index * g.data_bytes;
	p->differs = must(malloc(g.granules));
	memset(p->differs, 2, g.granules);
	g.point_count++;
}

/* -- the check ---------------------------------------------------------------- */

static void fault(size_t entry, const char *what, uint64_t granule, uint64_t a, uint64_t b)
{
	if (g.faults++ < FAULTS_SHOWN)
		printf("fault: before entry %zu, state %llu: granule %llu %s (%llu, %llu)\n", entry,
		       (unsigned long long)g.states, (unsigned long long)granule, what,
		       (unsigned long long)a, (unsigned long long)b);
}

static void check_points(size_t entry, const struct tidemark_meta_report *r, const uint8_t *changed)
{
	for (size_t i = 0; i < g.point_count; i++) {
		struct point *p = &g.points[i];

		if (memcmp(p->uuid, r->uuid, 16) != 0 || p->epoch < r->committed_epoch ||
		    p->epoch >= r->next_epoch)
			continue;
		g.matches++;
		for (uint64_t granule = 0; granule < g.granules; granule++)
			if (!changed[granule] && point_differs(p, granule))
				fault(entry, "differs from the replica and counts as unchanged",
				      granule, p->epoch, r->committed_epoch);
	}
}

static void check(size_t entry)
{
	const struct tidemark_meta_report *r;
	struct tidemark_meta *m;
	struct tidemark_run run = { };
	uint8_t *changed;

	g.states++;
	if (tidemark_meta_load(g.meta_fd, &m)) {
		g.unreadable++;	/* all counts as changed, under another UUID */
		return;
	}
	r = tidemark_meta_report(m);
	if (r->all) {
		g.whole++;
		tidemark_meta_free(m);
		return;
	}
	if (r->layout.granules != g.granules)
		die("the metadata are those of another disk");
	changed = must(calloc(1, g.granules));
	while (tidemark_meta_next(m, run.first + run.count, &run))
		memset(changed + run.first, 1, run.count);
	check_points(entry, r, changed);
	for (uint64_t i = 0; i < g.granules && !r->bitmap_bad && !r->intent_bad; i++) {
		uint64_t extent = i * g.granule_bytes / MIB(4);

		if (changed[i] && !tidemark_meta_intent(m, extent) && !g.written[i])
			fault(entry, "was never written and is marked", i, 0, 0);
	}
	if (!r->intent_bad)
		g.most_intents = u64_max(g.most_intents, r->intents);
	free(changed);
	tidemark_meta_free(m);
}

/* -- cuts --------------------------------------------------------------------- */

static bool is_boundary(const struct entry *e)
{
	return e->flags & (ENTRY_FLUSH | ENTRY_FUA);
}

/* A part of a write: all of it, nothing, or some of its sectors. */
static void part_apply(const struct entry *e)
{
	uint64_t how = dice() % 8;

	for (uint64_t in = 0; in < e->length; in += SECTOR_SIZE)
		if (how < 3 || (how == 3 && dice() % 2))
			sector_apply(e, in, true);
}

/* What the cache may have let through after entry @from: up to the next boundary. */
static void subset(size_t from)
{
	size_t i;

	for (i = from; i < g.count; i++) {
		if (g.entries[i].flags & ENTRY_MARK)
			continue;
		if (!(g.entries[i].flags & ENTRY_FLUSH))
			part_apply(&g.entries[i]);
		if (is_boundary(&g.entries[i]))
			break;
	}
	check(from);
	undo_all();
}

static void replay(unsigned int subsets)
{
	for (size_t i = 0; i < g.count; i++) {
		const struct entry *e = &g.entries[i];

		if (e->flags & ENTRY_MARK) {
			point_add(e);
			continue;
		}
		entry_apply(e);
		if (!is_boundary(e))
			continue;
		check(i + 1);
		for (unsigned int s = 0; s < subsets; s++)
			subset(i + 1);
	}
}

/* The granule is what the newest metadata of the log say. */
static void geometry(void)
{
	struct tidemark_meta *m;

	for (size_t i = 0; i < g.count; i++)
		if (!(g.entries[i].flags & ENTRY_MARK))
			entry_apply(&g.entries[i]);
	if (tidemark_meta_load(g.meta_fd, &m))
		die("no metadata at the end of the log");
	g.granule_bytes = tidemark_meta_report(m)->layout.granule_sectors * SECTOR_SIZE;
	g.granules = tidemark_meta_report(m)->layout.granules;
	tidemark_meta_free(m);
	if (g.granules != (g.data_bytes + g.granule_bytes - 1) / g.granule_bytes)
		die("the metadata are those of another disk");
	g.written = must(calloc(1, g.granules));
	for (size_t i = 0; i < g.count; i++)
		for (uint64_t in = 0; !(g.entries[i].flags & ENTRY_MARK) && in < g.entries[i].length;
		     in += SECTOR_SIZE)
			if (g.entries[i].at + in < g.data_bytes)
				g.written[(g.entries[i].at + in) / g.granule_bytes] = 1;
	memset(g.data, 0, g.data_bytes);
	memset(g.meta, 0, g.meta_bytes);
}

int main(int argc, char **argv)
{
	uint64_t bytes;

	if (argc != 7) {
		fprintf(stderr, "usage: log-replay LOG POINTS DATA META SUBSETS SEED\n");
		return 2;
	}
	g.data_bytes = strtoull(argv[3], NULL, 0);
	g.meta_bytes = strtoull(argv[4], NULL, 0);
	g.random = strtoull(argv[6], NULL, 0) * 2 + 88172645463325252ull;
	if (!g.data_bytes || g.data_bytes % SECTOR_SIZE || !g.meta_bytes)
		die("bad sizes");
	g.images = file_map(argv[2], &bytes);
	g.image_count = bytes / g.data_bytes;
	g.data = must(calloc(1, g.data_bytes));
	g.meta_fd = memfd_create("meta", MFD_CLOEXEC);
	if (g.meta_fd < 0 || ftruncate(g.meta_fd, g.meta_bytes))
		die("memfd");
	g.meta = mmap(NULL, g.meta_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, g.meta_fd, 0);
	if (g.meta == MAP_FAILED)
		die("mmap");
	g.granule_bytes = g.data_bytes;	/* until it is known */
	log_read(argv[1]);
	geometry();
	replay(strtoul(argv[5], NULL, 0));
	printf("entries %zu states %llu points %zu matches %llu whole %llu unreadable %llu "
	       "most_intents %llu faults %llu\n", g.count, (unsigned long long)g.states,
	       g.point_count, (unsigned long long)g.matches, (unsigned long long)g.whole,
	       (unsigned long long)g.unreadable, (unsigned long long)g.most_intents,
	       (unsigned long long)g.faults);
	return g.faults != 0;
}
