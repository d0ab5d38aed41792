// SPDX-License-Identifier: GPL-2.0-only
/*
 * An orderly shutdown with disks that nobody has detached, such as the one of
 * the root file system: their metadata is made exact, as a detach would leave
 * it. It does not say that it is clean: writes may still come, and get their
 * intent as ever.
 */
#include "reboot.h"

#include <linux/jiffies.h>
#include <linux/notifier.h>
#include <linux/reboot.h>

#include "disk.h"
#include "keep.h"

/* A metadata device that does not answer shall not keep the host from going. */
#define REBOOT_PATIENCE	(10 * HZ)

static int reboot_notify(struct notifier_block *block, unsigned long action,
			 void *data)
{
	unsigned long until = jiffies + REBOOT_PATIENCE;
	struct tidemark_disk *disk;
	u64 id;

	for (id = 0; (disk = tidemark_disk_next(&id)); tidemark_disk_put(disk))
		tidemark_keep_leave(disk);
	for (id = 0; (disk = tidemark_disk_next(&id)); tidemark_disk_put(disk))
		tidemark_keep_left(disk, until);
	return NOTIFY_DONE;
}

static struct notifier_block reboot_block = {
	.notifier_call = reboot_notify,
};

/**
 * tidemark_reboot_init() - at module load
 *
 * Return: 0 or an errno.
 */
int tidemark_reboot_init(void)
{
	return register_reboot_notifier(&reboot_block);
}

/** tidemark_reboot_exit() - at module unload */
void tidemark_reboot_exit(void)
{
	unregister_reboot_notifier(&reboot_block);
}
