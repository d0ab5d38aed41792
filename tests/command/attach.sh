#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tidemark attach, detach, disks, events: on real devices, with the real module.
#
#   tests/command/attach.sh [KERNEL]
set -u
# shellcheck source-path=SCRIPTDIR source=lib.bash
. "$(dirname "$0")/lib.bash"

# -- nothing tracked ------------------------------------------------------------

run tidemark disks
is "no disks: exit status and output" "$status $(cat "$tmp/out" "$tmp/err")" "0 "
run tidemark disks --json
is "no disks: JSON says so" "$(json "json_extract(d, '\$.schema', '\$.disks')")" '["tidemark/1",[]]'

# -- stacked --------------------------------------------------------------------

run tidemark attach "$a" --name web01 --granule 16K
is "stacked: prints the new device" "$status $(cat "$tmp/out")" "0 /dev/mapper/web01"
is "stacked: the node is there" "$(stat -Lc %F /dev/mapper/web01 2>&1)" "block special file"
is "stacked: the size is the disk's" "$(blockdev --getsize64 /dev/mapper/web01)" \
	"$(blockdev --getsize64 "$a")"
dd if=/dev/urandom of=/dev/mapper/web01 bs=4k seek=256 count=5 oflag=direct status=none
is "stacked: 20 KiB written are two granules of 16 KiB" "$(column web01 MARKED,GRANULE)" \
	"$(printf '%s %s' 32768 16384)"
is "stacked: found by path and by UUID" \
	"$(column /dev/mapper/web01 NAME) $(column "$(column web01 UUID)" NAME)" "web01 web01"
exits "stacked: another name over the same disk" 8 "in use" tidemark attach "$a" --name web02
exits "stacked: over a tracked device" 9 "tracked already" \
	tidemark attach /dev/mapper/web01 --name web02
exits "slid: under a stacked tracker" 9 "tracked already" tidemark attach /dev/mapper/web01
exits "the data device is not the tracked one" 3 "no tracked disk" tidemark disks "$a"
exec 9< /dev/mapper/web01
exits "detach: in use" 8 "in use" tidemark detach web01
exec 9<&-
tidemark hold &
held=$!
is_open() { [ "$(dmsetup info -c --noheadings -o open web01)" = 1 ]; }
until is_open || ! kill -0 $held; do sleep 0.1; done
exits "hold: nobody detaches what is held" 8 "in use" tidemark detach web01
kill $held
wait $held
is "hold: it goes when it is told to, at once" $? 143
exits "hold: takes no device" 2 "no device" tidemark hold web01
exits "detach: by path" 0 "" tidemark detach /dev/mapper/web01
is "detach: the device is gone" "$(dmsetup info -c --noheadings -o name web01 2>/dev/null) $(ls /dev/mapper)" " control"
exits "detach: what is not tracked" 3 "no|not" tidemark detach web01
exits "stacked: read-only" 0 "" tidemark attach "$a" --name web01 --read-only
is "stacked: read-only it is" "$(blockdev --getro /dev/mapper/web01)" 1
tidemark detach web01
blockdev --setro "$a"
exits "stacked: over a read-only device" 4 "read-only" tidemark attach "$a" --name web01
blockdev --setrw "$a"

# -- refused --------------------------------------------------------------------

for granule in 5K 2K 8M 0 64KB junk; do
	exits "granule $granule" 2 "no granule" tidemark attach "$a" --name web01 --granule $granule
done
for name in bad/name "two words" control web-tidemark; do
	exits "name '$name'" 2 "name" tidemark attach "$a" --name "$name"
done
exits "no such device" 3 "no such device" tidemark attach /dev/nothing --name web01
exits "not a block device" 2 "not a block device" tidemark attach /dev/null --name web01
exits "a plain disk without a name" 2 "give --name" tidemark attach "$a"
exits "no device given" 2 "one device" tidemark attach
exits "an unknown option" 2 "help" tidemark attach --frob "$a"
exits "an unknown command" 2 "no command" tidemark frob
exits "an unknown column" 2 "no column" tidemark disks --output NAME,FROB
dmsetup create other --table '0 2048 zero'
exits "a name that is taken" 8 "is taken" tidemark attach "$a" --name other
dmsetup remove other

