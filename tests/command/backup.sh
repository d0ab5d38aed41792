#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The example of Documentation/examples: incremental backups of a disk with a file
# system and a database that is written all the while. Each image is one moment.
#
#   tests/command/backup.sh [KERNEL]
set -u
# shellcheck source-path=SCRIPTDIR source=lib.bash
. "$(dirname "$0")/lib.bash"

# image_faults IMAGE: journal replay is all that it may need; of a copy, since the
# image is what the next one begins as
image_faults() {
	local loop found
	cp --sparse=always "$1" "$tmp/look.img"
	loop=$(losetup --show -f "$tmp/look.img") || return
	mkdir -p /mnt/look
	mount "$loop" /mnt/look || echo "it does not mount"
	found=$(sqlite3 /mnt/look/db 'pragma integrity_check;
		select count(*) - coalesce(max(n), 0) from t' 2>&1 | xargs)
	[ "$found" = "ok 0" ] || echo "of the database is said: $found"
	umount /mnt/look
	e2fsck -fn "$loop" 2>&1 || echo "e2fsck has something to say"
	losetup -d "$loop"
}

# image_is NAME: the newest image is sound
image_is() {
	local faults image
	image=$(tail -n 1 "$tmp/out")
	faults=$(image_faults "$image" | grep -v '^e2fsck\|^Pass\|files (\|^$')
	if [ -z "$faults" ]; then pass "$1"; else fail "$1" "$faults"; fi
}

bytes() { sed -n 's/^\([0-9]*\) bytes read.*/\1/p' "$tmp/out"; }

tidemark attach "$a" --name vm > /dev/null
mkfs.ext4 -q /dev/mapper/vm
mkdir -p /mnt/vm "$tmp/backups"
mount /dev/mapper/vm /mnt/vm
dd if=/dev/urandom of=/mnt/vm/ballast bs=1M count=16 status=none
sqlite3 /mnt/vm/db 'pragma journal_mode=wal; create table t (n integer primary key, x)' > /dev/null
sync
(while [ -e "$tmp/run" ] || [ ! -e "$tmp/ran" ]; do
	: > "$tmp/ran"
	sqlite3 /mnt/vm/db 'insert into t (x) values (hex(randomblob(2000)))'
done) &
writer=$!
: > "$tmp/run"

exits "the first: all of it" 0 "" backup vm "$tmp/backups"
is "the first: says so" "$(head -n 1 "$tmp/out")" "no image to start from: full"
first=$(bytes)
image_is "the first: one moment of the file system and of the database"
for round in second third; do
	exits "the $round: what has changed" 0 "" backup vm "$tmp/backups"
	is "the $round: says so" "$(head -n 1 "$tmp/out")" incremental
	is "the $round: and little was read" "$(($(bytes) < first / 3))" 1
	image_is "the $round: one moment"
done
rm "$tmp/run"
wait "$writer"
umount /mnt/vm
run backup vm "$tmp/backups"
is "of a quiet disk: the image is the disk" \
	"$(cmp /dev/mapper/vm "$(tail -n 1 "$tmp/out")" && echo same)" same
is "images are named by tracker and epoch" "$(find "$tmp/backups" -name '*.img' | wc -l)" 4
exits "no such disk" 1 "No such device" backup nothing "$tmp/backups"
exits "no such folder" 1 "No such file" backup vm /nowhere
exits "no arguments" 1 "usage" backup
dd if=/dev/urandom of=/dev/mapper/vm bs=64k count=1 oflag=direct status=none
run backup vm "$tmp/backups"
is "what failed has lost nothing" \
	"$(cmp /dev/mapper/vm "$(tail -n 1 "$tmp/out")" && echo same)" same
exits "and it can be detached" 0 "" tidemark detach vm
finish
