// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the fuzzer does by device mapper, by netlink, and to the devices as
 * such: tables and messages by a small grammar with errors in it.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/tidemark.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dm.h"

#define SECTORS (FUZZ_BYTES / 512)

/* A tracked device, or the view of one. */
void fuzz_name(struct fuzz_input *input, char ret_name[16])
{
	unsigned int disk = fuzz_below(input, FUZZ_DISKS);

	snprintf(ret_name, 16, fuzz_one_in(input, 4) ? "fuzz%u-view" : "fuzz%u", disk);
}

static void word_add(char *text, size_t size, const char *format, unsigned long long number)
{
	size_t length = strlen(text);

	snprintf(text + length, size - length, format, number);
}

/* Now and then a byte is lost, doubled, or becomes another. */
static void text_spoil(struct fuzz_input *input, char *text, size_t size)
{
	size_t length = strlen(text), at;

	if (!length || !fuzz_one_in(input, 6))
		return;
	at = fuzz_below(input, length);
	switch (fuzz_below(input, 5)) {
	case 0:
		text[at] = '\0';
		break;
	case 1:
		text[at] = fuzz_take(input, 1) ?: ' ';
		break;
	case 2:
		memmove(text + at, text + at + 1, length - at);
		break;
	case 3:
		word_add(text, size, " %llu", fuzz_number(input));
		break;
	default:
		memset(text + at, text[at], length - at);
		break;
	}
}

static uint64_t granule_take(struct fuzz_input *input)
{
	return fuzz_one_in(input, 16) ? fuzz_number(input) : 8ULL << fuzz_below(input, 11);
}

static void tracked_params(struct fuzz_input *input, const char *data, char *text, size_t size)
{
	snprintf(text, size, "%s %s ", fuzz_one_in(input, 16) ? "/dev/nothing" : data,
		 fuzz_one_in(input, 3) ? fuzz_metadata.loop : "-");
	word_add(text, size, "%llu", granule_take(input));
	switch (fuzz_below(input, 4)) {
	case 2:
		/* of a few boots and disks: what the metadata say is often of another */
		snprintf(text + strlen(text), size - strlen(text),
			 " 4 boot %08x-1111-4111-8111-111111111111 identity disk%u",
			 fuzz_below(input, 3), fuzz_below(input, 3));
		break;
	case 0:
		word_add(text, size, " %llu", fuzz_one_in(input, 8) ? fuzz_number(input) : 2);
		word_add(text, size, " pool %llu", fuzz_one_in(input, 8) ? fuzz_number(input) :
			 fuzz_below(input, 2 << 20));
		break;
	case 1:
		word_add(text, size, " %llu", fuzz_below(input, 3));
		break;
	}
}

static void view_params(struct fuzz_input *input, const char *tracked, char *text, size_t size)
{
	char path[32];

	text[0] = '\0';
	if (!fuzz_one_in(input, 4) && !dm_path(tracked, path))
		snprintf(text, size, "%s", path);
	else
		word_add(text, size, "%llu", fuzz_one_in(input, 2) ? fuzz_number(input) :
			 fuzz_below(input, 64));
}

/*
 * Mostly the size of the disk. Sizes between that and what is refused at once
 * would only be a test of how much memory there is.
 */
static uint64_t sectors_take(struct fuzz_input *input)
{
	switch (fuzz_below(input, 8)) {
	case 0: return fuzz_below(input, SECTORS + 1);
	case 1: return SECTORS / 2;
	case 2: return SECTORS + 8;
	case 3: return fuzz_one_in(input, 4) ? 1ULL << 50 : SECTORS;
	default: return SECTORS;
	}
}

