// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The referee of points in time.
 *
 *	chains of writes --> tidemark A --> [dm-delay] --> memory
 *	                \--> tidemark B --> [dm-delay] --> memory
 *	copier: seal both, read what both owe through their views --> replicas
 *
 * A chain writes to both disks, each write after the one before has completed,
 * and stamps every 4 KiB block with its number. What a file system or a
 * database relies on is this order. So whenever a round is closed by an untorn
 * epoch the replicas must hold, of every chain, all writes up to some number
 * and nothing of those after it, on both disks together. The writes are
 * remembered, so this is compared block by block.
 *
 * Usage: view-prefix [-t SECONDS] [-d DELAY_MS] [-p POOL_BYTES] [-g SECTORS]
 *	[-n POINTS] [-q] [-m MODE]; prints TAP. POINTS is how many there must
 *	be, 1 unless said; for them it goes on for up to 20 times SECONDS. Without -q all that an administrator may do to disks
 *	and views is done meanwhile. MODE is how it should not be done, and must
 *	be found out:
 *	  smear   read the data devices, whatever has been written meanwhile
 *	  apart   seal one disk after the other
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"

#define DISKS 2
#define BYTES (8 * MIB)
#define BLOCK 4096
#define BLOCKS (BYTES / BLOCK)
#define CHAINS 4
#define CHAIN_BLOCKS (BLOCKS / CHAINS)
#define WRITE_BLOCKS 32
#define LOG (1 << 20)

/**
 * struct note - a write, its number in the chain is its place in the log
 * @disk: to which disk
 * @first: of the chain's blocks there
 * @count: how many
 */
struct note {
	uint16_t disk;
	uint16_t first;
	uint16_t count;
};

/**
 * struct chain - writes in an order that must not be lost
 * @index: its number; it owns every CHAINS-th run of WRITE_BLOCKS blocks
 * @log: what it has written, from number 1
 * @last: number of the newest write that it has begun
 * @replayed: number of the newest write that the replicas were seen to hold
 * @expected: of each block on each disk, the number that it has then
 */
struct chain {
	unsigned int index;
	struct note *log;
	atomic_uint last;
	unsigned int replayed;
	unsigned int expected[DISKS][CHAIN_BLOCKS];
};

static struct disk disks[DISKS];
static struct chain chains[CHAINS];
static uint8_t *replicas[DISKS];
static int views[DISKS];
static atomic_bool stop;
static bool smear, apart, meddle = true;
static uint64_t torn, copied, seals, excluded_max;

static void fail(const char *what, int err)
{
	printf("not ok 1 view-prefix: %s: %s\n", what, strerror(err < 0 ? -err : errno));
	exit(1);
}

/* The disk's block that a chain's block is. */
static uint64_t block_of(const struct chain *chain, unsigned int block)
{
	return (uint64_t)block / WRITE_BLOCKS * WRITE_BLOCKS * CHAINS +
	       chain->index * WRITE_BLOCKS + block % WRITE_BLOCKS;
}

static void *chain_run(void *argument)
{
	struct chain *chain = argument;
	unsigned int seed = chain->index + 1;
	int fd[DISKS];
	uint64_t *buffer;

	for (int i = 0; i < DISKS; i++) {
		fd[i] = open(disks[i].path, O_WRONLY | O_DIRECT | O_CLOEXEC);
		if (fd[i] < 0)
			fail("open", 0);
	}
	if (posix_memalign((void **)&buffer, BLOCK, WRITE_BLOCKS * BLOCK))
		fail("memory", 0);
	for (unsigned int number = 1; number < LOG && !atomic_load(&stop); number++) {
		struct note *note = &chain->log[number];
		unsigned int at;
		size_t length;

		note->disk = rand_r(&seed) % DISKS;
		note->first = rand_r(&seed) % CHAIN_BLOCKS;
		at = note->first % WRITE_BLOCKS;
		note->count = rand_r(&seed) % 4 ? 1 : 1 + rand_r(&seed) % (WRITE_BLOCKS - at);
		length = note->count * BLOCK;
		for (size_t i = 0; i < length / sizeof(*buffer); i++)
			buffer[i] = number;
		atomic_store(&chain->last, number);
		if (pwrite(fd[note->disk], buffer, length,
			   block_of(chain, note->first) * BLOCK) != (ssize_t)length)
			fail("write", 0);
	}
	for (int i = 0; i < DISKS; i++)
		close(fd[i]);
	free(buffer);
	return NULL;
}

