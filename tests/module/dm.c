// SPDX-License-Identifier: GPL-2.0-or-later
#include "dm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define BYTES 4096

/* A request and what follows it. */
union packet {
	struct dm_ioctl head;
	char bytes[BYTES];
};

static int control = -1;

static void control_open(void)
{
	control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
}

static void packet_init(union packet *packet, const char *name, uint32_t flags)
{
	memset(packet, 0, sizeof(*packet));
	packet->head.version[0] = DM_VERSION_MAJOR;
	packet->head.data_size = sizeof(*packet);
	packet->head.data_start = sizeof(packet->head);
	packet->head.flags = flags;
	strncpy(packet->head.name, name, sizeof(packet->head.name) - 1);
}

static int packet_send(unsigned long number, union packet *packet)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, control_open);
	return ioctl(control, number, packet) ? -errno : 0;
}

static int simple(unsigned long number, const char *name, uint32_t flags)
{
	union packet packet;

	packet_init(&packet, name, flags);
	return packet_send(number, &packet);
}

/*
 * dm-ima keeps its record of a device without a lock of its own: when two threads
 * load or resume a table of one device at the same time, the record is freed twice
 * (dm_ima_measure_on_device_resume, "kernel BUG at mm/slub.c" on Debian's 6.1). That
 * is not what is tested here, so they take turns. Whoever is late waits no longer than
 * the kernel would have it wait for the suspend lock of that device.
 */
static int in_turn(unsigned long number, const char *name, union packet *packet)
{
	static pthread_mutex_t turns[64] = {
		[0 ... 63] = PTHREAD_MUTEX_INITIALIZER,
	};
	unsigned int hash = 0;
	int err;

	while (*name)
		hash = hash * 31 + (unsigned char)*name++;
	pthread_mutex_lock(&turns[hash % 64]);
	err = packet_send(number, packet);
	pthread_mutex_unlock(&turns[hash % 64]);
	return err;
}

static int simple_in_turn(unsigned long number, const char *name)
{
	union packet packet;

	packet_init(&packet, name, 0);
	return in_turn(number, name, &packet);
}

/* A device without a table. */
int dm_create(const char *name)
{
	return simple(DM_DEV_CREATE, name, 0);
}

int dm_path(const char *name, char ret_path[32])
{
	union packet packet;
	int err;

	packet_init(&packet, name, 0);
	err = packet_send(DM_DEV_STATUS, &packet);
	if (!err)
		snprintf(ret_path, 32, "/dev/dm-%u", (unsigned int)minor(packet.head.dev));
	return err;
}

int dm_load(const char *name, const struct dm_line *line)
{
	struct dm_target_spec *spec;
	union packet packet;
	size_t room = sizeof(packet) - sizeof(packet.head) - sizeof(*spec);

	if (strlen(line->params) >= room)
		return -E2BIG;
	packet_init(&packet, name, line->readonly ? DM_READONLY_FLAG : 0);
	packet.head.target_count = 1;
	spec = (struct dm_target_spec *)(packet.bytes + sizeof(packet.head));
	spec->length = line->sectors;
	strncpy(spec->target_type, line->target, sizeof(spec->target_type) - 1);
	strcpy((char *)(spec + 1), line->params);
	return in_turn(DM_TABLE_LOAD, name, &packet);
}

int dm_clear(const char *name)
{
	return simple_in_turn(DM_TABLE_CLEAR, name);
}

/* @flags: DM_NOFLUSH_FLAG, DM_SKIP_LOCKFS_FLAG */
int dm_suspend(const char *name, uint32_t flags)
{
	return simple(DM_DEV_SUSPEND, name, flags | DM_SUSPEND_FLAG);
}

int dm_resume(const char *name)
{
	return simple_in_turn(DM_DEV_SUSPEND, name);
}

int dm_remove(const char *name)
{
	return simple_in_turn(DM_DEV_REMOVE, name);
}

int dm_message(const char *name, const char *text, char *ret_answer, size_t size)
{
	struct dm_target_msg *message;
	union packet packet;
	int err;

	if (strlen(text) >= sizeof(packet) - sizeof(packet.head) - sizeof(*message))
		return -E2BIG;
	packet_init(&packet, name, 0);
	message = (struct dm_target_msg *)(packet.bytes + sizeof(packet.head));
	strcpy(message->message, text);
	err = packet_send(DM_TARGET_MSG, &packet);
	if (!err && ret_answer)
		snprintf(ret_answer, size, "%s", packet.head.flags & DM_DATA_OUT_FLAG ?
			 packet.bytes + packet.head.data_start : "");
	return err;
}

/* @flags: DM_STATUS_TABLE_FLAG, DM_NOFLUSH_FLAG, ...; the text of the one line */
int dm_status(const char *name, uint32_t flags, char *ret_text, size_t size)
{
	struct dm_target_spec *spec;
	union packet packet;
	int err;

	packet_init(&packet, name, flags);
	err = packet_send(DM_TABLE_STATUS, &packet);
	if (err)
		return err;
	spec = (struct dm_target_spec *)(packet.bytes + packet.head.data_start);
	if (ret_text)
		snprintf(ret_text, size, "%s", packet.head.target_count ? (char *)(spec + 1) : "");
	return 0;
}