/* Load a table for a device or its view, and resume it or not. */
void fuzz_table(struct fuzz_thread *thread)
{
	struct fuzz_input *input = &thread->input;
	unsigned int disk = fuzz_below(input, FUZZ_DISKS);
	bool view = fuzz_one_in(input, 3);
	char tracked[16], name[24], params[256];
	struct dm_line line = {
		.sectors = sectors_take(input), .target = view ? "tidemark-view" : "tidemark",
		.params = params, .readonly = view ? !fuzz_one_in(input, 8) : fuzz_one_in(input, 8),
	};

	snprintf(tracked, sizeof(tracked), "fuzz%u", disk);
	snprintf(name, sizeof(name), view ? "%s-view" : "%s", tracked);
	if (view)
		view_params(input, tracked, params, sizeof(params));
	else
		tracked_params(input, fuzz_data[disk], params, sizeof(params));
	text_spoil(input, params, sizeof(params));
	if (!view && fuzz_one_in(input, 16)) {
		line.target = "linear";
		snprintf(params, sizeof(params), "%s 0", fuzz_data[disk]);
	}
	dm_create(name);
	fuzz_count(thread, -dm_load(name, &line));
	if (fuzz_one_in(input, 8))
		fuzz_count(thread, -dm_clear(name));
	if (!fuzz_one_in(input, 8))
		fuzz_count(thread, -dm_resume(name));
}

void fuzz_message(struct fuzz_thread *thread)
{
	static const char * const words[] = {
		"seal", "fold", "commit", "mark", "threshold", "pool", "", "SEAL", "help",
		"view", "checkpoint", "release",
	};
	struct fuzz_input *input = &thread->input;
	char name[16], text[256], answer[256];

	fuzz_name(input, name);
	snprintf(text, sizeof(text), "%s",
		 words[fuzz_below(input, sizeof(words) / sizeof(words[0]))]);
	for (unsigned int left = fuzz_below(input, 3); left; left--)
		word_add(text, sizeof(text), " %llu", fuzz_one_in(input, 8) ?
			 fuzz_number(input) >> 36 : fuzz_below(input, 128));
	text_spoil(input, text, sizeof(text));
	fuzz_count(thread, -dm_message(name, text, answer, sizeof(answer)));
}

/* Read or change the device, which may be suspended: another thread resumes it. */
static int device_io(struct fuzz_thread *thread, const char *path)
{
	struct fuzz_input *input = &thread->input;
	uint64_t at = fuzz_below(input, SECTORS) * 512ULL, range[2];
	size_t length = 512ULL << fuzz_below(input, 9);
	int fd = open(path, O_RDWR | O_CLOEXEC | (fuzz_one_in(input, 4) ? 0 : O_DIRECT));
	void *buffer = thread->arena + FUZZ_ARENA / 2 / 4096 * 4096;
	ssize_t ret = -1;

	if (fd < 0)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
	if (fd < 0)
		return errno;
	range[0] = at;
	range[1] = length;
	switch (fuzz_below(input, 10)) {
	case 0: ret = ioctl(fd, BLKDISCARD, range); break;
	case 1: ret = ioctl(fd, BLKZEROOUT, range); break;
	case 2: ret = ioctl(fd, BLKSECDISCARD, range); break;
	case 3: ret = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length); break;
	case 4: ret = fdatasync(fd); break;
	case 5:
	case 6: ret = pread(fd, buffer, length, at); break;
	default: ret = pwrite(fd, buffer, length, at); break;
	}
	close(fd);
	return ret < 0 ? errno : 0;
}

/*
 * A superblock whose checksum is right, and that says what no module has
 * written; or metadata that are new.
 */
static void meta_forge(struct fuzz_input *input)
{
	struct tidemark_meta_super super;

	if (fuzz_one_in(input, 4)) {
		metadata_format(&fuzz_metadata, FUZZ_BYTES, 8 << fuzz_below(input, 6));
		return;
	}
	if (metadata_super(&fuzz_metadata, &super))
		return;
	for (unsigned int left = 1 + fuzz_below(input, 4); left; left--) {
		uint32_t at = offsetof(struct tidemark_meta_super, seq) / 4 +
			      fuzz_below(input, 52);
		uint64_t number = fuzz_number(input);

		memcpy((uint8_t *)&super + at * 4, &number, fuzz_one_in(input, 2) ? 8 : 4);
	}
	metadata_super_put(&fuzz_metadata, super);
}