mkfs.ext4 -q "$a" && mkdir -p /mnt/a && mount "$a" /mnt/a
exits "a mounted disk" 8 "in use" tidemark attach "$a" --name web01
echo still > /mnt/a/f && sync
is "a mounted disk is left alone" "$(cat /mnt/a/f; dmsetup ls)" "$(printf 'still\nNo devices found')"
umount /mnt/a
mkswap -q "$a" 2>/dev/null || mkswap "$a" > /dev/null
if swapon "$a" 2>/dev/null; then
	exits "a disk that is swapped to" 8 "in use" tidemark attach "$a" --name web01
	swapoff "$a"
fi

nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
exits "nobody may not attach" 4 "root" "${nobody[@]}" tidemark attach "$a" --name web01
exits "nobody may not detach" 4 "root" "${nobody[@]}" tidemark detach web01
exits "nobody may not list" 4 "root" "${nobody[@]}" tidemark disks

# -- slid in --------------------------------------------------------------------

vm_table | dmsetup create vm
before=$(number vm)
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/vm 40M && mkdir -p /mnt/vm && mount /dev/mapper/vm /mnt/vm
run tidemark attach /dev/mapper/vm
is "slid under a mounted file system" "$status $(cat "$tmp/out" "$tmp/err")" "0 /dev/mapper/vm"
is "slid: the number stays" "$(number vm)" "$before"
is "slid: one tracker over the hidden device" "$(dmsetup table vm)" \
	"0 102400 tidemark $(number vm-tidemark) - 128 0"
is "slid: all segments moved" "$(dmsetup table vm-tidemark)" "$(vm_table)"
is "slid: the hidden device is known by its UUID" "$(hidden vm)" "TIDEMARK-under-vm"
is "slid: nothing marked yet, or little" "$(( $(column vm MARKED) < 1048576 ))" 1
head -c 4M /dev/urandom > /mnt/vm/f && sync
is "slid: what the file system writes is marked" "$(( $(column vm MARKED) >= 4194304 ))" 1
exits "slid: twice" 9 "tracked already" tidemark attach /dev/mapper/vm
exits "slid: under the hidden device" 9 "tracked already" tidemark attach /dev/mapper/vm-tidemark
exits "stacked: over the hidden device" 9 "tracked already" \
	tidemark attach /dev/mapper/vm-tidemark --name web01
sum=$(md5sum < /mnt/vm/f)
exits "slid: taken out while mounted" 0 "" tidemark detach vm
is "slid: out, the number stays" "$(number vm)" "$before"
untouched "slid: out, the device maps to what it did"
echo 3 > /proc/sys/vm/drop_caches
is "slid: the file is what it was" "$(md5sum < /mnt/vm/f)" "$sum"

# A writer that verifies, while the tracker comes and goes below it. Guests
# unpack fio at its first use: not while something else runs.
fio --version > "$tmp/fio"
fio --name=w --filename=/mnt/vm/v --size=8M --bs=4k --rw=randwrite --direct=1 --ioengine=psync \
	--verify=crc32c --verify_backlog=128 --verify_fatal=1 --time_based --runtime=12 \
	--allow_file_create=1 > "$tmp/fio" 2>&1 &
writer=$!
rounds=0 writes=0 faults=''
while kill -0 $writer 2>/dev/null && [ -z "$faults" ]; do
	run tidemark attach /dev/mapper/vm
	[ "$status" -eq 0 ] || faults+="attach: $status $(cat "$tmp/err") "
	sleep 0.3
	run tidemark disks vm -n -b -o WRITES
	[ "$status" -eq 0 ] || faults+="disks: $status $(cat "$tmp/err") "
	writes=$((writes + $(cat "$tmp/out")))
	run tidemark detach vm
	[ "$status" -eq 0 ] || faults+="detach: $status $(cat "$tmp/err") "
	rounds=$((rounds + 1))
done
wait $writer || faults+="fio: exit status $? "
[ $rounds -ge 3 ] || faults+="only $rounds rounds "
[ $writes -ge 100 ] || faults+="only $writes writes were seen"
if [ -z "$faults" ]; then
	pass "slid in and out $rounds times under a writer that verifies"
