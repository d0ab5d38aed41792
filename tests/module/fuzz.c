// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A fuzzer of everything that the module takes from user space: requests to the
 * control device, netlink messages, tables, messages, suspends and removals,
 * and I/O meanwhile, from several threads. It knows the structure of all of
 * them (fuzz-request.c, fuzz-table.c). A round is decided by a string of bytes
 * alone; where the kernel has KCOV, strings that ran code which none had run
 * before are kept and changed further.
 *
 * What is a finding: a complaint of the kernel, which the guest rig looks for;
 * a request that ends with an error which its description does not know; a
 * hang; counts and bitmaps that disagree when all is quiet again; and a disk or
 * a module that does not go away afterwards.
 *
 * Usage: fuzz [-t SECONDS] [-r SEED] [-j THREADS]; prints TAP.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/tidemark.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"
#include "dm.h"
#include "kcov.h"

#define THREADS_MAX 8
#define CORPUS 512
#define KO "/tidemark/module/dm-tidemark.ko"

char fuzz_data[FUZZ_DISKS][64];
struct metadata fuzz_metadata = { .file = "/tmp/fuzz-meta" };
uint16_t fuzz_family;

static struct fuzz_thread threads[THREADS_MAX];
static struct fuzz_input corpus[CORPUS];
static unsigned int corpus_count, number_of_threads = 4, failed, results;
static pthread_mutex_t corpus_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool stop, stop_resume;
static unsigned long long seed = 1;

static void result(bool good, const char *what)
{
	printf("%s %u - fuzz: %s\n", good ? "ok" : "not ok", ++results, what);
	failed += !good;
}

/* -- input -- */

uint32_t fuzz_take(struct fuzz_input *input, unsigned int bytes)
{
	uint32_t value = 0;

	while (bytes--)
		value = value << 8 | (input->at < input->length ? input->bytes[input->at++] : 0);
	return value;
}

uint32_t fuzz_below(struct fuzz_input *input, uint32_t limit)
{
	return limit ? fuzz_take(input, limit <= 256 ? 1 : limit <= 65536 ? 2 : 4) % limit : 0;
}

/* When the input is used up: no. */
bool fuzz_one_in(struct fuzz_input *input, uint32_t count)
{
	return fuzz_below(input, count) == count - 1;
}

/* A number with an edge near it. */
uint64_t fuzz_number(struct fuzz_input *input)
{
	uint64_t edge = 1ULL << fuzz_below(input, 64);

	switch (fuzz_below(input, 6)) {
	case 0: return edge;
	case 1: return edge - 1;
	case 2: return ~0ULL - fuzz_take(input, 1);
	case 3: return (uint64_t)fuzz_take(input, 4) << 32 | fuzz_take(input, 4);
	case 4: return -edge;
	default: return fuzz_take(input, 1);
	}
}

