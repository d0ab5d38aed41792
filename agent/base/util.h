/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small things that every unit of the agent uses. No unit of its own.
 */
#ifndef TIDEMARK_BASE_UTIL_H
#define TIDEMARK_BASE_UTIL_H

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define SECTOR_SIZE 512u
/* O_DIRECT transfers are aligned to this, whatever the device below. */
#define IO_ALIGN 4096u

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* Little-endian numbers as they stand on the wire and on disk. */
typedef struct { uint16_t raw; } __attribute__((packed)) le16;
typedef struct { uint32_t raw; } __attribute__((packed)) le32;
typedef struct { uint64_t raw; } __attribute__((packed)) le64;

static inline uint16_t le16_get(le16 v) { return le16toh(v.raw); }
static inline uint32_t le32_get(le32 v) { return le32toh(v.raw); }
static inline uint64_t le64_get(le64 v) { return le64toh(v.raw); }
static inline le16 le16_of(uint16_t v) { return (le16){ htole16(v) }; }
static inline le32 le32_of(uint32_t v) { return (le32){ htole32(v) }; }
static inline le64 le64_of(uint64_t v) { return (le64){ htole64(v) }; }

static inline uint64_t u64_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t u64_max(uint64_t a, uint64_t b) { return a > b ? a : b; }
/* Divide, round up; @a + @b must not overflow. */
static inline uint64_t u64_div_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }
/* Round up to a power of two @to. */
static inline uint64_t u64_align(uint64_t a, uint64_t to) { return (a + to - 1) & ~(to - 1); }
static inline bool u64_is_power_of_2(uint64_t a) { return a && !(a & (a - 1)); }

/** bytes_are_zero() - is every byte 0? @size may be anything */
static inline bool bytes_are_zero(const void *data, size_t size)
{
	const unsigned char *p = data;
	size_t head = size < 16 ? size : 16;

	for (size_t i = 0; i < head; i++)
		if (p[i])
			return false;
	/* Each byte equals the one 16 before it, and the first 16 are zero. */
	return size <= 16 || memcmp(p, p + 16, size - 16) == 0;
}

static inline void freep(void *p) { free(*(void **)p); }
static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/** fd_direct() - past the page cache, where the file system can. Return: 0 or -errno */
static inline int fd_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	return fcntl(fd, F_SETFL, flags | O_DIRECT) < 0 && errno != EINVAL ? -errno : 0;
}

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)

/* Take a value out of a variable that is cleaned up at the end of its block. */
#define TAKE_PTR(p) ({ __typeof__(p) p_ = (p); (p) = NULL; p_; })
#define TAKE_FD(fd) ({ int fd_ = (fd); (fd) = -1; fd_; })

#endif