else
	fail "slid in and out $rounds times under a writer that verifies" "$faults $(cat "$tmp/fio")"
fi
umount /mnt/vm
is "slid: the file system is clean" "$(e2fsck -fn /dev/mapper/vm > "$tmp/fsck" 2>&1; echo $?)" 0

tidemark attach /dev/mapper/vm --granule 4K > /dev/null
dd if=/dev/zero of=/dev/mapper/vm bs=512 seek=40958 count=4 oflag=direct status=none
is "slid: a write over a border of segments marks two granules" "$(column vm MARKED)" 8192
exec 9< /dev/mapper/vm
exits "slid: taken out while open" 0 "" tidemark detach /dev/mapper/vm
exec 9<&-
untouched "slid: and nothing is left"

tidemark attach /dev/mapper/vm > /dev/null
exec 9< /dev/mapper/vm-tidemark
exits "slid: taken out while somebody reads the hidden device" 0 "" tidemark detach vm
is "slid: the device is free of it at once" "$(dmsetup table vm)" "$(vm_table)"
exec 9<&-
sleep 0.5
untouched "slid: the hidden device goes with its reader"

dmsetup create other -u TIDEMARK --table '0 2048 zero'
dmsetup rename other vm-tidemark
exits "slid: the hidden name is taken" 8 "is taken" tidemark attach /dev/mapper/vm
is "slid: a device that is not ours stays" "$(dmsetup table vm-tidemark)" "0 2048 zero "
dmsetup remove vm-tidemark
untouched "slid: refused, the device is as it was"

dmsetup suspend vm
exits "slid: under a suspended device" 8 "suspended" tidemark attach /dev/mapper/vm
is "slid: it stays suspended" "$(suspended vm && echo yes)" yes
dmsetup resume vm

vm_table | dmsetup load vm
exits "slid: somebody is changing the table" 8 "changing" tidemark attach /dev/mapper/vm
is "slid: his table stays" "$(dmsetup table --inactive vm)" "$(vm_table)"
dmsetup clear vm
untouched "slid: refused again"

if modprobe dm-snapshot 2>/dev/null; then
	dmsetup create origin --table "0 2048 snapshot-origin $a"
	exits "slid: a target that keeps state" 5 "keeps state" tidemark attach /dev/mapper/origin
	is "slid: it stays" "$(dmsetup table origin | cut -d' ' -f3)" snapshot-origin
	dmsetup remove origin
fi

dmsetup create fixed --readonly --table "0 2048 linear $a 0"
exits "slid: under a read-only device" 0 "" tidemark attach /dev/mapper/fixed
is "slid: read-only as before" "$(blockdev --getro /dev/mapper/fixed /dev/mapper/fixed-tidemark | xargs)" "1 1"
exits "slid: out of a read-only device" 0 "" tidemark detach fixed
is "slid: read-only still" "$(blockdev --getro /dev/mapper/fixed)" 1
dmsetup remove fixed

# LVM loads a table of its own, and the tracker is dropped.
tidemark attach /dev/mapper/vm > /dev/null
vm_table | dmsetup load vm && dmsetup resume vm
is "dropped: no longer tracked" "$(disks_count)" 0
exits "dropped: attached again" 0 "" tidemark attach /dev/mapper/vm
vm_table | dmsetup load vm && dmsetup resume vm
exits "dropped: detach clears away the rest" 0 "" tidemark detach vm
untouched "dropped: nothing is left"

# -- with a metadata device -------------------------------------------------------

meta=/dev/mapper/meta
meta_disk() { # BYTES: at the beginning of $c
	dmsetup create meta --table "0 $(($1 / 512)) linear $c 0"
}
uuid_of() { column "$1" UUID; }

size=$(tidemark meta size --for "$a" --granule 4K)
meta_disk $((size - 4096))
dd if=/dev/zero of=$meta bs=4k oflag=direct status=none 2>/dev/null
exits "meta: a device that is too small" 1 "too small" \
	tidemark attach "$a" --name web01 --granule 4K --meta $meta