/* Something of the metadata becomes something else. */
static void meta_scribble(struct fuzz_input *input)
{
	uint8_t bytes[16];
	int fd = open(fuzz_metadata.loop, O_WRONLY | O_CLOEXEC);
	uint64_t at = fuzz_one_in(input, 2) ? fuzz_below(input, 8192) : fuzz_take(input, 3);

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = fuzz_take(input, 1);
	if (pwrite(fd, bytes, 1 + fuzz_below(input, sizeof(bytes)), at % FUZZ_BYTES) < 0)
		fdatasync(fd);
	close(fd);
}

/* Everything else that can be done to a device. */
void fuzz_device(struct fuzz_thread *thread)
{
	struct fuzz_input *input = &thread->input;
	char name[16], path[32], text[512];
	int err = 0;

	fuzz_name(input, name);
	switch (fuzz_below(input, 16)) {
	case 0:
		err = -dm_suspend(name, fuzz_one_in(input, 2) ? DM_NOFLUSH_FLAG : 0);
		break;
	case 1:
		err = -dm_suspend(name, DM_SKIP_LOCKFS_FLAG);
		break;
	case 2:
		err = -dm_resume(name);
		break;
	case 3:
		err = -dm_remove(name);
		break;
	case 4:
		err = -dm_status(name, fuzz_one_in(input, 2) ? DM_STATUS_TABLE_FLAG :
				 fuzz_one_in(input, 2) ? DM_NOFLUSH_FLAG : 0, text, sizeof(text));
		break;
	case 5:
		err = -dm_clear(name);
		break;
	case 6:
		meta_scribble(input);
		break;
	case 7:
		meta_forge(input);
		break;
	default:
		err = -dm_path(name, path);
		if (!err)
			err = device_io(thread, path);
		break;
	}
	fuzz_count(thread, err);
}

/* A message to the family, or to the controller about it, with odd attributes. */
void fuzz_netlink(struct fuzz_thread *thread)
{
	struct fuzz_input *input = &thread->input;
	struct {
		struct nlmsghdr head;
		struct genlmsghdr genl;
		uint8_t rest[256];
	} message = {};
	size_t length = 0;
	int group = fuzz_one_in(input, 4) ? (int)fuzz_number(input) : (int)fuzz_below(input, 32);

	for (unsigned int left = fuzz_below(input, 5); left && length < 128; left--) {
		struct nlattr *attr = (struct nlattr *)(message.rest + length);
		unsigned int payload = fuzz_below(input, 24);

		attr->nla_type = fuzz_below(input, 16) | (fuzz_one_in(input, 8) ? NLA_F_NESTED : 0);
		attr->nla_len = fuzz_one_in(input, 8) ? fuzz_take(input, 2) : NLA_HDRLEN + payload;
		for (unsigned int i = 0; i < payload; i++)
			message.rest[length + NLA_HDRLEN + i] = fuzz_take(input, 1);
		length += NLA_ALIGN(NLA_HDRLEN + payload);
	}
	message.head.nlmsg_type = fuzz_one_in(input, 8) ? fuzz_take(input, 2) :
				  fuzz_one_in(input, 4) ? GENL_ID_CTRL : fuzz_family;
	message.head.nlmsg_flags = NLM_F_REQUEST | (fuzz_one_in(input, 2) ? NLM_F_DUMP : 0) |
				   (fuzz_one_in(input, 2) ? NLM_F_ACK : 0);
	message.head.nlmsg_len = fuzz_one_in(input, 16) ? fuzz_take(input, 2) :
				 sizeof(message.head) + sizeof(message.genl) + length;
	message.genl.cmd = fuzz_below(input, 16);
	message.genl.version = fuzz_below(input, 3);
	fuzz_count(thread, send(thread->netlink, &message, sizeof(message.head) +
				sizeof(message.genl) + length, MSG_DONTWAIT) < 0 ? errno : 0);
	setsockopt(thread->netlink, SOL_NETLINK, fuzz_one_in(input, 4) ? NETLINK_DROP_MEMBERSHIP :
		   NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
	while (!fuzz_one_in(input, 4) &&
	       recv(thread->netlink, thread->arena, FUZZ_ARENA, MSG_DONTWAIT) >= 0)
		;
}
