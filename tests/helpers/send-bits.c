// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One run of the sender over a file whose changed granules a list names, as a tracker
 * would: for measuring without the kernel module. The list is true by its caller's
 * word, and the file is at rest.
 *
 *   send-bits [--told] [--host ADDRESS] [--streams N] PORT FILE LIST EPOCH [TLS-DIR]
 *     --told: see told.h
 *     LIST: lines "OFFSET LENGTH", ascending, in whole granules of 64 KiB
 *     EPOCH: the current one of the "tracker"; the one before it is committed
 *
 * The linker takes this file's source_kernel_open() instead of the library's.
 * Prints mode, bytes and point; exit 1 with the reason on stderr.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "send/run.h"
#include "send/source.h"
#include "tests/helpers/told.h"

#define GRANULE 65536u

static struct {
	struct source source;
	struct plan_run *runs;
	size_t count;
	uint64_t granules;
	uint64_t epoch;
	bool marked_whole;
	bool sealed;
} bits;

static const uint8_t uuid[FRAME_UUID_SIZE] = { 0x62, 0x69, 0x74, 0x73 };

static int bits_info(struct source *s, struct source_info *ret)
{
	*ret = (struct source_info){
		.tracked = true,
		.size = s->size,
		.granule = s->granule,
		.epoch = bits.epoch + bits.sealed,
		.committed_epoch = bits.epoch - 1,
		.sealed_epoch = bits.sealed ? bits.epoch : 0,
		.marked = bits.granules,
	};
	memcpy(ret->uuid, uuid, sizeof(uuid));
	return 0;
}

static int bits_mark(struct source *s, const struct plan_run *runs, size_t count)
{
	bits.marked_whole = true;
	return 0;
}

static int bits_seal(struct source **group, size_t count, bool extend, uint32_t timeout_ms,
		     uint64_t *ret_excluded_ns)
{
	bits.sealed = true;
	group[0]->epoch = bits.epoch;
	group[0]->owed = bits.marked_whole ? source_granules(group[0]) : bits.granules;
	return 0;
}

static int bits_wait(struct source *s, uint32_t timeout_ms)
{
	return 0;
}

static int bits_runs(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
		     size_t *ret_filled, uint64_t *ret_next)
{
	static size_t at;
	uint64_t all = source_granules(s);

	*ret_filled = 0;
	if (bits.marked_whole) {
		runs[(*ret_filled)++] = (struct plan_run){ first, all - first };
		*ret_next = all;
		return 0;
	}
	if (!first)
		at = 0;
	while (at < bits.count && *ret_filled < capacity)
		runs[(*ret_filled)++] = bits.runs[at++];
	*ret_next = at < bits.count ? bits.runs[at].first : all;
	return 0;
}

static int bits_none(struct source *s, uint64_t first, struct plan_run *runs, size_t capacity,
		     size_t *ret_filled, uint64_t *ret_next)
{
	*ret_filled = 0;
	*ret_next = source_granules(s);
	return 0;
}

static int bits_release(struct source *s, const struct plan_run *runs, size_t count)
{
	return 0;
}

static int bits_end(struct source *s)
{
	s->epoch = 0;
	return 0;
}

static int bits_changed(struct source *s, uint64_t first, uint64_t count, bool *ret)
{
	*ret = false;
	return 0;
}

static void bits_close(struct source *s)
{
	close(s->fd);
}

static const struct source_ops bits_ops = {
	.name = "bits",
	.info = bits_info,
	.mark = bits_mark,
	.seal = bits_seal,
	.wait = bits_wait,
	.runs = bits_runs,
	.sealed = bits_none,
	.release = bits_release,
	.commit = bits_end,
	.fold = bits_end,
	.leave = bits_end,
	.changed = bits_changed,
	.close = bits_close,
};

int source_kernel_open(struct source **ret, const char *device)
{
	struct stat st;
	int fd = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	bits.source = (struct source){
		.ops = &bits_ops, .fd = fd, .size = st.st_size, .granule = GRANULE,
	};
	*ret = &bits.source;
	return 0;
}

static int bits_read(const char *path)
{
	uint64_t offset, length;
	FILE *f = fopen(path, "r");

	if (!f)
		return -errno;
	while (fscanf(f, "%" SCNu64 " %" SCNu64, &offset, &length) == 2) {
		struct plan_run *grown = realloc(bits.runs, (bits.count + 1) * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		bits.runs = grown;
		grown[bits.count++] = (struct plan_run){ offset / GRANULE,
							 u64_div_up(length, GRANULE) };
		bits.granules += grown[bits.count - 1].count;
	}
	fclose(f);
	return 0;
}

int main(int argc, char **argv)
{
	struct run_disk disk = { .vm = "vm", .name = "vda", .tracked = true };
	struct run_report_disk report_disk = { 0 };
	static struct run_report report;
	struct run_control control = { .cancel_fd = eventfd(0, EFD_NONBLOCK) };
	struct progress progress = { 0 };
	struct reason reason = { 0 };
	struct run_config config = {
		.kind = RUN_RESYNC,
		.collection = "bench",
		.host = "127.0.0.1",
		.disks = &disk,
		.disk_count = 1,
		.max_passes = 1,
		.timeout_ms = 60000,
		.drain_ms = 5000,
		.commit_ms = 600000,
	};

	bool told = argc > 1 && !strcmp(argv[1], "--told");

	argv += told;
	argc -= told;
	if (argc > 2 && !strcmp(argv[1], "--host")) {
		config.host = argv[2];
		argv += 2;
		argc -= 2;
	}
	if (argc > 2 && !strcmp(argv[1], "--streams")) {
		config.streams = strtoul(argv[2], NULL, 10);
		argv += 2;
		argc -= 2;
	}
	if (argc < 5 || bits_read(argv[3])) {
		fprintf(stderr, "usage: send-bits [--told] [--host ADDRESS] [--streams N] PORT FILE "
			"LIST EPOCH [TLS-DIR]\n");
		return 2;
	}
	config.port = argv[1];
	disk.device = argv[2];
	bits.epoch = strtoull(argv[4], NULL, 10);
	config.tls_dir = argc > 5 ? argv[5] : NULL;
	report.disks = &report_disk;
	if (told)
		told_begin();
	if (run_execute(&config, &control, &progress, &report, &reason)) {
		fprintf(stderr, "%u (%s): %s\n", reason.code,
			run_recoverable(report.trouble) ? "worth another try" : "final",
			reason.text);
		return 1;
	}
	if (told)
		told_end();
	printf("%s %" PRIu64 " bytes on the wire, point %" PRIu64 ", %" PRIu64
	       " without a copy%s\n", mode_name(report_disk.mode), (uint64_t)progress.wire,
	       report.point, report.uncopied, report.copies ? ", given up" : "");
	return 0;
}