dmsetup remove meta
meta_disk "$size"
printf XFSB | dd of=$meta bs=4k conv=sync oflag=direct status=none
before=$(sha256sum < $meta)
exits "meta: a device with something on it" 1 "no metadata" \
	tidemark attach "$a" --name web01 --granule 4K --meta $meta
is "meta: which is left alone" "$(sha256sum < $meta)" "$before"
exits "meta: a device that is not there" 3 "no such metadata" \
	tidemark attach "$a" --name web01 --meta /dev/mapper/nothing
exits "meta: read-only" 2 "read-only" tidemark attach "$a" --name web01 --meta $meta --read-only
is "meta: refused, nothing is tracked" "$(disks_count)" 0
dd if=/dev/zero of=$meta bs=4k oflag=direct status=none 2>/dev/null
exits "meta: a blank one of just that size" 0 "" \
	tidemark attach "$a" --name web01 --granule 4K --meta $meta
exits "meta: nobody else may have it" 8 "in use" tidemark meta check $meta
dd if=/dev/urandom of=/dev/mapper/web01 bs=4k seek=77 count=2 oflag=direct status=none
uuid=$(uuid_of web01)
tidemark detach web01
exits "meta: it verifies" 0 "" tidemark meta check $meta
exits "meta: attached again" 0 "" tidemark attach "$a" --name web01 --granule 4K --meta $meta
is "meta: the same tracker, and what was marked" "$(uuid_of web01) $(column web01 MARKED)" \
	"$uuid 8192"
tidemark detach web01
dmsetup remove meta

# -- metadata in the tail of the disk ------------------------------------------------

tail_left() { dmsetup ls | cut -f1 | sort | xargs; }
exits "tail: a live device keeps its size" 2 "needs --name" tidemark attach /dev/mapper/vm --meta tail
mke2fs -q "$a" 8M
before=$(sha256sum < "$a")
exits "tail: of a disk with something on it" 8 "holds something" \
	tidemark attach "$a" --name web01 --meta tail
is "tail: refused, the disk is what it was" "$(sha256sum < "$a")" "$before"
is "tail: and nothing is left over" "$(tail_left)" vm
dd if=/dev/zero of="$a" bs=1M oflag=direct status=none 2>/dev/null
printf x | dd of="$a" bs=1 seek=$((64 * 1048576 - 1048570)) conv=notrunc status=none
exits "tail: which is not blank" 1 "no metadata" tidemark attach "$a" --name web01 --meta tail
dd if=/dev/zero of="$a" bs=1M seek=63 oflag=direct status=none 2>/dev/null
dmsetup create tiny --table "0 4096 linear $a 0"
exits "tail: of a disk that is hardly larger" 1 "too small" \
	tidemark attach /dev/mapper/tiny --name web01 --meta tail
dmsetup remove tiny
exits "tail: of a blank disk" 0 "" tidemark attach "$a" --name web01 --meta tail
is "tail: the new device is shorter by it, in whole MiB" \
	"$(blockdev --getsize64 /dev/mapper/web01)" $((63 * 1048576))
exits "tail: in use" 8 "in use" tidemark attach "$a" --name web02 --meta tail
exits "tail: its parts are not for stacking" 9 "tracked already" \
	tidemark attach /dev/mapper/web01-data-tidemark --name web02
mke2fs -q /dev/mapper/web01
dd if=/dev/urandom of=/dev/mapper/web01 bs=64k seek=1000 count=8 oflag=direct status=none
uuid=$(uuid_of web01) marked=$(column web01 MARKED)
is "tail: its metadata are not taken for writes past the tracker" "$(column web01 REASON)" -
sum=$(sha256sum < /dev/mapper/web01)
exits "tail: detach" 0 "" tidemark detach web01
is "tail: takes both parts away" "$(tail_left)" vm
exits "tail: attached again, with a file system on it" 0 "" \
	tidemark attach "$a" --name web01 --meta tail
is "tail: the same tracker, what was marked, what was written" \
	"$(uuid_of web01) $(column web01 MARKED) $(sha256sum < /dev/mapper/web01)" "$uuid $marked $sum"
is "tail: within a boot nobody knows what came between" "$(column web01 REASON)" gap
dmsetup remove web01
is "tail: removed by somebody, its parts stay" "$(tail_left)" \
	"vm web01-data-tidemark web01-meta-tidemark"
