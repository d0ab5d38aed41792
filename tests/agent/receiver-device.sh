#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Raw replicas on block devices: what a device carries is refused by its name,
# what it held before does not show through, it is known again, and it may
# not be taken for two disks. Loop devices; root.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

size=$((8 << 20)) device='' small='' other=''
if [ "$(id -u)" != 0 ] || ! losetup -f > /dev/null 2>&1; then
    skip "replicas on devices" "needs root and loop devices"
    tap_end
    exit
fi

loop() { # VARIABLE BYTES [FILE]: a loop device full of old bytes
    local file=${3:-$dir/loop.$1} made
    if [ ! -e "$file" ]; then
        head -c "$2" /dev/urandom > "$file"
    fi
    made=$(losetup --find --show --direct-io=on "$file" 2> /dev/null ||
        losetup --find --show "$file") || return 1
    at_end "losetup -d $made 2> /dev/null"
    printf -v "$1" %s "$made"
}

full_run() { # DISK IMAGE EPOCH [force]
    peer <<END
hello dev
open 0 vm1 $1 $tracker $(stat -c %s "$2") 65536
begin 0 full 0 ${4:-}
full 0 $2 $3
end 0 $3
commit
END
}

next_run() { # DISK OLD NEW EPOCH
    peer <<END
hello dev
open 0 vm1 $1 $tracker $(stat -c %s "$3") 65536
begin 0 incremental 0
diff 0 $2 $3 $4
end 0 $4
commit
END
}

if ! loop device $((10 << 20)); then
    skip "replicas on devices" "no loop device can be set up"
    tap_end
    exit
fi
loop small $((4 << 20))
loop other $((10 << 20))
make_image "$dir/a" $((size + 512 * 5)) 65536 1
change_image "$dir/a" "$dir/b" 65536 2
change_image "$dir/b" "$dir/c" 65536 3 $((9 << 20))

targets=(--target "dev/vm1/vda=$device" --target "dev/vm1/vdb=$device"
    --target "dev/vm1/small=$small" --target "dev/vm1/other=$other"
    --target "dev/vm1/file=$dir/configured.raw"
    --target "dev/vm1/forced=force:$dir/forced.raw"
    --target "dev/vm1/none=/dev/tidemark-no-such-device")

refused() { # NAME REGEX: what is on $device now
    like "$1 is refused by name" "$(full_run vda "$dir/a" 1)" "$2"
}
wipe() { dd if=/dev/urandom of="$device" bs=1M count=10 conv=fsync status=none; }

receiver_start "${targets[@]}"
mkfs.ext4 -q -F -L precious "$device"
refused "ext4" "error 32768 $device is not .* carries ext4 file system labelled \"precious\": it would be lost"
is "and the file system was not touched" "$(blkid -p -o value -s LABEL "$device")" precious
mkdir "$dir/mnt"
if mount "$device" "$dir/mnt" 2> /dev/null; then
    at_end "umount $dir/mnt 2> /dev/null"
    like "a mounted device is refused, also by force" "$(full_run vda "$dir/a" 1 force)" \
        "error 32774 $device is mounted or held"
    umount "$dir/mnt"
else
    skip "a mounted device is refused" "cannot mount here"
fi
wipe
if command -v sfdisk > /dev/null; then
    echo ',,' | sfdisk -q "$device" 2> /dev/null
    refused "a partition table" "carries dos partition table"
    wipe
else
    skip "a partition table is refused" "no sfdisk (package fdisk)"
fi
if command -v mkswap > /dev/null; then
    mkswap -q "$device" > /dev/null
    refused "swap" "carries swap signature"
    wipe
else
    skip "swap is refused" "no mkswap (package util-linux)"
fi
if command -v pvcreate > /dev/null; then
    pvcreate -q -ff -y --config 'devices{filter=["a|.*|"]}' "$device" > /dev/null 2>&1
    if [ "$(blkid -p -o value -s TYPE "$device")" = LVM2_member ]; then
        refused "LVM" "carries LVM2_member RAID or LVM member"
    else
        skip "LVM is refused" "pvcreate cannot be used here"
    fi
    wipe
else
    skip "LVM is refused" "no pvcreate (package lvm2)"
fi
# What cryptsetup and mdadm write, in as far as it matters: the magic.
printf 'LUKS\272\276\0\1' | dd of="$device" conv=notrunc status=none
refused "LUKS" "carries crypto_LUKS encrypted volume"
like "too small a device is refused" "$(full_run small "$dir/a" 1)" "error 32768 $small is too small"
like "a device that is not there is refused" "$(full_run none "$dir/a" 1)" "error .*tidemark-no-such"
blockdev --setro "$device"
like "a read-only device is refused" "$(full_run vda "$dir/a" 1)" "error 3276[89] .*$device"
blockdev --setrw "$device"

