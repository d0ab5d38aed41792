// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Insertion under a mounted file system that is being written, and removal
 * again, by table reloads: no unmount, no write lost, none unseen in between.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "disk.h"
#include "kselftest_harness.h"

#define TIMEOUT 1200
#define MOUNT "/tmp/tm-live-mnt"

FIXTURE(live) {
	struct disk disk;
	char linear[128];
	char tidemark[128];
};

/* A dm-linear device with a file system in use, over a second dm-linear. */
FIXTURE_SETUP(live)
{
	struct disk_options options = { .bytes = 96 * MIB };
	struct disk *disk = &self->disk;

	ASSERT_EQ(0, disk_create(disk, "tm-live", options));
	snprintf(self->linear, sizeof(self->linear), "0 %llu linear %s 0",
		 (unsigned long long)disk->bytes / 512, disk->data);
	snprintf(self->tidemark, sizeof(self->tidemark), "0 %llu tidemark %s - 128",
		 (unsigned long long)disk->bytes / 512, disk->data);
	ASSERT_EQ(0, disk_reload(disk, self->linear));
	ASSERT_EQ(0, disk_find(disk->name));
	ASSERT_EQ(0, sh("mkfs.ext4 -q %s && mkdir -p %s && mount %s %s", disk->path, MOUNT,
			disk->path, MOUNT));
	/* a writer that notices any failure, and can be checked afterwards */
	ASSERT_EQ(0, sh("(cd %s && i=0 && while [ ! -e stop ]; do i=$((i + 1)); "
			"head -c 100000 /dev/urandom > f$((i %% 40)) || break; "
			"sha256sum f$((i %% 40)) > f$((i %% 40)).sum || break; "
			"[ $((i %% 7)) != 0 ] || sync; done; echo $i > count) > /dev/null 2>&1 &",
			MOUNT));
}

FIXTURE_TEARDOWN(live)
{
	sh("touch %s/stop; sleep 1; umount %s", MOUNT, MOUNT);
	disk_remove(&self->disk);
}

TEST_F_TIMEOUT(live, inserted_and_removed_under_ext4, TIMEOUT)
{
	struct disk *disk = &self->disk;
	void *before;
	int i;

	for (i = 0; i < 3; i++) {
		sleep(2);
		/* Between suspend and resume nothing is written: compare with that. */
		ASSERT_EQ(0, sh("dmsetup load %s --table '%s' && dmsetup suspend %s", disk->name,
				self->tidemark, disk->name));
		before = file_copy(disk);
		ASSERT_EQ(0, sh("dmsetup resume %s", disk->name));
		disk->id = disk_find(disk->name);
		ASSERT_NE(0, disk->id);
		sleep(3);
		ASSERT_EQ(0, sh("dmsetup load %s --table '%s' && dmsetup suspend %s", disk->name,
				self->linear, disk->name));
		/* All has landed, the tracker is still there. */
		EXPECT_EQ(0, granules_missed(disk, before));
		TH_LOG("%llu granules changed, %llu marked",
		       (unsigned long long)granules_changed(disk, before),
		       (unsigned long long)disk_info(disk).marked);
		EXPECT_LT(0, granules_changed(disk, before));
		free(before);
		ASSERT_EQ(0, sh("dmsetup resume %s", disk->name));
		EXPECT_EQ(0, disk_find(disk->name));
	}
	ASSERT_EQ(0, sh("touch %s/stop; for i in 1 2 3 4 5 6 7 8 9; do [ -e %s/count ] && break; "
			"sleep 1; done; cat %s/count", MOUNT, MOUNT, MOUNT));
	EXPECT_EQ(0, sh("cd %s && sha256sum --quiet -c *.sum", MOUNT));
	ASSERT_EQ(0, sh("umount %s", MOUNT));
	EXPECT_EQ(0, sh("e2fsck -fn %s > /dev/null", disk->path));
	EXPECT_EQ(0, sh("mount %s %s && cd %s && sha256sum --quiet -c *.sum", disk->path, MOUNT,
			MOUNT));
}

TEST_HARNESS_MAIN