exits "tail: attached again, over what was left" 0 "" tidemark attach "$a" --name web01 --meta tail
is "tail: the same tracker once more" "$(uuid_of web01)" "$uuid"
dmsetup remove web01
exits "tail: detach by name takes away what was left" 0 "" tidemark detach web01
is "tail: nothing is left" "$(tail_left)" vm

# A power cut, and the next boot: another boot_id, and a disk that counts from 0. The
# metadata are as they were while it was attached.
dd if=/dev/zero of="$a" bs=1M oflag=direct status=none 2>/dev/null
disk_anew() { dmsetup create disk --table "0 131072 linear $a 0"; }
cut_and_boot() {
	tidemark detach web01 && dmsetup remove disk &&
		dd if="$tmp/meta" of="$a" bs=1M seek=63 oflag=direct status=none && disk_anew &&
		cat /proc/sys/kernel/random/uuid > "$tmp/boot_id" &&
		mount --bind "$tmp/boot_id" /proc/sys/kernel/random/boot_id
}
disk_anew
tidemark attach /dev/mapper/disk --name web01 --meta tail > /dev/null
dd if=/dev/urandom of=/dev/mapper/web01 bs=64k seek=100 count=2 oflag=direct status=none
uuid=$(uuid_of web01)
dd if=/dev/mapper/web01-meta-tidemark of="$tmp/meta" bs=1M iflag=direct status=none
cut_and_boot
is "tail: power is cut" $? 0
exits "tail: after a boot" 0 "" tidemark attach /dev/mapper/disk --name web01 --meta tail
is "tail: the same tracker, by its marks" "$(uuid_of web01) $(column web01 REASON)" "$uuid unclean"
cut_and_boot
is "tail: once more" $? 0
dd if=/dev/urandom of=/dev/mapper/disk bs=64k seek=300 count=1 oflag=direct status=none
exits "tail: after a boot and a write before it" 0 "" \
	tidemark attach /dev/mapper/disk --name web01 --meta tail
is "tail: is noticed" "$(uuid_of web01) $(column web01 REASON | grep -o gap)" "$uuid gap"
umount /proc/sys/kernel/random/boot_id /proc/sys/kernel/random/boot_id
tidemark detach web01
dmsetup remove disk

# -- listings and events --------------------------------------------------------

timeout 60 tidemark events --count 4 > "$tmp/events" &
listener=$!
# nobody else here is in a group of generic netlink (16)
for _ in $(seq 100); do
	awk '$2 == 16 && $4 !~ /^0*$/ { found = 1 } END { exit !found }' /proc/net/netlink && break
	sleep 0.1
done
tidemark attach /dev/mapper/vm > /dev/null
tidemark attach "$a" --name web01 > /dev/null
run tidemark disks --json
is "JSON: valid, two disks" "$(json "json_valid(d), json_array_length(d, '\$.disks')")" "1|2"
is "JSON: types" "$(json "json_type(d, '\$.disks[0].size'), json_type(d, '\$.disks[0].name'),
	json_type(d, '\$.disks[0].state'), json_type(d, '\$.disks[0].sealed_epoch'),
	json_type(d, '\$.disks[0].epoch')")" "integer|text|array|null|integer"
is "JSON: values" "$(json "json_extract(d, '\$.disks[0].name'), json_extract(d, '\$.disks[0].size'),
	json_extract(d, '\$.disks[1].device'), json_extract(d, '\$.disks[1].data')")" \
	"vm|52428800|/dev/mapper/web01|$a"
[ ! -d "${TIDEMARK_OUT:-/nonexistent}" ] || cp "$tmp/out" "$TIDEMARK_OUT/disks.json"
run tidemark disks
is "table: headings and rows" "$(head -1 "$tmp/out" | xargs) $(wc -l < "$tmp/out")" \
	"NAME DEVICE UUID SIZE GRANULE MARKED STATE EPOCH 3"
is "table: sizes for people" "$(tidemark disks vm -n -o SIZE,GRANULE,STATE,EPOCH | xargs)" \
	"50 MiB 64 KiB tracking 1"
if tidemark disks > /dev/full 2> "$tmp/err"; then
	fail "a full standard output fails" "exit status 0"
