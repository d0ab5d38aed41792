// SPDX-License-Identifier: GPL-2.0-or-later
#include "kcov.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/kcov.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS (64 << 10)
#define SLOTS (1 << 16)

/**
 * struct kcov - the coverage of one thread
 * @area: shared with the kernel: a count, then so many addresses
 */
struct kcov {
	unsigned long *area;
};

/* All addresses that any thread has run: a hash table, never more than half full. */
static unsigned long seen[SLOTS];
static unsigned int seen_count;
static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;

/* Of the calling thread. */
struct kcov *kcov_open(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
	struct kcov *kcov;
	void *area;

	if (fd < 0)
		return NULL;
	area = ioctl(fd, KCOV_INIT_TRACE, WORDS) ? MAP_FAILED :
		mmap(NULL, WORDS * sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC)) {
		close(fd);
		return NULL;
	}
	kcov = calloc(1, sizeof(*kcov));
	kcov->area = area;
	return kcov;
}

void kcov_begin(struct kcov *kcov)
{
	if (kcov)
		__atomic_store_n(&kcov->area[0], 0, __ATOMIC_RELAXED);
}

static bool seen_add(unsigned long address)
{
	unsigned int at = (address * 0x9E3779B97F4A7C15UL) >> 48;

	while (seen[at] && seen[at] != address)
		at = (at + 1) % SLOTS;
	if (seen[at] || seen_count >= SLOTS / 2)
		return false;
	seen[at] = address;
	seen_count++;
	return true;
}

/* How many addresses were run since kcov_begin() that nobody had run before? */
unsigned int kcov_end(struct kcov *kcov)
{
	unsigned int added = 0;
	unsigned long count;

	if (!kcov)
		return 0;
	count = __atomic_load_n(&kcov->area[0], __ATOMIC_RELAXED);
	if (count > WORDS - 1)
		count = WORDS - 1;
	pthread_mutex_lock(&seen_lock);
	for (unsigned long i = 1; i <= count; i++)
		added += seen_add(kcov->area[i]);
	pthread_mutex_unlock(&seen_lock);
	return added;
}

unsigned int kcov_seen(void)
{
	return seen_count;
}

/* Calls of the tracing function among the relocations of a section. */
static unsigned int section_points(const uint8_t *file, const Elf64_Shdr *sections,
				   const Elf64_Shdr *relocations)
{
	const Elf64_Shdr *symbols = &sections[relocations->sh_link];
	const char *names = (const char *)file + sections[symbols->sh_link].sh_offset;
	const Elf64_Sym *symbol = (const Elf64_Sym *)(file + symbols->sh_offset);
	const Elf64_Rela *entry = (const Elf64_Rela *)(file + relocations->sh_offset);
	unsigned int count = 0;

	for (size_t i = 0; i < relocations->sh_size / sizeof(*entry); i++)
		count += !strcmp(names + symbol[ELF64_R_SYM(entry[i].r_info)].st_name,
				 "__sanitizer_cov_trace_pc");
	return count;
}

/* How many points there are that could be run; 0: the module has none. */
unsigned int kcov_points(const char *ko)
{
	int fd = open(ko, O_RDONLY | O_CLOEXEC);
	const Elf64_Shdr *sections;
	const Elf64_Ehdr *head;
	unsigned int count = 0;
	struct stat stat;
	uint8_t *file;

	if (fd < 0 || fstat(fd, &stat))
		return 0;
	file = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (file == MAP_FAILED)
		return 0;
	head = (const Elf64_Ehdr *)file;
	sections = (const Elf64_Shdr *)(file + head->e_shoff);
	for (unsigned int i = 0; i < head->e_shnum; i++)
		if (sections[i].sh_type == SHT_RELA)
			count += section_points(file, sections, &sections[i]);
	munmap(file, stat.st_size);
	return count;
}
