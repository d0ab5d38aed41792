// SPDX-License-Identifier: GPL-2.0-or-later
#include "tidemark/signature.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

static void describe(blkid_probe probe, char ret[SIGNATURE_TEXT_MAX])
{
	const char *type = NULL;

	if (blkid_probe_lookup_value(probe, "TYPE", &type, NULL) &&
	    blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL))
		type = "an unknown signature";
	snprintf(ret, SIGNATURE_TEXT_MAX, "%s", type);
}

static int probe_run(blkid_probe probe, int fd, char ret[SIGNATURE_TEXT_MAX])
{
	errno = 0;
	if (blkid_probe_set_device(probe, fd, 0, 0))
		return errno ? -errno : -EIO;
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_MAGIC);
	blkid_probe_enable_partitions(probe, 1);
	errno = 0;
	switch (blkid_do_safeprobe(probe)) {
	case 0:
		describe(probe, ret);
		return 1;
	case 1:
		return 0;
	case -2:
		snprintf(ret, SIGNATURE_TEXT_MAX, "several signatures");
		return 1;
	}
	return errno ? -errno : -EIO;
}

int signature_find(int fd, char ret[SIGNATURE_TEXT_MAX])
{
	blkid_probe probe;
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return -errno;
	/* libblkid takes an empty file for an error */
	if (S_ISREG(st.st_mode) && !st.st_size)
		return 0;
	probe = blkid_new_probe();
	if (!probe)
		return -ENOMEM;
	r = probe_run(probe, fd, ret);
	blkid_free_probe(probe);
	return r;
}