else
	pass "a full standard output fails"
fi
tidemark detach web01
tidemark detach vm
wait $listener
is "events: four, in order" "$(sed 's/.*"event":"\([a-z]*\)".*"name":"\([a-z0-9]*\)".*/\1 \2/' "$tmp/events" | xargs)" \
	"attached vm attached web01 detached web01 detached vm"
is "events: numbers without a hole" "$(sed 's/.*"seq":\([0-9]*\).*/\1/' "$tmp/events" |
	awk 'NR > 1 && $1 != last + 1 { print "hole" } { last = $1 }')" ""

# -- at each boot ---------------------------------------------------------------

table=/etc/tidemark/trackers.conf
mkdir -p /dev/disk/by-id
exits "at boot: no table, nothing to do" 0 "" tidemark attach --all
exits "at boot: a name that may be another disk tomorrow" 2 "after a reboot" \
	tidemark attach "$a" --name web01 --save
is "at boot: and nothing is done then" "$(disks_count) $(test -e $table; echo $?)" "0 1"
ln -s "$a" /dev/disk/by-id/virtio-a
exits "at boot: noted by a stable name" 0 "" tidemark attach "$a" --name web01 --granule 16K --save
exits "at boot: a slid one" 0 "" tidemark attach /dev/mapper/vm --save
is "at boot: the table" "$(grep -v '^#' $table)" \
	"$(printf 'web01\t/dev/disk/by-id/virtio-a\tgranule=16K\n-\t/dev/mapper/vm\t-')"
exits "at boot: what is there already stays" 0 "" tidemark attach --all
is "at boot: once each" "$(disks_count)" 2
tidemark detach web01
tidemark detach vm
exits "at boot: both come back" 0 "" tidemark attach --all
is "at boot: as they were" "$(column web01 GRANULE) $(column vm GRANULE)" "16384 65536"
tidemark detach web01
tidemark detach vm
echo "late /dev/disk/by-id/late meta=/dev/disk/by-id/later" >> $table
echo "gone /dev/disk/by-id/gone -" >> $table
dmsetup remove vm
truncate -s 4M "$tmp/later"
loop=$(losetup -f --show "$tmp/later")
{ sleep 1; ln -s "$b" /dev/disk/by-id/late; sleep 2; ln -s "$loop" /dev/disk/by-id/later; } &
run tidemark attach --all --wait 6
is "at boot: a device that never comes fails, with its name" \
	"$status $(grep -c 'by-id/gone' "$tmp/err")" "3 1"
is "at boot: and keeps nobody else from coming, one neither whose metadata are late" \
	"$(tidemark disks --noheadings --output NAME | sort | xargs)" "late web01"
sed -i '/gone/d' $table
exits "at boot: taken out of the table" 0 "" tidemark detach late --save
losetup -d "$loop"
exits "at boot: what is not tracked, too" 0 "" tidemark detach vm --save
is "at boot: the rest stays" "$(grep -v '^#' $table | cut -f 1)" web01
exits "at boot: neither tracked nor noted" 3 "not tracked" tidemark detach vm --save
echo "web02 /dev/x fast" >> $table
exits "at boot: an error in the table" 2 "$table:5: 'fast', expected" tidemark attach --all
exits "at boot: --all takes no device" 2 "no device" tidemark attach --all "$a"
exits "at boot: --wait alone" 2 "needs --all" tidemark attach "$a" --wait 3
tidemark detach web01
rm $table
vm_table | dmsetup create vm

# -- without the module ---------------------------------------------------------

if rmmod dm-tidemark 2> "$tmp/err"; then
	exits "no module: attach, slid" 10 "modprobe" tidemark attach /dev/mapper/vm
	untouched "no module: the device is as it was"
	exits "no module: attach, stacked" 10 "modprobe" tidemark attach "$a" --name web01
	exits "no module: disks" 10 "modprobe" tidemark disks
	exits "no module: events" 10 "modprobe" tidemark events
	insmod module/dm-tidemark.ko
	exits "the module is back" 0 "" tidemark disks
else
	fail "nothing holds the module after the last detach" "$(cat "$tmp/err")"
fi
dmsetup remove vm

finish