static uint64_t chance(unsigned long long *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* An input: new, or an old one of the corpus with something changed. */
static void input_make(struct fuzz_input *input, unsigned long long *state)
{
	bool old;

	pthread_mutex_lock(&corpus_lock);
	old = corpus_count && chance(state) % 2;
	if (old)
		*input = corpus[chance(state) % corpus_count];
	pthread_mutex_unlock(&corpus_lock);
	input->at = 0;
	if (!old) {
		input->length = FUZZ_INPUT;
		for (int i = 0; i < FUZZ_INPUT; i++)
			input->bytes[i] = chance(state);
		return;
	}
	for (int left = 1 + chance(state) % 8; left; left--)
		input->bytes[chance(state) % FUZZ_INPUT] = chance(state);
	if (chance(state) % 4 == 0)
		memmove(input->bytes + 1, input->bytes, FUZZ_INPUT - 1);
}

static void corpus_add(const struct fuzz_input *input)
{
	pthread_mutex_lock(&corpus_lock);
	corpus[corpus_count < CORPUS ? corpus_count++ : input->bytes[0] % CORPUS] = *input;
	pthread_mutex_unlock(&corpus_lock);
}

/* -- threads -- */

void fuzz_count(struct fuzz_thread *thread, int err)
{
	thread->calls++;
	thread->good += !err;
}

static void round_run(struct fuzz_thread *thread)
{
	struct fuzz_input *input = &thread->input;

	while (input->at < input->length && !atomic_load(&stop)) {
		switch (fuzz_below(input, 16)) {
		case 0:
		case 1:
			fuzz_table(thread);
			break;
		case 2:
			fuzz_message(thread);
			break;
		case 3:
			fuzz_netlink(thread);
			break;
		case 4:
		case 5:
		case 6:
		case 7:
			fuzz_device(thread);
			break;
		default:
			fuzz_request(thread);
			break;
		}
	}
}

static void *thread_run(void *argument)
{
	struct fuzz_thread *thread = argument;
	unsigned long long state = (seed + thread->index + 1) * 0x9E3779B97F4A7C15ULL;
	struct kcov *kcov = kcov_open();

	while (!atomic_load(&stop)) {
		struct fuzz_input input;

		input_make(&input, &state);
		thread->input = input;
		kcov_begin(kcov);
		round_run(thread);
		if (kcov_end(kcov))
			corpus_add(&input);
	}
	return NULL;
}

/* Whoever does I/O to a suspended device waits for this. */
static void *resume_run(void *argument)
{
	char name[24];

	while (!atomic_load(&stop_resume)) {
		for (int i = 0; i < 2 * FUZZ_DISKS; i++) {
			snprintf(name, sizeof(name), i % 2 ? "fuzz%u-view" : "fuzz%u", i / 2);
			dm_resume(name);
		}
		usleep(20000);
	}
	return argument;
}

static void thread_init(struct fuzz_thread *thread, unsigned int index)
{
	uint8_t *memory = mmap(NULL, FUZZ_ARENA + 8192, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	thread->index = index;
	thread->arena = memory;
	thread->readonly = memory + FUZZ_ARENA + 4096;
	mprotect(memory + FUZZ_ARENA, 4096, PROT_NONE);
	mprotect(thread->readonly, 4096, PROT_READ);
	thread->control = open(TIDEMARK_CONTROL_PATH, O_RDWR | O_CLOEXEC);
	thread->control_ro = open(TIDEMARK_CONTROL_PATH, O_RDONLY | O_CLOEXEC);
	thread->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
}

static void thread_exit(struct fuzz_thread *thread)
{
	close(thread->control);
	close(thread->control_ro);
	close(thread->netlink);
	munmap(thread->arena, FUZZ_ARENA + 8192);
}

/* -- the disks -- */

static int loop_make(const char *name, char ret_loop[64])
{
	char command[256];
	FILE *output;
	int got;

	snprintf(command, sizeof(command), "truncate -s %llu /tmp/%s && losetup -f --show /tmp/%s",
		 FUZZ_BYTES, name, name);
	output = popen(command, "r");
	got = output ? fscanf(output, "%63s", ret_loop) : 0;
	return !output || pclose(output) || got != 1 ? -EIO : 0;
}

/* The last disk is slow, so that there is something to drain. */
static int disks_make(void)
{
	char name[32];

	for (int i = 0; i < FUZZ_DISKS; i++) {
		snprintf(name, sizeof(name), "fuzz-data%u", i);
		if (loop_make(name, fuzz_data[i]))
			return -EIO;
	}
	if (sh("modprobe -q dm-delay; dmsetup create fuzz-delay --table '0 %llu delay %s 0 5'",
	       FUZZ_BYTES / 512, fuzz_data[FUZZ_DISKS - 1]))
		return -EIO;
	snprintf(fuzz_data[FUZZ_DISKS - 1], sizeof(fuzz_data[0]), "/dev/mapper/fuzz-delay");
	return loop_make("fuzz-meta", fuzz_metadata.loop) ?:
	       metadata_format(&fuzz_metadata, FUZZ_BYTES, 128);
}

static void disks_remove(void)
{
	char name[24];

	for (int i = 2 * FUZZ_DISKS; i--; ) {
		snprintf(name, sizeof(name), i >= FUZZ_DISKS ? "fuzz%u-view" : "fuzz%u",
			 i % FUZZ_DISKS);
		dm_resume(name);
		/* what opened it may be on its way out */
		for (int tries = 0; dm_remove(name) == -EBUSY && tries < 500; tries++)
			usleep(10000);
	}
	sh("dmsetup remove --retry fuzz-delay");
	for (int i = 0; i < FUZZ_DISKS; i++)
		sh("losetup -j /tmp/fuzz-data%u | cut -d: -f1 | xargs -r losetup -d; rm -f /tmp/fuzz-data%u",
		   i, i);
	sh("losetup -d %s; rm -f %s", fuzz_metadata.loop, fuzz_metadata.file);
}

/* -- afterwards -- */

static uint64_t bits_of(const struct disk *disk, uint32_t which)
{
	uint64_t granules = 0, sum = 0;
	uint8_t *bits = granules_read(disk, which, &granules);

	for (uint64_t i = 0; bits && i < granules; i++)
		sum += bits[i];
	free(bits);
	return sum;
}

/* Disks whose counts and bitmaps do not agree, or that cannot be sealed. */
static unsigned int disks_wrong(void)
{
	unsigned int wrong = 0;

	for (int i = 0; i < FUZZ_DISKS; i++) {
		struct disk disk = {};
		struct tidemark_info info;
		uint64_t epoch = 0;
		char name[24];

		snprintf(name, sizeof(name), "fuzz%u", i);
		dm_resume(name);
		disk.id = disk_find(name);
		if (!disk.id)
			continue;
		if (seal_drained(&disk, TIDEMARK_SEAL_EXTEND, &epoch)) {
			printf("# %s: cannot be sealed\n", name);
			wrong++;
		}
		info = disk_info(&disk);
		if (bits_of(&disk, TIDEMARK_CURRENT) != info.marked ||
		    bits_of(&disk, TIDEMARK_SEALED) != info.sealed ||
		    bits_of(&disk, TIDEMARK_OWED) != info.owed || info.owed > info.sealed ||
		    end(TIDEMARK_IOC_COMMIT, &disk, epoch)) {
			printf("# %s: counts and bitmaps do not agree\n", name);
			wrong++;
		}
	}
	return wrong;
}

static void coverage_say(void)
{
	unsigned int points = kcov_points(KO), ran = kcov_seen();

	if (points && ran)
		printf("# coverage: %u of %u points of the module (%u %%), %u inputs kept\n", ran,
		       points, 100 * ran / points, corpus_count);
	else
		printf("# coverage: not known, this kernel has no KCOV\n");
}

static void family_find(void)
{
	struct nl_sock *socket = nl_socket_alloc();

	if (!genl_connect(socket))
		fuzz_family = genl_ctrl_resolve(socket, TIDEMARK_GENL_NAME);
	nl_socket_free(socket);
}

static void fuzz_run(unsigned int seconds)
{
	uint64_t calls = 0, good = 0, strange = 0;
	time_t last = time(NULL) + seconds;
	pthread_t ids[THREADS_MAX], resume;

	for (unsigned int i = 0; i < number_of_threads; i++) {
		thread_init(&threads[i], i);
		if (pthread_create(&ids[i], NULL, thread_run, &threads[i]))
			abort();
	}
	if (pthread_create(&resume, NULL, resume_run, NULL))
		abort();
	while (time(NULL) < last)
		usleep(100000);
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < number_of_threads; i++) {
		pthread_join(ids[i], NULL);
		calls += threads[i].calls;
		good += threads[i].good;
		strange += threads[i].strange;
	}
	/* the others may have waited for this one */
	atomic_store(&stop_resume, true);
	pthread_join(resume, NULL);
	printf("# %llu calls in %u s by %u threads, %llu of them good, seed %llu\n",
	       (unsigned long long)calls, seconds, number_of_threads, (unsigned long long)good, seed);
	coverage_say();
	result(calls && good, "all threads came to their end");
	result(!strange, "no request ended with an error that it must not end with");
}

int main(int argc, char **argv)
{
	unsigned int seconds = 60;
	int option;

	while ((option = getopt(argc, argv, "t:r:j:")) != -1) {
		if (option == 't')
			seconds = atoi(optarg);
		else if (option == 'r')
			seed = strtoull(optarg, NULL, 10);
		else if (option == 'j' && atoi(optarg) > 0 && atoi(optarg) <= THREADS_MAX)
			number_of_threads = atoi(optarg);
		else
			return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	family_find();
	result(fuzz_family && !disks_make(), "there are disks and the netlink family");
	if (!failed) {
		fuzz_run(seconds);
		result(!disks_wrong(), "counts and bitmaps agree afterwards");
	}
	disks_remove();
	for (unsigned int i = 0; i < number_of_threads && threads[i].arena; i++)
		thread_exit(&threads[i]);
	result(!disk_find("fuzz0") && !disk_find("fuzz1") && !disk_find("fuzz2") &&
	       !disk_find("fuzz3"), "all disks have gone");
	printf("1..%u\n", results);
	return failed ? 1 : 0;
}