/* Nothing of this may be seen in a point, nor hang. */
static void *meddle_run(void *argument)
{
	unsigned int seed = 4711, done = 0;

	for (; !atomic_load(&stop); done++) {
		const struct disk *disk = &disks[rand_r(&seed) % DISKS];
		struct tidemark_pool_size pool = {
			.size = sizeof(pool), .disk = disk->id,
			.bytes = rand_r(&seed) % 4 ? BYTES : rand_r(&seed) % BYTES,
		};
		int err = 0;

		switch (rand_r(&seed) % 4) {
		case 0:
			err = sh("dmsetup suspend %s && dmsetup resume %s", disk->name, disk->name);
			break;
		case 1:
			err = sh("dmsetup load %s --table '0 %llu tidemark %s - %u' && "
				 "dmsetup resume %s", disk->name, BYTES / 512, disk->data,
				 disk->granule, disk->name);
			break;
		case 2:
			err = sh("dmsetup create tm-other --readonly --table "
				 "'0 %llu tidemark-view %s' && dmsetup remove --retry tm-other",
				 BYTES / 512, disk->path);
			break;
		case 3:
			err = request(TIDEMARK_IOC_POOL, &pool);
			break;
		}
		if (err)
			fail("meddling", err);
		usleep(rand_r(&seed) % 50000);
	}
	printf("# meddled %u times\n", done);
	return NULL;
}

/* Seal the disks; one group unless told otherwise. */
static void seal_all(uint32_t flags, uint64_t *epochs)
{
	for (int i = 0; i < DISKS; i += apart ? 1 : DISKS) {
		struct tidemark_seal_disk items[DISKS] = {
			{ .disk = disks[i].id }, { .disk = disks[DISKS - 1].id },
		};
		struct tidemark_seal seal = {
			.size = sizeof(seal), .flags = flags, .count = apart ? 1 : DISKS,
			.timeout_ms = 20000, .disks = (uintptr_t)items,
		};
		int err;

		/* children of the meddler end, and we are told */
		do
			err = request(TIDEMARK_IOC_SEAL, &seal);
		while (err == -EINTR);
		if (err)
			fail("SEAL", err);
		seals++;
		for (int j = 0; j < (int)seal.count; j++)
			epochs[i + j] = items[j].epoch;
		if (seal.excluded_ns > excluded_max)
			excluded_max = seal.excluded_ns;
		if (apart)
			usleep(2000);
	}
	for (int i = 0; i < DISKS; i++) {
		int err;

		do
			err = seal_wait(&disks[i], epochs[i], 20000);
		while (err == -EINTR);
		if (err)
			fail("WAIT", err);
	}
}

/* Copy what a disk owes; false: torn. */
static bool copy_disk(int index, uint64_t epoch)
{
	struct disk *disk = &disks[index];
	uint64_t granule = disk->granule * 512ULL, granules = 0;
	uint8_t *owed = granules_read(disk, TIDEMARK_OWED, &granules);
	uint8_t *buffer;

	if (!owed || posix_memalign((void **)&buffer, BLOCK, granule))
		fail("memory", 0);
	for (uint64_t i = 0; i < granules; i++) {
		if (!owed[i])
			continue;
		if (pread(views[index], buffer, granule, i * granule) != (ssize_t)granule) {
			if (errno != EIO || !(disk_info(disk).state & TIDEMARK_STATE_TORN))
				fail("view", 0);
			break;
		}
		memcpy(replicas[index] + i * granule, buffer, granule);
		if (change(TIDEMARK_IOC_RELEASE, disk, epoch, i, 1))
			fail("RELEASE", 0);
		copied++;
	}
	free(buffer);
	free(owed);
	if (smear || !(disk_info(disk).state & TIDEMARK_STATE_TORN))
		return true;
	torn++;
	return false;
}

/*
 * A round: sealed again and again until an untorn epoch of both closes it.
 * False: there was none in time.
 */
static bool copy_round(time_t until)
{
	uint64_t epochs[DISKS];
	uint32_t flags = 0;
	bool whole;

	do {
		if (flags && time(NULL) >= until)
			return false;
		seal_all(flags, epochs);
		whole = true;
		for (int i = 0; i < DISKS; i++)
			whole &= copy_disk(i, epochs[i]);
		flags = TIDEMARK_SEAL_EXTEND;
	} while (!whole);
	for (int i = 0; i < DISKS; i++) {
		int err = end(TIDEMARK_IOC_COMMIT, &disks[i], epochs[i]);

		if (err)
			fail("COMMIT", err);
	}
	return true;
}

/* What the replicas hold in a block, 0 for nothing; -1: of two writes. */
static int64_t stamp_of(int disk, uint64_t block)
{
	const uint64_t *words = (const uint64_t *)(replicas[disk] + block * BLOCK);

	for (size_t i = 1; i < BLOCK / sizeof(*words); i++)
		if (words[i] != words[0])
			return -1;
	return words[0];
}

/*
 * How many blocks of a chain are not those of a prefix of it? What the replicas
 * hold only ever becomes newer: its writes are replayed from where that ended.
 */
static unsigned int chain_check(struct chain *chain)
{
	static int64_t stamps[DISKS][CHAIN_BLOCKS];
	unsigned int wrong = 0;
	int64_t newest = 0;

	for (int i = 0; i < DISKS; i++)
		for (unsigned int j = 0; j < CHAIN_BLOCKS; j++) {
			stamps[i][j] = stamp_of(i, block_of(chain, j));
			if (stamps[i][j] > newest)
				newest = stamps[i][j];
		}
	while (chain->replayed < newest) {
		const struct note *note = &chain->log[++chain->replayed];

		for (unsigned int j = 0; j < note->count; j++)
			chain->expected[note->disk][note->first + j] = chain->replayed;
	}
	for (int i = 0; i < DISKS; i++)
		for (unsigned int j = 0; j < CHAIN_BLOCKS; j++)
			wrong += stamps[i][j] != chain->expected[i][j];
	return wrong;
}