# Force is for what it carries; and then it is ours, whatever the VM has put there.
cp "$dir/a" "$dir/fs"
mkfs.ext4 -q -F -L guest "$dir/fs" 2> /dev/null
like "by force it is taken over" "$(full_run vda "$dir/fs" 1 force)" 'durable 1$'
ok "the replica is identical; old bytes do not show" cmp -n "$(stat -c %s "$dir/fs")" "$dir/fs" "$device"
is "bytes behind the disk's end were left alone" \
    "$(cmp -s -i $((size + 4096)) "$device" "$dir/loop.device" && echo same)" same
like "its VM's file system is no reason to refuse it" "$(next_run vda "$dir/fs" "$dir/b" 2)" 'durable 2$'
for _ in {1..50}; do [ -z "$(find "$dir/store" -name '*.qcow2')" ] && break; sleep 0.05; done
ok "merged into the device: identical" cmp -n "$(stat -c %s "$dir/b")" "$dir/b" "$device"
like "it grows inside of its device" "$(next_run vda "$dir/b" "$dir/c" 3)" 'durable 3$'
for _ in {1..50}; do [ -z "$(find "$dir/store" -name '*.qcow2')" ] && break; sleep 0.05; done
ok "and is identical; old bytes behind it do not show" cmp -n $((9 << 20)) "$dir/c" "$device"
cp "$dir/c" "$dir/large"
truncate -s 11M "$dir/large"
like "a disk that outgrows its device is refused" "$(next_run vda "$dir/c" "$dir/large" 4)" \
    "error 32768 $device is too small for the disk's new size"
like "a device is the replica of one disk only" "$(full_run vdb "$dir/a" 1)" \
    "error 32774 $device is the replica of the disk vm1/vda of dev"

# A seeding that was cut short: the device is ours, and is begun anew.
receiver_stop
mkfs.ext4 -q -F -L half "$dir/fs"
TIDEMARK_CRASH=write:3 receiver_start "${targets[@]}"
mkfs.ext4 -q -F -L theirs "$other"
full_run other "$dir/fs" 1 > "$dir/peer.out"
like "without force it is not begun" "$(cat "$dir/peer.out")" 'carries ext4 .*"theirs"'
full_run other "$dir/fs" 1 force > "$dir/peer.out"
wait "$receiver_pid"
is "died in the middle of a seeding" $? 137
receiver_start "${targets[@]}"
like "there is no replica then" "$(receiver_status)" "dev/vm1/other seeding .* -"
like "it is begun anew without force" "$(full_run other "$dir/fs" 1)" 'durable'
ok "and is identical" cmp -n "$(stat -c %s "$dir/fs")" "$dir/fs" "$other"

# Another device under the same name.
receiver_stop
losetup -d "$device"
cp "$dir/loop.other" "$dir/impostor"
losetup "$device" "$dir/impostor"
receiver_start "${targets[@]}"
like "another device under its name is noticed" "$(next_run vda "$dir/c" "$dir/b" 4)" \
    "error 32775 $device is not the device that it was: loop:$dir/loop.device then, loop:$dir/impostor now"
losetup -d "$device"
losetup "$device" "$dir/loop.device"
like "back again, it is known again" "$(next_run vda "$dir/c" "$dir/b" 4)" 'durable'

# Files that are configured.
cp "$dir/fs" "$dir/configured.raw"
like "a file with a signature is refused too" "$(full_run file "$dir/a" 1)" \
    "configured.raw is not .* carries ext4 file system labelled \"half\""
is "and stands" "$(blkid -p -o value -s LABEL "$dir/configured.raw")" half
rm "$dir/configured.raw"
peer << END > "$dir/peer.out"
hello dev 1 1 1
open 0 vm1 file $tracker $size 65536
begin 0 full 0
drop 0 it_is_gone
ping
END
like "one that was begun is given up" "$(cat "$dir/log")" 'drops vm1/file from the run'
no_file() { [ -z "$(find "$dir" -name 'configured.raw*')" ]; }
ok "its file is gone" eventually no_file
cp "$dir/fs" "$dir/configured.raw"
receiver_stop
receiver_start "${targets[@]}"
is "what somebody puts there then is his" \
    "$(blkid -p -o value -s LABEL "$dir/configured.raw")" half
rm "$dir/configured.raw"
like "a file that is not there is made" "$(full_run file "$dir/a" 1)" 'durable'
ok "and is identical" cmp "$dir/a" "$dir/configured.raw"
like "and gets points" "$(next_run file "$dir/a" "$dir/b" 2)" 'durable'
for _ in {1..50}; do [ -z "$(find "$dir/store" -name '*.qcow2')" ] && break; sleep 0.05; done
ok "merged: identical" cmp "$dir/b" "$dir/configured.raw"
cp "$dir/fs" "$dir/forced.raw"
like "configured with force, it is taken over" "$(full_run forced "$dir/a" 1)" 'durable'
ok "and is identical" cmp "$dir/a" "$dir/forced.raw"
tap_end