static int views_open(void)
{
	for (int i = 0; i < DISKS; i++) {
		char path[128];

		if (sh("dmsetup create %s-view --readonly --table '0 %llu tidemark-view %s'",
		       disks[i].name, BYTES / 512, disks[i].path))
			return -EIO;
		snprintf(path, sizeof(path), "%s-view", disks[i].path);
		views[i] = open(smear ? disks[i].data : path, O_RDONLY | O_DIRECT | O_CLOEXEC);
		if (views[i] < 0)
			return -errno;
	}
	return 0;
}

static void setup(struct disk_options options, uint64_t pool)
{
	for (int i = 0; i < DISKS; i++) {
		struct tidemark_pool_size size = { .size = sizeof(size), .bytes = pool };
		char name[16];

		snprintf(name, sizeof(name), "tm-prefix%d", i);
		sh("[ ! -e /dev/mapper/%s-view ] || dmsetup remove %s-view", name, name);
		if (disk_create(&disks[i], name, options))
			fail("disk", -EIO);
		size.disk = disks[i].id;
		if (request(TIDEMARK_IOC_POOL, &size))
			fail("POOL", 0);
		replicas[i] = calloc(1, BYTES);
	}
	if (views_open())
		fail("view", 0);
	for (unsigned int i = 0; i < CHAINS; i++) {
		chains[i].index = i;
		chains[i].log = calloc(LOG, sizeof(*chains[i].log));
	}
}

static void teardown(void)
{
	for (int i = 0; i < DISKS; i++) {
		close(views[i]);
		sh("dmsetup remove --retry %s-view", disks[i].name);
		disk_remove(&disks[i]);
	}
}

int main(int argc, char **argv)
{
	struct disk_options options = { .bytes = BYTES, .granule = 128 };
	uint64_t pool = TIDEMARK_POOL_DEFAULT, rounds = 0, points = 0, writes = 0;
	pthread_t threads[CHAINS], meddler;
	unsigned int wanted = 1;
	double seconds = 15;
	time_t until;
	int option;

	while ((option = getopt(argc, argv, "t:d:p:g:n:qm:")) != -1) {
		switch (option) {
		case 't': seconds = atof(optarg); break;
		case 'd': options.delay_ms = atoi(optarg); break;
		case 'p': pool = strtoull(optarg, NULL, 0); break;
		case 'g': options.granule = atoi(optarg); break;
		case 'n': wanted = atoi(optarg); break;
		case 'q': meddle = false; break;
		case 'm':
			smear = !strcmp(optarg, "smear");
			apart = !strcmp(optarg, "apart");
			break;
		default: return 2;
		}
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..1\n");
	setup(options, pool);
	for (int i = 0; i < CHAINS; i++)
		if (pthread_create(&threads[i], NULL, chain_run, &chains[i]))
			fail("thread", 0);
	if (meddle && pthread_create(&meddler, NULL, meddle_run, NULL))
		fail("thread", 0);
	/* a slow machine gets more time for its points, not more trust */
	until = time(NULL) + seconds;
	for (; time(NULL) < until || (rounds < wanted && time(NULL) < until + 20 * seconds); rounds++) {
		unsigned int wrong = 0;

		if (!copy_round(until + 20 * seconds))
			break;
		for (int i = 0; i < CHAINS; i++)
			wrong += chain_check(&chains[i]);
		if (wrong && points == rounds)
			printf("# round %llu: %u blocks are of no prefix\n",
			       (unsigned long long)rounds, wrong);
		points += !wrong;
	}
	atomic_store(&stop, true);
	if (meddle)
		pthread_join(meddler, NULL);
	for (int i = 0; i < CHAINS; i++) {
		pthread_join(threads[i], NULL);
		writes += atomic_load(&chains[i].last);
	}
	printf("# %llu writes, %llu seals, %llu rounds, %llu of them a prefix, %llu granules copied, %llu torn\n",
	       (unsigned long long)writes, (unsigned long long)seals, (unsigned long long)rounds,
	       (unsigned long long)points, (unsigned long long)copied,
	       (unsigned long long)torn);
	for (int i = 0; i < DISKS; i++) {
		struct tidemark_info info = disk_info(&disks[i]);

		printf("# disk %d: pool %llu, peak %llu, used %llu; excluded %llu us at most\n", i,
		       (unsigned long long)info.pool_bytes, (unsigned long long)info.pool_peak,
		       (unsigned long long)info.pool_used,
		       (unsigned long long)excluded_max / 1000);
	}
	teardown();
	printf("%s 1 view-prefix\n", points == rounds && rounds >= wanted ? "ok" : "not ok");
	return points == rounds && rounds >= wanted ? 0 : 1;
}
